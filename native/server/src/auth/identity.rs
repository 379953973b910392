//! Owns how a store notices that its file or folder was replaced or modified; knows nothing of the contents.

use std::fs::{self, Metadata};
use std::io;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
#[cfg(all(feature = "scribble", unix))]
use std::time::{SystemTime, UNIX_EPOCH};

use mist_core::TokenError;

/// The file or folder behind a path when it was opened.
///
/// If it is removed or replaced, we hold something that is not found again, neither by this server after a restart nor
/// by another: changes would be confirmed and lost.
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

    /// Whether the path still leads to it.
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

/// What differs between versions of a file or folder.
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

    /// Whether it is old enough that a later change must differ: the clocks of file systems are coarse.
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

/// Windows does not allow an open database to be removed or replaced.
#[cfg(not(unix))]
type Number = ();

#[cfg(not(unix))]
fn number(_: &Metadata) -> Number {}
