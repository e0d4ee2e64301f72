//! Searching the text and geo indexes of a v2 directory.
//!
//! ```no_run
//! # fn main() -> laura_migrate::Result<()> {
//! use laura_migrate::files::{Dir, Gate};
//! use laura_migrate::index::published::PublishedIndexes;
//!
//! let directory = Dir::open("data".as_ref(), Gate::open())?;
//! let indexes = PublishedIndexes::open(&directory)?;
//! for (address, score) in indexes.text("products", "title_text")?.search("quick fox")? {
//!     println!("{score} {:?}", indexes.document(address)?);
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::definition::{IndexDefinition, IndexKind};
use super::extract::{DocumentFilter, Extraction};
use super::filter::Filter;
use super::geo::{GeoReader, Point, PointExtractor, Points};
use super::options::{TextTotals, infer_types_of};
use super::text::{StoredLongTerms, TextExtractor, TextReader};
use crate::document::bson::RawDocument;
use crate::files::Dir;
use crate::layout;
use crate::v2::DocumentAddress;
use crate::v2::btree::TreeIds;
use crate::v2::data_file::DocumentReader;
use crate::v2::metadata::{IndexRecord, MetadataReader};
use crate::v2::page::ChecksumPolicy;
use crate::v2::page_file::PageFileReader;
use crate::{Code, Error, Place, Result};
use std::sync::Arc;

/// The indexes of a v2 directory, as its pages hold them; what its `wal.log` holds beyond that is
/// not seen.
#[derive(Debug)]
pub struct PublishedIndexes {
    metadata: MetadataReader,
    data: PageFileReader,
}

impl PublishedIndexes {
    /// Opens the directory's metadata and data.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn open(directory: &Dir) -> Result<Self> {
        let open = |name: &str| directory.open_file(name);
        let policy = ChecksumPolicy::Optional;
        Ok(Self {
            metadata: MetadataReader::open(open(layout::METADATA_FILE)?, policy)?,
            data: PageFileReader::open(open(layout::DATA_FILE)?, policy)?,
        })
    }

    /// The BSON of a document.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] where there is none; a read fails.
    pub fn document(&self, address: DocumentAddress) -> Result<Vec<u8>> {
        document(&self.data, address)
    }

    /// A text index by its name and its collection's.
    ///
    /// # Errors
    /// [`Code::IndexMissing`]; a metadata record is damaged.
    pub fn text(&self, collection: &str, index: &str) -> Result<TextSearch<'_>> {
        let found = self.find(collection, index, "text", |kind| kind == IndexKind::Text)?;
        let options = found.record.parsed_options().unwrap_or_default();
        let extractor = TextExtractor::new(&found.definition, found.filter()?)?;
        Ok(TextSearch {
            data: &self.data,
            totals: TextTotals {
                documents: options.total_docs.unwrap_or_default(),
                length: options.total_length.unwrap_or_default(),
            },
            long_terms: StoredLongTerms::new(self.data.clone(), extractor),
            record: found.record,
        })
    }

    /// A geo index by its name and its collection's.
    ///
    /// # Errors
    /// [`Code::IndexMissing`]; a metadata record is damaged.
    pub fn geo(&self, collection: &str, index: &str) -> Result<GeoSearch<'_>> {
        let is_geo = |kind| matches!(kind, IndexKind::Geo2d | IndexKind::Geo2dSphere);
        let found = self.find(collection, index, "geo", is_geo)?;
        let extractor = PointExtractor::new(&found.definition, found.filter()?)?;
        Ok(GeoSearch {
            kind: found.definition.kind,
            record: found.record,
            points: StoredPoints {
                data: &self.data,
                extractor,
            },
        })
    }

    fn find(
        &self,
        collection: &str,
        index: &str,
        what: &str,
        is_wanted: impl Fn(IndexKind) -> bool,
    ) -> Result<Found> {
        let place = || {
            let file = Place::file(self.metadata.file().path());
            file.in_collection(collection).in_index(index)
        };
        let mut entries = self.metadata.collections();
        let entry = entries.find(|entry| entry.name == collection);
        let loaded = entry.map(|entry| self.metadata.load(entry)).transpose()?;
        let mut indexes = loaded.into_iter().flat_map(|loaded| loaded.indexes);
        let found = indexes.find(|found| found.record.name == index);
        let found = found.and_then(|found| {
            let definition = found.record.definition()?;
            is_wanted(definition.kind).then_some(Found {
                record: found.record,
                definition,
            })
        });
        found.ok_or_else(|| {
            let sentence = format!("the directory has no such {what} index");
            Error::new(Code::IndexMissing, sentence).at(place())
        })
    }
}

/// An index by its metadata.
struct Found {
    record: IndexRecord,
    definition: IndexDefinition,
}

impl Found {
    /// What the definition's filter means, typed as the record says.
    fn filter(&self) -> Result<Option<Arc<dyn DocumentFilter>>> {
        let Some(text) = &self.definition.filter else {
            return Ok(None);
        };
        let options = self.record.parsed_options().unwrap_or_default();
        let names = options.infer_types.unwrap_or_default();
        let infer_types = infer_types_of(&names).ok_or_else(|| {
            let sentence = "the options of a partial index name types that there are not";
            Error::new(Code::CatalogDamaged, sentence)
                .at(Place::default().in_index(&self.record.name))
        })?;
        Ok(Some(Arc::new(Filter::parse(text, infer_types))))
    }
}

fn ids(record: &IndexRecord) -> TreeIds {
    TreeIds {
        index_id: record.index_id,
        collection_id: record.collection_id,
    }
}

fn document(data: &PageFileReader, address: DocumentAddress) -> Result<Vec<u8>> {
    let mut reader = DocumentReader::new(data);
    let document = reader.read(address)?.map(<[u8]>::to_vec);
    document.ok_or_else(|| {
        let place = Place::page(data.path(), address.page.0).with_slot(address.slot.0);
        Error::new(Code::PageDamaged, "the slot is marked deleted").at(place)
    })
}

/// A text index that can be searched.
#[derive(Debug)]
pub struct TextSearch<'d> {
    data: &'d PageFileReader,
    record: IndexRecord,
    totals: TextTotals,
    long_terms: StoredLongTerms,
}

impl TextSearch<'_> {
    /// The index's metadata.
    #[must_use]
    pub fn record(&self) -> &IndexRecord {
        &self.record
    }

    /// Documents with any term of the query, by BM25: the best first, equal ones by address.
    ///
    /// # Errors
    /// A page cannot be read or is damaged.
    pub fn search(&self, query: &str) -> Result<Vec<(DocumentAddress, f64)>> {
        self.reader().search(query)
    }

    /// The reader below.
    #[must_use]
    pub fn reader(&self) -> TextReader<'_, PageFileReader> {
        let (root, ids) = (self.record.root_page, ids(&self.record));
        TextReader::new(self.data, root, ids, self.totals, &self.long_terms)
    }
}

/// A geo index that can be searched.
#[derive(Debug)]
pub struct GeoSearch<'d> {
    record: IndexRecord,
    kind: IndexKind,
    points: StoredPoints<'d>,
}

impl GeoSearch<'_> {
    /// The index's metadata.
    #[must_use]
    pub fn record(&self) -> &IndexRecord {
        &self.record
    }

    /// Documents whose point lies in the box between two corners, borders included, by address.
    ///
    /// # Errors
    /// A page or document cannot be read or is damaged.
    pub fn within_box(&self, min: Point, max: Point) -> Result<Vec<DocumentAddress>> {
        self.reader(self.points.data).within_box(min, max)
    }

    /// The `limit` documents nearest to a point, no farther than `max_distance`, with their
    /// distances: in metres on the earth, else in the unit of the coordinates.
    ///
    /// # Errors
    /// A page or document cannot be read or is damaged.
    pub fn near(
        &self,
        center: Point,
        max_distance: f64,
        limit: usize,
    ) -> Result<Vec<(DocumentAddress, f64)>> {
        self.reader(self.points.data)
            .near(center, max_distance, limit)
    }

    /// The reader below, over another source of the same pages.
    pub fn reader<'s, S>(&'s self, pages: &'s S) -> GeoReader<'s, S>
    where
        S: crate::v2::btree::PageSource + ?Sized,
    {
        let (root, ids) = (self.record.root_page, ids(&self.record));
        GeoReader::new(pages, root, ids, self.kind, &self.points)
    }
}

/// Points of the documents in a data file.
#[derive(Debug)]
struct StoredPoints<'d> {
    data: &'d PageFileReader,
    extractor: PointExtractor,
}

impl Points for StoredPoints<'_> {
    fn point(&self, address: DocumentAddress) -> Result<Point> {
        let bson = document(self.data, address)?;
        match self.extractor.extract(RawDocument::trusted(&bson)) {
            (Extraction::Key, Some(point)) => Ok(point),
            _ => {
                let place = Place::page(self.data.path(), address.page.0);
                let sentence = "a document in a geo index has no point";
                Err(Error::new(Code::PageDamaged, sentence).at(place.with_slot(address.slot.0)))
            }
        }
    }
}
