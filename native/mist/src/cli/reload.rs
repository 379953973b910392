//! Owns what SIGHUP does to a server: its files are read again, what can change while it runs does, and the log says what
//! did and what did not.

use std::sync::Arc;

use mist::Handle;
use parking_lot::Mutex;

use super::describe::{builder, explained, faults, known_listeners};
use super::exit::Stop;
use super::log::Level;
use crate::config::Settings;

/// What a reload needs to know, and may change.
pub(super) struct Reload<R> {
    /// What is in use.
    pub(super) settings: Arc<Mutex<Settings>>,
    /// Reads all settings again.
    pub(super) read: R,
    pub(super) server: Handle,
    pub(super) level: Level,
}

impl<R: Fn() -> Result<Settings, Stop>> Reload<R> {
    /// Reads everything again. Where something is wrong, all stays as it was.
    pub(super) fn run(&self) {
        if let Err(why) = self.try_run() {
            tracing::error!("SIGHUP: going on with everything as it was: {why}");
        }
    }

    fn try_run(&self) -> Result<(), String> {
        let new = (self.read)().map_err(|stop| stop.text.unwrap_or_default())?;
        // Also what has no effect before the next start should be found wrong now.
        let faults = faults(&new, &known_listeners(&new.listeners.value));
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let in_use = self.settings.lock().clone();
        let change = in_use.exchange(&new);
        let described = builder(&change.settings, &[])?;
        let reloaded = self.server.reload(&described);
        reloaded.map_err(|error| explained(&error))?;

        // What is said about a change of the level should be seen before or after it.
        let (before, after) = (in_use.log_level.value, new.log_level.value);
        self.level.set(before.min(after));
        if !change.changed.is_empty() {
            tracing::info!("SIGHUP: changed: {}", change.changed.join(", "));
        }
        if !change.kept.is_empty() {
            let kept = change.kept.join(", ");
            tracing::warn!("SIGHUP: changed, but needs a restart: {kept}");
        }
        match change.settings.tls_cert.is_some() {
            true => tracing::info!("SIGHUP: the certificate was read again"),
            false if change.changed.is_empty() && change.kept.is_empty() => {
                tracing::info!(
                    "SIGHUP: no setting has changed, and there is no certificate to read again (--tls-cert)"
                );
            }
            false => {}
        }
        self.level.set(after);
        *self.settings.lock() = change.settings;
        Ok(())
    }
}
