//! Removing an entry: from the leaf upwards, each level mending what the one below has left.

use super::inner::{Inner, Split};
use super::locate::{LeafPosition, Step};
use super::{Entry, TreeEditor, TreePagesMut, bytes_of, entries_of, node_of};
use crate::Result;
use crate::v2::PageId;
use crate::v2::btree::damaged;
use crate::v2::btree::key::StoredKey;
use crate::v2::btree::node::{CAPACITY, FILL_TARGET};

/// What a level leaves to the one above.
#[derive(Debug, Default)]
struct Outcome {
    /// The smallest key below the node is another one now.
    first: Option<StoredKey>,
    /// The node is no more.
    gone: bool,
    /// The node could be merged with a neighbour.
    thin: bool,
    /// The node, not written, would have this child only.
    bare: Option<PageId>,
    /// The node was split.
    split: Option<Split>,
}

/// A node below this is merged where it can be.
const THIN: usize = CAPACITY / 4;

impl<P: TreePagesMut + ?Sized> TreeEditor<'_, P> {
    /// Removes the entry at this position; nothing has changed since it was located.
    ///
    /// # Errors
    /// There is no entry; a page cannot be read, is damaged, or cannot be kept. The tree is not
    /// sound then.
    pub fn remove(&mut self, position: &LeafPosition) -> Result<()> {
        let mut outcome = self.remove_from_leaf(position)?;
        for step in position.path.iter().rev() {
            outcome = self.mend(*step, outcome)?;
        }
        if outcome.gone {
            self.tree.root = PageId(0);
            self.tree.height = 0;
        }
        if let Some(only) = outcome.bare {
            self.pages.free(self.tree.root)?;
            self.tree.root = only;
            self.tree.height = self.tree.height.saturating_sub(1);
            self.tree.internal_nodes = self.tree.internal_nodes.saturating_sub(1);
        }
        match outcome.split {
            Some(split) => self.grow(split),
            None => Ok(()),
        }
    }

    fn remove_from_leaf(&mut self, position: &LeafPosition) -> Result<Outcome> {
        let id = position.leaf;
        let page = self.page(id)?;
        let node = node_of(&page, id, self.tree.ids)?;
        let mut entries: Vec<Entry<'_>> = entries_of(&node).collect();
        let old = entries.len();
        if position.index >= old {
            return Err(damaged(id, "the entry to be removed is not in its leaf"));
        }
        let removed = entries.remove(position.index);
        let key_bytes = removed.key.bytes.len() as u64;
        self.tree.entry_count = self.tree.entry_count.saturating_sub(1);
        self.tree.key_bytes_total = self.tree.key_bytes_total.saturating_sub(key_bytes);
        let (prev, next) = (node.prev(), node.next());
        let Some(first) = entries.first() else {
            self.tree.recount(Some(old), None);
            self.tree.leaf_nodes = self.tree.leaf_nodes.saturating_sub(1);
            self.relink(prev, None, Some(next))?;
            self.relink(next, Some(prev), None)?;
            self.pages.free(id)?;
            return Ok(Outcome {
                gone: true,
                ..Outcome::default()
            });
        };
        self.tree.recount(Some(old), Some(entries.len()));
        let outcome = Outcome {
            first: (position.index == 0).then(|| first.key.to_owned()),
            thin: bytes_of(&entries) < THIN,
            ..Outcome::default()
        };
        self.write_leaf(id, &entries, prev, next)?;
        Ok(outcome)
    }

    /// Mends an internal node after the child at `step.child` has changed.
    fn mend(&mut self, step: Step, below: Outcome) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let at = step.child;
        let nothing = below.first.is_none()
            && below.split.is_none()
            && below.bare.is_none()
            && !below.gone
            && !below.thin;
        if nothing {
            return Ok(outcome);
        }
        if at == 0 && !below.gone && !below.thin && below.split.is_none() && below.bare.is_none() {
            outcome.first = below.first;
            return Ok(outcome);
        }
        let mut inner = self.read_inner(step.page)?;
        let old = inner.keys.len();
        let mut changed = true;
        if below.gone {
            inner.children.remove(at.min(old));
            let key = inner
                .keys
                .remove(at.saturating_sub(1).min(old.saturating_sub(1)));
            outcome.first = (at == 0).then_some(key);
        } else {
            changed = false;
            if let Some(first) = below.first {
                match at
                    .checked_sub(1)
                    .and_then(|before| inner.keys.get_mut(before))
                {
                    Some(key) => {
                        *key = first;
                        changed = true;
                    }
                    None => outcome.first = Some(first),
                }
            }
            if let Some((key, right)) = below.split {
                inner.keys.insert(at.min(old), key);
                inner
                    .children
                    .insert(at.saturating_add(1).min(old.saturating_add(1)), right);
                changed = true;
            }
            if let Some(only) = below.bare {
                self.merge_inner(&mut inner, at, Some(only))?;
                changed = true;
            } else if below.thin {
                changed |= self.merge_thin(&mut inner, at)?;
            }
        }
        if !changed {
            return Ok(outcome);
        }
        if let (true, Some(only)) = (inner.keys.is_empty(), inner.children.first()) {
            self.tree.recount(Some(old), None);
            outcome.bare = Some(*only);
            return Ok(outcome);
        }
        outcome.thin = inner.bytes() < THIN;
        outcome.split = self.write_inner(step.page, inner, Some(old))?;
        Ok(outcome)
    }

    fn merge_thin(&mut self, parent: &mut Inner, at: usize) -> Result<bool> {
        if parent.level > 1 {
            return self.merge_inner(parent, at, None);
        }
        let left_at = pair(parent, at);
        let (Some(left_id), Some(right_id)) = (
            parent.children.get(left_at).copied(),
            parent.children.get(left_at.saturating_add(1)).copied(),
        ) else {
            return Ok(false);
        };
        let (left_page, right_page) = (self.page(left_id)?, self.page(right_id)?);
        let left = node_of(&left_page, left_id, self.tree.ids)?;
        let right = node_of(&right_page, right_id, self.tree.ids)?;
        let entries: Vec<Entry<'_>> = entries_of(&left).chain(entries_of(&right)).collect();
        if !left.is_leaf() || !right.is_leaf() || bytes_of(&entries) > FILL_TARGET {
            return Ok(false);
        }
        self.tree.recount(Some(right.key_count()), None);
        self.tree
            .recount(Some(left.key_count()), Some(entries.len()));
        self.tree.leaf_nodes = self.tree.leaf_nodes.saturating_sub(1);
        self.write_leaf(left_id, &entries, left.prev(), right.next())?;
        self.relink(right.next(), Some(left_id), None)?;
        self.pages.free(right_id)?;
        parent.children.remove(left_at.saturating_add(1));
        parent.keys.remove(left_at);
        Ok(true)
    }

    /// Merges an internal node with a neighbour. One that is `bare`, with this child only, must not
    /// stay: if both do not fit one page, they share what they have.
    fn merge_inner(&mut self, parent: &mut Inner, at: usize, bare: Option<PageId>) -> Result<bool> {
        let left_at = pair(parent, at);
        let ids = parent
            .children
            .get(left_at)
            .zip(parent.children.get(left_at.saturating_add(1)));
        let Some((&left_id, &right_id)) = ids else {
            return Ok(false);
        };
        let level = parent.level.saturating_sub(1);
        let read = |position: usize, id: PageId| match bare {
            Some(only) if position == at => Ok((
                Inner {
                    level,
                    children: vec![only],
                    keys: Vec::new(),
                },
                None,
            )),
            _ => self.read_inner(id).map(|inner| {
                let keys = inner.keys.len();
                (inner, Some(keys))
            }),
        };
        let (mut left, old_left) = read(left_at, left_id)?;
        let (right, old_right) = read(left_at.saturating_add(1), right_id)?;
        let Some(between) = parent.keys.get_mut(left_at) else {
            return Ok(false);
        };
        left.keys.push(between.clone());
        left.keys.extend(right.keys);
        left.children.extend(right.children);
        if left.bytes() <= FILL_TARGET || (bare.is_some() && left.bytes() <= CAPACITY) {
            self.tree.recount(old_right, None);
            self.put_inner(left_id, &left, old_left)?;
            self.tree.internal_nodes = self.tree.internal_nodes.saturating_sub(1);
            self.pages.free(right_id)?;
            parent.children.remove(left_at.saturating_add(1));
            parent.keys.remove(left_at);
            return Ok(true);
        }
        if bare.is_none() {
            return Ok(false);
        }
        if let Some((key, right)) = left.split() {
            *between = key;
            self.put_inner(left_id, &left, old_left)?;
            self.put_inner(right_id, &right, old_right)?;
        }
        Ok(true)
    }
}

/// The left one of the two neighbours to be merged.
fn pair(parent: &Inner, at: usize) -> usize {
    if at.saturating_add(1) < parent.children.len() {
        at
    } else {
        at.saturating_sub(1)
    }
}
