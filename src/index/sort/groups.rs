//! Long keys of which all that a record keeps is equal: put in order by their whole keys.

use super::FullKeys;
use crate::Result;
use crate::index::key::KeyBuffer;
use crate::v2::DocumentAddress;

/// Sorts by whole key, then address. A merge sort that holds two whole keys at a time and reads one
/// per comparison.
pub(super) fn sort_by_full_key(
    addresses: &mut Vec<DocumentAddress>,
    full: &dyn FullKeys,
) -> Result<()> {
    let mut sorted = Vec::with_capacity(addresses.len());
    let mut keys = (KeyBuffer::new(), KeyBuffer::new());
    let mut width = 1;
    while width < addresses.len() {
        sorted.clear();
        for pair in addresses.chunks(2 * width) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            merge(left, right, full, &mut keys, &mut sorted)?;
        }
        std::mem::swap(addresses, &mut sorted);
        width *= 2;
    }
    Ok(())
}

fn merge(
    mut left: &[DocumentAddress],
    mut right: &[DocumentAddress],
    full: &dyn FullKeys,
    (left_key, right_key): &mut (KeyBuffer, KeyBuffer),
    out: &mut Vec<DocumentAddress>,
) -> Result<()> {
    if let (Some(left), Some(right)) = (left.first(), right.first()) {
        full.full_key(*left, left_key)?;
        full.full_key(*right, right_key)?;
    }
    while let (Some((left_first, left_rest)), Some((right_first, right_rest))) =
        (left.split_first(), right.split_first())
    {
        let order = left_key.normal().cmp(right_key.normal());
        if order.then(left_first.cmp(right_first)).is_le() {
            out.push(*left_first);
            left = left_rest;
            if let Some(next) = left.first() {
                full.full_key(*next, left_key)?;
            }
        } else {
            out.push(*right_first);
            right = right_rest;
            if let Some(next) = right.first() {
                full.full_key(*next, right_key)?;
            }
        }
    }
    out.extend_from_slice(left);
    out.extend_from_slice(right);
    Ok(())
}
