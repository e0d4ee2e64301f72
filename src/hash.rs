//! XXH3, the hash of documents, entries and files: fast, and the same on all machines. It finds
//! damage, not deceit.

use std::fmt;
use std::hash::Hasher;
use twox_hash::{XxHash3_64, XxHash3_128};

/// XXH3-64 of some bytes.
#[inline]
#[must_use]
pub fn xxh3_64(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// XXH3-64 of some bytes with a seed.
#[inline]
#[must_use]
pub fn xxh3_64_with_seed(bytes: &[u8], seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// XXH3-64 of bytes that lie in pieces.
#[must_use]
pub fn xxh3_64_of(pieces: &[&[u8]]) -> u64 {
    let mut hasher = XxHash3_64::new();
    for piece in pieces {
        hasher.write(piece);
    }
    hasher.finish()
}

/// XXH3-128 of some bytes.
#[inline]
#[must_use]
pub fn xxh3_128(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

/// XXH3-128 of some bytes with a seed.
#[inline]
#[must_use]
pub fn xxh3_128_with_seed(bytes: &[u8], seed: u64) -> u128 {
    XxHash3_128::oneshot_with_seed(seed, bytes)
}

/// XXH3-128 of bytes that come in pieces.
#[derive(Clone)]
pub struct Xxh3(XxHash3_128);

impl fmt::Debug for Xxh3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Xxh3").finish_non_exhaustive()
    }
}

impl Default for Xxh3 {
    fn default() -> Self {
        Self::new()
    }
}

impl Xxh3 {
    /// Of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self(XxHash3_128::new())
    }

    /// Goes on with these bytes.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The hash of all bytes so far.
    #[must_use]
    pub fn digest128(&self) -> u128 {
        self.0.finish_128()
    }
}
