//! A migration from start to end: the phases in order, and what becomes of a failure.

use super::checkpoint::{self, Checkpointer, Interrupted};
use super::collections;
use super::context::{Context, Sample};
use super::directories::{Contents, Directories};
use super::import::Placement;
use super::indexes::{Built, IndexBuilder};
use super::journal::Journal;
use super::lock;
use super::plan::{Plan, StoredPlan, StoredSources};
use super::receipt::Receipt;
use super::run_info::Heartbeat;
use super::state::{CollectionsState, State};
use super::verify::{self, VerifyProgress};
use super::work::{self, WorkDir};
use super::{Migration, backup_phase, check, finished, metadata, publish, rollback, room, summary};
use crate::files::{Dir, Sharing};
use crate::layout;
use crate::options::{Mode, Options, Verification};
use crate::progress::{Phase, ProgressSink, Totals, Tracker};
use crate::report::run::{RunReport, RunStart};
use crate::report::{Outcome, Report, Verified};
use crate::shell::quoted_path;
use crate::version::{self, DirectoryVersion};
use crate::{Code, Error, Place, Result};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

impl Migration {
    /// Migrates, or goes on with a migration that was interrupted.
    pub(super) fn migrate(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        refuse_options(&self.options)?;
        let directories = Directories::open(&self.options, &self.gate)?;
        let result = self.run_in(&directories, sink);
        let is_empty = |report: &Report| report.outcome == Outcome::Empty;
        // What an interruption keeps is in it, and then it stays.
        if result.as_ref().map_or(true, is_empty) {
            directories.remove_new_target();
        }
        result
    }

    fn run_in(&self, directories: &Directories, sink: &mut dyn ProgressSink) -> Result<Report> {
        let target = directories.target();
        self.lock(directories)?;
        rollback::refuse_interrupted(target)?;
        Placement::refuse(target)?;
        if self.options.restart || publish::is_being_undone(target)? {
            publish::undo(target)?;
            WorkDir::remove(target)?;
        }
        if let Some(journal) = Journal::read(target)? {
            let finished = self.finish_publish(directories, &journal)?;
            if let Some(report) = finished {
                return Ok(report);
            }
        }
        if let Some(report) = self.nothing_to_do(directories)? {
            return Ok(report);
        }
        let context = Context::new(&self.options, Tracker::new(sink), self.interrupt.clone());
        let mut run = Run {
            directories,
            context,
            heartbeat: None,
            start: &self.start,
            is_resuming: false,
            backup: None,
        };
        let result = run.all_phases();
        // Its thread writes into the work directory.
        run.heartbeat = None;
        let Err(error) = result else { return result };
        if publish::has_begun(target) {
            return Err(publish::cut_off(target, error));
        }
        if run.is_resuming || (error.keeps_work() && checkpoint::exists(target)?) {
            return Err(error);
        }
        // Nothing but the work directory was touched yet.
        if let Err(left) = WorkDir::remove(target) {
            tracing::warn!("the work directory could not be removed: {left}");
        }
        Err(error)
    }

    /// Finishes a publish that was cut off; `None` where all of it was done, and by another
    /// migration than this one.
    fn finish_publish(
        &self,
        directories: &Directories,
        journal: &Journal,
    ) -> Result<Option<Report>> {
        let target = directories.target();
        self.check_before_marker(directories, journal)?;
        let alike = self.check_published_alike(directories);
        if alike.is_err() && publish::is_final(target, journal)? {
            WorkDir::remove(target)?;
            return Ok(None);
        }
        alike?;
        let mut report = Report::nothing(Outcome::Finished, target.path().to_path_buf());
        if let Some(place) = &directories.backup {
            report.backup = backup_phase::taken(place, target)?;
        }
        publish::roll_forward(target, journal, false)?;
        if let Some(receipt) = Receipt::read(target)? {
            report.quarantined = receipt.quarantined_in(target)?;
        }
        Ok(Some(report))
    }

    /// What was staged is of the options that its migration was started with. Others would have
    /// given another output, and a success would say that this one is theirs.
    fn check_published_alike(&self, directories: &Directories) -> Result<()> {
        let target = directories.target();
        // It moves with the published files.
        let staged = match Receipt::read(&target.open_dir(layout::WORK_DIR)?)? {
            Some(staged) => Some(staged),
            None => Receipt::read(target)?,
        };
        match staged {
            Some(staged) => staged.check_same(directories.in_place(), &self.options),
            None => Ok(()),
        }
    }

    /// Locks both directories until they are dropped.
    pub(super) fn lock(&self, directories: &Directories) -> Result<()> {
        if !self.options.lock {
            return Ok(());
        }
        let timeout = self.options.lock_timeout;
        if directories.in_place() {
            return lock::lock(
                &directories.source,
                Sharing::Exclusive,
                timeout,
                &self.interrupt,
            );
        }
        lock::lock(
            &directories.source,
            Sharing::Shared,
            timeout,
            &self.interrupt,
        )?;
        lock::lock(
            directories.target(),
            Sharing::Exclusive,
            timeout,
            &self.interrupt,
        )
    }

    /// A run that was cut off between its journal and the marker of publishing has left the source
    /// open to LauraDB: what was staged counts only if the source is still the same.
    fn check_before_marker(&self, directories: &Directories, journal: &Journal) -> Result<()> {
        let target = directories.target();
        if publish::marker_is_set(target, journal)? {
            return Ok(());
        }
        let sources = check::Sources::of(directories, &self.options)?;
        let staged = Receipt::read(&target.open_dir(layout::WORK_DIR)?)?;
        let now = StoredSources::of(&sources)?;
        if staged.is_none_or(|receipt| receipt.is_of(&now, &self.options)) {
            return Ok(());
        }
        if let Some(interrupted) = checkpoint::find(target, &self.options)? {
            interrupted.plan.check_same(&self.options, &sources)?;
        }
        Err(Error::new(
            Code::ResumeRefused,
            "source or options changed since the migration was interrupted",
        )
        .hint("add --restart to discard the interrupted migration and begin anew"))
    }

    /// The receipt, if the target holds what this very migration has published.
    fn migrated(&self, directories: &Directories) -> Result<Option<Receipt>> {
        let target = directories.target();
        let is_v2 = matches!(version::detect(target), Ok(DirectoryVersion::V2(_)));
        let Some(receipt) = Receipt::read(target)?.filter(|_| is_v2) else {
            return Ok(None);
        };
        let sources = check::Sources::of(directories, &self.options)?;
        let stored = StoredSources::of(&sources)?;
        if !receipt.is_of(&stored, &self.options) {
            return Ok(None);
        }
        // The receipt says what was published, not that it is still there.
        finished::check_parses(target)?;
        receipt.check_present(target)?;
        Ok(Some(receipt))
    }

    /// The ways in which there is nothing to migrate, and those in which nothing may be.
    pub(super) fn nothing_to_do(&self, directories: &Directories) -> Result<Option<Report>> {
        let source = &directories.source;
        let path = directories.target().path().to_path_buf();
        if !directories.origin.is_directory() {
            return self.nothing_to_do_in_target(directories);
        }
        match version::detect(source)? {
            DirectoryVersion::V1 { .. } => {}
            DirectoryVersion::V2(_) | DirectoryVersion::V21(_) if directories.in_place() => {
                return self.finished_in_place(source, path).map(Some);
            }
            DirectoryVersion::V2(_) | DirectoryVersion::V21(_) => {
                let path = quoted_path(source.path());
                return Err(
                    Error::new(Code::Usage, "the source is in format v2 already")
                        .at(Place::file(source.path()))
                        .hint(format!(
                            "there is nothing to migrate; to copy the database, take a backup with \
                             laura-migrate --mode export {path}, then make a database of that with \
                             laura-migrate --mode import BACKUP_DIR TARGET_DIR"
                        )),
                );
            }
            DirectoryVersion::Publishing(_) => {
                return Err(version::half_published(source));
            }
        }
        let contents = Contents::of(source)?;
        if contents.is_empty() {
            return Ok(Some(Report::nothing(
                Outcome::Empty,
                source.path().to_path_buf(),
            )));
        }
        if directories.in_place() {
            if source.entry(layout::V1_DIR)?.is_some() {
                return Err(Error::new(
                    Code::InTheWayFile,
                    "the v1 files of an earlier migration are there",
                )
                .at(Place::file(source.join(layout::V1_DIR)))
                .hint("move that directory away if you no longer need it"));
            }
            return Ok(None);
        }
        self.nothing_to_do_in_target(directories)
    }

    /// The report of an in-place migration that is over.
    fn finished_in_place(&self, source: &Dir, path: PathBuf) -> Result<Report> {
        finished::check_parses(source)?;
        let receipt = match Receipt::read(source) {
            // The database is none the worse for it.
            Err(error) if error.code() == Code::ReceiptDamaged => {
                tracing::warn!("{error}");
                None
            }
            read => read?,
        };
        let mut report = Report::nothing(Outcome::AlreadyMigrated, path);
        if let Some(receipt) = receipt {
            receipt.check_there(source)?;
            report.quarantined = receipt.quarantined_in(source)?;
        }
        // What a publish that was cut off at its very end has left.
        self.tidy(source)?;
        Ok(report)
    }

    /// Removes what an earlier run has left, unless nothing is to be written.
    fn tidy(&self, target: &Dir) -> Result<()> {
        match self.options.mode {
            Mode::DryRun => Ok(()),
            _ => WorkDir::remove(target),
        }
    }

    /// The same for a target that is not the source.
    fn nothing_to_do_in_target(&self, directories: &Directories) -> Result<Option<Report>> {
        let target = directories.target();
        if directories.target_is_missing {
            return Ok(None);
        }
        if let Some(receipt) = self.migrated(directories)? {
            // What a publish that was cut off at its very end has left.
            self.tidy(target)?;
            let path = target.path().to_path_buf();
            let mut report = Report::nothing(Outcome::AlreadyMigrated, path);
            report.quarantined = receipt.quarantined_in(target)?;
            return Ok(Some(report));
        }
        Contents::of(target)?.check_target(target, self.options.force)?;
        Ok(None)
    }
}

/// What only means something with a `TARGET_DIR`, or without one.
pub(super) fn refuse_options(options: &Options) -> Result<()> {
    let usage = |sentence: &str, hint: &str| Err(Error::new(Code::Usage, sentence).hint(hint));
    if options.target.is_some() && options.backup && options.backup_dir.is_none() {
        return usage(
            "--backup with a TARGET_DIR does not say where the backup goes",
            "name a directory for it with --backup-dir DIR",
        );
    }
    let selects = !options.collections.is_empty() || !options.excluded.is_empty();
    if options.target.is_none() && selects {
        return usage(
            "--collection and --exclude are for a TARGET_DIR: in place, all collections migrate",
            "name a TARGET_DIR, or leave them out",
        );
    }
    Ok(())
}

/// A run under way.
struct Run<'a, 's> {
    directories: &'a Directories,
    context: Context<'a, 's>,
    heartbeat: Option<Heartbeat>,
    start: &'a RunStart,
    /// Nothing was done yet but to look at what an interrupted run has left, which stays whatever
    /// fails.
    is_resuming: bool,
    backup: Option<PathBuf>,
}

impl Run<'_, '_> {
    fn all_phases(&mut self) -> Result<Report> {
        self.is_resuming = checkpoint::exists(self.directories.target())?;
        let (mut plan, work, state) =
            match checkpoint::find(self.directories.target(), self.context.options)? {
                Some(interrupted) => self.resume(interrupted)?,
                None => self.check()?,
            };
        let counters = self.context.counters();
        counters
            .errors
            .store(plan.warnings.len() as u64, Ordering::Relaxed);
        self.end(Phase::Check);
        self.back_up(&plan, &work)?;
        self.is_resuming = false;
        let built = match state {
            State::Collections(state) => {
                let collected = collections::run(&mut self.context, &mut plan, &work, state)?;
                self.end(Phase::Collections);
                IndexBuilder::new(&mut self.context, &plan, &work, collected).run()?
            }
            State::Indexes(state) => {
                IndexBuilder::resume(&mut self.context, &plan, &work, state)?.run()?
            }
            State::Verify { built, verified } => return self.finish(plan, &work, built, verified),
        };
        metadata::write(&plan, &work, &built)?;
        self.end(Phase::Indexes);
        self.finish(plan, &work, built, VerifyProgress::default())
    }

    fn back_up(&mut self, plan: &Plan, work: &WorkDir) -> Result<()> {
        let directories = self.directories;
        let Some(place) = &directories.backup else {
            return Ok(());
        };
        let (source, target) = (&directories.source, directories.target());
        let path = backup_phase::run(&mut self.context, place, source, target, plan, work)?;
        self.backup = Some(path);
        self.end(Phase::Backup);
        Ok(())
    }

    /// Everything is staged and durable.
    fn finish(
        &mut self,
        plan: Plan,
        work: &WorkDir,
        built: Built,
        verified: VerifyProgress,
    ) -> Result<Report> {
        let state = State::Verify { built, verified };
        self.context.save(&state)?;
        let State::Verify { built, verified } = state else {
            return Err(Error::new(
                Code::Internal,
                "the state has changed by itself",
            ));
        };
        work.remove_scratch()?;
        let hash = verify::run(&mut self.context, &plan, work, &built, verified)?;
        self.end(Phase::Verify);
        let mut report = self.report(&plan, &built);
        self.publish(&plan, work, hash, &report)?;
        self.end(Phase::Publish);
        report.phases = self.context.tracker.phases();
        Ok(report)
    }

    /// A new run: the check phase, and everything that has to be durable before the others.
    fn check(&mut self) -> Result<(Plan, WorkDir, State)> {
        let target = self.directories.target();
        let (plan, work) = check::run(&mut self.context, self.directories)?;
        // What cannot make room is found before anything is written.
        room::plan(self.directories, &plan)?;
        let state = State::Collections(CollectionsState::default());
        let work = match work {
            Some(work) => work,
            None => WorkDir::create_anew(target, plan.access)?,
        };
        self.heartbeat = Some(Heartbeat::start(target, &work, self.context.counters())?);
        let stored = StoredPlan::of(
            &plan,
            self.context.options,
            self.context.sample,
            self.directories.target_is_new(),
        );
        let interval = self.context.options.checkpoint_interval;
        let mut checkpointer = Checkpointer::start(&work, &stored, interval)?;
        checkpointer.save(&state)?;
        self.context.checkpointer = Some(checkpointer);
        Ok((plan, work, state))
    }

    /// An interrupted run: goes on only with the same source and options.
    fn resume(&mut self, interrupted: Interrupted) -> Result<(Plan, WorkDir, State)> {
        let options = self.context.options;
        let Interrupted {
            plan,
            state,
            work,
            checkpointer,
        } = interrupted;
        let sources = check::Sources::of(self.directories, options)?;
        plan.check_same(options, &sources)?;
        sources.refuse_writers()?;
        if plan.target_is_new {
            self.directories.set_target_is_new();
        }
        if plan.sample != self.context.sample {
            // The digest of another share was taken so far; that of everything always is.
            self.context.sample = Sample::default();
        }
        tracing::info!("going on with the migration that was interrupted");
        let mut plan = plan.restore(sources);
        if matches!(state, State::Collections(_)) {
            plan.overlay = check::restore_overlay(options, &plan)?;
        }
        let target = self.directories.target();
        self.heartbeat = Some(Heartbeat::start(target, &work, self.context.counters())?);
        self.context.checkpointer = Some(checkpointer);
        Ok((plan, work, state))
    }

    fn publish(
        &mut self,
        plan: &Plan,
        work: &WorkDir,
        hash: Option<String>,
        report: &Report,
    ) -> Result<()> {
        self.context
            .tracker
            .start_phase(Phase::Publish, Totals::default(), Totals::default());
        self.context.interrupt.check()?;
        plan.check_source_unchanged()?;
        let journal = self.journal(plan, work, hash, report)?;
        self.heartbeat = None;
        journal.write(&work.dir)?;
        publish::roll_forward(self.directories.target(), &journal, true)
    }

    fn end(&mut self, phase: Phase) {
        self.context.tracker.end_phase(phase);
    }

    /// The whole journal: what makes room, and the staged files with the receipt that names them.
    fn journal(
        &self,
        plan: &Plan,
        work: &WorkDir,
        data_hash: Option<String>,
        report: &Report,
    ) -> Result<Journal> {
        let mut journal = room::plan(self.directories, plan)?;
        let mut hashes = [data_hash, None, None].into_iter();
        for name in [work::STAGED_DATA, work::STAGED_METADATA, work::STAGED_WAL] {
            journal
                .published
                .push(publish::published(work, name, hashes.next().flatten())?);
        }
        if report.quarantined > 0 {
            journal
                .published
                .push(publish::published(work, layout::QUARANTINE_FILE, None)?);
        }
        let receipt = Receipt::new(plan, self.context.options, &journal, report);
        let text = receipt.encode()?;
        work.dir.replace(layout::RECEIPT_FILE, &text, work.access)?;
        journal
            .published
            .push(publish::published(work, layout::RECEIPT_FILE, None)?);
        Ok(journal)
    }

    fn report(&self, plan: &Plan, built: &Built) -> Report {
        let mut report = Report::nothing(
            Outcome::Migrated,
            self.directories.target().path().to_path_buf(),
        );
        report.mode = self.context.options.mode;
        let backup = plan.backup.as_ref();
        let version = backup.map_or("1.0", |backup| backup.version().as_str());
        report.source_version = Some(version);
        report.originals = self
            .directories
            .in_place()
            .then(|| self.directories.source.join(layout::V1_DIR));
        report.backup.clone_from(&self.backup);
        report.collections = summary::collections(plan, built);
        report.generated_ids = built
            .collections
            .iter()
            .map(|collection| collection.written.tally.generated_ids)
            .sum();
        report.verified = match self.context.options.verification {
            Verification::All => Verified::All,
            Verification::Sample(rate) => Verified::Sample(rate),
            Verification::None => Verified::Nothing,
        };
        report.quarantined = summary::quarantined(plan, built);
        report.warnings.clone_from(&plan.warnings);
        report
            .warnings
            .extend(summary::quarantine_warnings(plan, built));
        report
            .warnings
            .extend(summary::warnings(&plan.collections, built));
        report.wal.clone_from(&plan.wal_summary);
        report.phases = self.context.tracker.phases();
        report.run = RunReport::of(self.start, &report.phases, report.documents());
        report
    }
}
