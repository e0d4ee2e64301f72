//! The record of a collection.
//!
//! ```text
//! page type 0, record at data byte 16 (byte 32 of the page), 4064 bytes at most:
//! collection_id u32 | name str16 | created i64 ns | document_count u64
//! | data_size u64           sum of the BSON lengths
//! | index_count u16         with _id_
//! | first_data_page u32     its first slotted page in data.db, 0 = no documents
//! | statistics_page u32     of its first index
//! | has_schema u8 [bytes16 JSON] | has_options u8 [bytes16 JSON]
//! ```

use super::options::CollectionOptions;
use crate::v2::address::PageId;
use crate::v2::page::{self, PageBytes, PageError, PageType};
use crate::v2::record::{RECORD_START, RecordReader, RecordWriter};

/// A collection as its metadata page describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectionRecord {
    /// From 1 on.
    pub collection_id: u32,
    /// As in the catalog.
    pub name: String,
    /// Nanoseconds since 1970.
    pub created_ns: i64,
    /// Live documents.
    pub document_count: u64,
    /// Sum of their BSON lengths.
    pub data_size: u64,
    /// Indexes, `_id_` included.
    pub index_count: u16,
    /// First slotted page in `data.db`; 0 = no documents.
    pub first_data_page: PageId,
    /// Statistics of the first index; those of the others follow.
    pub statistics_page: PageId,
    /// LauraDB's validation schema as JSON text; none after a migration.
    pub schema: Option<String>,
    /// Options.
    pub options: Option<CollectionOptions>,
}

impl CollectionRecord {
    /// Reads the record of a page whose header is checked.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn decode(page: &PageBytes) -> Result<Self, PageError> {
        let mut record = RecordReader::new(page, RECORD_START);
        Ok(Self {
            collection_id: record.u32("collection_id")?,
            name: record.text16("collection name")?.to_owned(),
            created_ns: record.i64("created")?,
            document_count: record.u64("document_count")?,
            data_size: record.u64("data_size")?,
            index_count: record.u16("index_count")?,
            first_data_page: PageId(record.u32("first_data_page")?),
            statistics_page: PageId(record.u32("statistics_page")?),
            schema: record
                .optional_json("schema")?
                .map(|(text, _)| text.to_owned()),
            options: record
                .optional_json("collection options")?
                .map(|(text, offset)| {
                    serde_json::from_str(text).map_err(|_| PageError::Text {
                        offset,
                        field: "collection options",
                        expected: "JSON with the options of a collection",
                    })
                })
                .transpose()?,
        })
    }

    /// Makes the page, all but its id and checksum; `None` if the record does not fit.
    pub fn encode(&self, page: &mut PageBytes) -> Option<()> {
        let options = self.options.as_ref().map(CollectionOptions::to_json);
        let mut record = RecordWriter::default();
        record
            .put(self.collection_id.to_le_bytes())
            .text16(&self.name)
            .put(self.created_ns.to_le_bytes())
            .put(self.document_count.to_le_bytes())
            .put(self.data_size.to_le_bytes())
            .put(self.index_count.to_le_bytes())
            .put(self.first_data_page.0.to_le_bytes())
            .put(self.statistics_page.0.to_le_bytes())
            .optional_json(self.schema.as_deref())
            .optional_json(options.as_deref());
        page::begin(page, PageType::Data);
        record.fill(page, RECORD_START)
    }
}
