//! Reading nodes: everything in them is checked once, then accessed freely.

use super::{
    CHILD_BYTES, CHILD_COUNT, COLLECTION_ID, DIRECTORY, FLAG_DELETED, FLAG_TRUNCATED,
    FLAG_VERSIONED, GAP, INDEX_ID, INTERNAL, KEY_COUNT, LEAF, LEVEL, LeafSlot, NEXT_PAGE,
    NODE_TYPE, PREV_PAGE, RESERVED, TreeIds, VALUE_BYTES, inner_entry, leaf_entry,
};
use crate::bytes::{get_u16, get_u32};
use crate::v2::PageId;
use crate::v2::btree::key::{LAST_KEY_TYPE, MAX_STORED_KEY, StoredKeyRef};
use crate::v2::page::{
    PAGE_DATA_SIZE, PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageError, PageHeader, PageType,
};
use std::fmt;

/// The node header's fields that are read, and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::v2) struct NodeHeader {
    pub(in crate::v2) is_leaf: bool,
    pub(in crate::v2) level: u8,
    pub(in crate::v2) key_count: u16,
    pub(in crate::v2) ids: TreeIds,
    pub(in crate::v2) next: PageId,
    pub(in crate::v2) prev: PageId,
}

/// A node whose page has passed [`Node::parse`].
#[derive(Clone, Copy)]
pub struct Node<'a> {
    page: &'a PageBytes,
    header: NodeHeader,
    /// Known to be [packed](Self::is_packed).
    packed: bool,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header.fmt(f)
    }
}

/// An entry of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafEntry<'a> {
    /// The key; `truncated` is its flag 4.
    pub key: StoredKeyRef<'a>,
    /// All flags: 1 deleted, 2 versioned, 4 key truncated.
    pub flags: u8,
    /// 12 bytes: a document's address, or a text index's head of postings.
    pub value: &'a [u8; VALUE_BYTES],
}

impl LeafEntry<'_> {
    /// The entry's flag 1: it counts as absent.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.flags & FLAG_DELETED != 0
    }
}

impl<'a> Node<'a> {
    /// Checks a page as a node: header, directory, and that all keys and values lie apart from each
    /// other between directory and page end, in the order in which they are laid out.
    ///
    /// Takes nodes as LauraDB writes them: child pages 0, leaves that are not chained.
    ///
    /// # Errors
    /// The first field that cannot be, with its byte offset in the page.
    pub fn parse(page: &'a PageBytes) -> Result<Self, PageError> {
        let found = PageHeader::decode(page).page_type;
        if found != PageType::Index as u8 {
            return Err(PageError::PageType {
                expected: PageType::Index,
                found,
            });
        }
        check_zero(page, GAP, NODE_TYPE, "gap")?;
        let header = parse_header(page)?;
        let mut node = Self::parsed(page, header);
        if node.directory_end() > PAGE_SIZE {
            return Err(PageError::Truncated {
                offset: DIRECTORY,
                field: "directory",
            });
        }
        node.packed = header.is_leaf && node.leaf_is_packed();
        match header.is_leaf {
            true if node.packed => {}
            true => node.check_leaf_entries()?,
            false => node.check_keys()?,
        }
        Ok(node)
    }

    /// A node of a page that was parsed before, with the header that it had.
    ///
    /// On another page, reads give empty keys; they never panic or leave the page.
    pub(in crate::v2) fn parsed(page: &'a PageBytes, header: NodeHeader) -> Self {
        Self {
            page,
            header,
            packed: false,
        }
    }

    pub(in crate::v2) fn header(&self) -> NodeHeader {
        self.header
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> &'a PageBytes {
        self.page
    }

    /// True of a leaf without holes whose entries have no flag and keys within their limit, if that
    /// was found when the page was parsed.
    pub(super) fn is_packed(&self) -> bool {
        self.packed
    }

    /// True for a leaf.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.header.is_leaf
    }

    /// 0 for a leaf.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.header.level
    }

    /// Keys in this node.
    #[must_use]
    pub fn key_count(&self) -> usize {
        usize::from(self.header.key_count)
    }

    /// The index that the node belongs to.
    #[must_use]
    pub fn ids(&self) -> TreeIds {
        self.header.ids
    }

    /// The leaf to the right, 0 if there is none.
    #[must_use]
    pub fn next(&self) -> PageId {
        self.header.next
    }

    /// The leaf to the left, 0 if there is none.
    #[must_use]
    pub fn prev(&self) -> PageId {
        self.header.prev
    }

    /// Where the directory ends, counted from the page's first byte.
    pub(super) fn directory_end(&self) -> usize {
        self.directory_entry(self.key_count())
    }

    fn key_directory(&self) -> usize {
        DIRECTORY.saturating_add(
            self.key_count()
                .saturating_add(1)
                .saturating_mul(CHILD_BYTES),
        )
    }

    /// Where the directory entry of the `index`-th key begins. Both kinds of node begin it with the
    /// key's offset and length.
    pub(super) fn directory_entry(&self, index: usize) -> usize {
        if self.header.is_leaf {
            DIRECTORY.saturating_add(index.saturating_mul(leaf_entry::SIZE))
        } else {
            self.key_directory()
                .saturating_add(index.saturating_mul(inner_entry::SIZE))
        }
    }

    /// The `index`-th entry of a leaf.
    #[inline]
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<LeafEntry<'a>> {
        if !self.header.is_leaf || index >= self.key_count() {
            return None;
        }
        let slot = self
            .page
            .get(self.directory_entry(index)..)?
            .first_chunk()?;
        self.entry_at(LeafSlot::decode(slot))
    }

    #[inline]
    fn entry_at(&self, slot: LeafSlot) -> Option<LeafEntry<'a>> {
        let value_at = PAGE_HEADER_SIZE + usize::from(slot.value_offset);
        Some(LeafEntry {
            key: StoredKeyRef {
                key_type: slot.key_type,
                bytes: self.bytes(slot.key_offset, slot.key_length),
                truncated: slot.flags & FLAG_TRUNCATED != 0,
            },
            flags: slot.flags,
            value: self.page.get(value_at..)?.first_chunk()?,
        })
    }

    /// The last entry of a leaf.
    #[must_use]
    pub fn last_entry(self) -> Option<LeafEntry<'a>> {
        self.entry(self.key_count().checked_sub(1)?)
    }

    /// The entries of a leaf, in order; none for an internal node.
    #[inline]
    pub fn entries(self) -> impl Iterator<Item = LeafEntry<'a>> {
        self.leaf_slots().map_while(move |slot| self.entry_at(slot))
    }

    /// The directory of a leaf; nothing for an internal node.
    #[inline]
    pub(super) fn leaf_slots(&self) -> impl Iterator<Item = LeafSlot> + use<'a> {
        let (_, directory) = self.page.split_at(DIRECTORY);
        let count = match self.header.is_leaf {
            true => self.key_count(),
            false => 0,
        };
        let slots = directory.as_chunks().0;
        slots
            .get(..count)
            .unwrap_or(slots)
            .iter()
            .map(LeafSlot::decode)
    }

    /// The `index`-th key of an internal node: the smallest one below child `index + 1`. One of
    /// 1024 bytes counts as cut, since separators have no flags.
    #[must_use]
    pub fn separator(&self, index: usize) -> Option<StoredKeyRef<'a>> {
        if self.header.is_leaf || index >= self.key_count() {
            return None;
        }
        let at = self.directory_entry(index);
        let bytes = self.bytes(
            self.u16(at + inner_entry::KEY_OFFSET),
            self.u16(at.saturating_add(inner_entry::KEY_LENGTH)),
        );
        Some(StoredKeyRef {
            key_type: self.u8(at.saturating_add(inner_entry::KEY_TYPE)),
            bytes,
            truncated: bytes.len() == MAX_STORED_KEY,
        })
    }

    /// The `index`-th child of an internal node; there is one more than keys.
    #[must_use]
    pub fn child(&self, index: usize) -> Option<PageId> {
        if self.header.is_leaf || index > self.key_count() {
            return None;
        }
        get_u32(
            self.page,
            DIRECTORY.saturating_add(index.saturating_mul(CHILD_BYTES)),
        )
        .map(PageId)
    }

    fn u8(&self, at: usize) -> u8 {
        self.page.get(at).copied().unwrap_or_default()
    }

    fn u16(&self, at: usize) -> u16 {
        get_u16(self.page, at).unwrap_or_default()
    }

    /// Bytes at an offset as nodes store it.
    fn bytes(&self, offset: u16, length: u16) -> &'a [u8] {
        let start = PAGE_HEADER_SIZE + usize::from(offset);
        self.page
            .get(start..start.wrapping_add(usize::from(length)))
            .unwrap_or_default()
    }

    /// Whether each entry lies directly below the one before it, as a build leaves them, with
    /// nothing wrong and no flag. Where it is so, that is all that has to be checked.
    fn leaf_is_packed(&self) -> bool {
        let lowest = self.directory_end().saturating_sub(PAGE_HEADER_SIZE);
        let mut end = PAGE_DATA_SIZE;
        for slot in self.leaf_slots() {
            let value_at = usize::from(slot.value_offset);
            let key_at = usize::from(slot.key_offset);
            let length = usize::from(slot.key_length);
            // Sums of 16-bit numbers, which no usize is too small for.
            if value_at.wrapping_add(VALUE_BYTES) != end
                || key_at.wrapping_add(length) != value_at
                || length > MAX_STORED_KEY
                || usize::from(slot.value_length) != VALUE_BYTES
                || slot.key_type > LAST_KEY_TYPE
                || slot.flags != 0
            {
                return false;
            }
            end = key_at;
        }
        // Each begins lower than the one before it, so this holds for all if for the last.
        end >= lowest
    }

    /// Checks each entry, wherever it lies.
    pub(super) fn check_leaf_entries(&self) -> Result<(), PageError> {
        let lowest = self.directory_end().saturating_sub(PAGE_HEADER_SIZE);
        let mut end = PAGE_DATA_SIZE;
        for (index, slot) in self.leaf_slots().enumerate() {
            let value_at = usize::from(slot.value_offset);
            let key_at = usize::from(slot.key_offset);
            let key_end = key_at.saturating_add(usize::from(slot.key_length));
            let is_sound = key_at >= lowest
                && key_end <= value_at
                && value_at.saturating_add(VALUE_BYTES) <= end
                && usize::from(slot.value_length) == VALUE_BYTES
                && slot.key_type <= LAST_KEY_TYPE
                && slot.flags == 0;
            end = match is_sound {
                true => key_at,
                false => self.check_leaf_entry(index, end)?,
            };
        }
        Ok(())
    }

    /// Checks an entry field by field. Gives where it begins.
    #[inline(never)]
    fn check_leaf_entry(&self, index: usize, end: usize) -> Result<usize, PageError> {
        let entry = self.directory_entry(index);
        let at = |field: usize| entry.saturating_add(field);
        let length = self.u16(at(leaf_entry::VALUE_LENGTH));
        if usize::from(length) != VALUE_BYTES {
            let offset = at(leaf_entry::VALUE_LENGTH);
            return Err(PageError::field(offset, "value_length", length, "12"));
        }
        let value_at = at(leaf_entry::VALUE_OFFSET);
        let end = self.check_area(value_at, length, end, "value_offset")?;
        let key_length = self.u16(at(leaf_entry::KEY_LENGTH));
        let key_at = at(leaf_entry::KEY_OFFSET);
        let end = self.check_area(key_at, key_length, end, "key_offset")?;
        self.check_key_type(at(leaf_entry::KEY_TYPE))?;
        self.check_flags(at(leaf_entry::FLAGS), key_length)?;
        Ok(end)
    }

    fn check_keys(&self) -> Result<(), PageError> {
        let mut end = PAGE_DATA_SIZE;
        for index in 0..self.key_count() {
            let at = self.directory_entry(index);
            let length = self.u16(at.saturating_add(inner_entry::KEY_LENGTH));
            end = self.check_area(at + inner_entry::KEY_OFFSET, length, end, "key_offset")?;
            self.check_key_type(at.saturating_add(inner_entry::KEY_TYPE))?;
        }
        Ok(())
    }

    /// Checks that the area whose offset stands at `at` lies between the directory and `end`, where
    /// the area before it begins. Gives where this one begins; both as nodes count.
    fn check_area(
        &self,
        at: usize,
        length: u16,
        end: usize,
        field: &'static str,
    ) -> Result<usize, PageError> {
        let offset = self.u16(at);
        let start = usize::from(offset);
        let lowest = self.directory_end().saturating_sub(PAGE_HEADER_SIZE);
        if start < lowest || start.saturating_add(usize::from(length)) > end {
            let expected =
                format!("{lowest} or more, with its {length} bytes ending at {end} or before");
            return Err(PageError::field(at, field, offset, expected));
        }
        Ok(start)
    }

    fn check_key_type(&self, at: usize) -> Result<(), PageError> {
        let key_type = self.u8(at);
        if key_type > LAST_KEY_TYPE {
            return Err(PageError::field(at, "key_type", key_type, "0 to 9"));
        }
        Ok(())
    }

    fn check_flags(&self, at: usize, key_length: u16) -> Result<(), PageError> {
        let flags = self.u8(at);
        let known = FLAG_DELETED | FLAG_VERSIONED | FLAG_TRUNCATED;
        let cut = flags & FLAG_TRUNCATED != 0;
        if flags & !known != 0 || (cut && usize::from(key_length) != MAX_STORED_KEY) {
            let expected = "bits 1, 2, and 4 on a key of 1024 bytes only";
            return Err(PageError::field(at, "flags", flags, expected));
        }
        Ok(())
    }
}

fn parse_header(page: &PageBytes) -> Result<NodeHeader, PageError> {
    let byte = |at: usize| page.get(at).copied().unwrap_or_default();
    let short = |at| get_u16(page, at).unwrap_or_default();
    let long = |at| get_u32(page, at).unwrap_or_default();
    let header = NodeHeader {
        is_leaf: byte(NODE_TYPE) == LEAF,
        level: byte(LEVEL),
        key_count: short(KEY_COUNT),
        ids: TreeIds {
            index_id: long(INDEX_ID),
            collection_id: long(COLLECTION_ID),
        },
        next: PageId(long(NEXT_PAGE)),
        prev: PageId(long(PREV_PAGE)),
    };
    if ![INTERNAL, LEAF].contains(&byte(NODE_TYPE)) {
        let found = byte(NODE_TYPE);
        return Err(PageError::field(NODE_TYPE, "node_type", found, "0 or 1"));
    }
    if header.is_leaf && header.level != 0 {
        let field = "level of a leaf";
        return Err(PageError::field(LEVEL, field, header.level, "0"));
    }
    if !header.is_leaf && header.key_count == 0 {
        let field = "key_count of an internal node";
        return Err(PageError::field(KEY_COUNT, field, 0_u16, "1 or more"));
    }
    let children = if header.is_leaf {
        0
    } else {
        u32::from(header.key_count) + 1
    };
    let found = short(CHILD_COUNT);
    if u32::from(found) != children {
        let expected = children.to_string();
        return Err(PageError::field(
            CHILD_COUNT,
            "child_count",
            found,
            expected,
        ));
    }
    if !header.is_leaf {
        check_zero(page, NEXT_PAGE, PREV_PAGE, "next_page of an internal node")?;
        let end = PREV_PAGE.saturating_add(size_of::<u32>());
        check_zero(page, PREV_PAGE, end, "prev_page of an internal node")?;
    }
    check_zero(page, RESERVED, DIRECTORY, "reserved")?;
    Ok(header)
}

/// Checks that the bytes from `start` to `end` are zero.
pub(super) fn check_zero(
    page: &PageBytes,
    start: usize,
    end: usize,
    field: &'static str,
) -> Result<(), PageError> {
    let bytes = page.get(start..end).unwrap_or_default();
    // Without a way out in its middle, this is a few vector instructions.
    if bytes.iter().fold(0, |any, byte| any | byte) == 0 {
        return Ok(());
    }
    match bytes.iter().position(|byte| *byte != 0) {
        None => Ok(()),
        Some(at) => {
            let found = bytes.get(at).copied().unwrap_or_default();
            Err(PageError::field(
                start.saturating_add(at),
                field,
                found,
                "0",
            ))
        }
    }
}
