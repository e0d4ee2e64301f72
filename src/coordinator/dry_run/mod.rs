//! A dry run: the phases of a migration up to its indexes, with the pages thrown away, so that the
//! figures are those of the migration that follows.
//!
//! What a migration would fail with is noted ([`Findings`]), and the run goes on where that makes
//! sense. Records and documents that cannot be used are passed over as with `--max-bad`; whether
//! there are too many of them is known at the end. What is read again ([`Again`]) and all that is
//! sorted lies in files without names in `--temp-dir`.

mod again;
mod findings;
mod rate;

use super::context::Context;
use super::directories::Directories;
use super::import::Placement;
use super::indexes::{Built, IndexBuilder};
use super::journal::Journal;
use super::lock;
use super::plan::Plan;
use super::space::FileSystemSpace;
use super::state::CollectionsState;
use super::work::{STAGED_METADATA, WorkDir};
use super::{Migration, check, collections, metadata, publish, rollback, room, summary};
use crate::files::{Dir, Sharing};
use crate::options::{Options, Verification};
use crate::problems::ProblemKind;
use crate::progress::{Phase, ProgressSink, Tracker};
use crate::report::problem::Problem;
use crate::report::{Forecast, Outcome, Report, SpaceForecast, Warning};
use crate::v2::page::PAGE_SIZE;
use crate::version;
use crate::{Code, ExitCode, Result};
use again::Again;
use findings::Findings;
use rate::WriteRate;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the phases know of it that they are in a dry run.
#[derive(Debug)]
pub(super) struct DryRun {
    /// Its files have no names.
    pub(super) work: WorkDir,
    pub(super) findings: Findings,
    pub(super) again: Again,
    space: Mutex<Space>,
}

/// What the check phase has found out about space.
#[derive(Clone, Debug, Default)]
struct Space {
    file_systems: Vec<FileSystemSpace>,
    backup: u64,
}

impl DryRun {
    fn new(options: &Options, temporary: Dir) -> Self {
        Self {
            work: WorkDir::temporary(temporary),
            findings: Findings::new(options.max_bad),
            again: Again::default(),
            space: Mutex::default(),
        }
    }

    /// What each file system needs and has, and what of it a backup takes.
    pub(super) fn set_space(&self, file_systems: Vec<FileSystemSpace>, backup: u64) {
        let space = Space {
            file_systems,
            backup,
        };
        *self.space.lock().unwrap_or_else(PoisonError::into_inner) = space;
    }

    fn space(&self) -> Space {
        let space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        space.clone()
    }
}

/// How far a dry run got.
#[derive(Default)]
struct Reached {
    plan: Option<Plan>,
    built: Option<Built>,
    metadata_bytes: Option<u64>,
    overlay_bytes: u64,
}

impl Migration {
    /// Does what a migration would do, and writes nothing.
    pub(super) fn dry_run(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        let result = self.dry_run_or_fail(sink);
        result.map_err(|error| match error.code() {
            Code::Cancelled => error.hint("run the same command again; it begins anew"),
            Code::NoSpaceLeft => error.hint("name another directory with --temp-dir DIR"),
            _ => error,
        })
    }

    fn dry_run_or_fail(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        super::auto::refuse_options(&self.options)?;
        let directories = Directories::open(&self.options, &self.gate)?;
        self.lock_shared(&directories)?;
        refuse_half_published(&directories)?;
        let temporary = Dir::open(&self.options.temp_dir, self.gate.clone())
            .map_err(|error| error.hint("name a directory that is there with --temp-dir DIR"))?;
        let dry = Arc::new(DryRun::new(&self.options, temporary));
        match self.nothing_to_do(&directories) {
            Ok(Some(report)) => return Ok(report),
            Ok(None) => {}
            // The source is worth reading all the same.
            Err(error) if error.exit_code() == ExitCode::InTheWay => dry.findings.note(error)?,
            Err(error) => return Err(error),
        }
        let options = Options {
            // What may not go to quarantine is counted, and passed over to find the rest.
            max_bad: u64::MAX,
            ..self.options.clone()
        };
        let mut context = Context::new(&options, Tracker::new(sink), self.interrupt.clone());
        context.dry = Some(Arc::clone(&dry));
        let mut reached = Reached::default();
        if let Err(error) = rehearse(&mut context, &directories, &dry, &mut reached) {
            dry.findings.note(error)?;
        }
        let rate = WriteRate::measure(&dry.work)?;
        Ok(self.report_of(&context, &directories, &dry, &reached, rate))
    }

    /// Others may read as well, but nobody may write.
    fn lock_shared(&self, directories: &Directories) -> Result<()> {
        if !self.options.lock {
            return Ok(());
        }
        let mut locked = vec![&directories.source];
        if !directories.in_place() && !directories.target_is_missing {
            locked.push(directories.target());
        }
        let timeout = self.options.lock_timeout;
        locked
            .into_iter()
            .try_for_each(|dir| lock::lock(dir, Sharing::Shared, timeout, &self.interrupt))
    }

    fn report_of(
        &self,
        context: &Context<'_, '_>,
        directories: &Directories,
        dry: &DryRun,
        reached: &Reached,
        rate: WriteRate,
    ) -> Report {
        let path = directories.target().path().to_path_buf();
        let mut report = Report::nothing(Outcome::DryRun, path);
        report.phases = phases(context);
        if let Some(plan) = &reached.plan {
            report.warnings.clone_from(&plan.warnings);
            report.wal.clone_from(&plan.wal_summary);
            if let Some(built) = &reached.built {
                describe(&mut report, plan, built);
            }
        }
        report.warnings.extend(tolerated(&dry.findings.tolerated()));
        report.errors = errors(&dry.findings.errors());
        report.failure = dry.findings.exit();
        let verifies = self.options.verification != Verification::None;
        report.forecast = Some(forecast(&report, dry, reached, rate, verifies));
        report
    }
}

/// A directory that only rolling forward or backward can help.
fn refuse_half_published(directories: &Directories) -> Result<()> {
    if directories.target_is_missing {
        return Ok(());
    }
    let target = directories.target();
    rollback::refuse_interrupted(target)?;
    Placement::refuse(target)?;
    if publish::is_being_undone(target)? || Journal::read(target)?.is_some() {
        return Err(version::half_published(target));
    }
    Ok(())
}

/// The phases up to the indexes. What they found until they failed is in `reached`.
fn rehearse(
    context: &mut Context<'_, '_>,
    directories: &Directories,
    dry: &DryRun,
    reached: &mut Reached,
) -> Result<()> {
    let (plan, _) = check::run(context, directories)?;
    let plan = reached.plan.insert(plan);
    if !directories.target_is_missing {
        context.or_noted(room::plan(directories, plan))?;
    }
    context.tracker.end_phase(Phase::Check);
    dry.findings.keep_bad();
    let built = loop {
        let state = CollectionsState::default();
        let collected = collections::run(context, plan, &dry.work, state)?;
        reached.overlay_bytes = plan.overlay_bytes;
        context.tracker.end_phase(Phase::Collections);
        let built = IndexBuilder::new(context, plan, &dry.work, collected).run()?;
        context.tracker.end_phase(Phase::Indexes);
        if !dry.again.begin_second() {
            break built;
        }
        tracing::info!("reading once more, to tell which documents have the same key");
        dry.findings.forget_bad();
        plan.overlay = check::restore_overlay(context.options, plan)?;
    };
    let built = reached.built.insert(built);
    match metadata::write(plan, &dry.work, built) {
        Ok(()) => reached.metadata_bytes = Some(dry.work.open_file(STAGED_METADATA)?.size()),
        // The check phase has found the name or the index that does not fit.
        Err(error) if dry.findings.has(error.code()) => {}
        Err(error) => dry.findings.note(error)?,
    }
    plan.check_source_unchanged()
}

/// The same figures as in the report of a migration.
fn describe(report: &mut Report, plan: &Plan, built: &Built) {
    report.collections = summary::collections(plan, built);
    let collections = built.collections.iter();
    report.generated_ids = collections
        .map(|collection| collection.written.tally.generated_ids)
        .sum();
    report.quarantined = summary::quarantined(plan, built);
    let quarantine = summary::quarantine_warnings(plan, built);
    report.warnings.extend(quarantine);
    let noticed = summary::warnings(&plan.collections, built);
    report.warnings.extend(noticed);
}

/// Time by phase, whether it ran once or twice.
fn phases(context: &Context<'_, '_>) -> Vec<(Phase, Duration)> {
    let mut sums = BTreeMap::new();
    let mut phases: Vec<(Phase, Duration)> = Vec::new();
    for (phase, time) in context.tracker.phases() {
        let at = *sums.entry(phase.name()).or_insert(phases.len());
        match phases.get_mut(at) {
            Some((_, sum)) => *sum += time,
            None => phases.push((phase, time)),
        }
    }
    phases
}

/// All that was named, and how many more there are of each kind.
fn errors(kinds: &[ProblemKind]) -> Vec<Problem> {
    let mut errors = Vec::new();
    for kind in kinds {
        errors.extend(kind.first.iter().map(Problem::of_found));
        errors.extend(more(kind).map(|warning| Problem::of_warning(&warning)));
    }
    errors
}

/// The same for what would go to quarantine.
fn tolerated(kinds: &[ProblemKind]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for kind in kinds {
        for problem in &kind.first {
            let warning = Warning::new(problem.code, problem.sentence.clone());
            warnings.push(warning.at(problem.place.clone()));
        }
        warnings.extend(more(kind));
    }
    warnings
}

fn more(kind: &ProblemKind) -> Option<Warning> {
    let more = kind.count.saturating_sub(kind.first.len() as u64);
    (more > 0).then(|| {
        let sentence = format!("and {more} more of this kind: {}", kind.code.title());
        Warning::new(kind.code, sentence)
    })
}

/// What can be said of a migration that follows.
fn forecast(
    report: &Report,
    dry: &DryRun,
    reached: &Reached,
    rate: WriteRate,
    verifies: bool,
) -> Forecast {
    let space = dry.space();
    let data_bytes = reached
        .built
        .as_ref()
        .map(|built| u64::from(built.page_count) * PAGE_SIZE as u64);
    let file_systems = space.file_systems.into_iter();
    Forecast {
        data_bytes,
        metadata_bytes: reached.metadata_bytes,
        wal_overlay_bytes: reached.overlay_bytes,
        space: file_systems
            .map(|space| SpaceForecast {
                path: space.path,
                needed: space.needed,
                free: space.free,
            })
            .collect(),
        seconds: data_bytes.map(|bytes| {
            let phase = |wanted| {
                let phases = report.phases.iter().filter(|(phase, _)| *phase == wanted);
                phases.map(|(_, time)| time.as_secs_f64()).sum::<f64>()
            };
            let runs = if dry.again.is_second() { 2.0 } else { 1.0 };
            let (documents, indexes) = (
                phase(Phase::Collections) / runs,
                phase(Phase::Indexes) / runs,
            );
            // Verification reads back what was written, and takes the keys from it again.
            let again = if verifies { documents + indexes } else { 0.0 };
            let written = rate.seconds(bytes.saturating_add(space.backup));
            phase(Phase::Check) + documents + indexes + again + written
        }),
    }
}
