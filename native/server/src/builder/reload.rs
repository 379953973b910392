//! Owns what a running server takes over from a new description.

use super::ServerBuilder;
use crate::bind_error::BindError;
use crate::server::Handle;

impl Handle {
    /// Applies those settings of `described` that can change while the server runs: limits, origins, hosts, trusted
    /// proxies, how it shuts down, the server's token, and the certificate, whose files are read again. The other
    /// settings are checked but have no effect.
    ///
    /// Open connections stay open. What exceeds a new limit already is kept but cannot grow; a session that became
    /// admin with the former token no longer is. Connections keep the certificate and the HTTP `stall-seconds` that
    /// they began with, and those that were opened while connections per address were unlimited are not counted.
    ///
    /// # Errors
    /// [`BindError`] if `described` is not valid. Then nothing has changed.
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
