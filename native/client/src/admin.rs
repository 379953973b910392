//! Owns the admin commands, about tokens; knows nothing of how they travel.

use std::time::Duration;

use mist_core::client::Reply;
use mist_core::message::{RegisteredToken, Request};
use mist_core::{NEVER, Rights};

use crate::client::Client;
use crate::error::ClientError;

/// A part of the tokens that are registered; see [`Admin::tokens`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<RegisteredToken>,
    /// What the next part is to be asked for with, if there may be one.
    pub next: Option<String>,
}

/// What an admin can ask; see [`Client::admin`].
///
/// ```no_run
/// # async fn viewer(client: mist_client::Client) -> Result<(), mist_client::ClientError> {
/// use std::time::Duration;
/// use mist_client::Rights;
///
/// let admin = client.admin().rights(Rights::Subscribe).ttl(Duration::from_secs(900));
/// admin.register("viewer", ["district:north"]).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Admin<'a> {
    client: &'a Client,
    rights: Rights,
    ttl: Option<u64>,
    is_by_hash: bool,
}

/// What the server knows of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenGrants {
    /// The tags by which it may subscribe, sorted.
    pub subscribe: Vec<String>,
    /// The tags with which it may publish, sorted.
    pub publish: Vec<String>,
    /// How long it is still valid, in whole seconds; `None` when it does not end.
    pub expires_in: Option<Duration>,
}

impl Client {
    /// Returns the commands for administrators: for clients that have presented the server's token.
    #[must_use]
    pub fn admin(&self) -> Admin<'_> {
        Admin::new(self)
    }
}

impl<'a> Admin<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self {
            client,
            rights: Rights::Both,
            ttl: None,
            is_by_hash: false,
        }
    }

    /// Without what is said of rights and times.
    fn plain(&self) -> Self {
        Self {
            is_by_hash: self.is_by_hash,
            ..Self::new(self.client)
        }
    }

    /// Has [`register`](Self::register) and [`set`](Self::set) give these rights only, and [`unset`](Self::unset) take
    /// these only.
    #[must_use]
    pub fn rights(mut self, rights: Rights) -> Self {
        self.rights = rights;
        self
    }

    /// Has tokens of [`register`](Self::register) and [`set`](Self::set) end after this time, which counts from then;
    /// parts of a second count as a whole one.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0));
        self
    }

    /// Has tokens of [`register`](Self::register) and [`set`](Self::set) never end.
    #[must_use]
    pub fn endless(mut self) -> Self {
        self.ttl = Some(NEVER);
        self
    }

    /// Has [`set`](Self::set), [`unset`](Self::unset), [`unregister`](Self::unregister) and [`end`](Self::end) take
    /// [`RegisteredToken::sha256`] in the place of the token, for stores that keep only hashes.
    #[must_use]
    pub fn by_hash(mut self) -> Self {
        self.is_by_hash = true;
        self
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
        self.plain().ask("unregister", &[], token).await.map(drop)
    }

    /// Removes a token, also an unknown one, and closes the connections of this server that go by it. Those of others
    /// that share its store lose what it granted, and are closed unless they show another token in time.
    ///
    /// # Errors
    /// As [`unregister`](Self::unregister).
    pub async fn end(&self, token: &str) -> Result<(), ClientError> {
        self.plain().ask("end", &[], token).await.map(drop)
    }

    /// Adds tags to a token, or rights to them, or sets when it ends, for which it needs no tags.
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

    /// Removes tags from a token, or rights to them.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn unset<T: AsRef<str>>(
        &self,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        let timeless = Self { ttl: None, ..*self };
        timeless.change("unset", token, tags).await
    }

    /// Lists a token's tags, sorted, whatever rights it has to them.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn tags(&self, token: &str) -> Result<Vec<String>, ClientError> {
        let plain = Self::new(self.client);
        Ok(plain.ask("tags", &[], token).await?.tags)
    }

    /// Says what a token grants, and for how long.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn grants(&self, token: &str) -> Result<TokenGrants, ClientError> {
        let plain = Self::new(self.client);
        let reply = plain.ask("tags", &[], token).await?;
        let Reply {
            tags,
            subscribe,
            publish,
            ..
        } = reply;
        Ok(TokenGrants {
            subscribe: subscribe.unwrap_or_else(|| tags.clone()),
            publish: publish.unwrap_or(tags),
            expires_in: reply.expires_in.map(Duration::from_secs),
        })
    }

    /// Lists the tokens that are registered, a part at a time: `after` is [`TokenPage::next`] of the part before, and
    /// empty at first.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the store cannot list its tokens or this client is not admin; else as
    /// [`Client::request`].
    pub async fn tokens(&self, after: &str) -> Result<TokenPage, ClientError> {
        let reply = self.client.request("tokens", &[], after).await?;
        Ok(TokenPage {
            tokens: reply.registered,
            next: Some(reply.data).filter(|next| !next.is_empty()),
        })
    }

    async fn change<T: AsRef<str>>(
        &self,
        command: &str,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        let tags: Vec<T> = tags.into_iter().collect();
        let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        self.ask(command, &tags, token).await.map(drop)
    }

    async fn ask(&self, command: &str, tags: &[&str], token: &str) -> Result<Reply, ClientError> {
        let (data, sha256) = match self.is_by_hash {
            true => ("", token),
            false => (token, ""),
        };
        let request = Request {
            command,
            tags,
            data,
            sha256,
            rights: self.rights,
            ttl: self.ttl,
            ..Request::default()
        };
        self.client.ask(request).await
    }
}
