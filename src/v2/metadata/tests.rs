#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of a test fit, or only their low bits matter"
)]

use super::*;
use crate::Code;
use crate::bytes::{put_u16, put_u32};
use crate::document::InferTypes;
use crate::files::{Access, Dir, Gate};
use crate::index::{IndexDefinition, IndexKind, TextTotals};
use crate::v2::address::PageId;
use crate::v2::page::{self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageType};
use crate::v2::statistics::StatisticsRecord;
use proptest::prelude::*;
use serde_json::Value;

const NO_TYPES: InferTypes = InferTypes {
    object_id: false,
    timestamp: false,
};

const CREATED: i64 = 1_736_937_000_123_456_789;

fn fixture() -> (Vec<PageBytes>, Value) {
    let base = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/laura/pages/metadata-pages"
    );
    let file = std::fs::read(format!("{base}.metadata.db")).unwrap();
    let expected = std::fs::read_to_string(format!("{base}.expected.json")).unwrap();
    let pages = file.as_chunks::<PAGE_SIZE>().0.to_vec();
    (pages, serde_json::from_str(&expected).unwrap())
}

/// What the fixture says of each page of a kind.
fn each(kind: &str, mut check: impl FnMut(&PageBytes, &Value, &dyn Fn(&str) -> String)) -> usize {
    let (pages, expected) = fixture();
    let described = expected["pages"].as_array().unwrap().iter();
    let described: Vec<&Value> = described.filter(|page| page["kind"] == kind).collect();
    for description in &described {
        let number = description["page"].as_u64().unwrap();
        let bytes = &pages[number as usize];
        let id = PageId(number as u32);
        page::verify(bytes, id, PageType::Data, ChecksumPolicy::Optional).unwrap();
        let field = |name: &str| {
            let fields = description["fields"].as_array().unwrap();
            let field = fields.iter().find(|field| field["name"] == name);
            match &field.unwrap()["value"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }
        };
        check(bytes, &description["real_load"], &field);
    }
    described.len()
}

/// The page that we write, sealed, is theirs but for the checksum that they do not have.
fn assert_same(theirs: &PageBytes, encode: impl FnOnce(&mut PageBytes) -> Option<()>) {
    let mut ours = [0xff; PAGE_SIZE];
    encode(&mut ours).unwrap();
    page::seal(&mut ours, page::page_id(theirs));
    assert_eq!(ours[..14], theirs[..14]);
    assert!(ours[16..] == theirs[16..]);
}

#[test]
fn collection_records_are_lauradbs_byte_for_byte() {
    let count = each("collection", |bytes, loaded, field| {
        let record = CollectionRecord::decode(bytes).unwrap();
        assert_eq!(record.name, loaded["Name"].as_str().unwrap());
        assert_eq!(u64::from(record.collection_id), loaded["CollectionID"]);
        assert_eq!(record.document_count, loaded["DocumentCount"]);
        assert_eq!(record.data_size, loaded["DataSizeBytes"]);
        assert_eq!(record.index_count, loaded["IndexCount"]);
        assert_eq!(record.first_data_page.0, loaded["FirstDataPageID"]);
        assert_eq!(record.statistics_page.0, loaded["StatisticsPageID"]);
        assert_eq!(record.created_ns.to_string(), field("created_unix_nanos"));
        assert_eq!(record.schema.is_some(), !loaded["Schema"].is_null());
        assert_same(bytes, |page| record.encode(page));
    });
    assert_eq!(count, 4);
    let capped = CollectionRecord::decode(&fixture().0[2]).unwrap();
    let options = capped.options.unwrap();
    assert_eq!(
        (options.capped, options.max_size, options.max_documents),
        (true, 1 << 40, -1)
    );
    assert_eq!((options.data_extents, options.content_digest), (None, None));
}

#[test]
fn index_records_are_lauradbs_byte_for_byte() {
    let count = each("index", |bytes, loaded, field| {
        let record = IndexRecord::decode(bytes).unwrap();
        assert_eq!(record.name, loaded["Name"].as_str().unwrap());
        assert_eq!(record.index_type as u8, loaded["IndexType"]);
        let fields = loaded["FieldPaths"].as_array().unwrap();
        assert!(
            record
                .fields
                .iter()
                .eq(fields.iter().map(|path| path.as_str().unwrap()))
        );
        assert_eq!(record.unique, loaded["IsUnique"]);
        assert_eq!(record.sparse, loaded["IsSparse"]);
        let filter = loaded["PartialFilter"].as_str().unwrap();
        assert_eq!(record.filter.as_deref().unwrap_or_default(), filter);
        assert_eq!(record.root_page.0, loaded["RootPageID"]);
        assert_eq!(record.entry_count, loaded["EntryCount"]);
        assert_eq!(record.order, loaded["Order"]);
        assert_eq!(record.created_ns.to_string(), field("created_unix_nanos"));
        let options = record.options.as_deref().map(serde_json::from_str::<Value>);
        let options = options.map_or(Value::Null, Result::unwrap);
        assert_eq!(options, loaded["Options"]);
        assert_same(bytes, |page| record.encode(page));
    });
    assert_eq!(count, 8);
}

#[test]
fn statistics_are_lauradbs_byte_for_byte() {
    let count = each("statistics", |bytes, loaded, field| {
        let record = StatisticsRecord::decode(bytes).unwrap();
        assert_eq!(record.index_id, loaded["IndexID"]);
        assert_eq!(record.total_entries, loaded["TotalEntries"]);
        assert_eq!(record.unique_keys, loaded["UniqueKeys"]);
        assert_eq!(record.height, loaded["TreeHeight"]);
        assert_eq!(record.leaf_nodes, loaded["LeafNodeCount"]);
        assert_eq!(record.internal_nodes, loaded["InternalNodeCount"]);
        assert_eq!(Some(record.cardinality), loaded["Cardinality"].as_f64());
        assert_eq!(record.min_key, field("min_key_json"));
        assert_eq!(record.max_key, field("max_key_json"));
        let last_access = record.last_access_ns.to_string();
        assert_eq!(last_access, field("last_access_unix_nanos"));
        assert_same(bytes, |page| record.encode(page));
    });
    assert_eq!(count, 4);
}

#[test]
fn published_options_are_this_text() {
    let extents = vec![Extent(PageId(1), 20), Extent(PageId(4_294_967_295), 1)];
    let options = CollectionOptions::published(extents, ContentDigest(0xab));
    let text = r#"{"Capped":false,"MaxSize":0,"MaxDocuments":0,"dataExtents":[[1,20],[4294967295,1]],"contentDigest":"xxh3-128:000000000000000000000000000000ab"}"#;
    assert_eq!(options.to_json(), text);
    assert_eq!(
        serde_json::from_str::<CollectionOptions>(text).unwrap(),
        options
    );
    for wrong in [
        "xxh3-128:00",
        "xxh3-128:000000000000000000000000000000AB",
        "",
    ] {
        assert!(wrong.parse::<ContentDigest>().is_err());
    }
    let partial: CollectionOptions = serde_json::from_str(r#"{"Other":1}"#).unwrap();
    assert_eq!(partial, CollectionOptions::default());
}

fn definition(name: &str, kind: IndexKind) -> IndexDefinition {
    IndexDefinition {
        name: name.to_owned(),
        kind,
        fields: vec!["a.b".to_owned()],
        ..IndexDefinition::id_index()
    }
}

#[test]
fn definitions_come_back_from_their_records() {
    let config = serde_json::json!({"weights": {"title": 10}, "totalDocs": "ours"});
    let mut text = definition("t", IndexKind::Text);
    text.config = config.as_object().cloned();
    let mut partial = definition("p", IndexKind::Btree);
    partial.filter = Some(r#"{"a":{"$gt":5}}"#.to_owned());
    let ttl = definition(
        "ttl",
        IndexKind::Ttl {
            expire_after_seconds: 0,
        },
    );
    let infer = InferTypes::default();
    let expected = [
        (definition("b", IndexKind::Btree), None),
        (ttl, Some(r#"{"expireAfterSeconds":0}"#)),
        (partial, Some(r#"{"inferTypes":["objectid"]}"#)),
        (
            text,
            Some(r#"{"totalDocs":3,"totalLength":9,"weights":{"title":10}}"#),
        ),
        (definition("2d", IndexKind::Geo2d), None),
        (definition("s", IndexKind::Geo2dSphere), None),
    ];
    for (mut definition, options) in expected {
        let built = BuiltIndex {
            text_totals: (definition.kind == IndexKind::Text).then_some(TextTotals {
                documents: 3,
                length: 9,
            }),
            ..BuiltIndex::default()
        };
        let record = IndexRecord::new(&definition, (1, 2), CREATED, infer, built);
        assert_eq!(record.options.as_deref(), options);
        let mut page = [0; PAGE_SIZE];
        record.encode(&mut page).unwrap();
        assert_eq!(IndexRecord::decode(&page).as_ref(), Ok(&record));
        if let Some(config) = &mut definition.config {
            config.remove("totalDocs");
        }
        assert_eq!(record.definition(), Some(definition));
    }
    let hash = IndexRecord::decode(&fixture().0[12]).unwrap();
    assert_eq!(hash.definition(), None);
}

#[test]
fn an_index_record_has_4064_bytes_and_not_one_more() {
    let with_filter = |size: usize| {
        let mut definition = definition("f", IndexKind::Btree);
        definition.filter = Some(format!(r#"{{"x":"{}"}}"#, "y".repeat(size)));
        definition
    };
    let fits = |size| IndexRecord::check_fits(&with_filter(size), NO_TYPES).is_ok();
    let largest = (0..5000).rfind(|size| fits(*size)).unwrap();
    for (size, encodes) in [(largest, Some(())), (largest + 1, None)] {
        let built = BuiltIndex::default();
        let record = IndexRecord::new(&with_filter(size), (1, 1), 0, NO_TYPES, built);
        assert_eq!(record.encode(&mut [0; PAGE_SIZE]), encodes);
    }
    let mut page = [0; PAGE_SIZE];
    let record = IndexRecord::new(
        &with_filter(largest),
        (1, 1),
        0,
        NO_TYPES,
        BuiltIndex::default(),
    );
    record.encode(&mut page).unwrap();
    // The last byte of the options, `}`, is the last of the page.
    assert_eq!(page[PAGE_SIZE - 1], b'}');
    let error = IndexRecord::check_fits(&with_filter(70_000), NO_TYPES).unwrap_err();
    assert_eq!(error.code(), Code::IndexTooLarge);
    assert_eq!(error.place().index.as_deref(), Some("f"));
}

fn index(collection_id: u32, index_id: u32, name: &str) -> IndexMetadata {
    let definition = IndexDefinition {
        name: name.to_owned(),
        ..IndexDefinition::id_index()
    };
    let built = BuiltIndex {
        root_page: PageId(index_id * 3),
        entry_count: 5,
        order: 2,
        text_totals: None,
    };
    IndexMetadata {
        record: IndexRecord::new(
            &definition,
            (collection_id, index_id),
            CREATED,
            NO_TYPES,
            built,
        ),
        statistics: StatisticsRecord {
            index_id,
            min_key: "1".to_owned(),
            max_key: "\"z\"".to_owned(),
            ..StatisticsRecord::default()
        },
    }
}

fn collection(collection_id: u32, index_count: u16) -> CollectionMetadata {
    let indexes: Vec<IndexMetadata> = (1..=u32::from(index_count))
        .map(|id| match id {
            1 => index(collection_id, 1, "_id_"),
            id => index(collection_id, id, &format!("Index{id:03}")),
        })
        .collect();
    let extents = vec![Extent(PageId(collection_id), 2)];
    CollectionMetadata {
        record: CollectionRecord {
            collection_id,
            name: format!("collection-{collection_id:06}"),
            created_ns: CREATED,
            document_count: 10,
            data_size: 1000,
            first_data_page: PageId(collection_id),
            options: Some(CollectionOptions::published(extents, ContentDigest(1))),
            ..CollectionRecord::default()
        },
        indexes,
    }
}

fn plan(collections: &[CollectionMetadata]) -> Vec<CollectionPlan> {
    let plan = collections.iter().map(|collection| CollectionPlan {
        name: collection.record.name.clone(),
        index_count: collection.indexes.len() as u16,
    });
    plan.collect()
}

fn write(dir: &Dir, collections: &[CollectionMetadata]) -> u64 {
    let plan = plan(collections);
    let file = dir.create("metadata.db", Access::default()).unwrap();
    let mut writer = MetadataWriter::create(file, &plan, 1 << 16).unwrap();
    for collection in collections {
        writer
            .write_collection(&collection.record, &collection.indexes)
            .unwrap();
    }
    let len = writer.finish().unwrap().len().unwrap();
    assert_eq!(len, u64::from(metadata_page_count(&plan).unwrap()) * 4096);
    len
}

fn open(dir: &Dir) -> crate::Result<MetadataReader> {
    MetadataReader::open(dir.open_file("metadata.db")?, ChecksumPolicy::Required)
}

fn temporary() -> (tempfile::TempDir, Dir) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open(temporary.path(), Gate::open()).unwrap();
    (temporary, dir)
}

#[test]
fn whatever_is_written_is_read_back() {
    for count in [0, 1, 2, 300, 3000] {
        let (_guard, dir) = temporary();
        let collections: Vec<CollectionMetadata> = (1..=count)
            .map(|id| collection(id, 1 + (id % 4) as u16))
            .collect();
        write(&dir, &collections);
        let reader = open(&dir).unwrap();
        assert_eq!(reader.catalog().next_collection_id, count + 1);
        assert_eq!(reader.collections().count(), collections.len());
        for (entry, written) in reader.collections().zip(&collections) {
            let mut loaded = reader.load(entry).unwrap();
            let count = loaded.record.index_count;
            assert_eq!(usize::from(count), written.indexes.len());
            let statistics = entry.metadata_page.0 + 1 + u32::from(count);
            assert_eq!(loaded.record.statistics_page, PageId(statistics));
            (loaded.record.index_count, loaded.record.statistics_page) = (0, PageId(0));
            assert!(loaded == *written);
        }
    }
}

#[test]
fn what_was_not_planned_is_not_written() {
    let (_guard, dir) = temporary();
    let planned = [collection(1, 2), collection(2, 1)];
    let plan = plan(&planned);
    let file = dir.create("a", Access::default()).unwrap();
    let mut writer = MetadataWriter::create(file, &plan, 4096).unwrap();
    for wrong in [collection(2, 2), collection(1, 1), collection(1, 3)] {
        let error = writer.write_collection(&wrong.record, &wrong.indexes);
        assert_eq!(error.unwrap_err().code(), Code::Internal);
    }
    writer
        .write_collection(&planned[0].record, &planned[0].indexes)
        .unwrap();
    assert_eq!(writer.finish().unwrap_err().code(), Code::Internal);
    let backwards: Vec<CollectionPlan> = plan.iter().rev().cloned().collect();
    let file = dir.create("b", Access::default()).unwrap();
    assert!(MetadataWriter::create(file, &backwards, 4096).is_err());
}

/// Pages of the file below: 0 catalog, 1 collection, 2 to 4 indexes, 5 to 7 statistics.
#[test]
fn records_that_do_not_go_together_are_refused() {
    let name_at = 32 + 4 + 2;
    let index_name_at = 32 + 4 + 4 + 2;
    let after_name = name_at + "collection-000001".len();
    let (index_count_at, statistics_at) = (after_name + 24, after_name + 30);
    let cases: [(&str, usize, usize, u32); 9] = [
        ("another collection's page", 1, 32, 2),
        ("another name", 1, name_at, 0x6161_6161),
        ("index pages past the file", 1, index_count_at, 8),
        ("statistics past the file", 1, statistics_at, 6),
        ("no statistics", 1, statistics_at, 0),
        ("an index of another collection", 3, 36, 2),
        ("index ids that do not grow", 3, 32, 1),
        ("names that do not grow", 4, index_name_at, 0x6564_6e41),
        ("another index's statistics", 6, 16, 3),
    ];
    for (name, page_number, at, value) in cases {
        let (guard, dir) = temporary();
        write(&dir, &[collection(1, 3)]);
        let path = guard.path().join("metadata.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let pages = bytes.as_chunks_mut::<PAGE_SIZE>().0;
        assert_eq!(pages.len(), 8);
        if at == index_count_at {
            put_u16(&mut pages[page_number], at, value as u16);
        } else {
            put_u32(&mut pages[page_number], at, value);
        }
        page::seal(&mut pages[page_number], PageId(page_number as u32));
        std::fs::write(&path, bytes).unwrap();
        let reader = open(&dir).unwrap();
        let error = reader.load(&reader.catalog().entries[0]).unwrap_err();
        assert_eq!(error.code(), Code::CatalogDamaged, "{name}: {error}");
        let place = error.place();
        assert_eq!(place.collection.as_deref(), Some("collection-000001"));
        assert!(place.page.is_some(), "{name}");
    }
}

#[test]
fn fields_that_cannot_be_are_refused() {
    let mut page = [0; PAGE_SIZE];
    index(1, 1, "_id_").record.encode(&mut page).unwrap();
    let type_at = 32 + 10 + 4;
    let flags_at = type_at + 1 + 2 + 2 + 3;
    let has_options_at = flags_at + 1 + 2 + 8 + 4 + 8 + 2;
    assert!(IndexRecord::decode(&page).is_ok());
    for (at, value) in [
        (type_at, 5),
        (type_at + 2, 0xff),
        (flags_at, 8),
        (flags_at, 4),
        (has_options_at, 2),
        (40, 0xff),
        (42, 0xff),
    ] {
        let mut damaged = page;
        damaged[at] = value;
        assert!(IndexRecord::decode(&damaged).is_err(), "{at}");
    }
}

proptest! {
    #[test]
    fn any_page_gives_a_verdict(
        bytes in proptest::collection::vec(any::<u8>(), PAGE_SIZE),
        lengths in any::<[u8; 4]>(),
    ) {
        let mut page: PageBytes = bytes.try_into().unwrap();
        // Short names, so that what follows them is reached.
        for (at, length) in [36, 40, 16 + 42, 16 + 60].into_iter().zip(lengths) {
            put_u16(&mut page, at, u16::from(length));
        }
        let _ = CollectionRecord::decode(&page);
        let _ = IndexRecord::decode(&page);
        let _ = StatisticsRecord::decode(&page);
    }
}
