//! The leaves of a tree under check: chain, key order, values.

use super::{TreeVisitor, Values, damaged, key_hash};
use crate::v2::btree::key::StoredKey;
use crate::v2::btree::node::{LeafEntry, Node, TreeIds, VALUE_BYTES};
use crate::v2::btree::on_page;
use crate::v2::btree::shape::Tally;
use crate::v2::{DocumentAddress, PageId};
use crate::{Error, Result};
use std::cmp::Ordering;

#[derive(Debug)]
pub(super) struct Leaves {
    ids: TreeIds,
    values: Values,
    min_key: Option<StoredKey>,
    last: Option<LastLeaf>,
    first_keys: u128,
}

/// The leaf before, as far as the next one depends on it.
#[derive(Debug)]
struct LastLeaf {
    page: PageId,
    next: PageId,
    key: StoredKey,
    flags: u8,
    value: [u8; VALUE_BYTES],
}

impl LastLeaf {
    fn entry(&self) -> LeafEntry<'_> {
        LeafEntry {
            key: self.key.borrow(),
            flags: self.flags,
            value: &self.value,
        }
    }
}

/// What was found of the entries of a leaf so far.
#[derive(Debug, Default)]
struct Passed {
    entries: usize,
    /// Entries whose keys differ from the one before them.
    unique_keys: u64,
    key_bytes: usize,
}

impl Passed {
    #[inline(always)]
    fn count(&mut self, entry: &LeafEntry<'_>, same_as_previous: bool) {
        self.entries = self.entries.wrapping_add(1);
        self.unique_keys = self.unique_keys.wrapping_add(u64::from(!same_as_previous));
        self.key_bytes = self.key_bytes.wrapping_add(entry.key.bytes.len());
    }
}

impl Leaves {
    pub(super) fn new(ids: TreeIds, values: Values) -> Self {
        Self {
            ids,
            values,
            min_key: None,
            last: None,
            first_keys: 0,
        }
    }

    /// Checks the next leaf, which has entries.
    pub(super) fn node(
        &mut self,
        page: PageId,
        node: &Node<'_>,
        tally: &mut Tally,
        visitor: &mut impl TreeVisitor,
    ) -> Result<()> {
        self.check_chain(page, node)?;
        let last = self.last.take();
        let mut previous = last.as_ref().map(LastLeaf::entry);
        if let Some(first) = node.entry(0) {
            if previous.is_some() {
                let hash = key_hash(page, first.key);
                self.first_keys = self.first_keys.wrapping_add(hash);
            } else {
                self.min_key = Some(first.key.to_owned());
            }
        }
        let mut entries = node.entries();
        let mut passed = Passed::default();
        loop {
            match previous {
                Some(sound) => {
                    previous = Some(self.pass(sound, &mut entries, &mut passed, visitor)?);
                }
                None => _ = entries.next(),
            }
            let Some(entry) = node.entry(passed.entries) else {
                break;
            };
            let same = match previous {
                None => false,
                Some(previous) => {
                    self.check_order((page, passed.entries), previous, entry, visitor)?
                }
            };
            if !self.is_value(&entry) {
                return Err(self.no_address(page, passed.entries));
            }
            passed.count(&entry, same);
            visitor.entry(entry)?;
            previous = Some(entry);
        }
        let key_count = u16::try_from(node.key_count()).unwrap_or(u16::MAX);
        tally.leaf(key_count, passed.unique_keys, passed.key_bytes);
        self.last = node.last_entry().map(|entry| LastLeaf {
            page,
            next: node.next(),
            key: entry.key.to_owned(),
            flags: entry.flags,
            value: *entry.value,
        });
        Ok(())
    }

    fn check_chain(&self, page: PageId, node: &Node<'_>) -> Result<()> {
        let prev = self.last.as_ref().map_or(PageId(0), |last| last.page);
        if node.prev() != prev {
            let found = node.prev();
            let sentence = format!("prev_page of the leaf is {found}, expected {prev}");
            return Err(damaged(page, sentence));
        }
        if let Some(last) = &self.last
            && last.next != page
        {
            let found = last.next;
            let sentence = format!("next_page of the leaf is {found}, but page {page} is one");
            return Err(damaged(last.page, sentence));
        }
        Ok(())
    }

    /// Goes past the entries that are seen at once to be right behind those before them; gives the
    /// last of those, or `previous`. The one that ends it is taken from `entries` as well.
    #[inline(always)]
    fn pass<'n>(
        &self,
        mut previous: LeafEntry<'n>,
        entries: &mut impl Iterator<Item = LeafEntry<'n>>,
        passed: &mut Passed,
        visitor: &mut impl TreeVisitor,
    ) -> Result<LeafEntry<'n>> {
        for entry in entries {
            let same = match visitor.compare_at_once(previous.key, entry.key) {
                Some(Ordering::Less) if self.is_value(&entry) => false,
                Some(Ordering::Equal) if self.ascends(&previous, &entry) => true,
                _ => return Ok(previous),
            };
            passed.count(&entry, same);
            visitor.entry(entry)?;
            previous = entry;
        }
        Ok(previous)
    }

    /// True where both entries have the same key.
    #[inline(never)]
    fn check_order(
        &self,
        (page, index): (PageId, usize),
        previous: LeafEntry<'_>,
        entry: LeafEntry<'_>,
        visitor: &mut impl TreeVisitor,
    ) -> Result<bool> {
        let compared = visitor.compare(previous.key, entry.key);
        let compared = compared.map_err(|error| on_page(error, page))?;
        let ordering = match compared {
            Some(ordering) => ordering,
            None => visitor.compare_whole(previous, entry)?,
        };
        match ordering {
            Ordering::Less => return Ok(false),
            Ordering::Equal => {}
            Ordering::Greater => {
                let sentence = format!("key {index} is less than the one before it");
                return Err(damaged(page, sentence));
            }
        }
        if self.ascends(&previous, &entry) {
            return Ok(true);
        }
        let sentence = match self.values {
            // That of the entry before was looked at when it was its turn.
            Values::Addresses if self.address(&entry).is_none() => {
                return Err(self.no_address(page, index));
            }
            Values::Addresses => format!(
                "key {index} equals the one before it, but its document's address is not greater"
            ),
            Values::Opaque => format!("key {index} equals the one before it"),
        };
        Err(damaged(page, sentence))
    }

    /// Whether the entry has a value as it should be.
    #[inline(always)]
    fn is_value(&self, entry: &LeafEntry<'_>) -> bool {
        self.values != Values::Addresses || self.address(entry).is_some()
    }

    /// Whether values are addresses, and the second is the greater one.
    #[inline(always)]
    fn ascends(&self, previous: &LeafEntry<'_>, entry: &LeafEntry<'_>) -> bool {
        if self.values != Values::Addresses {
            return false;
        }
        match (self.address(previous), self.address(entry)) {
            (Some(left), Some(right)) => left < right,
            _ => false,
        }
    }

    /// The document of an entry, if its value is an address in the collection.
    #[inline(always)]
    fn address(&self, entry: &LeafEntry<'_>) -> Option<DocumentAddress> {
        let (collection_id, address) = DocumentAddress::decode(entry.value)?;
        (collection_id == self.ids.collection_id).then_some(address)
    }

    #[cold]
    fn no_address(&self, page: PageId, index: usize) -> Error {
        let sentence = format!(
            "value {index} is no document address in collection {}",
            self.ids.collection_id
        );
        damaged(page, sentence)
    }

    /// Ends the leaves; gives the smallest and the greatest key.
    pub(super) fn finish(&self) -> Result<(Option<StoredKey>, Option<StoredKey>)> {
        let Some(last) = &self.last else {
            return Ok((None, None));
        };
        if last.next != PageId(0) {
            let sentence = format!("next_page of the last leaf is {}, expected 0", last.next);
            return Err(damaged(last.page, sentence));
        }
        Ok((self.min_key.clone(), Some(last.key.clone())))
    }

    /// Sum over all leaves but the first.
    pub(super) fn first_keys(&self) -> u128 {
        self.first_keys
    }
}
