//! Whether the generator notices what a server does wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use super::super::wire::{READY, RelayWire};
use super::*;

/// A server for one subscriber and one publisher that passes on what `tamper` makes of each line.
fn server(mut tamper: impl FnMut(usize, &[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    thread::spawn(move || -> std::io::Result<()> {
        let greet = |socket: &mut TcpStream| {
            let mut first_line = [0; 4];
            socket.read_exact(&mut first_line)?;
            socket.write_all(READY)
        };
        let (mut subscriber, _) = listener.accept()?;
        greet(&mut subscriber)?;
        let (mut publisher, _) = listener.accept()?;
        greet(&mut publisher)?;
        for (number, line) in BufReader::new(publisher).split(b'\n').enumerate() {
            let mut line = line?;
            line.push(b'\n');
            subscriber.write_all(&tamper(number, &line))?;
        }
        Ok(())
    });
    address
}

/// Publishes 1,000 messages through `server` and waits for all of them.
fn publish(server: SocketAddr) -> Result<u64> {
    let mut load = Load::new(&RelayWire, server, 64 * 1024)?;
    let to = Subscription {
        tags: vec!["t".to_owned()],
        open: false,
    };
    let stream = load.add_stream();
    load.add_subscriber(std::slice::from_ref(&to), stream)?;
    let message = Message {
        publish: RelayWire.publish(&to.tags, 32),
        deliveries: vec![Delivery {
            stream,
            template: RelayWire.delivery(&to.tags, &to, 32),
        }],
        reply: None,
        sets: 1,
    };
    load.add_publisher(&to.tags, vec![message])?;
    load.allow(1000);
    load.prove_the_end()?;
    Ok(load.delivered())
}

fn complaint(server: SocketAddr) -> String {
    let error = publish(server).expect_err("the server cheats");
    format!("{error:#}")
}

#[test]
fn an_honest_server_delivers_everything() {
    let honest = server(|_, line| line.to_vec());
    assert_eq!(publish(honest).expect("nothing is wrong"), 1000);
}

#[test]
fn a_lost_message_is_noticed() {
    let loser = server(|number, line| if number == 500 { vec![] } else { line.to_vec() });
    assert!(complaint(loser).contains("message 500 differs"));
}

#[test]
fn a_doubled_message_is_noticed() {
    let stutterer = server(|number, line| line.repeat(if number == 500 { 2 } else { 1 }));
    assert!(complaint(stutterer).contains("message 501 differs"));
}

#[test]
fn messages_out_of_order_are_noticed() {
    let mut held = Vec::new();
    let shuffler = server(move |number, line| match number {
        500 => {
            held = line.to_vec();
            vec![]
        }
        501 => [line, &held].concat(),
        _ => line.to_vec(),
    });
    assert!(complaint(shuffler).contains("message 500 differs"));
}

#[test]
fn a_changed_byte_is_noticed() {
    let vandal = server(|number, line| {
        let mut line = line.to_vec();
        if number == 500 {
            let payload_end = line.len() - 5;
            line[payload_end] ^= 1;
        }
        line
    });
    assert!(complaint(vandal).contains("message 500 differs"));
}
