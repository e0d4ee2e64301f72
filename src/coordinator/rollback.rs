//! `--mode rollback`: an in-place migration is taken back, from the originals in `.lauradb-v1/`.
//!
//! What decides the state at each instant is on disk, and `rollback.json` in the work directory is
//! the journal:
//!
//! 1. Everything is checked, by reading only. The work directory is made, with `run.json` in it.
//!    *Until here the directory is v2 as it was; a failure removes the work directory.*
//! 2. The journal is written durably. *From here on there is only forward: every mode refuses the
//!    directory (exit 8) and names the command that finishes.*
//! 3. The marker becomes `2.0-publishing`, likewise; LauraDB refuses the directory, too.
//! 4. The v2 files move out of the way: into the work directory if they are as they were published,
//!    else, which takes `--force`, all of them with a copy of their marker into
//!    `.lauradb-v2-<UTC>/`, which is a complete v2 directory then. New places are made durable
//!    before the old ones.
//! 5. The v1 files move back, again new places before old ones.
//! 6. `.lauradb-v1/` is removed, with the copy of the v1 marker in it, whose text the journal has.
//! 7. The v1 marker takes its place, to the byte; without one, the marker is removed. *From here on
//!    the directory is v1.*
//! 8. The work directory is removed with the v2 files in it, the journal last.
//!
//! Steps 3 to 8 can be run again from the start after being cut anywhere. A v2 file whose v1 file
//! has left `.lauradb-v1/` was moved before; a rename that power loss left under both names is told
//! by equal bytes. Receipt and quarantine are among the published files and go the same way.
//! Guarantee: after any cut the directory is v2 as it was, or is refused by every reader until the
//! sequence has been run to its end, or is v1 as before the migration.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod journal;
mod survey;

use super::context::Context;
use super::import::Placement;
use super::journal::Journal;
use super::lock;
use super::run_info::Heartbeat;
use super::work::WorkDir;
use super::{Migration, checkpoint, publish};
use crate::files::{Access, Dir, Sharing};
use crate::layout::{MARKER_FILE, V1_DIR, WORK_DIR};
use crate::options::Mode;
use crate::progress::{Phase, ProgressSink, Totals, Tracker};
use crate::report::{Outcome, Report};
use crate::shell::quoted_path;
use crate::version::{self, DirectoryVersion, Marker};
use crate::{Code, Error, Place, Result};
use journal::RollbackJournal;

impl Migration {
    /// Takes an in-place migration back, or goes on with a rollback that was interrupted.
    pub(super) fn roll_back(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        if self.options.target.is_some() {
            return Err(never_touched().hint("start LauraDB 0.9 on SOURCE_DIR"));
        }
        let dir = Dir::open(&self.options.source, self.gate.clone())?;
        if self.options.lock {
            let timeout = self.options.lock_timeout;
            lock::lock(&dir, Sharing::Exclusive, timeout, &self.interrupt)?;
        }
        let mut context = Context::new(&self.options, Tracker::new(sink), self.interrupt.clone());
        let mut report = self.roll_back_in(&mut context, &dir)?;
        report.mode = Mode::Rollback;
        report.phases = context.tracker.phases();
        Ok(report)
    }

    fn roll_back_in(&self, context: &mut Context<'_, '_>, dir: &Dir) -> Result<Report> {
        if let Some(journal) = RollbackJournal::read(dir)? {
            start_publish(context);
            return roll_forward(context, dir, &journal);
        }
        Placement::refuse(dir)?;
        if !is_migrated(dir)? {
            context.tracker.end_phase(Phase::Check);
            let mut report = Report::nothing(Outcome::NotMigrated, dir.path().to_path_buf());
            report.source_version = Some("1.0");
            return Ok(report);
        }
        let journal = survey::survey(context, dir)?;
        context.tracker.end_phase(Phase::Check);
        // What a publish or a rollback that was cut off has left.
        WorkDir::remove(dir)?;
        match self.begin(context, dir, &journal) {
            Ok(()) => roll_forward(context, dir, &journal),
            // What cannot be read is kept.
            Err(error) if RollbackJournal::read(dir).map_or(true, |found| found.is_some()) => {
                Err(cut_off(dir, error))
            }
            Err(error) => {
                if let Err(left) = WorkDir::remove(dir) {
                    tracing::warn!("the work directory could not be removed: {left}");
                }
                Err(error)
            }
        }
    }

    /// Steps 1 and 2.
    fn begin(
        &self,
        context: &mut Context<'_, '_>,
        dir: &Dir,
        journal: &RollbackJournal,
    ) -> Result<()> {
        let work = WorkDir::create(dir, journal.access(dir)?)?;
        start_publish(context);
        // Says who it was, should this run not come to its end.
        drop(Heartbeat::start(dir, &work, context.counters())?);
        self.interrupt.check()?;
        journal.write(&work.dir)
    }
}

/// Whether there is a migration to take back; clears up what is left of one that is not.
fn is_migrated(dir: &Dir) -> Result<bool> {
    let is_publishing = match Journal::read(dir)? {
        Some(journal) => !publish::is_final(dir, &journal)?,
        None => publish::is_being_undone(dir)?,
    };
    match version::detect(dir)? {
        _ if is_publishing => Err(version::half_published(dir)),
        DirectoryVersion::Publishing(_) => Err(version::half_published(dir)),
        DirectoryVersion::V2(_) | DirectoryVersion::V21(_) => Ok(true),
        DirectoryVersion::V1 { .. } if dir.entry(V1_DIR)?.is_some() => Err(Error::new(
            Code::InTheWayFile,
            "the directory is in format 1.0, but the v1 files of a migration are in it",
        )
        .at(Place::file(dir.join(V1_DIR)))
        .hint("look which of the files are the right ones, and move the others away")),
        DirectoryVersion::V1 { .. } => {
            if !checkpoint::exists(dir)? {
                // Power loss may have left it without its journal.
                WorkDir::remove(dir)?;
            }
            Ok(false)
        }
    }
}

fn never_touched() -> Error {
    Error::new(
        Code::Usage,
        "the migration was to another directory: the source was never touched",
    )
}

/// Fails if a rollback of `target` was interrupted.
pub(super) fn refuse_interrupted(target: &Dir) -> Result<()> {
    match RollbackJournal::read(target)? {
        None => Ok(()),
        Some(_) => Err(version::half_published(target)),
    }
}

fn start_publish(context: &mut Context<'_, '_>) {
    let nothing = Totals::default();
    context
        .tracker
        .start_phase(Phase::Publish, nothing, nothing);
}

/// Steps 3 to 8.
fn roll_forward(
    context: &mut Context<'_, '_>,
    dir: &Dir,
    journal: &RollbackJournal,
) -> Result<Report> {
    forward(dir, journal)
        .and_then(|()| WorkDir::remove(dir))
        .map_err(|error| cut_off(dir, error))?;
    let mut report = Report::nothing(Outcome::RolledBack, dir.path().to_path_buf());
    context.tracker.end_phase(Phase::Publish);
    report.kept_v2 = journal.kept.as_ref().map(|kept| dir.join(&kept.directory));
    Ok(report)
}

/// What a failure becomes once the journal is there: whatever its kind, the same command goes on.
fn cut_off(dir: &Dir, error: Error) -> Error {
    let command = format!("laura-migrate --mode rollback {}", quoted_path(dir.path()));
    let hint = match error.hint_text() {
        Some(hint) => format!("{hint}; then {command} finishes the rollback"),
        None => format!("{command} finishes it"),
    };
    Error::new(
        Code::RollbackInterrupted,
        "the directory is half rolled back",
    )
    .at(Place::file(dir.path()))
    .because(error)
    .hint(hint)
}

fn forward(dir: &Dir, journal: &RollbackJournal) -> Result<()> {
    if is_back(dir, journal)? {
        return Ok(());
    }
    let access = journal.access(dir)?;
    dir.replace(
        MARKER_FILE,
        Marker::publishing().encode().as_bytes(),
        access,
    )?;
    clear_away(dir, journal, access)?;
    move_back(dir, journal)?;
    match &journal.v1_marker {
        Some(text) => dir.replace(MARKER_FILE, text.as_bytes(), access),
        None => {
            dir.remove_file(MARKER_FILE)?;
            dir.sync()
        }
    }
}

/// Whether steps 3 to 7 were all done. The marker is never that of v1 before, and `.lauradb-v1/`
/// is gone durably before it is.
fn is_back(dir: &Dir, journal: &RollbackJournal) -> Result<bool> {
    if dir.entry(V1_DIR)?.is_some() {
        return Ok(false);
    }
    match &journal.v1_marker {
        Some(text) => publish::is_marked(dir, text),
        None => Ok(dir.entry(MARKER_FILE)?.is_none()),
    }
}

/// Step 4.
fn clear_away(dir: &Dir, journal: &RollbackJournal, access: Access) -> Result<()> {
    let away = match &journal.kept {
        None => dir.open_dir(WORK_DIR)?,
        Some(kept) => {
            if dir.entry(&kept.directory)?.is_none() {
                dir.make_dir(&kept.directory, access)?;
                dir.sync()?;
            }
            let place = dir.open_dir(&kept.directory)?;
            place.replace(MARKER_FILE, kept.marker.as_bytes(), access)?;
            place
        }
    };
    let v1 = open_v1(dir)?;
    for name in &journal.v2_files {
        if !is_v1_back(dir, v1.as_ref(), &away, journal, name)? {
            publish::rename_once(dir, name, &away)?;
        }
    }
    away.sync()?;
    dir.sync()
}

fn open_v1(dir: &Dir) -> Result<Option<Dir>> {
    match dir.entry(V1_DIR)? {
        None => Ok(None),
        Some(_) => dir.open_dir(V1_DIR).map(Some),
    }
}

/// True if the name in the directory is the v1 file's again, by an earlier run.
fn is_v1_back(
    dir: &Dir,
    v1: Option<&Dir>,
    away: &Dir,
    journal: &RollbackJournal,
    name: &String,
) -> Result<bool> {
    if !journal.v1_files.contains(name) {
        return Ok(false);
    }
    let Some(v1) = v1 else { return Ok(true) };
    if v1.entry(name)?.is_none() {
        return Ok(true);
    }
    if away.entry(name)?.is_none() || dir.entry(name)?.is_none() {
        return Ok(false);
    }
    // One of the two renames has left its file under both names.
    publish::same_bytes(&dir.open_file(name)?, &v1.open_file(name)?)
}

/// Steps 5 and 6.
fn move_back(dir: &Dir, journal: &RollbackJournal) -> Result<()> {
    let Some(v1) = open_v1(dir)? else {
        return Ok(());
    };
    for name in &journal.v1_files {
        publish::rename_once(&v1, name, dir)?;
    }
    dir.sync()?;
    v1.sync()?;
    for name in [MARKER_FILE.to_owned(), format!("{MARKER_FILE}.tmp")] {
        if v1.entry(&name)?.is_some() {
            v1.remove_file(&name)?;
        }
    }
    // A directory whose last name may come back could come back itself.
    v1.sync()?;
    dir.remove_dir(V1_DIR)?;
    dir.sync()
}
