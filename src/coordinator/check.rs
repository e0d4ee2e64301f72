//! The check phase: reads the structure of everything and finds every reason not to start.

mod warnings;

use super::context::Context;
use super::directories::Directories;
use super::estimate::SpaceEstimate;
use super::import::{self, OpenBackup, Origin};
use super::marker_text::marker_text;
use super::names::NameTable;
use super::plan::{Plan, PlannedCollection, StoredSources};
use super::space::{self, Need};
use super::work::WorkDir;
use super::{backup_place, least_readable, of_source, open_files, pages, room, unlisted};
use crate::files::{Access, Dir, InputFile};
use crate::index::filter::Filter;
use crate::index::{CollectionIndexes, IndexDefinition, ListedText, SkipIndexes, parse_listed};
use crate::layout;
use crate::options::{Options, PagesMode};
use crate::progress::{Phase, Totals};
use crate::receipt::SnapshotFacts;
use crate::report::Warning;
use crate::v1::discover::{self, FoundSnapshot};
use crate::v1::pages::JoinSummary;
use crate::v1::snapshot::{self, CollectionLayout, ScanOptions, SnapshotLayout};
use crate::v1::wal::{Overlay, WalOptions, WalSummary};
use crate::v2::metadata::IndexRecord;
use crate::version::{self, DirectoryVersion};
use crate::{Code, Error, Place, Result};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use warnings::warnings_of;

/// Largest share of `--memory` that the overlay of the write-ahead log may take.
pub(super) const OVERLAY_SHARE: u64 = 2;

/// What the source directory holds.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) snapshot: Option<InputFile>,
    pub(super) wal: Option<InputFile>,
    /// `data.db`, whatever becomes of it.
    pages: Option<InputFile>,
    /// The same, unless it is ignored.
    pub(super) data: Option<InputFile>,
    /// The name of the snapshot if it lies directly in the source.
    snapshot_name: Option<OsString>,
    /// What an import reads instead of all these.
    pub(super) backup: Option<Arc<OpenBackup>>,
}

impl Sources {
    /// What a run reads: the files of a v1 directory, or what an import was given.
    pub(super) fn of(directories: &Directories, options: &Options) -> Result<Self> {
        match &directories.origin {
            Origin::Directory => Self::open(&directories.source, options),
            Origin::File(file) => Ok(Self {
                snapshot: Some(file.hashing()),
                ..Self::default()
            }),
            Origin::Backup(backup) => Ok(Self {
                backup: Some(Arc::clone(backup)),
                ..Self::default()
            }),
        }
    }

    /// Finds and opens all of it. Snapshot and log are hashed while they are read.
    pub(super) fn open(source: &Dir, options: &Options) -> Result<Self> {
        Self::find(source, options).map_err(of_source)
    }

    fn find(source: &Dir, options: &Options) -> Result<Self> {
        let found = discover::find_snapshot(source, options.snapshot.as_deref())?;
        let wal = source.open_file_if_exists(layout::WAL_FILE)?;
        let pages = source.open_file_if_exists(layout::DATA_FILE)?;
        let data = pages
            .as_ref()
            .filter(|_| options.pages != PagesMode::Ignore);
        Ok(Self {
            snapshot_name: found.as_ref().and_then(name_in_directory),
            data: data.map(InputFile::hashing),
            snapshot: found.map(|found| found.file.hashing()),
            wal: wal.map(|wal| wal.hashing()),
            pages,
            backup: None,
        })
    }

    /// Owner and mode for what is made of them.
    fn access(&self) -> Result<Access> {
        let files = [&self.snapshot, &self.wal, &self.data]
            .into_iter()
            .flatten();
        let accesses = files.map(InputFile::access).collect::<Result<Vec<_>>>()?;
        Ok(least_readable(accesses.into_iter()))
    }

    /// Fails if another process has one of the files open for writing.
    pub(super) fn refuse_writers(&self) -> Result<Option<Warning>> {
        if let Some(backup) = &self.backup {
            return backup.refuse_writers();
        }
        let files: Vec<_> = [&self.snapshot, &self.wal, &self.pages]
            .into_iter()
            .flatten()
            .collect();
        open_files::refuse_writers(&files)
    }
}

/// The overlay of an interrupted run's write-ahead log again, with the numbers of its plan.
pub(super) fn restore_overlay(options: &Options, plan: &Plan) -> Result<Option<Overlay>> {
    let Some(file) = &plan.wal else {
        return Ok(None);
    };
    // Groups of recovered documents have no name of LauraDB's.
    let groups = plan
        .pages
        .as_ref()
        .map(|pages| pages.group_numbers.as_slice());
    let groups = groups.unwrap_or_default();
    let numbers: HashMap<&str, u32> = plan
        .collections
        .iter()
        .filter(|collection| !groups.contains(&collection.overlay_number))
        .map(|collection| (collection.v1_name.as_str(), collection.overlay_number))
        .collect();
    let mut resolve = |name: &str, _| Ok(numbers.get(name).copied());
    let wal = WalOptions {
        after_lsn: plan.after_lsn,
        memory_limit: options.memory / OVERLAY_SHARE,
        resolve: &mut resolve,
    };
    Overlay::scan_passing(file.clone(), wal, options.max_bad, &mut |_| Ok(()))
        .map(|(overlay, _)| Some(overlay))
}

/// Runs the phase.
///
/// The work directory is made as early as here if LauraDB's unlisted pages are to be joined with the
/// snapshot.
#[expect(clippy::too_many_lines, reason = "the steps of the phase, in order")]
pub(super) fn run(
    context: &mut Context<'_, '_>,
    directories: &Directories,
) -> Result<(Plan, Option<WorkDir>)> {
    let options = context.options;
    let source = &directories.source;
    let sources = Sources::of(directories, options)?;
    let hidden = context.or_noted(sources.refuse_writers())?.flatten();
    if let Some(backup) = sources.backup {
        let plan = import::check(context, directories, &backup, hidden)?;
        return Ok((plan, None));
    }
    start_phase(context, &sources);
    let layout = match &sources.snapshot {
        Some(file) => Some(scan_snapshot(context, file)?),
        None => None,
    };
    let mut names = NameTable::new(options, sources.snapshot.as_ref().zip(layout.as_ref()))?;
    let log = scan_wal(options, &sources, layout.as_ref(), &mut names)?;
    let (overlay, wal_summary) = log.unzip();
    if let (Some(dry), Some(summary)) = (&context.dry, &wal_summary) {
        dry.findings.expect_bad(summary.bad_records);
    }
    pages::refuse_without_snapshot(options, &sources)?;
    let may_recover = options.pages == PagesMode::Recover && sources.data.is_some();
    refuse_nothing(source, &sources, overlay.as_ref(), may_recover)?;
    let mut warnings = warnings_of(&sources, layout.as_ref(), wal_summary.as_ref());
    warnings.extend(hidden);
    let access = sources.access()?;
    let bad_records = wal_summary.as_ref().map_or(0, |wal| wal.bad_records);
    let listed = layout.as_ref();
    let joined = pages::join(
        context,
        directories,
        &sources,
        listed,
        &mut names,
        (access, bad_records),
    )?;
    let quarantined_pages = joined.as_ref().map(|joined| joined.quarantined);
    let (joined, work) = joined.map(|joined| (joined.summary, joined.work)).unzip();
    let recovers = joined.as_ref().is_some_and(JoinSummary::has_recovered);
    refuse_nothing(source, &sources, overlay.as_ref(), recovers)?;
    let collections = plan_collections(context, &sources, listed, names, &mut warnings)?;
    warnings.extend(page_warnings(
        options,
        &sources,
        joined.as_ref(),
        &collections,
    )?);
    check_space(
        context,
        directories,
        &sources,
        &collections,
        overlay.as_ref().zip(wal_summary.as_ref()),
        joined.as_ref(),
    )?;
    let stored = StoredSources::of(&sources)?;
    let v1_files = context.or_noted(v1_files(directories, sources.snapshot_name.as_deref()))?;
    let v1_files = v1_files.unwrap_or_default();
    let plan = Plan {
        sources: stored,
        v1_files,
        v1_marker: v1_marker(directories)?,
        backup: None,
        snapshot: sources.snapshot,
        wal: sources.wal,
        data: sources.data,
        pages: joined.filter(|joined| joined.tally.slotted > 0),
        quarantined_pages: quarantined_pages.unwrap_or_default(),
        overlay,
        overlay_bytes: 0,
        after_lsn: layout.as_ref().and_then(|layout| layout.wal_lsn),
        wal_summary,
        described: layout.map(described),
        collections,
        infer_types: options.infer_types,
        access,
        instant_ns: instant_ns(options),
        warnings,
    };
    Ok((plan, work))
}

fn page_warnings(
    options: &Options,
    sources: &Sources,
    joined: Option<&JoinSummary>,
    collections: &[PlannedCollection],
) -> Result<Vec<Warning>> {
    Ok(match (joined, &sources.data, &sources.pages) {
        (Some(joined), Some(data), _) => pages::warnings(options, data, joined, collections),
        (_, None, Some(pages)) => unlisted::warning(pages)?.into_iter().collect(),
        _ => Vec::new(),
    })
}

fn start_phase(context: &mut Context<'_, '_>, sources: &Sources) {
    let snapshot = sources.snapshot.as_ref().map_or(0, InputFile::size);
    let totals = Totals {
        bytes: snapshot + pages::bytes_read(sources),
        ..Totals::default()
    };
    let tracker = &mut context.tracker;
    tracker.start_phase(Phase::Check, totals, Totals::default());
}

/// What of the snapshot v2 has no place for, and the receipt keeps.
fn described(layout: SnapshotLayout) -> SnapshotFacts {
    SnapshotFacts {
        database_name: layout.database_name,
        timestamp: layout.timestamp,
        metadata: layout.metadata,
    }
}

fn scan_snapshot(context: &mut Context<'_, '_>, file: &InputFile) -> Result<SnapshotLayout> {
    let options = ScanOptions {
        keep_oversized: context.options.max_bad > 0,
        ..ScanOptions::default()
    };
    let mut before = 0;
    let mut progress = |offset: u64| {
        let advanced = context.advance(offset.saturating_sub(before), 0);
        before = offset;
        advanced
    };
    snapshot::scan(file, &options, &mut progress)
}

fn scan_wal(
    options: &Options,
    sources: &Sources,
    layout: Option<&SnapshotLayout>,
    names: &mut NameTable,
) -> Result<Option<(Overlay, WalSummary)>> {
    let Some(file) = &sources.wal else {
        return Ok(None);
    };
    let mut resolve = |name: &str, place| names.resolve(file, name, place);
    let scanned = Overlay::scan_passing(
        file.clone(),
        WalOptions {
            after_lsn: layout.and_then(|layout| layout.wal_lsn),
            memory_limit: options.memory / OVERLAY_SHARE,
            resolve: &mut resolve,
        },
        options.max_bad,
        &mut |_| Ok(()),
    )?;
    Ok(Some(scanned))
}

/// Fails if the file system of the target has too little room for all that will be staged there.
fn check_space(
    context: &Context<'_, '_>,
    directories: &Directories,
    sources: &Sources,
    collections: &[PlannedCollection],
    wal: Option<(&Overlay, &WalSummary)>,
    pages: Option<&JoinSummary>,
) -> Result<()> {
    let mut estimate = SpaceEstimate::sample(
        sources.snapshot.as_ref(),
        collections,
        wal,
        context.options.infer_types,
        directories.backup.is_some(),
    )?;
    if let Some(pages) = pages {
        let text = collections.iter().map(PlannedCollection::text_bytes).sum();
        estimate.add_pages(pages, text);
    }
    let mut needs = vec![Need {
        directory: directories.target(),
        purpose: "staged files and sort runs",
        bytes: estimate.work_directory(),
    }];
    needs.extend(directories.backup.as_ref().map(|place| Need {
        directory: place.on(),
        purpose: "the backup",
        bytes: estimate.backup + backup_place::SMALL_FILES,
    }));
    if let Some(dry) = &context.dry {
        let backup = directories.backup.as_ref().map(|_| estimate.backup);
        dry.set_space(space::survey(&needs)?, backup.unwrap_or_default());
    }
    for space in context.or_noted(space::check(&needs))?.unwrap_or_default() {
        tracing::debug!(path = %space.path.display(), needed = space.needed, free = ?space.free, "space");
    }
    Ok(())
}

/// No snapshot and no operation that takes effect: nothing that could be migrated.
pub(super) fn refuse_nothing(
    source: &Dir,
    sources: &Sources,
    overlay: Option<&Overlay>,
    recovers: bool,
) -> Result<()> {
    if sources.snapshot.is_some()
        || recovers
        || overlay.is_some_and(|overlay| !overlay.created().is_empty())
    {
        return Ok(());
    }
    let error = |sentence: &str| {
        Error::new(Code::NothingToMigrate, sentence).at(Place::file(source.path()))
    };
    let documents = match &sources.pages {
        Some(pages) => unlisted::documents(pages)?,
        None => 0,
    };
    Err(if documents > 0 {
        error(&format!(
            "data.db holds {documents} documents, but there is no snapshot that says which \
             collections they belong to"
        ))
        .hint("start LauraDB, take a backup with BackupToFile, and name it with --snapshot FILE")
    } else if sources.wal.is_some() || sources.pages.is_some() {
        error("there is no snapshot, and neither wal.log nor data.db holds a document")
            .hint("name the snapshot with --snapshot FILE if it lies elsewhere")
    } else {
        error("the directory holds no file of LauraDB")
            .hint("name the data directory itself, or the snapshot with --snapshot FILE")
    })
}

fn name_in_directory(found: &FoundSnapshot) -> Option<OsString> {
    found.in_directory.then(|| found.name.clone())
}

/// Which files make room in place: the snapshot if it lies directly in the source, and what has
/// the name of a v2 file.
fn v1_files(directories: &Directories, snapshot: Option<&OsStr>) -> Result<Vec<String>> {
    if !directories.in_place() {
        return Ok(Vec::new());
    }
    let snapshot = snapshot.map(|name| room::utf8_name(&directories.source, name));
    let mut names: Vec<String> = snapshot.into_iter().collect::<Result<_>>()?;
    let in_the_way = [
        layout::WAL_FILE,
        layout::DATA_FILE,
        layout::METADATA_FILE,
        layout::RECEIPT_FILE,
        layout::QUARANTINE_FILE,
    ];
    names.extend(in_the_way.map(str::to_owned));
    Ok(names)
}

/// The marker that makes room in place, if there is one.
fn v1_marker(directories: &Directories) -> Result<Option<String>> {
    let source = &directories.source;
    if !directories.in_place() {
        return Ok(None);
    }
    match version::detect(source)? {
        DirectoryVersion::V1 { marker: Some(_) } => {
            let refused = |sentence: &str| Error::new(Code::MarkerInvalid, sentence);
            marker_text(source, refused)
        }
        _ => Ok(None),
    }
}

/// The one instant of all timestamps written, nanoseconds since 1970.
pub(super) fn instant_ns(options: &Options) -> i64 {
    let seconds = options
        .source_date_epoch
        .unwrap_or_else(|| jiff::Timestamp::now().as_second());
    seconds.saturating_mul(1_000_000_000)
}

/// The one instant of all timestamps written.
pub(super) fn instant(options: &Options) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(instant_ns(options)))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn plan_collections(
    context: &Context<'_, '_>,
    sources: &Sources,
    layout: Option<&SnapshotLayout>,
    names: NameTable,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<PlannedCollection>> {
    let options = context.options;
    let skip = SkipIndexes::parse(&options.skip_indexes)?;
    let mut note = |error| context.or_noted(Err(error)).map(Option::unwrap_or_default);
    let mut collections = Vec::new();
    for named in names.finish(&mut note)? {
        let listed = layout.and_then(|layout| layout.collections.get(named.number as usize));
        let mut collection = PlannedCollection {
            id: 0,
            name: named.name,
            v1_name: named.v1_name,
            overlay_number: named.number,
            documents: listed.map_or(0, |listed| listed.documents),
            chunks: listed
                .map(|listed| listed.chunks.clone())
                .unwrap_or_default(),
            indexes: vec![IndexDefinition::id_index()],
            skipped_indexes: Vec::new(),
            infer_types: BTreeMap::new(),
        };
        if let (Some(listed), Some(file)) = (listed, &sources.snapshot) {
            let found = list_indexes(&collection, listed, file, &skip)?;
            add_indexes(&mut collection, found, file, warnings, &mut note)?;
        }
        check_indexes(options, &collection, warnings, &mut note)?;
        collections.push(collection);
    }
    skip.finish().or_else(&mut note)?;
    for (id, collection) in (1..).zip(&mut collections) {
        collection.id = id;
    }
    Ok(collections)
}

/// Parses what the snapshot lists.
fn list_indexes(
    collection: &PlannedCollection,
    listed: &CollectionLayout,
    file: &InputFile,
    skip: &SkipIndexes,
) -> Result<CollectionIndexes> {
    let texts = listed.indexes.iter().map(|index| {
        let place = Place::offset(file.path(), index.offset).in_collection(&collection.v1_name);
        Ok(ListedText {
            text: index.text(file)?,
            place,
        })
    });
    let texts = texts.collect::<Result<Vec<_>>>()?;
    Ok(parse_listed(&collection.v1_name, texts, skip))
}

/// Plans what can be built of it; `note` ends the run at the first that cannot, or goes on.
fn add_indexes(
    collection: &mut PlannedCollection,
    found: CollectionIndexes,
    file: &InputFile,
    warnings: &mut Vec<Warning>,
    note: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<()> {
    found.problems.into_iter().try_for_each(note)?;
    if !found.dropped.is_empty() {
        let sentence = format!(
            "options of indexes that v2 has no place for: {}",
            found.dropped.join(", ")
        );
        let place = Place::file(file.path()).in_collection(&collection.v1_name);
        warnings.push(Warning::new(Code::DroppedOptions, sentence).at(place));
    }
    collection.indexes.extend(found.definitions);
    collection.skipped_indexes = found.skipped;
    Ok(())
}

/// Indexes must fit their metadata pages; `note` ends the run at one that does not, or goes on.
pub(super) fn check_indexes(
    options: &Options,
    collection: &PlannedCollection,
    warnings: &mut Vec<Warning>,
    note: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<()> {
    for index in &collection.indexes {
        let place = || {
            Place::default()
                .in_collection(&collection.v1_name)
                .in_index(&index.name)
        };
        let infer_types = collection.infer_types_of(index, options.infer_types);
        IndexRecord::check_fits(index, infer_types).or_else(|error| note(error.at(place())))?;
        let filter = index
            .filter
            .as_ref()
            .map(|text| Filter::parse(text, infer_types));
        if let Some(problem) = filter.as_ref().and_then(Filter::problem) {
            let sentence = format!("the filter of a partial index matches nothing: {problem}");
            warnings.push(Warning::new(Code::FilterProblem, sentence).at(place()));
        }
    }
    Ok(())
}
