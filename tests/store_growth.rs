//! Databases in which documents come and go do not grow: pages that lose what they had are joined,
//! filled again, or given back.

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
use laura_migrate::index::IndexDefinition;
use laura_migrate::store::{DocumentStore, StoreConfig, Transaction, open};
use std::collections::BTreeSet;
use std::path::Path;
use store_support::*;

/// Every kind of index: unique, compound, partial, TTL, plain, text, 2d and 2dsphere.
fn every_index() -> Vec<IndexDefinition> {
    [all_indexes(), special_indexes()].concat()
}

fn pages(directory: &Path) -> u64 {
    std::fs::metadata(directory.join("data.db")).unwrap().len() / 4096
}

/// A document that has an entry in every index, terms of its own among them, and overflows now and
/// then.
fn full_document(id: i64) -> OwnedDocument {
    let spread = |modulus: i64| (id * 7919).rem_euclid(modulus);
    let length = match id % 37 {
        0 => 6000,
        rest => rest as usize * 20,
    };
    let text = format!("{}{id}", "s".repeat(length));
    let words = format!("everywhere often{} rare{id} once{}", id % 5, id * 3);
    let coordinates = [
        ("0", RawValue::Double(spread(3571) as f64 / 10.0 - 178.0)),
        ("1", RawValue::Double(spread(1777) as f64 / 10.0 - 88.0)),
    ];
    let coordinates: OwnedDocument = coordinates.into_iter().collect();
    let point = [("coordinates", RawValue::Array(coordinates.as_raw()))];
    let point: OwnedDocument = point.into_iter().collect();
    let fields = [
        ("n", RawValue::Int64(spread(101))),
        ("s", RawValue::String(&text)),
        ("u", RawValue::Int64(-id)),
        ("t", RawValue::Timestamp(1000 + spread(500))),
        ("w", RawValue::String(&words)),
        ("at", RawValue::Document(point.as_raw())),
    ];
    document(id, &fields)
}

fn insert(transaction: &mut dyn Transaction, id: i64) -> laura_migrate::Result<()> {
    transaction.insert("c", full_document(id).as_raw())
}

/// Replaces every second document, by its place in a random order, by one that was never there.
fn replace_half(
    store: &mut dyn DocumentStore,
    live: &mut BTreeSet<i64>,
    next: &mut i64,
    seed: u64,
) {
    let random = |id: i64| (id as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63;
    let going: Vec<i64> = live.iter().copied().filter(|id| random(*id) == 0).collect();
    for chunk in going.chunks(25) {
        let first = *next;
        store
            .transaction(&mut |transaction| {
                for (gone, id) in chunk.iter().zip(first..) {
                    assert!(transaction.delete("c", RawValue::Int64(*gone))?);
                    insert(transaction, id)?;
                }
                Ok(())
            })
            .unwrap();
        for gone in chunk {
            live.remove(gone);
            live.insert(*next);
            *next += 1;
        }
    }
}

#[test]
fn a_database_whose_documents_are_replaced_over_and_over_stops_growing() {
    const LIVE: i64 = 600;
    let home = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        checkpoint_bytes: 4 << 20,
        ..config()
    };
    let mut store = open(home.path(), &config).unwrap();
    store.create_collection("c", &every_index()).unwrap();
    let mut live: BTreeSet<i64> = (0..LIVE).collect();
    store
        .transaction(&mut |transaction| (0..LIVE).try_for_each(|id| insert(transaction, id)))
        .unwrap();
    let mut next = LIVE;
    let mut sizes = Vec::new();
    for round in 0..16 {
        replace_half(&mut *store, &mut live, &mut next, round);
        // A store that was closed has forgotten which pages have room.
        store.close().unwrap();
        sizes.push(pages(home.path()));
        if round % 5 == 0 {
            assert_sound(home.path());
            assert_valid(home.path());
        }
        store = open(home.path(), &config).unwrap();
    }
    assert_indexes_agree(&*store, "c");
    assert_eq!(store.count("c").unwrap(), LIVE as u64);
    store.close().unwrap();
    assert_sound(home.path());
    assert_valid(home.path());
    // What was written in all is eight times what is there.
    let (settled, last) = (sizes[5], sizes[15]);
    assert!(last <= settled + settled / 10, "{sizes:?}");
    // And not much more than the same documents need in a database that knows no others.
    let fresh = tempfile::tempdir().unwrap();
    let mut store = open(fresh.path(), &config).unwrap();
    store.create_collection("c", &every_index()).unwrap();
    store
        .transaction(&mut |transaction| live.iter().try_for_each(|id| insert(transaction, *id)))
        .unwrap();
    store.close().unwrap();
    let least = pages(fresh.path());
    assert!(
        last <= least * 2,
        "{last} pages, {least} in a fresh database"
    );
}

#[test]
fn a_database_that_was_emptied_takes_as_many_documents_again_in_the_same_pages() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(home.path(), &config()).unwrap();
    store.create_collection("c", &every_index()).unwrap();
    let mut sizes = Vec::new();
    for round in 0..4 {
        let ids = round * 1000..round * 1000 + 400;
        store
            .transaction(&mut |transaction| ids.clone().try_for_each(|id| insert(transaction, id)))
            .unwrap();
        store.checkpoint().unwrap();
        sizes.push(pages(home.path()));
        store
            .transaction(&mut |transaction| {
                // Not in the order in which they came.
                ids.clone().rev().try_for_each(|id| {
                    assert!(transaction.delete("c", RawValue::Int64(id))?);
                    Ok(())
                })
            })
            .unwrap();
        store.close().unwrap();
        assert_sound(home.path());
        assert_valid(home.path());
        store = open(home.path(), &config()).unwrap();
    }
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    assert!(*most <= least + least / 20, "{sizes:?}");
    assert_eq!(store.count("c").unwrap(), 0);
}

#[test]
fn short_sessions_fill_the_same_pages() {
    let home = tempfile::tempdir().unwrap();
    let open = || open(home.path(), &config()).unwrap();
    let mut store = open();
    store.create_collection("c", &every_index()).unwrap();
    store.close().unwrap();
    for number in 0..60 {
        // Neither ascending nor descending.
        let id = number * 31 % 61 + 1000;
        let mut store = open();
        let small = document(
            id,
            &[
                ("n", RawValue::Int64(number)),
                ("w", RawValue::String(&format!("rare{id}"))),
            ],
        );
        store.insert("c", small.as_raw()).unwrap();
        store.close().unwrap();
    }
    assert_valid(home.path());
    // Page 0, one of documents, and for each text index one of postings and one of terms; a leaf in
    // every other index that has entries.
    assert!(pages(home.path()) <= 10, "{} pages", pages(home.path()));
}

#[test]
fn a_posting_page_that_becomes_part_of_the_free_list_gets_no_chunk() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(home.path(), &config()).unwrap();
    store.create_collection("c", &special_indexes()).unwrap();
    let with_words = |id: i64, words: &str| document(id, &[("w", RawValue::String(words))]);
    let write = |store: &mut dyn DocumentStore, ids: std::ops::Range<i64>, words: &str| {
        let mut ids = ids;
        store
            .transaction(&mut |transaction| {
                ids.try_for_each(|id| transaction.insert("c", with_words(id, words).as_raw()))
            })
            .unwrap();
    };
    // The chunk of `zebra` is in the last of nine slots.
    let words = "alpha bravo charlie delta echo foxtrot golf hotel zebra";
    write(&mut *store, 0..1, words);
    write(&mut *store, 1..200, "zebra");
    // The others go; their slots stay in front of it.
    let alone = with_words(0, "zebra");
    assert!(store.update("c", alone.as_raw()).unwrap());
    // Before it is full it does not fit behind them, and its page has nothing else.
    write(&mut *store, 200..254, "zebra");
    store.close().unwrap();
    assert_sound(home.path());
    assert_valid(home.path());
}
