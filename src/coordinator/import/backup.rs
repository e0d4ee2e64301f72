//! The backup that an import reads, and how it is known again.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::coordinator::feed::FedSource;
use crate::coordinator::plan::StoredSource;
use crate::coordinator::{least_readable, open_files};
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson, order};
use crate::files::{Access, Dir, FileIdentity, InputFile};
use crate::report::Warning;
use crate::source::{BackupSource, DocumentSource, Position};
use crate::version::FormatVersion;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};

/// Files that are open at once.
const FILES_AT_ONCE: usize = 64;

/// A backup, opened, with what its files were then.
#[derive(Debug)]
pub(in crate::coordinator) struct OpenBackup {
    source: BackupSource,
    /// Of each collection, in the manifest's order.
    files: Vec<FileIdentity>,
    access: Access,
}

impl OpenBackup {
    pub(super) fn open(dir: Dir) -> Result<Self> {
        let source = BackupSource::open(dir)?;
        let mut files = Vec::new();
        let mut access = source.info().access;
        for position in 0..source.collections().len() {
            let file = source.reader().file(position)?;
            access = least_readable([access, file.access()?].into_iter());
            files.push(file.identity().clone());
        }
        Ok(Self {
            source,
            files,
            access,
        })
    }

    pub(in crate::coordinator) fn source(&self) -> &FedSource {
        &self.source
    }

    /// The source with what only a backup has.
    pub(super) fn backup(&self) -> &BackupSource {
        &self.source
    }

    /// The format that the documents were in.
    pub(in crate::coordinator) fn version(&self) -> FormatVersion {
        self.source.info().version
    }

    /// Owner and mode of the least readable of its files.
    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// Bytes of its collections' files.
    pub(super) fn file_bytes(&self) -> u64 {
        let collections = &self.source.reader().manifest().collections;
        let bytes = collections.iter().map(|collection| collection.file_bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// Fails if a file is no longer what it was when the backup was opened.
    pub(in crate::coordinator) fn check_unchanged(&self) -> Result<()> {
        self.source.check_unchanged()?;
        for (position, then) in self.files.iter().enumerate() {
            let now = self.source.reader().file(position)?;
            if now.identity() != then {
                return Err(Error::new(
                    Code::SourceChanged,
                    "the file changed while the backup was read",
                )
                .at(Place::file(now.path()))
                .hint("leave the backup alone, then run the same command again"));
            }
        }
        Ok(())
    }

    /// Fails if another process has one of the files open for writing.
    pub(in crate::coordinator) fn refuse_writers(&self) -> Result<Option<Warning>> {
        let reader = self.source.reader();
        let mut warning = open_files::refuse_writers(&[reader.manifest_file()])?;
        let mut position = 0;
        while position < self.files.len() {
            let end = self.files.len().min(position.saturating_add(FILES_AT_ONCE));
            let files = (position..end).map(|position| reader.file(position));
            let files = files.collect::<Result<Vec<InputFile>>>()?;
            let files: Vec<&InputFile> = files.iter().collect();
            warning = open_files::refuse_writers(&files)?;
            position = end;
        }
        Ok(warning)
    }

    /// The error for an `_id` that a collection has twice; looks up both lines.
    pub(in crate::coordinator) fn duplicate_id(&self, collection: usize, bson: &[u8]) -> Error {
        let wanted = RawDocument::trusted(bson).get(ID_FIELD);
        let is_it = |document: RawDocument<'_>| match (document.get(ID_FIELD), wanted) {
            (Some(id), Some(wanted)) => order::same_id(id, wanted),
            _ => false,
        };
        let lines = match self.lines(collection, is_it) {
            Ok(lines) => lines,
            Err(error) => return error,
        };
        let id = wanted.map(ejson::display_id).unwrap_or_default();
        let (sentence, position) = match lines.as_slice() {
            [first, second, ..] => (
                format!(
                    "lines {} and {} of the backup's file have the same _id",
                    first.number, second.number
                ),
                second.position,
            ),
            _ => (
                "two documents of the backup's file have the same _id".to_owned(),
                Position::Line(0),
            ),
        };
        Error::new(Code::DuplicateId, sentence)
            .at(self
                .source
                .place(collection, position)
                .in_index("_id_")
                .with_id(id))
            .hint("correct the database that the backup is of, and take another one")
    }

    /// The lines of a collection's file that hold these documents. Reads the file once more, which
    /// only a failing run does.
    pub(super) fn lines(
        &self,
        collection: usize,
        mut is_wanted: impl FnMut(RawDocument<'_>) -> bool,
    ) -> Result<Vec<FoundLine>> {
        let mut lines = Vec::new();
        let mut number = 0_u64;
        self.source.read(collection, &mut |found| {
            number = number.saturating_add(1);
            if is_wanted(found.document) {
                let id = found.document.get(ID_FIELD).map(ejson::display_id);
                lines.push(FoundLine {
                    number,
                    position: found.position,
                    id: id.unwrap_or_default(),
                });
            }
            Ok(())
        })?;
        Ok(lines)
    }
}

/// A line that was looked for.
pub(super) struct FoundLine {
    /// From 1.
    pub(super) number: u64,
    pub(super) position: Position,
    /// The document's `_id`, for people.
    pub(super) id: String,
}

/// The files of a backup as they were when the run started. The manifest has the hashes of the
/// others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::coordinator) struct StoredBackup {
    manifest: StoredSource,
    files: Vec<FileIdentity>,
}

impl StoredBackup {
    pub(in crate::coordinator) fn of(backup: &OpenBackup) -> Result<Self> {
        Ok(Self {
            manifest: StoredSource::of(backup.source.reader().manifest_file())?,
            files: backup.files.clone(),
        })
    }

    pub(in crate::coordinator) fn manifest(&self) -> &StoredSource {
        &self.manifest
    }

    /// Fails with what `refused` makes of a sentence unless `now` is this backup. A file that was
    /// copied or restored in between is compared with its hash in the manifest.
    pub(in crate::coordinator) fn check_same(
        &self,
        now: &OpenBackup,
        refused: impl Fn(String) -> Error,
    ) -> Result<()> {
        let reader = now.source.reader();
        let changed = |file: &InputFile, what: &str, change: &str| {
            refused(format!(
                "the {what} changed since the import was interrupted: {change}"
            ))
            .at(Place::file(file.path()))
        };
        let manifest = reader.manifest_file();
        if let Some(change) = self.manifest.difference(manifest)? {
            return Err(changed(manifest, "backup's manifest", &change));
        }
        for (position, then) in self.files.iter().enumerate() {
            let file = reader.file(position)?;
            if file.identity() == then {
                continue;
            }
            match now.source.read(position, &mut |_| Ok(())) {
                Err(error) if error.code() == Code::BackupAltered => {
                    return Err(changed(&file, "backup", error.sentence()));
                }
                read => read?,
            }
        }
        Ok(())
    }
}
