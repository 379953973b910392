//! What operators and their machines ask: is it alive, is it ready, what does it do.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{StatusCode, header};
use warp::reply::{Reply, Response};

use super::get_or_head;
use crate::hub::Hub;
use crate::listener::Acceptor;

/// `GET /healthz`, `/readyz` and `/metrics`.
pub(super) fn routes(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    let health = warp::path!("healthz").map(|| "ok\n".into_response());
    let stop = acceptor.stop.clone();
    let ready = warp::path!("readyz").map(move || match stop.is_cancelled() {
        false => "ready\n".into_response(),
        true => {
            warp::reply::with_status("stopping\n", StatusCode::SERVICE_UNAVAILABLE).into_response()
        }
    });
    let metrics = warp::path!("metrics").map(move || {
        let text = text(&acceptor.hub);
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        warp::reply::with_header(text, header::CONTENT_TYPE, kind).into_response()
    });
    get_or_head()
        .and(health.or(ready).unify().or(metrics).unify())
        .boxed()
}

/// Writes the figures; their number does not depend on what clients do.
fn text(hub: &Hub) -> String {
    let stats = hub.stats();
    let counters = &hub.counters;
    let mut registry = Registry::with_prefix("mist");
    let gauge = |value: usize| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(
        "connections",
        "Connections open now",
        gauge(hub.open_connections.load(Ordering::Relaxed)),
    );
    registry.register("sessions", "Sessions open now", gauge(stats.sessions));
    registry.register(
        "subscribers",
        "Sessions that hold a subscription",
        gauge(stats.subscribers),
    );
    registry.register(
        "subscriptions",
        "Subscriptions held now",
        gauge(stats.subscriptions),
    );
    registry.register(
        "outbox_bytes",
        "Bytes that wait in all outboxes",
        gauge(hub.backlog.bytes()),
    );
    let counts = [
        (
            "sessions_opened",
            "Sessions since the start",
            stats.sessions_total,
        ),
        (
            "messages_published",
            "Messages published",
            counters.published.load(Ordering::Relaxed),
        ),
        (
            "messages_delivered",
            "Messages that outboxes took",
            counters.delivered.load(Ordering::Relaxed),
        ),
        (
            "messages_dropped",
            "Messages dropped for slow consumers",
            counters.dropped.load(Ordering::Relaxed),
        ),
        (
            "messages_unreadable",
            "Messages that could not be read",
            counters.unreadable.load(Ordering::Relaxed),
        ),
        (
            "connections_refused",
            "Connections refused because there were too many",
            counters.refused_connections.load(Ordering::Relaxed),
        ),
        (
            "tokens_refused",
            "Tokens presented that were not valid",
            counters.refused_tokens.load(Ordering::Relaxed),
        ),
        (
            "handshakes_failed",
            "TLS handshakes that failed",
            counters.failed_handshakes.load(Ordering::Relaxed),
        ),
    ];
    for (name, help, value) in counts {
        registry.register(name, help, ConstCounter::new(value));
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}
