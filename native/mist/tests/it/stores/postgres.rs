//! What is PostgreSQL's own: how it is reached, who may do what there, and tables that others made.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::database::ENCODED;
use super::*;

async fn refusal(uri: &str) -> String {
    let Err(error) = House::at(uri).await else {
        panic!("it started");
    };
    let error = error.to_string();
    assert!(
        error.starts_with("cannot open the authenticator 'postgres://…' - database 'mist' at "),
        "{error}"
    );
    error
}

#[tokio::test]
async fn a_database_of_the_original_is_used_as_it_is() {
    let Some(database) = Database::start() else {
        return;
    };
    database.sql(
        "mist",
        "CREATE TABLE tokens (token text NOT NULL, token_id SERIAL UNIQUE NOT NULL, PRIMARY KEY (token));
         CREATE TABLE tags (
           token_id integer NOT NULL REFERENCES tokens (token_id) ON DELETE CASCADE,
           tag text NOT NULL,
           PRIMARY KEY (token_id, tag)
         );
         INSERT INTO tokens (token) VALUES ('old'), ('bare');
         INSERT INTO tags SELECT token_id, 'x' FROM tokens WHERE token = 'old'",
    );
    let uri = database.uri("");
    let store = within(mist::auth::open(&uri)).await.expect("it opens");
    assert_eq!(store.tags("old").await, Ok(tags(&["x"])));
    assert_eq!(store.tags("bare").await, Ok(vec![]));
    store.add_tags("old", &tags(&["y"])).await.expect("changed");
    store
        .remove_tags("old", &tags(&["x"]))
        .await
        .expect("changed");
    store.remove_token("bare").await.expect("removed");
    store.add_token("new", &tags(&["n"])).await.expect("made");
    // As the original looks a token's tags up.
    let all = "SELECT token, tag FROM tags INNER JOIN tokens ON (tags.token_id = tokens.token_id) ORDER BY token";
    assert_eq!(database.sql("mist", all), "new|n\nold|y");
}

#[tokio::test]
async fn a_user_needs_no_more_than_the_use_of_the_tables() {
    let Some(database) = Database::start() else {
        return;
    };
    database.sql(
        "mist",
        "CREATE USER small PASSWORD 'pw'; REVOKE CREATE ON SCHEMA public FROM public",
    );
    let uri = database.uri_of("small", "pw", "127.0.0.1", "");
    let error = refusal(&uri).await;
    assert!(
        error.contains("permission denied for schema public"),
        "{error}"
    );
    assert!(
        error.contains("needs to read and change the tables tokens and tags"),
        "{error}"
    );
    // Whoever may, makes them; both at once is no trouble.
    let all = database.uri("");
    let (one, other) =
        within(async { tokio::join!(mist::auth::open(&all), mist::auth::open(&all)) }).await;
    assert!(one.is_ok() && other.is_ok());
    database.sql(
        "mist",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON tokens, tags TO small; GRANT USAGE ON SEQUENCE tokens_token_id_seq TO small",
    );
    let store = within(mist::auth::open(&uri)).await.expect("it opens");
    store.add_token("t", &tags(&["a"])).await.expect("made");
    store.add_tags("t", &tags(&["b"])).await.expect("changed");
    store
        .remove_tags("t", &tags(&["a"]))
        .await
        .expect("changed");
    assert_eq!(store.tags("t").await, Ok(tags(&["b"])));
    store.remove_token("t").await.expect("removed");
}

#[tokio::test]
async fn what_keeps_it_from_being_used_is_said_at_start() {
    let Some(mut database) = Database::start() else {
        return;
    };
    let wrong = database.uri_of("mist", "hunter2", "127.0.0.1", "");
    let error = refusal(&wrong).await;
    assert!(error.contains("password authentication failed"), "{error}");
    assert!(error.contains("check user, password"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");

    let error = refusal(&database.uri("&sslmode=require")).await;
    assert!(error.contains("server does not support TLS"), "{error}");

    database.sql(
        "mist",
        "CREATE TABLE tokens (something text); CREATE TABLE tags (other int)",
    );
    let error = refusal(&database.uri("")).await;
    assert!(
        error.contains("are another program's: name another database"),
        "{error}"
    );

    database.sql("postgres", "DROP DATABASE mist WITH (FORCE)");
    let error = refusal(&database.uri("")).await;
    assert!(
        error.contains("database \"mist\" does not exist - create it"),
        "{error}"
    );

    let uri = database.uri("");
    database.stop();
    let error = refusal(&uri).await;
    let place = format!("at 127.0.0.1:{}: ", database.port);
    assert!(
        error.contains(&place) && error.contains("Connection refused"),
        "{error}"
    );
    assert!(error.contains("check host, port"), "{error}");
    assert!(
        !error.contains("p%40ss") && !error.contains("p@ss"),
        "{error}"
    );
}

#[tokio::test]
async fn a_socket_file_is_a_place_too() {
    let Some(database) = Database::start() else {
        return;
    };
    let folder = database.folder().display().to_string();
    let escaped = folder.replace('/', "%2F");
    for (host, parameters) in [
        ("localhost", format!("&host={folder}")),
        (escaped.as_str(), String::new()),
    ] {
        let uri = database.uri_of("mist", ENCODED, host, &parameters);
        let store = within(mist::auth::open(&uri)).await.expect("it opens");
        store.add_token("t", &tags(&["a"])).await.expect("made");
        store.remove_token("t").await.expect("removed");
    }
}

#[tokio::test]
async fn what_the_databases_encoding_lacks_is_refused_and_nothing_else() {
    let Some(database) = Database::start() else {
        return;
    };
    database.sql(
        "postgres",
        "CREATE DATABASE western ENCODING 'LATIN1' TEMPLATE template0",
    );
    let uri = database.uri("&db=western");
    let store = within(mist::auth::open(&uri)).await.expect("it opens");
    store.add_token("é", &tags(&["ü"])).await.expect("made");
    for answer in [
        store.add_token("日本", &[]).await,
        store.tags("日本").await.map(|_| ()),
        store.remove_token("日本").await,
    ] {
        assert!(matches!(answer, Err(TokenError::Invalid(_))), "{answer:?}");
    }
    for answer in [
        store.add_tags("é", &tags(&["x", "日本"])).await,
        store.add_token("z", &tags(&["日本"])).await,
    ] {
        assert!(
            matches!(answer, Err(TokenError::InvalidTag(_))),
            "{answer:?}"
        );
    }
    assert_eq!(store.tags("é").await, Ok(tags(&["ü"])));
    assert_eq!(store.tags("z").await, Err(TokenError::NotFound));
}

/// An authority, and a certificate it signed for `localhost` with its key; all PEM.
fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("valid");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let root = authority.self_signed(&key).expect("signed").pem();
    let issuer = Issuer::new(authority, key);
    let own_key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["localhost".to_owned()]).expect("valid");
    let own = own.signed_by(&own_key, &issuer).expect("signed").pem();
    (root, own, own_key.serialize_pem())
}

/// Starts it anew with a certificate.
fn encrypt(database: &mut Database, certificate: &str, key: &str) {
    let certificate = database.file("server.pem", certificate);
    let key = database.file("server.key", key);
    database.stop();
    let begun = database.begin(&[
        "ssl=on",
        &format!("ssl_cert_file={}", certificate.display()),
        &format!("ssl_key_file={}", key.display()),
    ]);
    assert!(begun);
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_trusted_when_it_is_named() {
    let Some(mut database) = Database::start() else {
        return;
    };
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::NoCa] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("valid");
        params.is_ca = is_ca;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed").pem();
        encrypt(&mut database, &certificate, &key.serialize_pem());
        let named = database.file("named.pem", &certificate);
        let another = database.file("another.pem", &certificates().0);
        for (host, mode, file, works) in [
            ("localhost", "verify-full", &named, true),
            ("127.0.0.1", "verify-full", &named, false),
            ("127.0.0.1", "verify-ca", &named, true),
            ("127.0.0.1", "verify-ca", &another, false),
        ] {
            let checks = format!("&sslmode={mode}&sslrootcert={}", file.display());
            let uri = database.uri_of("mist", ENCODED, host, &checks);
            match within(mist::auth::open(&uri)).await {
                Ok(_) => assert!(works, "{host} {mode} {}", file.display()),
                Err(error) => assert!(!works, "{error}"),
            }
        }
    }
}

/// What is said of a certificate that nobody vouches for.
const STRANGE: &str = "its certificate is signed by nobody that is trusted here; trust its issuer with sslrootcert=FILE";

#[tokio::test]
async fn sslmode_means_what_it_means_to_others() {
    let Some(mut database) = Database::start() else {
        return;
    };
    let (root, certificate, key) = certificates();
    let root = database.file("root.pem", &root);
    let stranger = database.file("stranger.pem", &certificates().0);
    encrypt(&mut database, &certificate, &key);
    let trusted = format!("&sslrootcert={}", root.display());
    let strange = format!("&sslrootcert={}", stranger.display());
    let own = "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'mist'";
    for (host, mode, roots, works) in [
        ("127.0.0.1", "", "", Ok("t")),
        ("127.0.0.1", "&sslmode=disable", "", Ok("f")),
        ("127.0.0.1", "&sslmode=prefer", "", Ok("t")),
        ("127.0.0.1", "&sslmode=require", "", Ok("t")),
        ("127.0.0.1", "&sslmode=require", &trusted, Ok("t")),
        ("127.0.0.1", "&sslmode=require", &strange, Err(STRANGE)),
        ("127.0.0.1", "&sslmode=verify-ca", &trusted, Ok("t")),
        ("127.0.0.1", "&sslmode=verify-ca", &strange, Err(STRANGE)),
        (
            "127.0.0.1",
            "&sslmode=verify-full",
            &trusted,
            Err(
                "its certificate is not for '127.0.0.1'; connect to a name that it is for: localhost",
            ),
        ),
        ("localhost", "&sslmode=verify-full", &trusted, Ok("t")),
        ("localhost", "&sslmode=verify-full", &strange, Err(STRANGE)),
        // The system trusts many, but not this one.
        ("localhost", "&sslmode=verify-full", "", Err(STRANGE)),
    ] {
        let uri = database.uri_of("mist", ENCODED, host, &format!("{mode}{roots}"));
        match (within(mist::auth::open(&uri)).await, works) {
            (Ok(store), Ok(encrypted)) => {
                assert_eq!(database.sql("mist", own), encrypted, "{mode}");
                store.add_token("t", &tags(&["a"])).await.expect("made");
                store.remove_token("t").await.expect("removed");
            }
            (Err(error), Err(why)) => assert!(error.contains(why), "{mode}: {error}"),
            (opened, _) => panic!("{host} {mode}: {:?}", opened.err()),
        }
        // The next look at connections is to see none of this one.
        let gone = "select count(*) from pg_stat_activity where application_name = 'mist'";
        within(async {
            while database.sql("mist", gone) != "0" {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
