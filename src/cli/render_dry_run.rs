//! What a dry run has found out, as a person reads it.

use super::count;
use crate::report::contents::Contents;
use crate::report::problem::Problem;
use crate::report::{Forecast, Report};
use bytesize::ByteSize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Everything that was found, and the verdict in the last line.
pub(super) fn render_dry_run(report: &Report) -> String {
    let mut text = String::new();
    for error in &report.errors {
        problem(&mut text, error);
    }
    collections(&mut text, report);
    log(&mut text, report);
    if let Some(forecast) = &report.forecast {
        figures(&mut text, forecast);
    }
    text + &render_verdict(report)
}

fn problem(text: &mut String, problem: &Problem) {
    let mut place = Vec::new();
    place.extend(problem.file.clone());
    place.extend(problem.offset.map(|offset| format!("byte {offset}")));
    place.extend(problem.page.map(|page| format!("page {page}")));
    place.extend(problem.lsn.map(|lsn| format!("LSN {lsn}")));
    let collection = problem.collection.as_ref();
    place.extend(collection.map(|name| format!("collection {name:?}")));
    place.extend(problem.index.as_ref().map(|name| format!("index {name:?}")));
    place.extend(problem.id.as_ref().map(|id| format!("_id {id}")));
    let _ = write!(text, "error[{}]: {}", problem.code, problem.message);
    if !place.is_empty() {
        let _ = write!(text, " ({})", place.join(", "));
    }
    text.push('\n');
    for cause in &problem.causes {
        let _ = writeln!(text, "  caused by: {cause}");
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(text, "  hint: {hint}");
    }
}

fn collections(text: &mut String, report: &Report) {
    for collection in &report.collections {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for index in &collection.indexes {
            *kinds.entry(&index.kind).or_default() += 1;
        }
        let kinds: Vec<String> = kinds
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let _ = write!(
            text,
            "  {:?}: {}, {}, {} ({})",
            collection.name,
            count::documents(collection.documents),
            ByteSize(collection.bytes),
            count::indexes(collection.indexes.len()),
            kinds.join(", "),
        );
        for skipped in &collection.skipped_indexes {
            let _ = write!(text, ", {skipped:?} skipped");
        }
        text.push('\n');
    }
}

fn log(text: &mut String, report: &Report) {
    if let Some(wal) = Contents::of(report).wal {
        let _ = writeln!(
            text,
            "  wal.log: {} operations take effect, {} of unfinished or aborted transactions do not, \
             {} are in the snapshot already",
            wal.applied, wal.dropped, wal.before_snapshot
        );
    }
}

fn figures(text: &mut String, forecast: &Forecast) {
    let sizes = [
        ("data.db", forecast.data_bytes),
        ("metadata.db", forecast.metadata_bytes),
    ];
    for (name, bytes) in sizes {
        if let Some(bytes) = bytes {
            let _ = writeln!(text, "  {name}: {bytes} bytes ({})", ByteSize(bytes));
        }
    }
    if forecast.wal_overlay_bytes > 0 {
        let bytes = ByteSize(forecast.wal_overlay_bytes);
        let _ = writeln!(text, "  memory for the overlay of wal.log: {bytes}");
    }
    for space in &forecast.space {
        let free = space.free.map_or_else(
            || "free space unknown".to_owned(),
            |free| format!("{} free", ByteSize(free)),
        );
        let _ = writeln!(
            text,
            "  space on the file system of {}: at most {} needed, {free}",
            space.path.display(),
            ByteSize(space.needed),
        );
    }
    if let Some(seconds) = forecast.seconds {
        let _ = writeln!(
            text,
            "  time: about {seconds:.0} s, as far as this run can tell"
        );
    }
}

pub(super) fn render_verdict(report: &Report) -> String {
    let exit = report.exit_code() as u8;
    let what = format!(
        "{} in {} with {}",
        count::documents(report.documents()),
        count::collections(report.collections.len()),
        count::indexes(report.indexes())
    );
    let target = report.target.display();
    if !report.errors.is_empty() {
        return format!("dry run: the migration would fail with exit code {exit}\n");
    }
    match report.quarantined {
        0 => format!("dry run: the migration would bring {what} to {target}\n"),
        bad => {
            let bad = count::counted(bad, "record or document", "records and documents");
            format!(
                "dry run: the migration would bring {what} to {target}, and put {bad} into \
             quarantine (exit code {exit})\n"
            )
        }
    }
}
