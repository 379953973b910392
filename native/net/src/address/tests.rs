use super::*;

#[cfg(all(feature = "tls", feature = "websocket"))]
fn connect(text: &str) -> (Scheme, String, String) {
    let read = Endpoint::to_connect(text).expect(text);
    let target = read.site().map(|site| site.target.clone());
    (read.scheme(), read.to_string(), target.unwrap_or_default())
}

fn listen(text: &str) -> (Scheme, String) {
    let read = Endpoint::to_listen(text).expect(text);
    (read.scheme(), read.to_string())
}

#[test]
#[cfg(all(feature = "tls", feature = "websocket"))]
fn every_form_of_a_servers_address_has_its_defaults() {
    for (text, scheme, address, target) in [
        ("tcp://127.0.0.1:1445", Scheme::Tcp, "127.0.0.1:1445", ""),
        ("example.org:7", Scheme::Tcp, "example.org:7", ""),
        ("example.org", Scheme::Tcp, "example.org:1445", ""),
        (" tcp://[::1]:9/ ", Scheme::Tcp, "[::1]:9", ""),
        ("[::1]", Scheme::Tcp, "[::1]:1445", ""),
        ("tls://h", Scheme::Tls, "h:1446", ""),
        ("ws://h", Scheme::Ws, "h:8888", "/subscribe/websocket"),
        ("WS://H:80/mist?a=b", Scheme::Ws, "h:80", "/mist?a=b"),
        (
            "wss://h?x=y",
            Scheme::Wss,
            "h:8889",
            "/subscribe/websocket?x=y",
        ),
        (
            "unix:///run/mist.sock",
            Scheme::Unix,
            "unix:///run/mist.sock",
            "",
        ),
        // As a server has it.
        (
            "unix:///m.sock?mode=0660",
            Scheme::Unix,
            "unix:///m.sock",
            "",
        ),
    ] {
        assert_eq!(
            connect(text),
            (scheme, address.into(), target.into()),
            "{text}"
        );
    }
}

#[test]
fn a_scheme_that_was_left_out_names_its_features() {
    let (tls, websocket) = (cfg!(feature = "tls"), cfg!(feature = "websocket"));
    for (text, is_built_in, missing) in [
        ("tls://h", tls, "`tls`"),
        ("ws://h", websocket, "`websocket`"),
        (
            "wss://h",
            tls && websocket,
            match (tls, websocket) {
                (false, false) => "`tls` and `websocket`",
                (false, true) => "`tls`",
                _ => "`websocket`",
            },
        ),
        ("tcp://h", true, ""),
    ] {
        match Endpoint::to_connect(text) {
            Ok(_) => assert!(is_built_in, "{text}"),
            Err(error) => {
                let error = error.to_string();
                let scheme = text.trim_end_matches('h');
                assert!(!is_built_in, "{error}");
                for part in [
                    scheme,
                    &format!("the feature {missing} of mist-pubsub-client"),
                ] {
                    assert!(error.contains(part), "{error}");
                }
            }
        }
    }
}

#[test]
#[cfg(feature = "websocket")]
fn a_path_is_shown_without_the_query_that_may_hold_a_token() {
    let read = Endpoint::to_connect("ws://h/x?x-auth-token=secret").expect("valid");
    assert_eq!(read.site().map(Site::path), Some("/x"));
}

#[test]
fn every_form_of_a_listener_has_its_defaults() {
    for (text, scheme, address) in [
        ("tcp://0.0.0.0", Scheme::Tcp, "0.0.0.0:1445"),
        ("TLS://h", Scheme::Tls, "h:1446"),
        ("http://[::]:0/", Scheme::Http, "[::]:0"),
        ("https://h", Scheme::Https, "h:8443"),
        ("Ws://h", Scheme::Ws, "h:8888"),
        ("wss://h", Scheme::Wss, "h:8889"),
        ("unix://m.sock?mode=0660", Scheme::Unix, "unix://m.sock"),
    ] {
        assert_eq!(listen(text), (scheme, address.into()), "{text}");
    }
}

#[test]
fn a_zone_may_be_written_as_in_a_uri_or_as_elsewhere() {
    for text in ["[fe80::1%25eth0]:9", "[fe80::1%eth0]:9"] {
        for read in [
            Endpoint::to_connect(text),
            Endpoint::to_listen(&format!("tcp://{text}")),
        ] {
            let read = read.expect(text);
            assert_eq!(read.to_string(), "[fe80::1%25eth0]:9");
            let site = read.site().expect("a host");
            // Neither a certificate nor a request names it.
            assert_eq!(site.name(), "fe80::1");
            assert_eq!(site.authority(), "[fe80::1]:9");
        }
    }
}

#[test]
fn what_is_wrong_is_said_in_the_same_words_to_both() {
    for (rest, word) in [
        (":1445", "the host is missing"),
        ("", "the host is missing"),
        ("/x", "the host is missing"),
        ("1445", "write HOST:1445"),
        ("h:port", "'port' is not a port"),
        ("h:70000", "'70000' is not a port"),
        ("h:+80", "'+80' is not a port"),
        ("h:", "'' is not a port"),
        ("[::1]80", "'80' is not a port"),
        ("::1", "brackets"),
        ("::1:21700", "brackets"),
        ("[::1", "brackets"),
        ("[localhost]:1", "'localhost' in the brackets"),
        ("[::1%]:1", "'::1%' in the brackets"),
        ("[fe80::1]:1", "as in [fe80::1%25eth0]"),
        ("256.1.1.1:1", "'256.1.1.1' is neither"),
        ("a b:1", "'a b' is neither"),
        ("h:1/a b", "' '"),
        ("h:1/#a", "'#'"),
        ("user:pw@h:1", "'@'"),
        ("h:1/path", "'/path'"),
        ("h:1?x=secret", "'?…'"),
    ] {
        let text = format!("tcp://{rest}");
        let one = Endpoint::to_connect(&text).expect_err(&text);
        let other = Endpoint::to_listen(&text).expect_err(&text);
        assert!(one.to_string().contains(word), "{text}: {one}");
        if !matches!(one, AddressError::Path { .. }) {
            assert_eq!(one, other, "{text}");
        }
        assert!(other.to_string().contains(word), "{text}: {other}");
    }
    for (rest, word) in [
        ("", "the path is missing"),
        ("/x?mode=rw", "'rw'"),
        ("/x?mode=1777", "'1777'"),
        ("/x?owner=me", "'owner=me'"),
    ] {
        let text = format!("unix://{rest}");
        let one = Endpoint::to_connect(&text).expect_err(&text);
        assert_eq!(Err(one.clone()), Endpoint::to_listen(&text), "{text}");
        assert!(one.to_string().contains(word), "{text}: {one}");
    }
}

#[test]
#[cfg(all(feature = "tls", feature = "websocket"))]
fn clients_of_http_listeners_use_websocket_at_their_ports() {
    for (text, scheme, place, target) in [
        ("http://h", Scheme::Ws, "h:8080", "/subscribe/websocket"),
        ("https://h/", Scheme::Wss, "h:8443", "/subscribe/websocket"),
        ("HTTP://h:1/mist?a=b", Scheme::Ws, "h:1", "/mist?a=b"),
    ] {
        let read = Endpoint::to_connect(text).expect(text);
        assert_eq!((read.scheme(), &*read.to_string()), (scheme, place));
        assert_eq!(read.site().expect("a host").target, target, "{text}");
    }
}

#[test]
fn an_unknown_scheme_is_named_with_the_known_ones() {
    for read in [Endpoint::to_listen, Endpoint::to_connect] {
        let error = read("udp://h:1").expect_err("unknown").to_string();
        assert!(
            error.contains("'udp'") && error.contains("https://"),
            "{error}"
        );
    }
    let error = Endpoint::to_listen("127.0.0.1:1445").expect_err("no scheme");
    assert!(
        error
            .to_string()
            .contains("did you mean tcp://127.0.0.1:1445?")
    );
}

#[cfg(unix)]
#[test]
fn the_longest_path_of_a_socket_is_the_systems() {
    for (length, is_right) in [(LONGEST_PATH, true), (LONGEST_PATH + 1, false)] {
        let path = format!("/{}", "x".repeat(length - 1));
        // The system's own opinion.
        let system = std::os::unix::net::SocketAddr::from_pathname(&path);
        assert_eq!(system.is_ok(), is_right);
        let read = Endpoint::to_listen(&format!("unix://{path}"));
        assert_eq!(read.is_ok(), is_right);
        if let Err(error) = read {
            let error = error.to_string();
            let most = LONGEST_PATH.to_string();
            assert!(
                error.contains(&length.to_string()) && error.contains(&most),
                "{error}"
            );
        }
    }
}

#[test]
fn no_secret_is_shown() {
    for (text, shown) in [
        ("tcp://h:1", "tcp://h:1"),
        ("h:1", "h:1"),
        ("unix:///a@b?mode=0660", "unix:///a@b?mode=0660"),
        ("tcp://me:secret@h:1", "tcp://…@h:1"),
        ("secret@h", "…@h"),
        ("ws://h/x?x-auth-token=secret", "ws://h/x?…"),
        ("ws://h?x-auth-token=sec@ret", "ws://…"),
        ("tcp://me:sec?ret@h:1", "tcp://…"),
        ("tcp://me:sec/ret@h:1", "tcp://…@h:1"),
    ] {
        assert_eq!(without_secrets(text), shown);
    }
}

#[tokio::test]
async fn a_host_stands_for_all_its_addresses() {
    let resolved = async |text: &str| {
        let read = Endpoint::to_connect(text).expect(text);
        let site = read.site().expect("a host").clone();
        let sockets = site.resolve().await?;
        Ok::<_, AddressError>(sockets.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(resolved("10.0.0.1:7").await, Ok(vec!["10.0.0.1:7".into()]));
    assert_eq!(resolved("[::1]:7").await, Ok(vec!["[::1]:7".into()]));
    assert_eq!(resolved("[::1%251]:7").await, Ok(vec!["[::1%1]:7".into()]));
    for name in ["localhost", "LocalHost."] {
        let both = vec!["127.0.0.1:7".to_owned(), "[::1]:7".to_owned()];
        assert_eq!(resolved(&format!("{name}:7")).await, Ok(both));
    }
    let error = resolved("[fe80::1%25nowhere0]:7")
        .await
        .expect_err("no such zone");
    assert_eq!(error, AddressError::Zone("nowhere0".to_owned()));
    let error = resolved("no-such-host.invalid:7")
        .await
        .expect_err("no such name");
    assert!(
        error.to_string().contains("'no-such-host.invalid'"),
        "{error}"
    );
    assert!(!error.to_string().contains("lookup"), "{error}");
}
