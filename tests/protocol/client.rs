//! Owns the tables of what a client decides: holds the core's client to them, and records them anew when it is asked to
//! (`MIST_RECORD=1`). Must not open a socket.
//!
//! Any other client can play them too: it is told what happens and when, and has to want the same done.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use mist_tests::player::{Player, Settings, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Table {
    about: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    options: Settings,
    steps: Vec<Step>,
}

fn path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    folder.join(name)
}

fn read(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("it is JSON")
}

/// The table as it stands in its file: a step is a line.
fn written(about: &str, cases: &[Case]) -> String {
    let mut out = format!("{{\n  \"about\": {},\n  \"cases\": [", text(about));
    for (index, case) in cases.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (name, options) = (text(&case.name), text(&case.options));
        let _ = write!(
            out,
            "{comma}\n    {{\"name\": {name}, \"options\": {options}, \"steps\": ["
        );
        for (index, step) in case.steps.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(out, "{comma}\n      {}", text(step));
        }
        out.push_str("\n    ]}");
    }
    out.push_str("\n  ]\n}\n");
    out
}

/// Says where two texts differ first, unless the new one is to be recorded.
fn hold(name: &str, new: &str) {
    if std::env::var_os("MIST_RECORD").is_some() {
        std::fs::write(path(name), new).expect("the table can be written");
    }
    let old = read(name);
    if let Some((line, (old, new))) = old
        .lines()
        .zip(new.lines())
        .enumerate()
        .find(|(_, (old, new))| old != new)
    {
        let line = line + 1;
        panic!(
            "{name}:{line} says\n{old}\nand the core's client does\n{new}\n\
             Record what it does with MIST_RECORD=1, if that is right"
        );
    }
    assert_eq!(old.lines().count(), new.lines().count(), "{name}");
}

#[test]
fn the_client_decides_as_the_table_says() {
    let mut table: Table = serde_json::from_str(&read("client.json")).expect("client.json");
    for case in &mut table.cases {
        let mut player = Player::new(&case.options);
        for step in &mut case.steps {
            player.play(step);
        }
    }
    hold("client.json", &written(&table.about, &table.cases));
}

#[test]
fn the_client_lives_through_its_histories_as_they_are_told() {
    let cases: Vec<Case> = (0..20).map(history).collect();
    let about = "As client.json, with verbs, news and answers as they fall out of a seed.";
    hold("histories.json", &written(about, &cases));
}

/// Numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 33) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

const SETS: [&[&str]; 6] = [
    &["a"],
    &["b"],
    &["a", "b"],
    &["b", "a"],
    &["é", "a", "c"],
    &[""],
];

const NEWS: [&str; 10] = [
    r#"{"command":"publish","tags":["a","b"],"data":"x"}"#,
    r#"{"command":"publish","tags":["","a","c","é"]}"#,
    r#"{"command":"dropped","data":"12"}"#,
    r#"{"command":"throttled"}"#,
    r#"{"command":"auth","error":"the token has expired","code":"token-expired"}"#,
    r#"{"command":"unsubscribe","tags":["a"],"error":"subscription removed","code":"revoked"}"#,
    r#"{"command":"unsubscribe","tags":["b","a"],"error":"subscription removed","code":"revoked"}"#,
    r#"{"command":"publish","tags":["a"],"error":"no grant","code":"not-granted"}"#,
    r#"{"command":5}"#,
    r#"{"command":"ping","data":"pong","id":999}"#,
];

/// The life of a client whose network and broker do as the dice fall.
fn history(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let options = Settings {
        heartbeat: Some(dice.one_of(&[0, 25_000])),
        retry: (dice.below(8) == 0).then(Vec::new),
        offline: (dice.below(2) == 0).then_some([3, 300, 5000]),
        ..Settings::default()
    };
    let mut player = Player::new(&options);
    let mut steps: Vec<Step> = Vec::new();
    // What was sent and has no answer yet.
    let mut sent: Vec<Value> = Vec::new();
    let mut subscriptions = 0;
    let mut verb = vec![json!("begin")];
    let mut wait = Value::Null;
    for _ in 0..70 {
        let mut step = Step {
            wait,
            at: 0,
            verb,
            gives: Value::Null,
            then: Vec::new(),
            due: None,
        };
        player.play(&mut step);
        for output in &step.then {
            match output[0].as_str() {
                Some("send") => {
                    let line = output[1].as_str().unwrap_or_default();
                    sent.push(serde_json::from_str(line).expect("JSON"));
                }
                Some("connecting" | "waiting") => sent.clear(),
                _ => {}
            }
        }
        let is_told = |what| step.then.iter().any(|output| output[0] == what);
        let (is_asked, is_closed) = (is_told("obtain-token"), is_told("closed"));
        subscriptions += u64::from(step.verb[0] == "subscribe");
        steps.push(step);
        if is_closed {
            break;
        }
        wait = json!(dice.below(3) * dice.below(2000));
        verb = match dice.below(24) {
            0..3 => {
                wait = json!("due");
                vec![json!("timeout")]
            }
            3..6 => match dice.below(3) {
                0 => vec![json!("open")],
                at => vec![json!("open"), json!("t"), json!(at == 1)],
            },
            6 => {
                let code = dice.one_of(&[None, Some(1006), Some(1012)]);
                vec![json!("lost"), json!(code), json!("cut")]
            }
            7 => vec![json!("token"), json!("next")],
            _ if is_asked && dice.below(4) > 0 => vec![json!("token"), json!("other")],
            8 if dice.below(3) == 0 => {
                vec![json!("no-token"), json!("away"), json!(dice.below(4) == 0)]
            }
            8 | 9 => vec![json!("receive"), json!(dice.one_of(&NEWS))],
            10 if steps.len() > 40 => vec![json!("close")],
            10 => vec![json!("probe")],
            11..13 => vec![json!("subscribe"), json!(sorted(dice.one_of(&SETS)))],
            13 => vec![
                json!("unsubscribe"),
                json!(1 + dice.below(subscriptions + 1)),
            ],
            14 => vec![json!("publish"), json!(dice.one_of(&SETS)), json!("x")],
            15 => vec![
                json!("publish-acked"),
                json!(dice.one_of(&SETS)),
                json!("y"),
            ],
            16 => vec![json!("request"), json!("who"), json!([]), json!("")],
            _ if sent.is_empty() => vec![json!("probe")],
            _ => {
                let asked = sent.remove(0);
                vec![json!("receive"), json!(reply(&asked, &mut dice))]
            }
        };
    }
    let name = format!("seed {seed}");
    Case {
        name,
        options,
        steps,
    }
}

/// The order in which a client is given its tags does not matter to the core, but to clients that sort before.
fn sorted(tags: &[&'static str]) -> Vec<&'static str> {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags
}

/// What a broker may answer.
fn reply(asked: &Value, dice: &mut Dice) -> String {
    let mut reply = json!({ "command": asked["command"], "id": asked["id"] });
    match dice.below(8) {
        0 => {
            let codes = ["not-granted", "store-unavailable", "wrong-token"];
            reply["code"] = dice.one_of(&codes).into();
            reply["error"] = "no".into();
        }
        more => {
            reply["data"] = "success".into();
            reply["delivered"] = more.into();
            if asked["command"] == "auth" {
                reply["expires_in"] = (60 * more).into();
            }
        }
    }
    reply.to_string()
}
