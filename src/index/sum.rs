//! Comparing two multisets without an order.

/// A sum of hashes, taken of an index's entries on one side and of its documents on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntrySum {
    /// Members.
    pub count: u64,
    /// Their hashes, modulo 2^128.
    pub hashes: u128,
}

impl EntrySum {
    /// Adds a member by its hash.
    #[inline]
    pub fn add(&mut self, hash: u128) {
        self.count += 1;
        self.hashes = self.hashes.wrapping_add(hash);
    }

    /// Adds the members of another sum.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.hashes = self.hashes.wrapping_add(other.hashes);
    }
}
