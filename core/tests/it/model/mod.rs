//! A broker written as plainly as can be: sets are searched from end to end, and texts are spelled out.
//!
//! It shares no code with the broker but the types of its questions.

mod reply;
mod sent;
mod tokens;
mod walks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mist_core::{
    Access, AuthReply, AuthRequest, Config, CustomRequest, DisconnectReason, Limits, TokenStorage,
};
use serde_json::json;

use self::reply::{Refusal, Reply, exceeded, refusal};
pub(crate) use self::sent::{BAD, Request, Sent, Spelling};
use self::tokens::AUTH_NOT_FIRST;
use self::walks::Walk;

/// What a session gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Text(String),
    Close(DisconnectReason),
    /// Its token was taken from it.
    Revoked,
}

/// What the host is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Auth(AuthRequest),
    Custom(CustomRequest),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Anonymous,
    Admin,
    Token(String),
}

#[derive(Debug)]
struct Waiting {
    question: Question,
    command: String,
    id: Option<String>,
    /// Whether the token of a login was changed since the host was asked.
    is_stale: bool,
    /// Whether the session goes by a token already.
    is_later: bool,
}

type Tags = BTreeSet<String>;

/// What is registered of a token.
#[derive(Clone, Debug, Default)]
struct Kept {
    subscribe: Tags,
    publish: Tags,
    expires_at: Option<u64>,
}

#[derive(Debug, Default)]
struct Session {
    is_connected: bool,
    role: Role,
    has_spoken: bool,
    /// Whether a token that it went by was revoked since it last presented a valid one.
    is_revoked: bool,
    bad_in_row: u8,
    is_closing: bool,
    sets: BTreeSet<Tags>,
    waiting: Option<Waiting>,
    backlog: VecDeque<Sent>,
}

/// The plain broker. Sessions are numbered from the start and never reused.
#[derive(Debug)]
pub(crate) struct Model {
    limits: Limits,
    access: Access,
    token_storage: TokenStorage,
    token: Option<String>,
    commands: Vec<String>,
    tokens: BTreeMap<String, Kept>,
    /// In seconds since 1970.
    now: u64,
    sessions: Vec<Session>,
    /// What every session has got.
    pub(crate) events: Vec<Vec<Event>>,
    /// What waits for the host.
    pub(crate) questions: Vec<(usize, Question)>,
    /// What is being published in parts.
    walks: Vec<Walk>,
}

/// What the host answers.
pub(crate) enum Answer {
    Auth(AuthRequest, AuthReply),
    Custom(Result<Option<(Vec<String>, String)>, String>),
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            limits: config.limits,
            access: config.access,
            token_storage: config.token_storage,
            token: config.token,
            commands: config.commands,
            tokens: BTreeMap::new(),
            now: 0,
            sessions: Vec::new(),
            events: Vec::new(),
            questions: Vec::new(),
            walks: Vec::new(),
        }
    }

    /// The sessions that are connected, oldest first.
    pub(crate) fn connected(&self) -> Vec<usize> {
        let is_connected = |&session: &usize| self.sessions[session].is_connected;
        (0..self.sessions.len()).filter(is_connected).collect()
    }

    /// Connected now, connected ever, subscribers, subscriptions.
    pub(crate) fn figures(&self) -> (usize, u64, usize, usize) {
        let sizes = self.sessions.iter().map(|session| session.sets.len());
        (
            self.connected().len(),
            self.sessions.len() as u64,
            sizes.clone().filter(|&size| size > 0).count(),
            sizes.sum(),
        )
    }

    pub(crate) fn is_waiting(&self, session: usize) -> bool {
        self.sessions[session].waiting.is_some()
    }

    pub(crate) fn connect(&mut self, token: Option<&str>) -> usize {
        let session = self.sessions.len();
        self.sessions.push(Session {
            is_connected: true,
            ..Session::default()
        });
        self.events.push(Vec::new());
        if let Some(token) = token {
            self.log_in(session, token, None, false);
        }
        session
    }

    pub(crate) fn disconnect(&mut self, session: usize) {
        self.sessions[session] = Session::default();
        for walk in &mut self.walks {
            walk.lasting.retain(|(holder, _)| *holder != session);
        }
    }

    pub(crate) fn say(&mut self, session: usize, sent: &Sent) {
        let state = &mut self.sessions[session];
        if !state.is_connected {
            return;
        }
        if state.waiting.is_some() {
            return state.backlog.push_back(sent.clone());
        }
        if state.is_closing {
            return;
        }
        let is_first = !state.has_spoken;
        state.has_spoken = true;
        let length = sent.line().len();
        let huge = Sent::Huge(length);
        let sent = if length > self.limits.message_bytes {
            &huge
        } else {
            sent
        };
        match sent {
            Sent::Request(request) => {
                state.bad_in_row = 0;
                if let Err(refusal) = self.execute(session, is_first, request) {
                    let tags = if refusal.with_tags {
                        self.repeated(request)
                    } else {
                        Vec::new()
                    };
                    self.send(
                        session,
                        &Reply {
                            command: request.command.clone(),
                            tags,
                            data: request.data_literal().filter(|_| refusal.with_data),
                            error: Some(refusal.text),
                            id: request.id.clone(),
                            ..Reply::default()
                        },
                    );
                }
            }
            Sent::Bad(which) => {
                let (_, command, id, text) = BAD[*which];
                self.complain(session, command, id, text.to_owned());
                let limit = self.limits.bad_messages;
                let state = &mut self.sessions[session];
                state.bad_in_row += 1;
                if state.bad_in_row >= limit {
                    let text = format!("{limit} invalid messages in a row (bad-messages); closing");
                    self.complain(session, "", None, text);
                    self.close(session, DisconnectReason::BadMessages);
                }
            }
            Sent::Huge(bytes) => {
                let limit = self.limits.message_bytes;
                let text = format!(
                    "{bytes} bytes of one message exceed the limit of {limit} (message-bytes); closing"
                );
                self.complain(session, "", None, text);
                self.close(session, DisconnectReason::MessageTooLarge);
            }
        }
    }

    /// The tags of a request as answers repeat them: no more than a message may have.
    fn repeated(&self, request: &Request) -> Vec<String> {
        let tags = request.tags.iter().take(self.limits.tags_per_message);
        tags.cloned().collect()
    }

    fn complain(&mut self, session: usize, command: &str, id: Option<&str>, text: String) {
        let reply = Reply {
            command: command.to_owned(),
            error: Some(text),
            id: id.map(str::to_owned),
            ..Reply::default()
        };
        self.send(session, &reply);
    }

    fn close(&mut self, session: usize, reason: DisconnectReason) {
        self.sessions[session].is_closing = true;
        self.events[session].push(Event::Close(reason));
    }

    fn send(&mut self, session: usize, reply: &Reply) {
        self.events[session].push(Event::Text(reply.text()));
    }

    fn acknowledge(&mut self, session: usize, request: &Request, tags: &[String]) {
        if request.id.is_some() {
            self.send(
                session,
                &Reply {
                    command: request.command.clone(),
                    tags: tags.to_vec(),
                    data: Some("\"success\"".to_owned()),
                    id: request.id.clone(),
                    ..Reply::default()
                },
            );
        }
    }

    fn execute(
        &mut self,
        session: usize,
        is_first: bool,
        request: &Request,
    ) -> Result<(), Refusal> {
        let command = request.command.as_str();
        let mut reply = Reply {
            command: command.to_owned(),
            id: request.id.clone(),
            ..Reply::default()
        };
        if command == "ping" {
            reply.data = Some("\"pong\"".to_owned());
            self.send(session, &reply);
            return Ok(());
        }
        if command == "auth" {
            let state = &self.sessions[session];
            let is_later = !is_first && matches!(state.role, Role::Token(_));
            if !is_first && !is_later && !state.is_revoked {
                return Err(refusal(AUTH_NOT_FIRST));
            }
            self.log_in(session, &request.data, request.id.as_deref(), is_later);
            return Ok(());
        }
        if self.access == Access::Scoped && self.sessions[session].role == Role::Anonymous {
            return Err(refusal(
                "not authorized - this server is scoped: present a token, by auth as the first message, or over HTTP as X-AUTH-TOKEN",
            ));
        }
        reply.tags = self.repeated(request);
        match command {
            "publish" => return self.publish(session, request),
            "subscribe" | "unsubscribe" => return self.change_subscriptions(session, request),
            "register" | "unregister" | "end" | "set" | "unset" | "tags" => {
                return self.administer(session, request);
            }
            "list" => {
                let mut sets: Vec<(String, Vec<&String>)> = self.sessions[session]
                    .sets
                    .iter()
                    .map(|set| {
                        let tags: Vec<_> = set.iter().collect();
                        let texts: Vec<_> = set.iter().map(String::as_str).collect();
                        (texts.join(","), tags)
                    })
                    .collect();
                sets.sort();
                let texts: Vec<_> = sets.iter().map(|(text, _)| text.as_str()).collect();
                let sets: Vec<_> = sets.iter().map(|(_, set)| set).collect();
                reply.data = some_text(&texts.join(" "));
                if !sets.is_empty() {
                    reply.rest = format!(",\"subscriptions\":{}", json!(sets));
                }
            }
            "listall" => {
                let all = self.sessions.iter().flat_map(|session| &session.sets);
                let grants = self.grants(session);
                let is_shown =
                    |tag: &&String| grants.is_none_or(|grants| grants.subscribe.contains(*tag));
                let shown = all.flatten().filter(is_shown).map(String::as_str);
                let tags: Vec<_> = shown.collect::<BTreeSet<&str>>().into_iter().collect();
                reply.data = some_text(&tags.join(" "));
                if !tags.is_empty() {
                    reply.rest = format!(",\"subscribed\":{}", json!(tags));
                }
            }
            "who" => {
                let (_, total, subscribers, _) = self.figures();
                reply.data = some_text(&format!(
                    "Lifetime  connections: {total}\nSubscribers connected: {subscribers}"
                ));
                reply.rest = format!(",\"connections\":{total},\"subscribers\":{subscribers}");
            }
            _ if self.commands.iter().any(|known| known == command) => {
                self.check_tags(request)?;
                let mut custom = CustomRequest::default();
                custom.command = command.to_owned();
                custom.tags = request.tags.clone();
                custom.data = request.data.clone();
                match &self.sessions[session].role {
                    Role::Admin => custom.caller.admin = true,
                    Role::Token(token) => {
                        custom.caller = self.tokens[token].grants(token);
                    }
                    Role::Anonymous => {}
                }
                let question = Question::Custom(custom);
                self.ask(session, question, command, request.id.as_deref());
                return Ok(());
            }
            _ => {
                return Err(Refusal {
                    with_data: true,
                    ..refusal("Unknown Command")
                });
            }
        }
        self.send(session, &reply);
        Ok(())
    }

    fn check_tags(&self, request: &Request) -> Result<(), Refusal> {
        let (count, limit) = (request.tags.len(), self.limits.tags_per_message);
        if count > limit {
            return Err(exceeded(count, "tags", limit, "tags-per-message"));
        }
        let limit = self.limits.tag_bytes;
        let is_long = |tag: &&String| tag.len() > limit;
        // What is too long whatever its escapes stand for is found first.
        let is_escaped = request.spelling == Spelling::Baroque;
        let long = request.tags.iter().find(is_long).filter(|_| is_escaped);
        let is_unfit = |tag: &&String| is_long(tag) || tag.starts_with('$');
        match long.or_else(|| request.tags.iter().find(is_unfit)) {
            Some(tag) if tag.len() > limit => {
                Err(exceeded(tag.len(), "bytes in a tag", limit, "tag-bytes"))
            }
            Some(tag) => Err(refusal(format!(
                "the tag '{tag}' begins with $, which is reserved: choose another"
            ))),
            None => Ok(()),
        }
    }

    /// What a session may do; `None` when everything.
    fn grants(&self, session: usize) -> Option<&Kept> {
        match &self.sessions[session].role {
            Role::Token(token) => Some(&self.tokens[token]),
            _ => None,
        }
    }

    fn check_publish(&self, session: usize, request: &Request) -> Result<(), Refusal> {
        if request.tags.is_empty() {
            return Err(refusal("Unable to publish - missing tags"));
        }
        self.check_tags(request)?;
        let grants = self.grants(session);
        let is_refused =
            |tag: &&String| grants.is_some_and(|grants| !grants.publish.contains(*tag));
        if let Some(tag) = request.tags.iter().find(is_refused) {
            return Err(refusal(format!(
                "not authorized - the token does not grant the tag '{tag}'; a publish needs all of its tags granted"
            )));
        }
        Ok(())
    }

    fn publish(&mut self, session: usize, request: &Request) -> Result<(), Refusal> {
        self.check_publish(session, request)?;
        let tags: Tags = request.tags.iter().cloned().collect();
        let text = published(&tags, request);
        let mut delivered = 0;
        for other in 0..self.sessions.len() {
            let is_wanted = self.sessions[other]
                .sets
                .iter()
                .any(|set| set.is_subset(&tags));
            if other != session && is_wanted {
                self.events[other].push(Event::Text(text.clone()));
                delivered += 1;
            }
        }
        self.send_receipt(session, request, delivered);
        Ok(())
    }

    fn send_receipt(&mut self, session: usize, request: &Request, delivered: usize) {
        if request.id.is_some() {
            self.send(
                session,
                &Reply {
                    command: "publish".to_owned(),
                    tags: request.tags.clone(),
                    data: Some("\"success\"".to_owned()),
                    rest: format!(",\"delivered\":{delivered}"),
                    id: request.id.clone(),
                    ..Reply::default()
                },
            );
        }
    }

    fn change_subscriptions(&mut self, session: usize, request: &Request) -> Result<(), Refusal> {
        if request.tags.is_empty() {
            return Err(refusal(format!(
                "Unable to {} - missing tags",
                request.command
            )));
        }
        let (count, limit) = (request.tags.len(), self.limits.tags_per_subscription);
        if count > limit {
            return Err(exceeded(count, "tags", limit, "tags-per-subscription"));
        }
        self.check_tags(request)?;
        let set: Tags = request.tags.iter().cloned().collect();
        if request.command == "unsubscribe" {
            self.sessions[session].sets.remove(&set);
            Self::note_gone(&mut self.walks, session, &set);
        } else {
            if self
                .grants(session)
                .is_some_and(|grants| grants.subscribe.is_disjoint(&set))
            {
                return Err(refusal(
                    "not authorized - the token grants none of these tags; a subscription needs at least one",
                ));
            }
            let sets = &mut self.sessions[session].sets;
            let limit = self.limits.subscriptions;
            if !sets.contains(&set) && sets.len() >= limit {
                return Err(exceeded(
                    sets.len() + 1,
                    "subscriptions",
                    limit,
                    "subscriptions",
                ));
            }
            sets.insert(set);
        }
        self.acknowledge(session, request, &request.tags);
        Ok(())
    }
}

/// What is delivered of a publish.
fn published(tags: &Tags, request: &Request) -> String {
    let reply = Reply {
        command: "publish".to_owned(),
        tags: tags.iter().cloned().collect(),
        data: request.data_literal(),
        ..Reply::default()
    };
    reply.text()
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| json!(text).to_string())
}
