//! Owns what a server that runs takes over from another description of it.

use super::ServerBuilder;
use crate::bind_error::BindError;
use crate::server::Handle;

impl Handle {
    /// Takes over what `described` says of the things that can change while the server runs: limits, origins, hosts, trusted
    /// proxies, how it ends, the server's token, and the certificate, whose files are read anew. The rest of it is checked and has no
    /// effect.
    ///
    /// Connections that are open go on. What is over a new limit already stays, and only grows no more; whoever became
    /// admin by another token is so no longer. Connections keep the certificate and the `stall-seconds` of HTTP that they
    /// began with, and those that came while an address could have any number are not among those counted.
    ///
    /// # Errors
    /// [`BindError`] when no server could be made of it. Then nothing has changed.
    pub fn reload(&self, described: &ServerBuilder) -> Result<(), BindError> {
        let tls = described.check_files()?;
        let in_force = described.in_force()?;
        if let (Some(current), Some(new)) = (&self.tls, &tls) {
            current.take_over(new);
        }
        self.hub.change(in_force, described.server_token());
        Ok(())
    }
}
