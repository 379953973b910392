//! What a running server takes from its files again, what it tells the service manager, and logs for programs.

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

#[test]
fn the_log_level_changes_at_a_hangup_and_the_rest_is_named() {
    let files = Files::new("log-level: info\ntoken-file: token\n");
    files.write("token", "one\n");
    let server = files.serve(&[]);
    let running = &server.running;
    running.signal("HUP");
    running.says("no setting has changed");
    files.write("token", "two\n");
    files.write(
        "mist.yml",
        "log-level: warn\ntoken-file: token\naccess: scoped\nno-page: true\nlimits: {nesting: 7, tag-bytes: 9}\n",
    );
    running.signal("HUP");
    let line = running.says("needs a restart");
    let (_, names) = line.split_once("restart: ").expect("names");
    assert_eq!(
        names,
        "token, access, no-page, limit nesting, limit tag-bytes"
    );
    // Of a level that is not logged any more, and then is again.
    files.write("mist.yml", "token-file: token\nlog-level: debug\n");
    running.signal("HUP");
    running.says("log-level is now DEBUG");
    let line = running.says("needs a restart");
    assert!(line.ends_with("restart: token"), "{line}");
    server.mist(&["ping"]).success();
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
        assert_eq!(manager.hears(), "STOPPING=1");
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
    let refused = mist(&["serve", "--log-format", "json", "--listeners", "nope://x"]).code(1);
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
