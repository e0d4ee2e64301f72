//! Index statistics, one page of `metadata.db` per index.
//!
//! ```text
//! page type 0, record at data byte 0 (byte 16 of the page):
//! index_id u32 | total_entries u64 | unique_keys u64 | height u16 | leaf_nodes u32
//! | internal_nodes u32 | avg_key_size u32 | avg_value_size u32 | min_key bytes16 JSON
//! | max_key bytes16 JSON | last_updated i64 ns | cardinality f64 | scans u64 | seeks u64
//! | last_access i64 ns
//! ```
//!
//! An empty index has height 0 and empty `min_key` and `max_key`.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::page::{self, PAGE_HEADER_SIZE, PageBytes, PageError, PageType};
use super::record::{RecordReader, RecordWriter};

/// What is known of an index's contents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatisticsRecord {
    /// Id of the index in its collection.
    pub index_id: u32,
    /// Entries; of a text index its terms.
    pub total_entries: u64,
    /// Distinct keys.
    pub unique_keys: u64,
    /// Levels of the tree: 1 for a single leaf.
    pub height: u16,
    /// Leaves.
    pub leaf_nodes: u32,
    /// Inner nodes.
    pub internal_nodes: u32,
    /// Bytes of the stored keys divided by their number, rounded down.
    pub avg_key_size: u32,
    /// Bytes of the values divided by their number, rounded down.
    pub avg_value_size: u32,
    /// First key as JSON text; see the limits in the format: at most 1024 bytes.
    pub min_key: String,
    /// Last key as JSON text.
    pub max_key: String,
    /// Nanoseconds since 1970.
    pub last_updated_ns: i64,
    /// Unique keys / entries, 0 if there are none.
    pub cardinality: f64,
    /// Full scans since it was made.
    pub scans: u64,
    /// Look-ups since it was made.
    pub seeks: u64,
    /// Nanoseconds since 1970; 0 = never.
    pub last_access_ns: i64,
}

impl StatisticsRecord {
    /// Reads the record of a page whose header is checked.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn decode(page: &PageBytes) -> Result<Self, PageError> {
        let mut record = RecordReader::new(page, PAGE_HEADER_SIZE);
        Ok(Self {
            index_id: record.u32("index_id")?,
            total_entries: record.u64("total_entries")?,
            unique_keys: record.u64("unique_keys")?,
            height: record.u16("height")?,
            leaf_nodes: record.u32("leaf_nodes")?,
            internal_nodes: record.u32("internal_nodes")?,
            avg_key_size: record.u32("avg_key_size")?,
            avg_value_size: record.u32("avg_value_size")?,
            min_key: record.json16("min_key")?.to_owned(),
            max_key: record.json16("max_key")?.to_owned(),
            last_updated_ns: record.i64("last_updated")?,
            cardinality: record.f64("cardinality")?,
            scans: record.u64("scans")?,
            seeks: record.u64("seeks")?,
            last_access_ns: record.i64("last_access")?,
        })
    }

    /// Makes the page, all but its id and checksum; `None` if the keys are too long for it.
    pub fn encode(&self, page: &mut PageBytes) -> Option<()> {
        let mut record = RecordWriter::default();
        record
            .put(self.index_id.to_le_bytes())
            .put(self.total_entries.to_le_bytes())
            .put(self.unique_keys.to_le_bytes())
            .put(self.height.to_le_bytes())
            .put(self.leaf_nodes.to_le_bytes())
            .put(self.internal_nodes.to_le_bytes())
            .put(self.avg_key_size.to_le_bytes())
            .put(self.avg_value_size.to_le_bytes())
            .text16(&self.min_key)
            .text16(&self.max_key)
            .put(self.last_updated_ns.to_le_bytes())
            .put(self.cardinality.to_le_bytes())
            .put(self.scans.to_le_bytes())
            .put(self.seeks.to_le_bytes())
            .put(self.last_access_ns.to_le_bytes());
        page::begin(page, PageType::Data);
        record.fill(page, PAGE_HEADER_SIZE)
    }
}
