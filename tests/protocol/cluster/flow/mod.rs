//! Owns traffic that goes on while a cluster is in trouble: publishers and readers at every node, who know at any moment
//! whether something came twice, out of order or not at all. It must not know what the trouble is.

mod clients;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mist_tests::client::Kind;
use tokio::task::JoinHandle;

use self::clients::{Counts, Heard, TAGS, Wanted, lock, publish, read};

use super::{Ear, Node, WAYS, Way, poll, settle};

/// Traffic over the nodes that it was told of.
#[derive(Default)]
pub(super) struct Flow {
    publishers: Vec<Publisher>,
    readers: Vec<Reader>,
    is_over: Arc<AtomicBool>,
}

struct Publisher {
    node: String,
    is_there: bool,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

struct Reader {
    node: String,
    is_there: bool,
    wanted: Wanted,
    /// Whether it is told how many messages it did not get.
    is_told: bool,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Flow {
    /// Begins with some nodes, of which every reader hears all from the first message on.
    pub(super) async fn start(nodes: &[Node]) -> Self {
        let mut flow = Self::default();
        for node in nodes {
            flow.add_readers(node).await;
        }
        settle(nodes).await;
        for node in nodes {
            flow.add_publishers(node).await;
        }
        flow.heals().await;
        flow
    }

    /// Adds the last of these nodes, which has met the others.
    pub(super) async fn join(&mut self, nodes: &[Node]) {
        let node = nodes.last().expect("one at least");
        let before = self.readers.len();
        self.add_readers(node).await;
        settle(nodes).await;
        for reader in &self.readers[before..] {
            let mut heard = lock(&reader.heard);
            for (who, publisher) in self.publishers.iter().enumerate() {
                let sent = publisher.counts.sent.load(Ordering::SeqCst);
                heard.by_publisher.entry(who).or_default().owe(sent);
            }
        }
        self.add_publishers(node).await;
        self.heals().await;
    }

    /// One who hears everything and uses `id`, one who hears everything and does not, and some who hear little.
    async fn add_readers(&mut self, node: &Node) {
        let few = self.readers.len() as u64;
        for (at, wanted) in [
            Wanted::All,
            Wanted::All,
            Wanted::One(few % TAGS),
            Wanted::One(3),
        ]
        .into_iter()
        .enumerate()
        {
            let way = match (at, wanted) {
                (0, _) => [Way::Tcp, Way::Ws][self.readers.len() / 4 % 2],
                _ => WAYS[(at + self.readers.len() / 4) % WAYS.len()],
            };
            let ear = Ear::open(node, way, &[vec![wanted.tag()]], at == 0).await;
            // A stream of events is told in any case.
            let is_told = at == 0 || way == Way::Events;
            let heard = Heard::default();
            let heard = Arc::new(Mutex::new(heard));
            let task = tokio::spawn(read(ear, wanted, is_told, Arc::clone(&heard)));
            self.readers.push(Reader {
                node: node.name.clone(),
                is_there: true,
                wanted,
                is_told,
                heard,
                task,
            });
        }
    }

    async fn add_publishers(&mut self, node: &Node) {
        for kind in [Kind::Tcp, Kind::Ws] {
            let wire = node.place().connect(kind).await.wire;
            let counts = Arc::default();
            let (who, over) = (self.publishers.len(), Arc::clone(&self.is_over));
            for reader in &self.readers {
                let mut heard = lock(&reader.heard);
                heard.by_publisher.entry(who).or_default().owe(0);
            }
            let task = tokio::spawn(publish(wire, who, Arc::clone(&counts), over));
            self.publishers.push(Publisher {
                node: node.name.clone(),
                is_there: true,
                counts,
                task,
            });
        }
    }

    /// Waits until every reader has heard something of every publisher that was not yet said when this was asked for.
    pub(super) async fn heals(&self) {
        self.flows("messages of all to all", |_, _| true).await;
    }

    /// The same for readers and publishers at the same node.
    pub(super) async fn flows_within_nodes(&self) {
        self.flows("messages within nodes", |from, to| from == to)
            .await;
    }

    /// The same for readers and publishers at some nodes; `between` is asked where each is.
    pub(super) async fn flows(&self, what: &str, between: impl Fn(&str, &str) -> bool) {
        let published = self.publishers.iter();
        let sent: Vec<_> = published
            .map(|publisher| publisher.counts.sent.load(Ordering::SeqCst))
            .collect();
        let has_new = |reader: &Reader| {
            let heard = lock(&reader.heard);
            sent.iter().enumerate().all(|(who, sent)| {
                let publisher = &self.publishers[who];
                !publisher.is_there
                    || !between(&publisher.node, &reader.node)
                    || heard.by_publisher[&who].last >= Some(*sent)
            })
        };
        let flows = poll(async || {
            self.check();
            let mut there = self.readers.iter().filter(|reader| reader.is_there);
            there.all(has_new)
        });
        assert!(flows.await, "these do not flow: {what}\n{}", self.picture());
    }

    /// Fails if a reader or a publisher of a node that is there has.
    fn check(&self) {
        for reader in self.readers.iter().filter(|reader| reader.is_there) {
            let is_over = reader.task.is_finished();
            assert!(
                !is_over,
                "a reader at {} has ended\n{}",
                reader.node,
                self.picture()
            );
        }
        for publisher in self.publishers.iter().filter(|one| one.is_there) {
            let is_over = publisher.task.is_finished();
            assert!(!is_over, "a publisher at {} has ended", publisher.node);
        }
    }

    /// What each reader missed so far of the messages of other nodes, and that none missed any of its own node's.
    fn gaps(&self) -> Vec<u64> {
        let gaps = |reader: &Reader| {
            let heard = lock(&reader.heard);
            let mut gaps = 0;
            for (who, track) in &heard.by_publisher {
                let node = &self.publishers[*who].node;
                let is_own = *node == reader.node;
                assert!(
                    !is_own || track.gaps == 0,
                    "a reader at {node} missed {} of its own node",
                    track.gaps
                );
                gaps += track.gaps;
            }
            gaps
        };
        self.readers.iter().map(gaps).collect()
    }

    /// Nothing has been missed so far.
    pub(super) fn is_whole(&self) {
        let gaps = self.gaps();
        let all: u64 = gaps.iter().sum();
        assert_eq!(all, 0, "messages are missing\n{}", self.picture());
    }

    /// Waits until every node has counted what its readers have missed, and who uses `id` was told of it; all traffic flows
    /// again. Returns how many that were.
    pub(super) async fn are_gaps_told(&self, nodes: &[Node]) -> u64 {
        let mut all = 0;
        for node in nodes {
            let mut last = Vec::new();
            let told = poll(async || {
                let missed = node.state().await.missed();
                let gaps = self.gaps().into_iter().zip(&self.readers);
                last = gaps
                    .filter(|(_, reader)| reader.node == node.name && reader.is_there)
                    .filter(|(_, reader)| matches!(reader.wanted, Wanted::All))
                    .map(|(gaps, reader)| match reader.is_told {
                        true => [gaps, missed, lock(&reader.heard).told],
                        false => [gaps, missed, missed],
                    })
                    .collect();
                let is_told = last
                    .iter()
                    .all(|[gaps, missed, told]| gaps == missed && missed == told);
                all += if is_told { missed } else { 0 };
                is_told
            });
            assert!(
                told.await,
                "at {}: readers miss, the node counts, readers are told of {last:?}\n{}",
                node.name,
                self.picture()
            );
        }
        all
    }

    /// Expects the clients of a node to lose their connections.
    pub(super) fn leaves(&mut self, node: &Node) {
        for reader in self.readers.iter_mut().filter(|one| one.node == node.name) {
            reader.is_there = false;
        }
        let published = self.publishers.iter_mut();
        for publisher in published.filter(|one| one.node == node.name) {
            publisher.is_there = false;
        }
    }

    /// Waits until those who are there have heard all that a node that has left had answered, and nothing in front of it is
    /// missing.
    pub(super) async fn gets_all_answered_by(&mut self, node: &Node) {
        for (who, publisher) in self.publishers.iter_mut().enumerate() {
            if publisher.node != node.name {
                continue;
            }
            mist_tests::within(&mut publisher.task)
                .await
                .expect("it ends in order");
            let answered = publisher.counts.answered.load(Ordering::SeqCst);
            for reader in self.readers.iter().filter(|reader| reader.is_there) {
                let last = (0..answered).rev().find(|one| reader.wanted.has(who, *one));
                let track = || {
                    let heard = lock(&reader.heard);
                    let track = &heard.by_publisher[&who];
                    (track.last, track.gaps)
                };
                let has_all = poll(async || track().0 >= last).await;
                let (came, gaps) = track();
                assert!(
                    has_all && gaps == 0,
                    "a reader at {} has {came:?} of {answered} that {} has answered, and misses {gaps}",
                    reader.node,
                    node.name
                );
            }
        }
    }

    /// Nothing of a node that has been killed is missing in front of what came last.
    pub(super) fn got_a_beginning_of(&self, node: &Node) {
        for reader in self.readers.iter().filter(|reader| reader.is_there) {
            for (who, track) in &lock(&reader.heard).by_publisher {
                let is_of_node = self.publishers[*who].node == node.name;
                assert!(!is_of_node || track.gaps == 0, "{} missing", track.gaps);
            }
        }
    }

    /// Ends: the last of every publisher has arrived everywhere. Returns how many messages were published.
    pub(super) async fn finish(mut self) -> u64 {
        self.is_over.store(true, Ordering::SeqCst);
        for publisher in self.publishers.iter_mut().filter(|one| one.is_there) {
            let ended = mist_tests::within(&mut publisher.task).await;
            ended.expect("it ends in order");
        }
        let sent = |publisher: &Publisher| publisher.counts.sent.load(Ordering::SeqCst);
        let is_there = |reader: &Reader, (who, publisher): (usize, &Publisher)| {
            let last = (0..sent(publisher))
                .rev()
                .find(|serial| reader.wanted.has(who, *serial));
            !publisher.is_there || lock(&reader.heard).by_publisher[&who].last >= last
        };
        let ends = poll(async || {
            let mut readers = self.readers.iter().filter(|reader| reader.is_there);
            readers.all(|reader| {
                let mut publishers = self.publishers.iter().enumerate();
                publishers.all(|publisher| is_there(reader, publisher))
            })
        });
        assert!(ends.await, "the last does not arrive\n{}", self.picture());
        self.publishers.iter().map(sent).sum()
    }

    fn picture(&self) -> String {
        let mut text = String::new();
        for publisher in &self.publishers {
            let (sent, answered) = (&publisher.counts.sent, &publisher.counts.answered);
            let (sent, answered) = (sent.load(Ordering::SeqCst), answered.load(Ordering::SeqCst));
            text += &format!(
                "publisher at {}: {sent} sent, {answered} answered\n",
                publisher.node
            );
        }
        for reader in &self.readers {
            let heard = lock(&reader.heard);
            let tracks = heard.by_publisher.iter();
            let tracks: Vec<_> = tracks
                .map(|(who, track)| format!("{who}: {:?} -{}", track.last, track.gaps))
                .collect();
            let tag = reader.wanted.tag();
            text += &format!(
                "reader of {tag} at {}: {}\n",
                reader.node,
                tracks.join(", ")
            );
        }
        text
    }
}
