//! Tokens that end, against a server whose answers the test writes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mist::client::{
    Client, ClientBuilder, ClientError, CloseReason, ErrorCode, Event, State, TokenSourceError,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{eager, event, run};

const EXPIRED: &str = r#"{"command":"auth","error":"the token has ended","code":"token-expired"}"#;

/// What the server has of one connection.
struct Session(BufReader<TcpStream>);

impl Session {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.expect("a connection");
        Self(BufReader::new(stream))
    }

    async fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        let stream = self.0.get_mut();
        stream.write_all(line.as_bytes()).await.expect("taken");
    }

    /// Reads the next message, which is to hold `what`, and answers it with these fields besides.
    async fn answer(&mut self, what: &str, fields: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("a message");
        assert!(line.contains(what), "{line:?} instead of {what}");
        let (_, id) = line.trim_end().rsplit_once(r#""id":"#).expect("a number");
        self.say(&format!(r#"{{"command":""{fields},"id":{id}"#))
            .await;
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("tcp://{}", listener.local_addr().expect("an address"));
    (listener, uri)
}

/// A client whose tokens are `t0`, `t1` and so on, unless `instead` says otherwise.
fn counted(
    uri: &str,
    instead: impl Fn(usize) -> Option<TokenSourceError> + Send + Sync + 'static,
) -> (ClientBuilder, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let builder = eager(uri).token_from(move || {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let token = instead(number).map_or(Ok(format!("t{number}")), Err);
        async { token }
    });
    (builder, asked)
}

#[test]
fn the_next_token_goes_over_the_same_connection_before_the_first_ends() {
    run(async {
        let (listener, uri) = listen().await;
        let (builder, asked) = counted(&uri, |_| None);
        let server = async {
            let mut session = Session::accept(&listener).await;
            session.answer(r#""data":"t0""#, r#","expires_in":2"#).await;
            session
        };
        let (client, mut session) = tokio::join!(builder.connect(), server);
        let client = client.expect("open");
        let mut events = client.events();
        session.answer(r#""data":"t1""#, r#","expires_in":2"#).await;
        session.answer(r#""data":"t2""#, "").await;
        let (pong, ()) = tokio::join!(client.ping(), session.answer("ping", ""));
        pong.expect("pong");
        assert_eq!(events.try_next(), None, "nothing happened that shows");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn a_token_that_has_ended_is_replaced_and_streams_go_on() {
    run(async {
        let (listener, uri) = listen().await;
        let (builder, _) = counted(&uri, |_| None);
        let server = async {
            let mut session = Session::accept(&listener).await;
            session
                .answer(r#""data":"t0""#, r#","expires_in":900"#)
                .await;
            session.answer("subscribe", "").await;
            session
        };
        let client = async {
            let client = builder.connect().await.expect("open");
            let stream = client.subscribe(["a"]).await.expect("subscribed");
            (client, stream)
        };
        let ((client, mut stream), mut session) = tokio::join!(client, server);
        let mut events = client.events();
        session.say(EXPIRED).await;
        session.answer(r#""data":"t1""#, "").await;
        session.answer(r#""tags":["a"]"#, "").await;
        assert_eq!(events.next().await, Some(Event::Connecting));
        let open = events.next().await;
        assert!(
            matches!(open, Some(Event::Open { resumed: true, .. })),
            "{open:?}"
        );
        session
            .say(r#"{"command":"publish","tags":["a"],"data":"x"}"#)
            .await;
        assert_eq!(stream.next().await.expect("a message").data, "x");
    });
}

#[test]
fn a_fixed_token_that_has_ended_closes_the_client() {
    run(async {
        let (listener, uri) = listen().await;
        let server = async {
            let mut session = Session::accept(&listener).await;
            session.answer("auth", r#","expires_in":900"#).await;
            session
        };
        let connecting = eager(&uri).token("t").connect();
        let (client, mut session) = tokio::join!(connecting, server);
        let client = client.expect("open");
        let mut events = client.events();
        session.say(EXPIRED).await;
        let closed = event(&mut events, |event| matches!(event, Event::Closed { .. })).await;
        let Event::Closed {
            reason: CloseReason::AuthRefused(error),
            ..
        } = closed
        else {
            panic!("{closed:?}");
        };
        assert_eq!(error.code, ErrorCode::TokenExpired);
    });
}

#[test]
fn what_the_source_says_is_what_the_first_attempt_fails_with() {
    run(async {
        let (listener, uri) = listen().await;
        let away = |_| Some("the token service is away".into());
        let error = counted(&uri, away).0.connect().await.expect_err("no token");
        assert!(
            matches!(&error, ClientError::NoToken { reason, .. } if reason == "the token service is away"),
            "{error:?}"
        );
        let signed_out = |_| Some(TokenSourceError::Unauthorized("signed out".to_owned()));
        let error = counted(&uri, signed_out).0.connect().await;
        let error = error.expect_err("no token");
        assert!(matches!(&error, ClientError::NoToken { .. }), "{error:?}");
        assert_eq!(error.to_string(), "no token: signed out");

        let server = async {
            let refusal = r#","error":"no","code":"wrong-token""#;
            Session::accept(&listener)
                .await
                .answer("auth", refusal)
                .await;
        };
        let (error, ()) = tokio::join!(counted(&uri, |_| None).0.connect(), server);
        let error = error.expect_err("refused");
        assert!(
            matches!(&error, ClientError::AuthRefused { reason, .. } if reason.code == ErrorCode::WrongToken),
            "{error:?}"
        );
    });
}

#[test]
fn a_source_that_fails_later_is_told_and_asked_again_until_it_says_that_there_is_no_token() {
    run(async {
        let (listener, uri) = listen().await;
        let (builder, asked) = counted(&uri, |number| match number {
            1 => Some("away".into()),
            2 => Some(TokenSourceError::Unauthorized("signed out".to_owned())),
            _ => None,
        });
        let server = async {
            let mut session = Session::accept(&listener).await;
            session.answer("auth", r#","expires_in":900"#).await;
            session
        };
        let (client, mut session) = tokio::join!(builder.connect(), server);
        let client: Client = client.expect("open");
        let mut events = client.events();
        session.say(EXPIRED).await;
        let failed = event(&mut events, |event| {
            matches!(event, Event::TokenFailed { .. })
        })
        .await;
        assert!(
            matches!(&failed, Event::TokenFailed { reason, error: None, .. } if reason == "away"),
            "{failed:?}"
        );
        let closed = event(&mut events, |event| matches!(event, Event::Closed { .. })).await;
        let expected = CloseReason::NoToken("signed out".to_owned());
        assert!(
            matches!(&closed, Event::Closed { reason, .. } if *reason == expected),
            "{closed:?}"
        );
        assert_eq!(client.state(), State::Closed);
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        let error = client.ping().await.expect_err("closed");
        assert!(matches!(error, ClientError::NoToken { .. }), "{error:?}");
    });
}

#[test]
fn a_source_may_use_the_client_that_it_is_the_source_of() {
    run(async {
        let (listener, uri) = listen().await;
        let slot = Arc::new(std::sync::OnceLock::<Client>::new());
        let inner = Arc::clone(&slot);
        let connecting = eager(&uri)
            .token_from(move || {
                // Not in the future but in the call itself, which must not hold a lock.
                let state = inner.get().map(Client::state);
                async move { Ok(format!("{state:?}")) }
            })
            .connect();
        let server = async {
            let mut session = Session::accept(&listener).await;
            session.answer("None", "").await;
            session
        };
        let (client, mut session) = tokio::join!(connecting, server);
        assert!(slot.set(client.expect("open")).is_ok());
        session.say(EXPIRED).await;
        let mut renewed = pin!(session.answer("Some(Connecting)", ""));
        renewed.as_mut().await;
    });
}
