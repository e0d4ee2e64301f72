//! Box and nearest queries.
//!
//! The tree's bounds are rounded outward, so it only says where points can be; wherever that leaves
//! a choice, the document is asked.

use super::distance::{haversine_metres, least_haversine, least_planar, planar};
use super::point::Point;
use crate::Result;
use crate::index::IndexKind;
use crate::v2::btree::{PageSource, TreeIds, damaged};
use crate::v2::rtree::{Entry, RTreeNode, Rect, Target};
use crate::v2::{DocumentAddress, PageId};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Reads the points of documents.
pub trait Points {
    /// The point of the document at an address that the index has.
    ///
    /// # Errors
    /// The document cannot be read, or has no point.
    fn point(&self, address: DocumentAddress) -> Result<Point>;
}

/// Searches one geo index.
pub struct GeoReader<'a, S: ?Sized> {
    source: &'a S,
    root: PageId,
    ids: TreeIds,
    on_earth: bool,
    points: &'a dyn Points,
}

/// A walk, which ends after as many nodes as the file has pages.
struct Walk {
    pages_left: u32,
}

/// A node by its page, and the level that it must have if it has a parent.
type NodeRef = (PageId, Option<u8>);

/// What a search for the nearest has to do. Of equally near things, those that may lead to
/// something as near come first, so that what is found comes in the order of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Node(NodeRef),
    /// The document has to be asked how near it is.
    Candidate(DocumentAddress),
    Found(DocumentAddress),
}

/// A step, by the least distance of what it leads to.
struct Ranked(f64, Step);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl<'a, S: PageSource + ?Sized> GeoReader<'a, S> {
    /// An index by its root, 0 if it is empty.
    pub fn new(
        source: &'a S,
        root: PageId,
        ids: TreeIds,
        kind: IndexKind,
        points: &'a dyn Points,
    ) -> Self {
        Self {
            source,
            root,
            ids,
            on_earth: kind == IndexKind::Geo2dSphere,
            points,
        }
    }

    /// Documents whose point lies in the box between two corners, borders included, by address.
    ///
    /// # Errors
    /// A page or document cannot be read or is damaged.
    pub fn within_box(&self, min: Point, max: Point) -> Result<Vec<DocumentAddress>> {
        let mut found = Vec::new();
        let mut walk = self.walk();
        let mut open: Vec<NodeRef> = self.root().into_iter().collect();
        while let Some(node) = open.pop() {
            let (entries, child_level) = self.entries(&mut walk, node)?;
            for entry in entries {
                if !meets(entry.bounds, min, max) {
                    continue;
                }
                match entry.target {
                    Target::Node(child) => open.push((child, child_level)),
                    Target::Document(_, address) => {
                        if is_inside(entry.bounds, min, max)
                            || contains(min, max, self.points.point(address)?)
                        {
                            found.push(address);
                        }
                    }
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The `limit` documents nearest to a point, no farther than `max_distance`, with their
    /// distances: in metres on the earth, else in the unit of the coordinates. Nearest first, equal
    /// distances by address.
    ///
    /// # Errors
    /// A page or document cannot be read or is damaged.
    pub fn near(
        &self,
        center: Point,
        max_distance: f64,
        limit: usize,
    ) -> Result<Vec<(DocumentAddress, f64)>> {
        let mut found = Vec::new();
        let mut walk = self.walk();
        let mut queue = BinaryHeap::new();
        let root = self.root().map(Step::Node);
        queue.extend(root.map(|root| Reverse(Ranked(0.0, root))));
        while found.len() < limit
            && let Some(Reverse(Ranked(distance, step))) = queue.pop()
        {
            match step {
                Step::Node(node) => {
                    let (entries, child_level) = self.entries(&mut walk, node)?;
                    for entry in entries {
                        let least = self.least_distance(center, entry.bounds);
                        let step = match entry.target {
                            Target::Node(child) => Step::Node((child, child_level)),
                            Target::Document(_, address) => Step::Candidate(address),
                        };
                        if least <= max_distance {
                            queue.push(Reverse(Ranked(least, step)));
                        }
                    }
                }
                Step::Candidate(address) => {
                    let distance = self.distance(center, self.points.point(address)?);
                    if distance <= max_distance {
                        queue.push(Reverse(Ranked(distance, Step::Found(address))));
                    }
                }
                Step::Found(address) => found.push((address, distance)),
            }
        }
        Ok(found)
    }

    fn distance(&self, from: Point, to: Point) -> f64 {
        if self.on_earth {
            haversine_metres(from, to)
        } else {
            planar(from, to)
        }
    }

    fn least_distance(&self, from: Point, bounds: Rect) -> f64 {
        if self.on_earth {
            least_haversine(from, bounds)
        } else {
            least_planar(from, bounds)
        }
    }

    fn walk(&self) -> Walk {
        Walk {
            pages_left: self.source.page_count(),
        }
    }

    fn root(&self) -> Option<NodeRef> {
        (self.root != PageId(0)).then_some((self.root, None))
    }

    /// The entries of a node, and the level that its children have.
    fn entries(&self, walk: &mut Walk, (page, level): NodeRef) -> Result<(Vec<Entry>, Option<u8>)> {
        walk.pages_left = walk.pages_left.checked_sub(1).ok_or_else(|| {
            let sentence = "the R-tree leads to more nodes than the file has pages";
            damaged(page, sentence)
        })?;
        let bytes = self.source.page(page)?;
        let node = RTreeNode::parse(&bytes).map_err(|error| damaged(page, error.to_string()))?;
        if node.index_id() != self.ids.index_id {
            let (found, expected) = (node.index_id(), self.ids.index_id);
            let sentence = format!("the node belongs to index {found}, expected {expected}");
            return Err(damaged(page, sentence));
        }
        if level.is_some_and(|level| level != node.level()) {
            let sentence = format!("the node is of level {}, below its parent", node.level());
            return Err(damaged(page, sentence));
        }
        let mut entries = Vec::with_capacity(node.entry_count());
        for entry in node.entries() {
            let entry = entry.map_err(|error| damaged(page, error.to_string()))?;
            match entry.target {
                Target::Document(collection_id, _) if collection_id != self.ids.collection_id => {
                    let sentence = "an entry is for a document of another collection";
                    return Err(damaged(page, sentence));
                }
                _ => entries.push(entry),
            }
        }
        Ok((entries, node.level().checked_sub(1)))
    }
}

fn meets(bounds: Rect, min: Point, max: Point) -> bool {
    f64::from(bounds.min_x) <= max.x
        && f64::from(bounds.max_x) >= min.x
        && f64::from(bounds.min_y) <= max.y
        && f64::from(bounds.max_y) >= min.y
}

fn is_inside(bounds: Rect, min: Point, max: Point) -> bool {
    f64::from(bounds.min_x) >= min.x
        && f64::from(bounds.max_x) <= max.x
        && f64::from(bounds.min_y) >= min.y
        && f64::from(bounds.max_y) <= max.y
}

fn contains(min: Point, max: Point, point: Point) -> bool {
    (min.x..=max.x).contains(&point.x) && (min.y..=max.y).contains(&point.y)
}
