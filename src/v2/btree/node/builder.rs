//! Writing nodes: entries in order, then the header.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a node is only given what fits: used() never exceeds CAPACITY"
)]

use super::{
    CAPACITY, CHILD_BYTES, CHILD_COUNT, COLLECTION_ID, DIRECTORY, FLAG_TRUNCATED,
    FREE_SPACE_OFFSET, INDEX_ID, KEY_COUNT, LEAF, LEVEL, LeafSlot, NEXT_PAGE, NODE_TYPE, Node,
    NodeHeader, PREV_PAGE, TreeIds, VALUE_BYTES, inner_entry, leaf_entry, takes,
};
use crate::bytes::{put_u16, put_u32};
use crate::v2::PageId;
use crate::v2::btree::key::{MAX_STORED_KEY, StoredKeyRef};
use crate::v2::page::{self, PAGE_DATA_SIZE, PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageType};

/// The longest entry of a leaf.
const MAX_LEAF_ENTRY: usize = leaf_entry::SIZE + MAX_STORED_KEY + VALUE_BYTES;
/// The longest key with its child in an internal node.
const MAX_INNER_ENTRY: usize = CHILD_BYTES + inner_entry::SIZE + MAX_STORED_KEY;

const _: () = assert!(takes(0, MAX_LEAF_ENTRY));
// However long the keys, an internal node takes three before it closes. So the last node of a
// level can be given one child more at the cost of the node before it (see `bulk::level`), and a
// tree of 2^32 pages has at most 17 levels.
const _: () = assert!(takes(CHILD_BYTES + 2 * MAX_INNER_ENTRY, MAX_INNER_ENTRY));

/// Fills one leaf after the other.
#[derive(Debug)]
pub(in crate::v2) struct LeafBuilder {
    /// Between directory and keys it may hold what was there in leaves before, until it is
    /// finished.
    page: Box<PageBytes>,
    ids: TreeIds,
    key_count: u16,
    /// Where keys and values begin, counted from the end of the page header.
    low: u16,
}

/// What [`LeafBuilder::low`] is in an empty leaf.
const TOP: u16 = 4080;
const _: () = assert!(TOP as usize == PAGE_DATA_SIZE);
const VALUE_LENGTH: u16 = 12;
const _: () = assert!(VALUE_LENGTH as usize == VALUE_BYTES);

impl LeafBuilder {
    pub(in crate::v2) fn new(ids: TreeIds) -> Self {
        let mut builder = Self {
            page: Box::new([0; PAGE_SIZE]),
            ids,
            key_count: 0,
            low: TOP,
        };
        builder.reset();
        builder
    }

    /// Begins the next leaf.
    pub(in crate::v2) fn reset(&mut self) {
        let (headers, _) = self.page.split_at_mut(DIRECTORY);
        headers.fill(0);
        let [_, _, _, _, type_field, ..] = &mut *self.page;
        *type_field = PageType::Index as u8;
        self.key_count = 0;
        self.low = TOP;
    }

    pub(in crate::v2) fn key_count(&self) -> u16 {
        self.key_count
    }

    /// Where the directory ends, counted from the page's first byte.
    #[inline]
    fn directory_end(&self) -> usize {
        DIRECTORY + usize::from(self.key_count) * leaf_entry::SIZE
    }

    /// Bytes of the directory, keys and values.
    #[inline]
    pub(in crate::v2) fn used(&self) -> usize {
        usize::from(self.key_count) * leaf_entry::SIZE + usize::from(TOP - self.low)
    }

    /// Bytes of the keys alone.
    pub(in crate::v2) fn key_bytes(&self) -> usize {
        usize::from(TOP - self.low) - usize::from(self.key_count) * VALUE_BYTES
    }

    /// Whether a key of this many bytes goes into this leaf rather than the next.
    #[inline]
    pub(in crate::v2) fn takes(&self, key_bytes: usize) -> bool {
        takes(self.used(), leaf_entry::SIZE + key_bytes + VALUE_BYTES)
    }

    /// Adds an entry, which must fit; an empty leaf has room for any key within its limit.
    #[inline]
    pub(in crate::v2) fn add(&mut self, key: StoredKeyRef<'_>, value: &[u8; VALUE_BYTES]) {
        let size = leaf_entry::SIZE + key.bytes.len() + VALUE_BYTES;
        debug_assert!(self.used() + size <= CAPACITY, "the entry does not fit");
        let slot_at = self.directory_end();
        let key_length = stored_size(key.bytes.len());
        let value_offset = self.low - VALUE_LENGTH;
        let key_offset = value_offset - key_length;
        let area = PAGE_HEADER_SIZE + usize::from(key_offset);
        let area = area..PAGE_HEADER_SIZE + usize::from(self.low);
        if let Some(area) = self.page.get_mut(area)
            && let Some((key_place, value_place)) = area.split_last_chunk_mut()
        {
            copy_short(key_place, key.bytes);
            *value_place = *value;
        }
        let slot = LeafSlot {
            key_offset,
            key_length,
            key_type: key.key_type,
            value_offset,
            value_length: VALUE_LENGTH,
            flags: if key.truncated { FLAG_TRUNCATED } else { 0 },
        };
        put_array(&mut self.page, slot_at, slot.encode());
        self.low = key_offset;
        self.key_count += 1;
    }

    /// Writes the header between these neighbours; id and checksum are the page's to get.
    pub(in crate::v2) fn finish(&mut self, prev: PageId, next: PageId) -> &mut PageBytes {
        let (header, directory_end) = (self.header(prev, next), self.directory_end());
        let free = directory_end..PAGE_HEADER_SIZE + usize::from(self.low);
        self.page.get_mut(free).unwrap_or_default().fill(0);
        put_header(&mut self.page, &header, directory_end);
        &mut self.page
    }

    /// What has been added so far, to read keys back from.
    pub(in crate::v2) fn node(&self) -> Node<'_> {
        Node::parsed(&self.page, self.header(PageId(0), PageId(0)))
    }

    fn header(&self, prev: PageId, next: PageId) -> NodeHeader {
        NodeHeader {
            is_leaf: true,
            level: 0,
            key_count: self.key_count,
            ids: self.ids,
            next,
            prev,
        }
    }
}

/// Fills the internal nodes of one level, one after the other.
#[derive(Debug)]
pub(in crate::v2) struct InternalBuilder {
    page: Box<PageBytes>,
    ids: TreeIds,
    level: u8,
    /// The key directory begins where the children end, which is known last.
    children: Vec<PageId>,
    keys: Vec<InnerKey>,
    low: usize,
}

#[derive(Clone, Copy, Debug)]
struct InnerKey {
    at: usize,
    length: usize,
    key_type: u8,
}

impl InternalBuilder {
    pub(in crate::v2) fn new(ids: TreeIds, level: u8) -> Self {
        let mut builder = Self {
            page: Box::new([0; PAGE_SIZE]),
            ids,
            level,
            children: Vec::new(),
            keys: Vec::new(),
            low: PAGE_SIZE,
        };
        builder.reset();
        builder
    }

    /// Begins the next node.
    pub(in crate::v2) fn reset(&mut self) {
        page::begin(&mut self.page, PageType::Index);
        self.children.clear();
        self.keys.clear();
        self.low = PAGE_SIZE;
    }

    pub(in crate::v2) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    pub(in crate::v2) fn key_count(&self) -> u16 {
        u16::try_from(self.keys.len()).unwrap_or(u16::MAX)
    }

    fn used(&self) -> usize {
        self.children.len() * CHILD_BYTES
            + self.keys.len() * inner_entry::SIZE
            + (PAGE_SIZE - self.low)
    }

    /// Whether children whose separators have these lengths go into this node rather than the next.
    pub(in crate::v2) fn takes(&self, separators: &[usize]) -> bool {
        let mut used = self.used();
        separators.iter().all(|key_bytes| {
            let more = CHILD_BYTES + inner_entry::SIZE + key_bytes;
            let taken = takes(used, more);
            used += more;
            taken
        })
    }

    /// Adds the leftmost child, which has no separator here.
    pub(in crate::v2) fn first_child(&mut self, child: PageId) {
        self.children.push(child);
    }

    /// Adds a child with its smallest key, which must fit.
    pub(in crate::v2) fn add(&mut self, separator: StoredKeyRef<'_>, child: PageId) {
        let length = separator.bytes.len();
        let size = CHILD_BYTES + inner_entry::SIZE + length;
        debug_assert!(self.used() + size <= CAPACITY, "the child does not fit");
        self.low -= length;
        put_bytes(&mut self.page, self.low, separator.bytes);
        self.children.push(child);
        self.keys.push(InnerKey {
            at: self.low,
            length,
            key_type: separator.key_type,
        });
    }

    /// Writes directory and header; id and checksum are the page's to get.
    pub(in crate::v2) fn finish(&mut self) -> &mut PageBytes {
        let mut at = DIRECTORY;
        for child in &self.children {
            put_u32(&mut *self.page, at, child.0);
            at += CHILD_BYTES;
        }
        for key in &self.keys {
            put_offset(&mut self.page, at + inner_entry::KEY_OFFSET, key.at);
            put_size(&mut self.page, at + inner_entry::KEY_LENGTH, key.length);
            put_u8(&mut self.page, at + inner_entry::KEY_TYPE, key.key_type);
            at += inner_entry::SIZE;
        }
        let header = NodeHeader {
            is_leaf: false,
            level: self.level,
            key_count: self.key_count(),
            ids: self.ids,
            next: PageId(0),
            prev: PageId(0),
        };
        put_header(&mut self.page, &header, at);
        &mut self.page
    }
}

/// Sets the neighbours of a leaf.
pub(in crate::v2) fn set_links(page: &mut PageBytes, prev: PageId, next: PageId) {
    put_u32(page, NEXT_PAGE, next.0);
    put_u32(page, PREV_PAGE, prev.0);
}

fn put_header(page: &mut PageBytes, header: &NodeHeader, directory_end: usize) {
    put_u8(page, NODE_TYPE, u8::from(header.is_leaf) * LEAF);
    put_u8(page, LEVEL, header.level);
    put_u16(page, KEY_COUNT, header.key_count);
    let children = if header.is_leaf {
        0
    } else {
        header.key_count + 1
    };
    put_u16(page, CHILD_COUNT, children);
    put_u32(page, INDEX_ID, header.ids.index_id);
    put_u32(page, COLLECTION_ID, header.ids.collection_id);
    put_u32(page, NEXT_PAGE, header.next.0);
    put_u32(page, PREV_PAGE, header.prev.0);
    put_offset(page, FREE_SPACE_OFFSET, directory_end);
}

/// Stores a place in the page.
fn put_offset(page: &mut PageBytes, at: usize, place: usize) {
    put_u16(page, at, stored_place(place));
}

/// Stores a length inside a page.
fn put_size(page: &mut PageBytes, at: usize, size: usize) {
    put_u16(page, at, stored_size(size));
}

/// A place in the page, which nodes count from the end of the page header.
#[inline]
fn stored_place(place: usize) -> u16 {
    stored_size(place - PAGE_HEADER_SIZE)
}

/// An offset or a length inside a page.
#[inline]
fn stored_size(size: usize) -> u16 {
    debug_assert!(size <= PAGE_DATA_SIZE, "{size} is no place in a page");
    u16::try_from(size).unwrap_or(u16::MAX)
}

fn put_u8(page: &mut PageBytes, at: usize, value: u8) {
    if let Some(byte) = page.get_mut(at) {
        *byte = value;
    }
}

fn put_bytes(page: &mut PageBytes, at: usize, bytes: &[u8]) {
    let area = page.get_mut(at..at + bytes.len());
    debug_assert!(area.is_some(), "the entry does not fit");
    if let Some(area) = area {
        area.copy_from_slice(bytes);
    }
}

/// Copies a key to its place. Most are so short that the call of a general copy takes longer.
#[inline]
fn copy_short(to: &mut [u8], from: &[u8]) {
    debug_assert_eq!(to.len(), from.len(), "the entry does not fit");
    if to.len() != from.len() {
        return;
    }
    match from.len() {
        8..16 => copy_ends::<8>(to, from),
        16..=32 => copy_ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Copies what is as long as its first and last bytes together, or less.
#[inline]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(place), Some(first)) = (to.first_chunk_mut::<N>(), from.first_chunk()) {
        *place = *first;
    }
    if let (Some(place), Some(last)) = (to.last_chunk_mut::<N>(), from.last_chunk()) {
        *place = *last;
    }
}

#[inline]
fn put_array<const N: usize>(page: &mut PageBytes, at: usize, bytes: [u8; N]) {
    let area = page.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    debug_assert!(area.is_some(), "the entry does not fit");
    if let Some(area) = area {
        *area = bytes;
    }
}
