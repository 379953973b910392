//! Owns what a measurement adds up: messages, time, and processor time on both sides.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::load::Load;
use super::machine;
use super::server::Server;
use super::trial::{Figure, as_f64, micros};

/// The main figure of a server that passes messages on.
pub(crate) const PER_DELIVERY: &str = "CPU µs per delivery";

/// Where everything stood before a measurement.
pub(crate) struct Before {
    at: Instant,
    server: Duration,
    generator: Duration,
    messages: u64,
    deliveries: u64,
}

/// What has happened in a measurement.
pub(crate) struct Cost {
    /// How long it took.
    pub(crate) wall: Duration,
    /// The server's processor time.
    pub(crate) server: Duration,
    /// The generator's.
    pub(crate) generator: Duration,
    /// Messages published.
    pub(crate) messages: f64,
    /// Messages that arrived.
    pub(crate) deliveries: f64,
}

impl Before {
    /// Notes where everything stands.
    pub(crate) fn now(server: &Server, load: &Load<'_>) -> Result<Self> {
        Ok(Self {
            generator: machine::own_cpu()?,
            server: server.cpu()?,
            messages: load.published(),
            deliveries: load.owed(),
            at: Instant::now(),
        })
    }

    /// What has happened since, when all deliveries owed have arrived.
    pub(crate) fn cost(&self, server: &Server, load: &Load<'_>) -> Result<Cost> {
        Ok(Cost {
            wall: self.at.elapsed(),
            server: server.cpu()? - self.server,
            generator: machine::own_cpu()? - self.generator,
            messages: as_f64(load.published() - self.messages),
            deliveries: as_f64(load.owed() - self.deliveries),
        })
    }
}

impl Cost {
    /// What belongs into the table where messages are passed on at full speed.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let wall = self.wall.as_secs_f64();
        vec![
            Figure::main(PER_DELIVERY, micros(self.server) / self.deliveries),
            Figure::side("thousand deliveries/s", self.deliveries / wall / 1000.0),
            Figure::side("server busy", self.server.as_secs_f64() / wall),
            Figure::side("generator busy", self.generator.as_secs_f64() / wall),
        ]
    }
}
