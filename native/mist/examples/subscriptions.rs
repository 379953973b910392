//! Reads several subscriptions of one connection, each as a stream of its own; expects a server at the address given, or
//! at 127.0.0.1:1445.

use std::error::Error;

use mist::Client;

/// What this shows; a test runs it, too.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let reader = Client::connect(uri).await?;
    let mut buses = reader.subscribe(["bus"]).await?;
    let mut late = reader.subscribe(["late"]).await?;

    // Each has a task of its own.
    let alarm = tokio::spawn(async move {
        let message = late.next().await;
        println!("late: {}", message.map(|it| it.data).unwrap_or_default());
        late.unsubscribe().await
    });

    let writer = Client::connect(uri).await?;
    writer.publish(["bus", "line:7"], "on time").await?;
    // This one has both tags, so both streams get it.
    writer.publish(["bus", "late"], "12 min").await?;

    for _ in 0..2 {
        let message = buses.next().await.ok_or("closed")?;
        println!("bus: {}", message.data);
    }
    alarm.await??;
    // A subscription lasts until its stream is dropped.
    drop(buses);
    assert!(reader.list().await?.is_empty());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("tcp://127.0.0.1:1445")).await
}
