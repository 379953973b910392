//! A set-trie: the tags of a set from the rarest to the most popular are a path, and the message's tags are tried
//! along all paths that they allow.

use super::super::workload::{Text, Workload};
use super::{Contender, Interner, Targets};

/// Up to so many children, they and the message's tags are walked side by side instead of searched.
const WALKED: usize = 16;

#[derive(Debug, Default)]
struct Node {
    /// Rank of a tag and number of a node, sorted.
    children: Vec<(u32, u32)>,
    /// Who has the set that ends here.
    clients: Vec<u32>,
}

/// A trie of sets, rare tags first.
///
/// It is told beforehand how popular each tag will be, which a broker cannot know.
#[derive(Debug)]
pub(crate) struct Trie<'a> {
    messages: Vec<Vec<&'a str>>,
    tags: Interner,
    /// The rank of each tag; 0 is the rarest.
    ranks: Vec<u32>,
    /// The children of the root by rank; 0 is none.
    roots: Vec<u32>,
    nodes: Vec<Node>,
    wanted: Vec<u32>,
    targets: Targets,
}

impl<'a> Trie<'a> {
    /// Takes all subscriptions of a workload.
    pub(crate) fn new(workload: &Workload, text: &'a Text) -> Self {
        let mut tags = Interner::new();
        let mut uses = Vec::new();
        for (_, set) in workload.subscriptions() {
            for name in workload.names(set) {
                let number = tags.number(name) as usize;
                uses.resize(tags.len(), 0_u32);
                uses[number] += 1;
            }
        }
        let mut by_rank: Vec<_> = (0..tags.len()).collect();
        by_rank.sort_by_key(|&number| uses[number]);
        let mut ranks = vec![0; tags.len()];
        for (rank, &number) in by_rank.iter().enumerate() {
            ranks[number] = rank as u32;
        }
        let mut trie = Self {
            messages: text.messages(),
            roots: vec![0; tags.len()],
            tags,
            ranks,
            // The first stands for none.
            nodes: vec![Node::default()],
            wanted: Vec::new(),
            targets: Targets::new(workload.clients),
        };
        for (client, set) in workload.subscriptions() {
            trie.subscribe(client, &workload.names(set));
        }
        trie
    }

    fn subscribe(&mut self, client: u32, names: &[&str]) {
        let mut path = Vec::new();
        find_ranks(&self.tags, &self.ranks, names, &mut path);
        let root = path[0] as usize;
        if self.roots[root] == 0 {
            self.roots[root] = self.add_node();
        }
        let mut at = self.roots[root];
        for &rank in &path[1..] {
            let children = &self.nodes[at as usize].children;
            at = match children.binary_search_by_key(&rank, |&(rank, _)| rank) {
                Ok(place) => children[place].1,
                Err(place) => {
                    let child = self.add_node();
                    let children = &mut self.nodes[at as usize].children;
                    children.insert(place, (rank, child));
                    child
                }
            };
        }
        let clients = &mut self.nodes[at as usize].clients;
        if !clients.contains(&client) || clients.len() > WALKED {
            clients.push(client);
        }
    }

    fn add_node(&mut self) -> u32 {
        self.nodes.push(Node::default());
        self.nodes.len() as u32 - 1
    }
}

/// The ranks of those tags that there are, sorted.
#[inline]
fn find_ranks(tags: &Interner, ranks: &[u32], names: &[&str], found: &mut Vec<u32>) {
    found.clear();
    let numbers = names.iter().filter_map(|name| tags.find(name));
    found.extend(numbers.map(|number| ranks[number as usize]));
    found.sort_unstable();
}

/// Finds all sets below `node` whose other tags are among `wanted`.
fn descend(nodes: &[Node], node: u32, wanted: &[u32], targets: &mut Targets) {
    let node = &nodes[node as usize];
    for &client in &node.clients {
        targets.add(client);
    }
    let mut children = &node.children[..];
    if children.is_empty() {
        return;
    }
    for (at, rank) in wanted.iter().enumerate() {
        let passed = match children.len() <= WALKED {
            true => children.iter().take_while(|child| child.0 < *rank).count(),
            false => children.partition_point(|child| child.0 < *rank),
        };
        children = &children[passed..];
        match children.first() {
            None => return,
            Some(child) if child.0 == *rank => {
                descend(nodes, child.1, &wanted[at + 1..], targets);
            }
            Some(_) => {}
        }
    }
}

impl Contender for Trie<'_> {
    fn name(&self) -> &'static str {
        "set-trie"
    }

    fn publish(&mut self, message: usize) -> usize {
        let names = &self.messages[message];
        find_ranks(&self.tags, &self.ranks, names, &mut self.wanted);
        self.targets.found.clear();
        for (at, &rank) in self.wanted.iter().enumerate() {
            let root = self.roots[rank as usize];
            if root != 0 {
                let rest = &self.wanted[at + 1..];
                descend(&self.nodes, root, rest, &mut self.targets);
            }
        }
        self.targets.close()
    }

    fn targets(&self) -> &[u32] {
        &self.targets.found
    }
}
