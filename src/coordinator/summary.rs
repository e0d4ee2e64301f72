//! What a run has built and noticed, for its report.

use super::indexes::Built;
use super::pages;
use super::plan::{Plan, PlannedCollection};
use crate::index::{IndexDefinition, PortableIndex};
use crate::report::{CollectionReport, IndexReport, Warning};
use crate::v1::pages::warnings_of_collection;
use crate::{Code, Place};

/// The collections as the report lists them.
pub(super) fn collections(plan: &Plan, built: &Built) -> Vec<CollectionReport> {
    let collections = plan.collections.iter().zip(&built.collections);
    collections
        .map(|(planned, built)| CollectionReport {
            name: planned.name.clone(),
            documents: built.written.tally.documents,
            bytes: built.written.tally.bytes,
            indexes: planned
                .indexes
                .iter()
                .zip(&built.indexes)
                .map(|(definition, index)| IndexReport {
                    name: definition.name.clone(),
                    kind: definition.kind.name().to_owned(),
                    entries: Some(index.tree.entry_count()),
                    unindexable: index.unindexable,
                })
                .collect(),
            skipped_indexes: planned.skipped_indexes.clone(),
            pages: pages::report(plan, planned, built.written.tally.pages),
        })
        .collect()
}

/// Records, documents and pages in quarantine.
pub(super) fn quarantined(plan: &Plan, built: &Built) -> u64 {
    let log = plan.wal_summary.as_ref().map_or(0, |wal| wal.bad_records);
    let before = plan.quarantined_pages.records.saturating_add(log);
    let documents = built.collections.iter();
    documents
        .map(|collection| collection.written.tally.quarantined)
        .fold(before, u64::saturating_add)
}

/// What the operator has to know of the quarantine.
pub(super) fn quarantine_warnings(plan: &Plan, built: &Built) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let in_pages = plan.quarantined_pages.counted();
    if let Some(data) = plan.data.as_ref().filter(|_| in_pages > 0) {
        let sentence = format!(
            "{in_pages} damaged pages of data.db, or documents there that cannot be carried over, \
             are in quarantine"
        );
        warnings.push(Warning::new(Code::Quarantined, sentence).at(Place::file(data.path())));
    }
    if let (Some(summary), Some(log)) = (&plan.wal_summary, &plan.wal) {
        if summary.bad_records > 0 {
            let sentence = format!(
                "{} records of the write-ahead log cannot be used and are in quarantine",
                summary.bad_records
            );
            warnings.push(Warning::new(Code::Quarantined, sentence).at(Place::file(log.path())));
        }
        for left in &summary.left_older {
            let transaction = match left.txn_id {
                0 => String::new(),
                id => format!("; the other operations of transaction {id} were applied"),
            };
            let document = match left.place.id {
                Some(_) => "the document stays",
                None => "a document that cannot be told stays",
            };
            let sentence = format!(
                "{document} at an older state, since the record that changes it is in quarantine\
                 {transaction}"
            );
            warnings.push(Warning::new(Code::LeftOlder, sentence).at(left.place.clone()));
        }
        if summary.more_left_older > 0 {
            let sentence = format!(
                "{} further records in quarantine may leave documents at an older state; the \
                 quarantine names them",
                summary.more_left_older
            );
            warnings.push(Warning::new(Code::LeftOlder, sentence).at(Place::file(log.path())));
        }
    }
    for (planned, built) in plan.collections.iter().zip(&built.collections) {
        let count = built.written.tally.quarantined;
        if count > 0 {
            let sentence =
                format!("{count} documents cannot be carried over and are in quarantine");
            let place = Place::default().in_collection(&planned.v1_name);
            warnings.push(Warning::new(Code::Quarantined, sentence).at(place));
        }
    }
    warnings
}

/// The indexes of a collection that describes them without holding them, with `_id_`, which is
/// never listed.
pub(super) fn described(listed: &[PortableIndex]) -> Vec<IndexReport> {
    let id = IndexDefinition::id_index();
    let definitions = std::iter::once(&id).chain(listed.iter().map(|index| &index.definition));
    definitions
        .map(|definition| IndexReport {
            name: definition.name.clone(),
            kind: definition.kind.name().to_owned(),
            entries: None,
            unindexable: 0,
        })
        .collect()
}

/// What was noticed while documents and indexes were written.
pub(super) fn warnings(planned: &[PlannedCollection], built: &Built) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (planned, built) in planned.iter().zip(&built.collections) {
        let place = || Place::default().in_collection(&planned.v1_name);
        let tally = built.written.tally;
        let mut count = |code, count: u64, what: &str| {
            if count > 0 {
                warnings.push(Warning::new(code, format!("{count} {what}")).at(place()));
            }
        };
        count(
            Code::EmptiedArrays,
            tally.emptied_array_documents,
            "documents inside arrays are {} in the snapshot: LauraDB's backup loses their contents",
        );
        count(
            Code::GeneratedIds,
            tally.generated_ids,
            "documents had no _id and got one",
        );
        count(
            Code::UnknownKeys,
            tally.unknown_keys,
            "keys of documents mean nothing and were skipped",
        );
        warnings.extend(warnings_of_collection(tally.pages, &place()));
        for (definition, index) in planned.indexes.iter().zip(&built.indexes) {
            if index.unindexable > 0 {
                let more = index.unindexable > index.first_unindexable.len() as u64;
                let sentence = format!(
                    "{} documents have a value that the index cannot hold and are not in it: {}{}",
                    index.unindexable,
                    index.first_unindexable.join(", "),
                    if more { ", …" } else { "" }
                );
                let place = place().in_index(&definition.name);
                warnings.push(Warning::new(Code::UnindexableValues, sentence).at(place));
            }
        }
    }
    warnings
}
