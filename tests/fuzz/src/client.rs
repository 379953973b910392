//! The client's state machine, and a server that says anything: what it makes of that does not depend on how many lines
//! come at once, and every request gets exactly one answer.

use std::collections::BTreeMap;
use std::time::Duration;

use mist_core::client::{Action, Client, Options, Token};

const NOW: Duration = Duration::from_secs(1000);

pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let play = |at_once: usize| {
        let mut client = Played::new(first & 1 == 1, first & 2 == 2);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for some in lines.chunks(at_once) {
            client.machine.handle_lines(NOW, &some.concat());
            client.drain();
        }
        client.end()
    };
    let (all, few) = (play(usize::MAX), play(1 + usize::from(first >> 4)));
    assert!(all == few, "all at once: {all:?}, few: {few:?}");
    if first & 4 == 4 {
        let mut client = Played::new(false, true);
        for frame in bytes.split(|byte| *byte == b'\n') {
            client.machine.handle_frame(NOW, frame);
            client.drain();
        }
        client.end();
    }
}

struct Played {
    machine: Client,
    asked: Vec<String>,
    answers: BTreeMap<String, usize>,
    told: Vec<String>,
    sent: Vec<u8>,
}

impl Played {
    fn new(has_token: bool, is_welcome: bool) -> Self {
        let mut played = Self {
            machine: Client::new(Options::default(), 7, NOW),
            asked: Vec::new(),
            answers: BTreeMap::new(),
            told: Vec::new(),
            sent: Vec::new(),
        };
        // One is wanted before there is a connection, and settled while it is made.
        let early = played.machine.subscribe(NOW, ["early"]);
        played.asked(early.map(|(_, request)| request));
        played.drain();
        let token = has_token.then_some(Token::Static("token"));
        played.machine.handle_open(NOW, token);
        played.drain();
        while is_welcome && !played.sent.is_empty() {
            let sent = String::from_utf8(std::mem::take(&mut played.sent)).expect("UTF-8");
            for line in sent.lines() {
                let mut reply: serde_json::Value = serde_json::from_str(line).expect("JSON");
                reply["data"] = "success".into();
                played
                    .machine
                    .handle_lines(NOW, format!("{reply}\n").as_bytes());
            }
            played.drain();
        }
        let late = played.machine.subscribe(NOW, ["a", "b"]);
        played.asked(late.map(|(_, request)| request));
        let acked = played.machine.publish_acked(NOW, ["a"], "data");
        played.asked(acked);
        for command in ["ping", "tags", "who", "own"] {
            let request = played.machine.request(NOW, command, &["t"], "d");
            played.asked(request);
        }
        played.drain();
        played
    }

    fn asked<T: std::fmt::Debug, E>(&mut self, request: Result<T, E>) {
        self.asked.extend(request.ok().map(|id| format!("{id:?}")));
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_action() {
            match output {
                Action::Send(bytes) => self.sent.extend(bytes),
                Action::Answer { request, result } => {
                    *self.answers.entry(format!("{request:?}")).or_default() += 1;
                    self.told.push(format!("{request:?} {result:?}"));
                }
                other => self.told.push(format!("{other:?}")),
            }
        }
    }

    /// Loses the connection, lets all time run out, and closes.
    fn end(mut self) -> (Vec<String>, Vec<u8>) {
        self.machine.handle_close(NOW, None, "over");
        self.drain();
        self.machine.handle_timeout(NOW + Duration::from_secs(3600));
        self.drain();
        self.machine.close();
        self.drain();
        for request in &self.asked {
            assert_eq!(self.answers.get(request), Some(&1), "answers to {request}");
        }
        // What it says is what a server can read, line by line.
        let text = str::from_utf8(&self.sent).expect("it speaks UTF-8");
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("it speaks JSON");
            assert!(value["command"].is_string(), "{line}");
        }
        assert!(text.is_empty() || text.ends_with('\n'), "half a message");
        (self.told, self.sent)
    }
}
