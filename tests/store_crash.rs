//! Random operations on a disk store whose file operations fail at random, against a sorted map.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a test fails by panicking; its numbers are small"
)]

mod store_support;

use laura_migrate::document::bson::{OwnedDocument, RawValue};
use laura_migrate::document::ejson;
use laura_migrate::files::{Dir, Gate, Verdict};
use laura_migrate::progress::Unwatched;
use laura_migrate::store::{DocumentStore, open, open_with};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store_support::*;

/// Fails the n-th change from now on, and all after it unless it is `once`.
fn gate(left: &Arc<AtomicI64>, torn: bool, once: bool) -> Gate {
    let left = Arc::clone(left);
    Gate::guarded(move |change| {
        let number = left.fetch_sub(1, Ordering::SeqCst);
        let gone = || io::Error::other("the process was killed");
        match number {
            1.. => Verdict::Proceed,
            0 if torn => Verdict::Torn(change.len * 2 / 3, gone()),
            0 => Verdict::Fail(gone()),
            _ if once => Verdict::Proceed,
            _ => Verdict::Fail(gone()),
        }
    })
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

fn random_document(random: &mut Random, id: i64) -> OwnedDocument {
    let length = match random.next(12) {
        0 => 4000 + random.next(9000),
        1..4 => random.next(1200),
        _ => random.next(60),
    };
    let letter = ["a", "b", "c"][random.next(3) as usize];
    let text = letter.repeat(length as usize);
    let time = RawValue::Timestamp(random.next(50) as i64);
    let number = RawValue::Int64(random.next(100) as i64);
    let unique = RawValue::Int64(random.next(400) as i64);
    let mut fields = vec![("s", RawValue::String(&text))];
    if random.next(4) > 0 {
        fields.push(("n", number));
    }
    if random.next(3) == 0 {
        fields.push(("u", unique));
    }
    fields.push(("t", time));
    let words = random_words(random);
    if random.next(3) > 0 {
        fields.push(("w", RawValue::String(&words)));
    }
    let coordinate = |random: &mut Random| RawValue::Double(random.next(4000) as f64 / 7.0 - 250.0);
    let coordinates: OwnedDocument = [("0", coordinate(random)), ("1", coordinate(random))]
        .into_iter()
        .collect();
    let point: OwnedDocument = [("coordinates", RawValue::Array(coordinates.as_raw()))]
        .into_iter()
        .collect();
    if random.next(3) > 0 {
        fields.push(("at", RawValue::Document(point.as_raw())));
    }
    document(id, &fields)
}

/// Some words, few of them rare, now and then one that is not stored whole.
fn random_words(random: &mut Random) -> String {
    let mut words = String::new();
    for _ in 0..random.next(12) {
        match random.next(30) {
            0 => {
                let long = "z".repeat(1100);
                words.push_str(&format!("{long}{} ", random.next(4)));
            }
            1..8 => words.push_str(&format!("rare{} ", random.next(2000))),
            _ => words.push_str(&format!("common{} ", random.next(6))),
        }
    }
    words
}

/// Runs one transaction of a few operations; the model as it is after it, or `None` if it was
/// refused.
fn transaction(
    store: &mut dyn DocumentStore,
    random: &mut Random,
    model: &Documents,
) -> (Documents, laura_migrate::Result<()>) {
    let seed = random.next(u64::MAX);
    let mut after = model.clone();
    let result = store.transaction(&mut |transaction| {
        let mut random = Random(seed | 1);
        after.clone_from(model);
        for _ in 0..=random.next(6) {
            let id = random.next(120) as i64;
            let document = random_document(&mut random, id);
            let key = ejson::display_id(RawValue::Int64(id));
            let there = after.contains_key(&key);
            let done = match random.next(5) {
                0 | 1 => transaction.insert("c", document.as_raw()).map(|()| true),
                2 | 3 => transaction.update("c", document.as_raw()),
                _ => {
                    let deleted = transaction.delete("c", RawValue::Int64(id))?;
                    assert_eq!(deleted, there);
                    after.remove(&key);
                    continue;
                }
            };
            use laura_migrate::Code;
            match done {
                Ok(true) => drop(after.insert(key, text(document.as_raw()))),
                Ok(false) => assert!(!there),
                Err(error) if error.code() == Code::DuplicateId => assert!(there),
                Err(error) if error.code() == Code::DuplicateKey => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    (after, result)
}

fn check(store: &dyn DocumentStore, expected: &[&Documents], seed: u64) -> usize {
    let found = scanned(store, "c");
    let matching = expected.iter().position(|expected| found == **expected);
    let Some(matching) = matching else {
        let lost: Vec<_> = expected[0]
            .keys()
            .filter(|id| !found.contains_key(*id))
            .collect();
        panic!("seed {seed}: neither of the states that can be; lost {lost:?}");
    };
    assert_indexes_agree(store, "c");
    matching
}

/// Runs transactions, lets file operations fail now and then, reopens, and compares.
fn run(seed: u64, torn: bool, once: bool) {
    let memory = Path::new("/dev/shm");
    let home = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let mut random = Random(seed * 2 + 1);
    let mut store = open(home.path(), &config()).unwrap();
    let indexes = [all_indexes(), special_indexes()].concat();
    store.create_collection("c", &indexes).unwrap();
    store.close().unwrap();
    let mut model = Documents::new();
    for _ in 0..12 {
        let left = Arc::new(AtomicI64::new(random.next(60) as i64));
        let gate = gate(&left, torn, once);
        let mut states = vec![model.clone()];
        if let Ok(mut store) = open_with(home.path(), &config(), &gate, &mut Unwatched) {
            for _ in 0..40 {
                let (after, result) = transaction(&mut *store, &mut random, &model);
                match result {
                    // One without changes commits nothing, and says nothing of those before it.
                    Ok(()) if after == model => {}
                    Ok(()) => {
                        model = after;
                        states = vec![model.clone()];
                    }
                    Err(_) if once => {
                        // A write that failed took the transaction back, or nothing goes any more.
                        states.push(after);
                        if states.len() == 2 {
                            check(&*store, &[&model], seed);
                        }
                    }
                    Err(_) => {
                        states = vec![model.clone(), after];
                        break;
                    }
                }
            }
            if random.next(3) == 0 {
                let _ = store.close();
            }
        }
        // What only reads sees the same as what recovers, and every rule of the format is kept.
        assert_valid(home.path());
        let read = read_as_source(home.path(), "c");
        let store = open(home.path(), &config()).unwrap();
        let expected: Vec<&Documents> = states.iter().collect();
        let matching = check(&*store, &expected, seed);
        model = states.swap_remove(matching);
        assert_eq!(read, model, "seed {seed}");
        if random.next(4) == 0 {
            store.close().unwrap();
            assert_sound(home.path());
            assert_valid(home.path());
        }
    }
    let store = open(home.path(), &config()).unwrap();
    store.close().unwrap();
    assert_sound(home.path());
    assert_valid(home.path());
}

#[test]
fn nothing_committed_is_lost_when_the_process_is_killed() {
    (1..25).for_each(|seed| run(seed, false, false));
}

#[test]
fn a_torn_write_leaves_what_was_committed() {
    (100..125).for_each(|seed| run(seed, true, false));
}

#[test]
fn a_failed_operation_takes_its_transaction_back_and_the_store_goes_on() {
    (200..225).for_each(|seed| run(seed, false, true));
    (300..310).for_each(|seed| run(seed, true, true));
}

#[test]
fn making_a_database_can_be_cut_anywhere() {
    for at in 0..40 {
        let home = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicI64::new(at));
        let made = open_with(
            home.path(),
            &config(),
            &gate(&left, true, false),
            &mut Unwatched,
        );
        drop(made);
        let mut store = open(home.path(), &config()).unwrap();
        store.create_collection("c", &all_indexes()).unwrap();
        store.insert("c", document(1, &[]).as_raw()).unwrap();
        drop(store);
        let dir = Dir::open(home.path(), Gate::open()).unwrap();
        assert!(dir.entry(".lauradb-version").unwrap().is_some());
        assert_eq!(read_as_source(home.path(), "c").len(), 1);
    }
}
