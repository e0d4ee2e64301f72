//! `manifest.json`: what a backup directory holds.
//!
//! ```text
//! manifest = JSON object, at most 64 MiB; each key once, no others
//!   "format"         "laura-backup/1"
//!   "tool"           string: who wrote it
//!   "createdAt"      RFC 3339
//!   "sourceVersion"  "1.0", "2.0" or "2.1"
//!   "databaseName"   string, not empty; null or missing where the source has none
//!   "metadata"       object: the snapshot's without "wal_lsn", {} if none
//!   "collections"    [collection, …], in the order of their names (bytewise), each once
//! collection = object; each key once, no others
//!   "name"           string
//!   "file"           what the name encodes to, see `name`
//!   "documents"      integer: lines of the file
//!   "fileBytes"      integer: size of the file
//!   "dataBytes"      integer: sum of the documents' BSON sizes
//!   "sha256"         64 lower-case hex digits: of the file
//!   "contentDigest"  "xxh3-128:" 32 lower-case hex digits: see `ContentDigest`
//!   "indexes"        [index, …]: see `index::listed`; without "_id_", in the order of their names
//! ```
//!
//! Integers go from 0 to 2^64-1.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::name::file_name;
use crate::document::{InferTypes, MAX_DOCUMENT_BYTES, bson};
use crate::files::InputFile;
use crate::index::portable::Listing;
use crate::index::{ListedText, PortableIndex, SkipIndexes, parse_listed};
use crate::v2::metadata::ContentDigest;
use crate::version::{FormatVersion, KNOWN};
use crate::{Code, Error, Place, Result, jsontext};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt::Write as _;

/// The format that is read and written.
const FORMAT: &str = "laura-backup/1";
/// What the formats of all versions begin with.
const FORMAT_FAMILY: &str = "laura-backup/";

/// Longest manifest, in bytes.
pub(super) const MAX_MANIFEST_BYTES: u64 = 64 * 1024 * 1024;

/// What a backup directory holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The program that wrote it, with its version.
    pub tool: String,
    /// When it was written, RFC 3339 in UTC.
    pub created_at: String,
    /// The format that the documents were in.
    pub source_version: FormatVersion,
    /// Never empty.
    pub database_name: Option<String>,
    /// JSON text of an object: the snapshot's metadata without `wal_lsn`.
    pub metadata: String,
    /// In the order of their names.
    pub collections: Vec<ManifestCollection>,
}

/// A collection of a backup.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestCollection {
    /// Any text.
    pub name: String,
    /// Documents.
    pub documents: u64,
    /// Size of its file.
    pub file_bytes: u64,
    /// Sum of the documents' BSON sizes.
    pub data_bytes: u64,
    /// SHA-256 of its file, 64 lower-case hex digits.
    pub sha256: String,
    /// Of its documents.
    pub content_digest: ContentDigest,
    /// In the order of their names, without `_id_`.
    pub indexes: Vec<PortableIndex>,
}

impl ManifestCollection {
    /// The name of its file.
    #[must_use]
    pub fn file(&self) -> String {
        file_name(&self.name)
    }

    fn encode(&self) -> String {
        let indexes: Vec<String> = self
            .indexes
            .iter()
            .map(|index| index.listed_json(Listing::Manifest))
            .collect();
        format!(
            "{{\"name\":{},\"file\":{},\"documents\":{},\"fileBytes\":{},\"dataBytes\":{},\
             \"sha256\":\"{}\",\"contentDigest\":\"{}\",\"indexes\":[{}]}}",
            Value::from(self.name.as_str()),
            Value::from(self.file()),
            self.documents,
            self.file_bytes,
            self.data_bytes,
            self.sha256,
            self.content_digest,
            indexes.join(",")
        )
    }
}

impl Manifest {
    /// The text of the file, one collection per line.
    #[must_use]
    pub fn encode(&self) -> String {
        let string = |text: &str| Value::from(text).to_string();
        let name = self.database_name.as_deref();
        let mut text = format!(
            "{{\"format\":{},\"tool\":{},\"createdAt\":{},\"sourceVersion\":{},\n\
             \"databaseName\":{},\"metadata\":{},\n\"collections\":[",
            string(FORMAT),
            string(&self.tool),
            string(&self.created_at),
            string(self.source_version.as_str()),
            name.map_or_else(|| "null".to_owned(), string),
            self.metadata,
        );
        for (position, collection) in self.collections.iter().enumerate() {
            let separator = if position > 0 { "," } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}\n{}", collection.encode());
        }
        text.push_str("]}\n");
        text
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`Code::BackupVersion`], [`Code::BackupManifest`]; [`Code::IndexDefinition`]; a read fails.
    pub fn read(file: &InputFile) -> Result<Self> {
        if file.size() > MAX_MANIFEST_BYTES {
            return Err(Problem::TooLarge(file.size()).error(file, None));
        }
        let bytes = file.read_all(MAX_MANIFEST_BYTES)?;
        let text = str::from_utf8(&bytes).map_err(|error| {
            let place = Place::offset(file.path(), error.valid_up_to() as u64);
            Problem::Utf8.error(file, None).at(place)
        })?;
        let members = Members::of(text).map_err(|problem| problem.error(file, None))?;
        check_format(&members).map_err(|problem| problem.error(file, None))?;
        let (mut manifest, collections) =
            parse(members).map_err(|problem| problem.error(file, None))?;
        let mut files = HashSet::new();
        for text in collections {
            let before = manifest.collections.last().map(|before| &*before.name);
            let collection = parse_collection(file, text.get(), before)?;
            if !files.insert(collection.file()) {
                return Err(Problem::FileTwice.error(file, Some(&collection.name)));
            }
            manifest.collections.push(collection);
        }
        Ok(manifest)
    }
}

/// The members of an object, each to be taken once.
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn of(text: &str) -> Result<Self, Problem> {
        let members = jsontext::members(text).map_err(Problem::Json)?;
        let mut seen = HashSet::new();
        match members.iter().find(|(key, _)| !seen.insert(key)) {
            Some((key, _)) => Err(Problem::KeyTwice(key.clone())),
            None => Ok(Self(members)),
        }
    }

    fn text(&mut self, key: &'static str) -> Result<Box<RawValue>, Problem> {
        let found = self.0.iter().position(|(name, _)| name == key);
        let at = found.ok_or(Problem::Missing(key))?;
        Ok(self.0.swap_remove(at).1)
    }

    fn take<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<T, Problem> {
        let text = self.text(key)?;
        serde_json::from_str(text.get()).map_err(|error| Problem::Value(key, Some(error)))
    }

    fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((key, _)) => Err(Problem::UnknownKey(key)),
            None => Ok(()),
        }
    }
}

/// The version first: what else stands in the file depends on it.
fn check_format(members: &Members) -> Result<(), Problem> {
    let found = members.0.iter().find(|(key, _)| key == "format");
    let (_, value) = found.ok_or(Problem::Missing("format"))?;
    let format: String =
        serde_json::from_str(value.get()).map_err(|error| Problem::Value("format", Some(error)))?;
    match &*format {
        FORMAT => Ok(()),
        other if other.starts_with(FORMAT_FAMILY) => Err(Problem::Version(format)),
        _ => Err(Problem::NoBackup(format)),
    }
}

fn parse(mut members: Members) -> Result<(Manifest, Vec<Box<RawValue>>), Problem> {
    members.text("format")?;
    let created_at: String = members.take("createdAt")?;
    if created_at.parse::<jiff::Timestamp>().is_err() {
        return Err(Problem::Value("createdAt", None));
    }
    let version: String = members.take("sourceVersion")?;
    let database_name: Option<String> = match members.take("databaseName") {
        Err(Problem::Missing(_)) => None,
        name => name?,
    };
    if database_name.as_deref() == Some("") {
        return Err(Problem::Value("databaseName", None));
    }
    let metadata = members.text("metadata")?;
    jsontext::members(metadata.get()).map_err(|error| Problem::Value("metadata", Some(error)))?;
    let collections = members.take("collections")?;
    let manifest = Manifest {
        tool: members.take("tool")?,
        created_at,
        source_version: FormatVersion::find(&version).ok_or(Problem::SourceVersion(version))?,
        database_name,
        metadata: jsontext::compact(metadata.get()),
        collections: Vec::new(),
    };
    members.finish()?;
    Ok((manifest, collections))
}

fn parse_collection(
    file: &InputFile,
    text: &str,
    before: Option<&str>,
) -> Result<ManifestCollection> {
    let mut members = Members::of(text).map_err(|problem| problem.error(file, None))?;
    let name: String = members
        .take("name")
        .map_err(|problem| problem.error(file, None))?;
    let failed = |problem: Problem| problem.error(file, Some(&name));
    if before.is_some_and(|before| before == name) {
        return Err(failed(Problem::NameTwice));
    }
    if before.is_some_and(|before| before > &*name) {
        return Err(failed(Problem::Order));
    }
    let indexes = members.take("indexes").map_err(failed)?;
    let indexes = parse_indexes(file, &name, indexes)?;
    let collection = parse_figures(members, name.clone(), indexes).map_err(failed)?;
    check_figures(&collection).map_err(failed)?;
    Ok(collection)
}

fn parse_figures(
    mut members: Members,
    name: String,
    indexes: Vec<PortableIndex>,
) -> Result<ManifestCollection, Problem> {
    let found: String = members.take("file")?;
    let expected = file_name(&name);
    if found != expected {
        return Err(Problem::FileName { found, expected });
    }
    let collection = ManifestCollection {
        documents: members.take("documents")?,
        file_bytes: members.take("fileBytes")?,
        data_bytes: members.take("dataBytes")?,
        sha256: members.take("sha256")?,
        content_digest: members.take("contentDigest")?,
        name,
        indexes,
    };
    members.finish()?;
    Ok(collection)
}

/// What no documents can come to is refused before a file is opened.
fn check_figures(collection: &ManifestCollection) -> Result<(), Problem> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if collection.sha256.len() != 64 || !collection.sha256.bytes().all(hex) {
        return Err(Problem::Value("sha256", None));
    }
    let documents = u128::from(collection.documents);
    let between = |bytes: u64, least: usize, most: usize| {
        let bytes = u128::from(bytes);
        bytes >= documents.saturating_mul(least as u128)
            && bytes <= documents.saturating_mul(most as u128)
    };
    if !between(
        collection.data_bytes,
        bson::MIN_DOCUMENT_BYTES,
        MAX_DOCUMENT_BYTES,
    ) {
        return Err(Problem::Impossible("dataBytes"));
    }
    // `{}` and a line break.
    if !between(collection.file_bytes, 3, super::MAX_LINE_BYTES + 1) {
        return Err(Problem::Impossible("fileBytes"));
    }
    Ok(())
}

fn parse_indexes(
    file: &InputFile,
    collection: &str,
    texts: Vec<Box<RawValue>>,
) -> Result<Vec<PortableIndex>> {
    let listed = texts.iter().map(|text| ListedText {
        text: text.get().to_owned(),
        place: Place::file(file.path()),
    });
    let parsed = parse_listed(collection, listed, &SkipIndexes::default());
    let failed = |problem: Problem| problem.error(file, Some(collection));
    if let Some(problem) = parsed.problems.into_iter().next() {
        return Err(problem);
    }
    if let Some(dropped) = parsed.dropped.into_iter().next() {
        return Err(failed(Problem::IndexKey(dropped)));
    }
    if parsed.definitions.len() != texts.len() {
        return Err(failed(Problem::IdIndex));
    }
    let mut indexes = Vec::with_capacity(texts.len());
    for definition in parsed.definitions {
        let infer: Option<InferTypes> = parsed.infer_types.get(&definition.name).copied();
        if infer.is_some() != definition.filter.is_some() {
            return Err(failed(Problem::IndexInferTypes(definition.name)));
        }
        indexes.push(PortableIndex::new(definition, infer.unwrap_or_default()));
    }
    Ok(indexes)
}

/// Why a manifest is refused; goes on after "the manifest".
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("has {0} bytes, more than 67108864")]
    TooLarge(u64),
    #[error("is not UTF-8")]
    Utf8,
    #[error("is no JSON object")]
    Json(#[source] serde_json::Error),
    #[error("has the format {0:?}; known is {FORMAT}")]
    Version(String),
    #[error("has the format {0:?}, which is none of a backup")]
    NoBackup(String),
    #[error("names the source version {0:?}; known are {known}", known = KNOWN.map(FormatVersion::as_str).join(", "))]
    SourceVersion(String),
    #[error("has no {0:?}")]
    Missing(&'static str),
    #[error("has a wrong value of {0:?}")]
    Value(&'static str, #[source] Option<serde_json::Error>),
    #[error("has the key {0:?} twice")]
    KeyTwice(String),
    #[error("has the unknown key {0:?}")]
    UnknownKey(String),
    #[error("lists a collection twice")]
    NameTwice,
    #[error("lists a collection out of the order of names")]
    Order,
    #[error("has two collections in one file")]
    FileTwice,
    #[error("names the file {found:?} where the collection's name says {expected:?}")]
    FileName { found: String, expected: String },
    #[error("has a value of {0:?} that is impossible for the number of documents")]
    Impossible(&'static str),
    #[error("has an unknown key or option of an index ({0})")]
    IndexKey(String),
    #[error("lists the index _id_, which every collection has")]
    IdIndex,
    #[error("has \"inferTypes\" and \"filter\" of index {0:?} not both or neither")]
    IndexInferTypes(String),
}

impl Problem {
    fn error(self, file: &InputFile, collection: Option<&str>) -> Error {
        let mut place = Place::file(file.path());
        if let Some(collection) = collection {
            place = place.in_collection(collection);
        }
        let sentence = format!("the manifest {self}");
        let code = match self {
            Self::Version(_) => Code::BackupVersion,
            _ => Code::BackupManifest,
        };
        let error = Error::new(code, sentence).at(place).hint(match code {
            Code::BackupVersion => "use a release of laura-migrate that knows this format",
            _ => "take another backup; this one was changed after it was written",
        });
        match self {
            Self::Json(cause) | Self::Value(_, Some(cause)) => error.because(cause),
            _ => error,
        }
    }
}
