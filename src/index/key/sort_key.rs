//! A key on its way to the sorter, without a copy in between where it needs none.

use super::buffer::KeyBuffer;
use super::normal::{self, NORMAL_KEPT_BYTES};
use super::record::{BEGINNING, RecordHeader, RecordPieces};
use super::value::KeyValue;
use crate::v2::DocumentAddress;

/// A key as sorting wants it.
#[derive(Clone, Copy, Debug)]
pub enum SortKey<'k> {
    /// A string that needs no cut: the only value of its key.
    String(ShortString<'k>),
    /// An integer that is a double: the only value of its key.
    Exact(ExactInteger),
    /// Any other, made before.
    Built(&'k KeyBuffer),
}

/// A string whose normal form sort records keep whole, as its first bytes and the others.
#[derive(Clone, Copy, Debug)]
pub struct ShortString<'k>(&'k [u8; STRING_BEGINNING], &'k [u8]);

/// Those that follow header and tag in the same word.
const STRING_BEGINNING: usize = BEGINNING - 1;

/// An integer that is a double.
#[derive(Clone, Copy, Debug)]
pub struct ExactInteger(i64);

/// Bytes of an integer's normal form.
const EXACT_NORMAL: u16 = 9;
const _: () = assert!(EXACT_NORMAL as usize + 1 == normal::EXACT_BYTES);

impl<'k> SortKey<'k> {
    /// The key of this one value, in `buffer` if it needs one.
    #[inline]
    #[must_use]
    pub fn of(value: KeyValue<'k>, buffer: &'k mut KeyBuffer) -> Self {
        match value {
            KeyValue::String(bytes)
                if bytes.len() < NORMAL_KEPT_BYTES - 1
                    && let Some((first, others)) = bytes.split_first_chunk() =>
            {
                Self::String(ShortString(first, others))
            }
            KeyValue::Int64(number) if normal::is_exact(number) => {
                Self::Exact(ExactInteger(number))
            }
            value => {
                buffer.set(std::iter::once(value));
                Self::Built(buffer)
            }
        }
    }

    /// True when the normal form is only the beginning of the key.
    #[inline]
    #[must_use]
    pub fn is_cut(&self) -> bool {
        match self {
            Self::String(_) | Self::Exact(_) => false,
            Self::Built(key) => key.is_cut(),
        }
    }

    /// Bytes of the normal form.
    #[inline]
    #[must_use]
    pub fn normal_len(&self) -> usize {
        match self {
            Self::String(string) => string.len().saturating_add(1),
            Self::Exact(_) => usize::from(EXACT_NORMAL),
            Self::Built(key) => key.normal().len(),
        }
    }

    /// A buffer that holds the key.
    #[must_use]
    pub fn to_buffer(self) -> KeyBuffer {
        let mut key = KeyBuffer::new();
        match self {
            Self::String(ShortString(first, others)) => {
                let bytes = [first, others].concat();
                key.set(std::iter::once(KeyValue::String(&bytes)));
            }
            Self::Exact(ExactInteger(number)) => {
                key.set(std::iter::once(KeyValue::Int64(number)));
            }
            Self::Built(built) => key.clone_from(built),
        }
        key
    }
}

impl<'k> ShortString<'k> {
    #[inline]
    fn len(self) -> usize {
        STRING_BEGINNING.saturating_add(self.1.len())
    }

    /// The record.
    #[inline]
    pub(in crate::index) fn record(self, address: DocumentAddress) -> impl RecordPieces + 'k {
        let header = RecordHeader {
            // Short enough for 16 bits.
            normal_len: u16::try_from(self.len().saturating_add(1)).unwrap_or(u16::MAX),
            trailer_word: 0,
            address,
        };
        let [s0, s1, s2, s3, s4] = *self.0;
        header.before([normal::STRING, s0, s1, s2, s3, s4], self.1)
    }
}

impl ExactInteger {
    /// The record.
    #[inline]
    pub(in crate::index) fn record(self, address: DocumentAddress) -> impl RecordPieces + use<> {
        let header = RecordHeader {
            normal_len: EXACT_NORMAL,
            trailer_word: 1,
            address,
        };
        let [n0, n1, n2, n3, n4, n5, rest @ ..] = normal::encode_exact(self.0);
        header.before([n0, n1, n2, n3, n4, n5], rest)
    }
}
