//! A broker inside another program: serve clients, publish from the program itself, add a command of its own.
//!
//! Run it with `cargo run --example embed`, then `nc 127.0.0.1 1445` and type
//! `{"command":"subscribe","tags":["tick"]}` or `{"command":"upper","data":"hello"}`.

use std::time::Duration;

use mist::command::{CustomReply, CustomRequest};
use mist::{Handle, Server, ServerBuilder};

/// Adds a command; a test runs it, too.
pub(crate) fn with_upper(server: ServerBuilder) -> ServerBuilder {
    server.command("upper", |request: CustomRequest| async move {
        Ok(Some(CustomReply {
            data: request.data.to_uppercase(),
            ..CustomReply::default()
        }))
    })
}

/// Publishes a number each second.
pub(crate) async fn tick(server: Handle) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    for count in 0_u64.. {
        interval.tick().await;
        server.publish(&["tick"], &count.to_string());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().listen("tcp://127.0.0.1:1445, ws://127.0.0.1:8888");
    let server = with_upper(server).bind().await?;
    for address in server.addresses() {
        eprintln!("listening on {address}");
    }
    tokio::spawn(tick(server.handle()));

    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    server.run(shutdown).await;
    Ok(())
}
