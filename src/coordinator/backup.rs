//! A backup is taken: documents are written, made durable and read back from disk, all before the
//! directory has a backup's name.

use super::context::Context;
use crate::backup::{BackupHeader, BackupWriter, FinishedBackup, Manifest, SealedBackup};
use crate::files::Dir;
use crate::progress::{Phase, Totals};
use crate::source::DocumentSource;
use crate::{Code, Error, Place, Result};

/// A collection that is backed up.
pub(super) struct Chosen {
    /// Its position in the source.
    pub(super) position: usize,
    /// The name that it gets.
    pub(super) name: String,
}

/// All collections of a source under their own names.
pub(super) fn everything(source: &dyn DocumentSource) -> Vec<Chosen> {
    let names = source.collections().iter().enumerate();
    names
        .map(|(position, collection)| Chosen {
            position,
            name: collection.name.clone(),
        })
        .collect()
}

/// What is backed up, and how.
pub(super) struct Job<'j> {
    pub(super) source: &'j dyn DocumentSource,
    /// In the order of the names.
    pub(super) chosen: &'j [Chosen],
    /// Where the backup's directory goes.
    pub(super) place: &'j Dir,
    pub(super) instant: jiff::Timestamp,
    /// Bytes of the source that will be read, as far as they are known.
    pub(super) source_bytes: u64,
    /// Read it back.
    pub(super) verify: bool,
}

impl Job<'_> {
    /// Takes the backup. `before_name` is called when all is durable and was found equal, just
    /// before the directory gets its name.
    ///
    /// # Errors
    /// The source cannot be read, or changed; a write fails; [`Code::VerifyFailed`]. Nothing is left
    /// then.
    pub(super) fn run(
        &self,
        context: &mut Context<'_, '_>,
        before_name: impl FnOnce(&SealedBackup) -> Result<()>,
    ) -> Result<FinishedBackup> {
        let info = self.source.info();
        let header = BackupHeader {
            instant: self.instant,
            source_version: info.version,
            database_name: info.database_name.clone(),
            metadata: info.metadata.clone(),
            access: info.access,
        };
        let mut writer = BackupWriter::create(self.place, header)?;
        self.write(context, &mut writer)?;
        self.source.check_unchanged()?;
        let sealed = writer.seal()?;
        if self.verify {
            verify(context, &writer)?;
            self.source.check_unchanged()?;
        }
        context.interrupt.check()?;
        before_name(&sealed)?;
        writer.finish()
    }

    fn write(&self, context: &mut Context<'_, '_>, writer: &mut BackupWriter<'_>) -> Result<()> {
        let documents = self.chosen.iter().map(|chosen| {
            let collection = self.source.collections().get(chosen.position);
            collection.and_then(|collection| collection.stated.documents)
        });
        let totals = Totals {
            bytes: self.source_bytes,
            documents: documents.sum::<Option<u64>>().unwrap_or_default(),
            collections: self.chosen.len() as u64,
            ..Totals::default()
        };
        let tracker = &mut context.tracker;
        tracker.start_phase(Phase::Backup, totals, Totals::default());
        for chosen in self.chosen {
            context.interrupt.check()?;
            let Some(collection) = self.source.collections().get(chosen.position) else {
                return Err(Error::new(Code::Internal, "there is no such collection"));
            };
            writer.begin_collection(&chosen.name, collection.indexes.clone())?;
            self.source.read(chosen.position, &mut |found| {
                writer.document(found.document)?;
                context.advance(found.source_bytes, 1)
            })?;
            writer.end_collection()?;
        }
        Ok(())
    }
}

/// Reads what was written back from disk, and compares it with what was read of the source.
fn verify(context: &mut Context<'_, '_>, writer: &BackupWriter<'_>) -> Result<()> {
    let reader = writer.reader()?;
    let totals = Totals {
        bytes: file_bytes(writer.manifest()),
        documents: documents(writer.manifest()),
        ..Totals::default()
    };
    let tracker = &mut context.tracker;
    tracker.start_step(Phase::Backup, "read back", totals);
    let damaged = |error: Error| {
        if error.code() == Code::Cancelled {
            return error;
        }
        Error::new(
            Code::VerifyFailed,
            "the backup that was written reads back damaged",
        )
        .at(Place::file(reader.path()))
        .because(error)
        .hint("check the disk and its cables, then run the command again")
    };
    reader
        .verify(|bytes, documents| context.advance(bytes, documents))
        .map_err(damaged)?;
    // Counts and digests in the file are those of the documents that were read of the source.
    if reader.manifest() == writer.manifest() {
        return Ok(());
    }
    let sentence = "the manifest reads back otherwise than it was written";
    Err(damaged(Error::new(Code::VerifyFailed, sentence)))
}

/// Documents in all collections.
fn documents(manifest: &Manifest) -> u64 {
    let collections = manifest.collections.iter();
    collections.map(|collection| collection.documents).sum()
}

/// Bytes of all collections' files.
pub(super) fn file_bytes(manifest: &Manifest) -> u64 {
    let collections = manifest.collections.iter();
    collections.map(|collection| collection.file_bytes).sum()
}
