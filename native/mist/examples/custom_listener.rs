//! A listener of one's own: here a Unix socket under the scheme `socket://`, which the server treats like any other.
//!
//! Run it with `cargo run --example custom_listener`, then `nc -U mist.sock`.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mist::{Acceptor, Address, ListenError, Listener, Server};
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

async fn bind(uri: String) -> Result<Box<dyn Listener>, ListenError> {
    let path = uri.trim_start_matches("socket://").to_owned();
    let listener = UnixListener::bind(&path).map_err(|error| ListenError::io(&uri, error))?;
    Ok(Box::new(Socket { listener, path }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .listener_scheme("socket", Arc::new(|uri| Box::pin(bind(uri))))
        .listen("socket://mist.sock")
        .bind()
        .await?;
    eprintln!("listening on {}", server.addresses()[0]);
    server
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
