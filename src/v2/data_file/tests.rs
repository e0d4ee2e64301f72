#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of a test fit, or only their low bits matter"
)]

use super::*;
use crate::files::{Access, Dir, Gate, InputFile};
use crate::v2::address::{DocumentAddress, PageId, SlotNumber};
use crate::v2::page::{ChecksumPolicy, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::slotted::SlottedPage;
use crate::{Code, Error};

const BUFFER: usize = 64 * 1024;

fn temporary() -> (tempfile::TempDir, Dir) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open(temporary.path(), Gate::open()).unwrap();
    (temporary, dir)
}

fn start(dir: &Dir, name: &str) -> PageFileWriter {
    create(dir.create(name, Access::default()).unwrap(), BUFFER).unwrap()
}

fn reader(file: InputFile) -> PageFileReader {
    PageFileReader::open(file, ChecksumPolicy::Required).unwrap()
}

/// Bytes that tell the document's number; the writer does not look into them.
fn document(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 13 + number) as u8).collect()
}

/// Writes one collection; returns the documents' addresses as a consumer binds them.
fn write(
    file: &mut PageFileWriter,
    writer: &mut CollectionWriter,
    documents: &[Vec<u8>],
    addresses: &mut Vec<DocumentAddress>,
) {
    let mut open: Vec<SlotNumber> = Vec::new();
    for document in documents {
        let slot = writer
            .insert(file, document, &mut |closed| {
                let page = closed.id;
                addresses.extend(open.drain(..).map(|slot| DocumentAddress { page, slot }));
                Ok(())
            })
            .unwrap();
        open.push(slot);
    }
}

fn sizes_to_documents(sizes: &[usize]) -> Vec<Vec<u8>> {
    let numbered = sizes.iter().enumerate();
    numbered
        .map(|(number, size)| document(number, *size))
        .collect()
}

/// Types and slot counts of the pages from 1 on, `S3` = slotted with 3 slots.
fn shape(file: &PageFileReader) -> String {
    let mut shape = String::new();
    file.scan(PageId(1), file.page_count() - 1, |_, page_type, bytes| {
        match page_type {
            PageType::Overflow => shape.push('o'),
            _ => shape += &format!("S{}", SlottedPage::open(bytes).unwrap().slot_count()),
        }
        Ok(())
    })
    .unwrap();
    shape
}

#[test]
fn pages_come_in_the_order_in_which_they_close() {
    // Two documents of 2000 bytes leave 58 bytes: room for two heads of 16 + 5, not for three.
    let cases: [(&[usize], &str); 6] = [
        (&[], ""),
        (&[2000, 2000, 2000], "S2S1"),
        (&[4063, 4063], "S1S1"),
        (&[5000], "ooS1"),
        (&[2000, 2000, 5000, 4064, 5000, 100], "oooS4ooS2"),
        (&[4063, 5000, 10], "S1ooS2"),
    ];
    for (sizes, expected) in cases {
        let (_guard, dir) = temporary();
        let mut file = start(&dir, "data.db");
        let mut writer = CollectionWriter::new(1, &file);
        write(
            &mut file,
            &mut writer,
            &sizes_to_documents(sizes),
            &mut Vec::new(),
        );
        let pages = writer.finish(&mut file, &mut |_| Ok(())).unwrap();
        let counted = file.page_count() - 1;
        file.flush().unwrap();
        let file = reader(dir.open_file("data.db").unwrap());
        assert_eq!(shape(&file), expected);
        assert_eq!(pages.page_count, counted);
        if counted == 0 {
            assert_eq!(pages, CollectionPages::default());
        } else {
            assert_eq!(pages.first_page, PageId(1));
        }
    }
}

#[test]
fn documents_of_every_size_come_back() {
    let sizes = [
        5,
        300,
        4063,
        4064,
        4072,
        4073,
        17,
        100_000,
        16 << 20,
        40,
        4064,
        8,
    ];
    let documents = sizes_to_documents(&sizes);
    let (_guard, dir) = temporary();
    let mut file = start(&dir, "data.db");
    let mut writer = CollectionWriter::new(1, &file);
    let mut addresses = Vec::new();
    write(&mut file, &mut writer, &documents, &mut addresses);
    let known = addresses.len();
    let mut last = PageId(0);
    let pages = writer
        .finish(&mut file, &mut |closed| {
            last = closed.id;
            Ok(())
        })
        .unwrap();
    file.flush().unwrap();
    let file = reader(file.file().reader().unwrap());
    let mut found = Vec::new();
    scan_documents(
        &file,
        pages.first_page,
        pages.page_count,
        |address, bytes| {
            assert!(bytes == documents[found.len()], "{address}");
            found.push(address);
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(found.len(), documents.len());
    assert_eq!(found[..known], addresses);
    assert!(found[known..].iter().all(|address| address.page == last));
    assert_eq!(pages.first_data_page, found[0].page);
    let mut reader = DocumentReader::new(&file);
    for (address, document) in found.iter().zip(&documents) {
        assert!(reader.read(*address).unwrap() == Some(&document[..]));
    }
    let nowhere = DocumentAddress {
        page: found[0].page,
        slot: SlotNumber(99),
    };
    let error = reader.read(nowhere).unwrap_err();
    assert_eq!(
        (error.code(), error.place().slot),
        (Code::PageDamaged, Some(99))
    );
}

#[test]
fn a_run_cut_at_any_closed_page_writes_the_same_bytes() {
    let sizes: Vec<usize> = (0..60)
        .map(|n| [700, 1900, 4063, 9000, 30][n % 5])
        .collect();
    let documents = sizes_to_documents(&sizes);
    let (guard, dir) = temporary();
    let mut file = start(&dir, "whole");
    let mut writer = CollectionWriter::new(1, &file);
    let mut cuts: Vec<(usize, CollectionPages)> = vec![(0, writer.pages())];
    for (number, document) in documents.iter().enumerate() {
        let mut closed = false;
        let mut on_closed = |_: ClosedPage<'_>| {
            closed = true;
            Ok(())
        };
        writer.insert(&mut file, document, &mut on_closed).unwrap();
        if closed {
            cuts.push((number, writer.pages()));
        }
    }
    let pages = writer.finish(&mut file, &mut |_| Ok(())).unwrap();
    file.flush().unwrap();
    let whole = std::fs::read(guard.path().join("whole")).unwrap();
    assert!(cuts.len() > 10);
    for (next, at) in cuts {
        std::fs::write(guard.path().join("cut"), &whole).unwrap();
        let count = at.first_page.0 + at.page_count;
        let cut = dir.reopen("cut").unwrap();
        let mut file = PageFileWriter::resume(cut, count, BUFFER).unwrap();
        let mut writer = CollectionWriter::resume(1, at);
        write(&mut file, &mut writer, &documents[next..], &mut Vec::new());
        assert_eq!(writer.finish(&mut file, &mut |_| Ok(())).unwrap(), pages);
        file.flush().unwrap();
        assert!(std::fs::read(guard.path().join("cut")).unwrap() == whole);
    }
}

#[test]
fn page_0_is_a_slotted_page_with_no_slots() {
    let (guard, dir) = temporary();
    start(&dir, "data.db").flush().unwrap();
    let bytes = std::fs::read(guard.path().join("data.db")).unwrap();
    let theirs = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/laura/pages/slotted-empty.page"
    );
    let theirs = std::fs::read(theirs).unwrap();
    assert!(bytes[..14] == theirs[..14] && bytes[16..] == theirs[16..]);
    assert_ne!(bytes[14..16], [0, 0]);
}

#[test]
fn a_document_beyond_16_mib_and_a_failing_consumer_are_errors() {
    let (_guard, dir) = temporary();
    let mut file = start(&dir, "data.db");
    let mut writer = CollectionWriter::new(1, &file);
    let mut failing = |_: ClosedPage<'_>| Err(Error::new(Code::Cancelled, "enough"));
    let error = writer.insert(&mut file, &document(0, (16 << 20) + 1), &mut failing);
    assert_eq!(error.unwrap_err().code(), Code::LimitExceeded);
    writer
        .insert(&mut file, &document(0, 4063), &mut failing)
        .unwrap();
    let error = writer.insert(&mut file, &document(1, 5), &mut failing);
    assert_eq!(error.unwrap_err().code(), Code::Cancelled);
}

#[test]
fn damage_in_a_chain_names_the_page_and_the_slot() {
    let (guard, dir) = temporary();
    let mut file = start(&dir, "data.db");
    let mut writer = CollectionWriter::new(1, &file);
    write(
        &mut file,
        &mut writer,
        &[document(0, 9000)],
        &mut Vec::new(),
    );
    writer.finish(&mut file, &mut |_| Ok(())).unwrap();
    file.flush().unwrap();
    let path = guard.path().join("data.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2 * 4096 + 1000] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let file = reader(dir.open_file("data.db").unwrap());
    let address = DocumentAddress {
        page: PageId(4),
        slot: SlotNumber(0),
    };
    let error = DocumentReader::new(&file).read(address).unwrap_err();
    assert_eq!(error.place().page, Some(2));
    assert!(error.sentence().contains("page 4 slot 0"), "{error}");
}
