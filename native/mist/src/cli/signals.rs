//! Owns the signals that this program takes, whatever the system calls them; knows nothing of what they do.
//!
//! Each is received from its creation on, not from the first wait for it.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows;

/// What ends a server: SIGTERM and SIGINT; on Windows Ctrl-C, Ctrl-Break, a console that closes, and the system's end.
#[cfg(unix)]
pub(super) struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

#[cfg(unix)]
impl Ends {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
pub(super) struct Ends {
    interrupt: windows::CtrlC,
    r#break: windows::CtrlBreak,
    close: windows::CtrlClose,
    shutdown: windows::CtrlShutdown,
}

#[cfg(windows)]
impl Ends {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            r#break: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.r#break.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

/// Ctrl-C.
pub(super) struct Interrupts(#[cfg(unix)] Signal, #[cfg(windows)] windows::CtrlC);

impl Interrupts {
    pub(super) fn new() -> io::Result<Self> {
        #[cfg(unix)]
        return Ok(Self(signal(SignalKind::interrupt())?));
        #[cfg(windows)]
        Ok(Self(windows::ctrl_c()?))
    }

    pub(super) async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

/// SIGHUP, which asks a server to read its files again; it exists on Unix only.
pub(super) struct Hangups(#[cfg(unix)] Signal);

impl Hangups {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(
            #[cfg(unix)]
            signal(SignalKind::hangup())?,
        ))
    }

    pub(super) async fn next(&mut self) -> Option<()> {
        #[cfg(unix)]
        return self.0.recv().await;
        #[cfg(not(unix))]
        std::future::pending().await
    }
}
