//! `metadata.db` and `wal.log` of the staged directory, and reading them back.

use super::indexes::{Built, BuiltCollection, BuiltTree};
use super::plan::{Plan, PlannedCollection};
use super::work::{STAGED_METADATA, STAGED_WAL, WorkDir};
use crate::v1::wal::fresh_wal;
use crate::v2::PageId;
use crate::v2::metadata::{
    BuiltIndex, CollectionOptions, CollectionPlan, CollectionRecord, ContentDigest, Extent,
    IndexMetadata, IndexRecord, MetadataReader, MetadataWriter,
};
use crate::v2::page::ChecksumPolicy;
use crate::v2::statistics::StatisticsRecord;
use crate::{Code, Error, Place, Result};

/// Bytes of the buffer that metadata pages are written from.
const WRITE_BUFFER: usize = 256 << 10;

/// Writes both files and makes them durable.
pub(super) fn write(plan: &Plan, work: &WorkDir, built: &Built) -> Result<()> {
    let layout = layout_of(plan)?;
    // An interrupted run may have come as far.
    work.remove_file(STAGED_METADATA)?;
    work.remove_file(STAGED_WAL)?;
    let file = work.create_file(STAGED_METADATA, work.access)?;
    let mut writer = MetadataWriter::create(file, &layout, WRITE_BUFFER)?;
    for (planned, built) in plan.collections.iter().zip(&built.collections) {
        let (record, indexes) = records(plan, planned, built);
        writer.write_collection(&record, &indexes)?;
    }
    writer.finish()?;
    let wal = work.create_file(STAGED_WAL, work.access)?;
    wal.write_all_at(&fresh_wal(), 0)?;
    wal.sync()?;
    work.sync()
}

fn layout_of(plan: &Plan) -> Result<Vec<CollectionPlan>> {
    let too_many = |collection: &PlannedCollection| {
        Error::new(
            Code::LimitExceeded,
            "a collection has more than 65535 indexes",
        )
        .at(Place::default().in_collection(&collection.name))
    };
    plan.collections
        .iter()
        .map(|collection| {
            let index_count = u16::try_from(collection.indexes.len());
            Ok(CollectionPlan {
                name: collection.name.clone(),
                index_count: index_count.map_err(|_| too_many(collection))?,
            })
        })
        .collect()
}

/// What stands in the metadata of a collection and its indexes.
fn records(
    plan: &Plan,
    planned: &PlannedCollection,
    built: &BuiltCollection,
) -> (CollectionRecord, Vec<IndexMetadata>) {
    let written = &built.written;
    let pages = written.pages;
    let extents = match pages.page_count {
        0 => Vec::new(),
        count => vec![Extent(pages.first_page, count)],
    };
    let record = CollectionRecord {
        collection_id: planned.id,
        name: planned.name.clone(),
        created_ns: plan.instant_ns,
        document_count: written.tally.documents,
        data_size: written.tally.bytes,
        first_data_page: pages.first_data_page,
        options: Some(CollectionOptions::published(
            extents,
            ContentDigest(written.tally.digest.0),
        )),
        // The writer knows the index count and where the statistics are.
        index_count: 0,
        statistics_page: PageId(0),
        schema: None,
    };
    let mut indexes = Vec::with_capacity(built.indexes.len());
    for (index_id, (definition, index)) in (1..).zip(planned.indexes.iter().zip(&built.indexes)) {
        let tree = &index.tree;
        let summary = BuiltIndex {
            root_page: tree.root(),
            entry_count: tree.entry_count(),
            order: tree.order(),
            text_totals: tree.totals(),
        };
        let ids = (planned.id, index_id);
        let infer_types = planned.infer_types_of(definition, plan.infer_types);
        indexes.push(IndexMetadata {
            record: IndexRecord::new(definition, ids, plan.instant_ns, infer_types, summary),
            statistics: statistics(index_id, tree, plan.instant_ns),
        });
    }
    (record, indexes)
}

fn statistics(index_id: u32, tree: &BuiltTree, instant_ns: i64) -> StatisticsRecord {
    StatisticsRecord {
        index_id,
        last_updated_ns: instant_ns,
        ..tree.statistics()
    }
}

/// Reads the staged files back and compares them with what was to be written.
pub(super) fn verify(plan: &Plan, work: &WorkDir, built: &Built) -> Result<()> {
    let different = |name: &str, sentence: &str| {
        Error::new(Code::VerifyFailed, sentence).at(Place::file(work.dir.join(name)))
    };
    let metadata = work.dir.open_file(STAGED_METADATA)?;
    metadata.drop_cache();
    let reader = MetadataReader::open(metadata, ChecksumPolicy::Required)?;
    let mut entries = reader.collections();
    for (planned, built) in plan.collections.iter().zip(&built.collections) {
        let loaded = entries.next().map(|entry| reader.load(entry)).transpose()?;
        let (mut record, indexes) = records(plan, planned, built);
        if let Some(loaded) = &loaded {
            // Set by the writer, and checked by the reader.
            record.index_count = loaded.record.index_count;
            record.statistics_page = loaded.record.statistics_page;
        }
        if loaded.is_none_or(|loaded| loaded.record != record || loaded.indexes != indexes) {
            let error = different(
                STAGED_METADATA,
                "a collection's metadata is not what was written",
            );
            return Err(error.map_place(|place| place.in_collection(&planned.name)));
        }
    }
    if entries.next().is_some() {
        return Err(different(
            STAGED_METADATA,
            "the catalog has a collection too many",
        ));
    }
    if work.dir.open_file(STAGED_WAL)?.read_all(1 << 10)? != fresh_wal() {
        return Err(different(
            STAGED_WAL,
            "the fresh write-ahead log is not what was written",
        ));
    }
    Ok(())
}
