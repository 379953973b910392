//! Tokens that end: whose sessions are told, when, and in how many parts.

use mist_core::{
    Access, AuthRequest, Broker, Config, Credentials, EditKind, Grants, NEVER, Output, Rights,
    SessionId, TokenEdit, TokenError, TokenStorage,
};
use proptest::prelude::*;

fn broker(token_storage: TokenStorage) -> Broker {
    let config = Config {
        access: Access::Scoped,
        token_storage,
        token: Some("TK".to_owned()),
        ..Config::default()
    };
    let mut broker = Broker::new(config, 1);
    broker.handle_time(1_000);
    broker
}

fn grants(subject: &str, expires_at: u64) -> Grants {
    let mut grants = Grants::default();
    grants.subject = subject.to_owned();
    grants.subscribe = vec!["a".to_owned()];
    grants.expires_at = Some(expires_at);
    grants
}

/// Answers what the host is asked.
fn answer(broker: &mut Broker, grants: Grants) {
    let Some(Output::Ask { session, request }) = broker.poll_output() else {
        panic!("nothing is asked");
    };
    broker.handle_auth_reply(session, &request, Ok(Some(grants)));
}

/// Takes the outputs; returns what was said, who was revoked, and whether there is more to do.
fn taken(broker: &mut Broker) -> (String, Vec<SessionId>, bool) {
    let (mut said, mut revoked, mut has_more) = (String::new(), Vec::new(), false);
    while let Some(output) = broker.poll_output() {
        match output {
            Output::Send { message, .. } => said += &String::from_utf8_lossy(&message),
            Output::Revoked { session } => revoked.push(session),
            Output::Proceed => {
                assert!(!has_more, "the host is asked once");
                has_more = true;
            }
            other => panic!("{other:?}"),
        }
    }
    (said, revoked, has_more)
}

#[test]
fn a_later_token_of_the_subject_puts_the_end_off_and_keeps_subscriptions() {
    let mut broker = broker(TokenStorage::Host);
    let session = broker.connect(Credentials { token: Some("one") });
    answer(&mut broker, grants("desk", 1_010));
    broker.handle_message(session, br#"{"command":"subscribe","tags":["a"]}"#);
    broker.handle_message(session, br#"{"command":"auth","data":"two","id":1}"#);
    answer(&mut broker, grants("desk", 1_100));
    let (said, ..) = taken(&mut broker);
    assert_eq!(
        said,
        r#"{"command":"auth","data":"success","expires_in":100,"id":1}"#
    );
    assert_eq!(broker.next_expiry(), Some(1_100));
    broker.handle_time(1_099);
    assert_eq!(taken(&mut broker), (String::new(), Vec::new(), false));
    assert_eq!(broker.stats().subscriptions, 1);
    broker.handle_time(1_100);
    let (said, revoked, _) = taken(&mut broker);
    assert!(said.contains(r#""code":"token-expired""#), "{said}");
    assert!(!said.contains("unsubscribe"), "it is told once: {said}");
    assert_eq!(revoked, [session]);
    assert_eq!(
        (broker.stats().subscriptions, broker.next_expiry()),
        (0, None)
    );
    // It is where one is that has not authenticated, and may do so.
    assert!(broker.needs_token(session));
    broker.handle_message(session, br#"{"command":"auth","data":"three","id":2}"#);
    answer(&mut broker, grants("another", 1_200));
    assert!(taken(&mut broker).0.contains(r#""expires_in":100,"id":2"#));
}

#[test]
fn a_token_that_has_ended_is_refused_as_such_and_takes_nothing() {
    let mut broker = broker(TokenStorage::Host);
    let session = broker.connect(Credentials { token: Some("one") });
    answer(&mut broker, grants("desk", 1_010));
    for reply in [Ok(Some(grants("desk", 1_000))), Err(TokenError::Expired)] {
        broker.handle_message(session, br#"{"command":"auth","data":"old"}"#);
        let Some(Output::Ask { request, .. }) = broker.poll_output() else {
            panic!("nothing is asked");
        };
        broker.handle_auth_reply(session, &request, reply);
        let (said, revoked, _) = taken(&mut broker);
        assert!(said.contains(r#""code":"token-expired""#), "{said}");
        assert!(revoked.is_empty() && !broker.needs_token(session));
    }
    assert_eq!(broker.next_expiry(), Some(1_010));
}

#[test]
fn very_many_sessions_end_in_parts() {
    const SESSIONS: usize = 2_000;
    let mut broker = broker(TokenStorage::Host);
    for number in 0..SESSIONS {
        // Half of them with one token, the others with one each.
        let token = match number % 2 {
            0 => "shared".to_owned(),
            _ => format!("t{number}"),
        };
        let session = broker.connect(Credentials {
            token: Some(&token),
        });
        answer(&mut broker, grants(&token, 1_001 + number as u64 % 5));
        broker.handle_message(session, br#"{"command":"subscribe","tags":["a"]}"#);
    }
    assert!(!taken(&mut broker).2);
    broker.handle_time(1_100);
    let (mut ended, mut parts) = (0, 0);
    loop {
        let (said, revoked, has_more) = taken(&mut broker);
        assert_eq!(said.matches("token-expired").count(), revoked.len());
        assert!(revoked.len() <= 256, "{} at once", revoked.len());
        ended += revoked.len();
        parts += 1;
        if !has_more {
            break;
        }
        assert_eq!(broker.proceed(), None);
    }
    assert_eq!(ended, SESSIONS);
    assert!(parts > SESSIONS / 256, "{parts} parts");
    assert_eq!(broker.stats().subscriptions, 0);
    assert_eq!(broker.next_expiry(), None);
}

#[test]
fn a_table_forgets_tokens_an_hour_after_their_end() {
    let mut broker = broker(TokenStorage::Memory);
    let admin = broker.connect(Credentials { token: Some("TK") });
    broker.handle_message(admin, br#"{"command":"register","data":"t","ttl":10}"#);
    let mut shown = |now| {
        broker.handle_time(now);
        broker.connect(Credentials { token: Some("t") });
        taken(&mut broker).0
    };
    assert_eq!(shown(1_009), "");
    assert!(shown(1_010).contains("token-expired"));
    assert!(shown(4_609).contains("token-expired"));
    assert!(shown(4_610).contains("wrong-token"));
}

/// A store that knows tags only.
#[derive(Default)]
struct Tags(Option<Vec<String>>);

impl Tags {
    fn grants(&self) -> Option<Grants> {
        Some(Grants::of_token("t", self.0.clone()?))
    }

    fn edit(&mut self, edit: &TokenEdit) -> Result<(), TokenError> {
        self.0 = edit.apply(self.0.clone())?;
        let mut kept = self.0.iter().flatten();
        let ends = self.grants().is_some_and(|it| it.expires_at.is_some());
        // Who does not know of ends must not take a token that has one for one that has none.
        assert!(!ends || kept.all(|tag| tag.starts_with('$')), "{kept:?}");
        Ok(())
    }
}

/// What a token grants, without a thought of how it is kept.
type Plain = Option<([std::collections::BTreeSet<String>; 2], Option<u64>)>;

fn plainly(kept: &mut Plain, edit: &TokenEdit) -> Result<(), TokenError> {
    let is_over = kept
        .as_ref()
        .is_some_and(|(_, end)| end.is_some_and(|end| end <= edit.now));
    match (edit.kind, &mut *kept) {
        (EditKind::Unregister | EditKind::End, _) => *kept = None,
        (EditKind::Register, Some(_)) if !is_over => return Err(TokenError::Exists),
        (EditKind::Register, _) => *kept = Some(Default::default()),
        (EditKind::Set | EditKind::Unset, Some(_)) if !is_over => {}
        _ => return Err(TokenError::NotFound),
    }
    let Some((sets, end)) = kept else {
        return Ok(());
    };
    for (set, right) in sets.iter_mut().zip([Rights::Subscribe, Rights::Publish]) {
        if edit.rights != Rights::Both && edit.rights != right {
            continue;
        }
        match edit.kind {
            EditKind::Unset => set.retain(|tag| !edit.tags.contains(tag)),
            _ => set.extend(edit.tags.iter().cloned()),
        }
    }
    if edit.kind != EditKind::Unset {
        *end = edit.expires_at.or(*end).filter(|&end| end != NEVER);
    }
    Ok(())
}

fn edits() -> impl Strategy<Value = TokenEdit> {
    let kind = prop_oneof![
        Just(EditKind::Register),
        Just(EditKind::Set),
        Just(EditKind::Set),
        Just(EditKind::Unset),
        Just(EditKind::Unset),
        Just(EditKind::Unregister),
        Just(EditKind::End),
    ];
    let rights = prop_oneof![
        Just(Rights::Subscribe),
        Just(Rights::Publish),
        Just(Rights::Both)
    ];
    let tags = prop::collection::btree_set("[abc]", 0..3);
    let ttl = prop_oneof![4 => 1..30_u64, 1 => Just(NEVER)];
    (kind, rights, tags, prop::option::of(ttl)).prop_map(|(kind, rights, tags, ttl)| {
        let mut edit = TokenEdit::new(kind, "t");
        edit.rights = rights;
        edit.tags = tags.into_iter().collect();
        edit.expires_at = ttl;
        edit
    })
}

proptest! {
    /// Whatever is asked for, a store that keeps nothing but tags ends up granting just that.
    #[test]
    fn a_store_of_tags_keeps_what_was_asked_for(
        edits in prop::collection::vec((edits(), 0..4_u64), 1..20),
    ) {
        let (mut store, mut plain, mut now) = (Tags::default(), Plain::None, 1_000);
        for (mut edit, passed) in edits {
            now += passed;
            edit.now = now;
            edit.expires_at = edit.expires_at.map(|ttl| ttl.saturating_add(now));
            prop_assert_eq!(store.edit(&edit), plainly(&mut plain, &edit));
            let kept = store.grants().map(|grants| {
                let set = |tags: Vec<String>| tags.into_iter().collect();
                ([set(grants.subscribe), set(grants.publish)], grants.expires_at)
            });
            prop_assert_eq!(&kept, &plain);
        }
    }
}

#[test]
fn an_edit_shows_no_token() {
    let edit = TokenEdit::new(EditKind::Set, "hush");
    assert!(!format!("{:?}", AuthRequest::Edit(edit)).contains("hush"));
}
