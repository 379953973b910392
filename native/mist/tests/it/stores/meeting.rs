//! Changes of one token that are made at the same moment, at two servers on one store: they come one after the other.

#[cfg(unix)]
use std::time::Instant;

use mist::auth::Rights;

#[cfg(unix)]
use super::sharing::{Held, scoped};
use super::*;

/// What a token grants, and whether it ends; nothing where it is not there.
type Plain = Option<(Vec<String>, Vec<String>, bool)>;

fn plain(grants: Grants) -> Plain {
    let in_order = |mut tags: Vec<String>| {
        tags.sort_unstable();
        tags
    };
    let ends = grants.expires_at.is_some();
    Some((in_order(grants.subscribe), in_order(grants.publish), ends))
}

fn edit(kind: EditKind, names: &[&str], rights: Rights, ends: bool) -> TokenEdit {
    let mut edit = TokenEdit::new(kind, "desk");
    edit.tags = tags(names);
    edit.rights = rights;
    edit.expires_at = ends.then_some(3_600);
    edit
}

/// Everything that can be done to one token, its one tag and its end.
fn edits() -> Vec<TokenEdit> {
    use Rights::{Both, Publish, Subscribe};
    vec![
        edit(EditKind::Register, &["a"], Both, false),
        edit(EditKind::Register, &["a"], Publish, true),
        edit(EditKind::Unregister, &[], Both, false),
        edit(EditKind::Set, &["a"], Subscribe, false),
        edit(EditKind::Set, &["a"], Publish, true),
        edit(EditKind::Set, &[], Both, true),
        edit(EditKind::Unset, &["a"], Both, false),
        edit(EditKind::Unset, &["a"], Subscribe, false),
        edit(EditKind::Unset, &["a"], Publish, false),
    ]
}

/// What there is before.
fn beginnings() -> Vec<Option<TokenEdit>> {
    vec![
        None,
        Some(edit(EditKind::Register, &["a"], Rights::Both, false)),
        Some(edit(EditKind::Register, &["a", "b"], Rights::Both, true)),
        Some(edit(EditKind::Register, &["a"], Rights::Subscribe, false)),
    ]
}

/// Makes changes one after the other; returns what each was answered, and what there is then.
fn in_turn(edits: [Option<&TokenEdit>; 3]) -> (Vec<Result<(), TokenError>>, Plain) {
    let mut kept = None;
    let answers = edits.into_iter().flatten().map(|edit| {
        kept = edit.apply(kept.clone())?;
        Ok(())
    });
    let answers: Vec<_> = answers.collect();
    (
        answers,
        kept.and_then(|tags| plain(Grants::of_token("", tags))),
    )
}

/// Has each two changes meet, from each beginning.
async fn meet(doors: [&dyn TokenStore; 2]) {
    let edits = edits();
    for beginning in &beginnings() {
        for (at, one) in edits.iter().enumerate() {
            for other in &edits[at..] {
                within(doors[0].remove_token("desk"))
                    .await
                    .expect("removed");
                if let Some(beginning) = beginning {
                    within(doors[0].edit(beginning)).await.expect("registered");
                }
                let both = async { tokio::join!(doors[0].edit(one), doors[1].edit(other)) };
                let (first, second) = within(both).await;
                let left = match within(doors[1].lookup("desk")).await {
                    Ok(grants) => plain(grants),
                    Err(TokenError::NotFound) => None,
                    Err(error) => panic!("{error}"),
                };
                let orders = [[one, other], [other, one]].map(|[first, second]| {
                    let (mut answers, left) =
                        in_turn([beginning.as_ref(), Some(first), Some(second)]);
                    let second = answers.pop();
                    (answers.pop(), second, left)
                });
                let [forth, (a, b, turned)] = orders;
                let found = (Some(first), Some(second), left);
                assert!(
                    found == forth || found == (b.clone(), a.clone(), turned.clone()),
                    "{one:?} {:?} {:?} beside {other:?} {:?} {:?} from {beginning:?}:\n{found:?} is neither\n{forth:?} nor\n\
                     {:?}",
                    one.tags,
                    one.rights,
                    other.tags,
                    other.rights,
                    (b, a, turned),
                );
            }
        }
    }
}

async fn changes_that_meet_come_one_after_the_other(kind: Kind) {
    let Some(home) = Home::new(kind) else { return };
    let one = House::at(&home.uri()).await.expect("it starts");
    // A store in memory has one server.
    let other = match kind {
        Kind::Memory => None,
        _ => Some(House::at(&home.uri()).await.expect("it starts")),
    };
    let (here, there) = (
        one.admin().await,
        other.as_ref().unwrap_or(&one).admin().await,
    );
    meet([&here, &there]).await;
    one.end().await;
    if let Some(other) = other {
        other.end().await;
    }
}

#[tokio::test]
async fn in_memory() {
    changes_that_meet_come_one_after_the_other(Kind::Memory).await;
}

#[tokio::test]
async fn in_sqlite() {
    changes_that_meet_come_one_after_the_other(Kind::Sqlite).await;
}

#[cfg(unix)]
#[tokio::test]
async fn in_scribble() {
    changes_that_meet_come_one_after_the_other(Kind::Scribble).await;
}

#[tokio::test]
async fn in_postgres() {
    changes_that_meet_come_one_after_the_other(Kind::Postgres).await;
}

/// Both have taken something away, so nothing is left, at whichever server one looks.
#[cfg(unix)]
#[tokio::test]
async fn what_two_servers_take_away_at_once_is_gone_at_both() {
    for kind in [Kind::Sqlite, Kind::Scribble, Kind::Postgres] {
        let Some(home) = Home::new(kind) else {
            continue;
        };
        let houses = [scoped(&home.uri()).await, scoped(&home.uri()).await];
        let admins = [houses[0].admin().await, houses[1].admin().await];
        let made = admins[0].add_token("desk", &tags(&["a"])).await;
        made.expect("registered");
        let clients = [houses[0].with("desk").await, houses[1].with("desk").await];
        let mut held = Vec::new();
        for (house, client) in houses.iter().zip(&clients) {
            held.push(Held::by(house, client, "a").await);
        }
        let since = Instant::now();
        let all = edit(EditKind::Unset, &["a"], Rights::Both, false);
        let half = edit(EditKind::Unset, &["a"], Rights::Subscribe, false);
        let (first, second) =
            within(async { tokio::join!(admins[0].edit(&all), admins[1].edit(&half)) }).await;
        assert_eq!((first, second), (Ok(()), Ok(())));
        for held in held {
            held.ends(since, kind, "unset at both").await;
        }
        for (admin, client) in admins.iter().zip(&clients) {
            let left = within(admin.lookup("desk")).await.map(plain);
            assert_eq!(left, Ok(Some((Vec::new(), Vec::new(), false))));
            // The subscription went by either change, the right to publish goes by the one.
            within(async { while client.publish_acked(["a"], "x").await.is_ok() {} }).await;
        }
        for house in houses {
            house.end().await;
        }
    }
}
