//! LauraDB's unlisted pages give back what its backup loses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "what fails here fails the test"
)]

mod common;
#[path = "common/pages.rs"]
mod laura_pages;

use base64::Engine as _;
use common::{
    Directory, Log, assert_error, bson, determined, ejson, fixture, json_fixture, names, run,
    warnings,
};
use laura_migrate::document::bson::RawDocument;
use laura_migrate::files::InputFile;
use laura_migrate::options::PagesMode;
use laura_migrate::report::{PagesReport, Report};
use laura_migrate::v1::pages::{PageLook, scan};
use laura_migrate::{Code, ExitCode, Options};
use laura_pages::{Pages, lossy_collection, snapshot_of};
use std::collections::BTreeSet;
use std::path::Path;

fn recover(directory: &Directory) -> Options {
    let mut options = directory.in_place();
    options.pages = PagesMode::Recover;
    options
}

fn ignore(directory: &Directory) -> Options {
    let mut options = directory.in_place();
    options.pages = PagesMode::Ignore;
    options
}

#[track_caller]
fn pages_of(report: &Report, name: &str) -> PagesReport {
    let mut found = report.collections.iter();
    let found = found.find(|collection| collection.name == name);
    found.unwrap().pages.expect("pages were read")
}

/// Live documents of a `data.db`, as bytes.
fn live(path: &Path) -> BTreeSet<Vec<u8>> {
    let mut documents = BTreeSet::new();
    scan(&InputFile::open(path).unwrap(), |_, look, _| {
        if let PageLook::Slotted(page) = look {
            documents.extend(page.documents.iter().map(|live| live.bytes.to_vec()));
        }
        Ok(())
    })
    .unwrap();
    documents
}

/// The documents of one of a fixture's lists, as BSON.
fn listed(values: &serde_json::Value) -> Vec<Vec<u8>> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| bson(&value.to_string())).collect()
}

fn head_documents() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let expected = json_fixture("head-datadir/expected.json");
    (
        listed(&expected["users_live"]),
        listed(&expected["orders_live"]),
    )
}

fn head_directory() -> Directory {
    Directory::new()
        .file("data.db", fixture("head-datadir/data.db"))
        .wal(fixture("head-datadir/wal.log"))
}

/// A document as Extended JSON with the fields sorted by name, at every level.
fn sorted(document: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_str(&ejson(document)).unwrap();
    value.to_string()
}

#[test]
fn a_real_data_directory_comes_back_exact_to_the_type() {
    let (users, orders) = head_documents();
    let snapshot = snapshot_of(&[
        lossy_collection("users", &users),
        lossy_collection("orders", &orders),
    ]);
    let directory = head_directory().snapshot(snapshot);
    let on_pages = live(&directory.source().join("data.db"));
    let (report, database) = directory.migrated();
    assert_eq!(warnings(&report), [Code::PagesTaken; 2]);
    let mut found = BTreeSet::new();
    for (name, expected) in [("users", &users), ("orders", &orders)] {
        let documents = &database.collection(name).documents;
        let wanted: Vec<_> = expected.iter().map(|document| sorted(document)).collect();
        let given: Vec<_> = documents.iter().map(|document| sorted(document)).collect();
        assert_eq!(given, wanted, "in the order of the snapshot");
        found.extend(documents.iter().cloned());
        let pages = pages_of(&report, name);
        assert_eq!(
            (pages.taken, pages.different, pages.snapshot_only),
            (490, 0, 0)
        );
        assert_eq!(pages.only_on_pages, 0);
    }
    assert_eq!(found.len(), 980);
    assert_eq!(found, on_pages);
    let orders = pages_of(&report, "orders");
    assert_eq!(orders.array_documents, 490);
}

#[test]
fn ignored_pages_change_nothing() {
    let (users, orders) = head_documents();
    let snapshot = snapshot_of(&[
        lossy_collection("users", &users),
        lossy_collection("orders", &orders),
    ]);
    let directory = head_directory().snapshot(&snapshot);
    let (report, database) = directory.migrated_with(ignore(&directory));
    assert_eq!(
        warnings(&report),
        [Code::UnlistedPages, Code::EmptiedArrays]
    );
    let alone = Directory::new().snapshot(&snapshot);
    let (_, without) = alone.migrated();
    for name in ["users", "orders"] {
        let lines = without.collection(name).lines();
        assert_eq!(database.collection(name).lines(), lines);
    }
}

#[test]
fn without_a_snapshot_pages_are_described_and_recovered_only_when_asked() {
    let directory = head_directory();
    let error = directory.refused_both_ways();
    assert_error(&error, Code::NothingToMigrate, "980 documents in 31 pages");
    assert!(
        error
            .to_string()
            .contains("490 documents with the fields age, email, name, tags")
    );
    assert!(error.hint_text().unwrap().contains("--pages recover"));
    assert!(!error.to_string().contains("example.com"), "no contents");

    let error = directory.refused(ignore(&directory));
    assert_error(
        &error,
        Code::NothingToMigrate,
        "data.db holds 980 documents",
    );

    let on_pages = live(&directory.source().join("data.db"));
    let mut options = recover(&directory);
    options.renames = vec!["recovered_2=orders".to_owned()];
    let (report, database) = directory.migrated_with(options);
    assert_eq!(database.names(), ["orders", "recovered_1"]);
    let (users, orders) = head_documents();
    for (name, expected) in [("recovered_1", users), ("orders", orders)] {
        let documents = &database.collection(name).documents;
        let wanted: BTreeSet<_> = expected.iter().map(|document| sorted(document)).collect();
        let given: BTreeSet<_> = documents.iter().map(|document| sorted(document)).collect();
        assert_eq!(given, wanted);
        assert!(documents.iter().all(|document| on_pages.contains(document)));
        assert_eq!(pages_of(&report, name).recovered, 490);
    }
    let warnings = report.warnings.iter();
    let mut unique = warnings.filter(|warning| warning.code == Code::PagesNoIndexes);
    let first = unique.next().unwrap().to_string();
    assert!(
        first.contains("fields that look unique: email, name"),
        "{first}"
    );
}

#[test]
fn a_compacted_page_is_read_as_it_stands() {
    let directory = Directory::new()
        .file("data.db", fixture("head-datadir-compacted/data.db"))
        .wal(fixture("head-datadir-compacted/wal.log"));
    let expected = json_fixture("head-datadir-compacted/expected.json");
    let expected = listed(&expected["live_by_page_scan"]);
    let (_, database) = directory.migrated_with(recover(&directory));
    let given: BTreeSet<_> = database
        .collection("recovered_1")
        .documents
        .iter()
        .map(|d| sorted(d))
        .collect();
    let wanted: BTreeSet<_> = expected.iter().map(|d| sorted(d)).collect();
    assert_eq!(given, wanted);
    assert_eq!(given.len(), 16);
}

/// The documents of a snapshot's fixture as LauraDB held them, by collection; those that v2 cannot
/// take, or that have no BSON form, left out.
fn sources(name: &str) -> Vec<(String, Vec<Vec<u8>>)> {
    let expected = json_fixture(&format!("snapshots/{name}.expected.json"));
    let mut collections: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
    for item in expected["items"].as_array().unwrap() {
        let text = item["source"].to_string();
        if !item["source"].is_object()
            || text.contains("$lauraInvalidUtf8Hex")
            || text.contains("$go")
        {
            continue;
        }
        let text = text.replace("$lauraTimestamp", "$lauraTime");
        let mut document = Vec::new();
        if laura_migrate::document::ejson::parse_document(&text, &mut document).is_err()
            || document.len() > 4063
        {
            continue;
        }
        let collection = item["collection"].as_str().unwrap();
        match collections.iter_mut().find(|(name, _)| name == collection) {
            Some((_, documents)) => documents.push(document),
            None => collections.push((collection.to_owned(), vec![document])),
        }
    }
    collections
}

#[test]
fn fixtures_with_matching_pages_come_back_whole() {
    let cases = [("decoded-array-docs", 4), ("all-types", 10), ("ids", 8)];
    for (name, at_least) in cases {
        let mut pages = Pages::new();
        let collections = sources(name);
        for (_, documents) in &collections {
            pages.collection(documents);
        }
        let directory =
            Directory::of_fixture(&format!("{name}.json")).file("data.db", pages.bytes());
        let (report, database) = directory.migrated();
        let mut taken = 0;
        for (collection, documents) in &collections {
            let given: BTreeSet<&Vec<u8>> =
                database.collection(collection).documents.iter().collect();
            let tally = pages_of(&report, collection);
            taken += tally.taken + tally.equal;
            for document in documents {
                let id = RawDocument::trusted(document).get("_id").unwrap();
                let is_indexable = !format!("{id:?}").starts_with(['D', 'A'])
                    || format!("{id:?}").starts_with("Double");
                assert_eq!(
                    given.contains(document),
                    is_indexable,
                    "{name}: {}",
                    ejson(document)
                );
            }
        }
        assert!(taken >= at_least, "{name}: {taken}");
    }
}

/// Two collections whose pages are told apart by their `_id`s.
fn text_ids(prefix: &str, count: usize) -> Vec<Vec<u8>> {
    let documents = (0..count).map(|number| {
        bson(&format!(
            r#"{{"n":{{"$numberInt":"{number}"}},"_id":"{prefix}{number}","a":[{{"x":"{number}"}}]}}"#
        ))
    });
    documents.collect()
}

#[test]
fn a_page_that_differs_leaves_the_snapshot_and_is_counted() {
    let documents = text_ids("a", 3);
    let mut stale = documents.clone();
    stale[1] = bson(r#"{"_id":"a1","n":{"$numberInt":"100"},"a":[{"x":"1"}]}"#);
    let mut pages = Pages::new();
    pages.collection(&stale);
    let directory = Directory::new()
        .snapshot(snapshot_of(&[lossy_collection("c", &documents)]))
        .file("data.db", pages.bytes());
    let (report, database) = directory.migrated();
    assert_eq!(
        warnings(&report),
        [Code::EmptiedArrays, Code::PagesTaken, Code::PagesDifferent]
    );
    let lines = database.collection("c").lines();
    assert_eq!(lines[0], ejson(&documents[0]));
    assert_eq!(lines[1], r#"{"_id":"a1","a":[{}],"n":{"$numberLong":"1"}}"#);
    assert_eq!(lines[2], ejson(&documents[2]));
    let tally = pages_of(&report, "c");
    assert_eq!(
        (tally.taken, tally.different, tally.snapshot_only),
        (2, 1, 0)
    );
    assert_eq!(
        (tally.array_documents, tally.reordered, tally.types),
        (2, 2, 2)
    );
}

#[test]
fn of_several_matches_the_highest_is_taken_and_stale_ones_are_passed_over() {
    let current = bson(r#"{"_id":"k","v":{"$numberInt":"2"}}"#);
    let twin = bson(r#"{"v":{"$numberLong":"2"},"_id":"k"}"#);
    let stale = bson(r#"{"_id":"k","v":{"$numberInt":"1"}}"#);
    let cases = [
        (vec![&current, &twin, &stale], &twin, 1),
        (vec![&twin, &stale, &current], &current, 1),
        (vec![&stale, &current], &current, 0),
    ];
    for (copies, expected, several) in cases {
        let mut pages = Pages::new();
        for copy in copies {
            pages.page(std::slice::from_ref(copy));
        }
        let directory = Directory::new()
            .snapshot(snapshot_of(&[lossy_collection(
                "c",
                std::slice::from_ref(&current),
            )]))
            .file("data.db", pages.bytes());
        let (report, database) = directory.migrated();
        assert_eq!(
            database.collection("c").documents,
            std::slice::from_ref(expected)
        );
        assert_eq!(pages_of(&report, "c").several, several);
    }
}

#[test]
fn a_tied_page_is_left_alone_and_counted() {
    let same = text_ids("k", 4);
    let mut pages = Pages::new();
    pages.collection(&same);
    let snapshot = snapshot_of(&[lossy_collection("a", &same), lossy_collection("b", &same)]);
    let directory = Directory::new()
        .snapshot(&snapshot)
        .file("data.db", pages.bytes());
    let (report, database) = directory.migrated();
    assert_eq!(
        warnings(&report),
        [Code::EmptiedArrays, Code::EmptiedArrays, Code::PagesTied]
    );
    assert!(database.collection("a").lines()[0].contains(r#""a":[{}]"#));

    // Whichever of the two has the page, the snapshot has its documents: nothing to recover.
    let directory = Directory::new()
        .snapshot(&snapshot)
        .file("data.db", pages.bytes());
    let (report, database) = directory.migrated_with(recover(&directory));
    assert_eq!(database.names(), ["a", "b"]);
    assert_eq!(pages_of(&report, "a").recovered, 0);

    // One more `_id` decides.
    let more = [same.clone(), text_ids("only-a", 1)].concat();
    let mut pages = Pages::new();
    pages.collection(&more);
    let directory = Directory::new()
        .snapshot(snapshot_of(&[
            lossy_collection("a", &more),
            lossy_collection("b", &same),
        ]))
        .file("data.db", pages.bytes());
    let (report, database) = directory.migrated();
    assert_eq!(pages_of(&report, "a").taken, 5);
    assert_eq!(pages_of(&report, "b").snapshot_only, 4);
    assert_eq!(database.collection("a").documents, more);
}

#[test]
fn documents_only_on_pages_are_left_out_or_recovered_into_their_collection() {
    let (a, b) = (text_ids("a", 8), text_ids("b", 6));
    let unknown = vec![bson(r#"{"_id":{"$numberLong":"7"},"city":"Rome"}"#)];
    let mut pages = Pages::new();
    pages.collection(&a);
    pages.collection(&b);
    pages.collection(&unknown);
    // An older copy of a document that only pages have, on a lower page of its collection.
    let older = bson(r#"{"_id":"a7","n":{"$numberInt":"-1"},"a":[]}"#);
    let mut first = Pages::new();
    first.page(&[a[0].clone(), older]);
    let data = [first.bytes(), pages.from(1).bytes()].concat();
    let snapshot = snapshot_of(&[lossy_collection("a", &a[..6]), lossy_collection("b", &b)]);

    let directory = Directory::new().snapshot(&snapshot).file("data.db", &data);
    let (report, database) = directory.migrated();
    assert_eq!(database.names(), ["a", "b"]);
    assert_eq!(
        warnings(&report),
        [Code::UnlistedPages, Code::PagesTaken, Code::PagesTaken]
    );
    assert_eq!(pages_of(&report, "a").only_on_pages, 3);
    assert_eq!(database.collection("a").documents, a[..6]);

    let directory = Directory::new()
        .snapshot(&snapshot)
        .file("data.db", &data)
        .wal(
            Log::new()
                .update("a", r#"{"_id":"a6","from":"the log"}"#)
                .insert("a", r#"{"_id":"z","from":"the log"}"#)
                .update("a", r#"{"_id":"a0","from":"the log"}"#)
                .bytes(),
        );
    let (report, database) = directory.migrated_with(recover(&directory));
    assert_eq!(database.names(), ["a", "b", "recovered_1"]);
    let mut expected: Vec<String> = a[..6].iter().map(|document| ejson(document)).collect();
    expected[0] = r#"{"_id":"a0","from":"the log"}"#.to_owned();
    expected.push(r#"{"_id":"a6","from":"the log"}"#.to_owned());
    expected.push(r#"{"_id":"z","from":"the log"}"#.to_owned());
    expected.push(ejson(&a[7]));
    assert_eq!(database.collection("a").lines(), expected);
    assert_eq!(database.collection("recovered_1").documents, unknown);
    let tally = pages_of(&report, "a");
    assert_eq!(
        (tally.recovered, tally.superseded, tally.older_copies),
        (1, 1, 1)
    );
    assert!(warnings(&report).contains(&Code::PagesOlderCopies));
}

#[test]
fn a_group_passes_over_names_that_are_taken() {
    let mut pages = Pages::new();
    pages.collection(&text_ids("x", 2));
    let snapshot = snapshot_of(&[lossy_collection("recovered_1", &text_ids("a", 1))]);
    let directory = Directory::new()
        .snapshot(snapshot)
        .file("data.db", pages.bytes());
    let (_, database) = directory.migrated_with(recover(&directory));
    assert_eq!(database.names(), ["recovered_1", "recovered_2"]);
    assert_eq!(
        database.collection("recovered_2").documents,
        text_ids("x", 2)
    );
}

#[test]
fn damaged_pages_are_refused_and_other_files_left_alone() {
    let documents = text_ids("a", 3);
    let mut pages = Pages::new();
    for document in &documents {
        pages.page(std::slice::from_ref(document));
    }
    let snapshot = snapshot_of(&[lossy_collection("c", &documents)]);
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("page id", |data| data[4096] = 9),
        ("page type", |data| data[4096 + 4] = 77),
        ("free_start", |data| data[4096 + 18] ^= 1),
        ("slot 0 holds no document", |data| data[2 * 4096 - 1] = 1),
        ("overflow", |data| data[4096 + 28 + 4] = 2),
        ("the file ends after 7 bytes", |data| data.extend([1; 7])),
    ];
    for (sentence, damage) in damages {
        let mut data = pages.bytes();
        damage(&mut data);
        let directory = Directory::new().snapshot(&snapshot).file("data.db", &data);
        let error = directory.refused_both_ways();
        assert_error(&error, Code::PagesDamaged, sentence);
        directory.migrated_with(ignore(&directory));
    }
    let noise: Vec<u8> = (0..3 * 4096_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let directory = Directory::new().snapshot(&snapshot).file("data.db", noise);
    let (report, _) = directory.migrated();
    assert_eq!(warnings(&report), [Code::EmptiedArrays, Code::PagesUnread]);
    let directory = Directory::new()
        .snapshot(&snapshot)
        .file("data.db", [0; 8192]);
    let (report, _) = directory.migrated();
    assert_eq!(warnings(&report), [Code::EmptiedArrays]);
}

fn quarantine(directory: &Directory) -> Vec<serde_json::Value> {
    let file = directory.source().join(".lauradb-quarantine.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

/// Whether a line of the quarantine holds these bytes and says where they lie.
fn assert_quarantined(line: &serde_json::Value, code: Code, data: &[u8], bytes: &[u8]) {
    let kept = base64::engine::general_purpose::STANDARD
        .decode(line["bytes"].as_str().unwrap())
        .unwrap();
    assert_eq!(kept, bytes, "{line}");
    let offset = line["offset"].as_u64().unwrap() as usize;
    assert_eq!(data[offset..][..bytes.len()], *bytes, "{line}");
    assert_eq!(
        (&line["file"], &line["code"]),
        (&"data.db".into(), &code.id().into())
    );
}

#[test]
fn damaged_pages_go_to_quarantine_where_that_is_allowed() {
    let documents = text_ids("a", 4);
    let mut pages = Pages::new();
    for document in &documents {
        pages.page(std::slice::from_ref(document));
    }
    let mut data = pages.bytes();
    data[4096] = 9;
    data[3 * 4096 - 1] = 1;
    data.extend([7; 9]);
    let bad_document = r#"{"_id":"bad","fields":5}"#;
    let snapshot = snapshot_of(&[lossy_collection("c", &documents)]).replace(
        r#""documents":["#,
        &format!(r#""documents":[{bad_document},"#),
    );
    let directory = Directory::new().snapshot(&snapshot).file("data.db", &data);
    let error = directory.refused_both_ways();
    assert_error(&error, Code::PagesDamaged, "page id");
    let hint = error.hint_text().unwrap();
    assert!(
        hint.contains("--pages ignore") && hint.contains("--max-bad"),
        "{hint}"
    );
    for max_bad in [1, 2, 3] {
        let mut options = directory.in_place();
        options.max_bad = max_bad;
        let error = directory.refused(options);
        assert_error(
            &error,
            Code::PagesDamaged,
            &format!("more than {max_bad} unusable"),
        );
        assert_error(&error, Code::PagesDamaged, "page id");
    }
    let mut options = directory.in_place();
    options.max_bad = 4;
    let (report, database) = directory.migrated_with(options);
    assert_eq!(
        (report.quarantined, report.exit_code()),
        (4, ExitCode::Quarantine)
    );
    assert!(warnings(&report).contains(&Code::Quarantined));
    let lines = quarantine(&directory);
    assert_eq!(lines.len(), 4);
    assert_quarantined(&lines[0], Code::PagesDamaged, &data, &data[4096..8192]);
    assert_quarantined(&lines[1], Code::PagesDamaged, &data, &data[8192..3 * 4096]);
    assert_quarantined(&lines[2], Code::PagesDamaged, &data, &[7; 9]);
    assert_eq!(lines[3]["file"], "snapshot.json");
    let collection = database.collection("c");
    assert_eq!(collection.documents.len(), 4);
    for intact in [0, 3] {
        assert_eq!(collection.documents[intact], documents[intact]);
    }
    assert!(collection.lines()[1].contains(r#""a":[{}]"#));
}

#[test]
fn older_copies_go_to_quarantine_without_counting() {
    let copies: Vec<_> = (0..3)
        .map(|n| bson(&format!(r#"{{"_id":"k","v":{{"$numberInt":"{n}"}}}}"#)))
        .collect();
    let bad = bson(r#"{"_id":["x"],"v":"1"}"#);
    let mut pages = Pages::new();
    for copy in &copies {
        pages.page(std::slice::from_ref(copy));
    }
    let data = pages.bytes();
    let directory = Directory::new().file("data.db", &data);
    let (report, database) = directory.migrated_with(recover(&directory));
    assert_eq!(database.collection("recovered_1").documents, copies[2..]);
    assert_eq!(
        (report.quarantined, report.exit_code()),
        (2, ExitCode::Quarantine)
    );
    let lines = quarantine(&directory);
    assert_eq!(lines.len(), 2);
    assert_quarantined(&lines[0], Code::PagesOlderCopies, &data, &copies[1]);
    assert_quarantined(&lines[1], Code::PagesOlderCopies, &data, &copies[0]);
    assert_eq!(lines[0]["_id"], "\"k\"");

    // A document that cannot be carried counts; it comes before the copies.
    pages.page(std::slice::from_ref(&bad));
    let data = pages.bytes();
    let directory = Directory::new().file("data.db", &data);
    let error = directory.refused(recover(&directory));
    assert!(error.hint_text().unwrap().contains("--max-bad"));
    let mut options = recover(&directory);
    options.max_bad = 1;
    let (report, _) = directory.migrated_with(options);
    assert_eq!(report.quarantined, 3);
    assert_quarantined(&quarantine(&directory)[0], Code::PagesDocument, &data, &bad);
}

#[test]
fn too_many_bad_documents_after_older_copies_name_the_first_bad_one() {
    let copies = [
        bson(r#"{"_id":"k","v":"1"}"#),
        bson(r#"{"_id":"k","v":"2"}"#),
    ];
    let mut pages = Pages::new();
    for copy in &copies {
        pages.page(std::slice::from_ref(copy));
    }
    let bad = r#"{"_id":"bad","fields":5},{"_id":6,"fields":{}}"#;
    let snapshot = snapshot_of(&[format!(
        r#"{{"name":"c","documents":[{bad}],"indexes":null}}"#
    )]);
    let directory = Directory::new()
        .snapshot(snapshot)
        .file("data.db", pages.bytes());
    let mut options = recover(&directory);
    options.max_bad = 1;
    let error = directory.refused(options);
    assert_error(&error, Code::BadDocument, "more than 1 unusable");
    assert_eq!(error.place().id.as_deref(), Some("\"bad\""));
    let mut options = recover(&directory);
    options.max_bad = 2;
    assert_eq!(directory.migrated_with(options).0.quarantined, 3);
}

#[test]
fn duplicates_whose_ids_have_other_types_on_pages_go_to_quarantine() {
    // All print as the snapshot has them; 1000000 and 1e+06 do not print alike, but are equal.
    let long = bson(r#"{"_id":{"$numberLong":"1000000"},"v":"1"}"#);
    let double = bson(r#"{"_id":{"$numberDouble":"1000000"},"v":"2"}"#);
    let others = text_ids("a", 3);
    let mut pages = Pages::new();
    pages.page(&[others.clone(), vec![long.clone()]].concat());
    pages.page(&[others[0].clone(), double.clone()]);
    let mut listed = vec![long.clone(), long.clone()];
    listed.extend(others);
    let data = pages.bytes();
    let directory = Directory::new()
        .snapshot(snapshot_of(&[lossy_collection("c", &listed)]))
        .file("data.db", &data);
    let error = directory.refused(recover(&directory));
    assert_eq!(error.code(), Code::DuplicateId);
    let mut options = recover(&directory);
    options.max_bad = 2;
    let (report, database) = directory.migrated_with(options);
    assert_eq!(report.quarantined, 2);
    let collection = database.collection("c");
    assert_eq!(collection.documents.len(), 4);
    assert_eq!(collection.documents[0], long);
    let lines = quarantine(&directory);
    assert_quarantined(&lines[0], Code::PagesOlderCopies, &data, &double);
    assert_eq!(lines[1]["file"], "snapshot.json");
    let tally = pages_of(&report, "c");
    assert_eq!((tally.taken + tally.equal, tally.recovered), (4, 0));
}

#[test]
fn documents_that_v2_cannot_take_stop_only_a_recovery() {
    let good = text_ids("a", 2);
    let array_id = bson(r#"{"_id":["x"],"n":"1"}"#);
    let mut invalid = bson(r#"{"_id":"bad","s":"abc"}"#);
    let at = invalid
        .windows(3)
        .position(|bytes| bytes == b"abc")
        .unwrap();
    invalid[at] = 0xFF;
    for unusable in [array_id, invalid] {
        let mut pages = Pages::new();
        pages.collection(&[good.clone(), vec![unusable]].concat());
        let directory = Directory::new()
            .snapshot(snapshot_of(&[lossy_collection("c", &good)]))
            .file("data.db", pages.bytes());
        let error = directory.refused(recover(&directory));
        assert_error(&error, Code::PagesDocument, "slot 2");
        let (report, database) = directory.migrated();
        assert_eq!(database.collection("c").documents, good);
        assert!(warnings(&report).contains(&Code::UnlistedPages));
    }
}

#[test]
fn jobs_batches_and_memory_do_not_show() {
    let many: Vec<_> = (0..5)
        .map(|number| text_ids(&format!("c{number}-"), 700))
        .collect();
    let mut pages = Pages::new();
    for documents in &many {
        pages.collection(documents);
    }
    let data = pages.bytes();
    let collections: Vec<_> = many
        .iter()
        .enumerate()
        .map(|(number, documents)| {
            lossy_collection(&format!("c{number}"), &documents[..650 - number])
        })
        .collect();
    let directory = Directory::new()
        .snapshot(snapshot_of(&collections))
        .file("data.db", data);
    let mut first: Option<Vec<Vec<u8>>> = None;
    for (jobs, batch_size, memory) in [(2, 1000, 128 << 20), (1, 1, 8 << 20), (4, 7, 8 << 20)] {
        let mut options = directory.side_by_side();
        let target = directory.home().join(format!("target-{jobs}"));
        options.target = Some(target.clone());
        options.pages = PagesMode::Recover;
        (options.jobs, options.batch_size, options.memory) = (jobs, batch_size, memory);
        run(options).unwrap();
        let files: Vec<_> = names(&target)
            .iter()
            .map(|name| determined(&target, name))
            .collect();
        assert!(
            first.get_or_insert_with(|| files.clone()) == &files,
            "{jobs} jobs"
        );
    }
}

#[test]
fn another_way_with_pages_is_another_migration() {
    let documents = text_ids("a", 2);
    let mut pages = Pages::new();
    pages.collection(&documents);
    let directory = Directory::new()
        .snapshot(snapshot_of(&[lossy_collection("c", &documents)]))
        .file("data.db", pages.bytes());
    run(directory.side_by_side()).unwrap();
    let again = run(directory.side_by_side()).unwrap();
    assert_eq!(
        again.outcome,
        laura_migrate::report::Outcome::AlreadyMigrated
    );
    let mut options = directory.side_by_side();
    options.pages = PagesMode::Ignore;
    let error = run(options).unwrap_err();
    assert_eq!(error.code(), Code::TargetNotEmpty);
    let directory = directory.file("data.db", [pages.bytes(), vec![0; 4096]].concat());
    let error = run(directory.side_by_side()).unwrap_err();
    assert_eq!(
        error.code(),
        Code::TargetNotEmpty,
        "data.db is part of the source"
    );
}

#[test]
fn a_source_reads_the_documents_that_a_migration_writes() {
    use laura_migrate::files::{Dir, Gate};
    use laura_migrate::source::{DocumentSource, V1Options, V1Source};
    let (a, b) = (text_ids("a", 80), text_ids("b", 60));
    let mut pages = Pages::new();
    pages.collection(&a);
    pages.collection(&b);
    pages.collection(&text_ids("lost", 3));
    let log = Log::new()
        .update("a", r#"{"_id":"a75","from":"the log"}"#)
        .update("a", r#"{"_id":"a7","from":"the log"}"#)
        .delete("b", r#"{"_id":"b9"}"#);
    let directory = Directory::new()
        .snapshot(snapshot_of(&[
            lossy_collection("b", &b),
            lossy_collection("a", &a[..70]),
        ]))
        .file("data.db", pages.bytes())
        .wal(log.bytes());
    for mode in [PagesMode::Auto, PagesMode::Recover, PagesMode::Ignore] {
        let options = V1Options {
            pages: mode,
            temp_dir: directory.home().to_path_buf(),
            ..V1Options::default()
        };
        let dir = Dir::open(&directory.source(), Gate::open()).unwrap();
        let source = V1Source::open(&dir, &options, &mut |_| Ok(())).unwrap();
        let mut options = directory.side_by_side();
        options.target = Some(directory.home().join(mode.name()));
        options.pages = mode;
        let (report, database) = directory.migrated_with(options);
        assert_eq!(source.collections().len(), database.collections.len());
        for (position, collection) in source.collections().iter().enumerate() {
            // Twice: what was matched in the log is forgotten in between.
            for _ in 0..2 {
                let mut documents = Vec::new();
                source
                    .read(position, &mut |found| {
                        documents.push(found.document.as_bytes().to_vec());
                        Ok(())
                    })
                    .unwrap();
                assert_eq!(database.collection(&collection.name).documents, documents);
            }
        }
        source.check_unchanged().unwrap();
        let codes = |warnings: Vec<laura_migrate::report::Warning>| -> BTreeSet<u16> {
            warnings
                .into_iter()
                .map(|warning| warning.code as u16)
                .collect()
        };
        if mode == PagesMode::Recover {
            let mut written = codes(report.warnings);
            written.remove(&(Code::HiddenProcesses as u16));
            assert!(codes(source.warnings()).is_superset(&written));
        }
    }
    assert_eq!(
        names(directory.home()),
        ["auto", "ignore", "recover", "source"]
    );
}
