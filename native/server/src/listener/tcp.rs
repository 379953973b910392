//! The listener for JSON lines over TCP, encrypted or not.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use super::acceptor::Acceptor;
use super::socket::accept_tcp;
use super::tls::Tls;
use super::{Address, Listener};

struct Tcp {
    listener: TcpListener,
    address: Address,
    tls: Option<Arc<Tls>>,
}

pub(super) fn new(
    listener: TcpListener,
    address: Address,
    tls: Option<Arc<Tls>>,
) -> Box<dyn Listener> {
    Box::new(Tcp {
        listener,
        address,
        tls,
    })
}

impl Listener for Tcp {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            accept_tcp(self.listener, &acceptor, |stream, peer| match &self.tls {
                None => acceptor.accept_from(stream, peer.ip()),
                Some(tls) => tls.accept(
                    stream,
                    acceptor.greet(Some(peer.ip())),
                    &acceptor,
                    || {
                        let mut text = mist_core::tls_required();
                        text.push(b'\n');
                        text
                    },
                    |acceptor, stream, guest| acceptor.serve_lines(guest, stream),
                ),
            })
            .await;
        })
    }
}
