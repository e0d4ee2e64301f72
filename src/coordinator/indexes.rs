//! The indexes phase: sorted keys to B+trees, one after the other, behind the documents.

use super::collections::{Collected, duplicate_id};
use super::context::Context;
use super::keys::extractor;
use super::plan::{Plan, PlannedCollection};
use super::state::WrittenCollection;
use super::work::{SEPARATORS, SORT_RUNS, WorkDir};
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson};
use crate::files::AppendWriter;
use crate::index::IndexDefinition;
use crate::index::definition::ID_INDEX;
use crate::index::extract::{Extraction, KeyExtractor};
use crate::index::key::KeyBuffer;
use crate::index::sort::{FullKeys, SortPool, SortedEntry, SorterId};
use crate::progress::{Phase, Totals};
use crate::report::{CollectionReport, IndexReport, Warning};
use crate::v2::btree::bulk::SPILL_LIMIT;
use crate::v2::btree::{BulkLoader, PageSink, TreeIds, TreeSummary};
use crate::v2::data_file::DocumentReader;
use crate::v2::page::{ChecksumPolicy, PageBytes};
use crate::v2::page_file::{PageFileReader, PageFileWriter};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Place, Result};
use std::sync::atomic::Ordering;

/// Everything in the staged `data.db`.
pub(super) struct Built {
    /// In plan order.
    pub(super) collections: Vec<BuiltCollection>,
    /// Pages of the file.
    pub(super) page_count: u32,
}

/// One collection in the staged `data.db`.
pub(super) struct BuiltCollection {
    pub(super) written: WrittenCollection,
    /// In plan order.
    pub(super) indexes: Vec<BuiltIndex>,
}

/// One index in the staged `data.db`.
pub(super) struct BuiltIndex {
    pub(super) tree: TreeSummary,
    pub(super) ends: KeyEnds,
    /// Documents whose value cannot be indexed.
    pub(super) unindexable: u64,
}

/// The first and the last key as JSON, empty for an empty index. Taken from whole keys: of a
/// composite key that was cut, the stored form lacks fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyEnds {
    pub(super) min: String,
    pub(super) max: String,
}

/// Entries after which progress is reported.
const ENTRIES_AT_ONCE: u64 = 4096;

/// Runs the phase.
pub(super) fn run(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    work: &WorkDir,
    collected: Collected,
) -> Result<Built> {
    let Collected {
        mut data,
        collections,
        mut keys,
    } = collected;
    let documents: u64 = collections
        .iter()
        .zip(&keys.sorters)
        .map(|(written, sorters)| written.tally.documents * sorters.len() as u64)
        .sum();
    context.tracker.start_phase(
        Phase::Indexes,
        Totals {
            documents,
            indexes: plan.indexes(),
            bytes: documents,
            ..Totals::default()
        },
        Totals::default(),
    );
    let mut built = Vec::with_capacity(collections.len());
    for ((planned, written), sorters) in plan.collections.iter().zip(collections).zip(&keys.sorters)
    {
        let mut indexes = Vec::with_capacity(sorters.len());
        for (number, sorted) in sorters.iter().enumerate() {
            let mut build = Build {
                context,
                plan,
                work,
                planned,
                number,
                data: &mut data,
            };
            let (tree, ends) = build.tree(&mut keys.pool, sorted.sorter)?;
            indexes.push(BuiltIndex {
                tree,
                ends,
                unindexable: sorted.unindexable,
            });
            context.counters().indexes.fetch_add(1, Ordering::Relaxed);
        }
        built.push(BuiltCollection { written, indexes });
    }
    drop(keys);
    data.sync()?;
    work.remove_file(SORT_RUNS)?;
    Ok(Built {
        collections: built,
        page_count: data.page_count(),
    })
}

/// One index that is being built.
struct Build<'b, 'a, 's> {
    context: &'b mut Context<'a, 's>,
    plan: &'b Plan,
    work: &'b WorkDir,
    planned: &'b PlannedCollection,
    /// Position in the planned indexes.
    number: usize,
    data: &'b mut PageFileWriter,
}

impl Build<'_, '_, '_> {
    fn tree(&mut self, pool: &mut SortPool, sorter: SorterId) -> Result<(TreeSummary, KeyEnds)> {
        let index = self
            .planned
            .indexes
            .get(self.number)
            .ok_or_else(|| Error::new(Code::Internal, "an index that is not planned"))?;
        self.data.flush()?;
        let reader = PageFileReader::open(self.data.file().reader()?, ChecksumPolicy::Required)?;
        let staged = StagedKeys {
            reader,
            extractor: extractor(index, self.plan.infer_types)?,
        };
        let mut merge = pool.merge(sorter, &staged)?;
        let ids = TreeIds {
            index_id: u32::try_from(self.number + 1).unwrap_or(u32::MAX),
            collection_id: self.planned.id,
        };
        let mut levels = 0;
        let mut spill = || {
            levels += 1;
            let file = self
                .work
                .dir
                .create(format!("{SEPARATORS}{levels}"), self.work.access)?;
            Ok(AppendWriter::new(file, 0, SPILL_LIMIT))
        };
        let mut loader = BulkLoader::new(DataPages(self.data), ids, SPILL_LIMIT, &mut spill);
        let mut previous = DocumentAddress::default();
        let mut entries = 0;
        let mut min = None;
        while let Some(entry) = merge.next()? {
            if entry.same_key_as_previous && index.unique {
                return Err(duplicate_key(
                    self.plan,
                    self.planned,
                    index,
                    &staged,
                    previous,
                    &entry,
                ));
            }
            previous = entry.address;
            let value = entry.address.encode(ids.collection_id);
            loader.push(entry.stored, &value, entry.same_key_as_previous)?;
            entries += 1;
            if entries == ENTRIES_AT_ONCE {
                self.context.advance(entries, entries)?;
                entries = 0;
            }
            if min.is_none() {
                min = merge.last_key_json()?;
            }
        }
        let ends = KeyEnds {
            min: min.unwrap_or_default(),
            max: merge.last_key_json()?.unwrap_or_default(),
        };
        let tree = loader.finish()?;
        self.context.advance(entries, entries)?;
        for level in 1..=levels {
            self.work.remove_file(&format!("{SEPARATORS}{level}"))?;
        }
        Ok((tree, ends))
    }
}

/// Index pages go behind the data pages.
struct DataPages<'d>(&'d mut PageFileWriter);

impl PageSink for DataPages<'_> {
    fn next_page(&self) -> PageId {
        self.0.next_page()
    }

    fn append(&mut self, page: &mut PageBytes) -> Result<PageId> {
        self.0.append_page(page)
    }
}

/// Reads long keys again, from the staged documents.
pub(super) struct StagedKeys {
    pub(super) reader: PageFileReader,
    pub(super) extractor: KeyExtractor,
}

impl StagedKeys {
    fn document(&self, address: DocumentAddress) -> Result<Vec<u8>> {
        let mut reader = DocumentReader::new(&self.reader);
        let document = reader.read(address)?.map(<[u8]>::to_vec);
        document.ok_or_else(|| {
            Error::new(
                Code::VerifyFailed,
                "an index entry points at a deleted slot",
            )
            .at(Place::page(self.reader.path(), address.page.0).with_slot(address.slot.0))
        })
    }
}

impl FullKeys for StagedKeys {
    fn full_key(&self, address: DocumentAddress, key: &mut KeyBuffer) -> Result<()> {
        let document = self.document(address)?;
        match self
            .extractor
            .extract_whole(RawDocument::trusted(&document), key)
        {
            Extraction::Key => Ok(()),
            _ => Err(Error::new(
                Code::VerifyFailed,
                "a document has no key where the index has an entry",
            )
            .at(Place::page(self.reader.path(), address.page.0).with_slot(address.slot.0))),
        }
    }
}

/// The error for two documents with one key in a unique index; names the key and both documents.
fn duplicate_key(
    plan: &Plan,
    collection: &PlannedCollection,
    index: &IndexDefinition,
    staged: &StagedKeys,
    first: DocumentAddress,
    second: &SortedEntry<'_>,
) -> Error {
    let (one, two) = match (staged.document(first), staged.document(second.address)) {
        (Ok(one), Ok(two)) => (one, two),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    if index.name == ID_INDEX {
        return duplicate_id(plan, collection, &two);
    }
    let id = |document: &[u8]| {
        RawDocument::trusted(document)
            .get(ID_FIELD)
            .map(ejson::display_id)
            .unwrap_or_default()
    };
    let sentence = format!(
        "documents {} and {} have the same key {} in a unique index",
        id(&one),
        id(&two),
        second.stored,
    );
    Error::new(Code::DuplicateKey, sentence)
        .at(Place::default().in_collection(&collection.v1_name).in_index(&index.name))
        .hint(format!(
            "correct one of the documents in LauraDB, or leave the index out with --skip-index {}/{}",
            collection.v1_name, index.name
        ))
}

/// The collections as the report lists them.
pub(super) fn report(plan: &Plan, built: &Built) -> Vec<CollectionReport> {
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
                    entries: index.tree.entry_count,
                    unindexable: index.unindexable,
                })
                .collect(),
            skipped_indexes: planned.skipped_indexes.clone(),
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
                let sentence = format!(
                    "{} documents have a value that the index cannot hold and are not in it",
                    index.unindexable
                );
                let place = place().in_index(&definition.name);
                warnings.push(Warning::new(Code::UnindexableValues, sentence).at(place));
            }
        }
    }
    warnings
}
