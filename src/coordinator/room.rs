//! Room for v2: which files move out of the way, found out before the first byte is written and
//! again when the journal is.

use super::directories::{Contents, Directories};
use super::journal::{Aside, Copy, Journal};
use super::marker_text::marker_text;
use super::plan::Plan;
use crate::files::{Dir, EntryKind};
use crate::layout;
use crate::version::{FormatVersion, Marker};
use crate::{Code, Error, Place, Result};
use std::ffi::OsStr;

/// The beginning of the journal: what makes room for v2.
pub(super) fn plan(directories: &Directories, plan: &Plan) -> Result<Journal> {
    let target = directories.target();
    let instant = plan.instant();
    let previous = plan.previous_version().as_str();
    let published = Marker::migrated(FormatVersion::V2_0, previous, &instant.to_string());
    let mut journal = Journal::new(
        Marker::publishing().encode(),
        published.encode(),
        plan.access,
    );
    if directories.in_place() {
        journal.directories.push(layout::V1_DIR.to_owned());
        journal.aside = plan_aside(target, &plan.v1_files, layout::V1_DIR)?;
        journal
            .copies
            .extend(plan.v1_marker.as_ref().map(|text| Copy {
                directory: layout::V1_DIR.to_owned(),
                name: layout::MARKER_FILE.to_owned(),
                text: text.clone(),
            }));
    } else {
        plan_replaced(target, plan, &mut journal)?;
    }
    Ok(journal)
}

/// With `--force`, LauraDB files in the target move aside.
fn plan_replaced(target: &Dir, plan: &Plan, journal: &mut Journal) -> Result<()> {
    let contents = Contents::of(target)?;
    let mut names = Vec::new();
    for entry in &contents.laura_files {
        names.push(utf8_name(target, &entry.name)?);
    }
    if names.is_empty() {
        return Ok(());
    }
    let directory = free_name(target, layout::REPLACED_DIR_PREFIX, plan.instant())?;
    if let Some(at) = names.iter().position(|name| name == layout::MARKER_FILE) {
        // The marker of publishing takes its name, so it is copied, not moved.
        let text = marker_text(target, in_the_way)?.unwrap_or_default();
        let name = names.swap_remove(at);
        journal.copies.push(Copy {
            directory: directory.clone(),
            name,
            text,
        });
    }
    journal.aside = plan_aside(target, &names, &directory)?;
    journal.directories.push(directory);
    Ok(())
}

/// The name of a file that makes room, as the journal can hold it.
pub(super) fn utf8_name(dir: &Dir, name: &OsStr) -> Result<String> {
    let refused = || in_the_way("the file's name is not UTF-8").at(Place::file(dir.join(name)));
    name.to_str().map(str::to_owned).ok_or_else(refused)
}

fn in_the_way(sentence: &str) -> Error {
    Error::new(Code::InTheWayFile, sentence)
        .hint("move the file away or rename it, then run the same command again")
}

/// What has to make room for v2 in `target`, checked before the first byte is written: regular
/// files on the directory's own device.
fn plan_aside(target: &Dir, names: &[String], directory: &str) -> Result<Vec<Aside>> {
    let device = target.metadata()?.device;
    let mut aside = Vec::new();
    for name in names {
        let Some(entry) = target.entry(name)? else {
            continue;
        };
        let sentence = if entry.kind != EntryKind::File {
            "a symlink or special file stands where a data file is expected"
        } else if entry.device != device {
            "a data file is a mount point of its own and cannot be renamed"
        } else {
            aside.push(Aside {
                name: name.clone(),
                directory: directory.to_owned(),
                size: entry.size,
            });
            continue;
        };
        return Err(Error::new(Code::NotAFile, sentence)
            .at(Place::file(target.join(name)))
            .hint("migrate into another directory by naming a TARGET_DIR"));
    }
    Ok(aside)
}

/// A name for a directory that files move to: of this second, or of the next one that is free.
pub(super) fn free_name(target: &Dir, prefix: &str, instant: jiff::Timestamp) -> Result<String> {
    for second in 0.. {
        let Ok(instant) = instant.checked_add(jiff::SignedDuration::from_secs(second)) else {
            break;
        };
        let stamp = instant.strftime("%Y%m%d-%H%M%S");
        let name = format!("{prefix}{stamp}");
        if target.entry(&name)?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::new(
        Code::InTheWayFile,
        "no name is free for the files that --force keeps",
    )
    .at(Place::file(target.path())))
}
