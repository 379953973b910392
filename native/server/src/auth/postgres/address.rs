//! Owns where the database is and how to log in there; knows nothing of what it holds.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Error, Notification};
use url::Url;

use super::tls::{Checked, Tls};

const KNOWN: &str = "db, host, sslmode, sslrootcert";

/// A database, shown without user and password.
pub(super) struct Address {
    config: Config,
    tls: Tls,
    /// As in the URI.
    host: String,
    shown: String,
}

/// A connection to the database.
pub(super) struct Link {
    pub(super) client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // A frozen database would never let it end.
        self.driver.abort();
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads `postgres://user:pass@host:5432?db=name`, where the name may also be the path.
    ///
    /// No text it gives back holds anything that could be a part of the password.
    pub(super) fn parse(uri: &str) -> Result<Self, String> {
        let example = "write postgres://USER:PASSWORD@HOST:5432?db=NAME, and what is special in the password as %XX";
        let url = Url::parse(uri).map_err(|error| format!("{error} - {example}"))?;
        if url.fragment().is_some() {
            return Err(format!("there is a # - {example}"));
        }
        // A password with a slash that is not escaped would be cut in two, and shown as the name.
        if url.path().contains('@') {
            return Err(format!("there is an @ in the path - {example}"));
        }
        let decoded = |text| decode(text).ok_or_else(|| format!("not UTF-8 - {example}"));

        let mut host = decoded(url.host_str().unwrap_or_default().trim_matches(['[', ']']))?;
        let mut name = decoded(url.path().trim_matches('/'))?;
        let (mut mode, mut roots) = ("prefer".to_owned(), None);
        for (parameter, value) in url.query_pairs() {
            let value = value.into_owned();
            match &*parameter {
                "db" | "dbname" => name = value.into(),
                "host" => host = value.into(),
                "sslmode" => mode = value,
                "sslrootcert" => roots = Some(value),
                _ => return Err(format!("unknown parameter - known are {KNOWN}; {example}")),
            }
        }
        if host.is_empty() {
            return Err(format!("no host - {example}"));
        }
        let (mode, checked) = match (mode.as_str(), &roots) {
            ("disable", _) => (SslMode::Disable, Checked::Nothing),
            ("prefer", _) => (SslMode::Prefer, Checked::Nothing),
            // As libpq does: if roots are given, they are checked.
            ("require", None) => (SslMode::Require, Checked::Nothing),
            ("require" | "verify-ca", _) => (SslMode::Require, Checked::Authority),
            ("verify-full", _) => (SslMode::Require, Checked::AuthorityAndName),
            _ => {
                return Err(
                    "unknown sslmode - known are disable, prefer, require, verify-ca, verify-full"
                        .into(),
                );
            }
        };
        let port = url.port().unwrap_or(5432);
        let mut config = Config::new();
        config
            .host(&*host)
            .port(port)
            .ssl_mode(mode)
            .application_name("mist")
            // Connections that died unseen are noticed before they are used.
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        let user = decoded(url.username())?;
        if !user.is_empty() {
            config.user(&*user);
        }
        if let Some(password) = url.password() {
            config.password(percent_decode_str(password).collect::<Vec<u8>>());
        }
        if !name.is_empty() {
            config.dbname(&*name);
        }
        let of_name = if name.is_empty() {
            "the user's own database".into()
        } else {
            format!("database '{name}'")
        };
        Ok(Self {
            config,
            tls: Tls::new(checked, roots.as_deref())?,
            shown: format!("{of_name} at {host}:{port}"),
            host: host.into_owned(),
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Connects; what the database tells unasked goes to `told`, which is waited for.
    pub(super) async fn connect<F: Future<Output = ()> + Send>(
        &self,
        told: impl Fn(Notification) -> F + Send + 'static,
    ) -> Result<Link, Error> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            // How it ends, the next question on it finds out.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notification) = message {
                    told(notification).await;
                }
            }
        });
        Ok(Link { client, driver })
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn a_uri_says_where_and_who() {
        for uri in [
            "postgres://me:p%40s%2Fs@db.example:6543?db=mist",
            "postgresql://me:p%40s%2Fs@db.example:6543/mist?sslmode=disable",
        ] {
            let address = Address::parse(uri).expect("it is valid");
            assert_eq!(address.to_string(), "database 'mist' at db.example:6543");
            let config = &address.config;
            assert_eq!(config.get_user(), Some("me"));
            assert_eq!(config.get_password(), Some(b"p@s/s".as_slice()));
            assert_eq!(config.get_dbname(), Some("mist"));
            assert_eq!(config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
            assert_eq!(config.get_ports(), [6543]);
        }
    }

    #[test]
    fn parts_may_be_left_out() {
        let address = Address::parse("postgres://[::1]").expect("it is valid");
        assert_eq!(address.to_string(), "the user's own database at ::1:5432");
        assert_eq!(address.config.get_password(), None);
        #[cfg(unix)]
        for uri in [
            "postgres:///mist?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/mist",
        ] {
            let address = Address::parse(uri).expect("it is valid");
            assert_eq!(
                address.config.get_hosts(),
                [Host::Unix("/run/postgresql".into())]
            );
        }
    }

    #[test]
    fn sslmode_says_what_is_asked_of_the_connection() {
        for (mode, wanted) in [
            ("disable", SslMode::Disable),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
        ] {
            let address = Address::parse(&format!("postgres://h?sslmode={mode}"));
            let address = address.expect("it is valid");
            assert_eq!(address.config.get_ssl_mode(), wanted);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for uri in [
            "postgres://",
            "postgres:///mist",
            "postgres://me:se/cret@h/mist",
            "postgres://me:12?secret@h:5432?db=mist",
            "postgres://me:12#secret@h:5432?db=mist",
            "postgres://me:secret@h:port?db=mist",
            "postgres://me:secret@h?sslmod=require",
            "postgres://me:secret@h?sslmode=sometimes",
            "postgres://me:secret@h?sslmode=verify-full&sslrootcert=/no/such/file",
            "postgres://me:secret@%ff",
        ] {
            let Err(error) = Address::parse(uri) else {
                panic!("{uri} was taken");
            };
            assert!(!error.contains("cret"), "{uri}: {error}");
        }
    }
}
