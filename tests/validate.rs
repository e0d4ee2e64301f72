//! Validation: what is sound is said to be, what is damaged is located, what differs is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "what fails here fails the test, and the files are small"
)]

mod common;

use common::{Directory, assert_same_tree, run};
use laura_migrate::backup::{BackupHeader, BackupWriter};
use laura_migrate::document::bson::{OwnedDocument, RawValue};
use laura_migrate::files::{Dir, Gate};
use laura_migrate::options::{Mode, Options};
use laura_migrate::report::Report;
use laura_migrate::source::{self, V1Options};
use laura_migrate::v1::wal::{RecordKind, RecordWriter};
use laura_migrate::v2::page::{self, PAGE_SIZE, PageBytes, PageType};
use laura_migrate::v2::{PageHeader, PageId};
use laura_migrate::validate::{DirectoryState, Validation, Verdict};
use laura_migrate::{Code, ExitCode, Verification};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const KINDS: [&str; 3] = ["v1", "v2", "backup"];

fn index(field: &str, unique: bool) -> Value {
    let name = format!("{field}_1");
    json!({"name": name, "type": "btree", "field_paths": [field], "unique": unique})
}

/// Documents with every kind of page behind them.
fn documents() -> Vec<Value> {
    let mut documents: Vec<Value> = (0..300)
        .map(|n| {
            let name = format!("a name that makes the index higher {n:03}");
            json!({"_id": format!("user_{n:03}"), "fields": {"name": name, "age": n % 7}})
        })
        .collect();
    documents.push(json!({"_id": "large", "fields": {"text": "x".repeat(10_000), "age": 1}}));
    documents
}

fn collections(documents: Vec<Value>) -> Value {
    json!([
        {"name": "empty"},
        {"name": "users", "documents": documents, "indexes": [index("name", true), index("age", false)]},
    ])
}

fn validate_with(left: &Path, right: Option<&Path>, change: impl FnOnce(&mut Options)) -> Report {
    let mut options = Options::new(left);
    options.mode = Mode::Validate;
    options.target = right.map(Path::to_path_buf);
    change(&mut options);
    run(options).unwrap()
}

fn validate(left: &Path, right: Option<&Path>) -> Validation {
    let report = validate_with(left, right, |_| ());
    let is_good = report.exit_code() == ExitCode::Done;
    let validation = report.validation.unwrap();
    let good = matches!(validation.verdict(), Verdict::Sound | Verdict::Equal);
    assert_eq!(is_good, good);
    validation
}

/// Every problem and difference with its code and where it is.
fn found(validation: &Validation) -> Vec<(Code, String)> {
    let comparison = validation.comparison.iter();
    let kinds = std::iter::once(&validation.left)
        .chain(&validation.right)
        .flat_map(|side| &side.problems)
        .chain(comparison.flat_map(|comparison| &comparison.differences));
    let problems = kinds.flat_map(|kind| &kind.first);
    problems
        .map(|problem| (problem.code, problem.to_string()))
        .collect()
}

fn codes(validation: &Validation) -> Vec<Code> {
    found(validation)
        .into_iter()
        .map(|(code, _)| code)
        .collect()
}

#[track_caller]
fn assert_found(validation: &Validation, code: Code, text: &str) {
    let found = found(validation);
    assert!(
        found
            .iter()
            .any(|(other, sentence)| *other == code && sentence.contains(text)),
        "{code:?} {text:?} in {found:#?}"
    );
}

/// The same documents in all three kinds of directory.
struct Sides {
    home: Directory,
}

impl Sides {
    fn new(collections: &Value) -> Self {
        Self::of(Directory::of_collections(collections), |_| ())
    }

    fn of(home: Directory, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = home.side_by_side();
        change(&mut options);
        run(options).unwrap();
        let v1 = Dir::open(&home.source(), Gate::open()).unwrap();
        let source = source::open(v1, &V1Options::default(), &mut |_| Ok(())).unwrap();
        let backups = Dir::open(home.home(), Gate::open()).unwrap();
        let header = BackupHeader {
            instant: jiff::Timestamp::UNIX_EPOCH,
            source_version: source.info().version,
            database_name: source.info().database_name.clone(),
            metadata: source.info().metadata.clone(),
            access: source.info().access,
        };
        let mut writer = BackupWriter::create(&backups, header).unwrap();
        for (position, collection) in source.collections().iter().enumerate() {
            writer
                .begin_collection(&collection.name, collection.indexes.clone())
                .unwrap();
            source
                .read(position, &mut |found| writer.document(found.document))
                .unwrap();
            writer.end_collection().unwrap();
        }
        let backup = writer.finish().unwrap().path;
        fs::rename(backup, home.home().join("backup")).unwrap();
        Self { home }
    }

    fn path(&self, kind: &str) -> PathBuf {
        match kind {
            "v1" => self.home.source(),
            "v2" => self.home.target(),
            _ => self.home.home().join("backup"),
        }
    }
}

#[test]
fn equal_directories_of_any_two_kinds_are_equal_and_stay_untouched() {
    let (one, two) = (
        Sides::new(&collections(documents())),
        Sides::new(&collections(documents())),
    );
    let before = (one.home.tree(), two.home.tree());
    for left in KINDS {
        let alone = validate(&one.path(left), None);
        assert_eq!(
            alone.verdict(),
            Verdict::Sound,
            "{left}: {:?}",
            found(&alone)
        );
        assert_eq!((alone.left.documents, alone.left.indexes), (301, 4));
        assert_eq!(alone.left.kind, Some(left));
        for right in KINDS {
            let both = validate(&one.path(left), Some(&two.path(right)));
            let found = found(&both);
            assert_eq!(both.verdict(), Verdict::Equal, "{left} {right}: {found:?}");
            let compared = &both.comparison.unwrap().collections;
            assert_eq!(compared.len(), 2);
            assert_eq!(compared[1].equal_indexes, 3);
            let states = [both.left.state, both.right.unwrap().state];
            for (state, kind) in states.into_iter().zip([left, right]) {
                let published = Some(DirectoryState::AsPublished);
                assert_eq!(state, published.filter(|_| kind == "v2"));
            }
        }
    }
    assert_same_tree(&before.0, &one.home.tree());
    assert_same_tree(&before.1, &two.home.tree());
}

#[test]
fn what_differs_is_named_in_every_pairing() {
    let mut changed = documents();
    changed[3]["fields"]["age"] = json!(4000);
    changed[4]["fields"]["age"] = json!(4.5);
    changed.remove(5);
    changed.push(json!({"_id": "new", "fields": {"age": 1}}));
    let one = Sides::new(&collections(documents()));
    let text = common::snapshot_text(&collections(changed));
    // Number 8 is a double on one side: the same value, another type.
    let text = text.replace(
        r#""fields":{"age":1,"name":"a name that makes the index higher 008"}"#,
        r#""fields":{"age":1.0,"name":"a name that makes the index higher 008"}"#,
    );
    // Number 9 has its fields in another order.
    let text = text.replace(
        r#""fields":{"age":2,"name":"a name that makes the index higher 009"}"#,
        r#""fields":{"name":"a name that makes the index higher 009","age":2}"#,
    );
    let two = Sides::of(Directory::new().snapshot(text), |_| ());
    for left in KINDS {
        for right in KINDS {
            let validation = validate(&one.path(left), Some(&two.path(right)));
            assert_eq!(validation.verdict(), Verdict::Different, "{left} {right}");
            assert_found(&validation, Code::DocumentOnlyLeft, "user_005");
            assert_found(&validation, Code::DocumentOnlyRight, "new");
            for (id, text) in [
                ("user_003", "4000"),
                ("user_004", "4.5"),
                (
                    "user_008",
                    "{\"$numberLong\":\"1\"} and {\"$numberDouble\":\"1.0\"}",
                ),
                ("user_009", "the order of the fields"),
            ] {
                let found = found(&validation);
                let is_this = |(code, sentence): &(Code, String)| {
                    *code == Code::DocumentDiffers
                        && sentence.contains(id)
                        && sentence.contains(text)
                };
                assert!(found.iter().any(is_this), "{left} {right} {id}: {found:#?}");
            }
            let compared = &validation.comparison.as_ref().unwrap().collections[1];
            assert_eq!(
                (compared.only_left, compared.only_right, compared.different),
                (1, 1, 4)
            );
            assert_eq!(codes(&validation).len(), 6);
        }
    }
}

#[test]
fn collections_and_indexes_that_differ_are_named() {
    let other = json!([
        {"name": "third", "documents": [{"_id": "x", "fields": {}}]},
        {"name": "users", "documents": documents(), "indexes": [index("name", false), index("text", false)]},
    ]);
    let (one, two) = (Sides::new(&collections(documents())), Sides::new(&other));
    for (left, right) in [("v1", "v2"), ("backup", "v1"), ("v2", "backup")] {
        let validation = validate(&one.path(left), Some(&two.path(right)));
        assert_found(&validation, Code::CollectionOnlyLeft, "\"empty\"");
        assert_found(&validation, Code::CollectionOnlyRight, "\"third\"");
        assert_found(&validation, Code::IndexOnlyLeft, "\"age_1\"");
        assert_found(&validation, Code::IndexOnlyRight, "\"text_1\"");
        assert_found(
            &validation,
            Code::IndexDefinitionDiffers,
            "unique true and false",
        );
        assert_eq!(codes(&validation).len(), 5, "{:?}", found(&validation));
    }
}

#[test]
fn options_that_are_not_given_come_from_the_receipt() {
    let documents = json!([
        {"_id": "a", "fields": {"at": "2025-01-15T10:30:00Z", "hex": "0123456789abcdef01234567"}},
    ]);
    let directory = Directory::of_collections(&json!([
        {"name": "old", "documents": documents, "indexes": [index("at", false), index("hex", false)]},
    ]));
    let mut options = directory.side_by_side();
    options.infer_types = laura_migrate::document::InferTypes {
        object_id: false,
        timestamp: true,
    };
    options.renames = vec!["old=new".to_owned()];
    options.skip_indexes = vec!["hex_1".to_owned()];
    run(options.clone()).unwrap();
    let (v1, v2) = (directory.source(), directory.target());
    for (left, right) in [(&v1, &v2), (&v2, &v1)] {
        let validation = validate(left, Some(right));
        let found = found(&validation);
        assert_eq!(validation.verdict(), Verdict::Equal, "{found:?}");
    }
    let typed = validate_with(&v1, Some(&v2), |typed| {
        typed.renames = vec!["old=other".to_owned()];
        typed.infer_types_given = true;
        typed.infer_types = options.infer_types;
    });
    let validation = typed.validation.unwrap();
    assert_found(&validation, Code::CollectionOnlyLeft, "\"other\"");
    let typed = validate_with(&v1, Some(&v2), |typed| typed.infer_types_given = true);
    assert_found(&typed.validation.unwrap(), Code::DocumentDiffers, "\"at\"");
}

#[test]
fn the_originals_of_an_in_place_migration_are_a_side() {
    let directory = Directory::of_collections(&collections(documents()));
    directory.migrated();
    let v2 = directory.source();
    let validation = validate(&v2.join(".lauradb-v1"), Some(&v2));
    assert_eq!(
        validation.verdict(),
        Verdict::Equal,
        "{:?}",
        found(&validation)
    );
}

#[test]
fn many_differences_are_counted_and_the_first_twenty_named_in_order() {
    let many = |value: i64| -> Vec<Value> {
        let documents = (0..3000).rev();
        documents
            .map(|n| json!({"_id": format!("d{n:04}"), "fields": {"v": n + value}}))
            .collect()
    };
    let side = |documents| Sides::new(&json!([{"name": "c", "documents": documents}]));
    let (one, two) = (side(many(0)), side(many(1)));
    let temporary = tempfile::tempdir().unwrap();
    let report = validate_with(&one.path("v1"), Some(&two.path("v2")), |options| {
        options.memory = 1 << 10;
        options.temp_dir = temporary.path().to_path_buf();
    });
    let validation = report.validation.unwrap();
    let kinds = &validation.comparison.as_ref().unwrap().differences;
    assert_eq!(
        (kinds.len(), kinds[0].count, kinds[0].first.len()),
        (1, 3000, 20)
    );
    let ids: Vec<_> = kinds[0]
        .first
        .iter()
        .map(|problem| problem.place.id.clone().unwrap())
        .collect();
    assert!(ids.is_sorted() && ids[0].contains("d0000"), "{ids:?}");
    assert_eq!(common::names(temporary.path()), [""; 0]);
}

#[test]
fn a_sample_compares_all_ids_and_some_contents() {
    let many = |value: i64, from: usize| -> Vec<Value> {
        (from..2000)
            .map(|n| json!({"_id": format!("d{n:04}"), "fields": {"v": value}}))
            .collect()
    };
    let side = |documents| Sides::new(&json!([{"name": "c", "documents": documents}]));
    let (one, two, three) = (side(many(0, 0)), side(many(1, 0)), side(many(0, 1)));
    let sampled = |left: &Sides, right: &Sides, rate| {
        let report = validate_with(&left.path("v1"), Some(&right.path("v2")), |options| {
            options.verification = Verification::Sample(rate);
        });
        report.validation.unwrap()
    };
    let validation = sampled(&one, &two, 0.25);
    let kinds = &validation.comparison.as_ref().unwrap().differences;
    assert!((300..700).contains(&kinds[0].count), "{}", kinds[0].count);
    assert_eq!(sampled(&one, &two, 1e-9).verdict(), Verdict::Equal);
    let validation = sampled(&one, &three, 1e-9);
    assert_eq!(codes(&validation), [Code::DocumentOnlyLeft]);
}

#[test]
fn everything_that_a_migration_would_refuse_is_named_at_once() {
    let mut listed = documents();
    listed.push(json!({"_id": "user_007", "fields": {"name": "twice"}}));
    listed.push(
        json!({"_id": "unique", "fields": {"name": "a name that makes the index higher 011"}}),
    );
    listed.push(json!({"_id": 7, "fields": {}}));
    listed.push(json!({"_id": "no fields", "fields": []}));
    let directory = Directory::of_collections(&json!([
        {"name": "", "documents": []},
        {
            "name": "users",
            "documents": listed,
            "indexes": [index("name", true), {"name": "odd", "type": "odd", "field_paths": ["x"]}],
        },
    ]));
    let validation = validate(&directory.source(), None);
    assert_eq!(validation.verdict(), Verdict::Damaged);
    assert_found(&validation, Code::DuplicateId, "user_007");
    assert_found(&validation, Code::DuplicateKey, "unique");
    assert_found(&validation, Code::CollectionName, "it is empty");
    assert_found(&validation, Code::IndexDefinition, "odd");
    let bad = codes(&validation);
    assert_eq!(
        bad.iter()
            .filter(|code| **code == Code::BadDocument)
            .count(),
        1
    );
    assert!(bad.contains(&Code::DocumentId));
    assert_eq!(bad.len(), 6, "{:?}", found(&validation));
}

/// A v2 directory whose files can be changed.
fn damaged() -> Directory {
    let directory = Directory::of_collections(&collections(documents()));
    run(directory.side_by_side()).unwrap();
    directory
}

fn change_file(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Changes a page and gives it a good checksum again.
fn change_page(file: &Path, number: usize, change: impl FnOnce(&mut PageBytes)) {
    change_file(file, |bytes| {
        let page = &mut bytes.as_chunks_mut::<PAGE_SIZE>().0[number];
        change(page);
        page::seal(page, PageId(number as u32));
    });
}

fn pages_of(file: &Path, page_type: PageType) -> Vec<usize> {
    let data = fs::read(file).unwrap();
    let pages = data.as_chunks::<PAGE_SIZE>().0;
    let is_type = |number: &usize| pages[*number][4] == page_type as u8;
    (0..pages.len()).filter(is_type).collect()
}

/// Damages one file of a directory, without its receipt, and finds that.
#[track_caller]
fn assert_located(name: &str, code: Code, text: &str, damage: impl FnOnce(&Path)) {
    let directory = damaged();
    let target = directory.target();
    damage(&target.join(name));
    let validation = validate(&target, None);
    assert_found(&validation, Code::NotAsPublished, name);
    assert_found(&validation, code, text);
    fs::remove_file(target.join(".lauradb-migration.json")).unwrap();
    let validation = validate(&target, None);
    assert_found(&validation, code, text);
}

#[test]
fn damage_of_each_structure_is_located() {
    let directory = damaged();
    let data = directory.target().join("data.db");
    let slotted = pages_of(&data, PageType::Data)[1];
    let overflow = pages_of(&data, PageType::Overflow)[1];
    let bytes = fs::read(&data).unwrap();
    let pages = bytes.as_chunks::<PAGE_SIZE>().0;
    let nodes = pages_of(&data, PageType::Index);
    let (leaves, inner): (Vec<usize>, Vec<usize>) =
        nodes.iter().partition(|number| pages[**number][32] == 1);
    let page = |number: usize| format!("page {number}");

    assert_located("data.db", Code::PageDamaged, &page(slotted), |file| {
        change_file(file, |bytes| bytes[slotted * PAGE_SIZE + 4000] ^= 1);
    });
    assert_located("data.db", Code::PageDamaged, "no valid document", |file| {
        change_page(file, slotted, |page| page[PAGE_SIZE - 1] = 7);
    });
    assert_located("data.db", Code::IndexDiffers, "\"name_1\"", |file| {
        change_page(file, slotted, |page| {
            let at = page.windows(6).position(|bytes| bytes == b"a name");
            page[at.unwrap()] = b'b';
        });
    });
    assert_located("data.db", Code::FiguresDiffer, "documents", |file| {
        change_page(file, slotted, |page| page[28 + 4] |= 1);
    });
    assert_located("data.db", Code::PageDamaged, "owner", |file| {
        change_page(file, slotted, |page| page[26] += 1);
    });
    assert_located("data.db", Code::PageDamaged, &page(overflow), |file| {
        change_page(file, overflow, |page| page[20] ^= 1);
    });
    assert_located("data.db", Code::IndexDiffers, "\"_id_\"", |file| {
        change_page(file, leaves[0], |page| {
            let value = |n: usize| {
                16 + usize::from(u16::from_le_bytes([page[67 + 10 * n], page[68 + 10 * n]]))
            };
            let (one, two) = (value(0), value(1));
            for at in 0..12 {
                page.swap(one + at, two + at);
            }
        });
    });
    assert_located("data.db", Code::PageDamaged, "next_page", |file| {
        change_page(file, leaves[0], |page| page[50..54].fill(0));
    });
    assert_located("data.db", Code::PageUnaccounted, "reached twice", |file| {
        change_page(file, inner[0], |page| page.copy_within(62..66, 66));
    });
    assert_located("data.db", Code::PageDamaged, "belongs to index", |file| {
        change_page(file, leaves[1], |page| page[38] += 1);
    });
    assert_located("data.db", Code::PageDamaged, "whole pages", |file| {
        change_file(file, |bytes| bytes.truncate(bytes.len() - 1));
    });
    assert_located("data.db", Code::PageUnaccounted, "nothing leads", |file| {
        change_file(file, |bytes| {
            let number = bytes.len() / PAGE_SIZE;
            let mut node = [0; PAGE_SIZE];
            page::begin(&mut node, PageType::Index);
            page::seal(&mut node, PageId(number as u32));
            bytes.extend(node);
        });
    });
    // The catalog, a collection's record, an index's.
    assert_located("metadata.db", Code::CatalogDamaged, "magic", |file| {
        change_page(file, 0, |page| page[32] ^= 1);
    });
    assert_located("metadata.db", Code::PageDamaged, "page 2", |file| {
        change_file(file, |bytes| bytes[2 * PAGE_SIZE + 40] ^= 1);
    });
}

/// Documents with a text and a geo index of several pages each.
fn places() -> Value {
    let documents: Vec<Value> = (0..600)
        .map(|n| {
            let text = format!("harbour number{n} boats of the north{}", n % 5);
            let loc = json!({"type": "Point", "coordinates": [f64::from(n) / 10.0, 1.5]});
            json!({"_id": format!("p{n:03}"), "fields": {"text": text, "loc": loc}})
        })
        .collect();
    json!([{"name": "places", "documents": documents, "indexes": [
        {"name": "loc", "type": "geo", "field_paths": ["loc"], "geo_type": "2dsphere"},
        {"name": "words", "type": "text", "field_paths": ["text"]},
    ]}])
}

#[test]
fn text_and_geo_indexes_are_sound_and_equal_to_their_source() {
    let sides = Sides::new(&places());
    for left in KINDS {
        for right in KINDS.into_iter().filter(|right| *right != left) {
            let both = validate(&sides.path(left), Some(&sides.path(right)));
            let found = found(&both);
            assert_eq!(both.verdict(), Verdict::Equal, "{left} {right}: {found:?}");
            assert_eq!(both.comparison.unwrap().collections[0].equal_indexes, 3);
        }
    }
    // So they are where LauraDB has written the pages, without checksums and receipt.
    without_checksums(&sides.path("v2"));
    let validation = validate(&sides.path("v2"), Some(&sides.path("v1")));
    let found = found(&validation);
    assert_eq!(validation.verdict(), Verdict::Equal, "{found:?}");
}

/// As [`assert_located`], in a directory with text and geo indexes.
#[track_caller]
fn assert_located_in_places(code: Code, text: &str, damage: impl FnOnce(&Path)) {
    let directory = Directory::of_collections(&places());
    run(directory.side_by_side()).unwrap();
    let target = directory.target();
    damage(&target.join("data.db"));
    for receipt in [true, false] {
        if !receipt {
            fs::remove_file(target.join(".lauradb-migration.json")).unwrap();
        }
        assert_found(&validate(&target, None), code, text);
    }
}

#[test]
fn damage_of_text_and_geo_indexes_is_located() {
    let directory = Directory::of_collections(&places());
    let (_, database) = directory.migrated_with(directory.side_by_side());
    let data = directory.target().join("data.db");
    let bytes = fs::read(&data).unwrap();
    let pages = bytes.as_chunks::<PAGE_SIZE>().0;
    let page = |number: usize| format!("page {number}");
    // Only pages of posting chunks have a slot directory; nodes have zeros there.
    let mut of_indexes = pages_of(&data, PageType::Index).into_iter();
    let posting = of_indexes.find(|number| pages[*number][16..32] != [0; 16]);
    let posting = posting.unwrap();
    let record = &database.collection("places").index("loc").record;
    let root = record.root_page.0 as usize;
    assert_eq!(pages[root][32..34], [0, 1], "the root has leaves below it");
    let leaf = u32::from_le_bytes(pages[root][80..84].try_into().unwrap()) as usize;
    assert_eq!(pages[leaf][32..34], [1, 0]);

    assert_located_in_places(Code::PageDamaged, &page(posting), |file| {
        change_file(file, |bytes| bytes[posting * PAGE_SIZE + 4000] ^= 1);
    });
    // How often the term is in the last document of the page's first chunk.
    assert_located_in_places(Code::IndexDiffers, "\"words\"", |file| {
        change_page(file, posting, |page| page[PAGE_SIZE - 4] += 1);
    });
    assert_located_in_places(Code::PageDamaged, &page(leaf), |file| {
        change_file(file, |bytes| bytes[leaf * PAGE_SIZE + 70] ^= 1);
    });
    // The upper x of the leaf's own bounds.
    assert_located_in_places(Code::PageDamaged, &page(leaf), |file| {
        change_page(file, leaf, |page| page[55] ^= 0x80);
    });
    // Two points change their documents.
    assert_located_in_places(Code::IndexDiffers, "\"loc\"", |file| {
        change_page(file, leaf, |page| {
            for at in 80..92 {
                page.swap(at, at + 32);
            }
        });
    });
    assert_located_in_places(Code::PageUnaccounted, "reached twice", |file| {
        change_page(file, root, |page| page.copy_within(64..84, 88));
    });
}

#[test]
fn what_is_recorded_of_an_index_must_be_so() {
    let directory = damaged();
    let target = directory.target();
    let file = target.join("metadata.db");
    let pages = fs::read(&file).unwrap().len() / PAGE_SIZE;
    // The last page has the statistics of the last index: entries, then unique keys.
    for offset in [20, 28, 36, 38, 42, 46, 50] {
        let good = fs::read(&file).unwrap();
        change_page(&file, pages - 1, |page| page[offset] ^= 1);
        let validation = validate(&target, None);
        assert_found(&validation, Code::FiguresDiffer, "\"name_1\"");
        fs::write(&file, good).unwrap();
    }
    assert_eq!(validate(&target, None).verdict(), Verdict::Sound);
}

/// Rewrites every page as LauraDB does: without a checksum.
fn without_checksums(target: &Path) {
    for name in ["data.db", "metadata.db"] {
        change_file(&target.join(name), |bytes| {
            for page in bytes.as_chunks_mut::<PAGE_SIZE>().0 {
                page[14..16].fill(0);
            }
        });
    }
    fs::remove_file(target.join(".lauradb-migration.json")).unwrap();
}

#[test]
fn a_living_directory_is_sound_wherever_its_pages_lie() {
    let directory = damaged();
    let target = directory.target();
    without_checksums(&target);
    let validation = validate(&target, None);
    assert_eq!(
        validation.verdict(),
        Verdict::Sound,
        "{:?}",
        found(&validation)
    );
    assert_eq!(validation.left.state, Some(DirectoryState::Unknown));
    assert_eq!(
        validate(&directory.source(), Some(&target)).verdict(),
        Verdict::Equal
    );
    // The second leaf of the first tree moves to the end, and its old page becomes a free list.
    let data = target.join("data.db");
    change_file(&data, |bytes| {
        let last = bytes.len() / PAGE_SIZE;
        let pages = bytes.as_chunks_mut::<PAGE_SIZE>().0;
        let is_leaf = |page: &PageBytes| {
            PageHeader::decode(page).page_type == PageType::Index as u8 && page[32] == 1
        };
        let leaf = pages.iter().position(is_leaf).unwrap() + 1;
        let mut moved = pages[leaf];
        moved[0..4].copy_from_slice(&(last as u32).to_le_bytes());
        let (old, new) = ((leaf as u32).to_le_bytes(), (last as u32).to_le_bytes());
        pages[leaf - 1][50..54].copy_from_slice(&new);
        pages[leaf + 1][54..58].copy_from_slice(&new);
        let parent = pages
            .iter_mut()
            .find(|page| page[4] == 1 && page[32] == 0 && page[66..70] == old);
        parent.unwrap()[66..70].copy_from_slice(&new);
        page::begin(&mut pages[leaf], PageType::FreeList);
        pages[leaf][0..4].copy_from_slice(&old);
        bytes.extend(moved);
    });
    let validation = validate(&target, None);
    assert_eq!(
        validation.verdict(),
        Verdict::Sound,
        "{:?}",
        found(&validation)
    );
}

#[test]
fn a_backup_that_was_changed_is_damaged() {
    let sides = Sides::new(&collections(documents()));
    let file = sides.path("backup").join("users.jsonl");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("higher 200", "higher 999")).unwrap();
    let validation = validate(&sides.path("backup"), Some(&sides.path("v1")));
    assert_found(&validation, Code::BackupAltered, "users.jsonl");
    assert_found(&validation, Code::NotCompared, "\"users\"");
    fs::remove_file(sides.path("backup").join("manifest.json")).unwrap();
    let validation = validate(&sides.path("backup"), None);
    assert_eq!(codes(&validation), [Code::BackupIncomplete]);
}

#[test]
fn a_log_with_damage_is_damage_of_a_v1_side() {
    // Two records with the same LSN.
    let record = laura_migrate::v1::wal::fresh_wal();
    let log = [record.as_slice(), record.as_slice()].concat();
    let directory = Directory::of_collections(&collections(documents())).wal(log);
    let validation = validate(&directory.source(), None);
    assert_eq!(validation.verdict(), Verdict::Damaged);
    let codes = codes(&validation);
    assert!(
        codes
            .iter()
            .all(|code| (300..400).contains(&(*code as u16))),
        "{codes:?}"
    );
}

#[test]
fn what_cannot_be_validated_is_an_error() {
    let directory = damaged();
    let mut options = Options::new(directory.target());
    options.mode = Mode::Validate;
    options.target = Some(directory.target());
    assert_eq!(run(options.clone()).unwrap_err().code(), Code::PathsOverlap);
    options.target = Some(directory.home().join("missing"));
    assert_eq!(run(options.clone()).unwrap_err().code(), Code::PathMissing);
    // What LauraDB has logged, only LauraDB can replay.
    let mut log = RecordWriter::new(Vec::new());
    let document: OwnedDocument = [("_id", RawValue::String("x"))].into_iter().collect();
    log.operation(RecordKind::Insert, 0, "users", document.as_raw())
        .unwrap();
    fs::write(directory.target().join("wal.log"), log.into_inner()).unwrap();
    options.target = None;
    assert_eq!(
        run(options.clone()).unwrap_err().code(),
        Code::NeedsRecovery
    );
    fs::write(
        directory.target().join(".lauradb-version"),
        r#"{"formatVersion":"2.0-publishing"}"#,
    )
    .unwrap();
    let error = run(options).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Interrupted);
}

#[test]
fn what_is_excluded_is_not_compared_between_two_that_are_not_v1() {
    let migrated = |names: &[&str]| {
        let collections: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        let directory = Directory::of_collections(&json!(collections));
        run(directory.in_place()).unwrap();
        directory
    };
    let (one, both) = (migrated(&["a"]), migrated(&["a", "b"]));
    let compare = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::new(one.source());
        options.mode = Mode::Validate;
        options.target = Some(both.source());
        change(&mut options);
        run(options)
    };
    let code = |report: Report| report.exit_code();
    assert_eq!(code(compare(&|_| {}).unwrap()), ExitCode::Different);
    let excluded = compare(&|options| options.excluded = vec!["b".to_owned()]);
    assert_eq!(code(excluded.unwrap()), ExitCode::Done);
    let chosen = compare(&|options| options.collections = vec!["a".to_owned()]);
    assert_eq!(code(chosen.unwrap()), ExitCode::Done);
    let unknown = compare(&|options| options.excluded = vec!["c".to_owned()]);
    assert_eq!(unknown.unwrap_err().code(), Code::CollectionUnknown);
}
