//! Owns the end of a server that is busy: exit code 0, and nobody got half a message or one out of order.

use fastrand::Rng;
use mist_tests::wire::Incoming;

use super::{figure, message, sized};
use mist_tests::client::{Kind, Place, server};

const PUBLISHERS: usize = 4;
const READERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_ends_in_good_order() {
    let mut dice = Rng::with_seed(std::process::id().into());
    let rounds = sized(5, 50);
    let mut read = 0;
    for _ in 0..rounds {
        read += stop_once(1 + dice.usize(..3000)).await;
    }
    figure("stopping", "clean ends", format!("{rounds} of {rounds}"));
    figure("stopping", "messages read whole and in order", read);
}

/// Stops a server when the first reader has got so many messages; returns how many all readers got.
async fn stop_once(after: usize) -> usize {
    let mut server = server(&[]);
    let place = Place::of(&server);
    let (enough, is_enough) = tokio::sync::oneshot::channel();
    let mut enough = Some(enough);
    let mut reading = Vec::new();
    for index in 0..READERS {
        let mut reader = place.connect(Kind::of(index)).await;
        reader.subscribe(&["load"]).await;
        let mut enough = enough.take();
        reading.push(tokio::spawn(async move {
            let mut next = [0_usize; PUBLISHERS];
            let mut count = 0;
            let code = loop {
                match reader.wire.recv().await {
                    Incoming::Message(came) => {
                        let came = String::from_utf8(came).expect("a message is UTF-8");
                        let publisher = (0..PUBLISHERS)
                            .find(|&one| came == message("load", &format!("{one}:{}", next[one])));
                        next[publisher.unwrap_or_else(|| panic!("{came} after {next:?}"))] += 1;
                        count += 1;
                        if count >= after
                            && let Some(enough) = enough.take()
                        {
                            let _ = enough.send(());
                        }
                    }
                    Incoming::Closed(code) => break code,
                    Incoming::Nothing => panic!("neither a message nor the end"),
                }
            };
            assert!(reader.kind == Kind::Tcp || code == Some(1001), "{code:?}");
            count
        }));
    }
    let mut publishing = Vec::new();
    for one in 0..PUBLISHERS {
        let mut publisher = place.connect(Kind::of(one)).await;
        publishing.push(tokio::spawn(async move {
            for serial in 0.. {
                let said = message("load", &format!("{one}:{serial}"));
                if publisher.wire.send(&said).await.is_err() {
                    break;
                }
                // As fast as the server answers, so that nobody is dropped for being slow.
                if serial % 100 == 99 && publisher.wire.send(mist_tests::client::PING).await.is_ok()
                {
                    let Incoming::Message(_) = publisher.wire.recv().await else {
                        break;
                    };
                }
            }
        }));
    }
    is_enough.await.expect("the readers get that many");
    server.signal("TERM");
    let mut all = 0;
    for reader in reading {
        all += reader.await.expect("every reader sees whole messages");
    }
    for publisher in publishing {
        publisher.await.expect("no publisher fails");
    }
    let status = server.end();
    assert_eq!(status.code(), Some(0), "it wrote:\n{}", server.log());
    all
}
