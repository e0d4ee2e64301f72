//! Logs that LauraDB wrote, and what was made of them by hand.

use super::{Scanned, scan};
use crate::v1::wal::{RecordHeader, TornReason, TornTail};
use crate::{Code, Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn read(name: &str) -> Vec<u8> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/laura/wal");
    std::fs::read(fixtures.join(name)).unwrap()
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&read(&format!("{name}.expected.json"))).unwrap()
}

fn scan_fixture(name: &str) -> Result<Scanned> {
    scan(&read(&format!("{name}.log")), None)
}

/// The records of the description as (kind, txn, offset, operation).
type Listed = (u64, u64, u64, Option<(String, String, Vec<u8>)>);

fn listed(description: &Value) -> Vec<Listed> {
    let whole = |record: &&Value| record.get("torn").is_none() && record["lsn"] != 0;
    let records = description["records"].as_array().unwrap().iter();
    records
        .filter(|record| record.get("torn_header").is_none())
        .filter(whole)
        .map(|record| {
            let operation = record.get("op").map(|operation| {
                let name = operation["collection"].as_str().unwrap().to_owned();
                let data = unhex(record["data_hex"].as_str().unwrap());
                let document = data[2 + name.len()..].to_vec();
                (name, operation["doc"]["_id"].to_string(), document)
            });
            let number = |key: &str| record[key].as_u64().unwrap();
            (number("type"), number("txn"), number("offset"), operation)
        })
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// What replaying the listed records comes to, by a plain map: documents per collection, in the
/// order of the records of their last operations.
fn model(records: &[Listed]) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut last = BTreeMap::new();
    let mut open: BTreeMap<u64, Vec<&Listed>> = BTreeMap::new();
    let mut apply = |record: &Listed| {
        let (name, id, document) = record.3.clone().unwrap();
        let document = (record.0 != 2).then_some(document);
        last.insert((name, id), (record.2, document));
    };
    for record in records {
        match (record.0, record.1) {
            (0..=2, 0) => apply(record),
            (0..=2, txn) => open.entry(txn).or_default().push(record),
            (4, txn) => open
                .remove(&txn)
                .unwrap_or_default()
                .into_iter()
                .for_each(&mut apply),
            (5, txn) => drop(open.remove(&txn)),
            _ => {}
        }
    }
    let mut ordered: Vec<_> = last.into_iter().collect();
    ordered.sort_by_key(|(_, (offset, _))| *offset);
    let mut collections: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for ((name, _), (_, document)) in ordered {
        if let Some(document) = document {
            collections.entry(name).or_default().push(document);
        }
    }
    collections
}

const SOUND: &[&str] = &[
    "checkpoints",
    "corrupt-datalen-last-plus1",
    "corrupt-prevlsn",
    "corrupt-txn",
    "empty",
    "ops",
    "ops-small",
    "torn-1-byte",
    "torn-at-boundary",
    "torn-data-0",
    "torn-data-1",
    "torn-data-collname",
    "torn-data-last-byte",
    "torn-first-record",
    "torn-header-29",
    "torn-header-32",
    "torn-header-7",
    "torn-header-8",
    "torn-header-9",
    "torn-zero-tail",
    "txn-order",
    "txns",
];

#[test]
fn sound_logs_end_in_the_state_of_their_listed_records() {
    for name in SOUND {
        let records = listed(&expected(name));
        let scanned = scan_fixture(name).unwrap();
        assert_eq!(scanned.all_remaining(), model(&records), "{name}");
        let total = scanned.summary.records.total();
        assert_eq!(total, records.len() as u64, "{name}");
        let dropped = scanned.summary.operations;
        let all = dropped.applied + dropped.aborted + dropped.unfinished;
        assert_eq!(all, scanned.summary.records.operations(), "{name}");
    }
}

#[test]
fn headers_are_what_laura_lists() {
    for name in SOUND {
        let bytes = read(&format!("{name}.log"));
        let description = expected(name);
        for record in description["records"].as_array().unwrap() {
            let Some(lsn) = record.get("lsn") else {
                continue;
            };
            let offset = usize::try_from(record["offset"].as_u64().unwrap()).unwrap();
            let header = RecordHeader::decode(&bytes[offset..]).unwrap();
            let number = |key: &str| record[key].as_u64().unwrap();
            assert_eq!(header.lsn, lsn.as_u64().unwrap(), "{name}");
            assert_eq!(u64::from(header.kind), number("type"), "{name}");
            assert_eq!(header.txn_id, number("txn"), "{name}");
            assert_eq!(u64::from(header.page_id), number("page_id"), "{name}");
            assert_eq!(header.prev_lsn, number("prev_lsn"), "{name}");
            assert_eq!(u64::from(header.data_len), number("data_len"), "{name}");
            assert_eq!(header.encode(), bytes[offset..offset + 33], "{name}");
        }
    }
}

#[test]
fn torn_tails_are_dropped_and_reported() {
    use TornReason::{DataCut, HeaderCut, Zeros};
    let cases = [
        ("corrupt-datalen-last-plus1", Some((189, 52, DataCut))),
        ("ops", None),
        ("ops-small", None),
        ("torn-1-byte", Some((0, 1, HeaderCut))),
        ("torn-at-boundary", None),
        ("torn-data-0", Some((189, 33, DataCut))),
        ("torn-data-1", Some((189, 34, DataCut))),
        ("torn-data-collname", Some((189, 36, DataCut))),
        ("torn-data-last-byte", Some((189, 51, DataCut))),
        ("torn-first-record", Some((0, 40, DataCut))),
        ("torn-header-29", Some((189, 29, HeaderCut))),
        ("torn-header-32", Some((189, 32, HeaderCut))),
        ("torn-header-7", Some((189, 7, HeaderCut))),
        ("torn-header-8", Some((189, 8, HeaderCut))),
        ("torn-header-9", Some((189, 9, HeaderCut))),
        ("torn-zero-tail", Some((241, 100, Zeros))),
    ];
    for (name, torn) in cases {
        let torn = torn.map(|(offset, bytes, reason)| TornTail {
            offset,
            bytes,
            reason,
        });
        assert_eq!(
            scan_fixture(name).unwrap().summary.torn_tail,
            torn,
            "{name}"
        );
    }
}

#[test]
fn damage_is_refused_where_it_is() {
    let cases = [
        ("corrupt-bson-len-big", Code::WalPayload, 63, 2),
        ("corrupt-bson-len-small", Code::WalPayload, 63, 2),
        ("corrupt-bson-no-terminator", Code::WalPayload, 63, 2),
        ("corrupt-bson-type", Code::WalPayload, 63, 2),
        ("corrupt-collname-empty", Code::WalPayload, 63, 2),
        ("corrupt-collname-len", Code::WalPayload, 63, 2),
        ("corrupt-collname-utf8", Code::WalPayload, 63, 2),
        // Past the end, and records 3 and 4 still stand behind it.
        ("corrupt-datalen-16m", Code::WalLength, 63, 2),
        ("corrupt-datalen-ffffffff", Code::WalLength, 63, 2),
        // The record is whole, but its document is cut or has a byte too many.
        ("corrupt-datalen-minus1", Code::WalPayload, 63, 2),
        ("corrupt-datalen-plus1", Code::WalPayload, 63, 2),
        ("corrupt-datalen-zero", Code::WalPayload, 63, 2),
        // A shifted header, whose length runs past the end; records 2 to 4 stand behind it.
        ("corrupt-garbage-prefix", Code::WalLength, 0, 16_974_337),
        // Record 2 may jump; it is record 3 that does not grow.
        ("corrupt-lsn", Code::WalCorrupt, 126, 3),
        ("corrupt-lsn-low", Code::WalCorrupt, 126, 3),
        ("corrupt-pageid", Code::WalPageRecord, 63, 2),
        ("corrupt-type255-last", Code::WalCorrupt, 189, 4),
        ("corrupt-type9", Code::WalCorrupt, 63, 2),
        // The delete with extra fields before it is fine; this one has no _id.
        ("delete-extra-fields", Code::WalPayload, 67, 2),
        // LauraDB's own example programs log page writes.
        ("opaque", Code::WalPageRecord, 0, 1),
        ("example-basic/wal", Code::WalPayload, 0, 1),
    ];
    for (name, code, offset, lsn) in cases {
        let error = scan_fixture(name).map(|_| ()).unwrap_err();
        let place = error.place();
        assert_eq!(
            (error.code(), place.offset, place.lsn),
            (code, Some(offset), Some(lsn)),
            "{name}: {error:?}"
        );
        assert!(error.hint_text().is_some(), "{name}");
        assert!(place.file.is_some(), "{name}");
    }
}

#[test]
fn every_fixture_is_covered() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/laura/wal");
    let logs = std::fs::read_dir(folder).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".log")
    });
    // Sound ones, and all but example-basic/wal.log of the damaged.
    assert_eq!(logs.count(), SOUND.len() + 20);
}

/// Each odd record of a fixture, as a log of its own.
#[test]
fn odd_operations_are_judged_one_by_one() {
    let bytes = read("delete-extra-fields.log");
    let alone = |offset: usize| -> Result<Scanned, Error> {
        let header = RecordHeader::decode(&bytes[offset..]).unwrap();
        let end = offset + usize::try_from(header.record_bytes()).unwrap();
        scan(&bytes[offset..end], None)
    };
    assert_eq!(alone(0).unwrap().summary.operations.applied, 1);
    let named_empty = alone(171).unwrap();
    assert_eq!(named_empty.remaining("").len(), 1);
    for offset in [67, 119, 230, 288, 322, 355] {
        let error = alone(offset).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), Code::WalPayload, "{offset}");
    }
}

#[test]
fn a_log_cut_anywhere_keeps_its_whole_records() {
    let description = expected("torn-all-lengths");
    let log = read(description["file"].as_str().unwrap());
    let starts: Vec<usize> = description["record_offsets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|offset| usize::try_from(offset.as_u64().unwrap()).unwrap())
        .collect();
    for len in 0..=log.len() {
        let ends = starts.iter().copied().skip(1).chain([log.len()]);
        let whole = ends.filter(|end| *end <= len).count();
        let boundary = len == log.len() || starts.contains(&len);
        let summary = scan(&log[..len], None).unwrap().summary;
        assert_eq!(summary.records.total(), whole as u64, "{len}");
        let torn = summary.torn_tail.map(|torn| torn.offset);
        let expected = (!boundary).then(|| starts[whole] as u64);
        assert_eq!(torn, expected, "{len}");
    }
}

#[test]
fn transactions_take_effect_at_their_commit() {
    let summary = scan_fixture("txns").unwrap().summary;
    assert_eq!(summary.operations.applied, 7);
    assert_eq!(summary.operations.aborted, 2);
    assert_eq!(summary.operations.unfinished, 3);
    assert_eq!(summary.transactions.committed, 3);
    assert_eq!(summary.transactions.aborted, 2);
    assert_eq!(summary.transactions.unfinished, 2);
    assert_eq!(summary.last_checkpoint_lsn, Some(9));
    assert_eq!((summary.first_lsn, summary.last_lsn), (Some(1), Some(18)));
}

#[test]
fn replay_starts_after_the_snapshot() {
    let log = read("txns.log");
    // Up to the commit of transaction 1: its own operations and auto-1 are in the snapshot.
    // Transaction 2 commits later and applies whole, with operations on either side.
    let scanned = scan(&log, Some(7)).unwrap();
    assert_eq!(scanned.summary.operations.before_snapshot, 3);
    assert_eq!(scanned.summary.operations.applied, 4);
    let documents = scanned.remaining("a");
    assert_eq!(documents.len(), 3, "t2-1, auto-1 and auto-2");
    let none = scan(&log, Some(u64::MAX)).unwrap();
    assert!(none.overlay.is_empty() && none.numbers.is_empty());
    let damaged = scan(&read("corrupt-bson-type.log"), Some(100));
    assert!(
        damaged.is_err(),
        "records before wal_lsn are checked as well"
    );
}
