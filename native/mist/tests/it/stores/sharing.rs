//! Several servers on one store: what each does about what another takes away.

use mist::Access;

use super::*;

/// A server that lets in only connections with a token.
async fn scoped(uri: &str) -> House {
    let builder = Server::builder().listen("tcp://127.0.0.1:0").token("top");
    House::of(builder.authenticator(uri).access(Access::Scoped))
        .await
        .expect("it starts")
}

impl House {
    async fn with(&self, token: &str) -> Client {
        let builder = Client::builder(&self.address).token(token);
        within(builder.connect()).await.expect("connected")
    }

    /// How many get a message.
    async fn reached(&self, tag: &str) -> u64 {
        let publisher = self.with("top").await;
        let reached = within(publisher.publish_acked([tag], "x")).await;
        within(publisher.close()).await.expect("closed");
        reached.expect("published")
    }
}

async fn a_revocation_is_for_its_own_server_at_once_and_for_others_at_the_next_login(kind: Kind) {
    let Some(home) = Home::new(kind) else { return };
    let (one, other) = (scoped(&home.uri()).await, scoped(&home.uri()).await);
    let admin = one.admin().await;
    let granted = admin.add_token("desk", &tags(&["north", "south"])).await;
    granted.expect("registered");
    let (here, there) = (one.with("desk").await, other.with("desk").await);
    for client in [&here, &there] {
        within(client.subscribe(["north"]))
            .await
            .expect("granted")
            .detach();
        within(client.subscribe(["south"]))
            .await
            .expect("granted")
            .detach();
    }
    let taken = admin.remove_tags("desk", &tags(&["north"])).await;
    taken.expect("taken away");
    assert_eq!(
        (one.reached("north").await, other.reached("north").await),
        (0, 1)
    );
    let late = other.with("desk").await;
    within(late.subscribe(["north"]))
        .await
        .expect_err("it is gone");
    // The same command there acts there, too.
    let its_admin = other.admin().await;
    let taken = its_admin.remove_tags("desk", &tags(&["north"])).await;
    taken.expect("taken away again");
    assert_eq!(other.reached("north").await, 0);

    assert_eq!(
        (one.reached("south").await, other.reached("south").await),
        (1, 1)
    );
    admin.remove_token("desk").await.expect("removed");
    assert_eq!(
        (one.reached("south").await, other.reached("south").await),
        (0, 1)
    );
    let refused = within(Client::builder(&other.address).token("desk").connect()).await;
    assert!(
        matches!(refused, Err(ClientError::AuthRefused { .. })),
        "{refused:?}"
    );
    its_admin.remove_token("desk").await.expect("removed again");
    assert_eq!(other.reached("south").await, 0);
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn sqlite_may_be_shared() {
    a_revocation_is_for_its_own_server_at_once_and_for_others_at_the_next_login(Kind::Sqlite).await;
}

#[tokio::test]
async fn scribble_may_be_shared() {
    a_revocation_is_for_its_own_server_at_once_and_for_others_at_the_next_login(Kind::Scribble)
        .await;
}

#[tokio::test]
async fn postgres_may_be_shared() {
    a_revocation_is_for_its_own_server_at_once_and_for_others_at_the_next_login(Kind::Postgres)
        .await;
}
