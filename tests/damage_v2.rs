//! One tiny input for each kind of damage to what this tool writes itself: markers, receipts,
//! checkpoints, journals, manifests, catalog, metadata, pages, trees, chains.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a test fails by panicking, and the files are small"
)]

mod common;

use common::{Directory, run};
use laura_migrate::options::Mode;
use laura_migrate::v2::PageId;
use laura_migrate::v2::page::{self, PAGE_SIZE, PageBytes, PageType};
use laura_migrate::{Code, Migration, Options};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory with a document in its slot, one in an overflow chain, and a tree of one leaf.
fn source() -> Directory {
    let documents = json!([
        {"_id": "a", "fields": {"n": 1}},
        {"_id": "b", "fields": {"text": "x".repeat(9000)}},
    ]);
    Directory::of_collections(&json!([{"name": "c", "documents": documents}]))
}

fn with_mode(directory: &Path, mode: Mode) -> Options {
    let mut options = Options::new(directory);
    options.mode = mode;
    options.jobs = 1;
    options
}

/// The text that a file of our own is replaced with, what is done then, and the error.
type OwnFile = (&'static str, &'static str, Mode, Code);

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_damage_of_a_file_of_our_own_has_its_id() {
    const MARKER: &str = ".lauradb-version";
    const RECEIPT: &str = ".lauradb-migration.json";
    let after_a_migration: [OwnFile; 10] = [
        (MARKER, "", Mode::Auto, Code::MarkerInvalid),
        (
            MARKER,
            "{\"formatVersion\":",
            Mode::Validate,
            Code::MarkerInvalid,
        ),
        (
            MARKER,
            r#"{"formatVersion":2.0}"#,
            Mode::Export,
            Code::MarkerInvalid,
        ),
        (
            MARKER,
            r#"{"formatVersion":"3.0"}"#,
            Mode::Auto,
            Code::VersionUnknown,
        ),
        (
            MARKER,
            r#"{"formatVersion":"2.0-publishing"}"#,
            Mode::Export,
            Code::Publishing,
        ),
        (RECEIPT, "", Mode::Rollback, Code::ReceiptDamaged),
        (
            RECEIPT,
            "{\"schema\":1,",
            Mode::Rollback,
            Code::ReceiptDamaged,
        ),
        (RECEIPT, "[1]", Mode::Rollback, Code::ReceiptDamaged),
        (
            ".laura-migrate/rollback.json",
            "{",
            Mode::Rollback,
            Code::JournalDamaged,
        ),
        (
            ".laura-migrate/journal.json",
            "{",
            Mode::Auto,
            Code::JournalDamaged,
        ),
    ];
    let hostile_journal = r#"{"format":1,"directories":["../out"],"copies":[],"aside":[],
        "published":[],"publishing_marker":"{}","final_marker":"{}","mode":420}"#;
    let before_a_migration: [OwnFile; 6] = [
        (
            ".laura-migrate/checkpoint.json",
            "",
            Mode::Auto,
            Code::CheckpointDamaged,
        ),
        (
            ".laura-migrate/checkpoint.json",
            "{\"tool\":5}",
            Mode::Auto,
            Code::CheckpointDamaged,
        ),
        (
            ".laura-migrate/checkpoint.json",
            r#"{"tool":"laura-migrate 9.9"}"#,
            Mode::Auto,
            Code::CheckpointDamaged,
        ),
        (
            ".laura-migrate/journal.json",
            "{\"format\":2}",
            Mode::Auto,
            Code::JournalDamaged,
        ),
        (
            ".laura-migrate/journal.json",
            hostile_journal,
            Mode::Auto,
            Code::JournalDamaged,
        ),
        (
            ".laura-migrate/undo.json",
            "5",
            Mode::Auto,
            Code::JournalDamaged,
        ),
    ];
    let rows = after_a_migration.map(|row| (true, row));
    for (is_migrated, (name, text, mode, code)) in rows
        .into_iter()
        .chain(before_a_migration.map(|row| (false, row)))
    {
        let directory = source();
        if is_migrated {
            run(directory.in_place()).unwrap();
        }
        let path = directory.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        // Whatever is damaged, where a migration stands is told.
        let status = Migration::new(with_mode(&directory.source(), Mode::Status)).status();
        assert!(status.is_ok(), "{name}, {text}: {status:?}");
        let error = run(with_mode(&directory.source(), mode));
        let error = match error {
            Err(error) => error,
            Ok(report) => {
                let left = report.validation.map(|validation| validation.left);
                let problem = left.as_ref().and_then(|left| left.problems.first());
                let problem = problem.unwrap_or_else(|| panic!("{name}, {text}: not found"));
                assert_eq!(problem.code, code, "{name}, {text}: {problem:?}");
                continue;
            }
        };
        assert_eq!(error.code(), code, "{name}, {text}: {error:?}");
        assert_eq!(error.place().file, Some(path), "{name}, {text}: {error:?}");
        assert_eq!(
            fs::read(directory.source().join(name)).unwrap(),
            text.as_bytes()
        );
    }
}

#[test]
fn each_damage_of_a_backup_has_its_id() {
    type Damage = fn(&Path);
    let rows: [(Damage, Code); 5] = [
        (
            |backup| fs::remove_file(backup.join("manifest.json")).unwrap(),
            Code::BackupIncomplete,
        ),
        (
            |backup| fs::write(backup.join("manifest.json"), "{").unwrap(),
            Code::BackupManifest,
        ),
        (
            |backup| {
                fs::write(
                    backup.join("manifest.json"),
                    r#"{"format":"laura-backup/2"}"#,
                )
                .unwrap()
            },
            Code::BackupVersion,
        ),
        (
            |backup| fs::write(backup.join("c.jsonl"), "").unwrap(),
            Code::BackupAltered,
        ),
        (
            |backup| fs::remove_file(backup.join("c.jsonl")).unwrap(),
            Code::BackupIncomplete,
        ),
    ];
    for (number, (damage, code)) in rows.into_iter().enumerate() {
        let directory = source();
        let mut export = with_mode(&directory.source(), Mode::Export);
        export.target = Some(directory.home().join("backups"));
        let backup = run(export).unwrap().backup.unwrap();
        damage(&backup);
        let mut import = with_mode(&backup, Mode::Import);
        import.target = Some(directory.target());
        let error = run(import).unwrap_err();
        assert_eq!(error.code(), code, "row {number}: {error:?}");
        assert!(!error.place().is_empty(), "row {number}: {error:?}");
        assert!(!directory.target().exists(), "row {number}");
    }
}

fn pages_of(path: &Path, page_type: PageType) -> Vec<usize> {
    let file = fs::read(path).unwrap();
    let pages = file.as_chunks::<PAGE_SIZE>().0;
    (1..pages.len())
        .filter(|number| pages[*number][4] == page_type as u8)
        .collect()
}

/// Changes a page, and gives it a right checksum again if asked for.
fn change(path: &Path, number: usize, is_sealed: bool, change: impl Fn(&mut PageBytes)) {
    let mut file = fs::read(path).unwrap();
    let page = &mut file.as_chunks_mut::<PAGE_SIZE>().0[number];
    change(page);
    if is_sealed {
        page::seal(page, PageId(number as u32));
    }
    fs::write(path, file).unwrap();
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_damage_of_the_files_of_v2_has_its_id_and_page() {
    const DATA: usize = 16;
    // The file, the type and number of its page, whether the checksum is made right again, the
    // change, and the error.
    type Row = (
        &'static str,
        Option<PageType>,
        bool,
        fn(&mut PageBytes),
        Code,
    );
    let rows: [Row; 13] = [
        (
            "data.db",
            Some(PageType::Data),
            false,
            |page| page[4000] ^= 1,
            Code::PageDamaged,
        ),
        (
            "data.db",
            Some(PageType::Overflow),
            false,
            |page| page[100] ^= 1,
            Code::PageDamaged,
        ),
        (
            "data.db",
            Some(PageType::Index),
            false,
            |page| page[5] ^= 4,
            Code::PageDamaged,
        ),
        (
            "metadata.db",
            None,
            false,
            |page| page[4090] ^= 1,
            Code::PageDamaged,
        ),
        // More slots than a page has room for; a slot that points behind the page.
        (
            "data.db",
            Some(PageType::Data),
            true,
            |page| page[DATA..DATA + 2].fill(0xFF),
            Code::PageDamaged,
        ),
        (
            "data.db",
            Some(PageType::Data),
            true,
            |page| page[DATA + 12..DATA + 14].fill(0xFF),
            Code::PageDamaged,
        ),
        // A chain that leads back to its beginning; more data than a page has.
        (
            "data.db",
            Some(PageType::Overflow),
            true,
            |page| page.copy_within(0..4, DATA),
            Code::PageUnaccounted,
        ),
        (
            "data.db",
            Some(PageType::Overflow),
            true,
            |page| page[DATA + 4..DATA + 6].fill(0xFF),
            Code::PageDamaged,
        ),
        // A node of no type, with more keys than fit, whose neighbour is itself.
        (
            "data.db",
            Some(PageType::Index),
            true,
            |page| page[DATA] = 9,
            Code::PageDamaged,
        ),
        (
            "data.db",
            Some(PageType::Index),
            true,
            |page| page[DATA + 2..DATA + 4].fill(0xFF),
            Code::PageDamaged,
        ),
        (
            "data.db",
            Some(PageType::Index),
            true,
            |page| page.copy_within(0..4, DATA + 18),
            Code::PageDamaged,
        ),
        // Magic; a count of collections that no page holds.
        (
            "metadata.db",
            None,
            true,
            |page| page[32] ^= 1,
            Code::CatalogDamaged,
        ),
        (
            "metadata.db",
            None,
            true,
            |page| page[38..42].fill(0xFF),
            Code::CatalogDamaged,
        ),
    ];
    for (number, (name, page_type, is_sealed, damage, code)) in rows.into_iter().enumerate() {
        let directory = source();
        run(directory.in_place()).unwrap();
        let path: PathBuf = directory.source().join(name);
        let page = page_type.map_or(0, |page_type| pages_of(&path, page_type)[0]);
        change(&path, page, is_sealed, damage);
        let report = run(with_mode(&directory.source(), Mode::Validate)).unwrap();
        let problems = report.validation.unwrap().left.problems;
        let found = problems.iter().flat_map(|kind| &kind.first).any(|problem| {
            let place = &problem.place;
            problem.code == code
                && place.file.as_ref() == Some(&path)
                && place.page == Some(page as u32)
        });
        assert!(found, "row {number}: {problems:#?}");
    }
}

#[test]
fn a_chain_that_leads_behind_the_file_names_its_slot_and_the_page_that_is_missing() {
    let directory = source();
    run(directory.in_place()).unwrap();
    let path = directory.source().join("data.db");
    let page = pages_of(&path, PageType::Overflow)[0];
    change(&path, page, true, |page| page[16..20].fill(0xFF));
    let report = run(with_mode(&directory.source(), Mode::Validate)).unwrap();
    let problems = report.validation.unwrap().left.problems;
    let broken = &problems[0].first[0];
    assert_eq!(broken.code, Code::PageDamaged, "{problems:#?}");
    assert_eq!(broken.place.page, Some(u32::MAX), "{problems:#?}");
    assert!(broken.sentence.contains("slot 1"), "{problems:#?}");
}
