//! Several authenticators of one server.

use mist::auth::Presented;

use super::*;

/// Knows one token, or none yet.
struct Knows {
    token: &'static str,
    grants: &'static str,
    /// Whether it is the only one that knows tokens which begin like its own.
    is_alone: bool,
    is_away: AtomicBool,
    asked: AtomicUsize,
}

impl Knows {
    fn new(token: &'static str, grants: &'static str) -> Self {
        Self {
            token,
            grants,
            is_alone: false,
            is_away: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        }
    }
}

/// The same one for the server and for the test.
struct Shared(Arc<Knows>);

impl Authenticator for Shared {
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let reply = match presented.token == self.0.token {
            _ if self.0.is_away.load(Ordering::SeqCst) => {
                Err(TokenError::Unavailable("it is away".into()))
            }
            true => Ok(Some(Grants::of_token(
                "somebody",
                vec![self.0.grants.into()],
            ))),
            false => Ok(None),
        };
        Box::pin(async { reply })
    }

    fn claims(&self, token: &str) -> bool {
        self.0.is_alone && token.starts_with(&self.0.token[..1])
    }
}

pub(super) const WRONG: &str = r#""code":"wrong-token""#;
pub(super) const AWAY: &str = r#""code":"store-unavailable""#;

/// Presents a token on a connection of its own; the answer is a part of what is expected.
pub(super) async fn present(house: &House, token: &str, answer: &str) -> Peer {
    let mut peer = house.connect();
    peer.send(&format!(r#"{{"command":"auth","data":"{token}","id":1}}"#))
        .await;
    let line = peer.line().await;
    assert!(line.contains(answer), "{token}: {line}");
    peer
}

pub(super) const IN: &str = r#""data":"success""#;

#[tokio::test]
async fn tokens_in_memory_and_those_of_verifiers_are_good_side_by_side() {
    let house = House::with(|builder| {
        builder
            .authenticator("memory://")
            .verifier(Shared(Arc::new(Knows::new("one", "a"))))
            .verifier(Shared(Arc::new(Knows::new("two", "b"))))
            .token("s3cret")
            .access(Access::Scoped)
    })
    .await;
    let mut admin = house.admin().await;
    admin
        .ask(
            r#"{"command":"register","data":"three","tags":["c"],"id":1}"#,
            r#"{"command":"register","tags":["c"],"data":"success","id":1}"#,
        )
        .await;
    present(&house, "four", WRONG).await;
    let mut peers = Vec::new();
    for (token, tag) in [("one", "a"), ("two", "b"), ("three", "c")] {
        let mut peer = present(&house, token, IN).await;
        peer.ask(
            &format!(r#"{{"command":"subscribe","tags":["{tag}"],"id":2}}"#),
            &format!(r#"{{"command":"subscribe","tags":["{tag}"],"data":"success","id":2}}"#),
        )
        .await;
        peers.push(peer);
    }
    // What is in memory is changed by commands, and nobody else is asked about it.
    house
        .site
        .handle
        .token_changed("three")
        .await
        .expect("known");
    peers[2].barrier().await;
    admin
        .ask(
            r#"{"command":"unregister","data":"three","id":2}"#,
            r#"{"command":"unregister","data":"success","id":2}"#,
        )
        .await;
    let lost = peers[2].line().await;
    assert!(lost.contains(r#""code":"revoked""#), "{lost}");
    present(&house, "three", WRONG).await;
    peers[0].barrier().await;
}

#[tokio::test]
async fn a_form_that_only_one_knows_is_shown_to_nobody_else() {
    let mut jwt = Knows::new("ey-one", "a");
    jwt.is_alone = true;
    let (jwt, other) = (Arc::new(jwt), Arc::new(Knows::new("two", "b")));
    let house = House::with(|builder| {
        builder
            .verifier(Shared(Arc::clone(&other)))
            .verifier(Shared(Arc::clone(&jwt)))
            .access(Access::Scoped)
    })
    .await;
    let asked = |who: &Knows| who.asked.load(Ordering::SeqCst);
    present(&house, "ey-one", IN).await;
    present(&house, "ey-wrong", WRONG).await;
    assert_eq!((asked(&jwt), asked(&other)), (2, 0));
    present(&house, "two", IN).await;
    present(&house, "wrong", WRONG).await;
    // Of any other form it may be, too.
    assert_eq!((asked(&jwt), asked(&other)), (3, 2));
}

#[tokio::test]
async fn one_that_is_away_hides_nothing_that_another_knows() {
    let (one, two) = (Knows::new("one", "a"), Knows::new("two", "b"));
    one.is_away.store(true, Ordering::SeqCst);
    let one = Arc::new(one);
    let house = House::with(|builder| {
        builder
            .verifier(Shared(Arc::clone(&one)))
            .verifier(Shared(Arc::new(two)))
            .access(Access::Scoped)
    })
    .await;
    present(&house, "two", IN).await;
    // More often than wrong ones are looked at without a wait: nobody has guessed.
    for _ in 0..8 {
        present(&house, "one", AWAY).await;
    }
    one.is_away.store(false, Ordering::SeqCst);
    present(&house, "one", IN).await;
    present(&house, "three", WRONG).await;
}

/// Who has vouched for a token is asked about it again, and what others know of it is not waited for.
#[tokio::test]
async fn what_the_store_takes_away_is_gone_while_another_is_away() {
    let store = Arc::new(Store::default());
    let tags = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let keep = |token: &str, left: Option<Vec<String>>| {
        let mut tokens = store.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.remove(token);
        tokens.extend(left.map(|tags| (token.to_owned(), tags)));
    };
    keep("desk", Some(tags(&["a", "b"])));
    let other = Arc::new(Knows::new("one", "a"));
    let factory = factory(Arc::clone(&store));
    let house = House::with(|builder| {
        builder
            .authenticator_scheme("ours", factory)
            .authenticator("ours://x")
            .verifier(Shared(Arc::clone(&other)))
            .token("s3cret")
            .access(Access::Scoped)
    })
    .await;
    let mut desk = present(&house, "desk", IN).await;
    let mut one = present(&house, "one", IN).await;
    for peer in [&mut desk, &mut one] {
        peer.send(r#"{"command":"subscribe","tags":["a"]}"#).await;
        peer.barrier().await;
    }
    let handle = &house.site.handle;
    other.is_away.store(true, Ordering::SeqCst);
    for left in [Some(tags(&["b"])), None] {
        keep("desk", left);
        handle.token_changed("desk").await.expect("the store knows");
        let is_gone = desk.send(r#"{"command":"subscribe","tags":["b"]}"#);
        is_gone.await;
        let told = desk.line().await;
        assert!(told.contains(r#""code":"revoked""#), "{told}");
    }
    let told = desk.line().await;
    assert!(told.contains(r#""code":"unauthenticated""#), "{told}");
    // The other way round nobody can say.
    let error = handle.token_changed("one").await;
    assert!(
        matches!(error, Err(TokenError::Unavailable(_))),
        "{error:?}"
    );
    one.barrier().await;
    // Nor who comes now: the other may know it.
    present(&house, "desk", AWAY).await;
    // The store is not missed by who was never in it.
    other.is_away.store(false, Ordering::SeqCst);
    store.is_broken.store(true, Ordering::SeqCst);
    handle.token_changed("one").await.expect("the other knows");
    one.barrier().await;
}

/// Nobody has to be admin where nothing is kept.
#[tokio::test]
async fn without_a_store_no_token_of_the_server_is_needed_and_there_is_nothing_to_administer() {
    let house = House::with(|builder| {
        builder
            .verifier(Shared(Arc::new(Knows::new("one", "a"))))
            .access(Access::Scoped)
    })
    .await;
    let mut peer = present(&house, "one", IN).await;
    peer.send(r#"{"command":"tags","data":"one","id":2}"#).await;
    let line = peer.line().await;
    assert!(line.contains(r#""code":"unknown-command""#), "{line}");
}

#[tokio::test]
async fn two_that_keep_tokens_are_refused_and_named() {
    let store = factory(Arc::default());
    let builder = || {
        Server::builder()
            .listen("tcp://127.0.0.1:0")
            .authenticator_scheme("ours", Arc::clone(&store))
            .token("s3cret")
    };
    let known = builder()
        .authenticator("memory://")
        .authenticator("sqlite:///no/such/file");
    let error = known.check().expect_err("two");
    assert_eq!(
        error.to_string(),
        "two authenticators that keep tokens, 'memory://' and 'sqlite://…' - give one at most"
    );
    // That ours is a store is known once it is open.
    let opened = builder()
        .authenticator("ours://x")
        .authenticator("memory://");
    opened.check().expect("nothing is known of it");
    let error = opened.bind().await.expect_err("two");
    assert!(
        matches!(&error, BindError::SeveralStores { first, second, .. }
            if first == "ours://…" && second == "memory://"),
        "{error}"
    );
}
