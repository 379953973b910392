//! Owns the paths of a listener, for clients or for operators, and the answer for all others. It must not know what
//! they answer.

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::http::header::ALLOW;
use warp::path::FullPath;
use warp::reply::{Reply, Response};

use super::reply::refuse;
use super::request::get_or_head;
use super::{api, metrics, page, upgrade};
use crate::listener::acceptor::Acceptor;
use crate::listener::offers::Offers;

/// All routes of a listener.
pub(super) fn of(acceptor: &Acceptor) -> BoxedFilter<(Response,)> {
    let offers = acceptor.offers;
    let ping = warp::path!("ping")
        .and(get_or_head())
        .map(|| "pong\n".into_response());
    let of_clients = || {
        upgrade::route(acceptor.clone())
            .or(ping)
            .unify()
            .or(api::publish(acceptor.clone()))
            .unify()
            .or(api::subscribe(acceptor.clone()))
            .unify()
            .boxed()
    };
    let are_clients = acceptor.seats.is_none();
    let anything = warp::path::full()
        .map(move |path: FullPath| nothing_here(path.as_str(), offers, are_clients))
        .boxed();
    [
        are_clients.then(of_clients),
        offers.health.then(|| metrics::health(acceptor.clone())),
        offers.metrics.then(|| metrics::route(acceptor.clone())),
        offers.page.then(page::route),
    ]
    .into_iter()
    .flatten()
    .chain([anything.clone()])
    .reduce(|routes, further| routes.or(further).unify().boxed())
    .unwrap_or(anything)
}

/// Answers a request that no route has matched.
fn nothing_here(path: &str, offers: Offers, are_clients: bool) -> Response {
    let allowed = match path.trim_end_matches('/') {
        "/publish" if are_clients => "POST",
        "/subscribe" if are_clients => "GET",
        "/ping" if are_clients => "GET, HEAD",
        "/healthz" | "/readyz" if offers.health => "GET, HEAD",
        "/metrics" if offers.metrics => "GET, HEAD",
        _ if offers.page && page::has(path) => "GET, HEAD",
        _ if are_clients && upgrade::is_websocket_path(path) => {
            return upgrade::upgrade_required("there is a WebSocket here, and nothing else");
        }
        _ => {
            let there = [
                (
                    are_clients,
                    "GET /ping, POST /publish, GET /subscribe, a WebSocket at /subscribe/websocket",
                ),
                (offers.health, "GET /healthz, GET /readyz"),
                (offers.metrics, "GET /metrics"),
            ];
            let there = there.iter().filter(|(is_there, _)| *is_there);
            let there: Vec<_> = there.map(|(_, paths)| *paths).collect();
            let text = format!("not found - there are {}", there.join(", "));
            return refuse(StatusCode::NOT_FOUND, text);
        }
    };
    let text = format!("method not allowed - here it is {allowed}");
    let refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, text);
    warp::reply::with_header(refusal, ALLOW, allowed).into_response()
}
