//! `mist bench` and `mist latency`: what they count is so, and they say how it ended.

use serde_json::Value;

use super::*;

/// Runs a command that prints JSON; returns the objects.
fn figures(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let assert = server.mist(arguments).success();
    assert_eq!(stderr(&assert), "");
    parsed(&stdout(&assert))
}

fn parsed(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON on each line")
}

fn number(figures: &Value, path: &str) -> f64 {
    let value = figures.pointer(path).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no number at {path} of {figures}"))
}

/// Checks a run without any loss.
fn is_clean(figures: &Value, published: f64, delivered: f64) {
    assert_eq!(
        number(figures, "/published/messages"),
        published,
        "{figures}"
    );
    if delivered > 0.0 {
        assert_eq!(
            number(figures, "/delivered/messages"),
            delivered,
            "{figures}"
        );
        let [min, avg, max] =
            ["min", "avg", "max"].map(|it| number(figures, &format!("/delivered/client_{it}")));
        assert!(0.0 < min && min <= avg && avg <= max, "{figures}");
        assert!(number(figures, "/delivered/per_second") > 0.0);
    }
    for fault in ["lost", "dropped", "duplicates", "out_of_order"] {
        assert_eq!(number(figures, &format!("/{fault}")), 0.0, "{figures}");
    }
    assert_eq!(figures["interrupted"], false);
}

#[test]
fn every_scenario_delivers_what_it_publishes() {
    let server = Server::start(&[]);
    let all = figures(
        &server,
        &["bench", "-n", "300", "--warm-up", "5ms", "-o", "json"],
    );
    let names: Vec<_> = all.iter().map(|row| row["scenario"].as_str()).collect();
    assert_eq!(
        names,
        ["pub", "pipe", "fan-out", "pairs", "match"].map(Some)
    );
    for (row, delivered) in all.iter().zip([0.0, 300.0, 3000.0, 300.0]) {
        is_clean(row, 300.0, delivered);
    }
    assert_eq!(all[0]["delivered"], Value::Null);
    is_clean(&all[4], 300.0, 0.0);
    assert!(
        number(&all[4], "/delivered/messages") > 0.0,
        "nothing matched"
    );
}

#[test]
fn it_measures_over_every_transport() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = format!("unix://{}/socket", folder.path().display());
    for (listener, scheme, more) in [
        ("ws://127.0.0.1:0", "ws://", &[][..]),
        ("wss://127.0.0.1:0", "wss://", &["--insecure", "-q"]),
        (
            "tls://127.0.0.1:0",
            "tls://",
            &["--insecure", "--threads", "2"],
        ),
        (&socket, "unix://", &[]),
    ] {
        if cfg!(not(unix)) && scheme == "unix://" {
            continue;
        }
        let server = Server::at(listener, &[]);
        let host = format!("{scheme}{}", server.host);
        let fan = [
            "bench",
            "fan-out",
            "--clients",
            "2",
            "-n",
            "100",
            "-o",
            "json",
            "--host",
            &host,
        ];
        let assert = server.mist(&[&fan[..], more].concat()).success();
        is_clean(&parsed(&stdout(&assert))[0], 100.0, 200.0);
        let latency = [
            "latency",
            "--duration",
            "20ms",
            "-o",
            "json",
            "--host",
            &host,
        ];
        let assert = server
            .mist(&[&latency[..], &more[..more.len().min(1)]].concat())
            .success();
        assert_eq!(number(&parsed(&stdout(&assert))[0], "/measured"), 20.0);
    }
}

#[test]
fn many_to_many_with_other_tags_each_time_and_several_sizes() {
    let server = Server::start(&[]);
    let rows = figures(
        &server,
        &[
            "bench",
            "fan-out",
            "--publishers",
            "3",
            "--subscribers",
            "2",
            "--tags",
            "4",
            "--tag-sets",
            "varying",
            "--size",
            "16,300000",
            "-n",
            "50",
            "--window",
            "7",
            "-o",
            "json",
        ],
    );
    assert_eq!(rows.len(), 2);
    for (row, size) in rows.iter().zip([16.0, 300_000.0]) {
        is_clean(row, 50.0, 100.0);
        assert_eq!((number(row, "/size"), number(row, "/window")), (size, 7.0));
    }
}

#[test]
fn what_the_server_drops_is_told_and_adds_up() {
    let server = Server::start(&["--limit", "outbox-messages=5"]);
    let assert = server
        .mist(&[
            "bench",
            "fan-out",
            "--clients",
            "2",
            "-n",
            "5000",
            "--size",
            "16",
            "--window",
            "5000",
            "-o",
            "json",
        ])
        .success();
    let row = &parsed(&stdout(&assert))[0];
    let (delivered, dropped) = (number(row, "/delivered/messages"), number(row, "/dropped"));
    assert!(dropped > 0.0, "{row}");
    assert_eq!(number(row, "/lost"), 0.0, "{row}");
    // What was dropped while warming up is counted, too.
    assert!(delivered + dropped >= 10_000.0, "{row}");
    assert!(
        stderr(&assert).contains("a smaller --window"),
        "{}",
        stderr(&assert)
    );
}

#[test]
fn the_two_halves_run_apart() {
    let server = Server::start(&[]);
    let subscriber = waiting(&server, &["--clients", "2", "--tag", "odd \"tag,"]);
    let arguments = [
        "bench",
        "pub",
        "--clients",
        "3",
        "-n",
        "100",
        "--tag",
        "odd \"tag,",
        "--warm-up",
        "0",
    ];
    server.mist(&arguments).success();
    let lines = rest(&subscriber.stdout).concat();
    let row = &parsed(&lines)[0];
    assert_eq!(number(row, "/delivered/messages"), 200.0);
    assert_eq!(
        (number(row, "/lost"), &row["published"]),
        (0.0, &Value::Null)
    );
}

/// Starts `mist bench sub` and waits until it is subscribed.
fn waiting(server: &Server, arguments: &[&str]) -> Process {
    let mut command = command();
    command.args(["bench", "sub", "-o", "json", "--host", &server.host]);
    let subscriber = start(&mut command, arguments);
    subscriber.says("waiting for `mist bench pub");
    subscriber
}

#[test]
fn what_is_lost_doubled_or_out_of_order_is_an_error() {
    let server = Server::start(&[]);
    let mut subscriber = waiting(&server, &[]);
    // Numbers 3 and 5 never come, 2 comes late, 1 twice.
    for (kind, number) in [
        ("m", 0),
        ("m", 1),
        ("m", 4),
        ("m", 2),
        ("m", 1),
        ("m", 6),
        ("e", 7),
    ] {
        let data = format!("{kind}abcde{number:010x}");
        server
            .mist(&["publish", "--tags", "bench", &data])
            .success();
    }
    let row = &parsed(&subscriber.line())[0];
    for (fault, count) in [
        ("lost", 2.0),
        ("duplicates", 1.0),
        ("out_of_order", 1.0),
        ("dropped", 0.0),
    ] {
        assert_eq!(number(row, &format!("/{fault}")), count, "{row}");
    }
    assert_eq!(subscriber.end().code(), Some(5));
    let said = subscriber.says("went wrong");
    assert!(said.contains("2 lost without a notice"), "{said}");
}

#[cfg(unix)]
#[test]
fn latency_counts_from_when_a_message_was_due() {
    const PAUSE: Duration = Duration::from_millis(300);
    let server = Server::start(&[]);
    let mut command = command();
    command.args(["latency", "-o", "json", "--host", &server.host]);
    let mut latency = start(
        &mut command,
        &["--duration", "1h", "--rate", "2000/s", "--subscribers", "2"],
    );
    let begins = Instant::now();
    while !stdout(&server.mist(&["listall"])).contains("bench-") {
        assert!(begins.elapsed() < PATIENCE, "it does not subscribe");
    }
    server.mist(&["ping"]).success();
    server.running.signal("STOP");
    // Not to wait for something: this is the pause that has to show.
    std::thread::sleep(PAUSE);
    server.running.signal("CONT");
    server.mist(&["ping"]).success();
    latency.signal("INT");
    let row = &parsed(&latency.line())[0];
    assert_eq!(latency.end().code(), Some(130));
    assert_eq!(row["interrupted"], true);
    let max = number(row, "/max_us");
    assert!(
        max >= PAUSE.as_micros() as f64 / 2.0,
        "the pause does not show: {row}"
    );
    assert_eq!(
        number(row, "/measured"),
        2.0 * number(row, "/sent"),
        "{row}"
    );
    assert_eq!(number(row, "/lost"), 0.0);
}

#[test]
fn latency_prints_quantiles_bars_and_a_distribution() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("times.csv");
    let file = file.to_str().expect("UTF-8");
    for more in [&["--ping"][..], &["--size", "16"]] {
        let arguments = [
            "latency",
            "--duration",
            "50ms",
            "--rate",
            "1000",
            "--csv",
            file,
        ];
        let assert = server.mist(&[&arguments[..], more].concat()).success();
        let text = stdout(&assert);
        for part in ["min ", "p50 ", "p99.9 ", "max ", "sent late", "#"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        let csv = std::fs::read_to_string(file).expect("written");
        assert!(
            csv.starts_with("percentile,microseconds,count\n") && csv.trim_end().ends_with(",50"),
            "{csv}"
        );
        let rows = figures(
            &server,
            &[&["latency", "--duration", "50ms", "-o", "json"], more].concat(),
        );
        let quantiles = ["min", "p50", "p90", "p99", "p999", "max"]
            .map(|it| number(&rows[0], &format!("/{it}_us")));
        assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{quantiles:?}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_prints_what_it_has() {
    let server = Server::start(&[]);
    let mut subscriber = server.subscriber(&["--tags", "bench", "-n", "1"]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("UTF-8");
    let mut command = command();
    command.args(["bench", "pub", "--host", &server.host, "--csv", path]);
    let mut bench = start(&mut command, &["--duration", "1h", "--warm-up", "0"]);
    assert!(subscriber.end().success());
    bench.signal("INT");
    let lines = rest(&bench.stdout);
    assert_eq!(bench.end().code(), Some(130));
    assert!(
        lines[0].contains("delivered/s") && lines[1].starts_with("pub"),
        "{lines:?}"
    );
    let csv = std::fs::read_to_string(path).expect("written");
    let rows: Vec<Vec<_>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0].len()), (2, rows[1].len()), "{csv}");
    let value = |name| {
        let column = rows[0].iter().position(|it| *it == name);
        column.map(|at| rows[1][at])
    };
    assert_eq!(
        (value("interrupted"), value("error")),
        (Some("true"), Some(""))
    );
    let published = value("published_messages").and_then(|it| it.parse().ok());
    assert!(published > Some(0), "{csv}");
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_is_heard_while_subscriptions_are_made_up() {
    // Bit 1 of the mask of signals that a program has a handler for is SIGINT.
    let is_heard = |process: u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        let status = status.expect("it runs");
        let mask = status.lines().find_map(|it| it.strip_prefix("SigCgt:"));
        u64::from_str_radix(mask.expect("a mask").trim(), 16).expect("hexadecimal") & 2 != 0
    };
    // A server that never answers: it is not asked yet.
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    server.set_nonblocking(true).expect("possible");
    let host = server.local_addr().expect("bound").to_string();
    let mut command = command();
    command.args(["bench", "match", "--subscriptions", "10000000", "--host"]);
    let mut bench = start(&mut command, &[&host]);
    let begins = Instant::now();
    while !is_heard(bench.child.id()) {
        assert!(begins.elapsed() < PATIENCE, "it hears no Ctrl-C");
    }
    bench.signal("INT");
    assert_eq!(bench.end().code(), Some(130));
    let asked = server.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn a_lost_server_is_told_in_the_figures() {
    let mut server = Server::start(&[]);
    let mut subscriber = server.subscriber(&["--tags", "bench", "-n", "1"]);
    let mut command = command();
    command.args(["bench", "pub", "-o", "json", "--host", &server.host]);
    let mut bench = start(&mut command, &["--duration", "1h", "--warm-up", "0"]);
    assert!(subscriber.end().success());
    server.running.child.kill().expect("it runs");
    let row = &parsed(&bench.line())[0];
    assert_eq!(bench.end().code(), Some(3));
    let error = row["error"].as_str().unwrap_or_default();
    assert!(error.contains("connection is lost"), "{row}");
    assert_eq!(
        (&row["lost"], &row["interrupted"]),
        (&Value::Null, &Value::Bool(false))
    );
}

#[test]
fn subscribers_count_as_many_as_they_are_told() {
    let server = Server::start(&[]);
    let subscriber = waiting(&server, &["--clients", "2", "-n", "70"]);
    server
        .mist(&["bench", "pub", "-n", "5000", "--warm-up", "0"])
        .success();
    let row = &parsed(&rest(&subscriber.stdout).concat())[0];
    assert_eq!(number(row, "/delivered/messages"), 140.0, "{row}");
    assert_eq!(row["error"], Value::Null, "{row}");
}

#[test]
fn one_set_over_and_over_matches_too() {
    let server = Server::start(&[]);
    let bench = [
        "bench",
        "match",
        "--tag-sets",
        "repeating",
        "-n",
        "300",
        "-o",
        "json",
    ];
    for more in [&["--publishers", "3"][..], &["--subscriptions", "1"]] {
        let row = &figures(&server, &[&bench[..], more].concat())[0];
        is_clean(row, 300.0, 0.0);
        assert!(number(row, "/delivered/messages") >= 300.0, "{row}");
        assert!(
            number(row, "/subscribers") <= number(row, "/subscriptions"),
            "{row}"
        );
    }
}

#[cfg(unix)]
#[test]
fn more_connections_than_allowed_are_refused_with_the_limit() {
    let server = Server::start(&["--limit", "connections=5"]);
    let assert = server
        .mist(&["bench", "fan-out", "--subscribers", "50"])
        .code(5);
    let said = stderr(&assert);
    assert!(
        said.contains("the limit is 5 (connections)") && !said.contains(" :"),
        "{said}"
    );
    let server = Server::at("ws://127.0.0.1:0", &["--limit", "connections=1"]);
    let host = format!("ws://{}", server.host);
    let said = stderr(&mist(&["bench", "pipe", "--host", &host]).code(3));
    assert!(said.contains("the limit is 1 (connections)"), "{said}");
    // The system's own limit is known before anything is asked: nobody listens there.
    let host = format!("127.0.0.1:{}", free_port());
    for run in ["bench fan-out", "latency"] {
        let script = format!("ulimit -n 100; exec \"$0\" {run} --subscribers 100 --host {host}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        let said = stderr(&super::run(&mut shell, &[env!("CARGO_BIN_EXE_mist")]).code(1));
        assert!(
            said.contains("101 connections") && said.contains("100 files (ulimit -n)"),
            "{said}"
        );
    }
}

#[test]
fn quiet_prints_figures_alone() {
    let server = Server::start(&[]);
    let assert = server
        .mist(&["bench", "pipe", "-n", "10", "-q", "--rate", "1000/s"])
        .success();
    assert_eq!(stdout(&assert).lines().count(), 1);
    assert!(stdout(&assert).starts_with("pipe"));
    let assert = server
        .mist(&["latency", "--duration", "10ms", "-q"])
        .success();
    assert_eq!(stdout(&assert).lines().count(), 1);
}

#[test]
fn a_rate_and_a_duration_hold() {
    let server = Server::start(&[]);
    let arguments = [
        "bench",
        "pairs",
        "--clients",
        "2",
        "--rate",
        "100/s",
        "--duration",
        "200ms",
        "-o",
        "json",
    ];
    let rows = figures(&server, &arguments);
    let messages = number(&rows[0], "/published/messages");
    assert!((1.0..=22.0).contains(&messages), "{}", rows[0]);
}

#[test]
fn a_slip_is_named_with_its_remedy() {
    for (arguments, text) in [
        (&["bench", "pipe", "--clients", "3"][..], "fan-out"),
        (&["bench", "pub", "--subscribers", "3"], "leave it out"),
        (&["bench", "sub", "--publishers", "3"], "leave it out"),
        (&["bench", "sub", "--rate", "5"], "take pub or pipe"),
        (&["bench", "--tag", "x"], "pub or sub"),
        (&["bench", "pub", "--size", "15"], "write 16 or more"),
        (&["bench", "pub", "--size", "big"], "'big'"),
        (&["bench", "pub", "--duration", "5x"], "write 5s"),
        (&["bench", "pub", "--rate", "5/m"], "write 50"),
        (
            &["bench", "pub", "--tag-sets", "varying", "--tags", "1"],
            "write 2 or more",
        ),
        (
            &["bench", "pairs", "--publishers", "2", "--subscribers", "3"],
            "--clients N",
        ),
        (&["bench", "pipe", "--subscriptions", "3"], "take match"),
        (
            &[
                "bench",
                "match",
                "--subscriptions",
                "2",
                "--subscribers",
                "3",
            ],
            "write 3 or more, or --subscribers 2",
        ),
        (
            &["bench", "fan-out", "--clients", "4", "--subscribers", "5"],
            "--clients 4 and --subscribers 5",
        ),
        (
            &["bench", "pub", "--clients", "4", "--publishers", "4"],
            "leave one of them out",
        ),
        (&["bench", "nope"], "fan-out"),
        (&["bench", "--host", "ftp://x"], "tcp://"),
        (&["latency", "--ping", "--size", "20"], "--size"),
    ] {
        let assert = mist(arguments).code(2).stdout("");
        assert!(
            stderr(&assert).contains(text),
            "{arguments:?}: {}",
            stderr(&assert)
        );
    }
    let host = format!("127.0.0.1:{}", free_port());
    for command in ["bench", "latency"] {
        mist(&[command, "--host", &host]).code(3).stdout("");
    }
    let csv = ["bench", "--host", &host, "--csv", "/nowhere/at/all"];
    assert!(stderr(&mist(&csv).code(1)).contains("/nowhere/at/all"));
}

#[test]
fn rights_are_what_a_token_gives() {
    let arguments = [
        "--authenticator",
        "memory://",
        "--token",
        "top",
        "--access",
        "scoped",
    ];
    let server = Server::start(&arguments);
    let bench = ["bench", "pipe", "-n", "10"];
    server.mist(&bench).code(4);
    server
        .mist(&[&bench[..], &["--token", "wrong"]].concat())
        .code(4);
    server
        .mist(&[&bench[..], &["--token", "top"]].concat())
        .success();
    server.mist(&["bench", "pub", "-n", "10"]).code(4);
}
