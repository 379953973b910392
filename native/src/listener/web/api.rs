//! Publishing and subscribing for clients that speak plain HTTP: curl, cron, webhooks, `EventSource`.
//!
//! Both are clients of the ordinary connection over a pipe in memory, so that everything holds for them that holds for
//! any other: tokens, limits, order, bounded outboxes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use mist_core::message::{Command, Request, encode_request};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::{Reply, Response};
use warp::sse::Event;

use super::upgrade::token;
use super::{query, refuse};
use crate::drive::Connection;
use crate::listener::Acceptor;

/// Bytes in the pipe between a request and its connection.
const PIPE_BYTES: usize = 16 << 10;

/// `POST /publish`: the message as JSON, or `?tags=a,b` with the data as the body.
pub(super) fn publish(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    let limit = acceptor.hub.limits.message_bytes;
    warp::path!("publish")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(query())
        .and(warp::body::bytes())
        .then(move |headers: HeaderMap, query: String, body: Bytes| {
            let acceptor = acceptor.clone();
            async move {
                if body.len() > limit {
                    let text = format!(
                        "{} bytes exceed the limit of {limit} (message-bytes)\n",
                        body.len()
                    );
                    return refuse(StatusCode::PAYLOAD_TOO_LARGE, text);
                }
                publish_one(&acceptor, &headers, &query, &body)
                    .await
                    .unwrap_or_else(|refusal| refusal)
            }
        })
        .boxed()
}

/// What a JSON body holds; other fields of a message may be there and say nothing.
#[derive(Deserialize)]
struct Publish {
    tags: Vec<String>,
    #[serde(default)]
    data: String,
}

/// What matters of an answer.
#[derive(Deserialize)]
struct Answer {
    command: String,
    #[serde(default)]
    error: String,
}

async fn publish_one(
    acceptor: &Acceptor,
    headers: &HeaderMap,
    query: &str,
    body: &[u8],
) -> Result<Response, Response> {
    let sets = tag_sets(query);
    let message = if sets.is_empty() {
        serde_json::from_slice(body).map_err(|error| {
            let text = format!(
                "the body is not a message like {{\"tags\":[\"a\",\"b\"],\"data\":\"…\"}} - {error}; or give the tags as \
                 ?tags=a,b and the data as the body\n"
            );
            refuse(StatusCode::BAD_REQUEST, text)
        })?
    } else {
        Publish {
            tags: sets.into_iter().flatten().collect(),
            data: String::from_utf8(body.to_vec())
                .map_err(|_| refuse(StatusCode::BAD_REQUEST, "the body is not UTF-8\n"))?,
        }
    };
    let tags: Vec<_> = message.tags.iter().map(String::as_str).collect();
    let request = Request::new(Command::Publish)
        .tags(&tags)
        .data(&message.data)
        .id(1);
    let mut pipe = open(acceptor, headers, query);
    ask(&mut pipe, &request).await?;
    let (status, answer) = answer(&mut pipe, "publish").await?;
    let reply = warp::reply::with_header(answer, header::CONTENT_TYPE, "application/json");
    Ok(warp::reply::with_status(reply, status).into_response())
}

/// `GET /subscribe?tags=a,b`: server-sent events, one per message. Each further `tags` is a further subscription.
pub(super) fn subscribe(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    warp::path!("subscribe")
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .and(query())
        .then(move |headers: HeaderMap, query: String| {
            let acceptor = acceptor.clone();
            async move {
                events(&acceptor, &headers, &query)
                    .await
                    .unwrap_or_else(|refusal| refusal)
            }
        })
        .boxed()
}

async fn events(
    acceptor: &Acceptor,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, Response> {
    let sets = tag_sets(query);
    if sets.is_empty() {
        let text = "Unable to subscribe - missing tags; ask for /subscribe?tags=a,b\n";
        return Err(refuse(StatusCode::BAD_REQUEST, text));
    }
    let mut pipe = open(acceptor, headers, query);
    for set in &sets {
        let tags: Vec<_> = set.iter().map(String::as_str).collect();
        ask(
            &mut pipe,
            &Request::new(Command::Subscribe).tags(&tags).id(1),
        )
        .await?;
        let (status, answer) = answer(&mut pipe, "subscribe").await?;
        if status != StatusCode::OK {
            return Err(refuse(status, answer));
        }
    }
    let messages = stream::unfold(pipe, |mut pipe| async move {
        let line = read_line(&mut pipe).await?;
        Some((Ok::<_, Infallible>(Event::default().data(line)), pipe))
    });
    let keep_alive = warp::sse::keep_alive().interval(Duration::from_secs(15));
    Ok(warp::sse::reply(keep_alive.stream(messages)).into_response())
}

/// The tag sets of a query: each `tags` is one, its tags separated by commas.
fn tag_sets(query: &str) -> Vec<Vec<String>> {
    url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "tags")
        .map(|(_, tags)| tags.split(',').map(str::to_owned).collect())
        .collect()
}

/// Opens a connection to the broker on behalf of a request.
fn open(acceptor: &Acceptor, headers: &HeaderMap, query: &str) -> BufReader<DuplexStream> {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let token = token(headers, query);
    // Within the count of the HTTP connection that the request came on.
    acceptor.hub.tasks.spawn(Connection::lines(
        Arc::clone(&acceptor.hub),
        far,
        token.as_deref(),
    ));
    BufReader::new(near)
}

async fn ask(pipe: &mut BufReader<DuplexStream>, request: &Request<'_>) -> Result<(), Response> {
    let mut line = Vec::new();
    encode_request(request, &mut line);
    line.push(b'\n');
    let sent = pipe.get_mut().write_all(&line).await;
    sent.map_err(|_| refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n"))
}

/// Reads the answer to a command; a refused token is the answer too.
async fn answer(
    pipe: &mut BufReader<DuplexStream>,
    command: &str,
) -> Result<(StatusCode, String), Response> {
    while let Some(line) = read_line(pipe).await {
        let Ok(answer) = serde_json::from_str::<Answer>(&line) else {
            continue;
        };
        // A message may arrive for an earlier subscription of the same request; its own answer carries the id.
        if answer.command != command && answer.command != "auth" && answer.error.is_empty() {
            continue;
        }
        let status = match (answer.command.as_str(), answer.error.as_str()) {
            (_, "") => StatusCode::OK,
            ("auth", _) => StatusCode::UNAUTHORIZED,
            (_, error) if error.starts_with("not authorized") => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        };
        return Ok((status, format!("{line}\n")));
    }
    Err(refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        "the server is stopping\n",
    ))
}

async fn read_line(pipe: &mut BufReader<DuplexStream>) -> Option<String> {
    let mut line = String::new();
    let count = pipe.read_line(&mut line).await.ok()?;
    line.truncate(line.trim_end().len());
    (count > 0).then_some(line)
}
