//! What a store knows of its collections: the records of `metadata.db`, taken apart to be changed.

use super::indexes::{extractor_of, filter_of};
use crate::document::InferTypes;
use crate::index::extract::KeyExtractor;
use crate::index::geo::PointExtractor;
use crate::index::text::TextExtractor;
use crate::index::{IndexDefinition, IndexKind, TextTotals, infer_types_of};
use crate::v2::PageId;
use crate::v2::btree::TreeIds;
use crate::v2::btree::edit::LiveTree;
use crate::v2::catalog::{Catalog, CatalogEntry, CatalogPlan};
use crate::v2::metadata::{
    CollectionMetadata, CollectionOptions, CollectionRecord, Extent, IndexMetadata, IndexOptions,
    IndexRecord, MetadataReader,
};
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::rtree::LiveRTree;
use crate::v2::slotted::Room;
use crate::v2::statistics::StatisticsRecord;
use crate::{Code, Error, Place, Result};
use std::sync::Arc;

/// All collections as of a commit. Cheap to copy: a transaction changes a copy.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// By collection id.
    pub(super) collections: Vec<Arc<CollectionState>>,
    pub(super) next_collection_id: u32,
    /// Pages of `data.db`, those that only the log has included.
    pub(super) page_count: u32,
}

/// A collection.
#[derive(Clone, Debug)]
pub(super) struct CollectionState {
    pub(super) entry: CatalogEntry,
    pub(super) record: CollectionRecord,
    /// `_id_` first.
    pub(super) indexes: Vec<IndexState>,
    /// Pages that may be used again; read from the file before the first change.
    pub(super) free: Option<FreeList>,
    /// Data pages with room for documents.
    pub(super) room: Room,
}

/// An index.
#[derive(Clone, Debug)]
pub(super) struct IndexState {
    pub(super) record: IndexRecord,
    pub(super) statistics: StatisticsRecord,
    pub(super) definition: Option<IndexDefinition>,
    /// Of an index of keys; `None` for others.
    pub(super) extractor: Option<Arc<KeyExtractor>>,
    /// Of a text or geo index; `None` for others. One that has neither cannot be kept right.
    pub(super) special: Option<Special>,
    /// Counted before the first change.
    pub(super) tree: Option<LiveTree>,
}

/// What a text or geo index needs to be changed.
#[derive(Clone, Debug)]
pub(super) enum Special {
    Text {
        extractor: Arc<TextExtractor>,
        totals: TextTotals,
        /// The tree of terms, counted before the first change.
        tree: Option<LiveTree>,
        /// Posting pages with room for chunks.
        room: Room,
    },
    Geo {
        extractor: Arc<PointExtractor>,
        /// Counted before the first change.
        tree: Option<LiveRTree>,
    },
}

/// The pages of a free list with what they list, the head last.
#[derive(Clone, Debug, Default)]
pub(super) struct FreeList {
    pub(super) trunks: Vec<Trunk>,
}

#[derive(Clone, Debug)]
pub(super) struct Trunk {
    pub(super) page: PageId,
    pub(super) entries: Vec<PageId>,
    /// Differs from its page.
    pub(super) changed: bool,
}

impl State {
    /// Reads all records.
    pub(super) fn load(metadata: &MetadataReader, page_count: u32) -> Result<Self> {
        let catalog: &Catalog = metadata.catalog();
        let mut collections = Vec::new();
        for entry in &catalog.entries {
            let loaded = metadata.load(entry)?;
            collections.push(Arc::new(CollectionState::new(entry.clone(), loaded)?));
        }
        Ok(Self {
            collections,
            next_collection_id: catalog.next_collection_id,
            page_count,
        })
    }

    /// The number of an active collection.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let mut all = self.collections.iter();
        all.position(|collection| collection.entry.active && collection.entry.name == name)
    }

    /// Lays `metadata.db` out anew, after a collection was added; gives all its pages.
    pub(super) fn lay_out(&mut self) -> Result<Vec<PageBytes>> {
        let plan = CatalogPlan::new(self.collections.iter().map(|c| &*c.entry.name));
        let mut next = page_number(plan.page_count())?;
        for collection in &mut self.collections {
            let collection = Arc::make_mut(collection);
            let count = page_number(collection.indexes.len())?;
            collection.entry.metadata_page = PageId(next);
            collection.record.statistics_page = PageId(next + 1 + count);
            next = next
                .checked_add(1 + 2 * count)
                .ok_or_else(|| Error::new(Code::LimitExceeded, "metadata.db is full"))?;
        }
        let mut pages = Vec::new();
        let entries = self.collections.iter().map(|c| c.entry.clone());
        plan.write(entries, self.next_collection_id, |page| {
            pages.push(*page);
            Ok(())
        })?;
        for collection in &self.collections {
            pages.extend(collection.encode()?.into_iter().map(|(_, page)| page));
        }
        Ok(pages)
    }
}

fn page_number(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|_| Error::new(Code::LimitExceeded, "metadata.db is full"))
}

impl CollectionState {
    fn new(entry: CatalogEntry, loaded: CollectionMetadata) -> Result<Self> {
        let CollectionMetadata { record, indexes } = loaded;
        let indexes = indexes.into_iter().map(|index| {
            IndexState::new(index)
                .map_err(|error| error.map_place(|place| place.in_collection(&*record.name)))
        });
        Ok(Self {
            indexes: indexes.collect::<Result<_>>()?,
            entry,
            record,
            free: None,
            room: Room::default(),
        })
    }

    /// A collection without documents.
    pub(super) fn empty(
        entry: CatalogEntry,
        indexes: &[IndexDefinition],
        now_ns: i64,
    ) -> Result<Self> {
        let collection_id = entry.collection_id;
        let record = CollectionRecord {
            collection_id,
            name: entry.name.clone(),
            created_ns: now_ns,
            index_count: u16::try_from(indexes.len() + 1)
                .map_err(|_| Error::new(Code::LimitExceeded, "there are too many indexes"))?,
            options: Some(CollectionOptions::published(Vec::new(), Default::default())),
            ..CollectionRecord::default()
        };
        let id_index = IndexDefinition::id_index();
        let mut sorted: Vec<&IndexDefinition> = indexes.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let all = std::iter::once(&id_index).chain(sorted);
        let indexes = (1..).zip(all).map(|(index_id, definition)| {
            IndexRecord::check_fits(definition, Default::default())?;
            let ids = (collection_id, index_id);
            let built = crate::v2::metadata::BuiltIndex {
                order: 1,
                ..Default::default()
            };
            IndexState::new(IndexMetadata {
                record: IndexRecord::new(definition, ids, now_ns, Default::default(), built),
                statistics: StatisticsRecord {
                    index_id,
                    last_updated_ns: now_ns,
                    ..StatisticsRecord::default()
                },
            })
        });
        Ok(Self {
            indexes: indexes.collect::<Result<_>>()?,
            entry,
            record,
            free: None,
            room: Room::default(),
        })
    }

    pub(super) fn place(&self) -> Place {
        Place::default().in_collection(&*self.entry.name)
    }

    pub(super) fn options(&self) -> CollectionOptions {
        self.record.options.clone().unwrap_or_default()
    }

    /// Counts a document in or out.
    pub(super) fn count(&mut self, bson: &[u8], added: bool) {
        let size = bson.len() as u64;
        let record = &mut self.record;
        if added {
            record.document_count += 1;
            record.data_size += size;
        } else {
            record.document_count = record.document_count.saturating_sub(1);
            record.data_size = record.data_size.saturating_sub(size);
        }
        let options = record.options.as_mut();
        if let Some(digest) = options.and_then(|options| options.content_digest.as_mut()) {
            match added {
                true => digest.add_document(bson),
                false => digest.remove_document(bson),
            }
        }
    }

    /// Takes a page that was given up out of the extents.
    pub(super) fn leave_extent(&mut self, page: PageId) {
        let options = self.record.options.as_mut();
        let Some(extents) = options.and_then(|options| options.data_extents.as_mut()) else {
            return;
        };
        let holds = |Extent(first, count): &Extent| page.0 >= first.0 && page.0 - first.0 < *count;
        let Some(at) = extents.iter().position(holds) else {
            return;
        };
        let Extent(first, count) = extents.remove(at);
        let before = page.0 - first.0;
        let parts = [
            Extent(first, before),
            Extent(PageId(page.0.saturating_add(1)), count - before - 1),
        ];
        let parts = parts.into_iter().filter(|Extent(_, count)| *count > 0);
        extents.splice(at..at, parts);
    }

    /// The pages of its records, with their numbers: collection, indexes, statistics.
    pub(super) fn encode(&self) -> Result<Vec<(PageId, PageBytes)>> {
        let mut pages = Vec::with_capacity(1 + 2 * self.indexes.len());
        let mut page = [0; PAGE_SIZE];
        if self.record.encode(&mut page).is_none() {
            // The extents are too many; the pages name their owner.
            let mut record = self.record.clone();
            if let Some(options) = record.options.as_mut() {
                options.data_extents = None;
            }
            let sentence = "the collection's metadata does not fit its page";
            record
                .encode(&mut page)
                .ok_or_else(|| Error::new(Code::LimitExceeded, sentence).at(self.place()))?;
        }
        pages.push((self.entry.metadata_page, page));
        let follows = |first: PageId, number: u32| PageId(first.0.saturating_add(number));
        for (number, index) in (1..).zip(&self.indexes) {
            let place = || self.place().in_index(&*index.record.name);
            let sentence = "the index's metadata does not fit its page";
            index
                .record
                .encode(&mut page)
                .ok_or_else(|| Error::new(Code::IndexTooLarge, sentence).at(place()))?;
            pages.push((follows(self.entry.metadata_page, number), page));
        }
        for (number, index) in (0..).zip(&self.indexes) {
            let sentence = "the index's statistics do not fit their page";
            index
                .statistics
                .encode(&mut page)
                .ok_or_else(|| Error::new(Code::Internal, sentence).at(self.place()))?;
            pages.push((follows(self.record.statistics_page, number), page));
        }
        Ok(pages)
    }
}

impl IndexState {
    fn new(loaded: IndexMetadata) -> Result<Self> {
        let IndexMetadata { record, statistics } = loaded;
        let definition = record.definition();
        let options = record.parsed_options().unwrap_or_default();
        let infer = match &options.infer_types {
            None => Some(Default::default()),
            Some(names) => infer_types_of(names),
        };
        let extractor = match (&definition, infer) {
            (Some(definition), Some(infer)) if definition.kind.is_btree() => {
                Some(Arc::new(extractor_of(definition, infer)?))
            }
            _ => None,
        };
        let special = match (&definition, infer) {
            (Some(definition), Some(infer)) => special_of(definition, infer, &options)?,
            _ => None,
        };
        Ok(Self {
            record,
            statistics,
            definition,
            extractor,
            special,
            tree: None,
        })
    }

    pub(super) fn ids(&self) -> TreeIds {
        TreeIds {
            index_id: self.record.index_id,
            collection_id: self.record.collection_id,
        }
    }
}

/// `None` for an index of keys, and for a text index without its totals.
fn special_of(
    definition: &IndexDefinition,
    infer: InferTypes,
    options: &IndexOptions,
) -> Result<Option<Special>> {
    let filter = filter_of(definition, infer);
    Ok(match definition.kind {
        IndexKind::Btree | IndexKind::Ttl { .. } => None,
        IndexKind::Text => {
            let extractor = Arc::new(TextExtractor::new(definition, filter)?);
            let totals = options.total_docs.zip(options.total_length);
            totals.map(|(documents, length)| Special::Text {
                extractor,
                totals: TextTotals { documents, length },
                tree: None,
                room: Room::default(),
            })
        }
        IndexKind::Geo2d | IndexKind::Geo2dSphere => Some(Special::Geo {
            extractor: Arc::new(PointExtractor::new(definition, filter)?),
            tree: None,
        }),
    })
}

impl FreeList {
    /// A page to be used.
    pub(super) fn take(&mut self) -> Option<PageId> {
        let head = self.trunks.last_mut()?;
        match head.entries.pop() {
            Some(page) => {
                head.changed = true;
                Some(page)
            }
            // The list's own page, when it lists nothing any more.
            None => self.trunks.pop().map(|trunk| trunk.page),
        }
    }

    /// Lists a page; true if it is a page of the list itself now.
    pub(super) fn give(&mut self, page: PageId) -> bool {
        if let Some(head) = self.trunks.last_mut()
            && head.entries.len() < crate::v2::freelist::MAX_FREE_ENTRIES
        {
            head.entries.push(page);
            head.changed = true;
            return false;
        }
        self.trunks.push(Trunk {
            page,
            entries: Vec::new(),
            changed: true,
        });
        true
    }

    pub(super) fn head(&self) -> Option<PageId> {
        self.trunks.last().map(|trunk| trunk.page)
    }
}
