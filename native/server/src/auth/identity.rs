//! Owns noticing that a store's file or folder is no longer the one that was opened; knows nothing of what is in it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
