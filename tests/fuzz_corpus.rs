//! The kept corpus of the fuzzers, replayed; and a small mutation driver where there is no fuzzer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod fuzz_targets;

use fuzz_targets::{TARGETS, Target, joined};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
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

/// What a target starts from.
fn seeds(target: &str) -> Vec<Vec<u8>> {
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
            laura_migrate::document::ejson::parse_document(text, &mut document).unwrap();
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
    seeds.extend(kept(target));
    seeds
}

#[test]
fn the_kept_corpus_and_the_seeds_pass() {
    for (name, target) in TARGETS {
        for input in seeds(name) {
            target(&input);
        }
    }
}

#[test]
fn mutations_of_the_seeds_pass() {
    // As many for each as take about as long.
    let counts = BTreeMap::from([
        ("run", 20),
        ("backup", 100),
        ("snapshot", 300),
        ("wal", 300),
    ]);
    for target in TARGETS {
        let count = counts.get(target.0).copied().unwrap_or(2000);
        Driver::new(target).run(count, None);
    }
}

/// `FUZZ_TARGET=wal FUZZ_SECONDS=600 cargo test --test fuzz_corpus -- --ignored --nocapture`
#[test]
#[ignore = "runs as long as FUZZ_SECONDS says"]
fn mutations_go_on() {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds.map_or(60, |text| text.parse().unwrap());
    let wanted = std::env::var("FUZZ_TARGET").ok();
    let seed = std::env::var("FUZZ_SEED").ok();
    for target in TARGETS {
        if wanted.as_deref().is_none_or(|wanted| wanted == target.0) {
            let mut driver = Driver::new(target);
            driver.random ^= seed.as_deref().map_or(0, |text| text.parse().unwrap());
            let until = Instant::now() + Duration::from_secs(seconds);
            driver.run(u64::MAX, Some(until));
        }
    }
}

/// Mutates seeds, always in the same way.
struct Driver {
    target: Target,
    seeds: Vec<Vec<u8>>,
    random: u64,
}

impl Driver {
    fn new(target: Target) -> Self {
        Self {
            target,
            seeds: seeds(target.0),
            random: 0x9E37_79B9_7F4A_7C15,
        }
    }

    fn run(&mut self, count: u64, until: Option<Instant>) {
        for number in 0..count {
            if until.is_some_and(|until| Instant::now() > until) {
                return;
            }
            let input = self.mutated();
            let target = self.target.1;
            let outcome = std::panic::catch_unwind(|| target(&input));
            if let Err(panic) = outcome {
                let name = format!("{}-{number}.fuzz", self.target.0);
                let path = std::env::temp_dir().join(name);
                std::fs::write(&path, &input).unwrap();
                eprintln!("the input is in {}", path.display());
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let word = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16;
        usize::try_from(word).unwrap() % end.max(1)
    }

    fn mutated(&mut self) -> Vec<u8> {
        const INTERESTING: [&[u8]; 14] = [
            &[0],
            &[0xFF],
            &[0x7F, 0xFF, 0xFF, 0xFF],
            &[0xFF; 4],
            &[0xFF; 8],
            &[0, 0, 0, 0],
            &[0x80],
            b"\"",
            b"\\u",
            b"{",
            b"[",
            b"]}",
            b"1e999",
            b"null",
        ];
        let at = self.below(self.seeds.len());
        let mut input = self.seeds[at].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len());
            let length = self.below(16);
            let end = (at + length).min(input.len());
            match self.below(7) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap(),
                2 => input.truncate(at),
                3 => drop(input.drain(at..end)),
                4 => {
                    let part = input[at..end].to_vec();
                    let to = self.below(input.len());
                    input.splice(to..to, part);
                }
                5 => {
                    let bytes = INTERESTING[self.below(INTERESTING.len())];
                    let end = (at + bytes.len()).min(input.len());
                    input.splice(at..end, bytes.iter().copied());
                }
                _ => {
                    let other = self.below(self.seeds.len());
                    let from = self.below(self.seeds[other].len());
                    let part = self.seeds[other][from..].to_vec();
                    input.truncate(at);
                    input.extend(part);
                }
            }
        }
        input
    }
}
