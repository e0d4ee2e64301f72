use super::*;
use crate::document::bson::{OwnedDocument, RawValue};
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::slotted::SlottedBuilder;
use crate::v2::{PageId, SlotNumber};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/laura/pages")
        .join(name)
}

fn page_of(name: &str) -> PageBytes {
    let bytes = std::fs::read(fixture(&format!("{name}.page"))).unwrap();
    bytes.try_into().unwrap()
}

/// What the description of a page says of its live slots: number and bytes in hex.
fn described(name: &str) -> BTreeSet<(u16, String)> {
    let text = std::fs::read(fixture(&format!("{name}.expected.json"))).unwrap();
    let description: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let fields = description["fields"].as_array().unwrap().iter();
    let live = fields.filter_map(|field| {
        let hex = field["doc_hex"].as_str()?;
        let number = field["name"].as_str()?.strip_prefix("slot[")?;
        let number = number.strip_suffix(']')?.parse().unwrap();
        Some((number, hex.to_owned()))
    });
    live.collect()
}

fn id_of(page: &PageBytes) -> PageId {
    PageId(u32::from_le_bytes(*page.first_chunk().unwrap()))
}

fn live_of(page: &PageBytes) -> BTreeSet<(u16, String)> {
    let PageLook::Slotted(page) = look(id_of(page), page) else {
        panic!("no slotted page");
    };
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let live = page.documents.iter();
    live.map(|live| (live.slot.0, hex(live.bytes))).collect()
}

#[test]
fn lauradbs_pages_show_their_live_slots() {
    for name in [
        "slotted-few",
        "slotted-full",
        "slotted-updated",
        "slotted-compacted",
        "slotted-update-compaction-bug",
        "slotted-max-doc",
    ] {
        let page = page_of(name);
        let described = described(name);
        assert!(!described.is_empty(), "{name}");
        assert_eq!(live_of(&page), described, "{name}");
        // At another place in the file it is another page.
        assert!(matches!(
            look(PageId(id_of(&page).0 + 3), &page),
            PageLook::Damaged(_)
        ));
    }
    assert_eq!(live_of(&page_of("slotted-empty")), BTreeSet::new());
    assert!(matches!(look(PageId(7), &[0; PAGE_SIZE]), PageLook::Other));
}

fn document(fields: &[(&str, RawValue<'_>)]) -> OwnedDocument {
    fields.iter().copied().collect()
}

fn page(id: u32, documents: &[OwnedDocument]) -> Box<PageBytes> {
    let mut builder = SlottedBuilder::new(0);
    for document in documents {
        builder.try_insert(document.as_raw().as_bytes()).unwrap();
    }
    let mut page = Box::new(*builder.finish());
    page[..4].copy_from_slice(&id.to_le_bytes());
    page
}

#[test]
fn a_page_goes_to_the_group_of_its_most_frequent_fields() {
    let text = |id| RawValue::String(id);
    let ab = |id| {
        document(&[
            ("b", RawValue::Null),
            ("_id", text(id)),
            ("a", RawValue::Null),
        ])
    };
    let c = |id| document(&[("_id", text(id)), ("c", RawValue::Null)]);
    let pages = [
        page(0, &[ab("1"), c("2"), ab("3")]),
        page(1, &[c("4")]),
        // As many of one as of the other: the smallest set of names.
        page(2, &[c("5"), ab("6")]),
    ];
    let mut table = GroupTable::default();
    let mut groups = Vec::new();
    for (number, page) in (0..).zip(&pages) {
        let PageLook::Slotted(live) = look(PageId(number), page) else {
            panic!("no slotted page");
        };
        groups.push(table.page(&live).unwrap());
    }
    assert_eq!(groups, [0, 1, 0]);
    let groups = table.finish();
    assert_eq!(groups[0].fields, ["_id", "a", "b"]);
    assert_eq!(groups[1].lowest_page, PageId(1));
    assert_eq!((groups[0].pages, groups[1].pages), (2, 1));
}

#[test]
fn a_field_looks_unique_until_a_value_comes_twice() {
    let mut table = GroupTable::default();
    for number in 0..2000_i64 {
        let (email, page_of_it) = (format!("u{number}@x"), u32::try_from(number).unwrap());
        let document = document(&[
            ("_id", RawValue::Int64(number)),
            ("email", RawValue::String(&email)),
            ("age", RawValue::Int64(number % 900)),
            ("tags", RawValue::String("t")),
        ]);
        let bytes = page(page_of_it, &[document]);
        let PageLook::Slotted(live) = look(PageId(page_of_it), &bytes) else {
            panic!("no slotted page");
        };
        let group = table.page(&live).unwrap();
        table.document(group, &live.documents[0]);
        // An older copy of the same document is no second value.
        table.document(group, &live.documents[0]);
    }
    let groups = table.finish();
    assert_eq!(groups[0].unique_fields, ["email"]);
    assert_eq!(groups[0].ids, ["0", "1", "2"]);
}

#[test]
fn gains_tell_what_the_snapshot_has_lost() {
    let inner = document(&[("x", RawValue::Int32(1))]);
    let empty = document(&[]);
    let array = document(&[("0", RawValue::Document(inner.as_raw()))]);
    let emptied = document(&[("0", RawValue::Document(empty.as_raw()))]);
    let copy = document(&[
        ("n", RawValue::Int32(5)),
        ("b", RawValue::Binary(b"xy")),
        ("a", RawValue::Array(array.as_raw())),
        ("s", RawValue::String("same")),
    ]);
    let snapshot = document(&[
        ("a", RawValue::Array(emptied.as_raw())),
        ("b", RawValue::String("eHk=")),
        ("n", RawValue::Int64(5)),
        ("s", RawValue::String("same")),
    ]);
    let gains = Gains::of(copy.as_raw(), snapshot.as_raw());
    assert_eq!((gains.array_documents, gains.binary_values), (1, 1));
    assert_eq!((gains.types, gains.order), (1, true));
    assert_eq!(Gains::of(copy.as_raw(), copy.as_raw()).types, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever stands in a page, looking at it ends, and what it gives out can be read.
    #[test]
    fn damaged_pages_never_panic(
        changes in proptest::collection::vec((0_usize..PAGE_SIZE, any::<u8>()), 0..40),
        name in prop_oneof![Just("slotted-full"), Just("slotted-updated"), Just("slotted-few")],
    ) {
        let mut page = page_of(name);
        for (at, byte) in changes {
            // Mostly where the header and the slots are.
            page[if at % 3 == 0 { at } else { at % 200 }] = byte;
        }
        if let PageLook::Slotted(live) = look(PageId(0), &page) {
            let mut printed = Vec::new();
            for document in &live.documents {
                let _ = document.print_id(&mut printed);
                prop_assert!(document.slot < SlotNumber(live.slot_count));
            }
        }
    }
}
