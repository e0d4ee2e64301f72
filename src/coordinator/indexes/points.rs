//! Building a geo index. An interrupted run begins it anew.

use super::share::Share;
use super::{BuiltTree, IndexBuilder};
use crate::Result;
use crate::coordinator::keys::SortedIndex;
use crate::index::geo::GeoIndexBuilder;
use crate::v2::btree::TreeIds;

impl IndexBuilder<'_, '_, '_> {
    pub(super) fn geo_index(
        &mut self,
        sorted: &SortedIndex,
        ids: TreeIds,
        mut share: Share,
    ) -> Result<BuiltTree> {
        let pool = &mut self.keys.pool;
        // Those of documents that are gone wait in the sorter as well.
        let points = share.all.saturating_sub(sorted.counts.dropped);
        let sorters = pool.len();
        // Each point is passed on twice.
        share.all = points.saturating_mul(2);
        let builder = GeoIndexBuilder::new(&mut self.data, ids);
        let context = &mut *self.context;
        let dropped = &mut self.dropped;
        let keeps = |address| match dropped {
            Some((_, dropped)) => dropped.contains(address).map(|is_dropped| !is_dropped),
            None => Ok(true),
        };
        let tree = builder.finish(pool, (sorted.sorter, points), keeps, |points| {
            share.advance(context, points)
        })?;
        share.finish(self.context);
        // A checkpoint knows only the sorters of the plan.
        pool.truncate(sorters);
        Ok(BuiltTree::Points(tree))
    }
}
