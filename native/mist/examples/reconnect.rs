//! Stays subscribed while connections come and go, until a message says `stop`; expects a server at the address given, or
//! at 127.0.0.1:1445. Stop and start the server meanwhile.

use std::error::Error;
use std::time::Duration;

use mist::Client;
use mist::client::{Backoff, Event};

/// What this shows; a test runs it, too.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder(uri)
        .reconnect(Backoff::new(
            Duration::from_millis(50),
            Duration::from_secs(5),
        ))
        .connect()
        .await?;
    let mut events = client.events();
    let mut messages = client.subscribe(["bus"]).await?;
    loop {
        tokio::select! {
            Some(message) = messages.next() => match &*message.data {
                "stop" => return Ok(()),
                data => println!("{data}"),
            },
            Some(event) = events.next() => match event {
                Event::Waiting { reason, retry_in, .. } => {
                    println!("no connection ({reason}), next attempt in {retry_in:?}");
                }
                Event::Open { resumed: true, .. } => {
                    println!("subscribed again; what was published meanwhile is missed");
                }
                _ => {}
            },
            else => return Err("the client has been closed".into()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("tcp://127.0.0.1:1445")).await
}
