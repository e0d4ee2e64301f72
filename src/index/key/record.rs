//! A key with its document's address, as arenas and sort runs hold it.
//!
//! ```text
//! record  = header | normal | trailer
//! header  = normal length u16 | trailer length u16, flags in the top bits | page u32 | slot u16
//! normal  = the key's normal form, or the first 1024 bytes of a longer or equally long one (CUT)
//! trailer = what normal does not tell of the stored form:
//!   CUT         key type u8 | "stored form cut" u8 | stored form, cut to 1024 bytes
//!   COMPOSITE   field count u8 | one entry per number (see number.rs)
//!   otherwise   one entry if the value is a number; or bytes of the caller's own
//! ```

use super::json::values_json;
use super::normal::{self, KeyError, NORMAL_KEPT_BYTES, NormalReader};
use super::stored::{StoredWriter, append_single};
use super::value::KeyValue;
use super::{MAX_STORED_KEY, StoredKeyRef};
use crate::v2::{DocumentAddress, PageId, SlotNumber};

/// Bytes of a record's header.
pub(crate) const RECORD_HEADER_BYTES: usize = 10;

/// No record is longer. The longest are cut keys, and composites of numbers that are all NaN.
pub(crate) const MAX_RECORD_BYTES: usize = 4096;

const _: () = assert!(
    RECORD_HEADER_BYTES + NORMAL_KEPT_BYTES + 2 + MAX_STORED_KEY <= MAX_RECORD_BYTES
        && RECORD_HEADER_BYTES + NORMAL_KEPT_BYTES + 1 + NORMAL_KEPT_BYTES <= MAX_RECORD_BYTES
);

/// How a record's parts are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u16);

impl Flags {
    /// The normal form is only the first [`NORMAL_KEPT_BYTES`] bytes.
    pub(crate) const CUT: Self = Self(1 << 15);
    /// The key has several fields.
    pub(crate) const COMPOSITE: Self = Self(1 << 14);

    const ALL: u16 = Self::CUT.0 | Self::COMPOSITE.0;

    pub(crate) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct RecordHeader {
    pub(crate) normal_len: u16,
    /// The trailer's length, and [`Flags`].
    pub(crate) trailer_word: u16,
    pub(crate) address: DocumentAddress,
}

/// Bytes behind a header that make whole words with it.
pub(super) const BEGINNING: usize = 6;

impl RecordHeader {
    /// All of it but the slot.
    #[inline]
    fn first_word(self) -> u64 {
        u64::from(self.normal_len)
            | u64::from(self.trailer_word) << 16
            | u64::from(self.address.page.0) << 32
    }

    /// The record with the bytes that follow.
    #[inline]
    pub(super) fn before<R>(self, beginning: [u8; BEGINNING], rest: R) -> WholeWords<R> {
        let [b0, b1, b2, b3, b4, b5] = beginning;
        let beginning = u64::from_le_bytes([0, 0, b0, b1, b2, b3, b4, b5]);
        WholeWords {
            first: self.first_word(),
            second: beginning | u64::from(self.address.slot.0),
            rest,
        }
    }
}

/// A record in pieces. They are appended as they were put together: what is written to memory in
/// smaller pieces than it is read in waits for the writes.
pub(in crate::index) trait RecordPieces: Copy {
    /// Bytes of the record.
    fn len(self) -> usize;

    /// Appends the record.
    fn append_to(self, out: &mut Vec<u8>);
}

/// A header and the first bytes behind it as two words, and the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeWords<R> {
    first: u64,
    second: u64,
    rest: R,
}

impl RecordPieces for &[u8] {
    #[inline]
    fn len(self) -> usize {
        <[u8]>::len(self)
    }

    #[inline]
    fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl RecordPieces for (RecordHeader, &[u8]) {
    #[inline]
    fn len(self) -> usize {
        RECORD_HEADER_BYTES.saturating_add(self.1.len())
    }

    #[inline]
    fn append_to(self, out: &mut Vec<u8>) {
        let (header, rest) = self;
        out.extend_from_slice(&header.first_word().to_le_bytes());
        out.extend_from_slice(&header.address.slot.0.to_le_bytes());
        out.extend_from_slice(rest);
    }
}

impl<R: AsRef<[u8]> + Copy> RecordPieces for WholeWords<R> {
    #[inline]
    fn len(self) -> usize {
        (RECORD_HEADER_BYTES + BEGINNING).saturating_add(self.rest.as_ref().len())
    }

    #[inline]
    fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.second.to_le_bytes());
        out.extend_from_slice(self.rest.as_ref());
    }
}

/// A record, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) normal: &'a [u8],
    pub(crate) trailer: &'a [u8],
    pub(crate) flags: Flags,
    pub(crate) address: DocumentAddress,
}

/// Total length of the record that begins with this header.
#[inline]
pub(crate) fn record_length(header: &[u8]) -> Option<usize> {
    let [low, high, trailer_low, trailer_high, ..] = *header else {
        return None;
    };
    let normal = u16::from_le_bytes([low, high]);
    let trailer = u16::from_le_bytes([trailer_low, trailer_high]) & !Flags::ALL;
    Some(
        RECORD_HEADER_BYTES
            .saturating_add(usize::from(normal))
            .saturating_add(usize::from(trailer)),
    )
}

/// True if the record that begins with this header is of a cut key.
#[inline]
pub(crate) fn is_cut(header: &[u8]) -> bool {
    let flags = header.first_chunk().map(|[_, _, low, high]| [*low, *high]);
    flags.is_some_and(|flags| Flags(u16::from_le_bytes(flags)).has(Flags::CUT))
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`, or `None` if it does not end in them.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let [n0, n1, t0, t1, p0, p1, p2, p3, s0, s1] = *header;
        let trailer_word = u16::from_le_bytes([t0, t1]);
        let (normal, rest) = rest.split_at_checked(u16::from_le_bytes([n0, n1]).into())?;
        Some(Self {
            normal,
            trailer: rest.get(..usize::from(trailer_word & !Flags::ALL))?,
            flags: Flags(trailer_word & Flags::ALL),
            address: DocumentAddress {
                page: PageId(u32::from_le_bytes([p0, p1, p2, p3])),
                slot: SlotNumber(u16::from_le_bytes([s0, s1])),
            },
        })
    }

    /// A record of which only the normal form is known: enough to compare it.
    pub(crate) fn of_normal(normal: &'a [u8]) -> Self {
        Self {
            normal,
            trailer: &[],
            flags: Flags::default(),
            address: DocumentAddress::default(),
        }
    }

    /// Bytes of the whole record.
    pub(crate) fn len(&self) -> usize {
        RECORD_HEADER_BYTES
            .saturating_add(self.normal.len())
            .saturating_add(self.trailer.len())
    }

    /// True when the normal form is only the beginning of the key.
    pub(crate) fn is_cut(&self) -> bool {
        self.flags.has(Flags::CUT)
    }

    /// The value of a whole key with one field, if it is a common one.
    #[inline]
    fn single(&self) -> Option<KeyValue<'a>> {
        if self.flags == Flags::default() {
            normal::decode_single(self.normal, self.trailer)
        } else {
            None
        }
    }

    fn values(&self) -> Result<(NormalReader<'a>, usize), KeyError> {
        if self.flags.has(Flags::COMPOSITE) {
            let (count, rest) = self.trailer.split_first().ok_or(KeyError::Record)?;
            let count = usize::from(*count);
            return Ok((NormalReader::new(self.normal, rest, count), count));
        }
        Ok((NormalReader::new(self.normal, self.trailer, 1), 1))
    }

    /// Writes the stored form over `out`.
    ///
    /// # Errors
    /// The record is damaged.
    #[inline]
    pub(crate) fn stored<'o>(&self, out: &'o mut Vec<u8>) -> Result<StoredKeyRef<'o>, KeyError> {
        out.clear();
        let (key_type, truncated) = self.append_stored(out)?;
        Ok(StoredKeyRef {
            key_type,
            bytes: out,
            truncated,
        })
    }

    /// Appends the stored form; its type, and whether it was cut.
    ///
    /// # Errors
    /// The record is damaged.
    #[inline]
    pub(crate) fn append_stored(&self, out: &mut Vec<u8>) -> Result<(u8, bool), KeyError> {
        match self.single() {
            Some(value) => {
                let (key_type, truncated) = append_single(value, out);
                Ok((key_type as u8, truncated))
            }
            None => self.append_stored_fields(out),
        }
    }

    fn append_stored_fields(&self, out: &mut Vec<u8>) -> Result<(u8, bool), KeyError> {
        if self.is_cut() {
            let [key_type, truncated, stored @ ..] = self.trailer else {
                return Err(KeyError::Record);
            };
            out.extend_from_slice(stored.get(..MAX_STORED_KEY).unwrap_or(stored));
            return Ok((*key_type, *truncated != 0));
        }
        let (mut values, count) = self.values()?;
        let mut writer = StoredWriter::new(out, count);
        while let Some(value) = values.next_value()? {
            if count == 1 {
                writer.single(value);
            } else {
                writer.field(value);
            }
        }
        let (key_type, truncated) = writer.finish();
        Ok((key_type as u8, truncated))
    }

    /// The key as JSON for index statistics; `None` if it is cut, and the whole key is needed.
    ///
    /// # Errors
    /// The record is damaged.
    pub(crate) fn json(&self) -> Result<Option<String>, KeyError> {
        if self.is_cut() {
            return Ok(None);
        }
        let (mut values, count) = self.values()?;
        let composite = self.flags.has(Flags::COMPOSITE);
        debug_assert!(composite || count == 1);
        values_json(composite, || {
            Ok(values.next_value()?.map(super::json::element))
        })
        .map(Some)
    }
}
