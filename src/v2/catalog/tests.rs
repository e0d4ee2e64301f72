#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of a test fit, or only their low bits matter"
)]

use super::*;
use crate::Code;
use crate::bytes::{put_u16, put_u32};
use crate::files::InputFile;
use crate::v2::page::{self, ChecksumPolicy, PageBytes};
use crate::v2::page_file::PageFileReader;
use proptest::prelude::*;
use std::path::Path;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/laura/pages");

fn read(path: &Path, policy: ChecksumPolicy) -> crate::Result<Catalog> {
    let file = InputFile::open(path)?;
    Catalog::read(&PageFileReader::open(file, policy)?)
}

fn read_pages(pages: &[PageBytes], policy: ChecksumPolicy) -> crate::Result<Catalog> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metadata.db");
    std::fs::write(&path, pages.as_flattened()).unwrap();
    read(&path, policy)
}

fn write(entries: &[CatalogEntry], next_id: u32) -> Vec<PageBytes> {
    let plan = CatalogPlan::new(entries.iter().map(|entry| &*entry.name));
    let mut pages = Vec::new();
    plan.write(entries.to_vec(), next_id, |bytes| {
        page::seal(bytes, PageId(pages.len() as u32));
        pages.push(*bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(pages.len(), plan.page_count());
    pages
}

fn entry(collection_id: u32, name: &str, metadata_page: u32) -> CatalogEntry {
    CatalogEntry {
        collection_id,
        name: name.to_owned(),
        metadata_page: PageId(metadata_page),
        active: true,
        system: false,
    }
}

fn five() -> Vec<CatalogEntry> {
    vec![
        entry(1, "users", 10),
        entry(2, "orders", 15),
        entry(3, "Products_2024", 20),
        entry(4, "a", 25),
        entry(5, "x-y-z", 30),
    ]
}

#[test]
fn catalogs_that_lauradb_wrote_are_read() {
    let dead = CatalogEntry {
        active: false,
        ..entry(2, "dead", 2)
    };
    let system = CatalogEntry {
        system: true,
        ..entry(3, "sys.tem é", 3)
    };
    let mut dropped = five();
    dropped.remove(1);
    let cases = [
        ("catalog", 6, five()),
        ("catalog-empty", 1, vec![]),
        ("catalog-dropped", 6, dropped),
        (
            "catalog-handmade",
            4,
            vec![entry(1, "live", 1), dead, system],
        ),
    ];
    for (name, next_collection_id, entries) in cases {
        let path = format!("{FIXTURES}/{name}.metadata.db");
        let catalog = read(path.as_ref(), ChecksumPolicy::Optional).unwrap();
        let expected = Catalog {
            next_collection_id,
            last_checkpoint_txn: 0,
            entries,
        };
        assert_eq!(catalog, expected, "{name}");
    }
}

#[test]
fn catalogs_are_written_as_lauradb_writes_them() {
    for (name, entries, next_id) in [("catalog", five(), 6), ("catalog-empty", vec![], 1)] {
        let theirs = std::fs::read(format!("{FIXTURES}/{name}.metadata.db")).unwrap();
        let pages = write(&entries, next_id);
        assert_eq!(pages.len(), 1);
        // LauraDB has no checksum.
        assert_eq!(pages[0][..14], theirs[..14]);
        assert!(pages[0][16..] == theirs[16..], "{name}");
    }
}

#[test]
fn page_0_holds_as_many_names_as_lauradb_can_save() {
    let path = format!("{FIXTURES}/catalog-capacity.expected.json");
    let expected = std::fs::read_to_string(path).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let mut checked = 0;
    for case in expected["cases"].as_array().unwrap() {
        let size = case["name_bytes"].as_u64().unwrap() as usize;
        let registered = case["registered"].as_u64().unwrap() as usize;
        if size == 1 {
            continue; // names ran out before the page did
        }
        let name = "n".repeat(size);
        let pages = |count| CatalogPlan::new((0..count).map(|_| &*name)).page_count();
        assert_eq!((pages(registered), pages(registered + 1)), (1, 2), "{size}");
        checked += 1;
    }
    assert!(checked > 15);
}

#[test]
fn a_chain_takes_what_page_0_cannot() {
    let entries: Vec<CatalogEntry> = (1..=3000)
        .map(|id| {
            entry(
                id,
                &format!("{id:06}{}", "x".repeat(id as usize % 200)),
                id * 7,
            )
        })
        .collect();
    let pages = write(&entries, 3001);
    assert!(pages.len() > 60);
    let catalog = read_pages(&pages, ChecksumPolicy::Required).unwrap();
    assert_eq!(catalog.entries, entries);
    // Page 0 alone is whole for a reader that knows no chain.
    assert_eq!(pages[0][36..38], [2, 0]);
    let mut alone = pages[0];
    put_u16(&mut alone, 36, 1);
    put_u32(&mut alone, 46, 0);
    page::seal(&mut alone, PageId(0));
    let first = read_pages(&[alone], ChecksumPolicy::Required).unwrap();
    assert!(!first.entries.is_empty() && entries.starts_with(&first.entries));
}

#[test]
fn a_chain_that_loops_ends() {
    let entries: Vec<CatalogEntry> = (1..=600)
        .map(|id| entry(id, &format!("collection-{id}"), id))
        .collect();
    let mut pages = write(&entries, 601);
    assert_eq!(pages.len(), 4);
    for target in [3, 1, 9] {
        put_u32(&mut pages[3], 16, target);
        page::seal(&mut pages[3], PageId(3));
        assert!(read_pages(&pages, ChecksumPolicy::Required).is_err());
    }
}

#[test]
fn catalogs_that_cannot_be_are_refused() {
    // Offsets of page 0 of the catalog of five.
    let cases: [(&str, usize, u16); 12] = [
        ("another magic", 32, 0),
        ("version 0", 36, 0),
        ("version 3", 36, 3),
        ("version 2 without a chain", 36, 2),
        ("a chain in version 1", 46, 7),
        ("a reserved field", 62, 1),
        ("a count past the page", 40, 1),
        ("an id twice", 81, 1),
        ("id 0", 64, 0),
        ("an id not below the next one", 42, 5),
        ("a name of no bytes", 68, 0),
        ("unknown flags", 79, 5),
    ];
    let pages = write(&five(), 6);
    for (name, at, value) in cases {
        let mut damaged = pages[0];
        put_u16(&mut damaged, at, value);
        page::seal(&mut damaged, PageId(0));
        let error = read_pages(&[damaged], ChecksumPolicy::Required).unwrap_err();
        assert_eq!(error.code(), Code::CatalogDamaged, "{name}: {error}");
        assert_eq!(error.place().page, Some(0), "{name}");
    }
    let mut nul = pages[0];
    nul[70] = 0;
    page::seal(&mut nul, PageId(0));
    assert!(read_pages(&[nul], ChecksumPolicy::Required).is_err());
    let twice = write(&[entry(1, "same", 1), entry(2, "same", 2)], 3);
    assert!(read_pages(&twice, ChecksumPolicy::Required).is_err());
}

#[test]
fn names_that_format_v2_cannot_take_are_not_written() {
    for name in ["", "a\0b", &"x".repeat(256)] {
        let plan = CatalogPlan::new([name]);
        let result = plan.write([entry(1, name, 1)], 2, |_| Ok(()));
        assert_eq!(result.unwrap_err().code(), Code::CollectionName);
    }
    let plan = CatalogPlan::new(["a"]);
    let other = plan.write([], 1, |_| Ok(()));
    assert_eq!(other.unwrap_err().code(), Code::Internal);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_pages_give_a_verdict(
        bytes in proptest::collection::vec(any::<u8>(), 3 * PAGE_SIZE),
        count in 0_u32..400,
        version in 0_u16..4,
        chain in 0_u32..4,
    ) {
        let mut pages = bytes.as_chunks::<PAGE_SIZE>().0.to_vec();
        for (bytes, id) in pages.iter_mut().zip(0..) {
            page::PageHeader { page_id: PageId(id), page_type: 0, flags: 0, lsn: 0, checksum: 0 }
                .encode(bytes);
        }
        put_u32(&mut pages[0], 32, MAGIC);
        put_u16(&mut pages[0], 36, version);
        put_u32(&mut pages[0], 38, count);
        put_u32(&mut pages[0], 46, chain);
        put_u16(&mut pages[0], 62, 0);
        put_u32(&mut pages[1], 16, chain);
        let _ = read_pages(&pages, ChecksumPolicy::Optional);
    }
}
