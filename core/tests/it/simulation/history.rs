//! What happens, rolled by dice.

use mist_core::{Access, Config, Limits, TokenStorage};

use super::super::dice::Dice;
use super::super::model::{BAD, Request, Sent, Spelling};

/// One thing that happens. Sessions and questions are counted round those there are, so that a history from which
/// things are left out is a history still.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Connect(Option<&'static str>),
    Disconnect(usize),
    Say(usize, Vec<Sent>, Form),
    Answer(usize),
    /// One of the messages that are being published in parts goes on.
    GoOn(usize),
    /// So many seconds pass.
    Pass(u64),
}

/// How what a session sends reaches the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
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
    pub(super) config: Config,
    pub(super) acts: Vec<Act>,
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
const TAGS: [&str; 10] = [
    "a",
    "b",
    "c",
    "d",
    "",
    "é\"x",
    "a b",
    "😀\n",
    "thirteenbytes",
    "$a",
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
        81..83 => "unregister",
        83..85 => "end",
        85..87 => "set",
        87..91 => "unset",
        91..93 => "tags",
        93..96 => "echo",
        96..98 => "nope",
        98 => "",
        _ => "Publish",
    };
    let is_about_token = [
        "auth",
        "register",
        "unregister",
        "end",
        "set",
        "unset",
        "tags",
    ]
    .contains(&command);
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
        // Unlike messages of other commands, these say what rights are meant, and for how long.
        rights: match is_about_token
            && match ["auth", "register", "set", "unset"].contains(&command) {
                true => dice.once_in(2),
                false => dice.once_in(8),
            } {
            true => dice.pick(&[
                "subscribe",
                "publish",
                "subscribe",
                "publish",
                "both",
                "all",
            ]),
            false => "",
        },
        ttl: match ["register", "set"].contains(&command) && dice.once_in(3) {
            true => dice.pick(&["5", "\"5s\"", "\"1m\"", "\"never\"", "0", "\"1.5s\"", "[]"]),
            false => "",
        },
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
        // As often as not, so that others do something in between.
        20..50 if !is_late && dice.once_in(2) => Act::GoOn(dice.below(64)),
        20..34 => Act::Connect(match dice.below(8) {
            0 => None,
            1..4 => Some("server"),
            4..6 => Some("t1"),
            6 => Some("t2"),
            _ => Some("nobody"),
        }),
        34..37 => Act::Pass(dice.pick(&[1, 2, 5, 70, 4_000])),
        37..41 => {
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
    config.token_storage = match dice.below(8) {
        0 => TokenStorage::None,
        1..5 if !is_late => TokenStorage::Host,
        _ => TokenStorage::Memory,
    };
    config.token = (!dice.once_in(8)).then(|| "server".to_owned());
    if !is_late {
        config.commands = vec!["echo".to_owned()];
        // Little, so that much is done in parts.
        config.turn = dice.pick(&[None, Some(0), Some(2), Some(5), Some(40)]);
    }
    let steps = 20 + dice.below(60);
    let mut acts = vec![Act::Connect(Some("server")), Act::Connect(None)];
    acts.extend((0..steps).map(|_| act(&mut dice, is_late)));
    History { config, acts }
}
