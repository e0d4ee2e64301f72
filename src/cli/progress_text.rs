//! What a line of progress says: on a terminal as wide as that is, elsewhere in full.

use super::count::{counted, short};
use crate::progress::MigrationProgress;
use bytesize::ByteSize;
use indicatif::HumanDuration;
use std::fmt::Write as _;
use std::time::Duration;

/// Columns of the bar between its brackets.
const BAR: usize = 10;

/// Something to say, and how soon it gives way where the line is too short: 0 never does.
type Part = (u8, String);

/// A line of at most `width` columns with a bar, for a phase that runs.
pub(super) fn running(progress: &MigrationProgress, width: usize) -> String {
    let mut parts = Vec::new();
    if progress.indexes_total > 0 {
        let (done, total) = (short(progress.bytes_done), short(progress.bytes_total));
        parts.push((0, format!("{done:>4}/{total} entries")));
        let (done, total) = (progress.indexes_done, progress.indexes_total);
        parts.push((2, format!("{done}/{total} indexes")));
        parts.extend(progress.rate.map(|rate| (3, format!("{}/s", short(rate)))));
    } else if progress.bytes_total > 0 {
        parts.push((0, share(progress.bytes_done, progress.bytes_total)));
        if progress.documents_done > 0 {
            let documents = short(progress.documents_done);
            parts.push((3, format!("{documents:>4} docs")));
        }
        let rate = progress.rate;
        parts.extend(rate.map(|rate| (2, format!("{}/s", whole_size(rate)))));
    }
    let left = progress.phase_left;
    parts.extend(left.map(|left| (1, format!("{} left", rough(left)))));
    let percent = percent(progress);
    fitted(head(progress, percent), parts, width)
}

/// The line that stays when a phase is over; `is_done` says that it was not cut short.
pub(super) fn ended(progress: &MigrationProgress, is_done: bool, width: usize) -> String {
    if !is_done {
        return running(progress, width);
    }
    let mut parts = vec![(0, seconds(progress.phase_elapsed))];
    parts.extend(handled(progress));
    fitted(head(progress, Some(100)), parts, width)
}

/// One line without a terminal: phase, share, what was handled, rate, and time left.
pub(super) fn describe(progress: &MigrationProgress) -> String {
    let mut parts = Vec::new();
    if let Some(share) = percent(progress) {
        parts.push(format!("{share} %"));
    }
    let (done, total) = (progress.bytes_done, progress.bytes_total);
    if progress.indexes_total > 0 {
        parts.push(format!("{done} of {total} entries"));
        let (done, total) = (progress.indexes_done, progress.indexes_total);
        parts.push(format!("{done} of {total} indexes"));
        parts.extend(progress.rate.map(|rate| format!("{rate}/s")));
    } else if total > 0 {
        parts.push(format!("{} of {}", ByteSize(done), ByteSize(total)));
        parts.extend(progress.rate.map(|rate| format!("{}/s", ByteSize(rate))));
        match (progress.documents_done, progress.documents_total) {
            (0, 0) => {}
            (done, 0) => parts.push(counted(done, "document", "documents")),
            (done, total) => parts.push(format!("{done} of {total} documents")),
        }
    }
    if let Some(left) = progress.phase_left {
        parts.push(format!("{} left", HumanDuration(left)));
    }
    if progress.errors > 0 {
        parts.push(counted(progress.errors, "warning", "warnings"));
    }
    match parts.is_empty() {
        true => format!("{}: under way", label(progress)),
        false => format!("{}: {}", label(progress), parts.join(", ")),
    }
}

/// One line without a terminal, for a phase that is done.
pub(super) fn describe_end(progress: &MigrationProgress) -> String {
    let mut text = format!(
        "{}: done in {}",
        label(progress),
        seconds(progress.phase_elapsed)
    );
    for (_, part) in handled(progress) {
        let _ = write!(text, ", {part}");
    }
    text
}

/// What a phase has done in all.
fn handled(progress: &MigrationProgress) -> Vec<Part> {
    let mut parts = Vec::new();
    let done = progress.bytes_done;
    if progress.indexes_total > 0 {
        parts.push((1, counted(done, "entry", "entries")));
        let indexes = counted(progress.indexes_done, "index", "indexes");
        parts.push((2, indexes));
        parts.extend(progress.rate.map(|rate| (3, format!("{}/s", short(rate)))));
    } else if done > 0 {
        parts.push((1, ByteSize(done).to_string()));
        if progress.documents_done > 0 {
            let documents = counted(progress.documents_done, "document", "documents");
            parts.push((2, documents));
        }
        let rate = progress.rate;
        parts.extend(rate.map(|rate| (3, format!("{}/s", ByteSize(rate)))));
    }
    parts
}

fn label(progress: &MigrationProgress) -> &'static str {
    progress.step.unwrap_or(progress.phase.name())
}

fn percent(progress: &MigrationProgress) -> Option<u64> {
    let done = progress.bytes_done.min(progress.bytes_total);
    let percent = (u128::from(done) * 100).checked_div(u128::from(progress.bytes_total))?;
    u64::try_from(percent).ok()
}

/// Label, bar and share. A phase whose end is not known has neither bar nor share.
fn head(progress: &MigrationProgress, percent: Option<u64>) -> String {
    let label = label(progress);
    let Some(percent) = percent else {
        return format!("{label:>11} [{:BAR$}]    ", "");
    };
    let filled = usize::try_from(percent).map_or(BAR, |percent| percent * BAR / 100);
    let mut bar = "=".repeat(filled.min(BAR));
    if filled < BAR {
        bar.push('>');
    }
    format!("{label:>11} [{bar:BAR$}] {percent:>3} %")
}

/// As many parts as fit, in their order; those that give way soonest go first.
fn fitted(head: String, mut parts: Vec<Part>, width: usize) -> String {
    let length = |parts: &[Part]| {
        let texts = parts.iter().map(|(_, text)| text.len() + 2);
        head.len() + texts.sum::<usize>()
    };
    while length(&parts) > width {
        let Some(weakest) = parts.iter().map(|(weight, _)| *weight).max() else {
            break;
        };
        parts.retain(|(weight, _)| *weight != weakest);
    }
    let texts: Vec<_> = parts.into_iter().map(|(_, text)| text).collect();
    let mut line = head;
    if !texts.is_empty() {
        line = format!("{line}  {}", texts.join(", "));
    }
    line.chars().take(width).collect()
}

/// `9.0/95.8 MiB`, with room for the first number to grow.
fn share(done: u64, total: u64) -> String {
    let total = ByteSize(total).to_string();
    let (number, unit) = total.split_once(' ').unwrap_or((&total, ""));
    let size: u64 = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return format!("{done}/{total}"),
    };
    #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
    let done = done as f64 / size as f64;
    format!("{done:>width$.1}/{total}", width = number.len())
}

/// A size in its unit without a fraction: `24 MiB`.
fn whole_size(bytes: u64) -> String {
    let size = ByteSize(bytes).to_string();
    match (size.split_once('.'), size.split_once(' ')) {
        (Some((whole, _)), Some((_, unit))) if whole.len() > 1 => format!("{whole} {unit}"),
        _ => size,
    }
}

/// Time that is left, to two units at most.
fn rough(left: Duration) -> String {
    let seconds = left.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, 10..) => format!("{minutes} min"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        (_, _) => format!("{hours} h {} min", minutes % 60),
    }
}

/// Time that has passed.
fn seconds(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        _ => rough(elapsed),
    }
}

#[cfg(test)]
#[path = "progress_text_tests.rs"]
mod tests;
