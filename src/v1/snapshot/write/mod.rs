//! Writing `snapshot.json` as LauraDB's `RestoreFromFile` accepts it; the grammar is in the parent
//! module.
//!
//! ```text
//! _id        string as LauraDB's backup prints it (Go's %v)
//! double     Go's shortest form; NaN and infinities null
//! string     as it is, <, >, &, U+2028 and U+2029 escaped
//! document   object           array      array, documents in it whole
//! binary     base64 string    ObjectID   24 hex digits
//! boolean    true, false      null       null
//! int32, int64                number
//! timestamp  number, Unix seconds
//! ```
//!
//! What does not come back from this as it was is counted, see [`LossKind`].

#![expect(clippy::arithmetic_side_effects, reason = "counts what was written")]

mod back;
mod go;
mod loss;
#[cfg(test)]
mod tests;
mod text;

pub use back::{comes_back_as, printed_id};
pub use loss::{Loss, LossKind, lossless};
pub use text::{backup_text, print_id};

use crate::document::ID_FIELD;
use crate::document::bson::RawDocument;
use crate::document::ejson;
use crate::files::{AppendWriter, OutputFile};
use crate::index::portable::Listing;
use crate::index::{IndexDefinition, PortableIndex};
use crate::large::KEPT_BUFFER;
use crate::{Code, Error, Result};

/// Bytes of the buffer that the file is written from.
const WRITE_BUFFER: usize = 1 << 20;

/// Places that are kept of each kind of loss.
const FIRST_PLACES: usize = 3;

/// What the text follows where LauraDB's restorer does not mind. It reads both forms alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotForm {
    /// LauraDB's own encoder: names sorted, whole doubles without a point.
    Laura,
    /// What this tool reads back with the fewest changes: names in the document's order, whole
    /// doubles as `30.0`.
    Exact,
}

/// What stands before the collections.
#[derive(Clone, Debug)]
pub struct SnapshotHeader {
    /// RFC 3339.
    pub timestamp: String,
    /// Not empty.
    pub database_name: String,
    /// JSON text of an object; written unless it is `{}`.
    pub metadata: Option<String>,
}

/// Where something could not be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossPlace {
    /// The collection's name.
    pub collection: String,
    /// The document's `_id` for people, or the index's name.
    pub of: String,
    /// Dotted path of the field; empty for the document itself.
    pub path: String,
}

/// What the file does not carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LossTally {
    counts: [u64; LossKind::ALL.len()],
    /// Documents that will not come back as they are.
    pub documents: u64,
    places: Vec<(LossKind, LossPlace)>,
}

impl LossTally {
    /// How often.
    #[must_use]
    pub fn count(&self, kind: LossKind) -> u64 {
        self.counts.get(kind as usize).copied().unwrap_or_default()
    }

    /// Where first: up to three places.
    pub fn places(&self, kind: LossKind) -> impl Iterator<Item = &LossPlace> {
        let places = self.places.iter();
        places
            .filter(move |(of, _)| *of == kind)
            .map(|(_, place)| place)
    }

    /// True if everything comes back as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut kinds = LossKind::ALL.into_iter();
        !kinds.any(|kind| kind.changes_documents() && self.count(kind) > 0)
    }

    fn add(&mut self, kind: LossKind, place: impl FnOnce() -> LossPlace) {
        if let Some(count) = self.counts.get_mut(kind as usize) {
            *count += 1;
            if *count <= FIRST_PLACES as u64 {
                self.places.push((kind, place()));
            }
        }
    }
}

/// Writes a snapshot front to back.
#[derive(Debug)]
pub struct SnapshotWriter {
    out: AppendWriter,
    form: SnapshotForm,
    metadata: Option<String>,
    /// The open collection's name and indexes.
    open: Option<(String, Vec<PortableIndex>)>,
    collections: u64,
    documents: u64,
    text: Vec<u8>,
    losses: LossTally,
}

impl SnapshotWriter {
    /// Starts a snapshot in an empty file.
    ///
    /// # Errors
    /// A write fails.
    pub fn create(file: OutputFile, header: SnapshotHeader, form: SnapshotForm) -> Result<Self> {
        let mut text = b"{\"version\":\"1.0\",\"timestamp\":".to_vec();
        go::string(&header.timestamp, &mut text);
        text.extend_from_slice(b",\"database_name\":");
        go::string(&header.database_name, &mut text);
        text.extend_from_slice(b",\"collections\":[");
        let mut out = AppendWriter::new(file, 0, WRITE_BUFFER);
        out.append(&text)?;
        Ok(Self {
            out,
            form,
            metadata: header.metadata.filter(|metadata| metadata != "{}"),
            open: None,
            collections: 0,
            documents: 0,
            text,
            losses: LossTally::default(),
        })
    }

    /// Starts a collection; `indexes` without `_id_`.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; a write fails.
    pub fn begin_collection(&mut self, name: &str, indexes: Vec<PortableIndex>) -> Result<()> {
        if self.open.is_some() {
            return Err(out_of_turn());
        }
        self.text.clear();
        if self.collections > 0 {
            self.text.push(b',');
        }
        self.text.extend_from_slice(b"{\"name\":");
        go::string(name, &mut self.text);
        self.text.extend_from_slice(b",\"documents\":[");
        self.collections += 1;
        self.documents = 0;
        self.open = Some((name.to_owned(), indexes));
        self.out.append(&self.text)
    }

    /// Adds a document to the open collection.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; a write fails.
    pub fn document(&mut self, document: RawDocument<'_>) -> Result<()> {
        let Some((collection, _)) = &self.open else {
            return Err(out_of_turn());
        };
        self.text.clear();
        if self.documents > 0 {
            self.text.push(b',');
        }
        text::document(document, self.form, &mut self.text);
        self.documents += 1;
        let losses = &mut self.losses;
        let mut changed = false;
        loss::find(document, self.form, &mut |kind, path| {
            changed |= kind.changes_documents();
            losses.add(kind, || LossPlace {
                collection: collection.clone(),
                of: document
                    .get(ID_FIELD)
                    .map(ejson::display_id)
                    .unwrap_or_default(),
                path: path.to_string(),
            });
        });
        losses.documents += u64::from(changed);
        let appended = self.out.append(&self.text);
        self.text.clear();
        self.text.shrink_to(KEPT_BUFFER);
        appended
    }

    /// Ends the open collection.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; a write fails.
    pub fn end_collection(&mut self) -> Result<()> {
        let (collection, indexes) = self.open.take().ok_or_else(out_of_turn)?;
        self.text.clear();
        self.text.extend_from_slice(b"],\"indexes\":[");
        for (position, index) in indexes.iter().enumerate() {
            if position > 0 {
                self.text.push(b',');
            }
            go::html_safe(&index.listed_json(Listing::Snapshot), &mut self.text);
            if index
                .infer_types
                .is_some_and(|infer| infer != Default::default())
            {
                let IndexDefinition { name, .. } = &index.definition;
                self.losses.add(LossKind::IndexInferTypes, || LossPlace {
                    collection: collection.clone(),
                    of: name.clone(),
                    path: String::new(),
                });
            }
        }
        self.text.extend_from_slice(b"]}");
        self.out.append(&self.text)
    }

    /// Ends the snapshot and makes the file durable; the directory is the caller's.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; a write or the fsync fails.
    pub fn finish(mut self) -> Result<LossTally> {
        if self.open.is_some() {
            return Err(out_of_turn());
        }
        self.text.clear();
        self.text.push(b']');
        if let Some(metadata) = &self.metadata {
            self.text.extend_from_slice(b",\"metadata\":");
            go::html_safe(metadata, &mut self.text);
        }
        self.text.extend_from_slice(b"}\n");
        self.out.append(&self.text)?;
        self.out.sync()?;
        Ok(self.losses)
    }
}

fn out_of_turn() -> Error {
    Error::new(Code::Internal, "a snapshot is not written in order")
}
