//! A broker written as plainly as can be: sets are searched from end to end, and texts are spelled out.
//!
//! It shares no code with the broker but the types of its questions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mist_core::{
    Access, AuthReply, AuthRequest, Authenticator, CloseReason, Config, CustomRequest, Limits,
    TokenError,
};
use serde_json::json;

/// A message that a session sends.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    Request(Request),
    /// One of [`BAD`].
    Bad(usize),
    /// A line of so many bytes.
    Huge(usize),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) command: String,
    pub(crate) tags: Vec<String>,
    pub(crate) data: String,
    /// As a literal.
    pub(crate) id: Option<String>,
    pub(crate) spelling: Spelling,
}

/// How a request is written: there is more than one way to say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As client libraries do.
    #[default]
    Compact,
    /// With blanks, another order of fields, fields nobody knows, and every character escaped.
    Baroque,
}

impl Request {
    pub(crate) fn text(&self) -> String {
        let mut fields = vec![format!("\"command\":{}", self.literal(&self.command))];
        if !self.tags.is_empty() || self.spelling == Spelling::Baroque {
            let tags: Vec<_> = self.tags.iter().map(|tag| self.literal(tag)).collect();
            fields.push(format!("\"tags\":[{}]", tags.join(",")));
        }
        if let Some(data) = self.data_literal() {
            fields.push(format!("\"data\":{data}"));
        }
        if let Some(id) = &self.id {
            fields.push(format!("\"id\":{id}"));
        }
        if self.spelling == Spelling::Compact {
            return format!("{{{}}}", fields.join(","));
        }
        fields.reverse();
        fields.push("\"x\" : [ {\"command\":1} , null ]".to_owned());
        fields.push("\"error\":null".to_owned());
        format!(" {{ {} }}", fields.join(" ,\t"))
    }

    fn literal(&self, text: &str) -> String {
        if self.spelling == Spelling::Compact {
            return json!(text).to_string();
        }
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    }

    fn data_literal(&self) -> Option<String> {
        (!self.data.is_empty()).then(|| self.literal(&self.data))
    }
}

/// Lines that cannot be read: the line, what can be told of its command and its id, and what is wrong.
pub(crate) const BAD: &[(&[u8], &str, Option<&str>, &str)] = &[
    (
        b"{",
        "",
        None,
        "invalid JSON: the message ends too early, at byte 1; a message is one line",
    ),
    (
        b"nonsense",
        "",
        None,
        "invalid JSON: expected an object at byte 0",
    ),
    (
        br#"{"command":"publish","tags":"x"}"#,
        "publish",
        None,
        "wrong type: tags must be an array of strings, at byte 28",
    ),
    (
        br#"{"id":"q","command":"subscribe","tags":[1]}"#,
        "subscribe",
        Some("\"q\""),
        "wrong type: tags must be an array of strings, at byte 40",
    ),
    (
        b"{\"command\":\"ping\",\"data\":\"\xff\"}",
        "",
        None,
        "invalid UTF-8 at byte 26",
    ),
    (
        br#"  {"command":"nope","data":"\ud800"}"#,
        "nope",
        None,
        "invalid JSON: lone surrogate escape at byte 26",
    ),
    (
        br#"{"command":"ping","data":"\q"}"#,
        "ping",
        None,
        "invalid JSON: unknown escape at byte 26",
    ),
    (
        b"{\"data\":\"a\tb\"}",
        "",
        None,
        "invalid JSON: raw control character in a string at byte 10; escape it",
    ),
    (
        br#"{"x":01}"#,
        "",
        None,
        "invalid JSON: malformed number at byte 5",
    ),
    (
        br#"{"id":1.5}"#,
        "",
        None,
        "wrong type: id must be a string or an integer, at byte 6",
    ),
    (
        br#"{"x":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"#,
        "",
        None,
        "nested deeper than the limit of 16 (nesting), at byte 20",
    ),
    (
        br#"{"id":7,"command":"who"]"#,
        "who",
        Some("7"),
        "invalid JSON: expected ',' or '}' at byte 23",
    ),
];

impl Sent {
    pub(crate) fn line(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.text().into_bytes(),
            Self::Bad(which) => BAD[*which].0.to_vec(),
            Self::Huge(bytes) => {
                let data = "d".repeat(bytes - r#"{"command":"ping","data":""}"#.len());
                format!(r#"{{"command":"ping","data":"{data}"}}"#).into_bytes()
            }
        }
    }
}

/// What a session gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Text(String),
    Close(CloseReason),
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
}

type Tags = BTreeSet<String>;

#[derive(Debug, Default)]
struct Session {
    is_connected: bool,
    role: Role,
    has_spoken: bool,
    /// Whether a token that it went by was revoked since it last presented a valid one.
    is_revoked: bool,
    uses_ids: bool,
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
    authenticator: Authenticator,
    token: Option<String>,
    commands: Vec<String>,
    tokens: BTreeMap<String, Tags>,
    sessions: Vec<Session>,
    /// What every session has got.
    pub(crate) events: Vec<Vec<Event>>,
    /// What waits for the host.
    pub(crate) questions: Vec<(usize, Question)>,
}

/// An answer under construction.
#[derive(Default)]
struct Reply {
    command: String,
    tags: Vec<String>,
    data: Option<String>,
    error: Option<String>,
    rest: String,
    id: Option<String>,
}

impl Reply {
    fn text(&self) -> String {
        let mut text = format!("{{\"command\":{}", json!(self.command));
        if !self.tags.is_empty() {
            text += &format!(",\"tags\":{}", json!(self.tags));
        }
        if let Some(data) = &self.data {
            text += &format!(",\"data\":{data}");
        }
        if let Some(error) = &self.error {
            text += &format!(
                ",\"error\":{},\"code\":\"{}\"",
                json!(error),
                code_of(error)
            );
        }
        text += &self.rest;
        if let Some(id) = &self.id {
            text += &format!(",\"id\":{id}");
        }
        text + "}"
    }
}

/// Finds the code by a part of the sentence, the first that fits.
fn code_of(error: &str) -> &'static str {
    const CODES: [(&str, &str); 20] = [
        ("(message-bytes); closing", "too-large"),
        ("invalid messages in a row", "too-many-bad-messages"),
        (" exceed the limit of ", "limit-exceeded"),
        ("missing tags", "missing-tags"),
        ("missing token", "missing-token"),
        ("Unknown Command", "unknown-command"),
        ("needs the server's token", "not-admin"),
        ("server is scoped", "unauthenticated"),
        ("must be the first message", "auth-not-first"),
        ("token is not valid", "wrong-token"),
        ("token grants none", "not-granted"),
        ("token does not grant", "not-granted"),
        ("no longer grants", "revoked"),
        ("Token already exists", "token-exists"),
        ("Token not found", "token-not-found"),
        ("Invalid token", "invalid-token"),
        ("invalid JSON", "unreadable"),
        ("invalid UTF-8", "unreadable"),
        ("nested deeper", "unreadable"),
        ("wrong type", "unreadable"),
    ];
    let is_it = |(part, _): &&(&str, &str)| error.contains(part);
    CODES.iter().find(is_it).map_or("refused", |(_, code)| code)
}

/// Why a request is refused, and whether the answer repeats its tags and data.
struct Refusal {
    text: String,
    with_tags: bool,
    with_data: bool,
}

fn refusal(text: impl Into<String>) -> Refusal {
    Refusal {
        text: text.into(),
        with_tags: true,
        with_data: false,
    }
}

fn exceeded(value: usize, what: &str, limit: usize, setting: &str) -> Refusal {
    Refusal {
        with_tags: false,
        ..refusal(format!(
            "{value} {what} exceed the limit of {limit} ({setting})"
        ))
    }
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            limits: config.limits,
            access: config.access,
            authenticator: config.authenticator,
            token: config.token,
            commands: config.commands,
            tokens: BTreeMap::new(),
            sessions: Vec::new(),
            events: Vec::new(),
            questions: Vec::new(),
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

    pub(crate) fn uses_ids(&self, session: usize) -> bool {
        self.sessions[session].uses_ids
    }

    pub(crate) fn connect(&mut self, token: Option<&str>) -> usize {
        let session = self.sessions.len();
        self.sessions.push(Session {
            is_connected: true,
            ..Session::default()
        });
        self.events.push(Vec::new());
        if let Some(token) = token {
            self.log_in(session, token, None);
        }
        session
    }

    pub(crate) fn disconnect(&mut self, session: usize) {
        self.sessions[session] = Session::default();
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
                state.uses_ids |= request.id.is_some();
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
                    self.close(session, CloseReason::BadMessages);
                }
            }
            Sent::Huge(bytes) => {
                let limit = self.limits.message_bytes;
                let text = format!(
                    "{bytes} bytes of one message exceed the limit of {limit} (message-bytes); closing"
                );
                self.complain(session, "", None, text);
                self.close(session, CloseReason::MessageTooLarge);
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

    fn close(&mut self, session: usize, reason: CloseReason) {
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
            if !is_first && !self.sessions[session].is_revoked {
                return Err(refusal(
                    "Unable to auth - auth must be the first message of a connection",
                ));
            }
            self.log_in(session, &request.data, request.id.as_deref());
            return Ok(());
        }
        if self.access == Access::Scoped && self.sessions[session].role == Role::Anonymous {
            return Err(refusal(
                "not authorized - this server is scoped: send auth with a token as the first message",
            ));
        }
        reply.tags = self.repeated(request);
        match command {
            "publish" => return self.publish(session, request),
            "subscribe" | "unsubscribe" => return self.change_subscriptions(session, request),
            "register" | "unregister" | "set" | "unset" | "tags" => {
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
                let is_shown = |tag: &&String| grants.is_none_or(|grants| grants.contains(*tag));
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
                let question = Question::Custom(CustomRequest {
                    command: command.to_owned(),
                    tags: request.tags.clone(),
                    data: request.data.clone(),
                });
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
        match request.tags.iter().find(|tag| tag.len() > limit) {
            Some(tag) => Err(exceeded(tag.len(), "bytes in a tag", limit, "tag-bytes")),
            None => Ok(()),
        }
    }

    /// The tags a session may use; `None` when all.
    fn grants(&self, session: usize) -> Option<&Tags> {
        match &self.sessions[session].role {
            Role::Token(token) => Some(&self.tokens[token]),
            _ => None,
        }
    }

    fn publish(&mut self, session: usize, request: &Request) -> Result<(), Refusal> {
        if request.tags.is_empty() {
            return Err(refusal("Unable to publish - missing tags"));
        }
        self.check_tags(request)?;
        let grants = self.grants(session);
        let is_refused = |tag: &&String| grants.is_some_and(|grants| !grants.contains(*tag));
        if let Some(tag) = request.tags.iter().find(is_refused) {
            return Err(refusal(format!(
                "not authorized - the token does not grant the tag '{tag}'; a publish needs all of its tags granted"
            )));
        }
        let tags: Tags = request.tags.iter().cloned().collect();
        let text = Reply {
            command: "publish".to_owned(),
            tags: tags.iter().cloned().collect(),
            data: request.data_literal(),
            ..Reply::default()
        }
        .text();
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
        Ok(())
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
        } else {
            if self
                .grants(session)
                .is_some_and(|grants| grants.is_disjoint(&set))
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

    fn ask(&mut self, session: usize, question: Question, command: &str, id: Option<&str>) {
        self.questions.push((session, question.clone()));
        self.sessions[session].waiting = Some(Waiting {
            question,
            command: command.to_owned(),
            id: id.map(str::to_owned),
            is_stale: false,
        });
    }

    fn log_in(&mut self, session: usize, token: &str, id: Option<&str>) {
        let is_server = self
            .token
            .as_deref()
            .is_some_and(|server| server == token && !token.is_empty());
        if is_server {
            self.sessions[session].role = Role::Admin;
            self.sessions[session].is_revoked = false;
        } else if self.authenticator == Authenticator::Host {
            let request = AuthRequest::Tags {
                token: token.to_owned(),
            };
            return self.ask(session, Question::Auth(request), "auth", id);
        } else if self.authenticator == Authenticator::Memory || self.access == Access::Scoped {
            let is_known = self.tokens.contains_key(token);
            return self.finish_log_in(session, token, id, is_known);
        }
        self.acknowledge(session, &auth(id), &[]);
    }

    fn finish_log_in(&mut self, session: usize, token: &str, id: Option<&str>, is_known: bool) {
        if !is_known {
            let text = "not authorized - the token is not valid; going on without admin commands";
            return self.complain(session, "auth", id, text.to_owned());
        }
        if self.access == Access::Scoped {
            self.sessions[session].role = Role::Token(token.to_owned());
            self.sessions[session].is_revoked = false;
        }
        self.acknowledge(session, &auth(id), &[]);
    }

    fn administer(&mut self, session: usize, request: &Request) -> Result<(), Refusal> {
        if self.authenticator == Authenticator::None {
            return Err(refusal("Unknown Command"));
        }
        if self.sessions[session].role != Role::Admin {
            return Err(refusal(
                "not authorized - this command needs the server's token, sent by auth as the first message",
            ));
        }
        if request.data.is_empty() {
            return Err(refusal(format!(
                "Unable to {} - missing token (send it as data)",
                request.command
            )));
        }
        self.check_tags(request)?;
        let token = request.data.clone();
        let tags: Tags = request.tags.iter().cloned().collect();
        let tags = tags.into_iter().collect();
        let question = match request.command.as_str() {
            "register" => AuthRequest::Register { token, tags },
            "unregister" => AuthRequest::Unregister { token },
            "set" => AuthRequest::Set { token, tags },
            "unset" => AuthRequest::Unset { token, tags },
            _ => AuthRequest::Tags { token },
        };
        if self.authenticator == Authenticator::Host {
            self.ask(
                session,
                Question::Auth(question),
                &request.command,
                request.id.as_deref(),
            );
        } else {
            let reply = self.apply(&question);
            self.finish_admin(
                session,
                &request.command,
                request.id.as_deref(),
                &question,
                reply,
            );
        }
        Ok(())
    }

    fn finish_admin(
        &mut self,
        session: usize,
        command: &str,
        id: Option<&str>,
        question: &AuthRequest,
        reply: AuthReply,
    ) {
        let request = Request {
            command: command.to_owned(),
            id: id.map(str::to_owned),
            ..Request::default()
        };
        match (question, reply) {
            (_, Err(error)) => self.complain(session, command, id, error.to_string()),
            (AuthRequest::Tags { .. }, Ok(tags)) => self.send(
                session,
                &Reply {
                    command: command.to_owned(),
                    tags,
                    id: id.map(str::to_owned),
                    ..Reply::default()
                },
            ),
            (AuthRequest::Unregister { .. }, Ok(_)) => self.acknowledge(session, &request, &[]),
            (
                AuthRequest::Register { tags, .. }
                | AuthRequest::Set { tags, .. }
                | AuthRequest::Unset { tags, .. },
                Ok(_),
            ) => self.acknowledge(session, &request, tags),
        }
    }

    /// Carries a request out on the table of tokens, and what follows from it for sessions.
    fn apply(&mut self, request: &AuthRequest) -> AuthReply {
        let reply = self.change(request);
        if reply.is_ok() && !matches!(request, AuthRequest::Tags { .. }) {
            // Who is logging in with the token is looked up again.
            let waiting = self
                .sessions
                .iter_mut()
                .filter_map(|session| session.waiting.as_mut());
            for waiting in waiting.filter(|waiting| waiting.command == "auth") {
                let Question::Auth(asked) = &waiting.question else {
                    continue;
                };
                waiting.is_stale |= asked.token() == request.token();
            }
        }
        reply
    }

    fn change(&mut self, request: &AuthRequest) -> AuthReply {
        let token = request.token();
        match request {
            AuthRequest::Register { tags, .. } => {
                if self.tokens.contains_key(token) {
                    return Err(TokenError::Exists);
                }
                self.tokens
                    .insert(token.to_owned(), tags.iter().cloned().collect());
            }
            AuthRequest::Unregister { .. } => {
                let role = Role::Token(token.to_owned());
                for (session, events) in self.sessions.iter().zip(&mut self.events) {
                    if session.role == role {
                        events.push(Event::Revoked);
                    }
                }
                self.tokens.insert(token.to_owned(), Tags::new());
                self.revoke(token);
                self.tokens.remove(token);
                let revoked = self.sessions.iter_mut();
                for session in revoked.filter(|session| session.role == role) {
                    (session.role, session.is_revoked) = (Role::Anonymous, true);
                }
            }
            AuthRequest::Set { tags, .. } => {
                let held = self.tokens.get_mut(token).ok_or(TokenError::NotFound)?;
                held.extend(tags.iter().cloned());
            }
            AuthRequest::Unset { tags, .. } => {
                let held = self.tokens.get_mut(token).ok_or(TokenError::NotFound)?;
                held.retain(|tag| !tags.contains(tag));
                self.revoke(token);
            }
            AuthRequest::Tags { .. } => {
                let held = self.tokens.get(token).ok_or(TokenError::NotFound)?;
                return Ok(held.iter().cloned().collect());
            }
        }
        Ok(Vec::new())
    }

    fn revoke(&mut self, token: &str) {
        for session in 0..self.sessions.len() {
            if self.sessions[session].role != Role::Token(token.to_owned()) {
                continue;
            }
            let grants = &self.tokens[token];
            let sets = &mut self.sessions[session].sets;
            let lost: Vec<_> = sets
                .iter()
                .filter(|set| set.is_disjoint(grants))
                .cloned()
                .collect();
            sets.retain(|set| !set.is_disjoint(grants));
            for set in lost {
                let reply = Reply {
                    command: "unsubscribe".to_owned(),
                    tags: set.into_iter().collect(),
                    error: Some(
                        "subscription removed - the token no longer grants any of its tags"
                            .to_owned(),
                    ),
                    ..Reply::default()
                };
                self.send(session, &reply);
            }
        }
    }

    /// Answers the question at `at`; the host answers with what this returns.
    pub(crate) fn answer(&mut self, at: usize) -> (usize, Answer) {
        let (session, question) = self.questions.remove(at);
        let answer = match &question {
            Question::Auth(request) => Answer::Auth(request.clone(), self.apply(request)),
            Question::Custom(request) => Answer::Custom(custom_answer(request)),
        };
        let is_asked = |waiting: &Waiting| waiting.question == question;
        let state = &mut self.sessions[session];
        let Some(waiting) = state.waiting.take_if(|waiting| is_asked(waiting)) else {
            return (session, answer);
        };
        let id = waiting.id.as_deref();
        if waiting.is_stale {
            self.ask(session, question, "auth", id);
            return (session, answer);
        }
        match &answer {
            Answer::Auth(request, reply) if waiting.command == "auth" => {
                self.finish_log_in(session, request.token(), id, reply.is_ok());
            }
            Answer::Auth(request, reply) => {
                self.finish_admin(session, &waiting.command, id, request, reply.clone());
            }
            Answer::Custom(reply) => {
                let mut text = Reply {
                    command: waiting.command.clone(),
                    id: waiting.id.clone(),
                    ..Reply::default()
                };
                match reply {
                    Ok(None) if waiting.id.is_none() => text.command.clear(),
                    Ok(None) => text.data = Some("\"success\"".to_owned()),
                    Ok(Some((tags, data))) => {
                        text.tags.clone_from(tags);
                        text.data = some_text(data);
                    }
                    Err(error) => text.error = Some(error.clone()),
                }
                if !text.command.is_empty() {
                    self.send(session, &text);
                }
            }
        }
        while self.sessions[session].waiting.is_none() {
            let Some(sent) = self.sessions[session].backlog.pop_front() else {
                break;
            };
            self.say(session, &sent);
        }
        (session, answer)
    }
}

/// What the host answers.
pub(crate) enum Answer {
    Auth(AuthRequest, AuthReply),
    Custom(Result<Option<(Vec<String>, String)>, String>),
}

fn custom_answer(request: &CustomRequest) -> Result<Option<(Vec<String>, String)>, String> {
    match request.data.as_str() {
        "" => Ok(None),
        "x" => Err("no \"x\" here".to_owned()),
        data => Ok(Some((request.tags.clone(), data.to_owned()))),
    }
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| json!(text).to_string())
}

fn auth(id: Option<&str>) -> Request {
    Request {
        command: "auth".to_owned(),
        id: id.map(str::to_owned),
        ..Request::default()
    }
}
