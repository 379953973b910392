//! Owns who subscribes to what and which messages come, and the answer that nobody can doubt; knows no contender.

use fastrand::Rng;

/// Subscriptions and messages; tags and clients are numbers from 0.
#[derive(Debug)]
pub(crate) struct Workload {
    /// The name of every tag.
    pub(crate) tags: Vec<String>,
    /// How many clients there are; each holds subscriptions.
    pub(crate) clients: usize,
    /// The tags of each message, in no order.
    pub(crate) messages: Vec<Vec<u32>>,
    /// The tags of all subscriptions, one after the other.
    members: Vec<u32>,
    /// Where each subscription ends in `members`.
    ends: Vec<u32>,
}

const SORTS: [&str; 6] = ["line", "stop", "district", "vehicle", "operator", "state"];

impl Workload {
    fn new(tags: usize, clients: usize) -> Self {
        let name = |tag| format!("{}:{tag}", SORTS[tag % SORTS.len()]);
        Self {
            tags: (0..tags).map(name).collect(),
            clients,
            messages: Vec::new(),
            members: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn subscribe(&mut self, set: &[u32]) {
        self.members.extend(set);
        self.ends.push(self.members.len() as u32);
    }

    /// Puts the tags of every message into the order of their names.
    pub(crate) fn sort_messages(&mut self) {
        for message in &mut self.messages {
            message.sort_by_key(|&tag| &self.tags[tag as usize]);
        }
    }

    /// Clients and the tags of what they subscribe to, in the order they do.
    pub(crate) fn subscriptions(&self) -> impl ExactSizeIterator<Item = (u32, &[u32])> {
        self.ends.iter().enumerate().map(|(number, &end)| {
            let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            let client = (number % self.clients) as u32;
            (client, &self.members[start as usize..end as usize])
        })
    }

    /// The tags of all messages, written one after the other as in the lines that a host reads.
    pub(crate) fn text(&self) -> Text {
        let tags = self.messages.iter().flatten();
        let text = tags.map(|&tag| self.tags[tag as usize].as_str()).collect();
        let lengths = |message: &Vec<u32>| {
            let names = self.names(message).into_iter();
            names.map(str::len).collect()
        };
        Text {
            text,
            lengths: self.messages.iter().map(lengths).collect(),
        }
    }

    /// The names of some tags.
    pub(crate) fn names(&self, tags: &[u32]) -> Vec<&str> {
        let name = |&tag: &u32| self.tags[tag as usize].as_str();
        tags.iter().map(name).collect()
    }

    /// The clients that get a message, in order: found by looking at every tag of every subscription.
    pub(crate) fn receivers(&self, message: usize) -> Vec<u32> {
        let mut is_on_it = vec![false; self.tags.len()];
        for &tag in &self.messages[message] {
            is_on_it[tag as usize] = true;
        }
        let mut gets_it = vec![false; self.clients];
        for (client, set) in self.subscriptions() {
            gets_it[client as usize] |= set.iter().all(|&tag| is_on_it[tag as usize]);
        }
        let clients = gets_it.into_iter().enumerate();
        clients
            .filter_map(|(client, gets_it)| gets_it.then_some(client as u32))
            .collect()
    }
}

/// The tags of messages, near each other in memory.
#[derive(Debug)]
pub(crate) struct Text {
    text: String,
    lengths: Vec<Vec<usize>>,
}

impl Text {
    /// The tags of each message.
    pub(crate) fn messages(&self) -> Vec<Vec<&str>> {
        let mut rest = self.text.as_str();
        let mut next = |&length: &usize| {
            let (tag, behind) = rest.split_at(length);
            rest = behind;
            tag
        };
        let messages = self.lengths.iter();
        messages
            .map(|lengths| lengths.iter().map(&mut next).collect())
            .collect()
    }
}

/// A kind of workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// A word to choose it by.
    pub(crate) name: &'static str,
    /// What is special about it.
    pub(crate) about: &'static str,
    /// Whether a broker meets it in ordinary use, so that what is promised of the speed holds for it.
    pub(crate) is_ordinary: bool,
    build: fn(usize) -> Workload,
}

impl Kind {
    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// Builds it with so many subscriptions; the same ones every time.
    pub(crate) fn build(&self, subscriptions: usize) -> Workload {
        (self.build)(subscriptions)
    }
}

/// All kinds.
pub(crate) const KINDS: [Kind; 8] = [
    Kind {
        name: "few",
        about: "few match; 2 to 4 tags, all alike popular",
        is_ordinary: true,
        build: |count| drawn(count, root(10 * count), 0.0, (2, 4)),
    },
    Kind {
        name: "few-zipf",
        about: "few match; 2 to 4 tags, the popular ones often",
        is_ordinary: true,
        build: |count| drawn(count, (count as f64).powf(0.67) as usize, 0.5, (2, 4)),
    },
    Kind {
        name: "wide",
        about: "few match; 1 to 4 tags, as many tags as subscriptions",
        is_ordinary: true,
        build: |count| drawn(count, count, 0.0, (1, 4)),
    },
    Kind {
        name: "many",
        about: "one subscription of 160 matches; 1 to 4 tags",
        is_ordinary: true,
        build: |count| drawn(count, 500, 0.5, (1, 4)),
    },
    Kind {
        name: "long",
        about: "4 to 8 tags, all of them on a message of 8",
        is_ordinary: true,
        build: long,
    },
    Kind {
        name: "hot",
        about: "one tag is in every subscription and on every message",
        is_ordinary: true,
        build: hot,
    },
    Kind {
        name: "crowd",
        about: "everybody has the same set of two tags",
        is_ordinary: true,
        build: crowd,
    },
    Kind {
        name: "hostile",
        about: "a message with all tags of every subscription but one",
        is_ordinary: false,
        build: hostile,
    },
];

/// So many different messages that nothing remembers what comes, and so few that they stay in the second cache.
const MESSAGES: usize = 2048;
const PER_CLIENT: usize = 10;
const ON_MESSAGE: (usize, usize) = (4, 8);

/// With as many tags sets of two and more match as rarely among many subscriptions as among few.
fn root(number: usize) -> usize {
    (number as f64).sqrt() as usize
}

fn drawn(count: usize, tags: usize, exponent: f64, sizes: (usize, usize)) -> Workload {
    let mut workload = Workload::new(tags, count.div_ceil(PER_CLIENT));
    let popularity = Popularity::zipf(tags, exponent);
    let mut random = Rng::with_seed(1);
    let mut draw = |sizes: (usize, usize)| {
        let mut drawn = Vec::new();
        popularity.fill(&mut drawn, random.usize(sizes.0..=sizes.1), &mut random);
        drawn
    };
    for _ in 0..count {
        workload.subscribe(&draw(sizes));
    }
    workload.messages = (0..MESSAGES).map(|_| draw(ON_MESSAGE)).collect();
    workload
}

fn long(count: usize) -> Workload {
    let tags = root(10 * count);
    let popularity = Popularity::zipf(tags, 0.5);
    let mut workload = drawn(count, tags, 0.5, (4, 8));
    let mut random = Rng::with_seed(2);
    let subscriptions: Vec<_> = workload.subscriptions().map(|(_, set)| set).collect();
    let messages = (0..MESSAGES).map(|_| {
        let mut message = subscriptions[random.usize(..count)].to_vec();
        popularity.fill(&mut message, 8, &mut random);
        random.shuffle(&mut message);
        message
    });
    workload.messages = messages.collect();
    workload
}

fn hot(count: usize) -> Workload {
    let tags = root(10 * count);
    let mut workload = Workload::new(tags + 1, count.div_ceil(PER_CLIENT));
    let popularity = Popularity::zipf(tags, 0.0);
    let mut random = Rng::with_seed(3);
    let mut with_hot = |sizes: (usize, usize)| {
        let mut set = vec![tags as u32];
        popularity.fill(&mut set, random.usize(sizes.0..=sizes.1), &mut random);
        random.shuffle(&mut set);
        set
    };
    for _ in 0..count {
        workload.subscribe(&with_hot((3, 4)));
    }
    workload.messages = (0..MESSAGES).map(|_| with_hot(ON_MESSAGE)).collect();
    workload
}

fn crowd(count: usize) -> Workload {
    let mut workload = Workload::new(64, count);
    for _ in 0..count {
        workload.subscribe(&[0, 1]);
    }
    let popularity = Popularity::zipf(64, 0.0);
    let mut random = Rng::with_seed(4);
    for _ in 0..16 {
        let mut message = vec![0, 1];
        popularity.fill(
            &mut message,
            random.usize(ON_MESSAGE.0..=ON_MESSAGE.1),
            &mut random,
        );
        random.shuffle(&mut message);
        workload.messages.push(message);
    }
    workload
}

/// Each set has one of 16 tags that no message carries, and the others are the rarer ones, so that an index by the
/// rarest tag has to look at nearly all of them.
fn hostile(count: usize) -> Workload {
    const SHOWN: u32 = 48;
    let mut workload = Workload::new(64, count.div_ceil(PER_CLIENT));
    let shown = Popularity::zipf(SHOWN as usize, 0.0);
    let mut random = Rng::with_seed(5);
    for number in 0..count {
        let mut set = Vec::new();
        shown.fill(&mut set, 2 + number % 2, &mut random);
        set.push(SHOWN + random.usize(..16) as u32);
        workload.subscribe(&set);
    }
    for _ in 0..16 {
        let mut message: Vec<_> = (0..SHOWN).collect();
        random.shuffle(&mut message);
        workload.messages.push(message);
    }
    workload
}

/// How often each of some tags is drawn, the most popular first.
#[derive(Debug)]
struct Popularity {
    /// The share of each tag and all before it.
    upto: Vec<f64>,
}

impl Popularity {
    /// The tag of rank r is drawn as often as 1 / r^`exponent`; with 0 all are drawn alike.
    fn zipf(tags: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let upto = (1..=tags).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self {
            upto: upto.collect(),
        }
    }

    fn draw(&self, random: &mut Rng) -> u32 {
        let all = self.upto.last().copied().unwrap_or(0.0);
        let share = random.f64() * all;
        self.upto.partition_point(|&upto| upto <= share) as u32
    }

    /// Adds different tags to `set`, which holds none twice, until it has `count`.
    fn fill(&self, set: &mut Vec<u32>, count: usize, random: &mut Rng) {
        assert!(count <= self.upto.len(), "{count} different tags of fewer");
        while set.len() < count {
            let tag = self.draw(random);
            if !set.contains(&tag) {
                set.push(tag);
            }
        }
    }
}

/// A message that `clients` clients get, each through one of `sets` sets that match.
pub(crate) fn shared(clients: usize, sets: usize) -> Workload {
    let mut workload = Workload::new(8, clients);
    for client in 0..clients {
        workload.subscribe(&[(client % sets) as u32]);
    }
    workload.messages.push((0..8).collect());
    workload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zipf_law_gives_each_rank_its_share() {
        let mut random = Rng::with_seed(1);
        let popularity = Popularity::zipf(4, 1.0);
        let mut counts = [0_usize; 4];
        for _ in 0..25_000 {
            counts[popularity.draw(&mut random) as usize] += 1;
        }
        // 1 + 1/2 + 1/3 + 1/4 is 25/12.
        for (count, share) in counts.into_iter().zip([12_000, 6_000, 4_000, 3_000]) {
            assert!(count.abs_diff(share) < 300, "{count} times, not {share}");
        }
    }

    #[test]
    fn a_set_has_no_tag_twice() {
        let mut random = Rng::with_seed(1);
        let mut set = vec![3];
        Popularity::zipf(8, 1.0).fill(&mut set, 8, &mut random);
        set.sort_unstable();
        assert_eq!(set, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
