//! Owns what is asked of files and folders: which is newer. It does not know what is in them.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

/// Whether `made` is there and was written after everything in `sources`. Folders count with all that is in them but
/// what was fetched or built.
pub(crate) fn is_newer(made: &Path, sources: &[&Path]) -> Result<bool> {
    let Ok(made) = fs::metadata(made) else {
        return Ok(false);
    };
    let made = made.modified()?;
    for source in sources {
        if newest(source)? >= made {
            return Ok(false);
        }
    }
    Ok(true)
}

/// When a file, or anything in a folder, was last written.
fn newest(path: &Path) -> Result<SystemTime> {
    let about = fs::metadata(path).with_context(|| format!("no {}", path.display()))?;
    let mut newest = about.modified()?;
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !["node_modules", "dist"]
                .iter()
                .any(|name| entry.file_name() == *name)
            {
                newest = newest.max(self::newest(&entry.path())?);
            }
        }
    }
    Ok(newest)
}
