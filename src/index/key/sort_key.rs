//! A key on its way to the sorter, without a copy in between where it needs none.

use super::buffer::KeyBuffer;
use super::normal::{self, NORMAL_KEPT_BYTES};
use super::record::{RECORD_HEADER_BYTES, RecordHeader};
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

/// A string whose normal form sort records keep whole.
#[derive(Clone, Copy, Debug)]
pub struct ShortString<'k>(&'k [u8]);

/// An integer that is a double.
#[derive(Clone, Copy, Debug)]
pub struct ExactInteger(i64);

/// Header and tag of a string's record.
pub(in crate::index) const STRING_HEAD: usize = RECORD_HEADER_BYTES + 1;
/// Bytes of an integer's normal form.
const EXACT_NORMAL: u16 = 9;
const _: () = assert!(EXACT_NORMAL as usize + 1 == normal::EXACT_BYTES);
/// The whole record of an integer.
pub(in crate::index) const EXACT_RECORD: usize = RECORD_HEADER_BYTES + normal::EXACT_BYTES;

impl<'k> SortKey<'k> {
    /// The key of this one value, in `buffer` if it needs one.
    #[inline]
    #[must_use]
    pub fn of(value: KeyValue<'k>, buffer: &'k mut KeyBuffer) -> Self {
        match value {
            KeyValue::String(bytes) if bytes.len() < NORMAL_KEPT_BYTES - 1 => {
                Self::String(ShortString(bytes))
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
            Self::String(ShortString(bytes)) => bytes.len().saturating_add(1),
            Self::Exact(_) => usize::from(EXACT_NORMAL),
            Self::Built(key) => key.normal().len(),
        }
    }

    /// A buffer that holds the key.
    #[must_use]
    pub fn to_buffer(self) -> KeyBuffer {
        let value = match self {
            Self::String(ShortString(bytes)) => KeyValue::String(bytes),
            Self::Exact(ExactInteger(number)) => KeyValue::Int64(number),
            Self::Built(key) => return key.clone(),
        };
        let mut key = KeyBuffer::new();
        key.set(std::iter::once(value));
        key
    }
}

impl<'k> ShortString<'k> {
    /// The two pieces of the record.
    #[inline]
    pub(in crate::index) fn record(
        self,
        address: DocumentAddress,
    ) -> ([u8; STRING_HEAD], &'k [u8]) {
        let header = RecordHeader {
            // Short enough for 16 bits.
            normal_len: u16::try_from(self.0.len().saturating_add(1)).unwrap_or(u16::MAX),
            trailer_word: 0,
            address,
        };
        let mut head = [normal::STRING; STRING_HEAD];
        if let Some(place) = head.first_chunk_mut() {
            *place = header.encode();
        }
        (head, self.0)
    }
}

impl ExactInteger {
    /// The record.
    #[inline]
    pub(in crate::index) fn record(self, address: DocumentAddress) -> [u8; EXACT_RECORD] {
        let header = RecordHeader {
            normal_len: EXACT_NORMAL,
            trailer_word: 1,
            address,
        };
        let mut record = [0; EXACT_RECORD];
        if let Some((place, rest)) = record.split_first_chunk_mut() {
            *place = header.encode();
            rest.copy_from_slice(&normal::encode_exact(self.0));
        }
        record
    }
}
