//! Owns order and number: what one publisher sends arrives in that order, each message once.

use mist_tests::client::{Kind, Place, server};

const COUNT: usize = 100_000;
const BATCH: usize = 500;

async fn stream_of_messages(publisher: Kind) {
    let server = server(&[]);
    let place = Place::of(&server);
    let mut readers = Vec::new();
    for kind in [Kind::Tcp, Kind::Ws] {
        let mut subscriber = place.connect(kind).await;
        // Three subscriptions match each message; it still comes once.
        subscriber.subscribe(&["x"]).await;
        subscriber.subscribe(&["y"]).await;
        subscriber.subscribe(&["x", "y"]).await;
        readers.push(tokio::spawn(async move {
            for serial in 0..COUNT {
                subscriber
                    .expect(&format!(
                        r#"{{"command":"publish","tags":["x","y"],"data":"{serial}"}}"#
                    ))
                    .await;
            }
            subscriber.barrier().await;
        }));
    }
    let mut client = place.connect(publisher).await;
    for start in (0..COUNT).step_by(BATCH) {
        let messages = (start..start + BATCH)
            .map(|n| format!(r#"{{"command":"publish","tags":["y","x"],"data":"{n}"}}"#));
        match publisher {
            Kind::Tcp => {
                client
                    .write((messages.collect::<Vec<_>>().join("\n") + "\n").as_bytes())
                    .await
            }
            Kind::Ws => {
                for message in messages {
                    client.send(&message).await;
                }
            }
        }
    }
    client.barrier().await;
    for reader in readers {
        reader.await.expect("every message arrives in order, once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_messages_over_tcp_stay_in_order() {
    stream_of_messages(Kind::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_messages_over_websocket_stay_in_order() {
    stream_of_messages(Kind::Ws).await;
}

/// Replies and deliveries share a connection; neither disturbs the order of the other.
#[tokio::test(flavor = "multi_thread")]
async fn replies_keep_their_order_between_deliveries() {
    const ROUNDS: usize = 5000;
    let server = server(&[]);
    let place = Place::of(&server);
    for kind in [Kind::Tcp, Kind::Ws] {
        let mut both = place.connect(kind).await;
        both.subscribe(&["x"]).await;
        let mut publisher = place.connect(Kind::Tcp).await;
        let publishing = tokio::spawn(async move {
            for serial in 0..ROUNDS {
                publisher.publish(&["x"], &serial.to_string()).await;
            }
        });
        let (mut replies, mut deliveries) = (0, 0);
        for serial in 0..ROUNDS {
            both.send(&format!(r#"{{"command":"ping","id":{serial}}}"#))
                .await;
            // One reply is outstanding at most, so the next messages are deliveries up to that reply.
            loop {
                let message = both.recv().await;
                if message == format!(r#"{{"command":"ping","data":"pong","id":{replies}}}"#) {
                    replies += 1;
                    break;
                }
                assert_eq!(
                    message,
                    format!(r#"{{"command":"publish","tags":["x"],"data":"{deliveries}"}}"#)
                );
                deliveries += 1;
            }
        }
        while deliveries < ROUNDS {
            both.expect(&format!(
                r#"{{"command":"publish","tags":["x"],"data":"{deliveries}"}}"#
            ))
            .await;
            deliveries += 1;
        }
        publishing.await.expect("the publisher ends");
    }
}
