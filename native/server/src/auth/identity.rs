//! Owns noticing that a store's file or folder is no longer the one that was opened, or is as it was; knows nothing of what
//! is in it.

use std::fs::{self, Metadata};
use std::io;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
#[cfg(all(feature = "scribble", unix))]
use std::time::{SystemTime, UNIX_EPOCH};

use mist_core::TokenError;

/// What was behind a path when it was opened.
///
/// Whoever removes or replaces it leaves us with something that nobody finds any more, neither we ourselves after a
/// restart nor another server: changes would be confirmed and lost.
#[derive(Debug)]
pub(super) struct Identity {
    path: PathBuf,
    number: Number,
}

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            number: number(&fs::metadata(path)?),
        })
    }

    /// Whether the same is there still.
    pub(super) fn check(&self) -> Result<(), TokenError> {
        let is_there = fs::metadata(&self.path).is_ok_and(|found| number(&found) == self.number);
        if is_there {
            return Ok(());
        }
        Err(TokenError::Unavailable(format!(
            "'{}' is not what this server opened, since it was removed or replaced: put it back, or restart the server",
            self.path.display()
        )))
    }
}

/// What changes with each version of a file or folder.
#[cfg(all(feature = "scribble", unix))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

#[cfg(all(feature = "scribble", unix))]
impl Version {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            bytes: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether it is so old that a later change makes another: clocks of file systems go in steps.
    pub(super) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.is_ok_and(|now| now.as_secs().cast_signed() > self.changed.0 + 1)
    }
}

/// The device and the number of the file on it.
#[cfg(unix)]
type Number = (u64, u64);

#[cfg(unix)]
fn number(found: &Metadata) -> Number {
    (found.dev(), found.ino())
}

/// Windows lets nobody remove or replace a database that is open.
#[cfg(not(unix))]
type Number = ();

#[cfg(not(unix))]
fn number(_: &Metadata) -> Number {}
