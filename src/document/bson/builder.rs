//! Writing BSON.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "lengths and positions of a document that is in memory"
)]

use super::{ElementType, RawDocument, RawValue};
use crate::bytes::put_u32;

/// Appends one document, and documents nested in it, to a buffer.
///
/// Names must not hold NUL; [`crate::document`] refuses such documents before they get here.
#[derive(Debug)]
pub struct DocumentBuilder<'b> {
    out: &'b mut Vec<u8>,
    /// Where the size field of each open document is, outermost first.
    open: Vec<usize>,
}

impl<'b> DocumentBuilder<'b> {
    /// Opens a document at the end of `out`.
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        Self {
            out,
            open: vec![start],
        }
    }

    fn header(&mut self, kind: ElementType, name: &str) {
        self.out.push(kind as u8);
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(0);
    }

    /// Appends a field; nested documents are copied whole.
    pub fn append(&mut self, name: &str, value: RawValue<'_>) -> &mut Self {
        self.header(value.element_type(), name);
        match value {
            RawValue::Double(number) => self.out.extend_from_slice(&number.to_le_bytes()),
            RawValue::String(text) => {
                self.length(text.len() + 1);
                self.out.extend_from_slice(text.as_bytes());
                self.out.push(0);
            }
            RawValue::Document(document) | RawValue::Array(document) => {
                self.out.extend_from_slice(document.as_bytes());
            }
            RawValue::Binary(bytes) => {
                self.length(bytes.len());
                self.out.push(0);
                self.out.extend_from_slice(bytes);
            }
            RawValue::ObjectId(id) => self.out.extend_from_slice(&id.0),
            RawValue::Boolean(flag) => self.out.push(u8::from(flag)),
            RawValue::Null => {}
            RawValue::Int32(number) => self.out.extend_from_slice(&number.to_le_bytes()),
            RawValue::Timestamp(number) | RawValue::Int64(number) => {
                self.out.extend_from_slice(&number.to_le_bytes());
            }
        }
        self
    }

    /// Opens a nested document; [`Self::close`] ends it.
    pub fn open_document(&mut self, name: &str) -> &mut Self {
        self.open(ElementType::Document, name)
    }

    /// Opens a nested array, whose elements are then named "0", "1", ….
    pub fn open_array(&mut self, name: &str) -> &mut Self {
        self.open(ElementType::Array, name)
    }

    fn open(&mut self, kind: ElementType, name: &str) -> &mut Self {
        self.header(kind, name);
        self.open.push(self.out.len());
        self.out.extend_from_slice(&[0; 4]);
        self
    }

    /// Ends the innermost open document.
    pub fn close(&mut self) -> &mut Self {
        if let Some(start) = self.open.pop() {
            self.out.push(0);
            let size = u32::try_from(self.out.len() - start).unwrap_or(u32::MAX);
            put_u32(self.out, start, size);
        }
        self
    }

    /// Ends every open document.
    pub fn finish(mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    fn length(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&len.to_le_bytes());
    }
}

/// Builds one document from (name, value) pairs; for tests and small documents.
impl<'v> FromIterator<(&'v str, RawValue<'v>)> for OwnedDocument {
    fn from_iter<I: IntoIterator<Item = (&'v str, RawValue<'v>)>>(fields: I) -> Self {
        let mut bytes = Vec::new();
        let mut builder = DocumentBuilder::new(&mut bytes);
        for (name, value) in fields {
            builder.append(name, value);
        }
        builder.finish();
        Self(bytes)
    }
}

/// A document that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedDocument(Vec<u8>);

impl OwnedDocument {
    /// Takes bytes that were checked before, as [`RawDocument::trusted`] does.
    #[must_use]
    pub fn trusted(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The document, borrowed.
    #[must_use]
    pub fn as_raw(&self) -> RawDocument<'_> {
        RawDocument::trusted(&self.0)
    }

    /// The document's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
