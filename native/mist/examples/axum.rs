//! A broker inside an axum application. The application publishes from a route of its own and shows the broker's figures;
//! clients subscribe at the broker's listeners, in the same process.
//!
//! Run it with `cargo run --example axum`, then `nc 127.0.0.1 1445` and type
//! `{"command":"subscribe","tags":["order","paid"]}`; `curl -d 'No. 7' 127.0.0.1:3000/orders/paid` sends it a message, and
//! `curl 127.0.0.1:3000/figures` shows who is connected.

use std::error::Error;
use std::future::Future;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use mist::{Handle, Server};
use tokio::net::TcpListener;

async fn order(State(mist): State<Handle>, Path(state): Path<String>, body: String) -> String {
    let count = mist.publish(&["order", &state], &body);
    format!("{count} clients got it\n")
}

async fn figures(State(mist): State<Handle>) -> String {
    let stats = mist.stats();
    format!(
        "{} clients with {} subscriptions\n",
        stats.sessions, stats.subscriptions
    )
}

/// What this shows; a test runs it, too.
pub(crate) async fn run(
    listener: TcpListener,
    server: Server,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/orders/{state}", post(order))
        .route("/figures", get(figures))
        .with_state(server.handle());
    let (stopped, is_stopped) = tokio::sync::oneshot::channel::<()>();
    // Both end together: the broker when the application has.
    let broker = tokio::spawn(server.run(async {
        let _ = is_stopped.await;
    }));
    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await?;
    let _ = stopped.send(());
    broker.await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .listen("tcp://127.0.0.1:1445")
        .bind()
        .await?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    run(listener, server, stop).await
}
