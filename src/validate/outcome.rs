//! What a validation has found.

use crate::problems::ProblemKind;
use crate::report::Warning;
use serde::Serialize;
use std::path::PathBuf;

/// Whether a v2 directory is still what a migration has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryState {
    /// The receipt is there, and every published file is to the byte what it names.
    AsPublished,
    /// The receipt is there and the log is the fresh one, but a file is another one: no database
    /// has done that.
    Altered,
    /// The receipt is there, and a database has worked on the directory since.
    WrittenTo,
    /// There is no receipt that can be read, so nothing is known of how it was published.
    Unknown,
}

/// What was found of one directory.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SideOutcome {
    /// As it was named.
    pub path: PathBuf,
    /// `v1`, `v2` or `backup`; `None` where not even that could be told.
    pub kind: Option<&'static str>,
    /// Of a v2 directory.
    pub state: Option<DirectoryState>,
    /// Collections.
    pub collections: u64,
    /// Documents in them, as far as they could be read.
    pub documents: u64,
    /// Indexes, `_id_` included.
    pub indexes: u64,
    /// What is wrong.
    pub problems: Vec<ProblemKind>,
    /// What the operator should know.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// A collection of two sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionComparison {
    /// Its name in v2.
    pub name: String,
    /// Documents in SOURCE_DIR; `None` if the collection is not there.
    pub left_documents: Option<u64>,
    /// Documents in TARGET_DIR.
    pub right_documents: Option<u64>,
    /// Documents that only SOURCE_DIR has.
    pub only_left: u64,
    /// Documents that only TARGET_DIR has.
    pub only_right: u64,
    /// Documents of the same `_id` and another content.
    pub different: u64,
    /// Indexes with the same name and definition.
    pub equal_indexes: u64,
    /// The documents were compared.
    pub is_compared: bool,
}

/// What comparing two sides has found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// In the order of their names.
    pub collections: Vec<CollectionComparison>,
    /// What differs; documents in the order of collection and `_id`.
    pub differences: Vec<ProblemKind>,
}

/// How a validation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// One directory keeps every rule of its format.
    Sound,
    /// Both do, and they are equal.
    Equal,
    /// Both keep the rules, and they differ.
    Different,
    /// Something is damaged, or a migration would refuse it.
    Damaged,
}

impl Verdict {
    /// The name in report and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Equal => "equal",
            Self::Different => "different",
            Self::Damaged => "damaged",
        }
    }
}

/// The whole result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// SOURCE_DIR.
    pub left: SideOutcome,
    /// TARGET_DIR, if one was named.
    pub right: Option<SideOutcome>,
    /// What comparing them has found.
    pub comparison: Option<Comparison>,
    /// The share of the documents whose content was compared, if not all.
    pub sample: Option<f64>,
}

impl Validation {
    /// All kinds of findings: what is wrong with either side, then what differs.
    pub fn kinds(&self) -> impl Iterator<Item = &ProblemKind> {
        let sides = std::iter::once(&self.left).chain(&self.right);
        let differences = self.comparison.iter();
        let differences = differences.flat_map(|comparison| &comparison.differences);
        sides.flat_map(|side| &side.problems).chain(differences)
    }

    /// How it ends.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let sides = std::iter::once(&self.left).chain(&self.right);
        let mut problems = sides.flat_map(|side| &side.problems);
        if problems.next().is_some() {
            return Verdict::Damaged;
        }
        match &self.comparison {
            None => Verdict::Sound,
            Some(comparison) if comparison.differences.is_empty() => Verdict::Equal,
            Some(_) => Verdict::Different,
        }
    }
}
