//! The Rust client against an in-process server, over real sockets; where a connection has to fail, through a proxy
//! that the test cuts.

mod closing;
mod examples;
mod messages;
mod renewing;
mod requests;
mod resuming;
mod servers;
mod subscriptions;

use std::future::Future;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use mist::client::{Backoff, Client, ClientBuilder, Event, Events, Message, Subscription};
use mist::{Server, ServerBuilder};
use mist_tests::process::LISTENERS;
use mist_tests::site::Site;
use mist_tests::{PATIENCE, within};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server on a runtime of its own, so that a test can count the tasks that its clients leave behind.
struct TestServer {
    tcp: String,
    ws: String,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

impl TestServer {
    fn start() -> Self {
        Self::with(|builder| builder)
    }

    fn secured() -> Self {
        Self::with(|builder| builder.authenticator("memory://").token("admin"))
    }

    fn with(build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let builder = build(Server::builder().listen(LISTENERS));
        // Binding needs the runtime, and a runtime inside a test's own cannot be entered by blocking.
        let (addresses, bound) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let site = Site::start(builder).await;
            addresses
                .send(site.uris.clone())
                .expect("the test is waiting");
            let _ = stopped.await;
            site.stop().await;
        });
        let uris = bound.recv().expect("bound");
        Self {
            tcp: uris[0].clone(),
            ws: uris[1].clone(),
            stop: Some(stop),
            runtime: Some(runtime),
        }
    }
}

impl TestServer {
    /// Runs something on the server's runtime.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.as_ref().expect("it runs").spawn(work)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a test with a limit, on a runtime that holds nothing but what the test starts.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        within(test).await;
    });
}

async fn connect(uri: &str) -> Client {
    Client::connect(uri).await.expect(uri)
}

/// A client that comes back at once.
fn eager(uri: &str) -> ClientBuilder {
    Client::builder(uri).reconnect(Backoff::new(
        Duration::from_millis(1),
        Duration::from_millis(10),
    ))
}

async fn subscribe(client: &Client, tags: &[&str]) -> Subscription {
    client.subscribe(tags).await.expect("subscribed")
}

async fn texts(messages: &mut (impl Stream<Item = Message> + Unpin), count: usize) -> Vec<String> {
    let mut texts = Vec::with_capacity(count);
    while texts.len() < count {
        texts.push(messages.next().await.expect("a message").data);
    }
    texts
}

async fn event(events: &mut Events, is_it: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.expect("the client is open");
        if is_it(&event) {
            return event;
        }
    }
}

async fn opened_again(events: &mut Events) {
    event(events, |event| {
        matches!(event, Event::Open { resumed: true, .. })
    })
    .await;
}

/// Waits until nothing but the test itself is left on its runtime.
async fn no_task_is_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    while metrics.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}
