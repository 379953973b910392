//! Subscribes, publishes, and prints what arrives; expects a server at the address given, or at 127.0.0.1:1445.

use std::error::Error;

use mist::Client;

/// What this shows; a test runs it, too.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    // A client never hears itself, so it takes two.
    let reader = Client::connect(uri).await?;
    let mut messages = reader.subscribe(["bus", "late"]).await?;

    let writer = Client::connect(uri).await?;
    writer.publish(["bus", "line:7"], "on time").await?;
    let receipt = writer
        .publish_acked(["bus", "late", "line:7"], "12 min late")
        .await?;
    println!("delivered to {}", receipt.delivered);

    if let Some(message) = messages.next().await {
        println!("{} {}", message.tags.join(","), message.data);
    }
    writer.close().await?;
    reader.close().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("tcp://127.0.0.1:1445")).await
}
