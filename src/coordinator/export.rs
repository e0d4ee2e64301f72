//! `--mode export`: a v1 directory, a v2 directory or another backup becomes a backup directory.
//!
//! Nothing is kept of an export that does not come to its end: what was written of it is removed,
//! by the run itself or, where it was killed, by the next one that writes a backup there.

use super::Migration;
use super::backup::{self, Chosen, Job};
use super::backup_place::{BackupPlace, OpenPlace, SMALL_FILES};
use super::check::{self, Sources};
use super::context::Context;
use super::estimate::SpaceEstimate;
use super::lock;
use super::pages;
use super::plan::PlannedCollection;
use super::space::{self, Need};
use super::summary;
use crate::backup::{FinishedBackup, Manifest};
use crate::files::{Dir, Sharing};
use crate::index::IndexDefinition;
use crate::options::{Mode, Options, Verification};
use crate::progress::{Phase, ProgressSink, Totals, Tracker};
use crate::report::{CollectionReport, Outcome, Report, Verified, Warning};
use crate::shell::quoted_path;
use crate::source::{
    self, BackupSource, DocumentSource, SourceKind, V1Files, V1Options, V1Source, V2Source,
};
use crate::v1::names::{Renames, check_name};
use crate::v1::selection::Selection;
use crate::{Code, Error, ExitCode, Place, Result};
use std::collections::BTreeMap;

/// Text of a document in canonical Extended JSON is taken for at most so many times its BSON: an
/// integer of one digit comes to two, a string to little more than one. What needs more, such as
/// control characters, meets a full disk, and then nothing is left of the export.
const TEXT_PER_BSON: u64 = 3;

impl Migration {
    /// Writes a backup directory.
    pub(super) fn export(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        let options = &self.options;
        let source = Dir::open(&options.source, self.gate.clone())?;
        refuse_inside_backup(options, &source)?;
        let place = BackupPlace::find(options.target.as_deref(), &source, None, &self.gate)?;
        place.refuse_around(&source)?;
        if options.lock {
            let timeout = options.lock_timeout;
            lock::lock(&source, Sharing::Shared, timeout, &self.interrupt)?;
        }
        let open = place.open(&source, options, &self.interrupt)?;
        let result = self.export_to(&source, &open, sink);
        result.map_err(|error| {
            open.remove_if_made();
            match error.code() {
                Code::Cancelled => error.hint("run the same command again; it begins anew"),
                code if code.exit_code() == ExitCode::Different && error.hint_text().is_none() => {
                    let path = quoted_path(source.path());
                    error.hint(format!(
                        "laura-migrate --mode validate {path} finds all that is damaged"
                    ))
                }
                _ => error,
            }
        })
    }

    fn export_to(
        &self,
        source: &Dir,
        place: &OpenPlace<'_>,
        sink: &mut dyn ProgressSink,
    ) -> Result<Report> {
        let mut context = Context::new(&self.options, Tracker::new(sink), self.interrupt.clone());
        let opened = open_source(&mut context, source)?;
        let chosen = choose(&*opened.source, &self.options, opened.kind)?;
        check_space(&opened, &chosen, &place.dir)?;
        context.tracker.end_phase(Phase::Check);
        let verify = self.options.verification != Verification::None;
        let job = Job {
            source: &*opened.source,
            chosen: &chosen,
            place: &place.dir,
            instant: check::instant(&self.options),
            source_bytes: opened.bytes,
            verify,
        };
        let finished = job.run(&mut context, |_| Ok(()))?;
        context.tracker.end_phase(Phase::Backup);
        let mut report = report(&finished);
        report.verified = match verify {
            true => Verified::All,
            false => Verified::Nothing,
        };
        report.warnings = opened.hidden.into_iter().collect();
        report.warnings.extend(opened.source.warnings());
        report.generated_ids = opened.source.generated_ids();
        report.source_version = Some(finished.manifest.source_version.as_str());
        report.phases = context.tracker.phases();
        Ok(report)
    }
}

/// The default target lies in the source, where a backup may have no more than its manifest names.
fn refuse_inside_backup(options: &Options, source: &Dir) -> Result<()> {
    let is_backup = || matches!(source::detect(source), Ok(SourceKind::Backup));
    if options.target.is_some() || !is_backup() {
        return Ok(());
    }
    let sentence = "the source is a backup, and the copy of it would go inside";
    Err(Error::new(Code::Usage, sentence)
        .at(Place::file(source.path()))
        .hint("name a TARGET_DIR: the copy goes to a directory of its own in there"))
}

/// An open source and what is known of it beforehand.
struct Opened {
    kind: SourceKind,
    source: Box<dyn DocumentSource>,
    /// Bytes that will be read.
    bytes: u64,
    /// Bytes of text that its documents come to, where a sample was taken.
    text_bytes: Option<u64>,
    hidden: Option<Warning>,
}

fn open_source(context: &mut Context<'_, '_>, dir: &Dir) -> Result<Opened> {
    let options = context.options;
    let kind = match source::detect(dir)? {
        // The snapshot of a directory that has none of its own.
        SourceKind::Backup if options.snapshot.is_some() => SourceKind::V1,
        kind => kind,
    };
    let (source, bytes): (Box<dyn DocumentSource>, u64) = match kind {
        SourceKind::V1 => return open_v1(context, dir),
        SourceKind::V2 => {
            refuse_v1_options(options, "a directory in format v2")?;
            let source = V2Source::open(dir)?;
            let stated = source.collections().iter();
            let bytes = stated.filter_map(|collection| collection.stated.data_bytes);
            let bytes = bytes.sum();
            (Box::new(source), bytes)
        }
        SourceKind::Backup => {
            refuse_v1_options(options, "a backup")?;
            let source = BackupSource::open(dir.open_dir(".")?.named(dir.path()))?;
            let bytes = backup::file_bytes(source.reader().manifest());
            (Box::new(source), bytes)
        }
    };
    Ok(Opened {
        kind,
        source,
        bytes,
        text_bytes: None,
        hidden: None,
    })
}

/// What says how a v1 directory is read means nothing for the others.
fn refuse_v1_options(options: &Options, what: &str) -> Result<()> {
    let is_typed = [
        ("--snapshot", options.snapshot.is_some()),
        (
            "--infer-types",
            options.infer_types != crate::document::InferTypes::default(),
        ),
        ("--skip-index", !options.skip_indexes.is_empty()),
    ];
    match is_typed.iter().find(|(_, is_typed)| *is_typed) {
        None => Ok(()),
        Some((name, _)) => {
            let sentence = format!("{name} is for a v1 directory, and the source is {what}");
            Err(Error::new(Code::Usage, sentence).hint("leave it out"))
        }
    }
}

fn open_v1(context: &mut Context<'_, '_>, dir: &Dir) -> Result<Opened> {
    let options = context.options;
    let sources = Sources::open(dir, options)?;
    let hidden = sources.refuse_writers()?;
    let files = V1Files {
        snapshot: sources.snapshot.clone(),
        wal: sources.wal.clone(),
        data: sources.data.clone(),
    };
    let bytes = files.snapshot.as_ref().map_or(0, |file| file.size());
    let bytes = bytes + pages::bytes_read(&sources);
    let totals = Totals {
        bytes,
        ..Totals::default()
    };
    let tracker = &mut context.tracker;
    tracker.start_phase(Phase::Check, totals, Totals::default());
    let v1 = V1Options {
        snapshot: None,
        infer_types: options.infer_types,
        renames: options.renames.clone(),
        skip_indexes: options.skip_indexes.clone(),
        collections: options.collections.clone(),
        excluded: options.excluded.clone(),
        overlay_memory: options.memory / check::OVERLAY_SHARE,
        pages: options.pages,
        temp_dir: options.temp_dir.clone(),
        any_names: true,
        ..V1Options::default()
    };
    let mut before = 0;
    let mut progress = |offset: u64| {
        let advanced = context.advance(offset.saturating_sub(before), 0);
        before = offset;
        advanced
    };
    let source = V1Source::of_files(files, dir.path().to_path_buf(), &v1, &mut progress)?;
    if source.collections().is_empty() {
        check::refuse_nothing(
            dir,
            &sources,
            source.log().map(|(overlay, _)| overlay),
            false,
        )?;
    }
    Ok(Opened {
        kind: SourceKind::V1,
        text_bytes: Some(text_of_v1(&source, options)?),
        bytes: text_read(&source),
        source: Box::new(source),
        hidden,
    })
}

/// Bytes of the snapshot's documents.
fn text_read(source: &V1Source) -> u64 {
    let layout = source.layout().into_iter();
    let listed = layout.flat_map(|layout| &layout.collections);
    listed.map(|collection| collection.document_bytes).sum()
}

/// What a sample of a v1 directory's documents says of the text that all will come to.
fn text_of_v1(source: &V1Source, options: &Options) -> Result<u64> {
    let planned: Vec<PlannedCollection> = planned(source).collect();
    let snapshot = source.files().snapshot.as_ref();
    let (log, infer_types) = (source.log(), options.infer_types);
    let estimate = SpaceEstimate::sample(snapshot, &planned, log, infer_types, true)?;
    Ok(estimate.backup)
}

/// The collections as the estimate takes them.
fn planned(source: &V1Source) -> impl Iterator<Item = PlannedCollection> {
    let collections = source.collections().iter().enumerate();
    collections.map(|(position, collection)| {
        let layout = source.layout();
        let listed = layout.and_then(|layout| {
            let mut listed = layout.collections.iter();
            listed.find(|listed| listed.name == collection.source_name)
        });
        PlannedCollection {
            id: 0,
            // Names of any length can be backed up; what v2 would need for them does not count.
            name: format!("{position:08}"),
            v1_name: collection.source_name.clone(),
            overlay_number: source.overlay_number(position).unwrap_or(u32::MAX),
            documents: listed.map_or(0, |listed| listed.documents),
            chunks: listed
                .map(|listed| listed.chunks.clone())
                .unwrap_or_default(),
            indexes: vec![IndexDefinition::id_index()],
            skipped_indexes: Vec::new(),
            infer_types: BTreeMap::new(),
        }
    })
}

/// The collections that are exported, in the order of the names that they get. A v1 directory has
/// seen to that already.
fn choose(source: &dyn DocumentSource, options: &Options, kind: SourceKind) -> Result<Vec<Chosen>> {
    if kind == SourceKind::V1 {
        return Ok(backup::everything(source));
    }
    let selection = Selection::parse(&options.collections, &options.excluded)?;
    let renames = Renames::parse(&options.renames)?;
    let all = backup::everything(source).into_iter();
    let mut chosen: Vec<Chosen> = all.filter(|one| selection.takes(&one.name)).collect();
    selection.finish()?;
    for collection in source.collections() {
        // Another name for what is left out does no harm.
        let _ = renames.apply(&collection.name);
    }
    renames.finish()?;
    let path = Place::file(&source.info().path);
    let nameable = chosen
        .iter()
        .map(|one| one.name.as_str())
        .filter(|name| check_name(renames.apply(name)).is_ok());
    let resolved = renames
        .resolve(nameable.map(|name| (name, path.clone().in_collection(name))))
        .map_err(|errors| {
            let first = errors.into_iter().next();
            first.unwrap_or_else(|| Error::new(Code::Internal, "names were refused for no reason"))
        })?;
    for one in &mut chosen {
        if let Some(name) = resolved.get(&one.name) {
            one.name.clone_from(name);
        }
    }
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(chosen)
}

fn check_space(opened: &Opened, chosen: &[Chosen], place: &Dir) -> Result<()> {
    let stated = |one: &Chosen| {
        let collection = opened.source.collections().get(one.position);
        collection.and_then(|collection| collection.stated.data_bytes)
    };
    let text_bytes = opened.text_bytes.unwrap_or_else(|| {
        let bytes: u64 = chosen.iter().filter_map(stated).sum();
        bytes.saturating_mul(TEXT_PER_BSON)
    });
    space::check(&[Need {
        directory: place,
        purpose: "the backup",
        bytes: text_bytes.saturating_add(SMALL_FILES),
    }])
    .map(drop)
}

fn report(finished: &FinishedBackup) -> Report {
    let mut report = Report::nothing(Outcome::Exported, finished.path.clone());
    report.mode = Mode::Export;
    report.backup = Some(finished.path.clone());
    report.collections = collections(&finished.manifest);
    report
}

fn collections(manifest: &Manifest) -> Vec<CollectionReport> {
    let collections = manifest.collections.iter();
    collections
        .map(|collection| CollectionReport {
            name: collection.name.clone(),
            documents: collection.documents,
            bytes: collection.data_bytes,
            indexes: summary::described(&collection.indexes),
            skipped_indexes: Vec::new(),
            pages: None,
        })
        .collect()
}
