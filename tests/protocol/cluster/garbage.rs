//! Owns what else may come over the subjects of a cluster than what nodes say: it changes nothing.

use fastrand::Rng;
use mist_tests::client::Kind;
use mist_tests::nats::{Nats, Speaker, Version};

use super::{Ear, Node, State, Way, meet, settle};

fn message(data: &str) -> String {
    format!(r#"{{"command":"publish","tags":["x"],"data":"{data}"}}"#)
}

/// Things that look like envelopes of somebody who is not there.
fn forged(dice: &mut Rng) -> Vec<Vec<u8>> {
    let commands = [
        r#"{"command":"register","tags":["x"],"data":"forged","id":1}"#,
        r#"{"command":"auth","data":"TK"}"#,
        r#"{"command":"subscribe","tags":["x"],"id":1}"#,
        r#"{"command":"tokens","id":1}"#,
        r#"{"command":"nonsense"}"#,
        r#"{"command":"publish","tags":["$all","x"],"data":"reserved"}"#,
        r#"{"command":"publish","tags":[],"data":"without tags"}"#,
        r#"{"command":"publish","tags":["x"],"data":5}"#,
        r#"{"command":"publish","tags":["x"],"data":"no end"#,
        "not JSON",
        "\u{feff}",
        "",
    ];
    let heads = [
        "MIST/2 messages ID 0 1 -",
        "MIST/1 nonsense ID 0 1 -",
        "MIST/1 messages nobody 0 1 -",
        "MIST/1 messages ID -1 1 -",
        "MIST/1 messages ID 0 1 x:y",
        "MIST/1 piece=9/3 ID 0 1 -",
        "MIST/1 piece=0/18446744073709551615 ID 0 1 -",
        "MIST/1 messages ID 18446744073709551615 18446744073709551615 -",
        "MIST/1 answer=0/0 ID 99 0 -",
        "MIST/1 ask ID 0 0 -",
        "MIST/1 told ID 0 0 -",
        "MIST/1 status ID 0 0 -",
        "MIST/1 summary=0/18446744073709551615 ID 3 0 -",
        "MIST/1 added ID 18446744073709551615 0 -",
        "MIST/1 want ID 0 0 -",
        "MIST/1",
    ];
    let mut all = vec![Vec::new(), vec![b'\n'; 100], vec![0xff; 10_000]];
    // Each of another, so that none is held up by what does not come.
    let mut sender = || format!("{:016x}", dice.u64(..));
    for command in commands {
        let sender = sender();
        let lines = format!("{command}\n").repeat(20);
        all.push(format!("MIST/1 messages {sender} 0 20 -\n{lines}").into_bytes());
    }
    for head in heads {
        for end in ["", "\n", &format!("\n{}\n", commands[0])] {
            all.push((head.replace("ID", &sender()) + end).into_bytes());
        }
    }
    for _ in 0..200 {
        let mut bytes = vec![0; dice.usize(..200)];
        dice.fill(&mut bytes);
        all.push(bytes);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_subjects_changes_nothing() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let seed = Rng::new().u64(..);
    eprintln!("the seed is {seed}");
    let mut dice = Rng::with_seed(seed);
    let arguments = ["--authenticator", "memory://", "--token", "TK"];
    let nodes = ["a", "b"].map(|name| Node::start(name, &nats.uri(), &arguments));
    meet(&nodes).await;
    let mut listener = Speaker::connect(&nats).await;
    listener.subscribe("mist.mist.>").await;
    let mut ears = Vec::new();
    for node in &nodes {
        ears.push(Ear::open(node, Way::Tcp, &[vec!["x"]], true).await);
    }
    settle(&nodes).await;
    let mut publisher = nodes[0].place().tcp().await;
    publisher.publish(&["x"], "first").await;
    let mut envelopes = Vec::new();
    loop {
        let payload = listener.next().await;
        let is_last = String::from_utf8_lossy(&payload).contains(&message("first"));
        envelopes.push(payload);
        if is_last {
            break;
        }
    }
    for ear in &mut ears {
        assert_eq!(ear.hear().await, message("first"));
    }

    // What a node has said once, said again and in parts; and what none would say.
    let mut garbage = forged(&mut dice);
    for envelope in &envelopes {
        garbage.push(envelope.clone());
        for _ in 0..20 {
            garbage.push(envelope[..dice.usize(..envelope.len())].to_vec());
        }
    }
    dice.shuffle(&mut garbage);
    let last = envelopes.last().expect("one at least");
    let sender = last.split(|byte| *byte == b' ').nth(2).expect("a sender");
    let own = format!("mist.mist.node.{}", String::from_utf8_lossy(sender));
    let mut speaker = Speaker::connect(&nats).await;
    for payload in &garbage {
        speaker.publish("mist.mist.all", payload).await;
        speaker.publish(&own, payload).await;
    }
    speaker.flush().await;
    for node in &nodes {
        let refused = |state: &State| state.figure("refused_total") > 100;
        node.until("counts what it refuses", refused).await;
    }
    for (at, data) in ["second", "third"].into_iter().enumerate() {
        nodes[at]
            .place()
            .connect(Kind::of(at))
            .await
            .publish(&["x"], data)
            .await;
        for (ear, node) in ears.iter_mut().zip(&nodes) {
            let mut came = ear.hear().await;
            while came.starts_with(r#"{"command":"dropped""#) {
                // Among the garbage are messages that no broker can read.
                came = ear.hear().await;
            }
            assert_eq!(came, message(data), "at {}", node.name);
        }
    }
    let mut admin = nodes[0].place().admin(Kind::Tcp, "TK").await;
    admin.send(r#"{"command":"tags","data":"forged"}"#).await;
    admin.expect_like(r#"*"code":"token-not-found"}"#).await;
    meet(&nodes).await;
    for node in &nodes {
        node.logs(&["WARN", "refused on the cluster's NATS"]).await;
        let (state, log) = (node.state().await, node.process.log());
        assert_eq!(state.missed(), 0, "{state:?}");
        let lines = log.lines().count();
        assert!(
            lines < 50,
            "garbage fills the log with {lines} lines:\n{log}"
        );
    }
}
