//! Reading a v1 directory back and comparing it with the backup that it was made of.

use super::{ImportedCollection, V1Import};
use crate::coordinator::feed::SourceFeed;
use crate::coordinator::parse::Batch;
use crate::document::bson::RawDocument;
use crate::files::{Dir, InputFile};
use crate::index::{IndexDefinition, PortableIndex};
use crate::layout::WAL_FILE;
use crate::progress::{Phase, Totals};
use crate::source::{DocumentSource as _, V1Files, V1Options, V1Source};
use crate::v1::snapshot::comes_back_as;
use crate::v1::wal::fresh_wal;
use crate::{Code, Error, ExitCode, Place, Result};
use serde_json::Value;

/// Longest `wal.log` that is read, bytes; a fresh one has 33.
const LARGEST_LOG: u64 = 1 << 10;

/// Fails unless the snapshot and `wal.log` in `dir` are what the backup comes to in format 1.0.
pub(super) fn run(import: &mut V1Import<'_, '_, '_>, dir: &Dir, snapshot: InputFile) -> Result<()> {
    let totals = Totals {
        bytes: import.backup.file_bytes(),
        documents: import.documents(),
        ..Totals::default()
    };
    let tracker = &mut import.context.tracker;
    tracker.start_phase(Phase::Verify, totals, Totals::default());
    let log = dir.open_file(WAL_FILE)?;
    if log.size() > LARGEST_LOG || log.read_all(LARGEST_LOG)? != fresh_wal() {
        return Err(different(
            Place::file(log.path()),
            "wal.log is not a fresh write-ahead log",
        ));
    }
    let place = Place::file(snapshot.path());
    let options = V1Options {
        any_names: true,
        ..V1Options::default()
    };
    let files = V1Files {
        snapshot: Some(snapshot),
        wal: None,
        data: None,
    };
    let interrupt = import.context.interrupt.clone();
    let source = V1Source::of_files(files, dir.path().to_path_buf(), &options, &mut |_| {
        interrupt.check()
    })
    .map_err(unreadable)?;
    compare_header(import, &source, &place)?;
    compare_documents(import, &source)?;
    source.check_unchanged()
}

fn different(place: Place, sentence: impl Into<String>) -> Error {
    Error::new(Code::VerifyFailed, sentence)
        .at(place)
        .hint("the backup is untouched; check the disk and its cables, then run the command again")
}

/// What was written does not read: that is no fault of the backup.
fn unreadable(error: Error) -> Error {
    match error.exit_code() {
        ExitCode::Source => {
            let place = error.place().clone();
            different(place, "what was written cannot be read back").because(error)
        }
        _ => error,
    }
}

fn compare_header(import: &V1Import<'_, '_, '_>, source: &V1Source, place: &Place) -> Result<()> {
    let header = import.header();
    let info = source.info();
    let metadata = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or("{}");
        serde_json::from_str::<Value>(text).ok()
    };
    if info.database_name.as_ref() != Some(&header.database_name)
        || metadata(&info.metadata) != metadata(&header.metadata)
    {
        let sentence = "the snapshot's name or metadata is not the backup's";
        return Err(different(place.clone(), sentence));
    }
    let found = source.collections();
    if found.len() != import.collections.len() {
        let sentence = "the snapshot has not as many collections as the backup";
        return Err(different(place.clone(), sentence));
    }
    let definitions = |indexes: &[PortableIndex]| {
        let definitions = indexes.iter().map(|index| index.definition.clone());
        definitions.collect::<Vec<IndexDefinition>>()
    };
    for (found, planned) in found.iter().zip(&import.collections) {
        if found.name != planned.name
            || definitions(&found.indexes) != definitions(&planned.indexes)
        {
            let sentence = "a collection's name or indexes are not those of the backup";
            let place = place.clone().in_collection(&planned.name);
            return Err(different(place, sentence));
        }
    }
    Ok(())
}

fn compare_documents(import: &mut V1Import<'_, '_, '_>, source: &V1Source) -> Result<()> {
    let backup = import.backup;
    let positions = import.collections.iter().map(|listed| listed.position);
    std::thread::scope(|scope| {
        let options = import.context.options;
        let mut expected = Expected {
            feed: SourceFeed::start(scope, backup.source(), positions, options)?,
            batch: Batch::default(),
            next: 0,
            ended: false,
        };
        for (number, collection) in import.collections.iter().enumerate() {
            expected.begin();
            let context = &mut import.context;
            // What fails on the backup's side says so itself.
            let mut failed = None;
            let read = source.read(number, &mut |found| {
                let place = || source.place(number, found.position);
                let compared = expected
                    .compare(found.document, place)
                    .and_then(|()| context.advance(found.source_bytes, 1));
                compared.map_err(|error| {
                    failed = Some(error);
                    Error::new(Code::Cancelled, "the comparison has ended")
                })
            });
            match failed {
                Some(error) => return Err(error),
                None => read.map_err(unreadable)?,
            }
            expected.end(collection)?;
        }
        Ok(())
    })
}

/// The documents of the backup, one at a time.
struct Expected {
    feed: SourceFeed,
    batch: Batch,
    /// In the batch.
    next: usize,
    /// The batch is the collection's last.
    ended: bool,
}

impl Expected {
    /// A collection starts.
    fn begin(&mut self) {
        self.ended = false;
    }

    /// Fails unless `found` is what the next document comes back as.
    fn compare(&mut self, found: RawDocument<'_>, place: impl Fn() -> Place) -> Result<()> {
        match self.document()? {
            Some(expected) if comes_back_as(expected, found) => Ok(()),
            Some(_) => Err(different(
                place(),
                "a document is not what the backup has there",
            )),
            None => Err(different(
                place(),
                "the snapshot has more documents than the backup",
            )),
        }
    }

    fn document(&mut self) -> Result<Option<RawDocument<'_>>> {
        while self.next == self.batch.documents.len() {
            if self.ended {
                return Ok(None);
            }
            let done = std::mem::take(&mut self.batch);
            self.feed.done(done);
            self.batch = self.feed.next_batch()?;
            self.ended = self.batch.is_last;
            self.next = 0;
        }
        let start = match self.next.checked_sub(1) {
            Some(before) => self.batch.documents.get(before).map(|before| before.end),
            None => Some(0),
        };
        let end = self
            .batch
            .documents
            .get(self.next)
            .map(|document| document.end);
        self.next += 1;
        let bytes = start
            .zip(end)
            .and_then(|(start, end)| self.batch.bson.get(start..end));
        Ok(bytes.map(RawDocument::trusted))
    }

    fn end(&mut self, collection: &ImportedCollection) -> Result<()> {
        match self.document()? {
            None => Ok(()),
            Some(_) => Err(different(
                Place::default().in_collection(&collection.name),
                "documents of the backup are missing in the snapshot",
            )),
        }
    }
}
