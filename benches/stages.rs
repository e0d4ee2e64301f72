//! What each stage of a migration costs, on documents of the seed shape (about 120 bytes of JSON).
//!
//! ```text
//! cargo bench --bench stages -- sort
//! ```
//!
//! Each figure is for 10,000 documents, or for the pages and keys that they become.

#![allow(clippy::unwrap_used, reason = "what fails here fails the measurement")]
#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use laura_migrate::document::InferTypes;
use laura_migrate::document::bson::RawDocument;
use laura_migrate::document::json::{DocumentContext, JsonConverter};
use laura_migrate::files::{Access, AppendWriter, Dir, Gate, InputFile};
use laura_migrate::hash::xxh3_128;
use laura_migrate::index::extract::{Extraction, ExtractorSet, KeyExtractor};
use laura_migrate::index::key::{KeyBuffer, SortKey, StoredOrder};
use laura_migrate::index::sort::{FullKeys, SortPool, SpillFile};
use laura_migrate::index::{EntrySum, IndexDefinition, IndexKind, key_hash};
use laura_migrate::v1::snapshot::{ScanOptions, scan};
use laura_migrate::v2::btree::{
    BulkLoader, LeafEntry, PageSink, SPILL_LIMIT, StoredKey, StoredKeyRef, TreeChecker, TreeIds,
    TreeVisitor, Values,
};
use laura_migrate::v2::page::{self, PAGE_SIZE};
use laura_migrate::v2::slotted::{SlotContent, SlottedBuilder, SlottedPage};
use laura_migrate::v2::{ChecksumPolicy, DocumentAddress, PageBytes, PageId, PageType, SlotNumber};
use laura_migrate::{Code, Error, Result};
use std::cmp::Ordering;
use std::hint::black_box;

const DOCUMENTS: u64 = 10_000;
const IDS: TreeIds = TreeIds {
    index_id: 1,
    collection_id: 1,
};

fn json(number: u64) -> String {
    format!(
        r#"{{"_id":"user_{number}","fields":{{"age":{},"email":"user{number}@example.com","#,
        20 + number % 50
    ) + &format!(r#""name":"User {number}","tags":["tag1","tag2","tag3"]}}}}"#)
}

fn snapshot() -> String {
    let documents: Vec<String> = (0..DOCUMENTS).map(json).collect();
    format!(
        r#"{{"version":"1.0","timestamp":"","database_name":"seed","collections":[{{"name":"users","documents":[{}]}}]}}"#,
        documents.join(",")
    )
}

fn bson() -> Vec<Vec<u8>> {
    let mut converter = JsonConverter::new(InferTypes::default());
    let convert = |ordinal| {
        let context = DocumentContext {
            collection: "users",
            ordinal,
        };
        let mut out = Vec::new();
        converter
            .convert(&json(ordinal), &context, &mut out)
            .unwrap();
        out
    };
    (0..DOCUMENTS).map(convert).collect()
}

fn pages(documents: &[Vec<u8>]) -> Vec<PageBytes> {
    let mut builder = SlottedBuilder::new(1);
    let mut pages = Vec::new();
    for document in documents {
        if builder.try_insert(document).is_none() {
            pages.push(*builder.finish());
            builder.try_insert(document).unwrap();
        }
    }
    pages.push(*builder.finish());
    for (page, id) in pages.iter_mut().zip(1..) {
        page::seal(page, PageId(id));
    }
    pages
}

fn extractors() -> ExtractorSet {
    let extractor = |field: &str| {
        let definition = IndexDefinition {
            name: field.to_owned(),
            kind: IndexKind::Btree,
            fields: vec![field.to_owned()],
            unique: false,
            sparse: false,
            filter: None,
            config: None,
        };
        KeyExtractor::new(&definition, None, |_| None).unwrap()
    };
    ExtractorSet::new(["_id", "age", "email"].map(extractor))
}

/// No key here is long.
struct Short;

impl FullKeys for Short {
    fn full_key(&self, _: DocumentAddress, _: &mut KeyBuffer) -> Result<()> {
        Err(Error::new(Code::Internal, "a key is long"))
    }
}

fn no_file() -> Result<AppendWriter> {
    Err(Error::new(Code::Internal, "everything fits in memory"))
}

/// All keys of the `email` index, and the pool that sorts them.
fn filled(documents: &[Vec<u8>]) -> SortPool {
    let mut pool = SortPool::new(64 << 20, SpillFile::new(no_file));
    let id = pool.add_index();
    let mut extractors = extractors();
    for (document, page) in documents.iter().zip(1..) {
        let address = DocumentAddress {
            page: PageId(page),
            slot: SlotNumber(0),
        };
        let document = RawDocument::trusted(document);
        let push = |number, key: std::result::Result<&SortKey<'_>, Extraction>| match (number, key)
        {
            (2, Ok(key)) => pool.push_key(id, key, address),
            _ => Ok(()),
        };
        extractors.extract(document, push).unwrap();
    }
    pool
}

fn sorted(mut pool: SortPool) -> Vec<(StoredKey, DocumentAddress)> {
    let mut merge = pool
        .merge(laura_migrate::index::sort::SorterId(0), &Short)
        .unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = merge.next().unwrap() {
        entries.push((entry.stored.to_owned(), entry.address));
    }
    entries
}

/// A tree's pages, from page 1 on.
#[derive(Default)]
struct Pages(Vec<PageBytes>);

impl PageSink for Pages {
    fn next_page(&self) -> PageId {
        PageId(u32::try_from(self.0.len() + 1).unwrap())
    }

    fn append(&mut self, page: &mut PageBytes) -> Result<PageId> {
        let id = self.next_page();
        page::seal(page, id);
        self.0.push(*page);
        Ok(id)
    }
}

/// Sums up a tree's entries.
#[derive(Default)]
struct Entries(EntrySum, StoredOrder);

impl TreeVisitor for Entries {
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>> {
        let compared = self.1.compare(left, right);
        compared.map_err(|error| Error::new(Code::VerifyFailed, "a key is damaged").because(error))
    }

    fn compare_whole(&mut self, _: LeafEntry<'_>, _: LeafEntry<'_>) -> Result<Ordering> {
        Ok(Ordering::Equal)
    }

    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        let (_, address) = DocumentAddress::decode(entry.value).unwrap();
        self.0.add(key_hash(entry.key, address));
        Ok(())
    }
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("reading");
    let text = snapshot();
    group.throughput(Throughput::Bytes(text.len() as u64));
    let directory = tempfile::tempdir().unwrap();
    let dir = Dir::open(directory.path(), Gate::open()).unwrap();
    dir.replace("snapshot.json", text.as_bytes(), Access::default())
        .unwrap();
    let file = InputFile::open(&directory.path().join("snapshot.json")).unwrap();
    group.bench_function("boundary scan", |b| {
        b.iter(|| scan(&file, &ScanOptions::default(), &mut |_| Ok(())).unwrap());
    });
    let documents: Vec<String> = (0..DOCUMENTS).map(|number| json(number) + ",").collect();
    let text = documents.concat();
    group.bench_function("JSON to BSON", |b| {
        let mut converter = JsonConverter::new(InferTypes::default());
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            let mut at = 0;
            for ordinal in 0..DOCUMENTS {
                let context = DocumentContext {
                    collection: "users",
                    ordinal,
                };
                let rest = text.get(at..).unwrap();
                let converted = converter.convert(rest, &context, &mut out).unwrap();
                at += converted.text_bytes + 1;
            }
            black_box(out.len())
        });
    });
    let bson = bson();
    group.throughput(Throughput::Bytes(
        bson.iter().map(|bson| bson.len() as u64).sum(),
    ));
    group.bench_function("digest", |b| {
        b.iter(|| {
            bson.iter()
                .fold(0_u128, |sum, bson| sum.wrapping_add(xxh3_128(bson)))
        });
    });
}

fn writing(c: &mut Criterion) {
    let mut group = c.benchmark_group("writing");
    let documents = bson();
    group.throughput(Throughput::Elements(DOCUMENTS));
    group.bench_function("page building", |b| b.iter(|| pages(&documents)));
    group.bench_function("key extraction", |b| {
        let mut extractors = extractors();
        b.iter(|| {
            let mut keys = 0;
            for document in &documents {
                let count = |_, key: std::result::Result<&SortKey<'_>, Extraction>| {
                    keys += black_box(key).map_or(0, |key| key.normal_len());
                    Ok(())
                };
                let document = RawDocument::trusted(document);
                extractors.extract(document, count).unwrap();
            }
            keys
        });
    });
    group.bench_function("sort", |b| b.iter(|| sorted(filled(&documents))));
    let entries = sorted(filled(&documents));
    group.bench_function("bulk load", |b| {
        b.iter(|| {
            let mut pages = Pages::default();
            let mut loader = BulkLoader::new(&mut pages, IDS, SPILL_LIMIT, no_file);
            for (key, address) in &entries {
                let value = address.encode(IDS.collection_id);
                loader.push(key.borrow(), &value, false).unwrap();
            }
            loader.finish().unwrap()
        });
    });
}

fn verifying(c: &mut Criterion) {
    let mut group = c.benchmark_group("verifying");
    let documents = bson();
    let data = pages(&documents);
    group.throughput(Throughput::Bytes((data.len() * PAGE_SIZE) as u64));
    group.bench_function("checksum", |b| {
        let mut pages = data.clone();
        b.iter(|| {
            for (page, id) in pages.iter_mut().zip(1..) {
                page::seal(page, PageId(id));
            }
        });
    });
    group.throughput(Throughput::Elements(DOCUMENTS));
    group.bench_function("verify data", |b| {
        let mut extractors = extractors();
        b.iter(|| verify_data(&data, &mut extractors));
    });
    let mut tree = Pages::default();
    let mut loader = BulkLoader::new(&mut tree, IDS, SPILL_LIMIT, no_file);
    for (key, address) in sorted(filled(&documents)) {
        let value = address.encode(IDS.collection_id);
        loader.push(key.borrow(), &value, false).unwrap();
    }
    let summary = loader.finish().unwrap();
    group.bench_function("verify tree", |b| {
        b.iter(|| {
            let mut checker = TreeChecker::new(summary.shape(), IDS, Values::Addresses).unwrap();
            let mut entries = Entries::default();
            for (bytes, id) in tree.0.iter().zip(1..) {
                let id = PageId(id);
                page::verify(bytes, id, PageType::Index, ChecksumPolicy::Required).unwrap();
                checker.page(id, bytes, &mut entries).unwrap();
            }
            checker.finish().unwrap();
            entries.0
        });
    });
}

fn verify_data(pages: &[PageBytes], extractors: &mut ExtractorSet) -> (u128, EntrySum) {
    let (mut digest, mut sum) = (0_u128, EntrySum::default());
    for (bytes, id) in pages.iter().zip(1..) {
        let id = PageId(id);
        page::verify(bytes, id, PageType::Data, ChecksumPolicy::Required).unwrap();
        let page = SlottedPage::open(bytes).unwrap();
        page.check_layout().unwrap();
        for slot in page.slots() {
            let (slot, content) = slot.unwrap();
            let SlotContent::Document(bson) = content else {
                continue;
            };
            digest = digest.wrapping_add(xxh3_128(bson));
            let address = DocumentAddress { page: id, slot };
            extractors.extract_hashes(RawDocument::trusted(bson), address, |_, hash| {
                sum.add(hash);
            });
        }
    }
    (digest, sum)
}

criterion_group!(stages, reading, writing, verifying);
criterion_main!(stages);
