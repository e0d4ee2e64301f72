//! Building a tree from sorted entries: leaves first, then level by level up to the root.
//!
//! ```text
//! pages  = leaf x leaf_nodes | level-1 node x … | … | root      one run, in this order
//! ```
//!
//! A leaf is written when an entry comes that does not go into it any more, which is also when its
//! right neighbour is known: the next page. Each node leaves its smallest key and its page to the
//! level above, in a spill that goes to a file when it grows. The pages depend on the entries
//! alone, not on the spill's limit nor on where a load was interrupted.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts pages and entries that were written, which no u32 and u64 are too small for"
)]

mod level;
mod spill;
#[cfg(test)]
mod tests;

use super::key::{LAST_KEY_TYPE, MAX_STORED_KEY, StoredKey, StoredKeyRef};
use super::node::{InternalBuilder, LeafBuilder, TreeIds, VALUE_BYTES};
use super::shape::{Tally, TreeSummary};
use crate::files::AppendWriter;
use crate::v2::PageId;
use crate::v2::page::PageBytes;
use crate::{Code, Error, Result};
use level::Level;
use spill::{Spill, SpillFiles};

/// Where finished pages go, one after the other.
pub trait PageSink {
    /// The page that the next [`Self::append`] will write.
    fn next_page(&self) -> PageId;

    /// Gives `page` its id and checksum and appends it.
    ///
    /// # Errors
    /// The write fails, or the file has no page numbers left.
    fn append(&mut self, page: &mut PageBytes) -> Result<PageId>;
}

impl<S: PageSink + ?Sized> PageSink for &mut S {
    fn next_page(&self) -> PageId {
        (**self).next_page()
    }

    fn append(&mut self, page: &mut PageBytes) -> Result<PageId> {
        (**self).append(page)
    }
}

/// Default for how many bytes of separators stay in memory.
pub const SPILL_LIMIT: usize = 1 << 20;

/// A load as of its last closed leaf, to be kept in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BulkPosition {
    first_page: PageId,
    spill_length: u64,
    tally: Tally,
    min_key: StoredKey,
}

impl BulkPosition {
    /// Entries in closed leaves: how many of the sorted entries to pass over when going on.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.tally.entry_count
    }

    /// The page that the next leaf gets; the page file is to be cut there.
    #[must_use]
    pub fn next_page(&self) -> PageId {
        PageId(self.first_page.0.saturating_add(self.tally.leaf_nodes))
    }

    /// Bytes of the spill file that count.
    #[must_use]
    pub fn spill_length(&self) -> u64 {
        self.spill_length
    }
}

/// Writes a tree from entries in their final order.
pub struct BulkLoader<'a, S> {
    run: PageRun<S>,
    ids: TreeIds,
    files: Box<SpillFiles<'a>>,
    leaf: LeafBuilder,
    separators: Spill,
    min_key: Option<StoredKey>,
    /// As of the last closed leaf.
    tally: Tally,
    /// Entries of the open leaf whose keys differ from the one before them.
    unique_keys: u64,
}

impl<'a, S: PageSink> BulkLoader<'a, S> {
    /// Begins a tree at the sink's next page.
    ///
    /// `files` makes an empty temporary file for each level that needs one: those whose separators
    /// take more than `spill_limit` bytes, and the leaves' when [`Self::position`] is called.
    pub fn new(
        sink: S,
        ids: TreeIds,
        spill_limit: usize,
        files: impl FnMut() -> Result<AppendWriter> + 'a,
    ) -> Self {
        Self {
            run: PageRun::new(sink),
            ids,
            files: Box::new(files),
            leaf: LeafBuilder::new(ids),
            separators: Spill::new(spill_limit),
            min_key: None,
            tally: Tally::default(),
            unique_keys: 0,
        }
    }

    /// Goes on after the last closed leaf. The sink stands at [`BulkPosition::next_page`]; `spill`
    /// is the leaves' spill file, opened to append at [`BulkPosition::spill_length`]. The caller
    /// pushes the entries from [`BulkPosition::entry_count`] on.
    ///
    /// # Errors
    /// Sink or spill file stand elsewhere, or the file cannot be cut to the position.
    pub fn resume(
        sink: S,
        ids: TreeIds,
        position: BulkPosition,
        spill_limit: usize,
        spill: AppendWriter,
        files: impl FnMut() -> Result<AppendWriter> + 'a,
    ) -> Result<Self> {
        let mut loader = Self::new(sink, ids, spill_limit, files);
        loader.run = loader
            .run
            .resume(position.first_page, position.next_page())?;
        loader.separators = Spill::resume(spill_limit, spill, position.spill_length)?;
        loader.min_key = Some(position.min_key);
        loader.tally = position.tally;
        Ok(loader)
    }

    /// The sink, to flush and sync it at a checkpoint.
    pub fn sink_mut(&mut self) -> &mut S {
        self.run.sink_mut()
    }

    /// Adds the next entry; `same_as_previous` says that its whole key equals the one before.
    ///
    /// # Errors
    /// A page or the spill cannot be written; a key that is not stored as the format says is
    /// [`Code::Internal`].
    #[inline(always)]
    pub fn push(
        &mut self,
        key: StoredKeyRef<'_>,
        value: &[u8; VALUE_BYTES],
        same_as_previous: bool,
    ) -> Result<()> {
        if !is_storable(key) {
            return Err(not_storable(key.key_type, key.bytes.len(), key.truncated));
        }
        if !self.leaf.takes(key.bytes.len()) {
            self.close_leaf(true)?;
        }
        self.leaf.add(key, value);
        self.unique_keys += u64::from(!same_as_previous);
        Ok(())
    }

    /// The state as of the last closed leaf, or `None` while there is none (then an interrupted
    /// load starts anew). Makes the spill file's bytes durable; its name and the sink's pages are the
    /// caller's to sync.
    ///
    /// # Errors
    /// The spill file cannot be made, written or synced.
    pub fn position(&mut self) -> Result<Option<BulkPosition>> {
        let Some(min_key) = self.min_key.clone() else {
            return Ok(None);
        };
        Ok(Some(BulkPosition {
            first_page: self.run.first_page(),
            spill_length: self.separators.sync(&mut *self.files)?,
            tally: self.tally,
            min_key,
        }))
    }

    /// Writes the last leaf and the internal nodes.
    ///
    /// # Errors
    /// A page or the spill cannot be written or read back.
    pub fn finish(mut self) -> Result<TreeSummary> {
        let max_key = self.leaf.node().last_entry();
        let Some(max_key) = max_key.map(|entry| entry.key.to_owned()) else {
            // A leaf is only closed for an entry that begins the next one, so there is none.
            return Ok(Tally::default().summary(PageId(0), 0, None, None));
        };
        self.close_leaf(false)?;
        let mut height = 1;
        let mut nodes = self.tally.leaf_nodes;
        let mut below = self.separators;
        while nodes > 1 {
            let level = Level {
                node: InternalBuilder::new(self.ids, height),
                run: &mut self.run,
                files: &mut *self.files,
                above: below.sibling(),
                tally: &mut self.tally,
            };
            (below, nodes) = level.build(below, nodes)?;
            height += 1;
        }
        let first_page = self.run.first_page();
        let (min_key, max_key) = (self.min_key, Some(max_key));
        Ok(self
            .tally
            .summary(first_page, height.into(), min_key, max_key))
    }

    /// Writes the leaf; the next page is another one if `another_follows`.
    #[inline(never)]
    fn close_leaf(&mut self, another_follows: bool) -> Result<()> {
        let page = self.run.next_page();
        let prev = match self.tally.leaf_nodes {
            0 => PageId(0),
            _ => PageId(page.0.saturating_sub(1)),
        };
        let next = match another_follows {
            true => PageId(page.0.saturating_add(1)),
            false => PageId(0),
        };
        if let Some(first) = self.leaf.node().entry(0) {
            if self.min_key.is_none() {
                self.min_key = Some(first.key.to_owned());
            }
            self.separators.push(first.key, page, &mut *self.files)?;
        }
        self.run.append(self.leaf.finish(prev, next))?;
        let unique_keys = std::mem::take(&mut self.unique_keys);
        let (key_count, key_bytes) = (self.leaf.key_count(), self.leaf.key_bytes());
        self.tally.leaf(key_count, unique_keys, key_bytes);
        self.leaf.reset();
        Ok(())
    }
}

/// The pages of one tree, which follow each other without a gap: neighbours and parents are named
/// before their pages are written.
struct PageRun<S> {
    sink: S,
    first_page: PageId,
    next_page: PageId,
}

impl<S: PageSink> PageRun<S> {
    fn new(sink: S) -> Self {
        let first_page = sink.next_page();
        Self {
            sink,
            first_page,
            next_page: first_page,
        }
    }

    fn resume(self, first_page: PageId, next_page: PageId) -> Result<Self> {
        if self.next_page != next_page {
            return Err(out_of_place(next_page, self.next_page));
        }
        Ok(Self { first_page, ..self })
    }

    fn first_page(&self) -> PageId {
        self.first_page
    }

    fn next_page(&self) -> PageId {
        self.next_page
    }

    fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    fn append(&mut self, page: &mut PageBytes) -> Result<()> {
        if self.next_page == PageId(0) {
            // 0 means "none" in every page pointer; a data file has its own page there.
            return Err(out_of_place(PageId(1), PageId(0)));
        }
        let id = self.sink.append(page)?;
        if id != self.next_page {
            return Err(out_of_place(self.next_page, id));
        }
        self.next_page = PageId(id.0.saturating_add(1));
        Ok(())
    }
}

fn out_of_place(expected: PageId, found: PageId) -> Error {
    let sentence = format!("a tree's page came to be page {found} where {expected} was due");
    Error::new(Code::Internal, sentence)
}

#[inline]
fn is_storable(key: StoredKeyRef<'_>) -> bool {
    let length = key.bytes.len();
    let known = key.key_type <= LAST_KEY_TYPE;
    known && length <= MAX_STORED_KEY && (!key.truncated || length == MAX_STORED_KEY)
}

#[cold]
fn not_storable(key_type: u8, length: usize, truncated: bool) -> Error {
    let sentence = format!(
        "a key of type {key_type} and {length} bytes (truncated: {truncated}) cannot be stored"
    );
    Error::new(Code::Internal, sentence)
}
