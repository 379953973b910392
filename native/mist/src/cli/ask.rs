//! Owns the commands that ask a server one question: `ping`, `listall`, `who`, `nodes`.

use std::time::Duration;

use mist::client::NodeInfo;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::args::PingArgs;
use super::connect::{Target, failed};
use super::exit::{Code, Stop};
use super::host::Answer;
use super::out;

/// `mist ping`
pub(super) async fn ping(target: &Target, args: &PingArgs) -> Result<(), Stop> {
    let mut times = Vec::new();
    // Here, since there is something to say at the end.
    let result = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(Stop::quiet(Code::Interrupted)),
        result = pings(target, args, &mut times) => result,
    };
    if let (Some(min), Some(max)) = (times.iter().min(), times.iter().max()) {
        let average =
            times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap_or(u32::MAX);
        let all = [min, &average, max];
        match args.ask.answer.output {
            Answer::Json => {
                let micros = |time: &Duration| time.as_secs_f64() * 1e6;
                let [min, average, max] = all.map(micros);
                out::line(
                    &json!({
                        "pongs": times.len(),
                        "min_us": min,
                        "avg_us": average,
                        "max_us": max,
                        "times_us": times.iter().map(micros).collect::<Vec<_>>(),
                    })
                    .to_string(),
                )?;
            }
            Answer::Plain if args.is_series() => {
                let [min, average, max] = all.map(millis);
                let count = times.len();
                out::line(&format!(
                    "{count} pongs, min/avg/max {min}/{average}/{max} ms"
                ))?;
            }
            Answer::Plain => out::line("pong")?,
        }
    }
    result
}

/// Adds how long each ping took, and prints it where there are to be several.
async fn pings(target: &Target, args: &PingArgs, times: &mut Vec<Duration>) -> Result<(), Stop> {
    let client = target.connect().await?;
    let count = match args.is_series() {
        true => args.count.unwrap_or(u64::MAX),
        false => 1,
    };
    let mut pace = interval(args.interval.unwrap_or(Duration::from_secs(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=count {
        pace.tick().await;
        let time = client.ping().await.map_err(failed)?;
        times.push(time);
        if args.is_series() && args.ask.answer.output == Answer::Plain {
            out::word(&format!(
                "pong {number} from {}: {} ms",
                target.host,
                millis(&time)
            ))?;
        }
    }
    Ok(())
}

fn millis(time: &Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

/// `mist listall`
pub(super) async fn list_all(target: &Target, answer: Answer) -> Result<(), Stop> {
    let client = target.connect().await?;
    let tags = client.list_all().await.map_err(failed)?;
    out::line(&match answer {
        Answer::Json => json!({ "tags": tags }).to_string(),
        Answer::Plain if tags.is_empty() => {
            format!("No subscribers connected to mist at '{}'", target.host)
        }
        Answer::Plain => format!(
            "Subscribers are subscribing on the following tags: {}",
            tags.join(" ")
        ),
    })
}

/// `mist who`
pub(super) async fn who(target: &Target, answer: Answer) -> Result<(), Stop> {
    let client = target.connect().await?;
    let who = client.who().await.map_err(failed)?;
    if answer == Answer::Json {
        let mut answer = json!({ "connections": who.connections, "subscribers": who.subscribers });
        if let Some(nodes) = who.nodes {
            answer["nodes"] = nodes.into();
        }
        return out::line(&answer.to_string());
    }
    // Two blanks, as ever: scripts cut this line at columns.
    out::line(&format!("Lifetime  connections: {}", who.connections))?;
    out::line(&format!("Subscribers connected: {}", who.subscribers))
}

/// `mist nodes`
pub(super) async fn nodes(target: &Target, answer: Answer) -> Result<(), Stop> {
    let client = target.connect().await?;
    let reply = client.request("nodes", &[], "").await.map_err(failed)?;
    if answer == Answer::Json {
        let members = reply.cluster.iter().flat_map(|cluster| &cluster.members);
        let nodes: Vec<_> = members.map(object).collect();
        return out::line(&json!({ "nodes": nodes }).to_string());
    }
    let rows = reply.data.lines().map(|line| line.split('\t').collect());
    let rows: Vec<Vec<&str>> = rows.collect();
    table(&rows).iter().try_for_each(|line| out::line(line))
}

/// A node by the names of the protocol; times are numbers whose unit is in the name.
fn object(node: &NodeInfo) -> serde_json::Value {
    let mut object = json!({
        "name": node.name,
        "version": node.version,
        "uptime_seconds": node.uptime_seconds,
        "connections": node.connections,
        "subscriptions": node.subscriptions,
        "published": node.published,
        "sent": node.sent,
        "received": node.received,
        "waiting_bytes": node.waiting_bytes,
    });
    if let Some(time) = node.round_trip {
        object["round_trip_us"] = (time.as_micros() as u64).into();
    }
    if let Some(seconds) = node.silent_seconds {
        object["silent_seconds"] = seconds.into();
    }
    object
}

/// The rows as lines, with columns under each other.
fn table(rows: &[Vec<&str>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let line = |row: &Vec<&str>| {
        let cells = row.iter().enumerate();
        let cells = cells.map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
