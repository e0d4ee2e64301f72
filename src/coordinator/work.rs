//! The work directory: everything that a migration writes before it publishes.

use crate::Result;
use crate::files::{Access, Dir};
use crate::layout::WORK_DIR;
use std::sync::Arc;

/// Staged `data.db`.
pub(super) const STAGED_DATA: &str = "data.db";
/// Staged `metadata.db`.
pub(super) const STAGED_METADATA: &str = "metadata.db";
/// Staged `wal.log`.
pub(super) const STAGED_WAL: &str = "wal.log";
/// Sorted runs of index keys.
pub(super) const SORT_RUNS: &str = "sort.runs";
/// Separators of the B+tree level that is being built; a number follows.
pub(super) const SEPARATORS: &str = "separators.";
/// What publishing does; its presence means that publishing has begun.
pub(super) const JOURNAL: &str = "journal.json";

/// The open work directory.
#[derive(Clone, Debug)]
pub(super) struct WorkDir {
    pub(super) dir: Arc<Dir>,
    /// Owner and mode of the files that will be published.
    pub(super) access: Access,
}

impl WorkDir {
    /// Makes it, readable by the owner alone until its files are published.
    pub(super) fn create(target: &Dir, access: Access) -> Result<Self> {
        let private = Access {
            mode: 0o600,
            ..access
        };
        let dir = target.make_dir(WORK_DIR, private)?;
        target.sync()?;
        Ok(Self {
            dir: Arc::new(dir),
            access,
        })
    }

    /// Removes a work directory of `target` and all in it, if there is one: nothing that is in it
    /// exists only there. The journal goes last, so that a removal that was cut off can still be
    /// told from a run that was.
    pub(super) fn remove(target: &Dir) -> Result<()> {
        if target.entry(WORK_DIR)?.is_none() {
            return Ok(());
        }
        let dir = target.open_dir(WORK_DIR)?;
        let entries = dir.entries()?;
        for entry in entries.iter().filter(|entry| entry.name != JOURNAL) {
            dir.remove_file(&entry.name)?;
        }
        if entries.iter().any(|entry| entry.name == JOURNAL) {
            dir.sync()?;
            dir.remove_file(JOURNAL)?;
        }
        target.remove_dir(WORK_DIR)?;
        target.sync()
    }

    /// Owner and mode of files that are never published.
    pub(super) fn private(&self) -> Access {
        Access {
            mode: 0o600,
            ..self.access
        }
    }

    /// Removes a file of the work directory if it is there.
    pub(super) fn remove_file(&self, name: &str) -> Result<()> {
        match self.dir.entry(name)? {
            None => Ok(()),
            Some(_) => self.dir.remove_file(name),
        }
    }
}
