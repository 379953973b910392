//! Subscribes, publishes, and prints what arrives; expects a server at the address given, or at 127.0.0.1:1445.

use mist::Client;

#[tokio::main]
#[allow(clippy::print_stdout)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = std::env::args().nth(1);
    let uri = uri.as_deref().unwrap_or("tcp://127.0.0.1:1445");

    // A client never hears itself, so it takes two.
    let reader = Client::connect(uri).await?;
    reader.subscribe(["bus", "late"]).await?;

    let writer = Client::connect(uri).await?;
    writer.publish(["bus", "line:7"], "on time").await?;
    let delivered = writer
        .publish_acked(["bus", "late", "line:7"], "12 min late")
        .await?;
    eprintln!("delivered to {delivered}");

    let mut messages = reader.messages();
    if let Some(message) = messages.next().await {
        println!("{} {}", message.tags.join(","), message.data);
    }

    writer.close().await?;
    reader.close().await?;
    Ok(())
}
