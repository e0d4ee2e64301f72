//! A backup directory as a source.

use super::{
    DocumentSource, Position, SourceCollection, SourceDocument, SourceInfo, SourceKind,
    StatedFigures, Visit,
};
use crate::backup::BackupReader;
use crate::files::Dir;
use crate::{Place, Result};

/// An open backup. Reading a collection checks its file against the manifest.
#[derive(Debug)]
pub struct BackupSource {
    reader: BackupReader,
    info: SourceInfo,
    collections: Vec<SourceCollection>,
}

impl BackupSource {
    /// Opens a backup, or the only one in the directory.
    ///
    /// # Errors
    /// Those of [`BackupReader::open`].
    pub fn open(dir: Dir) -> Result<Self> {
        let reader = BackupReader::open(dir)?;
        let manifest = reader.manifest();
        let info = SourceInfo {
            kind: SourceKind::Backup,
            path: reader.path().to_path_buf(),
            version: manifest.source_version,
            database_name: manifest.database_name.clone(),
            metadata: Some(manifest.metadata.clone()),
            access: reader.manifest_file().access()?,
        };
        let collections = manifest
            .collections
            .iter()
            .map(|collection| SourceCollection {
                name: collection.name.clone(),
                source_name: collection.name.clone(),
                indexes: collection.indexes.clone(),
                stated: StatedFigures {
                    documents: Some(collection.documents),
                    data_bytes: Some(collection.data_bytes),
                    content_digest: Some(collection.content_digest),
                },
            });
        let collections = collections.collect();
        Ok(Self {
            reader,
            info,
            collections,
        })
    }

    /// The backup itself.
    #[must_use]
    pub fn reader(&self) -> &BackupReader {
        &self.reader
    }
}

impl DocumentSource for BackupSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn collections(&self) -> &[SourceCollection] {
        &self.collections
    }

    fn read(&self, collection: usize, visit: &mut Visit<'_>) -> Result<()> {
        self.reader.documents(collection, |line| {
            visit(SourceDocument {
                document: line.document,
                position: Position::Line(line.offset),
                source_bytes: line.bytes,
            })
        })
    }

    fn place(&self, collection: usize, position: Position) -> Place {
        let Some(collection) = self.reader.manifest().collections.get(collection) else {
            return Place::file(self.reader.path());
        };
        let path = self.reader.path().join(collection.file());
        let place = match position {
            Position::Line(offset) => Place::offset(path, offset),
            _ => Place::file(path),
        };
        place.in_collection(&collection.name)
    }

    fn check_unchanged(&self) -> Result<()> {
        self.reader.manifest_file().check_unchanged()
    }
}
