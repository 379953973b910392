//! Owns bad networks: between clients and server stands a proxy that cuts, stalls and half-closes what passes through.
//! Whatever it does, what arrives is whole, in order, once, and for this client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use mist_tests::wire::{Incoming, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{figure, gauges, message, server, sized};
use mist_tests::client::{Kind, PING, PONG, Place, eventually, is_well, tags_json};

/// What becomes of a connection once so many bytes have passed.
#[derive(Clone, Copy)]
enum Fate {
    /// Both sides see the end.
    Cut,
    /// Neither side sees anything any more.
    Blackhole,
    /// One side goes on, and the other hears nothing.
    HalfOpen,
}

/// Passes on bytes in pieces of any size until `left` is used up; says how many passed.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut dice: Rng,
    left: usize,
    fate: Fate,
) {
    let mut buffer = vec![0; 4096];
    let mut passed = 0;
    loop {
        let size = 1 + dice.usize(..buffer.len().min(left - passed));
        match from.read(&mut buffer[..size]).await {
            Ok(count) if count > 0 => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
                passed += count;
            }
            _ => return,
        }
        if passed == left {
            match fate {
                Fate::Cut => return,
                // Holds both ends open until the drill is over.
                Fate::Blackhole | Fate::HalfOpen => std::future::pending::<()>().await,
            }
        }
    }
}

/// Listens in front of `target`; the connections end with the task.
async fn proxy(target: SocketAddr, seeds: Arc<AtomicU64>, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await.expect("a connection");
            let mut dice = Rng::with_seed(seeds.fetch_add(1, Ordering::Relaxed));
            connections.spawn(async move {
                let Ok(server) = TcpStream::connect(target).await else {
                    return;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                // Mostly within a few messages, sometimes within the handshake.
                let (up, down) = (1 + dice.usize(..20_000), 1 + dice.usize(..20_000));
                let one = Rng::with_seed(dice.u64(..));
                let other = Rng::with_seed(dice.u64(..));
                match dice.usize(..3) {
                    0 => tokio::select! {
                        () = pass(from_client, to_server, one, up, Fate::Cut) => {}
                        () = pass(from_server, to_client, other, down, Fate::Cut) => {}
                    },
                    1 => {
                        let up = pass(from_client, to_server, one, up, Fate::Blackhole);
                        let down = pass(from_server, to_client, other, down, Fate::Blackhole);
                        tokio::join!(up, down);
                    }
                    _ => {
                        let up = pass(from_client, to_server, one, up, Fate::HalfOpen);
                        let down = pass(from_server, to_client, other, usize::MAX, Fate::Cut);
                        tokio::join!(up, down);
                    }
                }
            });
        }
    });
    address
}

async fn dial(place: Place, kind: Kind) -> Option<Wire> {
    let dialling = async {
        match kind {
            Kind::Tcp => Wire::tcp(place.tcp).await.ok(),
            Kind::Ws => Wire::ws(place.ws).await.ok(),
        }
    };
    within_reason(dialling).await.flatten()
}

/// Behind the proxy silence may last for ever. Whoever waits gives up some time, as clients do; a drill only gets
/// longer by it, never wrong.
async fn within_reason<T>(future: impl Future<Output = T>) -> Option<T> {
    let reason = std::time::Duration::from_millis(300);
    tokio::time::timeout(reason, future).await.ok()
}

/// `who:life:serial:filler`, where the filler follows from the rest.
fn data(who: usize, life: usize, serial: usize) -> String {
    let size = (who * 31 + life * 17 + serial * 7) % 600;
    format!("{who}:{life}:{serial}:{}", "z".repeat(size))
}

/// What a reader makes of a message: whole, and which.
fn read(tag: &str, bytes: &[u8]) -> (usize, usize, usize) {
    let text = str::from_utf8(bytes).expect("a message is UTF-8");
    let inner = text
        .split_once(r#""data":""#)
        .and_then(|(_, rest)| rest.strip_suffix("\"}"))
        .unwrap_or_else(|| panic!("not whole or not ours: {text}"));
    let mut numbers = inner.splitn(4, ':').map(str::parse::<usize>);
    let mut number = || numbers.next().and_then(Result::ok).expect("a number");
    let (who, life, serial) = (number(), number(), number());
    assert_eq!(
        text,
        message(tag, &data(who, life, serial)),
        "it is not what was sent"
    );
    (who, life, serial)
}

/// Publishes over one connection after the other until `lives` are spent.
async fn publish(place: Place, kind: Kind, who: usize, lives: usize) {
    for life in 0..lives {
        let Some(mut wire) = dial(place, kind).await else {
            continue;
        };
        for serial in 0..60 {
            let tag = format!("t{}", who % 2);
            let said = message(&tag, &data(who, life, serial));
            // Every tenth is asked for an answer, which tells how far the network still is one.
            let is_asking = serial % 10 == 9;
            let sending = async {
                wire.send(&said).await.ok()?;
                if is_asking {
                    wire.send(PING).await.ok()?;
                    (wire.recv().await == Incoming::Message(PONG.into())).then_some(())?;
                }
                Some(())
            };
            if within_reason(sending).await.flatten().is_none() {
                break;
            }
        }
    }
}

/// Reads over one connection after the other until it is aborted; counts what came.
async fn follow(place: Place, kind: Kind, tag: &'static str, count: Arc<AtomicU64>) {
    let mut last = std::collections::HashMap::new();
    let subscribe = format!(r#"{{"command":"subscribe","tags":{}}}"#, tags_json(&[tag]));
    loop {
        let Some(mut wire) = dial(place, kind).await else {
            continue;
        };
        if wire.send(&subscribe).await.is_err() {
            continue;
        }
        while let Some(Incoming::Message(came)) = within_reason(wire.next()).await {
            // What a cut leaves of a line is not a message: on TCP the end of the stream shows it.
            if kind == Kind::Tcp && !came.ends_with(b"}") {
                break;
            }
            let (who, life, serial) = read(tag, &came);
            let before = last.insert((who, life), serial);
            assert!(
                before < Some(serial),
                "{who}, life {life}: {serial} after {before:?}"
            );
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_stalls_and_half_open_connections_change_nothing_for_others() {
    let lives = sized(10, 200);
    let server = server(&[]);
    let direct = Place::of(&server);
    let mut background = JoinSet::new();
    let seeds = Arc::new(AtomicU64::new(1));
    let bad = Place {
        tcp: proxy(direct.tcp, Arc::clone(&seeds), &mut background).await,
        ws: proxy(direct.ws, Arc::clone(&seeds), &mut background).await,
    };
    // One who hears everything, without the proxy: each publisher's connection is a beginning without gaps.
    let mut healthy = direct.tcp().await;
    healthy.subscribe(&["t0"]).await;
    let hearing = tokio::spawn(async move {
        let mut next = std::collections::HashMap::<(usize, usize), usize>::new();
        let mut all = 0;
        loop {
            match healthy.wire.next().await {
                Incoming::Message(came) if came == message("t0", "end").as_bytes() => return all,
                Incoming::Message(came) => {
                    let (who, life, serial) = read("t0", &came);
                    assert_eq!(who % 2, 0, "a message for others");
                    let wanted = next.entry((who, life)).or_default();
                    assert_eq!(serial, *wanted, "{who} in its life {life}");
                    *wanted += 1;
                    all += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    });
    let through = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for index in 0..6 {
        let tag = ["t0", "t1"][index % 2];
        readers.spawn(follow(bad, Kind::of(index / 2), tag, Arc::clone(&through)));
    }
    let mut publishers = JoinSet::new();
    for who in 0..6 {
        publishers.spawn(publish(bad, Kind::of(who / 2), who, lives));
    }
    while let Some(done) = publishers.join_next().await {
        done.expect("no publisher fails");
    }
    // None has failed until it is told to end.
    if let Some(failed) = readers.try_join_next() {
        failed.expect("what came through the proxy is whole, in order and ours");
    }
    readers.shutdown().await;
    background.shutdown().await;
    // What the proxy held back may still be on its way in.
    let mut witness = direct.tcp().await;
    eventually(direct, "only the healthy reader is left", async || {
        witness.send(r#"{"command":"who"}"#).await;
        witness.recv().await.contains("Subscribers connected: 1")
    })
    .await;
    witness.close().await;
    eventually(direct, "the publishers are gone", async || {
        // The reader, the one who waits here, and the one that asks.
        gauges(&server).await["mist_connections"] <= 3
    })
    .await;
    let mut last = direct.tcp().await;
    last.publish(&["t0"], "end").await;
    let all = hearing.await.expect("it hears whole beginnings");
    let through = through.load(Ordering::Relaxed);
    figure(
        "network",
        "connections through the proxy",
        seeds.load(Ordering::Relaxed) - 1,
    );
    figure("network", "messages heard without it", all);
    figure("network", "messages heard through it", through);
    assert!(all > 0 && through > 0, "{all} and {through} messages");
    is_well(direct).await;
}
