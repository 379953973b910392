//! The listener for JSON lines over TCP, encrypted or not.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use super::socket::{Place, accept_tcp};
use super::tls::Tls;
use super::{Acceptor, Address, ListenError, Listener};

struct Tcp {
    listener: TcpListener,
    address: Address,
    tls: Option<Arc<Tls>>,
}

pub(super) async fn bind(
    scheme: &str,
    place: &Place<'_>,
    tls: Option<Arc<Tls>>,
) -> Result<Box<dyn Listener>, ListenError> {
    let (listener, socket) = place.bind().await?;
    Ok(Box::new(Tcp {
        listener,
        address: Address::from_socket(scheme, socket),
        tls,
    }))
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
