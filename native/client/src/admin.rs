//! Owns the commands about tokens, which are for who presented the server's token; knows nothing of how they travel.

use crate::client::Client;
use crate::error::ClientError;

/// What an admin can ask; see [`Client::admin`].
#[derive(Clone, Copy, Debug)]
pub struct Admin<'a> {
    client: &'a Client,
}

impl<'a> Admin<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Creates a token with tags.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it exists or this client is not admin; else as [`Client::request`].
    pub async fn register<T: AsRef<str>>(
        &self,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        self.change("register", token, tags).await
    }

    /// Removes a token, also an unknown one.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when this client is not admin; else as [`Client::request`].
    pub async fn unregister(&self, token: &str) -> Result<(), ClientError> {
        let none: [&str; 0] = [];
        self.change("unregister", token, none).await
    }

    /// Adds tags to a token.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the token is unknown or this client is not admin; else as [`Client::request`].
    pub async fn set<T: AsRef<str>>(
        &self,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        self.change("set", token, tags).await
    }

    /// Removes tags from a token.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn unset<T: AsRef<str>>(
        &self,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        self.change("unset", token, tags).await
    }

    /// Lists a token's tags, sorted.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn tags(&self, token: &str) -> Result<Vec<String>, ClientError> {
        Ok(self.client.request("tags", &[], token).await?.tags)
    }

    async fn change<T: AsRef<str>>(
        &self,
        command: &str,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        let tags: Vec<T> = tags.into_iter().collect();
        let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        self.client.request(command, &tags, token).await.map(drop)
    }
}
