//! Owns the progress bar, which is there for people at a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

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
        Self::new("", None, None, false)
    }

    /// A bar for so many messages, or so much time.
    pub(super) fn new(
        name: &str,
        count: Option<u64>,
        duration: Option<Duration>,
        is_shown: bool,
    ) -> Self {
        let length = count.or(duration.map(|duration| duration.as_millis() as u64));
        let target = if is_shown {
            // Draws nothing when stderr is no terminal.
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(length, target);
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:8} [{bar:30}] {percent:>3} %  {msg}")
        {
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
            let seconds = (now - then).as_secs_f64().max(1e-3);
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
