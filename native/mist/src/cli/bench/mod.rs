//! Owns `mist bench` and `mist latency`: which runs there are, and how they end. What is measured stands in their help.
//!
//! The generator makes its messages itself and checks each that arrives, on bare connections: an ordinary client would
//! measure itself.

mod args;
mod flow;
mod inbox;
mod latency;
mod link;
mod load;
mod message;
mod plan;
mod progress;
mod publisher;
mod report;
mod schedule;
mod stall;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

pub(super) use self::args::{BenchArgs, LatencyArgs};
use self::args::{Scenario, Shape};
use self::inbox::Inbox;
use self::link::{Opener, check_open_files};
use self::load::{Interrupts, Load, Measure};
use self::plan::{Plan, fresh_name, random};
use self::progress::Progress;
use self::report::{Faults, Report, Row};
use super::connect::Target;
use super::exit::{Code, Stop};
use super::runtime::runtime;
use super::signals;
use super::{open_files, out};

/// Unless something else is said, a reader has this much to read at most: far less than a server's outbox holds.
const WINDOW_MESSAGES: u64 = 8192;
const WINDOW_BYTES: u64 = 2 << 20;
/// The same for all readers together, which share what a server keeps for all outboxes.
const ALL_WINDOWS_BYTES: u64 = 128 << 20;

/// `mist bench`
pub(super) fn run(target: &Target, args: &BenchArgs) -> Result<(), Stop> {
    let shapes = args.shapes()?;
    let mut report = Report::new(&args.print)?;
    drive(args.threads, async |interrupts| {
        for shape in &shapes {
            check_open_files(shape.connections())?;
        }
        let opener = Opener::new(target).await?;
        let mut result = Ok(());
        for shape in &shapes {
            for &size in &args.size {
                let run = Run {
                    opener: &opener,
                    args,
                    shape,
                    size,
                };
                match run.carry_out(&mut report, interrupts.clone()).await {
                    // What one scenario shows does not keep the others from being measured.
                    Err(stop) if stop.code == Code::ServerError => {
                        if let Err(Stop {
                            text: Some(text), ..
                        }) = std::mem::replace(&mut result, Err(stop))
                        {
                            out::error(&text);
                        }
                    }
                    other => other?,
                }
            }
        }
        result
    })
}

/// `mist latency`
pub(super) fn run_latency(target: &Target, args: &LatencyArgs) -> Result<(), Stop> {
    drive(1, async |interrupts| {
        latency::measure(target, args, interrupts).await
    })
}

/// Runs something that hears of Ctrl-C and decides itself how to end.
fn drive(threads: u16, work: impl AsyncFnOnce(Interrupts) -> Result<(), Stop>) -> Result<(), Stop> {
    open_files::take_all();
    let runtime = runtime(threads)?;
    let result = runtime.block_on(async {
        let (sender, interrupts) = watch::channel(0);
        // From here on, not from when the task has its first turn.
        let pressed = signals::Interrupts::new();
        let mut pressed =
            pressed.map_err(|error| Stop::failed(format!("cannot start: {error}")))?;
        tokio::spawn(async move {
            while pressed.next().await.is_some() {
                sender.send_modify(|count| *count += 1);
            }
            std::future::pending::<()>().await;
        });
        work(interrupts).await
    });
    runtime.shutdown_background();
    result
}

/// One scenario with one size of message.
struct Run<'a> {
    opener: &'a Opener,
    args: &'a BenchArgs,
    shape: &'a Shape,
    size: usize,
}

impl Run<'_> {
    async fn carry_out(
        &self,
        report: &mut Report<'_>,
        mut interrupts: Interrupts,
    ) -> Result<(), Stop> {
        let Self {
            args, shape, size, ..
        } = *self;
        let opening = self.open(interrupts.clone());
        let (mut load, window) = tokio::select! {
            biased;
            _ = interrupts.changed() => return Err(Stop::quiet(Code::Interrupted)),
            opened = opening => opened?,
        };
        if shape.scenario == Scenario::Sub {
            return self.listen(&mut load, report).await;
        }

        let mut before = load.before();
        let mut ended = None;
        if !args.warm_up.is_zero() {
            let mut unseen = Progress::hidden();
            let warm_up = load.publish(None, Some(args.warm_up), args.rate, &mut unseen);
            ended = Some(warm_up.await?).filter(|ended| ended.stop.is_some());
        }
        if ended.is_none() {
            let mut progress = self.progress(args.duration());
            before = load.before();
            ended = Some(
                load.publish(args.count, args.duration(), args.rate, &mut progress)
                    .await?,
            );
        }
        let Some(ended) = ended else { return Ok(()) };
        let missing = |inbox: &Inbox| {
            inbox
                .gate
                .sent
                .load(Ordering::Relaxed)
                .saturating_sub(inbox.tally.lock().received)
        };
        let faults = Faults::new(&load.inboxes, ended.is_settled, missing);
        report.row(&Row::new(
            shape,
            size,
            Some(window),
            &load,
            &before,
            &ended,
            faults,
        ))?;
        if self.is_apart() {
            load.say_end().await?;
        }
        ended.stop.map_or(Ok(()), Err)?;
        faults.verdict(args.print.quiet, "a smaller --window avoids that")
    }

    /// Whether this is one of two halves, each run by a program of its own.
    fn is_apart(&self) -> bool {
        matches!(self.args.scenario, Scenario::Pub | Scenario::Sub)
    }

    /// Chooses the tags and opens the connections; returns them and how far a reader may be behind.
    async fn open(&self, interrupts: Interrupts) -> Result<(Load, u64), Stop> {
        let Self { args, size, .. } = *self;
        let progress = Progress::opening(self.shape.connections(), &args.print);
        let (shape, is_apart) = (self.shape.clone(), self.is_apart());
        let name = if is_apart {
            args.tag().to_owned()
        } else {
            fresh_name()
        };
        // Many subscriptions take seconds, in which Ctrl-C has to be heard.
        let plan = tokio::task::spawn_blocking(move || Plan::new(&shape, &name)).await;
        let plan = plan.map_err(|error| Stop::failed(error.to_string()))?;
        let window = self.window(&plan);
        let measure = Measure {
            size,
            window,
            most: match self.shape.scenario {
                Scenario::Sub => args.count.unwrap_or(u64::MAX),
                _ => u64::MAX,
            },
            // Publishers of one process number themselves; those of several must not meet.
            first_id: if is_apart {
                random() % (message::PUBLISHERS - self.shape.publishers as u32)
            } else {
                0
            },
        };
        let load = Load::open(self.opener, plan, measure, None, interrupts, &progress).await?;
        Ok((load, window))
    }

    async fn listen(&self, load: &mut Load, report: &mut Report<'_>) -> Result<(), Stop> {
        let Self { args, shape, .. } = *self;
        if !args.print.quiet {
            out::note(&format!(
                "waiting for `mist bench pub --tag {}`",
                args.tag()
            ));
        }
        let before = load.before();
        let mut progress = self.progress(args.given_duration());
        let ended = load
            .listen(args.count, args.given_duration(), &mut progress)
            .await?;
        drop(progress);
        // Their size is up to the publishers.
        let received = load.inboxes.iter().map(|inbox| {
            let tally = inbox.tally.lock();
            (tally.received, tally.bytes)
        });
        let (messages, bytes) = received.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let size = bytes.checked_div(messages).unwrap_or(0) as usize;
        let missing = |inbox: &Inbox| {
            let tally = inbox.tally.lock();
            tally.sum(|flow| flow.promised.unwrap_or(0).saturating_sub(flow.received))
        };
        let faults = Faults::new(&load.inboxes, ended.is_settled, missing);
        report.row(&Row::new(shape, size, None, load, &before, &ended, faults))?;
        ended.stop.map_or(Ok(()), Err)?;
        faults.verdict(args.print.quiet, "give `mist bench pub` a --rate")
    }

    fn progress(&self, duration: Option<Duration>) -> Progress {
        let name = self.shape.scenario.name();
        Progress::new(name, self.args.count, duration, &self.args.print)
    }

    fn window(&self, plan: &Plan) -> u64 {
        let template = plan.publishers.first().and_then(|it| it.templates.first());
        let bytes = template.map_or(self.size, |template| template.bytes(self.size)) as u64;
        let all = ALL_WINDOWS_BYTES / bytes / plan.subscribers.len().max(1) as u64;
        let default = WINDOW_MESSAGES.min(WINDOW_BYTES / bytes).min(all).max(1);
        self.args.window.unwrap_or(default)
    }
}
