//! The program: flags, variables, the start-up line, SIGHUP.

use super::*;
use mist_tests::certificate::Certificate;

/// Starts a server and returns it with the first address it names.
fn server(listener: &str, files: Option<&Certificate>) -> (Process, String, String) {
    let mut command = command();
    command.args(["--server", "--log-level", "debug", "--listeners", listener]);
    if let Some(files) = files {
        command.arg("--tls-cert").arg(files.file());
        command.arg("--tls-key").arg(files.key());
    }
    let running = start(&mut command, &[]);
    let line = running.says("server listening at");
    let uri = line.split('\'').nth(1).expect("a URI").to_owned();
    (running, uri, line)
}

#[test]
fn commands_reach_every_kind_of_listener() {
    let files = Certificate::default();
    let socket = format!("unix://{}", files.path("mist.sock").display());
    let ca = files.file();
    for listener in ["tls://127.0.0.1:0", "wss://127.0.0.1:0", &socket] {
        if cfg!(not(unix)) && listener == socket {
            continue;
        }
        let (_server, uri, _) = server(listener, Some(&files));
        let mut one = command();
        one.env("MIST_HOST", &uri).env("MIST_CA", &ca);
        run(&mut one, &["ping"])
            .success()
            .stdout("pong\n")
            .stderr("");
        let mut other = command();
        other.arg("publish").arg("--ca").arg(&ca);
        run(&mut other, &["--host", &uri, "--tags", "a", "x"])
            .success()
            .stdout("success\n");
    }
}

#[test]
fn insecure_says_so_and_without_it_the_remedy_is_named() {
    let (_server, uri, line) = server("tls://127.0.0.1:0", None);
    assert!(line.contains("self-signed certificate, SHA-256 "), "{line}");
    let assert = run(&mut command(), &["ping", "--host", &uri]).code(3);
    let said = stderr(&assert);
    assert!(
        said.contains("--ca") && said.contains("--insecure"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    for variable in [false, true] {
        let mut command = command();
        command.env("MIST_HOST", &uri).arg("ping");
        match variable {
            true => command.env("MIST_INSECURE", "true"),
            false => command.arg("--insecure"),
        };
        let assert = run(&mut command, &[]).success();
        assert!(stderr(&assert).contains("not checked"));
    }
    let mut command = command();
    let assert = run(command.env("MIST_INSECURE", "perhaps"), &["ping"]).code(2);
    assert!(stderr(&assert).contains("MIST_INSECURE"));
}

#[cfg(unix)]
#[test]
fn a_hangup_reads_the_certificate_again() {
    let mut files = Certificate::default();
    let (running, uri, line) = server("tls://127.0.0.1:0", Some(&files));
    assert!(!line.contains("SHA-256"), "{line}");
    let ping = |files: &Certificate| {
        let mut command = command();
        command
            .args(["ping", "--host", &uri, "--ca"])
            .arg(files.file());
        run(&mut command, &[])
    };
    ping(&files).success();
    files.renew();
    ping(&files).code(3);
    running.signal("HUP");
    running.says("the certificate was read again");
    ping(&files).success();
    let key = std::fs::read(files.key()).expect("there");
    std::fs::write(files.key(), "nonsense").expect("written");
    running.signal("HUP");
    let line = running.says("going on with everything as it was");
    assert!(line.contains("ERROR") && line.contains("key.pem"), "{line}");
    std::fs::write(files.key(), key).expect("written");
    ping(&files).success();
}

#[cfg(unix)]
#[test]
fn the_end_of_a_certificate_is_a_warning_at_the_start_and_when_it_is_read_again() {
    const DAY: Duration = Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    let mut files = Certificate::default();
    files.renew_with(|params| params.not_after = (now - DAY).into());
    let mut command = command();
    command.args(["--server", "--listeners", "tls://127.0.0.1:0"]);
    command.arg("--tls-cert").arg(files.file());
    command.arg("--tls-key").arg(files.key());
    let running = start(&mut command, &[]);
    let said = |words: &str| {
        let line = running.says(words);
        assert!(line.contains("WARN") && line.contains("cert.pem"), "{line}");
    };
    said("expired on ");
    running.signal("HUP");
    said("expired on ");
    files.renew_with(|params| params.not_after = (now + 10 * DAY).into());
    running.signal("HUP");
    said("expires on ");
    files.renew_with(|params| params.not_before = (now + DAY).into());
    running.signal("HUP");
    said("is not valid before ");
    files.renew_with(|params| params.subject_alt_names.clear());
    running.signal("HUP");
    said("is for no name");
    // All is well, and nothing is said of it.
    files.renew();
    running.signal("HUP");
    running.says("the certificate was read again");
    running.signal("HUP");
    running.says("the certificate was read again");
    running.signal("TERM");
    let rest = rest(&running.stderr);
    assert!(!rest.iter().any(|line| line.contains("WARN")), "{rest:?}");
}

#[test]
fn half_of_a_certificate_is_refused() {
    let files = Certificate::default();
    let (certificate, key) = (files.file(), files.key());
    for (flag, path, wanted) in [
        ("--tls-cert", certificate, "--tls-key"),
        ("--tls-key", key, "--tls-cert"),
    ] {
        let mut command = command();
        command
            .args(["--server", "--listeners", "tls://127.0.0.1:0", flag])
            .arg(path);
        let assert = run(&mut command, &[]).code(2);
        let said = stderr(&assert);
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_client_that_speaks_tls_to_a_plain_port_is_logged() {
    for (listener, scheme) in [("tcp://127.0.0.1:0", "tls"), ("http://127.0.0.1:0", "wss")] {
        let (running, uri, _) = server(listener, None);
        let (_, address) = uri.split_once("://").expect("a URI");
        let host = format!("{scheme}://{address}");
        run(&mut command(), &["ping", "--insecure", "--host", &host]).code(3);
        let line = running.says("speaks TLS");
        assert!(
            line.contains("INFO") && line.contains(&format!("{scheme}://")),
            "{line}"
        );
    }
}

#[test]
fn who_speaks_another_protocol_than_the_listener_is_told_which_to_try() {
    let listeners = ["tcp", "tls", "http", "wss"].map(|scheme| format!("{scheme}://127.0.0.1:0"));
    let running = start(
        command().args(["--server", "--listeners"]),
        &[&listeners.join(",")],
    );
    let ports = ["TCP", "TLS", "HTTP", "WSS"].map(|name| {
        let line = running.says(&format!("{name} server listening at"));
        let uri = line.split('\'').nth(1).expect("a URI");
        uri.rsplit(':').next().expect("a port").to_owned()
    });
    let [tcp, tls, http, wss] = &ports;
    for (scheme, port, said) in [
        ("tcp", tls, "this port speaks TLS: connect with tls://"),
        (
            "tcp",
            http,
            "an HTTP server answers there (400 Bad Request); try ws://",
        ),
        ("tcp", wss, "this port speaks TLS - use https:// or wss://"),
        ("tls", tcp, "does it speak TLS there?"),
        ("tls", http, "does not speak TLS there; try tcp:// or ws://"),
        (
            "tls",
            wss,
            "an HTTP server answers there (400 Bad Request); try wss://",
        ),
        ("ws", tcp, "does not speak HTTP; try tcp:// or tls://"),
        ("ws", tls, "does not speak HTTP; try tcp:// or tls://"),
        ("ws", wss, "this port speaks TLS - use https:// or wss://"),
        ("wss", tcp, "does it speak TLS there?"),
        ("wss", tls, "does not speak HTTP; try tcp:// or tls://"),
        ("wss", http, "does not speak TLS there; try tcp:// or ws://"),
    ] {
        let host = format!("{scheme}://127.0.0.1:{port}");
        let assert = run(&mut command(), &["ping", "--insecure", "--host", &host]).code(3);
        let error = stderr(&assert);
        assert!(
            error.contains(&format!("Failed to connect to '{host}' - ")) && error.contains(said),
            "{error}"
        );
    }
    for arguments in [
        &["who"][..],
        &["listall"],
        &["subscribe", "--tags", "a"],
        &["publish", "--tags", "a", "x"],
        &["token", "tags", "t", "--token", "t"],
        &["bench", "pipe", "--quiet"],
        &["latency", "--quiet"],
    ] {
        let mut command = command();
        command.env("MIST_HOST", format!("127.0.0.1:{http}"));
        let error = stderr(&run(&mut command, arguments).code(3));
        assert!(error.contains("an HTTP server answers there"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_token_in_an_address_is_not_shown() {
    let (_server, uri, _) = server("ws://127.0.0.1:0", None);
    for path in ["nowhere", ""] {
        let host = format!("{uri}/{path}?x-auth-token=secret");
        let mut command = command();
        let said = match path {
            "" => stdout(&run(command.arg("listall"), &["--host", &host]).success()),
            _ => stderr(&run(command.arg("listall"), &["--host", &host]).code(3)),
        };
        assert!(said.contains(&uri) && !said.contains("secret"), "{said}");
    }
}

#[test]
fn a_listener_without_a_scheme_gets_a_hint() {
    let mut command = command();
    let assert = run(&mut command, &["--server", "--listeners", "127.0.0.1:1445"]).code(2);
    assert!(stderr(&assert).contains("did you mean tcp://127.0.0.1:1445?"));
}

#[test]
fn check_config_looks_at_listeners_and_certificates() {
    let files = Certificate::default();
    let config = files.path("mist.yml");
    let path = config.to_str().expect("UTF-8").to_owned();
    let check = |text: String| {
        std::fs::write(&config, text).expect("written");
        run(&mut command(), &["check-config", &path])
    };
    let tls = |certificate: std::path::PathBuf| {
        let (certificate, key) = (certificate.display(), files.key());
        let key = key.display();
        format!("listeners: [\"tls://127.0.0.1:1446\"]\ntls-cert: {certificate}\ntls-key: {key}\n")
    };
    let assert = check(tls(files.file())).success();
    let printed = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(
        printed.contains("tls-cert: ") && printed.contains("tls-key: "),
        "{printed}"
    );
    for (text, wanted) in [
        (tls(files.path("none.pem")), "none.pem"),
        (tls(files.key()), "no certificate"),
        (
            "listeners: 127.0.0.1:1445\n".to_owned(),
            "did you mean tcp://127.0.0.1:1445?",
        ),
        (
            "listeners: \"gopher://h:1\"\n".to_owned(),
            "not one of http://",
        ),
        ("tls-cert: x\n".to_owned(), "--tls-key"),
    ] {
        let assert = check(text).code(2);
        let said = stderr(&assert);
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
    }
}
