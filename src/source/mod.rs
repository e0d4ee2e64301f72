//! A directory of documents, whatever its format: what exports, imports and comparisons read.
//!
//! [`open`] tells the three kinds apart: a v1 directory (snapshot and write-ahead log), a v2
//! directory, a backup. Each is a [`DocumentSource`]: collections in the order of their names, the
//! documents of each in the source's order, one at a time.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod backup;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use backup::BackupSource;
pub use v1::{ScanProgress, V1Files, V1Options, V1Source, V1Tally};
pub use v2::V2Source;
pub(crate) use v2::{check_log, missing as missing_database_file, open_database_file};

use crate::backup::BackupReader;
use crate::document::bson::RawDocument;
use crate::files::{Access, Dir};
use crate::index::PortableIndex;
use crate::layout;
use crate::report::Warning;
use crate::v1::discover;
use crate::v2::DocumentAddress;
use crate::v2::metadata::ContentDigest;
use crate::version::{self, DirectoryVersion, FormatVersion};
use crate::{Place, Result};
use std::path::PathBuf;

/// The kinds of directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SourceKind {
    V1,
    V2,
    Backup,
}

/// What is known of a source as a whole.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    /// What it is.
    pub kind: SourceKind,
    /// Where it is.
    pub path: PathBuf,
    /// The format that the documents are in, of a backup: were in.
    pub version: FormatVersion,
    /// As LauraDB's snapshot names it; of v2 it is in the receipt.
    pub database_name: Option<String>,
    /// JSON text of the snapshot's metadata object.
    pub metadata: Option<String>,
    /// Owner and mode of the least readable of its files.
    pub access: Access,
}

/// A collection of a source.
#[derive(Clone, Debug)]
pub struct SourceCollection {
    /// The name in v2 and in backups.
    pub name: String,
    /// The name before any `--rename`.
    pub source_name: String,
    /// In the order of their names, without `_id_`.
    pub indexes: Vec<PortableIndex>,
    /// What the source says of its documents, before they are read.
    pub stated: StatedFigures,
}

/// What a source says of a collection's documents. Where it is there, [`DocumentSource::read`]
/// fails at the end if it is not true, but for the digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatedFigures {
    /// Documents.
    pub documents: Option<u64>,
    /// Sum of their BSON sizes.
    pub data_bytes: Option<u64>,
    /// Of their BSON. A v2 directory's is that of when it was published.
    pub content_digest: Option<ContentDigest>,
}

/// A document and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct SourceDocument<'a> {
    /// Checked BSON.
    pub document: RawDocument<'a>,
    /// For [`DocumentSource::place`].
    pub position: Position,
    /// Bytes of the source that it was made from.
    pub source_bytes: u64,
}

/// Where a document stands in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The snapshot, at this offset.
    Snapshot(u64),
    /// The write-ahead log, a record at this offset.
    Wal(u64),
    /// `data.db`.
    Page(DocumentAddress),
    /// The collection's file in a backup, a line at this offset.
    Line(u64),
}

/// What takes a source's documents; its error ends the reading.
pub type Visit<'a> = dyn FnMut(SourceDocument<'_>) -> Result<()> + 'a;

/// A directory of documents.
///
/// No source checks that `_id`s are unique: that needs more memory than a document at a time.
pub trait DocumentSource {
    /// The whole.
    fn info(&self) -> &SourceInfo;

    /// The collections, in the order of their names (bytewise).
    fn collections(&self) -> &[SourceCollection];

    /// Reads the documents of the collection at this position, in order. A collection can be read
    /// more than once, but not while it is being read.
    ///
    /// # Errors
    /// The source is damaged there, or a read fails; those of the visitor.
    fn read(&self, collection: usize, visit: &mut Visit<'_>) -> Result<()>;

    /// Where a document of the collection at this position stands, for messages.
    fn place(&self, collection: usize, position: Position) -> Place;

    /// Fails if the source is no longer what it was when it was opened.
    ///
    /// # Errors
    /// [`crate::Code::SourceChanged`].
    fn check_unchanged(&self) -> Result<()>;

    /// Documents read so far that had no `_id` and got one.
    fn generated_ids(&self) -> u64 {
        0
    }

    /// What the operator should know and that is no error.
    fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }
}

/// What a directory is. A marker decides; without one, v1 files, then what a backup holds, then
/// whether there are backups in it.
///
/// # Errors
/// The marker cannot be followed ([`version::detect`]), or names a directory that is half
/// published; a system call fails.
pub fn detect(dir: &Dir) -> Result<SourceKind> {
    match version::detect(dir)? {
        DirectoryVersion::V1 { marker: Some(_) } => return Ok(SourceKind::V1),
        DirectoryVersion::V1 { marker: None } => {}
        DirectoryVersion::V2(_) | DirectoryVersion::V21(_) => return Ok(SourceKind::V2),
        DirectoryVersion::Publishing(_) => return Err(version::half_published(dir)),
    }
    let has_log = dir.entry(layout::WAL_FILE)?.is_some();
    if has_log || discover::find_snapshot(dir, None)?.is_some() {
        return Ok(SourceKind::V1);
    }
    let is_backup = BackupReader::is_backup(dir)? || !BackupReader::find_in(dir)?.is_empty();
    Ok(match is_backup {
        true => SourceKind::Backup,
        false => SourceKind::V1,
    })
}

/// Opens a directory as what it is; `options` and `progress` count for v1 only.
///
/// # Errors
/// Those of [`detect`] and of opening each kind.
pub fn open(
    dir: Dir,
    options: &V1Options,
    progress: &mut ScanProgress<'_>,
) -> Result<Box<dyn DocumentSource>> {
    let kind = match options.snapshot {
        Some(_) => SourceKind::V1,
        None => detect(&dir)?,
    };
    Ok(match kind {
        SourceKind::V1 => Box::new(V1Source::open(&dir, options, progress)?),
        SourceKind::V2 => Box::new(V2Source::open(&dir)?),
        SourceKind::Backup => Box::new(BackupSource::open(dir)?),
    })
}

/// Owner and mode for what is made of these files: those of the least readable.
fn least_readable(accesses: impl IntoIterator<Item = Access>) -> Access {
    let least = accesses.into_iter().reduce(|a, b| Access {
        mode: a.mode & b.mode,
        owner: a.owner,
    });
    least.unwrap_or_default()
}
