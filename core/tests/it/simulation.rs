//! Whole histories of a broker from a seed, step by step beside the model.
//!
//! `MIST_SEEDS=200000` runs more of them; `MIST_SEED=17` runs one.

use std::env;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mist_core::message::{Message, Messages, Scan};
use mist_core::{
    Access, Authenticator, Broker, Config, Credentials, CustomReply, Limits, Output, Scratch,
    SessionId, Verdict,
};

use super::dice::Dice;
use super::model::{Answer, BAD, Event, Model, Question, Request, Sent, Spelling};

/// One thing that happens. Sessions and questions are counted round those there are, so that a history from which
/// things are left out is a history still.
#[derive(Clone, Debug)]
enum Act {
    Connect(Option<&'static str>),
    Disconnect(usize),
    Say(usize, Vec<Sent>, Form),
    Answer(usize),
}

/// How what a session sends reaches the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A call for each line.
    LineByLine,
    /// One call for all lines.
    Lines,
    /// One call for all, on a single line.
    OneLine,
    /// As a host with many threads does it: decide what can be decided with shared access, handle the rest.
    Shared,
    /// As a host does it that has frames.
    Frames,
}

pub(crate) struct History {
    config: Config,
    acts: Vec<Act>,
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes = 1_000;
    limits.tags_per_message = 6;
    limits.tags_per_subscription = 4;
    limits.tag_bytes = 12;
    limits.subscriptions = 4;
    limits.bad_messages = 3;
    limits
}

const TOKENS: [&str; 5] = ["server", "t1", "t2", "t3", "nobody"];
const TAGS: [&str; 9] = [
    "a",
    "b",
    "c",
    "d",
    "",
    "é\"x",
    "a b",
    "😀\n",
    "thirteenbytes",
];

fn tags(dice: &mut Dice, most: usize) -> Vec<String> {
    // Few tags, so that much matches, and rarely one that is too long.
    let all = if dice.once_in(40) {
        TAGS.len()
    } else {
        4 + dice.below(5)
    };
    let count = if dice.once_in(40) {
        7
    } else {
        dice.below(most + 1)
    };
    (0..count)
        .map(|_| dice.pick(&TAGS[..all]).to_owned())
        .collect()
}

fn sent(dice: &mut Dice) -> Sent {
    if dice.once_in(14) {
        return Sent::Bad(dice.below(BAD.len()));
    }
    if dice.once_in(250) {
        return Sent::Huge(1_001 + dice.below(3));
    }
    let command = match dice.below(100) {
        0..30 => "publish",
        30..53 => "subscribe",
        53..60 => "unsubscribe",
        60..65 => "ping",
        65..69 => "list",
        69..71 => "listall",
        71..73 => "who",
        73..76 => "auth",
        76..81 => "register",
        81..84 => "unregister",
        84..87 => "set",
        87..91 => "unset",
        91..93 => "tags",
        93..96 => "echo",
        96..98 => "nope",
        98 => "",
        _ => "Publish",
    };
    let is_about_token =
        ["auth", "register", "unregister", "set", "unset", "tags"].contains(&command);
    let data = if is_about_token && !dice.once_in(12) {
        dice.pick(&TOKENS)
    } else {
        dice.pick(&[
            "",
            "x",
            "two\nlines \"é\" 😀",
            "plain text of some length, longer than a block of bytes",
        ])
    };
    Sent::Request(Request {
        command: command.to_owned(),
        tags: tags(dice, if command == "publish" { 6 } else { 3 }),
        data: data.to_owned(),
        id: dice.once_in(3).then(|| {
            dice.pick(&["1", "-7", "\"q\"", "\"\\u0041\"", "\"\""])
                .to_owned()
        }),
        spelling: if dice.once_in(4) {
            Spelling::Baroque
        } else {
            Spelling::Compact
        },
    })
}

fn act(dice: &mut Dice, is_late: bool) -> Act {
    match dice.below(100) {
        0..6 if !is_late => Act::Disconnect(dice.below(64)),
        6..20 if !is_late => Act::Answer(dice.below(64)),
        20..34 => Act::Connect(match dice.below(8) {
            0 => None,
            1..4 => Some("server"),
            4..6 => Some("t1"),
            6 => Some("t2"),
            _ => Some("nobody"),
        }),
        34..38 => {
            // A first message that a fresh session may well begin with.
            let auth = Request {
                command: "auth".to_owned(),
                data: dice.pick(&TOKENS).to_owned(),
                ..Request::default()
            };
            Act::Say(usize::MAX, vec![Sent::Request(auth)], Form::Lines)
        }
        _ => {
            let count = if dice.once_in(3) {
                1 + dice.below(6)
            } else {
                1
            };
            let form = dice.pick(&[
                Form::LineByLine,
                Form::Lines,
                Form::OneLine,
                Form::Shared,
                Form::Frames,
            ]);
            Act::Say(
                dice.below(64),
                (0..count).map(|_| sent(dice)).collect(),
                form,
            )
        }
    }
}

/// Rolls the dice for a history.
pub(crate) fn history(mut dice: Dice, is_numbered: bool, is_late: bool) -> History {
    let mut config = Config {
        limits: limits(),
        is_numbered,
        ..Config::default()
    };
    config.access = dice.pick(&[Access::Open, Access::Scoped, Access::Scoped]);
    config.authenticator = match dice.below(8) {
        0 => Authenticator::None,
        1..5 if !is_late => Authenticator::Host,
        _ => Authenticator::Memory,
    };
    config.token = (!dice.once_in(8)).then(|| "server".to_owned());
    if !is_late {
        config.commands = vec!["echo".to_owned()];
    }
    let steps = 20 + dice.below(60);
    let mut acts = vec![Act::Connect(Some("server")), Act::Connect(None)];
    acts.extend((0..steps).map(|_| act(&mut dice, is_late)));
    History { config, acts }
}

fn handle(broker: &mut Broker, session: SessionId, message: &Message<'_>) {
    let long = broker.handle(session, message);
    assert!(long.is_none(), "nothing here is long");
}

/// A broker and what a host keeps beside it.
struct Host {
    broker: Broker,
    ids: Vec<SessionId>,
    events: Vec<Vec<Event>>,
    questions: Vec<(usize, Question)>,
    scan: Scan,
    scratch: Scratch,
    limits: Limits,
    /// Whether outputs wait for the end of the history.
    is_late: bool,
}

impl Host {
    fn new(config: Config, seed: u64, is_late: bool) -> Self {
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

    fn connect(&mut self, token: Option<&str>) {
        self.ids.push(self.broker.connect(Credentials { token }));
        self.events.push(Vec::new());
    }

    fn text(&mut self, session: usize, message: &[u8]) {
        let text = str::from_utf8(message).expect("messages are UTF-8");
        self.events[session].push(Event::Text(text.to_owned()));
    }

    fn drain(&mut self) {
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

    fn settle(&mut self) {
        if !self.is_late {
            self.drain();
        }
    }

    fn say(&mut self, session: usize, sent: &[Sent], form: Form) {
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

    fn answer(&mut self, at: usize, answer: Answer) {
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

/// Runs a history on both; panics where they part.
pub(crate) fn run(history: &History, seed: u64, is_late: bool) {
    let mut model = Model::new(history.config.clone());
    let mut host = Host::new(history.config.clone(), seed, is_late);
    let mut seen = Vec::new();
    for act in &history.acts {
        let connected = model.connected();
        match act {
            Act::Connect(token) => {
                model.connect(*token);
                host.connect(*token);
                host.settle();
            }
            _ if connected.is_empty() => {}
            Act::Disconnect(which) => {
                let session = connected[which % connected.len()];
                model.disconnect(session);
                host.broker.disconnect(host.ids[session]);
            }
            Act::Say(which, sent, form) => {
                let last = connected.len() - 1;
                let session = connected[if *which == usize::MAX {
                    last
                } else {
                    which % connected.len()
                }];
                sent.iter().for_each(|sent| model.say(session, sent));
                host.say(session, sent, *form);
            }
            Act::Answer(which) => {
                if !model.questions.is_empty() {
                    let at = which % model.questions.len();
                    let (_, answer) = model.answer(at);
                    host.answer(at, answer);
                }
            }
        }
        check(&model, &host, &mut seen);
    }
    // At the end every question is answered, and everybody goes.
    while !model.questions.is_empty() {
        let (_, answer) = model.answer(0);
        host.answer(0, answer);
        check(&model, &host, &mut seen);
    }
    host.is_late = false;
    host.drain();
    check(&model, &host, &mut seen);
    for session in model.connected() {
        model.disconnect(session);
        host.broker.disconnect(host.ids[session]);
        check(&model, &host, &mut seen);
    }
    assert!(
        host.broker.poll_output().is_none(),
        "nothing is for those who have gone"
    );
}

/// `seen` is how much of each session's events was compared before.
fn check(model: &Model, host: &Host, seen: &mut Vec<usize>) {
    let stats = host.broker.stats();
    let figures = (
        stats.sessions,
        stats.sessions_total,
        stats.subscribers,
        stats.subscriptions,
    );
    assert_eq!(figures, model.figures(), "figures");
    seen.resize(model.events.len(), 0);
    for (session, (expected, seen)) in model.events.iter().zip(seen).enumerate() {
        if host.is_late {
            continue;
        }
        assert_eq!(
            host.events[session][*seen..],
            expected[*seen..],
            "what session {session} gets"
        );
        *seen = expected.len();
    }
    if !host.is_late {
        assert_eq!(host.questions, model.questions, "what the host is asked");
    }
    for session in model.connected() {
        let id = host.ids[session];
        assert_eq!(host.broker.is_waiting(id), model.is_waiting(session));
        assert_eq!(host.broker.uses_ids(id), model.uses_ids(session));
    }
}

/// What is wrong with a history, if anything.
fn failure(history: &History, seed: u64, is_late: bool) -> Option<String> {
    let caught = catch_unwind(AssertUnwindSafe(|| run(history, seed, is_late))).err()?;
    let text = caught.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| "a panic without a text".to_owned()))
}

/// Runs a history; if it fails, leaves out whatever it fails without, and tells the rest.
fn run_or_shrink(seed: u64, is_late: bool) {
    let mut history = history(Dice::new(seed), seed % 2 == 1, is_late);
    let Some(mut text) = failure(&history, seed, is_late) else {
        return;
    };
    let mut at = history.acts.len();
    while at > 0 {
        at -= 1;
        let whole = history.acts.clone();
        history.acts.remove(at);
        match failure(&history, seed, is_late) {
            Some(other) => text = other,
            None => history.acts = whole,
        }
    }
    for at in 0..history.acts.len() {
        let mut inner = usize::MAX;
        while let Act::Say(_, sent, _) = &mut history.acts[at] {
            inner = inner.min(sent.len());
            if inner == 0 {
                break;
            }
            inner -= 1;
            let left_out = sent.remove(inner);
            match failure(&history, seed, is_late) {
                Some(other) => text = other,
                None => {
                    if let Act::Say(_, sent, _) = &mut history.acts[at] {
                        sent.insert(inner, left_out);
                    }
                }
            }
        }
    }
    let mut story = String::new();
    for act in &history.acts {
        writeln!(story, "{act:?}").expect("a string takes everything");
    }
    let config = &history.config;
    let (access, authenticator, token) = (config.access, config.authenticator, &config.token);
    panic!(
        "MIST_SEED={seed} fails ({access:?}, {authenticator:?}, token {token:?}):\n{story}{text}"
    );
}

fn seeds(ordinary: u64) -> std::ops::Range<u64> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    match (number("MIST_SEED"), number("MIST_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..ordinary,
    }
}

#[test]
fn every_history_goes_as_in_the_model() {
    seeds(2_000).for_each(|seed| run_or_shrink(seed, false));
}

#[test]
fn outputs_taken_at_the_end_are_those_taken_at_once() {
    seeds(300).for_each(|seed| run_or_shrink(seed, true));
}
