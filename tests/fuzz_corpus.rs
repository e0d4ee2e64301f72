//! The kept corpus of the fuzzers, replayed; and a small mutation driver where there is no fuzzer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod fuzz_seeds;
mod fuzz_targets;

use fuzz_seeds::seeds;
use fuzz_targets::{TARGETS, Target};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
        ("state", 20),
        ("v2", 50),
        ("backup", 100),
        ("snapshot", 300),
        ("wal", 300),
    ]);
    for target in TARGETS {
        let count = counts.get(target.0).copied().unwrap_or(2000);
        Driver::new(target).run(count, None);
    }
}

/// `FUZZ_SEEDS=fuzz/seeds cargo test --test fuzz_corpus -- --ignored the_seeds`
#[test]
#[ignore = "writes the folder that FUZZ_SEEDS names"]
fn the_seeds_are_written_for_a_fuzzer() {
    let folder = std::env::var("FUZZ_SEEDS").unwrap();
    for (name, _) in TARGETS {
        let folder = std::path::Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
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
