//! Owns what a cluster costs: a node beside a server on its own, and three nodes beside three servers of NATS.
//!
//! All servers share one processor and the generator has another. What counts is the processor time of each server for one
//! message that was published, wherever its readers are.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::link::connect;
use super::load::{Delivery, Load, Message};
use super::machine::{self, Processors};
use super::server::{Contender, Kind, Server, Transport};
use super::trial::{WINDOW, micros, topic_of};
use super::wire::{Role, Stamp, Wire};
use crate::numbers::{head, median, row, short};
use crate::print;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each arrangement is measured; the table has the medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Seconds under full load for each
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,

    /// Payload in bytes, from 16
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=65536))]
    size: u32,
}

/// Which servers there are, and who is connected to which.
struct Arrangement {
    about: &'static str,
    /// How many servers carry the load, and whose they are.
    servers: usize,
    kind: Kind,
    /// Whether they are one, and not each on its own.
    is_cluster: bool,
    /// The servers of the publishers, one each, and of the readers of every publisher.
    publishers: &'static [usize],
    readers: &'static [usize],
    /// How many readers there are at each of these.
    each: usize,
}

const fn mist(about: &'static str, servers: usize, readers: &'static [usize]) -> Arrangement {
    Arrangement {
        about,
        servers,
        kind: Kind::Mist,
        is_cluster: true,
        publishers: &[0],
        readers,
        each: 1,
    }
}

const fn three(about: &'static str, kind: Kind, each: usize) -> Arrangement {
    Arrangement {
        about,
        servers: 3,
        kind,
        is_cluster: true,
        publishers: &[0, 1, 2],
        readers: &[0, 1, 2],
        each,
    }
}

const ALONE: usize = 0;
const NO_PEER: usize = 1;
const IDLE_PEER: usize = 2;
const NEEDY_PEER: usize = 3;
const ARRANGEMENTS: &[Arrangement] = &[
    Arrangement {
        is_cluster: false,
        ..mist("a server on its own", 1, &[0])
    },
    mist("a node without another", 1, &[0]),
    mist("with one that needs nothing", 2, &[0]),
    mist("with one that needs every message", 2, &[0, 1]),
    three("three nodes, a reader at each", Kind::Mist, 1),
    three("three of NATS, a reader at each", Kind::Nats, 1),
    three("three nodes, ten readers at each", Kind::Mist, 10),
    three("three of NATS, ten readers at each", Kind::Nats, 10),
];

/// What one message costs, in µs of processor time.
#[derive(Clone, Default)]
struct Cost {
    /// Each server that carries the load.
    servers: Vec<f64>,
    /// The NATS between them, where they are nodes.
    between: f64,
}

impl Cost {
    fn all(&self) -> f64 {
        self.servers.iter().sum::<f64>() + self.between
    }
}

/// Runs the benchmark.
pub(crate) fn run(args: &Args) -> Result<()> {
    let processors = Processors::find()?;
    match processors {
        Some(two) => machine::pin(&[two.generator])?,
        None => eprintln!("!!! one processor only: servers and generator disturb each other"),
    }
    let own = processors.map(|processors| processors.server);
    let contenders = Contenders {
        mist: super::own()?,
        nats: Contender::peer(Kind::Nats)?,
    };
    let folder = std::env::temp_dir().join(format!("mist-bench-{}", std::process::id()));
    let mut costs = vec![Vec::new(); ARRANGEMENTS.len()];
    for round in 1..=args.rounds {
        for (arrangement, costs) in ARRANGEMENTS.iter().zip(&mut costs) {
            let site = Site::start(arrangement, &contenders, &folder, own.as_slice())?;
            let cost = site
                .measure(arrangement, args)
                .with_context(|| format!("{}: {}", arrangement.about, site.last_words()))?;
            let each: Vec<_> = cost.servers.iter().map(|one| short(*one)).collect();
            eprintln!(
                "{round}/{} {}: {} µs, NATS between {}",
                args.rounds,
                arrangement.about,
                each.join(" + "),
                short(cost.between)
            );
            costs.push(cost);
        }
    }
    fs::remove_dir_all(&folder)?;
    print(&report(&costs))
}

struct Contenders {
    mist: Contender,
    nats: Contender,
}

struct Site {
    servers: Vec<Server>,
    between: Option<Server>,
    wire: &'static dyn Wire,
}

impl Site {
    fn start(
        arrangement: &Arrangement,
        contenders: &Contenders,
        folder: &Path,
        processors: &[usize],
    ) -> Result<Self> {
        let place = |name: String| -> Result<_> {
            let place = folder.join(name);
            fs::create_dir_all(&place)?;
            Ok(place)
        };
        let mut site = Self {
            servers: Vec::new(),
            between: None,
            wire: contenders.mist.wire(Transport::Tcp),
        };
        let mut uri = None;
        if arrangement.kind == Kind::Mist && arrangement.is_cluster {
            let nats = contenders
                .nats
                .start(&place("between".into())?, processors)?;
            uri = Some(format!("nats://{}", nats.address(Transport::Tcp)));
            site.between = Some(nats);
        }
        let routes: Vec<_> = (0..arrangement.servers)
            .map(|_| super::server::free_address())
            .collect::<Result<_>>()?;
        for index in 0..arrangement.servers {
            let (contender, more) = match arrangement.kind {
                Kind::Mist => {
                    let uri = uri.as_ref().map(|uri| format!("{uri}?node=n{index}"));
                    (&contenders.mist, uri)
                }
                _ => (&contenders.nats, Some(routes_config(index, &routes))),
            };
            let folder = place(index.to_string())?;
            let server = contender.start_with(&folder, processors, more.as_deref())?;
            site.servers.push(server);
        }
        if arrangement.kind != Kind::Mist {
            site.wire = contenders.nats.wire(Transport::Tcp);
        }
        Ok(site)
    }

    fn address(&self, server: usize) -> SocketAddr {
        self.servers[server].address(Transport::Tcp)
    }

    fn measure(&self, arrangement: &Arrangement, args: &Args) -> Result<Cost> {
        let mut load = Load::new(self.wire, self.address(0), WINDOW)?;
        let size = args.size as usize;
        let mut publishers = Vec::new();
        for (number, &publisher) in arrangement.publishers.iter().enumerate() {
            let to = topic_of(&format!("t{number:03}"), false);
            let stream = load.add_stream();
            for &reader in arrangement.readers {
                load.turn_to(self.address(reader));
                for _ in 0..arrangement.each {
                    load.add_subscriber(std::slice::from_ref(&to), stream)?;
                }
            }
            let message = Message {
                publish: self.wire.publish(&to.tags, size),
                deliveries: vec![Delivery {
                    stream,
                    template: self.wire.delivery(&to.tags, &to, size),
                }],
                reply: None,
                sets: 1,
            };
            publishers.push((publisher, to, message));
        }
        // What is asked for behind the others is known everywhere when they are.
        for from in 0..self.servers.len() {
            for to in (0..self.servers.len()).filter(|to| *to != from) {
                self.probe(from, to)?;
            }
        }
        for (publisher, to, message) in publishers {
            load.turn_to(self.address(publisher));
            load.add_publisher(&to.tags, vec![message])?;
        }
        let time = Duration::try_from_secs_f64(args.seconds)?;
        load.run_for(time / 6)?;
        load.drain()?;
        let (published, before) = (load.published(), self.cpu()?);
        load.run_for(time)?;
        load.drain()?;
        let (count, after) = ((load.published() - published) as f64, self.cpu()?);
        load.prove_the_end()?;
        let each = |(after, before): (&Duration, &Duration)| micros(*after - *before) / count;
        let mut all: Vec<_> = after.iter().zip(&before).map(each).collect();
        let between = all.split_off(self.servers.len());
        Ok(Cost {
            servers: all,
            between: between.iter().sum(),
        })
    }

    /// The processor time of all servers so far, and behind them of the NATS between them.
    fn cpu(&self) -> Result<Vec<Duration>> {
        let all = self.servers.iter().chain(&self.between);
        all.map(Server::cpu).collect()
    }

    /// Waits until a message that is published at one server arrives at another.
    fn probe(&self, from: usize, to: usize) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(20);
        let topic = topic_of(&format!("probe-{from}-{to}"), false);
        let subscriptions = std::slice::from_ref(&topic);
        let (mut reader, rest) =
            connect(self.wire, self.address(to), Role::Subscriber, subscriptions)?;
        let role = Role::Publisher(&topic.tags);
        let (mut publisher, _) = connect(self.wire, self.address(from), role, &[])?;
        reader.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut message = self.wire.publish(&topic.tags, 16);
        let start = Instant::now();
        let mut heard = rest.len();
        while heard == 0 {
            publisher.write_all(message.stamp(Stamp::new(0, 0, 0)))?;
            match reader.read(&mut [0; 4096]) {
                Ok(0) => bail!("closed"),
                Ok(count) => heard = count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
            if start.elapsed() > PATIENCE {
                bail!("server {to} hears nothing of server {from}");
            }
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let all = self.servers.iter().chain(&self.between);
        all.map(Server::last_words).collect::<Vec<_>>().join("\n")
    }
}

/// What makes a server of NATS one of several.
fn routes_config(index: usize, routes: &[SocketAddr]) -> String {
    let all: Vec<_> = routes
        .iter()
        .map(|route| format!("nats://{route}"))
        .collect();
    format!(
        "cluster {{ name: bench, listen: \"{}\", routes: [{}] }}\n",
        routes[index],
        all.join(", ")
    )
}

fn report(costs: &[Vec<Cost>]) -> String {
    let middle = |at: usize, of: &dyn Fn(&Cost) -> f64| {
        let all: Vec<_> = costs[at].iter().map(of).collect();
        median(&all)
    };
    let columns = [
        "CPU µs per message",
        "each server",
        "NATS between",
        "together",
    ];
    let mut text = head(&columns, 1);
    for (at, arrangement) in ARRANGEMENTS.iter().enumerate() {
        let servers = (0..arrangement.servers).map(|one| short(middle(at, &|it| it.servers[one])));
        text += &row(&[
            arrangement.about,
            &servers.collect::<Vec<_>>().join(" + "),
            &short(middle(at, &|it| it.between)),
            &short(middle(at, &Cost::all)),
        ]);
    }
    let first = |at| middle(at, &|it| it.servers[0]);
    let alone = first(ALONE);
    let mut ratios = vec![
        (
            "a node without another, beside a server on its own",
            first(NO_PEER) / alone,
            1.05,
        ),
        (
            "with one that needs nothing",
            first(IDLE_PEER) / alone,
            1.05,
        ),
        (
            "with one that needs every message",
            first(NEEDY_PEER) / alone,
            1.5,
        ),
        (
            "the one that receives, beside a server on its own",
            middle(NEEDY_PEER, &|it| it.servers[1]) / alone,
            1.2,
        ),
    ];
    for (at, pair) in ARRANGEMENTS
        .iter()
        .enumerate()
        .skip(NEEDY_PEER + 1)
        .step_by(2)
    {
        let nats = middle(at + 1, &Cost::all);
        ratios.push((pair.about, middle(at, &Cost::all) / nats, 1.0));
    }
    text.push('\n');
    text += &head(&["CPU, as a ratio", "measured", "at most"], 1);
    for (what, ratio, most) in ratios {
        text += &row(&[what, &short(ratio), &short(most)]);
    }
    text
}
