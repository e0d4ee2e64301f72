//! Publishing: staged files take their places, all or none.
//!
//! What decides the state at each instant is on disk:
//!
//! 1. The staged files and the work directory are durable. *Until here nothing outside the work
//!    directory was touched; a failure removes it.*
//! 2. The journal is written, by temporary file, fsync, rename, fsync of the directory. *From here
//!    on the same command (or any) finishes the publish: there is only forward.*
//! 3. The marker becomes `2.0-publishing`, likewise; every reader refuses the directory now.
//! 4. The directories for what makes room are made, and the v1 marker is written into its own.
//! 5. What makes room is renamed. New places are made durable before the old ones.
//! 6. The staged files are renamed into place, checked against their hash first where this is not
//!    the run that has just verified them. Again new places before old ones.
//! 7. The marker becomes the final one. *From here on the directory is v2.*
//! 8. The work directory is removed, its journal last.
//!
//! Each step finds out by itself whether it was done before, so that the whole sequence can be run
//! again from the start after being cut anywhere. A rename that power loss left under both names
//! is told by equal bytes. Guarantee: after any cut the directory is the untouched source, or is
//! refused by every reader until the sequence has been run to its end, or is complete.

use super::journal::{Aside, Journal, Published};
use super::work::{JOURNAL, WorkDir};
use crate::files::{Access, Dir, EntryKind, InputFile};
use crate::layout::{MARKER_FILE, WORK_DIR};
use crate::{Code, Error, ExitCode, Place, Result};

/// Runs steps 3 to 8; `verified` says that this run has just read the staged files back.
pub(super) fn roll_forward(target: &Dir, journal: &Journal, verified: bool) -> Result<()> {
    forward(target, journal, verified).map_err(cut_off)
}

/// What a failure becomes once the journal is there: whatever its kind, the same command goes on.
pub(super) fn cut_off(error: Error) -> Error {
    let hint = "the directory is half published; run the same command again to finish";
    let hint = error.hint_text().unwrap_or(hint).to_owned();
    if error.exit_code() == ExitCode::Interrupted {
        return error.hint(hint);
    }
    Error::new(Code::Publishing, "publishing was cut off")
        .at(error.place().clone())
        .hint(hint)
        .because(error)
}

fn forward(target: &Dir, journal: &Journal, verified: bool) -> Result<()> {
    let access = Access {
        mode: journal.mode,
        owner: Some(target.metadata()?.owner),
    };
    if !is_final(target, journal)? {
        target.replace(MARKER_FILE, journal.publishing_marker.as_bytes(), access)?;
        make_room(target, journal, access)?;
        move_in(target, journal, verified)?;
        target.replace(MARKER_FILE, journal.final_marker.as_bytes(), access)?;
    }
    WorkDir::remove(target).or_else(|error| match Journal::read(target) {
        // The directory is complete, and nothing is left that says otherwise.
        Ok(None) => {
            tracing::warn!("the work directory could not be removed for good: {error}");
            Ok(())
        }
        _ => Err(error),
    })
}

/// Whether steps 3 to 7 were all done. The marker alone does not tell: that of a database which
/// `--force` replaces may be the final one to the byte. But the staged files have left the work
/// directory durably before the marker becomes final.
fn is_final(target: &Dir, journal: &Journal) -> Result<bool> {
    let marker = target
        .open_file_if_exists(MARKER_FILE)?
        .map(|file| file.read_all(1 << 20))
        .transpose()?;
    if marker.as_deref() != Some(journal.final_marker.as_bytes()) {
        return Ok(false);
    }
    let work = target.open_dir(WORK_DIR)?;
    for published in &journal.published {
        if work.entry(&published.name)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn make_room(target: &Dir, journal: &Journal, access: Access) -> Result<()> {
    for name in &journal.directories {
        if target.entry(name)?.is_none() {
            target.make_dir(name, access)?;
        }
    }
    target.sync()?;
    for copy in &journal.copies {
        target
            .open_dir(&copy.directory)?
            .replace(&copy.name, copy.text.as_bytes(), access)?;
    }
    for aside in &journal.aside {
        set_aside(target, journal, aside)?;
    }
    for name in &journal.directories {
        target.open_dir(name)?.sync()?;
    }
    target.sync()
}

fn move_in(target: &Dir, journal: &Journal, verified: bool) -> Result<()> {
    let work = target.open_dir(WORK_DIR)?;
    for published in &journal.published {
        if !verified {
            check_hash(&work, target, published)?;
        }
        rename_once(&work, &published.name, target)?;
    }
    target.sync()?;
    work.sync()
}

/// Moves what makes room for v2 out of the way, unless an earlier run did: then the name in the
/// target is free, or holds the published file of the same name already.
fn set_aside(target: &Dir, journal: &Journal, aside: &Aside) -> Result<()> {
    let name = &aside.name;
    let place = target.open_dir(&aside.directory)?;
    let is_published = journal
        .published
        .iter()
        .any(|published| published.name == *name);
    if is_published && place.entry(name)?.is_some() && target.entry(name)?.is_some() {
        let Some(staged) = target.open_dir(WORK_DIR)?.open_file_if_exists(name)? else {
            return Ok(());
        };
        // Both renames may have left the file under both its names.
        let there = target.open_file(name)?;
        if same_bytes(&there, &staged)? && !same_bytes(&there, &place.open_file(name)?)? {
            return Ok(());
        }
    }
    rename_once(target, name, &place)
}

/// Renames `name` from one directory to another unless an earlier run did.
fn rename_once(from: &Dir, name: &str, to: &Dir) -> Result<()> {
    match (from.entry(name)?, to.entry(name)?) {
        (Some(_), None) => from.rename(name, to, name),
        (None, Some(_)) => Ok(()),
        (Some(_), Some(_)) if same_bytes(&from.open_file(name)?, &to.open_file(name)?)? => {
            to.sync()?;
            from.remove_file(name)
        }
        (Some(_), Some(_)) => Err(Error::new(
            Code::InTheWayFile,
            "a file stands where publishing would put another one",
        )
        .at(Place::file(to.join(name)))
        .hint("move it away, then run the same command again")),
        (None, None) => Err(Error::new(
            Code::JournalDamaged,
            "a file that publishing would move is missing under both names",
        )
        .at(Place::file(from.join(name)))),
    }
}

fn check_hash(work: &Dir, target: &Dir, published: &Published) -> Result<()> {
    let file = match work.open_file_if_exists(&published.name)? {
        Some(staged) => staged,
        None => target.open_file(&published.name)?,
    };
    let found = file_hash(&file)?;
    if file.size() == published.size && found == published.xxh3 {
        return Ok(());
    }
    Err(Error::new(
        Code::VerifyFailed,
        "a staged file is not what was verified before publishing",
    )
    .at(Place::file(file.path()))
    .hint("run the same command with --restart to undo the publish and migrate anew"))
}

/// XXH3-128 of a file, as 32 hex digits.
pub(super) fn file_hash(file: &InputFile) -> Result<String> {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for_each_block(file, |block| {
        hasher.update(block);
        Ok(())
    })?;
    Ok(format!("{:032x}", hasher.digest128()))
}

fn for_each_block(file: &InputFile, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        let filled = file.read_at(&mut buffer, offset)?;
        if filled == 0 {
            return Ok(());
        }
        visit(buffer.get(..filled).unwrap_or_default())?;
        offset += filled as u64;
    }
}

fn same_bytes(a: &InputFile, b: &InputFile) -> Result<bool> {
    if a.size() != b.size() {
        return Ok(false);
    }
    let mut offset = 0;
    let mut other = vec![0; 1 << 20];
    let mut same = true;
    for_each_block(a, |block| {
        let filled = b.read_at(&mut other, offset)?;
        same &= other.get(..filled).unwrap_or_default().starts_with(block);
        offset += block.len() as u64;
        Ok(())
    })?;
    Ok(same)
}

/// What has to make room for v2 in `target`, checked before the first byte is written: regular
/// files on the directory's own device.
pub(super) fn plan_aside(target: &Dir, names: &[String], directory: &str) -> Result<Vec<Aside>> {
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

/// The staged files' entries for the journal.
pub(super) fn published(work: &WorkDir, name: &str, xxh3: Option<String>) -> Result<Published> {
    debug_assert_ne!(name, JOURNAL);
    let file = work.dir.open_file(name)?;
    let xxh3 = match xxh3 {
        Some(known) => known,
        None => file_hash(&file)?,
    };
    Ok(Published {
        name: name.to_owned(),
        size: file.size(),
        xxh3,
    })
}
