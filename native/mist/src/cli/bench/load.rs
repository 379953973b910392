//! Owns one run: its connections, warming up, publishing, and waiting until everything has arrived or is known to be
//! lost; knows nothing of how the outcome is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::inbox::{Gate, Inbox};
use super::link::Opener;
use super::plan::Plan;
use super::progress::Progress;
use super::publisher::{Order, Outgoing, Publisher};
use super::schedule::{Delays, Schedule};
use super::stall::{GRACE, PATIENCE, Pulse, Stall};
use crate::cli::exit::{Code, Stop};

/// How many connections are opened at the same time.
const OPENING: usize = 64;
/// How often progress is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// How often Ctrl-C was pressed.
pub(super) type Interrupts = watch::Receiver<u32>;

/// The connections of a run.
pub(super) struct Load {
    publishers: Vec<Publisher>,
    pub(super) outgoing: Vec<Arc<Outgoing>>,
    pub(super) inboxes: Arc<[Arc<Inbox>]>,
    halt: CancellationToken,
    faults: mpsc::UnboundedReceiver<Stop>,
    interrupts: Interrupts,
    /// The tasks that read; they end with this.
    _tasks: JoinSet<()>,
}

/// What counts before a leg, to be taken off afterwards.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) start: Instant,
    pub(super) sent: Vec<u64>,
    pub(super) received: Vec<(u64, u64)>,
}

/// How a leg ended.
pub(super) struct Ended {
    /// Why it ended early, if it did.
    pub(super) stop: Option<Stop>,
    /// Whether everything that was sent has arrived or is known to be lost.
    pub(super) is_settled: bool,
}

impl Ended {
    pub(super) fn is_interrupted(&self) -> bool {
        self.stop
            .as_ref()
            .is_some_and(|stop| stop.code == Code::Interrupted)
    }

    /// Why it ended early, in words; Ctrl-C has none.
    pub(super) fn error(&self) -> Option<String> {
        self.stop.as_ref().and_then(|stop| stop.text.clone())
    }
}

/// The measure of a run's messages.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    pub(super) size: usize,
    pub(super) window: u64,
    /// How many messages a subscriber counts.
    pub(super) most: u64,
    /// The number of the first publisher.
    pub(super) first_id: u32,
}

impl Load {
    /// Opens all connections; the subscribers' subscriptions are live then.
    pub(super) async fn open(
        opener: &Opener,
        plan: Plan,
        measure: Measure,
        delays: Option<Arc<Mutex<Delays>>>,
        interrupts: Interrupts,
        progress: &Progress,
    ) -> Result<Self, Stop> {
        let mut waiting = vec![Vec::new(); plan.subscribers.len()];
        let publishers = plan.publishers.into_iter().map(|publishing| {
            let (progress, readers) = (Arc::new(Notify::new()), publishing.readers());
            for &reader in &readers {
                waiting[reader].push(Arc::clone(&progress));
            }
            (
                publishing,
                readers,
                Outgoing::new(&progress, delays.clone()),
            )
        });
        let publishers: Vec<_> = publishers.collect();
        let inboxes = waiting
            .into_iter()
            .map(|waiting| Inbox::new(Gate::new(waiting), delays.clone(), measure.most));
        let inboxes: Arc<[_]> = inboxes.collect();

        let (fault, faults) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let subscribers = inboxes
            .iter()
            .zip(&plan.subscribers)
            .map(|(inbox, sets)| async move {
                let link = inbox.open(opener, sets).await?;
                Ok::<_, Stop>((Arc::clone(inbox), link))
            });
        let mut subscribers = stream::iter(subscribers).buffered(OPENING);
        while let Some((inbox, link)) = subscribers.try_next().await? {
            progress.step();
            let fault = fault.clone();
            tasks.spawn(async move {
                // It has no receiver once the run is over.
                let _ = fault.send(inbox.receive(link).await);
            });
        }
        drop(subscribers);
        let links = publishers.iter().map(|_| opener.open(&[], |_| {}));
        let links = stream::iter(links)
            .buffered(OPENING)
            .inspect_ok(|_| progress.step());
        let links: Vec<_> = links.try_collect().await?;
        let halt = CancellationToken::new();
        let mut outgoings = Vec::new();
        let publishers = publishers.into_iter().zip(links).enumerate();
        let publishers = publishers.map(|(index, ((publishing, readers, outgoing), link))| {
            let (reading, fault) = (Arc::clone(&outgoing), fault.clone());
            tasks.spawn(async move {
                let _ = fault.send(reading.receive(link.reader).await);
            });
            outgoings.push(Arc::clone(&outgoing));
            Publisher {
                writer: link.writer,
                outgoing,
                publishing,
                inboxes: Arc::clone(&inboxes),
                readers,
                id: measure.first_id + index as u32,
                size: measure.size,
                window: measure.window,
                halt: halt.clone(),
            }
        });
        Ok(Self {
            publishers: publishers.collect(),
            outgoing: outgoings,
            inboxes,
            halt,
            faults,
            interrupts,
            _tasks: tasks,
        })
    }

    /// What has been counted so far.
    pub(super) fn before(&self) -> Before {
        let sent = self.outgoing.iter().map(|it| it.messages());
        let received = self.inboxes.iter().map(|inbox| {
            let tally = inbox.tally.lock();
            (tally.received, tally.bytes)
        });
        Before {
            start: Instant::now(),
            sent: sent.collect(),
            received: received.collect(),
        }
    }

    /// Publishes: so many messages in all, for so long, at this rate in all. The error is why nothing was measured.
    pub(super) async fn publish(
        &mut self,
        count: Option<u64>,
        duration: Option<Duration>,
        rate: Option<f64>,
        progress: &mut Progress,
    ) -> Result<Ended, Stop> {
        let until = duration.map(|duration| Instant::now() + duration);
        let publishers = std::mem::take(&mut self.publishers);
        let among = publishers.len() as u64;
        let mut work = JoinSet::new();
        for (index, publisher) in publishers.into_iter().enumerate() {
            let share = |count: u64| count / among + u64::from((index as u64) < count % among);
            let order = Order {
                count: count.map(share),
                until,
                rate: rate.map(|rate| rate / among as f64),
            };
            work.spawn(publisher.publish(order));
        }
        self.carry_out(work, progress).await
    }

    /// Publishes on a schedule, or pings.
    pub(super) async fn keep(
        &mut self,
        schedule: Schedule,
        count: u64,
        pings: bool,
        progress: &mut Progress,
    ) -> Result<Ended, Stop> {
        let mut work = JoinSet::new();
        for publisher in std::mem::take(&mut self.publishers) {
            work.spawn(publisher.keep(schedule, count, pings));
        }
        self.carry_out(work, progress).await
    }

    /// Lets each publisher say that it has ended.
    pub(super) async fn say_end(&mut self) -> Result<(), Stop> {
        for publisher in &mut self.publishers {
            let said = tokio::time::timeout(PATIENCE, publisher.say_end()).await;
            said.unwrap_or_else(|_| Err(stands_still()))?;
        }
        Ok(())
    }

    /// Receives what publishers elsewhere send, until they have said that they ended, every subscriber has had `count`
    /// messages, or `duration` has passed since the first.
    pub(super) async fn listen(
        &mut self,
        count: Option<u64>,
        duration: Option<Duration>,
        progress: &mut Progress,
    ) -> Result<Ended, Stop> {
        let mut glance = glances();
        let (mut settled, mut moved_at) = (0, None::<Instant>);
        let mut stop = None;
        let is_silent = loop {
            tokio::select! {
                biased;
                _ = self.interrupts.changed() => {
                    stop = Some(Stop::quiet(Code::Interrupted));
                    break false;
                }
                Some(stop) = self.faults.recv() => return cut_short(stop),
                now = glance.tick() => {
                    let so_far = self.settled();
                    if so_far != settled {
                        (settled, moved_at) = (so_far, Some(now));
                    }
                    progress.show(settled / self.inboxes.len().max(1) as u64, settled);
                    let first = self.inboxes.iter().filter_map(|inbox| inbox.tally.lock().first).min();
                    let is_over = first.zip(duration).is_some_and(|(first, duration)| now >= first + duration);
                    let has_had_all = |inbox: &Arc<Inbox>| {
                        let tally = inbox.tally.lock();
                        tally.is_complete() || count.is_some_and(|count| tally.received >= count)
                    };
                    let is_silent = moved_at.is_some_and(|at| now.saturating_duration_since(at) > PATIENCE);
                    if is_over || is_silent || self.inboxes.iter().all(has_had_all) {
                        break is_silent;
                    }
                }
            }
        };
        let barriers = self.inboxes.iter().map(|inbox| inbox.barrier());
        let barriers = futures_util::future::join_all(barriers);
        let arrived = tokio::time::timeout(GRACE, barriers).await;
        if is_silent && arrived.is_err() {
            stop = Some(stands_still());
        }
        let is_complete = self
            .inboxes
            .iter()
            .all(|inbox| inbox.tally.lock().is_complete());
        Ok(Ended {
            stop,
            is_settled: arrived.is_ok() && is_complete,
        })
    }

    async fn carry_out(
        &mut self,
        mut work: JoinSet<Result<Publisher, Stop>>,
        progress: &mut Progress,
    ) -> Result<Ended, Stop> {
        let inboxes = Arc::clone(&self.inboxes);
        let work = async move {
            let mut publishers = Vec::new();
            while let Some(done) = work.join_next().await {
                // A task of ours that panicked has told so already.
                publishers.push(done.map_err(|error| Stop::failed(error.to_string()))??);
            }
            // Publishers come back in the order in which they ended.
            publishers.sort_by_key(|publisher| publisher.id);
            futures_util::future::join_all(inboxes.iter().map(|inbox| inbox.barrier())).await;
            Ok(publishers)
        };
        let mut work = std::pin::pin!(work);
        let mut glance = glances();
        // What was sent to warm up is no part of how far this is.
        let before = self.sent();
        let (mut deadline, mut stall) = (None, Stall::new(Instant::now()));
        loop {
            // Interrupted is what it says from the first Ctrl-C on.
            let stop = deadline.map(|_| Stop::quiet(Code::Interrupted));
            tokio::select! {
                biased;
                // The sender ends with the runtime.
                _ = self.interrupts.changed() => {
                    self.halt.cancel();
                    if deadline.replace(Instant::now() + GRACE).is_some() {
                        return Ok(Ended { stop, is_settled: false });
                    }
                }
                Some(stop) = self.faults.recv() => return cut_short(stop),
                done = &mut work => return match done {
                    Ok(publishers) => {
                        self.publishers = publishers;
                        // Where messages are lost, that says more.
                        let has_paused = stall.is_doubtful && !self.is_behind();
                        Ok(Ended { stop: stop.or(has_paused.then(stood_still)), is_settled: true })
                    }
                    Err(stop) => cut_short(stop),
                },
                now = glance.tick() => {
                    progress.show(self.sent() - before, self.done());
                    if deadline.is_some_and(|deadline| now >= deadline) {
                        return Ok(Ended { stop, is_settled: false });
                    }
                    match stall.look(now, self.settled(), self.is_behind()) {
                        Pulse::Fine => {}
                        // Perhaps what the publishers wait for is lost: if so, the pongs behind it still come.
                        Pulse::Doubtful => self.halt.cancel(),
                        Pulse::Gone => return Ok(Ended { stop: Some(stands_still()), is_settled: false }),
                    }
                }
            }
        }
    }

    fn sent(&self) -> u64 {
        self.outgoing.iter().map(|it| it.messages()).sum()
    }

    /// How many messages have arrived, or were accepted if there are no receivers.
    fn done(&self) -> u64 {
        match self.inboxes.is_empty() {
            true => self.outgoing.iter().map(|it| it.settled()).sum(),
            false => self.inboxes.iter().map(|it| it.gate.settled()).sum(),
        }
    }

    /// Grows for as long as the server does anything.
    fn settled(&self) -> u64 {
        let readers = self.inboxes.iter().map(|inbox| inbox.gate.settled());
        readers
            .chain(self.outgoing.iter().map(|it| it.settled()))
            .sum()
    }

    /// Whether anything is to come; else a slow rate is what makes it quiet.
    fn is_behind(&self) -> bool {
        let is_unread =
            |inbox: &Arc<Inbox>| inbox.gate.settled() < inbox.gate.sent.load(Ordering::Relaxed);
        self.inboxes.iter().any(is_unread) || self.outgoing.iter().any(|it| it.is_waiting())
    }
}

/// What was measured before a connection was lost counts; what was refused is no measure of anything.
fn cut_short(stop: Stop) -> Result<Ended, Stop> {
    if stop.code != Code::CannotConnect {
        return Err(stop);
    }
    Ok(Ended {
        stop: Some(stop),
        is_settled: false,
    })
}

/// When to look how far a run is; never twice in a row, so that each look has a time to compare with.
fn glances() -> tokio::time::Interval {
    let mut glances = tokio::time::interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    glances
}

fn stood_still() -> Stop {
    Stop::new(
        Code::ServerError,
        format!(
            "the server stood still: nothing came back for {:?}, which cut the run short; look at its log",
            PATIENCE - GRACE
        ),
    )
}

fn stands_still() -> Stop {
    Stop::new(
        Code::ServerError,
        format!("the server stands still: nothing came back for {PATIENCE:?}; look at its log"),
    )
}
