//! The modes and what they are made of. `auto`, a migration and its phases in order, is the main
//! one; each of the others has a file of its own name.

mod auto;
mod backup;
mod backup_phase;
mod backup_place;
mod bad_documents;
mod check;
mod checkpoint;
mod collections;
mod context;
mod directories;
mod dispatch;
mod dry_run;
mod duplicates;
mod estimate;
mod export;
mod extract;
mod feed;
mod finished;
mod import;
mod indexes;
mod interrupt;
mod journal;
mod keys;
mod lock;
mod marker_text;
mod metadata;
mod names;
mod open_files;
mod pages;
mod parse;
mod plan;
mod process;
mod publish;
mod quarantine;
mod receipt;
mod rollback;
mod room;
mod run_info;
mod space;
mod state;
mod status;
mod summary;
mod temporary;
mod unlisted;
mod validate;
mod verify;
mod work;

pub(crate) use context::Sample;
pub use estimate::SpaceEstimate;
pub use interrupt::Interrupt;
pub use space::FileSystemSpace;
pub use status::{MigrationState, Reached, RunStatus, StatusReport};

use crate::files::{Access, Dir, Gate};
use crate::layout;
use crate::options::{Mode, Options};
use crate::progress::ProgressSink;
use crate::report::Report;
use crate::report::run::{RunReport, RunStart};
use crate::{Code, Error, Result};

/// A migration that can be run.
#[derive(Clone, Debug)]
pub struct Migration {
    options: Options,
    gate: Gate,
    interrupt: Interrupt,
    start: RunStart,
}

impl Migration {
    /// A migration with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            interrupt: Interrupt::default().limited(options.max_time),
            options,
            gate: Gate::open(),
            start: RunStart::now(),
        }
    }

    /// Takes over the id and start time of a run that has begun before, such as to log.
    #[must_use]
    pub fn with_start(mut self, start: RunStart) -> Self {
        self.start = start;
        self
    }

    /// Lets every change to a file pass `gate`; for tests.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Stops at the next batch once `interrupt` is requested, or after
    /// [`Options::max_time`] unless `interrupt` has a limit of its own.
    #[must_use]
    pub fn with_interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt.limited(self.options.max_time);
        self
    }

    /// Does what the options' mode says.
    ///
    /// # Errors
    /// See [`Code`]. Before publishing has begun, everything that the run made is removed again.
    pub fn run(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        let mut report = self.run_mode(sink)?;
        report.complete(&self.options);
        report.disk_used = self.disk_used(&report);
        report.run = RunReport::of(&self.start, &report.phases, report.documents());
        Ok(report)
    }

    /// Bytes of the database files that the run has left in the target.
    fn disk_used(&self, report: &Report) -> Option<u64> {
        report.target_version()?;
        let target = Dir::open(&report.target, self.gate.clone()).ok()?;
        let sizes = [layout::DATA_FILE, layout::METADATA_FILE, layout::WAL_FILE]
            .map(|name| target.entry(name).ok().flatten().map(|entry| entry.size));
        sizes.into_iter().sum()
    }

    fn run_mode(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        match self.options.mode {
            Mode::Auto => self.migrate(sink),
            Mode::Export => self.export(sink),
            Mode::Import => self.import(sink),
            Mode::Rollback => self.roll_back(sink),
            Mode::Validate => self.validate(sink),
            Mode::DryRun => self.dry_run(sink),
            Mode::Status => {
                Err(Error::new(Code::Usage, "status makes no report")
                    .hint("call Migration::status"))
            }
        }
    }

    /// True if an interrupted migration is in the way of a new one, and [`Self::run`] would go on
    /// with it.
    ///
    /// # Errors
    /// The directories cannot be opened.
    pub fn resumable(&self) -> Result<bool> {
        let path = self.options.target.as_ref().unwrap_or(&self.options.source);
        match Dir::open(path, self.gate.clone()) {
            Ok(target) => checkpoint::exists(&target),
            Err(error) if error.code() == Code::PathMissing => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where a migration in the target (or in place, the source) stands; takes no lock.
    ///
    /// # Errors
    /// The directory is missing.
    pub fn status(&self) -> Result<StatusReport> {
        let path = self.options.target.as_ref().unwrap_or(&self.options.source);
        let directory = Dir::open(path, self.gate.clone())?;
        Ok(StatusReport::of(&directory, checkpoint::reached))
    }
}

/// An error of opening a source: what this user may not read is no failed call, and trying again
/// does not help.
fn of_source(error: Error) -> Error {
    let cause = std::error::Error::source(&error);
    let call = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let is_denied = call.is_some_and(|call| call.kind() == std::io::ErrorKind::PermissionDenied);
    if !is_denied {
        return error;
    }
    Error::new(Code::SourceUnreadable, "the source may not be read")
        .at(error.place().clone())
        .because(error)
        .hint("run it as the user that the files belong to")
}

/// Owner and mode for what is written: those of the least readable source file.
fn least_readable(accesses: impl Iterator<Item = Access>) -> Access {
    accesses
        .reduce(|a, b| Access {
            mode: a.mode & b.mode,
            owner: a.owner,
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_is_the_source_and_no_failed_call() {
        let denied = Error::io(
            "open",
            "data/wal.log",
            std::io::Error::from_raw_os_error(13),
        );
        let error = of_source(denied);
        assert_eq!(error.code(), Code::SourceUnreadable);
        assert_eq!(error.exit_code(), crate::ExitCode::Source);
        assert!(error.to_string().contains("data/wal.log") && error.hint_text().is_some());
        let failed = Error::io("open", "data/wal.log", std::io::Error::from_raw_os_error(5));
        assert_eq!(of_source(failed).code(), Code::Io);
    }
}
