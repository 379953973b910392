//! What a change of a token means for the sessions that presented it, or are about to.
//!
//! A token may have many sessions, and each of them many subscriptions to check. So this is done a part at a time, and
//! the command that made the change is answered when all parts are done.

use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::{DisconnectReason, Output};
use super::revocation::Revocation;
use super::session::{Phase, Role, SessionId};
use crate::auth::{Access, EditKind, Grants, Rights, TokenEdit, TokenName};
use crate::message::{Refusal, Reply, token_ended};
use crate::sort::sort;

/// Budget of one part, after which others get the broker. The unit is one tag checked.
const PART: usize = 16_384;
/// Cost of removing one subscription, without its tags.
const REMOVAL: usize = 64;
/// Bytes of tags that cost one unit to write to the session.
const BYTES_PER_TAG: usize = 8;

impl Broker {
    /// Answers [`Output::Proceed`]: does the next part of what takes long. If that was the last part of a revocation,
    /// returns the session that waited for it, so that the host reads from it again.
    pub fn proceed(&mut self) -> Option<SessionId> {
        self.is_scheduled = false;
        let mut waiting = None;
        if self.is_expiry_due() {
            self.expire_some();
        } else if let Some(mut revocation) = self.revocations.pop_front() {
            match self.revoke_some(&mut revocation) {
                true => waiting = revocation.waiting,
                false => self.revocations.push_front(revocation),
            }
        }
        self.schedule();
        let session = waiting?;
        if let Some(question) = self.answer(session) {
            // The answer to a change has no data.
            self.finish_question(session, &question, Ok(None));
        }
        Some(session)
    }

    /// Asks the host to go on, if there is something left to do.
    pub(super) fn schedule(&mut self) {
        if !self.is_scheduled && (self.is_revoking() || self.is_expiry_due()) {
            self.is_scheduled = true;
            self.outputs.push_back(Output::Proceed);
        }
    }

    /// Does the first part of a revocation now and queues the rest; returns whether it is done.
    pub(super) fn begin(&mut self, mut revocation: Revocation) -> bool {
        if revocation.sessions.is_empty() && !(revocation.takes && self.is_revoking()) {
            return true;
        }
        if self.revocations.is_empty() && self.revoke_some(&mut revocation) {
            return true;
        }
        self.revocations.push_back(revocation);
        self.schedule();
        false
    }

    /// Removes subscriptions that are no longer granted, and tells their sessions which; returns whether all were
    /// checked.
    fn revoke_some(&mut self, revocation: &mut Revocation) -> bool {
        let mut room = PART;
        loop {
            let Some(session) = revocation.session.or_else(|| revocation.sessions.pop()) else {
                return true;
            };
            if revocation.session.replace(session).is_none() {
                room = room.saturating_sub(1);
                revocation.sets = self.index.held(session.slot).collect();
            }
            // Checked in each part: it may have gone, its slot may be reused, or it may have presented the server's
            // token.
            if self.can_skip(session) {
                revocation.sets.clear();
            }
            let mut lost = Vec::new();
            while room > 0
                && let Some(set) = revocation.sets.pop()
            {
                let Some(mut tags) = self.index.tags_if_held(session.slot, set) else {
                    continue;
                };
                let grants = self.session(session).and_then(|state| self.grants(state));
                let is_granted = |tag: &str| {
                    room = room.saturating_sub(1);
                    grants.is_some_and(|grants| grants.allow_subscribe(tag))
                };
                if !tags.any(is_granted) {
                    let tags = self.index.sorted_tags(set);
                    let bytes: usize = tags.iter().map(|tag| tag.len()).sum();
                    room = room.saturating_sub(REMOVAL + bytes / BYTES_PER_TAG);
                    lost.push((tags, set));
                }
            }
            sort(&mut lost);
            let owned = |tags: Vec<&str>| tags.into_iter().map(String::from).collect();
            let lost: Vec<(Vec<String>, _)> = lost
                .into_iter()
                .map(|(tags, set)| (owned(tags), set))
                .collect();
            let error = Refusal::Revoked.to_error();
            for (tags, set) in lost {
                self.index.remove(set, session.slot);
                if revocation.is_told {
                    continue;
                }
                let tags: Vec<_> = tags.iter().map(String::as_str).collect();
                let reply = Reply {
                    command: "unsubscribe",
                    tags: &tags,
                    error: Some(&error),
                    ..Reply::default()
                };
                self.send(session, reply.encode());
            }
            if revocation.sets.is_empty() {
                revocation.session = None;
                if revocation.closes {
                    room = room.saturating_sub(REMOVAL);
                    self.close_revoked(session);
                }
            }
            if room == 0 {
                return revocation.session.is_none() && revocation.sessions.is_empty();
            }
        }
    }

    /// Closes a session whose token was revoked, unless it has presented another meanwhile.
    fn close_revoked(&mut self, session: SessionId) {
        let Some(state) = self.session_mut(session) else {
            return;
        };
        if matches!(state.role, Role::Revoked) && !state.is_closing() {
            state.phase = Phase::Closing;
            self.send_error(session, "", &token_ended(), None);
            let reason = DisconnectReason::TokenEnded;
            self.outputs.push_back(Output::Close { session, reason });
        }
    }

    fn is_revoking(&self) -> bool {
        !self.revocations.is_empty()
    }

    /// Whether a session need not be checked: it has gone, or may subscribe to every tag.
    fn can_skip(&self, session: SessionId) -> bool {
        self.session(session).is_none_or(|state| match state.role {
            Role::Admin => true,
            Role::Anonymous | Role::Revoked => self.access == Access::Open,
            Role::Token { .. } => self.access == Access::Open,
        })
    }

    /// Applies a change of a token to all sessions that presented it; returns the sessions whose subscriptions must be
    /// checked.
    pub(super) fn apply_edit(&mut self, edit: &TokenEdit) -> Revocation {
        let token = match &edit.name {
            TokenName::Token(token) => &**token,
            // The host has found no session that goes by it.
            TokenName::Hash(_) => "",
        };
        let Some(holders) = self.holders.get_mut(token) else {
            let takes = edit.removes() || edit.kind == EditKind::Unset;
            return Revocation {
                takes,
                ..Revocation::default()
            };
        };
        // A login that is under way looks its token up again.
        holders.changes = holders.changes.wrapping_add(1);
        match edit.kind {
            EditKind::Register => Revocation::default(),
            EditKind::Unregister => self.revoke_token(token),
            EditKind::End => self.revoke_token(token).closing(),
            EditKind::Set => {
                let former = holders.grants.expires_at;
                edit.change(&mut holders.grants);
                let end = holders.grants.expires_at;
                self.move_end(token, former, end);
                Revocation::default()
            }
            EditKind::Unset => {
                let grants = &mut holders.grants;
                // Most often nobody has subscribed to the tags that are taken.
                let is_used =
                    |tag: &&String| grants.allow_subscribe(tag) && self.index.has_tag(tag);
                let is_felt =
                    edit.rights != Rights::Publish && edit.tags.iter().any(|tag| is_used(&tag));
                edit.change(grants);
                Revocation::taking(match is_felt {
                    true => holders.sessions.clone(),
                    false => Vec::new(),
                })
            }
        }
    }

    /// Takes a token from all sessions that presented it.
    pub(super) fn revoke_token(&mut self, token: &str) -> Revocation {
        let Some(holders) = self.holders.get_mut(token) else {
            return Revocation::taking(Vec::new());
        };
        let sessions = core::mem::take(&mut holders.sessions);
        self.set_grants(token, Grants::default());
        self.forget_unused(token);
        for &session in &sessions {
            self.take_token(session);
        }
        Revocation::taking(sessions)
    }
}
