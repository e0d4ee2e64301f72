//! A v1 directory as a source: the snapshot's documents with what the write-ahead log changes.
//!
//! Documents come in the order in which a migration writes them: those of the snapshot, each one
//! that the log replaced at its old place, then those that only the log has, by LSN.

mod names;
mod pages;
mod warnings;

use super::{
    DocumentSource, Position, SourceCollection, SourceDocument, SourceInfo, SourceKind,
    StatedFigures, Visit, least_readable,
};
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, InferTypes, ejson, order};
use crate::files::{Dir, InputFile};
use crate::index::{ListedText, PortableIndex, SkipIndexes, parse_listed};
use crate::layout;
use crate::options::PagesMode;
use crate::problems::Problems;
use crate::report::{PagesReport, Warning};
use crate::v1::discover;
use crate::v1::names::Renames;
use crate::v1::pages::refuse_unnamed;
use crate::v1::selection::Selection;
use crate::v1::snapshot::{self, ChunkDocument, CollectionLayout, ScanOptions, SnapshotLayout};
use crate::v1::wal::{Overlay, Replacement, WalOptions, WalSummary};
use crate::version::FormatVersion;
use crate::{Code, Error, Place, Result};
use names::Names;
use pages::{Unlisted, join_pages};
use std::cell::Cell;
use std::path::PathBuf;

/// How a v1 directory is read; what shapes the documents is as for a migration.
#[derive(Clone, Debug)]
pub struct V1Options {
    /// The snapshot, where it is not to be looked for in the directory.
    pub snapshot: Option<PathBuf>,
    /// Which strings become another type.
    pub infer_types: InferTypes,
    /// Other names for collections: `OLD=NEW`, see [`Renames`].
    pub renames: Vec<String>,
    /// Indexes that are left out: `NAME`, `COLLECTION/NAME` or `all`.
    pub skip_indexes: Vec<String>,
    /// Index definitions that cannot be carried are left out instead of being an error: for who
    /// has refused them already, or was told to skip them.
    pub leave_bad_indexes: bool,
    /// Only these collections, and not those excluded, by their names before any rename; see
    /// [`Selection`].
    pub collections: Vec<String>,
    /// See `collections`.
    pub excluded: Vec<String>,
    /// What becomes of documents in `data.db`.
    pub pages: PagesMode,
    /// Where `_id`s are sorted, in files without a name, if `data.db` holds documents.
    pub temp_dir: PathBuf,
    /// Bytes that the overlay of the write-ahead log may take, and as much again for sorting.
    pub overlay_memory: u64,
    /// Take collections with names that v2 cannot take; a backup can.
    pub any_names: bool,
    /// Collects what a migration would refuse and reading can pass over: names, index definitions,
    /// documents. Without it, the first one is an error.
    pub problems: Option<Problems>,
    /// If not 0, bad documents, damaged pages and up to so many bad records of the log are passed
    /// over: for who has put them into quarantine, or is about to.
    pub max_bad: u64,
}

impl Default for V1Options {
    fn default() -> Self {
        Self {
            snapshot: None,
            infer_types: InferTypes::default(),
            renames: Vec::new(),
            skip_indexes: Vec::new(),
            leave_bad_indexes: false,
            collections: Vec::new(),
            excluded: Vec::new(),
            pages: PagesMode::default(),
            temp_dir: std::env::temp_dir(),
            overlay_memory: crate::options::DEFAULT_MEMORY / 2,
            any_names: false,
            problems: None,
            max_bad: 0,
        }
    }
}

/// The files of a v1 directory.
#[derive(Clone, Debug, Default)]
pub struct V1Files {
    /// A snapshot or any LauraDB backup file.
    pub snapshot: Option<InputFile>,
    /// The write-ahead log.
    pub wal: Option<InputFile>,
    /// `data.db`; LauraDB's unlisted pages, if it holds any.
    pub data: Option<InputFile>,
}

/// Told how far the scan of the snapshot has got, in bytes, before each read, and then how much more
/// was read of `data.db` and once more of the snapshot; its error ends it.
pub type ScanProgress<'a> = dyn FnMut(u64) -> Result<()> + 'a;

/// What reading has found so far besides documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct V1Tally {
    /// Documents that had no `_id` and got one.
    pub generated_ids: u64,
    /// Elements `{}` of arrays, as LauraDB's backup writes any document there.
    pub emptied_array_documents: u64,
    /// Keys of documents that mean nothing.
    pub unknown_keys: u64,
}

/// An open v1 directory: its snapshot's structure and its write-ahead log have been scanned.
#[derive(Debug)]
pub struct V1Source {
    files: V1Files,
    info: SourceInfo,
    collections: Vec<SourceCollection>,
    /// By the position of the collection.
    parts: Vec<Part>,
    layout: Option<SnapshotLayout>,
    overlay: Option<Overlay>,
    summary: Option<WalSummary>,
    infer_types: InferTypes,
    unlisted: Option<Unlisted>,
    pages_mode: PagesMode,
    dropped_options: Vec<String>,
    tally: Cell<V1Tally>,
    problems: Option<Problems>,
    /// Bad documents are passed over without being collected.
    passes_bad: bool,
    pages_tally: Cell<PagesReport>,
}

/// Where a collection's documents are.
#[derive(Clone, Debug)]
struct Part {
    /// The name before any rename.
    v1_name: String,
    /// The overlay's number for it; its position in the snapshot, if it is there.
    number: u32,
}

impl V1Source {
    /// Finds the files of a v1 directory and opens them.
    ///
    /// # Errors
    /// As [`Self::of_files`]; [`Code::NothingToMigrate`] if there are none.
    pub fn open(dir: &Dir, options: &V1Options, progress: &mut ScanProgress<'_>) -> Result<Self> {
        let found = discover::find_snapshot(dir, options.snapshot.as_deref())?;
        let files = V1Files {
            snapshot: found.map(|found| found.file),
            wal: dir.open_file_if_exists(layout::WAL_FILE)?,
            data: match options.pages {
                PagesMode::Ignore => None,
                _ => dir.open_file_if_exists(layout::DATA_FILE)?,
            },
        };
        if let (None, Some(data), PagesMode::Auto) = (&files.snapshot, &files.data, options.pages) {
            refuse_unnamed(data)?;
        }
        let recovers = options.pages == PagesMode::Recover && files.data.is_some();
        if !recovers && files.snapshot.is_none() && files.wal.is_none() {
            let sentence = "the directory holds neither a snapshot nor a write-ahead log";
            return Err(Error::new(Code::NothingToMigrate, sentence)
                .at(Place::file(dir.path()))
                .hint("name the data directory itself, or the snapshot with --snapshot FILE"));
        }
        Self::of_files(files, dir.path().to_path_buf(), options, progress)
    }

    /// Scans files; a LauraDB backup file by itself is a snapshot without a log.
    ///
    /// # Errors
    /// Those of [`snapshot::scan`] and [`Overlay::scan`]; names or index definitions that cannot be
    /// carried over; options that name nothing.
    pub fn of_files(
        files: V1Files,
        path: PathBuf,
        options: &V1Options,
        progress: &mut ScanProgress<'_>,
    ) -> Result<Self> {
        let layout = match &files.snapshot {
            Some(file) => {
                let mut progress = |offset| progress(offset);
                let scanned = ScanOptions {
                    keep_oversized: options.max_bad > 0,
                    ..ScanOptions::default()
                };
                Some(snapshot::scan(file, &scanned, &mut progress)?)
            }
            None => None,
        };
        let selection = Selection::parse(&options.collections, &options.excluded)?;
        let mut names = Names::of(selection, files.snapshot.as_ref().zip(layout.as_ref()))?;
        let scanned = match &files.wal {
            Some(file) => Some(scan_log(file, layout.as_ref(), options, &mut names)?),
            None => None,
        };
        let (overlay, summary) = scanned.unzip();
        let unlisted = join_pages(&files, layout.as_ref(), options, &mut names, progress)?;
        let accesses = [&files.snapshot, &files.wal, &files.data]
            .into_iter()
            .flatten();
        let accesses: Vec<_> = accesses.map(InputFile::access).collect::<Result<_>>()?;
        let described = layout.as_ref();
        let info = SourceInfo {
            kind: SourceKind::V1,
            path,
            version: FormatVersion::V1_0,
            database_name: described.map(|layout| layout.database_name.clone()),
            metadata: described.and_then(|layout| layout.metadata.clone()),
            access: least_readable(accesses),
        };
        let mut source = Self {
            files,
            info,
            collections: Vec::new(),
            parts: Vec::new(),
            layout,
            overlay,
            summary,
            infer_types: options.infer_types,
            unlisted,
            pages_mode: options.pages,
            dropped_options: Vec::new(),
            tally: Cell::default(),
            problems: options.problems.clone(),
            passes_bad: options.max_bad > 0,
            pages_tally: Cell::default(),
        };
        source.describe_all(&names, options)?;
        Ok(source)
    }

    /// The structure of the snapshot.
    #[must_use]
    pub fn layout(&self) -> Option<&SnapshotLayout> {
        self.layout.as_ref()
    }

    /// What the log changes, and what its scan has counted.
    pub(crate) fn log(&self) -> Option<(&Overlay, &WalSummary)> {
        self.overlay.as_ref().zip(self.summary.as_ref())
    }

    /// The overlay's number for the collection at this position.
    pub(crate) fn overlay_number(&self, collection: usize) -> Option<u32> {
        self.parts.get(collection).map(|part| part.number)
    }

    /// The files that are read.
    #[must_use]
    pub fn files(&self) -> &V1Files {
        &self.files
    }

    /// What the scan of the log has counted.
    #[must_use]
    pub fn wal_summary(&self) -> Option<&WalSummary> {
        self.summary.as_ref()
    }

    /// What reading has found so far; a collection that is read twice counts twice.
    #[must_use]
    pub fn tally(&self) -> V1Tally {
        self.tally.get()
    }

    fn describe_all(&mut self, names: &Names, options: &V1Options) -> Result<()> {
        let renames = Renames::parse(&options.renames)?;
        let skip = SkipIndexes::parse(&options.skip_indexes)?;
        let named = names.resolve(&renames, options.any_names, self.problems.as_ref())?;
        for (name, part) in named {
            let layout = self.layout.as_ref();
            let listed = layout.and_then(|layout| layout.collections.get(part.number as usize));
            let mut collection = SourceCollection {
                name,
                source_name: part.v1_name.clone(),
                indexes: Vec::new(),
                stated: StatedFigures::default(),
            };
            if let (Some(listed), Some(file)) = (listed, &self.files.snapshot) {
                let parsed = parse_listed(&part.v1_name, listed_texts(file, listed)?, &skip);
                for problem in parsed.problems {
                    if !options.leave_bad_indexes {
                        pass_over(self.problems.as_ref(), problem)?;
                    }
                }
                self.dropped_options.extend(parsed.dropped);
                let definitions = parsed.definitions.into_iter();
                collection.indexes = definitions
                    .map(|definition| PortableIndex::new(definition, options.infer_types))
                    .collect();
            }
            self.collections.push(collection);
            self.parts.push(part);
        }
        skip.finish()
    }

    fn count(&self, document: &ChunkDocument<'_>) {
        let mut tally = self.tally.get();
        tally.generated_ids = tally
            .generated_ids
            .saturating_add(u64::from(document.converted.generated_id));
        tally.emptied_array_documents = tally
            .emptied_array_documents
            .saturating_add(document.converted.emptied_array_documents);
        tally.unknown_keys = tally
            .unknown_keys
            .saturating_add(document.converted.unknown_keys);
        self.tally.set(tally);
    }

    /// What pages had of the documents that were read so far; of a collection that is read twice,
    /// twice.
    #[must_use]
    pub fn pages_tally(&self) -> PagesReport {
        self.pages_tally.get()
    }

    /// Passes over a bad document, or fails with its error.
    fn pass_document(&self, error: Error) -> Result<()> {
        match self.passes_bad {
            true => Ok(()),
            false => pass_over(self.problems.as_ref(), error),
        }
    }

    fn visit_snapshot(
        &self,
        part: &Part,
        found: &ChunkDocument<'_>,
        buffer: &mut Vec<u8>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.count(found);
        let document = RawDocument::trusted(found.bson);
        let replacement = match self.replacement(part, document, found.offset) {
            Ok(replacement) => replacement,
            Err(error) => return self.pass_document(error),
        };
        let source_bytes = found.converted.text_bytes as u64;
        match (replacement, &self.overlay) {
            (None, _) | (_, None) => visit(SourceDocument {
                document,
                position: Position::Snapshot(found.offset),
                source_bytes,
            }),
            (Some(Replacement::Document { record, .. }), Some(overlay)) => {
                overlay.read_document(record, buffer)?;
                visit(SourceDocument {
                    document: RawDocument::trusted(buffer),
                    position: Position::Wal(record),
                    source_bytes,
                })
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }

    fn replacement(
        &self,
        part: &Part,
        document: RawDocument<'_>,
        offset: u64,
    ) -> Result<Option<Replacement>> {
        let (Some(overlay), Some(id)) = (&self.overlay, document.get(ID_FIELD)) else {
            return Ok(None);
        };
        let hash = order::hash_id(id, part.number);
        if !overlay.may_contain(hash, part.number) {
            return Ok(None);
        }
        match overlay.take(part.number, id, hash)? {
            Some(Replacement::AlreadyMatched) => {
                let path = self.files.snapshot.as_ref().map(InputFile::path);
                let place = Place::offset(path.unwrap_or(&self.info.path), offset);
                Err(Error::new(
                    Code::DuplicateId,
                    "two documents of the collection have the same _id",
                )
                .at(place
                    .in_collection(&part.v1_name)
                    .with_id(ejson::display_id(id)))
                .hint("remove or rename one of the two documents in LauraDB and take a new backup"))
            }
            replacement => Ok(replacement),
        }
    }
}

impl DocumentSource for V1Source {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn collections(&self) -> &[SourceCollection] {
        &self.collections
    }

    fn read(&self, collection: usize, visit: &mut Visit<'_>) -> Result<()> {
        let Some(part) = self.parts.get(collection) else {
            return Err(Error::new(Code::Internal, "there is no such collection"));
        };
        if let Some(overlay) = &self.overlay {
            overlay.forget_matched(part.number);
        }
        let mut buffer = Vec::new();
        self.read_snapshot(part, &mut buffer, visit)?;
        let overlay = self.overlay.iter();
        for (overlay, record) in overlay.flat_map(|overlay| {
            let records = overlay.remaining(part.number);
            records.map(move |record| (overlay, record))
        }) {
            overlay.read_document(record, &mut buffer)?;
            visit(SourceDocument {
                document: RawDocument::trusted(&buffer),
                position: Position::Wal(record),
                source_bytes: buffer.len() as u64,
            })?;
        }
        self.read_recovered(part, &mut buffer, visit)
    }

    fn place(&self, collection: usize, position: Position) -> Place {
        let (file, offset) = match position {
            Position::Snapshot(offset) => (&self.files.snapshot, Some(offset)),
            Position::Wal(offset) => (&self.files.wal, Some(offset)),
            Position::Page(_) => (&self.files.data, None),
            Position::Line(_) => (&None, None),
        };
        let path = file.as_ref().map_or(&*self.info.path, InputFile::path);
        let mut place = match position {
            Position::Page(address) => Place::page(path, address.page.0),
            _ => Place::file(path),
        };
        place.offset = place.offset.or(offset);
        match self.parts.get(collection) {
            Some(part) => place.in_collection(&part.v1_name),
            None => place,
        }
    }

    fn check_unchanged(&self) -> Result<()> {
        let files = [&self.files.snapshot, &self.files.wal, &self.files.data];
        let mut files = files.into_iter().flatten();
        files.try_for_each(InputFile::check_unchanged)
    }

    fn generated_ids(&self) -> u64 {
        self.tally.get().generated_ids
    }

    fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.warnings_of_snapshot();
        warnings.extend(self.warnings_of_pages());
        warnings.extend(self.warnings_of_log());
        warnings
    }
}

/// Leaves a problem to the collector, where there is one.
fn pass_over(problems: Option<&Problems>, error: Error) -> Result<()> {
    match problems {
        Some(problems) => problems.take(error),
        None => Err(error),
    }
}

fn scan_log(
    file: &InputFile,
    layout: Option<&SnapshotLayout>,
    options: &V1Options,
    names: &mut Names,
) -> Result<(Overlay, WalSummary)> {
    let mut resolve = |name: &str, place| names.number(file, name, place);
    let wal = WalOptions {
        after_lsn: layout.and_then(|layout| layout.wal_lsn),
        memory_limit: options.overlay_memory,
        resolve: &mut resolve,
    };
    Overlay::scan_passing(file.clone(), wal, options.max_bad, &mut |_| Ok(()))
}

fn listed_texts(file: &InputFile, listed: &CollectionLayout) -> Result<Vec<ListedText>> {
    let texts = listed.indexes.iter().map(|index| {
        Ok(ListedText {
            text: index.text(file)?,
            place: Place::offset(file.path(), index.offset),
        })
    });
    texts.collect()
}
