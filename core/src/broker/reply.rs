//! Sending replies to a session, in the forms that most commands need.

use alloc::vec::Vec;

use super::Broker;
use super::output::Output;
use super::session::SessionId;
use crate::error::ServerError;
use crate::message::{Data, Message, Refusal, Reply, write_refusal};

impl Broker {
    pub(super) fn send(&mut self, session: SessionId, message: Vec<u8>) {
        self.outputs.push_back(Output::Send { session, message });
    }

    pub(super) fn send_error(
        &mut self,
        session: SessionId,
        command: &str,
        error: &ServerError,
        id: Option<&str>,
    ) {
        let reply = Reply {
            command,
            error: Some(error),
            id,
            ..Reply::default()
        };
        self.send(session, reply.encode());
    }

    /// Answers a command that succeeded silently, if its sender asked to know.
    pub(super) fn acknowledge(
        &mut self,
        session: SessionId,
        command: &str,
        tags: &[&str],
        id: Option<&str>,
    ) {
        if id.is_some() {
            let reply = Reply {
                command,
                tags,
                data: Data::Text("success"),
                id,
                ..Reply::default()
            };
            self.send(session, reply.encode());
        }
    }

    pub(super) fn refuse(&mut self, session: SessionId, message: &Message<'_>, refusal: &Refusal) {
        let mut reply = Vec::new();
        write_refusal(message, refusal, &mut reply);
        self.send(session, reply);
    }
}
