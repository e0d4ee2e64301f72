//! LauraDB's BSON subset.
//!
//! ```text
//! document = size i32 (whole document, itself and the terminator included) | element* | 0x00
//! element  = type u8 | name cstring | value
//!
//! 0x01 double     f64                       0x08 boolean    u8, 0 or 1
//! 0x02 string     len i32 (with NUL) |      0x0A null       nothing
//!                 UTF-8 | 0x00              0x10 int32      i32
//! 0x03 document   document                  0x11 timestamp  i64, Unix seconds (not MongoDB's)
//! 0x04 array      document, names 0, 1, …   0x12 int64      i64
//! 0x05 binary     len i32 | subtype 0 | bytes
//! 0x07 ObjectID   12 bytes
//! ```
//!
//! [`check`] turns untrusted bytes into a [`RawDocument`], once; everything after reads it without
//! further errors. [`DocumentBuilder`] writes the same form.

mod builder;
mod check;
mod hex;
mod raw;

pub use builder::{DocumentBuilder, OwnedDocument};
pub use check::{BsonError, BsonErrorKind, check, check_bounded};
pub use raw::{Elements, ObjectId, RawDocument, RawValue, value_len};

/// Type byte of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the types")]
pub enum ElementType {
    Double = 0x01,
    String = 0x02,
    Document = 0x03,
    Array = 0x04,
    Binary = 0x05,
    ObjectId = 0x07,
    Boolean = 0x08,
    Null = 0x0A,
    Int32 = 0x10,
    Timestamp = 0x11,
    Int64 = 0x12,
}

impl ElementType {
    /// The type with this byte, or `None` for one that LauraDB does not have.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Double,
            0x02 => Self::String,
            0x03 => Self::Document,
            0x04 => Self::Array,
            0x05 => Self::Binary,
            0x07 => Self::ObjectId,
            0x08 => Self::Boolean,
            0x0A => Self::Null,
            0x10 => Self::Int32,
            0x11 => Self::Timestamp,
            0x12 => Self::Int64,
            _ => return None,
        })
    }
}

/// The smallest document: size and terminator.
pub const MIN_DOCUMENT_BYTES: usize = 5;

#[cfg(test)]
mod tests;
