//! Text and geo indexes read back and compared with their documents, by plain loops.

use super::database::{Documents, id_of, taken_by_filter, value_at};
use laura_migrate::document::bson::RawValue;
use laura_migrate::index::key::key_json;
use laura_migrate::index::text::Analyzer;
use laura_migrate::v2::btree::{PageSource as _, TreeIds, TreeReader};
use laura_migrate::v2::metadata::{IndexRecord, IndexType};
use laura_migrate::v2::page_file::PageFileReader;
use laura_migrate::v2::postings::{Chunk, ChunkAddress, Posting, TermHead};
use laura_migrate::v2::rtree::{RTreeNode, Target};
use laura_migrate::v2::slotted::{SlotContent, SlottedPage};
use laura_migrate::v2::statistics::StatisticsRecord;
use laura_migrate::v2::{DocumentAddress, PageId};
use std::collections::{BTreeMap, BTreeSet};

/// The entries of a text index in their order: a term as stored, and its postings.
type Terms = Vec<(Vec<u8>, Vec<Posting>)>;

/// What a text index must hold, and its totals.
fn expected_terms(index: &IndexRecord, documents: &Documents) -> (Terms, u64, u64) {
    let mut terms: BTreeMap<Vec<u8>, Vec<Posting>> = BTreeMap::new();
    let (mut total_docs, mut total_length) = (0, 0);
    for (address, document) in taken_by_filter(index, documents) {
        let fields = index.fields.iter();
        let texts = fields.filter_map(|path| match value_at(document, path) {
            Some(RawValue::String(text)) => Some(text),
            _ => None,
        });
        let texts: Vec<&str> = texts.collect();
        if texts.is_empty() {
            continue;
        }
        let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut length = 0;
        Analyzer::default().analyze(texts.join(" ").as_bytes(), |term| {
            *counts.entry(term.to_vec()).or_default() += 1;
            length += 1;
        });
        total_docs += 1;
        total_length += length;
        let saturating = |count: u64| u16::try_from(count).unwrap_or(u16::MAX);
        for (term, count) in counts {
            terms.entry(term).or_default().push(Posting {
                address,
                term_frequency: saturating(count),
                field_length: saturating(length),
            });
        }
    }
    // Entries are in the order of the whole terms. They hold the first 1022 bytes, behind a length.
    let stored = terms.into_iter().map(|(mut term, postings)| {
        let length = u16::try_from(term.len()).unwrap_or(u16::MAX);
        term.truncate(1022);
        ([&length.to_le_bytes()[..], &term].concat(), postings)
    });
    (stored.collect(), total_docs, total_length)
}

/// The postings of a term, chunk by chunk; notes the pages on the way.
fn postings(
    data: &PageFileReader,
    collection_id: u32,
    head: TermHead,
    pages: &mut BTreeSet<PageId>,
) -> Vec<Posting> {
    let mut found = Vec::new();
    let mut next = Some(head.first);
    while let Some(ChunkAddress { page, slot }) = next {
        pages.insert(page);
        let bytes = data.page(page).unwrap();
        let content = SlottedPage::open(&bytes).unwrap().get(slot).unwrap();
        let Some(SlotContent::Document(content)) = content else {
            panic!("page {page} slot {slot:?} is no chunk");
        };
        let chunk = Chunk::parse(content).unwrap();
        let last = found.last().copied();
        let chunk_postings = chunk.postings(collection_id, last);
        found.extend(chunk_postings.map(|posting| posting.unwrap()));
        next = chunk.next();
    }
    assert_eq!(found.len(), head.document_frequency as usize);
    found
}

/// Reads a text index, compares it with the documents; gives its terms and its posting pages.
pub(super) fn read_terms(
    data: &PageFileReader,
    index: &IndexRecord,
    statistics: &StatisticsRecord,
    documents: &Documents,
) -> (Vec<(String, String)>, BTreeSet<PageId>) {
    let ids = TreeIds {
        index_id: index.index_id,
        collection_id: index.collection_id,
    };
    let compare = |left: laura_migrate::v2::btree::StoredKeyRef<'_>,
                   right: laura_migrate::v2::btree::StoredKeyRef<'_>| {
        Ok(Some(left.bytes[2..].cmp(&right.bytes[2..])))
    };
    let reader = TreeReader::new(data, index.root_page, ids, &compare);
    let mut scan = reader.scan().unwrap();
    let (mut found, mut entries, mut pages) = (Terms::new(), Vec::new(), BTreeSet::new());
    while let Some(entry) = scan.next().unwrap() {
        let head = TermHead::decode(entry.value).unwrap();
        let postings = postings(data, index.collection_id, head, &mut pages);
        let with_term = postings
            .iter()
            .map(|posting| id_of(&documents[&posting.address]));
        let with_term: Vec<String> = with_term.collect();
        let json = key_json(entry.key).unwrap().unwrap();
        entries.push((json, with_term.join(" ")));
        found.push((entry.key.bytes.to_vec(), postings));
    }
    let (expected, total_docs, total_length) = expected_terms(index, documents);
    assert!(found == expected, "terms or postings of {}", index.name);
    let options = index.parsed_options().unwrap();
    assert_eq!(options.total_docs, Some(total_docs));
    assert_eq!(options.total_length, Some(total_length));
    let terms = entries.len() as u64;
    assert_eq!(index.entry_count, terms);
    assert_eq!(
        (statistics.total_entries, statistics.unique_keys),
        (terms, terms)
    );
    let end =
        |entry: Option<&(String, String)>| entry.map_or(String::new(), |entry| entry.0.clone());
    assert_eq!(statistics.min_key, end(entries.first()));
    assert_eq!(statistics.max_key, end(entries.last()));
    (entries, pages)
}

/// The point of a value as the format has it.
fn point(index: &IndexRecord, value: RawValue<'_>) -> Option<[f64; 2]> {
    let RawValue::Document(value) = value else {
        return None;
    };
    let Some(RawValue::Array(coordinates)) = value.get("coordinates") else {
        return None;
    };
    let numbers = coordinates.elements().map(|(_, number)| match number {
        RawValue::Double(number) => Some(number),
        RawValue::Int32(number) => Some(number.into()),
        RawValue::Int64(number) => Some(number as f64),
        _ => None,
    });
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    let point: [f64; 2] = numbers.try_into().ok()?;
    let [x, y] = point;
    let on_earth = x.abs() <= 180.0 && y.abs() <= 90.0;
    let is_taken = match index.index_type {
        IndexType::Geo2dSphere => on_earth,
        _ => x.is_finite() && y.is_finite(),
    };
    is_taken.then_some(point)
}

/// Reads a geo index and compares it with the documents; gives its points by address.
pub(super) fn read_points(
    data: &PageFileReader,
    index: &IndexRecord,
    statistics: &StatisticsRecord,
    documents: &Documents,
) -> Vec<(String, String)> {
    let path = &index.fields[0];
    let points = taken_by_filter(index, documents).filter_map(|(address, document)| {
        let value = value_at(document, path)?;
        Some((address, point(index, value)?))
    });
    let expected: BTreeMap<DocumentAddress, [f64; 2]> = points.collect();
    let mut found = BTreeSet::new();
    let mut nodes: Vec<PageId> = Vec::new();
    if index.root_page != PageId(0) {
        nodes.push(index.root_page);
    }
    let mut node_count = 0;
    while let Some(page) = nodes.pop() {
        node_count += 1;
        let bytes = data.page(page).unwrap();
        for entry in RTreeNode::parse(&bytes).unwrap().entries() {
            let entry = entry.unwrap();
            match entry.target {
                Target::Node(child) => nodes.push(child),
                Target::Document(collection, address) => {
                    assert_eq!(collection, index.collection_id);
                    assert!(found.insert(address), "{address} twice");
                    let [x, y] = expected[&address];
                    let bounds = entry.bounds;
                    assert!(f64::from(bounds.min_x) <= x && x <= f64::from(bounds.max_x));
                    assert!(f64::from(bounds.min_y) <= y && y <= f64::from(bounds.max_y));
                }
            }
        }
    }
    assert!(found.iter().eq(expected.keys()), "points of {}", index.name);
    assert_eq!(
        node_count,
        statistics.leaf_nodes + statistics.internal_nodes
    );
    let entries = found.len() as u64;
    assert_eq!(
        (index.entry_count, statistics.total_entries),
        (entries, entries)
    );
    assert_eq!(statistics.unique_keys, entries);
    let entry = |(address, [x, y]): (&DocumentAddress, &[f64; 2])| {
        (format!("[{x},{y}]"), id_of(&documents[address]))
    };
    expected.iter().map(entry).collect()
}
