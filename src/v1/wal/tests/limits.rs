//! Sizes, memory and time on logs made to exceed them.

use super::{Log, scan, scan_file};
use crate::document::MAX_DOCUMENT_BYTES;
use crate::document::bson::{OwnedDocument, RawValue};
use crate::v1::wal::chain::find_chain;
use crate::v1::wal::{
    HEADER_BYTES, MAX_DATA_BYTES, Overlay, RecordHeader, RecordKind, RecordPlace, RecordWriter,
    TornReason, WalOptions,
};
use crate::{Code, Error};
use std::io::Write;

const HEADER: u64 = HEADER_BYTES as u64;

fn document(id: i32) -> OwnedDocument {
    [("_id", RawValue::Int32(id))].into_iter().collect()
}

/// A log of inserts with ids from 0 on, in transaction `txn_id`, which is left open.
fn inserts(count: i32, txn_id: u64) -> Vec<u8> {
    let mut writer = RecordWriter::new(Vec::new());
    for id in 0..count {
        let document = document(id);
        writer
            .operation(RecordKind::Insert, txn_id, "c", document.as_raw())
            .unwrap();
    }
    writer.into_inner()
}

/// A header that claims `data_len` bytes.
fn claim(lsn: u64, data_len: u32) -> [u8; HEADER_BYTES] {
    RecordHeader {
        lsn,
        data_len,
        ..RecordHeader::default()
    }
    .encode()
}

#[test]
fn a_touched_id_costs_less_than_48_bytes() {
    // Just below, at and above a growth of the table (capacity 7/8 of a power of two).
    for count in [1000, 28_672, 28_673, 50_000] {
        let limit = u64::try_from(count).unwrap() * 48;
        let scanned = scan_file(Log::new(&inserts(count, 0)).open(), None, limit).unwrap();
        let bytes = scanned.overlay.memory_bytes();
        assert!(bytes <= limit * 28 / 48 + 64, "{count}: {bytes}");
    }
}

#[test]
fn too_many_ids_name_the_memory_that_suffices() {
    for txn_id in [0, 7] {
        let mut log = inserts(40_000, txn_id);
        let mut commit = RecordWriter::new(&mut log);
        commit.jump_to(50_000);
        commit.commit(7).unwrap();
        let log = Log::new(&log);
        let error = scan_file(log.open(), None, 256 * 1024)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.code(), Code::WalMemory);
        let hint = error.hint_text().unwrap();
        let value = hint.rsplit(' ').next().unwrap();
        let mebibytes: u64 = value.strip_suffix("MiB").unwrap().parse().unwrap();
        assert!(mebibytes <= 8, "{hint}");
        scan_file(log.open(), None, mebibytes * 1024 * 1024 / 2).unwrap();
    }
}

#[test]
fn names_count_as_memory() {
    let mut writer = RecordWriter::new(Vec::new());
    for number in 0..20 {
        let name = format!("{number}{}", "n".repeat(60_000));
        writer
            .operation(RecordKind::Delete, 0, &name, document(1).as_raw())
            .unwrap();
    }
    let log = Log::new(&writer.into_inner());
    let error = scan_file(log.open(), None, 1_000_000)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), Code::WalMemory);
}

#[test]
fn a_document_of_16_mib_fits_and_one_byte_more_does_not() {
    let fits = |size: usize| {
        // size = 4 + type, "_id", zero + null's nothing + type, "t", zero + length + text, zero + 1
        let text = "x".repeat(size - 18);
        let document: OwnedDocument = [("_id", RawValue::Null), ("t", RawValue::String(&text))]
            .into_iter()
            .collect();
        assert_eq!(document.as_bytes().len(), size);
        let mut writer = RecordWriter::new(Vec::new());
        writer
            .operation(RecordKind::Insert, 0, "c", document.as_raw())
            .unwrap();
        scan(&writer.into_inner(), None)
    };
    let scanned = fits(MAX_DOCUMENT_BYTES).unwrap();
    assert_eq!(scanned.remaining("c")[0].len(), MAX_DOCUMENT_BYTES);
    let error = fits(MAX_DOCUMENT_BYTES + 1).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::WalPayload);
}

#[test]
fn impossible_data_is_refused_without_being_read() {
    let limit = u32::try_from(MAX_DATA_BYTES).unwrap();
    let log = Log::new(&claim(1, limit + 1));
    log.0
        .as_file()
        .set_len(HEADER + u64::from(limit) + 1)
        .unwrap();
    let error = scan_file(log.open(), None, u64::MAX)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), Code::WalPayload);
    assert!(error.to_string().contains("16842786"), "{error}");
}

#[test]
fn zeros_to_the_end_are_a_torn_tail_and_other_zeros_are_not() {
    let log = Log::new(&inserts(1, 0));
    let whole = log.open().size();
    log.0.as_file().set_len(40_000_000).unwrap();
    let torn = scan_file(log.open(), None, u64::MAX)
        .unwrap()
        .summary
        .torn_tail
        .unwrap();
    assert_eq!((torn.offset, torn.reason), (whole, TornReason::Zeros));
    log.0.as_file().write_all(&[1]).unwrap();
    let mut bytes = std::fs::read(log.0.path()).unwrap();
    bytes.truncate(5000);
    bytes[4999] = 1;
    let error = scan(&bytes, None).map(|_| ()).unwrap_err();
    assert_eq!(
        (error.code(), error.place().offset),
        (Code::WalCorrupt, Some(whole))
    );
}

#[test]
fn a_chain_is_found_behind_megabytes_of_other_bytes() {
    for (gap, found) in [
        (0, true),
        (3_000_000, true),
        (MAX_DATA_BYTES - 1, true),
        (MAX_DATA_BYTES, false),
    ] {
        let mut bytes = claim(1, u32::MAX).to_vec();
        bytes.resize(HEADER_BYTES + gap, 0xEE);
        let mut writer = RecordWriter::new(bytes);
        writer.jump_to(5);
        writer
            .operation(RecordKind::Insert, 0, "c", document(1).as_raw())
            .unwrap();
        writer.checkpoint().unwrap();
        // With the gap at its widest, the second record is the last thing where no start counts.
        let bytes = writer.into_inner();
        let start = HEADER + gap as u64;
        let search = find_chain(&Log::new(&bytes).open(), HEADER, 0).unwrap();
        assert_eq!(search.start, found.then_some(start), "{gap}");
        assert_eq!(search.steps, bytes.len() as u64 - HEADER);
    }
}

#[test]
fn a_length_past_the_end_is_damage_only_if_records_follow() {
    let mut writer = RecordWriter::new(claim(1, u32::MAX).to_vec());
    writer.jump_to(5);
    writer.checkpoint().unwrap();
    let mut bytes = writer.into_inner();
    let error = scan(&bytes, None).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::WalLength);
    assert_eq!(error.place().offset, Some(0));
    bytes.push(0xFF);
    let torn = scan(&bytes, None).unwrap().summary.torn_tail.unwrap();
    assert_eq!(
        (torn.offset, torn.bytes, torn.reason),
        (0, bytes.len() as u64, TornReason::DataCut)
    );
}

#[test]
fn a_chain_must_grow_from_the_last_good_lsn() {
    let mut writer = RecordWriter::new(claim(1, u32::MAX).to_vec());
    writer.jump_to(5);
    writer.checkpoint().unwrap();
    writer.jump_to(5);
    writer.checkpoint().unwrap();
    let log = Log::new(&writer.into_inner());
    let start = |last| find_chain(&log.open(), HEADER, last).unwrap().start;
    assert_eq!(
        start(4),
        Some(2 * HEADER),
        "the two do not grow, the second alone does"
    );
    assert_eq!(start(5), None);
}

/// Bytes where nearly every position is a plausible record that leads on to another one.
#[test]
fn the_chain_search_looks_once_at_each_position() {
    let mut bytes = claim(1, u32::MAX).to_vec();
    let lengths = [0u8, 0, 0, 0, 1, 0, 0, 0];
    bytes.extend(lengths.iter().cycle().take(1_500_000));
    let search = find_chain(&Log::new(&bytes).open(), HEADER, 0).unwrap();
    assert_eq!(search.steps, 1_500_000);
    // Every position starts a record of 33 bytes, the LSNs falling and growing by position.
    let mut bytes = claim(1, u32::MAX).to_vec();
    bytes.resize(HEADER_BYTES + 1_500_000, 0);
    for (at, byte) in (0u64..).zip(&mut bytes).skip(HEADER_BYTES) {
        *byte = u8::from(at % 33 == 6);
    }
    let search = find_chain(&Log::new(&bytes).open(), HEADER, 0).unwrap();
    assert_eq!(search.steps, 1_500_000);
}

#[test]
fn names_are_asked_for_once_and_only_when_they_matter() {
    let mut writer = RecordWriter::new(Vec::new());
    let mut log = |kind, txn_id, name: &str, id| {
        writer
            .operation(kind, txn_id, name, document(id).as_raw())
            .unwrap();
    };
    use RecordKind::{Delete, Insert, Update};
    log(Delete, 0, "late", 1);
    log(Delete, 0, "late", 2);
    log(Insert, 0, "late", 3);
    log(Update, 0, "late", 4);
    log(Delete, 0, "late", 3);
    log(Insert, 0, "left out", 1);
    log(Insert, 0, "left out", 2);
    log(Insert, 1, "never", 1);
    log(Insert, 0, "gone", 1);
    log(Delete, 0, "gone", 1);
    let mut asked = Vec::new();
    let mut resolve = |name: &str, place: RecordPlace| {
        asked.push((name.to_owned(), place.kind, place.lsn));
        Ok(match name {
            "late" if place.is_delete() => None,
            "late" => Some(4),
            "gone" => Some(9),
            _ => None,
        })
    };
    let options = WalOptions {
        after_lsn: None,
        memory_limit: u64::MAX,
        resolve: &mut resolve,
    };
    let log = Log::new(&writer.into_inner());
    let (overlay, summary) = Overlay::scan(log.open(), options).unwrap();
    let expected = [
        ("late".to_owned(), Delete, 1),
        ("late".to_owned(), Insert, 3),
        ("left out".to_owned(), Insert, 6),
        ("gone".to_owned(), Insert, 9),
    ];
    assert_eq!(asked, expected);
    assert_eq!(
        overlay.created(),
        [4, 9],
        "a collection outlives its documents"
    );
    assert_eq!(overlay.remaining(9).count(), 0);
    assert_eq!(overlay.remaining(4).count(), 1);
    let late = overlay.touched(4);
    assert_eq!((late.documents, late.deletes), (1, 1));
    let counts = summary.operations;
    assert_eq!(
        (counts.applied, counts.ignored, counts.unfinished),
        (5, 4, 1)
    );
    assert_eq!((summary.collections_touched, summary.ids_touched), (2, 3));
}

#[test]
fn a_refused_name_is_reported_with_its_record() {
    let mut log = inserts(1, 0);
    let mut writer = RecordWriter::new(&mut log);
    writer.jump_to(9);
    let document = document(1);
    let insert = RecordKind::Insert;
    writer.operation(insert, 3, "", document.as_raw()).unwrap();
    writer.commit(3).unwrap();
    let mut resolve = |name: &str, _: RecordPlace| {
        let refused = || Error::new(Code::CollectionName, "the name is empty");
        (!name.is_empty()).then_some(Some(1)).ok_or_else(refused)
    };
    let options = WalOptions {
        after_lsn: None,
        memory_limit: u64::MAX,
        resolve: &mut resolve,
    };
    let log = Log::new(&log);
    let error = Overlay::scan(log.open(), options).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::CollectionName);
    let place = error.place();
    assert_eq!((place.offset, place.lsn), (Some(50), Some(9)));
    assert_eq!(place.collection.as_deref(), Some(""));
}

#[test]
fn the_overlay_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Overlay>();
}
