//! What a run did, for people and for programs.

use crate::options::Mode;
use crate::progress::Phase;
use crate::v1::wal::WalSummary;
use crate::{Code, ExitCode, Place};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How a run ended that did not fail.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexReport {
    /// Its name.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    pub pages: Option<PagesReport>,
}

/// How much was verified.
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

/// What a run did.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub mode: Mode,
    /// How it ended.
    pub outcome: Outcome,
    /// Where v2 is.
    pub target: PathBuf,
    /// Where the v1 files of an in-place migration are.
    pub originals: Option<PathBuf>,
    /// The backup that was written.
    pub backup: Option<PathBuf>,
    /// Records that were put into quarantine.
    pub quarantined: u64,
    /// The collections, in the order of their names.
    pub collections: Vec<CollectionReport>,
    /// What the write-ahead log held.
    pub wal: Option<WalSummary>,
    /// Documents that got a generated `_id`.
    pub generated_ids: u64,
    /// How much was verified.
    pub verified: Verified,
    /// Time of each phase.
    pub phases: Vec<(Phase, Duration)>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// A report of a run that had nothing to migrate.
    #[must_use]
    pub fn nothing(outcome: Outcome, target: PathBuf) -> Self {
        Self {
            mode: Mode::Auto,
            outcome,
            target,
            originals: None,
            backup: None,
            quarantined: 0,
            collections: Vec::new(),
            wal: None,
            generated_ids: 0,
            verified: Verified::All,
            phases: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The exit code of a run that ends with this report.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self.quarantined {
            0 => ExitCode::Done,
            _ => ExitCode::Quarantine,
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
}
