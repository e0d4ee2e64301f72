//! What a run says of a directory that is in format v2 already: nothing to do only where the
//! database is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Directory, assert_error, run};
use laura_migrate::options::Mode;
use laura_migrate::report::contents::Contents;
use laura_migrate::report::{Outcome, Report};
use laura_migrate::validate::Verdict;
use laura_migrate::{Code, ExitCode, Migration, Options};
use serde_json::json;
use std::fs;
use std::path::Path;

fn in_mode(mode: Mode, directory: &Path) -> Options {
    Options {
        mode,
        ..Options::new(directory)
    }
}

/// Makes a file that many bytes long.
fn set_length(path: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(bytes).unwrap();
}

#[test]
fn a_missing_file_is_damage_in_every_mode() {
    for name in ["data.db", "metadata.db", "wal.log"] {
        let directory = Directory::of_users();
        run(directory.side_by_side()).unwrap();
        let target = directory.target();
        fs::remove_file(target.join(name)).unwrap();
        let sentence = "a file of it is missing";
        for options in [directory.side_by_side(), in_mode(Mode::Auto, &target)] {
            let error = directory.refused(options);
            assert_error(&error, Code::CatalogDamaged, sentence);
            assert_eq!(error.exit_code(), ExitCode::Different);
        }
        let report = run(in_mode(Mode::Validate, &target)).unwrap();
        assert_eq!(report.exit_code(), ExitCode::Different, "{name}");
        let validation = report.validation.unwrap();
        assert_eq!(validation.verdict(), Verdict::Damaged);
        let kinds = &validation.left.problems;
        assert!(kinds.iter().any(|kind| kind.code == Code::CatalogDamaged));
        if name != "wal.log" {
            let mut export = in_mode(Mode::Export, &target);
            export.target = Some(directory.home().join("backups"));
            assert_error(&directory.refused(export), Code::CatalogDamaged, sentence);
        }
    }
}

#[test]
fn a_data_file_that_is_cut_or_ends_in_the_middle_of_a_page_is_damage() {
    let directory = Directory::of_migrated_users();
    let source = directory.source();
    let data = source.join("data.db");
    let whole = fs::read(&data).unwrap();
    let length = whole.len() as u64;
    for bytes in [0, 4096, length - 4096, length + 7] {
        set_length(&data, bytes);
        let error = directory.refused(directory.in_place());
        assert_error(&error, Code::PageDamaged, "data.db");
        assert_eq!(error.exit_code(), ExitCode::Different, "{bytes}");
        let dry = in_mode(Mode::DryRun, &source);
        assert_eq!(run(dry).unwrap_err().exit_code(), ExitCode::Different);
        fs::write(&data, &whole).unwrap();
    }
    // A living database grows.
    set_length(&data, length + 4096);
    let report = run(directory.in_place()).unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
}

#[test]
fn what_only_laura_db_can_tell_of_its_own_log_is_not_judged() {
    let directory = Directory::of_migrated_users();
    let source = directory.source();
    let log = common::Log::new().insert("users", r#"{"_id":"new"}"#);
    fs::write(source.join("wal.log"), log.bytes()).unwrap();
    let data = source.join("data.db");
    let length = fs::metadata(&data).unwrap().len();
    set_length(&data, length + 7);
    let report = run(directory.in_place()).unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
    set_length(&data, 4096);
    let error = directory.refused(directory.in_place());
    assert_error(&error, Code::PageDamaged, "the catalog names");
}

#[test]
fn a_receipt_that_does_not_parse_is_no_damage_of_the_database() {
    let directory = Directory::of_migrated_users();
    let receipt = directory.source().join(".lauradb-migration.json");
    fs::write(receipt, "{").unwrap();
    let report = run(directory.in_place()).unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
    let error = run(in_mode(Mode::Rollback, &directory.source())).unwrap_err();
    assert_error(&error, Code::ReceiptDamaged, "does not parse");
}

/// A directory of which two documents go to quarantine.
fn with_bad_documents() -> Directory {
    let documents = json!([{"_id": "a"}, {"_id": "b", "fields": 5}, {"_id": "c", "fields": 6}]);
    Directory::of_collections(&json!([{"name": "c", "documents": documents}]))
}

fn assert_told(report: &Report) {
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
    assert_eq!(report.quarantined, 2);
    assert_eq!(Contents::of(report).totals.quarantined, 2);
    let text = laura_migrate::cli::render_report(report);
    let path = report.target.join(".lauradb-quarantine.jsonl");
    assert!(text.contains("in quarantine: 2 records"), "{text}");
    assert!(text.contains(path.to_str().unwrap()), "{text}");
}

#[test]
fn a_quarantine_is_told_of_as_long_as_it_is_there() {
    for in_place in [true, false] {
        let directory = with_bad_documents();
        let mut options = match in_place {
            true => directory.in_place(),
            false => directory.side_by_side(),
        };
        options.max_bad = 5;
        let target = options.target.clone().unwrap_or_else(|| directory.source());
        assert_eq!(run(options.clone()).unwrap().quarantined, 2);
        let again = run(options.clone()).unwrap();
        assert_told(&again);
        // Who starts a database may begin with a migration in place each time.
        let exit = match in_place {
            true => ExitCode::Done,
            false => ExitCode::Quarantine,
        };
        assert_eq!(again.exit_code(), exit);
        let path = target.join(".lauradb-quarantine.jsonl");
        let status = || {
            let options = in_mode(Mode::Status, &target);
            Migration::new(options).status().unwrap()
        };
        let told = status();
        assert_eq!(told.quarantine.as_ref(), Some(&path));
        assert_eq!(told.quarantined, Some(2));
        let line = format!(
            "in quarantine: 2 records and documents, see {}",
            path.display()
        );
        assert!(told.render().contains(&line), "{}", told.render());

        // Whoever has dealt with it removes it.
        fs::remove_file(path).unwrap();
        let report = run(options).unwrap();
        assert_eq!(
            (report.quarantined, report.exit_code()),
            (0, ExitCode::Done)
        );
        assert!(!status().render().contains("quarantine"));
    }
}
