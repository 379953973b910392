//! A token store that tells what others change in it.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mist::auth::{Changed, TokensInUse};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::yield_now;

use super::*;

type Told = Result<Changed, TokenError>;

/// Tokens that each grant the tag of their name.
struct Telling {
    tokens: Mutex<BTreeMap<String, Vec<String>>>,
    is_broken: AtomicBool,
    lookups: watch::Sender<usize>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    told: Mutex<Option<mpsc::UnboundedReceiver<Told>>>,
    in_use: OnceLock<TokensInUse>,
}

impl Telling {
    fn new() -> (Arc<Self>, mpsc::UnboundedSender<Told>) {
        let (tell, told) = mpsc::unbounded_channel();
        let store = Self {
            tokens: Mutex::default(),
            is_broken: AtomicBool::new(false),
            lookups: watch::Sender::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            told: Mutex::new(Some(told)),
            in_use: OnceLock::new(),
        };
        (Arc::new(store), tell)
    }

    fn set(&self, token: &str, is_there: bool) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        match is_there {
            true => drop(tokens.insert(token.into(), vec![token.into()])),
            false => drop(tokens.remove(token)),
        }
    }

    fn lookups(&self) -> usize {
        *self.lookups.borrow()
    }
}

impl TokenStore for Telling {
    fn edit<'a>(&'a self, _: &'a TokenEdit) -> BoxFuture<'a, Result<(), TokenError>> {
        Box::pin(async { Err(TokenError::Unavailable("others do that".into())) })
    }

    fn lookup<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Grants, TokenError>> {
        Box::pin(async move {
            let under_way = 1 + self.under_way.fetch_add(1, Ordering::SeqCst);
            self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
            for _ in 0..100 {
                yield_now().await;
            }
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            let tags = {
                let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                tokens.get(token).cloned()
            };
            let answer = match tags {
                _ if self.is_broken.load(Ordering::SeqCst) => {
                    Err(TokenError::Unavailable("the disk is full".into()))
                }
                Some(tags) => Ok(Grants::of_token(token, tags)),
                None => Err(TokenError::NotFound),
            };
            self.lookups.send_modify(|lookups| *lookups += 1);
            answer
        })
    }

    fn changes(&self, in_use: TokensInUse) -> BoxStream<'_, Told> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.take().expect("a server asks once");
        assert!(self.in_use.set(in_use).is_ok());
        stream::unfold(told, async |mut told| Some((told.recv().await?, told))).boxed()
    }
}

async fn house(store: &Arc<Telling>) -> House {
    let authenticator = Arc::clone(store);
    let factory: AuthenticatorFactory = Arc::new(move |_uri| {
        let authenticator: Arc<dyn Authenticator> = authenticator.clone();
        Box::pin(async move { Ok(authenticator) })
    });
    House::with(|builder| {
        let builder = builder.authenticator_scheme("ours", factory);
        builder
            .authenticator("ours://x")
            .token("s3cret")
            .access(Access::Scoped)
    })
    .await
}

/// Somebody with a token, who has subscribed to the one tag that it grants.
async fn subscriber(house: &House, token: &str) -> Peer {
    let mut peer = house.connect();
    let auth = format!(r#"{{"command":"auth","data":"{token}","id":1}}"#);
    peer.ask(&auth, r#"{"command":"auth","data":"success","id":1}"#)
        .await;
    let subscribe = format!(r#"{{"command":"subscribe","tags":["{token}"]}}"#);
    peer.send(&subscribe).await;
    peer.barrier().await;
    peer
}

async fn loses(peer: &mut Peer) {
    let lost = peer.line().await;
    assert!(lost.contains(r#""code":"revoked""#), "{lost}");
}

#[tokio::test]
async fn one_changed_token_costs_one_look_up_and_many_are_looked_up_a_few_at_a_time() {
    let (store, tell) = Telling::new();
    let house = house(&store).await;
    let names: Vec<_> = (0..40).map(|number| format!("t{number}")).collect();
    let mut peers = Vec::new();
    for name in &names {
        store.set(name, true);
        peers.push(subscriber(&house, name).await);
    }
    // Two sessions may go by one token.
    let mut second = subscriber(&house, "t0").await;
    assert_eq!(store.lookups(), 41);
    let in_use = store.in_use.get().expect("the server follows it");
    assert_eq!(in_use.list().len(), 40);

    store.set("t0", false);
    let told = ["nobody's", "t0"].map(|token| Ok(Changed::Token(token.into())));
    for change in told {
        tell.send(change).expect("followed");
    }
    loses(&mut peers[0]).await;
    loses(&mut second).await;
    assert_eq!(store.lookups(), 42);

    store.set("t1", false);
    for token in ["nobody's", "t1"] {
        let hash = Sha256::digest(token).into();
        tell.send(Ok(Changed::Hash(hash))).expect("followed");
    }
    loses(&mut peers[1]).await;
    assert_eq!(store.lookups(), 43);

    // The store has missed something.
    store.most_under_way.store(0, Ordering::SeqCst);
    names.iter().for_each(|name| store.set(name, false));
    let missed = [
        Err(TokenError::Unavailable("lost".into())),
        Ok(Changed::Any),
    ];
    for change in missed {
        tell.send(change).expect("followed");
    }
    for peer in &mut peers[2..] {
        loses(peer).await;
    }
    assert_eq!(store.lookups(), 43 + 38);
    assert_eq!(store.most_under_way.load(Ordering::SeqCst), 16);
    assert_eq!(in_use.list(), [""; 0]);
}

#[tokio::test]
async fn a_store_that_cannot_say_is_asked_again_until_it_can() {
    let (store, tell) = Telling::new();
    let house = house(&store).await;
    for token in ["a", "b"] {
        store.set(token, true);
    }
    let (mut a, mut b) = (subscriber(&house, "a").await, subscriber(&house, "b").await);
    store.set("a", false);
    store.is_broken.store(true, Ordering::SeqCst);
    tell.send(Ok(Changed::Token("a".into()))).expect("followed");
    let mut lookups = store.lookups.subscribe();
    within(lookups.wait_for(|count| *count >= 4))
        .await
        .expect("it is there");
    // What was granted stays granted meanwhile.
    assert_eq!(house.site.handle.publish(&["a"], "1"), 1);
    a.expect(r#"{"command":"publish","tags":["a"],"data":"1"}"#)
        .await;
    store.is_broken.store(false, Ordering::SeqCst);
    loses(&mut a).await;
    b.barrier().await;
    // What the store told last is dealt with though it tells nothing more.
    store.set("b", false);
    tell.send(Ok(Changed::Any)).expect("followed");
    drop(tell);
    loses(&mut b).await;
}
