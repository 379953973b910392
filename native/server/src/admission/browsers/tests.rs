use super::*;

fn browsers(origins: &[&str], hosts: &[&str]) -> Browsers {
    let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    Browsers::new(&owned(origins), &owned(hosts)).expect("they can be read")
}

#[test]
fn a_page_may_talk_to_its_own_host_on_any_port() {
    let strict = browsers(&[], &[]);
    for (origin, host) in [
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com"),
        ("http://Example.com:8080", "EXAMPLE.com:8888"),
        ("http://example.com", "example.com.:8888"),
        ("http://10.1.2.3:8080", "10.1.2.3:8888"),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8888"),
    ] {
        for is_loopback in [false, true] {
            assert!(
                strict.allows_origin(origin, host, is_loopback),
                "{origin} {host}"
            );
        }
    }
    for origin in [
        "http://evil.example",
        "http://example.com.evil.example",
        "http://evilexample.com",
        "http://sub.example.com",
        "null",
        "",
        "example.com",
        "://example.com",
        "http://",
        "http://example.com/",
        "http://example.com@evil.example",
        "http://evil.example#example.com",
        "chrome-extension://example.com",
        "file://",
    ] {
        for is_loopback in [false, true] {
            assert!(
                !strict.allows_origin(origin, "example.com:8888", is_loopback),
                "{origin}"
            );
        }
    }
}

#[test]
fn a_page_of_this_machine_may_talk_to_a_listener_on_this_machine_only() {
    let strict = browsers(&[], &[]);
    for origin in [
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "https://[::1]:5173",
        "http://app.localhost",
    ] {
        assert!(
            strict.allows_origin(origin, "127.0.0.1:8888", true),
            "{origin}"
        );
        assert!(
            !strict.allows_origin(origin, "10.1.2.3:8888", false),
            "{origin}"
        );
    }
    for origin in [
        "http://10.1.2.3:8080",
        "http://localhost.example",
        "http://notlocalhost",
        "http://127.0.0.1.example",
    ] {
        assert!(
            !strict.allows_origin(origin, "127.0.0.1:8888", true),
            "{origin}"
        );
    }
}

#[test]
fn what_is_allowed_is_compared_as_origins_are() {
    let some = browsers(
        &[
            "https://app.example.com/",
            "https://*.example.org:8443",
            "app://mist",
            "http://a:80",
        ],
        &[],
    );
    for (origin, is_allowed) in [
        ("https://app.example.com", true),
        ("https://app.example.com:443", true),
        ("HTTPS://APP.example.com", true),
        ("http://app.example.com", false),
        ("https://app.example.com:8443", false),
        ("https://x.app.example.com", false),
        ("https://a.example.org:8443", true),
        ("https://a.b.example.org:8443", true),
        ("https://example.org:8443", false),
        ("https://.example.org:8443", false),
        ("https://a.example.org", false),
        ("https://evil-example.org:8443", false),
        ("app://mist", true),
        ("http://a", true),
        ("null", false),
    ] {
        assert_eq!(
            some.allows_origin(origin, "10.1.2.3", false),
            is_allowed,
            "{origin}"
        );
    }
    assert!(browsers(&["null"], &[]).allows_origin("null", "a", false));
    for origin in ["null", "https://evil.example", "nonsense"] {
        assert!(browsers(&["*"], &[]).allows_origin(origin, "a", false));
    }
}

#[test]
fn a_listener_of_this_machine_answers_to_names_of_this_machine() {
    let strict = browsers(&[], &[]);
    for (host, is_allowed) in [
        ("127.0.0.1:8888", true),
        ("10.1.2.3", true),
        ("[::1]:8888", true),
        ("localhost", true),
        ("LOCALHOST.:1", true),
        ("app.localhost:8888", true),
        ("evil.example:8888", false),
        ("localhost.evil.example", false),
        ("evillocalhost", false),
        ("", false),
        ("127.0.0.1.evil.example", false),
        ("[::1].evil.example", false),
        ("localhost:evil", false),
    ] {
        assert_eq!(strict.allows_host(host, true), is_allowed, "{host}");
        assert!(strict.allows_host(host, false), "{host}");
    }
    let named = browsers(&[], &["mist.example.com", "*.example.org"]);
    for is_loopback in [false, true] {
        assert!(named.allows_host("Mist.example.com:80", is_loopback));
        assert!(named.allows_host("a.example.org", is_loopback));
        assert!(named.allows_host("10.1.2.3", is_loopback));
        assert!(!named.allows_host("example.org", is_loopback));
        assert!(!named.allows_host("evil.example", is_loopback));
    }
    assert!(browsers(&[], &["*"]).allows_host("evil.example", true));
}

#[test]
fn what_cannot_be_an_origin_or_a_host_is_named() {
    for (text, why) in [
        ("example.com", "write https://example.com"),
        ("https://", "write https://"),
        ("https://*", "write https://"),
        ("https://a.*.b", "write https://"),
        ("https://*.10.1.2.3", "write https://"),
        ("https://a/b", "write https://"),
        ("https://a b", "write https://"),
        ("https://a?b", "write https://"),
        ("https://a:66000", "write https://"),
        ("", "write https://"),
        (
            "https://Bücher.example",
            "browsers write it as xn--bcher-kva.example",
        ),
        (
            "https://*.bücher.example",
            "browsers write it as *.xn--bcher-kva.example",
        ),
        ("https://ex%61mple.com", "write https://"),
        ("https://127.1", "write https://"),
        (
            "https://[2001:db8:0:0::1]",
            "browsers write it as [2001:db8::1]",
        ),
        ("wss://example.com", "begins with http:// or https://"),
    ] {
        let error = Browsers::new(&[text.to_owned()], &[])
            .expect_err(text)
            .to_string();
        let named = format!("invalid origin '{text}' - ");
        assert!(error.starts_with(&named) && error.contains(why), "{error}");
    }
    for (text, why) in [
        ("https://example.com", "write a name"),
        ("example.com:80", "write a name"),
        ("*example.com", "write a name"),
        ("a b", "write a name"),
        ("a/b", "write a name"),
        ("", "write a name"),
        (
            "bücher.example",
            "browsers write it as xn--bcher-kva.example",
        ),
        ("127.1", "write a name"),
        ("2001:DB8:0::1", "browsers write it as [2001:db8::1]"),
    ] {
        let error = Browsers::new(&[], &[text.to_owned()])
            .expect_err(text)
            .to_string();
        let named = format!("invalid host '{text}' - ");
        assert!(error.starts_with(&named) && error.contains(why), "{error}");
    }
    for text in [
        "Example.COM",
        "xn--bcher-kva.example",
        "a_b",
        "2001:db8::1",
        "[2001:db8::1]",
        "10.1.2.3",
    ] {
        browsers(&[], &[text]);
    }
}
