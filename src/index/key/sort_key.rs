//! A key on its way to the sorter, without a copy in between where it needs none.

use super::buffer::KeyBuffer;
use super::normal::{self, NORMAL_KEPT_BYTES};
use super::record::{BEGINNING, RecordHeader, RecordPieces};
use super::value::KeyValue;
use crate::document::bson::ObjectId;
use crate::v2::DocumentAddress;

/// A key as sorting wants it.
#[derive(Clone, Copy, Debug)]
pub enum SortKey<'k> {
    /// A string that needs no cut: the only value of its key.
    String(ShortString<'k>),
    /// An integer that is a double: the only value of its key.
    Exact(ExactInteger),
    /// An ObjectID: the only value of its key.
    ObjectId(ObjectIdKey),
    /// Any other, made before.
    Built(&'k KeyBuffer),
}

/// A string whose normal form sort records keep whole.
#[derive(Clone, Copy, Debug)]
pub struct ShortString<'k> {
    bytes: &'k [u8],
    /// The first of them.
    beginning: &'k [u8; STRING_BEGINNING],
}

/// Those that follow header and tag in the same word.
const STRING_BEGINNING: usize = BEGINNING - 1;

/// An integer that is a double.
#[derive(Clone, Copy, Debug)]
pub struct ExactInteger(i64);

/// An ObjectID.
#[derive(Clone, Copy, Debug)]
pub struct ObjectIdKey(ObjectId);

/// Bytes of an ObjectID's normal form.
const OBJECT_ID_NORMAL: u16 = 13;
/// Bytes of an integer's normal form.
const EXACT_NORMAL: u16 = 9;
const _: () = assert!(EXACT_NORMAL as usize + 1 == normal::EXACT_BYTES);

impl<'k> SortKey<'k> {
    /// The key of this one value, in `buffer` if it needs one.
    #[inline]
    #[must_use]
    pub fn of(value: KeyValue<'k>, buffer: &'k mut KeyBuffer) -> Self {
        if let KeyValue::String(bytes) = value
            && bytes.len() < NORMAL_KEPT_BYTES - 1
            && let Some(beginning) = bytes.first_chunk()
        {
            return Self::String(ShortString { bytes, beginning });
        }
        match value {
            KeyValue::Int64(number) if normal::is_exact(number) => {
                Self::Exact(ExactInteger(number))
            }
            KeyValue::ObjectId(id) => Self::ObjectId(ObjectIdKey(id)),
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
            Self::String(_) | Self::Exact(_) | Self::ObjectId(_) => false,
            Self::Built(key) => key.is_cut(),
        }
    }

    /// Bytes of the normal form.
    #[inline]
    #[must_use]
    pub fn normal_len(&self) -> usize {
        match self {
            Self::String(string) => string.bytes.len().saturating_add(1),
            Self::Exact(_) => usize::from(EXACT_NORMAL),
            Self::ObjectId(_) => usize::from(OBJECT_ID_NORMAL),
            Self::Built(key) => key.normal().len(),
        }
    }

    /// The key in a buffer: its own, or this one.
    #[must_use]
    pub fn in_buffer<'b>(&self, buffer: &'b mut KeyBuffer) -> &'b KeyBuffer
    where
        'k: 'b,
    {
        let value = match self {
            Self::String(ShortString { bytes, .. }) => KeyValue::String(bytes),
            Self::Exact(ExactInteger(number)) => KeyValue::Int64(*number),
            Self::ObjectId(ObjectIdKey(id)) => KeyValue::ObjectId(*id),
            Self::Built(key) => return key,
        };
        buffer.set(std::iter::once(value));
        buffer
    }
}

impl<'k> ShortString<'k> {
    /// The record.
    #[inline]
    pub(in crate::index) fn record(self, address: DocumentAddress) -> impl RecordPieces + 'k {
        let header = RecordHeader {
            // Short enough for 16 bits.
            normal_len: u16::try_from(self.bytes.len().saturating_add(1)).unwrap_or(u16::MAX),
            trailer_word: 0,
            address,
        };
        let [s0, s1, s2, s3, s4] = *self.beginning;
        let rest = self.bytes.get(STRING_BEGINNING..).unwrap_or_default();
        header.before([normal::STRING, s0, s1, s2, s3, s4], rest)
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

impl ObjectIdKey {
    /// The record.
    #[inline]
    pub(in crate::index) fn record(self, address: DocumentAddress) -> impl RecordPieces + use<> {
        let header = RecordHeader {
            normal_len: OBJECT_ID_NORMAL,
            trailer_word: 0,
            address,
        };
        let [i0, i1, i2, i3, i4, rest @ ..] = self.0.0;
        header.before([normal::OBJECT_ID, i0, i1, i2, i3, i4], rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v2::{PageId, SlotNumber};

    const ADDRESS: DocumentAddress = DocumentAddress {
        page: PageId(0x0102_0304),
        slot: SlotNumber(0x0506),
    };

    fn bytes(record: impl RecordPieces) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.append_to(&mut bytes);
        assert_eq!(bytes.len(), record.len());
        bytes
    }

    #[test]
    fn a_key_has_the_same_record_in_any_form() {
        let text: Vec<u8> = (1..=251).cycle().take(NORMAL_KEPT_BYTES).collect();
        let strings = (0..40).chain(NORMAL_KEPT_BYTES - 3..=NORMAL_KEPT_BYTES);
        let strings = strings.map(|length| KeyValue::String(text.get(..length).unwrap()));
        let numbers = [0, 1, -1, 1 << 53, i64::MIN, i64::MAX].map(KeyValue::Int64);
        let others = [
            KeyValue::ObjectId(ObjectId(*b"twelve bytes")),
            KeyValue::Null,
        ];
        for value in strings.chain(numbers).chain(others) {
            let mut whole = KeyBuffer::new();
            whole.set(std::iter::once(value));
            let expected = bytes(whole.pieces(ADDRESS).unwrap());
            let (mut buffer, mut other) = (KeyBuffer::new(), KeyBuffer::new());
            let key = SortKey::of(value, &mut buffer);
            assert_eq!(key.normal_len(), whole.normal().len(), "{value:?}");
            assert_eq!(key.is_cut(), whole.is_cut(), "{value:?}");
            let found = match &key {
                SortKey::String(string) => bytes(string.record(ADDRESS)),
                SortKey::Exact(number) => bytes(number.record(ADDRESS)),
                SortKey::ObjectId(id) => bytes(id.record(ADDRESS)),
                SortKey::Built(key) => bytes(key.pieces(ADDRESS).unwrap()),
            };
            assert_eq!(found, expected, "{value:?}");
            let key = key.in_buffer(&mut other);
            assert_eq!(bytes(key.pieces(ADDRESS).unwrap()), expected);
        }
    }
}
