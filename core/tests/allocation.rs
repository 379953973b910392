//! Publishing allocates nothing once its memory has the size it needs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mist_core::message::{Messages, Scan};
use mist_core::{Broker, Config, Credentials, Scratch, SessionId, Verdict};

/// Counts what this thread allocates; the test runner's other threads do as they like.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and is not asked for it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
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
                Verdict::Exclusive => panic!("a publish needs no exclusive access"),
            }
        }
        deliveries
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
