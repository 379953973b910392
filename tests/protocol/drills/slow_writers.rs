//! Owns clients that never finish what they say. They cost little, and nobody else waits for them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Light, MIB, figure, memory, server};
use mist_tests::client::{Kind, PING, PONG, Place, is_well};

const WRITERS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_who_write_byte_by_byte_hold_up_nobody() {
    assert!(super::has_descriptors(2 * WRITERS), "too few descriptors");
    let server = server(&[]);
    let place = Place::of(&server);
    is_well(place).await;
    let before = memory(&server);
    let request = "GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let line = format!("{PING}\n");
    let (mut lines, mut heads) = (Vec::new(), Vec::new());
    for _ in 0..WRITERS {
        lines.push(Light::open(place, Kind::Tcp).await);
        let head = tokio::net::TcpStream::connect(place.ws).await;
        heads.push(head.expect("it listens"));
    }
    for at in 0..line.len() - 1 {
        let byte = &line.as_bytes()[at..=at];
        for writer in &mut lines {
            writer.stream.write_all(byte).await.expect("taken");
        }
        let byte = &request.as_bytes()[at..=at];
        for head in &mut heads {
            // Whoever takes longer than the server waits has been cut, as it should be.
            let _ = head.write_all(byte).await;
        }
        if at % 8 == 0 {
            is_well(place).await;
        }
    }
    let grown = memory(&server).saturating_sub(before);
    figure(
        "slow writers",
        "memory for 1,000",
        format!("{} KiB", grown >> 10),
    );
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
    for writer in &mut lines {
        writer.stream.write_all(b"\n").await.expect("taken");
        writer.expect(PONG).await;
    }
    // A head is answered when it is whole, or was cut; it is never left hanging.
    for mut head in heads {
        let _ = head.write_all(&request.as_bytes()[line.len() - 1..]).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(mist_tests::PATIENCE, head.read_to_end(&mut answer))
            .await
            .expect("an answer or the end");
        let answer = String::from_utf8_lossy(&answer);
        let known =
            answer.is_empty() || answer.ends_with("\r\n\r\npong\n") || answer.contains(" 408 ");
        assert!(known, "{answer}");
    }
    is_well(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_64_mib_without_an_end_costs_no_more_than_a_message() {
    let server = server(&[]);
    let place = Place::of(&server);
    is_well(place).await;
    let before = memory(&server);
    let mut client = Light::open(place, Kind::Tcp).await;
    let (mut reader, mut writer) = client.stream.split();
    let piece = vec![b'x'; 1 << 20];
    let mut highest = before;
    let writing = async {
        for _ in 0..64 {
            // The server says what is wrong, and need not take the rest.
            if writer.write_all(&piece).await.is_err() {
                break;
            }
            highest = highest.max(memory(&server));
        }
        let _ = writer.shutdown().await;
    };
    let reading = async {
        let mut answer = Vec::new();
        let _ = reader.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let both = async { tokio::join!(writing, reading).1 };
    let answer = tokio::time::timeout(mist_tests::PATIENCE, both)
        .await
        .expect("it ends");
    assert!(answer.contains("message-bytes"), "{answer}");
    let grown = highest.saturating_sub(before);
    figure(
        "slow writers",
        "memory for a line of 64 MiB",
        format!("{} KiB", grown >> 10),
    );
    assert!(grown <= 32 * MIB, "{} MiB", grown / MIB);
    is_well(place).await;
}
