//! Owns how a scenario is done with a server.
//!
//! A trial answers figures; how often it is repeated and how figures are printed is not its
//! business.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::crowd;
use super::growth;
use super::link::connect;
use super::load::{Delays, Delivery, Idle, Load, Message};
use super::machine::{self, Processors};
use super::scale;
use super::scenario::{Scenario, Shape, Tags, Work};
use super::server::{Contender, Server};
use super::wire::{Role, Subscription, VARIABLE};

/// A measured figure: what it is, with its unit, and how much.
pub(crate) type Figure = (&'static str, f64);

/// The main figure of a server that passes messages on.
pub(crate) const PER_DELIVERY: &str = "CPU µs per delivery";

/// What a measurement adds up: time, processor time on both sides, messages published and arrived.
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) server: Duration,
    pub(crate) generator: Duration,
    pub(crate) messages: f64,
    pub(crate) deliveries: f64,
}

impl Cost {
    pub(crate) fn per_delivery(&self) -> Figure {
        (PER_DELIVERY, micros(self.server) / self.deliveries)
    }
}

/// How many bytes a reader may be behind.
pub(super) const WINDOW: usize = 256 * 1024;

/// How long and how wide to measure.
pub(crate) struct Plan {
    /// Time under full load.
    pub(crate) time: Duration,
    /// How many files a process may open.
    pub(crate) open_files: u64,
    /// Who runs where.
    pub(crate) processors: Option<Processors>,
    /// Whether counts are cut down as well.
    pub(crate) is_quick: bool,
}

/// One scenario with one server and one payload size.
pub(crate) struct Trial<'a> {
    /// The scenario.
    pub(crate) scenario: &'a Scenario,
    /// The server.
    pub(crate) contender: &'a Contender,
    /// Bytes of payload.
    pub(crate) size: usize,
    /// How long and how wide.
    pub(crate) plan: &'a Plan,
    /// Where servers may write.
    pub(crate) folder: &'a Path,
}

impl Trial<'_> {
    /// Measures once, with a fresh server. Also answers for which part of the time others used
    /// processors of the server or the generator.
    pub(crate) fn run(&self) -> Result<(Vec<Figure>, f64)> {
        let server = self.start()?;
        let cpus = self.plan.processors.map_or(vec![], Processors::all);
        let busy = || machine::busy(&cpus);
        let ours = || -> Result<_> { Ok(server.cpu()? + machine::family_cpu()?) };
        let (busy_before, ours_before, start) = (busy()?, ours()?, Instant::now());
        let figures = match self.scenario.work {
            Work::Fan(shape) => self.fan(&server, shape),
            Work::Match(subscriptions) => growth::matching(self, &server, subscriptions),
            Work::Sets(matches) => growth::sets(self, &server, matches),
            Work::Scale(load) => scale::cores(self, &server, load),
            Work::Memory => crowd::memory(self, &server),
            Work::Connect => self.connect(&server),
            Work::Latency => self.latency(&server),
            Work::PingInFlood => self.ping_in_flood(&server),
            Work::Stalled => self.stalled(&server),
        };
        let figures = figures
            .with_context(|| format!("the server's last words: {:?}", server.last_words()))?;
        let (busy, ours) = (busy()? - busy_before, ours()? - ours_before);
        let others = busy.saturating_sub(ours).as_secs_f64();
        Ok((figures, others / start.elapsed().as_secs_f64()))
    }

    fn start(&self) -> Result<Server> {
        let own = self.plan.processors.map(|processors| processors.server);
        self.start_on(own.as_slice())
    }

    /// Starts a server that may use these processors only; any if none is named.
    pub(crate) fn start_on(&self, processors: &[usize]) -> Result<Server> {
        self.contender.start(self.folder, processors)
    }

    /// A generator for `server` without any connection.
    pub(crate) fn load(&self, server: &Server, window: usize) -> Result<Load> {
        let transport = self.scenario.transport;
        Load::new(
            self.contender.wire(transport),
            server.address(transport),
            self.contender.window(window),
        )
    }

    /// A message with `tags` for the readers of `stream`.
    pub(crate) fn message(&self, tags: &[String], to: &Subscription, stream: usize) -> Message {
        let wire = self.contender.wire(self.scenario.transport);
        Message {
            publish: wire.publish(tags, self.size),
            deliveries: vec![Delivery {
                stream,
                template: wire.delivery(tags, to, self.size),
            }],
            reply: None,
            sets: 1,
        }
    }

    pub(crate) fn fan_load(&self, server: &Server, shape: Shape) -> Result<Load> {
        let mut load = self.load(server, WINDOW)?;
        load.is_lenient_with_replies = matches!(self.scenario.work, Work::Stalled);
        let mut topics = (0..).map(|number| format!("t{number:03}"));
        for _ in 0..shape.publishers {
            let mut messages = Vec::new();
            let groups: Vec<_> = topics.by_ref().take(shape.groups).collect();
            for topic in &groups {
                let stream = load.add_stream();
                let to = topic_of(topic, shape.tags != Tags::One);
                for _ in 0..shape.subscribers {
                    load.add_subscriber(std::slice::from_ref(&to), stream)?;
                }
                let (second, sets) = second_tag(shape.tags);
                let tags: Vec<_> = std::iter::once(topic.clone()).chain(second).collect();
                let message = self.message(&tags, &to, stream);
                messages.push(Message { sets, ..message });
            }
            load.add_publisher(&groups, messages)?;
        }
        Ok(load)
    }

    fn fan(&self, server: &Server, shape: Shape) -> Result<Vec<Figure>> {
        let mut load = self.fan_load(server, shape)?;
        let cost = self.cost(server, &mut load, Load::drain)?;
        load.prove_the_end()?;
        Ok(vec![cost.per_delivery()])
    }

    /// What full load costs until `settle` says that everything has arrived.
    pub(crate) fn cost(
        &self,
        server: &Server,
        load: &mut Load,
        settle: impl Fn(&mut Load) -> Result<()>,
    ) -> Result<Cost> {
        load.run_for(self.plan.time / 6)?;
        settle(load)?;
        let (published, owed, start) = (load.published(), load.owed(), Instant::now());
        let (server_before, own_before) = (server.cpu()?, machine::own_cpu()?);
        load.run_for(self.plan.time)?;
        settle(load)?;
        Ok(Cost {
            wall: start.elapsed(),
            server: server.cpu()? - server_before,
            generator: machine::own_cpu()? - own_before,
            messages: (load.published() - published) as f64,
            deliveries: (load.owed() - owed) as f64,
        })
    }

    fn connect(&self, server: &Server) -> Result<Vec<Figure>> {
        let transport = self.scenario.transport;
        let wire = self.contender.wire(transport);
        let to = [topic_of("t000", false)];
        let once = || connect(wire, server.address(transport), Role::Subscriber, &to);
        for _ in 0..100 {
            once()?;
        }
        let count = if self.plan.is_quick { 1000 } else { 5000 };
        let before = server.cpu()?;
        for _ in 0..count {
            once()?;
        }
        let each = micros(server.cpu()? - before) / f64::from(count);
        Ok(vec![("CPU µs each", each)])
    }

    fn latency(&self, server: &Server) -> Result<Vec<Figure>> {
        let mut load = self.fan_load(server, Shape::plain(1, 100))?;
        let warm_up = 200;
        let count = if self.plan.is_quick { 500 } else { 2000 };
        let (due, taken) = (Vec::new(), Vec::new());
        load.delays = Some(Delays { due, taken });
        let start = Instant::now();
        for number in 0..warm_up + count {
            let due = start + Duration::from_millis(number);
            while Instant::now() < due {
                load.turn(Idle::Spin)?;
            }
            if let Some(delays) = &mut load.delays {
                delays.due.push(due);
                if number == warm_up {
                    delays.taken.clear();
                }
            }
            load.allow_one_more();
        }
        while load.delivered() < load.owed() || load.published() < warm_up + count {
            load.turn(Idle::Spin)?;
        }
        let taken = load.delays.take().map_or(vec![], |delays| delays.taken);
        load.prove_the_end()?;
        Ok(percentiles(taken))
    }

    fn ping_in_flood(&self, server: &Server) -> Result<Vec<Figure>> {
        let mut load = self.fan_load(server, Shape::plain(1, 1))?;
        let pinger = load.add_pinger()?;
        load.run_for(self.plan.time / 6)?;
        load.drain()?;
        let mut taken = Vec::new();
        let mut asked = None;
        let mut next = Instant::now();
        let end = next + self.plan.time;
        load.allow(u64::MAX);
        while Instant::now() < end {
            load.turn(Idle::Spin)?;
            if !load.is_read(pinger) {
                continue;
            }
            let now = Instant::now();
            if let Some(since) = asked.take() {
                taken.push(u64::try_from(now.duration_since(since).as_nanos())?);
                next = now + Duration::from_millis(1);
            }
            if now >= next {
                load.ping(pinger, Role::Publisher(&[]));
                asked = Some(now);
            }
        }
        load.allow(0);
        load.prove_the_end()?;
        Ok(percentiles(taken))
    }

    fn stalled(&self, server: &Server) -> Result<Vec<Figure>> {
        let mut load = self.fan_load(server, Shape::plain(1, 10))?;
        let all_read = self.rate(&mut load)? / 10.0;
        load.prove_the_end()?;

        let server = self.start()?;
        let transport = self.scenario.transport;
        let wire = self.contender.wire(transport);
        let to = [topic_of("t000", false)];
        let role = Role::Subscriber;
        let stalled = connect(wire, server.address(transport), role, &to)?;
        let mut load = self.fan_load(&server, Shape::plain(1, 9))?;
        let before = server.resident()?;
        let one_stalls = self.rate(&mut load)? / 9.0;
        let grown = server.resident()?.saturating_sub(before);
        load.prove_the_end().context("beside a stalled reader")?;
        drop(stalled);
        Ok(vec![
            ("rate of the others, kept", one_stalls / all_read),
            ("memory grown, MiB", grown as f64 / 1024.0 / 1024.0),
        ])
    }

    /// Deliveries per second under full load.
    fn rate(&self, load: &mut Load) -> Result<f64> {
        // Without a drain, which a stalled reader may hold up.
        load.run_for(self.plan.time / 6)?;
        let before = load.delivered();
        let start = Instant::now();
        load.run_for(self.plan.time)?;
        Ok((load.delivered() - before) as f64 / start.elapsed().as_secs_f64())
    }
}

/// What a message carries beside its topic, and through how many sets that goes.
fn second_tag(tags: Tags) -> (Option<String>, u32) {
    match tags {
        Tags::One => (None, 1),
        Tags::Repeating => (Some("vaaaaaaaa".to_owned()), 1),
        Tags::Varying => (Some(format!("v{VARIABLE}")), 1024),
        // `n` stands before the `t` of the topic, behind which it is said.
        Tags::Unsorted => (Some(format!("n{VARIABLE}")), u32::MAX),
    }
}

/// The subscription to one topic.
pub(crate) fn topic_of(topic: &str, open: bool) -> Subscription {
    let tags = vec![topic.to_owned()];
    Subscription { tags, open }
}

fn percentiles(mut nanos: Vec<u64>) -> Vec<Figure> {
    nanos.sort_unstable();
    let at = |part: f64| {
        let value = nanos.get((nanos.len() as f64 * part) as usize);
        value.map_or(f64::NAN, |&nanos| nanos as f64 / 1000.0)
    };
    vec![("p50 µs", at(0.5)), ("p99 µs", at(0.99))]
}

/// Microseconds as a number.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
