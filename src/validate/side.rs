//! One directory: its structure, and sums over its documents.

use super::id::shown_id;
use super::outcome::{DirectoryState, SideOutcome};
use super::sums::{ContentSums, DocumentHash};
use super::uniques::{Duplicates, Uniques};
use super::{Resources, v2};
use crate::document::ID_FIELD;
use crate::document::InferTypes;
use crate::files::Dir;
use crate::index::definition::ID_INDEX;
use crate::problems::{Problem, Problems, is_problem};
use crate::source::{
    self, BackupSource, DocumentSource, Position, SourceKind, V1Options, V1Source, V2Source,
};
use crate::v2::metadata::IndexRecord;
use crate::{Code, Error, Result};
use std::path::PathBuf;

/// A file as a receipt names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// In the directory of the receipt.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// XXH3-128 of the file, 32 hex digits.
    pub xxh3: String,
}

/// What the receipt of a directory says of what was published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PublishedFiles {
    /// There is no receipt, or one of another version.
    #[default]
    Unknown,
    /// These.
    Known(Vec<PublishedFile>),
}

/// A directory to check.
#[derive(Debug)]
pub struct SideInput {
    /// The directory.
    pub dir: Dir,
    /// How it is read, should it be v1.
    pub v1: V1Options,
    /// What its receipt says, should it be v2.
    pub published: PublishedFiles,
    /// Problems that were found before it was opened.
    pub problems: Problems,
}

/// A directory that was checked.
pub struct Side {
    /// What was found.
    pub outcome: SideOutcome,
    /// For reading it again; `None` where it is damaged beyond that.
    pub(super) source: Option<Box<dyn DocumentSource>>,
    /// By the position of the collection in the source.
    pub(super) sums: Vec<ContentSums>,
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side")
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// What was read of a side.
#[derive(Default)]
struct Read {
    source: Option<Box<dyn DocumentSource>>,
    sums: Vec<ContentSums>,
    state: Option<DirectoryState>,
}

pub(super) fn check(input: SideInput, resources: &mut Resources<'_>) -> Result<Side> {
    let path = input.dir.path().to_path_buf();
    let problems = input.problems.clone();
    let kind = match input.v1.snapshot {
        Some(_) => Some(SourceKind::V1),
        None => problems.catch(source::detect(&input.dir))?,
    };
    let read = match kind {
        None => Read::default(),
        Some(SourceKind::V1) => check_v1(input, &problems, resources)?,
        Some(SourceKind::Backup) => {
            let source = problems.catch(BackupSource::open(input.dir))?;
            read_all(
                source.map(boxed),
                &problems,
                &Problems::default(),
                resources,
            )?
        }
        Some(SourceKind::V2) => check_v2(&input, &problems, resources)?,
    };
    Ok(Side {
        outcome: outcome(path, kind, &read, &problems),
        source: read.source,
        sums: read.sums,
    })
}

fn boxed<S: DocumentSource + 'static>(source: S) -> Box<dyn DocumentSource> {
    Box::new(source)
}

fn outcome(
    path: PathBuf,
    kind: Option<SourceKind>,
    read: &Read,
    problems: &Problems,
) -> SideOutcome {
    let source = read.source.as_ref();
    let collections = source.map_or(&[][..], |source| source.collections());
    SideOutcome {
        path,
        kind: kind.map(|kind| match kind {
            SourceKind::V1 => "v1",
            SourceKind::V2 => "v2",
            SourceKind::Backup => "backup",
        }),
        state: read.state,
        collections: collections.len() as u64,
        documents: read.sums.iter().map(|sums| sums.contents.count).sum(),
        indexes: collections
            .iter()
            .map(|collection| collection.indexes.len() as u64 + 1)
            .sum(),
        problems: problems.kinds(),
        warnings: source.map_or_else(Vec::new, |source| source.warnings()),
    }
}

fn check_v1(input: SideInput, problems: &Problems, resources: &mut Resources<'_>) -> Result<Read> {
    // Documents that are read once more are not to be counted once more.
    let reading = Problems::default();
    let options = V1Options {
        problems: Some(reading.clone()),
        overlay_memory: resources.memory / 2,
        ..input.v1
    };
    let mut before = 0;
    let mut progress = |offset: u64| {
        let advanced = (resources.advance)(offset.saturating_sub(before), 0);
        before = offset;
        advanced
    };
    let opened = V1Source::open(&input.dir, &options, &mut progress);
    let source = problems.catch(opened)?;
    if let Some(source) = &source {
        check_fit(source, options.infer_types, problems)?;
    }
    let read = read_all(source.map(boxed), problems, &reading, resources);
    problems.absorb(&reading);
    read
}

/// Index definitions must fit their metadata pages.
fn check_fit(source: &V1Source, infer_types: InferTypes, problems: &Problems) -> Result<()> {
    for collection in source.collections() {
        for index in &collection.indexes {
            let fits = IndexRecord::check_fits(&index.definition, infer_types);
            let name = &collection.source_name;
            problems.catch(
                fits.map_err(|error| error.map_place(|place| place.in_collection(&**name))),
            )?;
        }
    }
    Ok(())
}

fn check_v2(input: &SideInput, problems: &Problems, resources: &mut Resources<'_>) -> Result<Read> {
    let checked = v2::check(&input.dir, &input.published, problems, resources)?;
    let source = match V2Source::open(&input.dir) {
        Ok(source) => Some(source),
        Err(error) if is_problem(error.code()) => {
            // What keeps it from being opened was named, unless the check has missed it.
            if problems.count() == 0 {
                problems.add(error);
            }
            None
        }
        Err(error) => return Err(error),
    };
    let mut read = Read {
        state: Some(checked.state),
        ..Read::default()
    };
    if let Some(source) = source {
        let sums = source
            .collections()
            .iter()
            .map(|collection| checked.sums.get(&collection.name).cloned());
        read.sums = sums.map(Option::unwrap_or_default).collect();
        read.source = Some(Box::new(source));
    } else {
        read.sums = checked.sums.into_values().collect();
    }
    Ok(read)
}

/// Reads all documents once; `reading` collects what the source passes over.
fn read_all(
    source: Option<Box<dyn DocumentSource>>,
    problems: &Problems,
    reading: &Problems,
    resources: &mut Resources<'_>,
) -> Result<Read> {
    let Some(source) = source else {
        return Ok(Read::default());
    };
    let mut all = Vec::new();
    let mut twice = Vec::new();
    for (position, collection) in source.collections().iter().enumerate() {
        let mut sums = ContentSums::default();
        let mut hash = DocumentHash::new(resources.sample);
        let mut uniques = Uniques::new(&collection.indexes, resources)?;
        let read = source.read(position, &mut |found| {
            let document = found.document;
            if document.get(ID_FIELD).is_none() {
                let place = source.place(position, found.position);
                problems.add(Problem::new(
                    Code::BadDocument,
                    "a document has no _id",
                    place,
                ));
            }
            sums.add(hash.of(document), document.as_bytes().len());
            uniques.add(document, found.position)?;
            (resources.advance)(found.source_bytes, 1)
        });
        sums.is_complete = problems.catch(read)?.is_some();
        let found = uniques.finish()?;
        if !found.is_empty() {
            twice.push((position, found));
        }
        all.push(sums);
    }
    reading.close();
    for (position, found) in twice {
        name_duplicates(&*source, position, found, problems, resources)?;
    }
    source.check_unchanged()?;
    Ok(Read {
        source: Some(source),
        sums: all,
        state: None,
    })
}

/// Reads the collection again to name the documents that are there twice.
fn name_duplicates(
    source: &dyn DocumentSource,
    position: usize,
    found: Vec<Duplicates>,
    problems: &Problems,
    resources: &mut Resources<'_>,
) -> Result<()> {
    let wanted = |at: Position| {
        let twice = found.iter().flat_map(|duplicates| &duplicates.first);
        twice
            .into_iter()
            .any(|twice| twice.one == at || twice.other == at)
    };
    let mut ids: Vec<(Position, String)> = Vec::new();
    let read = source.read(position, &mut |document| {
        if wanted(document.position) {
            ids.push((document.position, shown_id(document.document)));
        }
        (resources.advance)(document.source_bytes, 0)
    });
    match read {
        // It is damaged further on, and that was named.
        Err(error) if !is_problem(error.code()) => return Err(error),
        _ => {}
    }
    let id_at = |at: Position| {
        let found = ids.iter().find(|(position, _)| *position == at);
        found.map_or("(unknown)", |(_, id)| id)
    };
    for duplicates in &found {
        let is_id = duplicates.index == ID_INDEX;
        for twice in &duplicates.first {
            let place = source.place(position, twice.other);
            let one = source.place(position, twice.one);
            let (code, sentence) = if is_id {
                let sentence = format!("two documents have the same _id; the other is at {one}");
                (Code::DuplicateId, sentence)
            } else {
                let sentence = format!(
                    "two documents have the same key in a unique index; the other is {} at {one}",
                    id_at(twice.one)
                );
                (Code::DuplicateKey, sentence)
            };
            let place = place.with_id(id_at(twice.other));
            let place = match is_id {
                true => place,
                false => place.in_index(&*duplicates.index),
            };
            problems.add(Problem::new(code, sentence, place));
        }
        let named = duplicates.first.len() as u64;
        let code = match is_id {
            true => Code::DuplicateId,
            false => Code::DuplicateKey,
        };
        problems.count_unnamed(code, duplicates.count.saturating_sub(named));
    }
    Ok(())
}

/// The error of a side that cannot be read, for the other one's sake.
pub(super) fn unreadable() -> Error {
    Error::new(
        Code::NotCompared,
        "a directory cannot be read, so nothing was compared",
    )
}
