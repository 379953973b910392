//! What every store does, seen from a program that opens it and through a server.

use super::*;

/// Several ways into one store, used at the same time.
type Doors = [Arc<dyn TokenStore>];

/// Tokens that something on the way could take for something else.
fn odd_tokens() -> Vec<String> {
    let mut tokens = tags(&[
        "plain",
        "Plain",
        " plain",
        "plain ",
        "-rf",
        "a b\tc\nd",
        "'; DROP TABLE tokens; --",
        "\"quoted\" \\ back",
        "%",
        "_",
        "*",
        "$1",
        "?1",
        "NULL",
        "null",
        "\u{e9}",
        "e\u{301}",
        "日本語",
        "🚌",
        "\u{202e}right to left",
        "{\"Value\":\"x\"}",
        "a<b>&c",
        ".hidden",
        "x.json",
        ".mist.tmp",
        "..x",
        "a\\b",
        "\u{1}\u{7f}",
        // Only some stores hold these.
        ".",
        "..",
        "../up",
        "a/b",
        "/etc/passwd",
        "with\0nul",
    ]);
    tokens.push("l".repeat(250));
    tokens.push("l".repeat(251));
    tokens.push("ö".repeat(126));
    tokens.push(noise(4096));
    tokens
}

/// A text that does not compress, the same every time.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 33) % 26).expect("it is below 26"))
    };
    (0..length).map(letter).collect()
}

fn is_held(kind: Kind, token: &str) -> bool {
    match kind {
        Kind::Memory | Kind::Sqlite => true,
        Kind::Scribble => {
            !token.contains(['/', '\0']) && token != "." && token != ".." && token.len() <= 250
        }
        Kind::Postgres => !token.contains('\0') && token.len() < 2000,
    }
}

async fn sorted(store: &dyn TokenStore, token: &str) -> Result<Vec<String>, TokenError> {
    let mut tags = within(store.tags(token)).await?;
    tags.sort_unstable();
    Ok(tags)
}

async fn a_token_lives_from_register_to_unregister(store: &dyn TokenStore) {
    let not_found = Err(TokenError::NotFound);
    assert_eq!(store.tags("t").await, Err(TokenError::NotFound));
    assert_eq!(store.add_tags("t", &tags(&["a"])).await, not_found);
    assert_eq!(store.remove_tags("t", &tags(&["a"])).await, not_found);
    assert_eq!(store.remove_token("t").await, Ok(()));

    assert_eq!(store.add_token("t", &tags(&["b", "a", "b"])).await, Ok(()));
    assert_eq!(sorted(store, "t").await, Ok(tags(&["a", "b"])));
    let again = store.add_token("t", &tags(&["z"])).await;
    assert_eq!(again, Err(TokenError::Exists));
    assert_eq!(sorted(store, "t").await, Ok(tags(&["a", "b"])));

    assert_eq!(store.add_tags("t", &tags(&["c", "a", "c"])).await, Ok(()));
    assert_eq!(sorted(store, "t").await, Ok(tags(&["a", "b", "c"])));
    assert_eq!(store.remove_tags("t", &tags(&["a", "x"])).await, Ok(()));
    assert_eq!(sorted(store, "t").await, Ok(tags(&["b", "c"])));
    // The last tag goes, the token stays.
    assert_eq!(store.remove_tags("t", &tags(&["c", "b"])).await, Ok(()));
    assert_eq!(sorted(store, "t").await, Ok(vec![]));
    assert_eq!(store.add_token("t", &[]).await, Err(TokenError::Exists));
    assert_eq!(store.add_tags("t", &tags(&["d"])).await, Ok(()));

    assert_eq!(store.remove_token("t").await, Ok(()));
    assert_eq!(store.tags("t").await, Err(TokenError::NotFound));
    assert_eq!(store.add_tags("t", &tags(&["a"])).await, not_found);
    // A new token of the same name begins without the old one's tags.
    assert_eq!(store.add_token("t", &[]).await, Ok(()));
    assert_eq!(sorted(store, "t").await, Ok(vec![]));
    assert_eq!(store.remove_token("t").await, Ok(()));
}

async fn odd_tokens_are_held_or_refused(kind: Kind, store: &dyn TokenStore) {
    let tokens = odd_tokens();
    for (number, token) in tokens.iter().enumerate() {
        let own = [number.to_string()];
        let made = store.add_token(token, &own).await;
        if is_held(kind, token) {
            assert_eq!(made, Ok(()), "{token:?}");
            continue;
        }
        let Err(TokenError::Invalid(why)) = made else {
            panic!("{kind:?} took {token:?}: {made:?}");
        };
        assert!(!why.contains(token) || token.len() < 3, "{why}");
        let looked_up = store.tags(token).await;
        assert!(
            matches!(
                looked_up,
                Err(TokenError::Invalid(_) | TokenError::NotFound)
            ),
            "{token:?}: {looked_up:?}"
        );
    }
    odd_tokens_are_there(kind, store).await;
}

async fn odd_tokens_are_there(kind: Kind, store: &dyn TokenStore) {
    for (number, token) in odd_tokens().iter().enumerate() {
        if is_held(kind, token) {
            let own = vec![number.to_string()];
            assert_eq!(sorted(store, token).await, Ok(own), "{token:?}");
        }
    }
}

fn odd_tags() -> Vec<String> {
    let mut odd = tags(&[
        "",
        " ",
        "a",
        "A",
        "'; DROP TABLE tags; --",
        "{\"a\":1}",
        "a,b",
        "\"",
        "\\",
        "\n",
        "日本語",
        "\u{e9}",
        "e\u{301}",
        "🚌",
        "../..",
        "%",
        "<&>",
    ]);
    odd.push("l".repeat(1024));
    odd.push(noise(1024));
    odd.sort_unstable();
    odd
}

async fn odd_tags_are_held(kind: Kind, store: &dyn TokenStore) {
    assert_eq!(store.add_token("odd tags", &odd_tags()).await, Ok(()));
    assert_eq!(sorted(store, "odd tags").await, Ok(odd_tags()));
    assert_eq!(
        store.remove_tags("odd tags", &tags(&["", "A"])).await,
        Ok(())
    );
    assert_eq!(store.add_tags("odd tags", &tags(&["A", ""])).await, Ok(()));

    let nul = tags(&["before", "with\0nul"]);
    let set = store.add_tags("odd tags", &nul).await;
    if kind == Kind::Postgres {
        assert!(matches!(set, Err(TokenError::InvalidTag(_))), "{set:?}");
        let made = store.add_token("never made", &nul).await;
        assert!(matches!(made, Err(TokenError::InvalidTag(_))), "{made:?}");
        assert_eq!(store.tags("never made").await, Err(TokenError::NotFound));
    } else {
        assert_eq!(set, Ok(()));
        assert_eq!(store.remove_tags("odd tags", &nul).await, Ok(()));
    }
    assert_eq!(sorted(store, "odd tags").await, Ok(odd_tags()));
}

async fn of_many_at_once_one_registers_and_all_change(doors: &Doors) {
    let all = |change: &str| {
        let tasks: Vec<_> = (0..24)
            .map(|number| {
                let store = Arc::clone(&doors[number % doors.len()]);
                let own = [format!("n{number:02}")];
                let change = change.to_owned();
                tokio::spawn(async move {
                    match change.as_str() {
                        "register" => store.add_token("race", &own).await,
                        "set" => store.add_tags("race", &own).await,
                        _ => store.remove_tags("race", &own).await,
                    }
                })
            })
            .collect();
        async move {
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(within(task).await.expect("no panic"));
            }
            answers
        }
    };
    let registered = all("register").await;
    let won: Vec<_> = (0..24).filter(|&n| registered[n].is_ok()).collect();
    assert_eq!(won.len(), 1, "{registered:?}");
    let others = registered.iter().filter(|answer| answer.is_err());
    assert!(
        others
            .into_iter()
            .all(|answer| *answer == Err(TokenError::Exists))
    );
    let winner = vec![format!("n{:02}", won[0])];
    assert_eq!(sorted(&*doors[0], "race").await, Ok(winner));

    assert!(all("set").await.iter().all(Result::is_ok));
    let everybody = (0..24).map(|number| format!("n{number:02}")).collect();
    assert_eq!(sorted(&*doors[0], "race").await, Ok(everybody));
    assert!(all("unset").await.iter().all(Result::is_ok));
    assert_eq!(sorted(&*doors[0], "race").await, Ok(vec![]));
}

async fn a_token_that_goes_away_meanwhile_is_not_found(doors: &Doors) {
    let (one, other) = (&doors[0], &doors[1]);
    for _ in 0..20 {
        one.add_token("going", &tags(&["a"])).await.expect("made");
        let b = tags(&["b"]);
        let (set, removed) =
            within(async { tokio::join!(one.add_tags("going", &b), other.remove_token("going")) })
                .await;
        assert!(matches!(set, Ok(()) | Err(TokenError::NotFound)), "{set:?}");
        assert_eq!(removed, Ok(()));
        assert_eq!(one.tags("going").await, Err(TokenError::NotFound));
    }
}

async fn contract(kind: Kind, doors: &Doors) {
    let store = &*doors[0];
    within(a_token_lives_from_register_to_unregister(store)).await;
    within(odd_tokens_are_held_or_refused(kind, store)).await;
    within(odd_tags_are_held(kind, store)).await;
    within(of_many_at_once_one_registers_and_all_change(doors)).await;
    within(a_token_that_goes_away_meanwhile_is_not_found(doors)).await;
}

/// What must be there when a store that went through the contract is opened again.
async fn kept(kind: Kind, store: &dyn TokenStore) {
    odd_tokens_are_there(kind, store).await;
    assert_eq!(sorted(store, "odd tags").await, Ok(odd_tags()));
    assert_eq!(sorted(store, "race").await, Ok(vec![]));
    assert_eq!(store.tags("t").await, Err(TokenError::NotFound));
}

/// Opened twice, as by two servers that share it.
async fn directly(kind: Kind) {
    let Some(home) = Home::new(kind) else { return };
    let doors = [home.open().await, home.open().await];
    contract(kind, &doors).await;
    drop(doors);
    kept(kind, &*home.open().await).await;
}

async fn through_a_server(kind: Kind) {
    let Some(home) = Home::new(kind) else { return };
    let house = House::at(&home.uri()).await.expect("it starts");
    let mut doors: Vec<Arc<dyn TokenStore>> = Vec::new();
    for _ in 0..8 {
        doors.push(Arc::new(house.admin().await));
    }
    contract(kind, &doors).await;
    drop(doors);
    house.end().await;
    let house = House::at(&home.uri()).await.expect("it starts again");
    let admin = house.admin().await;
    if kind == Kind::Memory {
        assert_eq!(admin.tags("race").await, Err(TokenError::NotFound));
    } else {
        kept(kind, &admin).await;
    }
    drop(admin);
    house.end().await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    directly(Kind::Sqlite).await;
}

#[cfg(unix)]
#[tokio::test]
async fn scribble_keeps_the_contract() {
    directly(Kind::Scribble).await;
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    directly(Kind::Postgres).await;
}

#[tokio::test]
async fn memory_keeps_the_contract_through_a_server() {
    through_a_server(Kind::Memory).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract_through_a_server() {
    through_a_server(Kind::Sqlite).await;
}

#[cfg(unix)]
#[tokio::test]
async fn scribble_keeps_the_contract_through_a_server() {
    through_a_server(Kind::Scribble).await;
}

#[tokio::test]
async fn postgres_keeps_the_contract_through_a_server() {
    through_a_server(Kind::Postgres).await;
}
