//! What the fuzzers start from: the fixtures, what this tool makes of them, and what was kept.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use crate::fuzz_targets::{gathered, joined, options, scratch, set_time};
use laura_migrate::document::bson::RawDocument;
use laura_migrate::document::ejson;
use laura_migrate::files::{Gate, Verdict};
use laura_migrate::options::Mode;
use laura_migrate::progress::Unwatched;
use laura_migrate::v1::wal::{RecordKind, RecordWriter};
use laura_migrate::v2::btree::Node;
use laura_migrate::v2::rtree::RTreeNode;
use laura_migrate::{Migration, Options};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// What the fuzzers have found for a target, a part of it: a packed file of a length u32 and so
/// many bytes, again and again.
fn found(target: &str) -> Vec<Vec<u8>> {
    let path = fixtures()
        .join("fuzz-corpus")
        .join(format!("{target}.pack.gz"));
    let Ok(packed) = std::fs::read(path) else {
        return Vec::new();
    };
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut bytes)
        .unwrap();
    let mut rest = &bytes[..];
    let mut inputs = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (input, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        inputs.push(input.to_vec());
        rest = after;
    }
    inputs
}

/// The inputs that were kept for a target.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = fixtures().join("fuzz-corpus").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// The fixtures of a folder that end so, but for large ones.
fn of_folder(folder: &str, suffix: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(fixtures().join("laura").join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = paths
        .iter()
        .filter(|path| path.to_str().unwrap().ends_with(suffix))
        .filter(|path| !path.to_str().unwrap().ends_with(".expected.json"));
    let read = wanted.map(|path| std::fs::read(path).unwrap());
    read.filter(|bytes| bytes.len() < 20_000).collect()
}

fn split_pages(files: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let pages = files.iter().flat_map(|file| file.chunks(4096));
    pages.map(<[u8]>::to_vec).collect()
}

/// A v1 directory with something of everything; `is_small` leaves out what takes many pages.
fn v1_directory(home: &Path, is_small: bool) -> PathBuf {
    let directory = home.join("source");
    std::fs::create_dir(&directory).unwrap();
    let indexes = r#"{"name":"email_1","type":"btree","field_paths":["email"],"unique":true},
        {"name":"t","type":"text","field_paths":["text"]},
        {"name":"p","type":"geo","field_paths":["at"],"geo_type":"2dsphere"},
        {"name":"f","type":"btree","field_paths":["n","s"],"filter":{"n":{"$gt":1}}},
        {"name":"x","type":"ttl","field_paths":["n"],"ttl_duration":60}"#;
    let document = |n: usize, text: &str| {
        format!(
            r#"{{"_id":"k{n}","fields":{{"email":"e{n}","n":{n},"s":"{text}","text":"red {text} blue",
            "at":{{"type":"Point","coordinates":[{n},2.5]}},"list":[1,null,true]}}}}"#
        )
    };
    let long = "x".repeat(5000);
    let texts = if is_small {
        vec!["green"]
    } else {
        vec!["green", &long, "", "yellow"]
    };
    let documents: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| document(n, text))
        .collect();
    let indexes = if is_small { "" } else { indexes };
    let snapshot = format!(
        r#"{{"version":"1.0","timestamp":"2025-01-15T10:30:00Z","database_name":"d","collections":[
        {{"name":"c","documents":[{}],"indexes":[{indexes}]}},{{"name":"empty"}}]}}"#,
        documents.join(",")
    );
    std::fs::write(directory.join("snapshot.json"), snapshot).unwrap();
    let mut log = RecordWriter::new(Vec::new());
    let mut record = Vec::new();
    ejson::parse_document(r#"{"_id":"k9","n":{"$numberInt":"9"}}"#, &mut record).unwrap();
    log.operation(RecordKind::Insert, 0, "c", RawDocument::trusted(&record))
        .unwrap();
    std::fs::write(directory.join("wal.log"), log.into_inner()).unwrap();
    for name in ["snapshot.json", "wal.log"] {
        set_time(&directory.join(name));
    }
    directory
}

/// Runs, until the n-th change, which does not happen any more. True if there was no such change.
fn run_until(options: Options, end: u64) -> bool {
    let changes = AtomicU64::new(0);
    let gate = Gate::guarded(move |_| {
        if changes.fetch_add(1, Ordering::Relaxed) < end {
            Verdict::Proceed
        } else {
            Verdict::Fail(io::Error::other("killed"))
        }
    });
    Migration::new(options)
        .with_gate(gate)
        .run(&mut Unwatched)
        .is_ok()
}

/// What runs that were killed leave, every so many changes.
fn interrupted(step: usize) -> Vec<Vec<u8>> {
    let mut left: Vec<Vec<u8>> = Vec::new();
    for mode in [Mode::Auto, Mode::Rollback] {
        for end in (0..).step_by(step) {
            let home = scratch();
            let directory = v1_directory(home.path(), true);
            if mode == Mode::Rollback {
                assert!(run_until(options(&directory, Mode::Auto), u64::MAX));
            }
            let is_done = run_until(options(&directory, mode), end);
            left.push(gathered(&directory));
            if is_done {
                break;
            }
        }
    }
    left.dedup();
    left
}

/// Migrated directories: one of few pages, one with every kind of index.
fn migrated() -> Vec<Vec<u8>> {
    let migrate = |is_small| {
        let home = scratch();
        let directory = v1_directory(home.path(), is_small);
        assert!(run_until(options(&directory, Mode::Auto), u64::MAX));
        std::fs::remove_dir_all(directory.join(".lauradb-v1")).unwrap();
        gathered(&directory)
    };
    vec![migrate(true), migrate(false)]
}

/// Files with a tree in them, and the page of its root before.
fn trees() -> Vec<Vec<u8>> {
    let mut files = of_folder("pages", ".data.db");
    let home = scratch();
    let directory = v1_directory(home.path(), false);
    assert!(run_until(options(&directory, Mode::Auto), u64::MAX));
    files.push(std::fs::read(directory.join("data.db")).unwrap());
    let mut trees = Vec::new();
    for file in files {
        for (page, number) in file.chunks_exact(4096).zip(0_u8..) {
            let page = page.try_into().unwrap();
            // Internal nodes, and leaves that are alone.
            let is_root = Node::parse(page)
                .is_ok_and(|node| !node.is_leaf() || (node.next().0 == 0 && node.prev().0 == 0));
            if page[4] == 1 && (is_root || RTreeNode::parse(page).is_ok()) {
                trees.push([&[number], &file[..]].concat());
            }
        }
    }
    trees
}

/// A backup, by its files.
fn backups() -> Vec<Vec<u8>> {
    let home = scratch();
    let directory = v1_directory(home.path(), true);
    let mut export = options(&directory, Mode::Export);
    export.target = Some(home.path().join("backups"));
    let report = Migration::new(export).run(&mut Unwatched).unwrap();
    vec![gathered(report.backup.as_deref().unwrap())]
}

/// What a target starts from.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let text = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let mut seeds: Vec<Vec<u8>> = match target {
        "snapshot" => of_folder("snapshots", ".json"),
        "wal" => of_folder("wal", ".log"),
        "page" => {
            let mut pages = split_pages(of_folder("pages", ".data.db"));
            pages.extend(of_folder("pages", ".page"));
            pages
        }
        "metadata" => of_folder("pages", ".metadata.db"),
        "marker" => text(&[r#"{"formatVersion":"2.0","storageMode":"disk","compatible":["2.0"]}"#]),
        "index" => text(&[
            r#"{"$and":[{"a":{"$gt":1,"$in":[1,"x"]}},{"b":{"$elemMatch":{"$eq":"x"}}}]}"#,
            r#"{"a":{"$regex":"^(a|b)*[^x-z]{2,5}$"},"c":{"$exists":true,"$size":2}}"#,
            r#"{"name":"a_1","type":"btree","field_paths":["a","b"],"unique":true,"filter":{"a":1}}"#,
            r#"{"name":"t","type":"ttl","field_paths":["a"],"ttl_duration":60,"config":{"x":[1]}}"#,
        ]),
        "json" => text(&[
            r#"{"_id":"000000000000000000000001","fields":{"a":[1,-0,1e5,{"type":"Point"}],"b":null}}"#,
            r#"{"_id":null,"fields":{"\u0061":"\ud83d\ude00","a":"2025-01-15T10:30:00Z"},"x":[]}"#,
        ]),
        "ejson" | "bson" => text(&[
            r#"{"_id":{"$oid":"000000000000000000000001"},"a":{"$numberLong":"5"},"b":[true,null]}"#,
            r#"{"a":{"$timestamp":{"t":1,"i":2}},"b":{"$binary":{"base64":"AAE=","subType":"00"}}}"#,
            r#"{"$lauraDocument":[["$x",{"$numberDouble":"NaN"}],["y",{"$numberInt":"-1"}]]}"#,
        ]),
        "backup" => vec![joined(&[
            (
                "manifest.json",
                br#"{"format":"laura-backup/1","tool":"x","createdAt":"2025-01-15T10:30:00Z","sourceVersion":"1.0","databaseName":"d","metadata":{},"collections":[]}"#,
            ),
            ("c.jsonl", br#"{"_id":"a"}"#),
        ])],
        _ => Vec::new(),
    };
    if target == "bson" {
        for seed in &mut seeds {
            let mut document = Vec::new();
            let text = str::from_utf8(seed).unwrap();
            ejson::parse_document(text, &mut document).unwrap();
            *seed = document;
        }
    }
    if target == "run" || target == "backup" {
        let logs = of_folder("wal", ".log");
        let snapshots = of_folder("snapshots", ".json");
        for (log, snapshot) in logs.iter().zip(snapshots.iter().cycle()) {
            seeds.push(joined(&[("snapshot.json", snapshot), ("wal.log", log)]));
        }
    }
    match target {
        "tree" => seeds.extend(trees()),
        "backup" => seeds.extend(backups()),
        "state" => seeds.extend(interrupted(5)),
        "v2" => seeds.extend(migrated()),
        _ => {}
    }
    seeds.extend(kept(target));
    seeds.extend(found(target));
    seeds
}
