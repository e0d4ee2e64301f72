//! What the tests of stores share: documents, and a check of everything that a v2 directory says.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking; each file uses its own part"
)]

use laura_migrate::document::bson::{OwnedDocument, RawDocument, RawValue};
use laura_migrate::document::ejson;
use laura_migrate::files::{Dir, Gate, InputFile};
use laura_migrate::index::{IndexDefinition, IndexKind};
use laura_migrate::problems::Problems;
use laura_migrate::source::{DocumentSource, V1Options, V2Source};
use laura_migrate::store::{DocumentStore, StoreConfig};
use laura_migrate::v2::btree::edit::{TreePages, survey};
use laura_migrate::v2::btree::{Node, PageSource, TreeIds, TreeReader};
use laura_migrate::v2::data_file::DocumentReader;
use laura_migrate::v2::freelist::FreeListPage;
use laura_migrate::v2::metadata::{ContentDigest, IndexMetadata, MetadataReader};
use laura_migrate::v2::page_file::PageFileReader;
use laura_migrate::v2::slotted::{SlotContent, SlottedPage};
use laura_migrate::v2::{ChecksumPolicy, DocumentAddress, PageId, PageType, SharedPage};
use laura_migrate::validate::{self, PublishedFiles, Resources, SideInput, TemporaryRuns};
use laura_migrate::{Result, Verification, index::key};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

/// `_id` (Extended JSON) to document (Extended JSON).
pub(crate) type Documents = BTreeMap<String, String>;

pub(crate) fn document(id: i64, fields: &[(&str, RawValue<'_>)]) -> OwnedDocument {
    let id = [("_id", RawValue::Int64(id))];
    id.into_iter().chain(fields.iter().copied()).collect()
}

pub(crate) fn index(name: &str, fields: &[&str], unique: bool) -> IndexDefinition {
    IndexDefinition {
        name: name.to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        unique,
        kind: IndexKind::Btree,
        ..IndexDefinition::id_index()
    }
}

/// Two text indexes, one of them partial, and two geo indexes.
pub(crate) fn special_indexes() -> Vec<IndexDefinition> {
    let kind = |name: &str, field: &str, kind| IndexDefinition {
        kind,
        ..index(name, &[field], false)
    };
    let mut partial = kind("words_few", "w", IndexKind::Text);
    partial.filter = Some(r#"{"n":{"$gt":50}}"#.to_owned());
    vec![
        kind("earth", "at", IndexKind::Geo2dSphere),
        kind("plane", "at", IndexKind::Geo2d),
        kind("words", "w", IndexKind::Text),
        partial,
    ]
}

/// A unique, a plain, a compound, a partial and a TTL index.
pub(crate) fn all_indexes() -> Vec<IndexDefinition> {
    let mut partial = index("few", &["n"], false);
    partial.filter = Some(r#"{"n":{"$gt":50}}"#.to_owned());
    let mut ttl = index("until", &["t"], false);
    ttl.kind = IndexKind::Ttl {
        expire_after_seconds: 60,
    };
    vec![
        index("both", &["n", "s"], false),
        partial,
        index("s_1", &["s"], false),
        index("u_1", &["u"], true),
        ttl,
    ]
}

pub(crate) fn config() -> StoreConfig {
    StoreConfig {
        source_date_epoch: Some(1_736_937_000),
        page_cache_bytes: 1 << 20,
        document_cache_bytes: 1 << 16,
        checkpoint_bytes: 96 << 10,
        ..StoreConfig::default()
    }
}

pub(crate) fn text(document: RawDocument<'_>) -> String {
    let mut out = Vec::new();
    ejson::write_document(document, &mut out);
    String::from_utf8(out).unwrap()
}

pub(crate) fn scanned(store: &dyn DocumentStore, collection: &str) -> Documents {
    let mut found = Documents::new();
    store
        .scan(collection, &mut |document| {
            let id = ejson::display_id(document.get("_id").unwrap());
            assert!(found.insert(id, text(document)).is_none(), "found twice");
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    found
}

/// Every index gives the documents that a scan says it has, in order.
pub(crate) fn assert_indexes_agree(store: &dyn DocumentStore, collection: &str) {
    let mut all: Vec<OwnedDocument> = store.filter(collection, &mut |_| true).unwrap();
    assert_eq!(store.count(collection).unwrap(), all.len() as u64);
    let definitions = store.indexes(collection).unwrap();
    for definition in definitions.iter().filter(|index| index.kind.is_btree()) {
        let has = |document: RawDocument<'_>| {
            let there = definition
                .fields
                .iter()
                .all(|field| document.get(field).is_some());
            let over = |value| matches!(value, Some(RawValue::Int64(n)) if n > 50);
            there && (definition.filter.is_none() || over(document.get("n")))
        };
        let key = |document: &OwnedDocument| normal_key(document.as_raw(), &definition.fields);
        let mut expected: Vec<(Vec<u8>, String)> = all
            .iter()
            .filter(|document| has(document.as_raw()))
            .map(|document| (key(document), text(document.as_raw())))
            .collect();
        expected.sort();
        let mut found = Vec::new();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        store
            .range(collection, &definition.name, everything, &mut |document| {
                let owned = OwnedDocument::trusted(document.as_bytes().to_vec());
                found.push((key(&owned), text(document)));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
        assert!(keys.is_sorted(), "index {}", definition.name);
        found.sort();
        assert_eq!(found, expected, "index {}", definition.name);
    }
    all.truncate(3);
    for document in all {
        let id = document.as_raw().get("_id").unwrap();
        let found = store.find(collection, id).unwrap().unwrap();
        assert_eq!(*found, document);
    }
}

struct Pages(PageFileReader);

impl TreePages for Pages {
    fn index_page(&self, id: PageId) -> Result<Arc<SharedPage>> {
        Ok(Arc::new(SharedPage::new(*self.0.page(id)?)))
    }

    fn page_count(&self) -> u32 {
        PageSource::page_count(&self.0)
    }
}

/// Checks what a v2 directory that a store has closed says of itself: every page belongs to
/// something, exactly once; counts, digests and statistics are those of what is there. Text and
/// geo indexes are left to [`assert_valid`].
#[expect(clippy::too_many_lines, reason = "every index is compared with a scan")]
pub(crate) fn assert_sound(directory: &Path) {
    let open = |name: &str| InputFile::open(&directory.join(name)).unwrap();
    let metadata = MetadataReader::open(open("metadata.db"), ChecksumPolicy::Required).unwrap();
    let data = PageFileReader::open(open("data.db"), ChecksumPolicy::Required).unwrap();
    let mut owners = vec![None; data.page_count() as usize];
    owners[0] = Some("page 0".to_owned());
    let mut others = false;
    let mut take = |page: PageId, owner: String| {
        let before = owners[page.0 as usize].replace(owner);
        assert!(before.is_none(), "page {page} is of {before:?} as well");
    };
    for entry in metadata.collections() {
        let loaded = metadata.load(entry).unwrap();
        let record = &loaded.record;
        let options = record.options.clone().unwrap();
        for page in free_pages(&data, options.free_list) {
            take(page, "the free list".to_owned());
        }
        let (mut count, mut size, mut digest) = (0, 0, ContentDigest::default());
        let mut first = PageId(0);
        let mut documents = BTreeMap::new();
        let owner = u16::try_from(entry.collection_id).unwrap();
        data.scan(PageId(1), data.page_count() - 1, |id, kind, bytes| {
            if kind != PageType::Data {
                return Ok(());
            }
            let slotted = SlottedPage::open(bytes).unwrap();
            slotted.check_layout().unwrap();
            if slotted.owner() != owner {
                return Ok(());
            }
            assert!(
                slotted.slots().next().is_some(),
                "page {id} is empty but not free"
            );
            first = if first == PageId(0) { id } else { first };
            take(id, entry.name.clone());
            let mut reader = DocumentReader::new(&data);
            for slot in slotted.slots() {
                let (slot, content) = slot.unwrap();
                for page in chain_pages(&data, content) {
                    take(page, format!("overflow of {}", entry.name));
                }
                let address = DocumentAddress { page: id, slot };
                let document = reader.resolve(address, content)?;
                digest.add_document(document);
                documents.insert(address, document.to_vec());
                (count, size) = (count + 1, size + document.len() as u64);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((record.document_count, record.data_size), (count, size));
        assert_eq!(options.content_digest, Some(digest));
        assert_eq!(record.first_data_page, first);
        for found in &loaded.indexes {
            if !found.record.definition().unwrap().kind.is_btree() {
                others = true;
                continue;
            }
            take_tree(&data, found.record.root_page, &mut |page| {
                take(page, format!("index {}", found.record.name));
            });
            check_index(&data, found, &documents);
        }
    }
    let is_index = |page: u32| {
        let page_type = data.read_any(PageId(page), &mut [0; 4096]).unwrap();
        page_type == PageType::Index
    };
    let lost: Vec<_> = (0..)
        .zip(&owners)
        .filter(|(page, owner)| owner.is_none() && !(others && is_index(*page)))
        .collect();
    assert!(lost.is_empty(), "pages of nobody: {lost:?}");
}

/// The pages of a free list, and those that it lists.
fn free_pages(data: &PageFileReader, head: Option<PageId>) -> Vec<PageId> {
    let (mut pages, mut next) = (Vec::new(), head);
    while let Some(id) = next {
        let mut page = [0; 4096];
        data.read(id, PageType::FreeList, &mut page).unwrap();
        pages.push(id);
        let list = FreeListPage::open(&page).unwrap();
        pages.extend(list.entries());
        next = list.next();
    }
    pages
}

fn chain_pages(data: &PageFileReader, content: SlotContent<'_>) -> Vec<PageId> {
    let mut pages = Vec::new();
    if let SlotContent::Overflow(head) = content {
        let mut chain = laura_migrate::v2::overflow::ChainReader::new(head);
        let mut page = [0; 4096];
        while let Some(id) = chain.next_page() {
            data.read(id, PageType::Overflow, &mut page).unwrap();
            pages.push(id);
            chain.take(&page, &mut Vec::new()).unwrap();
        }
    }
    pages
}

/// An index is what its documents, and its own metadata, say.
fn check_index(
    data: &PageFileReader,
    found: &IndexMetadata,
    documents: &BTreeMap<DocumentAddress, Vec<u8>>,
) {
    let ids = TreeIds {
        index_id: found.record.index_id,
        collection_id: found.record.collection_id,
    };
    let pages = Pages(data.clone());
    let tree = survey(&pages, found.record.root_page, ids, &mut |_| Ok(())).unwrap();
    let statistics = &found.statistics;
    assert_eq!(found.record.entry_count, tree.entry_count);
    assert_eq!(found.record.order, tree.order(), "{}", found.record.name);
    assert_eq!(statistics.total_entries, tree.entry_count);
    assert_eq!(statistics.height, tree.height);
    assert_eq!(statistics.leaf_nodes, tree.leaf_nodes);
    assert_eq!(statistics.internal_nodes, tree.internal_nodes);
    let average = tree
        .key_bytes_total
        .checked_div(tree.entry_count)
        .unwrap_or(0);
    assert_eq!(u64::from(statistics.avg_key_size), average);
    let compare = |left: key::StoredKeyRef<'_>, right: key::StoredKeyRef<'_>| {
        Ok(key::compare_stored(left, right).unwrap())
    };
    let reader = TreeReader::new(data, found.record.root_page, ids, &compare);
    let (mut scan, mut unique, mut last) = (reader.scan().unwrap(), 0, None);
    let mut json = Vec::new();
    while let Some(entry) = scan.next().unwrap() {
        json.push(key::key_json(entry.key).unwrap());
        let (_, address) = DocumentAddress::decode(entry.value).unwrap();
        let document = RawDocument::trusted(&documents[&address]);
        let normal = normal_key(document, &found.record.fields);
        assert!(last.as_ref() <= Some(&normal), "{}", found.record.name);
        unique += u64::from(last.as_ref() != Some(&normal));
        last = Some(normal);
    }
    assert_eq!(statistics.unique_keys, unique, "{}", found.record.name);
    // A composite key that was cut tells no JSON.
    for (key, stated) in [
        (json.first(), &statistics.min_key),
        (json.last(), &statistics.max_key),
    ] {
        match key {
            None => assert_eq!(stated, ""),
            Some(Some(key)) => assert_eq!(stated, key),
            Some(None) => assert!(!stated.is_empty()),
        }
    }
}

fn normal_key(document: RawDocument<'_>, fields: &[String]) -> Vec<u8> {
    let mut key = key::KeyBuffer::new();
    let values = fields.iter().map(|field| document.get(field).unwrap());
    let values: Vec<_> = values
        .map(|value| key::KeyValue::from_raw(value).unwrap())
        .collect();
    key.set_whole(values.into_iter());
    key.normal().to_vec()
}

fn take_tree(data: &PageFileReader, id: PageId, take: &mut dyn FnMut(PageId)) {
    if id == PageId(0) {
        return;
    }
    take(id);
    let page = data.page(id).unwrap();
    let node = Node::parse(&page).unwrap();
    for child in (0..=node.key_count()).filter_map(|at| node.child(at)) {
        take_tree(data, child, take);
    }
}

/// Validation, the judge of every directory, finds nothing: neither in the files nor, after a crash,
/// in the files with what the log has.
pub(crate) fn assert_valid(directory: &Path) {
    let dir = |path: &Path| Dir::open(path, Gate::open()).unwrap();
    let temporary = TemporaryRuns::new(dir(&std::env::temp_dir()));
    let mut advance = |_, _| Ok(());
    let mut resources = Resources::new(32 << 20, temporary, Verification::All, &mut advance);
    let input = SideInput {
        dir: dir(directory),
        v1: V1Options::default(),
        published: PublishedFiles::Unknown,
        problems: Problems::default(),
    };
    let side = validate::check(input, &mut resources).unwrap();
    let problems = side.outcome.problems.iter().flat_map(|kind| &kind.first);
    let problems: Vec<String> = problems.map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new());
}

/// All documents as other modes read them, through the log if need be.
pub(crate) fn read_as_source(directory: &Path, collection: &str) -> Documents {
    let dir = Dir::open(directory, Gate::open()).unwrap();
    let source = V2Source::open(&dir).unwrap();
    let all = source.collections();
    let number = all
        .iter()
        .position(|found| found.name == collection)
        .unwrap();
    let mut documents = Documents::new();
    source
        .read(number, &mut |found| {
            let id = ejson::display_id(found.document.get("_id").unwrap());
            assert!(documents.insert(id, text(found.document)).is_none());
            Ok(())
        })
        .unwrap();
    documents
}
