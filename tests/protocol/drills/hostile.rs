//! Owns clients that do nothing forbidden, and as much of it as they can: what others wait meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use mist_tests::PATIENCE;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;

use super::{figure, server, sized};
use mist_tests::client::{PING, PONG, Place, is_well};

const HOSTILE: usize = 20;

/// What hostile clients present, where they have to; `granted` is the only tag that they may use.
const AUTH: &str = r#"{"command":"auth","data":"hostile"}"#;

/// A tag set of its own for each number: a granted tag, in one of sixteen the one that is taken away, and ten more.
fn many_tags(number: usize) -> String {
    let granted = if number.is_multiple_of(16) {
        "taken"
    } else {
        "granted"
    };
    let tags = (0..10).map(|tag| format!(r#","{tag}-{}""#, number >> tag));
    format!(r#"["{granted}"{}]"#, tags.collect::<String>())
}

/// Any command, as lines of 60 KiB in all.
fn commands(dice: &mut Rng, held: usize) -> String {
    let favourite = dice.usize(..12);
    let mut lines = String::new();
    while lines.len() < 60_000 {
        let kind = if dice.usize(..4) == 0 {
            dice.usize(..12)
        } else {
            favourite
        };
        let number = dice.usize(..held);
        let line = match kind {
            0 => r#"{"command":"list"}"#.to_owned(),
            1 => r#"{"command":"listall"}"#.to_owned(),
            2 => r#"{"command":"who","id":1}"#.to_owned(),
            3 => format!(
                r#"{{"command":"unsubscribe","tags":{}}}"#,
                many_tags(number)
            ),
            4 | 5 => format!(r#"{{"command":"subscribe","tags":{}}}"#, many_tags(number)),
            6 => format!(
                r#"{{"command":"publish","tags":{},"data":"x"}}"#,
                many_tags(number)
            ),
            7 => format!(r#"{{"command":"publish","tags":["granted"],"id":{number}}}"#),
            8 => r#"{"command":"nonsense","tags":["a","b"],"data":"x"}"#.to_owned(),
            9 => r#"{"command":"tags","data":"hostile"}"#.to_owned(),
            10 => format!("nonsense\n{PING}"),
            _ => PING.to_owned(),
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

async fn read_all(mut stream: OwnedReadHalf) {
    let mut buffer = vec![0; 64 << 10];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// Subscribes to much, then says anything, over and over; leaves and comes back now and then.
async fn be_hostile(
    address: SocketAddr,
    seed: usize,
    held: usize,
    is_over: Arc<AtomicBool>,
    ready: Arc<AtomicUsize>,
) {
    let mut dice = Rng::with_seed(seed as u64);
    // Made beforehand, so that this process leaves the processors to the server.
    let batches: Vec<_> = (0..16).map(|_| commands(&mut dice, held)).collect();
    let subscribe = |number| {
        format!(
            "{{\"command\":\"subscribe\",\"tags\":{}}}\n",
            many_tags(number)
        )
    };
    let head = format!("{AUTH}\n{}", (0..held).map(subscribe).collect::<String>());
    for visit in 0.. {
        let stream = tokio::net::TcpStream::connect(address)
            .await
            .expect("it listens");
        let (input, mut output) = stream.into_split();
        // Some never read what they asked for.
        let reader = (!seed.is_multiple_of(3)).then(|| tokio::spawn(read_all(input)));
        let _ = output.write_all(head.as_bytes()).await;
        if visit == 0 {
            ready.fetch_add(1, Ordering::Relaxed);
        }
        for _ in 0..40 {
            let writing = output.write_all(dice.choice(&batches).expect("one of them").as_bytes());
            // Whoever does not read is not read from in the end.
            let written = tokio::time::timeout(Duration::from_millis(200), writing).await;
            if is_over.load(Ordering::Relaxed) || !matches!(written, Ok(Ok(()))) {
                break;
            }
        }
        if let Some(reader) = reader {
            reader.abort();
        }
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Subscribes to sets that have three tags of sixty-two in common with what it publishes, and two that it has not: all of
/// them have to be looked at, and none matches. Those of many clients are more than one turn may look at.
async fn publish_long(
    address: SocketAddr,
    seed: usize,
    held: usize,
    is_over: Arc<AtomicBool>,
    ready: Arc<AtomicUsize>,
) {
    let mut subscribe = String::new();
    for number in seed * held..(seed + 1) * held {
        let mut rest = number;
        let mut next = |below: usize| {
            let digit = rest % below;
            rest /= below;
            digit
        };
        // Each number is another set.
        let (a, b, c) = (next(20), 20 + next(21), 41 + next(21));
        let (x, y) = (next(12), 12 + next(12));
        subscribe.push_str(&format!(
            "{{\"command\":\"subscribe\",\"tags\":[\"{a}\",\"{b}\",\"{c}\",\"no{x}\",\"no{y}\"]}}\n"
        ));
    }
    let tags: Vec<_> = (0..62).map(|tag| format!("\"{tag}\"")).collect();
    let tags = tags.join(",");
    let publish =
        format!("{{\"command\":\"publish\",\"tags\":[{tags}],\"data\":\"x\",\"id\":1}}\n");
    let stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("it listens");
    let (input, mut output) = stream.into_split();
    let mut answers = tokio::io::BufReader::new(input).lines();
    let ping = format!("{PING}\n");
    for lines in [&subscribe, &ping] {
        let written = output.write_all(lines.as_bytes()).await;
        written.expect("it is taken");
    }
    let pong = answers.next_line().await.expect("it is answered");
    assert_eq!(pong.as_deref(), Some(PONG));
    ready.fetch_add(1, Ordering::Relaxed);
    while !is_over.load(Ordering::Relaxed) {
        let written = output.write_all(publish.as_bytes()).await;
        written.expect("it is taken");
        let answer = answers.next_line().await.expect("it is answered");
        let answer = answer.expect("it is open");
        assert!(answer.contains(r#""delivered":0"#), "{answer}");
    }
}

/// A client that waits for each answer.
struct Bystander {
    input: BufReader<TcpStream>,
    output: TcpStream,
}

impl Bystander {
    fn connect(address: SocketAddr, token: &str) -> Self {
        let output = TcpStream::connect(address).expect("it listens");
        output.set_nodelay(true).expect("a socket");
        // Whoever is not answered at all fails.
        output.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let input = BufReader::new(output.try_clone().expect("a socket"));
        let mut bystander = Self { input, output };
        let auth = format!(r#"{{"command":"auth","data":"{token}","id":0}}"#);
        bystander.ask(&auth, r#"{"command":"auth","data":"success","id":0}"#);
        bystander
    }

    fn ask(&mut self, message: &str, answer: &str) {
        let line = format!("{message}\n");
        self.output.write_all(line.as_bytes()).expect("it is taken");
        let mut read = String::new();
        self.input.read_line(&mut read).expect("it is answered");
        assert_eq!(read.trim_end(), answer);
    }
}

/// Measures what a bystander waits: for pings, and for new connections with a subscription.
fn stand_by(address: SocketAddr, bystander: &mut Bystander, is_visit: bool) -> [Duration; 2] {
    let start = Instant::now();
    bystander.ask(PING, PONG);
    let ping = start.elapsed();
    let start = Instant::now();
    if is_visit {
        let mut visitor = Bystander::connect(address, "bystander");
        visitor.ask(
            r#"{"command":"subscribe","tags":["quiet"],"id":1}"#,
            r#"{"command":"subscribe","tags":["quiet"],"data":"success","id":1}"#,
        );
    }
    [ping, start.elapsed()]
}

/// Stands by at several servers in turn; returns pings and visits of each.
fn stand_by_all<const N: usize>(
    addresses: [SocketAddr; N],
    rounds: usize,
) -> [[Vec<Duration>; 2]; N] {
    let mut bystanders = addresses.map(|address| Bystander::connect(address, "bystander"));
    let mut all = addresses.map(|_| [Vec::new(), Vec::new()]);
    for round in 0..rounds {
        let is_visit = round % 8 == 0;
        for ((address, bystander), [pings, visits]) in
            addresses.into_iter().zip(&mut bystanders).zip(&mut all)
        {
            let [ping, visit] = stand_by(address, bystander, is_visit);
            pings.push(ping);
            if is_visit {
                visits.push(visit);
            }
        }
        // Not a wait for something: whoever asks without a pause is itself what others wait for.
        std::thread::sleep(Duration::from_millis(1));
    }
    all
}

fn report(access: &str, what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let milliseconds = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let text = format!(
        "{} / {} / {} ms",
        milliseconds(at(0.5)),
        milliseconds(at(0.99)),
        milliseconds(at(1.0))
    );
    figure(
        "hostile",
        &format!("{access}: {what}, half / 99 % / all within"),
        text,
    );
}

async fn drill(access: &str) {
    let arguments = [
        "--authenticator",
        "memory://",
        "--token",
        "T",
        "--access",
        access,
    ];
    // The second one is left in peace: what its clients wait is due to the processors being busy.
    let servers = [server(&arguments), server(&arguments)];
    let [place, calm] = [Place::of(&servers[0]), Place::of(&servers[1])];
    let mut admin = place.admin(mist_tests::client::Kind::Tcp, "T").await;
    let mut calm_admin = calm.admin(mist_tests::client::Kind::Tcp, "T").await;
    for (token, tag) in [("hostile", "granted"), ("bystander", "quiet")] {
        let register =
            format!(r#"{{"command":"register","data":"{token}","tags":["{tag}"],"id":1}}"#);
        for admin in [&mut admin, &mut calm_admin] {
            admin.send(&register).await;
            admin.expect_like("*success*").await;
        }
    }
    let (is_over, ready) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let hostile: Vec<_> = (0..HOSTILE)
        .map(|seed| {
            let held = sized(200, 10_000);
            let (is_over, ready) = (Arc::clone(&is_over), Arc::clone(&ready));
            tokio::spawn(be_hostile(place.tcp, seed, held, is_over, ready))
        })
        .collect();
    while ready.load(Ordering::Relaxed) < HOSTILE {
        admin.barrier().await;
    }
    let rounds = sized(30, 400);
    let addresses = [place.tcp, calm.tcp];
    let measured = tokio::task::spawn_blocking(move || stand_by_all(addresses, rounds));
    // Taking a grant away looks at all that its holders have.
    let mut changes = 0;
    while !measured.is_finished() {
        for command in ["set", "unset"] {
            let change =
                format!(r#"{{"command":"{command}","data":"hostile","tags":["taken"],"id":2}}"#);
            admin.send(&change).await;
            admin.expect_like("*success*").await;
        }
        changes += 1;
    }
    let [[pings, visits], [calm_pings, calm_visits]] =
        measured.await.expect("the bystander is well");
    report(access, "a ping", pings);
    report(access, "a ping, a server beside", calm_pings);
    report(access, "connect and subscribe", visits);
    report(
        access,
        "connect and subscribe, a server beside",
        calm_visits,
    );
    figure(
        "hostile",
        &format!("{access}: grants taken and given back"),
        changes,
    );
    is_over.store(true, Ordering::Relaxed);
    for client in hostile {
        client.await.expect("no hostile client fails");
    }
    if access == "open" {
        is_well(place).await;
    }
    admin.barrier().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_say_anything_hold_up_nobody_where_all_is_open() {
    drill("open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_say_anything_hold_up_nobody_where_tokens_are_needed() {
    drill("scoped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_whose_messages_look_at_very_many_sets_hold_up_nobody() {
    let servers = [server(&[]), server(&[])];
    let [place, calm] = [Place::of(&servers[0]), Place::of(&servers[1])];
    let (is_over, ready) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let hostile: Vec<_> = (0..HOSTILE)
        .map(|seed| {
            let held = sized(1_000, 60_000);
            let (is_over, ready) = (Arc::clone(&is_over), Arc::clone(&ready));
            tokio::spawn(publish_long(place.tcp, seed, held, is_over, ready))
        })
        .collect();
    let mut client = place.tcp().await;
    while ready.load(Ordering::Relaxed) < HOSTILE {
        client.barrier().await;
    }
    let rounds = sized(30, 400);
    let addresses = [place.tcp, calm.tcp];
    let measured = tokio::task::spawn_blocking(move || stand_by_all(addresses, rounds));
    let [[pings, visits], [calm_pings, calm_visits]] =
        measured.await.expect("the bystander is well");
    let access = "long publishes";
    report(access, "a ping", pings);
    report(access, "a ping, a server beside", calm_pings);
    report(access, "connect and subscribe", visits);
    report(
        access,
        "connect and subscribe, a server beside",
        calm_visits,
    );
    is_over.store(true, Ordering::Relaxed);
    for client in hostile {
        client.await.expect("no hostile client fails");
    }
    is_well(place).await;
}
