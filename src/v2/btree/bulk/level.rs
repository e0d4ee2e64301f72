//! One level of internal nodes over the level below.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "counts pages that were written, and a file has fewer than 2^32"
)]

use super::spill::{Separator, Spill, SpillFiles};
use super::{PageRun, PageSink};
use crate::Result;
use crate::v2::btree::node::InternalBuilder;
use crate::v2::btree::shape::Tally;

pub(super) struct Level<'b, 'a, S> {
    pub(super) node: InternalBuilder,
    pub(super) run: &'b mut PageRun<S>,
    pub(super) files: &'b mut SpillFiles<'a>,
    /// What this level leaves to the one above.
    pub(super) above: Spill,
    pub(super) tally: &'b mut Tally,
}

impl<S: PageSink> Level<'_, '_, S> {
    /// Writes the level over `children` nodes, at least 2; gives what it leaves above and how many
    /// nodes it has.
    pub(super) fn build(mut self, below: Spill, children: u32) -> Result<(Spill, u32)> {
        let nodes_before = self.tally.internal_nodes;
        let mut below = below.into_reader()?;
        let mut ahead = Separator::default();
        below.read(&mut ahead)?;
        let mut current = Separator::default();
        for left in (0..children).rev() {
            std::mem::swap(&mut current, &mut ahead);
            if left > 0 {
                below.read(&mut ahead)?;
            }
            if self.joins(&current, (left == 1).then_some(&ahead)) {
                self.node.add(current.key(), current.child);
            } else {
                self.close()?;
                let page = self.run.next_page();
                self.above.push(current.key(), page, self.files)?;
                self.node.first_child(current.child);
            }
        }
        self.close()?;
        Ok((self.above, self.tally.internal_nodes - nodes_before))
    }

    /// Whether a child goes into the open node rather than a new one.
    ///
    /// An internal node has at least one key, so the level's last child never stands alone: where
    /// it does not fit, the child before it leaves the open node with it. That node then keeps at
    /// least two keys, since any three are taken.
    fn joins(&self, current: &Separator, last: Option<&Separator>) -> bool {
        if self.node.is_empty() {
            return false;
        }
        let length = current.key().bytes.len();
        match last {
            None => self.node.takes(&[length]),
            Some(last) => self.node.takes(&[length, last.key().bytes.len()]),
        }
    }

    fn close(&mut self) -> Result<()> {
        if self.node.is_empty() {
            return Ok(());
        }
        self.run.append(self.node.finish())?;
        self.tally.node_keys(self.node.key_count());
        self.tally.internal_nodes += 1;
        self.node.reset();
        Ok(())
    }
}
