//! Every index from its root down: structure, order, entries against documents, recorded figures.

use super::accounting::Guard;
use super::collections::DataPass;
use super::indexes::definition_of;
use super::metadata::Described;
use super::owners::owner_bits;
use crate::document::bson::RawDocument;
use crate::error::Place;
use crate::index::extract::{Extraction, KeyExtractor};
use crate::index::geo::entry_hash;
use crate::index::key::{KeyBuffer, StoredKeyRef, StoredOrder, key_json};
use crate::index::text::stored_posting_hash;
use crate::index::{EntrySum, IndexKind, key_hash};
use crate::v2::DocumentAddress;
use crate::v2::btree::{
    LeafEntry, TreeIds, TreeSummary, TreeVisitor, Values, WalkRules, WalkedTree, walk_tree,
};
use crate::v2::data_file::DocumentReader;
use crate::v2::metadata::{IndexMetadata, IndexRecord};
use crate::v2::page_file::PageFileReader;
use crate::v2::postings::{ChunkSum, PostingReader, TermHead};
use crate::v2::rtree::walk_rtree;
use crate::v2::statistics::StatisticsRecord;
use crate::validate::Resources;
use crate::validate::listed::key_extractor;
use crate::{Code, Error, Result};
use std::cmp::Ordering;
use std::collections::HashMap;

/// What was found of one index.
struct Walked {
    entries: EntrySum,
    /// Recorded entries: of a text index its terms.
    entry_count: u64,
    order: u16,
    statistics: Option<StatisticsRecord>,
    complete: bool,
}

pub(super) fn check(
    pass: &mut DataPass<'_, '_>,
    described: &Described,
    resources: &mut Resources<'_>,
) -> Result<()> {
    let mut chunks: HashMap<u16, ChunkSum> = HashMap::new();
    let mut all_complete = true;
    for position in 0..pass.collections.len() {
        let Some(found) = pass.collections.get(position) else {
            continue;
        };
        let metadata = found.metadata;
        for (number, index) in metadata.indexes.iter().enumerate() {
            (resources.advance)(0, 0)?;
            let name = &*metadata.record.name;
            let place = Place::default()
                .in_collection(name)
                .in_index(&*index.record.name);
            let Some((definition, infer_types)) = definition_of(&index.record) else {
                pass.accounting.is_partial();
                continue;
            };
            let owner = owner_bits(metadata.record.collection_id);
            let walked = match definition.kind {
                IndexKind::Btree | IndexKind::Ttl { .. } => {
                    let extractor = key_extractor(&definition, Some(infer_types))?;
                    walk_keys(pass, &index.record, extractor, place.clone())?
                }
                IndexKind::Text => {
                    let chunks = chunks.entry(owner).or_default();
                    walk_terms(pass, &index.record, chunks, place.clone())?
                }
                IndexKind::Geo2d | IndexKind::Geo2dSphere => {
                    walk_points(pass, &index.record, place.clone())?
                }
            };
            all_complete &= walked.complete;
            if walked.complete {
                compare(pass, position, number, index, &walked, described, &place)?;
            } else {
                pass.accounting.is_partial();
            }
        }
    }
    // Indexes without a posting have no page.
    chunks.retain(|_, sum| *sum != ChunkSum::default());
    if all_complete && chunks != pass.chunks {
        let sentence = "posting pages and the terms that lead to them do not match";
        let place = Place::file(pass.pages.path());
        pass.check.add(Code::PageUnaccounted, sentence, place);
    }
    Ok(())
}

fn ids(record: &IndexRecord) -> TreeIds {
    TreeIds {
        index_id: record.index_id,
        collection_id: record.collection_id,
    }
}

/// Walks a tree of nodes with a visitor that sees its entries.
fn walk<V: TreeVisitor>(
    pass: &mut DataPass<'_, '_>,
    record: &IndexRecord,
    values: Values,
    place: Place,
    visitor: &mut V,
) -> Result<WalkedTree> {
    let rules = WalkRules {
        ids: ids(record),
        values,
        unique: record.unique,
        fresh: pass.check.fresh,
    };
    let mut guard = Guard {
        check: pass.check,
        accounting: &mut pass.accounting,
        file: &pass.pages,
        place,
    };
    walk_tree(&pass.pages, record.root_page, rules, &mut guard, visitor)
}

fn walk_keys(
    pass: &mut DataPass<'_, '_>,
    record: &IndexRecord,
    extractor: KeyExtractor,
    place: Place,
) -> Result<Walked> {
    let pages = pass.pages.clone();
    let mut entries = Entries {
        collection_id: record.collection_id,
        pages: &pages,
        extractor,
        sum: EntrySum::default(),
        order: StoredOrder::default(),
    };
    let tree = walk(pass, record, Values::Addresses, place, &mut entries)?;
    Ok(walked(tree, entries.sum))
}

fn walk_terms(
    pass: &mut DataPass<'_, '_>,
    record: &IndexRecord,
    chunks: &mut ChunkSum,
    place: Place,
) -> Result<Walked> {
    let pages = pass.pages.clone();
    let mut terms = Terms {
        collection_id: record.collection_id,
        postings: PostingReader::new(&pages, record.collection_id),
        chunks,
        sum: EntrySum::default(),
        order: StoredOrder::default(),
        is_broken: false,
    };
    let tree = walk(pass, record, Values::Opaque, place, &mut terms)?;
    let is_broken = terms.is_broken;
    let mut walked = walked(tree, terms.sum);
    walked.complete &= !is_broken;
    Ok(walked)
}

fn walk_points(pass: &mut DataPass<'_, '_>, record: &IndexRecord, place: Place) -> Result<Walked> {
    let mut sum = EntrySum::default();
    let mut guard = Guard {
        check: pass.check,
        accounting: &mut pass.accounting,
        file: &pass.pages,
        place,
    };
    let (tree, complete) = walk_rtree(
        &pass.pages,
        record.root_page,
        ids(record),
        pass.check.fresh,
        &mut guard,
        &mut |bounds, address| sum.add(entry_hash(bounds, address)),
    )?;
    Ok(Walked {
        entries: sum,
        entry_count: tree.entry_count,
        order: tree.order,
        statistics: Some(tree.statistics()),
        complete,
    })
}

fn walked(tree: WalkedTree, entries: EntrySum) -> Walked {
    let summary = tree.summary;
    Walked {
        entries,
        entry_count: summary.entry_count,
        order: summary.order,
        statistics: statistics(&summary),
        complete: tree.complete,
    }
}

/// `None` where only the documents could tell the first or last key as JSON.
fn statistics(tree: &TreeSummary) -> Option<StatisticsRecord> {
    let json = |key: &Option<crate::v2::btree::StoredKey>| match key {
        None => Some(String::new()),
        Some(key) => key_json(key.borrow()).ok().flatten(),
    };
    Some(StatisticsRecord {
        min_key: json(&tree.min_key)?,
        max_key: json(&tree.max_key)?,
        ..tree.statistics()
    })
}

/// Compares an index with its documents, and with what is recorded of it.
fn compare(
    pass: &mut DataPass<'_, '_>,
    position: usize,
    number: usize,
    index: &IndexMetadata,
    walked: &Walked,
    described: &Described,
    place: &Place,
) -> Result<()> {
    let Some(found) = pass.collections.get(position) else {
        return Ok(());
    };
    let check = pass.check;
    let record = &index.record;
    let in_metadata = || Place {
        file: Some(described.file.path().to_path_buf()),
        ..place.clone()
    };
    let expected = found.keys.sum(number);
    if found.sums.is_complete && expected != walked.entries {
        let sentence = format!(
            "the index has {} entries, its documents must have {}, and they do not match",
            walked.entries.count, expected.count
        );
        let in_data = Place {
            file: Some(pass.pages.path().to_path_buf()),
            ..place.clone()
        };
        check.add(Code::IndexDiffers, sentence, in_data);
    }
    let wrong = |what: &str, said: String, is: String| {
        let sentence = format!("{what} of the index is recorded as {said}, it is {is}");
        check.add(Code::FiguresDiffer, sentence, in_metadata());
    };
    if record.entry_count != walked.entry_count {
        let (said, is) = (record.entry_count, walked.entry_count);
        wrong("the entry count", said.to_string(), is.to_string());
    }
    let order_fits = match check.fresh {
        true => record.order == walked.order,
        false => record.order >= walked.order,
    };
    if !order_fits {
        let (said, is) = (record.order, walked.order);
        wrong("the order", said.to_string(), is.to_string());
    }
    if let (Some(options), IndexKind::Text) = (
        record.parsed_options(),
        record
            .definition()
            .map_or(IndexKind::Btree, |index| index.kind),
    ) && found.sums.is_complete
    {
        let totals = found.keys.totals(number);
        let said = (options.total_docs, options.total_length);
        if said != (Some(totals.documents), Some(totals.length)) {
            wrong(
                "totalDocs and totalLength",
                format!("{said:?}"),
                format!("{:?}", (totals.documents, totals.length)),
            );
        }
    }
    // A living database brings them up to date when it likes.
    if let (Some(statistics), true) = (&walked.statistics, check.fresh) {
        compare_statistics(&index.statistics, statistics, &wrong);
    }
    Ok(())
}

fn compare_statistics(
    said: &StatisticsRecord,
    is: &StatisticsRecord,
    wrong: &dyn Fn(&str, String, String),
) {
    let numbers: [(&str, u64, u64); 7] = [
        (
            "the number of entries",
            said.total_entries,
            is.total_entries,
        ),
        (
            "the number of unique keys",
            said.unique_keys,
            is.unique_keys,
        ),
        ("the height", said.height.into(), is.height.into()),
        (
            "the number of leaves",
            said.leaf_nodes.into(),
            is.leaf_nodes.into(),
        ),
        (
            "the number of internal nodes",
            said.internal_nodes.into(),
            is.internal_nodes.into(),
        ),
        (
            "the average key size",
            said.avg_key_size.into(),
            is.avg_key_size.into(),
        ),
        (
            "the average value size",
            said.avg_value_size.into(),
            is.avg_value_size.into(),
        ),
    ];
    for (what, said, is) in numbers {
        if said != is {
            wrong(what, said.to_string(), is.to_string());
        }
    }
    for (what, said, is) in [
        ("the first key", &said.min_key, &is.min_key),
        ("the last key", &said.max_key, &is.max_key),
    ] {
        if said != is {
            wrong(what, said.clone(), is.clone());
        }
    }
    if said.cardinality.to_bits() != is.cardinality.to_bits() {
        wrong(
            "the cardinality",
            said.cardinality.to_string(),
            is.cardinality.to_string(),
        );
    }
}

/// The entries of a B+tree over document keys.
struct Entries<'p> {
    collection_id: u32,
    pages: &'p PageFileReader,
    extractor: KeyExtractor,
    sum: EntrySum,
    order: StoredOrder,
}

impl Entries<'_> {
    fn address(&self, entry: LeafEntry<'_>) -> Option<DocumentAddress> {
        let (collection, address) = DocumentAddress::decode(entry.value)?;
        (collection == self.collection_id).then_some(address)
    }

    /// The whole key of an entry, from its document.
    fn whole(&self, entry: LeafEntry<'_>, key: &mut KeyBuffer) -> Result<()> {
        let gone = |sentence: &str| {
            let sentence = format!("{sentence}, in the entry of {}", entry.key);
            Error::new(Code::IndexDiffers, sentence)
        };
        let address = self
            .address(entry)
            .ok_or_else(|| gone("no document address"))?;
        let mut reader = DocumentReader::new(self.pages);
        let document = reader.read(address)?;
        let document = document.ok_or_else(|| gone("the address of a deleted slot"))?;
        let document = crate::document::bson::check(document)
            .map(RawDocument::as_bytes)
            .map_err(|error| gone("the address of no document").because(error))?;
        match self
            .extractor
            .extract_whole(RawDocument::trusted(document), key)
        {
            Extraction::Key => Ok(()),
            _ => Err(gone("the address of a document without a key")),
        }
    }
}

fn compare_keys(
    order: &mut StoredOrder,
    left: StoredKeyRef<'_>,
    right: StoredKeyRef<'_>,
) -> Result<Option<Ordering>> {
    order
        .compare(left, right)
        .map_err(|error| Error::new(Code::PageDamaged, "a key does not decode").because(error))
}

impl TreeVisitor for Entries<'_> {
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>> {
        compare_keys(&mut self.order, left, right)
    }

    fn compare_whole(&mut self, left: LeafEntry<'_>, right: LeafEntry<'_>) -> Result<Ordering> {
        let (mut one, mut two) = (KeyBuffer::new(), KeyBuffer::new());
        self.whole(left, &mut one)?;
        self.whole(right, &mut two)?;
        Ok(one.normal().cmp(two.normal()))
    }

    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        // The walk has reported values that are no address.
        if let Some(address) = self.address(entry) {
            self.sum.add(key_hash(entry.key, address));
        }
        Ok(())
    }
}

/// The terms of a text index, with their postings.
struct Terms<'p, 'c> {
    collection_id: u32,
    postings: PostingReader<'p, PageFileReader>,
    chunks: &'c mut ChunkSum,
    sum: EntrySum,
    order: StoredOrder,
    is_broken: bool,
}

impl TreeVisitor for Terms<'_, '_> {
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>> {
        compare_keys(&mut self.order, left, right)
    }

    /// Long terms that begin alike: which one comes first, the pages do not tell.
    fn compare_whole(&mut self, _: LeafEntry<'_>, _: LeafEntry<'_>) -> Result<Ordering> {
        Ok(Ordering::Less)
    }

    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        let Some(head) = TermHead::decode(entry.value) else {
            self.is_broken = true;
            let sentence = format!("the value of term {} leads to no postings", entry.key);
            return Err(Error::new(Code::PageDamaged, sentence));
        };
        let (collection_id, sum) = (self.collection_id, &mut self.sum);
        let read = self
            .postings
            .for_each_counted(head, self.chunks, |posting| {
                let hash = stored_posting_hash(entry.key, collection_id, posting);
                let no_term = || Error::new(Code::PageDamaged, "a key is no term");
                sum.add(hash.ok_or_else(no_term)?);
                Ok(())
            });
        self.is_broken |= read.is_err();
        read
    }
}
