//! Writes the histories of the seeds below a number, for whoever compares them.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let seeds = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let mut out = io::stdout().lock();
    for seed in 0..seeds.unwrap_or(1) {
        writeln!(out, "seed {seed}\n{}", mist_trace::trace(seed))?;
    }
    Ok(())
}
