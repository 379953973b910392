//! Connects to a server over TLS, and trusts the certificates in a PEM file besides those that the system trusts:
//! `cargo run --example tls -- tls://localhost ca.pem`.

use std::error::Error;

use mist::Client;

/// What this shows; a test runs it, too.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(uri: &str, ca: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder(uri).ca(ca).connect().await?;
    println!(
        "the server is trusted, and answers in {:?}",
        client.ping().await?
    );
    client.close().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(uri), Some(ca)) = (args.next(), args.next()) else {
        return Err("name a server and a file: tls://localhost ca.pem".into());
    };
    run(&uri, &ca).await
}
