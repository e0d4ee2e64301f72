//! A key on its way from a document to the sorter.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within a record that is in memory, whose header is always there"
)]

use super::StoredKeyRef;
use super::normal::{self, KeyError, NORMAL_KEPT_BYTES};
use super::record::{Flags, RECORD_HEADER_BYTES, Record, RecordHeader};
use super::stored::append_stored;
use super::value::KeyValue;
use crate::large::{KEPT_BUFFER, large_vec};
use crate::v2::DocumentAddress;

/// One key, kept in a buffer that is used again and again. It is a sort record already, but for
/// the address.
#[derive(Clone, Debug)]
pub struct KeyBuffer {
    record: Vec<u8>,
    normal_end: usize,
    flags: Flags,
    /// What numbers lose; joined to the record at the end.
    lost: Vec<u8>,
}

impl Default for KeyBuffer {
    fn default() -> Self {
        Self {
            record: vec![0; RECORD_HEADER_BYTES],
            normal_end: RECORD_HEADER_BYTES,
            flags: Flags::default(),
            lost: Vec::new(),
        }
    }
}

impl KeyBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn clear(&mut self) {
        self.record.truncate(RECORD_HEADER_BYTES);
        self.lost.clear();
        self.flags = Flags::default();
    }

    /// Makes the key of these values (1 to 255), as sorting wants it: a normal form of
    /// [`NORMAL_KEPT_BYTES`] or more is cut to that.
    #[inline]
    pub fn set<'v>(&mut self, values: impl ExactSizeIterator<Item = KeyValue<'v>> + Clone) {
        self.fill(values.clone(), NORMAL_KEPT_BYTES);
        if self.normal_end - RECORD_HEADER_BYTES >= NORMAL_KEPT_BYTES {
            self.cut(values);
        }
    }

    /// Makes the key of these values with the whole of its normal form, however long.
    ///
    /// Such a key answers comparisons; it is not for [`crate::index::sort::SortPool::push`].
    pub fn set_whole<'v>(&mut self, values: impl ExactSizeIterator<Item = KeyValue<'v>> + Clone) {
        let bytes = values.clone().map(|value| match value {
            KeyValue::String(bytes) | KeyValue::Binary(bytes) => bytes.len(),
            _ => 0,
        });
        let bytes = bytes.fold(0, usize::saturating_add);
        if bytes > KEPT_BUFFER && self.record.capacity() <= KEPT_BUFFER {
            self.record = large_vec();
            self.record.resize(RECORD_HEADER_BYTES, 0);
        }
        self.fill(values, usize::MAX - 1);
    }

    /// Forgets a whole key that takes much memory.
    pub(in crate::index) fn release(&mut self) {
        if self.record.capacity() > KEPT_BUFFER {
            *self = Self::new();
        }
    }

    /// Makes a string key of any bytes, with up to 1024 bytes of the caller's own behind it, which
    /// [`crate::index::sort::SortedEntry::payload`] gives back.
    ///
    /// For the terms of a text index: bytes beyond the first 1022 are not looked at, so longer
    /// terms need to be refused or cut before.
    pub fn set_term(&mut self, bytes: &[u8], payload: &[u8]) {
        let bytes = bytes.get(..NORMAL_KEPT_BYTES - 2).unwrap_or(bytes);
        let values = std::iter::once(KeyValue::String(bytes));
        self.fill(values, usize::MAX - 1);
        self.record
            .extend_from_slice(payload.get(..1024).unwrap_or(payload));
    }

    #[inline]
    fn fill<'v>(&mut self, values: impl ExactSizeIterator<Item = KeyValue<'v>>, limit: usize) {
        self.clear();
        let mut left = values.len();
        if left != 1 {
            self.flags = Flags::COMPOSITE;
            self.lost.push(u8::try_from(left).unwrap_or(u8::MAX));
        }
        for value in values {
            left -= 1;
            normal::encode(
                value,
                left == 0,
                limit + 1,
                &mut self.record,
                &mut self.lost,
            );
            if self.record.len() - RECORD_HEADER_BYTES > limit {
                break;
            }
        }
        self.normal_end = self.record.len();
        self.record.extend_from_slice(&self.lost);
    }

    /// Shortens the normal form and keeps the stored form beside it, which cannot be made from the
    /// rest any more.
    #[cold]
    fn cut<'v>(&mut self, values: impl ExactSizeIterator<Item = KeyValue<'v>>) {
        self.normal_end = RECORD_HEADER_BYTES + NORMAL_KEPT_BYTES;
        self.record.truncate(self.normal_end);
        self.flags = Flags::CUT;
        self.record.extend_from_slice(&[0; 2]);
        let (key_type, truncated) = append_stored(values, &mut self.record);
        if let Some(kind) = self.record.get_mut(self.normal_end..self.normal_end + 2) {
            kind.copy_from_slice(&[key_type as u8, u8::from(truncated)]);
        }
    }

    /// The normal form, or as much of it as is kept.
    #[must_use]
    pub fn normal(&self) -> &[u8] {
        self.record
            .get(RECORD_HEADER_BYTES..self.normal_end)
            .unwrap_or_default()
    }

    /// True when [`Self::normal`] is only the beginning.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.flags.has(Flags::CUT)
    }

    pub(in crate::index) fn as_record(&self) -> Record<'_> {
        Record {
            normal: self.normal(),
            trailer: self.record.get(self.normal_end..).unwrap_or_default(),
            flags: self.flags,
            address: DocumentAddress::default(),
        }
    }

    /// The stored form, written over `out`.
    ///
    /// # Errors
    /// None that a key made by this type can give.
    pub fn stored<'o>(&self, out: &'o mut Vec<u8>) -> Result<StoredKeyRef<'o>, KeyError> {
        self.as_record().stored(out)
    }

    /// The key as JSON for index statistics; `None` if it is cut, and the whole key is needed.
    ///
    /// # Errors
    /// None that a key made by this type can give.
    pub fn json(&self) -> Result<Option<String>, KeyError> {
        self.as_record().json()
    }

    /// Becomes a copy of `record`, but for the address.
    pub(in crate::index) fn set_record(&mut self, record: &Record<'_>) {
        self.clear();
        self.record.extend_from_slice(record.normal);
        self.normal_end = self.record.len();
        self.record.extend_from_slice(record.trailer);
        self.flags = record.flags;
    }

    /// The finished record, or `None` for a whole key that is too long for one.
    #[inline]
    pub(in crate::index) fn pieces(
        &self,
        address: DocumentAddress,
    ) -> Option<(RecordHeader, &[u8])> {
        Some((
            self.header(address)?,
            self.record.get(RECORD_HEADER_BYTES..)?,
        ))
    }

    #[inline]
    fn header(&self, address: DocumentAddress) -> Option<RecordHeader> {
        let normal_len = self.normal_end - RECORD_HEADER_BYTES;
        if normal_len >= NORMAL_KEPT_BYTES && !self.is_cut() {
            return None;
        }
        let trailer_len = u16::try_from(self.record.len() - self.normal_end).ok()?;
        Some(RecordHeader {
            normal_len: u16::try_from(normal_len).ok()?,
            trailer_word: trailer_len | self.flags.0,
            address,
        })
    }
}
