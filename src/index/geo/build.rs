//! Building an R-tree from sorted points, in sort-tile-recursive order.
//!
//! Of n entries with m to a node there are p = ⌈n / m⌉ nodes. The entries are sorted by x and cut
//! into ⌈√p⌉ slices of ⌈√p⌉ · m entries; each slice is sorted by y, and nodes take m entries each in
//! that order. The nodes are the entries of the level above, by the middle of their bounds, until
//! there is one. Equal coordinates are in the order of addresses, nodes' in that of their pages.
//!
//! Both sorts are the pool's, so memory is bounded whatever n is, and its budget never shows in the
//! output. Only the sort by x of the points is the caller's.

use super::record::{Item, Items, PointKey, node_address};
use crate::index::sort::{Merge, NoFullKeys, SortPool, SorterId};
use crate::v2::DocumentAddress;
use crate::v2::btree::{PageSink, TreeIds};
use crate::v2::rtree::{NodeWriter, RTreeSummary, WrittenNode, capacity};
use crate::{Code, Error, Result};

/// Points or nodes between two pauses.
const ITEMS_AT_ONCE: u64 = 4096;

/// Takes how many points or nodes were passed on.
type Pause<'p> = dyn FnMut(u64) -> Result<()> + 'p;

/// False for a document that is gone.
type Keeps<'k> = dyn FnMut(DocumentAddress) -> Result<bool> + 'k;

/// Writes a geo index.
pub struct GeoIndexBuilder<S> {
    sink: S,
    ids: TreeIds,
    key: PointKey,
    summary: RTreeSummary,
}

impl<S: PageSink> GeoIndexBuilder<S> {
    /// Begins at the sink's next page.
    pub fn new(sink: S, ids: TreeIds) -> Self {
        Self {
            sink,
            ids,
            key: PointKey::default(),
            summary: RTreeSummary {
                order: 1,
                ..RTreeSummary::default()
            },
        }
    }

    /// Writes the tree of the points in a sorter, all of whose keys were made by [`PointKey`]; of
    /// these, of the `count` whose documents `keeps` is true for. The pool gets further sorters, which are empty afterwards:
    /// [`SortPool::truncate`] removes them. `pause` is called every now and then, with how many
    /// points or nodes were passed on since; each is twice.
    ///
    /// # Errors
    /// Sorting fails or a page cannot be written; [`Code::Internal`] if the count is wrong; those
    /// of `pause`, which end the build.
    pub fn finish(
        mut self,
        pool: &mut SortPool,
        (points, count): (SorterId, u64),
        mut keeps: impl FnMut(DocumentAddress) -> Result<bool>,
        mut pause: impl FnMut(u64) -> Result<()>,
    ) -> Result<RTreeSummary> {
        let first_page = self.sink.next_page();
        let (mut sorter, mut count) = (points, count);
        self.summary.entry_count = count;
        let mut items = Items::Points;
        let mut level = 0;
        while count > 0 {
            let mut all = |_| Ok(true);
            let keeps: &mut Keeps<'_> = match items {
                Items::Points => &mut keeps,
                Items::Nodes => &mut all,
            };
            let tiled = self.tile(pool, (sorter, count), (items, level), keeps, &mut pause)?;
            sorter = pool.add_index();
            let nodes = self.write_level(pool, (tiled, sorter), (items, level), &mut pause)?;
            self.count_level(level, nodes.count)?;
            if let (1, Some(root)) = (nodes.count, nodes.last) {
                self.summary.first_page = first_page;
                self.summary.root = root.page;
                self.summary.bounds = Some(root.bounds);
                self.summary.height = u16::from(level) + 1;
                break;
            }
            count = nodes.count.into();
            items = Items::Nodes;
            level += 1;
        }
        Ok(self.summary)
    }

    /// The second sort: into slices of x, and by y within.
    fn tile(
        &mut self,
        pool: &mut SortPool,
        (by_x, count): (SorterId, u64),
        (items, level): (Items, u8),
        keeps: &mut Keeps<'_>,
        pause: &mut Pause<'_>,
    ) -> Result<SorterId> {
        let most = capacity(level) as u64;
        let per_slice = square_root(count.div_ceil(most)) * most;
        let tiled = pool.add_index();
        let mut merge = pool.merge(by_x, &NoFullKeys)?;
        let mut seen = 0;
        for_each(&mut merge, items, pause, |item| {
            if !keeps(item.address)? {
                return Ok(());
            }
            let slice = u32::try_from(seen / per_slice).unwrap_or(u32::MAX);
            seen += 1;
            pool.push(tiled, self.key.set_slice(slice, item), item.address)
        })?;
        if seen == count {
            return Ok(tiled);
        }
        let sentence = format!("a level of an R-tree has {seen} entries, {count} were counted");
        Err(Error::new(Code::Internal, sentence))
    }

    /// Packs nodes, and pushes them for the level above.
    fn write_level(
        &mut self,
        pool: &mut SortPool,
        (tiled, above): (SorterId, SorterId),
        (items, level): (Items, u8),
        pause: &mut Pause<'_>,
    ) -> Result<Nodes> {
        let mut merge = pool.merge(tiled, &NoFullKeys)?;
        let mut writer = NodeWriter::new(&mut self.sink, self.ids, level);
        let mut nodes = Nodes::default();
        let (key, order) = (&mut self.key, &mut self.summary.order);
        let mut written = |node: WrittenNode| {
            *order = (*order).max(node.entry_count + 1);
            nodes.count += 1;
            nodes.last = Some(node);
            pool.push(above, key.set_node(node.bounds), node_address(node.page))
        };
        for_each(&mut merge, items, pause, |item| {
            let full = writer.push(&item.entry(items, self.ids.collection_id))?;
            full.map_or(Ok(()), &mut written)
        })?;
        writer.finish()?.map_or(Ok(()), &mut written)?;
        Ok(nodes)
    }

    fn count_level(&mut self, level: u8, nodes: u32) -> Result<()> {
        let total = match level {
            0 => &mut self.summary.leaf_nodes,
            _ => &mut self.summary.internal_nodes,
        };
        *total = total.checked_add(nodes).ok_or_else(|| {
            let sentence = "an R-tree has more than 4294967295 nodes";
            Error::new(Code::LimitExceeded, sentence)
        })?;
        Ok(())
    }
}

/// The nodes of a level.
#[derive(Default)]
struct Nodes {
    count: u32,
    last: Option<WrittenNode>,
}

fn for_each(
    merge: &mut Merge<'_>,
    items: Items,
    pause: &mut Pause<'_>,
    mut each: impl FnMut(&Item<'_>) -> Result<()>,
) -> Result<()> {
    let mut count = 0_u64;
    while let Some(entry) = merge.next()? {
        let item = Item::parse(&entry, items).ok_or_else(|| {
            let sentence = "a sorted entry of a geo index is no point";
            Error::new(Code::Internal, sentence)
        })?;
        each(&item)?;
        count += 1;
        if count.is_multiple_of(ITEMS_AT_ONCE) {
            pause(ITEMS_AT_ONCE)?;
        }
    }
    pause(count % ITEMS_AT_ONCE)
}

/// Rounded up.
fn square_root(value: u64) -> u64 {
    let root = value.isqrt();
    root + u64::from(root * root < value)
}
