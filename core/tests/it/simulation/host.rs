//! A host round the broker, which feeds it in every way there is.

use std::collections::VecDeque;

use mist_core::message::{Messages, Scan};
use mist_core::{
    Broker, Config, Credentials, CustomReply, Limits, Long, Output, Scratch, SessionId, Verdict,
    Walk,
};

use super::super::model::{Answer, Event, Question, Sent};
use super::history::Form;

/// A message that is to be published in parts; nothing else here takes long.
fn published(long: Long) -> Box<Walk> {
    match long {
        Long::Publish(walk) => walk,
        other => panic!("nothing else here is long: {other:?}"),
    }
}

/// A broker and what a host keeps beside it.
pub(super) struct Host {
    pub(super) broker: Broker,
    pub(super) ids: Vec<SessionId>,
    pub(super) events: Vec<Vec<Event>>,
    pub(super) questions: Vec<(usize, Question)>,
    /// Messages that are being published in parts, and by whom.
    pub(super) walks: Vec<(usize, Box<Walk>)>,
    /// What those have said meanwhile.
    pub(super) behind: Vec<(usize, VecDeque<Sent>, Form)>,
    scan: Scan,
    scratch: Scratch,
    limits: Limits,
    /// Whether outputs wait for the end of the history.
    pub(super) is_late: bool,
}

impl Host {
    pub(super) fn new(config: Config, seed: u64, is_late: bool) -> Self {
        Self {
            limits: config.limits.clone(),
            broker: Broker::new(config, seed),
            ids: Vec::new(),
            events: Vec::new(),
            questions: Vec::new(),
            walks: Vec::new(),
            behind: Vec::new(),
            scan: Scan::new(),
            scratch: Scratch::new(),
            is_late,
        }
    }

    fn number(&self, id: SessionId) -> usize {
        let found = self.ids.iter().rposition(|&other| other == id);
        found.expect("outputs are for sessions there are")
    }

    pub(super) fn connect(&mut self, token: Option<&str>) {
        self.ids.push(self.broker.connect(Credentials { token }));
        self.events.push(Vec::new());
    }

    fn text(&mut self, session: usize, message: &[u8]) {
        let text = str::from_utf8(message).expect("messages are UTF-8");
        self.events[session].push(Event::Text(text.to_owned()));
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Send { session, message } => {
                    let session = self.number(session);
                    self.text(session, &message);
                }
                Output::Deliver {
                    targets,
                    message,
                    receipt,
                    ..
                } => {
                    let mut numbers: Vec<_> = targets.iter().map(|&id| self.number(id)).collect();
                    numbers.sort_unstable();
                    let count = numbers.len();
                    numbers.dedup();
                    assert_eq!(numbers.len(), count, "once per session");
                    for target in numbers {
                        self.text(target, &message);
                    }
                    if let Some(receipt) = receipt {
                        let session = self.number(receipt.session());
                        self.text(session, &receipt.reply(count));
                    }
                }
                Output::Ask { session, request } => {
                    let session = self.number(session);
                    self.questions.push((session, Question::Auth(request)));
                }
                Output::Custom { session, request } => {
                    let session = self.number(session);
                    self.questions.push((session, Question::Custom(request)));
                }
                Output::Close { session, reason } => {
                    let session = self.number(session);
                    self.events[session].push(Event::Close(reason));
                }
                Output::Revoked { session } => {
                    let session = self.number(session);
                    self.events[session].push(Event::Revoked);
                }
                other => panic!("an output nobody knows: {other:?}"),
            }
        }
    }

    pub(super) fn settle(&mut self) {
        if !self.is_late {
            self.drain();
        }
    }

    pub(super) fn say(&mut self, session: usize, sent: &[Sent], form: Form) {
        let id = self.ids[session];
        let lines: Vec<_> = sent.iter().map(Sent::line).collect();
        let is_valid = sent.iter().all(|sent| matches!(sent, Sent::Request(_)));
        match form {
            Form::LineByLine => {
                for line in &lines {
                    self.broker.handle_message(id, line);
                    self.settle();
                }
            }
            // Behind a fault the rest of the line is lost.
            Form::OneLine if is_valid && lines.concat().len() <= self.limits.message_bytes => {
                self.broker.handle_message(id, &lines.concat());
            }
            Form::Lines | Form::OneLine => {
                self.broker.handle_message(id, &lines.join(&b"\n\r\n"[..]));
            }
            Form::Shared => {
                let mut bytes = lines.join(&b'\n');
                bytes.push(b'\n');
                let long = self.share(id, Messages::lines(&bytes));
                assert!(long.is_none(), "nothing is without a turn");
            }
            Form::Frames => {
                for line in &lines {
                    let long = self.share(id, Messages::frame(line));
                    assert!(long.is_none(), "nothing is without a turn");
                }
            }
        }
        self.settle();
    }

    /// Takes one message; returns whether it is published in parts from now on.
    pub(super) fn say_one(&mut self, session: usize, sent: &Sent, form: Form) -> bool {
        let mut line = sent.line();
        let long = match form {
            Form::Frames => self.share(self.ids[session], Messages::frame(&line)),
            _ => {
                line.push(b'\n');
                self.share(self.ids[session], Messages::lines(&line))
            }
        };
        self.settle();
        self.walks.extend(long.map(|walk| (session, walk)));
        self.is_publishing(session)
    }

    pub(super) fn is_publishing(&self, session: usize) -> bool {
        self.walks.iter().any(|(other, _)| *other == session)
    }

    /// Publishes a message to some more sessions; returns which, and whether those were all.
    pub(super) fn go_on_publishing(&mut self, at: usize) -> (Vec<usize>, bool) {
        let (_, walk) = &mut self.walks[at];
        let is_last = self.broker.publish_some(walk, &mut self.scratch);
        let text = str::from_utf8(walk.message()).expect("messages are UTF-8");
        let mut targets = Vec::new();
        for &slot in self.scratch.targets() {
            let session = self.ids.iter().rposition(|id| id.slot() == slot as usize);
            targets.push(session.expect("it is there"));
        }
        for &target in &targets {
            self.events[target].push(Event::Text(text.to_owned()));
        }
        (targets, is_last)
    }

    /// Ends with a message that `delivered` sessions got.
    pub(super) fn end_publishing(&mut self, at: usize, delivered: usize, is_there: bool) {
        let (session, walk) = self.walks.remove(at);
        if let Some(receipt) = walk.receipt().filter(|_| is_there) {
            assert_eq!(receipt.session(), self.ids[session]);
            self.text(session, &receipt.reply(delivered));
        }
    }

    /// Takes messages until one is published in parts: that is returned.
    fn share(&mut self, id: SessionId, mut messages: Messages<'_>) -> Option<Box<Walk>> {
        loop {
            if self.broker.is_waiting(id) {
                self.broker.handle_message(id, messages.rest());
                return None;
            }
            match messages.next(&mut self.scan, &self.limits)? {
                Err(unreadable) => self.broker.handle_unreadable(id, &unreadable),
                Ok(message) => match self.broker.decide(id, &message, &mut self.scratch) {
                    // What was decided is carried out behind what still waits.
                    verdict if self.is_late || matches!(verdict, Verdict::Exclusive) => {
                        if let Some(long) = self.broker.handle(id, &message) {
                            return Some(published(long));
                        }
                    }
                    Verdict::Exclusive => unreachable!("the arm above takes it"),
                    Verdict::Long(long) => return Some(published(long)),
                    Verdict::Reply => {
                        let reply = self.scratch.reply().to_vec();
                        let session = self.ids.iter().rposition(|&other| other == id);
                        let text = str::from_utf8(&reply).expect("replies are UTF-8");
                        self.events[session.expect("it is there")]
                            .push(Event::Text(text.to_owned()));
                    }
                    Verdict::Deliver(receipt) => {
                        let mut body = Vec::new();
                        self.scratch.write_body(&message, &mut body);
                        let text = str::from_utf8(&body).expect("bodies are UTF-8");
                        let targets = self.scratch.targets();
                        for &slot in targets {
                            let session =
                                self.ids.iter().rposition(|id| id.slot() == slot as usize);
                            self.events[session.expect("it is there")]
                                .push(Event::Text(text.to_owned()));
                        }
                        if let Some(receipt) = receipt {
                            let reply = receipt.reply(targets.len());
                            let session = self
                                .ids
                                .iter()
                                .rposition(|&other| other == receipt.session());
                            let text = String::from_utf8(reply).expect("replies are UTF-8");
                            self.events[session.expect("it is there")].push(Event::Text(text));
                        }
                    }
                },
            }
            self.settle();
        }
    }

    pub(super) fn answer(&mut self, at: usize, answer: Answer) {
        let (session, _) = self.questions.remove(at);
        let id = self.ids[session];
        match answer {
            Answer::Auth(request, reply) => self.broker.handle_auth_reply(id, &request, reply),
            Answer::Custom(reply) => {
                let reply = reply.map(|reply| reply.map(|(tags, data)| CustomReply { tags, data }));
                self.broker.handle_custom_reply(id, reply);
            }
        }
        self.settle();
    }
}
