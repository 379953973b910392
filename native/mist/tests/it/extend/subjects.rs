//! Tokens of which several speak for one subject.

use mist::auth::Presented;

use super::*;

/// What is said of each token.
#[derive(Default)]
struct Replies(Mutex<BTreeMap<&'static str, Result<Option<Grants>, TokenError>>>);

impl Replies {
    fn set(&self, token: &'static str, reply: Result<Option<Grants>, TokenError>) {
        let mut replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        replies.insert(token, reply);
    }
}

impl Authenticator for Replies {
    fn authenticate<'a>(
        &'a self,
        presented: Presented<'a>,
    ) -> BoxFuture<'a, Result<Option<Grants>, TokenError>> {
        let replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = replies.get(presented.token).cloned();
        Box::pin(async move { reply.unwrap_or(Ok(None)) })
    }
}

fn of_desk(tag: &str) -> Grants {
    let mut grants = Grants::of_token("desk", vec![tag.to_owned()]);
    grants.publish.clear();
    grants
}

/// Whichever is asked about first.
#[tokio::test]
async fn a_token_that_cannot_be_asked_about_does_not_keep_the_others_of_its_subject() {
    let replies = Arc::new(Replies::default());
    let authenticator = Arc::clone(&replies);
    let factory: AuthenticatorFactory = Arc::new(move |_uri| {
        let authenticator: Arc<dyn Authenticator> = authenticator.clone();
        Box::pin(async move { Ok(authenticator) })
    });
    let house = House::with(|builder| {
        let builder = builder.authenticator_scheme("ours", factory);
        builder
            .authenticator("ours://x")
            .token("s3cret")
            .access(Access::Scoped)
    })
    .await;
    for (failing, other) in [("one", "two"), ("two", "one")] {
        let mut peers = Vec::new();
        for token in [failing, other] {
            replies.set(token, Ok(Some(of_desk("a"))));
            let mut peer = house.connect();
            let auth = format!(r#"{{"command":"auth","data":"{token}","id":1}}"#);
            peer.ask(&auth, r#"{"command":"auth","data":"success","id":1}"#)
                .await;
            peer.ask(
                r#"{"command":"subscribe","tags":["a"],"id":2}"#,
                r#"{"command":"subscribe","tags":["a"],"data":"success","id":2}"#,
            )
            .await;
            peers.push(peer);
        }
        let unavailable = TokenError::Unavailable("the line is dead".into());
        replies.set(failing, Err(unavailable.clone()));
        replies.set(other, Ok(Some(of_desk("b"))));
        let result = house.site.handle.subject_changed("desk").await;
        assert_eq!(result, Err(unavailable));
        let lost = peers[1].line().await;
        assert!(
            lost.starts_with(r#"{"command":"unsubscribe","tags":["a"],"error":"#),
            "{lost}"
        );
        // Of the other nothing is known.
        peers[0].barrier().await;
    }
}
