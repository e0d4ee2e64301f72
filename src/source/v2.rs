//! A v2 directory as a source: documents by data pages.
//!
//! Which pages are a collection's: its `dataExtents`, and every other slotted page that names the
//! collection as its owner. A directory that is as it was published has no others, so they are not
//! looked for where the receipt is there and the log is fresh.

use super::{
    DocumentSource, Position, SourceCollection, SourceDocument, SourceInfo, SourceKind,
    StatedFigures, Visit, least_readable,
};
use crate::document::bson;
use crate::files::{Dir, InputFile};
use crate::index::definition::ID_INDEX;
use crate::index::{PortableIndex, infer_types_of};
use crate::layout;
use crate::receipt::SnapshotFacts;
use crate::report::Warning;
use crate::store::recovery::{self, Overlay};
use crate::v1::wal::fresh_wal;
use crate::v2::address::PageId;
use crate::v2::data_file::scan_documents;
use crate::v2::metadata::{CollectionMetadata, Extent, IndexRecord, MetadataReader};
use crate::v2::page::{ChecksumPolicy, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::slotted::SlottedPage;
use crate::version::{self, DirectoryVersion, FormatVersion};
use crate::{Code, Error, Place, Result};
use std::collections::HashMap;

/// An open v2 directory.
#[derive(Debug)]
pub struct V2Source {
    info: SourceInfo,
    metadata: InputFile,
    data: PageFileReader,
    collections: Vec<SourceCollection>,
    /// By the position of the collection: its runs of pages, in the order of the file.
    extents: Vec<Vec<Extent>>,
    warnings: Vec<Warning>,
}

impl V2Source {
    /// Opens a v2 directory.
    ///
    /// # Errors
    /// [`Code::NeedsRecovery`] if `wal.log` holds operations of LauraDB; [`Code::StoreLogDamaged`],
    /// [`Code::PageDamaged`], [`Code::CatalogDamaged`]; it is no v2 directory; a read fails.
    pub fn open(dir: &Dir) -> Result<Self> {
        let version = match version::detect(dir)? {
            DirectoryVersion::V2(_) => FormatVersion::V2_0,
            DirectoryVersion::V21(_) => FormatVersion::V2_1,
            DirectoryVersion::Publishing(_) => return Err(version::half_published(dir)),
            DirectoryVersion::V1 { .. } => {
                return Err(Error::new(Code::Internal, "a v1 directory is read as v2")
                    .at(Place::file(dir.path())));
            }
        };
        let (has_fresh_log, overlay) = check_log(dir)?;
        let replayed = overlay.as_ref().map(|overlay| log_replayed(dir, overlay));
        let as_published = has_fresh_log && dir.entry(layout::RECEIPT_FILE)?.is_some();
        let policy = match as_published {
            true => ChecksumPolicy::Required,
            false => ChecksumPolicy::Optional,
        };
        let metadata = open_database_file(dir, layout::METADATA_FILE)?;
        let data = open_database_file(dir, layout::DATA_FILE)?;
        let access = least_readable([metadata.access()?, data.access()?]);
        let reader = match &overlay {
            None => MetadataReader::open(metadata.clone(), policy)?,
            Some(overlay) => {
                let images = overlay.metadata();
                let pages = PageFileReader::with_images(metadata.clone(), policy, images)?;
                MetadataReader::of_pages(pages)?
            }
        };
        let mut loaded = Vec::new();
        for entry in reader.collections() {
            loaded.push(reader.load(entry)?);
        }
        loaded.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        let data = match &overlay {
            None => PageFileReader::open(data, policy)?,
            Some(overlay) => PageFileReader::with_images(data, policy, overlay.data())?,
        };
        let extents = extents(&data, &loaded, as_published)?;
        let collections = loaded
            .iter()
            .map(|collection| describe(metadata.path(), collection));
        let described = SnapshotFacts::read(dir)?;
        let (database_name, database_metadata) = described
            .map(|facts| (facts.database_name, facts.metadata))
            .unzip();
        Ok(Self {
            collections: collections.collect::<Result<_>>()?,
            info: SourceInfo {
                kind: SourceKind::V2,
                path: dir.path().to_path_buf(),
                version,
                database_name,
                metadata: database_metadata.flatten(),
                access,
            },
            metadata,
            data,
            extents,
            warnings: replayed.into_iter().collect(),
        })
    }
}

impl DocumentSource for V2Source {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn collections(&self) -> &[SourceCollection] {
        &self.collections
    }

    fn read(&self, collection: usize, visit: &mut Visit<'_>) -> Result<()> {
        let (Some(described), Some(extents)) = (
            self.collections.get(collection),
            self.extents.get(collection),
        ) else {
            return Err(Error::new(Code::Internal, "there is no such collection"));
        };
        let in_collection =
            |error: Error| error.map_place(|place| place.in_collection(&described.name));
        let (mut documents, mut data_bytes) = (0_u64, 0_u64);
        for Extent(first, pages) in extents {
            let scanned = scan_documents(&self.data, *first, *pages, |address, bytes| {
                let document = bson::check(bytes).map_err(|error| {
                    Error::new(Code::PageDamaged, "a slot holds no valid document")
                        .at(self.place(collection, Position::Page(address)))
                        .because(error)
                })?;
                documents = documents.saturating_add(1);
                data_bytes = data_bytes.saturating_add(bytes.len() as u64);
                visit(SourceDocument {
                    document,
                    position: Position::Page(address),
                    source_bytes: bytes.len() as u64,
                })
            });
            scanned.map_err(in_collection)?;
        }
        let figures = [
            ("documents", documents, described.stated.documents),
            ("bytes of BSON", data_bytes, described.stated.data_bytes),
        ];
        for (what, found, stated) in figures {
            if let Some(stated) = stated.filter(|stated| *stated != found) {
                let sentence = format!(
                    "the collection's pages hold {found} {what}, but {stated} in its metadata"
                );
                let place = Place::file(self.metadata.path());
                return Err(in_collection(
                    Error::new(Code::CatalogDamaged, sentence).at(place),
                ));
            }
        }
        Ok(())
    }

    fn place(&self, collection: usize, position: Position) -> Place {
        let place = match position {
            Position::Page(address) => {
                Place::page(self.data.path(), address.page.0).with_slot(address.slot.0)
            }
            _ => Place::file(self.data.path()),
        };
        match self.collections.get(collection) {
            Some(collection) => place.in_collection(&collection.name),
            None => place,
        }
    }

    fn check_unchanged(&self) -> Result<()> {
        self.metadata.check_unchanged()?;
        self.data.file().check_unchanged()
    }

    fn warnings(&self) -> Vec<Warning> {
        self.warnings.clone()
    }
}

/// Whether the log is the fresh one of a publish, and the pages that only it has.
///
/// # Errors
/// [`Code::NeedsRecovery`] if it holds operations of LauraDB; [`Code::StoreLogDamaged`].
pub(crate) fn check_log(dir: &Dir) -> Result<(bool, Option<Overlay>)> {
    let Some(log) = dir.open_file_if_exists(layout::WAL_FILE)? else {
        return Ok((false, None));
    };
    let fresh = fresh_wal();
    if log.size() == fresh.len() as u64 && log.read_all(log.size())? == fresh {
        return Ok((true, None));
    }
    Ok((false, recovery::overlay(dir)?))
}

/// Opens a file that every v2 directory has.
///
/// # Errors
/// [`Code::CatalogDamaged`] if it is missing; as [`Dir::open_file`].
pub(crate) fn open_database_file(dir: &Dir, name: &str) -> Result<InputFile> {
    dir.open_file_if_exists(name)?
        .ok_or_else(|| missing(dir, name))
}

/// The error for a file that every v2 directory has, and this one has not.
pub(crate) fn missing(dir: &Dir, name: &str) -> Error {
    let sentence = "the marker says format v2, but a file of it is missing";
    Error::new(Code::CatalogDamaged, sentence)
        .at(Place::file(dir.join(name)))
        .hint("put the file back, or restore the directory from a backup")
}

/// What is said of a directory whose log has pages that its files do not have.
fn log_replayed(dir: &Dir, overlay: &Overlay) -> Warning {
    let sentence = format!(
        "{} transactions of the write-ahead log are not in the files yet; they were replayed in \
         memory, and nothing was written",
        overlay.transactions()
    );
    let place = Place::file(dir.join(layout::WAL_FILE));
    Warning::new(Code::LogReplayed, sentence).at(place)
}

fn describe(path: &std::path::Path, loaded: &CollectionMetadata) -> Result<SourceCollection> {
    let record = &loaded.record;
    let others = loaded.indexes.iter().map(|index| &index.record);
    let indexes = others
        .filter(|index| index.name != ID_INDEX)
        .map(|index| portable(path, &record.name, index));
    let options = record.options.as_ref();
    Ok(SourceCollection {
        name: record.name.clone(),
        source_name: record.name.clone(),
        indexes: indexes.collect::<Result<_>>()?,
        stated: StatedFigures {
            documents: Some(record.document_count),
            data_bytes: Some(record.data_size),
            content_digest: options.and_then(|options| options.content_digest),
        },
    })
}

fn portable(
    path: &std::path::Path,
    collection: &str,
    index: &IndexRecord,
) -> Result<PortableIndex> {
    let unusable = |sentence: &str| {
        let place = Place::file(path).in_collection(collection);
        Error::new(Code::IndexDefinition, sentence)
            .at(place.in_index(&*index.name))
            .hint("drop the index in LauraDB, then run the same command again")
    };
    let definition = index.definition().ok_or_else(|| {
        unusable("the index is of type hash, or has options that this tool does not write")
    })?;
    let options = index.parsed_options().unwrap_or_default();
    let infer = match &options.infer_types {
        None => Some(Default::default()),
        Some(names) => infer_types_of(names),
    };
    let infer = infer.ok_or_else(|| unusable("the index has unknown \"inferTypes\""))?;
    Ok(PortableIndex::new(definition, infer))
}

/// Every collection's runs of pages, by the position of the collection.
fn extents(
    data: &PageFileReader,
    collections: &[CollectionMetadata],
    as_published: bool,
) -> Result<Vec<Vec<Extent>>> {
    let mut extents: Vec<Vec<Extent>> = Vec::with_capacity(collections.len());
    let mut all_listed = true;
    for collection in collections {
        let options = collection.record.options.as_ref();
        let listed = options.and_then(|options| options.data_extents.clone());
        all_listed &= listed.is_some();
        extents.push(listed.unwrap_or_default());
    }
    if !(as_published && all_listed) {
        add_others(data, collections, &mut extents)?;
    }
    for extents in &mut extents {
        extents.sort_unstable_by_key(|Extent(first, _)| *first);
    }
    check_disjoint(data, collections, &extents)?;
    Ok(extents)
}

/// Adds slotted pages that lie in no listed extent to the collections that own them.
fn add_others(
    data: &PageFileReader,
    collections: &[CollectionMetadata],
    extents: &mut [Vec<Extent>],
) -> Result<()> {
    // Pages name their owner by 16 bits of its id.
    let mut owners: HashMap<u16, Option<usize>> = HashMap::new();
    for (position, collection) in collections.iter().enumerate() {
        let owner = owner_bits(collection.record.collection_id);
        owners
            .entry(owner)
            .and_modify(|known| *known = None)
            .or_insert(Some(position));
    }
    let mut listed: Vec<Extent> = extents.iter().flatten().copied().collect();
    listed.sort_unstable_by_key(|Extent(first, _)| *first);
    let mut next = 1;
    for Extent(first, pages) in listed
        .into_iter()
        .chain([Extent(PageId(data.page_count()), 0)])
    {
        if first.0 > next && first.0 <= data.page_count() {
            add_owned(
                data,
                Extent(PageId(next), first.0.saturating_sub(next)),
                &owners,
                extents,
            )?;
        }
        next = next.max(first.0.saturating_add(pages));
    }
    Ok(())
}

fn owner_bits(collection_id: u32) -> u16 {
    let [low, high, ..] = collection_id.to_le_bytes();
    u16::from_le_bytes([low, high])
}

fn add_owned(
    data: &PageFileReader,
    gap: Extent,
    owners: &HashMap<u16, Option<usize>>,
    extents: &mut [Vec<Extent>],
) -> Result<()> {
    data.scan(gap.0, gap.1, |page, page_type, bytes| {
        if page_type != PageType::Data {
            return Ok(());
        }
        let slotted = SlottedPage::open(bytes).map_err(|error| data.damaged(page, error))?;
        let place = || Place::page(data.path(), page.0);
        match owners.get(&slotted.owner()) {
            // A page that was freed or never used.
            _ if slotted.slots().next().is_none() => Ok(()),
            Some(Some(position)) => {
                if let Some(extents) = extents.get_mut(*position) {
                    extend(extents, page);
                }
                Ok(())
            }
            Some(None) => Err(Error::new(
                Code::LimitExceeded,
                "a page could belong to several collections: there are more than 65536",
            )
            .at(place())),
            None => Err(Error::new(
                Code::PageDamaged,
                format!(
                    "the page belongs to collection {}, which is not there",
                    slotted.owner()
                ),
            )
            .at(place())),
        }
    })
}

/// Adds a page to the last run, or starts one.
fn extend(extents: &mut Vec<Extent>, page: PageId) {
    match extents.last_mut() {
        Some(Extent(first, pages)) if first.0.checked_add(*pages) == Some(page.0) => {
            *pages = pages.saturating_add(1);
        }
        _ => extents.push(Extent(page, 1)),
    }
}

/// No page may be read for two collections, or twice for one.
fn check_disjoint(
    data: &PageFileReader,
    collections: &[CollectionMetadata],
    extents: &[Vec<Extent>],
) -> Result<()> {
    let runs = collections
        .iter()
        .zip(extents)
        .flat_map(|(collection, extents)| {
            extents
                .iter()
                .map(|extent| (*extent, &*collection.record.name))
        });
    let mut runs: Vec<(Extent, &str)> = runs.collect();
    runs.sort_unstable_by_key(|(Extent(first, _), _)| *first);
    let mut next = PageId(1);
    for (Extent(first, pages), collection) in runs {
        let end = first
            .0
            .checked_add(pages)
            .filter(|end| *end <= data.page_count());
        match end {
            Some(end) if first >= next => next = PageId(end),
            _ => {
                let sentence = format!(
                    "the collection's {pages} pages from page {first} on lie in another extent \
                     or outside the file's {} pages",
                    data.page_count()
                );
                let place = Place::page(data.path(), first.0).in_collection(collection);
                return Err(Error::new(Code::CatalogDamaged, sentence).at(place));
            }
        }
    }
    Ok(())
}
