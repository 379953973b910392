//! Owns what happens while a host takes its time to answer: a token store, a command of its own.
//! Nothing that was said in the meantime is lost, and no change is overtaken.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use mist::auth::{Authenticator, EditKind, Grants, TokenEdit, TokenError, TokenStore};
use mist::{Access, AuthenticatorFactory, Server, ServerBuilder};
use mist_tests::process::LISTENERS;
use mist_tests::wire::{Incoming, Upgrade, Wire};
use tokio::sync::Semaphore;

use mist_tests::client::{Kind, Place};

async fn serve(builder: ServerBuilder) -> Place {
    let server = builder.listen(LISTENERS).bind().await.expect("free ports");
    let socket = |index: usize| {
        server.addresses()[index]
            .socket()
            .expect("an internet socket")
    };
    let place = Place {
        tcp: socket(0),
        ws: socket(1),
    };
    tokio::spawn(server.run(std::future::pending()));
    place
}

/// A text frame whose mask is zero, so that its payload can be read here as it is.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len())
        .ok()
        .filter(|length| *length < 126)
        .expect("a short payload");
    let mut frame = vec![0x80 | kind, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// What a client says before it leaves counts, although the host is still busy with its first command.
#[tokio::test(flavor = "multi_thread")]
async fn commands_behind_a_slow_one_are_carried_out_although_the_client_has_left() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let slow = move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire()
                .await
                .map_err(|error| error.to_string())?
                .forget();
            Ok(None)
        }
    };
    let place = serve(Server::builder().command("slow", slow)).await;
    let mut subscriber = place.tcp().await;
    subscriber.subscribe(&["x"]).await;
    let said = [
        r#"{"command":"slow"}"#,
        r#"{"command":"publish","tags":["x"],"data":"last words"}"#,
    ];
    for kind in [Kind::Tcp, Kind::Ws] {
        let mut client;
        match kind {
            Kind::Tcp => {
                client = Wire::tcp(place.tcp).await.expect("it listens");
                client
                    .write(format!("{}\n{}\n", said[0], said[1]).as_bytes())
                    .await
                    .expect("bytes are taken");
                client.finish().await.expect("it can leave");
            }
            Kind::Ws => {
                let mut bytes = format!(
                    "GET /subscribe/websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                    place.ws
                )
                .into_bytes();
                bytes.extend(said.iter().flat_map(|text| frame(1, text.as_bytes())));
                bytes.extend(frame(8, &1000_u16.to_be_bytes()));
                client = Wire::tcp(place.ws).await.expect("it listens");
                client.write(&bytes).await.expect("bytes are taken");
                // The server has at least begun to answer.
                client.chunk().await.expect("the upgrade is answered");
            }
        }
        subscriber.barrier().await;
        gate.add_permits(1);
        let came = subscriber.wire.recv().await;
        let wanted = r#"{"command":"publish","tags":["x"],"data":"last words"}"#;
        assert_eq!(
            came,
            Incoming::Message(wanted.into()),
            "the client spoke {kind:?}"
        );
    }
}

/// A store with one token, whose tags take their time on the way to whoever asks.
struct SlowToRead {
    tags: Mutex<Option<Vec<String>>>,
    has_begun: Arc<Semaphore>,
    may_end: Arc<Semaphore>,
}

impl TokenStore for SlowToRead {
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>> {
        let mut tags = self.tags.lock().expect("nobody panics");
        let done = edit.apply(tags.clone()).map(|left| *tags = left);
        Box::pin(async { done })
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        let found = self.tags.lock().expect("nobody panics").clone();
        Box::pin(async move {
            self.has_begun.add_permits(1);
            self.may_end
                .acquire()
                .await
                .expect("it stays open")
                .forget();
            let tags = found.ok_or(TokenError::NotFound)?;
            Ok(Grants::of_token(token, tags))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_taken_away_during_the_login_is_not_had_after_it() {
    for change in [
        r#""command":"unset","tags":["x"]"#,
        r#""command":"unregister""#,
    ] {
        let (has_begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let store = Arc::new(SlowToRead {
            tags: Mutex::new(Some(vec!["x".to_owned()])),
            has_begun: Arc::clone(&has_begun),
            may_end: Arc::clone(&may_end),
        });
        let factory: AuthenticatorFactory = Arc::new(move |_| {
            let store: Arc<dyn Authenticator> = Arc::clone(&store) as _;
            Box::pin(async { Ok(store) })
        });
        let builder = Server::builder()
            .authenticator_scheme("slow", factory)
            .authenticator("slow://")
            .token("TK")
            .access(Access::Scoped);
        let place = serve(builder).await;
        let mut admin = place.admin(Kind::Tcp, "TK").await;
        let header = ("X-AUTH-TOKEN".to_owned(), "client".to_owned());
        let upgrade = Upgrade {
            target: String::new(),
            headers: vec![header],
        };
        let mut client = Wire::upgrade(place.ws, &upgrade)
            .await
            .expect("it upgrades")
            .0;
        has_begun.acquire().await.expect("it stays open").forget();
        admin
            .send(&format!(r#"{{{change},"data":"client","id":1}}"#))
            .await;
        admin.expect_like(r#"*"data":"success","id":1}"#).await;
        may_end.add_permits(8);
        client
            .send(r#"{"command":"subscribe","tags":["x"],"id":2}"#)
            .await
            .expect("it is sent");
        let mut came = String::new();
        while !came.contains(r#""id":2"#) {
            match client.recv().await {
                Incoming::Message(bytes) => came = String::from_utf8_lossy(&bytes).into_owned(),
                other => panic!("{change}: {other:?}"),
            }
        }
        assert!(came.contains("not authorized"), "after {change}: {came}");
    }
}

/// A store that makes a change at once, takes its time to say so, and says to each token what its name asks for.
struct SlowToAnswer {
    has_added: Arc<Semaphore>,
    may_answer: Arc<Semaphore>,
}

impl SlowToAnswer {
    fn say(token: &str) -> Result<(), TokenError> {
        match token {
            "refused" => Err(TokenError::Invalid("it has a slash".to_owned())),
            "mistagged" => Err(TokenError::InvalidTag("it has a NUL".to_owned())),
            "away" => Err(TokenError::Unavailable("it is away".to_owned())),
            "lost" => Err(TokenError::Uncertain("it was lost".to_owned())),
            _ => Ok(()),
        }
    }
}

impl TokenStore for SlowToAnswer {
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(async move {
            if edit.kind == EditKind::Set {
                self.has_added.add_permits(1);
                self.may_answer
                    .acquire()
                    .await
                    .expect("it stays open")
                    .forget();
            }
            Self::say(edit.token()?)
        })
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        let said = Self::say(token).map(|()| Grants::of_token(token, Vec::new()));
        Box::pin(async { said })
    }
}

async fn with_slow_answers() -> (Place, Arc<SlowToAnswer>) {
    let store = Arc::new(SlowToAnswer {
        has_added: Arc::new(Semaphore::new(0)),
        may_answer: Arc::new(Semaphore::new(0)),
    });
    let opened = Arc::clone(&store);
    let factory: AuthenticatorFactory = Arc::new(move |_| {
        let store: Arc<dyn Authenticator> = Arc::clone(&opened) as _;
        Box::pin(async { Ok(store) })
    });
    let builder = Server::builder()
        .authenticator_scheme("slow", factory)
        .authenticator("slow://")
        .token("TK")
        .access(Access::Scoped);
    (serve(builder).await, store)
}

/// The store has the tag first and then not; so has the client, whichever answer would have been faster.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_token_count_in_the_order_the_store_made_them() {
    let (place, store) = with_slow_answers().await;
    let mut client = place.tcp().await;
    client
        .send(r#"{"command":"auth","data":"client","id":1}"#)
        .await;
    client.expect_like(r#"*"data":"success","id":1}"#).await;
    let mut first = place.admin(Kind::Tcp, "TK").await;
    let mut second = place.admin(Kind::Tcp, "TK").await;
    first
        .send(r#"{"command":"set","tags":["x"],"data":"client","id":2}"#)
        .await;
    let has_added = store.has_added.acquire().await;
    has_added.expect("it stays open").forget();
    second
        .send(r#"{"command":"unset","tags":["x"],"data":"client","id":3}"#)
        .await;
    // Other tokens are not held up, and an unset that did not wait would be through by then.
    let mut third = place.admin(Kind::Tcp, "TK").await;
    for id in 10..20 {
        third
            .send(&format!(
                r#"{{"command":"unset","tags":["x"],"data":"other","id":{id}}}"#
            ))
            .await;
        third
            .expect_like(&format!(r#"*"data":"success","id":{id}}}"#))
            .await;
    }
    store.may_answer.add_permits(1);
    first.expect_like(r#"*"data":"success","id":2}"#).await;
    second.expect_like(r#"*"data":"success","id":3}"#).await;
    client
        .send(r#"{"command":"subscribe","tags":["x"],"id":4}"#)
        .await;
    client
        .expect_like(r#"*"error":"not authorized*"id":4}"#)
        .await;
}

/// What a store cannot do costs the command that asked for it, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_or_fails_is_quoted() {
    let (place, _) = with_slow_answers().await;
    let mut admin = place.admin(Kind::Ws, "TK").await;
    for (token, code, said) in [
        ("refused", "invalid-token", "Invalid token - it has a slash"),
        ("mistagged", "invalid-tag", "Invalid tag - it has a NUL"),
        (
            "away",
            "store-unavailable",
            "Token store unavailable, nothing was changed - it is away",
        ),
        (
            "lost",
            "uncertain",
            "Token store unavailable, the change may have been made or not: look with tags, or repeat it - it was lost",
        ),
    ] {
        for command in ["register", "unregister", "unset"] {
            admin
                .send(&format!(
                    r#"{{"command":"{command}","tags":["x"],"data":"{token}","id":1}}"#
                ))
                .await;
            admin
                .expect(&format!(
                    r#"{{"command":"{command}","error":"{said}","code":"{code}","id":1}}"#
                ))
                .await;
        }
    }
    admin.barrier().await;
}
