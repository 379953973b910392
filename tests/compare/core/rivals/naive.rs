//! The naive loop: marks the message's tags and looks at every subscription.

use super::super::workload::{Text, Workload};
use super::{Bits, Contender, Interner, Targets};

/// Looks at every subscription for every message.
#[derive(Debug)]
pub(crate) struct Naive<'a> {
    messages: Vec<Vec<&'a str>>,
    tags: Interner,
    subscriptions: Vec<(u32, Box<[u32]>)>,
    marked: Bits,
    ids: Vec<u32>,
    targets: Targets,
}

impl<'a> Naive<'a> {
    /// Takes all subscriptions of a workload.
    pub(crate) fn new(workload: &Workload, text: &'a Text) -> Self {
        let mut tags = Interner::new();
        let subscriptions = workload.subscriptions().map(|(client, set)| {
            let set = workload.names(set);
            (client, set.iter().map(|name| tags.number(name)).collect())
        });
        let subscriptions = subscriptions.collect();
        Self {
            messages: text.messages(),
            marked: Bits::new(tags.len()),
            tags,
            subscriptions,
            ids: Vec::new(),
            targets: Targets::new(workload.clients),
        }
    }
}

impl Contender for Naive<'_> {
    fn name(&self) -> &'static str {
        "naive loop"
    }

    fn publish(&mut self, message: usize) -> usize {
        let tags = &self.tags;
        self.ids.clear();
        let names = self.messages[message].iter();
        self.ids.extend(names.filter_map(|name| tags.find(name)));
        for &tag in &self.ids {
            self.marked.add(tag);
        }
        self.targets.found.clear();
        for (client, set) in &self.subscriptions {
            if set.iter().all(|&tag| self.marked.has(tag)) {
                self.targets.add(*client);
            }
        }
        for &tag in &self.ids {
            self.marked.remove(tag);
        }
        self.targets.close()
    }

    fn targets(&self) -> &[u32] {
        &self.targets.found
    }
}
