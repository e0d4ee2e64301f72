//! What the tests of trees share: pages in memory, simple keys, a visitor that collects.

#![expect(clippy::cast_possible_truncation, reason = "tests count small things")]

use super::*;
use crate::files::{Access, AppendWriter, Dir, Gate};
use crate::v2::page::{self, ChecksumPolicy, PageBytes, PageType};
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Result};
use std::cell::Cell;
use std::cmp::Ordering;

pub(super) const IDS: TreeIds = TreeIds {
    index_id: 7,
    collection_id: 3,
};

/// Pages from page 0 on, the first of which belong to something else.
#[derive(Clone, Default)]
pub(crate) struct Pages(pub(crate) Vec<PageBytes>);

impl Pages {
    pub(crate) fn starting_at(first: usize) -> Self {
        Self(vec![[0; page::PAGE_SIZE]; first])
    }

    pub(crate) fn reseal(&mut self, at: usize) {
        page::seal(&mut self.0[at], PageId(at as u32));
    }
}

impl PageSink for Pages {
    fn next_page(&self) -> PageId {
        PageId(self.0.len() as u32)
    }

    fn append(&mut self, page: &mut PageBytes) -> Result<PageId> {
        let id = self.next_page();
        page::seal(page, id);
        self.0.push(*page);
        Ok(id)
    }
}

impl PageSource for Pages {
    fn page(&self, id: PageId) -> Result<Box<PageBytes>> {
        let Some(found) = self.0.get(id.0 as usize) else {
            return Err(Error::new(Code::PageDamaged, "page past the end"));
        };
        page::verify(found, id, PageType::Index, ChecksumPolicy::Required)
            .map_err(|error| error.at("data.db", id))?;
        Ok(Box::new(*found))
    }

    fn page_count(&self) -> u32 {
        self.0.len() as u32
    }
}

/// Temporary files for spills.
pub(crate) struct SpillDir {
    _temporary: tempfile::TempDir,
    pub(super) dir: Dir,
    pub(super) made: Cell<usize>,
}

impl SpillDir {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Dir::open(temporary.path(), Gate::default()).unwrap();
        Self {
            _temporary: temporary,
            dir,
            made: Cell::new(0),
        }
    }

    pub(crate) fn create(&self) -> Result<AppendWriter> {
        let name = format!("spill-{}", self.made.get());
        self.made.set(self.made.get() + 1);
        let file = self.dir.create(&name, Access::default())?;
        Ok(AppendWriter::new(file, 0, 4096))
    }
}

/// Orders int64 keys by value and strings by their bytes.
pub(super) fn compare(left: StoredKeyRef<'_>, right: StoredKeyRef<'_>) -> Result<Option<Ordering>> {
    if left.key_type != right.key_type {
        return Ok(Some(left.key_type.cmp(&right.key_type)));
    }
    if left.key_type == 0 {
        let value = |key: StoredKeyRef<'_>| {
            let no_key = |_| Error::new(Code::PageDamaged, "no int64 key");
            key.bytes.try_into().map(i64::from_le_bytes).map_err(no_key)
        };
        return Ok(Some(value(left)?.cmp(&value(right)?)));
    }
    let order = left.bytes.get(2..).cmp(&right.bytes.get(2..));
    let cut = left.truncated && right.truncated;
    Ok((order != Ordering::Equal || !cut).then_some(order))
}

pub(super) fn int_key(value: i64) -> StoredKey {
    StoredKey {
        key_type: 0,
        bytes: value.to_le_bytes().to_vec(),
        truncated: false,
    }
}

/// A string's key; cut where it is too long.
pub(super) fn string_key(text: &[u8]) -> StoredKey {
    let mut bytes = (text.len() as u16).to_le_bytes().to_vec();
    bytes.extend_from_slice(text);
    let truncated = bytes.len() > MAX_STORED_KEY;
    bytes.truncate(MAX_STORED_KEY);
    StoredKey {
        key_type: 2,
        bytes,
        truncated,
    }
}

/// The address of the n-th entry; they ascend.
pub(super) fn value(n: usize) -> [u8; 12] {
    let address = DocumentAddress {
        page: PageId(n as u32 / 100 + 1),
        slot: SlotNumber((n % 100) as u16),
    };
    address.encode(IDS.collection_id)
}

/// Pushes the entries from `from` on; equal bytes are equal keys.
pub(super) fn push_all<S: PageSink>(
    loader: &mut BulkLoader<'_, S>,
    keys: &[StoredKey],
    from: usize,
) -> Result<()> {
    for (n, key) in keys.iter().enumerate().skip(from) {
        let same = n > 0 && keys[n - 1] == *key;
        loader.push(key.borrow(), &value(n), same)?;
    }
    Ok(())
}

/// A tree in memory, from page 5 on.
pub(super) fn build(keys: &[StoredKey]) -> (Pages, TreeSummary) {
    let mut pages = Pages::starting_at(5);
    let no_file = || panic!("separators within the limit need no file");
    let mut loader = BulkLoader::new(&mut pages, IDS, usize::MAX, no_file);
    push_all(&mut loader, keys, 0).unwrap();
    let summary = loader.finish().unwrap();
    (pages, summary)
}

/// An entry as a visitor saw it.
pub(super) type Seen = (StoredKey, u8, [u8; 12]);

/// Collects the entries; takes cut keys of equal bytes for equal.
#[derive(Default)]
pub(super) struct Collector {
    pub(super) entries: Vec<Seen>,
    pub(super) undecided: usize,
    /// Compares whole keys at once.
    hurries: bool,
}

impl TreeVisitor for Collector {
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>> {
        compare(left, right)
    }

    fn compare_at_once(&self, left: StoredKeyRef<'_>, right: StoredKeyRef<'_>) -> Option<Ordering> {
        let whole = !left.truncated && !right.truncated;
        (self.hurries && whole).then(|| compare(left, right).ok()?)?
    }

    fn compare_whole(&mut self, _: LeafEntry<'_>, _: LeafEntry<'_>) -> Result<Ordering> {
        self.undecided += 1;
        Ok(Ordering::Equal)
    }

    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        self.entries
            .push((entry.key.to_owned(), entry.flags, *entry.value));
        Ok(())
    }
}

/// Checks a tree. What is found must not depend on whether keys are compared at once.
pub(super) fn check_pages(pages: &Pages, shape: TreeShape) -> Result<(TreeSummary, Collector)> {
    let [found, again] = [true, false].map(|hurries| check_once(pages, shape, hurries));
    match (&found, &again) {
        (Ok((found, seen)), Ok((again, seen_again))) => {
            assert_eq!(found, again);
            assert!(seen.entries == seen_again.entries);
            assert_eq!(seen.undecided, seen_again.undecided);
        }
        (Err(found), Err(again)) => assert_eq!(found.to_string(), again.to_string()),
        _ => panic!("{:?} {:?}", found.err(), again.err()),
    }
    found
}

fn check_once(pages: &Pages, shape: TreeShape, hurries: bool) -> Result<(TreeSummary, Collector)> {
    let mut collector = Collector {
        hurries,
        ..Collector::default()
    };
    let mut checker = TreeChecker::new(shape, IDS, Values::Addresses)?;
    let first = shape.first_page().map_or(0, |page| page.0 as usize);
    let count = shape.page_count().unwrap() as usize;
    for (at, page) in pages.0.iter().enumerate().skip(first).take(count) {
        checker.page(PageId(at as u32), page, &mut collector)?;
    }
    Ok((checker.finish()?, collector))
}

/// Builds, checks, and gives the pages and the summary.
pub(super) fn build_checked(keys: &[StoredKey]) -> (Pages, TreeSummary) {
    let (pages, summary) = build(keys);
    let (found, collector) = check_pages(&pages, summary.shape()).unwrap();
    assert_eq!(found, summary);
    let seen: Vec<_> = collector.entries.into_iter().map(|seen| seen.0).collect();
    assert!(seen == keys, "the checker saw other keys than were loaded");
    (pages, summary)
}

/// Ascending strings of 14 to 1100 bytes, so that some are cut.
pub(super) fn long_strings(count: usize) -> Vec<StoredKey> {
    (0..count)
        .map(|n| {
            let mut text = format!("key {n:010}").into_bytes();
            text.resize(text.len() + n * 7919 % 1090, b'x');
            string_key(&text)
        })
        .collect()
}

/// Ascending keys of exactly 1024 bytes, not cut.
pub(super) fn longest_keys(count: usize) -> Vec<StoredKey> {
    (0..count)
        .map(|n| string_key(format!("{n:01022}").as_bytes()))
        .collect()
}

pub(super) fn int_keys(count: usize) -> Vec<StoredKey> {
    (0..count as i64).map(int_key).collect()
}
