//! Owns opening the generator's connections: the token, the subscriptions, proof that they are live.

use std::time::Duration;

use mist_net::connect::Connector;
use mist_net::transport::Connection;
use serde_json::json;

use super::message::{Heard, data_finder, read};
use super::stall::PATIENCE;
use crate::cli::connect::{Target, explained, refused};
use crate::cli::exit::{Code, Stop};
use crate::cli::open_files;

/// How many subscriptions are asked for before their answers are read: a server stops reading from a client that does
/// not read.
const AT_ONCE: usize = 256;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Files that this program has open besides its connections, and a few to spare.
const OTHER_FILES: usize = 32;

/// Refuses more connections than the system lets this program open, before the first of them is.
pub(super) fn check_open_files(connections: usize) -> Result<(), Stop> {
    let needed = connections + OTHER_FILES;
    match open_files::limit() {
        Some(limit) if limit < needed as u64 => Err(Stop::failed(format!(
            "{connections} connections are too many: the system lets this program open {limit} files (ulimit -n); \
             take fewer, or raise that limit to {needed}"
        ))),
        _ => Ok(()),
    }
}

/// Opens connections to one server.
#[derive(Clone)]
pub(super) struct Opener {
    connector: Connector,
    token: Option<String>,
    host: String,
}

impl Opener {
    pub(super) async fn new(target: &Target) -> Result<Self, Stop> {
        Ok(Self {
            connector: target.connector().await?,
            token: target.token().map(str::to_owned),
            host: target.host.clone(),
        })
    }

    /// Opens a connection that holds these subscriptions; `early` gets messages that arrive before all of them are
    /// there.
    pub(super) async fn open(
        &self,
        sets: &[Vec<String>],
        mut early: impl FnMut(&[u8]),
    ) -> Result<Connection, Stop> {
        let mut link = tokio::time::timeout(CONNECT_TIMEOUT, self.connector.connect())
            .await
            .map_err(|_| self.unreachable(&format!("no answer within {CONNECT_TIMEOUT:?}")))?
            .map_err(|error| self.unreachable(&explained(&error)))?;
        let token = self.token.iter();
        let auth = token.map(|token| json!({"command": "auth", "data": token, "id": 1}));
        self.ask(&mut link, &auth.collect::<Vec<_>>(), &mut early)
            .await?;
        for sets in sets.chunks(AT_ONCE) {
            let subscribe = |set| json!({"command": "subscribe", "tags": set, "id": 1});
            let requests: Vec<_> = sets.iter().map(subscribe).collect();
            self.ask(&mut link, &requests, &mut early).await?;
        }
        // A system or a proxy takes connections for servers that are not there.
        self.ask(
            &mut link,
            &[json!({"command": "ping", "id": 1})],
            &mut early,
        )
        .await?;
        Ok(link)
    }

    fn unreachable(&self, reason: &str) -> Stop {
        let text = format!("Failed to connect to '{}' - {reason}", self.host);
        Stop::new(Code::CannotConnect, text)
    }

    async fn ask(
        &self,
        link: &mut Connection,
        requests: &[serde_json::Value],
        early: &mut impl FnMut(&[u8]),
    ) -> Result<(), Stop> {
        let lines = requests.iter().map(|request| format!("{request}\n"));
        let lines: String = lines.collect();
        let lost = |reason: String| self.unreachable(&reason);
        // A server that refuses the connection says why before closing it; this can be read even if writing fails.
        let written = link.writer.send(lines.into()).await;
        let (mut left, mut complaint, data) = (requests.len(), None, data_finder());
        while left > 0 {
            let answers = tokio::time::timeout(PATIENCE, link.reader.read());
            answers
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {:?}", PATIENCE)))
                .map_err(|reason| lost(written.clone().err().unwrap_or(reason)))?;
            link.reader
                .received()
                .each(|message| match read(message, &data) {
                    Heard::Answer => left = left.saturating_sub(1),
                    Heard::Error(command, reason) => {
                        left = 0;
                        complaint.get_or_insert((command, reason));
                    }
                    _ => early(message),
                });
            if let Some((command, reason)) = complaint {
                return Err(match command.as_str() {
                    "auth" => Stop::new(
                        Code::AuthRefused,
                        format!("the server refused the token: {reason}; check the token"),
                    ),
                    _ => refused(&command, &reason),
                });
            }
        }
        Ok(())
    }
}
