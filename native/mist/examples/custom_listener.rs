//! A custom listener, which the server treats like any other: here a Unix socket.
//!
//! Run it with `cargo run --example custom_listener`, then `nc -U mist.sock`.

use futures_util::future::BoxFuture;
use mist::{Acceptor, Address, Listener, Server, ServerBuilder};
use tokio::net::UnixListener;

struct Socket {
    listener: UnixListener,
    path: String,
}

impl Listener for Socket {
    fn address(&self) -> Address {
        Address::new("socket", &self.path)
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    () = acceptor.stopped() => break,
                    accepted = self.listener.accept() => {
                        if let Ok((stream, _)) = accepted {
                            acceptor.accept(stream);
                        }
                    }
                }
            }
            let _ = std::fs::remove_file(&self.path);
        })
    }
}

/// What this shows; a test runs it, too.
pub(crate) fn on_socket(server: ServerBuilder, path: &str) -> std::io::Result<ServerBuilder> {
    let listener = UnixListener::bind(path)?;
    let path = path.to_owned();
    Ok(server.listener(Socket { listener, path }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = on_socket(Server::builder(), "mist.sock")?.bind().await?;
    eprintln!("listening on {}", server.addresses()[0]);
    server
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
