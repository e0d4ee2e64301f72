//! Memory for what a large document needs, which the system is to have back afterwards.
//!
//! Allocators keep freed memory for later, some up to 32 MiB in each thread's own heap, which comes
//! on top of what is in use. What is larger than that they ask the system for and give it back at
//! once. Only what is written to takes memory, so a buffer may be larger than what comes into it.

/// What is larger is a large document, bytes: it travels alone.
pub(crate) const LARGE_DOCUMENT: usize = 1 << 20;

/// A buffer that grew beyond this is not kept, bytes.
pub(crate) const KEPT_BUFFER: usize = 4 << 20;

/// More than any allocator keeps, bytes.
const GIVEN_BACK: usize = 33 << 20;

/// An empty vector that the system gets back.
pub(crate) fn large_vec<T>() -> Vec<T> {
    Vec::with_capacity(GIVEN_BACK.div_ceil(size_of::<T>().max(1)))
}

/// Makes room for so many bytes in a buffer, whose contents are of no use any more.
#[inline]
pub(crate) fn prepare(buffer: &mut Vec<u8>, bytes: usize) {
    buffer.clear();
    if bytes > KEPT_BUFFER && buffer.capacity() < bytes.max(GIVEN_BACK) {
        *buffer = Vec::with_capacity(bytes.max(GIVEN_BACK));
    }
}

/// Makes room for so many bytes more in a buffer that is to be filled on.
#[inline]
pub(crate) fn grow(buffer: &mut Vec<u8>, bytes: usize) {
    let needed = buffer.len().saturating_add(bytes);
    if needed > KEPT_BUFFER && needed > buffer.capacity() {
        let capacity = needed.saturating_mul(2).max(GIVEN_BACK);
        buffer.reserve_exact(capacity.saturating_sub(buffer.len()));
    }
}

/// Gives a large buffer back, whose contents are of no use any more.
#[inline]
pub(crate) fn release(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BUFFER {
        *buffer = Vec::new();
    }
}
