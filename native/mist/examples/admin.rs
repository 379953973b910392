//! Manages tokens; expects a server that was started with `--authenticator memory:// --access scoped` and a token, and
//! takes its address and that token: `cargo run --example admin -- tcp://127.0.0.1:1445 SECRET`.

use std::error::Error;

use mist::Client;
use mist::client::{ClientError, ErrorCode};

/// What this shows; a test runs it, too.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(uri: &str, token: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder(uri).token(token).connect().await?;
    let admin = client.admin();
    admin.register("desk", ["north"]).await?;
    admin.set("desk", ["south"]).await?;
    println!("desk is for {}", admin.tags("desk").await?.join(", "));

    // Programs look at the code; the words are for people.
    let again = admin.register("desk", ["west"]).await;
    match again {
        Err(ClientError::Refused { reason, .. }) if reason.code == ErrorCode::TokenExists => {
            println!("there is one already");
        }
        other => other?,
    }

    let desk = Client::builder(uri).token("desk").connect().await?;
    let mut messages = desk.subscribe(["north"]).await?;
    // What is taken away ends at once.
    admin.unregister("desk").await?;
    assert_eq!(messages.next().await, None);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(uri), Some(token)) = (args.next(), args.next()) else {
        return Err("name a server and its token: tcp://127.0.0.1:1445 SECRET".into());
    };
    run(&uri, &token).await
}
