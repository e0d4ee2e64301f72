//! Checking any R-tree, from the root down, wherever its pages lie.

use super::{Entry, RTreeNode, RTreeSummary, Rect, Target};
use crate::v2::btree::{PageSource, TreeIds, WalkGuard, damaged, on_page};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Result};

/// Most levels of a tree; one of 2^32 pages has at most 5 when it is built.
const MAX_HEIGHT: usize = 64;

/// A node that is due, as the entry above names it.
struct Due {
    page: PageId,
    /// Level and bounds.
    expected: Option<(u8, Rect)>,
    depth: usize,
}

/// Walks a tree by its root, 0 for an empty one, and gives the documents in it to `visit`. `fresh`
/// asks for nodes as they were built. Says what was found (pages of a tree that was changed are no
/// run) and whether everything was reached.
///
/// # Errors
/// Those of the guard; an I/O error.
pub fn walk_rtree<S: PageSource + ?Sized>(
    source: &S,
    root: PageId,
    ids: TreeIds,
    fresh: bool,
    guard: &mut dyn WalkGuard,
    visit: &mut dyn FnMut(Rect, DocumentAddress),
) -> Result<(RTreeSummary, bool)> {
    let mut found = RTreeSummary {
        root,
        order: 1,
        ..RTreeSummary::default()
    };
    let mut complete = true;
    let mut due = Vec::new();
    if root != PageId(0) {
        due.push(Due {
            page: root,
            expected: None,
            depth: 1,
        });
    }
    while let Some(next) = due.pop() {
        if next.page.0 < source.page_count() && !guard.claim(next.page) {
            let sentence = "the node is reached twice, or something else has its page";
            guard.report(on_page(
                Error::new(Code::PageUnaccounted, sentence),
                next.page,
            ))?;
            complete = false;
            continue;
        }
        // An unbounded number of children cannot pile up: each level leaves at most 168 behind.
        let node = check_node(source, &next, ids, fresh, &mut found, &mut due, visit);
        if let Err(error) = node {
            guard.report(on_page(error, next.page))?;
            complete = false;
        }
    }
    Ok((found, complete))
}

fn check_node<S: PageSource + ?Sized>(
    source: &S,
    node_due: &Due,
    ids: TreeIds,
    fresh: bool,
    found: &mut RTreeSummary,
    due: &mut Vec<Due>,
    visit: &mut dyn FnMut(Rect, DocumentAddress),
) -> Result<()> {
    let page = node_due.page;
    if node_due.depth > MAX_HEIGHT {
        let sentence = format!("the tree is higher than {MAX_HEIGHT} levels");
        return Err(damaged(page, sentence));
    }
    let bytes = source.page(page)?;
    let wrong = |error: super::NodeError| damaged(page, error.to_string());
    let node = RTreeNode::parse(&bytes).map_err(wrong)?;
    if fresh {
        node.check_fresh().map_err(wrong)?;
    }
    if node.index_id() != ids.index_id {
        let (index, expected) = (node.index_id(), ids.index_id);
        let sentence = format!("the node belongs to index {index}, expected {expected}");
        return Err(damaged(page, sentence));
    }
    match node_due.expected {
        Some((level, bounds)) if (level, bounds) != (node.level(), node.bounds()) => {
            let sentence = "level or bounds of the node are not those that the entry above names";
            return Err(damaged(page, sentence));
        }
        Some(_) => {}
        None => {
            found.height = u16::from(node.level()) + 1;
            found.bounds = Some(node.bounds());
        }
    }
    let entries = u16::try_from(node.entry_count()).unwrap_or(u16::MAX);
    found.order = found.order.max(entries.saturating_add(1));
    let nodes = match node.level() {
        0 => &mut found.leaf_nodes,
        _ => &mut found.internal_nodes,
    };
    *nodes = nodes.saturating_add(1);
    for entry in node.entries() {
        let Entry { bounds, target } = entry.map_err(wrong)?;
        match target {
            Target::Document(collection_id, address) if collection_id == ids.collection_id => {
                found.entry_count = found.entry_count.saturating_add(1);
                visit(bounds, address);
            }
            Target::Document(..) => {
                let sentence = "an entry is for a document of another collection";
                return Err(damaged(page, sentence));
            }
            Target::Node(child) => due.push(Due {
                page: child,
                expected: Some((node.level().saturating_sub(1), bounds)),
                depth: node_due.depth.saturating_add(1),
            }),
        }
    }
    Ok(())
}
