//! A flipped bit in a v2 directory is found, and located by file and page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "what fails here fails the test, and the files are small"
)]

mod common;

use common::Directory;
use laura_migrate::files::{Dir, Gate};
use laura_migrate::options::{Mode, Options};
use laura_migrate::problems::Problem;
use laura_migrate::source::V1Options;
use laura_migrate::v2::page::PAGE_SIZE;
use laura_migrate::validate::{
    DirectoryState, PublishedFile, PublishedFiles, Resources, SideInput, TemporaryRuns,
};
use laura_migrate::{ExitCode, Verification, validate};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const RECEIPT: &str = ".lauradb-migration.json";
const MARKER: &str = ".lauradb-version";

/// The smallest directory with every kind of page: documents, a chain, leaves and records.
fn published() -> Directory {
    let directory = Directory::of_collections(&json!([{
        "name": "c",
        "documents": [
            {"_id": "a", "fields": {"n": 1, "s": "one"}},
            {"_id": "b", "fields": {"n": 2, "t": "x".repeat(4200)}},
        ],
        "indexes": [{"name": "n_1", "type": "btree", "field_paths": ["n"], "unique": true}],
    }]));
    directory.migrated_with(directory.side_by_side());
    directory
}

fn receipt(target: &Path) -> Value {
    serde_json::from_slice(&fs::read(target.join(RECEIPT)).unwrap()).unwrap()
}

/// What is found; an error counts as one problem.
fn check(target: &Path, published: &PublishedFiles) -> Vec<Problem> {
    let dir = |path: &Path| Dir::open(path, Gate::open()).unwrap();
    let mut advance = |_, _| Ok(());
    let temporary = TemporaryRuns::new(dir(&std::env::temp_dir()));
    let mut resources = Resources::new(8 << 20, temporary, Verification::All, &mut advance);
    let input = SideInput {
        dir: dir(target),
        v1: V1Options::default(),
        published: published.clone(),
        problems: Default::default(),
    };
    match validate::check(input, &mut resources) {
        Ok(side) => {
            let kinds = side.outcome.problems.into_iter();
            kinds.flat_map(|kind| kind.first).collect()
        }
        Err(error) => vec![error.into()],
    }
}

fn of_receipt(target: &Path) -> PublishedFiles {
    let receipt = receipt(target);
    let files = receipt["published"].as_array().unwrap().iter();
    let files = files.map(|file| PublishedFile {
        name: file["name"].as_str().unwrap().to_owned(),
        size: file["size"].as_u64().unwrap(),
        xxh3: file["xxh3"].as_str().unwrap().to_owned(),
    });
    PublishedFiles::Known(files.collect())
}

/// What a flip of one file came to.
#[derive(Debug, Default)]
struct Tally {
    flips: u64,
    found: u64,
    located: u64,
    missed: Vec<usize>,
}

/// Which bits are flipped, each by itself, by the number of the byte and of the bit in it.
type Bits = fn(usize, usize) -> bool;

/// Of each byte another one.
fn one_of_each(byte: usize, bit: usize) -> bool {
    bit == byte % 8
}

/// All of the checksums, and one of every 32nd byte.
fn checksums(byte: usize, bit: usize) -> bool {
    (14..16).contains(&(byte % PAGE_SIZE)) || (byte % 32 == 7 && bit == byte / 32 % 8)
}

/// Flips bits of a file.
fn flip(path: &Path, bits: Bits, mut find: impl FnMut(usize) -> Option<bool>) -> Tally {
    let good = fs::read(path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let mut tally = Tally::default();
    for at in 0..good.len() * 8 {
        let (byte, bit) = (at / 8, at % 8);
        if !bits(byte, bit) {
            continue;
        }
        // In place: a file that is cut and written again goes to the disk each time.
        file.write_all_at(&[good[byte] ^ 1 << bit], byte as u64)
            .unwrap();
        tally.flips += 1;
        match find(byte) {
            Some(is_located) => {
                tally.found += 1;
                tally.located += u64::from(is_located);
            }
            None => tally.missed.push(at),
        }
        file.write_all_at(&good[byte..=byte], byte as u64).unwrap();
    }
    tally
}

/// Of the files that are pages: the page is named.
fn flip_pages(target: &Path, name: &str, published: &PublishedFiles, bits: Bits) -> Tally {
    flip(&target.join(name), bits, |byte| {
        let problems = check(target, published);
        let is_there = |problem: &Problem| {
            let place = &problem.place;
            place.file.as_deref() == Some(&*target.join(name))
                && place.page == Some((byte / PAGE_SIZE) as u32)
        };
        (!problems.is_empty()).then(|| problems.iter().any(is_there))
    })
}

/// Of the other files: the whole program is asked, and the file is named.
fn flip_file(directory: &Directory, name: &str, bits: Bits) -> Tally {
    let target = directory.target();
    flip(&target.join(name), bits, |_| {
        let mut options = Options::new(&target);
        options.mode = Mode::Validate;
        match common::run(options) {
            Ok(report) if report.exit_code() == ExitCode::Done => {
                // A log with another LSN is one that a store leaves; that is said of the directory.
                let state = report.validation.unwrap().left.state;
                (name == "wal.log" && state == Some(DirectoryState::WrittenTo)).then_some(true)
            }
            Ok(report) => {
                let found = report.validation.unwrap().left.problems;
                let mut problems = found.iter().flat_map(|kind| &kind.first);
                let is_there =
                    |problem: &Problem| problem.place.file.as_deref() == Some(&*target.join(name));
                Some(problems.any(is_there))
            }
            Err(error) => Some(error.place().file.as_deref() == Some(&*target.join(name))),
        }
    })
}

fn flip_everything(bits: Bits, without_receipt: Bits) {
    let directory = published();
    let target = directory.target();
    let known = of_receipt(&target);
    assert!(check(&target, &known).is_empty());
    for name in ["data.db", "metadata.db"] {
        let tally = flip_pages(&target, name, &known, bits);
        eprintln!(
            "{name}: {} flips, {} found, {} with their page",
            tally.flips, tally.found, tally.located
        );
        assert_eq!(tally.missed, [0; 0], "{name}");
        assert_eq!(tally.located, tally.flips, "{name}");
    }
    for name in ["wal.log", MARKER, RECEIPT] {
        let tally = flip_file(&directory, name, bits);
        eprintln!(
            "{name}: {} flips, {} found, {} with their file",
            tally.flips, tally.found, tally.located
        );
        if name == RECEIPT {
            assert_only_facts_are_missed(&target, &tally);
        } else if name == MARKER {
            // In lower case, the letters of an RFC 3339 time mean the same.
            let text = fs::read(target.join(MARKER)).unwrap();
            let is_case = |bit: &usize| bit % 8 == 5 && b"TZ".contains(&text[bit / 8]);
            assert!(tally.missed.iter().all(is_case), "{:?}", tally.missed);
        } else {
            assert_eq!(tally.missed, [0; 0], "{name}");
        }
    }
    // Without a receipt, a page may come without a checksum.
    fs::remove_file(target.join(RECEIPT)).unwrap();
    for name in ["data.db", "metadata.db"] {
        let tally = flip_pages(&target, name, &PublishedFiles::Unknown, without_receipt);
        eprintln!(
            "{name} without a receipt: {} flips, {} found",
            tally.flips, tally.found
        );
        let bytes = fs::read(target.join(name)).unwrap();
        for at in &tally.missed {
            let page = &bytes.as_chunks::<PAGE_SIZE>().0[at / 8 / PAGE_SIZE];
            let checksum = u16::from_le_bytes([page[14], page[15]]);
            assert!(
                checksum.is_power_of_two() && (14..16).contains(&(at / 8 % PAGE_SIZE)),
                "{name}: bit {at} is no checksum that vanishes"
            );
        }
    }
}

/// What was published is said in `published`, and all of it is checked. The rest tells how it came
/// to be: which tool wrote the receipt, what the source files were, with which options, what the
/// snapshot says of its database, what the run has reported, and when.
fn assert_only_facts_are_missed(target: &Path, tally: &Tally) {
    let text = fs::read_to_string(target.join(RECEIPT)).unwrap();
    let line_of = |key: &str| text.find(&format!("\n  \"{key}\": ")).unwrap();
    let (start, end) = (line_of("published"), line_of("snapshot"));
    assert!(start < end);
    for at in &tally.missed {
        let is_fact = !(start..end).contains(&(at / 8));
        assert!(is_fact, "bit {at} of the receipt");
    }
    let share = tally.missed.len() as f64 / tally.flips as f64;
    assert!(share < 0.5, "{share}");
}

#[test]
fn a_flipped_bit_in_each_byte_is_found_and_located() {
    flip_everything(one_of_each, checksums);
}

#[test]
#[ignore = "takes minutes; for cargo test --release --test bitflips -- --ignored"]
fn every_flipped_bit_is_found_and_located() {
    flip_everything(|_, _| true, |_, _| true);
}
