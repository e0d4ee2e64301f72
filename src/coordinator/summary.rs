//! What a run has built and noticed, for its report.

use super::indexes::Built;
use super::plan::{Plan, PlannedCollection};
use crate::index::{IndexDefinition, PortableIndex};
use crate::report::{CollectionReport, IndexReport, Warning};
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
        })
        .collect()
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
