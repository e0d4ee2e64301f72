//! The result of a validation as shown on stderr: one line per finding, then counts and a verdict.

use super::count;
use crate::problems::{Problem, ProblemKind};
use crate::validate::{Comparison, DirectoryState, SideOutcome, Validation, Verdict};
use std::fmt::Write as _;

/// Everything that was found, counts and the verdict.
pub(super) fn render_validation(validation: &Validation) -> String {
    let mut text = String::new();
    let sides = std::iter::once(&validation.left).chain(&validation.right);
    for side in sides {
        problems(
            &mut text,
            &side.problems,
            &format!(" in {}", side.path.display()),
        );
    }
    if let Some(comparison) = &validation.comparison {
        problems(&mut text, &comparison.differences, "");
    }
    text + &render_counts(validation)
}

/// Counts, the verdict, and in the last line what was not compared, if anything.
pub(super) fn render_counts(validation: &Validation) -> String {
    let mut text = String::new();
    if let Some(comparison) = &validation.comparison {
        collections(&mut text, comparison);
    }
    for side in std::iter::once(&validation.left).chain(&validation.right) {
        describe(&mut text, side);
    }
    text.push_str(&verdict(validation));
    if let Some(rate) = validation.sample {
        let _ = writeln!(
            text,
            "not compared: the content of about {:.0} % of the documents (--sample {rate})",
            (1.0 - rate) * 100.0
        );
    }
    text
}

fn problems(text: &mut String, kinds: &[ProblemKind], of: &str) {
    for kind in kinds {
        let id = kind.code.id();
        for problem in &kind.first {
            line(text, &id, problem);
        }
        let more = kind.count - kind.first.len() as u64;
        if more > 0 {
            let _ = writeln!(
                text,
                "found[{id}]: and {more} more{of}: {}",
                kind.code.title()
            );
        }
    }
}

fn line(text: &mut String, id: &str, problem: &Problem) {
    let _ = writeln!(text, "found[{id}]: {problem}");
}

/// Counts of the collections that differ.
fn collections(text: &mut String, comparison: &Comparison) {
    for collection in &comparison.collections {
        let counts = [
            (collection.only_left, "only in the first"),
            (collection.only_right, "only in the second"),
            (collection.different, "different"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !counts.is_empty() {
            let _ = writeln!(
                text,
                "  {:?}: {} and {} documents, {}",
                collection.name,
                collection.left_documents.unwrap_or_default(),
                collection.right_documents.unwrap_or_default(),
                counts.join(", ")
            );
        }
    }
}

fn describe(text: &mut String, side: &SideOutcome) {
    let _ = write!(
        text,
        "{}: {}, {} in {}, {}",
        side.path.display(),
        side.kind.unwrap_or("of no known format"),
        count::documents(side.documents),
        count::collections(side.collections),
        count::indexes(side.indexes),
    );
    text.push_str(match side.state {
        Some(DirectoryState::AsPublished) => ", still exactly as published\n",
        Some(DirectoryState::Altered) => ", not as published\n",
        Some(DirectoryState::WrittenTo) => ", written to since it was published\n",
        Some(DirectoryState::Unknown) => ", without a receipt of what was published\n",
        None => "\n",
    });
}

fn verdict(validation: &Validation) -> String {
    let left = validation.left.path.display();
    let right = validation.right.as_ref().map(|right| right.path.display());
    let count = |kinds: &[ProblemKind]| kinds.iter().map(|kind| kind.count).sum::<u64>();
    let damage = |side: &SideOutcome| count(&side.problems);
    let found = damage(&validation.left) + validation.right.as_ref().map_or(0, damage);
    let comparison = validation.comparison.as_ref();
    let differences = comparison.map_or(0, |comparison| count(&comparison.differences));
    let found = count::counted(found, "problem", "problems");
    let differences = count::counted(differences, "difference", "differences");
    match (validation.verdict(), right) {
        (Verdict::Sound, _) => format!("{left} keeps every rule of its format\n"),
        (Verdict::Equal, Some(right)) => {
            let indexes: u64 = comparison.map_or(0, |comparison| {
                let collections = comparison.collections.iter();
                collections.map(|collection| collection.equal_indexes).sum()
            });
            format!(
                "{left} and {right} are equal: {} in {}, {}\n",
                count::documents(validation.left.documents),
                count::collections(validation.left.collections),
                count::indexes(indexes)
            )
        }
        (Verdict::Different, Some(right)) => {
            format!("{left} and {right} differ: {differences}\n")
        }
        (_, None) => format!("{left} is damaged: {found}\n"),
        (_, Some(right)) => {
            format!("{left} or {right} is damaged: {found}, {differences}\n")
        }
    }
}
