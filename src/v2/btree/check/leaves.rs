//! The leaves of a tree under check: chain, key order, values.

use super::{TreeVisitor, Values, damaged, key_hash};
use crate::Result;
use crate::v2::btree::key::StoredKey;
use crate::v2::btree::node::{LeafEntry, Node, TreeIds, VALUE_BYTES};
use crate::v2::btree::on_page;
use crate::v2::btree::shape::Tally;
use crate::v2::{DocumentAddress, PageId};
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
        for (index, entry) in node.entries().enumerate() {
            let same = match previous {
                None => false,
                Some(previous) => self.check_order(page, index, previous, entry, visitor)?,
            };
            if self.values == Values::Addresses {
                self.address(page, index, &entry)?;
            }
            tally.entry(entry.key.bytes.len(), entry.value.len(), same);
            visitor.entry(entry)?;
            previous = Some(entry);
        }
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

    /// True where both entries have the same key.
    #[inline]
    fn check_order(
        &self,
        page: PageId,
        index: usize,
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
        let ascending = self.values == Values::Addresses
            && self.address(page, index, &previous)? < self.address(page, index, &entry)?;
        if ascending {
            return Ok(true);
        }
        let sentence = match self.values {
            Values::Addresses => format!(
                "key {index} equals the one before it, but its document's address is not greater"
            ),
            Values::Opaque => format!("key {index} equals the one before it"),
        };
        Err(damaged(page, sentence))
    }

    #[inline(always)]
    fn address(
        &self,
        page: PageId,
        index: usize,
        entry: &LeafEntry<'_>,
    ) -> Result<DocumentAddress> {
        match DocumentAddress::decode(entry.value) {
            Some((collection_id, address)) if collection_id == self.ids.collection_id => {
                Ok(address)
            }
            _ => {
                let sentence = format!(
                    "value {index} is no document address in collection {}",
                    self.ids.collection_id
                );
                Err(damaged(page, sentence))
            }
        }
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
