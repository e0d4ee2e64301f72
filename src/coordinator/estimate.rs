//! How large the files of a migration will be, before any of them is written.
//!
//! The size of BSON does not follow from that of JSON: `1` takes 8 bytes and a name, `[1,2,3]` six
//! times its text, an escaped string a sixth of it. So a sample is parsed: chunks spread evenly over
//! each collection, up to [`SAMPLE_CHUNKS`] in all but at least one of each collection until
//! [`SAMPLE_BYTES`] were read. Its documents are put into pages and their keys extracted just as the
//! migration will do it, and the result grows in proportion to the text, whose size is known exactly.
//! [`MARGIN_PERCENT`] are added to what is extrapolated; a collection that was parsed whole needs
//! none. A collection that the sample could not reach is taken for the most costly of the others.
//!
//! What the write-ahead log replaces is counted twice, as it stood and as it will be; a document of
//! the log is taken for an average one of its log. What is left out is less than a page for each
//! file, or made up for by the margin.

mod front;
mod index_costs;

use super::extract::Extractors;
use super::plan::PlannedCollection;
use crate::Result;
use crate::document::bson::RawDocument;
use crate::document::json::{DocumentContext, JsonConverter};
use crate::document::{InferTypes, ejson};
use crate::files::InputFile;
use crate::index::IndexKind;
use crate::v1::pages::JoinSummary;
use crate::v1::snapshot::Chunk;
use crate::v1::wal::{Overlay, WalSummary};
use crate::v2::metadata::{CollectionPlan, metadata_page_count};
use crate::v2::page::PAGE_SIZE;
use crate::v2::slotted::{MAX_SLOT_CONTENT, SlottedBuilder};
use crate::v2::{PageId, overflow};
use index_costs::{IndexCosts, IndexSampler};

/// Chunks that are parsed, over all collections.
const SAMPLE_CHUNKS: u64 = 64;

/// Text after which no further chunk is parsed, bytes.
const SAMPLE_BYTES: u64 = 8 << 20;

/// Text of a chunk after which the rest of it is passed over.
const CHUNK_BYTES: u64 = 32 << 10;
/// Text of a document that is read at all, bytes.
const MOST_TEXT: u64 = 256 << 20;

/// Added to what is extrapolated from a sample.
const MARGIN_PERCENT: u64 = 10;

/// A page, bytes.
const PAGE: u64 = PAGE_SIZE as u64;

/// Journal, checkpoint, plan, marker and the like: each up to a few times a chunk's entry in it.
const SMALL_FILES: u64 = 1 << 20;
/// What the plan and the checkpoint take for each chunk of the snapshot.
const CHUNK_ENTRY: u64 = 128;

/// What the files of a migration will take at most, bytes, as far as a sample can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SpaceEstimate {
    /// Staged `data.db`: documents and indexes.
    pub data: u64,
    /// Staged `metadata.db`; exact.
    pub metadata: u64,
    /// Sorted runs of index keys; gone when the indexes are built.
    pub sort_runs: u64,
    /// First keys of the nodes of the tree that is being built.
    pub separators: u64,
    /// Everything small.
    pub other: u64,
    /// A backup in MongoDB's canonical Extended JSON.
    pub backup: u64,
}

impl SpaceEstimate {
    /// What lies in the work directory at once, at most.
    #[must_use]
    pub fn work_directory(&self) -> u64 {
        [
            self.data,
            self.metadata,
            self.sort_runs,
            self.separators,
            self.other,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Parses a sample of the snapshot. Of a backup it only tells if there will be one.
    pub(super) fn sample(
        snapshot: Option<&InputFile>,
        collections: &[PlannedCollection],
        wal: Option<(&Overlay, &WalSummary)>,
        infer_types: InferTypes,
        has_backup: bool,
    ) -> Result<Self> {
        let mut sampler = Sampler::new(collections, infer_types, SAMPLE_CHUNKS);
        sampler.has_backup = has_backup;
        sampler.estimate(snapshot, collections, wal)
    }

    fn of_samples(
        collections: &[PlannedCollection],
        sampled: &[Sample],
        wal: Option<(&Overlay, &WalSummary)>,
    ) -> Result<Self> {
        let costliest = Costs::costliest(sampled);
        let wal_document = wal.map_or(0, |(_, summary)| average_record(summary));
        let mut estimate = Self {
            metadata: PAGE * u64::from(metadata_page_count(&metadata_plan(collections))?),
            other: SMALL_FILES,
            ..Self::default()
        };
        for (collection, sample) in collections.iter().zip(sampled) {
            estimate.add_snapshot(collection, sample, &costliest);
            if let Some((overlay, _)) = wal {
                let documents = overlay.touched(collection.overlay_number).documents;
                estimate.add_wal(documents, wal_document, sample, &costliest);
            }
        }
        Ok(estimate)
    }

    /// What pages of the source's `data.db` add to documents that take `text` bytes in the snapshot:
    /// recovered ones, and what arrays get back.
    pub(super) fn add_pages(&mut self, pages: &JoinSummary, text: u64) {
        let grown = pages.tally.document_bytes.saturating_sub(text);
        let recovered = pages.tally.recovered_bytes;
        let bytes = with_margin(recovered.max(grown));
        self.data += round_up(bytes) + PAGE * (1 + pages.groups.len() as u64);
        // An entry of `_id_` is about a quarter of a small document.
        self.data += with_margin(recovered / 4);
        self.sort_runs += with_margin(recovered / 4);
        self.backup += bytes.saturating_mul(2);
        let records = pages
            .candidates
            .iter()
            .map(|range| range.count)
            .sum::<u64>();
        self.other += records * 16 + pages.tally.recovered * 8;
    }

    fn add_snapshot(&mut self, collection: &PlannedCollection, sample: &Sample, other: &Costs) {
        self.other += collection.chunks.len() as u64 * CHUNK_ENTRY;
        let text = collection.text_bytes();
        if text == 0 {
            return;
        }
        let is_whole = sample.costs.text == text;
        let costs = if sample.costs.text == 0 {
            other
        } else {
            &sample.costs
        };
        let grown = |bytes: u64| {
            let bytes = scale(bytes, text, costs.text);
            if is_whole { bytes } else { with_margin(bytes) }
        };
        self.data += round_up(grown(costs.page_bytes)) + PAGE;
        self.backup += grown(costs.backup);
        for index in &costs.indexes {
            let index = if is_whole { *index } else { index.grown(grown) };
            self.add_index(&index, collection.documents);
        }
        let counts_terms = costs.indexes.iter().any(IndexCosts::is_text);
        if sample.costs.text == 0 && sample.has_text_indexes && !counts_terms {
            // Terms that could not be counted: a posting and its term take some thirty bytes, a
            // sort record some twenty, and a word six.
            self.data += grown(costs.bson.saturating_mul(5));
            self.sort_runs += grown(costs.bson.saturating_mul(4));
        }
    }

    fn add_wal(&mut self, documents: u64, bytes: u64, sample: &Sample, other: &Costs) {
        if documents == 0 {
            return;
        }
        let costs = if sample.costs.documents == 0 {
            other
        } else {
            &sample.costs
        };
        let bson = documents.saturating_mul(bytes);
        // Documents of more than half a page may leave the rest of theirs empty.
        let pages = match bytes {
            0..2048 => with_margin(bson),
            2048.. => bson.saturating_mul(2),
        };
        self.data += round_up(pages) + PAGE;
        self.backup += bson.saturating_mul(2);
        if costs.documents == 0 {
            // Nothing to go by: a collection that only the log has, with `_id_` alone.
            let key = bytes.min(64);
            let id = IndexCosts::keys(documents, documents * key, documents * (key + 16));
            return self.add_index(&id, documents);
        }
        for index in &costs.indexes {
            let per_document = |count| with_margin(scale(count, documents, costs.documents));
            let added = index.added(|count| match index.is_text() {
                // Longer documents have more words, but no more keys.
                true => per_document(count).max(with_margin(scale(count, bson, costs.bson))),
                false => per_document(count),
            });
            self.add_index(&added, documents);
        }
    }

    fn add_index(&mut self, index: &IndexCosts, documents: u64) {
        let space = index.space(documents);
        self.data = self.data.saturating_add(space.data);
        self.sort_runs = self.sort_runs.saturating_add(space.sort_runs);
        // Those of a tree stay until all trees are built.
        self.separators = self.separators.saturating_add(space.separators);
    }
}

/// What a sampled part of a collection comes to.
#[derive(Clone, Debug, Default)]
struct Costs {
    /// Snapshot text that was parsed.
    text: u64,
    documents: u64,
    bson: u64,
    /// Slotted and overflow pages, the last one as far as it is filled.
    page_bytes: u64,
    backup: u64,
    indexes: Vec<IndexCosts>,
}

impl Costs {
    /// The sample that takes the most bytes for its text.
    fn costliest(samples: &[Sample]) -> Self {
        let sampled = samples.iter().map(|sample| &sample.costs);
        sampled
            .filter(|costs| costs.text > 0)
            .max_by_key(|costs| {
                let keys = costs.indexes.iter().map(IndexCosts::weight);
                scale(costs.page_bytes + keys.sum::<u64>(), 1 << 20, costs.text)
            })
            .cloned()
            .unwrap_or_default()
    }
}

#[derive(Debug)]
struct Sample {
    costs: Costs,
    has_text_indexes: bool,
}

impl Sample {
    fn new(collection: &PlannedCollection) -> Self {
        Self {
            costs: Costs::default(),
            has_text_indexes: collection
                .indexes
                .iter()
                .any(|index| index.kind == IndexKind::Text),
        }
    }
}

/// Parses chunks of one collection after the other.
struct Sampler {
    converter: JsonConverter,
    infer_types: InferTypes,
    /// How many to parse, over all collections.
    chunks: u64,
    /// Text of all collections.
    total_text: u64,
    read: u64,
    text: Vec<u8>,
    bson: Vec<u8>,
    /// Lines of a backup are counted too.
    has_backup: bool,
    line: Vec<u8>,
}

impl Sampler {
    fn new(collections: &[PlannedCollection], infer_types: InferTypes, chunks: u64) -> Self {
        Self {
            converter: JsonConverter::new(infer_types),
            infer_types,
            chunks,
            total_text: collections.iter().map(PlannedCollection::text_bytes).sum(),
            read: 0,
            text: Vec::new(),
            bson: Vec::new(),
            has_backup: false,
            line: Vec::new(),
        }
    }

    fn estimate(
        mut self,
        snapshot: Option<&InputFile>,
        collections: &[PlannedCollection],
        wal: Option<(&Overlay, &WalSummary)>,
    ) -> Result<SpaceEstimate> {
        let mut sampled: Vec<Sample> = collections.iter().map(Sample::new).collect();
        if let Some(file) = snapshot {
            // Where the sample ends early, it has at least the collections that matter.
            let mut largest_first: Vec<_> = collections.iter().zip(&mut sampled).collect();
            largest_first.sort_by_key(|(collection, _)| std::cmp::Reverse(collection.text_bytes()));
            for (collection, sample) in largest_first {
                self.collection(file, collection, sample)?;
            }
        }
        SpaceEstimate::of_samples(collections, &sampled, wal)
    }

    fn collection(
        &mut self,
        file: &InputFile,
        collection: &PlannedCollection,
        sample: &mut Sample,
    ) -> Result<()> {
        let mut indexes = (
            Extractors::new(collection, self.infer_types)?,
            IndexSampler::new(collection),
        );
        let mut pages = PageCounter::new();
        let chunks = collection.chunks.len() as u64;
        let share = scale(self.chunks, collection.text_bytes(), self.total_text);
        let wanted = share.clamp(1, chunks.max(1));
        for number in 0..wanted.min(chunks) {
            if self.read >= SAMPLE_BYTES {
                break;
            }
            // In the middle of each of the parts that the collection is divided into.
            let at = (2 * number + 1) * chunks / (2 * wanted);
            let chunk = usize::try_from(at)
                .ok()
                .and_then(|at| collection.chunks.get(at));
            if let Some(chunk) = chunk {
                self.chunk(
                    file,
                    collection,
                    *chunk,
                    &mut indexes,
                    &mut pages,
                    &mut sample.costs,
                )?;
            }
        }
        sample.costs.indexes = indexes.1.finish();
        sample.costs.page_bytes = pages.bytes();
        Ok(())
    }

    /// Parses a chunk, up to the first document that does not parse: that one's error is for the
    /// migration to report.
    fn chunk(
        &mut self,
        file: &InputFile,
        collection: &PlannedCollection,
        chunk: Chunk,
        indexes: &mut (Extractors, IndexSampler),
        pages: &mut PageCounter,
        costs: &mut Costs,
    ) -> Result<()> {
        self.read += chunk.bytes;
        if chunk.bytes > MOST_TEXT {
            // A document that goes to quarantine without being read.
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.text);
        bytes.resize(usize::try_from(chunk.bytes).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut bytes, chunk.offset)?;
        let Ok(text) = simdutf8::basic::from_utf8(&bytes) else {
            return Ok(());
        };
        let mut rest = text;
        let enough = costs.text + CHUNK_BYTES;
        for number in 0..u64::from(chunk.documents) {
            let document = rest.trim_start_matches([',', ' ', '\t', '\n', '\r']);
            let context = DocumentContext {
                collection: &collection.v1_name,
                ordinal: chunk.first_ordinal + number,
            };
            self.bson.clear();
            let Ok(converted) = self.converter.convert(document, &context, &mut self.bson) else {
                return Ok(());
            };
            let after = document.get(converted.text_bytes..).unwrap_or_default();
            costs.text += (rest.len() - after.len()) as u64;
            rest = after;
            let bson = std::mem::take(&mut self.bson);
            let counted = self.document(RawDocument::trusted(&bson), indexes, pages, costs);
            self.bson = bson;
            counted?;
            if costs.text >= enough {
                break;
            }
        }
        self.text = bytes;
        Ok(())
    }

    /// Counts what a document comes to.
    fn document(
        &mut self,
        document: RawDocument<'_>,
        (extractors, indexes): &mut (Extractors, IndexSampler),
        pages: &mut PageCounter,
        costs: &mut Costs,
    ) -> Result<()> {
        costs.documents += 1;
        costs.bson += document.as_bytes().len() as u64;
        pages.insert(document.as_bytes());
        if self.has_backup {
            self.line.clear();
            ejson::write_document(document, &mut self.line);
            costs.backup += self.line.len() as u64 + 1;
        }
        extractors.extract(document, |number, taken| indexes.add(number, taken))
    }
}

/// Counts the pages that documents take one after the other, as the writer fills them.
struct PageCounter {
    builder: SlottedBuilder,
    pages: u64,
}

impl PageCounter {
    fn new() -> Self {
        Self {
            builder: SlottedBuilder::new(1),
            pages: 0,
        }
    }

    fn insert(&mut self, document: &[u8]) {
        if document.len() <= MAX_SLOT_CONTENT {
            if self.builder.try_insert(document).is_none() {
                self.close();
                self.builder.try_insert(document);
            }
            return;
        }
        let Some(head) = overflow::plan_chain(document, PageId(1)) else {
            return;
        };
        self.pages += u64::from(head.page_count());
        if self.builder.try_insert_overflow(head).is_none() {
            self.close();
            self.builder.try_insert_overflow(head);
        }
    }

    fn close(&mut self) {
        self.builder.finish();
        self.pages += 1;
    }

    /// Of all pages, the open one as far as it is filled.
    fn bytes(&self) -> u64 {
        let free = self.builder.free().unwrap_or_default();
        let filled = MAX_SLOT_CONTENT.saturating_sub(free);
        self.pages * PAGE + u64::try_from(filled).unwrap_or(PAGE)
    }
}

/// `bytes * part / whole`, rounded up; 0 of nothing.
fn scale(bytes: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let scaled = (u128::from(bytes) * u128::from(part)).div_ceil(u128::from(whole));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn with_margin(bytes: u64) -> u64 {
    bytes.saturating_add(scale(bytes, MARGIN_PERCENT, 100))
}

fn round_up(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE).saturating_mul(PAGE)
}

/// Bytes of an average insert or update record; deletes, which are smaller, count for nothing.
fn average_record(summary: &WalSummary) -> u64 {
    let documents = summary.records.insert + summary.records.update;
    summary.bytes.checked_div(documents).unwrap_or_default()
}

fn metadata_plan(collections: &[PlannedCollection]) -> Vec<CollectionPlan> {
    let plan = collections.iter().map(|collection| CollectionPlan {
        name: collection.name.clone(),
        index_count: u16::try_from(collection.indexes.len()).unwrap_or(u16::MAX),
    });
    plan.collect()
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
