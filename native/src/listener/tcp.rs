//! The listener for JSON lines over TCP.

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use super::{Acceptor, Address, ListenError, Listener, accept_all, bind_socket};

struct Tcp {
    listener: TcpListener,
    address: Address,
}

pub(crate) async fn bind(uri: String) -> Result<Box<dyn Listener>, ListenError> {
    let listener = bind_socket(&uri, 1445).await?;
    let socket = listener
        .local_addr()
        .map_err(|source| ListenError::io(&uri, source))?;
    Ok(Box::new(Tcp {
        listener,
        address: Address::from_socket("tcp", socket),
    }))
}

impl Listener for Tcp {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            accept_all(self.listener, &acceptor, |stream, _| {
                acceptor.accept(stream)
            })
            .await;
        })
    }
}
