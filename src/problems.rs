//! Collecting everything that is wrong with a directory, instead of ending at the first.

use crate::error::Place;
use crate::{Code, Error, ExitCode, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many problems of each kind are kept; the rest is counted.
pub const NAMED: usize = 20;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// One sentence.
    pub sentence: String,
    /// Its end, where that holds contents of documents: log lines leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// Where.
    pub place: Place,
    /// What it comes from, the nearest first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without causes.
    #[must_use]
    pub fn new(code: Code, sentence: impl Into<String>, place: Place) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            contents: None,
            place,
            causes: Vec::new(),
            hint: None,
        }
    }

    /// The sentence with its end.
    #[must_use]
    pub fn whole_sentence(&self) -> String {
        match &self.contents {
            Some(contents) => format!("{} {contents}", self.sentence),
            None => self.sentence.clone(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        Self {
            code: error.code(),
            sentence: error.sentence().to_owned(),
            contents: None,
            place: error.place().clone(),
            causes,
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.whole_sentence())?;
        if !self.place.is_empty() {
            write!(f, " ({})", self.place)?;
        }
        self.causes
            .iter()
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// All problems of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemKind {
    /// The kind.
    pub code: Code,
    /// How many there are.
    pub count: u64,
    /// The first [`NAMED`], in the order in which they were found.
    pub first: Vec<Problem>,
}

/// A collector; clones share what they collect.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    kinds: Arc<Mutex<BTreeMap<u16, ProblemKind>>>,
    is_closed: Arc<AtomicBool>,
}

impl Problems {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, ProblemKind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on problems are passed over: what is read again was collected the first time.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Takes a problem.
    pub fn add(&self, problem: impl Into<Problem>) {
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let problem = problem.into();
        let mut kinds = self.lock();
        let kind = kinds
            .entry(problem.code as u16)
            .or_insert_with(|| ProblemKind {
                code: problem.code,
                count: 0,
                first: Vec::new(),
            });
        kind.count += 1;
        if kind.first.len() < NAMED {
            kind.first.push(problem);
        }
    }

    /// Takes an error that tells of bad data, and gives back any other: a failed system call, an
    /// interruption, options that name nothing.
    ///
    /// # Errors
    /// Those that are no problem of the data.
    pub fn take(&self, error: Error) -> Result<()> {
        if is_problem(error.code()) {
            self.add(error);
            Ok(())
        } else {
            Err(error)
        }
    }

    /// [`Self::take`] for results; `None` where there was an error.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn catch<T>(&self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.take(error).map(|()| None),
        }
    }

    /// Takes all that another collector holds.
    pub fn absorb(&self, other: &Self) {
        for kind in other.kinds() {
            let unnamed = kind.count - kind.first.len() as u64;
            let code = kind.code;
            kind.first.into_iter().for_each(|problem| self.add(problem));
            self.count_unnamed(code, unnamed);
        }
    }

    /// Counts more problems of a kind that was found before.
    pub fn count_unnamed(&self, code: Code, count: u64) {
        if let Some(kind) = self.lock().get_mut(&(code as u16)) {
            kind.count += count;
        }
    }

    /// Problems so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().values().map(|kind| kind.count).sum()
    }

    /// All kinds, in the order of their codes.
    #[must_use]
    pub fn kinds(&self) -> Vec<ProblemKind> {
        self.lock().values().cloned().collect()
    }
}

/// True for errors that tell of bad data in a directory, so that there may be more of them.
#[must_use]
pub fn is_problem(code: Code) -> bool {
    // What is not damaged, but not to be read by this command.
    let unsupported = matches!(
        code,
        Code::NothingToMigrate
            | Code::RenameConflict
            | Code::SourceTooLarge
            | Code::NotAFile
            | Code::SnapshotVersion
            | Code::WalMemory
            | Code::SkipIndexUnknown
            | Code::VersionUnknown
            | Code::NeedsRecovery
            | Code::BackupMissing
            | Code::BackupVersion
    );
    match code.exit_code() {
        ExitCode::Different => true,
        ExitCode::Source => !unsupported,
        _ => code == Code::ReceiptDamaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_are_kept_and_all_counted() {
        let problems = Problems::default();
        for number in 0..50_u64 {
            let place = Place::offset("f", number);
            problems
                .take(Error::new(Code::BadDocument, "bad").at(place))
                .unwrap();
        }
        let cause = std::io::Error::other("why");
        problems.add(Error::new(Code::PageDamaged, "page").because(cause));
        let kinds = problems.kinds();
        assert_eq!(problems.count(), 51);
        assert_eq!((kinds[0].count, kinds[0].first.len()), (50, NAMED));
        assert_eq!(kinds[0].first[19].place.offset, Some(19));
        assert_eq!(kinds[1].first[0].to_string(), "page: why");
    }

    #[test]
    fn what_is_no_problem_of_the_data_is_given_back() {
        let problems = Problems::default();
        for code in [
            Code::Io,
            Code::Cancelled,
            Code::VersionUnknown,
            Code::Locked,
        ] {
            assert!(problems.take(Error::new(code, "no")).is_err());
        }
        assert!(
            problems
                .catch::<()>(Err(Error::new(Code::WalCorrupt, "yes")))
                .is_ok()
        );
        assert_eq!(problems.count(), 1);
    }
}
