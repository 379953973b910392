//! Owns programs on NATS that are no nodes and publish for a cluster that lets them.

use mist_tests::nats::{Nats, Speaker, Version};

use super::{Ear, Node, State, Way, meet};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_publishes_and_what_it_says_wrong_is_counted_and_logged() {
    let Some(nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let uri = format!("{}?foreign=on", nats.uri());
    let nodes = vec![Node::start("a", &uri, &[])];
    meet(&nodes).await;
    let mut ear = Ear::open(&nodes[0], Way::Tcp, &[vec!["x"]], false).await;
    let mut speaker = Speaker::connect(&nats).await;
    let long = format!(r#"{{"tags":["{}"]}}"#, "t".repeat(100_000));
    let wrong = [
        "no JSON",
        r#"{"tags":[]}"#,
        &long,
        "[]",
        r#"{"data":"7"}"#,
        r#"{"tags":"x"}"#,
        r#"{"tags":["$x"]}"#,
    ];
    for payload in wrong {
        speaker.publish("mist.mist.in", payload.as_bytes()).await;
    }
    speaker
        .publish("mist.mist.in", br#"{"tags":["x","y"],"data":"7"}"#)
        .await;
    speaker.flush().await;
    let wanted = r#"{"command":"publish","tags":["x","y"],"data":"7"}"#;
    assert_eq!(ear.hear().await, wanted);
    let counted = |state: &State| state.figure("foreign_refused_total") == wrong.len() as u64;
    nodes[0].until("counts them", counted).await;
    // Of many a few are logged.
    for words in ["expected", "it has no tags", "(tag-bytes): 100000"] {
        nodes[0]
            .logs(&["WARN", "refused a message of a program", words])
            .await;
    }
}
