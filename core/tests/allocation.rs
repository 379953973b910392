//! What is allocated: nothing for publishing once its memory has the size it needs, for subscriptions what their limit
//! counts, and for long lists little more than they are long.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mist_core::message::{Messages, Scan};
use mist_core::{Broker, Config, Credentials, Listing, Long, Output, Scratch, SessionId, Verdict};

/// Counts what this thread allocates; the test runner's other threads do as they like.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that are allocated now.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// The most of them at a time.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(taken: usize, given_back: usize) {
    // A thread that is ending has no counter any more, and is not asked for it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + taken as isize - given_back as isize);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

/// Returns what `work` returns, and the bytes that were allocated at most meanwhile, besides what was before.
fn at_most<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as usize)
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let _ = LIVE.try_with(|live| live.set(live.get() - layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a host keeps per thread.
#[derive(Default)]
struct Worker {
    scan: Scan,
    scratch: Scratch,
    out: Vec<u8>,
}

impl Worker {
    /// Publishes all that is in `lines`; returns how many deliveries that makes.
    fn publish(&mut self, broker: &Broker, session: SessionId, lines: &[u8]) -> usize {
        let mut deliveries = 0;
        self.out.clear();
        let mut messages = Messages::lines(lines);
        while let Some(message) = messages.next(&mut self.scan, broker.limits()) {
            let message = message.expect("all of it is valid");
            match broker.decide(session, &message, &mut self.scratch) {
                Verdict::Deliver(receipt) => {
                    assert!(receipt.is_none());
                    let targets = self.scratch.targets().len();
                    if targets > 0 {
                        self.scratch.write_body(&message, &mut self.out);
                    }
                    deliveries += targets;
                }
                Verdict::Reply => self.out.extend_from_slice(self.scratch.reply()),
                Verdict::Long(_) | Verdict::Exclusive => panic!("a publish is decided at once"),
            }
        }
        deliveries
    }

    /// Begins a long answer.
    fn begin_list(&mut self, broker: &Broker, session: SessionId, command: &str) -> Listing {
        let line = format!("{{\"command\":\"{command}\"}}\n");
        let mut messages = Messages::lines(line.as_bytes());
        let message = messages.next(&mut self.scan, broker.limits());
        let message = message.expect("one").expect("valid");
        match broker.decide(session, &message, &mut self.scratch) {
            Verdict::Long(Long::Listing(listing)) => listing,
            verdict => panic!("it is long: {verdict:?}"),
        }
    }
}

#[test]
fn publishing_allocates_nothing_once_it_is_warm() {
    let mut broker = Broker::new(Config::default(), 1);
    let writer = broker.connect(Credentials::default());
    broker.handle_message(writer, br#"{"command":"ping"}"#);
    let sets = [
        r#"["a"]"#,
        r#"["a","b"]"#,
        r#"["b","c","d"]"#,
        r#"["a","b","c","d","e"]"#,
        r#"["caf\u00e9"]"#,
        r#"["shared"]"#,
    ];
    for number in 0..60 {
        let reader = broker.connect(Credentials::default());
        for set in [sets[number % sets.len()], sets[number / 2 % sets.len()]] {
            let message = format!(r#"{{"command":"subscribe","tags":{set}}}"#);
            broker.handle_message(reader, message.as_bytes());
        }
    }
    broker.handle_message(writer, br#"{"command":"subscribe","tags":["a"]}"#);
    while broker.poll_output().is_some() {}

    let kinds = [
        (
            "one set that matches",
            10,
            r#"{"command":"publish","tags":["shared"],"data":"x"}"#,
        ),
        (
            "several sets that match",
            10,
            r#"{"command":"publish","tags":["a","b","c","d","e"],"data":"x"}"#,
        ),
        (
            "nothing that matches",
            0,
            r#"{"command":"publish","tags":["unheard","of"],"data":"x"}"#,
        ),
        (
            "tags that are not sorted",
            10,
            r#"{"command":"publish","tags":["e","d","c","b","a","a"],"data":"x"}"#,
        ),
        (
            "tags with escapes",
            10,
            r#"{"command":"publish","tags":["caf\u00e9","\n"],"data":"\"\n\u0000"}"#,
        ),
        ("no data", 1, r#"{"command":"publish","tags":["a"]}"#),
        (
            "another order of fields",
            1,
            r#" { "x" : [1,{}] , "data":"x" , "tags" : [ "a" ] , "command" : "publish" } "#,
        ),
        ("a ping", 0, r#"{"command":"ping"}"#),
    ];
    let mut worker = Worker::default();
    for (kind, fewest, line) in kinds {
        let lines = format!("{line}\n{line}\r\n{line}{line}\n");
        let warm = worker.publish(&broker, writer, lines.as_bytes());
        assert!(
            warm >= 4 * fewest && (fewest > 0 || warm == 0),
            "{kind}: {warm} deliveries"
        );
        let before = ALLOCATIONS.get();
        for _ in 0..20 {
            assert_eq!(worker.publish(&broker, writer, lines.as_bytes()), warm);
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "allocations for {kind}");
    }
    // The counter counts.
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

/// Subscribes as `tags_of` says until the limit of all sessions refuses, each `per_session` subscriptions of one session;
/// returns the sessions.
fn fill(
    broker: &mut Broker,
    per_session: usize,
    tags_of: impl Fn(usize) -> Vec<String>,
) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for number in 0.. {
        if number % per_session == 0 {
            sessions.push(broker.connect(Credentials::default()));
        }
        let tags = tags_of(number);
        let line = format!(
            "{{\"command\":\"subscribe\",\"tags\":[\"{}\"]}}",
            tags.join("\",\"")
        );
        broker.handle_message(*sessions.last().expect("one was added"), line.as_bytes());
        if broker.poll_output().is_some() {
            break;
        }
    }
    sessions
}

#[test]
fn subscriptions_take_the_memory_that_their_limit_counts_and_give_it_back() {
    const LIMIT: usize = 8 << 20;
    type TagsOf = fn(usize) -> Vec<String>;
    let kinds: [(&str, usize, TagsOf); 6] = [
        ("two tags, one of them new", 10_000, |number| {
            vec![format!("common{}", number % 1000), format!("new{number}")]
        }),
        ("one short tag", 10_000, |number| vec![format!("{number}")]),
        ("one long tag", 100, |number| {
            vec![format!("{number:0>1024}")]
        }),
        ("many long tags", 100, |number| {
            (0..32)
                .map(|tag| format!("{number}-{tag:0>1000}"))
                .collect()
        }),
        ("many tags that are shared", 10_000, |number| {
            (0..16)
                .map(|tag| format!("{}", number / (tag + 1)))
                .collect()
        }),
        ("few sets that all have", 200, |number| {
            vec![format!("a{}", number % 200), "b".to_owned()]
        }),
    ];
    for (kind, per_session, tags_of) in kinds {
        let mut config = Config::default();
        config.limits.subscription_total_bytes = LIMIT;
        config.limits.subscription_bytes = usize::MAX;
        let mut broker = Broker::new(config, 1);
        let live = || LIVE.with(Cell::get) as usize;
        let before = live();
        let sessions = fill(&mut broker, per_session, tags_of);
        let taken = live() - before;
        let ratio = taken as f64 / LIMIT as f64;
        assert!((0.6..1.8).contains(&ratio), "{kind}: {taken} of {LIMIT}");
        let stays = broker.connect(Credentials::default());
        broker.handle_message(stays, br#"{"command":"subscribe","tags":["stays","last"]}"#);
        for session in sessions {
            broker.disconnect(session);
        }
        while broker.poll_output().is_some() {}
        let left = live() - before;
        assert!(left < LIMIT / 8, "{kind}: {left} bytes are left of {taken}");
    }
}

/// Many subscriptions of one session that may ask for them.
fn with_many(tags_of: impl Fn(usize) -> Vec<String>) -> (Broker, SessionId) {
    let mut broker = Broker::new(Config::default(), 1);
    let session = broker.connect(Credentials::default());
    broker.handle_message(session, br#"{"command":"ping"}"#);
    for number in 0..50_000 {
        let tags = tags_of(number).join("\",\"");
        let line = format!("{{\"command\":\"subscribe\",\"tags\":[\"{tags}\"]}}");
        broker.handle_message(session, line.as_bytes());
    }
    while broker.poll_output().is_some() {}
    (broker, session)
}

#[test]
fn a_long_list_of_short_tags_takes_less_than_three_times_its_size() {
    type TagsOf = fn(usize) -> Vec<String>;
    let kinds: [(&str, TagsOf); 3] = [
        ("list", |number| vec![format!("{number:x}")]),
        ("list", |number| {
            vec![format!("{}", number / 250), format!("{}", number % 250)]
        }),
        ("listall", |number| vec![format!("{number:x}")]),
    ];
    for (command, tags_of) in kinds {
        let (broker, session) = with_many(tags_of);
        let mut worker = Worker::default();
        let (answer, taken) = at_most(|| {
            let mut listing = worker.begin_list(&broker, session, command);
            while !broker.list_some(&mut listing) {}
            listing.encode()
        });
        assert!(answer.len() > 200_000, "{command}: {}", answer.len());
        let ratio = taken as f64 / answer.len() as f64;
        assert!(ratio < 3.0, "{command}: {taken} for {}", answer.len());
    }
}

#[test]
fn what_was_found_for_a_session_that_has_gone_is_given_back_with_the_next_part() {
    for command in ["list", "listall"] {
        let (mut broker, session) = with_many(|number| vec![format!("{number:x}")]);
        let mut listing = Worker::default().begin_list(&broker, session, command);
        let before = LIVE.get();
        assert!(!broker.list_some(&mut listing));
        let found = LIVE.get() - before;
        assert!(found > 200_000, "{command}: {found}");
        broker.disconnect(session);
        let before = LIVE.get();
        assert!(broker.list_some(&mut listing), "nobody waits for it");
        assert_eq!(before - LIVE.get(), found, "{command}");
    }
}

#[test]
fn a_tag_that_is_too_long_whatever_its_escapes_stand_for_is_not_decoded() {
    let mut broker = Broker::new(Config::default(), 1);
    let session = broker.connect(Credentials::default());
    assert!(broker.add_command("custom"));
    let tag = "\\u0041".repeat(600_000);
    for command in ["subscribe", "unsubscribe", "publish", "custom"] {
        let line = format!("{{\"command\":\"{command}\",\"tags\":[\"{tag}\"]}}");
        let (_, taken) = at_most(|| broker.handle_message(session, line.as_bytes()));
        assert!(taken < 16 << 10, "{command}: {taken}");
        let Some(Output::Send { message, .. }) = broker.poll_output() else {
            panic!("{command} is refused");
        };
        let refusal = "600000 bytes in a tag exceed the limit of 1024 (tag-bytes)";
        let answer = String::from_utf8(message).expect("UTF-8");
        assert!(answer.contains(refusal), "{answer}");
    }
}
