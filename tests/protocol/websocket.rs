//! Owns what frames do that no decent client sends: the rules of RFC 6455 from a bare socket, a table of breaches and
//! of what is allowed but rare. It must not know what the messages mean, beyond `ping` and `publish`.

use mist_tests::PATIENCE;
use mist_tests::transcript::is_like;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use mist_tests::client::{Client, PING, PONG, Place, eventually, server};

const CONTINUE: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING_FRAME: u8 = 0x9;
const PONG_FRAME: u8 = 0xA;
const FIN: u8 = 0x80;

/// What the server lets through to others only if it took the message.
const RUMOUR: &str = r#"{"command":"publish","tags":["rumour"],"data":"heard"}"#;
const HEARD: &str = RUMOUR;

/// One frame as a client sends it: masked, with the shortest length that fits.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(head, payload.len() as u64);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The part of a frame before its payload, whatever follows.
fn header(head: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![head];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    frame(FIN | TEXT, payload.as_bytes())
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A text message in pieces, with frames between them.
fn pieces(payload: &[u8], size: usize, between: &[u8]) -> Vec<u8> {
    let count = payload.chunks(size).count();
    let mut bytes = Vec::new();
    for (index, piece) in payload.chunks(size).enumerate() {
        let first = if index == 0 { TEXT } else { CONTINUE };
        let last = if index + 1 == count { FIN } else { 0 };
        bytes.extend(frame(first | last, piece));
        if last == 0 {
            bytes.extend(between);
        }
    }
    bytes
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Text(String),
    Pong(Vec<u8>),
    /// The code, and no code is a frame without one.
    Close(Option<u16>),
}

/// A WebSocket seen as bytes.
struct Bare(BufReader<TcpStream>);

impl Bare {
    async fn open(place: Place) -> Self {
        let mut stream = TcpStream::connect(place.ws).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            place.ws
        );
        stream.write_all(request.as_bytes()).await.expect("taken");
        let mut bare = Self(BufReader::new(stream));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(bare.0.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).expect("a head is text");
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        // The example of the RFC.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        bare
    }

    /// Writes; a server that has closed need not take the rest.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame, or `None` at the end. Checks what each frame of a server must be.
    async fn next(&mut self) -> Option<Answer> {
        let head = self.0.read_u8().await.ok()?;
        let second = self.0.read_u8().await.expect("a whole header");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let length = match second {
            126 => {
                let length = self.0.read_u16().await.expect("a whole header");
                assert!(length >= 126, "{length} fits into fewer bytes");
                u64::from(length)
            }
            127 => {
                let length = self.0.read_u64().await.expect("a whole header");
                assert!(length > 0xffff, "{length} fits into fewer bytes");
                length
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.expect("whole");
        Some(match head {
            0x81 => Answer::Text(String::from_utf8(payload).expect("UTF-8")),
            0x8A => Answer::Pong(payload),
            0x88 => Answer::Close(match payload[..] {
                [] => None,
                [high, low, ..] => Some(u16::from_be_bytes([high, low])),
                [_] => panic!("half a code"),
            }),
            other => panic!("a frame that begins with {other:#x}"),
        })
    }
}

/// Those who must notice nothing of what others do.
struct Others {
    place: Place,
    readers: Vec<Client>,
}

impl Others {
    async fn at(place: Place) -> Self {
        let mut readers = vec![place.tcp().await, place.ws().await];
        for reader in &mut readers {
            reader.subscribe(&["rumour"]).await;
        }
        Self { place, readers }
    }

    /// Sends, and expects exactly these answers; then the end if the last is a closing frame, else a working connection.
    async fn play(&mut self, about: &str, sent: &[u8], answers: &[Answer], heard: usize) {
        let mut bare = Bare::open(self.place).await;
        bare.write(sent).await;
        let mut came = Vec::new();
        for _ in answers {
            let frame = tokio::time::timeout(PATIENCE, bare.next()).await;
            came.push(frame.unwrap_or_else(|_| panic!("{about}: after {came:?} nothing came")));
        }
        // Pongs may stand before or behind the answers to messages of the same packet.
        came.sort_by_key(|frame| !matches!(frame, Some(Answer::Pong(_))));
        for (came, wanted) in came.iter().zip(answers) {
            match (came, wanted) {
                (Some(Answer::Text(came)), Answer::Text(wanted)) => {
                    assert!(is_like(wanted, came), "{about}: {came}");
                }
                _ => assert_eq!(came.as_ref(), Some(wanted), "{about}"),
            }
        }
        if let Some(Answer::Close(_)) = answers.last() {
            // Our side of the handshake; where the server has begun it, it waits for that.
            bare.write(&close(1000, b"")).await;
            let end = tokio::time::timeout(PATIENCE, bare.next()).await;
            assert_eq!(end, Ok(None), "{about}: after the closing frame");
        } else {
            bare.write(&text(PING)).await;
            let pong = Some(Answer::Text(PONG.into()));
            assert_eq!(bare.next().await, pong, "{about}: it goes on");
        }
        for reader in &mut self.readers {
            let came = reader.until_pong().await;
            assert_eq!(came, vec![HEARD; heard], "{about}: what others see");
        }
    }
}

fn pong() -> Answer {
    Answer::Text(PONG.into())
}

/// Breaks the rules: the code of the server's closing frame, and nothing of the message comes out.
async fn is_refused(others: &mut Others, cases: &[(&str, u16, Vec<u8>)]) {
    for (about, code, sent) in cases {
        others
            .play(about, sent, &[Answer::Close(Some(*code))], 0)
            .await;
        // What was said before still counts, what is said after does not.
        let (before, after) = (text(RUMOUR), text(RUMOUR));
        let all = [text(PING), before, sent.clone(), after].concat();
        let answers = [pong(), Answer::Close(Some(*code))];
        others.play(about, &all, &answers, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_breaks_the_rules_ends_its_own_connection_only() {
    let server = server(&[]);
    let mut others = Others::at(Place::of(&server)).await;
    let unmasked = [&[FIN | TEXT, RUMOUR.len() as u8], RUMOUR.as_bytes()].concat();
    let started = frame(TEXT, br#"{"command":"#);
    let after_start = |next: Vec<u8>| [started.clone(), next].concat();
    let rumour = RUMOUR.as_bytes();
    let mut cases = vec![
        ("unmasked text", 1002, unmasked),
        ("unmasked close", 1002, vec![FIN | CLOSE, 0]),
        ("unmasked ping", 1002, vec![FIN | PING_FRAME, 0]),
        ("a ping in pieces", 1002, frame(PING_FRAME, b"a")),
        ("a pong in pieces", 1002, frame(PONG_FRAME, b"a")),
        ("a close in pieces", 1002, frame(CLOSE, &[3, 232])),
        ("a long ping", 1002, frame(FIN | PING_FRAME, &[b'x'; 126])),
        ("a long pong", 1002, frame(FIN | PONG_FRAME, &[b'x'; 126])),
        ("a long close", 1002, close(1000, &[b'x'; 124])),
        (
            "a continuation of nothing",
            1002,
            frame(FIN | CONTINUE, rumour),
        ),
        (
            "an open continuation of nothing",
            1002,
            frame(CONTINUE, rumour),
        ),
        (
            "a text within a text",
            1002,
            after_start(frame(FIN | TEXT, rumour)),
        ),
        (
            "binary within a text",
            1002,
            after_start(frame(FIN | BINARY, rumour)),
        ),
        (
            "a piece of a text within a text",
            1002,
            after_start(frame(TEXT, rumour)),
        ),
    ];
    for bit in [0x40, 0x20, 0x10, 0x70] {
        cases.push(("a reserved bit", 1002, frame(FIN | bit | TEXT, rumour)));
        cases.push(("a reserved bit", 1002, frame(FIN | bit | PING_FRAME, b"")));
        let in_piece = after_start(frame(FIN | bit | CONTINUE, b"\"ping\"}"));
        cases.push(("a reserved bit in a piece", 1002, in_piece));
    }
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        cases.push(("a reserved opcode", 1002, frame(FIN | opcode, b"x")));
        let within = after_start(frame(FIN | opcode, b""));
        cases.push(("a reserved opcode within a text", 1002, within));
    }
    is_refused(&mut others, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_is_closed_with_1007_however_it_is_cut() {
    let server = server(&[]);
    let mut others = Others::at(Place::of(&server)).await;
    let wrong: [&[u8]; 8] = [
        b"\xff",
        b"\xc3\x28",
        // Too long for what it says, half of a surrogate pair, beyond the last character.
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        // Ends in the middle.
        b"\xce\xba\xe1\xbd",
        b"\xf0\x9f\x98",
    ];
    let mut cases = Vec::new();
    for bad in wrong {
        let payload = [br#"{"command":"ping","data":""#.as_slice(), bad].concat();
        cases.push(("in one frame", 1007, frame(FIN | TEXT, &payload)));
        cases.push(("byte by byte", 1007, pieces(&payload, 1, b"")));
        let pinging = pieces(&payload, payload.len() - 1, b"");
        cases.push(("in two pieces", 1007, pinging));
    }
    is_refused(&mut others, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rare_but_allowed_is_served() {
    let server = server(&[]);
    let mut others = Others::at(Place::of(&server)).await;
    let message = r#"{"command":"publish","tags":["rumour"],"data":"καλημέρα 😀"}"#;
    let characters = r#"{"command":"κ😀","data":"x"}"#;
    let unknown = Answer::Text(characters.replace(
        '}',
        r#","error":"Unknown Command","code":"unknown-command"}"#,
    ));
    let ping = frame(FIN | PING_FRAME, b"between");
    let between = Answer::Pong(b"between".to_vec());
    let pieces_of_ping = PING.len().div_ceil(7);
    let full = [0xfe; 125];
    let invalid = Answer::Text(r#"{"command":*"error":*}"#.into());

    let cases: Vec<(&str, Vec<u8>, Vec<Answer>)> = vec![
        (
            "ping without payload",
            frame(FIN | PING_FRAME, b""),
            vec![Answer::Pong(Vec::new())],
        ),
        (
            "the longest ping",
            frame(FIN | PING_FRAME, &full),
            vec![Answer::Pong(full.to_vec())],
        ),
        (
            "pongs nobody asked for",
            [
                frame(FIN | PONG_FRAME, b""),
                frame(FIN | PONG_FRAME, b"why"),
            ]
            .concat(),
            vec![],
        ),
        (
            "a text in pieces",
            pieces(PING.as_bytes(), 7, b""),
            vec![pong()],
        ),
        (
            "a text byte by byte",
            pieces(PING.as_bytes(), 1, b""),
            vec![pong()],
        ),
        (
            "pings between the pieces",
            pieces(PING.as_bytes(), 7, &ping),
            [vec![between; pieces_of_ping - 1], vec![pong()]].concat(),
        ),
        (
            "pongs between the pieces",
            pieces(PING.as_bytes(), 7, &frame(FIN | PONG_FRAME, b"x")),
            vec![pong()],
        ),
        (
            "empty pieces around a text",
            [
                frame(TEXT, b""),
                frame(CONTINUE, b""),
                frame(CONTINUE, PING.as_bytes()),
                frame(FIN | CONTINUE, b""),
            ]
            .concat(),
            vec![pong()],
        ),
        (
            "characters cut in the middle",
            pieces(characters.as_bytes(), 1, b""),
            vec![unknown],
        ),
        (
            "binary is read as text is",
            frame(FIN | BINARY, PING.as_bytes()),
            vec![pong()],
        ),
        (
            "binary in pieces",
            [
                frame(BINARY, &PING.as_bytes()[..5]),
                frame(FIN | CONTINUE, &PING.as_bytes()[5..]),
            ]
            .concat(),
            vec![pong()],
        ),
        (
            "binary that is not text gets an error, not the end",
            frame(FIN | BINARY, &[0, 159, 146, 150, 255]),
            vec![invalid.clone()],
        ),
        ("an empty text says nothing", frame(FIN | TEXT, b""), vec![]),
        (
            "an empty binary says nothing",
            frame(FIN | BINARY, b""),
            vec![],
        ),
        ("a text that is no message", text("hello"), vec![invalid]),
    ];
    for (about, sent, answers) in &cases {
        others.play(about, sent, answers, 0).await;
    }
    // Every cut of the bytes on their way gives the same.
    let mut bare = Bare::open(others.place).await;
    for byte in pieces(message.as_bytes(), 3, &ping) {
        bare.write(&[byte]).await;
    }
    for _ in 1..message.len().div_ceil(3) {
        assert_eq!(bare.next().await, Some(Answer::Pong(b"between".to_vec())));
    }
    bare.write(&text(PING)).await;
    assert_eq!(bare.next().await, Some(pong()));
    for reader in &mut others.readers {
        reader.expect(message).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_frame_is_answered_by_one_and_nothing_behind_it_counts() {
    let server = server(&[]);
    let mut others = Others::at(Place::of(&server)).await;
    let behind = [text(RUMOUR), frame(FIN | PING_FRAME, b"?"), text(PING)].concat();
    let mut cases: Vec<(String, Vec<u8>, Option<u16>)> = vec![
        ("no code".into(), frame(FIN | CLOSE, b""), None),
        ("half a code".into(), frame(FIN | CLOSE, &[3]), Some(1002)),
        (
            "a reason".into(),
            close(1000, "zu Ende — 😀".as_bytes()),
            Some(1000),
        ),
        (
            "the longest reason".into(),
            close(1000, &[b'x'; 123]),
            Some(1000),
        ),
        (
            "a reason that is not text".into(),
            close(1000, b"\xff\xfe"),
            Some(1007),
        ),
    ];
    let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011];
    for code in good.into_iter().chain([3000, 3999, 4000, 4999]) {
        cases.push((format!("code {code}"), close(code, b""), Some(code)));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        cases.push((format!("code {code}"), close(code, b""), Some(1002)));
    }
    for (about, sent, code) in cases {
        let answers = [pong(), Answer::Close(code)];
        let all = [text(PING), sent, behind.clone()].concat();
        others.play(&about, &all, &answers, 0).await;
    }
    // Twice in one packet, and in the middle of a message.
    let twice = [close(1000, b""), close(1001, b"")].concat();
    let answer = [Answer::Close(Some(1000))];
    others.play("twice", &twice, &answer, 0).await;
    let within = [frame(TEXT, br#"{"command":"#), close(1000, b"")].concat();
    others.play("within a message", &within, &answer, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_size_limit_is_closed_with_1009_before_it_has_arrived() {
    let server = server(&["--limit", "message-bytes=65536"]);
    let mut others = Others::at(Place::of(&server)).await;
    let answers = [
        Answer::Text(r#"{"command":"","error":"*65536*message-bytes*"}"#.into()),
        Answer::Close(Some(1009)),
    ];
    // The header alone says enough.
    for length in [65_537, 1 << 20, 1 << 40, u64::MAX >> 1, u64::MAX] {
        let about = format!("a frame of {length} bytes");
        let sent = header(FIN | TEXT, length);
        others.play(&about, &sent, &answers, 0).await;
    }
    let long = vec![b' '; 65_537];
    let sent = frame(FIN | BINARY, &long);
    others.play("a binary frame", &sent, &answers, 0).await;
    let sent = pieces(&long, 40_000, b"");
    others.play("two pieces", &sent, &answers, 0).await;
    let sent = pieces(&long, 1000, b"");
    others.play("many pieces", &sent, &answers, 0).await;
    // To the byte.
    let padded = format!("{PING}{}", " ".repeat(65_536 - PING.len()));
    others
        .play("as long as may be", &text(&padded), &[pong()], 0)
        .await;
    let sent = pieces(padded.as_bytes(), 999, b"");
    others
        .play("as long as may be, in pieces", &sent, &[pong()], 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_every_length_of_length_come_and_go_whole() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut reader = Bare::open(place).await;
    let subscribe = r#"{"command":"subscribe","tags":["x"]}"#;
    reader.write(&text(subscribe)).await;
    reader.write(&text(PING)).await;
    assert_eq!(reader.next().await, Some(pong()));
    let mut publisher = Bare::open(place).await;
    let shell = r#"{"command":"publish","tags":["x"],"data":""}"#.len();
    let mut sizes = vec![0, 1, 125, 126, 127, 128, 1000, 65_535, 65_536, 1 << 20];
    // Where the whole frame, not the data alone, needs another kind of length.
    sizes.extend([125 - shell, 126 - shell, 65_535 - shell, 65_536 - shell]);
    for size in sizes {
        let data = "d".repeat(size);
        let mut message = format!(r#"{{"command":"publish","tags":["x"],"data":"{data}"}}"#);
        publisher.write(&text(&message)).await;
        if size == 0 {
            message = r#"{"command":"publish","tags":["x"]}"#.into();
        }
        let came = reader.next().await;
        assert!(came == Some(Answer::Text(message)), "{size} bytes of data");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_very_many_pieces_costs_what_it_weighs() {
    const PIECES: usize = 200_000;
    let server = server(&[]);
    let place = Place::of(&server);
    let mut others = Others::at(place).await;
    let before = server.memory();
    let mut bare = Bare::open(place).await;
    // Pieces that add nothing, then pieces that add a byte each.
    bare.write(&frame(TEXT, b"")).await;
    bare.write(&frame(CONTINUE, b"").repeat(PIECES)).await;
    bare.write(&frame(CONTINUE, b" ").repeat(PIECES)).await;
    bare.write(&frame(FIN | PING_FRAME, b"half")).await;
    assert_eq!(bare.next().await, Some(Answer::Pong(b"half".to_vec())));
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 16 << 20, "{} KiB for {PIECES} bytes", grown >> 10);
    bare.write(&frame(FIN | CONTINUE, PING.as_bytes())).await;
    assert_eq!(bare.next().await, Some(pong()));
    // Somebody who leaves in the middle of one is forgotten.
    bare.write(&frame(TEXT, &[b' '; 1000])).await;
    drop(bare);
    let mut witness = place.tcp().await;
    eventually(place, "only the others are left", async || {
        witness.send(r#"{"command":"who"}"#).await;
        witness.recv().await.contains("Subscribers connected: 2")
    })
    .await;
    others.play("afterwards", b"", &[], 0).await;
}
