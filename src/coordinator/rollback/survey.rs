//! What a rollback finds, before it changes anything: whether the v1 files are all there as they
//! were, whether v2 was written to since it was published, and whether anything is in the way.

use super::journal::{Kept, RollbackJournal};
use super::never_touched;
use crate::coordinator::context::Context;
use crate::coordinator::journal::{FileFacts, is_plain};
use crate::coordinator::marker_text::marker_text;
use crate::coordinator::receipt::Receipt;
use crate::coordinator::{check, open_files, room};
use crate::files::{Access, Dir, EntryKind, InputFile};
use crate::layout::{
    DATA_FILE, MARKER_FILE, METADATA_FILE, QUARANTINE_FILE, RECEIPT_FILE, V1_DIR, V2_DIR_PREFIX,
    WAL_FILE, is_laura_file,
};
use crate::progress::{Phase, Totals};
use crate::{Code, Error, Place, Result};
use std::ffi::OsStr;

/// Bytes that are hashed at once.
const BLOCK: usize = 1 << 20;

/// Finds out what a rollback of `dir` has to do.
///
/// # Errors
/// All reasons not to: see the module.
pub(super) fn survey(context: &mut Context<'_, '_>, dir: &Dir) -> Result<RollbackJournal> {
    let force = context.options.force;
    let receipt = match Receipt::read(dir) {
        Err(error) if force && error.code() == Code::ReceiptDamaged => None,
        read => read?,
    };
    if receipt.as_ref().is_some_and(|receipt| !receipt.in_place) {
        return Err(never_touched()
            .at(Place::file(dir.path()))
            .hint("start LauraDB 0.9 on the directory that was migrated from"));
    }
    let v1 = open_originals(dir, receipt.is_some())?;
    if receipt.is_none() && !force {
        return Err(refused("there is no receipt that says what was published")
            .at(Place::file(dir.join(RECEIPT_FILE))));
    }
    let originals = originals(dir, &v1, receipt.as_ref())?;
    let files = v2_files(dir, receipt.as_ref())?;
    refuse_writers(&originals, &files)?;
    let hashed: Vec<&FileFacts> = receipt
        .iter()
        .flat_map(|receipt| &receipt.sources)
        .collect();
    start(context, &originals, &files);
    check_originals(context, &originals, &hashed)?;
    let change = match &receipt {
        Some(receipt) => first_change(context, &files, receipt)?,
        None => Some(Place::file(dir.path())),
    };
    if let (Some(place), false) = (&change, force) {
        return Err(refused("v2 was written to since it was published").at(place.clone()));
    }
    let names: Vec<String> = originals.iter().map(|(name, _)| name.clone()).collect();
    let v2_names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    refuse_others(dir, &names, &v2_names)?;
    let mut journal = RollbackJournal::new(names, v2_names, access(dir)?);
    journal.v1_marker = marker_text(&v1, changed)?;
    journal.v1_files.retain(|name| name != MARKER_FILE);
    if change.is_some() {
        journal.kept = Some(Kept {
            directory: room::free_name(dir, V2_DIR_PREFIX, check::instant(context.options))?,
            marker: marker_text(dir, changed)?.unwrap_or_default(),
        });
    }
    Ok(journal)
}

fn refused(sentence: &str) -> Error {
    Error::new(Code::RollbackRefused, sentence).hint(
        "add --force to roll back all the same: the v2 files are kept in .lauradb-v2-<UTC>/ then, \
         and what is only in them is not in v1",
    )
}

/// `.lauradb-v1/`.
fn open_originals(dir: &Dir, has_receipt: bool) -> Result<Dir> {
    if dir.entry(V1_DIR)?.is_some() {
        return dir.open_dir(V1_DIR);
    }
    if has_receipt {
        return Err(changed("the v1 files are no longer there").at(Place::file(dir.join(V1_DIR))));
    }
    Err(Error::new(
        Code::Usage,
        "the directory was not migrated in place: there is nothing to go back to",
    )
    .at(Place::file(dir.path()))
    .hint("name the directory that an in-place migration was run on"))
}

fn changed(sentence: &str) -> Error {
    Error::new(Code::OriginalsChanged, sentence)
        .hint("put the files back as the migration has left them, or go back to a backup")
}

/// The v1 files, all regular and on the directory's own device.
fn originals(dir: &Dir, v1: &Dir, receipt: Option<&Receipt>) -> Result<Vec<(String, InputFile)>> {
    let device = dir.metadata()?.device;
    let listed = receipt.map_or(&[][..], |receipt| &receipt.originals);
    let mut found = Vec::new();
    for entry in v1.entries()? {
        let place = || Place::file(v1.join(&entry.name));
        let name = entry.name.to_str().filter(|name| {
            let is_known = listed.is_empty() || listed.iter().any(|known| known == name);
            is_known && is_plain(name)
        });
        let Some(name) = name else {
            return Err(Error::new(
                Code::InTheWayFile,
                "a file lies among the v1 files that the migration has not put there",
            )
            .at(place())
            .hint("move it away, then run the same command again"));
        };
        if entry.kind != EntryKind::File || entry.device != device {
            return Err(Error::new(
                Code::NotAFile,
                "a v1 file is no regular file on the directory's own device",
            )
            .at(place())
            .hint("put the file itself there"));
        }
        found.push((name.to_owned(), v1.open_file(name)?));
    }
    let is_missing = |name: &&String| !found.iter().any(|(there, _)| there == *name);
    match listed.iter().find(is_missing) {
        None => Ok(found),
        Some(name) => Err(changed("a v1 file is missing").at(Place::file(v1.join(name)))),
    }
}

/// What was published and is still there; without a receipt, what may have been.
fn v2_files(dir: &Dir, receipt: Option<&Receipt>) -> Result<Vec<(String, InputFile)>> {
    let usual = [DATA_FILE, METADATA_FILE, WAL_FILE, QUARANTINE_FILE].map(str::to_owned);
    let published = receipt.map(|receipt| receipt.published.iter().map(|file| file.name.clone()));
    let mut names: Vec<String> = match published {
        // What a receipt names beyond those was not published.
        Some(published) => published
            .filter(|name| is_plain(name) && is_laura_file(OsStr::new(name)))
            .collect(),
        None => usual.into(),
    };
    names.push(RECEIPT_FILE.to_owned());
    names.sort();
    names.dedup();
    let device = dir.metadata()?.device;
    let mut found = Vec::new();
    for name in names {
        let Some(entry) = dir.entry(&name)? else {
            continue;
        };
        if entry.device != device {
            return Err(Error::new(
                Code::NotAFile,
                "a data file is a mount point of its own and cannot be renamed",
            )
            .at(Place::file(dir.join(&name)))
            .hint("unmount it"));
        }
        let file = dir.open_file(&name)?;
        found.push((name, file));
    }
    Ok(found)
}

fn refuse_writers(a: &[(String, InputFile)], b: &[(String, InputFile)]) -> Result<()> {
    let files: Vec<&InputFile> = a.iter().chain(b).map(|(_, file)| file).collect();
    open_files::refuse_writers(&files).map(drop)
}

fn start(context: &mut Context<'_, '_>, a: &[(String, InputFile)], b: &[(String, InputFile)]) {
    let totals = Totals {
        bytes: a.iter().chain(b).map(|(_, file)| file.size()).sum(),
        ..Totals::default()
    };
    let tracker = &mut context.tracker;
    tracker.start_phase(Phase::Check, totals, Totals::default());
}

/// Those that the migration has read are as they were then.
fn check_originals(
    context: &mut Context<'_, '_>,
    originals: &[(String, InputFile)],
    known: &[&FileFacts],
) -> Result<()> {
    for (name, file) in originals {
        let facts = known.iter().find(|facts| facts.name == *name);
        if let Some(facts) = facts
            && !is_as(context, file, facts)?
        {
            return Err(
                changed("a v1 file is no longer what was migrated").at(Place::file(file.path()))
            );
        }
    }
    Ok(())
}

/// The first published file that is gone or is no longer what was published.
fn first_change(
    context: &mut Context<'_, '_>,
    files: &[(String, InputFile)],
    receipt: &Receipt,
) -> Result<Option<Place>> {
    for facts in &receipt.published {
        let found = files.iter().find(|(name, _)| *name == facts.name);
        let Some((_, file)) = found else {
            return Ok(Some(Place::file(&facts.name)));
        };
        if !is_as(context, file, facts)? {
            return Ok(Some(Place::file(file.path())));
        }
    }
    Ok(None)
}

fn is_as(context: &mut Context<'_, '_>, file: &InputFile, facts: &FileFacts) -> Result<bool> {
    if file.size() != facts.size {
        return Ok(false);
    }
    let file = file.hashing();
    let mut buffer = vec![0; BLOCK];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset)? as u64;
        if read == 0 {
            return Ok(file.xxh3()? == facts.xxh3);
        }
        offset = offset.saturating_add(read);
        context.advance(read, 0)?;
    }
}

/// The names of the v1 files must be free once the v2 files are gone.
fn refuse_others(dir: &Dir, originals: &[String], v2_files: &[String]) -> Result<()> {
    for name in originals {
        let makes_room = name == MARKER_FILE || v2_files.contains(name);
        if !makes_room && dir.entry(name)?.is_some() {
            return Err(Error::new(
                Code::InTheWayFile,
                "a file stands where a v1 file has to go back to",
            )
            .at(Place::file(dir.join(name)))
            .hint("move it away, then run the same command again"));
        }
    }
    Ok(())
}

/// Owner and mode of what is written: those of the marker that is there.
fn access(dir: &Dir) -> Result<Access> {
    dir.open_file(MARKER_FILE)?.access()
}
