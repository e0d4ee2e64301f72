//! What people read: errors and the closing report.

use crate::Error;
use crate::report::{Outcome, Report, Verified, Warning};
use crate::shell::quoted;
use bytesize::ByteSize;
use std::fmt::Write as _;

/// An error as shown on stderr: code and sentence, causes, hint.
#[must_use]
pub fn render_error(error: &Error) -> String {
    let mut text = format!("error[{}]: {error}\n", error.code().id());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = writeln!(text, "  caused by: {error}");
        cause = error.source();
    }
    if let Some(hint) = error.hint_text() {
        let _ = writeln!(text, "  hint: {hint}");
    }
    text
}

/// The warnings of a run as shown on stderr, one line each.
#[must_use]
pub fn render_warnings(report: &Report) -> String {
    let line = |warning: &Warning| format!("warning[{}]: {warning}\n", warning.code.id());
    report.warnings.iter().map(line).collect()
}

/// The report of a run as shown on stderr.
#[must_use]
pub fn render_report(report: &Report) -> String {
    let target = report.target.display();
    match report.outcome {
        Outcome::Empty => return format!("nothing to migrate: {target} is empty\n"),
        Outcome::AlreadyMigrated => return format!("nothing to do: {target} is in format 2.0\n"),
        Outcome::Finished => {
            return format!(
                "finished the migration that was interrupted: {target} is in format 2.0\n"
            );
        }
        Outcome::Migrated => {}
    }
    let mut text = String::new();
    for collection in &report.collections {
        let _ = write!(
            text,
            "  {:?}: {} documents, {}, {} indexes",
            collection.name,
            collection.documents,
            ByteSize(collection.bytes),
            collection.indexes.len(),
        );
        for skipped in &collection.skipped_indexes {
            let _ = write!(text, ", {skipped:?} skipped");
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "migrated {} documents in {} collections with {} indexes to {target}",
        report.documents(),
        report.collections.len(),
        report.indexes(),
    );
    if report.quarantined > 0 {
        let _ = writeln!(
            text,
            "{} records and documents are in quarantine: {}",
            report.quarantined,
            report.target.join(crate::layout::QUARANTINE_FILE).display()
        );
    }
    if let Some(originals) = &report.originals {
        let _ = writeln!(text, "the v1 files are in {}", originals.display());
    }
    text.push_str(&match report.verified {
        Verified::All => "everything was read back and found equal\n".to_owned(),
        Verified::Sample(rate) => format!(
            "not verified: the content of about {:.0} % of the documents (--sample {rate})\n",
            (1.0 - rate) * 100.0
        ),
        Verified::Nothing => "not verified: nothing was read back (--no-validate)\n".to_owned(),
    });
    text
}

/// The command line of this process as a shell takes it.
#[must_use]
pub fn typed_command() -> String {
    let words = std::env::args_os().map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}
