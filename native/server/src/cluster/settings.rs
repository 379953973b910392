//! Owns what can be set in the URI `nats://…` of a cluster, and its defaults.

use std::path::PathBuf;
use std::time::Duration;

use mist_net::address::without_secrets;
use percent_encoding::percent_decode_str;

const KNOWN: &str = "name, node, ca, cert, key, reconnect, foreign";
/// What a cluster is called unless it is said.
const NAME: &str = "mist";
/// The longest pause between two attempts to connect, unless it is said, in seconds.
const RECONNECT: u64 = 4;
/// What a node is called where the host's name is not known.
const NODE: &str = "node";
/// Letters in the name of a cluster or node, at most.
const MOST_LETTERS: usize = 64;

/// What was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// The addresses of NATS servers, with what may be secret in them.
    pub(super) servers: Vec<String>,
    /// The name of the cluster.
    pub(super) name: String,
    /// The name of this node.
    pub(super) node: String,
    pub(super) is_encrypted: bool,
    /// A PEM file with the authority that vouches for the servers.
    pub(super) ca: Option<PathBuf>,
    /// PEM files with this node's certificate and its key.
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    pub(super) reconnect: Duration,
    /// Whether programs on NATS may publish without being nodes.
    pub(super) takes_foreign: bool,
}

impl Settings {
    pub(super) fn parse(uri: &str) -> Result<Self, String> {
        let (servers, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut given = Given::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| format!("the value of '{name}' is not UTF-8"))?;
            let place = given
                .place(name)
                .ok_or_else(|| format!("unknown parameter '{name}'; known are {KNOWN}"))?;
            if value.is_empty() {
                return Err(format!("'{name}' is empty"));
            }
            if place.replace(value.into_owned()).is_some() {
                return Err(format!("'{name}' is given twice"));
            }
        }
        let servers = addresses(servers)?;
        let is_encrypted = servers.iter().any(|server| server.starts_with("tls://"));
        let certificate = match (given.cert, given.key) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err("'cert' and 'key' belong together".into()),
        };
        if !is_encrypted && (given.ca.is_some() || certificate.is_some()) {
            return Err("'ca', 'cert' and 'key' are for tls:// alone".into());
        }
        Ok(Self {
            name: word("name", given.name.unwrap_or_else(|| NAME.into()))?,
            node: match given.node {
                Some(node) => word("node", node)?,
                None => host_name(),
            },
            is_encrypted,
            ca: given.ca.map(PathBuf::from),
            certificate,
            reconnect: match given.reconnect {
                None => Duration::from_secs(RECONNECT),
                Some(text) => seconds(&text)?,
            },
            takes_foreign: match given.foreign.as_deref() {
                None | Some("off") => false,
                Some("on") => true,
                Some(other) => return Err(format!("'foreign' is '{other}', and not on or off")),
            },
            servers,
        })
    }

    /// The addresses of the servers, without what may be secret in them.
    pub(super) fn shown(&self) -> String {
        let shown: Vec<_> = self
            .servers
            .iter()
            .map(|server| without_secrets(server))
            .collect();
        shown.join(", ")
    }
}

#[derive(Default)]
struct Given {
    name: Option<String>,
    node: Option<String>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    reconnect: Option<String>,
    foreign: Option<String>,
}

impl Given {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "name" => &mut self.name,
            "node" => &mut self.node,
            "ca" => &mut self.ca,
            "cert" => &mut self.cert,
            "key" => &mut self.key,
            "reconnect" => &mut self.reconnect,
            "foreign" => &mut self.foreign,
            _ => return None,
        })
    }
}

/// Reads `nats://user:password@one:4222,two:4222`: a server without a scheme has that of the first, and all have one user.
fn addresses(text: &str) -> Result<Vec<String>, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !matches!(scheme, "nats" | "tls") {
        return Err("it has to begin with nats:// or tls://".into());
    }
    let mut first_user = None;
    let mut all = Vec::new();
    for one in rest.split(',').map(str::trim) {
        let place = match one.split_once("://") {
            Some((own, place)) if own == scheme => place,
            Some((own, _)) => {
                return Err(format!(
                    "one server is at {own}:// and another at {scheme}://"
                ));
            }
            None => one,
        };
        let (user, host) = match place.rsplit_once('@') {
            Some((user, host)) => (user, host),
            None => (first_user.unwrap_or_default(), place),
        };
        if *first_user.get_or_insert(user) != user {
            return Err("all servers have the user of the first".into());
        }
        let host = host.trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            return Err("each server is HOST:PORT, with a comma between two".into());
        }
        all.push(match user {
            "" => format!("{scheme}://{host}"),
            user => format!("{scheme}://{user}@{host}"),
        });
    }
    Ok(all)
}

/// A name that may stand in a subject of NATS.
fn word(parameter: &str, text: String) -> Result<String, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let is_node = parameter == "node";
    let is_fit = text
        .chars()
        .all(|letter| fits(letter) || is_node && letter == '.');
    match is_fit && text.len() <= MOST_LETTERS {
        true => Ok(text),
        false => Err(format!(
            "'{parameter}' is '{}': it has up to {MOST_LETTERS} letters of A-Z, a-z, 0-9, '-' and '_'",
            text.escape_debug()
        )),
    }
}

fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    let name = word("node", name).ok().filter(|name| !name.is_empty());
    name.unwrap_or_else(|| NODE.into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let number = number.filter(|number| (1..=3600).contains(number));
    number.map(Duration::from_secs).ok_or_else(|| {
        format!("'reconnect' is '{text}', and not a number of seconds from 1 to 3600")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let settings = Settings::parse("nats://127.0.0.1:4222").expect("it is one");
        assert_eq!(settings.servers, ["nats://127.0.0.1:4222"]);
        assert_eq!(
            (settings.name.as_str(), settings.takes_foreign),
            ("mist", false)
        );
        assert_eq!(settings.reconnect, Duration::from_secs(4));
        assert!(!settings.node.is_empty());
    }

    #[test]
    fn several_servers_have_the_scheme_and_the_user_of_the_first() {
        let uri = "tls://mist:s%40cret@one:4222,two:4223,tls://mist:s%40cret@three:4222/\
                   ?name=east&node=a.1&ca=/etc/ca%20file.pem&cert=c&key=k&reconnect=2s&foreign=on";
        let settings = Settings::parse(uri).expect("it is one");
        let servers = [
            "tls://mist:s%40cret@one:4222",
            "tls://mist:s%40cret@two:4223",
            "tls://mist:s%40cret@three:4222",
        ];
        assert_eq!(settings.servers, servers);
        assert_eq!(settings.ca, Some("/etc/ca file.pem".into()));
        assert!(settings.is_encrypted && settings.takes_foreign);
        assert!(!settings.shown().contains("cret"), "{}", settings.shown());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name_and_what_it_may_be() {
        for (uri, words) in [
            ("redis://h", "nats:// or tls://"),
            ("nats://", "HOST:PORT"),
            ("nats://a,,b", "HOST:PORT"),
            ("nats://a/b", "HOST:PORT"),
            ("nats://a,tls://b", "tls:// and another at nats://"),
            ("nats://u:p@a,other@b", "the user of the first"),
            ("nats://a,u:p@b", "the user of the first"),
            ("nats://a?name=b.c", "'name' is 'b.c'"),
            ("nats://a?node=x%20y", "'node' is 'x y'"),
            ("nats://a?name=", "'name' is empty"),
            ("nats://a?name=a&name=b", "'name' is given twice"),
            ("nats://a?nme=b", "unknown parameter 'nme'; known are name"),
            ("nats://a?ca=x", "for tls:// alone"),
            ("tls://a?cert=x", "belong together"),
            ("nats://a?reconnect=0", "from 1 to 3600"),
            ("nats://a?foreign=yes", "not on or off"),
        ] {
            let error = Settings::parse(uri).expect_err(uri);
            assert!(error.contains(words), "{uri}: {error}");
        }
    }
}
