//! Owns the progress bar, which is there for people at a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::args::PrintArgs;

/// How far a run is, by its count or by its time.
pub(super) struct Progress {
    bar: ProgressBar,
    count: Option<u64>,
    start: Instant,
    before: Option<(Instant, u64)>,
}

impl Progress {
    /// A bar that nobody sees.
    pub(super) fn hidden() -> Self {
        Self::at(ProgressDrawTarget::hidden(), "", None, None)
    }

    /// A bar for so many connections that are to be opened.
    pub(super) fn opening(connections: usize, print: &PrintArgs) -> Self {
        let progress = Self::new("connect", Some(connections as u64), None, print);
        progress.bar.tick();
        progress
    }

    /// A bar for so many messages, or so much time.
    pub(super) fn new(
        name: &str,
        count: Option<u64>,
        duration: Option<Duration>,
        print: &PrintArgs,
    ) -> Self {
        let target = if print.quiet || print.no_progress {
            ProgressDrawTarget::hidden()
        } else {
            // Draws nothing when stderr is no terminal.
            ProgressDrawTarget::stderr()
        };
        Self::at(target, name, count, duration)
    }

    fn at(
        target: ProgressDrawTarget,
        name: &str,
        count: Option<u64>,
        duration: Option<Duration>,
    ) -> Self {
        let length = count.or(duration.map(|duration| duration.as_millis() as u64));
        let bar = ProgressBar::with_draw_target(length, target);
        // The bar takes what the rest leaves of the line; without an end there is none.
        let template = match length {
            Some(_) => "{prefix:8} [{wide_bar}] {percent:>3} %  {msg}",
            None => "{prefix:8} {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.to_owned());
        Self {
            bar,
            count,
            start: Instant::now(),
            before: None,
        }
    }

    /// Shows that one more is done.
    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    /// Shows how many messages were sent, and how fast they are dealt with.
    pub(super) fn show(&mut self, sent: u64, settled: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let now = Instant::now();
        let passed = now - self.start;
        self.bar.set_position(match self.count {
            Some(_) => sent,
            None => passed.as_millis() as u64,
        });
        if let Some((then, settled_then)) = self.before.replace((now, settled)) {
            let seconds = (now - then).as_secs_f64();
            let rate = settled.saturating_sub(settled_then) as f64 / seconds;
            self.bar.set_message(format!("{rate:.0} msg/s"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
