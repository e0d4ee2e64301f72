//! What a run did, for people and for programs.
//!
//! [`Report`] is the data. [`contents`] is the part of it that the input alone decides, [`run`] the
//! part that varies between runs over the same input, [`json`] and [`metrics`] write both down.

pub mod contents;
pub mod forecast;
pub mod json;
pub mod metrics;
pub mod problem;
pub mod run;
mod validation;

use crate::options::Mode;
use crate::progress::Phase;
use crate::shell::quoted_path;
use crate::v1::wal::WalSummary;
use crate::validate::{Validation, Verdict};
use crate::version::FormatVersion;
use crate::{Code, Error, ExitCode, Options, Place};
pub use forecast::{Forecast, SpaceForecast};
use problem::Problem;
use run::RunReport;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The directory was migrated by this run.
    Migrated,
    /// An earlier run had been cut off while it published; this run finished that.
    Finished,
    /// The directory is v2 already.
    AlreadyMigrated,
    /// The directory is empty.
    Empty,
    /// A backup was written.
    Exported,
    /// The directory is v1 again.
    RolledBack,
    /// The directory is v1, and there is nothing to roll back.
    NotMigrated,
    /// One directory was checked, or two were compared.
    Validated,
    /// It was found out what a migration would do.
    DryRun,
    /// The run was interrupted; the same command goes on.
    Interrupted,
    /// The run failed.
    Failed,
}

impl Outcome {
    /// The name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Migrated => "migrated",
            Self::Finished => "finished",
            Self::AlreadyMigrated => "already-migrated",
            Self::Empty => "empty",
            Self::Exported => "exported",
            Self::RolledBack => "rolled-back",
            Self::NotMigrated => "not-migrated",
            Self::Validated => "validated",
            Self::DryRun => "dry-run",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// Something that the operator should know and that did not stop the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Its kind.
    pub code: Code,
    /// One sentence.
    pub sentence: String,
    /// Where.
    pub place: Place,
}

impl Warning {
    /// A warning without a place.
    #[must_use]
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            place: Place::default(),
        }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)?;
        if self.place.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.place)
        }
    }
}

/// An index as it was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexReport {
    /// Its name.
    pub name: String,
    /// Its kind, as users know it.
    pub kind: String,
    /// Entries in it; `None` where it is only described, as in a backup.
    pub entries: Option<u64>,
    /// Documents whose value cannot be indexed (arrays, documents, no time in a TTL index).
    pub unindexable: u64,
}

/// What the pages of a v1 `data.db` had of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PagesReport {
    /// Documents of the snapshot that were taken from a page, which has more of them.
    pub taken: u64,
    /// Documents that a page has just as the snapshot.
    pub equal: u64,
    /// Documents that only the snapshot has.
    pub snapshot_only: u64,
    /// Documents that pages have only otherwise: the snapshot's were taken.
    pub different: u64,
    /// Documents that several slots have alike; the highest was taken.
    pub several: u64,
    /// Live documents of its pages that the snapshot does not have.
    pub only_on_pages: u64,
    /// Of those, the ones that were taken: with `--pages recover`.
    pub recovered: u64,
    /// Of those, the ones whose `_id` the write-ahead log replaced or deleted.
    pub superseded: u64,
    /// Of those, older copies of recovered ones.
    pub older_copies: u64,
    /// Documents inside arrays that the snapshot has as `{}`.
    pub array_documents: u64,
    /// Binary values that the snapshot has as strings.
    pub binary_values: u64,
    /// Other values whose type the snapshot has lost.
    pub types: u64,
    /// Documents whose fields the snapshot has in another order.
    pub reordered: u64,
}

/// A collection as it was migrated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionReport {
    /// Its name in v2.
    pub name: String,
    /// Documents in v2.
    pub documents: u64,
    /// Sum of their BSON sizes.
    pub bytes: u64,
    /// Its indexes, `_id_` first.
    pub indexes: Vec<IndexReport>,
    /// Indexes of the snapshot that `--skip-index` left out.
    pub skipped_indexes: Vec<String>,
    /// What LauraDB's unlisted pages had of it; `None` where they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<PagesReport>,
}

/// How much this run has verified.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// Everything was read back and found equal.
    All,
    /// Structure, counts and ids of everything; content of this share of the documents.
    Sample(f64),
    /// Nothing was read back.
    Nothing,
}

impl Verified {
    /// The name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Sample(_) => "sample",
            Self::Nothing => "nothing",
        }
    }
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub mode: Mode,
    /// How it ended.
    pub outcome: Outcome,
    /// The directory that was read.
    pub source: PathBuf,
    /// Format version of the source; `None` where there is nothing, or it is not known.
    pub source_version: Option<&'static str>,
    /// Where the database is; of an export the backup, of a rollback the directory.
    pub target: PathBuf,
    /// The format that it is in.
    pub format: FormatVersion,
    /// Where the v1 files of an in-place migration are.
    pub originals: Option<PathBuf>,
    /// Where v2 files are that a rollback has kept, since they were written to.
    pub kept_v2: Option<PathBuf>,
    /// The backup that was written.
    pub backup: Option<PathBuf>,
    /// Records that are in quarantine: put there by this run, or by the earlier one that has
    /// migrated.
    pub quarantined: u64,
    /// The collections, in the order of their names.
    pub collections: Vec<CollectionReport>,
    /// What the write-ahead log held.
    pub wal: Option<WalSummary>,
    /// Documents that got a generated `_id`.
    pub generated_ids: u64,
    /// How much this run has verified.
    pub verified: Verified,
    /// What validate has found.
    pub validation: Option<Validation>,
    /// Time of each phase.
    pub phases: Vec<(Phase, Duration)>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
    /// What a dry run says of the migration that follows.
    pub forecast: Option<Forecast>,
    /// Why the run failed, or of a dry run, what would stop a migration; else empty.
    pub errors: Vec<Problem>,
    /// The exit code of a run that failed, or of the migration that a dry run stands for.
    pub(crate) failure: Option<ExitCode>,
    /// Bytes of the database files in the target.
    pub disk_used: Option<u64>,
    /// What varies between runs.
    pub run: RunReport,
}

impl Report {
    /// A report of a run that had nothing to migrate.
    #[must_use]
    pub fn nothing(outcome: Outcome, target: PathBuf) -> Self {
        Self {
            mode: Mode::Auto,
            outcome,
            source: PathBuf::new(),
            source_version: None,
            target,
            format: FormatVersion::V2_0,
            originals: None,
            kept_v2: None,
            backup: None,
            quarantined: 0,
            collections: Vec::new(),
            wal: None,
            generated_ids: 0,
            verified: Verified::Nothing,
            validation: None,
            phases: Vec::new(),
            warnings: Vec::new(),
            forecast: None,
            errors: Vec::new(),
            failure: None,
            disk_used: None,
            run: RunReport::default(),
        }
    }

    /// A report of a run that failed, or was interrupted; `run` holds its figures up to there.
    #[must_use]
    pub fn failed(
        mode: Mode,
        source: PathBuf,
        target: Option<PathBuf>,
        error: &Error,
        run: RunReport,
    ) -> Self {
        let outcome = match error.exit_code() {
            ExitCode::Interrupted => Outcome::Interrupted,
            _ => Outcome::Failed,
        };
        Self {
            mode,
            errors: vec![Problem::of_error(error)],
            failure: Some(error.exit_code()),
            source: source.clone(),
            run,
            ..Self::nothing(outcome, target.unwrap_or(source))
        }
    }

    /// Adds what the options say about a run that ended well.
    pub(crate) fn complete(&mut self, options: &Options) {
        self.mode = options.mode;
        self.source.clone_from(&options.source);
        let in_place = options.target.is_none();
        self.source_version = match (self.mode, self.outcome) {
            (Mode::Rollback, Outcome::RolledBack) => Some("2.0"),
            (Mode::Auto, Outcome::Migrated | Outcome::Finished) => Some("1.0"),
            (Mode::DryRun, Outcome::DryRun) => Some("1.0"),
            (Mode::Auto | Mode::DryRun, Outcome::AlreadyMigrated) if in_place => Some("2.0"),
            (Mode::Auto | Mode::DryRun, Outcome::AlreadyMigrated) => Some("1.0"),
            // The mode itself says what it has read.
            _ => self.source_version,
        };
    }

    /// Format version of the database that the run leaves in the target; `None` where it leaves
    /// none.
    #[must_use]
    pub fn target_version(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::Migrated | Outcome::Finished | Outcome::AlreadyMigrated => {
                Some(self.format.as_str())
            }
            Outcome::RolledBack | Outcome::NotMigrated => Some("1.0"),
            Outcome::Empty
            | Outcome::Exported
            | Outcome::Validated
            | Outcome::DryRun
            | Outcome::Interrupted
            | Outcome::Failed => None,
        }
    }

    /// How to go back to v1, if this run or an earlier one has migrated: a sentence, and a command
    /// where there is one to type.
    #[must_use]
    pub fn rollback(&self) -> Option<Rollback> {
        if self.mode != Mode::Auto || self.target_version().is_none() {
            return None;
        }
        let source = quoted_path(&self.source);
        Some(if self.target == self.source {
            Rollback {
                command: Some(format!("laura-migrate --mode rollback {source}")),
                explanation: "stop LauraDB, type the command, start LauraDB 0.9",
            }
        } else {
            Rollback {
                command: None,
                explanation: "start LauraDB 0.9 on the source, which was never touched",
            }
        })
    }

    /// The exit code of a run that ends with this report.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        let verdict = self.validation.as_ref().map(Validation::verdict);
        if let Some(Verdict::Different | Verdict::Damaged) = verdict {
            return ExitCode::Different;
        }
        // Who starts a database may begin with a migration in place each time: its first run has
        // said it.
        let was_said = self.outcome == Outcome::AlreadyMigrated && self.target == self.source;
        match (self.failure, self.quarantined) {
            (Some(code), _) => code,
            (None, 0) => ExitCode::Done,
            (None, _) if was_said => ExitCode::Done,
            (None, _) => ExitCode::Quarantine,
        }
    }

    /// Documents in all collections.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.collections
            .iter()
            .map(|collection| collection.documents)
            .sum()
    }

    /// Indexes of all collections.
    #[must_use]
    pub fn indexes(&self) -> usize {
        self.collections
            .iter()
            .map(|collection| collection.indexes.len())
            .sum()
    }

    /// Sum of the documents' BSON sizes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.collections
            .iter()
            .map(|collection| collection.bytes)
            .sum()
    }

    /// Values that no index could hold.
    #[must_use]
    pub fn unindexable(&self) -> u64 {
        let indexes = self.collections.iter().flat_map(|each| &each.indexes);
        indexes.map(|index| index.unindexable).sum()
    }
}

/// How to go back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rollback {
    /// The command to type.
    pub command: Option<String>,
    /// What to do.
    pub explanation: &'static str,
}
