//! The floor: who knows the answers beforehand still has to hash the tags and touch every client once.

use std::hash::{BuildHasher as _, Hasher as _};
use std::hint::black_box;

use foldhash::fast::FixedState;

use super::super::workload::{Text, Workload};
use super::{Contender, Interner, Targets};

/// Hashes each tag of a message, in one form also looks it up, and passes each client on once.
#[derive(Debug)]
pub(crate) struct Floor<'a> {
    messages: Vec<Vec<&'a str>>,
    answers: &'a [Vec<u32>],
    hasher: FixedState,
    /// The tags, where they are looked up too.
    tags: Option<Interner>,
    targets: Targets,
}

impl<'a> Floor<'a> {
    /// Prepares the floor for a workload, with the receivers of each message.
    pub(crate) fn new(
        workload: &Workload,
        text: &'a Text,
        answers: &'a [Vec<u32>],
        with_look_up: bool,
    ) -> Self {
        let mut tags = Interner::new();
        if with_look_up {
            for (_, set) in workload.subscriptions() {
                for &tag in set {
                    tags.number(&workload.tags[tag as usize]);
                }
            }
        }
        Self {
            messages: text.messages(),
            answers,
            hasher: FixedState::with_seed(1),
            tags: with_look_up.then_some(tags),
            targets: Targets::new(workload.clients),
        }
    }
}

impl Contender for Floor<'_> {
    fn name(&self) -> &'static str {
        match self.tags {
            Some(_) => "floor with look-up",
            None => "floor",
        }
    }

    #[inline]
    fn publish(&mut self, message: usize) -> usize {
        match &self.tags {
            Some(tags) => {
                for tag in &self.messages[message] {
                    black_box(tags.find(tag));
                }
            }
            None => {
                for tag in &self.messages[message] {
                    let mut hasher = self.hasher.build_hasher();
                    hasher.write(tag.as_bytes());
                    black_box(hasher.finish());
                }
            }
        }
        self.targets.found.clear();
        for &client in &self.answers[message] {
            self.targets.add(client);
        }
        self.targets.close()
    }

    fn targets(&self) -> &[u32] {
        &self.targets.found
    }
}
