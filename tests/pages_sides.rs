//! Whatever reads a directory with LauraDB's unlisted pages reads what a migration of it writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;
#[path = "common/pages.rs"]
mod laura_pages;

use common::{Directory, Log, bson, ejson, run, warnings};
use laura_migrate::options::{Mode, PagesMode};
use laura_migrate::report::{PagesReport, Report};
use laura_migrate::validate::Verdict;
use laura_migrate::{Code, Options};
use laura_pages::{Pages, lossy_collection, snapshot_of};
use std::fs;
use std::path::Path;

const MODES: [PagesMode; 3] = [PagesMode::Auto, PagesMode::Recover, PagesMode::Ignore];

/// Documents that the snapshot has in a poorer form.
fn documents(prefix: &str, count: usize) -> Vec<Vec<u8>> {
    let documents = (0..count).map(|number| {
        bson(&format!(
            r#"{{"n":{{"$numberInt":"{number}"}},"_id":"{prefix}{number}","a":[{{"x":"{number}"}}]}}"#
        ))
    });
    documents.collect()
}

/// Two collections that the snapshot has most of, and one that only pages have.
fn directory() -> Directory {
    let (a, b) = (documents("a", 150), documents("b", 120));
    let mut pages = Pages::new();
    pages.collection(&a);
    pages.collection(&b);
    pages.collection(&documents("lost", 5));
    let log = Log::new()
        .update("a", r#"{"_id":"a145","from":"the log"}"#)
        .delete("b", r#"{"_id":"b9"}"#);
    Directory::new()
        .snapshot(snapshot_of(&[
            lossy_collection("a", &a[..148]),
            lossy_collection("b", &b),
        ]))
        .file("data.db", pages.bytes())
        .wal(log.bytes())
}

fn beside(directory: &Directory, mode: PagesMode) -> Options {
    let mut options = directory.side_by_side();
    options.target = Some(directory.home().join(mode.name()));
    (options.pages, options.pages_given) = (mode, true);
    options
}

/// What comparing two directories says, with `pages` typed or taken from the receipt.
#[track_caller]
fn compare(left: &Path, right: &Path, pages: Option<PagesMode>) -> Verdict {
    let mut options = Options::new(left);
    options.mode = Mode::Validate;
    options.target = Some(right.to_path_buf());
    if let Some(pages) = pages {
        (options.pages, options.pages_given) = (pages, true);
    }
    run(options).unwrap().validation.unwrap().verdict()
}

#[test]
fn validation_reads_pages_as_the_receipt_says() {
    let directory = directory();
    for mode in MODES {
        let options = beside(&directory, mode);
        let target = options.target.clone().unwrap();
        run(options).unwrap();
        let source = directory.source();
        for (left, right) in [(&source, &target), (&target, &source)] {
            assert_eq!(compare(left, right, None), Verdict::Equal, "{mode:?}");
            for typed in MODES {
                let expected = match typed == mode {
                    true => Verdict::Equal,
                    false => Verdict::Different,
                };
                let found = compare(left, right, Some(typed));
                assert_eq!(found, expected, "{mode:?} {typed:?}");
            }
        }
    }
}

#[test]
fn the_originals_of_an_in_place_migration_keep_their_pages() {
    for mode in MODES {
        let directory = directory();
        let mut options = directory.in_place();
        options.pages = mode;
        run(options).unwrap();
        let v2 = directory.source();
        assert!(v2.join(".lauradb-v1/data.db").exists());
        let verdict = compare(&v2.join(".lauradb-v1"), &v2, None);
        assert_eq!(verdict, Verdict::Equal, "{mode:?}");
    }
}

#[test]
fn exports_and_backups_hold_what_a_migration_writes() {
    for mode in MODES {
        let directory = directory();
        let backups = directory.home().join("backups");
        let mut options = beside(&directory, mode);
        (options.backup, options.backup_dir) = (true, Some(backups.clone()));
        let target = options.target.clone().unwrap();
        let backup = run(options.clone()).unwrap().backup.unwrap();
        (options.mode, options.backup, options.backup_dir) = (Mode::Export, false, None);
        options.target = Some(directory.home().join("exports"));
        let export = run(options).unwrap().backup.unwrap();
        for (name, from) in [("of-backup", backup), ("of-export", export)] {
            let mut options = Options::new(&from);
            options.mode = Mode::Import;
            options.target = Some(directory.home().join(name));
            options.source_date_epoch = Some(common::INSTANT);
            let imported = options.target.clone().unwrap();
            run(options).unwrap();
            for file in ["data.db", "metadata.db"] {
                let (one, two) = (target.join(file), imported.join(file));
                let is_equal = fs::read(one).unwrap() == fs::read(two).unwrap();
                assert!(is_equal, "{mode:?} {name} {file}");
            }
        }
    }
}

#[track_caller]
fn pages_of(report: &Report, name: &str) -> PagesReport {
    let mut found = report.collections.iter();
    let found = found.find(|collection| collection.name == name);
    found.unwrap().pages.expect("pages were read")
}

#[test]
fn pages_of_left_out_collections_give_nothing() {
    let (a, b, lost) = (
        documents("a", 150),
        documents("b", 120),
        documents("lost", 5),
    );
    let mut pages = Pages::new();
    pages.collection(&a);
    // Another copy of a document that only pages have: one of them is left out.
    let older = bson(r#"{"_id":"a149","n":{"$numberInt":"-1"},"a":[]}"#);
    pages.page(&[a[0].clone(), older]);
    pages.collection(&b);
    pages.collection(&lost);
    // What v2 cannot take would end a recovery, if the collection were taken.
    let (z, unusable) = (documents("z", 1), bson(r#"{"_id":["x"],"other":"1"}"#));
    pages.page(&[z[0].clone(), unusable]);
    let snapshot = snapshot_of(&[
        lossy_collection("a", &a[..148]),
        lossy_collection("b", &b),
        lossy_collection("z", &z),
    ]);
    let directory = Directory::new()
        .snapshot(snapshot)
        .file("data.db", pages.bytes());
    let migrated = |mode: PagesMode, only: &[&str], excluded: &[&str]| {
        let mut options = beside(&directory, mode);
        let name = format!("{}-{only:?}-{excluded:?}", mode.name());
        options.target = Some(directory.home().join(name));
        options.collections = only.iter().map(|name| (*name).to_owned()).collect();
        options.excluded = excluded.iter().map(|name| (*name).to_owned()).collect();
        let target = options.target.clone().unwrap();
        let migrated = directory.migrated_with(options);
        let verdict = compare(&directory.source(), &target, None);
        assert_eq!(verdict, Verdict::Equal, "{only:?} {excluded:?}");
        migrated
    };

    let (report, database) = migrated(PagesMode::Auto, &["b"], &[]);
    assert_eq!(database.names(), ["b"]);
    assert_eq!(database.collection("b").documents, b);
    let tally = pages_of(&report, "b");
    assert_eq!((tally.taken, tally.only_on_pages), (120, 0));
    assert!(!warnings(&report).contains(&Code::UnlistedPages));

    let (report, database) = migrated(PagesMode::Recover, &["b"], &["a"]);
    assert_eq!(database.names(), ["b"]);
    assert_eq!(pages_of(&report, "b").older_copies, 0);
    assert!(!warnings(&report).contains(&Code::PagesOlderCopies));

    let (report, database) = migrated(PagesMode::Recover, &[], &["b", "z"]);
    assert_eq!(database.names(), ["a", "recovered_1"]);
    assert_eq!(database.collection("a").documents.len(), 150);
    assert_eq!(database.collection("recovered_1").documents, lost);
    let tally = pages_of(&report, "a");
    assert_eq!(
        (tally.taken, tally.recovered, tally.older_copies),
        (148, 2, 1)
    );

    let (_, database) = migrated(PagesMode::Recover, &["recovered_1"], &[]);
    assert_eq!(database.names(), ["recovered_1"]);
    assert_eq!(database.collection("recovered_1").documents, lost);

    let mut options = beside(&directory, PagesMode::Recover);
    options.collections = vec!["recovered_2".to_owned()];
    let error = run(options).unwrap_err();
    assert_eq!(error.code(), Code::CollectionUnknown);
}

#[test]
fn an_id_that_is_equal_in_number_is_an_older_copy() {
    let same = [
        (r#"{"$numberLong":"1000000"}"#, r#"{"$numberDouble":"1e6"}"#),
        (r#"{"$numberDouble":"1e6"}"#, r#"{"$numberInt":"1000000"}"#),
    ];
    for (known, left) in same {
        let known = bson(&format!(r#"{{"_id":{known},"v":"new"}}"#));
        let left = bson(&format!(r#"{{"_id":{left},"v":"old"}}"#));
        let others = documents("k", 3);
        let snapshot = [std::slice::from_ref(&known), &others].concat();
        let mut pages = Pages::new();
        pages.page(&[left, others[0].clone()]);
        pages.page(&snapshot);
        let directory = Directory::new()
            .snapshot(snapshot_of(&[lossy_collection("c", &snapshot)]))
            .file("data.db", pages.bytes());
        let mut options = directory.in_place();
        options.pages = PagesMode::Recover;
        let (report, database) = directory.migrated_with(options);
        assert_eq!(database.collection("c").documents, snapshot);
        let tally = pages_of(&report, "c");
        assert_eq!((tally.recovered, tally.older_copies), (0, 1));
    }
    // A string that reads the same is another _id.
    let known = bson(r#"{"_id":"1000000","v":"new"}"#);
    let left = bson(r#"{"_id":{"$numberDouble":"1e6"},"v":"old"}"#);
    let mut pages = Pages::new();
    pages.page(&[known.clone(), left.clone()]);
    let directory = Directory::new()
        .snapshot(snapshot_of(&[lossy_collection(
            "c",
            std::slice::from_ref(&known),
        )]))
        .file("data.db", pages.bytes());
    let mut options = directory.in_place();
    options.pages = PagesMode::Recover;
    let (_, database) = directory.migrated_with(options);
    assert_eq!(database.collection("c").documents, [known, left]);
}

#[test]
fn ids_of_every_type_are_found_as_go_prints_them() {
    let ids = [
        (r#""text""#, "text"),
        (
            r#"{"$oid":"507f1f77bcf86cd799439011"}"#,
            "507f1f77bcf86cd799439011",
        ),
        (r#"{"$numberInt":"-7"}"#, "-7"),
        (r#"{"$numberLong":"9007199254740993"}"#, "9007199254740993"),
        (r#"{"$numberDouble":"1e6"}"#, "1e+06"),
        (r#"{"$numberDouble":"2.5"}"#, "2.5"),
        (r#"{"$numberDouble":"1e-7"}"#, "1e-07"),
        (r#"{"$numberDouble":"12345"}"#, "12345"),
        ("true", "true"),
        ("null", "\\u003cnil\\u003e"),
        (
            r#"{"$binary":{"base64":"AQL/","subType":"00"}}"#,
            "[1 2 255]",
        ),
    ];
    let typed: Vec<_> = ids
        .iter()
        .map(|(id, _)| bson(&format!(r#"{{"_id":{id},"n":{{"$numberInt":"5"}}}}"#)))
        .collect();
    let listed: Vec<_> = ids
        .iter()
        .map(|(_, id)| format!(r#"{{"_id":"{id}","fields":{{"n":5}}}}"#))
        .collect();
    let collection = format!(r#"{{"name":"c","documents":[{}]}}"#, listed.join(","));
    let mut pages = Pages::new();
    for document in &typed {
        pages.page(std::slice::from_ref(document));
    }
    let directory = Directory::new()
        .snapshot(snapshot_of(&[collection]))
        .file("data.db", pages.bytes());
    let (report, database) = directory.migrated();
    let given = database.collection("c").documents.iter();
    let given: Vec<_> = given.map(|document| ejson(document)).collect();
    let wanted: Vec<_> = typed.iter().map(|document| ejson(document)).collect();
    assert_eq!(given, wanted);
    // The first page of the file is one like the others.
    assert_eq!(pages_of(&report, "c").taken, typed.len() as u64);
}

#[test]
fn an_id_that_hundreds_of_collections_have_counts_for_each() {
    const COLLECTIONS: usize = 230;
    let shared = bson(r#"{"_id":"settings","n":{"$numberInt":"1"}}"#);
    let own = |number: usize| {
        bson(&format!(
            r#"{{"_id":"own-{number}","n":{{"$numberInt":"2"}}}}"#
        ))
    };
    let mut pages = Pages::new();
    for number in 0..COLLECTIONS {
        pages.page(&[shared.clone(), own(number)]);
    }
    for _ in 0..3 {
        pages.page(std::slice::from_ref(&shared));
    }
    // The last collection does not have it.
    let mut listed: Vec<_> = (0..COLLECTIONS)
        .map(|number| lossy_collection(&format!("c{number:03}"), &[shared.clone(), own(number)]))
        .collect();
    listed.push(lossy_collection("last", &[own(COLLECTIONS)]));
    let directory = Directory::new()
        .snapshot(snapshot_of(&listed))
        .file("data.db", pages.bytes());
    let mut options = directory.in_place();
    options.pages = PagesMode::Recover;
    let (report, database) = directory.migrated_with(options);
    assert_eq!(database.names().len(), COLLECTIONS + 1);
    for number in 0..COLLECTIONS {
        let collection = database.collection(&format!("c{number:03}"));
        assert_eq!(collection.documents, [shared.clone(), own(number)]);
    }
    let tied = report.warnings.iter();
    let mut tied = tied.filter(|warning| warning.code == Code::PagesTied);
    let sentence = tied.next().unwrap().to_string();
    assert!(sentence.contains("3 pages"), "{sentence}");
}
