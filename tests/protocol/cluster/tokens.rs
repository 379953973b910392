//! Owns that tokens are one for all nodes that share a store, also when they could not talk to each other for a while.

use mist_tests::client::{Client, Kind};
use mist_tests::nats::{Nats, Version};

use super::{Node, meet, settle_as};

async fn asked(admin: &mut Client, command: &str) {
    admin.send(&format!(r#"{{{command},"id":1}}"#)).await;
    admin.expect_like(r#"*"data":"success","id":1}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_while_nats_is_away_is_silent_once_it_is_back() {
    let Some(mut nats) = Nats::start(Version::Current, "") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite://{}/tokens.db", folder.path().display());
    let arguments = [
        "--authenticator",
        &store,
        "--token",
        "TK",
        "--access",
        "scoped",
    ];
    let nodes = ["a", "b"].map(|name| Node::start(name, &nats.uri(), &arguments));
    meet(&nodes).await;
    nodes[0]
        .logs(&["WARN", "sqlite://", "on this machine"])
        .await;
    let mut admin = nodes[0].place().admin(Kind::Tcp, "TK").await;
    asked(
        &mut admin,
        r#""command":"register","tags":["x"],"data":"desk""#,
    )
    .await;
    asked(
        &mut admin,
        r#""command":"register","tags":["x"],"data":"other""#,
    )
    .await;
    let mut readers = Vec::new();
    for (kind, token) in [
        (Kind::Tcp, "desk"),
        (Kind::Ws, "desk"),
        (Kind::Tcp, "other"),
    ] {
        let mut reader = nodes[1].place().admin(kind, token).await;
        asked(&mut reader, r#""command":"subscribe","tags":["x"]"#).await;
        readers.push(reader);
    }
    settle_as(Some("TK"), &nodes).await;
    let delivered = r#"{"command":"publish","tags":["x"],"data":"#;
    admin.publish(&["x"], "before").await;
    for reader in &mut readers {
        reader.expect(&format!(r#"{delivered}"before"}}"#)).await;
    }

    nats.kill();
    for node in &nodes {
        node.until_alone().await;
    }
    asked(&mut admin, r#""command":"unregister","data":"desk""#).await;
    nats.begin();
    meet(&nodes).await;
    let mut kept = readers.pop().expect("three");
    for reader in &mut readers {
        let revoked = r#"{"command":"unsubscribe","tags":["x"],"error":"subscription removed*","code":"revoked"}"#;
        loop {
            let came = reader.recv().await;
            if mist_tests::transcript::is_like(revoked, &came) {
                break;
            }
            // It uses `id`.
            assert!(came.starts_with(r#"{"command":"dropped""#), "{came}");
        }
    }
    admin.publish(&["x"], "after").await;
    loop {
        let came = kept.recv().await;
        if came == format!(r#"{delivered}"after"}}"#) {
            break;
        }
        assert!(came.starts_with(r#"{"command":"dropped""#), "{came}");
    }
    for reader in &mut readers {
        reader.barrier().await;
    }
}
