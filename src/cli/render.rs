//! What people read: errors and the closing report.

use super::count::{collections, counted, documents, indexes};
use super::render_dry_run::{render_dry_run, render_verdict};
use super::render_validation::{render_counts, render_validation};
use crate::Error;
use crate::options::Mode;
use crate::report::{Outcome, Report, Verified, Warning};
use crate::shell::quoted_bytes;
use bytesize::ByteSize;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

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

/// What a log says at the end of a run that has told of its errors, findings and warnings already:
/// counts and the verdict. The report of a dry run is not in it, but for the verdict.
pub(super) fn render_closing(report: &Report) -> String {
    match (report.outcome, &report.validation) {
        (Outcome::Validated, Some(validation)) => render_counts(validation),
        (Outcome::DryRun, _) => render_verdict(report),
        _ => render_report(report),
    }
}

/// The report of a run as shown on stderr.
#[must_use]
pub fn render_report(report: &Report) -> String {
    let (target, format) = (report.target.display(), report.format.as_str());
    let (noun, verb) = match report.mode {
        Mode::Import => ("import", "imported"),
        _ => ("migration", "migrated"),
    };
    match report.outcome {
        Outcome::Empty => return format!("nothing to migrate: {target} is empty\n"),
        Outcome::AlreadyMigrated => {
            let line = format!("nothing to do: {target} is in format {format}\n");
            return line + &quarantine(report);
        }
        Outcome::Finished => {
            let line = format!(
                "finished the {noun} that was interrupted: {target} is in format {format}\n"
            );
            return line + &quarantine(report);
        }
        Outcome::RolledBack => return rolled_back(report),
        Outcome::NotMigrated => {
            return format!("nothing to roll back: {target} is in format 1.0\n");
        }
        Outcome::Exported => {
            return format!(
                "exported {} in {} to {target}\n{}",
                documents(report.documents()),
                collections(report.collections.len()),
                verified(report.verified)
            );
        }
        Outcome::Validated => {
            let validation = report.validation.as_ref();
            return validation.map_or_else(String::new, render_validation);
        }
        Outcome::DryRun => return render_dry_run(report),
        // An error tells of these.
        Outcome::Failed | Outcome::Interrupted => return String::new(),
        Outcome::Migrated => {}
    }
    let mut text = String::new();
    for collection in &report.collections {
        let _ = write!(
            text,
            "  {:?}: {}, {}, {}",
            collection.name,
            documents(collection.documents),
            ByteSize(collection.bytes),
            indexes(collection.indexes.len()),
        );
        for skipped in &collection.skipped_indexes {
            let _ = write!(text, ", {skipped:?} skipped");
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "{verb} {} in {} with {} to {target}",
        documents(report.documents()),
        collections(report.collections.len()),
        indexes(report.indexes()),
    );
    text.push_str(&quarantine(report));
    if let Some(originals) = &report.originals {
        let _ = writeln!(text, "the v1 files are in {}", originals.display());
    }
    if let Some(backup) = &report.backup {
        let _ = writeln!(text, "the backup is in {}", backup.display());
    }
    text.push_str(&verified(report.verified));
    text
}

/// The line that says how much is in quarantine, and where.
fn quarantine(report: &Report) -> String {
    if report.quarantined == 0 {
        return String::new();
    }
    format!(
        "in quarantine: {}, see {}\n",
        counted(
            report.quarantined,
            "record or document",
            "records and documents"
        ),
        report.target.join(crate::layout::QUARANTINE_FILE).display()
    )
}

fn rolled_back(report: &Report) -> String {
    let target = report.target.display();
    let mut text = format!("rolled back: {target} is in format 1.0 again\n");
    if let Some(kept) = &report.kept_v2 {
        let _ = writeln!(text, "the v2 files are in {}", kept.display());
    }
    text
}

/// The last line: how much was read back.
fn verified(verified: Verified) -> String {
    match verified {
        Verified::All => "everything was read back and found equal\n".to_owned(),
        Verified::Sample(rate) => format!(
            "not verified: the content of about {:.0} % of the documents (--sample {rate})\n",
            (1.0 - rate) * 100.0
        ),
        Verified::Nothing => "not verified: nothing was read back (--no-validate)\n".to_owned(),
    }
}

/// The command line of this process as a shell takes it.
pub(super) fn typed_command() -> String {
    let words = std::env::args_os().map(|word| quoted_bytes(word.as_bytes()));
    words.collect::<Vec<_>>().join(" ")
}
