//! Owns the commands that ask a server one question: `ping`, `listall`, `who`.

use super::connect::{Target, failed};
use super::exit::Stop;
use super::out;

/// `mist ping`
pub(super) async fn ping(target: &Target) -> Result<(), Stop> {
    let client = target.connect().await?;
    client.ping().await.map_err(failed)?;
    out::line("pong")
}

/// `mist listall`
pub(super) async fn list_all(target: &Target) -> Result<(), Stop> {
    let client = target.connect().await?;
    let tags = client.list_all().await.map_err(failed)?;
    if tags.is_empty() {
        return out::line(&format!(
            "No subscribers connected to mist at '{}'",
            target.host
        ));
    }
    out::line(&format!(
        "Subscribers are subscribing on the following tags: {}",
        tags.join(" ")
    ))
}

/// `mist who`
pub(super) async fn who(target: &Target) -> Result<(), Stop> {
    let client = target.connect().await?;
    let who = client.who().await.map_err(failed)?;
    // Two blanks, as ever: scripts cut this line at columns.
    out::line(&format!("Lifetime  connections: {}", who.connections))?;
    out::line(&format!("Subscribers connected: {}", who.subscribers))
}
