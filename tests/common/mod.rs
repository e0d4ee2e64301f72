//! What the end-to-end tests share: v1 directories made of fixtures and literals, runs of the
//! library on them, v2 directories read back, and listings that tell whether anything changed.

#![allow(dead_code, unused_imports, reason = "each file uses its own part")]

mod backup;
mod database;
mod log;
mod special;

pub(crate) use backup::back_up;
pub(crate) use database::{Collection, Database};
pub(crate) use log::Log;

use laura_migrate::document::bson::RawDocument;
use laura_migrate::document::ejson;
use laura_migrate::progress::Unwatched;
use laura_migrate::report::Report;
use laura_migrate::{Code, Error, Migration, Options, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The one instant of all runs here: 2025-01-15T10:30:00Z.
pub(crate) const INSTANT: i64 = 1_736_937_000;

/// A v1 directory named `source` in a temporary directory, with room for a `target` beside it.
pub(crate) struct Directory {
    home: tempfile::TempDir,
}

impl Directory {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("source")).unwrap();
        Self { home }
    }

    /// One whose snapshot is the named fixture.
    pub(crate) fn of_fixture(name: &str) -> Self {
        Self::new().snapshot(fixture(&format!("snapshots/{name}")))
    }

    /// One whose snapshot lists these collections.
    pub(crate) fn of_collections(collections: &serde_json::Value) -> Self {
        Self::new().snapshot(snapshot_text(collections))
    }

    /// One whose snapshot has 200 users with a unique index on their age.
    pub(crate) fn of_users() -> Self {
        let user = |n| serde_json::json!({"_id": format!("u{n}"), "fields": {"name": format!("N {n}"), "age": n}});
        let users: Vec<_> = (0..200).map(user).collect();
        let indexes = serde_json::json!([
            {"name": "age_1", "type": "btree", "field_paths": ["age"], "unique": true}
        ]);
        Self::of_collections(
            &serde_json::json!([{"name": "users", "documents": users, "indexes": indexes}]),
        )
    }

    /// [`Self::of_users`], migrated in place.
    pub(crate) fn of_migrated_users() -> Self {
        let directory = Self::of_users();
        run(directory.in_place()).unwrap();
        directory
    }

    /// Adds `snapshot.json`.
    pub(crate) fn snapshot(self, text: impl AsRef<[u8]>) -> Self {
        self.file("snapshot.json", text)
    }

    /// Adds `wal.log`.
    pub(crate) fn wal(self, bytes: impl AsRef<[u8]>) -> Self {
        self.file("wal.log", bytes)
    }

    /// Adds a file.
    pub(crate) fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.source().join(name), bytes).unwrap();
        self
    }

    /// The directory that `source` and `target` lie in.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.home.path().join("source")
    }

    /// Not made by anything here.
    pub(crate) fn target(&self) -> PathBuf {
        self.home.path().join("target")
    }

    /// An in-place migration.
    pub(crate) fn in_place(&self) -> Options {
        let mut options = Options::new(self.source());
        options.source_date_epoch = Some(INSTANT);
        options.jobs = 2;
        options
    }

    /// A migration to `target`.
    pub(crate) fn side_by_side(&self) -> Options {
        let mut options = self.in_place();
        options.target = Some(self.target());
        options
    }

    /// Everything below the home.
    pub(crate) fn tree(&self) -> Tree {
        tree(self.home())
    }

    /// Migrates in place and reads the result back.
    pub(crate) fn migrated(&self) -> (Report, Database) {
        self.migrated_with(self.in_place())
    }

    /// Migrates with these options and reads the result back.
    pub(crate) fn migrated_with(&self, options: Options) -> (Report, Database) {
        let target = options.target.clone().unwrap_or_else(|| self.source());
        let report = run(options).unwrap();
        let database = Database::read(&target);
        assert_report_agrees(&report, &database);
        (report, database)
    }

    /// Runs a migration that has to fail and to leave everything as it was.
    pub(crate) fn refused(&self, options: Options) -> Error {
        let before = self.tree();
        let error = run(options).unwrap_err();
        assert_same_tree(&before, &self.tree());
        error
    }

    /// Both in place and side by side, with the same error.
    pub(crate) fn refused_both_ways(&self) -> Error {
        let beside = self.refused(self.side_by_side());
        let error = self.refused(self.in_place());
        assert_eq!(error.code(), beside.code(), "{error:?}, {beside:?}");
        error
    }
}

/// Runs a migration that nobody watches.
pub(crate) fn run(options: Options) -> Result<Report> {
    Migration::new(options).run(&mut Unwatched)
}

/// The bytes of a fixture, unpacked if it is compressed.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/laura")
        .join(name);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    unpacked
}

/// A fixture that is JSON.
pub(crate) fn json_fixture(name: &str) -> serde_json::Value {
    serde_json::from_slice(&fixture(name)).unwrap()
}

/// Names of the fixtures of a folder that end in `suffix`, without it, sorted.
pub(crate) fn fixtures(folder: &str, suffix: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/laura")
        .join(folder);
    let names = fs::read_dir(path).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(suffix).map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A snapshot as LauraDB's backup frames it.
pub(crate) fn snapshot_text(collections: &serde_json::Value) -> String {
    serde_json::json!({
        "version": "1.0",
        "timestamp": "2025-01-15T10:30:00.123456789Z",
        "database_name": "default",
        "collections": collections,
    })
    .to_string()
}

/// BSON of a document in canonical Extended JSON.
pub(crate) fn bson(text: &str) -> Vec<u8> {
    let mut bson = Vec::new();
    ejson::parse_document(text, &mut bson).unwrap_or_else(|error| panic!("{text}: {error}"));
    bson
}

/// Canonical Extended JSON of a document.
pub(crate) fn ejson(bson: &[u8]) -> String {
    let mut text = Vec::new();
    ejson::write_document(RawDocument::trusted(bson), &mut text);
    String::from_utf8(text).unwrap()
}

/// What lies below a directory, by path: kind, permission bits, times and contents of each entry.
pub(crate) type Tree = BTreeMap<String, Node>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    /// Of files, nanoseconds since 1970.
    modified_ns: i64,
    /// Of a file, XXH3-128 of its bytes; of a symlink, its target.
    contents: String,
}

/// Lists everything below `root`, which may be missing.
pub(crate) fn tree(root: &Path) -> Tree {
    let walk = walkdir::WalkDir::new(root).min_depth(1).into_iter();
    walk.filter_map(|entry| {
        let entry = entry.ok()?;
        let metadata = entry.path().symlink_metadata().unwrap();
        let path = entry.path().strip_prefix(root).unwrap();
        let is_file = metadata.is_file();
        let (kind, contents) = if metadata.is_dir() {
            ("directory", String::new())
        } else if is_file {
            let bytes = fs::read(entry.path()).unwrap();
            let hash = laura_migrate::hash::xxh3_128(&bytes);
            ("file", format!("{} bytes, {hash:032x}", bytes.len()))
        } else if metadata.is_symlink() {
            let link = fs::read_link(entry.path()).unwrap();
            ("symlink", link.display().to_string())
        } else {
            ("special", String::new())
        };
        let modified_ns = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        let node = Node {
            kind,
            mode: metadata.mode() & 0o7777,
            modified_ns: if is_file { modified_ns } else { 0 },
            contents,
        };
        Some((path.display().to_string(), node))
    })
    .collect()
}

/// Fails if two listings differ, naming only what does.
#[track_caller]
pub(crate) fn assert_same_tree(before: &Tree, after: &Tree) {
    let lost: Vec<_> = before
        .iter()
        .filter(|(path, node)| after.get(*path) != Some(node))
        .collect();
    let found: Vec<_> = after
        .iter()
        .filter(|(path, node)| before.get(*path) != Some(node))
        .collect();
    assert!(
        lost.is_empty() && found.is_empty(),
        "before: {lost:#?}\nafter: {found:#?}"
    );
}

/// Names directly in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The report's figures are those of the directory that was written.
fn assert_report_agrees(report: &Report, database: &Database) {
    assert_eq!(report.collections.len(), database.collections.len());
    for reported in &report.collections {
        let found = database.collection(&reported.name);
        assert_eq!(reported.documents, found.documents.len() as u64);
        let bytes: usize = found.documents.iter().map(Vec::len).sum();
        assert_eq!(reported.bytes, bytes as u64);
        let entries = found
            .indexes
            .iter()
            .map(|index| Some(index.entries.len() as u64));
        assert!(
            reported
                .indexes
                .iter()
                .map(|index| index.entries)
                .eq(entries)
        );
        let names = found.indexes.iter().map(|index| &index.record.name);
        assert!(reported.indexes.iter().map(|index| &index.name).eq(names));
    }
}

/// Kinds of the warnings of a run, by number. Which processes run beside the test, and whether they
/// can be inspected, is not the directory's doing.
pub(crate) fn warnings(report: &Report) -> Vec<Code> {
    let codes = report.warnings.iter().map(|warning| warning.code);
    let mut codes: Vec<Code> = codes
        .filter(|code| *code != Code::HiddenProcesses)
        .collect();
    codes.sort_by_key(|code| *code as u16);
    codes
}

/// What two runs must write alike: a file's bytes, but of a receipt all but its `run` object.
pub(crate) fn determined(directory: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(directory.join(name)).unwrap();
    if name != ".lauradb-migration.json" {
        return bytes;
    }
    let mut receipt: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert!(receipt.as_object_mut().unwrap().remove("run").is_some());
    receipt.to_string().into_bytes()
}

/// An error has the code, says its sentence, and tells what to do next.
#[track_caller]
pub(crate) fn assert_error(error: &Error, code: Code, sentence: &str) {
    assert_eq!(error.code(), code, "{error:?}");
    assert!(error.to_string().contains(sentence), "{error:?}");
    assert!(
        error.hint_text().is_some_and(|hint| !hint.is_empty()),
        "no hint: {error:?}"
    );
}
