//! Peak memory of the program: within `--memory`, 32 MiB and three times the largest document.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

const MIB: usize = 1 << 20;
/// What every run here is given, the least there is, and what the program may take beside that.
const FIXED: usize = (8 + 32) * MIB;

/// Runs the program, which ends with this exit code; its peak memory in bytes.
fn peak_of(home: &Path, arguments: &[&str], exit_code: i32) -> usize {
    let report = home.join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_laura-migrate"))
        .current_dir(home)
        .env_remove("SOURCE_DATE_EPOCH")
        .args(["-q", "--memory", "8MiB", "--report", "report.json"])
        .args(arguments)
        .output()
        .unwrap();
    let code = output.status.code();
    assert_eq!(code, Some(exit_code), "{arguments:?}: {output:?}");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let peak = report["run"]["peakMemoryBytes"].as_u64();
    usize::try_from(peak.unwrap_or_else(|| panic!("{report}"))).unwrap()
}

fn peak(home: &Path, arguments: &[&str]) -> usize {
    peak_of(home, arguments, 0)
}

/// Fails if the run took more than documents of so many bytes allow.
fn assert_bounded(home: &Path, arguments: &[&str], largest: usize) {
    let (peak, bound) = (peak(home, arguments), FIXED + 3 * largest);
    let (peak_mib, bound_mib) = (peak / MIB, bound / MIB);
    assert!(
        peak <= bound,
        "{arguments:?}: {peak_mib} MiB, at most {bound_mib} are allowed"
    );
}

/// A directory `s` with these documents' fields and indexes.
fn snapshot(fields: &[Value], indexes: &Value) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let documents = fields.iter().enumerate();
    let documents: Vec<_> = documents
        .map(|(number, fields)| json!({"_id": format!("d{number}"), "fields": fields}))
        .collect();
    let collection = json!({"name": "c", "documents": documents, "indexes": indexes});
    let snapshot = json!({"version": "1.0", "database_name": "d", "collections": [collection]});
    fs::create_dir(home.path().join("s")).unwrap();
    fs::write(home.path().join("s/snapshot.json"), snapshot.to_string()).unwrap();
    home
}

#[test]
fn large_documents_travel_alone() {
    let largest = 12 * MIB;
    let fields = json!({"x": "a".repeat(largest)});
    let home = snapshot(&vec![fields; 4], &json!([]));
    assert_bounded(home.path(), &["--jobs", "4", "s", "o"], largest);
}

#[test]
fn text_indexes_take_the_terms_of_a_large_document_a_part_at_a_time() {
    let largest = 4 * MIB;
    let mut text = String::new();
    let mut number = 0_u64;
    while text.len() < largest {
        // In no order, and long, so that there are not too many for a test.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let _ = write!(text, "{number:020}{number:020}{number:020} ");
    }
    let index =
        |number| json!({"name": format!("t{number}"), "type": "text", "field_paths": ["x"]});
    let indexes: Vec<_> = (0..8).map(index).collect();
    let home = snapshot(&vec![json!({"x": text}); 2], &json!(indexes));
    assert_bounded(home.path(), &["--jobs", "2", "s", "o"], largest);
    assert_bounded(home.path(), &["--mode", "validate", "o"], largest);
}

#[test]
fn keys_that_are_large_documents_are_compared_in_bounded_memory() {
    let largest = 12 * MIB;
    let fields = |number: usize| json!({"x": format!("{}{number}", "a".repeat(largest))});
    let fields: Vec<_> = (0..3).map(fields).collect();
    let index = json!([{"name": "b", "type": "btree", "field_paths": ["x"]}]);
    let home = snapshot(&fields, &index);
    assert_bounded(home.path(), &["--jobs", "4", "s", "o"], largest);
    assert_bounded(home.path(), &["--mode", "validate", "o"], largest);
}

#[test]
fn a_log_whose_every_byte_could_begin_a_record_takes_no_memory() {
    let home = snapshot(&[json!({"x": 1})], &json!([]));
    peak(home.path(), &["s", "o"]);
    let path = home.path().join("o/wal.log");
    let mut log = fs::read(&path).unwrap();
    log.resize(log.len() + 2 * MIB, 1);
    fs::write(&path, log).unwrap();
    assert_bounded(home.path(), &["--mode", "validate", "o"], 0);
}

#[test]
fn a_checkpoint_of_zeros_is_not_read_into_memory() {
    let home = snapshot(&[json!({"x": 1})], &json!([]));
    let work = home.path().join("s/.laura-migrate");
    fs::create_dir(&work).unwrap();
    let checkpoint = fs::File::create(work.join("checkpoint.json")).unwrap();
    checkpoint.set_len(200 << 20).unwrap();
    let peak = peak_of(home.path(), &["s"], 5);
    assert!(peak <= FIXED, "{} MiB", peak / MIB);
}
