//! LauraDB's unlisted pages in a migration: joined with the snapshot in the check phase, read in the
//! collections phase.

use super::context::Context;
use super::directories::Directories;
use super::plan::{Plan, PlannedCollection};
use super::space::{self, Need};
use super::work::{PAGES_COPIES, PAGES_RECOVERED, PAGES_RUNS, WorkDir};
use super::check::Sources;
use crate::document::bson::RawDocument;
use crate::document::order::hash_id;
use crate::document::{ID_FIELD, ejson};
use crate::files::{Access, AppendWriter, InputFile};
use crate::options::{Options, PagesMode};
use crate::report::{PagesReport, Warning};
use crate::v1::pages::{
    Group, JoinFiles, JoinInput, JoinSummary, PagesTally, RejectReason, Rejected, Rejects, Scratch,
    ScratchFile, join as join_pages, survey,
};
use crate::v1::snapshot::SnapshotLayout;
use crate::v1::wal::{Overlay, Replacement};
use crate::v2::page::PAGE_SIZE;
use crate::{Code, Error, Place, Result};
use std::fmt::Write as _;
use std::sync::Arc;

/// Bytes of the buffer that each file of the join is written from.
const WRITE_BUFFER: usize = 256 << 10;

/// What a sorted `_id` takes in the runs of the join, bytes, and how often it is sorted.
const SORTED_BYTES: u64 = 48;

/// Groups that a message describes.
const SHOWN_GROUPS: usize = 5;

/// Field names that a message lists.
const SHOWN_FIELDS: usize = 8;

/// The files of the join lie in the work directory.
struct WorkScratch(WorkDir);

impl Scratch for WorkScratch {
    fn create(&self, file: ScratchFile) -> Result<AppendWriter> {
        let name = match file {
            ScratchFile::Runs => PAGES_RUNS,
            ScratchFile::Candidates => PAGES_COPIES,
            ScratchFile::Recovered => PAGES_RECOVERED,
        };
        self.0.append_to(name, 0, WRITE_BUFFER)
    }
}

/// Ends the run at the first thing that cannot be taken, but for older copies: those are counted.
struct RefuseAll<'f>(&'f InputFile);

impl Rejects for RefuseAll<'_> {
    fn reject(&mut self, rejected: Rejected<'_>) -> Result<()> {
        let place = Place::page(self.0.path(), rejected.address.page.0);
        match rejected.reason {
            RejectReason::OlderCopy { .. } => Ok(()),
            RejectReason::DamagedPage(damage) => {
                let sentence = format!("a page of data.db is damaged: {damage}");
                Err(Error::new(Code::PagesDamaged, sentence)
                    .at(place)
                    .hint("read the snapshot alone with --pages ignore"))
            }
            RejectReason::Document(unusable) => {
                let slot = rejected.address.slot.0;
                let id = RawDocument::trusted(rejected.bytes).get(ID_FIELD);
                let place = match id {
                    Some(id) => place.with_id(ejson::display_id(id)),
                    None => place,
                };
                let sentence =
                    format!("the document in slot {slot} cannot be carried over: {unusable}");
                Err(Error::new(Code::PagesDocument, sentence)
                    .at(place)
                    .hint("leave documents out that only data.db has: --pages auto"))
            }
        }
    }
}

/// Joins `data.db` with the snapshot; gives what was found, and the work directory where it is
/// written if there is anything. `None` where there are no pages, or none to be read.
pub(super) fn join(
    context: &mut Context<'_, '_>,
    directories: &Directories,
    sources: &Sources,
    layout: Option<&SnapshotLayout>,
    access: Access,
) -> Result<Option<(JoinSummary, Option<WorkDir>)>> {
    let has_page = |data: &&InputFile| data.size() >= PAGE_SIZE as u64;
    let Some(data) = sources.data.as_ref().filter(has_page) else {
        return Ok(None);
    };
    let target = directories.target();
    check_space(directories, data, layout)?;
    let work = WorkDir::create_anew(target, access)?;
    let input = JoinInput {
        data,
        snapshot: sources.snapshot.as_ref().zip(layout),
        memory: context.options.memory,
        recover: context.options.pages == PagesMode::Recover,
        scratch: Arc::new(WorkScratch(work.clone())),
    };
    let summary = join_pages(&input, &mut RefuseAll(data), &mut |_| context.interrupt.check())?;
    drop(input);
    work.remove_file(PAGES_RUNS)?;
    Ok(Some((summary, Some(work))))
}

fn check_space(
    directories: &Directories,
    data: &InputFile,
    layout: Option<&SnapshotLayout>,
) -> Result<()> {
    // Documents on pages are sorted a few times; small ones take a fortieth of a page.
    let documents = layout.map_or(0, |layout| layout.documents);
    let on_pages = data.size() / 100;
    let needs = [Need {
        directory: directories.target(),
        purpose: "sorting the _ids of data.db",
        bytes: (documents + 3 * on_pages).saturating_mul(SORTED_BYTES),
    }];
    space::check(&needs).map(drop)
}

/// The joined pages, for the collections phase.
pub(super) fn open(plan: &Plan, work: &WorkDir) -> Result<Option<JoinFiles>> {
    let (Some(summary), Some(data)) = (&plan.pages, &plan.data) else {
        return Ok(None);
    };
    let candidates = work.dir.open_file(PAGES_COPIES)?;
    let recovered = work.dir.open_file(PAGES_RECOVERED)?;
    JoinFiles::new(summary, data.clone(), candidates, recovered).map(Some)
}

/// Whether the write-ahead log says something newer of a recovered document's `_id`.
pub(super) fn is_superseded(overlay: Option<&Overlay>, number: u32, bson: &[u8]) -> Result<bool> {
    let id = RawDocument::trusted(bson).get(ID_FIELD);
    let (Some(overlay), Some(id)) = (overlay, id) else {
        return Ok(false);
    };
    let hash = hash_id(id, number);
    if !overlay.may_contain(hash, number) {
        return Ok(false);
    }
    let replacement = overlay.take(number, id, hash)?;
    Ok(matches!(
        replacement,
        Some(Replacement::Deleted { .. } | Replacement::Document { .. } | Replacement::AlreadyMatched)
    ))
}

/// Without a snapshot nothing says which collections the pages belong to: that they are to be
/// grouped by their looks has to be asked for.
pub(super) fn refuse_without_snapshot(options: &Options, sources: &Sources) -> Result<()> {
    let Some(data) = &sources.data else {
        return Ok(());
    };
    if sources.snapshot.is_some() || options.pages != PagesMode::Auto {
        return Ok(());
    }
    let (tally, groups) = survey(data)?;
    if tally.documents == 0 {
        return Ok(());
    }
    Err(Error::new(Code::NothingToMigrate, describe(&tally, &groups))
        .at(Place::file(data.path()))
        .hint(
            "start LauraDB, take a backup with BackupToFile and name it with --snapshot FILE; if \
             LauraDB no longer finds the documents, take them from data.db with --pages recover",
        ))
}

/// What pages hold, in one sentence without the contents of documents.
fn describe(tally: &PagesTally, groups: &[Group]) -> String {
    let mut text = format!(
        "data.db holds {} documents in {} pages, but there is no snapshot that says which \
         collections they belong to; they look like {} collections: ",
        tally.documents,
        tally.unassigned,
        groups.len()
    );
    for (position, group) in groups.iter().take(SHOWN_GROUPS).enumerate() {
        let separator = if position > 0 { "; " } else { "" };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{separator}{} documents with {} (such as {})",
            group.documents,
            fields(&group.fields),
            group.ids.join(", ")
        );
    }
    if groups.len() > SHOWN_GROUPS {
        let _ = write!(text, "; and {} more", groups.len() - SHOWN_GROUPS);
    }
    text
}

fn fields(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .filter(|name| *name != ID_FIELD)
        .take(SHOWN_FIELDS)
        .map(|name| name.chars().take(40).flat_map(char::escape_debug).collect())
        .collect();
    let more = if names.len() > SHOWN_FIELDS + 1 { ", …" } else { "" };
    match shown.as_slice() {
        [] => "no fields".to_owned(),
        shown => format!("the fields {}{more}", shown.join(", ")),
    }
}

/// What the check phase has to say of the pages.
pub(super) fn warnings(
    options: &Options,
    data: &InputFile,
    summary: &JoinSummary,
    collections: &[PlannedCollection],
) -> Vec<Warning> {
    let tally = &summary.tally;
    let mut warnings = Vec::new();
    let mut warn = |code, sentence: String, place: Place| {
        warnings.push(Warning::new(code, sentence).at(place));
    };
    let file = || Place::file(data.path());
    if tally.slotted == 0 {
        if tally.damaged > 0 {
            let sentence = "data.db holds no slotted pages (it is encrypted, compressed, damaged, \
                            or something else) and was not read";
            warn(Code::PagesUnread, sentence.to_owned(), file());
        }
        return warnings;
    }
    let left_out = tally.only_known + tally.only_unknown;
    if options.pages == PagesMode::Auto && left_out > 0 {
        let sentence = format!(
            "{left_out} live documents of data.db are not in the snapshot and were left out, {} \
             of them in pages whose collection is not known; --pages recover takes them",
            tally.only_unknown
        );
        warn(Code::UnlistedPages, sentence, file());
    }
    if tally.tied > 0 {
        let sentence = format!(
            "{} pages of data.db have as many _ids of one collection as of another, and give \
             nothing back to either",
            tally.tied
        );
        warn(Code::PagesTied, sentence, file());
    }
    if tally.dropped > 0 {
        let sentence = format!(
            "{} older copies of recovered documents were left out: their _ids are live on a \
             higher page",
            tally.dropped
        );
        warn(Code::PagesOlderCopies, sentence, file());
    }
    let groups = summary.group_numbers.iter().zip(&summary.groups);
    for (number, group) in groups {
        let named = collections
            .iter()
            .find(|collection| collection.overlay_number == *number);
        let Some(named) = named else { continue };
        let unique = match group.unique_fields.as_slice() {
            [] => "no field looks unique".to_owned(),
            names => format!("fields that look unique: {}", names.join(", ")),
        };
        let sentence = format!(
            "the collection was recovered from pages without a name, {} documents with {}; its \
             index definitions are not known, {unique}",
            summary.recovered_in(*number),
            fields(&group.fields)
        );
        let place = Place::page(data.path(), group.lowest_page.0).in_collection(&named.v1_name);
        warn(Code::PagesNoIndexes, sentence, place);
    }
    warnings
}

/// What the collections phase has found in the pages of a collection.
pub(super) fn warnings_of(report: PagesReport, place: Place) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, sentence: String| {
        warnings.push(Warning::new(code, sentence).at(place.clone()));
    };
    if report.taken > 0 {
        let sentence = format!(
            "{} documents were taken from data.db, which has of them what the snapshot has lost: \
             {} documents inside arrays, {} binary values, {} other types, the order of fields in \
             {} documents",
            report.taken,
            report.array_documents,
            report.binary_values,
            report.types,
            report.reordered
        );
        warn(Code::PagesTaken, sentence);
    }
    if report.different > 0 {
        let sentence = format!(
            "{} documents are others in data.db; those of the snapshot were taken",
            report.different
        );
        warn(Code::PagesDifferent, sentence);
    }
    if report.recovered > 0 {
        let sentence = format!(
            "{} documents that the snapshot does not have were recovered from data.db",
            report.recovered
        );
        warn(Code::PagesRecovered, sentence);
    }
    warnings
}

/// The report of a collection's pages, as far as they were read.
pub(super) fn report(
    plan: &Plan,
    planned: &PlannedCollection,
    tally: PagesReport,
) -> Option<PagesReport> {
    let summary = plan.pages.as_ref()?;
    let number = planned.overlay_number;
    let older_copies = summary.dropped_in(number);
    let mut collections = summary.collections.iter();
    let only = collections.find(|collection| collection.number == number);
    let only_on_pages = match only {
        Some(collection) => collection.only_on_pages,
        None => summary.recovered_in(number) + older_copies,
    };
    Some(PagesReport {
        only_on_pages,
        older_copies,
        ..tally
    })
}
