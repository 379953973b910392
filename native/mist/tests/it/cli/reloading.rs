//! What a running server takes from its files again, what it tells the service manager, and logs for programs.

use std::io::Write;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use super::*;

/// A folder with a config file.
struct Files(tempfile::TempDir);

impl Files {
    fn new(config: &str) -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        files.write("mist.yml", config);
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("write");
    }

    fn serve(&self, variables: &[(&str, &Path)]) -> Server {
        let mut command = command();
        command
            .current_dir(self.0.path())
            .envs(variables.iter().copied())
            .args(["serve", "--config", "mist.yml", "--listeners", TCP]);
        Server::of(start(&mut command, &[]))
    }
}

impl Server {
    /// Has the files read again, and returns what has changed and what has not, as the log says it.
    fn reload(&self) -> (String, String) {
        self.running.signal("HUP");
        let names = |text| {
            let line = self.running.says(text);
            line.split_once(text).expect("names").1.to_owned()
        };
        (names("SIGHUP: changed: "), names("needs a restart: "))
    }
}

#[test]
fn what_can_change_does_at_a_hangup_and_the_rest_is_named() {
    let files = Files::new("log-level: info\ntoken-file: token\n");
    files.write("token", "one\n");
    let server = files.serve(&[]);
    server.running.signal("HUP");
    server.running.says("no setting has changed");
    files.write("token", "two\n");
    files.write(
        "mist.yml",
        "log-level: warn\ntoken-file: token\naccess: scoped\nno-page: true\nallow-host: [a]\nallow-origin: ['*']\n\
         trusted-proxies: [::1]\nlimits: {tags-per-message: 1, tag-bytes: 9}\n",
    );
    let (changed, kept) = server.reload();
    assert_eq!(
        changed,
        "token, allow-origin, allow-host, trusted-proxies, log-level, limit tag-bytes, limit tags-per-message"
    );
    assert_eq!(kept, "access, no-page");
    let said = stderr(&server.mist(&["pub", "a", "b", "--", "x"]).code(5));
    assert!(said.contains("(tags-per-message)"), "{said}");
    // What was not taken over is named again, what was is not. The level is one that is logged before or after.
    files.write(
        "mist.yml",
        "token-file: token\nlog-level: debug\nno-page: true\nallow-host: [a]\n",
    );
    let (changed, kept) = server.reload();
    assert_eq!(
        changed,
        "allow-origin, trusted-proxies, log-level, limit tag-bytes, limit tags-per-message"
    );
    assert_eq!(kept, "no-page");
    server
        .mist(&["pub", "a", "b", "--ack", "--", "x"])
        .success();
    // Without any token nobody could be admin: that is for a start.
    files.write("mist.yml", "log-level: error\n");
    assert_eq!(server.reload().1, "token");
}

#[test]
fn a_token_that_takes_the_place_of_another_ends_what_that_allowed() {
    let files = Files::new("token-file: token\nauthenticator: memory://\naccess: scoped\n");
    files.write("token", "one\n");
    let server = files.serve(&[]);
    let ping = |token: &str| server.mist(&["who", "--token", token]);
    ping("one").success();
    let mut subscriber = server.subscriber(&["--token", "one", "bus"]);
    files.write("token", "two\n");
    server.running.signal("HUP");
    server.running.says("SIGHUP: changed: token");
    subscriber.says("subscription removed");
    ping("one").code(4);
    ping("two").success();
    let _ = subscriber.child.kill();
}

#[test]
fn pages_and_proxies_are_trusted_as_the_files_say_now() {
    let files = Files::new("");
    let mut command = command();
    command.current_dir(files.0.path()).args([
        "serve",
        "--config",
        "mist.yml",
        "--listeners",
        "http://127.0.0.1:0",
    ]);
    let server = Server::of(start(&mut command, &[]));
    let mut stream = TcpStream::connect(&server.host).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // One connection, which the reload does not disturb.
    let mut status = |header: &str| {
        let request = format!(
            "POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("taken");
        let mut answer = String::new();
        let mut piece = [0; 4096];
        while !answer.ends_with("}\n") {
            let count = stream.read(&mut piece).expect("an answer");
            assert_ne!(count, 0, "it goes on: {answer}");
            answer.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    let origin = "Origin: https://app.example.com";
    assert_eq!(status(origin), "403");
    files.write(
        "mist.yml",
        "allow-origin: [https://app.example.com]\ntrusted-proxies: [127.0.0.1]\n",
    );
    server.running.signal("HUP");
    server.running.says("SIGHUP: changed: ");
    assert_eq!(status(origin), "200");
    server.running.says("does not name its clients");
    files.write("mist.yml", "");
    server.running.signal("HUP");
    server.running.says("SIGHUP: changed: ");
    assert_eq!(status(origin), "403");
    assert_eq!(status("X-Forwarded-For: 192.0.2.1"), "200");
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let files = Files::new("log-level: info\n");
    let server = files.serve(&[]);
    for (text, word) in [
        ("log-level: loud\n", "'loud'"),
        ("log-level: [", "not valid YAML"),
        (
            "log-level: error\nallow-host: a:80\n",
            "--allow-host 'a:80'",
        ),
        ("log-level: error\ntoken-file: none\n", "'none'"),
        ("log-level: error\nauthenticator: memory://\n", "token"),
    ] {
        files.write("mist.yml", text);
        server.running.signal("HUP");
        let line = server.running.says("as it was");
        assert!(line.contains("ERROR") && line.contains(word), "{line}");
    }
    files.write("mist.yml", "log-level: info\n");
    server.running.signal("HUP");
    server.running.says("no setting has changed");
}

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    name: std::path::PathBuf,
}

impl Manager {
    fn new(socket: UnixDatagram, name: &Path) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let name = name.to_owned();
        Self { socket, name }
    }

    fn hears(&self) -> String {
        let mut bytes = [0; 200];
        let length = self.socket.recv(&mut bytes).expect("it is told something");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

#[test]
fn the_service_manager_is_told_what_happens() {
    let files = Files::new("");
    let path = files.0.path().join("notify");
    let abstract_name = format!("mist-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
    for manager in [
        Manager::new(UnixDatagram::bind(&path).expect("bound"), &path),
        Manager::new(
            UnixDatagram::bind_addr(&address).expect("bound"),
            Path::new(&format!("@{abstract_name}")),
        ),
    ] {
        let mut server = files.serve(&[("NOTIFY_SOCKET", &manager.name)]);
        assert_eq!(manager.hears(), "READY=1");
        server.mist(&["ping"]).success();
        server.running.signal("HUP");
        let reloading = manager.hears();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(
            micros.is_some_and(|text| text.parse::<u64>().is_ok_and(|it| it > 0)),
            "{reloading}"
        );
        assert_eq!(manager.hears(), "READY=1");
        server.running.signal("TERM");
        assert_eq!(manager.hears(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=6000000");
        assert_eq!(server.running.end().code(), Some(0));
    }
    // Nobody is there: that is a line in the log.
    let server = files.serve(&[("NOTIFY_SOCKET", Path::new("/no/such"))]);
    server.running.says("the service manager cannot be told");
    server.mist(&["ping"]).success();
}

#[test]
fn logs_for_programs_have_an_object_in_each_line() {
    let mut server = Server::start(&[
        "--log-format",
        "json",
        "--token",
        "s3cret",
        "--authenticator",
        "memory://",
    ]);
    server.running.signal("HUP");
    server.running.says("no setting has changed");
    server.running.signal("TERM");
    assert_eq!(server.running.end().code(), Some(0));
    let all = rest(&server.running.stderr);
    assert!(all.len() >= 2, "{all:?}");
    for line in &all {
        let object: serde_json::Value = serde_json::from_str(line).expect(line);
        for key in ["timestamp", "level", "message", "target"] {
            assert!(object[key].is_string(), "{key} in {line}");
        }
    }
    let refused = mist(&["serve", "--log-format", "json", "--listeners", "nope://x"]).code(2);
    for line in stderr(&refused).lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(object["message"].is_string(), "{line}");
    }
    mist(&["serve", "--log-format", "xml"]).code(2);
}

#[test]
fn a_quiet_server_says_only_what_goes_wrong() {
    let place = tempfile::tempdir().expect("a folder");
    let socket = place.path().join("mist.sock");
    let uri = format!("unix://{}", socket.display());
    let mut command = command();
    let mut running = start(&mut command, &["serve", "-q", "--listeners", &uri]);
    let deadline = Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::yield_now();
    }
    mist(&["ping", "--host", &uri]).success();
    running.signal("TERM");
    assert_eq!(running.end().code(), Some(0));
    assert_eq!(rest(&running.stderr), [""; 0]);
}
