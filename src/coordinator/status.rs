//! `--mode status`: what is going on in a directory, told without a lock and without fail.
//!
//! The marker says what the directory is, the work directory what is being made of it; `run.json`
//! says who makes it and how far it is, the checkpoint where it would go on, and the journal that
//! publishing has begun. Each may be missing or damaged; what can be read is told.

use super::receipt::Receipt;
use super::run_info::{Liveness, RunInfo};
use super::work::{self, CHECKPOINT, IMPORT, JOURNAL, UNDO};
use crate::files::Dir;
use crate::layout::{QUARANTINE_FILE, ROLLBACK_FILE, V1_DIR, WORK_DIR};
use crate::progress::Phase;
use crate::shell::{quoted, quoted_path};
use crate::version::{self, DirectoryVersion};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationState {
    /// Nobody has begun one here.
    Absent,
    /// A run is at work.
    Running,
    /// Its process is there, but has not reported for a while.
    Silent,
    /// A run was interrupted, killed, or lost its power; nothing outside its work directory was
    /// touched.
    Interrupted,
    /// A run was interrupted while it published: LauraDB must not be started.
    HalfPublished,
    /// The directory is in format v2.
    Finished,
    /// What is there cannot be read well enough to tell.
    Unknown,
}

/// How far a run was when it last reported, or when its checkpoint was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The phase it was in.
    pub phase: Option<Phase>,
    /// Documents handled in that phase.
    pub documents: u64,
    /// Bytes handled in that phase.
    pub bytes: u64,
    /// Bytes to handle in that phase; 0 if that is not known.
    pub bytes_total: u64,
}

impl Reached {
    /// Share of the phase that was done, in percent.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let done = u128::from(self.bytes.min(self.bytes_total)) * 100;
        let percent = done.checked_div(u128::from(self.bytes_total))?;
        u64::try_from(percent).ok()
    }
}

/// The run that works on the directory, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// Process id on `host`.
    pub pid: u32,
    /// Where it runs.
    pub host: String,
    /// RFC 3339.
    pub started: String,
    /// When it last reported, RFC 3339.
    pub heartbeat: String,
    /// How far it was then.
    pub reached: Reached,
    /// Seconds left in its phase, as far as it knew.
    pub seconds_left: Option<u64>,
}

/// What `--mode status` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusReport {
    /// The directory.
    pub directory: PathBuf,
    /// Where its migration stands.
    pub state: MigrationState,
    /// The format version that the marker names; `None` if it cannot be read.
    pub version: Option<String>,
    /// The run that works on it, or the last that did, until it is finished.
    pub run: Option<RunStatus>,
    /// Where the next run goes on; `None` if it begins anew, or there is nothing to go on with.
    pub checkpoint: Option<Reached>,
    /// The v1 files of an in-place migration, from which it can be rolled back.
    pub originals: Option<PathBuf>,
    /// What could not be carried over, if that is still there.
    pub quarantine: Option<PathBuf>,
    /// How many records, documents and pages are in it, if that is known.
    pub quarantined: Option<u64>,
    /// A work directory is left that the next run of the same command removes.
    pub leftovers: bool,
    /// The command to type next, if there is something to do.
    pub next_command: Option<String>,
    /// What could not be read.
    pub problems: Vec<String>,
}

impl StatusReport {
    /// Looks at `directory`. `read_checkpoint` is given the open work directory if there is a
    /// checkpoint in it; what it cannot read is told as a problem.
    #[must_use]
    pub(super) fn of(
        directory: &Dir,
        read_checkpoint: impl FnOnce(&Dir) -> crate::Result<Reached>,
    ) -> Self {
        let mut problems = Vec::new();
        let mut known = |error: crate::Error| problems.push(error.to_string());
        let version = version::detect(directory).map_err(&mut known).ok();
        let work = work::open_in(directory).map_err(&mut known).ok().flatten();
        let run = RunInfo::read(directory).map_err(&mut known).ok().flatten();
        let has = |name| {
            work.as_ref()
                .is_some_and(|work| matches!(work.entry(name), Ok(Some(_))))
        };
        let has_journal = [JOURNAL, UNDO, IMPORT].into_iter().any(has);
        let has_checkpoint = has(CHECKPOINT);
        let unreadable = version.is_none() || (work.is_none() && has_name(directory, WORK_DIR));
        let state = match (run.as_ref().map(RunInfo::liveness), &version) {
            (Some(Liveness::Running), _) => MigrationState::Running,
            (Some(Liveness::Silent), _) => MigrationState::Silent,
            _ if has_journal && !is_v2(version.as_ref()) => MigrationState::HalfPublished,
            (_, Some(DirectoryVersion::Publishing(_))) => MigrationState::HalfPublished,
            (_, Some(DirectoryVersion::V2(_) | DirectoryVersion::V21(_))) => {
                MigrationState::Finished
            }
            _ if unreadable => MigrationState::Unknown,
            _ if work.is_some() => MigrationState::Interrupted,
            _ => MigrationState::Absent,
        };
        let checkpoint = work
            .as_ref()
            .filter(|_| has_checkpoint && state != MigrationState::Finished)
            .and_then(|work| read_checkpoint(work).map_err(&mut known).ok());
        let quarantine = has_name(directory, QUARANTINE_FILE);
        let receipt = match quarantine {
            true => Receipt::read(directory).map_err(&mut known).ok().flatten(),
            false => None,
        };
        Self {
            directory: directory.path().to_path_buf(),
            state,
            quarantine: quarantine.then(|| directory.join(QUARANTINE_FILE)),
            quarantined: receipt.map(|receipt| receipt.quarantined()),
            version: version.as_ref().map(version_name),
            next_command: match has(ROLLBACK_FILE) && state == MigrationState::HalfPublished {
                true => Some(format!(
                    "laura-migrate --mode rollback {}",
                    quoted_path(directory.path())
                )),
                false => next_command(state, directory.path(), run.as_ref()),
            },
            run: run.as_ref().map(run_status),
            checkpoint,
            originals: has_name(directory, V1_DIR).then(|| directory.join(V1_DIR)),
            leftovers: state == MigrationState::Finished && work.is_some(),
            problems,
        }
    }

    /// True where the next run goes on instead of beginning anew.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        self.state == MigrationState::HalfPublished || self.checkpoint.is_some()
    }

    /// The report for people.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{}: {}\n", self.directory.display(), self.headline());
        let mut line = |words: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {words}");
        };
        if let Some(run) = &self.run {
            line(format!(
                "run: pid {} on {}, started {}, last heartbeat {}",
                run.pid,
                run.host,
                whole_seconds(&run.started),
                whole_seconds(&run.heartbeat)
            ));
            let left = run
                .seconds_left
                .map_or(String::new(), |left| format!(", about {left} s left"));
            if self.checkpoint.is_none() || self.state == MigrationState::Running {
                line(format!("reached: {}{left}", describe(&run.reached)));
            }
        }
        if let Some(checkpoint) = &self.checkpoint {
            line(format!("the next run goes on at: {}", describe(checkpoint)));
        } else if self.state == MigrationState::Interrupted {
            line("there is no checkpoint: the next run begins anew".to_owned());
        }
        if let Some(originals) = &self.originals {
            line(format!("the v1 files are in {}", originals.display()));
        }
        if let Some(quarantine) = &self.quarantine {
            let count = match self.quarantined {
                None => String::new(),
                Some(1) => "1 record or document, ".to_owned(),
                Some(count) => format!("{count} records and documents, "),
            };
            line(format!(
                "in quarantine: {count}see {}",
                quarantine.display()
            ));
        }
        for problem in &self.problems {
            line(format!("cannot be read: {problem}"));
        }
        if let Some(command) = &self.next_command {
            line(format!("next: {command}"));
        }
        text
    }

    fn headline(&self) -> String {
        let version = self.version.as_deref().unwrap_or("unknown");
        match self.state {
            MigrationState::Absent => {
                format!(
                    "no migration here, format {version} (one to another directory shows there)"
                )
            }
            MigrationState::Running => "a migration is running".to_owned(),
            MigrationState::Silent => {
                "a migration has not reported for a while, but its process is there".to_owned()
            }
            MigrationState::Interrupted => {
                format!("a migration was interrupted; nothing was changed, format {version}")
            }
            MigrationState::HalfPublished => {
                "half published: LauraDB must not be started before it is finished".to_owned()
            }
            MigrationState::Finished if self.leftovers => {
                format!("migrated, format {version}; the work directory is left over")
            }
            MigrationState::Finished => format!("migrated, format {version}"),
            MigrationState::Unknown => "what is there cannot be told".to_owned(),
        }
    }
}

fn has_name(directory: &Dir, name: &str) -> bool {
    matches!(directory.entry(name), Ok(Some(_)))
}

fn is_v2(version: Option<&DirectoryVersion>) -> bool {
    matches!(
        version,
        Some(DirectoryVersion::V2(_) | DirectoryVersion::V21(_))
    )
}

fn version_name(version: &DirectoryVersion) -> String {
    version
        .marker()
        .map_or_else(|| "1.0".to_owned(), |marker| marker.format_version.clone())
}

fn run_status(run: &RunInfo) -> RunStatus {
    RunStatus {
        pid: run.process.pid,
        host: run.host.clone(),
        started: run.started.clone(),
        heartbeat: run.heartbeat.clone(),
        reached: Reached {
            phase: Some(run.phase),
            documents: run.documents_done,
            bytes: run.bytes_done,
            bytes_total: run.bytes_total,
        },
        seconds_left: run.seconds_left,
    }
}

/// An RFC 3339 time in UTC without its fraction.
fn whole_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}

fn describe(reached: &Reached) -> String {
    let phase = reached.phase.map_or("an unknown phase", Phase::name);
    let share = reached
        .percent()
        .map_or(String::new(), |percent| format!(", {percent} %"));
    format!(
        "{phase}{share}, {} documents, {}",
        reached.documents,
        bytesize::ByteSize(reached.bytes)
    )
}

/// What to type next: for an interrupted run its own command, as far as it is known.
fn next_command(state: MigrationState, directory: &Path, run: Option<&RunInfo>) -> Option<String> {
    match state {
        MigrationState::Interrupted | MigrationState::HalfPublished => Some(
            run.and_then(typed_again)
                .unwrap_or_else(|| "the interrupted laura-migrate command again".to_owned()),
        ),
        MigrationState::Absent => Some(format!("laura-migrate {}", quoted_path(directory))),
        MigrationState::Silent => run.map(|run| format!("kill {}", run.process.pid)),
        MigrationState::Running | MigrationState::Finished | MigrationState::Unknown => None,
    }
}

fn typed_again(run: &RunInfo) -> Option<String> {
    if run.command.is_empty() {
        return None;
    }
    let words: Vec<String> = run.command.iter().map(|word| quoted(word)).collect();
    let command = words.join(" ");
    Some(match &run.working_directory {
        Some(directory) if std::env::current_dir().ok().as_ref() != Some(directory) => {
            format!("cd {} && {command}", quoted_path(directory))
        }
        _ => command,
    })
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
