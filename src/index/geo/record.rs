//! Points and bounds on their way through the sorter.
//!
//! ```text
//! key     = coordinate (8)                   pass 1: x
//!         | slice u32 BE | coordinate (8)    pass 2: y within a slice of x
//! payload = x f64 | y f64                    a point, for leaves
//!         | MBR (16)                         a node, for the level above; its page is the address
//! ```
//!
//! A coordinate's bytes compare as the numbers do; both zeros are equal.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::point::Point;
use crate::bytes::get_f64;
use crate::index::key::KeyBuffer;
use crate::index::sort::SortedEntry;
use crate::v2::rtree::{Entry, Rect, Target};
use crate::v2::{DocumentAddress, SlotNumber};

/// What a level of the tree is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Items {
    Points,
    Nodes,
}

/// Makes the sort keys of points, in buffers that are used again and again.
#[derive(Clone, Debug, Default)]
pub struct PointKey {
    key: KeyBuffer,
}

impl PointKey {
    /// The key to push for a document's point.
    pub fn set(&mut self, point: Point) -> &KeyBuffer {
        let [x, y] = [point.x.to_le_bytes(), point.y.to_le_bytes()];
        self.key.set_term(&ordered(point.x), [x, y].as_flattened());
        &self.key
    }

    /// The key of a node.
    pub(super) fn set_node(&mut self, bounds: Rect) -> &KeyBuffer {
        let (x, _) = bounds.center();
        self.key.set_term(&ordered(x), &bounds.encode());
        &self.key
    }

    /// The key for the second pass.
    pub(super) fn set_slice(&mut self, slice: u32, item: &Item<'_>) -> &KeyBuffer {
        let mut key = [0; 12];
        if let Some((place, coordinate)) = key.split_first_chunk_mut() {
            *place = slice.to_be_bytes();
            coordinate.copy_from_slice(&ordered(item.y));
        }
        self.key.set_term(&key, item.payload);
        &self.key
    }
}

/// Bytes that compare as finite and infinite numbers do.
fn ordered(value: f64) -> [u8; 8] {
    const SIGN: u64 = 1 << 63;
    let bits = (value + 0.0).to_bits();
    let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    ordered.to_be_bytes()
}

/// A sorted entry, read back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'e> {
    pub(super) bounds: Rect,
    pub(super) address: DocumentAddress,
    y: f64,
    payload: &'e [u8],
}

impl<'e> Item<'e> {
    /// `None` if the entry was not made by [`PointKey`].
    pub(super) fn parse(entry: &SortedEntry<'e>, items: Items) -> Option<Self> {
        let payload = entry.payload;
        let (bounds, y) = match items {
            Items::Points => {
                let (x, y) = (get_f64(payload, 0)?, get_f64(payload, 8)?);
                (Rect::around(x, y), y)
            }
            Items::Nodes => {
                let bounds = Rect::decode(payload)?;
                (bounds, bounds.center().1)
            }
        };
        Some(Self {
            bounds,
            address: entry.address,
            y,
            payload,
        })
    }

    pub(super) fn entry(&self, items: Items, collection_id: u32) -> Entry {
        let target = match items {
            Items::Points => Target::Document(collection_id, self.address),
            Items::Nodes => Target::Node(self.address.page),
        };
        Entry {
            bounds: self.bounds,
            target,
        }
    }
}

/// The address under which a node is sorted.
pub(super) fn node_address(page: crate::v2::PageId) -> DocumentAddress {
    DocumentAddress {
        page,
        slot: SlotNumber(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn coordinates_compare_as_bytes(left: f64, right: f64) {
            prop_assume!(!left.is_nan() && !right.is_nan());
            let numbers = left.partial_cmp(&right).unwrap();
            prop_assert_eq!(ordered(left).cmp(&ordered(right)), numbers);
        }
    }

    #[test]
    fn zeros_are_equal() {
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
