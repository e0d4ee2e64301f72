//! The record of an index.
//!
//! ```text
//! page type 0, record at data byte 16 (byte 32 of the page), 4064 bytes at most:
//! index_id u32 | collection_id u32 | name str16
//! | type u8                 0 btree, 1 hash, 2 text, 3 2d, 4 2dsphere
//! | field_count u16 | fields str16[field_count]
//! | flags u8                1 unique, 2 sparse, 4 partial
//! | partial_filter str16    JSON, empty without flag 4
//! | created i64 ns
//! | root_page u32           in data.db, 0 = the index is empty
//! | entry_count u64
//! | order u16               most keys in any node, plus 1
//! | has_options u8 [bytes16 JSON object]
//! ```
//!
//! A TTL index is a btree whose options hold `expireAfterSeconds`.

use crate::document::InferTypes;
use crate::index::{IndexDefinition, IndexKind, TextTotals, infer_types_of};
use crate::v2::address::PageId;
use crate::v2::page::{self, PageBytes, PageError, PageType};
use crate::v2::record::{RECORD_CAPACITY, RECORD_START, RecordReader, RecordWriter};
use crate::{Code, Error, Place, Result};
use serde::Deserialize;

const UNIQUE: u8 = 1;
const SPARSE: u8 = 2;
const PARTIAL: u8 = 4;

/// The types of index that records know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are LauraDB's")]
pub enum IndexType {
    Btree = 0,
    Hash = 1,
    Text = 2,
    Geo2d = 3,
    Geo2dSphere = 4,
}

impl IndexType {
    fn from_u8(number: u8) -> Option<Self> {
        let all = [
            Self::Btree,
            Self::Hash,
            Self::Text,
            Self::Geo2d,
            Self::Geo2dSphere,
        ];
        all.get(usize::from(number)).copied()
    }
}

/// The options text of an index, taken apart; [`IndexDefinition::options_json`] writes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexOptions {
    /// Of a TTL index: seconds, 0 or more.
    #[serde(default)]
    pub expire_after_seconds: Option<i64>,
    /// Of a partial index: how the constants of its filter are typed.
    #[serde(default)]
    pub infer_types: Option<Vec<String>>,
    /// Of a text index: documents with at least one of the fields as a string.
    #[serde(default)]
    pub total_docs: Option<u64>,
    /// Of a text index: kept tokens of all documents.
    #[serde(default)]
    pub total_length: Option<u64>,
    /// Further keys; none of those above.
    #[serde(flatten)]
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// What building an index adds to its definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuiltIndex {
    /// In `data.db`; 0 = empty.
    pub root_page: PageId,
    /// Entries; of a text index its terms.
    pub entry_count: u64,
    /// Most keys in any node, plus 1.
    pub order: u16,
    /// Of a text index: `totalDocs` and `totalLength`.
    pub text_totals: Option<TextTotals>,
}

/// An index as its metadata page describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRecord {
    /// From 1 on in each collection.
    pub index_id: u32,
    /// The collection's id.
    pub collection_id: u32,
    /// Unique in its collection.
    pub name: String,
    /// What is built.
    pub index_type: IndexType,
    /// Field paths.
    pub fields: Vec<String>,
    /// No two equal keys.
    pub unique: bool,
    /// Stored; changes nothing.
    pub sparse: bool,
    /// A partial index: its filter as JSON text.
    pub filter: Option<String>,
    /// Nanoseconds since 1970.
    pub created_ns: i64,
    /// In `data.db`; 0 = empty.
    pub root_page: PageId,
    /// Entries.
    pub entry_count: u64,
    /// Most keys in any node, plus 1.
    pub order: u16,
    /// Options as JSON text, an object; see [`IndexOptions`].
    pub options: Option<String>,
}

impl IndexRecord {
    /// The record of an index that this tool built from a definition. `infer_types` goes to the
    /// options of a partial index; keys of `config` that this tool uses itself are left out.
    #[must_use]
    pub fn new(
        definition: &IndexDefinition,
        (collection_id, index_id): (u32, u32),
        created_ns: i64,
        infer_types: InferTypes,
        built: BuiltIndex,
    ) -> Self {
        let index_type = match definition.kind {
            IndexKind::Btree | IndexKind::Ttl { .. } => IndexType::Btree,
            IndexKind::Text => IndexType::Text,
            IndexKind::Geo2d => IndexType::Geo2d,
            IndexKind::Geo2dSphere => IndexType::Geo2dSphere,
        };
        Self {
            index_id,
            collection_id,
            name: definition.name.clone(),
            index_type,
            fields: definition.fields.clone(),
            unique: definition.unique,
            sparse: definition.sparse,
            filter: definition.filter.clone(),
            created_ns,
            root_page: built.root_page,
            entry_count: built.entry_count,
            order: built.order,
            options: definition.options_json(infer_types, built.text_totals),
        }
    }

    /// Checks before anything is built that the record of an index will fit its page, whatever
    /// its totals turn out to be.
    ///
    /// # Errors
    /// [`Code::IndexTooLarge`], naming the index.
    pub fn check_fits(definition: &IndexDefinition, infer_types: InferTypes) -> Result<()> {
        let text = definition.kind == IndexKind::Text;
        let built = BuiltIndex {
            text_totals: text.then_some(TextTotals {
                documents: u64::MAX,
                length: u64::MAX,
            }),
            ..BuiltIndex::default()
        };
        let size = Self::new(definition, (0, 0), 0, infer_types, built)
            .fields()
            .len();
        if size <= RECORD_CAPACITY {
            return Ok(());
        }
        let sentence = format!(
            "the index's metadata needs {size} bytes, but a metadata page has {RECORD_CAPACITY}"
        );
        Err(Error::new(Code::IndexTooLarge, sentence)
            .at(Place::default().in_index(&*definition.name))
            .hint("shorten its name, field paths, filter or config, or leave it out with --skip-index"))
    }

    /// The options, parsed; `None` if a key that this tool uses has a value it does not write.
    #[must_use]
    pub fn parsed_options(&self) -> Option<IndexOptions> {
        serde_json::from_str(self.options.as_deref().unwrap_or("{}")).ok()
    }

    /// Brings the totals of a text index up to date; nothing for others.
    pub fn set_text_totals(&mut self, totals: TextTotals) {
        let (Some(definition), Some(options)) = (self.definition(), self.parsed_options()) else {
            return;
        };
        let infer = options.infer_types.as_deref().and_then(infer_types_of);
        self.options = definition.options_json(infer.unwrap_or_default(), Some(totals));
    }

    /// What the index is, without what was built; `None` for a hash index, or if its options do
    /// not parse.
    #[must_use]
    pub fn definition(&self) -> Option<IndexDefinition> {
        let options = self.parsed_options()?;
        let kind = match (self.index_type, options.expire_after_seconds) {
            (IndexType::Btree, None) => IndexKind::Btree,
            (IndexType::Btree, Some(expire_after_seconds)) => IndexKind::Ttl {
                expire_after_seconds,
            },
            (IndexType::Text, _) => IndexKind::Text,
            (IndexType::Geo2d, _) => IndexKind::Geo2d,
            (IndexType::Geo2dSphere, _) => IndexKind::Geo2dSphere,
            (IndexType::Hash, _) => return None,
        };
        Some(IndexDefinition {
            name: self.name.clone(),
            kind,
            fields: self.fields.clone(),
            unique: self.unique,
            sparse: self.sparse,
            filter: self.filter.clone(),
            config: (!options.config.is_empty()).then_some(options.config),
        })
    }

    /// Reads the record of a page whose header is checked.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn decode(page: &PageBytes) -> Result<Self, PageError> {
        let mut record = RecordReader::new(page, RECORD_START);
        let index_id = record.u32("index_id")?;
        let collection_id = record.u32("collection_id")?;
        let name = record.text16("index name")?.to_owned();
        let at = record.offset();
        let number = record.u8("index type")?;
        let index_type = IndexType::from_u8(number)
            .ok_or_else(|| PageError::field(at, "index type", number, "0 to 4"))?;
        // Grows with what is there: a count beyond the page ends at the page's end.
        let field_count = record.u16("field_count")?;
        let fields = (0..field_count).map(|_| record.text16("field path").map(str::to_owned));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let at = record.offset();
        let flags = record.u8("index flags")?;
        if flags & !(UNIQUE | SPARSE | PARTIAL) != 0 {
            let expected = "a sum of 1 (unique), 2 (sparse), 4 (partial)";
            return Err(PageError::field(at, "index flags", flags, expected));
        }
        let at = record.offset();
        let filter = record.json16("partial_filter")?;
        let partial = flags & PARTIAL != 0;
        if partial == filter.is_empty() {
            let expected = "0, unless the index is partial";
            let found = filter.len() as u64;
            return Err(PageError::field(
                at,
                "partial_filter length",
                found,
                expected,
            ));
        }
        Ok(Self {
            index_id,
            collection_id,
            name,
            index_type,
            fields,
            unique: flags & UNIQUE != 0,
            sparse: flags & SPARSE != 0,
            filter: partial.then(|| filter.to_owned()),
            created_ns: record.i64("created")?,
            root_page: PageId(record.u32("root_page")?),
            entry_count: record.u64("entry_count")?,
            order: record.u16("order")?,
            options: decode_options(&mut record)?,
        })
    }

    /// Makes the page, all but its id and checksum; `None` if the record does not fit.
    pub fn encode(&self, page: &mut PageBytes) -> Option<()> {
        page::begin(page, PageType::Data);
        self.fields().fill(page, RECORD_START)
    }

    fn fields(&self) -> RecordWriter {
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(self.unique, UNIQUE)
            | flag(self.sparse, SPARSE)
            | flag(self.filter.is_some(), PARTIAL);
        let field_count = u16::try_from(self.fields.len()).unwrap_or(u16::MAX);
        let mut record = RecordWriter::default();
        record
            .put(self.index_id.to_le_bytes())
            .put(self.collection_id.to_le_bytes())
            .text16(&self.name)
            .put([self.index_type as u8])
            .put(field_count.to_le_bytes());
        for field in &self.fields {
            record.text16(field);
        }
        record
            .put([flags])
            .text16(self.filter.as_deref().unwrap_or_default())
            .put(self.created_ns.to_le_bytes())
            .put(self.root_page.0.to_le_bytes())
            .put(self.entry_count.to_le_bytes())
            .put(self.order.to_le_bytes())
            .optional_json(self.options.as_deref());
        record
    }
}

fn decode_options(record: &mut RecordReader<'_>) -> Result<Option<String>, PageError> {
    let Some((text, offset)) = record.optional_json("index options")? else {
        return Ok(None);
    };
    if serde_json::from_str::<serde_json::Map<_, _>>(text).is_err() {
        return Err(PageError::Text {
            offset,
            field: "index options",
            expected: "JSON object",
        });
    }
    Ok(Some(text.to_owned()))
}
