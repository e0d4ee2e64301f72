//! Checking any tree, from the root down, wherever its pages lie.
//!
//! Unlike [`super::check`], which wants a freshly built tree in file order, this takes a tree that
//! has been changed since, and reports everything that is wrong instead of the first. What lies
//! below a damaged node is passed over. Leaves are reached from left to right, so keys, separators
//! and the chain of leaves are compared with what came just before. The walk holds one node for
//! each level and ends, whatever the pages hold: the caller lets no page be reached twice.

use super::check::{TreeVisitor, Values};
use super::key::{StoredKey, StoredKeyRef};
use super::node::{LeafEntry, Node, NodeHeader, TreeIds, VALUE_BYTES, check_fresh};
use super::reader::PageSource;
use super::shape::{Tally, TreeSummary};
use super::{damaged, on_page};
use crate::v2::page::PageBytes;
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Result};
use std::cmp::Ordering;

/// Most levels of a tree; one of 2^32 pages has at most 17 when it is built.
const MAX_HEIGHT: usize = 64;

/// What a walk asks and tells besides the tree's keys.
pub trait WalkGuard {
    /// A page is reached: false if it was reached before, by this tree or anything else.
    fn claim(&mut self, page: PageId) -> bool;

    /// Something is wrong.
    ///
    /// # Errors
    /// What is no damage ends the walk.
    fn report(&mut self, error: Error) -> Result<()>;
}

/// The rules that a tree keeps.
#[derive(Clone, Copy, Debug)]
pub struct WalkRules {
    /// The index that all nodes name.
    pub ids: TreeIds,
    /// What its values are.
    pub values: Values,
    /// No two entries have equal keys.
    pub unique: bool,
    /// It is as it was built: the rules of [`super::TreeChecker`] hold.
    pub fresh: bool,
}

/// What a walk has found.
#[derive(Clone, Debug, Default)]
pub struct WalkedTree {
    /// As far as it was reached. Pages of a tree that was changed are no run.
    pub summary: TreeSummary,
    /// Everything was reached.
    pub complete: bool,
}

/// Walks a tree by its root, 0 for an empty one.
///
/// # Errors
/// Those of the guard; an I/O error.
pub fn walk_tree<S: PageSource + ?Sized, V: TreeVisitor>(
    source: &S,
    root: PageId,
    rules: WalkRules,
    guard: &mut dyn WalkGuard,
    visitor: &mut V,
) -> Result<WalkedTree> {
    let mut walk = Walk {
        source,
        rules,
        guard,
        visitor,
        stack: Vec::new(),
        tally: Tally::default(),
        complete: true,
        height: None,
        first_leaf: PageId(0),
        last_leaf: None,
        last: None,
        separator: None,
        min_key: None,
    };
    if root != PageId(0) {
        walk.enter(root, None)?;
        walk.run()?;
        walk.end()?;
    }
    let height = u16::try_from(walk.height.unwrap_or_default()).unwrap_or(u16::MAX);
    let max_key = walk.last.map(|last| last.key);
    let mut summary = walk
        .tally
        .summary(walk.first_leaf, height, walk.min_key, max_key);
    summary.root = root;
    Ok(WalkedTree {
        summary,
        complete: walk.complete,
    })
}

/// An internal node on the way down.
struct Frame {
    page: PageId,
    bytes: Box<PageBytes>,
    header: NodeHeader,
    next_child: usize,
}

impl Frame {
    fn node(&self) -> Node<'_> {
        Node::parsed(&self.bytes, self.header)
    }
}

/// The entry before.
struct LastEntry {
    key: StoredKey,
    flags: u8,
    value: [u8; VALUE_BYTES],
}

impl LastEntry {
    fn of(entry: &LeafEntry<'_>) -> Self {
        Self {
            key: entry.key.to_owned(),
            flags: entry.flags,
            value: *entry.value,
        }
    }

    fn entry(&self) -> LeafEntry<'_> {
        LeafEntry {
            key: self.key.borrow(),
            flags: self.flags,
            value: &self.value,
        }
    }
}

struct Walk<'a, S: ?Sized, V> {
    source: &'a S,
    rules: WalkRules,
    guard: &'a mut dyn WalkGuard,
    visitor: &'a mut V,
    stack: Vec<Frame>,
    tally: Tally,
    complete: bool,
    /// Levels above and with the leaves, once one was reached.
    height: Option<usize>,
    first_leaf: PageId,
    /// The leaf before and what it says of the next one; `None` where it was not reached.
    last_leaf: Option<(PageId, PageId)>,
    last: Option<LastEntry>,
    /// The last separator that was passed since the last entry.
    separator: Option<StoredKey>,
    min_key: Option<StoredKey>,
}

impl<S: PageSource + ?Sized, V: TreeVisitor> Walk<'_, S, V> {
    fn run(&mut self) -> Result<()> {
        while let Some(frame) = self.stack.last_mut() {
            let index = frame.next_child;
            frame.next_child = frame.next_child.saturating_add(1);
            let (page, node) = (frame.page, frame.node());
            let Some(child) = node.child(index) else {
                self.stack.pop();
                continue;
            };
            let level = (node.level() > 0).then_some(node.level());
            let separator = index.checked_sub(1).and_then(|key| node.separator(key));
            if let Some(separator) = separator.map(StoredKeyRef::to_owned) {
                self.pass_separator(page, separator)?;
            }
            if child == PageId(0) {
                self.lost(damaged(
                    page,
                    format!("child {index} of the node is page 0"),
                ))?;
                continue;
            }
            self.enter(child, Some((page, level)))?;
        }
        Ok(())
    }

    /// Something below here was not reached, so neighbours cannot be compared across it.
    fn lost(&mut self, error: Error) -> Result<()> {
        self.complete = false;
        self.last_leaf = None;
        self.guard.report(error)
    }

    fn report(&mut self, page: PageId, sentence: impl Into<String>) -> Result<()> {
        self.guard.report(damaged(page, sentence))
    }

    /// Reads and checks a node; `parent` is the page above and its level, if it tells one.
    fn enter(&mut self, page: PageId, parent: Option<(PageId, Option<u8>)>) -> Result<()> {
        if self.stack.len() >= MAX_HEIGHT {
            let sentence = format!("the tree is higher than {MAX_HEIGHT} levels");
            return self.lost(damaged(page, sentence));
        }
        if page.0 < self.source.page_count() && !self.guard.claim(page) {
            let above = parent.map_or(PageId(0), |(page, _)| page);
            let sentence = format!(
                "the node is reached twice, or something else has its page; here by page {above}"
            );
            let error = Error::new(Code::PageUnaccounted, sentence);
            return self.lost(on_page(error, page));
        }
        let bytes = match self.source.page(page) {
            Ok(bytes) => bytes,
            Err(error) => return self.lost(on_page(error, page)),
        };
        let header = match self.check_node(&bytes, parent.and_then(|(_, level)| level)) {
            Ok(header) => header,
            Err(sentence) => return self.lost(damaged(page, sentence)),
        };
        self.tally.node_keys(header.key_count);
        if header.is_leaf {
            self.tally.leaf_nodes = self.tally.leaf_nodes.saturating_add(1);
            return self.leaf(page, Node::parsed(&bytes, header));
        }
        self.tally.internal_nodes = self.tally.internal_nodes.saturating_add(1);
        self.stack.push(Frame {
            page,
            bytes,
            header,
            next_child: 0,
        });
        Ok(())
    }

    fn check_node(&self, bytes: &PageBytes, above: Option<u8>) -> Result<NodeHeader, String> {
        let node = Node::parse(bytes).map_err(|error| error.to_string())?;
        if self.rules.fresh {
            check_fresh(&node).map_err(|error| error.to_string())?;
        }
        if node.ids() != self.rules.ids {
            let (found, expected) = (node.ids(), self.rules.ids);
            return Err(format!(
                "the node belongs to index {} of collection {}, expected {} of {}",
                found.index_id, found.collection_id, expected.index_id, expected.collection_id
            ));
        }
        // LauraDB writes level 0 throughout.
        let told = self.rules.fresh || node.level() > 0 || node.is_leaf();
        if let Some(above) = above.filter(|_| told)
            && node.level().checked_add(1) != Some(above)
        {
            return Err(format!(
                "the node is of level {}, its parent of level {above}",
                node.level()
            ));
        }
        Ok(node.header())
    }

    fn leaf(&mut self, page: PageId, node: Node<'_>) -> Result<()> {
        let depth = self.stack.len().saturating_add(1);
        let height = *self.height.get_or_insert(depth);
        if depth != height {
            let sentence = format!("the leaf is {depth} levels deep, others are {height}");
            self.report(page, sentence)?;
        }
        self.check_chain(page, node)?;
        if self.first_leaf == PageId(0) {
            self.first_leaf = page;
        }
        self.last_leaf = Some((page, node.next()));
        let before = self.last.take();
        let mut previous = before.as_ref().map(LastEntry::entry);
        for (index, entry) in node.entries().enumerate() {
            if entry.is_deleted() {
                continue;
            }
            if let Some(separator) = self.separator.take() {
                self.check_separator(page, &separator, entry.key)?;
            }
            let same = match previous {
                None => false,
                Some(previous) => self.check_order(page, index, previous, entry)?,
            };
            if self.min_key.is_none() {
                self.min_key = Some(entry.key.to_owned());
            }
            if self.rules.values == Values::Addresses && self.address(&entry).is_none() {
                let collection = self.rules.ids.collection_id;
                let sentence =
                    format!("value {index} is no document address in collection {collection}");
                self.report(page, sentence)?;
            }
            self.tally
                .entry(entry.key.bytes.len(), entry.value.len(), same);
            if let Err(error) = self.visitor.entry(entry) {
                self.guard.report(on_page(error, page))?;
            }
            previous = Some(entry);
        }
        self.last = previous.as_ref().map(LastEntry::of);
        Ok(())
    }

    fn check_chain(&mut self, page: PageId, node: Node<'_>) -> Result<()> {
        let is_first = self.first_leaf == PageId(0) && self.complete;
        match self.last_leaf {
            None if !is_first => Ok(()),
            None if node.prev() == PageId(0) => Ok(()),
            None => {
                let sentence =
                    format!("prev_page of the first leaf is {}, expected 0", node.prev());
                self.report(page, sentence)
            }
            Some((before, next)) => {
                if next != page {
                    let sentence =
                        format!("next_page of the leaf is {next}, but the next leaf is {page}");
                    self.report(before, sentence)?;
                }
                if node.prev() != before {
                    let found = node.prev();
                    let sentence = format!("prev_page of the leaf is {found}, expected {before}");
                    self.report(page, sentence)?;
                }
                Ok(())
            }
        }
    }

    /// Checks a separator against the keys left of it, and keeps it for those right of it.
    fn pass_separator(&mut self, page: PageId, separator: StoredKey) -> Result<()> {
        if let Some(last) = &self.last {
            let compared = self.visitor.compare(last.key.borrow(), separator.borrow());
            match compared {
                Ok(Some(Ordering::Greater)) => {
                    self.report(page, "a separator is less than a key to its left")?;
                }
                Ok(_) => {}
                Err(error) => self.guard.report(on_page(error, page))?,
            }
        }
        self.separator = Some(separator);
        Ok(())
    }

    fn check_separator(
        &mut self,
        page: PageId,
        separator: &StoredKey,
        key: StoredKeyRef<'_>,
    ) -> Result<()> {
        if self.rules.fresh {
            // What was built is the smallest key to the right; separators tell no truncation.
            if (separator.key_type, &*separator.bytes) != (key.key_type, key.bytes) && self.complete
            {
                let sentence = "the separator above is not the smallest key to its right";
                return self.report(page, sentence);
            }
            return Ok(());
        }
        match self.visitor.compare(separator.borrow(), key) {
            Ok(Some(Ordering::Greater)) => {
                self.report(page, "a key is less than the separator to its left")
            }
            Ok(_) => Ok(()),
            Err(error) => self.guard.report(on_page(error, page)),
        }
    }

    /// True where both entries have the same key.
    fn check_order(
        &mut self,
        page: PageId,
        index: usize,
        previous: LeafEntry<'_>,
        entry: LeafEntry<'_>,
    ) -> Result<bool> {
        let compared = match self.visitor.compare(previous.key, entry.key) {
            Ok(None) => self.visitor.compare_whole(previous, entry),
            Ok(Some(ordering)) => Ok(ordering),
            Err(error) => Err(error),
        };
        match compared {
            Err(error) => {
                self.guard.report(on_page(error, page))?;
                Ok(false)
            }
            Ok(Ordering::Less) => Ok(false),
            Ok(Ordering::Greater) => {
                let sentence = format!("key {index} is less than the one before it");
                self.report(page, sentence)?;
                Ok(false)
            }
            Ok(Ordering::Equal) => {
                self.equal_keys(page, index, previous, entry)?;
                Ok(true)
            }
        }
    }

    #[cold]
    fn equal_keys(
        &mut self,
        page: PageId,
        index: usize,
        previous: LeafEntry<'_>,
        entry: LeafEntry<'_>,
    ) -> Result<()> {
        if self.rules.values == Values::Opaque {
            let sentence = format!("key {index} equals the one before it");
            return self.report(page, sentence);
        }
        let (one, other) = (self.address(&previous), self.address(&entry));
        if self.rules.unique
            && let (Some(one), Some(other)) = (one, other)
        {
            let sentence = format!(
                "the documents at {one} and {other} have the same key {} in a unique index",
                entry.key
            );
            let error = Error::new(Code::DuplicateKey, sentence);
            return self.guard.report(on_page(error, page));
        }
        if self.rules.fresh && one >= other {
            let sentence = format!(
                "key {index} equals the one before it, but its document's address is not greater"
            );
            return self.report(page, sentence);
        }
        Ok(())
    }

    fn address(&self, entry: &LeafEntry<'_>) -> Option<DocumentAddress> {
        let (collection, address) = DocumentAddress::decode(entry.value)?;
        (collection == self.rules.ids.collection_id).then_some(address)
    }

    fn end(&mut self) -> Result<()> {
        if let Some((leaf, next)) = self.last_leaf
            && next != PageId(0)
        {
            let sentence = format!("next_page of the last leaf is {next}, expected 0");
            self.report(leaf, sentence)?;
        }
        Ok(())
    }
}
