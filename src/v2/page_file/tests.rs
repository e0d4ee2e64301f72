use super::*;
use crate::files::{Access, Dir, Gate};
use crate::v2::page::{self, ChecksumPolicy, PageBytes, PageType};
use crate::{Code, Result};

const BUFFER: usize = 3 * PAGE_SIZE;

fn temporary() -> (tempfile::TempDir, Dir) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open(temporary.path(), Gate::open()).unwrap();
    (temporary, dir)
}

fn overflow_page(tag: u8) -> PageBytes {
    let mut bytes = [tag; PAGE_SIZE];
    page::begin(&mut bytes, PageType::Overflow);
    bytes[100] = tag;
    bytes
}

fn append(writer: &mut PageFileWriter, tags: std::ops::Range<u8>) {
    for tag in tags {
        let next = writer.next_page();
        assert_eq!(writer.append_page(&mut overflow_page(tag)).unwrap(), next);
    }
}

fn tags(dir: &Dir, name: &str) -> Result<Vec<u8>> {
    let file = PageFileReader::open(dir.open_file(name)?, ChecksumPolicy::Required)?;
    let mut tags = Vec::new();
    file.scan(PageId(0), file.page_count(), |_, page_type, page| {
        assert_eq!(page_type, PageType::Overflow);
        tags.push(page[100]);
        Ok(())
    })?;
    Ok(tags)
}

#[test]
fn pages_lie_where_their_ids_say() {
    let (_guard, dir) = temporary();
    let file = dir.create("p", Access::default()).unwrap();
    let mut writer = PageFileWriter::create(file, BUFFER);
    append(&mut writer, 0..200);
    assert_eq!(writer.position(), 200 * 4096);
    writer.sync().unwrap();
    assert_eq!(tags(&dir, "p").unwrap(), (0..200).collect::<Vec<_>>());
    let file = dir.open_file("p").unwrap();
    let file = PageFileReader::open(file, ChecksumPolicy::Required).unwrap();
    let mut page = [0; PAGE_SIZE];
    file.read(PageId(150), PageType::Overflow, &mut page)
        .unwrap();
    assert_eq!((page::page_id(&page), page[100]), (PageId(150), 150));
    for (id, page_type) in [(150, PageType::Data), (200, PageType::Overflow)] {
        let error = file.read(PageId(id), page_type, &mut page).unwrap_err();
        assert_eq!(error.code(), Code::PageDamaged);
        assert_eq!(error.place().page, Some(id));
    }
    let beyond = file.scan(PageId(199), 2, |_, _, _| Ok(()));
    assert_eq!(beyond.unwrap_err().code(), Code::PageDamaged);
}

#[test]
fn resuming_cuts_at_the_checkpoint() {
    let (_guard, dir) = temporary();
    let file = dir.create("p", Access::default()).unwrap();
    let mut writer = PageFileWriter::create(file, BUFFER);
    append(&mut writer, 0..10);
    drop(writer.into_file().unwrap());
    let mut writer = PageFileWriter::resume(dir.reopen("p").unwrap(), 6, BUFFER).unwrap();
    assert_eq!(writer.page_count(), 6);
    append(&mut writer, 50..52);
    writer.flush().unwrap();
    assert_eq!(tags(&dir, "p").unwrap(), [0, 1, 2, 3, 4, 5, 50, 51]);
    let short = PageFileWriter::resume(dir.reopen("p").unwrap(), 9, BUFFER);
    assert_eq!(short.unwrap_err().code(), Code::PageDamaged);
}

#[test]
fn files_of_partial_pages_are_refused() {
    let (_guard, dir) = temporary();
    for (name, len) in [("empty", 0), ("part", 4095), ("more", 4097)] {
        let file = dir.create(name, Access::default()).unwrap();
        file.set_len(len).unwrap();
        let file = dir.open_file(name).unwrap();
        let error = PageFileReader::open(file, ChecksumPolicy::Optional).unwrap_err();
        assert_eq!(error.code(), Code::PageDamaged);
    }
}
