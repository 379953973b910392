//! A broker inside another program: serve clients, publish from the program itself, add a command of its own.
//!
//! Run it with `cargo run --example embed`, then `nc 127.0.0.1 1445` and type
//! `{"command":"subscribe","tags":["tick"]}` or `{"command":"upper","data":"hello"}`.

use std::time::Duration;

use mist::Server;
use mist::command::{CustomReply, CustomRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .listen("tcp://127.0.0.1:1445, ws://127.0.0.1:8888")
        .command("upper", |request: CustomRequest| async move {
            Ok(Some(CustomReply {
                data: request.data.to_uppercase(),
                ..CustomReply::default()
            }))
        })
        .bind()
        .await?;
    for address in server.addresses() {
        eprintln!("listening on {address}");
    }

    let handle = server.handle();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        for count in 0_u64.. {
            interval.tick().await;
            handle.publish(&["tick"], &count.to_string());
        }
    });

    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    server.run(shutdown).await;
    Ok(())
}
