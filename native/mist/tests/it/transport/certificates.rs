//! Which certificates servers show, and which ones clients take.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn failure(
    uri: &str,
    build: impl FnOnce(mist::client::ClientBuilder) -> mist::client::ClientBuilder,
) -> String {
    let error = within(build(Client::builder(uri)).connect()).await;
    error.expect_err("it must not be trusted").to_string()
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_has_to_be_trusted_by_a_file_or_blindly() {
    let files = Certificate::default();
    let site = serve(&files, "tls://127.0.0.1:0, wss://127.0.0.1:0").await;
    for uri in &site.uris {
        let error = failure(uri, |builder| builder).await;
        assert!(
            error.ends_with("is signed by nobody that is trusted here; trust its issuer"),
            "{error}"
        );
        let other = Certificate::default();
        let error = failure(uri, |builder| builder.ca(other.file())).await;
        assert!(error.ends_with("trust its issuer"), "{error}");
        connect(uri, &files).await;
        let insecure = Client::builder(uri)
            .danger_accept_invalid_certs(true)
            .connect();
        within(insecure).await.expect("anybody is trusted");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_wrong_name_is_named_with_the_right_ones() {
    let files = Certificate::for_names(&["mist.example", "10.0.0.1"]);
    let site = serve(&files, "tls://127.0.0.1:0").await;
    let error = failure(&site.uris[0], |builder| builder.ca(files.file())).await;
    let words = "is not for '127.0.0.1'; connect to a name that it is for: mist.example, 10.0.0.1";
    assert!(error.ends_with(words), "{error}");
    site.stop().await;
    let files = Certificate::for_names(&[]);
    let site = serve(&files, "tls://127.0.0.1:0").await;
    let error = failure(&site.uris[0], |builder| builder.ca(files.file())).await;
    assert!(
        error.contains("nor for any other name; the server needs another"),
        "{error}"
    );
    site.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_even_when_it_is_named() {
    for is_ca in [false, true] {
        let mut files = Certificate::default();
        files.renew_with(|params| {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            if is_ca {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
        });
        let site = serve(&files, "tls://127.0.0.1:0").await;
        let error = failure(&site.uris[0], |builder| builder.ca(files.file())).await;
        assert!(error.contains("expired"), "{error}");
        site.stop().await;
    }
}

/// The SHA-256 of the certificate that a server shows, as a client tells it that trusts another.
async fn shown(uri: &str) -> String {
    let error = failure(uri, |builder| builder.fingerprint(&"0".repeat(64))).await;
    let (_, sha256) = error
        .split_once("is not the one that is trusted: its SHA-256 is ")
        .expect(&error);
    sha256.to_owned()
}

#[tokio::test]
async fn by_its_fingerprint_one_certificate_is_trusted_and_no_other() {
    let builder = Server::builder().listen("tls://127.0.0.1:0, wss://127.0.0.1:0");
    let site = Site::run(builder.bind().await.expect("bound"));
    let own = site.fingerprint.clone().expect("it was made");
    for uri in &site.uris {
        assert_eq!(shown(uri).await, own);
        for form in [own.clone(), own.replace(':', "").to_lowercase()] {
            let client = within(Client::builder(uri).fingerprint(&form).connect()).await;
            within(client.expect("trusted").ping()).await.expect("pong");
        }
        // Nothing else makes up for a wrong one.
        let wrong = own.replacen(&own[..2], if &own[..2] == "00" { "01" } else { "00" }, 1);
        let error = failure(uri, |builder| {
            builder
                .danger_accept_invalid_certs(true)
                .fingerprint(&wrong)
        });
        assert!(error.await.contains("is not the one that is trusted"));
        let error = failure(uri, |builder| builder.fingerprint("5E:0C")).await;
        assert!(error.contains("write the SHA-256"), "{error}");
    }
    site.stop().await;
    // A server with the same names, from the same issuer even, has another.
    let files = Certificate::default();
    let site = serve(&files, "tls://127.0.0.1:0").await;
    let uri = &site.uris[0];
    let error = failure(uri, |builder| builder.ca(files.file()).fingerprint(&own)).await;
    assert!(error.contains("is not the one that is trusted"), "{error}");
    site.stop().await;
    let site = Site::run(
        Server::builder()
            .listen("tcp://127.0.0.1:0")
            .bind()
            .await
            .expect("bound"),
    );
    let error = failure(&site.uris[0], |builder| builder.fingerprint(&own)).await;
    assert!(error.contains("without encryption"), "{error}");
    site.stop().await;
}

#[tokio::test]
async fn a_fingerprint_is_for_any_name_and_issuer_but_not_for_other_times() {
    for (is_ca, (from, to), words) in [
        (false, (2001, 4001), None),
        (true, (2001, 4001), None),
        (false, (2001, 2002), Some("has expired")),
        (true, (2001, 2002), Some("has expired")),
        (false, (4001, 4002), Some("is not valid yet")),
    ] {
        let mut files = Certificate::for_names(&["elsewhere.example"]);
        files.renew_with(|params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
            if is_ca {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
        });
        let site = serve(&files, "tls://127.0.0.1:0").await;
        let uri = &site.uris[0];
        let own = shown(uri).await;
        match words {
            None => {
                let client = within(Client::builder(uri).fingerprint(&own).connect()).await;
                within(client.expect("trusted").ping()).await.expect("pong");
            }
            Some(words) => {
                let error = failure(uri, |builder| builder.fingerprint(&own)).await;
                assert!(error.contains(words), "{error}");
            }
        }
        site.stop().await;
    }
}

#[tokio::test]
async fn a_certificate_that_may_sign_others_is_taken_when_it_is_named() {
    for (name, is_right) in [("127.0.0.1", true), ("mist.example", false)] {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let signing_key = rcgen::KeyPair::generate().expect("a key");
        let cert = params.self_signed(&signing_key).expect("a certificate");
        let files = Certificate::default();
        files.write(&rcgen::CertifiedKey { cert, signing_key });
        let site = serve(&files, "tls://127.0.0.1:0").await;
        let connecting = Client::builder(&site.uris[0]).ca(files.file()).connect();
        let outcome = within(connecting).await;
        assert_eq!(outcome.is_ok(), is_right, "{name}: {outcome:?}");
        let other = Certificate::default();
        let error = failure(&site.uris[0], |builder| builder.ca(other.file())).await;
        assert!(
            error.contains("trust this very certificate") && !error.contains("Other"),
            "{error}"
        );
        site.stop().await;
    }
}

#[tokio::test]
async fn a_server_without_files_makes_a_certificate() {
    let builder = Server::builder().listen("tls://127.0.0.1:0, tcp://127.0.0.1:0");
    let site = Site::run(builder.bind().await.expect("bound"));
    let stream = TcpStream::connect(site.socket(0))
        .await
        .expect("it listens");
    drop(stream);
    let fingerprint = site.fingerprint.as_deref().expect("it was made");
    let pairs: Vec<_> = fingerprint.split(':').collect();
    assert!(
        pairs.len() == 32
            && pairs
                .iter()
                .all(|pair| u8::from_str_radix(pair, 16).is_ok())
    );
    let client = within(
        Client::builder(&site.uris[0])
            .danger_accept_invalid_certs(true)
            .connect(),
    )
    .await;
    within(client.expect("connected").ping())
        .await
        .expect("a pong");
    site.handle.reload_tls().expect("nothing to do");
    site.stop().await;
    let plain = Server::builder().listen("tcp://127.0.0.1:0");
    assert_eq!(plain.bind().await.expect("bound").fingerprint(), None);
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let mut files = Certificate::default();
    let site = serve(&files, "tls://127.0.0.1:0").await;
    let client = connect(&site.uris[0], &files).await;
    within(client.ping()).await.expect("a pong");
    let old = std::fs::read(files.file()).expect("there");
    files.renew();
    let kept = files.path("old.pem");
    std::fs::write(&kept, old).expect("written");
    site.handle.reload_tls().expect("it is fine");
    within(client.ping()).await.expect("not disturbed");
    connect(&site.uris[0], &files).await;
    let error = failure(&site.uris[0], |builder| builder.ca(&kept)).await;
    assert!(error.contains("certificate"), "{error}");
    // What cannot be used changes nothing.
    std::fs::write(files.key(), "nonsense").expect("written");
    let error = site.handle.reload_tls().expect_err("no key");
    assert!(error.to_string().contains("key.pem"), "{error}");
    within(files.connect(site.socket(0)))
        .await
        .expect("as before");
    within(client.ping()).await.expect("not disturbed");
    site.stop().await;
}

#[tokio::test]
async fn the_metrics_tell_when_the_certificate_expires() {
    let mut files = Certificate::default();
    files.renew_with(|params| params.not_after = rcgen::date_time_ymd(2001, 9, 9));
    let expiry = async |site: &Site, index: usize| {
        let mut stream = TcpStream::connect(site.socket(index))
            .await
            .expect("it listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("written");
        let mut text = String::new();
        within(stream.read_to_string(&mut text))
            .await
            .expect("an answer");
        assert!(text.contains("mist_sessions "), "{text}");
        let mut lines = text.lines();
        lines.find_map(|line| {
            line.strip_prefix("mist_certificate_expiry_seconds ")
                .map(str::to_owned)
        })
    };
    let site = serve(&files, "tls://127.0.0.1:0, http://127.0.0.1:0").await;
    assert_eq!(expiry(&site, 1).await.as_deref(), Some("999993600"));
    files.renew_with(|params| params.not_after = rcgen::date_time_ymd(2100, 1, 1));
    site.handle.reload_tls().expect("it is fine");
    assert_eq!(expiry(&site, 1).await.as_deref(), Some("4102444800"));
    site.stop().await;
    let plain = Server::builder().listen("http://127.0.0.1:0");
    let site = Site::run(plain.bind().await.expect("bound"));
    assert_eq!(expiry(&site, 0).await, None);
    site.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_once() {
    let (files, other) = (Certificate::default(), Certificate::default());
    let write = |name: &str, text: &[u8]| {
        let path = files.path(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let (certificate, key) = (files.file(), files.key());
    let pem = std::fs::read_to_string(&certificate).expect("there");
    for (certificate, key, words) in [
        (files.path("none.pem"), key.clone(), &["cannot read", "none.pem"][..]),
        (certificate.clone(), files.path("none.pem"), &["cannot read", "none.pem"]),
        (
            certificate.clone(),
            write("p521.pem", P521.as_bytes()),
            &["cannot use the key in", "p521.pem", "P-384"],
        ),
        (
            write("version1.pem", VERSION_1.as_bytes()),
            write("version1.key", VERSION_1_KEY.as_bytes()),
            &["cannot use the certificate in", "version1.pem", "subjectAltName"],
        ),
        (certificate.clone(), other.key(), &["does not belong", "cert.pem", "key.pem"]),
        (key.clone(), key.clone(), &["no certificate", "mixed up"]),
        (certificate.clone(), certificate.clone(), &["no private key", "mixed up"]),
        (write("empty.pem", b"\n"), key.clone(), &["no certificate", "empty"]),
        (write("words.pem", b"a\n"), key.clone(), &["no certificate", "BEGIN CERTIFICATE"]),
        (
            certificate.clone(),
            write("ssh.pem", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
            &["no private key", "'OPENSSH PRIVATE KEY'"],
        ),
        (write("der.pem", &files.der), key.clone(), &["no certificate", "DER"]),
        (write("cut.pem", &pem.as_bytes()[..200]), key.clone(), &["no certificate", "cut off"]),
        (write("digits.pem", pem.replace('M', "=").as_bytes()), key.clone(), &["no certificate", "not base64"]),
        (write("utf16.pem", &utf16(&pem)), key.clone(), &["cannot read", "utf16.pem", "UTF-16"]),
        (
            certificate.clone(),
            write("locked.pem", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
            &["no private key", "encrypted", "openssl"],
        ),
        // As `openssl genrsa -traditional -aes128` writes it.
        (
            certificate.clone(),
            write("old.pem", b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,EC03\n\nXaxb\n-----END RSA PRIVATE KEY-----\n"),
            &["no private key", "encrypted", "openssl pkey -in FILE -out PLAIN"],
        ),
    ] {
        let builder = Server::builder().listen("tls://127.0.0.1:0").tls(certificate, key);
        let checked = builder.check().expect_err("unusable").to_string();
        let error = refused(builder).await.to_string();
        assert_eq!(checked, error);
        for word in words {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
}

/// A key of a kind that is not known here.
const P521: &str = "-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAihmntNkEPqW09EJa
KDcEvPjuMQC5WKjMcgsxVH0ZqPWDkkEXwmLB8ILLakMjQ1OVftpzoMxv24DIAOKx
ZI6gskShgYkDgYYABAAr5Ozp4+xrHEXo8WJJ1p/we5VByh7sLi2HHzenRygZCfeS
BRnMqey5lfvLQLKBQf7DQ76zweVaS3JYLLOTzhniYgBNXiaPgWfAZdSqC6GiBUFm
a622oCnWeRQplgdUvqw18hP7HoDtHFE+cwTeryYa7F0h6DC0cF+whVPHorFt9KQS
AA==
-----END PRIVATE KEY-----
";

/// As `openssl x509 -req` makes it without a file of extensions.
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBGjCBwQIUEFn3YbpZtmG2GpMwm6SzTGSvjbowCgYIKoZIzj0EAwIwDzENMAsG
A1UEAwwEbWlzdDAgFw0yNjExMjkwOTUyMzhaGA8yMTI2MTEwNTA5NTIzOFowDzEN
MAsGA1UEAwwEbWlzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDu57+FzE+N+
/+h6DfOQRS4N6Z3u8DBOzWKxR3QR8KiVjgZ+bMCZ4W4n+4S0lqXCoUZ9McZI/o9G
IWJWTkV5tVkwCgYIKoZIzj0EAwIDSAAwRQIhANsWuHn14qiJvpJWqJajYuG8PO8U
U+eJYL+ttnvL3IY1AiA4Nv08xaUeUhJv9p+ro4+FaJYltTKuyNzjpOzcEWrCvw==
-----END CERTIFICATE-----
";

const VERSION_1_KEY: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIEwZicdjFEIzlIIXsJurcZd1N7HyEPrneOIeC6Gr6lkOoAoGCCqGSM49
AwEHoUQDQgAEO7nv4XMT437/6HoN85BFLg3pne7wME7NYrFHdBHwqJWOBn5swJnh
bif7hLSWpcKhRn0xxkj+j0YhYlZORXm1WQ==
-----END EC PRIVATE KEY-----
";

/// A text as some editors of Windows save it.
fn utf16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

#[tokio::test]
async fn what_editors_add_to_a_file_does_no_harm() {
    let files = Certificate::default();
    for name in [files.file(), files.key()] {
        let pem = std::fs::read_to_string(&name).expect("there");
        // A byte order mark, words, indented as in YAML, with the line ends of Windows and blanks behind.
        let lines: Vec<_> = pem.lines().map(|line| format!("    {line} \r\n")).collect();
        let text = format!("\u{feff}words\r\n{}\r\n", lines.concat());
        std::fs::write(&name, text).expect("written");
    }
    let site = serve(&files, "tls://127.0.0.1:0").await;
    let client = connect(&site.uris[0], &files).await;
    within(client.ping()).await.expect("a pong");
    site.stop().await;
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_named() {
    let files = Certificate::default();
    let error = failure("tls://127.0.0.1:1", |builder| {
        builder.ca(files.path("none.pem"))
    })
    .await;
    assert!(error.contains("none.pem"), "{error}");
    let error = failure("tls://127.0.0.1:1", |builder| builder.ca(files.key())).await;
    assert!(error.contains("no certificate"), "{error}");
}

#[test]
fn a_check_needs_no_address() {
    let check = |listeners: &str| {
        let outcome = Server::builder().listen(listeners).check();
        outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let all =
        "tcp://h:1, tls://h, http://h:1, https://[::1]:1, ws://h, wss://h, unix:///x?mode=0660";
    assert_eq!(check(all), "");
    for (listener, word) in [
        ("127.0.0.1:1445", "did you mean tcp://127.0.0.1:1445?"),
        (
            "gopher://h:1",
            "not one of http://, https://, tcp://, tls://, unix://, ws://, wss://",
        ),
        ("tls://h:port", "'port'"),
        ("tcp://", "host is missing"),
        ("unix://", "path is missing"),
        ("unix:///x?mode=rw", "'rw'"),
        ("unix:///x?mode=1777", "'1777'"),
        ("unix:///x?owner=me", "'owner=me'"),
    ] {
        assert!(
            check(listener).contains(word),
            "{listener}: {}",
            check(listener)
        );
    }
}
