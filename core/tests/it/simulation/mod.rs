//! Whole histories of a broker from a seed, step by step beside the model.
//!
//! `MIST_SEEDS=200000` runs more of them; `MIST_SEED=17` runs one.

mod history;
mod host;

use std::collections::VecDeque;
use std::env;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::history::{Act, Form};
pub(crate) use self::history::{History, history};
use self::host::Host;
use super::dice::Dice;
use super::model::{Model, Sent};

/// Says it to both; what is behind a message that takes long waits until that is published.
fn say(
    model: &mut Model,
    host: &mut Host,
    session: usize,
    mut sent: VecDeque<Sent>,
    form: Form,
    has_turns: bool,
) {
    if host.is_publishing(session) {
        return host.behind.push((session, sent, form));
    }
    if !has_turns || !matches!(form, Form::Shared | Form::Frames) {
        sent.iter().for_each(|sent| model.say(session, sent));
        return host.say(session, sent.make_contiguous(), form);
    }
    while let Some(next) = sent.pop_front() {
        if host.say_one(session, &next, form) {
            model.begin_publish(session, &next);
            return host.behind.push((session, sent, form));
        }
        model.say(session, &next);
    }
}

/// Goes on with a message that is published in parts.
fn go_on(model: &mut Model, host: &mut Host, at: usize, delivered: &mut Vec<usize>) {
    let publisher = host.walks[at].0;
    delivered.resize(host.walks.len(), 0);
    let (targets, is_last) = host.go_on_publishing(at);
    delivered[at] += targets.len();
    model.go_on_publishing(at, &targets, is_last);
    if !is_last {
        return;
    }
    let is_there = model.connected().contains(&publisher);
    host.end_publishing(at, delivered.remove(at), is_there);
    let all = std::mem::take(&mut host.behind);
    let (theirs, others) = all.into_iter().partition(|behind| behind.0 == publisher);
    host.behind = others;
    let theirs: Vec<_> = theirs;
    for (_, sent, form) in theirs.into_iter().filter(|_| is_there) {
        say(model, host, publisher, sent, form, true);
    }
}

/// Runs a history on both; panics where they part.
pub(crate) fn run(history: &History, seed: u64, is_late: bool) {
    let mut model = Model::new(history.config.clone());
    let mut host = Host::new(history.config.clone(), seed, is_late);
    let mut seen = Vec::new();
    let mut now = 1_700_000_000;
    model.tell_time(now);
    host.broker.handle_time(now);
    // How many got each message that is being published.
    let mut delivered = Vec::new();
    let has_turns = history.config.turn.is_some();
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
                let sent = sent.iter().cloned().collect();
                say(&mut model, &mut host, session, sent, *form, has_turns);
            }
            Act::Pass(seconds) => {
                now += seconds;
                model.tell_time(now);
                host.broker.handle_time(now);
                host.settle();
            }
            Act::GoOn(which) => {
                if !host.walks.is_empty() {
                    let at = which % host.walks.len();
                    go_on(&mut model, &mut host, at, &mut delivered);
                }
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
    // At the end everything is published, every question is answered, and everybody goes.
    while !host.walks.is_empty() {
        go_on(&mut model, &mut host, 0, &mut delivered);
        check(&model, &host, &mut seen);
    }
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
    let (access, token_storage, token) = (config.access, config.token_storage, &config.token);
    panic!(
        "MIST_SEED={seed} fails ({access:?}, {token_storage:?}, token {token:?}):\n{story}{text}"
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
