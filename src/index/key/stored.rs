//! The stored form of a key, as B+tree nodes hold it (a type byte stands in the node's directory).
//!
//! ```text
//! 0 int64      i64            4 composite  count u8, then per field
//! 1 double     f64                         type u8 | length u16 | stored form of that type
//! 2 string     len u16 | bytes             (a string keeps its own len inside)
//! 3 ObjectID   12 bytes       5 boolean    u8, 0 or 1
//! 7 timestamp  i64            6 null       nothing
//! 9 int32      i32            8 binary     len u16 | bytes
//! ```
//!
//! LauraDB has types 0 to 4; the others are ours. Over 1024 bytes it is cut to 1024; lengths in it
//! stay those of the whole, at most 65535.

use super::normal::{self, KeyError};
use super::value::{KeyType, KeyValue};
use crate::bytes::Cursor;
use crate::document::bson::ObjectId;
use crate::v2::btree::{MAX_STORED_KEY, StoredKeyRef};
use std::cmp::Ordering;

const INT64: u8 = KeyType::Int64 as u8;
const STRING: u8 = KeyType::String as u8;
const OBJECT_ID: u8 = KeyType::ObjectId as u8;
const TIMESTAMP: u8 = KeyType::Timestamp as u8;

/// Writes the stored form of one key, value by value.
pub(super) struct StoredWriter<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
    /// Bytes of the whole form, written or not.
    total: usize,
    key_type: KeyType,
}

fn length16(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes()
}

impl<'b> StoredWriter<'b> {
    /// Starts a key of so many fields at the end of `out`.
    pub(super) fn new(out: &'b mut Vec<u8>, field_count: usize) -> Self {
        let start = out.len();
        let mut writer = Self {
            out,
            start,
            total: 0,
            key_type: KeyType::Composite,
        };
        if field_count != 1 {
            writer.put(&[u8::try_from(field_count).unwrap_or(u8::MAX)]);
        }
        writer
    }

    /// True while what follows could still be kept.
    pub(super) fn has_room(&self) -> bool {
        self.total <= MAX_STORED_KEY
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let room = MAX_STORED_KEY.saturating_sub(self.total);
        self.total = self.total.saturating_add(bytes.len());
        self.out
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// The only value of a key with one field.
    #[inline]
    pub(super) fn single(&mut self, value: KeyValue<'_>) {
        self.key_type = value.key_type();
        self.value(value);
    }

    /// The next value of a composite key.
    pub(super) fn field(&mut self, value: KeyValue<'_>) {
        let length = match value {
            KeyValue::Null => 0,
            KeyValue::Boolean(_) => 1,
            KeyValue::Int32(_) => 4,
            KeyValue::Int64(_) | KeyValue::Double(_) | KeyValue::Timestamp(_) => 8,
            KeyValue::ObjectId(_) => 12,
            KeyValue::String(bytes) | KeyValue::Binary(bytes) => bytes.len().saturating_add(2),
        };
        let [low, high] = length16(length);
        self.put(&[value.key_type() as u8, low, high]);
        self.value(value);
    }

    #[inline]
    fn value(&mut self, value: KeyValue<'_>) {
        match value {
            KeyValue::Null => {}
            KeyValue::Boolean(flag) => self.put(&[u8::from(flag)]),
            KeyValue::Int32(number) => self.put(&number.to_le_bytes()),
            KeyValue::Int64(number) | KeyValue::Timestamp(number) => {
                self.put(&number.to_le_bytes());
            }
            KeyValue::Double(number) => self.put(&number.to_le_bytes()),
            KeyValue::ObjectId(id) => self.put(&id.0),
            KeyValue::String(bytes) | KeyValue::Binary(bytes) => {
                self.put(&length16(bytes.len()));
                self.put(bytes);
            }
        }
    }

    /// The type of the key, and whether it was cut.
    pub(super) fn finish(self) -> (KeyType, bool) {
        debug_assert!(self.out.len().saturating_sub(self.start) <= MAX_STORED_KEY);
        (self.key_type, self.total > MAX_STORED_KEY)
    }
}

/// Writes the stored form of the key of these values (1 to 255) over `out`.
#[inline]
pub(in crate::index) fn stored_of_values<'v, 'o>(
    values: impl ExactSizeIterator<Item = KeyValue<'v>>,
    out: &'o mut Vec<u8>,
) -> StoredKeyRef<'o> {
    out.clear();
    let (key_type, truncated) = append_stored(values, out);
    StoredKeyRef {
        key_type: key_type as u8,
        bytes: out,
        truncated,
    }
}

/// Appends the stored form of the key of these values; its type, and whether it was cut.
#[inline]
pub(super) fn append_stored<'v>(
    mut values: impl ExactSizeIterator<Item = KeyValue<'v>>,
    out: &mut Vec<u8>,
) -> (KeyType, bool) {
    let count = values.len();
    if count == 1
        && let Some(value) = values.next()
    {
        return append_single(value, out);
    }
    let mut writer = StoredWriter::new(out, count);
    for value in values {
        if writer.has_room() {
            writer.field(value);
        }
    }
    writer.finish()
}

/// [`append_stored`] for the only value of a key.
#[inline]
pub(super) fn append_single(value: KeyValue<'_>, out: &mut Vec<u8>) -> (KeyType, bool) {
    match value {
        KeyValue::String(bytes) if bytes.len() <= MAX_STORED_KEY - 2 => {
            out.extend_from_slice(&length16(bytes.len()));
            out.extend_from_slice(bytes);
            (KeyType::String, false)
        }
        KeyValue::Int64(number) => {
            out.extend_from_slice(&number.to_le_bytes());
            (KeyType::Int64, false)
        }
        value => {
            let mut writer = StoredWriter::new(out, 1);
            writer.single(value);
            writer.finish()
        }
    }
}

/// What a stored key holds.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedKey<'a> {
    /// Several fields, even if a cut left fewer.
    pub composite: bool,
    /// The values, as far as they are there.
    pub values: Vec<KeyValue<'a>>,
    /// Nothing is missing. If something is, the last of `values` may be the beginning of a string
    /// or binary.
    pub complete: bool,
}

enum Part<'a> {
    Whole(KeyValue<'a>),
    PartialString(&'a [u8]),
    /// The length is `None` where the prefix holds its highest value.
    PartialBinary(Option<u16>, &'a [u8]),
    /// Too little of a number is there to say anything.
    Missing,
}

/// Reads a value that fills `bytes` exactly, or is cut by their end if `may_end` says so.
fn part(key_type: KeyType, bytes: &[u8], may_end: bool) -> Result<Part<'_>, KeyError> {
    let mut cursor = Cursor::new(bytes);
    let value = match key_type {
        KeyType::Composite => return Err(KeyError::Nested),
        KeyType::Null => Some(KeyValue::Null),
        KeyType::Boolean => match cursor.u8() {
            Some(flag @ (0 | 1)) => Some(KeyValue::Boolean(flag == 1)),
            Some(_) => return Err(KeyError::Boolean),
            None => None,
        },
        KeyType::Int32 => cursor
            .u32()
            .map(|number| KeyValue::Int32(number.cast_signed())),
        KeyType::Int64 => cursor.i64().map(KeyValue::Int64),
        KeyType::Timestamp => cursor.i64().map(KeyValue::Timestamp),
        KeyType::Double => cursor.f64().map(KeyValue::Double),
        KeyType::ObjectId => cursor
            .take(12)
            .and_then(|id| id.try_into().ok())
            .map(|id| KeyValue::ObjectId(ObjectId(id))),
        KeyType::String | KeyType::Binary => match cursor.u16() {
            Some(len) => return bytes_part(key_type, len, cursor.rest(), may_end),
            None => None,
        },
    };
    match value {
        Some(_) if !cursor.rest().is_empty() => Err(KeyError::TrailingBytes),
        Some(value) => Ok(Part::Whole(value)),
        None if may_end => Ok(Part::Missing),
        None => Err(KeyError::Truncated),
    }
}

fn bytes_part(
    key_type: KeyType,
    len: u16,
    rest: &[u8],
    may_end: bool,
) -> Result<Part<'_>, KeyError> {
    let is_string = key_type == KeyType::String;
    match rest.len().cmp(&usize::from(len)) {
        Ordering::Equal if is_string => Ok(Part::Whole(KeyValue::String(rest))),
        Ordering::Equal => Ok(Part::Whole(KeyValue::Binary(rest))),
        Ordering::Less if may_end && is_string => Ok(Part::PartialString(rest)),
        Ordering::Less if may_end => {
            let known = (len < u16::MAX).then_some(len);
            Ok(Part::PartialBinary(known, rest))
        }
        Ordering::Less => Err(KeyError::Truncated),
        Ordering::Greater => Err(KeyError::Length),
    }
}

/// Gives each part of a stored key to `visit`, with "is the last field"; says whether it is whole.
fn walk<'a>(
    key: StoredKeyRef<'a>,
    mut visit: impl FnMut(Part<'a>, bool),
) -> Result<bool, KeyError> {
    let len = key.bytes.len();
    if len > MAX_STORED_KEY || (key.truncated && len != MAX_STORED_KEY) {
        return Err(KeyError::Length);
    }
    let key_type = KeyType::from_byte(key.key_type).ok_or(KeyError::UnknownType(key.key_type))?;
    if key_type != KeyType::Composite {
        let part = part(key_type, key.bytes, key.truncated)?;
        let whole = matches!(part, Part::Whole(_));
        visit(part, true);
        return Ok(whole);
    }
    let mut cursor = Cursor::new(key.bytes);
    let count = cursor.u8().ok_or(KeyError::Truncated)?;
    if count == 0 {
        return Err(KeyError::NoField);
    }
    for left in (0..count).rev() {
        let header = cursor.u8().zip(cursor.u16());
        let Some((byte, length)) = header else {
            return ended(key.truncated);
        };
        let field_type = KeyType::from_byte(byte).ok_or(KeyError::UnknownType(byte))?;
        let Some(bytes) = cursor.take(usize::from(length)) else {
            let part = part(field_type, cursor.rest(), key.truncated)?;
            if matches!(part, Part::Whole(_)) {
                return Err(KeyError::Length);
            }
            visit(part, left == 0);
            return ended(key.truncated);
        };
        visit(part(field_type, bytes, false)?, left == 0);
    }
    if cursor.rest().is_empty() {
        Ok(true)
    } else {
        Err(KeyError::TrailingBytes)
    }
}

fn ended(truncated: bool) -> Result<bool, KeyError> {
    if truncated {
        Ok(false)
    } else {
        Err(KeyError::Truncated)
    }
}

/// Reads the values of a stored key.
///
/// # Errors
/// The bytes are no key of that type.
pub fn decode_stored(key: StoredKeyRef<'_>) -> Result<DecodedKey<'_>, KeyError> {
    let mut values = Vec::new();
    let complete = walk(key, |part, _| match part {
        Part::Whole(value) => values.push(value),
        Part::PartialString(bytes) => values.push(KeyValue::String(bytes)),
        Part::PartialBinary(_, bytes) => values.push(KeyValue::Binary(bytes)),
        Part::Missing => {}
    })?;
    Ok(DecodedKey {
        composite: key.key_type == KeyType::Composite as u8,
        values,
        complete,
    })
}

/// Writes the normal form of a stored key, as much of it as is known, over `out`; says whether
/// that is all.
///
/// # Errors
/// The bytes are no key of that type.
pub fn normal_of_stored(key: StoredKeyRef<'_>, out: &mut Vec<u8>) -> Result<bool, KeyError> {
    normal_with(key, out, &mut Vec::new())
}

/// [`normal_of_stored`]; what numbers lose is appended to `lost`.
fn normal_with(
    key: StoredKeyRef<'_>,
    out: &mut Vec<u8>,
    lost: &mut Vec<u8>,
) -> Result<bool, KeyError> {
    out.clear();
    walk(key, |part, is_last| match part {
        Part::Whole(value) => normal::encode(value, is_last, usize::MAX, out, lost),
        Part::PartialString(bytes) => normal::encode_partial_string(bytes, is_last, out),
        Part::PartialBinary(len, bytes) => normal::encode_partial_binary(len, bytes, out),
        Part::Missing => {}
    })
}

/// Compares two normal forms of which some may be only the beginning (`complete` is false).
///
/// `None` when the part that is missing decides.
#[must_use]
pub fn compare_normal(
    left: &[u8],
    left_complete: bool,
    right: &[u8],
    right_complete: bool,
) -> Option<Ordering> {
    let common = left.len().min(right.len());
    let (left_start, right_start) = (left.get(..common)?, right.get(..common)?);
    match left_start.cmp(right_start) {
        // Where a whole key ends and another goes on, the whole one is less.
        Ordering::Equal => match left.len().cmp(&right.len()) {
            Ordering::Equal if left_complete && right_complete => Some(Ordering::Equal),
            Ordering::Equal if left_complete => Some(Ordering::Less),
            Ordering::Equal if right_complete => Some(Ordering::Greater),
            Ordering::Less if left_complete => Some(Ordering::Less),
            Ordering::Greater if right_complete => Some(Ordering::Greater),
            _ => None,
        },
        decided => Some(decided),
    }
}

/// Compares stored keys of one index, in its order, reusing its buffers.
#[derive(Clone, Debug, Default)]
pub struct StoredOrder {
    left: Vec<u8>,
    right: Vec<u8>,
    lost: Vec<u8>,
}

impl StoredOrder {
    /// Compares two stored keys of one index.
    ///
    /// `None` when the part that was cut off decides; then the documents have to be read. Keys with
    /// different numbers of fields do not occur in one index, and their order means nothing.
    ///
    /// # Errors
    /// One of them is no key.
    #[inline]
    pub fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>, KeyError> {
        match compare_alike(left, right) {
            Some(ordering) => Ok(Some(ordering)),
            None => self.compare_normal(left, right),
        }
    }

    fn compare_normal(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>, KeyError> {
        self.lost.clear();
        let left_complete = normal_with(left, &mut self.left, &mut self.lost)?;
        let right_complete = normal_with(right, &mut self.right, &mut self.lost)?;
        Ok(compare_normal(
            &self.left,
            left_complete,
            &self.right,
            right_complete,
        ))
    }
}

/// Compares whole keys of one type where their normal forms would compare like this; `None` where
/// it takes the normal forms to tell, or to say what is wrong with a key.
#[inline(always)]
pub(crate) fn compare_alike(left: StoredKeyRef<'_>, right: StoredKeyRef<'_>) -> Option<Ordering> {
    if left.key_type != right.key_type || left.truncated || right.truncated {
        return None;
    }
    match left.key_type {
        STRING => {
            let (left, right) = (string_bytes(left.bytes)?, string_bytes(right.bytes)?);
            Some(compare_bytes(left, right))
        }
        INT64 | TIMESTAMP => {
            let (left, right) = (left.bytes.try_into().ok()?, right.bytes.try_into().ok()?);
            Some(i64::from_le_bytes(left).cmp(&i64::from_le_bytes(right)))
        }
        OBJECT_ID => {
            let (left, right): (&[u8; 12], &[u8; 12]) =
                (left.bytes.try_into().ok()?, right.bytes.try_into().ok()?);
            Some(left.cmp(right))
        }
        _ => None,
    }
}

/// Compares bytes as slices are compared. Neighbours in an index mostly agree in their first few,
/// and differ soon after: two words tell more often than not.
#[inline(always)]
fn compare_bytes(left: &[u8], right: &[u8]) -> Ordering {
    let common = left.len().min(right.len());
    let words = |bytes: &[u8]| two_words(bytes.get(..common)?);
    let (Some(left_words), Some(right_words)) = (words(left), words(right)) else {
        return left.cmp(right);
    };
    if left_words.0 != right_words.0 {
        return left_words.0.cmp(&right_words.0);
    }
    if left_words.1 != right_words.1 {
        return left_words.1.cmp(&right_words.1);
    }
    match common {
        0..=16 => left.len().cmp(&right.len()),
        _ => left.get(16..).cmp(&right.get(16..)),
    }
}

/// The first 16 bytes, or all of at least 8, as two numbers that order as the bytes do. The second
/// may begin in the first.
#[inline(always)]
fn two_words(bytes: &[u8]) -> Option<(u64, u64)> {
    let second = match bytes.len() {
        0..=16 => bytes.last_chunk()?,
        _ => bytes.get(8..)?.first_chunk()?,
    };
    let words = (bytes.first_chunk()?, second);
    Some((u64::from_be_bytes(*words.0), u64::from_be_bytes(*words.1)))
}

/// The bytes of a whole string key.
#[inline]
pub(in crate::index) fn string_bytes(stored: &[u8]) -> Option<&[u8]> {
    let (len, bytes) = stored.split_first_chunk()?;
    if usize::from(u16::from_le_bytes(*len)) != bytes.len() || stored.len() > MAX_STORED_KEY {
        return None;
    }
    Some(bytes)
}

/// Compares two stored keys as [`StoredOrder::compare`] does.
///
/// # Errors
/// One of them is no key.
pub fn compare_stored(
    left: StoredKeyRef<'_>,
    right: StoredKeyRef<'_>,
) -> Result<Option<Ordering>, KeyError> {
    StoredOrder::default().compare(left, right)
}
