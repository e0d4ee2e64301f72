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

use super::journal::{Aside, FileFacts, Journal};
use super::marker_text::LARGEST_MARKER;
use super::work::{JOURNAL, UNDO, UNDONE, WorkDir};
use crate::files::{Access, Dir, Entry, EntryKind, InputFile};
use crate::layout::{MARKER_FILE, WORK_DIR};
use crate::{Code, Error, Place, Result};

/// Runs steps 3 to 8; `verified` says that this run has just read the staged files back.
pub(super) fn roll_forward(target: &Dir, journal: &Journal, verified: bool) -> Result<()> {
    forward(target, journal, verified).map_err(|error| cut_off(target, error))?;
    WorkDir::remove(target).map_err(|error| {
        let sentence = "the migration is complete, but its work directory could not be removed";
        Error::new(Code::PublishInterrupted, sentence)
            .at(Place::file(target.path()))
            .because(error)
            .hint("run the same command again to finish")
    })
}

/// What a failure becomes once the journal is there: whatever its kind, the same command goes on.
pub(super) fn cut_off(target: &Dir, error: Error) -> Error {
    if error.code() == Code::PublishInterrupted {
        return error;
    }
    let hint = error
        .hint_text()
        .unwrap_or("run the same command again to finish")
        .to_owned();
    Error::new(Code::PublishInterrupted, "the directory is half published")
        .at(Place::file(target.path()))
        .because(error)
        .hint(hint)
}

fn forward(target: &Dir, journal: &Journal, verified: bool) -> Result<()> {
    let access = journal.access(target)?;
    if !is_final(target, journal)? {
        target.replace(MARKER_FILE, journal.publishing_marker.as_bytes(), access)?;
        make_room(target, journal, access)?;
        move_in(target, journal, verified)?;
        target.replace(MARKER_FILE, journal.final_marker.as_bytes(), access)?;
    }
    Ok(())
}

/// Whether steps 3 to 7 were all done. The marker alone does not tell: that of a database which
/// `--force` replaces may be the final one to the byte. But the staged files have left the work
/// directory durably before the marker becomes final.
pub(super) fn is_final(target: &Dir, journal: &Journal) -> Result<bool> {
    if !is_marked(target, &journal.final_marker)? {
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

pub(super) fn is_marked(target: &Dir, marker: &str) -> Result<bool> {
    let Some(file) = target.open_file_if_exists(MARKER_FILE)? else {
        return Ok(false);
    };
    Ok(file.read_all(LARGEST_MARKER)? == marker.as_bytes())
}

/// True from the journal on, or until an undone publish is gone.
pub(super) fn has_begun(target: &Dir) -> bool {
    // What cannot be read is kept.
    let there = |name| Journal::read_named(target, name).map_or(true, |journal| journal.is_some());
    there(JOURNAL) || there(UNDO)
}

/// True once readers refuse the directory, or take it for v2.
pub(super) fn marker_is_set(target: &Dir, journal: &Journal) -> Result<bool> {
    Ok(is_marked(target, &journal.publishing_marker)? || is_final(target, journal)?)
}

/// True while [`undo`] has not come to its end.
pub(super) fn is_being_undone(target: &Dir) -> Result<bool> {
    let undo = Journal::read_named(target, UNDO)?;
    Ok(undo.is_some() || Journal::read_named(target, UNDONE)?.is_some())
}

/// Takes a publish back that was cut off before its last step:
///
/// 1. The journal gets another name, durably. *From here on there is only backward, so that no
///    later run can publish what was staged from a source that has gone on since.*
/// 2. Published files move back into the work directory, then what made room moves back.
/// 3. The marker becomes the one that was there before, or is removed.
/// 4. The directories that publishing had made are removed.
/// 5. The journal gets its last name. *From here on the staged files can go: where one is missing,
///    the name in the target is the original's.* (The caller removes the work directory, with the
///    journal last.)
pub(super) fn undo(target: &Dir) -> Result<()> {
    if Journal::read_named(target, UNDONE)?.is_some() {
        return Ok(());
    }
    let journal = match Journal::read_named(target, UNDO)? {
        Some(journal) => journal,
        None => {
            let Some(journal) = Journal::read(target)? else {
                return Ok(());
            };
            if is_final(target, &journal)? {
                return Ok(());
            }
            let work = target.open_dir(WORK_DIR)?;
            work.rename(JOURNAL, &work, UNDO)?;
            work.sync()?;
            journal
        }
    };
    let work = target.open_dir(WORK_DIR)?;
    for published in &journal.published {
        // As long as it is staged and the original has not made room, the name in the target is
        // the original's, whatever its bytes.
        let is_staged = work.entry(&published.name)?.is_some();
        if !is_staged || has_made_room(target, &journal, &published.name)? {
            take_back(target, &work, published)?;
        }
    }
    work.sync()?;
    target.sync()?;
    for aside in &journal.aside {
        if target.entry(&aside.directory)?.is_none() {
            continue;
        }
        let place = target.open_dir(&aside.directory)?;
        if place.entry(&aside.name)?.is_some() {
            rename_once(&place, &aside.name, target)?;
        }
    }
    target.sync()?;
    restore_marker(target, &journal)?;
    for name in &journal.directories {
        remove_made(target, &journal, name)?;
    }
    target.sync()?;
    work.rename(UNDO, &work, UNDONE)?;
    work.sync()
}

/// Whether the name in the target is free for a published file, or holds it.
fn has_made_room(target: &Dir, journal: &Journal, name: &str) -> Result<bool> {
    let Some(aside) = journal.aside.iter().find(|aside| aside.name == name) else {
        return Ok(true);
    };
    if target.entry(&aside.directory)?.is_none() {
        return Ok(false);
    }
    let place = target.open_dir(&aside.directory)?;
    Ok(place.entry(name)?.is_some())
}

/// Moves a published file back into the work directory, if it was moved. What is still staged was
/// not, and the name in the target is another file's, unless it is the published one as well: power
/// loss may have left it under both its names.
pub(super) fn take_back(target: &Dir, work: &Dir, published: &FileFacts) -> Result<()> {
    let name = &published.name;
    let is_file = |entry: Option<Entry>| entry.is_some_and(|entry| entry.kind == EntryKind::File);
    let Some(staged) = work.open_file_if_exists(name)? else {
        return match target.entry(name)? {
            None => Ok(()),
            Some(_) => rename_once(target, name, work),
        };
    };
    if is_file(target.entry(name)?)
        && is_as(&staged, published)?
        && same_bytes(&staged, &target.open_file(name)?)?
    {
        rename_once(target, name, work)?;
    }
    Ok(())
}

fn is_as(file: &InputFile, facts: &FileFacts) -> Result<bool> {
    Ok(file.size() == facts.size && file.xxh3()? == facts.xxh3)
}

fn restore_marker(target: &Dir, journal: &Journal) -> Result<()> {
    // A cut in the middle of writing a marker leaves this.
    let temporary = format!("{MARKER_FILE}.tmp");
    if target.entry(&temporary)?.is_some() {
        target.remove_file(&temporary)?;
    }
    let before = journal.copies.iter().find(|copy| copy.name == MARKER_FILE);
    match before {
        Some(copy) => target.replace(MARKER_FILE, copy.text.as_bytes(), journal.access(target)?),
        None if target.entry(MARKER_FILE)?.is_some() => {
            target.remove_file(MARKER_FILE)?;
            target.sync()
        }
        None => Ok(()),
    }
}

/// Removes a directory that publishing had made, with the copies in it.
fn remove_made(target: &Dir, journal: &Journal, name: &str) -> Result<()> {
    if target.entry(name)?.is_none() {
        return Ok(());
    }
    let directory = target.open_dir(name)?;
    directory.sync()?;
    for copy in journal.copies.iter().filter(|copy| copy.directory == *name) {
        for name in [copy.name.clone(), format!("{}.tmp", copy.name)] {
            if directory.entry(&name)?.is_some() {
                directory.remove_file(&name)?;
            }
        }
    }
    target.remove_dir(name)
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
pub(super) fn rename_once(from: &Dir, name: &str, to: &Dir) -> Result<()> {
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

pub(super) fn check_hash(work: &Dir, target: &Dir, published: &FileFacts) -> Result<()> {
    let file = match work.open_file_if_exists(&published.name)? {
        Some(staged) => staged,
        None => target.open_file(&published.name)?,
    };
    if is_as(&file, published)? {
        return Ok(());
    }
    Err(Error::new(
        Code::VerifyFailed,
        "a staged file is not what was verified before publishing",
    )
    .at(Place::file(file.path()))
    .hint("run the same command with --restart to undo the publish and migrate anew"))
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

pub(super) fn same_bytes(a: &InputFile, b: &InputFile) -> Result<bool> {
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

/// The staged files' entries for the journal.
pub(super) fn published(work: &WorkDir, name: &str, xxh3: Option<String>) -> Result<FileFacts> {
    debug_assert_ne!(name, JOURNAL);
    let file = work.dir.open_file(name)?;
    let xxh3 = match xxh3 {
        Some(known) => known,
        None => file.xxh3()?,
    };
    Ok(FileFacts {
        name: name.to_owned(),
        size: file.size(),
        xxh3,
    })
}
