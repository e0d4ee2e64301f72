//! What all records of `metadata.db` are made of: fixed-width numbers, `str16` and `bytes16`
//! (`length u16 | bytes`), and an optional JSON text (`has u8, 0 or 1 | bytes16 if 1`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::page::{PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageError};
use crate::bytes::Cursor;
use serde::de::IgnoredAny;

/// Where the catalog and the collection and index records begin in their page. LauraDB leaves 16
/// bytes after the page header unused there, as if the header came twice.
pub(super) const RECORD_START: usize = PAGE_HEADER_SIZE + 16;
/// Bytes that such a record has.
pub(super) const RECORD_CAPACITY: usize = PAGE_SIZE - RECORD_START;

const _: () = assert!(RECORD_START == 32 && RECORD_CAPACITY == 4064);

/// Reads the fields of a record; errors name the field and where it stands in the page.
pub(super) struct RecordReader<'p> {
    cursor: Cursor<'p>,
    start: usize,
}

macro_rules! numbers {
    ($($name:ident: $ty:ty;)*) => {$(
        #[doc = concat!("The next `", stringify!($ty), "`.")]
        pub(super) fn $name(&mut self, field: &'static str) -> Result<$ty, PageError> {
            let offset = self.offset();
            self.cursor.$name().ok_or(PageError::Truncated { offset, field })
        }
    )*};
}

impl<'p> RecordReader<'p> {
    /// Starts at byte `start` of the page.
    pub(super) fn new(page: &'p PageBytes, start: usize) -> Self {
        let bytes = page.get(start..).unwrap_or_default();
        let cursor = Cursor::new(bytes);
        Self { cursor, start }
    }

    /// Where the next field stands in the page.
    pub(super) fn offset(&self) -> usize {
        self.start.saturating_add(self.cursor.position())
    }

    numbers! { u8: u8; u16: u16; u32: u32; u64: u64; i64: i64; f64: f64; }

    /// The next str16.
    pub(super) fn text16(&mut self, field: &'static str) -> Result<&'p str, PageError> {
        let offset = self.offset();
        let bytes = self.cursor.bytes16();
        let bytes = bytes.ok_or(PageError::Truncated { offset, field })?;
        std::str::from_utf8(bytes).map_err(|_| PageError::Text {
            offset: offset.saturating_add(2),
            field,
            expected: "UTF-8",
        })
    }

    /// The next bytes16 of JSON; it may be empty.
    pub(super) fn json16(&mut self, field: &'static str) -> Result<&'p str, PageError> {
        let offset = self.offset();
        let text = self.text16(field)?;
        if !text.is_empty() && serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(PageError::Text {
                offset: offset.saturating_add(2),
                field,
                expected: "JSON",
            });
        }
        Ok(text)
    }

    /// The next optional JSON text, and where it stands in the page.
    pub(super) fn optional_json(
        &mut self,
        field: &'static str,
    ) -> Result<Option<(&'p str, usize)>, PageError> {
        let offset = self.offset();
        match self.u8(field)? {
            0 => Ok(None),
            1 => self
                .json16(field)
                .map(|text| Some((text, offset.saturating_add(3)))),
            other => Err(PageError::field(offset, field, other, "0 (none) or 1")),
        }
    }
}

/// Collects the fields of a record.
#[derive(Default)]
pub(super) struct RecordWriter {
    bytes: Vec<u8>,
}

impl RecordWriter {
    /// Appends fields that are encoded already.
    pub(super) fn put<const N: usize>(&mut self, field: [u8; N]) -> &mut Self {
        self.bytes.extend_from_slice(&field);
        self
    }

    /// Appends a str16 or bytes16. One over 65535 bytes gets a wrong length, but the record is
    /// then larger than any page and [`Self::fill`] refuses it.
    pub(super) fn text16(&mut self, text: &str) -> &mut Self {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.put(length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends an optional JSON text.
    pub(super) fn optional_json(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            None => self.put([0]),
            Some(text) => self.put([1]).text16(text),
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Copies the record to byte `start` of the page; `None` if it does not fit.
    pub(super) fn fill(&self, page: &mut PageBytes, start: usize) -> Option<()> {
        let place = page.get_mut(start..start.saturating_add(self.len()))?;
        place.copy_from_slice(&self.bytes);
        Some(())
    }
}
