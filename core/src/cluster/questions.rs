//! Owns the questions that a node has asked the others: who has still to answer, and until when.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::output::{Answers, Output, QuestionId};
use super::status::NodeId;

/// How long others have to answer a question.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Bytes of answers to one question, at most; a node that says more has not answered.
const ANSWER_BYTES: usize = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct Questions {
    last: u64,
    open: BTreeMap<QuestionId, Question>,
}

#[derive(Debug)]
struct Question {
    asked: Duration,
    waiting: BTreeMap<NodeId, Waiting>,
    bytes: usize,
    answers: Answers,
}

#[derive(Debug)]
struct Waiting {
    name: String,
    next: u64,
    body: Vec<u8>,
}

impl Question {
    fn end(mut self, question: QuestionId, outputs: &mut VecDeque<Output>) {
        let silent = self.waiting.into_values().map(|waiting| waiting.name);
        self.answers.silent.extend(silent);
        self.answers.silent.sort();
        self.answers.given.sort();
        let answers = self.answers;
        outputs.push_back(Output::Answered { question, answers });
    }
}

impl Questions {
    /// Begins with a question to some nodes, beside others that are known to be silent; with none it is answered at once.
    pub(super) fn begin(
        &mut self,
        now: Duration,
        nodes: Vec<(NodeId, String)>,
        silent: Vec<String>,
        outputs: &mut VecDeque<Output>,
    ) -> QuestionId {
        self.last += 1;
        let id = QuestionId(self.last);
        let waiting = nodes.into_iter().map(|(node, name)| {
            let waiting = Waiting {
                name,
                next: 0,
                body: Vec::new(),
            };
            (node, waiting)
        });
        let question = Question {
            asked: now,
            waiting: waiting.collect(),
            bytes: 0,
            answers: Answers {
                silent,
                ..Answers::default()
            },
        };
        match question.waiting.is_empty() {
            true => question.end(id, outputs),
            false => drop(self.open.insert(id, question)),
        }
        id
    }

    /// Takes a piece of an answer: its place, the last place, and what it says.
    pub(super) fn take(
        &mut self,
        now: Duration,
        id: QuestionId,
        node: NodeId,
        (at, last, body): (u64, u64, &[u8]),
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(question) = self.open.get_mut(&id) else {
            return;
        };
        let Some(waiting) = question.waiting.get_mut(&node) else {
            return;
        };
        question.bytes += body.len();
        if waiting.next != at || question.bytes > ANSWER_BYTES {
            return;
        }
        waiting.next += 1;
        waiting.body.extend_from_slice(body);
        if at == last
            && let Some(Waiting { name, body, .. }) = question.waiting.remove(&node)
        {
            let took = now.saturating_sub(question.asked);
            question.answers.given.push((name, body, took));
            self.end_answered(id, outputs);
        }
    }

    /// Waits no longer for a node that has gone.
    pub(super) fn forget(&mut self, node: NodeId, outputs: &mut VecDeque<Output>) {
        let ids: Vec<_> = self.open.keys().copied().collect();
        for id in ids {
            let Some(question) = self.open.get_mut(&id) else {
                continue;
            };
            if let Some(waiting) = question.waiting.remove(&node) {
                question.answers.silent.push(waiting.name);
            }
            self.end_answered(id, outputs);
        }
    }

    /// Waits no longer for those that have had their time.
    pub(super) fn expire(&mut self, now: Duration, outputs: &mut VecDeque<Output>) {
        let is_over = |question: &Question| now.saturating_sub(question.asked) >= ANSWER_WITHIN;
        let over = self.open.iter().filter(|(_, question)| is_over(question));
        let over: Vec<_> = over.map(|(id, _)| *id).collect();
        for id in over {
            if let Some(question) = self.open.remove(&id) {
                question.end(id, outputs);
            }
        }
    }

    fn end_answered(&mut self, id: QuestionId, outputs: &mut VecDeque<Output>) {
        let is_answered = |question: &Question| question.waiting.is_empty();
        if self.open.get(&id).is_some_and(is_answered)
            && let Some(question) = self.open.remove(&id)
        {
            question.end(id, outputs);
        }
    }
}
