//! What validate has found, as the report holds it.

use super::problem::Problem;
use crate::problems::ProblemKind;
use crate::validate::{
    CollectionComparison, Comparison, DirectoryState, SideOutcome, Validation, Verdict,
};
use serde::Serialize;

/// Everything that was found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValidationReport {
    verdict: Verdict,
    /// All findings of all kinds, in the directories and between them.
    findings: u64,
    /// The share of the documents whose content was compared.
    rate: f64,
    source: Side,
    target: Option<Side>,
    comparison: Option<Compared>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    path: String,
    kind: Option<&'static str>,
    state: Option<DirectoryState>,
    as_published: Option<bool>,
    collections: u64,
    documents: u64,
    indexes: u64,
    findings: Vec<Findings>,
}

/// All findings of one code.
#[derive(Serialize)]
struct Findings {
    code: String,
    count: u64,
    first: Vec<Problem>,
}

#[derive(Serialize)]
struct Compared {
    collections: Vec<CollectionComparison>,
    differences: Vec<Findings>,
}

impl ValidationReport {
    pub(super) fn of(validation: &Validation) -> Self {
        Self {
            verdict: validation.verdict(),
            findings: validation.kinds().map(|kind| kind.count).sum(),
            rate: validation.sample.unwrap_or(1.0),
            source: Side::of(&validation.left),
            target: validation.right.as_ref().map(Side::of),
            comparison: validation.comparison.as_ref().map(Compared::of),
        }
    }
}

impl Side {
    fn of(side: &SideOutcome) -> Self {
        Self {
            path: side.path.to_string_lossy().into_owned(),
            kind: side.kind,
            state: side.state,
            as_published: match side.state {
                Some(DirectoryState::AsPublished) => Some(true),
                Some(DirectoryState::Altered | DirectoryState::WrittenTo) => Some(false),
                Some(DirectoryState::Unknown) | None => None,
            },
            collections: side.collections,
            documents: side.documents,
            indexes: side.indexes,
            findings: side.problems.iter().map(Findings::of).collect(),
        }
    }
}

impl Findings {
    fn of(kind: &ProblemKind) -> Self {
        Self {
            code: kind.code.id(),
            count: kind.count,
            first: kind.first.iter().map(Problem::of_found).collect(),
        }
    }
}

impl Compared {
    fn of(comparison: &Comparison) -> Self {
        Self {
            collections: comparison.collections.clone(),
            differences: comparison.differences.iter().map(Findings::of).collect(),
        }
    }
}
