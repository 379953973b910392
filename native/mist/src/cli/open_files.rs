//! Owns how many files the system lets this program open; each connection is one.

/// Takes all that the system allows this process, as servers do.
#[cfg(unix)]
pub(super) fn take_all() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// How many this process may open at most; none where there is no bound.
#[cfg(unix)]
pub(super) fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Elsewhere there is nothing to take.
#[cfg(not(unix))]
pub(super) fn take_all() {}

#[cfg(not(unix))]
pub(super) fn limit() -> Option<u64> {
    None
}
