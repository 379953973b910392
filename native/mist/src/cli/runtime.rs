//! Owns what commands run on, and what Ctrl-C does to them.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use super::exit::{Code, Stop};

/// Runs a command's future, which Ctrl-C ends.
pub(super) fn block_on(work: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    run_to_its_end(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Err(Stop::quiet(Code::Interrupted)),
            result = work => result,
        }
    })
}

/// Runs a command's future, which knows itself what Ctrl-C means.
pub(super) fn run_to_its_end(work: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    let runtime = runtime(1)?;
    let result = runtime.block_on(work);
    // Nothing that still waits, for a name server say, may hold up the end.
    runtime.shutdown_background();
    result
}

pub(super) fn runtime(threads: u16) -> Result<Runtime, Stop> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(threads.into())
        .enable_all()
        .build()
        .map_err(|error| Stop::failed(format!("cannot start: {error}")))
}
