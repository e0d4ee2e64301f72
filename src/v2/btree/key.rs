//! Keys as nodes store them.

/// Most bytes of a key in a node; a longer serialized key is cut to its first 1024.
pub const MAX_STORED_KEY: usize = 1024;

/// Key types of LauraDB (0 to 4) and ours (5 to 9); none is greater.
pub(super) const LAST_KEY_TYPE: u8 = 9;

/// A key as a node stores it, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoredKeyRef<'a> {
    /// 0 int64, 1 double, 2 string, 3 ObjectID, 4 composite, 5 boolean, 6 null, 7 timestamp,
    /// 8 binary, 9 int32.
    pub key_type: u8,
    /// The serialized key, at most [`MAX_STORED_KEY`] bytes.
    pub bytes: &'a [u8],
    /// The bytes are (for separators: may be) only the first 1024 of the key.
    pub truncated: bool,
}

impl StoredKeyRef<'_> {
    /// A copy that owns its bytes.
    #[must_use]
    pub fn to_owned(self) -> StoredKey {
        StoredKey {
            key_type: self.key_type,
            bytes: self.bytes.to_vec(),
            truncated: self.truncated,
        }
    }
}

/// A key as a node stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct StoredKey {
    /// As [`StoredKeyRef::key_type`].
    pub key_type: u8,
    /// As [`StoredKeyRef::bytes`].
    pub bytes: Vec<u8>,
    /// As [`StoredKeyRef::truncated`].
    pub truncated: bool,
}

impl StoredKey {
    /// The same key, borrowed.
    #[must_use]
    pub fn borrow(&self) -> StoredKeyRef<'_> {
        StoredKeyRef {
            key_type: self.key_type,
            bytes: &self.bytes,
            truncated: self.truncated,
        }
    }
}
