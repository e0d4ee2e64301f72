use super::*;
use crate::bytes::{get_u16, put_u16};
use crate::v2::address::SlotNumber;
use crate::v2::page::{self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageType};
use proptest::prelude::*;
use serde_json::Value;

fn fixture(name: &str) -> (PageBytes, Value) {
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/laura/pages/");
    let page = std::fs::read(format!("{base}{name}.page")).unwrap();
    let expected = std::fs::read_to_string(format!("{base}{name}.expected.json")).unwrap();
    (
        page.try_into().unwrap(),
        serde_json::from_str(&expected).unwrap(),
    )
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// The live documents that the description lists, by slot number.
fn live(expected: &Value) -> Vec<(SlotNumber, Vec<u8>)> {
    let fields = expected["fields"].as_array().unwrap().iter();
    fields
        .filter_map(|field| {
            let name = field["name"].as_str()?;
            let number = name.strip_prefix("slot[")?.strip_suffix(']')?;
            let document = unhex(field.get("doc_hex")?.as_str()?);
            Some((SlotNumber(number.parse().ok()?), document))
        })
        .collect()
}

fn documents(page: &PageBytes) -> Vec<(SlotNumber, Vec<u8>)> {
    let slots = SlottedPage::open(page).unwrap().slots();
    slots
        .map(|slot| match slot.unwrap() {
            (number, SlotContent::Document(bytes)) => (number, bytes.to_vec()),
            (number, SlotContent::Overflow(head)) => panic!("{number:?} {head:?}"),
        })
        .collect()
}

fn read_all(page: &PageBytes) -> Result<(), PageError> {
    let slotted = SlottedPage::open(page)?;
    slotted.slots().try_for_each(|slot| slot.map(drop))?;
    slotted.check_layout()
}

#[test]
fn pages_that_lauradb_wrote_are_read() {
    let names = [
        ("empty", 0),
        ("few", 4),
        ("full", 104),
        ("max-doc", 1),
        ("updated", 5),
        ("compacted", 5),
        ("update-compaction-bug", 5),
    ];
    for (name, count) in names {
        let (page, expected) = fixture(&format!("slotted-{name}"));
        let live = live(&expected);
        assert_eq!(live.len(), count, "{name}");
        assert!(documents(&page) == live, "{name}");
        SlottedPage::open(&page).unwrap().check_layout().unwrap();
    }
}

#[test]
fn deleted_slots_hold_nothing_and_updated_ones_are_live() {
    let (page, _) = fixture("slotted-updated");
    let slotted = SlottedPage::open(&page).unwrap();
    assert_eq!(slotted.slot_count(), 7);
    assert_eq!(slotted.fragmented(), 470);
    assert_eq!(slotted.free(), 3127 - 47);
    assert_eq!(slotted.get(SlotNumber(1)), Ok(None));
    assert!(matches!(
        slotted.get(SlotNumber(3)),
        Ok(Some(SlotContent::Document(_)))
    ));
    assert!(slotted.get(SlotNumber(7)).is_err());
}

#[test]
fn the_builder_writes_the_bytes_that_lauradb_writes() {
    let mut builder = SlottedBuilder::new(0);
    // One builder for all, so that leftovers of a page would show in the next.
    for name in ["full", "max-doc", "few", "empty", "full"] {
        let (theirs, expected) = fixture(&format!("slotted-{name}"));
        for (number, document) in live(&expected) {
            assert_eq!(builder.try_insert(&document), Some(number));
        }
        let ours = builder.finish();
        // The fixture sets its own page header.
        assert!(ours[16..] == theirs[16..], "{name}");
    }
}

#[test]
fn a_page_takes_4063_bytes_and_not_one_more() {
    let mut builder = SlottedBuilder::new(7);
    assert_eq!(builder.free(), Some(MAX_SLOT_CONTENT));
    assert_eq!(builder.try_insert(&[1; MAX_SLOT_CONTENT + 1]), None);
    assert!(builder.is_empty());
    let slot = builder.try_insert(&[1; MAX_SLOT_CONTENT]);
    assert_eq!(slot, Some(SlotNumber(0)));
    assert_eq!(builder.free(), None);
    assert_eq!(builder.try_insert(&[]), None);
    let page = *builder.finish();
    assert_eq!(SlottedPage::open(&page).unwrap().free(), 0);
    assert!(builder.is_empty() && builder.free() == Some(MAX_SLOT_CONTENT));
}

#[test]
fn pages_name_their_owner() {
    let mut builder = SlottedBuilder::with_type(PageType::Index, 0x0005_1234);
    for _ in 0..2 {
        builder.try_insert(b"chunk").unwrap();
        let page = builder.finish();
        page::seal(page, PageId(3));
        page::verify(page, PageId(3), PageType::Index, ChecksumPolicy::Required).unwrap();
        assert_eq!(SlottedPage::open(page).unwrap().owner(), 0x1234);
    }
}

#[test]
fn overflow_heads_round_trip_in_16_bytes() {
    let head = OverflowHead::new(0x0001_0203, PageId(0x0405_0607), 0x11).unwrap();
    let mut builder = SlottedBuilder::new(1);
    builder.try_insert(b"small").unwrap();
    assert_eq!(builder.try_insert_overflow(head), Some(SlotNumber(1)));
    let mut page = *builder.finish();
    let slot = SlottedPage::open(&page).unwrap().get(SlotNumber(1));
    assert_eq!(slot, Ok(Some(SlotContent::Overflow(head))));
    let at = PAGE_SIZE - 5 - OVERFLOW_HEAD_SIZE;
    assert_eq!(
        page[at..at + 16],
        [3, 2, 1, 0, 7, 6, 5, 4, 0x11, 0, 0, 0, 0, 0, 0, 0]
    );
    page[at + 15] = 1;
    let slot = SlottedPage::open(&page).unwrap().get(SlotNumber(1));
    assert!(matches!(slot, Err(PageError::Field { .. })));
}

#[test]
fn every_bit_flip_of_a_sealed_page_is_found() {
    let (_, expected) = fixture("slotted-few");
    let mut builder = SlottedBuilder::new(9);
    for (_, document) in live(&expected) {
        builder.try_insert(&document).unwrap();
    }
    let page = builder.finish();
    page::seal(page, PageId(12));
    let verify =
        |page: &PageBytes| page::verify(page, PageId(12), PageType::Data, ChecksumPolicy::Required);
    assert_eq!(verify(page), Ok(()));
    for bit in 0..PAGE_SIZE * 8 {
        page[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(page).is_err(), "bit {bit}");
        page[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn fields_that_cannot_be_are_refused() {
    let (page, _) = fixture("slotted-few");
    let slot = |number: usize| HEADER_SIZE + number * SLOT_SIZE;
    let cases = [
        ("too many slots", SLOT_COUNT, 814),
        ("a slot count that free_start denies", SLOT_COUNT, 5),
        ("free_start in the directory", FREE_START, 31),
        ("free_end in the directory", FREE_END, 31),
        ("free_end past the page", FREE_END, 4081),
        ("more fragments than contents", FRAGMENTED, 4080),
        ("a document in the directory", slot(1) + SLOT_OFFSET, 31),
        ("a document past the page", slot(0) + SLOT_LENGTH, 37),
        ("a document at the far end", slot(0) + SLOT_OFFSET, u16::MAX),
        ("overlapping documents", slot(0) + SLOT_OFFSET, 4043),
        ("a document in the free space", slot(3) + SLOT_OFFSET, 3905),
    ];
    for (name, at, value) in cases {
        let mut damaged = page;
        put_u16(&mut damaged, 16 + at, value);
        assert!(read_all(&damaged).is_err(), "{name}");
    }
    let mut unknown_flag = page;
    unknown_flag[16 + slot(0) + SLOT_FLAGS] = 8;
    assert!(read_all(&unknown_flag).is_err());
    let mut no_slots = fixture("slotted-empty").0;
    assert_eq!(get_u16(&no_slots, 16 + FREE_START), Some(0));
    put_u16(&mut no_slots, 16 + FREE_START, 12);
    assert_eq!(read_all(&no_slots), Ok(()));
    assert!(SlottedPage::open(&[0; PAGE_SIZE]).is_err());
}

#[test]
fn a_data_file_that_lauradb_left_is_read_whole() {
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/laura/head-datadir/");
    let file = std::fs::read(format!("{base}data.db")).unwrap();
    let (pages, rest) = file.as_chunks::<PAGE_SIZE>();
    assert!(pages.len() == 31 && rest.is_empty());
    let (mut live, mut slots) = (0, 0);
    for (bytes, id) in pages.iter().zip(0..) {
        let policy = ChecksumPolicy::Optional;
        page::verify(bytes, PageId(id), PageType::Data, policy).unwrap();
        read_all(bytes).unwrap();
        live += documents(bytes).len();
        slots += usize::from(SlottedPage::open(bytes).unwrap().slot_count());
    }
    assert_eq!((live, slots), (980, 1000));
}

proptest! {
    #[test]
    fn any_page_gives_a_verdict(
        mut bytes in proptest::collection::vec(any::<u8>(), PAGE_SIZE),
        slot_count in 0_u16..900,
        free_end in 0_u16..4200,
        sound in any::<bool>(),
    ) {
        // With a sound header the slots themselves are reached.
        if sound {
            put_u16(&mut bytes, 16 + SLOT_COUNT, slot_count);
            put_u16(&mut bytes, 16 + FREE_START, 12 + 5 * slot_count);
            put_u16(&mut bytes, 16 + FREE_END, free_end);
            put_u16(&mut bytes, 16 + FRAGMENTED, 0);
        }
        let page: PageBytes = bytes.try_into().unwrap();
        if let Ok(slotted) = SlottedPage::open(&page) {
            for slot in slotted.slots() {
                if let Ok((number, SlotContent::Document(bytes))) = slot {
                    prop_assert!(number.0 < slotted.slot_count() && bytes.len() <= 4063 + 5);
                }
            }
            let _ = slotted.check_layout();
        }
    }

    #[test]
    fn what_goes_in_comes_out(
        documents_in in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 5..300), 0..200)
    ) {
        let mut builder = SlottedBuilder::new(3);
        let mut kept = Vec::new();
        for document in &documents_in {
            match builder.try_insert(document) {
                Some(number) => kept.push((number, document.clone())),
                None => break,
            }
        }
        let page = *builder.finish();
        prop_assert_eq!(documents(&page), kept);
        prop_assert_eq!(read_all(&page), Ok(()));
    }
}
