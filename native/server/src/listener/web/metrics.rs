//! What operators and probes ask for: whether the server is alive and ready, and its metrics.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::{Reply, Response};

use super::query::Query;
use super::reply::refuse;
use super::request::{Caller, get_or_head, listed, raw_query};
use super::token::token;
use super::visit::{Visit, unauthorized};
use crate::listener::acceptor::Acceptor;

/// `GET /healthz` and `/readyz`.
pub(super) fn health(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    let health = warp::path!("healthz").map(|| "ok\n".into_response());
    let ready = warp::path!("readyz").map(move || {
        let not_ready =
            |why| warp::reply::with_status(why, StatusCode::SERVICE_UNAVAILABLE).into_response();
        match acceptor.hub.authenticators().unready() {
            _ if acceptor.stages.leaving.is_cancelled() => not_ready("stopping\n".to_owned()),
            Some(name) => not_ready(format!("waiting for the authenticator {name}\n")),
            None => match unready_cluster(&acceptor) {
                Some(why) => not_ready(why + "\n"),
                None => "ready\n".into_response(),
            },
        }
    });
    get_or_head().and(health.or(ready).unify()).boxed()
}

#[cfg(feature = "cluster")]
fn unready_cluster(acceptor: &Acceptor) -> Option<String> {
    acceptor.membership.as_ref()?.unready()
}

#[cfg(not(feature = "cluster"))]
fn unready_cluster(_: &Acceptor) -> Option<String> {
    None
}

/// `GET /metrics`.
pub(super) fn route(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    warp::path!("metrics")
        .and(get_or_head())
        .and(warp::header::headers_cloned())
        .and(raw_query())
        .and(warp::ext::get::<Caller>())
        .then(move |headers: HeaderMap, query: String, caller: Caller| {
            let acceptor = acceptor.clone();
            async move {
                if let Err(refusal) = admit(&acceptor, &caller, &headers, &query).await {
                    return refusal;
                }
                let form = Form::wanted(&headers);
                let text = form.write(&figures(&acceptor));
                let reply =
                    warp::reply::with_header(text, header::CONTENT_TYPE, form.content_type());
                warp::reply::with_header(reply, header::VARY, "accept").into_response()
            }
        })
        .boxed()
}

/// Checks that the caller may see the metrics: everybody may on a listener for operators and with open access;
/// otherwise the request must come from this machine or present the server's own token. The token is checked as
/// everywhere, so that it cannot be guessed here.
async fn admit(
    acceptor: &Acceptor,
    caller: &Caller,
    headers: &HeaderMap,
    query: &str,
) -> Result<(), Response> {
    if acceptor.seats.is_some() || !acceptor.hub.is_scoped || caller.is_local {
        return Ok(());
    }
    let query = Query::parse(query).and_then(|query| token(headers, &query));
    let token = query.map_err(|error| refuse(StatusCode::BAD_REQUEST, error))?;
    let Some(token) = token else {
        let text = "not authorized - the figures are for who shows the server's token or asks from this machine";
        return Err(unauthorized(refuse(StatusCode::UNAUTHORIZED, text)));
    };
    let visit = Visit::begin(acceptor, caller, Some(&token)).await?;
    match visit.is_of_server() {
        true => Ok(()),
        false => {
            let text = "not authorized - the figures are for who shows the server's own token";
            Err(refuse(StatusCode::FORBIDDEN, text))
        }
    }
}

/// The formats of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Browsers show it, and every scraper can read it.
    Prometheus,
    OpenMetrics,
}

impl Form {
    /// The format that a client prefers; that of Prometheus if it names none, or accepts neither.
    fn wanted(headers: &HeaderMap) -> Self {
        let best = |form: Self| {
            let ranges = listed(headers, header::ACCEPT);
            ranges
                .filter_map(|range| form.quality(range))
                .fold(0.0, f32::max)
        };
        let (open_metrics, prometheus) = (best(Self::OpenMetrics), best(Self::Prometheus));
        match open_metrics > 0.0 && open_metrics >= prometheus {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The quality that one media range gives this format; `None` if the range is for another.
    fn quality(self, range: &str) -> Option<f32> {
        let (kinds, version) = match self {
            Self::Prometheus => (["text/plain", "text/*", "*/*"].as_slice(), "0.0.4"),
            Self::OpenMetrics => (
                ["application/openmetrics-text", "application/*"].as_slice(),
                "1.0.0",
            ),
        };
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next()?;
        if !kinds.iter().any(|it| it.eq_ignore_ascii_case(kind)) {
            return None;
        }
        let mut quality = 1.0;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.to_ascii_lowercase().as_str() {
                "version" if value.trim_matches('"') != version => return None,
                "q" => quality = value.parse().ok()?,
                _ => {}
            }
        }
        Some(quality)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes a metric with its description. Counters end in `_total`, which OpenMetrics does not count to their name.
    fn write(self, figures: &[Figure]) -> String {
        let mut text = String::new();
        for Figure {
            kind,
            name,
            help,
            value,
        } in figures
        {
            let (kind, sample) = match kind {
                Kind::Gauge => ("gauge", format!("mist_{name}")),
                Kind::Counter => ("counter", format!("mist_{name}_total")),
            };
            let family = match self {
                Self::Prometheus => sample.clone(),
                Self::OpenMetrics => format!("mist_{name}"),
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {family} {help}.\n# TYPE {family} {kind}");
            let _ = match value {
                Value::One(value) => writeln!(text, "{sample} {value}"),
                Value::ByLimit(values) => values.iter().try_for_each(|(limit, value)| {
                    writeln!(text, "{sample}{{limit=\"{limit}\"}} {value}")
                }),
            };
        }
        if self == Self::OpenMetrics {
            text += "# EOF\n";
        }
        text
    }
}

struct Figure {
    kind: Kind,
    name: &'static str,
    help: &'static str,
    value: Value,
}

enum Value {
    One(u64),
    /// One for each of these limits.
    ByLimit(Vec<(&'static str, u64)>),
}

enum Kind {
    Gauge,
    Counter,
}

/// All metrics; their number does not depend on what clients do.
fn figures(acceptor: &Acceptor) -> Vec<Figure> {
    let hub = &acceptor.hub;
    let stats = hub.stats();
    let counters = &hub.counters;
    let gauge = |name, help, value: usize| Figure {
        kind: Kind::Gauge,
        name,
        help,
        value: Value::One(value as u64),
    };
    let counter = |name, help, value: &AtomicU64| Figure {
        kind: Kind::Counter,
        name,
        help,
        value: Value::One(value.load(Ordering::Relaxed)),
    };
    let mut figures = vec![
        gauge(
            "connections",
            "Connections open now",
            hub.open_connections.load(Ordering::Relaxed),
        ),
        gauge("sessions", "Sessions open now", stats.sessions),
        gauge(
            "subscribers",
            "Sessions that hold a subscription",
            stats.subscribers,
        ),
        gauge(
            "subscriptions",
            "Subscriptions held now",
            stats.subscriptions,
        ),
        gauge(
            "outbox_bytes",
            "Bytes that wait in all outboxes",
            hub.backlog.bytes(),
        ),
        gauge(
            "input_bytes",
            "Bytes of messages that have not arrived whole",
            hub.unfinished.bytes(),
        ),
        gauge(
            "subscription_bytes",
            "Bytes that all subscriptions take, roughly",
            stats.subscription_bytes,
        ),
        Figure {
            kind: Kind::Counter,
            name: "sessions_opened",
            help: "Sessions since the start",
            value: Value::One(stats.sessions_total),
        },
        counter(
            "messages_published",
            "Messages published",
            &counters.published,
        ),
        counter(
            "messages_delivered",
            "Messages that outboxes took",
            &counters.delivered,
        ),
        counter(
            "messages_dropped",
            "Messages dropped for slow consumers",
            &counters.dropped,
        ),
        counter(
            "messages_unreadable",
            "Messages that could not be read",
            &counters.unreadable,
        ),
        counter(
            "connections_refused",
            "Connections refused because there were too many",
            &counters.refused_connections,
        ),
        counter(
            "tokens_refused",
            "Tokens presented that were not valid",
            &counters.refused_tokens,
        ),
        counter(
            "tokens_turned_away",
            "Tokens that were not looked at, since too many wrong ones came from their address",
            &counters.turned_away_tokens,
        ),
        counter(
            "handshakes_failed",
            "TLS handshakes that failed",
            &counters.failed_handshakes,
        ),
    ];
    if let Some(expiry) = acceptor.tls.as_ref().and_then(|tls| tls.expiry()) {
        let since = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
        figures.push(Figure {
            kind: Kind::Gauge,
            name: "certificate_expiry_seconds",
            help: "When the certificate expires, in seconds since 1970-01-01 UTC",
            value: Value::One(since.as_secs()),
        });
    }
    let exceeded: Vec<_> = hub.rates.figures().collect();
    if !exceeded.is_empty() {
        figures.push(Figure {
            kind: Kind::Counter,
            name: "rates_exceeded",
            help: "Messages, requests and connections that had to wait or were refused, by the rate that was exceeded",
            value: Value::ByLimit(exceeded),
        });
    }
    #[cfg(feature = "cluster")]
    if let Some(membership) = &acceptor.membership {
        let of_node = membership.figures();
        let counted = |name, help, value| Figure {
            kind: Kind::Counter,
            name,
            help,
            value: Value::One(value),
        };
        figures.extend([
            gauge(
                "cluster_joined",
                "Whether the cluster's NATS is there",
                membership.is_joined().into(),
            ),
            gauge(
                "cluster_nodes",
                "Other nodes of the cluster that are there",
                of_node.peers,
            ),
            counted(
                "cluster_messages_sent",
                "Messages handed to the cluster's NATS: once for all nodes, or once for each that needs it",
                of_node.sent + of_node.sent_to_some,
            ),
            counted(
                "cluster_messages_received",
                "Messages that came from other nodes",
                of_node.received,
            ),
            counted(
                "cluster_messages_lost",
                "Messages that did not reach the cluster's NATS, since it was away or too slow",
                of_node.lost,
            ),
            counted(
                "cluster_messages_missed",
                "Messages of other nodes that did not arrive",
                membership.missed(),
            ),
            counted(
                "cluster_refused",
                "What came on the cluster's NATS and could not be read, or is over this server's limits",
                membership.refused(),
            ),
            counted(
                "cluster_foreign_refused",
                "Messages of programs on the cluster's NATS (foreign=on) that were refused",
                membership.foreign_refused(),
            ),
        ]);
    }
    let of_host = counters.of_host.iter();
    figures.extend(of_host.map(|it| counter(it.name, it.help, &it.value)));
    let of_authenticators = hub.authenticators().context().figures();
    figures.extend(of_authenticators.iter().map(|it| Figure {
        kind: match it.is_counter {
            true => Kind::Counter,
            false => Kind::Gauge,
        },
        ..counter(it.name, it.help, &it.value)
    }));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_form_that_it_would_rather_have() {
        for (accept, wanted) in [
            // As Prometheus 3 and 2.30 ask.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Form::OpenMetrics,
            ),
            (
                "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5, */*; q=0.1",
                Form::OpenMetrics,
            ),
            ("application/openmetrics-text", Form::OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.5",
                Form::OpenMetrics,
            ),
            (
                "text/plain, application/openmetrics-text",
                Form::OpenMetrics,
            ),
            (
                "text/plain;q=0.5, application/openmetrics-text;q=0.4",
                Form::Prometheus,
            ),
            ("*/*, application/openmetrics-text;q=0.4", Form::Prometheus),
            ("application/openmetrics-text;q=0", Form::Prometheus),
            (
                "application/openmetrics-text;version=2.0.0",
                Form::Prometheus,
            ),
            ("text/plain;version=0.0.4", Form::Prometheus),
            ("text/plain", Form::Prometheus),
            ("*/*", Form::Prometheus),
            (
                "text/html,application/xhtml+xml,*/*;q=0.8",
                Form::Prometheus,
            ),
            ("application/json", Form::Prometheus),
            ("nonsense;q=x,;,", Form::Prometheus),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(header::ACCEPT, accept.parse().expect("a header"));
            assert_eq!(Form::wanted(&headers), wanted, "{accept}");
        }
        assert_eq!(Form::wanted(&HeaderMap::new()), Form::Prometheus);
    }
}
