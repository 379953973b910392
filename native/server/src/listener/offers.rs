//! Owns what a listener serves besides commands; knows nothing of how it is served.

/// What a listener serves without a token, unless the operator switches it off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offers {
    pub(crate) page: bool,
    pub(crate) metrics: bool,
    /// `/healthz` and `/readyz`.
    pub(super) health: bool,
}

impl Offers {
    /// What listeners for clients serve; operators may have listeners of their own.
    pub(crate) fn of_clients(self, are_operators_apart: bool) -> Self {
        Self {
            metrics: self.metrics && !are_operators_apart,
            health: self.health && !are_operators_apart,
            ..self
        }
    }

    /// What listeners for operators serve.
    pub(crate) fn of_operators(self) -> Self {
        Self {
            page: false,
            ..self
        }
    }
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            page: true,
            metrics: true,
            health: true,
        }
    }
}
