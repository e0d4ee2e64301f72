//! Writes nodes, level by level. The layout is described in the parent module.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a node is only given the entries that it has room for"
)]

use super::{
    ENTRIES, ENTRY_COUNT, Entry, INDEX_ID, INTERNAL, LEAF, LEVEL, MBR, NODE_TYPE, RECT_BYTES, Rect,
    Target, capacity, entry_bytes,
};
use crate::bytes::{put_u16, put_u32};
use crate::v2::PageId;
use crate::v2::btree::{PageSink, TreeIds};
use crate::v2::page::{self, PAGE_SIZE, PageBytes, PageType};
use crate::{Code, Error, Result};

/// A node that is in its page.
#[derive(Clone, Copy, Debug)]
pub struct WrittenNode {
    /// Where it is.
    pub page: PageId,
    /// Bounds of its entries.
    pub bounds: Rect,
    /// Number of its entries.
    pub entry_count: u16,
}

/// Packs the entries of one level into nodes, as many as fit, in the order in which they come.
pub struct NodeWriter<S> {
    sink: S,
    level: u8,
    page: Box<PageBytes>,
    entry_count: u16,
    bounds: Option<Rect>,
}

impl<S: PageSink> NodeWriter<S> {
    /// Begins a level at the sink's next page.
    pub fn new(sink: S, ids: TreeIds, level: u8) -> Self {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        page::begin(&mut bytes, PageType::Index);
        if let Some(field) = bytes.get_mut(NODE_TYPE) {
            *field = if level == 0 { LEAF } else { INTERNAL };
        }
        if let Some(field) = bytes.get_mut(LEVEL) {
            *field = level;
        }
        put_u32(&mut *bytes, INDEX_ID, ids.index_id);
        Self {
            sink,
            level,
            page: bytes,
            entry_count: 0,
            bounds: None,
        }
    }

    /// Adds an entry; gives the node that this fills.
    ///
    /// # Errors
    /// The page cannot be written.
    pub fn push(&mut self, entry: &Entry) -> Result<Option<WrittenNode>> {
        let size = entry_bytes(self.level);
        let at = ENTRIES + usize::from(self.entry_count) * size;
        let place = self.page.get_mut(at..at + size).unwrap_or_default();
        let (bounds, value) = place.split_at_mut(RECT_BYTES.min(place.len()));
        bounds.copy_from_slice(&entry.bounds.encode());
        match entry.target {
            Target::Node(child) => put_u32(value, 0, child.0),
            Target::Document(collection_id, address) => {
                if let Some(value) = value.first_chunk_mut() {
                    *value = address.encode(collection_id);
                }
            }
        }
        self.entry_count += 1;
        let bounds = entry.bounds;
        self.bounds = Some(self.bounds.map_or(bounds, |all| all.union(bounds)));
        if usize::from(self.entry_count) == capacity(self.level) {
            return self.close();
        }
        Ok(None)
    }

    /// Ends the level; gives its last node, if that was not full.
    ///
    /// # Errors
    /// The page cannot be written.
    pub fn finish(mut self) -> Result<Option<WrittenNode>> {
        self.close()
    }

    fn close(&mut self) -> Result<Option<WrittenNode>> {
        let Some(bounds) = self.bounds.take() else {
            return Ok(None);
        };
        let entry_count = std::mem::take(&mut self.entry_count);
        put_u16(&mut *self.page, ENTRY_COUNT, entry_count);
        if let Some(field) = self
            .page
            .get_mut(MBR..)
            .and_then(<[u8]>::first_chunk_mut::<RECT_BYTES>)
        {
            *field = bounds.encode();
        }
        let page = self.sink.append(&mut self.page)?;
        if page == PageId(0) {
            // 0 means "none" in every page pointer; a data file has its own page there.
            let sentence = "a node of an R-tree came to be page 0";
            return Err(Error::new(Code::Internal, sentence));
        }
        if let Some(entries) = self.page.get_mut(ENTRIES..) {
            entries.fill(0);
        }
        Ok(Some(WrittenNode {
            page,
            bounds,
            entry_count,
        }))
    }
}
