//! An import to format 1.0: a snapshot that LauraDB 0.9 can restore, and a fresh log.
//!
//! The snapshot is written front to back in one pass over the backup, which ends with the
//! comparison of each file with the manifest; then it is read back. There is nothing that a run
//! could go on from in between: one that was cut off before [`place`] begins anew.

mod ids;
mod losses;
mod place;
mod verify;

use super::names::{self, ImportedCollection};
use super::{OpenBackup, Origin};
use crate::coordinator::check::Sources;
use crate::coordinator::context::Context;
use crate::coordinator::directories::{Contents, Directories};
use crate::coordinator::feed::SourceFeed;
use crate::coordinator::plan::StoredSources;
use crate::coordinator::run_info::Heartbeat;
use crate::coordinator::space::{self, Need};
use crate::coordinator::work::{SORT_RUNS, WorkDir};
use crate::coordinator::{Migration, checkpoint, publish, summary};
use crate::document::bson::RawDocument;
use crate::files::Dir;
use crate::layout::{SNAPSHOT_FILE, WAL_FILE, WORK_DIR};
use crate::options::Verification;
use crate::progress::{Phase, ProgressSink, Totals, Tracker};
use crate::report::{CollectionReport, Outcome, Report, Verified, Warning};
use crate::v1::snapshot::{LossTally, SnapshotForm, SnapshotHeader, SnapshotWriter};
use crate::v1::wal::fresh_wal;
use crate::version::FormatVersion;
use crate::{Code, Error, Place, Result};
use ids::PrintedIds;
pub(in crate::coordinator) use place::Placement;

/// The database's name where the backup has none.
const DEFAULT_NAME: &str = "default";

/// Bytes of a sort record of a printed `_id`.
const ID_RECORD: u64 = 64;

/// Runs the whole import.
pub(super) fn run(migration: &Migration, sink: &mut dyn ProgressSink) -> Result<Report> {
    let directories = Directories::open(&migration.options, &migration.gate)?;
    let result = run_in(migration, &directories, sink);
    if result.is_err() {
        // What is in it stays.
        directories.remove_new_target();
    }
    result.map(|report| Report {
        format: FormatVersion::V1_0,
        ..report
    })
}

fn run_in(
    migration: &Migration,
    directories: &Directories,
    sink: &mut dyn ProgressSink,
) -> Result<Report> {
    let options = &migration.options;
    let Origin::Backup(backup) = &directories.origin else {
        return Err(Error::new(Code::Internal, "the source is no backup"));
    };
    let target = directories.target();
    migration.lock(directories)?;
    if options.restart {
        discard(target)?;
    }
    if checkpoint::exists(target)? || publish::is_being_undone(target)? {
        return Err(Error::new(
            Code::ResumeRefused,
            "a run to format 2.0 was interrupted in the directory",
        )
        .at(Place::file(target.join(WORK_DIR)))
        .hint("let it finish with its own command, or discard it by adding --restart"));
    }
    let sources = StoredSources::of(&Sources::of(directories, options)?)?;
    let nothing = |outcome| Report::nothing(outcome, target.path().to_path_buf());
    if let Some(placement) = Placement::read(target)? {
        placement.check_same(&sources, options)?;
        placement.finish(target, false)?;
        return Ok(nothing(Outcome::Finished));
    }
    let mut import = V1Import {
        backup,
        directories,
        context: Context::new(options, Tracker::new(sink), migration.interrupt.clone()),
        collections: names::resolve(backup, options, true)?,
        warnings: Vec::new(),
    };
    if import.is_there()? {
        WorkDir::remove(target)?;
        import.end(Phase::Verify);
        let mut report = nothing(Outcome::AlreadyMigrated);
        report.verified = Verified::All;
        report.source_version = Some(backup.version().as_str());
        report.phases = import.context.tracker.phases();
        return Ok(report);
    }
    Contents::of(target)?.check_target(target, false)?;
    import.run(&sources)
}

/// Takes everything back that an interrupted run has left.
fn discard(target: &Dir) -> Result<()> {
    publish::undo(target)?;
    if let Some(placement) = Placement::read(target)? {
        placement.undo(target)?;
    }
    WorkDir::remove(target)
}

/// An import under way.
struct V1Import<'i, 'a, 's> {
    backup: &'i OpenBackup,
    directories: &'i Directories,
    context: Context<'a, 's>,
    collections: Vec<ImportedCollection>,
    warnings: Vec<Warning>,
}

impl V1Import<'_, '_, '_> {
    fn documents(&self) -> u64 {
        self.collections
            .iter()
            .map(|collection| collection.documents)
            .sum()
    }

    /// What stands before the snapshot's collections. The time is that of the backup, whose state
    /// the snapshot is.
    fn header(&self) -> SnapshotHeader {
        let manifest = self.backup.backup().reader().manifest();
        let name = manifest.database_name.as_deref().unwrap_or(DEFAULT_NAME);
        SnapshotHeader {
            timestamp: manifest.created_at.clone(),
            database_name: name.to_owned(),
            metadata: Some(manifest.metadata.clone()),
        }
    }

    /// True if the target holds what this very import comes to, and nothing else.
    fn is_there(&mut self) -> Result<bool> {
        let target = self.directories.target();
        let contents = Contents::of(target)?;
        let names = contents.laura_files.iter().map(|entry| entry.name.to_str());
        let is_v1 = names.eq([Some(SNAPSHOT_FILE), Some(WAL_FILE)]);
        if !is_v1 || !contents.foreign.is_empty() || !contents.laura_directories.is_empty() {
            return Ok(false);
        }
        let snapshot = target.open_file(SNAPSHOT_FILE)?;
        match verify::run(self, target, snapshot) {
            Ok(()) => Ok(true),
            // Another database, which is in the way.
            Err(error) if error.code() == Code::VerifyFailed => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn run(&mut self, sources: &StoredSources) -> Result<Report> {
        let target = self.directories.target();
        self.check()?;
        self.end(Phase::Check);
        let (placement, losses) = self.stage(sources).map_err(|error| {
            // Where `import.json` is there already, the same command finishes.
            match Placement::read(target) {
                Ok(None) => {
                    if let Err(left) = WorkDir::remove(target) {
                        tracing::warn!("the work directory could not be removed: {left}");
                    }
                    error
                }
                _ => place::cut_off(target, error),
            }
        })?;
        placement.finish(target, true)?;
        self.end(Phase::Publish);
        Ok(self.report(&losses))
    }

    /// Finds every reason not to start.
    fn check(&mut self) -> Result<()> {
        let tracker = &mut self.context.tracker;
        tracker.start_phase(Phase::Check, Totals::default(), Totals::default());
        self.warnings.extend(self.backup.refuse_writers()?);
        let documents = self.documents();
        let target = self.directories.target();
        let need = |purpose, bytes| Need {
            directory: target,
            purpose,
            bytes,
        };
        // Extended JSON says more of every value than a snapshot does.
        space::check(&[
            need("the snapshot", self.backup.file_bytes()),
            need("sort runs", documents.saturating_mul(ID_RECORD)),
        ])?;
        self.context.interrupt.check()
    }

    /// Everything up to the point from which the same command finishes.
    fn stage(&mut self, sources: &StoredSources) -> Result<(Placement, LossTally)> {
        let target = self.directories.target();
        WorkDir::remove(target)?;
        let work = &WorkDir::create(target, self.backup.access())?;
        let heartbeat = Heartbeat::start(target, work, self.context.counters())?;
        let losses = self.write(work)?;
        self.end(Phase::Collections);
        if self.context.options.verification != Verification::None {
            let snapshot = work.dir.open_file(SNAPSHOT_FILE)?;
            // What the kernel remembers of the file is what was written, not what the disk holds.
            snapshot.drop_cache();
            verify::run(self, &work.dir, snapshot)?;
        }
        self.end(Phase::Verify);
        let tracker = &mut self.context.tracker;
        tracker.start_phase(Phase::Publish, Totals::default(), Totals::default());
        self.context.interrupt.check()?;
        self.backup.check_unchanged()?;
        let files = [SNAPSHOT_FILE, WAL_FILE].map(|name| publish::published(work, name, None));
        let files = files.into_iter().collect::<Result<Vec<_>>>()?;
        let placement = Placement::new(sources, self.context.options, files);
        // Its thread writes into the work directory.
        drop(heartbeat);
        placement.write(work)?;
        Ok((placement, losses))
    }

    /// Writes both files and makes them durable.
    fn write(&mut self, work: &WorkDir) -> Result<LossTally> {
        let totals = Totals {
            bytes: self.backup.file_bytes(),
            documents: self.documents(),
            collections: self.collections.len() as u64,
            ..Totals::default()
        };
        let tracker = &mut self.context.tracker;
        tracker.start_phase(Phase::Collections, totals, Totals::default());
        let log = work.dir.create(WAL_FILE, work.access)?;
        log.write_all_at(&fresh_wal(), 0)?;
        log.sync()?;
        let file = work.dir.create(SNAPSHOT_FILE, work.access)?;
        let writer = SnapshotWriter::create(file, self.header(), SnapshotForm::Exact)?;
        let losses = self.write_collections(work, writer)?;
        work.remove_file(SORT_RUNS)?;
        work.dir.sync()?;
        Ok(losses)
    }

    fn write_collections(
        &mut self,
        work: &WorkDir,
        mut writer: SnapshotWriter,
    ) -> Result<LossTally> {
        let (backup, options) = (self.backup, self.context.options);
        let positions = self.collections.iter().map(|listed| listed.position);
        std::thread::scope(|scope| {
            let mut feed = SourceFeed::start(scope, backup.source(), positions, options)?;
            for collection in &self.collections {
                writer.begin_collection(&collection.name, collection.indexes.clone())?;
                let mut ids = PrintedIds::new(work, options.memory);
                loop {
                    let batch = feed.next_batch()?;
                    for (bson, _) in batch.iter() {
                        let document = RawDocument::trusted(bson);
                        ids.add(document)?;
                        writer.document(document)?;
                    }
                    let documents = batch.documents.len() as u64;
                    self.context.advance(batch.text_bytes, documents)?;
                    let is_last = batch.is_last;
                    feed.done(batch);
                    if is_last {
                        break;
                    }
                }
                ids.check(backup, collection.position)?;
                writer.end_collection()?;
            }
            writer.finish()
        })
    }

    fn end(&mut self, phase: Phase) {
        self.context.tracker.end_phase(phase);
    }

    fn report(&mut self, losses: &LossTally) -> Report {
        let path = self.directories.target().path().to_path_buf();
        let mut report = Report::nothing(Outcome::Migrated, path);
        let manifest = self.backup.backup().reader().manifest();
        for collection in &self.collections {
            let listed = manifest.collections.get(collection.position);
            report.collections.push(CollectionReport {
                name: collection.name.clone(),
                documents: collection.documents,
                bytes: listed.map_or(0, |listed| listed.data_bytes),
                indexes: summary::described(&collection.indexes),
                skipped_indexes: collection.skipped.clone(),
                pages: None,
            });
        }
        report.verified = match self.context.options.verification {
            Verification::None => Verified::Nothing,
            Verification::All | Verification::Sample(_) => Verified::All,
        };
        report.warnings = std::mem::take(&mut self.warnings);
        report.warnings.extend(losses::warnings(losses));
        report.source_version = Some(self.backup.version().as_str());
        report.phases = self.context.tracker.phases();
        report
    }
}
