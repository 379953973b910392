//! Owns how a server comes to be one of a cluster.

use mist_net::address::without_secrets;

use super::ServerBuilder;
use crate::bind_error::BindError;
use crate::cluster::{self, Cluster};

impl ServerBuilder {
    /// Joins a cluster of servers that have the same NATS: `nats://HOST:PORT?name=CLUSTER&node=NAME`, or `tls://`; several
    /// servers of NATS are separated by commas, a user and a password or a token stand in front of an `@`. What is published
    /// at one server of the cluster reaches the subscribers of all.
    ///
    /// Further parameters: `ca=FILE`, `cert=FILE`, `key=FILE` for TLS; `reconnect=SECONDS`, the longest pause between attempts
    /// to connect; `foreign=on`, with which programs on NATS may publish `{"tags":[…],"data":"…"}` at `mist.CLUSTER.in`.
    #[must_use]
    pub fn cluster(mut self, uri: &str) -> Self {
        let is_optional = self.cluster.is_some_and(|(_, is_optional)| is_optional);
        self.cluster = Some((uri.to_owned(), is_optional));
        self
    }

    /// Sets whether the server is ready for clients (`GET /readyz`) also while its cluster's NATS is away. It serves them in
    /// any case. To be called behind [`ServerBuilder::cluster`].
    #[must_use]
    pub fn cluster_optional(mut self, is_optional: bool) -> Self {
        if let Some((_, optional)) = &mut self.cluster {
            *optional = is_optional;
        }
        self
    }

    pub(super) fn check_cluster(&self) -> Result<(), BindError> {
        let Some((uri, _)) = &self.cluster else {
            return Ok(());
        };
        cluster::check(uri).map_err(|why| refused(uri, why))
    }

    pub(super) fn open_cluster(&self) -> Result<Option<Cluster>, BindError> {
        let Some((uri, is_optional)) = &self.cluster else {
            return Ok(None);
        };
        const SHARED: &str = "with postgres://, jwt:// or an application all nodes have the same";
        match self.authenticators.unfit_for_clusters().as_deref() {
            None => {}
            Some("memory") => tracing::warn!(
                "tokens are in the memory of this server (memory://): the other nodes of the cluster do not know them; {SHARED}"
            ),
            Some(scheme) => tracing::warn!(
                "tokens are on this machine ({scheme}://): nodes of the cluster that are on it and use the same have them, \
                 too, and nodes on other machines do not know them; {SHARED}"
            ),
        }
        let cluster = Cluster::new(uri, *is_optional);
        cluster.map(Some).map_err(|why| refused(uri, why))
    }
}

fn refused(uri: &str, why: String) -> BindError {
    BindError::Cluster {
        uri: without_secrets(uri),
        why,
    }
}
