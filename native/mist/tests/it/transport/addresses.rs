//! Which sockets an address stands for, for listeners and for clients.

use std::net::{IpAddr, Ipv6Addr};

use super::*;

async fn bind(uris: &str) -> Result<Server, BindError> {
    Server::builder().listen(uris).bind().await
}

/// Whether this machine has the loopback address of IPv6.
fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// A port that nobody listens on, at any address.
fn free_port() -> u16 {
    let every = match has_ipv6() {
        true => "[::]:0",
        false => "0.0.0.0:0",
    };
    let listener = std::net::TcpListener::bind(every).expect("a port");
    listener.local_addr().expect("bound").port()
}

async fn ping(uri: &str) {
    let client = within(Client::connect(uri)).await.expect(uri);
    within(client.ping()).await.expect("a pong");
    within(client.close()).await.expect("closed");
}

#[tokio::test]
async fn a_server_on_localhost_listens_on_all_loopback_addresses_of_this_machine() {
    let server = bind("tcp://localhost:0, ws://LOCALHOST:0").await;
    let site = Site::run(server.expect("bound"));
    let count = if has_ipv6() { 4 } else { 2 };
    assert_eq!(site.uris.len(), count, "{:?}", site.uris);
    let (tcp, ws) = site.uris.split_at(count / 2);
    for uris in [tcp, ws] {
        // Old clients know the first one, and others, such as Node, may try IPv6 first and nothing else.
        assert!(uris[0].contains("://127.0.0.1:"), "{uris:?}");
        let ports = uris.iter().map(|uri| uri.rsplit(':').next());
        assert!(
            ports
                .clone()
                .all(|port| port == ports.clone().next().flatten())
        );
        for uri in uris {
            ping(uri).await;
        }
        let (scheme, _) = uris[0].split_once("://").expect("a URI");
        let port = uris[0].rsplit(':').next().expect("a port");
        ping(&format!("{scheme}://localhost:{port}")).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn all_addresses_of_both_families_may_be_listened_on_side_by_side() {
    if !has_ipv6() {
        return;
    }
    let port = free_port();
    for uris in [
        format!("tcp://0.0.0.0:{port}, tcp://[::]:{port}"),
        format!("tcp://[::]:{port}, tcp://0.0.0.0:{port}"),
    ] {
        let site = Site::run(bind(&uris).await.expect(&uris));
        ping(&format!("127.0.0.1:{port}")).await;
        ping(&format!("[::1]:{port}")).await;
        site.stop().await;
    }
    // Alone it takes both.
    let site = Site::run(bind(&format!("tcp://[::]:{port}")).await.expect("bound"));
    ping(&format!("[::1]:{port}")).await;
    let is_for_ipv6_alone = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
    if is_for_ipv6_alone.is_ok_and(|text| text.trim() == "0") {
        ping(&format!("127.0.0.1:{port}")).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_listener_that_is_in_its_own_servers_way_is_named() {
    let port = free_port();
    let files = Certificate::default();
    let socket = format!("unix://{}", files.path("mist.sock").display());
    for (first, second) in [
        (
            format!("tcp://127.0.0.1:{port}"),
            format!("http://127.0.0.1:{port}"),
        ),
        (
            format!("tcp://0.0.0.0:{port}"),
            format!("ws://127.0.0.1:{port}"),
        ),
        (
            format!("tcp://localhost:{port}"),
            format!("ws://127.0.0.1:{port}"),
        ),
        (socket.clone(), socket),
    ] {
        if cfg!(not(unix)) && first.starts_with("unix") {
            continue;
        }
        let error = bind(&format!("{first}, {second}")).await;
        let error = error.expect_err(&second).to_string();
        assert!(
            error.starts_with(&format!("cannot listen on '{second}'")),
            "{error}"
        );
        assert!(
            error.contains(&format!("'{first}' of this server")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_listener_is_said_with_the_remedy() {
    for (uri, words) in [
        (
            "tcp://::1:21700",
            "invalid listener 'tcp://::1:21700' - an IPv6 address needs brackets",
        ),
        (
            "tcp://192.0.2.1:0",
            "this machine does not have the address",
        ),
        (
            "tcp://no-such-host.invalid:1",
            "no address is known for the host 'no-such-host.invalid'",
        ),
        (
            "tcp://[fe80::1%25nowhere0]:1",
            "no network interface 'nowhere0'",
        ),
        (
            "tcp://me:hush@127.0.0.1:0",
            "invalid listener 'tcp://…@127.0.0.1:0' - there is a user",
        ),
        ("ws://127.0.0.1:0/chat", "a listener has no path"),
        ("unix:///x?mode=999", "'999' is not a mode"),
    ] {
        let error = bind(uri).await.expect_err(uri).to_string();
        assert!(error.contains(words) && !error.contains("hush"), "{error}");
    }
    let long = format!("unix:///tmp/{}", "x".repeat(200));
    for error in [
        bind(&long).await.expect_err("too long").to_string(),
        within(Client::connect(&long))
            .await
            .expect_err("too long")
            .to_string(),
    ] {
        assert!(error.contains("205 bytes"), "{error}");
    }
}

#[tokio::test]
async fn a_scheme_may_be_written_in_letters_of_any_size() {
    let site = Site::run(
        bind("TCP://127.0.0.1:0, Ws://127.0.0.1:0")
            .await
            .expect("bound"),
    );
    assert!(site.uris[0].starts_with("tcp://") && site.uris[1].starts_with("ws://"));
    for uri in &site.uris {
        let (scheme, rest) = uri.split_once("://").expect("a URI");
        ping(&format!("{}://{rest}", scheme.to_uppercase())).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn an_ipv6_address_may_have_a_zone() {
    // The only interface that every machine has is the loopback one, whose number is 1 on Linux.
    if !has_ipv6() || !cfg!(target_os = "linux") {
        return;
    }
    let server = bind("tcp://[::1%251]:0, ws://[::1%1]:0").await;
    let site = Site::run(server.expect("bound"));
    for uri in &site.uris {
        let at = site
            .uris
            .iter()
            .position(|other| other == uri)
            .expect("there");
        assert_eq!(site.socket(at).ip(), IpAddr::V6(Ipv6Addr::LOCALHOST));
        ping(uri).await;
        let port = site.socket(at).port();
        let (scheme, _) = uri.split_once("://").expect("a URI");
        ping(&format!("{scheme}://[::1%251]:{port}")).await;
    }
    site.stop().await;
}
