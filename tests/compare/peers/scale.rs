//! Owns how a server gets on with a second processor.
//!
//! A server takes as many threads as it may use processors; none has to be told. On a machine with
//! three or more the generator keeps one to itself. With two it must share them, so that nobody can
//! become twice as fast: how much faster two processors would be, if every message cost both sides
//! what it costs with one, is worked out and printed beside.

use anyhow::Result;

use super::growth;
use super::load::Load;
use super::machine;
use super::scenario::Scaled;
use super::server::Server;
use super::trial::{Figure, Trial, micros};

fn load(trial: &Trial<'_>, server: &Server, work: Scaled) -> Result<Load> {
    match work {
        Scaled::Fan(shape) => trial.fan_load(server, shape),
        Scaled::Match => growth::many_publishers(trial, server),
    }
}

/// What one message, or one delivery, takes.
struct Each {
    wall: f64,
    server: f64,
    generator: f64,
}

fn measure(trial: &Trial<'_>, server: &Server, work: Scaled) -> Result<Each> {
    let mut load = load(trial, server, work)?;
    // Where few messages match, only the pongs tell that all have been accepted.
    let cost = trial.cost(server, &mut load, Load::prove_the_end)?;
    let count = match work {
        Scaled::Fan(_) => cost.deliveries,
        Scaled::Match => cost.messages,
    };
    Ok(Each {
        wall: micros(cost.wall) / count,
        server: micros(cost.server) / count,
        generator: micros(cost.generator) / count,
    })
}

/// The same load with one processor and with two.
pub(super) fn cores(trial: &Trial<'_>, alone: &Server, work: Scaled) -> Result<Vec<Figure>> {
    let Some(processors) = trial.plan.processors else {
        eprintln!("nothing to compare: one processor only");
        return Ok(Vec::new());
    };
    let one = measure(trial, alone, work)?;
    let (second, is_shared) = match processors.spare {
        Some(spare) => (spare, false),
        None => (processors.generator, true),
    };
    let both = [processors.server, second];
    let server = trial.start_on(&both)?;
    if is_shared {
        machine::pin(&both)?;
    }
    let two = measure(trial, &server, work);
    machine::pin(&[processors.generator])?;
    let two = two?;
    let at_equal_cost = if is_shared {
        // Two processors for all the work there is.
        2.0 * one.wall / (one.server + one.generator)
    } else {
        2.0
    };
    Ok(vec![
        ("thousand/s, 1 core", 1000.0 / one.wall),
        ("thousand/s, 2 cores", 1000.0 / two.wall),
        ("CPU µs each, 1 core", one.server),
        ("CPU µs each, 2 cores", two.server),
        ("times faster with 2 cores", one.wall / two.wall),
        ("times faster at equal cost", at_equal_cost),
    ])
}
