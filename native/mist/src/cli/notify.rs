//! Owns what the service manager is told, as systemd's `sd_notify` does: datagrams to the socket that `NOTIFY_SOCKET` names.

use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(unix)]
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, if there is one.
#[derive(Clone)]
pub(super) struct Manager(Option<OsString>);

impl Manager {
    pub(super) fn from_environment() -> Self {
        let name = std::env::var_os("NOTIFY_SOCKET");
        Self(name.filter(|name| !name.is_empty()))
    }

    /// Says that clients can connect, and that a reload is done.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Says that settings are read again; the time lets the manager tell this reload from an earlier one.
    pub(super) fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", micros()));
    }

    /// Says that the end has begun, and how long it may take.
    pub(super) fn stopping(&self, most: Duration) {
        let micros = most.as_micros();
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}"));
    }

    fn tell(&self, state: &str) {
        if let Some(name) = &self.0
            && let Err(error) = send(name, state)
        {
            tracing::warn!(%error, "the service manager cannot be told '{state}'");
        }
    }
}

/// What systemd's clock says, which is that of the machine.
#[cfg(unix)]
fn micros() -> i64 {
    use rustix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Elsewhere there is no systemd.
#[cfg(not(unix))]
fn micros() -> i64 {
    0
}

#[cfg(not(unix))]
fn send(_: &OsStr, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn send(name: &OsStr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not block the server.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address(name)?)?;
    Ok(())
}

/// With `@` in front the name is not one of a file.
#[cfg(target_os = "linux")]
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(name)
}
