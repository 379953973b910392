//! Owns a single connection of the generator: how it begins, and how it writes.
//!
//! It does not look at what comes in.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;

use super::frames::Frames;
use super::wire::{Role, Subscription, Wire};

/// How long nothing at all may happen while something is owed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of the generator.
pub(super) struct Conn {
    pub(super) socket: TcpStream,
    pub(super) stream: usize,
    pub(super) out: Vec<u8>,
    pub(super) written: usize,
    /// Its socket takes no more for now.
    pub(super) is_blocked: bool,
    /// The start of an interlude whose rest has not come.
    pub(super) carry: Vec<u8>,
    pub(super) is_ready: bool,
    /// Where the server's frames end.
    pub(super) frames: Frames,
}

impl Conn {
    /// Takes over a connection that has subscribed and must receive `stream`.
    pub(super) fn new(socket: std::net::TcpStream, stream: usize) -> Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpStream::from_std(socket),
            stream,
            out: Vec::new(),
            written: 0,
            is_blocked: false,
            carry: Vec::new(),
            is_ready: true,
            frames: Frames::default(),
        })
    }

    /// Writes what the socket takes; answers whether it took anything.
    pub(super) fn flush(&mut self) -> Result<bool> {
        let mut has_written = false;
        while !self.is_blocked && self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(n) => {
                    self.written += n;
                    has_written = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the server does not take more"),
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        Ok(has_written)
    }
}

/// Connects, greets, subscribes, and waits until the subscriptions hold. What came after that is
/// returned as well.
pub(crate) fn connect(
    wire: &dyn Wire,
    address: SocketAddr,
    role: Role<'_>,
    subscriptions: &[Subscription],
) -> Result<(std::net::TcpStream, Vec<u8>)> {
    let mut socket = std::net::TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    wire.greet(&mut socket, role)?;
    let mut out = Vec::new();
    for subscription in subscriptions {
        wire.subscribe(subscription, &mut out);
    }
    wire.ping(&mut out);
    socket.write_all(&out)?;
    let pong = wire.pong(role);
    let mut heard = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(at) = find(&heard, &pong) {
            let rest = heard.split_off(at + pong.len());
            return Ok((socket, rest));
        }
        match socket.read(&mut chunk)? {
            0 => bail!("closed after {:?}", String::from_utf8_lossy(&heard)),
            n => heard.extend_from_slice(&chunk[..n]),
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part)
}
