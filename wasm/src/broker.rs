//! The broker of a page: sessions behind ports, and a fast lane for the page itself, where tags and tag sets are numbers.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use mist_core::{
    Access, Config, Credentials, CustomReply, Limits, Output, Scratch, SessionId, TokenStorage,
};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::MessagePort;

#[wasm_bindgen]
extern "C" {
    /// What the page does for its broker.
    #[derive(Debug)]
    pub type BrokerHost;

    /// A tag came into use under this number, or went out of it.
    #[wasm_bindgen(method)]
    fn tag(this: &BrokerHost, number: u32, name: Option<String>);

    /// A message that the session sent matches so many tag sets, whose numbers are at `found`.
    #[wasm_bindgen(method)]
    fn deliver(this: &BrokerHost, session: u32, found: *const u32, count: u32, message: &str);

    /// A session runs a custom command; [`Broker::answer`] answers it.
    #[wasm_bindgen(method)]
    fn command(this: &BrokerHost, session: u32, name: &str, tags: Vec<String>, data: &str);

    /// The broker lets go of a session.
    #[wasm_bindgen(method)]
    fn closed(this: &BrokerHost, session: u32);

    /// Call [`Broker::expire`] at this time, in seconds since 1970, or at no time if it is negative.
    #[wasm_bindgen(method)]
    fn expiry(this: &BrokerHost, at: f64);
}

/// How many numbers of tags the page can hand over at once.
const AREA: usize = 4096;

#[derive(Debug)]
struct Peer {
    id: SessionId,
    port: MessagePort,
    /// Whether it is of this page, which finds its subscriptions by the numbers of tag sets.
    is_page: bool,
}

/// A broker in this page.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Broker {
    broker: mist_core::Broker,
    host: BrokerHost,
    /// By slot, so that the page holds plain numbers.
    peers: Vec<Option<Peer>>,
    /// Sessions that are not of this page.
    others: usize,
    scratch: Scratch,
    area: Box<[u32]>,
    found: Vec<u32>,
    reached: Vec<u32>,
    /// Whether there are tokens, which may end.
    has_tokens: bool,
    /// What the host was told last of when the next one ends.
    expiry: Option<u64>,
}

#[wasm_bindgen]
impl Broker {
    /// Creates a broker; `seed` comes from `crypto.getRandomValues`.
    ///
    /// # Errors
    /// A sentence about the limit that is unknown or does not fit.
    #[wasm_bindgen(constructor)]
    pub fn new(
        host: BrokerHost,
        seed: u64,
        token: Option<String>,
        is_scoped: bool,
        limit_names: Vec<String>,
        limit_values: &[f64],
    ) -> Result<Self, JsValue> {
        let mut limits = Limits::default();
        for (name, &value) in limit_names.iter().zip(limit_values) {
            limits.set_one_of(Limits::OF_BROKER, name, value as u64)?;
        }
        let has_tokens = token.is_some();
        let config = Config {
            limits,
            access: if is_scoped {
                Access::Scoped
            } else {
                Access::Open
            },
            token_storage: match token {
                Some(_) => TokenStorage::Memory,
                None => TokenStorage::None,
            },
            token,
            is_numbered: true,
            ..Config::default()
        };
        Ok(Self {
            broker: mist_core::Broker::new(config, seed),
            host,
            peers: Vec::new(),
            others: 0,
            scratch: Scratch::new(),
            area: vec![0; AREA].into(),
            found: Vec::with_capacity(AREA),
            reached: Vec::new(),
            has_tokens,
            expiry: None,
        })
    }

    /// Opens a session whose messages go to `port`, and returns its number.
    pub fn connect(&mut self, port: MessagePort, is_page: bool) -> u32 {
        let id = self.broker.connect(Credentials::default());
        let slot = id.slot();
        if self.peers.len() <= slot {
            self.peers.resize_with(slot + 1, || None);
        }
        self.others += usize::from(!is_page);
        self.peers[slot] = Some(Peer { id, port, is_page });
        slot as u32
    }

    /// Closes a session.
    pub fn disconnect(&mut self, session: u32) {
        let peer = self.peers.get_mut(session as usize);
        if let Some(peer) = peer.and_then(Option::take) {
            self.others -= usize::from(!peer.is_page);
            self.broker.disconnect(peer.id);
            self.settle();
        }
    }

    /// Takes a message of a session, as it goes over the wire.
    pub fn receive(&mut self, session: u32, message: &str) {
        if let Some(id) = self.id(session) {
            if self.has_tokens {
                self.broker.handle_time(now());
            }
            self.broker.handle_frame(id, message.as_bytes());
            self.settle();
        }
    }

    /// Ends what is due by now.
    pub fn expire(&mut self) {
        self.broker.handle_time(now());
        // Where it is not due yet, the host has to ask again.
        self.expiry = None;
        self.settle();
    }

    /// Adds a custom command; `false` when the broker has one of that name.
    pub fn add_command(&mut self, name: &str) -> bool {
        self.broker.add_command(name)
    }

    /// Answers a custom command: with tags and data, or with an error.
    pub fn answer(
        &mut self,
        session: u32,
        tags: Vec<String>,
        data: Option<String>,
        error: Option<String>,
    ) {
        let Some(id) = self.id(session) else { return };
        let reply = match (error, data) {
            (Some(error), _) => Err(error),
            (None, Some(data)) => Ok(Some(CustomReply { tags, data })),
            (None, None) => Ok(None),
        };
        self.broker.handle_custom_reply(id, reply);
        self.settle();
    }

    /// Where the page writes the numbers of tags: room for 4,096.
    #[must_use]
    pub fn area(&self) -> *const u32 {
        self.area.as_ptr()
    }

    /// Where the numbers of the tag sets are that were found last. It changes only when more are found than ever.
    #[must_use]
    pub fn found(&self) -> *const u32 {
        self.found.as_ptr()
    }

    /// Publishes to the tags whose numbers are in the area. Returns how many tag sets match, or -1 when the message
    /// must go through [`Broker::receive`].
    pub fn publish(&mut self, session: u32, count: usize) -> i32 {
        self.found.clear();
        match self.match_sets(session, 0, count) {
            true => self.found.len() as i32,
            false => -1,
        }
    }

    /// Publishes several messages: in the area, each as the count of its tags and their numbers; found, each as the
    /// count of its tag sets and their numbers. Returns how many words those are, or -1 when the messages must go
    /// through [`Broker::receive`].
    pub fn publish_all(&mut self, session: u32, messages: usize) -> i32 {
        self.found.clear();
        let mut at = 0;
        for _ in 0..messages {
            let place = self.found.len();
            self.found.push(0);
            let Some(&count) = self.area.get(at) else {
                return -1;
            };
            if !self.match_sets(session, at + 1, count as usize) {
                return -1;
            }
            self.found[place] = (self.found.len() - place - 1) as u32;
            at += 1 + count as usize;
        }
        self.found.len() as i32
    }

    /// How many sessions outside the page the message published last is for.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.reached.len()
    }

    /// Sends the message published last to the sessions outside the page: the whole of it, with sorted tags.
    pub fn forward(&mut self, message: &str) {
        let message = JsValue::from_str(message);
        for slot in self.reached.drain(..) {
            if let Some(Some(peer)) = self.peers.get(slot as usize) {
                post(&peer.port, &message);
            }
        }
    }

    /// The number of a tag set if the session holds it, else -1.
    #[must_use]
    pub fn set_number(&self, session: u32, tags: Vec<String>) -> i32 {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        self.id(session)
            .and_then(|id| self.broker.set_number(id, &tags))
            .map_or(-1, |number| number as i32)
    }

    /// Sessions connected now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.broker.stats().sessions
    }

    /// Sessions since the start.
    #[must_use]
    pub fn sessions_total(&self) -> f64 {
        self.broker.stats().sessions_total as f64
    }

    /// Sessions that hold a subscription now.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.broker.stats().subscribers
    }

    /// Subscriptions held now.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.broker.stats().subscriptions
    }

    /// The largest message, in bytes.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        self.broker.limits().message_bytes
    }

    /// The most tags on a message.
    #[must_use]
    pub fn tags_per_message(&self) -> usize {
        self.broker.limits().tags_per_message
    }

    /// The longest tag, in bytes.
    #[must_use]
    pub fn tag_bytes(&self) -> usize {
        self.broker.limits().tag_bytes
    }

    fn id(&self, session: u32) -> Option<SessionId> {
        Some(self.peers.get(session as usize)?.as_ref()?.id)
    }

    /// Adds the tag sets that match some tags of the area to those found; says whether it could.
    fn match_sets(&mut self, session: u32, at: usize, count: usize) -> bool {
        let tags = self.area.get(at..at + count);
        let (Some(id), Some(tags)) = (self.id(session), tags) else {
            return false;
        };
        if !self.broker.decide_numbers(id, tags, &mut self.scratch) {
            return false;
        }
        self.found.extend(self.scratch.sets());
        self.reached.clear();
        if self.others > 0 {
            self.broker.find_targets(id, &mut self.scratch);
            let targets = self.scratch.targets().iter().copied();
            let peers = &self.peers;
            self.reached.extend(targets.filter(|&slot| {
                let peer = &peers[slot as usize];
                peer.as_ref().is_some_and(|peer| !peer.is_page)
            }));
        }
        true
    }

    /// Does what the broker wants done.
    fn settle(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Send { session, message } => self.send(session, &message),
                Output::Deliver {
                    publisher,
                    targets,
                    sets,
                    message,
                    receipt,
                } => {
                    let text = core::str::from_utf8(&message).unwrap_or_default();
                    let value = JsValue::from_str(text);
                    for target in &targets {
                        if let Some(Some(peer)) = self.peers.get(target.slot())
                            && !peer.is_page
                        {
                            post(&peer.port, &value);
                        }
                    }
                    if !sets.is_empty() {
                        let (publisher, count) = (publisher.slot() as u32, sets.len() as u32);
                        self.host.deliver(publisher, sets.as_ptr(), count, text);
                    }
                    if let Some(receipt) = receipt {
                        self.send(receipt.session(), &receipt.reply(targets.len()));
                    }
                }
                Output::Custom { session, request } => {
                    let slot = session.slot() as u32;
                    let (command, data) = (&request.command, &request.data);
                    self.host.command(slot, command, request.tags, data);
                }
                Output::Close { session, .. } => {
                    let slot = session.slot() as u32;
                    self.disconnect(slot);
                    self.host.closed(slot);
                }
                Output::Proceed => drop(self.broker.proceed()),
                // Tokens are kept in the broker itself.
                _ => {}
            }
        }
        while let Some((number, name)) = self.broker.take_changed_tag() {
            self.host.tag(number, name.map(Into::into));
        }
        let expiry = self.broker.next_expiry();
        if self.expiry != expiry {
            self.expiry = expiry;
            self.host.expiry(expiry.map_or(-1.0, |at| at as f64));
        }
    }

    fn send(&self, session: SessionId, message: &[u8]) {
        let peer = self.peers.get(session.slot());
        if let (Some(Some(peer)), Ok(text)) = (peer, core::str::from_utf8(message)) {
            post(&peer.port, &JsValue::from_str(text));
        }
    }
}

/// A port that cannot take a message is closed or its other side has gone; its owner is notified of that.
fn post(port: &MessagePort, message: &JsValue) {
    let _ = port.post_message(message);
}

/// The time in seconds since 1970.
fn now() -> u64 {
    (js_sys::Date::now() / 1000.0) as u64
}
