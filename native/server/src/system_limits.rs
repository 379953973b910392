//! Owns the limits that the machine sets to a server, and how little of it is too little to start.

#[cfg(target_os = "linux")]
use std::path::Path;

use mist_core::Limits;

use crate::bind_error::BindError;

/// Files that are not connections: listeners, the runtime's own, the token store's.
const OTHER_FILES: u64 = 64;

/// A server does not start with room for fewer connections, unless its limit is set lower.
const LEAST_CONNECTIONS: usize = 16;

/// A server does not start with fewer bytes for all outboxes together, unless its limit is set lower.
const LEAST_OUTBOX_BYTES: usize = 4 << 20;

/// With room for fewer connections there is a warning, even if their limit was not set.
const FEW_CONNECTIONS: usize = 1024;

/// Lowers the limits to what this process may open and this machine has.
pub(crate) fn within_machine(limits: Limits) -> Result<Limits, BindError> {
    within_memory(within_open_files(limits, open_files())?, memory())
}

/// How many files this process may have open, where the system bounds that.
fn open_files() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// Lowers the limit of connections to what the system lets this process open; without a number there is no bound.
///
/// The default stands for as many as there can be, so lowering it is worth a word only where few are left.
fn within_open_files(mut limits: Limits, files: Option<u64>) -> Result<Limits, BindError> {
    let Some(files) = files else {
        return Ok(limits);
    };
    let most = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let least = limits.connections.min(LEAST_CONNECTIONS);
    if most < least {
        let needed = OTHER_FILES + least as u64;
        return Err(BindError::TooFewFiles { files, needed });
    }
    let wanted = limits.connections;
    if most < wanted {
        limits.connections = most;
        if wanted != Limits::default().connections || most < FEW_CONNECTIONS {
            tracing::warn!(
                "at most {most} connections instead of {wanted} (connections): the system allows this process {files} \
                 open files (ulimit -n)"
            );
        }
    }
    Ok(limits)
}

/// Where a limit stands.
type Field = fn(&mut Limits) -> &mut usize;

/// The limits of what all clients together may make the server keep: the setting, its field, and what it is about.
const TOTALS: [(&str, Field, &str); 4] = [
    (
        "token-total-bytes",
        |limits| &mut limits.token_total_bytes,
        "registered tokens",
    ),
    (
        "outbox-total-bytes",
        |limits| &mut limits.outbox_total_bytes,
        "outboxes",
    ),
    (
        "input-total-bytes",
        |limits| &mut limits.input_total_bytes,
        "messages that are not whole",
    ),
    (
        "subscription-total-bytes",
        |limits| &mut limits.subscription_total_bytes,
        "subscriptions",
    ),
];

/// Lowers what all clients together may have of one thing to a quarter of the memory; the default without a word, since
/// it is meant so. Without a number the limits are as they are.
fn within_memory(mut limits: Limits, bytes: Option<u64>) -> Result<Limits, BindError> {
    let Some(bytes) = bytes else {
        return Ok(limits);
    };
    let most = usize::try_from(bytes / 4).unwrap_or(usize::MAX);
    let least = limits.outbox_total_bytes.min(LEAST_OUTBOX_BYTES);
    if most < least {
        let needed = least as u64 * 4;
        return Err(BindError::TooLittleMemory { bytes, needed });
    }
    for (setting, field, what) in TOTALS {
        let limit = field(&mut limits);
        let wanted = *limit;
        if most < wanted {
            *limit = most;
            if wanted != *field(&mut Limits::default()) {
                tracing::warn!(
                    "all {what} together hold at most {most} bytes instead of {wanted} ({setting}): a quarter of the \
                     memory there is"
                );
            }
        }
    }
    Ok(limits)
}

/// The memory of this machine, or of the container that this process is in, which may have less; known on Linux.
#[cfg(target_os = "linux")]
fn memory() -> Option<u64> {
    let machine = rustix::system::sysinfo();
    let bytes = u64::from(machine.mem_unit).saturating_mul(machine.totalram);
    Some(bytes.min(memory_of_container().unwrap_or(u64::MAX)))
}

#[cfg(not(target_os = "linux"))]
fn memory() -> Option<u64> {
    None
}

/// What the control groups (version 2) that this process is in may have at most.
#[cfg(target_os = "linux")]
fn memory_of_container() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = Path::new("/sys/fs/cgroup").join(group);
    // Each group is also held to the limit of those that it is in.
    let limits = group.ancestors().filter_map(|folder| {
        let limit = std::fs::read_to_string(folder.join("memory.max")).ok()?;
        limit.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(setting: &str, value: u64) -> Limits {
        let mut limits = Limits::default();
        limits.set(setting, value).expect("a limit");
        limits
    }

    #[test]
    fn what_the_machine_has_bounds_what_was_asked_for() {
        let with = |files| within_open_files(Limits::default(), files).expect("enough");
        assert_eq!(with(None), Limits::default());
        assert_eq!(with(Some(1 << 20)), Limits::default());
        assert_eq!(with(Some(1024)).connections, 960);
        let with = |bytes| within_memory(Limits::default(), bytes).expect("enough");
        assert_eq!(with(None), Limits::default());
        assert_eq!(with(Some(8 << 30)), Limits::default());
        let small = with(Some(64 << 20));
        let totals = [
            small.outbox_total_bytes,
            small.input_total_bytes,
            small.subscription_total_bytes,
        ];
        assert_eq!(totals, [16 << 20; 3]);
    }

    #[test]
    fn with_too_little_there_is_no_server_unless_less_was_asked_for() {
        let refused = |files| within_open_files(Limits::default(), Some(files)).expect_err("few");
        for files in [0, 30, 64, 79] {
            let error = refused(files).to_string();
            let said = [format!(" {files} "), "ulimit -n".into(), " 80 ".into()];
            assert!(said.iter().all(|word| error.contains(word)), "{error}");
        }
        assert!(within_open_files(Limits::default(), Some(80)).is_ok());
        assert!(within_open_files(limits("connections", 3), Some(67)).is_ok());
        assert!(within_open_files(limits("connections", 3), Some(66)).is_err());
        let error = within_memory(Limits::default(), Some(16_000_000)).expect_err("little");
        assert!(error.to_string().contains(" 16777216 "), "{error}");
        assert!(within_memory(limits("outbox-total-bytes", 1 << 20), Some(4 << 20)).is_ok());
    }
}
