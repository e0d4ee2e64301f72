//! Comparing two multisets without an order.

use super::key::{KeyType, KeyValue, MAX_STORED_KEY, StoredKeyRef, string_bytes};
use crate::hash::xxh3_128_with_seed;
use crate::v2::DocumentAddress;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sum of hashes, taken of an index's entries on one side and of its documents on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntrySum {
    /// Members.
    pub count: u64,
    /// Their hashes, modulo 2^128.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
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

/// The hash of an entry of a B+tree. The seed has everything but the key's bytes, so that no two
/// entries are hashed alike: page 32 bits, slot 16, key type 8, whether the key was cut, and
/// whether the bytes are those of a string without the length that is stored before them.
#[inline(always)]
#[must_use]
pub fn key_hash(key: StoredKeyRef<'_>, address: DocumentAddress) -> u128 {
    let seed = seed(key.key_type, address) | u64::from(key.truncated) << 56;
    let is_string = key.key_type == KeyType::String as u8 && !key.truncated;
    let (bytes, seed) = match string_bytes(key.bytes) {
        Some(bytes) if is_string => (bytes, seed | STRING_SEED),
        _ => (key.bytes, seed),
    };
    xxh3_128_with_seed(bytes, seed)
}

/// [`key_hash`] of the key of one value, if it is one that needs no stored form for that.
#[inline]
#[must_use]
pub fn value_hash(value: KeyValue<'_>, address: DocumentAddress) -> Option<u128> {
    let (stored, id);
    let (bytes, seed) = match value {
        KeyValue::String(bytes) if bytes.len() <= MAX_STORED_KEY - 2 => {
            (bytes, seed(KeyType::String as u8, address) | STRING_SEED)
        }
        KeyValue::Int64(number) => {
            stored = number.to_le_bytes();
            (stored.as_slice(), seed(KeyType::Int64 as u8, address))
        }
        KeyValue::ObjectId(value) => {
            id = value.0;
            (id.as_slice(), seed(KeyType::ObjectId as u8, address))
        }
        _ => return None,
    };
    Some(xxh3_128_with_seed(bytes, seed))
}

/// In the seed, that the bytes are those of a string without its length.
const STRING_SEED: u64 = 1 << 57;

#[inline]
fn seed(key_type: u8, address: DocumentAddress) -> u64 {
    u64::from(address.page.0) | u64::from(address.slot.0) << 32 | u64::from(key_type) << 48
}

fn to_hex<S: Serializer>(hashes: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hashes:032x}"))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    let text = String::deserialize(deserializer)?;
    u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::bson::ObjectId;
    use crate::index::key::stored_of_values;
    use crate::v2::{PageId, SlotNumber};

    #[test]
    fn a_value_is_hashed_as_its_stored_form_is() {
        let address = DocumentAddress {
            page: PageId(0x0102_0304),
            slot: SlotNumber(0x0506),
        };
        let long = vec![b'x'; MAX_STORED_KEY];
        for length in [0, 1, 3, 8, 15, 16, 17, 128, 240, 1021, 1022] {
            let value = KeyValue::String(long.get(..length).unwrap());
            let mut stored = Vec::new();
            let key = stored_of_values(std::iter::once(value), &mut stored);
            assert_eq!(value_hash(value, address), Some(key_hash(key, address)));
        }
        for number in [0, -1, 7, i64::MIN, i64::MAX] {
            let value = KeyValue::Int64(number);
            let mut stored = Vec::new();
            let key = stored_of_values(std::iter::once(value), &mut stored);
            assert_eq!(value_hash(value, address), Some(key_hash(key, address)));
        }
        let value = KeyValue::ObjectId(ObjectId(*b"twelve bytes"));
        let mut stored = Vec::new();
        let key = stored_of_values(std::iter::once(value), &mut stored);
        assert_eq!(value_hash(value, address), Some(key_hash(key, address)));
        for value in [
            KeyValue::Null,
            KeyValue::Double(1.0),
            KeyValue::String(long.get(..1023).unwrap()),
            KeyValue::Binary(b"x"),
        ] {
            assert_eq!(value_hash(value, address), None);
        }
    }

    #[test]
    fn what_stands_in_an_entry_shows_in_its_hash() {
        let address = |page, slot| DocumentAddress {
            page: PageId(page),
            slot: SlotNumber(slot),
        };
        let key = |key_type, bytes, truncated| StoredKeyRef {
            key_type,
            bytes,
            truncated,
        };
        let long = vec![0; MAX_STORED_KEY];
        let hashes = [
            key_hash(key(2, b"\x01\0a", false), address(1, 1)),
            key_hash(key(2, b"\x01\0a", false), address(1, 2)),
            key_hash(key(2, b"\x01\0a", false), address(2, 1)),
            key_hash(key(2, b"\x01\0b", false), address(1, 1)),
            // A wrong length is not passed over, nor taken for bytes of another string.
            key_hash(key(2, b"\x02\0a", false), address(1, 1)),
            key_hash(key(2, b"\x03\0\x02\0a", false), address(1, 1)),
            key_hash(key(2, b"a", false), address(1, 1)),
            key_hash(key(8, b"\x01\0a", false), address(1, 1)),
            key_hash(key(2, &long, false), address(1, 1)),
            key_hash(key(2, &long, true), address(1, 1)),
        ];
        for (number, hash) in hashes.iter().enumerate() {
            assert!(!hashes.iter().skip(number + 1).any(|other| other == hash));
        }
    }
}
