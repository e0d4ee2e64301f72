//! The rollback's journal: what it does, written down before any of it is done. Its format never
//! changes, so that every later version of the tool can finish what this one began.

use crate::coordinator::journal::{access_or_directory, is_plain};
use crate::coordinator::work;
use crate::files::{Access, Dir};
use crate::layout::ROLLBACK_FILE;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};

/// Version of the journal's format.
const FORMAT: u32 = 1;

/// Largest journal that is read, bytes.
const LARGEST: u64 = 64 << 20;

/// All that a rollback does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RollbackJournal {
    format: u32,
    /// Files that move from `.lauradb-v1/` back, the marker not among them.
    pub(super) v1_files: Vec<String>,
    /// The text of the v1 marker, if there was one.
    pub(super) v1_marker: Option<String>,
    /// Files that move out of the way first.
    pub(super) v2_files: Vec<String>,
    /// Where those go that are kept; without it they are removed in the end.
    pub(super) kept: Option<Kept>,
    /// Permission bits of the markers that are written.
    mode: u32,
    /// User and group of the markers that are written; the first journals had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<(u32, u32)>,
}

/// A directory for v2 files that were written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) directory: String,
    /// The text of the v2 marker.
    pub(super) marker: String,
}

impl RollbackJournal {
    pub(super) fn new(v1_files: Vec<String>, v2_files: Vec<String>, access: Access) -> Self {
        Self {
            format: FORMAT,
            v1_files,
            v1_marker: None,
            v2_files,
            kept: None,
            mode: access.mode,
            owner: access.owner,
        }
    }

    /// Owner and mode of the markers that are written in `dir`.
    pub(super) fn access(&self, dir: &Dir) -> Result<Access> {
        access_or_directory(self.mode, self.owner, dir)
    }

    /// Makes the journal durable in the work directory. From here on there is only forward.
    pub(super) fn write(&self, work: &Dir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(Code::Internal, "cannot encode the journal").because(error)
        })?;
        work.replace(ROLLBACK_FILE, &text, Access::default())
    }

    /// The journal of a rollback that was cut off, if there is one below `dir`.
    pub(super) fn read(dir: &Dir) -> Result<Option<Self>> {
        let Some(work) = work::open_in(dir)? else {
            return Ok(None);
        };
        let Some(file) = work.open_file_if_exists(ROLLBACK_FILE)? else {
            return Ok(None);
        };
        let damaged = |sentence: &str| {
            Error::new(Code::JournalDamaged, sentence)
                .at(Place::file(file.path()))
                .hint("keep the directory as it is; its files are complete under one of two names each")
        };
        let journal: Self = serde_json::from_slice(&file.read_all(LARGEST)?)
            .map_err(|error| damaged("the rollback's journal does not parse").because(error))?;
        if journal.format != FORMAT {
            return Err(damaged(
                "the rollback's journal has a format that this version does not know",
            ));
        }
        let kept = journal.kept.iter().map(|kept| &kept.directory);
        let mut names = journal.v1_files.iter().chain(&journal.v2_files).chain(kept);
        if let Some(name) = names.find(|name| !is_plain(name)) {
            return Err(damaged(&format!("the rollback's journal names {name:?}")));
        }
        Ok(Some(journal))
    }
}
