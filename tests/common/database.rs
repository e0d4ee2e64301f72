//! A v2 directory read back, with every rule that holds for all of them checked on the way.
//!
//! What an index must hold is worked out here from the documents, by plain loops, so that it does
//! not depend on how entries were extracted, sorted and loaded.

use super::special::{read_points, read_terms};
use super::{bson as parse_ejson, ejson, names};
use laura_migrate::document::bson::{self, RawDocument, RawValue};
use laura_migrate::document::ejson::display_id;
use laura_migrate::document::{order, time};
use laura_migrate::files::InputFile;
use laura_migrate::hash::xxh3_128;
use laura_migrate::index::Filter;
use laura_migrate::index::infer_types_of;
use laura_migrate::index::key::{KeyBuffer, KeyValue, compare_stored, key_json};
use laura_migrate::v1::wal::fresh_wal;
use laura_migrate::v2::btree::{StoredKey, StoredKeyRef, TreeIds, TreeReader};
use laura_migrate::v2::data_file::scan_documents;
use laura_migrate::v2::metadata::{CollectionRecord, IndexRecord, IndexType, MetadataReader};
use laura_migrate::v2::page_file::PageFileReader;
use laura_migrate::v2::statistics::StatisticsRecord;
use laura_migrate::v2::{ChecksumPolicy, DocumentAddress, PageId};
use laura_migrate::version::Marker;
use laura_migrate::{Code, Error, Result};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A v2 directory.
pub(crate) struct Database {
    /// By id, which is the order of their names.
    pub(crate) collections: Vec<Collection>,
}

/// A collection with its documents and indexes.
pub(crate) struct Collection {
    pub(crate) record: CollectionRecord,
    /// BSON, in the order of pages and slots.
    pub(crate) documents: Vec<Vec<u8>>,
    pub(crate) indexes: Vec<Index>,
    /// Pages that hold documents, those of overflow chains included.
    pub(crate) page_count: u32,
}

/// An index with its entries.
pub(crate) struct Index {
    pub(crate) record: IndexRecord,
    pub(crate) statistics: StatisticsRecord,
    /// Key as JSON, and the document's `_id` as Extended JSON, in order. Of a text index the term
    /// and the `_id`s of its documents, of a geo index the point and the `_id`, by address.
    pub(crate) entries: Vec<(String, String)>,
}

impl Database {
    /// Reads a directory whole.
    pub(crate) fn read(directory: &Path) -> Self {
        Self::read_from(directory, "1.0")
    }

    /// Reads a directory whole that was made of that format.
    pub(crate) fn read_from(directory: &Path, previous: &str) -> Self {
        let open = |name: &str| InputFile::open(&directory.join(name)).unwrap();
        let marker = Marker::read(&open(".lauradb-version")).unwrap();
        assert_eq!(marker.format_version, "2.0");
        assert_eq!(marker.previous_version.as_deref(), Some(previous));
        assert_eq!(
            std::fs::read(directory.join("wal.log")).unwrap(),
            fresh_wal()
        );
        assert!(!names(directory).contains(&".laura-migrate".to_owned()));

        let metadata = MetadataReader::open(open("metadata.db"), ChecksumPolicy::Required).unwrap();
        let data = PageFileReader::open(open("data.db"), ChecksumPolicy::Required).unwrap();
        let entries: Vec<_> = metadata.collections().collect();
        assert!(entries.is_sorted_by(|a, b| a.name.as_bytes() < b.name.as_bytes()));
        let mut pages = Pages::new(data.page_count());
        let collections = (1..).zip(entries).map(|(id, entry)| {
            assert_eq!(entry.collection_id, id);
            let loaded = metadata.load(entry).unwrap();
            let (documents, page_count) = read_documents(&data, &loaded.record, &mut pages);
            let indexes = loaded.indexes.into_iter().map(|index| {
                let (record, statistics) = (index.record, index.statistics);
                let entries = match record.index_type {
                    IndexType::Text => {
                        let (entries, postings) =
                            read_terms(&data, &record, &statistics, &documents);
                        postings.into_iter().for_each(|page| pages.take(page, 1));
                        entries
                    }
                    IndexType::Geo2d | IndexType::Geo2dSphere => {
                        read_points(&data, &record, &statistics, &documents)
                    }
                    IndexType::Btree | IndexType::Hash => {
                        read_entries(&data, &record, &statistics, &documents)
                    }
                };
                pages.take_tree(&record, &statistics);
                Index {
                    record,
                    statistics,
                    entries,
                }
            });
            Collection {
                indexes: indexes.collect(),
                record: loaded.record,
                documents: documents.into_values().collect(),
                page_count,
            }
        });
        let database = Self {
            collections: collections.collect(),
        };
        pages.all_taken();
        database
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let names = self.collections.iter();
        names.map(|collection| &*collection.record.name).collect()
    }

    #[track_caller]
    pub(crate) fn collection(&self, name: &str) -> &Collection {
        let mut found = self.collections.iter();
        found
            .find(|collection| collection.record.name == name)
            .unwrap_or_else(|| panic!("no collection {name:?} among {:?}", self.names()))
    }
}

impl Collection {
    /// Documents as canonical Extended JSON, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.documents.iter().map(|bson| ejson(bson)).collect()
    }

    /// The `_id`s as Extended JSON, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.documents.iter().map(|bson| id_of(bson)).collect()
    }

    pub(crate) fn index_names(&self) -> Vec<&str> {
        let names = self.indexes.iter();
        names.map(|index| &*index.record.name).collect()
    }

    #[track_caller]
    pub(crate) fn index(&self, name: &str) -> &Index {
        let mut found = self.indexes.iter();
        found
            .find(|index| index.record.name == name)
            .unwrap_or_else(|| panic!("no index {name:?} among {:?}", self.index_names()))
    }

    /// The documents are these, as canonical Extended JSON, in this order.
    #[track_caller]
    pub(crate) fn assert_documents(&self, expected: &[&str]) {
        let expected: Vec<Vec<u8>> = expected.iter().map(|text| parse_ejson(text)).collect();
        let expected: Vec<String> = expected.iter().map(|bson| ejson(bson)).collect();
        assert_eq!(self.lines(), expected);
    }
}

impl Index {
    /// `key → _id` of each entry, in order.
    pub(crate) fn listed(&self) -> Vec<String> {
        let entries = self.entries.iter();
        entries.map(|(key, id)| format!("{key} → {id}")).collect()
    }
}

pub(super) fn id_of(bson: &[u8]) -> String {
    let id = RawDocument::trusted(bson).get("_id");
    display_id(id.expect("a document without _id"))
}

/// To whom the pages of `data.db` belong: each to one collection or index, page 0 to none.
struct Pages {
    count: u32,
    taken: BTreeSet<u32>,
}

impl Pages {
    fn new(count: u32) -> Self {
        Self {
            count,
            taken: BTreeSet::from([0]),
        }
    }

    fn take(&mut self, first: PageId, count: u32) {
        for page in first.0..first.0 + count {
            assert!(page < self.count && self.taken.insert(page), "page {page}");
        }
    }

    /// A fresh tree is one run of pages that ends in its root.
    fn take_tree(&mut self, index: &IndexRecord, statistics: &StatisticsRecord) {
        let count = statistics.leaf_nodes + statistics.internal_nodes;
        assert_eq!(index.root_page == PageId(0), count == 0);
        if count > 0 {
            self.take(PageId(index.root_page.0 + 1 - count), count);
        }
    }

    fn all_taken(&self) {
        assert_eq!(self.taken.len(), self.count as usize);
    }
}

pub(super) type Documents = BTreeMap<DocumentAddress, Vec<u8>>;

fn read_documents(
    data: &PageFileReader,
    record: &CollectionRecord,
    pages: &mut Pages,
) -> (Documents, u32) {
    let options = record.options.as_ref().unwrap();
    let mut documents = Documents::new();
    let (mut digest, mut bytes, mut page_count) = (0_u128, 0, 0);
    for extent in options.data_extents.as_ref().unwrap() {
        pages.take(extent.0, extent.1);
        page_count += extent.1;
        scan_documents(data, extent.0, extent.1, |address, document| {
            bson::check(document).unwrap();
            digest = digest.wrapping_add(xxh3_128(document));
            bytes += document.len() as u64;
            documents.insert(address, document.to_vec());
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(options.content_digest.unwrap().0, digest);
    assert_eq!(record.document_count, documents.len() as u64);
    assert_eq!(record.data_size, bytes);
    let first = documents.first_key_value();
    let first = first.map_or(PageId(0), |(address, _)| address.page);
    assert_eq!(record.first_data_page, first);
    (documents, page_count)
}

/// Reads the entries of an index and checks them against the documents, both ways.
fn read_entries(
    data: &PageFileReader,
    index: &IndexRecord,
    statistics: &StatisticsRecord,
    documents: &Documents,
) -> Vec<(String, String)> {
    let ids = TreeIds {
        index_id: index.index_id,
        collection_id: index.collection_id,
    };
    let compare = |left: StoredKeyRef<'_>, right: StoredKeyRef<'_>| -> Result<Option<Ordering>> {
        compare_stored(left, right)
            .map_err(|error| Error::new(Code::VerifyFailed, "no key").because(error))
    };
    let reader = TreeReader::new(data, index.root_page, ids, &compare);
    let mut scan = reader.scan().unwrap();
    let mut found: Vec<(StoredKey, DocumentAddress)> = Vec::new();
    while let Some(entry) = scan.next().unwrap() {
        let (collection, address) = DocumentAddress::decode(entry.value).unwrap();
        assert_eq!(collection, index.collection_id);
        found.push((entry.key.to_owned(), address));
    }

    let expected = expected_entries(index, documents);
    assert_eq!(found.len(), expected.len(), "entries of {}", index.name);
    let mut unique_keys = 0;
    for (position, (key, address)) in found.iter().enumerate() {
        let values = &expected[address];
        assert_eq!(*key, stored(values), "{} of {address:?}", index.name);
        let previous = position.checked_sub(1).map(|before| found[before].1);
        let order = previous.map(|before| compare_keys(&expected[&before], values));
        match order {
            Some(Ordering::Equal) => assert!(previous < Some(*address) && !index.unique),
            Some(Ordering::Greater) => panic!("{}: {key:?} comes too late", index.name),
            None | Some(Ordering::Less) => unique_keys += 1,
        }
    }
    // Looking keys up goes through the inner nodes, which a scan does not.
    for (key, address) in found.iter().step_by(found.len() / 50 + 1) {
        let mut scan = reader.find(key.borrow()).unwrap();
        let mut is_found = false;
        while let Some(entry) = scan.next().unwrap() {
            is_found |= DocumentAddress::decode(entry.value).unwrap().1 == *address;
        }
        assert!(is_found, "{}: {key:?} is not found", index.name);
    }
    check_statistics(index, statistics, &found, &expected, unique_keys);
    let entry = |(key, address): &(StoredKey, DocumentAddress)| {
        let key = key_json(key.borrow()).unwrap();
        let key = key.unwrap_or_else(|| "null".to_owned());
        (key, id_of(&documents[address]))
    };
    found.iter().map(entry).collect()
}

fn check_statistics(
    index: &IndexRecord,
    statistics: &StatisticsRecord,
    found: &[(StoredKey, DocumentAddress)],
    expected: &BTreeMap<DocumentAddress, Vec<RawValue<'_>>>,
    unique_keys: u64,
) {
    let entries = found.len() as u64;
    assert_eq!(index.entry_count, entries);
    assert_eq!(statistics.total_entries, entries);
    assert_eq!(statistics.unique_keys, unique_keys);
    let key_bytes: usize = found.iter().map(|(key, _)| key.bytes.len()).sum();
    let average = (key_bytes as u64).checked_div(entries).unwrap_or(0);
    assert_eq!(u64::from(statistics.avg_key_size), average);
    // Of the whole key: the stored one may lack fields.
    let end = |entry: Option<&(StoredKey, DocumentAddress)>| {
        entry.map_or(String::new(), |(_, address)| {
            let mut key = KeyBuffer::new();
            let values: Vec<_> = key_values(&expected[address]).collect();
            key.set_whole(values.iter().copied());
            key.json().unwrap().unwrap()
        })
    };
    assert_eq!(statistics.min_key, end(found.first()));
    assert_eq!(statistics.max_key, end(found.last()));
    assert_eq!(statistics.last_updated_ns, index.created_ns);
    match statistics.height {
        0 => assert_eq!((entries, statistics.leaf_nodes, index.order), (0, 0, 1)),
        1 => assert_eq!((statistics.leaf_nodes, statistics.internal_nodes), (1, 0)),
        _ => assert!(statistics.leaf_nodes > 1 && statistics.internal_nodes > 0),
    }
}

/// The key values that each document has in an index, for those that have any.
fn expected_entries<'d>(
    index: &IndexRecord,
    documents: &'d Documents,
) -> BTreeMap<DocumentAddress, Vec<RawValue<'d>>> {
    let options = index.parsed_options().unwrap();
    let is_ttl = options.expire_after_seconds.is_some();
    let entries = taken_by_filter(index, documents).filter_map(|(address, document)| {
        let values = index.fields.iter().map(|path| {
            let value = value_at(document, path)?;
            if is_ttl {
                return time_of(value);
            }
            let is_scalar = !matches!(value, RawValue::Array(_) | RawValue::Document(_));
            is_scalar.then_some(value)
        });
        Some((address, values.collect::<Option<Vec<_>>>()?))
    });
    entries.collect()
}

/// The documents that a partial index may have; all for another.
pub(super) fn taken_by_filter<'d>(
    index: &IndexRecord,
    documents: &'d Documents,
) -> impl Iterator<Item = (DocumentAddress, RawDocument<'d>)> {
    let options = index.parsed_options().unwrap();
    let filter = index.filter.as_ref().map(|text| {
        let infer = infer_types_of(options.infer_types.as_deref().unwrap());
        Filter::parse(text, infer.unwrap())
    });
    let documents = documents.iter();
    documents
        .map(|(address, bson)| (*address, RawDocument::trusted(bson)))
        .filter(move |(_, document)| {
            filter
                .as_ref()
                .is_none_or(|filter| filter.matches(*document))
        })
}

/// The literal top-level name first, then dotted traversal into nested documents.
pub(super) fn value_at<'d>(document: RawDocument<'d>, path: &str) -> Option<RawValue<'d>> {
    if let Some(value) = document.get(path) {
        return Some(value);
    }
    let mut names = path.split('.');
    let first = document.get(names.next()?)?;
    names.try_fold(first, |value, name| match value {
        RawValue::Document(document) => document.get(name),
        _ => None,
    })
}

fn time_of(value: RawValue<'_>) -> Option<RawValue<'_>> {
    match value {
        RawValue::Timestamp(seconds) | RawValue::Int64(seconds) => {
            Some(RawValue::Timestamp(seconds))
        }
        RawValue::String(text) => {
            let time = time::parse_rfc3339(text)?;
            Some(RawValue::Timestamp(time.seconds))
        }
        _ => None,
    }
}

fn key_values<'v>(values: &[RawValue<'v>]) -> impl Iterator<Item = KeyValue<'v>> {
    values
        .iter()
        .map(|value| KeyValue::from_raw(*value).unwrap())
}

fn stored(values: &[RawValue<'_>]) -> StoredKey {
    let values: Vec<KeyValue<'_>> = key_values(values).collect();
    let mut key = KeyBuffer::new();
    key.set(values.iter().copied());
    key.stored(&mut Vec::new()).unwrap().to_owned()
}

fn compare_keys(left: &[RawValue<'_>], right: &[RawValue<'_>]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(left, right)| order::compare_values(*left, *right).unwrap())
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}
