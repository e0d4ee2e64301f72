//! The stored form of the keys that most records have, made in few steps.

use super::normal::{NUMBER, OBJECT_ID, STRING};
use super::number;
use super::record::RECORD_HEADER_BYTES;
use super::value::{KeyType, KeyValue};
use crate::v2::{DocumentAddress, PageId, SlotNumber};

/// So many bytes of a string are copied whatever its length, which takes fewer steps than to copy
/// only those that it has.
const STRING_BYTES: usize = 46;
/// So many bytes must be there from a record's first on, its own or not.
const RECORD_BYTES: usize = RECORD_HEADER_BYTES + 1 + STRING_BYTES;

const OBJECT_ID_BYTES: usize = 12;
/// Length of the normal form, and in the high half of the trailer, with no flag there.
const NUMBER_LENGTHS: u32 = 9 | 1 << 16;
const OBJECT_ID_LENGTHS: u32 = 1 + 12;

/// What [`append_common`] has appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommonKey {
    pub(crate) key_type: u8,
    /// Bytes of the stored form.
    pub(crate) length: u16,
    pub(crate) address: DocumentAddress,
}

/// Appends the stored form of the key whose record `bytes` begins with, if it is one of a few kinds,
/// complete, and not too near the end of `bytes`.
///
/// [`Record::append_stored`](super::Record::append_stored) does the same for every record.
#[inline(always)]
pub(crate) fn append_common(bytes: &[u8], out: &mut Vec<u8>) -> Option<CommonKey> {
    let record = bytes.first_chunk::<RECORD_BYTES>()?;
    let [n0, n1, t0, t1, p0, p1, p2, p3, s0, s1, tag, value @ ..] = record;
    let lengths = u32::from_le_bytes([*n0, *n1, *t0, *t1]);
    let (key_type, length) = match *tag {
        STRING => append_string(lengths.wrapping_sub(1), value, out)?,
        NUMBER if lengths == NUMBER_LENGTHS => append_number(value, out)?,
        OBJECT_ID if lengths == OBJECT_ID_LENGTHS => {
            out.extend_from_slice(value.first_chunk::<OBJECT_ID_BYTES>()?);
            (KeyType::ObjectId, 12)
        }
        _ => return None,
    };
    let address = DocumentAddress {
        page: PageId(u32::from_le_bytes([*p0, *p1, *p2, *p3])),
        slot: SlotNumber(u16::from_le_bytes([*s0, *s1])),
    };
    Some(CommonKey {
        key_type: key_type as u8,
        length,
        address,
    })
}

/// A string of this length begins `value`; a trailer or a flag makes the length too great.
#[inline]
fn append_string(
    length: u32,
    value: &[u8; STRING_BYTES],
    out: &mut Vec<u8>,
) -> Option<(KeyType, u16)> {
    let length = u16::try_from(length).ok()?;
    if usize::from(length) > STRING_BYTES {
        return None;
    }
    let stored_length = length.saturating_add(2);
    let mut form = [0; 2 + STRING_BYTES];
    let [low, high, copied @ ..] = &mut form;
    [*low, *high] = length.to_le_bytes();
    *copied = *value;
    let end = out.len().saturating_add(stored_length.into());
    out.extend_from_slice(&form);
    out.truncate(end);
    Some((KeyType::String, stored_length))
}

#[inline]
fn append_number(value: &[u8; STRING_BYTES], out: &mut Vec<u8>) -> Option<(KeyType, u16)> {
    let (image, rest) = value.split_first_chunk::<8>()?;
    match number::decode_exact(image, rest.get(..1)?)? {
        KeyValue::Int64(number) => {
            out.extend_from_slice(&number.to_le_bytes());
            Some((KeyType::Int64, 8))
        }
        KeyValue::Double(number) => {
            out.extend_from_slice(&number.to_le_bytes());
            Some((KeyType::Double, 8))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Owned;
    use super::super::{KeyBuffer, Record, RecordPieces};
    use super::*;

    const ADDRESS: DocumentAddress = DocumentAddress {
        page: PageId(0x0102_0304),
        slot: SlotNumber(0x0506),
    };

    fn whole(key: &KeyBuffer) -> Vec<u8> {
        let mut record = Vec::new();
        key.pieces(ADDRESS).unwrap().append_to(&mut record);
        record
    }

    /// The record of a key of these values.
    fn record(values: &[Owned]) -> Vec<u8> {
        let mut key = KeyBuffer::new();
        key.set(values.iter().map(Owned::value));
        whole(&key)
    }

    /// What [`append_common`] makes of a record in front of other bytes; it has to be what is made
    /// of all records.
    fn common(record: &[u8]) -> Option<(u8, Vec<u8>)> {
        let bytes = [record, &[0xA5; RECORD_BYTES]].concat();
        let parsed = Record::parse(&bytes).unwrap();
        let (mut out, mut expected) = (b"before".to_vec(), b"before".to_vec());
        let Some(key) = append_common(&bytes, &mut out) else {
            assert_eq!(out, expected);
            return None;
        };
        let kind = parsed.append_stored(&mut expected).unwrap();
        assert_eq!((kind, key.address), ((key.key_type, false), ADDRESS));
        assert_eq!((&out, out.len() - 6), (&expected, key.length.into()));
        Some((key.key_type, expected.split_off(6)))
    }

    #[test]
    fn common_keys_are_stored_as_all_are() {
        for length in [0, 1, 2, 7, 8, 9, 15, 16, 17, 29, 30, 31, 45, 46] {
            let text: Vec<u8> = (1..=length).collect();
            let (key_type, stored) = common(&record(&[Owned::String(text.clone())])).unwrap();
            assert_eq!(key_type, KeyType::String as u8);
            assert_eq!(stored, [&[length, 0][..], &text].concat());
        }
        let exact = 1_i64 << 53;
        for number in [0, 1, -1, 20, 1 - exact, exact - 1] {
            let found = common(&record(&[Owned::Int64(number)])).unwrap();
            assert_eq!(found, (0, number.to_le_bytes().to_vec()));
        }
        for number in [0.0, 1.5, -2.25, 1e300, f64::INFINITY, f64::MIN] {
            let found = common(&record(&[Owned::Double(number)])).unwrap();
            assert_eq!(found, (1, number.to_le_bytes().to_vec()));
        }
        let found = common(&record(&[Owned::ObjectId([7; 12])])).unwrap();
        assert_eq!(found, (3, vec![7; 12]));
    }

    #[test]
    fn other_keys_are_left_alone() {
        let exact = 1_i64 << 53;
        for value in [
            Owned::String(vec![b'x'; 47]),
            Owned::String(vec![b'x'; 1022]),
            Owned::String(vec![b'x'; 5000]),
            Owned::Int64(exact),
            Owned::Int64(-exact),
            Owned::Int64(i64::MAX),
            Owned::Double(-0.0),
            Owned::Double(f64::NAN),
            Owned::Double(1e18),
            Owned::Int32(7),
            Owned::Null,
            Owned::Boolean(true),
            Owned::Timestamp(9),
            Owned::Binary(b"x".to_vec()),
        ] {
            assert_eq!(common(&record(&[value])), None);
        }
        let fields = [Owned::String(b"x".to_vec()), Owned::Int64(1)];
        assert_eq!(common(&record(&fields)), None);
        // The caller's own bytes have to be given back with the key.
        let mut term = KeyBuffer::new();
        term.set_term(b"term", b"payload");
        assert_eq!(common(&whole(&term)), None);
    }

    #[test]
    fn records_that_are_not_there_are_left_alone() {
        let whole = record(&[Owned::String(vec![b'x'; 20])]);
        for length in 0..whole.len() {
            let mut out = Vec::new();
            let bytes = whole.get(..length).unwrap();
            assert_eq!(append_common(bytes, &mut out), None);
            assert!(out.is_empty());
        }
        let mut long = record(&[Owned::String(Vec::new())]);
        long.resize(RECORD_BYTES, 0);
        for lengths in [
            [0, 0, 0, 0],
            [2, 0, 1, 0],
            [2, 0, 0, 0x80],
            [2, 0, 0, 0x40],
            [48, 0, 0, 0],
        ] {
            long[..4].copy_from_slice(&lengths);
            assert_eq!(append_common(&long, &mut Vec::new()), None);
        }
    }
}
