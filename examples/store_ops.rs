//! Inserts, changes and deletes documents through a disk store, in an order that depends on nothing.
//!
//! ```text
//! store_ops run DIRECTORY [N]    goes on where the database stands up to transaction N (60), and
//!                                closes it
//! store_ops check DIRECTORY [N]  fails unless every document is what its transaction has made it,
//!                                and validation finds nothing
//! store_ops state DIRECTORY      the same for any number of transactions, on a copy, through the
//!                                log and after recovery
//! ```
//!
//! Transaction n (from 1 on) writes the documents 3n, 3n + 1 and 3n + 2, replaces 3n - 3, deletes
//! 3n - 5, and sets the document `state` to n, all or nothing. So the database shows which
//! transactions it has.

#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use anyhow::{Context as _, Result, bail, ensure};
use laura_migrate::Migration;
use laura_migrate::document::bson::{OwnedDocument, RawDocument, RawValue};
use laura_migrate::index::{IndexDefinition, IndexKind};
use laura_migrate::options::{Mode, Options};
use laura_migrate::progress::Unwatched;
use laura_migrate::store::{DocumentStore, StoreConfig, Transaction, open};
use laura_migrate::validate::Verdict;
use std::fs::File;
use std::io::Write as _;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};

/// Transactions of a whole run.
const LAST: i64 = 60;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: i64 = arguments.get(2).map_or(Ok(LAST), |text| text.parse())?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", directory] | ["run", directory, _] => run(Path::new(directory), wanted),
        ["check", directory] | ["check", directory, _] => {
            let directory = Path::new(directory);
            let last = check(&*store(directory)?)?;
            ensure!(
                last == wanted,
                "the database has {last} transactions of {wanted}"
            );
            validate(directory)
        }
        ["state", directory] => state(Path::new(directory)),
        _ => bail!("store_ops run|check DIRECTORY [TRANSACTIONS], store_ops state DIRECTORY"),
    }
}

/// Judges a directory by every rule of the format.
fn validate(directory: &Path) -> Result<()> {
    let options = Options {
        mode: Mode::Validate,
        ..Options::new(directory)
    };
    let report = Migration::new(options).run(&mut Unwatched)?;
    let validation = report.validation.context("nothing was validated")?;
    let verdict = validation.verdict();
    ensure!(verdict == Verdict::Sound, "validation says {verdict:?}");
    Ok(())
}

fn store(directory: &Path) -> Result<Box<dyn DocumentStore>> {
    let config = StoreConfig {
        source_date_epoch: Some(1),
        checkpoint_bytes: 128 << 10,
        page_cache_bytes: 1 << 20,
        ..StoreConfig::default()
    };
    Ok(open(directory, &config)?)
}

fn index(field: &str, unique: bool, kind: IndexKind) -> IndexDefinition {
    IndexDefinition {
        name: format!("{field}_1"),
        fields: vec![field.to_owned()],
        unique,
        kind,
        ..IndexDefinition::id_index()
    }
}

/// A unique index, one with long keys, one of words and one of places.
fn indexes() -> [IndexDefinition; 4] {
    [
        index("n", true, IndexKind::Btree),
        index("t", false, IndexKind::Btree),
        index("w", false, IndexKind::Text),
        index("at", false, IndexKind::Geo2dSphere),
    ]
}

fn document(id: i64, version: i64) -> OwnedDocument {
    let length = if id % 10 == 7 { 9000 } else { id % 40 * 9 };
    let text = "x".repeat(usize::try_from(length).unwrap_or_default());
    let words = format!("everywhere often{} rare{id} version{version}", id % 4);
    let coordinates = [
        ("0", RawValue::Int64(id * 37 % 180)),
        ("1", RawValue::Int64(id * 53 % 90)),
    ];
    let coordinates: OwnedDocument = coordinates.into_iter().collect();
    let point = [("coordinates", RawValue::Array(coordinates.as_raw()))];
    let point: OwnedDocument = point.into_iter().collect();
    let fields = [
        ("_id", RawValue::Int64(id)),
        ("n", RawValue::Int64(-id)),
        ("v", RawValue::Int64(version)),
        ("t", RawValue::String(&text)),
        ("w", RawValue::String(&words)),
        ("at", RawValue::Document(point.as_raw())),
    ];
    fields.into_iter().collect()
}

fn state_of(transaction: i64) -> OwnedDocument {
    let fields = [
        ("_id", RawValue::String("state")),
        ("last", RawValue::Int64(transaction)),
    ];
    fields.into_iter().collect()
}

fn last_transaction(store: &dyn DocumentStore) -> Result<i64> {
    let found = store.find("c", RawValue::String("state"))?;
    match found.as_ref().and_then(|state| state.as_raw().get("last")) {
        Some(RawValue::Int64(last)) => Ok(last),
        None => Ok(0),
        Some(other) => bail!("the state is {other:?}"),
    }
}

fn operations(n: i64, transaction: &mut dyn Transaction) -> laura_migrate::Result<()> {
    for id in 3 * n..3 * n + 3 {
        transaction.insert("c", document(id, 1).as_raw())?;
    }
    transaction.update("c", document(3 * n - 3, 2).as_raw())?;
    transaction.delete("c", RawValue::Int64(3 * n - 5))?;
    if !transaction.update("c", state_of(n).as_raw())? {
        transaction.insert("c", state_of(n).as_raw())?;
    }
    Ok(())
}

fn run(directory: &Path, wanted: i64) -> Result<()> {
    let mut store = store(directory)?;
    if store.collections().is_empty() {
        store.create_collection("c", &indexes())?;
    }
    let last = last_transaction(&*store)?;
    let mut told = File::create(told_path(directory))?;
    File::open(directory.parent().unwrap_or(directory))?.sync_all()?;
    for n in last + 1..=wanted {
        store.transaction(&mut |transaction| operations(n, transaction))?;
        // Durable after the commit has returned: whoever finds the line must find the transaction.
        writeln!(told, "{n}")?;
        told.sync_all()?;
    }
    check(&*store)?;
    store.close()?;
    Ok(())
}

/// The file that says which transactions were confirmed.
fn told_path(directory: &Path) -> PathBuf {
    directory.with_extension("told")
}

/// The last transaction that was confirmed.
fn told(directory: &Path) -> i64 {
    let text = std::fs::read_to_string(told_path(directory)).unwrap_or_default();
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let numbers = lines.filter_map(|line| line.trim().parse().ok());
    numbers.max().unwrap_or_default()
}

/// What the documents must be after `last` transactions.
fn expected(last: i64) -> Vec<OwnedDocument> {
    let is_there = |id: &i64| {
        let deleted_by = (id + 5) / 3;
        (id + 5) % 3 != 0 || deleted_by > last || *id < 3
    };
    let version = |id: i64| match id % 3 == 0 && id / 3 < last {
        true => 2,
        false => 1,
    };
    let all = (3..3 * last + 3).filter(is_there);
    all.map(|id| document(id, version(id))).collect()
}

/// Compares everything; gives the last transaction that the database has.
fn check(store: &dyn DocumentStore) -> Result<i64> {
    if store.collections().is_empty() {
        return Ok(0);
    }
    let last = last_transaction(store)?;
    let expected = expected(last);
    let numbers = |index: &str| -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let bounds = (Bound::Unbounded, Bound::Unbounded);
        store.range("c", index, bounds, &mut |document: RawDocument<'_>| {
            if document.get("n").is_some() {
                found.push(document.as_bytes().to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        found.sort();
        Ok(found)
    };
    let mut wanted: Vec<Vec<u8>> = expected.iter().map(|d| d.as_bytes().to_vec()).collect();
    wanted.sort();
    for index in ["_id_", "n_1", "t_1"] {
        ensure!(
            numbers(index)? == wanted,
            "index {index} differs after transaction {last}"
        );
    }
    let mut scanned = 0;
    store.scan("c", &mut |_| {
        scanned += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    let state = usize::from(last > 0);
    ensure!(
        scanned == wanted.len() + state,
        "a scan finds {scanned} documents"
    );
    ensure!(store.count("c")? == scanned as u64, "the count is wrong");
    Ok(last)
}

/// Checks a copy before and after recovery; gives the last transaction that it has.
fn judge(copy: &Path) -> Result<i64> {
    // Before the marker there is no database yet.
    let is_made = copy.join(".lauradb-version").exists();
    if is_made {
        validate(copy)?;
    }
    let store = store(copy)?;
    let last = check(&*store)?;
    store.close()?;
    validate(copy)?;
    Ok(last)
}

/// Says what a fault has left, without changing anything.
fn state(directory: &Path) -> Result<()> {
    let copy = directory.with_extension("state");
    let _ = std::fs::remove_dir_all(&copy);
    std::fs::create_dir(&copy)?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        std::fs::copy(entry.path(), copy.join(entry.file_name()))?;
    }
    let found = judge(&copy);
    std::fs::remove_dir_all(&copy)?;
    let (last, told) = (found?, told(directory));
    ensure!(
        last >= told,
        "transaction {told} was confirmed, the database has {last}"
    );
    println!("{}", if last > 0 { "published" } else { "intact" });
    Ok(())
}
