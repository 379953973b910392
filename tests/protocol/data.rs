//! Owns the promise that data passes byte for byte, at every size that buffers could care about.

use fastrand::Rng;
use mist_tests::client::{KINDS, Place, server};

const MIB: usize = 1 << 20;

/// The inside of a JSON string literal of exactly `size` bytes.
fn literal(dice: &mut Rng, size: usize) -> String {
    const PIECES: [&str; 12] = [
        "a", "Z", " ", "<", "&", "\\n", "\\\"", "\\\\", "\\u00e9", "é", "日", "😀",
    ];
    let mut text = String::with_capacity(size);
    while text.len() < size {
        let piece = if size > 4096 && dice.usize(..8) > 0 {
            "plain text, "
        } else {
            *dice.choice(&PIECES).expect("one of them")
        };
        if text.len() + piece.len() <= size {
            text.push_str(piece);
        } else {
            text.push('.');
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_every_size_passes_byte_for_byte() {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut dice = Rng::with_seed(11);
    let mut sizes: Vec<usize> = (1..=300).collect();
    for power in 9..20 {
        sizes.extend([(1 << power) - 1, 1 << power, (1 << power) + 1]);
    }
    // With the 44 bytes around it, a message that just fills, or just misses, a buffer.
    sizes.extend([
        4096 - 44,
        8192 - 44,
        65_536 - 44,
        65_536 - 45,
        125,
        126,
        127,
        MIB - 1,
        MIB,
    ]);
    let mut subscribers = Vec::new();
    for kind in KINDS {
        let mut subscriber = place.connect(kind).await;
        subscriber.subscribe(&["x"]).await;
        subscribers.push(subscriber);
    }
    for kind in KINDS {
        let mut publisher = place.connect(kind).await;
        for &size in &sizes {
            let data = literal(&mut dice, size);
            publisher.publish(&["x"], &data).await;
            let wanted = format!(r#"{{"command":"publish","tags":["x"],"data":"{data}"}}"#);
            for subscriber in &mut subscribers {
                subscriber.expect(&wanted).await;
            }
        }
        publisher.barrier().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_does_not_hold_up_small_ones_behind_it() {
    let server = server(&[]);
    let place = Place::of(&server);
    for kind in KINDS {
        let mut subscriber = place.connect(kind).await;
        subscriber.subscribe(&["x"]).await;
        let mut publisher = place.connect(kind).await;
        let large = "y".repeat(3 * MIB);
        publisher.publish(&["x"], "before").await;
        publisher.publish(&["x"], &large).await;
        publisher.publish(&["x"], "after").await;
        subscriber
            .expect(r#"{"command":"publish","tags":["x"],"data":"before"}"#)
            .await;
        subscriber
            .expect(&format!(
                r#"{{"command":"publish","tags":["x"],"data":"{large}"}}"#
            ))
            .await;
        subscriber
            .expect(r#"{"command":"publish","tags":["x"],"data":"after"}"#)
            .await;
        publisher.barrier().await;
    }
}
