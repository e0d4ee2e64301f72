//! What the fuzzers run, on one input each: a reader must not panic, and what it accepts must hold.
//!
//! `fuzz/` gives these functions to libFuzzer; `tests/fuzz_corpus.rs` gives them the corpus that is
//! kept in `fixtures/fuzz-corpus/`.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    reason = "a target fails by panicking"
)]

use laura_migrate::document::InferTypes;
use laura_migrate::document::bson::{self, RawDocument};
use laura_migrate::document::ejson;
use laura_migrate::document::json::{Converted, DocumentContext, JsonConverter};
use laura_migrate::files::InputFile;
use laura_migrate::index::{Filter, ListedText, SkipIndexes, parse_listed};
use laura_migrate::v1::snapshot::{self, BadDocument, ChunkSink, ChunkWalker, ScanOptions};
use laura_migrate::v1::wal::{Overlay, RecordPlace, WalOptions};
use laura_migrate::v2::btree::Node;
use laura_migrate::v2::data_file::scan_documents;
use laura_migrate::v2::freelist::FreeListPage;
use laura_migrate::v2::metadata::MetadataReader;
use laura_migrate::v2::page::{ChecksumPolicy, PAGE_SIZE};
use laura_migrate::v2::page_file::PageFileReader;
use laura_migrate::v2::postings::Chunk;
use laura_migrate::v2::rtree::RTreeNode;
use laura_migrate::v2::slotted::{SlotContent, SlottedPage};
use laura_migrate::v2::statistics::StatisticsRecord;
use laura_migrate::v2::{PageHeader, PageId};
use laura_migrate::version::Marker;
use laura_migrate::{Error, Place, Result};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

mod directories;
mod trees;

pub use directories::{backup, gathered, joined, options, run, set_time, state, v2};
pub use trees::tree;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 14] = [
    ("snapshot", snapshot),
    ("wal", wal),
    ("bson", bson),
    ("ejson", ejson),
    ("json", json),
    ("page", page),
    ("tree", tree),
    ("metadata", metadata),
    ("marker", marker),
    ("index", index),
    ("backup", backup),
    ("run", run),
    ("state", state),
    ("v2", v2),
];

/// In memory where there is such a file system.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap()
}

fn in_file(data: &[u8], read: impl FnOnce(InputFile)) {
    let directory = scratch();
    let path = directory.path().join("input");
    fs::write(&path, data).unwrap();
    read(InputFile::open(&path).unwrap());
}

/// A page file whose pages say where they lie and have no checksum, so that mutations get past both.
fn page_file(data: &[u8]) -> Vec<u8> {
    let mut file = data.to_vec();
    for (page, number) in file.chunks_exact_mut(PAGE_SIZE).zip(0_u32..) {
        page[..4].copy_from_slice(&number.to_le_bytes());
        page[14..16].fill(0);
    }
    file
}

/// Every error says where it is.
fn placed<T>(result: Result<T>) -> Option<T> {
    result
        .map_err(|error: Error| assert!(!error.place().is_empty(), "{error:?}"))
        .ok()
}

/// Checks what was converted, and passes what cannot be.
#[derive(Default)]
struct Checked {
    bson: Vec<u8>,
    documents: u64,
}

impl ChunkSink for Checked {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.bson.clear();
        &mut self.bson
    }

    fn document(&mut self, _: usize, _: &mut Converted, _: u64) -> Result<()> {
        bson::check(&self.bson).unwrap();
        self.documents += 1;
        Ok(())
    }

    fn bad_document(&mut self, _: BadDocument) -> Result<()> {
        self.documents += 1;
        Ok(())
    }
}

pub fn snapshot(data: &[u8]) {
    in_file(data, |file| {
        let mut layouts = Vec::new();
        for buffer_bytes in [16, 1 << 20] {
            let options = ScanOptions {
                buffer_bytes,
                chunk_bytes: 64,
                ..ScanOptions::default()
            };
            let layout = snapshot::scan(&file, &options, &mut |_| Ok(()));
            layouts.push(placed(layout));
        }
        assert_eq!(layouts[0], layouts[1], "the buffer's size shows");
        let _ = snapshot::timestamp(&file);
        let Some(layout) = layouts.pop().flatten() else {
            return;
        };
        let mut walker = ChunkWalker::new(JsonConverter::new(InferTypes::default()));
        for collection in &layout.collections {
            for chunk in &collection.chunks {
                let mut sink = Checked::default();
                let walk = walker.walk_into(&file, &collection.name, *chunk, &mut sink);
                if placed(walk).is_some() {
                    assert_eq!(sink.documents, u64::from(chunk.documents));
                }
            }
            for index in &collection.indexes {
                index.text(&file).unwrap();
            }
        }
    });
}

pub fn wal(data: &[u8]) {
    in_file(data, |file| {
        for max_bad in [0, 3, u64::MAX] {
            let mut names = Vec::new();
            let mut resolve = |name: &str, _: RecordPlace| {
                let known = names.iter().position(|known| known == name);
                let number = known.unwrap_or_else(|| {
                    names.push(name.to_owned());
                    names.len() - 1
                });
                Ok(Some(u32::try_from(number).unwrap()))
            };
            let options = WalOptions {
                after_lsn: data.first().map(|byte| u64::from(*byte)),
                memory_limit: 1 << 20,
                resolve: &mut resolve,
            };
            let mut end = 0;
            let scanned = Overlay::scan_passing(file.clone(), options, max_bad, &mut |record| {
                assert!(record.offset >= end, "records overlap");
                end = record.offset + record.bytes;
                assert!(end <= data.len() as u64);
                Ok(())
            });
            let Some((overlay, summary)) = placed(scanned) else {
                continue;
            };
            assert!(summary.bad_records <= max_bad);
            let mut document = Vec::new();
            for number in 0..u32::try_from(names.len()).unwrap() {
                for record in overlay.remaining(number) {
                    overlay.read_document(record, &mut document).unwrap();
                    bson::check(&document).unwrap();
                }
            }
        }
    });
}

pub fn bson(data: &[u8]) {
    // Reading must be safe even where nobody has checked.
    for (_, value) in RawDocument::trusted(data).elements() {
        let _ = ejson::display_id(value);
    }
    let Ok(document) = bson::check(data) else {
        return;
    };
    let mut text = Vec::new();
    ejson::write_document(document, &mut text);
    let mut back = Vec::new();
    ejson::parse_document(str::from_utf8(&text).unwrap(), &mut back).unwrap();
    assert_eq!(back, data);
}

pub fn ejson(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let mut document = Vec::new();
    if ejson::parse_document(text, &mut document).is_ok() {
        bson(&document);
        bson::check(&document).unwrap();
    }
}

pub fn json(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let context = DocumentContext {
        collection: "c",
        ordinal: 7,
    };
    for bits in 0..4 {
        let infer = InferTypes {
            object_id: bits & 1 != 0,
            timestamp: bits & 2 != 0,
        };
        let mut document = vec![1, 2, 3];
        let converted = JsonConverter::new(infer).convert(text, &context, &mut document);
        match converted {
            Ok(converted) => {
                assert!(converted.text_bytes <= text.len());
                bson::check(&document[3..]).unwrap();
            }
            Err(error) => {
                assert!(error.offset <= text.len(), "{error:?}");
                assert_eq!(document, [1, 2, 3]);
            }
        }
    }
}

pub fn page(data: &[u8]) {
    let mut page = Box::new([0; PAGE_SIZE]);
    let length = data.len().min(PAGE_SIZE);
    page[..length].copy_from_slice(&data[..length]);
    let _ = PageHeader::decode(&page);
    if let Ok(slotted) = SlottedPage::open(&page) {
        let _ = slotted.check_layout();
        for (_, content) in slotted.slots().flatten() {
            if let SlotContent::Document(bytes) = content {
                let _ = bson::check(bytes);
                if let Ok(chunk) = Chunk::parse(bytes) {
                    let _ = (chunk.next(), chunk.len());
                }
            }
        }
        for slot in slotted.deleted_slots() {
            let _ = slotted.get_deleted(slot);
        }
    }
    if let Ok(node) = Node::parse(&page) {
        node.entries().for_each(drop);
        for number in 0..=node.key_count() {
            let _ = (node.separator(number), node.child(number));
        }
    }
    if let Ok(node) = RTreeNode::parse(&page) {
        node.entries().for_each(drop);
        let _ = (node.check_fresh(), node.bounds());
    }
    if let Ok(list) = FreeListPage::open(&page) {
        list.entries().for_each(drop);
    }
    let _ = StatisticsRecord::decode(&page);
    in_file(&page_file(data), |file| {
        if let Ok(pages) = PageFileReader::open(file, ChecksumPolicy::Optional) {
            let scan = scan_documents(&pages, PageId(0), pages.page_count(), |_, document| {
                let _ = bson::check(document);
                Ok(())
            });
            placed(scan);
        }
    });
}

pub fn metadata(data: &[u8]) {
    in_file(&page_file(data), |file| {
        let Some(reader) = placed(MetadataReader::open(file, ChecksumPolicy::Optional)) else {
            return;
        };
        for entry in reader.collections().take(1000) {
            placed(reader.load(entry));
        }
    });
}

pub fn marker(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(marker) = Marker::parse(text) {
        let again = Marker::parse(&marker.encode()).unwrap();
        assert_eq!(again.encode(), marker.encode());
    }
}

pub fn index(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let filter = Filter::parse(text, InferTypes::default());
    let mut document = Vec::new();
    let sample = r#"{"_id":"x","a":{"$numberLong":"1"},"b":["x",null],"c":{"d":"e"}}"#;
    ejson::parse_document(sample, &mut document).unwrap();
    let _ = (
        filter.matches(RawDocument::trusted(&document)),
        filter.problem(),
    );
    let listed = ListedText {
        text: text.to_owned(),
        place: Place::offset("snapshot.json", 5),
    };
    let skip = SkipIndexes::parse::<&str>(&[]).unwrap();
    let found = parse_listed("c", [listed], &skip);
    assert!(
        found
            .problems
            .iter()
            .all(|problem| !problem.place().is_empty())
    );
}
