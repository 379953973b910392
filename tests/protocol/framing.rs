//! Owns framing beyond transcripts: cuts at every byte, garbage in bulk, frames of every kind.

use fastrand::Rng;
use mist_tests::wire::{Incoming, Wire};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use mist_tests::client::{Kind, PING, PONG, Place, is_well, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_be_cut_at_every_byte() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut subscriber = place.tcp().await;
    subscriber.subscribe(&["é", "😀"]).await;
    let mut witness = place.tcp().await;
    let mut publisher = place.tcp().await;
    let line = "{\"command\":\"publish\",\"tags\":[\"é\",\"\\ud83d\\ude00\"],\"data\":\"日\\n\"}\r\n{\"command\":\"ping\"}\n";
    for cut in 1..line.len() {
        publisher.write(&line.as_bytes()[..cut]).await;
        // A round trip elsewhere gives the server the time to see the first piece alone.
        witness.barrier().await;
        publisher.write(&line.as_bytes()[cut..]).await;
        publisher.expect(PONG).await;
        subscriber
            .expect(r#"{"command":"publish","tags":["é","😀"],"data":"日\n"}"#)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cuts_anywhere_in_a_burst_change_nothing() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut subscriber = place.ws().await;
    subscriber.subscribe(&["x"]).await;
    let mut witness = place.tcp().await;
    let mut publisher = place.tcp().await;
    let mut dice = Rng::with_seed(5);
    for _ in 0..100 {
        let count = 1 + dice.usize(..8);
        let messages: Vec<String> = (0..count)
            .map(|n| {
                format!(
                    r#"{{"command":"publish","tags":["x"],"data":"{n}{}"}}"#,
                    "é".repeat(dice.usize(..300))
                )
            })
            .collect();
        let bytes = (messages.join("\n") + "\n").into_bytes();
        let mut cuts = [dice.usize(..bytes.len()), dice.usize(..bytes.len())];
        cuts.sort_unstable();
        for piece in [
            &bytes[..cuts[0]],
            &bytes[cuts[0]..cuts[1]],
            &bytes[cuts[1]..],
        ] {
            publisher.write(piece).await;
            witness.barrier().await;
        }
        for message in &messages {
            subscriber.expect(message).await;
        }
    }
}

fn garbage(dice: &mut Rng) -> Vec<u8> {
    const STARTS: [&[u8]; 8] = [
        b"x",
        b"{\"command\":",
        b"[",
        b"\"",
        b"{\"tags\":[",
        b"\xff",
        b"{\"data\":\"\\u",
        b"nul",
    ];
    let mut line = dice.choice(&STARTS).expect("one of them").to_vec();
    for _ in 0..dice.usize(..60) {
        let byte = dice.u64(..) as u8;
        line.push(if byte == b'\n' { b' ' } else { byte });
    }
    // Whatever went before, no message ends like this.
    line.push(b'{');
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_garbage_lines_hurt_nobody_but_their_sender() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut subscriber = place.ws().await;
    subscriber.subscribe(&["x"]).await;
    let mut publisher = place.tcp().await;
    let mut offender = place.tcp().await;
    let mut dice = Rng::with_seed(3);
    for round in 0..1000 {
        let mut bytes = Vec::new();
        for _ in 0..10 {
            bytes.extend(garbage(&mut dice));
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(PING.as_bytes());
        bytes.push(b'\n');
        offender.write(&bytes).await;
        for _ in 0..10 {
            offender.expect_like(r#"{"command":"*","error":"*"}"#).await;
        }
        offender.expect(PONG).await;
        if round % 50 == 0 {
            publisher.publish(&["x"], &round.to_string()).await;
            subscriber
                .expect(&format!(
                    r#"{{"command":"publish","tags":["x"],"data":"{round}"}}"#
                ))
                .await;
        }
    }
    subscriber.barrier().await;
    publisher.barrier().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_without_a_pause_ends_in_an_error_and_a_close() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut dice = Rng::with_seed(9);
    for round in 0..100 {
        let mut offender = place.connect(Kind::of(round)).await;
        for _ in 0..16 {
            match offender.kind {
                Kind::Tcp => {
                    let mut line = garbage(&mut dice);
                    line.push(b'\n');
                    offender.write(&line).await;
                }
                Kind::Ws => offender.send("garbage{").await,
            }
        }
        let mut errors = 0;
        loop {
            match offender.wire.recv().await {
                Incoming::Message(message) => {
                    assert!(
                        message.starts_with(b"{\"command\":\""),
                        "{}",
                        String::from_utf8_lossy(&message)
                    );
                    errors += 1;
                }
                Incoming::Closed(_) => break,
                Incoming::Nothing => panic!("neither an error nor the end after {errors} errors"),
            }
        }
        assert!(errors >= 16, "only {errors} errors came before the end");
    }
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_over_the_limit_gets_its_error_although_the_client_goes_on_writing() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut client = place.tcp().await;
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..16 {
        if client.wire.write(&piece).await.is_err() {
            break;
        }
    }
    client
        .expect_like(r#"{"command":"","error":"*4194304*"}"#)
        .await;
    client.expect_closed().await;
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_not_utf8_is_not_met_with_silence() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut client = place.ws().await;
    let bytes = b"{\"command\":\"ping\",\"x\":\"\xff\"}".to_vec();
    let frame = Frame::message(bytes, OpCode::Data(Data::Text), true);
    client
        .wire
        .frame(Message::Frame(frame))
        .await
        .expect("the frame is sent");
    // The WebSocket standard asks for close code 1007; an error message that leaves the connection open is as good.
    match client.wire.recv().await {
        Incoming::Closed(code) => assert_eq!(code, Some(1007)),
        Incoming::Message(message) => {
            assert!(
                String::from_utf8_lossy(&message).contains("UTF-8"),
                "{message:?}"
            );
            match client.wire.frame(Message::text(PING)).await {
                Ok(()) => assert!(matches!(
                    client.wire.recv().await,
                    Incoming::Message(_) | Incoming::Closed(Some(1007))
                )),
                Err(error) => panic!("the connection is gone without a code: {error}"),
            }
        }
        Incoming::Nothing => panic!("nothing came"),
    }
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_frame_is_read_like_text_or_refused_with_a_word() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut client = place.ws().await;
    client
        .wire
        .frame(Message::binary(PING.as_bytes().to_vec()))
        .await
        .expect("the frame is sent");
    match client.wire.recv().await {
        Incoming::Message(message) => {
            let text = String::from_utf8_lossy(&message).into_owned();
            assert!(text == PONG || text.contains("\"error\":"), "{text}");
        }
        Incoming::Closed(code) => assert_eq!(code, Some(1003)),
        Incoming::Nothing => panic!("nothing came"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_pings_are_answered_between_the_fragments_of_a_message() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut client = place.ws().await;
    let first = Frame::message(
        PING.as_bytes()[..7].to_vec(),
        OpCode::Data(Data::Text),
        false,
    );
    let rest = Frame::message(
        PING.as_bytes()[7..].to_vec(),
        OpCode::Data(Data::Continue),
        true,
    );
    client
        .wire
        .frame(Message::Frame(first))
        .await
        .expect("the frame is sent");
    client
        .wire
        .frame(Message::Ping(b"between".to_vec().into()))
        .await
        .expect("the frame is sent");
    client
        .wire
        .frame(Message::Frame(rest))
        .await
        .expect("the frame is sent");
    client.expect(PONG).await;
    client.barrier().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_end_in_a_newline_or_hold_some_between_its_fields() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut client = place.ws().await;
    for frame in [
        "{\"command\":\"ping\"}\n",
        "{\"command\":\"ping\"}\r\n",
        "\n{\n\t\"command\":\n\t\"ping\"\n}\n",
    ] {
        client.send(frame).await;
        client.expect(PONG).await;
    }
    client
        .send("{\"command\":\"publish\",\"tags\":[\"x\"],\"data\":\"one\ntwo\"}")
        .await;
    client
        .expect_like(r#"{"command":"publish","error":"*control*"}"#)
        .await;
    client.barrier().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_arrive_together_with_the_upgrade_request() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut bytes = format!(
        "GET /subscribe/websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        place.ws
    )
    .into_bytes();
    // A text frame whose mask is zero, so that its payload can be read here as it is.
    bytes.extend_from_slice(&[0x81, 0x80 | PING.len() as u8, 0, 0, 0, 0]);
    bytes.extend_from_slice(PING.as_bytes());
    let mut wire = Wire::tcp(place.ws).await.expect("it listens");
    wire.write(&bytes).await.expect("bytes are taken");
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(PONG) {
        answer.extend(wire.chunk().await.expect("the pong comes"));
    }
    assert!(
        answer.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}
