//! A host round the broker, which feeds it in every way there is.

use mist_core::message::{Message, Messages, Scan};
use mist_core::{
    Broker, Config, Credentials, CustomReply, Limits, Output, Scratch, SessionId, Verdict,
};

use super::super::model::{Answer, Event, Question, Sent};
use super::history::Form;

fn handle(broker: &mut Broker, session: SessionId, message: &Message<'_>) {
    let long = broker.handle(session, message);
    assert!(long.is_none(), "nothing here is long");
}

/// A broker and what a host keeps beside it.
pub(super) struct Host {
    pub(super) broker: Broker,
    pub(super) ids: Vec<SessionId>,
    pub(super) events: Vec<Vec<Event>>,
    pub(super) questions: Vec<(usize, Question)>,
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
                self.share(id, Messages::lines(&bytes));
            }
            Form::Frames => {
                for line in &lines {
                    self.share(id, Messages::frame(line));
                }
            }
        }
        self.settle();
    }

    fn share(&mut self, id: SessionId, mut messages: Messages<'_>) {
        loop {
            if self.broker.is_waiting(id) {
                return self.broker.handle_message(id, messages.rest());
            }
            match messages.next(&mut self.scan, &self.limits) {
                None => return,
                Some(Err(unreadable)) => self.broker.handle_unreadable(id, &unreadable),
                Some(Ok(message)) => match self.broker.decide(id, &message, &mut self.scratch) {
                    Verdict::Exclusive => handle(&mut self.broker, id, &message),
                    // What was decided is carried out behind what still waits.
                    _ if self.is_late => handle(&mut self.broker, id, &message),
                    Verdict::Long(listing) => panic!("nothing here is long: {listing:?}"),
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
