//! Publishes the lines of stdin, and keeps them while there is no connection; expects a server at the address given, or at
//! 127.0.0.1:1445.

use std::error::Error;
use std::time::Duration;

use mist::Client;
use mist::client::{ClientError, Offline};
use tokio::sync::mpsc::{Receiver, channel};

/// What this shows; a test runs it, too.
pub(crate) async fn run(uri: &str, mut lines: Receiver<String>) -> Result<(), Box<dyn Error>> {
    let client = Client::builder(uri)
        .offline(Offline::buffer(1000, 1 << 20, Duration::from_secs(3600)))
        .connect()
        .await?;
    while let Some(line) = lines.recv().await {
        client.publish(["reading"], &line).await?;
    }
    // Waits for a connection, if there is none now.
    match client.flush().await {
        // A cut may have taken what was on its way, which is said once.
        Err(error @ ClientError::ConnectionLost { .. }) => {
            eprintln!("{error}");
            client.flush().await?;
        }
        flushed => flushed?,
    }
    client.close().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (sender, lines) = channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("tcp://127.0.0.1:1445"), lines).await
}
