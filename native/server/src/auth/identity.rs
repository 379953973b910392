//! Owns noticing that a store's file or folder is no longer the one that was opened, or is as it was; knows nothing of what
//! is in it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
#[cfg(feature = "scribble")]
use std::time::{SystemTime, UNIX_EPOCH};

use mist_core::TokenError;

/// What was behind a path when it was opened.
///
/// Whoever removes or replaces it leaves us with something that nobody finds any more, neither we ourselves after a
/// restart nor another server: changes would be confirmed and lost.
#[derive(Debug)]
pub(super) struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Whether the same is there still.
    pub(super) fn check(&self) -> Result<(), TokenError> {
        let is_there = fs::metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
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
#[cfg(feature = "scribble")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

#[cfg(feature = "scribble")]
impl Version {
    pub(super) fn of(found: &fs::Metadata) -> Self {
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
