//! What is said of LauraDB's unlisted pages, and what ends a run.

use super::{Group, JoinSummary, PagesTally, RejectReason, Rejected, Rejects, survey};
use crate::document::bson::RawDocument;
use crate::document::order::hash_id;
use crate::document::{ID_FIELD, ejson};
use crate::files::InputFile;
use crate::options::PagesMode;
use crate::report::{PagesReport, Warning};
use crate::v1::wal::Overlay;
use crate::{Code, Error, Place, Result};
use std::fmt::Write as _;

/// Groups that a message describes.
const SHOWN_GROUPS: usize = 5;

/// Field names that a message lists.
const SHOWN_FIELDS: usize = 8;

/// Ends the run at the first thing that cannot be taken, but for older copies: those are counted.
#[derive(Debug)]
pub struct RefuseAll<'f>(&'f InputFile);

impl<'f> RefuseAll<'f> {
    /// For this `data.db`.
    #[must_use]
    pub fn new(data: &'f InputFile) -> Self {
        Self(data)
    }
}

impl Rejects for RefuseAll<'_> {
    fn reject(&mut self, rejected: Rejected<'_>) -> Result<()> {
        let hint = match rejected.reason {
            RejectReason::OlderCopy { .. } => return Ok(()),
            RejectReason::DamagedPage(_) => "read the snapshot alone with --pages ignore",
            RejectReason::Document(_) => "leave documents out that only data.db has: --pages auto",
        };
        Err(rejected.error(self.0).hint(hint))
    }
}

impl Rejected<'_> {
    /// What it is an error for, without a hint.
    #[must_use]
    pub fn error(&self, data: &InputFile) -> Error {
        let slot = self.address.slot.0;
        let (code, sentence) = match &self.reason {
            RejectReason::DamagedPage(damage) => {
                let sentence = format!("a page of data.db is damaged: {damage}");
                let place = Place::page(data.path(), self.address.page.0);
                return Error::new(Code::PagesDamaged, sentence).at(place);
            }
            RejectReason::OlderCopy { kept } => {
                let (page, kept) = (kept.page.0, kept.slot.0);
                let sentence = format!(
                    "the document in slot {slot} is older than the one in page {page}, slot \
                     {kept}, which has the same _id and was recovered"
                );
                (Code::PagesOlderCopies, sentence)
            }
            RejectReason::Document(unusable) => {
                let sentence =
                    format!("the document in slot {slot} cannot be carried over: {unusable}");
                (Code::PagesDocument, sentence)
            }
        };
        let place = Place::page(data.path(), self.address.page.0);
        let id = RawDocument::trusted(self.bytes).get(ID_FIELD);
        let place = match id {
            Some(id) => place.with_id(ejson::display_id(id)),
            None => place,
        };
        Error::new(code, sentence).at(place)
    }
}

/// Whether the write-ahead log says something newer of a recovered document's `_id`.
///
/// # Errors
/// A record of the log cannot be read back.
pub fn is_superseded(overlay: Option<&Overlay>, number: u32, bson: &[u8]) -> Result<bool> {
    let id = RawDocument::trusted(bson).get(ID_FIELD);
    let (Some(overlay), Some(id)) = (overlay, id) else {
        return Ok(false);
    };
    let hash = hash_id(id, number);
    if !overlay.may_contain(hash, number) {
        return Ok(false);
    }
    Ok(overlay.take(number, id, hash)?.is_some())
}

/// Without a snapshot nothing says which collections the pages belong to: that they are to be
/// grouped by their looks has to be asked for.
///
/// # Errors
/// [`Code::NothingToMigrate`], telling what is there, if there is any document; a read fails.
pub fn refuse_unnamed(data: &InputFile) -> Result<()> {
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
        let _ = write!(
            text,
            "; and {} more",
            groups.len().saturating_sub(SHOWN_GROUPS)
        );
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
    let more = if names.len() > SHOWN_FIELDS + 1 {
        ", …"
    } else {
        ""
    };
    match shown.as_slice() {
        [] => "no fields".to_owned(),
        shown => format!("the fields {}{more}", shown.join(", ")),
    }
}

/// What a join has found that the operator should know; `name_of` gives the collections' names in
/// v1 by their numbers.
#[must_use]
pub fn warnings_of_join<'n>(
    mode: PagesMode,
    data: &InputFile,
    summary: &JoinSummary,
    name_of: impl Fn(u32) -> Option<&'n str>,
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
    let left_out = tally.only_known.saturating_add(tally.only_unknown);
    if mode == PagesMode::Auto && left_out > 0 {
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
            "{} older copies of recovered documents were not taken: their _ids are live on a \
             higher page",
            tally.dropped
        );
        warn(Code::PagesOlderCopies, sentence, file());
    }
    for (number, group) in summary.group_numbers.iter().zip(&summary.groups) {
        let count = summary.recovered_in(*number);
        let place = Place::page(data.path(), group.lowest_page.0);
        // A group without a name is left out.
        if let Some(name) = name_of(*number) {
            let sentence = describe_recovered(group, count);
            warn(Code::PagesNoIndexes, sentence, place.in_collection(name));
        }
    }
    warnings
}

/// A group that has become a collection, in one sentence.
fn describe_recovered(group: &Group, documents: u64) -> String {
    let unique = match group.unique_fields.as_slice() {
        [] => "no field looks unique".to_owned(),
        names => format!("fields that look unique: {}", names.join(", ")),
    };
    format!(
        "the collection was recovered from pages without a name, {documents} documents with {}; \
         its index definitions are not known, {unique}",
        fields(&group.fields)
    )
}

/// What reading a collection has found in its pages.
#[must_use]
pub fn warnings_of_collection(report: PagesReport, place: &Place) -> Vec<Warning> {
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
