//! Mist itself, used as the server uses it: lines in, slots of sessions out.

use mist_core::message::{Message, Messages, Scan};
use mist_core::{Broker, Config, Credentials, Limits, Scratch, SessionId, Verdict};

use super::super::workload::Workload;
use super::Contender;

/// The messages of a workload as lines, and room for what scanning finds in them.
#[derive(Debug)]
pub(crate) struct Lines {
    text: Vec<u8>,
    scans: Vec<Scan>,
}

impl Lines {
    /// Writes the messages of a workload, each with the data.
    pub(crate) fn new(workload: &Workload, data: &str) -> Self {
        let mut text = Vec::new();
        let messages = workload.messages.iter();
        for message in messages {
            write_line(&mut text, "publish", &workload.names(message), data);
        }
        let scans = workload.messages.iter().map(|_| Scan::new());
        Self {
            text,
            scans: scans.collect(),
        }
    }

    fn scan(&mut self) -> Vec<Message<'_>> {
        let limits = Limits::default();
        let mut messages = Messages::lines(&self.text);
        let scan = |scan| messages.next(scan, &limits)?.ok();
        self.scans.iter_mut().filter_map(scan).collect()
    }
}

/// Appends one message in the form that clients write.
pub(crate) fn write_line(line: &mut Vec<u8>, command: &str, tags: &[&str], data: &str) {
    let request = mist_core::message::Request {
        command,
        tags,
        data,
        ..Default::default()
    };
    mist_core::message::encode_request(&request, line);
    line.push(b'\n');
}

/// A broker with all subscriptions of a workload; the slot of a session is the number of the client.
#[derive(Debug)]
pub(crate) struct Mist<'a> {
    /// The broker.
    pub(crate) broker: Broker,
    /// Who publishes, without subscriptions of its own.
    pub(crate) publisher: SessionId,
    /// The messages, scanned before.
    pub(crate) messages: Vec<Message<'a>>,
    /// What deciding works in.
    pub(crate) scratch: Scratch,
}

impl<'a> Mist<'a> {
    /// Sets up a broker.
    pub(crate) fn new(workload: &Workload, lines: &'a mut Lines) -> Self {
        let (mut broker, clients) = connected(workload);
        subscribe_all(workload, &mut broker, &clients);
        let publisher = broker.connect(Credentials::default());
        // The first message of a session is one that changes it.
        broker.handle_message(publisher, br#"{"command":"ping"}"#);
        while broker.poll_output().is_some() {}
        Self {
            broker,
            publisher,
            messages: lines.scan(),
            scratch: Scratch::new(),
        }
    }

    /// The receivers of every message, as the broker finds them.
    pub(crate) fn answers(&mut self) -> Vec<Vec<u32>> {
        let mut answers = Vec::new();
        for message in 0..self.messages.len() {
            self.publish(message);
            answers.push(self.targets().to_vec());
        }
        answers
    }
}

/// A broker with the clients of a workload, and without subscriptions.
pub(crate) fn connected(workload: &Workload) -> (Broker, Vec<SessionId>) {
    let mut broker = Broker::new(Config::default(), 1);
    let clients = (0..workload.clients).map(|_| broker.connect(Credentials::default()));
    let clients = clients.collect();
    (broker, clients)
}

/// Lets every client of a workload subscribe.
pub(crate) fn subscribe_all(workload: &Workload, broker: &mut Broker, clients: &[SessionId]) {
    let mut line = Vec::new();
    for (client, set) in workload.subscriptions() {
        line.clear();
        write_line(&mut line, "subscribe", &workload.names(set), "");
        broker.handle_message(clients[client as usize], &line);
    }
}

impl Contender for Mist<'_> {
    fn name(&self) -> &'static str {
        "mist"
    }

    #[inline]
    fn publish(&mut self, message: usize) -> usize {
        let message = &self.messages[message];
        match self
            .broker
            .decide(self.publisher, message, &mut self.scratch)
        {
            Verdict::Deliver(_) => self.scratch.targets().len(),
            _ => 0,
        }
    }

    fn targets(&self) -> &[u32] {
        self.scratch.targets()
    }
}
