//! Checking untrusted BSON.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{ElementType, MIN_DOCUMENT_BYTES, RawDocument};
use crate::bytes::Cursor;
use crate::document::{MAX_DEPTH, MAX_DOCUMENT_BYTES};
use std::collections::HashSet;

/// Why bytes are no document of LauraDB's subset, and where in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of the document")]
pub struct BsonError {
    /// Byte offset inside the document.
    pub offset: usize,
    /// What is wrong there.
    pub kind: BsonErrorKind,
}

/// What is wrong with a BSON document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BsonErrorKind {
    #[error("the bytes end early")]
    Truncated,
    #[error("size field says {found}, the bytes are {actual}")]
    Size { found: i32, actual: usize },
    #[error("the document has {size} bytes, more than 16777216")]
    TooLarge { size: usize },
    #[error("unknown element type 0x{0:02x}")]
    UnknownType(u8),
    #[error("a field name or string is not UTF-8")]
    InvalidUtf8,
    #[error("a string has no terminating zero byte")]
    StringTerminator,
    #[error("the document has no terminating zero byte")]
    DocumentTerminator,
    #[error("bytes follow the terminating zero byte")]
    TrailingBytes,
    #[error("length field {0} is impossible")]
    Length(i32),
    #[error("binary subtype {0} is not 0")]
    BinarySubtype(u8),
    #[error("boolean byte {0} is neither 0 nor 1")]
    BooleanByte(u8),
    #[error("nested deeper than 100 levels")]
    TooDeep,
    #[error("field name {0:?} stands twice in one document")]
    DuplicateField(String),
    #[error("array element is named {0:?}, not by its position")]
    ArrayName(String),
}

/// Checks that the whole of `bytes` is one document within all limits.
///
/// # Errors
/// What is wrong and at which offset; see [`BsonErrorKind`].
pub fn check(bytes: &[u8]) -> Result<RawDocument<'_>, BsonError> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(BsonError {
            offset: 0,
            kind: BsonErrorKind::TooLarge { size: bytes.len() },
        });
    }
    check_bounded(bytes)
}

/// [`check`] without the size limit, for parts of documents that were measured elsewhere.
///
/// # Errors
/// As [`check`], but for `TooLarge`.
pub fn check_bounded(bytes: &[u8]) -> Result<RawDocument<'_>, BsonError> {
    let mut checker = Checker {
        bytes,
        cursor: Cursor::new(bytes),
    };
    checker.document(1, false)?;
    if checker.cursor.rest().is_empty() {
        Ok(RawDocument::trusted(bytes))
    } else {
        Err(checker.error(BsonErrorKind::TrailingBytes))
    }
}

struct Checker<'a> {
    bytes: &'a [u8],
    cursor: Cursor<'a>,
}

/// Up to this many fields are compared one by one; more go through a hash set.
const FEW_FIELDS: usize = 16;

impl<'a> Checker<'a> {
    fn error(&self, kind: BsonErrorKind) -> BsonError {
        BsonError {
            offset: self.cursor.position(),
            kind,
        }
    }

    fn read<T>(&self, field: Option<T>) -> Result<T, BsonError> {
        field.ok_or_else(|| self.error(BsonErrorKind::Truncated))
    }

    /// Recursion is bounded by `MAX_DEPTH`.
    fn document(&mut self, depth: usize, is_array: bool) -> Result<(), BsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error(BsonErrorKind::TooDeep));
        }
        let start = self.cursor.position();
        let size = self.cursor.clone().u32();
        let found = self.read(size)?.cast_signed();
        let available = self.bytes.len().saturating_sub(start);
        let size = usize::try_from(found).unwrap_or(0);
        let whole = depth == 1;
        if size < MIN_DOCUMENT_BYTES || size > available || (whole && size != available) {
            return Err(self.error(BsonErrorKind::Size {
                found,
                actual: available,
            }));
        }
        let end = start.saturating_add(size);
        self.cursor.take(4);
        let mut seen = Names::default();
        loop {
            let byte = self.cursor.u8();
            let byte = self.read(byte)?;
            if byte == 0 {
                break;
            }
            let element_type = ElementType::from_byte(byte)
                .ok_or_else(|| self.error(BsonErrorKind::UnknownType(byte)))?;
            let name = self.name(end)?;
            if is_array {
                self.array_name(name, seen.count)?;
                seen.count = seen.count.saturating_add(1);
            } else if !seen.insert(name) {
                return Err(self.error(BsonErrorKind::DuplicateField(name.to_owned())));
            }
            self.value(element_type, depth, end)?;
        }
        if self.cursor.position() == end {
            Ok(())
        } else {
            Err(self.error(BsonErrorKind::DocumentTerminator))
        }
    }

    fn name(&mut self, end: usize) -> Result<&'a str, BsonError> {
        let room = end.saturating_sub(self.cursor.position());
        let rest = self.cursor.rest();
        let rest = rest.get(..room).unwrap_or(rest);
        let len = self.read(memchr::memchr(0, rest))?;
        let name = str::from_utf8(rest.get(..len).unwrap_or_default())
            .map_err(|_| self.error(BsonErrorKind::InvalidUtf8))?;
        self.cursor.take(len.saturating_add(1));
        Ok(name)
    }

    fn array_name(&self, name: &str, position: usize) -> Result<(), BsonError> {
        let canonical = !(name.starts_with('+') || (name.len() > 1 && name.starts_with('0')));
        if canonical && name.parse() == Ok(position) {
            Ok(())
        } else {
            Err(self.error(BsonErrorKind::ArrayName(name.to_owned())))
        }
    }

    /// A value's bytes have to end before `end - 1`, where the document's terminator is.
    fn value(&mut self, kind: ElementType, depth: usize, end: usize) -> Result<(), BsonError> {
        match kind {
            ElementType::Double | ElementType::Timestamp | ElementType::Int64 => self.skip(8, end),
            ElementType::Int32 => self.skip(4, end),
            ElementType::ObjectId => self.skip(12, end),
            ElementType::Null => Ok(()),
            ElementType::Boolean => match self.cursor.clone().u8() {
                Some(0 | 1) => self.skip(1, end),
                Some(byte) => Err(self.error(BsonErrorKind::BooleanByte(byte))),
                None => Err(self.error(BsonErrorKind::Truncated)),
            },
            ElementType::String => {
                let len = self.length(1)?;
                let start = self.cursor.clone();
                self.skip(len, end)?;
                let text = start.rest().get(..len).unwrap_or_default();
                match text.split_last() {
                    Some((0, text)) if simdutf8::basic::from_utf8(text).is_ok() => Ok(()),
                    Some((0, _)) => Err(self.error(BsonErrorKind::InvalidUtf8)),
                    _ => Err(self.error(BsonErrorKind::StringTerminator)),
                }
            }
            ElementType::Binary => {
                let len = self.length(0)?;
                match self.cursor.clone().u8() {
                    Some(0) => self.skip(len.saturating_add(1), end),
                    Some(subtype) => Err(self.error(BsonErrorKind::BinarySubtype(subtype))),
                    None => Err(self.error(BsonErrorKind::Truncated)),
                }
            }
            ElementType::Document | ElementType::Array => {
                let start = self.cursor.position();
                let size = self.cursor.clone().u32();
                let found = self.read(size)?.cast_signed();
                let room = end.saturating_sub(start.saturating_add(1));
                if usize::try_from(found).is_ok_and(|size| size <= room) {
                    self.document(depth.saturating_add(1), kind == ElementType::Array)
                } else {
                    Err(self.error(BsonErrorKind::Length(found)))
                }
            }
        }
    }

    fn length(&mut self, least: i32) -> Result<usize, BsonError> {
        let field = self.cursor.clone().u32();
        let len = self.read(field)?.cast_signed();
        if len < least {
            return Err(self.error(BsonErrorKind::Length(len)));
        }
        self.cursor.take(4);
        usize::try_from(len).map_err(|_| self.error(BsonErrorKind::Length(len)))
    }

    fn skip(&mut self, len: usize, end: usize) -> Result<(), BsonError> {
        if len >= end.saturating_sub(self.cursor.position()) {
            return Err(self.error(BsonErrorKind::Truncated));
        }
        self.read(self.cursor.clone().take(len))?;
        self.cursor.take(len);
        Ok(())
    }
}

/// The field names of one document, to find one that stands twice.
#[derive(Default)]
struct Names<'a> {
    count: usize,
    few: [&'a str; FEW_FIELDS],
    many: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn insert(&mut self, name: &'a str) -> bool {
        let known = self
            .few
            .get(..self.count.min(FEW_FIELDS))
            .unwrap_or_default();
        if known.contains(&name) || self.many.contains(name) {
            return false;
        }
        match self.few.get_mut(self.count) {
            Some(place) => *place = name,
            None => {
                self.many.insert(name);
            }
        }
        self.count = self.count.saturating_add(1);
        true
    }
}
