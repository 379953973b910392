//! Owns how nodes show NATS who they are: a password, a token, a certificate. None of it is ever printed.

use mist_tests::certificate::Certificate;
use mist_tests::nats::{Nats, Version};

use super::{Node, meet};

const SECRET: &str = "s3cret";

async fn joins_with(version: Version, settings: &str, user: &str, wrong: &str) {
    let Some(nats) = Nats::start(version, settings) else {
        return;
    };
    let at = |user: &str| format!("nats://{user}@127.0.0.1:{}", nats.port);
    let nodes = Node::start_all(2, &at(user)).await;
    let stranger = Node::start("stranger", &at(wrong), &[]);
    stranger.process.says("uthorization");
    stranger.until_alone().await;
    meet(&nodes).await;
    for node in nodes.iter().chain([&stranger]) {
        let log = node.process.log();
        assert!(!log.contains(SECRET) && !log.contains("wr0ng"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_password_are_shown() {
    let settings = format!("authorization {{ user: mist, password: \"{SECRET}\" }}\n");
    joins_with(
        Version::Debian,
        &settings,
        &format!("mist:{SECRET}"),
        "mist:wr0ng",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown() {
    let settings = format!("authorization {{ token: \"{SECRET}\" }}\n");
    joins_with(Version::Current, &settings, SECRET, "wr0ng").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_shown_by_both_sides() {
    let certificate = Certificate::default();
    let (file, key) = (certificate.file(), certificate.key());
    let (file, key) = (file.display(), key.display());
    // Each side trusts the one certificate that there is.
    let settings = format!(
        "tls {{ cert_file: \"{file}\", key_file: \"{key}\", ca_file: \"{file}\", verify: true }}\n"
    );
    let Some(nats) = Nats::start(Version::Current, &settings) else {
        return;
    };
    let at = |parameters: &str| format!("tls://127.0.0.1:{}?{parameters}", nats.port);
    let nodes = Node::start_all(2, &at(&format!("ca={file}&cert={file}&key={key}"))).await;
    let without = Node::start("stranger", &at(&format!("ca={file}")), &[]);
    let untrusting = Node::start("untrusting", &at(&format!("cert={file}&key={key}")), &[]);
    for node in [&without, &untrusting] {
        node.until_alone().await;
    }
    meet(&nodes).await;
}
