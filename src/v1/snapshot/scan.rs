//! The scan of a whole snapshot.

use super::ahead::ReadAhead;
use super::documents::Documents;
use super::layout::{CollectionLayout, ListedIndex, SnapshotLayout};
use super::reader::{Captured, Reader, begins_value};
use super::walk::MAX_DOCUMENT_TEXT;
use super::window::{Progress, ReadAt};
use crate::files::InputFile;
use crate::{Code, Error, Result, jsontext};
use std::collections::HashMap;
use std::thread;

/// Longest text of one index definition, in bytes.
pub const MAX_INDEX_BYTES: usize = 1024 * 1024;

/// Longest text of the database's metadata, in bytes.
pub const MAX_METADATA_BYTES: usize = 16 * 1024 * 1024;

/// The format version that is read.
const VERSION: &str = "1.0";

/// v2 counts a collection's indexes in 16 bits, `_id_` among them.
const MAX_INDEXES: usize = u16::MAX as usize - 1;

const MAX_CHUNKS: u64 = 65_536;

/// The layout is held in memory: names, in bytes, and collections and indexes, in numbers, of
/// far more than any database that fitted into LauraDB's memory has.
const MAX_NAME_BYTES: usize = 16 * 1024 * 1024;
const MAX_COLLECTIONS: usize = 1 << 17;
const MAX_ALL_INDEXES: usize = 1 << 20;

/// How a snapshot is scanned.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// Size of a read buffer in bytes; there are four.
    pub buffer_bytes: usize,
    /// A chunk is closed once it holds so many bytes, or 1/65,536 of the file if that is more.
    pub chunk_bytes: u64,
    /// JSON text of one document beyond this many bytes makes it a bad document.
    pub max_document_bytes: u64,
    /// Put a document beyond the limit alone into a chunk of its own instead of failing.
    pub keep_oversized: bool,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            buffer_bytes: 256 * 1024,
            chunk_bytes: 256 * 1024,
            max_document_bytes: MAX_DOCUMENT_TEXT,
            keep_oversized: false,
        }
    }
}

/// Reads a snapshot once, front to back, and tells where everything lies in it.
///
/// `progress` is called with the offset reached before each read; its error ends the scan.
/// Memory: four read buffers, the result, and the text of one name or index or the metadata.
///
/// # Errors
/// The file is no snapshot of format 1.0 or is damaged at the structural levels
/// ([`Code::SnapshotEmpty`], [`Code::SnapshotTruncated`], [`Code::SnapshotSyntax`],
/// [`Code::SnapshotShape`], [`Code::SnapshotVersion`], [`Code::CollectionTwice`],
/// [`Code::DocumentText`], [`Code::IndexDefinition`], [`Code::SourceTooLarge`]), or a read fails.
pub fn scan(
    file: &InputFile,
    options: &ScanOptions,
    progress: &mut Progress<'_>,
) -> Result<SnapshotLayout> {
    file.advise_sequential();
    thread::scope(|scope| {
        let ahead = ReadAhead::start(scope, file, options.buffer_bytes);
        let mut progress = |offset| progress(offset);
        match &ahead {
            Some(ahead) => scan_source(ahead, file.size(), options, &mut progress),
            None => scan_source(file, file.size(), options, &mut progress),
        }
    })
}

pub(super) fn scan_source<'a>(
    source: &'a dyn ReadAt,
    size: u64,
    options: &ScanOptions,
    progress: &'a mut Progress<'a>,
) -> Result<SnapshotLayout> {
    let mut reader = Reader::new(source, options.buffer_bytes, progress);
    check_start(source, &mut reader)?;
    let mut scan = Scan {
        options,
        // The table of chunks stays small, however large the file.
        chunk_bytes: options.chunk_bytes.max(size / MAX_CHUNKS),
        version: None,
        timestamp: None,
        database_name: None,
        metadata: None,
        collections: None,
        names: HashMap::new(),
        name_bytes: 0,
        indexes: 0,
    };
    let keys = [
        "version",
        "timestamp",
        "database_name",
        "collections",
        "metadata",
    ];
    reader.object(&keys, |reader, key| scan.member(reader, key))?;
    reader.end_of_file()?;
    scan.finish(&reader)
}

/// The `timestamp` of a snapshot, read no further than needed; `None` if there is none, if it is
/// no string, or if the file is damaged before it.
///
/// # Errors
/// A read fails.
pub fn timestamp(file: &InputFile) -> Result<Option<String>> {
    let mut found = None;
    // Ends the walk through the object; never seen outside.
    let stop = || Error::new(Code::Cancelled, "the timestamp was found");
    let mut progress = |_: u64| Ok(());
    let options = ScanOptions {
        keep_oversized: true,
        ..ScanOptions::default()
    };
    let mut reader = Reader::new(file, options.buffer_bytes, &mut progress);
    let walk = check_start(file, &mut reader).and_then(|()| {
        reader.object(&["timestamp", "collections"], |reader, key| {
            if key == "timestamp" {
                found = read_timestamp(reader)?;
                return Err(stop());
            }
            if reader.opens_or_null(b'[', "collections")? {
                // Only to get past them, and much faster than checking every token.
                Documents::read(reader, u64::MAX, &options)?;
            }
            Ok(())
        })
    });
    match walk {
        Err(error) if error.code() == Code::Io => Err(error),
        _ => Ok(found),
    }
}

/// What is wrong with a file can often be told from its first bytes.
fn check_start(source: &dyn ReadAt, reader: &mut Reader<'_>) -> Result<()> {
    let mut start = [0; 3];
    let length = source.read_at(&mut start, 0)?;
    match start {
        _ if length == 0 => {
            return Err(Error::new(Code::SnapshotEmpty, "the snapshot has no bytes")
                .at(reader.place(0))
                .hint(
                    "a LauraDB backup that meets a NaN or an infinite number fails and leaves \
                     such a file: correct the value and back up again, or name an older backup \
                     with --snapshot FILE",
                ));
        }
        [0xEF, 0xBB, 0xBF] => {
            let sentence = "the snapshot begins with a byte order mark";
            return Err(Error::new(Code::SnapshotByteOrderMark, sentence)
                .at(reader.place(0))
                .hint("an editor has added it: remove the first three bytes of the file"));
        }
        _ => {}
    }
    if let Some((format, tool)) = compressed(start) {
        let sentence = format!("the snapshot is compressed with {format}");
        return Err(Error::new(Code::SnapshotCompressed, sentence)
            .at(reader.place(0))
            .hint(format!(
                "unpack it with {tool}, then run the same command again"
            )));
    }
    match reader.peek()? {
        Some(b'{') => Ok(()),
        None => Err(reader.truncated("an object")),
        Some(byte) if begins_value(byte) => {
            Err(reader.shape(reader.offset(), "the snapshot is no JSON object"))
        }
        Some(_) => Err(reader.syntax(reader.offset(), "the snapshot is not JSON")),
    }
}

/// The format that a compressed file begins as, and what unpacks it.
fn compressed(start: [u8; 3]) -> Option<(&'static str, &'static str)> {
    match start {
        [0x1F, 0x8B, _] => Some(("gzip", "gunzip")),
        [0x28, 0xB5, 0x2F] => Some(("zstd", "unzstd")),
        [0xFD, b'7', b'z'] => Some(("xz", "unxz")),
        [b'B', b'Z', b'h'] => Some(("bzip2", "bunzip2")),
        [0x04, 0x22, 0x4D] => Some(("lz4", "unlz4")),
        [b'P', b'K', 0x03] => Some(("zip", "unzip")),
        _ => None,
    }
}

fn read_timestamp(reader: &mut Reader<'_>) -> Result<Option<String>> {
    if reader.peek()? == Some(b'"') {
        return Ok(Some(reader.string("timestamp")?.text));
    }
    reader.skip_value().map(|()| None)
}

struct Scan<'o> {
    options: &'o ScanOptions,
    chunk_bytes: u64,
    version: Option<String>,
    timestamp: Option<String>,
    database_name: Option<String>,
    metadata: Option<Captured>,
    collections: Option<Vec<CollectionLayout>>,
    /// Offset of each collection, by its name.
    names: HashMap<String, u64>,
    name_bytes: usize,
    indexes: usize,
}

impl Scan<'_> {
    fn member(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Result<()> {
        match key {
            "version" => self.version = Some(read_version(reader)?),
            "timestamp" => self.timestamp = read_timestamp(reader)?,
            "database_name" => {
                self.database_name = reader
                    .string_or_null("database_name")?
                    .map(|name| name.text);
            }
            "metadata" => self.metadata = read_metadata(reader)?,
            _ => self.collections = self.collections(reader)?,
        }
        Ok(())
    }

    fn collections(&mut self, reader: &mut Reader<'_>) -> Result<Option<Vec<CollectionLayout>>> {
        if !reader.opens_or_null(b'[', "collections")? {
            return Ok(None);
        }
        let mut collections = Vec::new();
        reader.array(|reader| {
            let collection = self.collection(reader)?;
            if collections.len() == MAX_COLLECTIONS {
                return Err(too_many(
                    reader,
                    "the snapshot",
                    MAX_COLLECTIONS,
                    "collections",
                ));
            }
            collections.push(collection);
            Ok(())
        })?;
        Ok(Some(collections))
    }

    fn collection(&mut self, reader: &mut Reader<'_>) -> Result<CollectionLayout> {
        let offset = reader.offset();
        if !reader.opens_or_null(b'{', "a collection")? {
            return Err(reader.shape(offset, "a collection is null"));
        }
        let mut name: Option<Captured> = None;
        let mut documents = Documents::default();
        let mut indexes = Vec::new();
        let mut has_metadata = false;
        let keys = ["name", "documents", "indexes", "metadata"];
        let walk = reader.object(&keys, |reader, key| {
            match key {
                "name" => name = reader.string_or_null("the name of a collection")?,
                "documents" if reader.opens_or_null(b'[', "documents")? => {
                    documents = Documents::read(reader, self.chunk_bytes, self.options)?;
                }
                "indexes" if reader.opens_or_null(b'[', "indexes")? => {
                    indexes = self.indexes(reader)?;
                }
                "metadata" if reader.opens_or_null(b'{', "metadata")? => {
                    has_metadata = reader.skip_object()?;
                }
                _ => {}
            }
            Ok(())
        });
        walk.map_err(|error| match &name {
            Some(name) => error.map_place(|place| place.in_collection(&name.text)),
            None => error,
        })?;
        let name = name.ok_or_else(|| reader.shape(offset, "a collection has no name"))?;
        self.register(reader, &name)?;
        Ok(CollectionLayout {
            name: name.text,
            offset,
            documents: documents.count,
            document_bytes: documents.bytes,
            largest_document: documents.largest,
            chunks: documents.chunks,
            indexes,
            has_metadata,
        })
    }

    fn indexes(&mut self, reader: &mut Reader<'_>) -> Result<Vec<ListedIndex>> {
        let mut indexes = Vec::new();
        reader.array(|reader| {
            let text = reader.value_text(
                MAX_INDEX_BYTES,
                "an index definition",
                Code::IndexDefinition,
            )?;
            self.indexes = self.indexes.saturating_add(1);
            if indexes.len() == MAX_INDEXES {
                return Err(too_many(reader, "a collection", MAX_INDEXES, "indexes"));
            }
            if self.indexes > MAX_ALL_INDEXES {
                return Err(too_many(reader, "the snapshot", MAX_ALL_INDEXES, "indexes"));
            }
            indexes.push(ListedIndex {
                offset: text.offset,
                bytes: u32::try_from(text.text.len()).unwrap_or(u32::MAX),
            });
            Ok(())
        })?;
        Ok(indexes)
    }

    fn register(&mut self, reader: &Reader<'_>, name: &Captured) -> Result<()> {
        self.name_bytes = self.name_bytes.saturating_add(name.text.len());
        if self.name_bytes > MAX_NAME_BYTES {
            return Err(too_many(
                reader,
                "the snapshot",
                MAX_NAME_BYTES,
                "bytes of collection names",
            ));
        }
        match self.names.insert(name.text.clone(), name.offset) {
            None => Ok(()),
            Some(first) => Err(Error::new(
                Code::CollectionTwice,
                format!("a collection is listed twice, first at byte {first}"),
            )
            .at(reader.place(name.offset).in_collection(&name.text))
            .hint(
                "LauraDB lists each collection once: name another backup with --snapshot FILE, \
                 or give one of the two another name in a copy of the file",
            )),
        }
    }

    fn finish(self, reader: &Reader<'_>) -> Result<SnapshotLayout> {
        let missing = |what: &str| reader.shape(0, format!("the snapshot has no {what}"));
        let version = self.version.ok_or_else(|| missing("version"))?;
        let database_name = self
            .database_name
            .filter(|name| !name.is_empty())
            .ok_or_else(|| missing("database_name, or an empty one"))?;
        let collections = self.collections.ok_or_else(|| missing("collections"))?;
        let wal_lsn = match &self.metadata {
            Some(metadata) => read_wal_lsn(reader, metadata)?,
            None => None,
        };
        Ok(SnapshotLayout {
            version,
            timestamp: self.timestamp,
            database_name,
            metadata: self
                .metadata
                .map(|metadata| jsontext::compact(&metadata.text)),
            wal_lsn,
            documents: collections.iter().map(|each| each.documents).sum(),
            collections,
            unknown_keys: reader.unknown_keys,
            bytes: reader.offset(),
        })
    }
}

fn too_many(reader: &Reader<'_>, whose: &str, most: usize, what: &str) -> Error {
    Error::new(
        Code::SourceTooLarge,
        format!("{whose} has more than {most} {what}"),
    )
    .at(reader.place(reader.offset()))
    .hint("no LauraDB database has so many; see where the file comes from")
}

fn read_version(reader: &mut Reader<'_>) -> Result<String> {
    let Some(version) = reader.string_or_null("version")? else {
        return Err(reader.shape(reader.offset(), "version is null"));
    };
    if version.text == VERSION {
        return Ok(version.text);
    }
    Err(Error::new(
        Code::SnapshotVersion,
        format!(
            "the snapshot has format version {:?}, known is {VERSION:?}",
            version.text
        ),
    )
    .at(reader.place(version.offset))
    .hint("name a backup of format 1.0 with --snapshot FILE"))
}

fn read_metadata(reader: &mut Reader<'_>) -> Result<Option<Captured>> {
    if !reader.opens_or_null(b'{', "metadata")? {
        return Ok(None);
    }
    reader
        .value_text(MAX_METADATA_BYTES, "metadata", Code::SourceTooLarge)
        .map(Some)
}

fn read_wal_lsn(reader: &Reader<'_>, metadata: &Captured) -> Result<Option<u64>> {
    let wrong = |sentence: &str| {
        reader
            .shape(metadata.offset, sentence)
            .hint("correct wal_lsn in a copy of the file, and name it with --snapshot FILE")
    };
    let members = jsontext::members(&metadata.text)
        .map_err(|error| wrong("metadata is not Unicode text").because(error))?;
    let mut values = members.iter().filter(|(key, _)| key == "wal_lsn");
    let Some((_, value)) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(wrong("the key \"wal_lsn\" stands twice in metadata"));
    }
    value.get().parse().map(Some).map_err(|error| {
        wrong("metadata.wal_lsn is not an integer from 0 to 18446744073709551615").because(error)
    })
}
