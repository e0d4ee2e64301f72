//! The structure of a v2 directory.
//!
//! ```text
//! metadata.db ─ every page, then catalog and records ─→ collections, indexes, extents
//! data.db     ─ every page once, front to back ─→ documents, the keys they must have, page types
//!             ─ each index from its root down ─→ entries, shape, pages that were reached
//! both        ─ what nothing has reached; what the receipt names
//! ```
//!
//! Pages that only the write-ahead log has are judged as if they were in their files.
//!
//! Damage is collected, not the end of the check. What depends on something damaged is not judged,
//! so that one flipped bit is one problem.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod accounting;
mod collections;
mod indexes;
mod metadata;
mod owners;
mod pages;
mod published;
mod trees;

use super::side::PublishedFiles;
use super::sums::ContentSums;
use super::{DirectoryState, Resources};
use crate::error::Place;
use crate::files::{Dir, InputFile};
use crate::layout;
use crate::problems::{Problem, Problems};
use crate::source::{check_log, missing_database_file};
use crate::store::recovery::Overlay;
use crate::v2::page::ChecksumPolicy;
use crate::v2::page_file::{PageFileReader, PageImages};
use crate::{Code, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was found, besides problems.
pub(super) struct Checked {
    pub(super) state: DirectoryState,
    /// By the collection's name.
    pub(super) sums: BTreeMap<String, ContentSums>,
}

/// What all parts of the check work with.
pub(super) struct Check<'c> {
    problems: &'c Problems,
    policy: ChecksumPolicy,
    /// The receipt is there and the log is the fresh one, so everything is as a migration leaves
    /// it.
    fresh: bool,
    /// Pages that only the log has.
    metadata_images: Option<Arc<dyn PageImages>>,
    data_images: Option<Arc<dyn PageImages>>,
}

pub(super) fn check(
    dir: &Dir,
    published: &PublishedFiles,
    problems: &Problems,
    resources: &mut Resources<'_>,
) -> Result<Checked> {
    let (has_fresh_log, overlay) = check_log(dir)?;
    let fresh = has_fresh_log && dir.entry(layout::RECEIPT_FILE)?.is_some();
    let check = Check {
        problems,
        policy: match fresh {
            true => ChecksumPolicy::Required,
            false => ChecksumPolicy::Optional,
        },
        fresh,
        metadata_images: overlay.as_ref().map(Overlay::metadata),
        data_images: overlay.as_ref().map(Overlay::data),
    };
    let metadata = check.open(dir, layout::METADATA_FILE)?;
    let data = check.open(dir, layout::DATA_FILE)?;
    let described = match &metadata {
        Some(metadata) => metadata::check(&check, metadata, resources)?,
        None => None,
    };
    let sums = match &data {
        Some(data) => collections::check(&check, data, described.as_ref(), resources)?,
        None => BTreeMap::new(),
    };
    let created_ns = described.as_ref().and_then(|known| known.created_ns());
    published::check_marker(&check, dir, created_ns)?;
    let altered = published::check_files(&check, dir, published, &metadata, &data)?;
    let state = match (fresh, published) {
        (true, PublishedFiles::Known(_)) if altered => DirectoryState::Altered,
        (true, PublishedFiles::Known(_)) => DirectoryState::AsPublished,
        (false, PublishedFiles::Known(_)) => DirectoryState::WrittenTo,
        (_, PublishedFiles::Unknown) => DirectoryState::Unknown,
    };
    for file in metadata.iter().chain(&data) {
        file.check_unchanged()?;
    }
    Ok(Checked { state, sums })
}

impl Check<'_> {
    /// Opens a file of the directory, which hashes what is read of it from the front on.
    fn open(&self, dir: &Dir, name: &str) -> Result<Option<InputFile>> {
        let file = dir.open_file_if_exists(name)?;
        if file.is_none() {
            self.problems.add(missing_database_file(dir, name));
        }
        Ok(file.map(|file| file.hashing()))
    }

    /// The pages of `data.db`, those of the log included.
    fn data_pages(&self, file: InputFile) -> Result<PageFileReader> {
        self.pages(file, self.data_images.as_ref())
    }

    /// The pages of `metadata.db`, those of the log included.
    fn metadata_pages(&self, file: InputFile) -> Result<PageFileReader> {
        self.pages(file, self.metadata_images.as_ref())
    }

    fn pages(
        &self,
        file: InputFile,
        images: Option<&Arc<dyn PageImages>>,
    ) -> Result<PageFileReader> {
        match images {
            None => PageFileReader::open(file, self.policy),
            Some(images) => PageFileReader::with_images(file, self.policy, Arc::clone(images)),
        }
    }

    fn add(&self, code: Code, sentence: impl Into<String>, place: Place) {
        self.problems.add(Problem::new(code, sentence, place));
    }
}
