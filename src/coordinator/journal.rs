//! The publish journal: what publishing does, written down before any of it is done.
//!
//! Its format never changes, so that every later version of the tool can finish what this one
//! began.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::work::{self, JOURNAL};
use crate::files::{Access, Dir};
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};

/// Version of the journal's format.
const FORMAT: u32 = 1;

/// Largest journal that is read, bytes.
const LARGEST: u64 = 64 << 20;

/// All that publishing does, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    format: u32,
    /// Directories that are made in the target.
    pub(super) directories: Vec<String>,
    /// Files that are written anew into one of those directories: the marker of a v1 directory,
    /// whose own name the marker of publishing takes.
    pub(super) copies: Vec<Copy>,
    /// Files that move out of the way, from the target into one of those directories.
    pub(super) aside: Vec<Aside>,
    /// Files that move from the work directory into the target.
    pub(super) published: Vec<FileFacts>,
    /// The marker while publishing lasts.
    pub(super) publishing_marker: String,
    /// The marker that ends publishing.
    pub(super) final_marker: String,
    /// Permission bits of the files that are written.
    mode: u32,
    /// User and group of the files that are written; the first journals had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<(u32, u32)>,
}

/// A small file written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copy {
    pub(super) directory: String,
    pub(super) name: String,
    pub(super) text: String,
}

/// A file that makes room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aside {
    pub(super) name: String,
    pub(super) directory: String,
    pub(super) size: u64,
}

/// A file by its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileFacts {
    pub(super) name: String,
    pub(super) size: u64,
    /// XXH3-128 of the file, 32 hex digits.
    pub(super) xxh3: String,
}

impl Journal {
    pub(super) fn new(publishing_marker: String, final_marker: String, access: Access) -> Self {
        Self {
            format: FORMAT,
            directories: Vec::new(),
            copies: Vec::new(),
            aside: Vec::new(),
            published: Vec::new(),
            publishing_marker,
            final_marker,
            mode: access.mode,
            owner: access.owner,
        }
    }

    /// Owner and mode of the files that are written in `target`.
    pub(super) fn access(&self, target: &Dir) -> Result<Access> {
        access_or_directory(self.mode, self.owner, target)
    }

    /// Makes the journal durable in the work directory. From here on there is only forward.
    pub(super) fn write(&self, work: &Dir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(Code::Internal, "cannot encode the journal").because(error)
        })?;
        work.replace(JOURNAL, &text, Access::default())
    }

    /// The journal of a publish that was cut off, if there is one below `target`.
    pub(super) fn read(target: &Dir) -> Result<Option<Self>> {
        Self::read_named(target, JOURNAL)
    }

    /// The journal under its own name or another one.
    pub(super) fn read_named(target: &Dir, name: &str) -> Result<Option<Self>> {
        let Some(work) = work::open_in(target)? else {
            return Ok(None);
        };
        let Some(file) = work.open_file_if_exists(name)? else {
            return Ok(None);
        };
        let damaged = |sentence: &str| {
            Error::new(Code::JournalDamaged, sentence)
                .at(Place::file(file.path()))
                .hint("keep the directory as it is; its files are complete under one of two names each")
        };
        let journal: Self = serde_json::from_slice(&file.read_all(LARGEST)?)
            .map_err(|error| damaged("the publish journal does not parse").because(error))?;
        if journal.format != FORMAT {
            return Err(damaged(
                "the publish journal has a format that this version does not know",
            ));
        }
        if let Some(name) = journal.names().find(|name| !is_plain(name)) {
            return Err(damaged(&format!("the publish journal names {name:?}")));
        }
        Ok(Some(journal))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let copies = self
            .copies
            .iter()
            .flat_map(|copy| [&copy.directory, &copy.name]);
        let aside = self
            .aside
            .iter()
            .flat_map(|aside| [&aside.directory, &aside.name]);
        let published = self.published.iter().map(|published| &published.name);
        self.directories
            .iter()
            .chain(copies)
            .chain(aside)
            .chain(published)
            .map(String::as_str)
    }
}

/// What a journal says of owner and mode; one that names no owner means that of the directory.
pub(super) fn access_or_directory(
    mode: u32,
    owner: Option<(u32, u32)>,
    directory: &Dir,
) -> Result<Access> {
    let owner = match owner {
        Some(owner) => owner,
        None => directory.metadata()?.owner,
    };
    Ok(Access {
        mode,
        owner: Some(owner),
    })
}

/// Names from a file must stay in their directory.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}
