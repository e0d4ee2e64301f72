//! What a dry run finds that would stop a migration, or taint it.

use crate::problems::{ProblemKind, Problems};
use crate::{Code, Error, ExitCode, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everything that was found. Errors come in the order in which a migration would meet them, so the
/// first one says how it would end.
#[derive(Debug)]
pub(in crate::coordinator) struct Findings {
    /// Records and documents that `--max-bad` allows.
    max_bad: u64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// What would stop the migration.
    errors: Problems,
    /// What would go to quarantine.
    bad: Problems,
    bad_count: u64,
    /// The part of it that the check phase found, which is not read again.
    checked_bad: Problems,
    /// The exit code of the first error.
    exit: Option<ExitCode>,
}

impl Found {
    fn note_exit(&mut self, exit: ExitCode) {
        self.exit.get_or_insert(exit);
    }
}

impl Findings {
    pub(super) fn new(max_bad: u64) -> Self {
        Self {
            max_bad,
            found: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an error that would stop the migration, and gives back one that stops the dry run: a
    /// failed system call, an interruption, a command line that means nothing.
    pub(in crate::coordinator) fn note(&self, error: Error) -> Result<()> {
        let exit = error.exit_code();
        if !would_stop(exit) {
            return Err(error);
        }
        let mut found = self.lock();
        found.note_exit(exit);
        found.errors.add(error);
        Ok(())
    }

    /// Counts more errors of a kind that was noted before.
    pub(in crate::coordinator) fn note_unnamed(&self, code: Code) {
        self.lock().errors.count_unnamed(code, 1);
    }

    /// Takes a record or document that would go to quarantine.
    pub(in crate::coordinator) fn note_bad(&self, error: Error) {
        let mut found = self.lock();
        found.bad_count += 1;
        if found.bad_count > self.max_bad {
            found.note_exit(error.exit_code());
        }
        found.bad.add(error);
    }

    /// The write-ahead log has so many bad records, which [`Self::note_bad`] will be given later. A
    /// migration meets those beyond `--max-bad` now.
    pub(in crate::coordinator) fn expect_bad(&self, records: u64) {
        if records > self.max_bad {
            self.lock().note_exit(ExitCode::Source);
        }
    }

    /// True if an error of this kind was noted.
    pub(super) fn has(&self, code: Code) -> bool {
        let kinds = self.lock().errors.kinds();
        kinds.iter().any(|kind| kind.code == code)
    }

    /// The check phase is over: what it found is not read again.
    pub(super) fn keep_bad(&self) {
        let found = self.lock();
        found.checked_bad.absorb(&found.bad);
    }

    /// What would go to quarantine is going to be read once more, but for what the check phase
    /// found.
    pub(super) fn forget_bad(&self) {
        let mut found = self.lock();
        found.bad = Problems::default();
        found.bad.absorb(&found.checked_bad);
        found.bad_count = found.bad.count();
    }

    /// The exit code that a migration would fail with.
    pub(super) fn exit(&self) -> Option<ExitCode> {
        self.lock().exit
    }

    /// What would stop a migration; bad records and documents too if there are too many of them.
    pub(super) fn errors(&self) -> Vec<ProblemKind> {
        let found = self.lock();
        let errors = Problems::default();
        errors.absorb(&found.errors);
        if found.bad_count > self.max_bad {
            errors.absorb(&found.bad);
        }
        errors.kinds()
    }

    /// What a migration would put into quarantine, if it got as far.
    pub(super) fn tolerated(&self) -> Vec<ProblemKind> {
        let found = self.lock();
        if found.bad_count > self.max_bad {
            return Vec::new();
        }
        found.bad.kinds()
    }
}

/// True for the exit code of an error that the source or a directory is the reason of.
fn would_stop(exit: ExitCode) -> bool {
    matches!(
        exit,
        ExitCode::Source
            | ExitCode::Different
            | ExitCode::InTheWay
            | ExitCode::NoSpace
            | ExitCode::Locked
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_decides_and_bad_documents_count_when_there_are_too_many() {
        let findings = Findings::new(1);
        let bad = || Error::new(Code::BadDocument, "bad");
        findings.note_bad(bad());
        assert_eq!((findings.exit(), findings.tolerated().len()), (None, 1));
        findings
            .note(Error::new(Code::TooLittleSpace, "space"))
            .unwrap();
        findings.note_bad(bad());
        assert_eq!(findings.exit(), Some(ExitCode::NoSpace));
        assert_eq!(findings.tolerated(), []);
        let codes: Vec<_> = findings
            .errors()
            .iter()
            .map(|kind| (kind.code, kind.count))
            .collect();
        assert_eq!(codes, [(Code::BadDocument, 2), (Code::TooLittleSpace, 1)]);
        assert!(findings.note(Error::new(Code::Io, "no")).is_err());
    }

    #[test]
    fn what_the_check_phase_found_still_counts_when_the_rest_is_read_again() {
        let findings = Findings::new(1);
        findings.note_bad(Error::new(Code::PagesDamaged, "page"));
        findings.keep_bad();
        findings.forget_bad();
        assert_eq!((findings.exit(), findings.tolerated().len()), (None, 1));
        findings.note_bad(Error::new(Code::BadDocument, "bad"));
        assert_eq!(findings.exit(), Some(ExitCode::Source));
        assert_eq!(findings.errors().len(), 2);
    }
}
