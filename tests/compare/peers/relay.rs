//! Owns the relay: the least a publish/subscribe server can do, which is to copy bytes.
//!
//! A connection says `S topic` or `P topic` in its first line. From then on everything that a
//! publisher sends goes to all subscribers of the topic, unparsed. It bounds nothing: the generator
//! is known to read.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::wire::READY;

const LISTENER: Token = Token(usize::MAX);

/// What a connection turned out to be.
enum Part {
    Unknown(Vec<u8>),
    Publisher(String),
    Subscriber,
}

struct Conn {
    socket: TcpStream,
    part: Part,
    out: Vec<u8>,
    written: usize,
}

#[derive(Default)]
struct Relay {
    conns: HashMap<usize, Conn>,
    topics: HashMap<String, Vec<usize>>,
    next: usize,
}

/// Relays at `address` until the process is ended.
pub(crate) fn run(address: SocketAddr) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(address).with_context(|| format!("at {address}"))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay = Relay::default();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                relay.accept(&listener, &poll)?;
                continue;
            }
            let Token(conn) = event.token();
            if event.is_writable() {
                relay.flush(conn);
            }
            if event.is_readable() && relay.read(conn, &mut chunk).is_none() {
                relay.forget(conn);
            }
        }
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            socket.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut socket, Token(self.next), both)?;
            let conn = Conn {
                socket,
                part: Part::Unknown(Vec::new()),
                out: Vec::new(),
                written: 0,
            };
            self.conns.insert(self.next, conn);
            self.next += 1;
        }
    }

    /// Reads until there is nothing more; answers nothing when the connection is over.
    fn read(&mut self, at: usize, chunk: &mut [u8]) -> Option<()> {
        loop {
            let conn = self.conns.get_mut(&at)?;
            let n = match conn.socket.read(chunk) {
                Ok(0) => return None,
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(_) => return None,
            };
            match &mut conn.part {
                Part::Subscriber => {}
                Part::Publisher(topic) => {
                    let targets = self.topics.get(topic).map_or(&[][..], Vec::as_slice);
                    for target in targets {
                        if let Some(target) = self.conns.get_mut(target) {
                            target.send(&chunk[..n]);
                        }
                    }
                }
                Part::Unknown(line) => {
                    line.extend_from_slice(&chunk[..n]);
                    if line.ends_with(b"\n") {
                        let line = String::from_utf8_lossy(line).into_owned();
                        self.introduce(at, line.trim_end());
                    }
                }
            }
            if n < chunk.len() {
                return Some(());
            }
        }
    }

    fn introduce(&mut self, at: usize, line: &str) {
        let Some(conn) = self.conns.get_mut(&at) else {
            return;
        };
        let (role, topic) = line.split_once(' ').unwrap_or((line, ""));
        conn.part = if role == "S" {
            self.topics.entry(topic.to_owned()).or_default().push(at);
            Part::Subscriber
        } else {
            Part::Publisher(topic.to_owned())
        };
        conn.send(READY);
    }

    fn flush(&mut self, at: usize) {
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.flush();
        }
    }

    fn forget(&mut self, at: usize) {
        self.conns.remove(&at);
        for targets in self.topics.values_mut() {
            targets.retain(|&target| target != at);
        }
    }
}

impl Conn {
    /// Writes at once what the socket takes and keeps the rest.
    fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.out.is_empty() && !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(n) => rest = &rest[n..],
                // A broken connection is noticed when it is read.
                Err(_) => break,
            }
        }
        self.out.extend_from_slice(rest);
    }

    fn flush(&mut self) {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(n) => self.written += n,
                Err(_) => return,
            }
        }
        self.out.clear();
        self.written = 0;
    }
}
