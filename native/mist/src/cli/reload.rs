//! Owns what SIGHUP does to a server: its files are read again, what can change while it runs does, and the log says what
//! did not.

use mist::Handle;

use super::exit::Stop;
use super::log::Level;
use super::serve;
use crate::config::Settings;

/// What a reload needs to know, and may change.
pub(super) struct Reload<R> {
    /// What is in use.
    pub(super) settings: Settings,
    /// Reads all settings again.
    pub(super) read: R,
    pub(super) server: Handle,
    pub(super) level: Level,
}

impl<R: Fn() -> Result<Settings, Stop>> Reload<R> {
    /// Reads everything again. Where something is wrong, all stays as it was.
    pub(super) fn run(&mut self) {
        match (self.read)().map_err(|stop| stop.text.unwrap_or_default()) {
            Ok(settings) => match serve::check(&settings) {
                Ok(()) => self.apply(&settings),
                Err(why) => kept(&why),
            },
            Err(why) => kept(&why),
        }
    }

    fn apply(&mut self, new: &Settings) {
        let has_certificate = self.settings.tls_cert.is_some();
        if has_certificate {
            match self.server.reload_tls() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!("going on with the certificate as it was: {error}"),
            }
        }
        let mut changed = self.settings.changed(new);
        if changed.is_empty() && !has_certificate {
            tracing::info!(
                "SIGHUP: no setting has changed, and there is no certificate to read again (--tls-cert)"
            );
        }
        if let Some(at) = changed.iter().position(|name| name == "log-level") {
            changed.remove(at);
            self.level.set(new.log_level.value);
            self.settings.log_level = new.log_level.clone();
            tracing::info!("SIGHUP: log-level is now {}", new.log_level.value);
        }
        if !changed.is_empty() {
            tracing::warn!(
                "SIGHUP: changed, but needs a restart: {}",
                changed.join(", ")
            );
        }
    }
}

fn kept(why: &str) {
    tracing::error!("SIGHUP: going on with everything as it was: {why}");
}
