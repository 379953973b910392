//! The crate `a-tree`, an index of boolean expressions, in the forms in which a set of tags can be told to it.

use std::fmt::Write as _;

use a_tree::{ATree, AttributeDefinition};

use super::super::workload::{Text, Workload};
use super::{Contender, Targets};

/// How a set of tags becomes an expression.
///
/// `tags all of ["a", "b"]` is none: it holds when all tags of the message are among those listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One boolean attribute per tag: `a and b`.
    Booleans,
    /// One list of strings, asked for each tag: `tags one of ["a"] and tags one of ["b"]`.
    OneOfEach,
}

/// A tree with all subscriptions of a workload.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    form: Form,
    /// Names of attributes where there is one per tag, else the tags.
    messages: Vec<Vec<&'a str>>,
    tree: ATree<u32>,
    clients: Vec<u32>,
    targets: Targets,
}

impl<'a> Tree<'a> {
    /// All forms.
    pub(crate) const FORMS: [Form; 2] = [Form::Booleans, Form::OneOfEach];

    /// Takes all subscriptions of a workload.
    pub(crate) fn new(
        workload: &Workload,
        text: &'a Text,
        attributes: &'a [String],
        form: Form,
    ) -> Self {
        let definitions: Vec<_> = match form {
            Form::Booleans => attributes
                .iter()
                .map(|name| AttributeDefinition::boolean(name))
                .collect(),
            _ => vec![AttributeDefinition::string_list("tags")],
        };
        let mut tree = ATree::new(&definitions).expect("no attribute is there twice");
        let mut clients = Vec::new();
        for (number, (client, set)) in workload.subscriptions().enumerate() {
            let mut expression = String::new();
            for (at, &tag) in set.iter().enumerate() {
                let name = match form {
                    Form::Booleans => &attributes[tag as usize],
                    _ => &workload.tags[tag as usize],
                };
                let (start, between) = match form {
                    Form::Booleans => ("", " and "),
                    Form::OneOfEach => ("tags one of [", "] and tags one of ["),
                };
                expression.push_str(if at == 0 { start } else { between });
                let _ = match form {
                    Form::Booleans => write!(expression, "{name}"),
                    _ => write!(expression, "\"{name}\""),
                };
            }
            if form != Form::Booleans {
                expression.push(']');
            }
            tree.insert(&(number as u32), &expression)
                .unwrap_or_else(|error| panic!("{expression}: {error:?}"));
            clients.push(client);
        }
        let messages = match form {
            Form::Booleans => {
                let name = |&tag: &u32| attributes[tag as usize].as_str();
                let messages = workload.messages.iter();
                messages
                    .map(|message| message.iter().map(name).collect())
                    .collect()
            }
            _ => text.messages(),
        };
        Self {
            form,
            messages,
            tree,
            clients,
            targets: Targets::new(workload.clients),
        }
    }

    /// The form it was built in.
    pub(crate) fn form(&self) -> Form {
        self.form
    }
}

impl Contender for Tree<'_> {
    fn name(&self) -> &'static str {
        "a-tree"
    }

    fn publish(&mut self, message: usize) -> usize {
        let mut event = self.tree.make_event();
        let names = &self.messages[message];
        match self.form {
            Form::Booleans => {
                for name in names {
                    // Tags that nobody subscribed to are attributes as well.
                    let _ = event.with_boolean(name, true);
                }
            }
            _ => {
                let _ = event.with_string_list("tags", names);
            }
        }
        self.targets.found.clear();
        if let Ok(event) = event.build()
            && let Ok(report) = self.tree.search(&event)
        {
            for &&subscription in report.matches() {
                self.targets.add(self.clients[subscription as usize]);
            }
        }
        self.targets.close()
    }

    fn targets(&self) -> &[u32] {
        &self.targets.found
    }
}
