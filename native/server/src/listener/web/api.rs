//! Publishing and subscribing for clients that use plain HTTP: curl, cron, webhooks, `EventSource`.
//!
//! Both go through an ordinary connection over a pipe in memory, so that all rules hold for them as for other clients:
//! tokens, limits, order, bounded outboxes.

use std::collections::BTreeSet;

use bytes::Buf;
use futures_util::Stream;
use mist_core::message::{Command, Request};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use super::body::{Body, read_body, refuse_publish};
use super::events::Events;
use super::publish::Publish;
use super::query::Query;
use super::reply::{json, refuse_command};
use super::request::{Caller, raw_query};
use super::token::token;
use super::visit::{Visit, line};
use crate::listener::acceptor::Acceptor;

/// `POST /publish`: the message as JSON, or `?tags=a,b` with the data as the body.
pub(super) fn publish(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    warp::path!("publish")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(raw_query())
        .and(warp::ext::get::<Caller>())
        .and(warp::body::stream())
        .then(
            move |headers: HeaderMap, query: String, caller: Caller, body| {
                let acceptor = acceptor.clone();
                async move {
                    publish_one(&acceptor, &caller, &headers, &query, body)
                        .await
                        .unwrap_or_else(|refusal| refusal)
                }
            },
        )
        .boxed()
}

async fn publish_one<B: Buf>(
    acceptor: &Acceptor,
    caller: &Caller,
    headers: &HeaderMap,
    query: &str,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response, Response> {
    let bad_request = |error: String| refuse_publish(StatusCode::BAD_REQUEST, error);
    let query = Query::parse(query).map_err(bad_request)?;
    let sets = query.tag_sets().map_err(bad_request)?;
    let is_for_cluster = query.waits_for_cluster().map_err(bad_request)?;
    // The body is not read if the token is wrong.
    let visit = match token(headers, &query).map_err(bad_request)? {
        Some(token) => Some(Visit::begin(acceptor, caller, Some(&token)).await?),
        None => None,
    };
    let body = read_body(&acceptor.hub, caller, visit.as_ref(), headers, body).await?;
    let Body { bytes, part } = body;
    let line = request_line(&sets, bytes, is_for_cluster).map_err(bad_request)?;
    // Escapes may have made it larger than the limit: refuse it before the connection gets a copy.
    let (length, limit) = (line.len() - 1, acceptor.hub.in_force().limits.message_bytes);
    if length > limit {
        let text = format!("{length} bytes exceed the limit of {limit} (message-bytes)");
        return Err(refuse_publish(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let mut visit = match visit {
        Some(visit) => visit,
        None => Visit::begin(acceptor, caller, None).await?,
    };
    let answer = visit.ask_long(line, part).await?;
    Ok(json(StatusCode::OK, answer + "\n"))
}

/// Turns a body into a line for the connection. The body is dropped before anything is awaited.
fn request_line(
    sets: &[Vec<&str>],
    body: Vec<u8>,
    is_for_cluster: bool,
) -> Result<Vec<u8>, String> {
    let message = match sets.is_empty() {
        true => Publish::from_json(&body),
        false => Publish::from_query(sets, body),
    }?;
    let tags: Vec<_> = message.tags.iter().map(String::as_str).collect();
    let request = Request::new(Command::Publish)
        .tags(&tags)
        .for_cluster(is_for_cluster);
    Ok(line(request.data(&message.data)))
}

/// `GET /subscribe?tags=a,b`: server-sent events, one per message. Each further `tags` is a further subscription.
pub(super) fn subscribe(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    warp::path!("subscribe")
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .and(raw_query())
        .and(warp::ext::get::<Caller>())
        .then(move |headers: HeaderMap, query: String, caller: Caller| {
            let acceptor = acceptor.clone();
            async move {
                events(&acceptor, &caller, &headers, &query)
                    .await
                    .unwrap_or_else(|refusal| refusal)
            }
        })
        .boxed()
}

async fn events(
    acceptor: &Acceptor,
    caller: &Caller,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, Response> {
    let bad_request = |error: String| refuse_command("subscribe", StatusCode::BAD_REQUEST, error);
    let query = Query::parse(query).map_err(bad_request)?;
    let sets = query.tag_sets().map_err(bad_request)?;
    if sets.is_empty() {
        let text = "Unable to subscribe - missing tags; ask for /subscribe?tags=a,b";
        return Err(bad_request(text.to_owned()));
    }
    let token = token(headers, &query).map_err(bad_request)?;
    let mut visit = Visit::begin(acceptor, caller, token.as_deref()).await?;
    for tags in &sets {
        visit
            .ask(Request::new(Command::Subscribe).tags(tags))
            .await?;
    }
    let distinct: BTreeSet<BTreeSet<_>> = sets
        .iter()
        .map(|tags| tags.iter().copied().collect())
        .collect();
    Ok(Events::new(visit, distinct.len()).into_response())
}
