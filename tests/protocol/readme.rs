//! Owns that what the README says is so: its transcripts are played, its commands run, its links lead somewhere, all as
//! they stand there. It must not repeat what the README says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use mist_tests::certificate::Certificate;
use mist_tests::process::{Process, command, rest};
use mist_tests::run::run;
use mist_tests::transcript::{Door, Transcript};
use mist_tests::wire::Wire;

const TOKEN: &str = "SECRET";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn readme() -> String {
    read(&root().join("README.md"))
}

/// A fenced block.
struct Block {
    language: String,
    /// How many lines of the file stand before its first one.
    above: usize,
    text: String,
}

/// The fenced blocks of a document, and the document without them.
fn blocks(document: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<Block> = None;
    for (index, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    above: index + 1,
                    text: String::new(),
                });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {
                prose += line;
                prose.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    (blocks, prose)
}

fn blocks_in(language: &str) -> Vec<Block> {
    let (mut blocks, _) = blocks(&readme());
    blocks.retain(|block| block.language == language);
    assert!(!blocks.is_empty(), "the README has no block of {language}");
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transcript_of_the_readme_holds() {
    for block in blocks_in("text") {
        // Failures name the line of the README.
        let text = "\n".repeat(block.above) + &block.text;
        let transcript = Transcript::parse(Path::new("README.md"), &text).expect("a transcript");
        for door in [Door::Tcp, Door::Ws] {
            if let Err(failure) = run(&transcript, door).await {
                panic!("{failure}");
            }
        }
    }
}

/// The words of a command, without what is said about it behind `#`.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (' ', None) => words.extend(word.take()),
            ('$' | '\\' | '|' | '>' | '<' | '&' | ';' | '`', None | Some('"')) => {
                panic!("more of a shell than this test knows: {line}")
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is not closed: {line}");
    words.extend(word);
    words
}

/// The commands of the README's shell blocks that begin with a word, each as its words.
fn shell_commands(program: &str) -> Vec<Vec<String>> {
    let all = blocks_in("sh");
    let lines = all.iter().flat_map(|block| block.text.lines());
    let mut commands: Vec<_> = lines.map(words).filter(|words| !words.is_empty()).collect();
    for words in &commands {
        let is_known = ["mist", "curl", "cargo"].contains(&&*words[0]);
        assert!(is_known, "nobody knows how to run {words:?}");
    }
    commands.retain(|words| words[0] == program);
    assert!(!commands.is_empty(), "the README has no {program}");
    commands
}

/// The config file in the README that has a word in it.
fn config_with(word: &str) -> String {
    let mut blocks = blocks_in("yaml").into_iter();
    let found = blocks.find(|block| block.text.contains(word));
    found.expect(word).text
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A folder with what the README tells to write.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("readme-{name}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("mist.yml"), config_with("log-level")).expect("a file");
    folder
}

/// How a program ended, and what it wrote.
fn end(mut process: Process) -> (ExitStatus, String) {
    let mut text = rest(&process.stdout).join("\n") + "\n";
    let status = process.end();
    text += &process.log();
    (status, text)
}

/// Runs the README's commands against a server.
struct Terminal {
    folder: PathBuf,
    host: String,
    /// Those that wait for messages.
    subscribers: Vec<Process>,
}

impl Terminal {
    fn command(&self, arguments: &[String]) -> Command {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = command(&arguments);
        command
            .current_dir(&self.folder)
            .env("MIST_HOST", &self.host)
            .env("MIST_TOKEN", TOKEN);
        command
    }

    /// Runs a command that ends by itself; returns what it wrote.
    fn succeed(&self, arguments: &[String]) -> String {
        let (status, text) = end(Process::run(&mut self.command(arguments)));
        assert!(status.success(), "{arguments:?}: {status}\n{text}");
        text
    }

    fn mist(&mut self, arguments: &[String]) {
        match arguments[0].as_str() {
            "sub" => {
                let sets = 1 + arguments.iter().filter(|word| *word == "--also").count();
                let subscriber = Process::run(&mut self.command(arguments));
                // Where messages are for programs, nothing else is on stdout.
                let for_programs = |word: &String| ["json", "-F", "--exec"].contains(&&**word);
                let is_for_programs = arguments.iter().any(for_programs);
                for _ in 0..sets {
                    let line = match is_for_programs {
                        true => subscriber.says(""),
                        false => subscriber.line(),
                    };
                    assert!(line.starts_with("Listening on tags"), "{line}");
                }
                self.subscribers.push(subscriber);
            }
            "pub" => {
                let is_acked = arguments.iter().any(|word| word == "--ack");
                let text = self.succeed(arguments);
                let says_how_many = text.contains(|c: char| c.is_ascii_digit());
                assert_eq!(says_how_many, is_acked, "{arguments:?}: {text}");
            }
            "token" => {
                let text = self.succeed(arguments);
                let words: Vec<_> = arguments.iter().map(String::as_str).collect();
                let run = |arguments: &[&str]| {
                    let arguments: Vec<_> = arguments.iter().map(|&word| word.into()).collect();
                    self.succeed(&arguments)
                };
                match &words[1..] {
                    ["add", token, tags @ ..] => {
                        let kept = run(&["token", "tags", token]);
                        assert_eq!(kept.trim_end(), tags.join("\n"));
                    }
                    ["list"] => {
                        let mut rows = text.lines().skip(1);
                        let is_whole = |row: &str| {
                            row.starts_with("north-desk ") && row.ends_with(" district:north")
                        };
                        assert!(rows.any(is_whole), "{text}");
                    }
                    ["end", token] => assert!(!run(&["token", "list"]).contains(token)),
                    _ => panic!("a form of token that this test does not know: {arguments:?}"),
                }
            }
            "ping" if arguments.iter().any(|word| word == "-c") => {
                let text = self.succeed(arguments);
                assert!(text.contains("min/avg/max"), "{text}");
            }
            "ping" => {
                // The port may be in use, and a certificate of that name has to be made.
                let [_, host, uri, ca, file] = arguments else {
                    panic!("a form of ping that this test does not know: {arguments:?}")
                };
                assert_eq!((&**host, &**ca), ("--host", "--ca"));
                let (scheme, _) = uri.split_once("://").expect("a scheme");
                let certificate = Certificate::default();
                let copied = std::fs::copy(certificate.file(), self.folder.join(file));
                copied.expect("the file is written");
                let (pem, key) = (certificate.file(), certificate.key());
                let flags = ["--tls-cert", text(&pem), "--tls-key", text(&key)];
                let listener = format!("{scheme}://127.0.0.1:0");
                let server = Process::start_on(&listener, &flags);
                let uri = format!("{scheme}://localhost:{}", server.address(scheme).port());
                let words = ["ping", host, &uri, ca, file].map(str::to_owned);
                assert_eq!(self.succeed(&words), "pong\n");
            }
            "bench" | "latency" => {
                let text = self.succeed(arguments);
                let figure = match &*arguments[0] {
                    "bench" => "delivered/s",
                    _ => "p99",
                };
                assert!(text.contains(figure), "{text}");
            }
            "who" => {
                let text = self.succeed(arguments);
                assert!(text.contains("connections"), "{text}");
            }
            "check-config" => {
                let text = self.succeed(arguments);
                assert!(text.contains(&format!("'{}'", arguments[1])), "{text}");
            }
            "serve" => {
                let mut command = self.command(arguments);
                // The file's own ports may be in use; the environment goes before it, as the README says.
                command.env("MIST_LISTENERS", "tcp://127.0.0.1:0,ws://127.0.0.1:0");
                let mut server = Process::run(&mut command);
                server.await_addresses(2);
                server.signal("TERM");
                assert!(server.end().success());
            }
            _ => panic!("nobody knows how to run mist {arguments:?}"),
        }
    }
}

#[test]
fn every_command_of_the_readme_does_what_it_is_said_to() {
    let arguments = ["--authenticator", "memory://", "--token", TOKEN];
    let server = Process::start(&arguments);
    let mut terminal = Terminal {
        folder: folder("commands"),
        host: server.address("tcp").to_string(),
        subscribers: Vec::new(),
    };
    for words in shell_commands("mist") {
        terminal.mist(&words[1..]);
    }
    let (_, prose) = blocks(&readme());
    let (_, rest) = prose
        .split_once("The second prints `")
        .expect("it says what comes of the first steps");
    let (promised, _) = rest.split_once('`').expect("the quote ends");
    assert_eq!(terminal.subscribers[0].line(), promised);
    let plain: Vec<_> = prose.split_whitespace().collect();
    let plain = plain.join(" ");
    for subscriber in terminal.subscribers {
        subscriber.signal("INT");
        let (status, text) = end(subscriber);
        let said = format!("{} interrupted", status.code().unwrap_or(-1));
        assert!(plain.contains(&said), "{said}, {text}");
    }
}

#[test]
fn every_command_that_the_readme_mentions_is_there() {
    let (_, prose) = blocks(&readme());
    let mentioned = prose.split("`mist ").skip(1);
    let mut count = 0;
    for name in mentioned.filter_map(|rest| rest.split([' ', '`']).next()) {
        let mut command = command(&["help", name]);
        let (status, text) = end(Process::run(&mut command));
        assert!(status.success(), "mist {name}: {text}");
        count += 1;
    }
    assert!(count > 0, "none is mentioned");
}

#[test]
fn the_config_file_of_the_readme_is_accepted() {
    let mut command = command(&["check-config", "mist.yml"]);
    command.current_dir(folder("config"));
    let (status, text) = end(Process::run(&mut command));
    assert!(status.success(), "{text}");
    assert!(!text.contains(TOKEN), "the token is shown:\n{text}");
    // Every key of the file is one that counts.
    for line in config_with("log-level").lines() {
        let (key, _) = line.split_once(':').expect("a key");
        assert!(text.contains(&format!("{key}:")), "{key} in\n{text}");
    }
}

#[test]
fn the_config_files_for_production_are_accepted_where_their_files_are() {
    let home = Certificate::for_names(&["mist.example.com"]);
    let token = home.path("token");
    std::fs::write(&token, "a long secret\n").expect("a file");
    let files = [
        ("/etc/mist/cert.pem", home.file()),
        ("/etc/mist/key.pem", home.key()),
        ("/etc/mist/token", token),
        ("/var/lib/mist/tokens.db", home.path("tokens.db")),
    ];
    for (word, named) in [("tokens.db", &files[..]), ("jwt://", &files[2..3])] {
        let config = named
            .iter()
            .fold(config_with(word), |config, (name, file)| {
                assert!(config.contains(name), "it names no {name}");
                config.replace(name, text(file))
            });
        std::fs::write(home.path("mist.yml"), config).expect("a file");
        let mut command = command(&["check-config", text(&home.path("mist.yml"))]);
        let (status, text) = end(Process::run(&mut command));
        assert!(status.success(), "{text}");
        assert!(text.contains("access: scoped"), "{text}");
    }
}

#[test]
fn the_addresses_in_the_readme_are_those_a_server_has_by_itself() {
    let folder = folder("defaults");
    std::fs::write(folder.join("empty.yml"), "").expect("a file");
    let mut command = command(&["check-config", "empty.yml"]);
    command.current_dir(folder);
    let (_, text) = end(Process::run(&mut command));
    let (blocks, _) = blocks(&readme());
    let mut count = 0;
    // Several servers on one machine cannot all have the addresses that one has by itself.
    for block in blocks.iter().filter(|block| block.language != "bash") {
        for piece in block.text.split(['"', ' ', ',', '[', ']', '\n']) {
            let Some((scheme, rest)) = piece.split_once("://127.0.0.1:") else {
                continue;
            };
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if port != "0" {
                // That address is one of this machine's own name.
                let uri = format!("\"{scheme}://localhost:{port}\"");
                assert!(text.contains(&uri), "{piece}, but by itself:\n{text}");
                count += 1;
            }
        }
    }
    assert!(count >= 3, "only {count} addresses were found");
}

/// A request as curl makes it.
struct Curl {
    target: String,
    data: Option<String>,
}

impl Curl {
    fn from_words(words: &[String]) -> Self {
        let (mut target, mut data, mut is_stream) = (None, None, false);
        let mut words = words.iter().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "-d" => data = words.next().cloned(),
                "-N" => is_stream = true,
                url => {
                    let (_, rest) = url.split_once("://").expect("only -d, -N and a URL");
                    let at = rest.find('/').expect("a path");
                    target = Some(rest[at..].to_owned());
                }
            }
        }
        assert_ne!(
            data.is_some(),
            is_stream,
            "only -d to publish and -N to subscribe"
        );
        Self {
            target: target.expect("a URL"),
            data,
        }
    }

    /// Sends the request, and waits for the head of its answer; the connection, and what came behind the head.
    async fn send(&self, address: SocketAddr) -> (Wire, String) {
        let method = if self.data.is_some() { "POST" } else { "GET" };
        let data = self.data.as_deref().unwrap_or_default();
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/8\r\nAccept: */*\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{data}",
            self.target,
            data.len()
        );
        let mut wire = Wire::tcp(address).await.expect("it listens");
        wire.write(request.as_bytes())
            .await
            .expect("it takes bytes");
        let answer = until(&mut wire, String::new(), "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (_, rest) = answer.split_once("\r\n\r\n").expect("it is there");
        (wire, rest.to_owned())
    }
}

/// Reads on until a text has come.
async fn until(wire: &mut Wire, mut came: String, wanted: &str) -> String {
    while !came.contains(wanted) {
        let chunk = wire.chunk().await.expect("more comes");
        assert!(!chunk.is_empty(), "the end instead of {wanted:?}: {came}");
        came += &String::from_utf8(chunk).expect("text");
    }
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn what_curl_publishes_comes_to_who_subscribes_with_curl() {
    let server = Process::start_on("http://127.0.0.1:0", &[]);
    let address = server.address("http");
    let curls = shell_commands("curl");
    let curls: Vec<_> = curls.iter().map(|words| Curl::from_words(words)).collect();
    let (publishing, subscribing): (Vec<_>, Vec<_>) =
        curls.iter().partition(|curl| curl.data.is_some());
    assert!(!publishing.is_empty() && !subscribing.is_empty());
    let mut streams = Vec::new();
    for curl in subscribing {
        streams.push(curl.send(address).await);
    }
    for curl in publishing {
        let (mut wire, came) = curl.send(address).await;
        let delivered = format!(r#""delivered":{}"#, streams.len());
        until(&mut wire, came, &delivered).await;
        let data = curl.data.as_deref().unwrap_or_default();
        for (wire, came) in &mut streams {
            *came = until(wire, std::mem::take(came), &format!(r#""data":"{data}"}}"#)).await;
        }
    }
}

/// The name that a heading gets as the target of a link.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|&c| c.is_alphanumeric() || " -_".contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "BENCHMARKS.md",
        "CONTRIBUTING.md",
        "packaging/README.md",
        "PROTOCOL.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "tests/README.md",
        "wasm/npm/README.md",
    ];
    let mut anchors = BTreeMap::new();
    let mut count = 0;
    for name in documents {
        let path = root().join(name);
        let (_, prose) = blocks(&read(&path));
        for rest in prose.split("](").skip(1) {
            let (target, _) = rest.split_once(')').expect("the link ends");
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                file => path.with_file_name("").join(file),
            };
            assert!(file.exists(), "{name}: there is no {target}");
            if heading.is_empty() {
                continue;
            }
            let known = anchors.entry(file.clone()).or_insert_with(|| {
                let (_, prose) = blocks(&read(&file));
                let headings = prose.lines().filter(|line| line.starts_with('#'));
                headings.map(anchor).collect::<Vec<_>>()
            });
            assert!(
                known.iter().any(|known| known == heading),
                "{name}: no heading {target}"
            );
        }
    }
    assert!(count > 5, "only {count} links were found");
}

#[test]
fn words_are_taken_as_a_shell_takes_them() {
    assert_eq!(
        words(r#"a  "b c" -d'e "f"'g   # h "i"#),
        ["a", "b c", r#"-de "f"g"#]
    );
    assert_eq!(words("x \"\" y#z"), ["x", "", "y#z"]);
    assert_eq!(words("# nothing"), [""; 0]);
}
