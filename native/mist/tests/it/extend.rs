//! What a program adds to its server: listeners, token stores and commands of its own.

mod application;
mod changes;
mod jwks;
mod reentry;
mod several;
mod subjects;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::BoxFuture;
use mist::auth::{Authenticator, Grants, TokenEdit, TokenError, TokenStore};
use mist::command::{CustomReply, CustomRequest};
use mist::{
    Acceptor, Access, Address, AuthenticatorFactory, BindError, Handle, Limits, ListenError,
    Listener, ListenerFactory, Server, ServerBuilder, Tapped,
};
use mist_tests::site::Site;
use mist_tests::{PING, PONG, within};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::{Semaphore, mpsc};

/// A listener whose connections are pipes in memory.
struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    fn address(&self) -> Address {
        Address::new("pipe", "here")
    }

    fn serve(mut self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    () = acceptor.stopped() => return,
                    Some(pipe) = self.0.recv() => acceptor.accept(pipe),
                }
            }
        })
    }
}

/// A server behind pipes.
struct House {
    arriving: mpsc::UnboundedSender<DuplexStream>,
    site: Site,
}

impl House {
    async fn with(build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (arriving, pipes) = mpsc::unbounded_channel();
        let builder = Server::builder().listener(Pipes(pipes));
        let site = Site::start(build(builder)).await;
        Self { arriving, site }
    }

    /// A server that keeps its tokens in a store of our own.
    async fn with_store(store: &Arc<Store>, access: Access) -> Self {
        let factory = factory(Arc::clone(store));
        Self::with(|builder| {
            let builder = builder.authenticator_scheme("ours", factory);
            builder
                .authenticator("ours://x")
                .token("s3cret")
                .access(access)
        })
        .await
    }

    fn connect(&self) -> Peer {
        let (near, far) = tokio::io::duplex(64 << 10);
        self.arriving.send(far).expect("the listener is there");
        Peer(BufReader::new(near))
    }

    async fn admin(&self) -> Peer {
        let mut admin = self.connect();
        admin
            .send(r#"{"command":"auth","data":"s3cret","id":0}"#)
            .await;
        admin
            .expect(r#"{"command":"auth","data":"success","id":0}"#)
            .await;
        admin
    }
}

/// The other end of a pipe.
struct Peer(BufReader<DuplexStream>);

impl Peer {
    async fn send(&mut self, message: &str) {
        let line = format!("{message}\n");
        within(self.0.write_all(line.as_bytes()))
            .await
            .expect("sent");
    }

    /// The next line, empty at the end.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        within(self.0.read_line(&mut line)).await.expect("a line");
        line.truncate(line.trim_end().len());
        line
    }

    async fn expect(&mut self, message: &str) {
        assert_eq!(self.line().await, message);
    }

    async fn ask(&mut self, message: &str, answer: &str) {
        self.send(message).await;
        self.expect(answer).await;
    }

    async fn barrier(&mut self) {
        self.ask(PING, PONG).await;
    }
}

#[tokio::test]
async fn a_listener_of_ones_own_is_served_like_the_others() {
    let mut limits = Limits::default();
    limits.set("connections", 3).expect("a limit");
    let house = House::with(|builder| builder.listen("tcp://127.0.0.1:0").limits(limits)).await;
    assert_eq!(house.site.uris[0], "pipe://here");
    let (mut a, mut b) = (house.connect(), house.connect());
    a.send(r#"{"command":"subscribe","tags":["x"]}"#).await;
    a.barrier().await;
    let client = mist::Client::connect(&house.site.uris[1])
        .await
        .expect("connected");
    let mut messages = client.subscribe(["x"]).await.expect("subscribed");
    b.ask(
        r#"{"command":"publish","tags":["x"],"data":"1","id":1}"#,
        r#"{"command":"publish","tags":["x"],"data":"success","delivered":2,"id":1}"#,
    )
    .await;
    a.expect(r#"{"command":"publish","tags":["x"],"data":"1"}"#)
        .await;
    let message = within(messages.next()).await.expect("a message");
    assert_eq!(message.data, "1");

    let mut fourth = house.connect();
    let refusal = fourth.line().await;
    assert!(
        refusal.contains("the limit is 3 (connections)"),
        "{refusal}"
    );
    assert_eq!(fourth.line().await, "");

    house.site.handle.publish(&["x"], "2");
    let _ = house.site.stop.send(());
    a.expect(r#"{"command":"publish","tags":["x"],"data":"2"}"#)
        .await;
    assert_eq!(
        (a.line().await, b.line().await),
        (String::new(), String::new())
    );
    within(house.site.run).await.expect("it ends in order");
}

#[tokio::test]
async fn a_listener_that_cannot_start_keeps_the_server_from_starting() {
    let factory: ListenerFactory = Arc::new(|uri| {
        Box::pin(async move { Err(ListenError::io(&uri, std::io::Error::other("no paper"))) })
    });
    let server = Server::builder()
        .listener_scheme("fax", factory)
        .listen("tcp://127.0.0.1:0, fax://here");
    let error = server.bind().await.expect_err("there is no paper");
    assert_eq!(
        error.to_string(),
        "cannot listen on 'fax://here' - no paper"
    );
}

/// The program skips such a listener; a program that embeds a server is told.
#[tokio::test]
async fn a_listener_of_an_unknown_scheme_is_an_error() {
    let server = Server::builder().listen("tcp://127.0.0.1:0, fax://here");
    let error = server.bind().await.expect_err("there is no fax");
    let text = error.to_string();
    assert!(matches!(error, BindError::UnknownListener { .. }), "{text}");
    assert!(
        text.contains("'fax://here'") && text.contains("tcp://"),
        "{text}"
    );
}

/// A token store that takes its time, and may fail.
#[derive(Default)]
struct Store {
    tokens: Mutex<BTreeMap<String, Vec<String>>>,
    /// When set, each question takes a permit of `pace` first.
    is_slow: AtomicBool,
    pace: Pace,
    is_broken: AtomicBool,
}

struct Pace(Semaphore);

impl Default for Pace {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Store {
    async fn make<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Vec<String>>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        if self.is_slow.load(Ordering::SeqCst) {
            self.pace.0.acquire().await.expect("open").forget();
        }
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(TokenError::Unavailable("the disk is full".into()));
        }
        change(&mut self.tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TokenStore for Store {
    fn edit<'a>(&'a self, edit: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(self.make(move |tokens| {
            let token = edit.token()?;
            if token.contains(' ') {
                return Err(TokenError::Invalid("no blanks here".into()));
            }
            let left = edit.apply(tokens.get(token).cloned())?;
            tokens.remove(token);
            tokens.extend(left.map(|tags| (token.to_owned(), tags)));
            Ok(())
        }))
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        Box::pin(self.make(move |tokens| {
            let tags = tokens.get(token).cloned().ok_or(TokenError::NotFound)?;
            Ok(Grants::of_token(token, tags))
        }))
    }
}

fn factory(store: Arc<Store>) -> AuthenticatorFactory {
    Arc::new(move |_uri| {
        let store: Arc<dyn Authenticator> = store.clone();
        Box::pin(async move { Ok(store) })
    })
}

#[tokio::test]
async fn a_store_of_ones_own_holds_the_tokens_and_their_tags() {
    let store = Arc::new(Store::default());
    let house = House::with_store(&store, Access::Scoped).await;
    let mut admin = house.admin().await;
    for (message, answer) in [
        (
            r#"{"command":"register","data":"desk","tags":["a","north"],"id":1}"#,
            r#"{"command":"register","tags":["a","north"],"data":"success","id":1}"#,
        ),
        (
            r#"{"command":"set","data":"desk","tags":["b"],"id":2}"#,
            r#"{"command":"set","tags":["b"],"data":"success","id":2}"#,
        ),
        (
            r#"{"command":"tags","data":"desk"}"#,
            r#"{"command":"tags","tags":["a","b","north"]}"#,
        ),
    ] {
        admin.ask(message, answer).await;
    }
    for (message, reason) in [
        (
            r#"{"command":"register","data":"desk"}"#,
            "Token already exists",
        ),
        (
            r#"{"command":"register","data":"a b"}"#,
            "Invalid token - no blanks here",
        ),
        (r#"{"command":"tags","data":"other"}"#, "Token not found"),
        (
            r#"{"command":"unset","data":"other","tags":["a"]}"#,
            "Token not found",
        ),
    ] {
        admin.send(message).await;
        let answer = admin.line().await;
        assert!(answer.contains(reason), "{message}: {answer}");
    }
    let mut desk = house.connect();
    desk.send(r#"{"command":"auth","data":"desk"}"#).await;
    desk.ask(
        r#"{"command":"subscribe","tags":["north","late"],"id":1}"#,
        r#"{"command":"subscribe","tags":["north","late"],"data":"success","id":1}"#,
    )
    .await;
    admin
        .send(r#"{"command":"unregister","data":"desk"}"#)
        .await;
    let said = desk.line().await;
    let start = r#"{"command":"unsubscribe","tags":["late","north"],"error":"subscription removed"#;
    assert!(said.starts_with(start), "{said}");
    admin.barrier().await;
    assert!(store.tokens.lock().expect("whole").is_empty());
}

#[tokio::test]
async fn a_slow_store_keeps_only_those_waiting_who_ask_it() {
    let store = Arc::new(Store::default());
    let house = House::with_store(&store, Access::Scoped).await;
    let mut admin = house.admin().await;
    admin
        .send(r#"{"command":"register","data":"desk","tags":["x"]}"#)
        .await;
    admin.barrier().await;
    store.is_slow.store(true, Ordering::SeqCst);

    let mut waiting = house.connect();
    waiting.send(r#"{"command":"auth","data":"desk"}"#).await;
    waiting
        .send(r#"{"command":"subscribe","tags":["x"]}"#)
        .await;
    waiting.send(r#"{"command":"ping","id":"behind"}"#).await;
    let mut leaving = house.connect();
    leaving.send(r#"{"command":"auth","data":"desk"}"#).await;
    drop(leaving);
    let mut other = house.admin().await;
    other.send(r#"{"command":"tags","data":"desk"}"#).await;
    // The others go on as if nothing were.
    admin.barrier().await;
    assert_eq!(house.site.handle.publish(&["x"], "too early"), 0);

    store.is_slow.store(false, Ordering::SeqCst);
    store.pace.0.add_permits(3);
    waiting
        .expect(r#"{"command":"ping","data":"pong","id":"behind"}"#)
        .await;
    other.expect(r#"{"command":"tags","tags":["x"]}"#).await;
    assert_eq!(house.site.handle.publish(&["x"], "now"), 1);
    waiting
        .expect(r#"{"command":"publish","tags":["x"],"data":"now"}"#)
        .await;
}

#[tokio::test]
async fn a_store_that_fails_is_named_and_nothing_else_is_hurt() {
    let store = Arc::new(Store::default());
    let house = House::with_store(&store, Access::Scoped).await;
    let mut admin = house.admin().await;
    admin
        .send(r#"{"command":"register","data":"desk","tags":["x"]}"#)
        .await;
    admin.barrier().await;
    let mut desk = house.connect();
    desk.send(r#"{"command":"auth","data":"desk"}"#).await;
    desk.send(r#"{"command":"subscribe","tags":["x"]}"#).await;
    desk.barrier().await;

    store.is_broken.store(true, Ordering::SeqCst);
    let reason = "Token store unavailable, nothing was changed - the disk is full";
    for command in ["register", "unregister", "set", "unset", "tags"] {
        admin
            .send(&format!(
                r#"{{"command":"{command}","data":"desk","tags":["x"],"id":1}}"#
            ))
            .await;
        let answer = admin.line().await;
        assert!(
            answer.contains(&format!(r#""error":"{reason}""#)),
            "{answer}"
        );
        assert!(answer.ends_with(r#","id":1}"#), "{answer}");
    }
    let mut late = house.connect();
    late.send(r#"{"command":"auth","data":"desk"}"#).await;
    let answer = late.line().await;
    assert!(answer.contains("the token was not looked at"), "{answer}");
    assert!(
        !answer.contains("desk") && !answer.contains("disk"),
        "{answer}"
    );
    late.barrier().await;
    // Who is in stays in.
    admin
        .send(r#"{"command":"publish","tags":["x"],"data":"on"}"#)
        .await;
    desk.expect(r#"{"command":"publish","tags":["x"],"data":"on"}"#)
        .await;
    desk.barrier().await;

    store.is_broken.store(false, Ordering::SeqCst);
    admin
        .ask(
            r#"{"command":"tags","data":"desk"}"#,
            r#"{"command":"tags","tags":["x"]}"#,
        )
        .await;
}

#[tokio::test]
async fn a_store_that_does_not_open_keeps_the_server_from_starting() {
    let broken: AuthenticatorFactory =
        Arc::new(|_| Box::pin(async { Err("the disk is full".to_owned()) }));
    let builder = || {
        Server::builder()
            .listen("tcp://127.0.0.1:0")
            .authenticator_scheme("ours", broken.clone())
            .token("s3cret")
    };
    let error = builder()
        .authenticator("ours://user:pass@there")
        .bind()
        .await;
    assert_eq!(
        error.expect_err("it is broken").to_string(),
        "cannot open the authenticator 'ours://…' - the disk is full"
    );
    let error = builder()
        .authenticator("others://user:pass@there")
        .bind()
        .await;
    assert_eq!(
        error.expect_err("it is unknown").to_string(),
        "unsupported authenticator 'others://…' - known schemes: http://, https://, jwt://, memory://, ours://, \
         postgres://, postgresql://, scribble://, sqlite://"
    );
    // The built-in one keeps its name.
    let server = builder()
        .authenticator_scheme("memory", broken.clone())
        .authenticator("memory://")
        .bind()
        .await;
    assert_eq!(server.expect("it opens").addresses().len(), 1);
}

/// A server with commands that answer, fail, say nothing, and publish.
async fn with_commands() -> House {
    let handle: Arc<OnceLock<Handle>> = Arc::default();
    let publisher = Arc::clone(&handle);
    let house = House::with(|builder| {
        builder
            .command("upper", |request: CustomRequest| async move {
                let (tags, data) = (request.tags, request.data.to_uppercase());
                Ok(Some(CustomReply { tags, data }))
            })
            .command("fail", |request: CustomRequest| async move {
                Err(format!("there is no \"{}\"", request.data))
            })
            .command("hush", |_| async { Ok(None) })
            .command("relay", move |request: CustomRequest| {
                let publisher = Arc::clone(&publisher);
                async move {
                    let tags: Vec<_> = request.tags.iter().map(String::as_str).collect();
                    let publisher = publisher.get().ok_or("not yet")?;
                    let data = publisher.publish(&tags, &request.data).to_string();
                    Ok(Some(CustomReply {
                        data,
                        ..CustomReply::default()
                    }))
                }
            })
    })
    .await;
    assert!(handle.set(house.site.handle.clone()).is_ok());
    house
}

#[tokio::test]
async fn a_command_of_ones_own_answers_fails_or_says_nothing() {
    let house = with_commands().await;
    let mut a = house.connect();
    for (message, answer) in [
        (
            r#"{"command":"upper","tags":["b","a","b"],"data":"h\u00e9\n"}"#,
            r#"{"command":"upper","tags":["b","a","b"],"data":"HÉ\n"}"#,
        ),
        (
            r#"{"command":"upper","data":"x","id":7}"#,
            r#"{"command":"upper","data":"X","id":7}"#,
        ),
        (r#"{"command":"upper"}"#, r#"{"command":"upper"}"#),
        (
            r#"{"command":"fail","data":"stop"}"#,
            r#"{"command":"fail","error":"there is no \"stop\"","code":"refused"}"#,
        ),
        (
            r#"{"command":"fail","data":"stop","id":"f"}"#,
            r#"{"command":"fail","error":"there is no \"stop\"","code":"refused","id":"f"}"#,
        ),
        (
            r#"{"command":"hush","id":8}"#,
            r#"{"command":"hush","data":"success","id":8}"#,
        ),
        (
            r#"{"command":"Upper","data":"x"}"#,
            r#"{"command":"Upper","data":"x","error":"Unknown Command","code":"unknown-command"}"#,
        ),
    ] {
        a.ask(message, answer).await;
    }
    a.send(r#"{"command":"hush"}"#).await;
    a.barrier().await;
}

#[tokio::test]
async fn a_command_of_ones_own_learns_what_its_caller_may_do() {
    let house = House::with(|builder| {
        builder
            .authenticator("memory://")
            .token("SECRET")
            .access(Access::Scoped)
            .command("caller", |request: CustomRequest| async move {
                let caller = request.caller;
                let data = format!("{} {}", caller.subject, caller.admin);
                let tags = caller.publish;
                Ok(Some(CustomReply { tags, data }))
            })
    })
    .await;
    let (mut admin, mut reader) = (house.connect(), house.connect());
    admin.send(r#"{"command":"auth","data":"SECRET"}"#).await;
    admin
        .ask(
            r#"{"command":"register","data":"desk","tags":["north"],"id":1}"#,
            r#"{"command":"register","tags":["north"],"data":"success","id":1}"#,
        )
        .await;
    admin
        .ask(
            r#"{"command":"caller"}"#,
            r#"{"command":"caller","data":" true"}"#,
        )
        .await;
    reader.send(r#"{"command":"auth","data":"desk"}"#).await;
    reader
        .ask(
            r#"{"command":"caller"}"#,
            r#"{"command":"caller","tags":["north"],"data":"desk false"}"#,
        )
        .await;
}

#[tokio::test]
async fn commands_of_ones_own_keep_their_place_among_the_others() {
    let house = with_commands().await;
    let mut a = house.connect();
    for serial in 0..100 {
        a.send(&format!(r#"{{"command":"upper","data":"a{serial}"}}"#))
            .await;
        a.send(&format!(r#"{{"command":"ping","id":{serial}}}"#))
            .await;
    }
    for serial in 0..100 {
        a.expect(&format!(r#"{{"command":"upper","data":"A{serial}"}}"#))
            .await;
        a.expect(&format!(
            r#"{{"command":"ping","data":"pong","id":{serial}}}"#
        ))
        .await;
    }
}

#[tokio::test]
async fn a_command_may_publish_and_then_everybody_gets_it() {
    let house = with_commands().await;
    let (mut a, mut b) = (house.connect(), house.connect());
    for peer in [&mut a, &mut b] {
        peer.send(r#"{"command":"subscribe","tags":["x"]}"#).await;
        peer.barrier().await;
    }
    a.send(r#"{"command":"relay","tags":["y","x"],"data":"\"quoted\""}"#)
        .await;
    let message = r#"{"command":"publish","tags":["x","y"],"data":"\"quoted\""}"#;
    b.expect(message).await;
    // It is the server that publishes, not who asked for it.
    a.expect(message).await;
    a.expect(r#"{"command":"relay","data":"2"}"#).await;
}

#[tokio::test]
async fn the_names_of_built_in_commands_cannot_be_taken() {
    let calls = Arc::new(AtomicUsize::new(0));
    let names = [
        "ping",
        "subscribe",
        "unsubscribe",
        "publish",
        "list",
        "listall",
        "who",
        "auth",
        "register",
        "unregister",
        "set",
        "unset",
        "tags",
        "tokens",
        "end",
    ];
    let counted = Arc::clone(&calls);
    let house = House::with(|builder| {
        names.iter().fold(builder, |builder, name| {
            let calls = Arc::clone(&counted);
            builder.command(name, move |_| {
                calls.fetch_add(1, Ordering::SeqCst);
                async { Ok(None) }
            })
        })
    })
    .await;
    let mut a = house.connect();
    for name in names {
        let id = format!(r#","id":"{name}"}}"#);
        a.send(&format!(
            r#"{{"command":"{name}","tags":["x"],"data":"x"{id}"#
        ))
        .await;
        let answer = a.line().await;
        assert!(answer.ends_with(&id), "{answer}");
    }
    a.barrier().await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn under_scoped_access_commands_of_ones_own_are_for_those_who_are_in() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let house = House::with(|builder| {
        let builder = builder
            .authenticator("memory://")
            .token("s3cret")
            .access(Access::Scoped);
        builder.command("count", move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok(None) }
        })
    })
    .await;
    let mut nobody = house.connect();
    nobody.send(r#"{"command":"count","id":1}"#).await;
    let answer = nobody.line().await;
    assert!(answer.contains("not authorized"), "{answer}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let mut admin = house.admin().await;
    admin
        .ask(
            r#"{"command":"count","id":1}"#,
            r#"{"command":"count","data":"success","id":1}"#,
        )
        .await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// Another server with the same store, or a person, changed what a token grants.
#[tokio::test]
async fn a_token_that_was_changed_elsewhere_is_asked_about_again() {
    let store = Arc::new(Store::default());
    let house = House::with_store(&store, Access::Scoped).await;
    let kept = |tags: Option<&[&str]>| {
        let mut tokens = store.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        match tags {
            Some(tags) => {
                let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
                tokens.insert("desk".into(), tags);
            }
            None => drop(tokens.remove("desk")),
        }
    };
    kept(Some(&["a", "b"]));
    let mut desk = house.connect();
    for (message, answer) in [
        (
            r#"{"command":"auth","data":"desk","id":1}"#,
            r#"{"command":"auth","data":"success","id":1}"#,
        ),
        (
            r#"{"command":"subscribe","tags":["a"],"id":2}"#,
            r#"{"command":"subscribe","tags":["a"],"data":"success","id":2}"#,
        ),
        (
            r#"{"command":"subscribe","tags":["b"],"id":3}"#,
            r#"{"command":"subscribe","tags":["b"],"data":"success","id":3}"#,
        ),
    ] {
        desk.ask(message, answer).await;
    }
    kept(Some(&["b"]));
    // Nobody has said so yet.
    assert_eq!(house.site.handle.publish(&["a"], "1"), 1);
    assert_eq!(
        desk.line().await,
        r#"{"command":"publish","tags":["a"],"data":"1"}"#
    );
    assert_eq!(house.site.handle.token_changed("desk").await, Ok(()));
    let lost = desk.line().await;
    assert!(
        lost.starts_with(r#"{"command":"unsubscribe","tags":["a"],"error":"subscription removed"#),
        "{lost}"
    );
    assert_eq!(house.site.handle.publish(&["a"], "2"), 0);
    assert_eq!(house.site.handle.publish(&["b"], "3"), 1);
    desk.expect(r#"{"command":"publish","tags":["b"],"data":"3"}"#)
        .await;

    // A store that cannot say leaves everything as it was.
    store.is_broken.store(true, Ordering::SeqCst);
    let error = house.site.handle.token_changed("desk").await;
    assert!(
        matches!(error, Err(TokenError::Unavailable(_))),
        "{error:?}"
    );
    assert_eq!(house.site.handle.publish(&["b"], "4"), 1);
    desk.expect(r#"{"command":"publish","tags":["b"],"data":"4"}"#)
        .await;
    store.is_broken.store(false, Ordering::SeqCst);

    // A registered token is a subject of its own.
    kept(None);
    assert_eq!(house.site.handle.subject_changed("desk").await, Ok(()));
    let lost = desk.line().await;
    assert!(
        lost.contains(r#""tags":["b"],"error":"subscription removed"#),
        "{lost}"
    );
    desk.send(r#"{"command":"list"}"#).await;
    let refused = desk.line().await;
    assert!(refused.contains("unauthenticated"), "{refused}");
    assert_eq!(house.site.handle.token_changed("nobody's").await, Ok(()));
}

/// A program that bridges to somewhere else, or keeps a log, sees everything.
#[tokio::test]
async fn a_tap_sees_every_message_and_is_told_what_it_missed() {
    let mut limits = Limits::default();
    limits.set("outbox-messages", 3).expect("a limit");
    let house = House::with(|builder| builder.limits(limits)).await;
    let mut tap = house.site.handle.tap();
    let seen = |next: Option<Tapped>| match next {
        Some(Tapped::Message { tags, data, .. }) => format!("{tags:?} {data:?}"),
        other => panic!("{other:?}"),
    };
    // Nobody subscribes to these; they come from a client, and from the program itself.
    let mut writer = house.connect();
    writer
        .send(r#"{"command":"publish","tags":["y","x"],"data":"tab\t"}"#)
        .await;
    writer.ask(PING, PONG).await;
    assert_eq!(house.site.handle.publish(&["z"], ""), 1);
    assert_eq!(seen(within(tap.next()).await), r#"["x", "y"] "tab\t""#);
    assert_eq!(seen(within(tap.next()).await), r#"["z"] """#);

    // It waits for what comes, and what it does not take is bounded as for any client.
    let later = house.site.handle.clone();
    let (next, reached) = tokio::join!(within(tap.next()), async { later.publish(&["late"], "0") });
    assert_eq!((&*seen(next), reached), (r#"["late"] "0""#, 1));
    let reached: usize = (1..=5)
        .map(|number: i32| house.site.handle.publish(&["n"], &number.to_string()))
        .sum();
    // What it took last counts until it asks for more.
    assert_eq!(reached, 2);
    for number in ["1", "2"] {
        let next = seen(within(tap.next()).await);
        assert_eq!(next, format!(r#"["n"] "{number}""#));
    }
    assert_eq!(within(tap.next()).await, Some(Tapped::Dropped(3)));

    assert_eq!(house.site.handle.stats().sessions, 2);
    drop(tap);
    assert_eq!(house.site.handle.publish(&["n"], "nobody"), 0);
    assert_eq!(house.site.handle.stats().sessions, 1);
    let mut last = house.site.handle.tap();
    drop(house.site.stop);
    assert_eq!(within(last.next()).await, None, "the server ends");
}
