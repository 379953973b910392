//! Owns how a server shuts down: what it reports first, in which order it closes connections, and how long it waits.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::in_force::Drain;
use crate::outbox::Ending;

/// The stages of a shutdown; each token is cancelled when its stage is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stages {
    /// The server is to end and reports not to be ready.
    pub(crate) leaving: CancellationToken,
    /// It accepts nothing more.
    pub(crate) stopped: CancellationToken,
    /// The time for an orderly shutdown is over.
    pub(crate) cut: CancellationToken,
    /// The shutdown is to be cut short.
    pub(crate) hurried: CancellationToken,
}

/// The last part of the time for flushing, in which the remaining connections are cut.
const CUT: Duration = Duration::from_millis(500);
/// How often some connections are closed.
const WAVE: Duration = Duration::from_millis(100);

/// Ends all that runs for a server.
pub(crate) async fn end(hub: &Hub, stages: &Stages) {
    stages.leaving.cancel();
    let is_over = tokio::select! {
        is_over = end_in_order(hub, stages) => is_over,
        () = stages.hurried.cancelled() => false,
    };
    if is_over {
        return;
    }
    stages.stopped.cancel();
    hub.tasks.close();
    hub.end_all(Ending::Dead);
    // A custom command or a token store may still be busy; it is not waited for.
    stages.cut.cancel();
    let _ = timeout(CUT / 2, hub.tasks.wait()).await;
}

/// Returns whether nothing is left.
async fn end_in_order(hub: &Hub, stages: &Stages) -> bool {
    let Drain { delay, time } = hub.in_force().drain;
    if !delay.is_zero() {
        sleep(delay).await;
    }
    stages.stopped.cancel();
    hub.tasks.close();
    if !time.is_zero() {
        tokio::select! {
            () = close_by_and_by(hub, time) => {}
            () = hub.tasks.wait() => return true,
        }
    }
    hub.end_all(Ending::Shutdown);
    // Cutting the remaining connections takes time too.
    let seconds = hub.in_force().limits.drain_seconds;
    let flush = Duration::from_secs(seconds.into()).saturating_sub(CUT);
    // What remains after a second is flushed and waits for its peer, or is stuck.
    let patience = flush.min(Duration::from_secs(1));
    if timeout(patience, hub.tasks.wait()).await.is_ok() {
        return true;
    }
    hub.end_idle();
    let rest = flush.saturating_sub(patience);
    timeout(rest, hub.tasks.wait()).await.is_ok()
}

/// Closes the open connections evenly over the time, so that the server they reconnect to does not get all of them at
/// once.
async fn close_by_and_by(hub: &Hub, time: Duration) {
    let clients = hub.clients();
    let (start, mut waves) = (Instant::now(), interval(WAVE));
    let mut closed = 0;
    while closed < clients.len() {
        waves.tick().await;
        let share = start.elapsed().div_duration_f64(time).min(1.0);
        let until = (clients.len() as f64 * share).ceil() as usize;
        for outbox in &clients[closed..until.max(closed)] {
            outbox.end_now(Ending::Drained);
        }
        closed = until.max(closed);
    }
}
