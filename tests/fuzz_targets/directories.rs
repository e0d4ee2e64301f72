//! Targets whose input is a directory of several files.

use super::{page_file, scratch};
use laura_migrate::document::bson::{self, OwnedDocument, RawValue};
use laura_migrate::document::ejson;
use laura_migrate::files::{Dir, Gate};
use laura_migrate::options::Mode;
use laura_migrate::progress::Unwatched;
use laura_migrate::source::{self, V1Options};
use laura_migrate::store::{DocumentStore, ForceMode, StoreConfig};
use laura_migrate::version::Marker;
use laura_migrate::{ExitCode, Migration, Options, store};
use std::fs::{self, File};
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The one instant of all runs here: 2025-01-15T10:30:00Z.
const INSTANT: i64 = 1_736_937_000;

/// The files that an input of several is divided into.
pub const NAMES: [&str; 32] = [
    "snapshot.json",
    "wal.log",
    "data.db",
    "metadata.db",
    ".lauradb-version",
    ".lauradb-migration.json",
    "backup.json",
    "manifest.json",
    "c.jsonl",
    ".laura-migrate/checkpoint.json",
    ".laura-migrate/plan.json",
    ".laura-migrate/journal.json",
    ".laura-migrate/run.json",
    ".laura-migrate/undo.json",
    ".laura-migrate/rollback.json",
    ".laura-migrate/import.json",
    ".laura-migrate/backup.json",
    ".laura-migrate/data.db",
    ".laura-migrate/metadata.db",
    ".laura-migrate/wal.log",
    ".laura-migrate/sort.runs",
    ".laura-migrate/matched.log",
    ".laura-migrate/pages.copies",
    ".laura-migrate/pages.recovered",
    ".laura-migrate/separators.0",
    ".laura-migrate/duplicates.0",
    ".lauradb-quarantine.jsonl",
    ".lauradb-v1/snapshot.json",
    ".lauradb-v1/wal.log",
    ".lauradb-v1/data.db",
    ".lauradb-v1/.lauradb-version",
    ".laura-migrate/undone.json",
];

/// Parts of an input: the name's number u8, a length u32, and the bytes.
fn parts(mut data: &[u8]) -> Vec<(&'static str, &[u8])> {
    let mut parts = Vec::new();
    while let [name, a, b, c, d, rest @ ..] = data {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let (part, rest) = rest.split_at(length.min(rest.len()));
        parts.push((NAMES[usize::from(*name) % NAMES.len()], part));
        data = rest;
    }
    parts
}

/// An input of several files.
pub fn joined(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, bytes) in files {
        let number = NAMES.iter().position(|known| known == name).unwrap();
        data.push(u8::try_from(number).unwrap());
        data.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        data.extend_from_slice(bytes);
    }
    data
}

/// Puts the parts in their places, all as old as each other: a checkpoint remembers times.
fn lay_out(data: &[u8], directory: &Path) {
    fs::create_dir(directory).unwrap();
    for (name, bytes) in parts(data) {
        if let Some((folder, _)) = name.split_once('/') {
            let _ = fs::create_dir(directory.join(folder));
        }
        let path = directory.join(name);
        fs::write(&path, bytes).unwrap();
        set_time(&path);
    }
}

/// Sets the one time that all files have.
pub fn set_time(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(INSTANT.unsigned_abs());
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

/// The files of a directory that an input can hold, as one.
pub fn gathered(directory: &Path) -> Vec<u8> {
    let read = |name: &&'static str| Some((*name, fs::read(directory.join(name)).ok()?));
    let files: Vec<_> = NAMES.iter().filter_map(read).collect();
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (*name, &bytes[..]))
        .collect();
    joined(&files)
}

/// A run on a directory that takes little.
pub fn options(directory: &Path, mode: Mode) -> Options {
    let mut options = Options::new(directory);
    options.mode = mode;
    options.jobs = 1;
    options.memory = 8 << 20;
    options.temp_dir = directory.parent().unwrap().to_path_buf();
    options.source_date_epoch = Some(INSTANT);
    options.checkpoint_interval = Duration::ZERO;
    options
}

fn run_mode(options: Options) -> laura_migrate::Result<laura_migrate::report::Report> {
    Migration::new(options).run(&mut Unwatched)
}

/// A directory of any kind, read whole.
pub fn backup(data: &[u8]) {
    let home = scratch();
    let directory = home.path().join("source");
    lay_out(data, &directory);
    let dir = Dir::open(&directory, Gate::open()).unwrap();
    let options = V1Options::default();
    let Ok(source) = source::open(dir, &options, &mut |_| Ok(())) else {
        return;
    };
    for position in 0..source.collections().len() {
        let _ = source.read(position, &mut |document| {
            bson::check(document.document.as_bytes()).unwrap();
            Ok(())
        });
    }
}

/// A whole migration; what it publishes it must find again.
pub fn run(data: &[u8]) {
    let home = scratch();
    let directory = home.path().join("source");
    lay_out(data, &directory);
    for max_bad in [0, 1000] {
        let mut options = options(&directory, Mode::Auto);
        options.target = Some(home.path().join(format!("target{max_bad}")));
        options.max_bad = max_bad;
        let Ok(first) = run_mode(options.clone()) else {
            continue;
        };
        let second = run_mode(options).unwrap();
        assert_eq!(first.exit_code(), second.exit_code());
    }
    // In place, with whatever an earlier run may have left.
    let mut options = options(&directory, Mode::Auto);
    options.max_bad = 1000;
    let _ = run_mode(options);
}

/// A directory that an interrupted run, or rollback, may have left: told, finished, undone.
pub fn state(data: &[u8]) {
    let home = scratch();
    let [told, taken_back, restarted] =
        ["told", "back", "again"].map(|name| home.path().join(name));
    lay_out(data, &told);
    // Whatever state it is in, status tells it.
    let status = Migration::new(options(&told, Mode::Status))
        .status()
        .unwrap();
    let _ = format!("{status:?}");
    let _ = run_mode(options(&told, Mode::DryRun));
    let _ = run_mode(options(&told, Mode::Auto));
    lay_out(data, &taken_back);
    let _ = run_mode(options(&taken_back, Mode::Rollback));
    lay_out(data, &restarted);
    let restart = Options {
        restart: true,
        ..options(&restarted, Mode::Auto)
    };
    let _ = run_mode(restart);
}

/// A directory in format v2, validated, exported and written to. What is valid stays so.
pub fn v2(data: &[u8]) {
    let home = scratch();
    let directory = home.path().join("source");
    lay_out(data, &directory);
    for name in ["data.db", "metadata.db"] {
        let path = directory.join(name);
        if let Ok(bytes) = fs::read(&path) {
            fs::write(&path, page_file(&bytes)).unwrap();
        }
    }
    let is_valid = |directory: &Path| {
        let report = run_mode(options(directory, Mode::Validate));
        report.is_ok_and(|report| report.exit_code() == ExitCode::Done)
    };
    let marker = fs::read_to_string(directory.join(".lauradb-version"));
    let marker = marker.ok().and_then(|text| Marker::parse(&text).ok());
    let is_v2 = marker.is_some_and(|marker| marker.format_version == "2.0");
    let was_valid = is_v2 && is_valid(&directory);
    let mut export = options(&directory, Mode::Export);
    export.target = Some(home.path().join("backups"));
    let exported = run_mode(export);
    if was_valid {
        exported.unwrap();
    }
    let config = StoreConfig {
        force_mode: ForceMode::Disk,
        page_cache_bytes: 1 << 20,
        source_date_epoch: Some(INSTANT),
        ..StoreConfig::default()
    };
    if let Ok(store) = store::open(&directory, &config) {
        work_on(store);
        if was_valid {
            assert!(is_valid(&directory), "the store has spoilt it");
        }
    }
}

/// Reads and changes a few documents of every collection.
fn work_on(mut store: Box<dyn DocumentStore>) {
    for name in store.collections().iter().take(4) {
        let mut documents = Vec::new();
        let _ = store.scan(name, &mut |document| {
            documents.push(OwnedDocument::trusted(document.as_bytes().to_vec()));
            Ok(match documents.len() {
                0..8 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            })
        });
        for index in store.indexes(name).unwrap_or_default() {
            let all = (Bound::Unbounded, Bound::Unbounded);
            let mut left = 100;
            let _ = store.range(name, &index.name, all, &mut |_| {
                left -= 1;
                Ok(if left == 0 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            });
        }
        let mut added = Vec::new();
        let text = r#"{"_id":"fuzz","a":{"$numberLong":"1"},"b":["x"],"email":"y"}"#;
        ejson::parse_document(text, &mut added).unwrap();
        let _ = store.insert(name, OwnedDocument::trusted(added).as_raw());
        for (number, document) in documents.iter().enumerate() {
            let id = document.as_raw().get("_id").unwrap_or(RawValue::Null);
            let _ = store.find(name, id);
            let _ = match number % 3 {
                0 => store.delete(name, id).map(drop),
                1 => store.update(name, document.as_raw()).map(drop),
                _ => Ok(()),
            };
        }
    }
    let _ = store.close();
}
