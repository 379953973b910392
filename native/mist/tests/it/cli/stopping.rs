//! How a server ends: in which order it lets go, how it is hurried, and where it is the first process or gets its sockets
//! from a service manager.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use mist_tests::client::{Kind, Place};
use mist_tests::wire::Incoming;

use super::*;

const ALL: &str = "tcp://127.0.0.1:0,ws://127.0.0.1:0,http://127.0.0.1:0";

/// What `/readyz` is answered with.
fn readiness(running: &Process) -> String {
    let address = running.address("http");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer.split(' ').nth(1).expect("a status").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn first_it_is_not_ready_and_serves_then_it_lets_go() {
    let mut server = Process::start_on(ALL, &["--drain-delay", "2s", "--drain", "500ms"]);
    let place = Place::of(&server);
    assert_eq!(readiness(&server), "200");
    let mut clients = Vec::new();
    for index in 0..10 {
        let mut client = place.connect(Kind::of(index)).await;
        client.subscribe(&["x"]).await;
        clients.push(client);
    }
    server.signal("TERM");
    server.says("stopping: not ready from now on, no new connections in 2s");
    // The line is written a moment before.
    while readiness(&server) == "200" {}
    assert_eq!(readiness(&server), "503");
    // Who comes all the same is served.
    let mut publisher = place.tcp().await;
    publisher.publish(&["x"], "last").await;
    publisher.barrier().await;
    for client in &mut clients {
        let last = r#"{"command":"publish","tags":["x"],"data":"last"}"#;
        client.expect(last).await;
        let code = client.expect_closed().await;
        let wanted = (client.kind == Kind::Ws).then_some(1012);
        assert_eq!(code, wanted, "service restart");
    }
    assert!(TcpStream::connect(place.tcp).is_err(), "it still listens");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_one_after_the_other_until_it_is_hurried() {
    let mut server = Process::start_on(ALL, &["--drain", "1h"]);
    let place = Place::of(&server);
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = place.ws().await;
        client.barrier().await;
        clients.push(client);
    }
    server.signal("TERM");
    server.says("closing those that are open over 3600s");
    let (gone, _, mut others) = futures_util::future::select_all(
        clients
            .iter_mut()
            .map(|client| Box::pin(client.wire.recv())),
    )
    .await;
    assert_eq!(gone, Incoming::Closed(Some(1012)));
    // Nine are still there, and the next is an hour's tenth away: nothing comes to any of them.
    assert_eq!(others.len(), 9);
    for other in &mut others {
        let polled = futures_util::poll!(other);
        assert!(polled.is_pending(), "{polled:?}");
    }
    drop(others);
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(130), "{}", server.log());
}

#[test]
fn as_the_first_process_of_a_container_it_ends_as_anywhere() {
    let spaces = [
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
    ];
    let mut inside = clean("unshare");
    inside.args(spaces).arg("--kill-child");
    inside.args([env!("CARGO_BIN_EXE_mist"), "serve", "--listeners", TCP]);
    let mut server = Server::of(start(&mut inside, &[]));
    server.mist(&["ping"]).success();
    let parent = server.running.id();
    let children = format!("/proc/{parent}/task/{parent}/children");
    let first = fs::read_to_string(children).expect("it has a child");
    let first = first.trim();
    let status = fs::read_to_string(format!("/proc/{first}/status")).expect("it runs");
    let own = status.lines().find(|line| line.starts_with("NSpid:"));
    assert!(own.is_some_and(|line| line.ends_with("\t1")), "{own:?}");
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, first]).status();
        assert!(sent.expect("kill runs").success());
    };
    signal("-HUP");
    server.running.says("no setting has changed");
    signal("-TERM");
    server.running.says("stopped");
    assert_eq!(server.running.end().code(), Some(0));
}

/// The program with listening sockets as its files 3 and 4, as a service manager starts it.
fn activated(sockets: [OwnedFd; 2], listeners: &str) -> Process {
    let [one, other] = sockets;
    let mut command = clean("sh");
    let script = r#"exec 3<&0 4>&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec "$@""#;
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_mist"), "serve"]);
    command.args(["--listeners", listeners]);
    command.stdin(one).stdout(other).stderr(Stdio::piped());
    Process::follow(command.spawn().expect("a shell"))
}

#[test]
fn sockets_of_the_service_manager_are_served_and_left_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mist.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let unix = UnixListener::bind(&path).expect("a socket");
    let uri = format!("tcp://{}", tcp.local_addr().expect("bound"));
    let unix_uri = format!("unix://{}", path.display());
    // Who comes before the server does is served once it is there.
    let mut early = TcpStream::connect(tcp.local_addr().expect("bound")).expect("it listens");
    early.write_all(b"{\"command\":\"ping\"}\n").expect("taken");
    let copies = || {
        let tcp = tcp.try_clone().expect("a copy");
        [tcp.into(), unix.try_clone().expect("a copy").into()]
    };
    let mut server = activated(copies(), &format!("{uri},{unix_uri}"));
    server.says("UNIX server listening");
    let mut answer = [0; 4];
    early.read_exact(&mut answer).expect("an answer");
    for host in [&uri, &unix_uri] {
        mist(&["ping", "--host", host]).success();
    }
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
    // The sockets go on, and whoever comes meanwhile waits for the next server.
    let mut between = UnixStream::connect(&path).expect("it listens");
    between
        .write_all(b"{\"command\":\"ping\"}\n")
        .expect("taken");
    let mut server = activated(copies(), &unix_uri);
    let said = server.says("not using a socket that was passed on");
    assert!(said.contains(&uri["tcp://".len()..]), "{said}");
    between.read_exact(&mut answer).expect("an answer");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn sockets_meant_for_another_process_are_not_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!("tcp://{}", taken.local_addr().expect("bound"));
    let mut command = clean("sh");
    let script = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=1 exec "$@""#;
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_mist"), "serve"]);
    command
        .args(["--listeners", &uri])
        .stdin(OwnedFd::from(taken));
    let output = command.output().expect("a shell");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use"));
}
