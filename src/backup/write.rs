//! Writing a backup directory.

#![expect(clippy::arithmetic_side_effects, reason = "counts what was written")]

use super::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestCollection};
use super::{BackupReader, hex, recycle};
use crate::document::bson::RawDocument;
use crate::document::ejson;
use crate::files::{Access, AppendWriter, Dir, EntryKind};
use crate::hash::xxh3_128;
use crate::index::PortableIndex;
use crate::layout::{BACKUP_DIR_PREFIX, MANIFEST_FILE, UNFINISHED_BACKUP_PREFIX};
use crate::v2::metadata::ContentDigest;
use crate::version::FormatVersion;
use crate::{Code, Error, Place, Result, jsontext};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Bytes of the buffer that a collection's file is written from.
const WRITE_BUFFER: usize = 256 << 10;

/// What the manifest says of the whole.
#[derive(Clone, Debug)]
pub struct BackupHeader {
    /// The run's one instant; the directory's name tells it, too.
    pub instant: Timestamp,
    /// The format that the documents come from.
    pub source_version: FormatVersion,
    /// Never empty.
    pub database_name: Option<String>,
    /// JSON text of an object; `wal_lsn` is left out of it.
    pub metadata: Option<String>,
    /// Owner and mode of what is written.
    pub access: Access,
}

/// A backup that is complete and durable.
#[derive(Clone, Debug)]
pub struct FinishedBackup {
    /// The name of its directory in the target.
    pub name: String,
    /// The directory's path.
    pub path: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
}

/// Writes a backup so that a directory with a backup's name is complete at every instant:
///
/// 1. everything is written and fsynced in a directory of another name, the manifest last;
/// 2. that directory is fsynced ([`Self::seal`]; it can be read back then);
/// 3. it is renamed ([`Self::finish`]);
/// 4. the directory around it is fsynced.
///
/// Whoever drops it before [`Self::finish`] has returned removes what was made.
#[derive(Debug)]
pub struct BackupWriter<'d> {
    target: &'d Dir,
    dir: Dir,
    /// What the directory is called now.
    name: String,
    instant: Timestamp,
    access: Access,
    manifest: Manifest,
    open: Option<OpenCollection>,
    text: Vec<u8>,
    sealed: Option<SealedBackup>,
    complete: bool,
}

/// What a backup will be called, and what it is known by, before it has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBackup {
    /// The name that its directory will get.
    pub name: String,
    /// XXH3-128 of its manifest, 32 hex digits.
    pub manifest_xxh3: String,
}

#[derive(Debug)]
struct OpenCollection {
    file: AppendWriter,
    hash: Sha256,
    figures: ManifestCollection,
}

impl<'d> BackupWriter<'d> {
    /// Starts a backup in `target`.
    ///
    /// # Errors
    /// The metadata is no JSON object ([`Code::Internal`]); the directory cannot be made.
    pub fn create(target: &'d Dir, header: BackupHeader) -> Result<Self> {
        let metadata = header.metadata.as_deref().unwrap_or("{}");
        let manifest = Manifest {
            tool: concat!("laura-migrate ", env!("CARGO_PKG_VERSION")).to_owned(),
            created_at: header.instant.to_string(),
            source_version: header.source_version,
            database_name: header.database_name,
            metadata: without_wal_lsn(metadata)?,
            collections: Vec::new(),
        };
        // A killed run may have left one; runs do not share a target, so nobody makes one now.
        let mut number = 1;
        let name = loop {
            let name = format!(
                "{UNFINISHED_BACKUP_PREFIX}{}-{number}",
                stamp(header.instant)
            );
            if target.entry(&name)?.is_none() {
                break name;
            }
            number += 1;
        };
        let dir = target.make_dir(&name, header.access)?;
        Ok(Self {
            target,
            dir,
            name,
            instant: header.instant,
            access: header.access,
            manifest,
            open: None,
            text: Vec::new(),
            sealed: None,
            complete: false,
        })
    }

    /// Starts a collection; they come in the order of their names. `indexes` in the order of theirs,
    /// without `_id_`.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; the file cannot be made.
    pub fn begin_collection(&mut self, name: &str, indexes: Vec<PortableIndex>) -> Result<()> {
        let before = self.manifest.collections.last();
        if self.open.is_some()
            || self.sealed.is_some()
            || before.is_some_and(|before| &*before.name >= name)
        {
            return Err(out_of_turn());
        }
        let figures = ManifestCollection {
            name: name.to_owned(),
            documents: 0,
            file_bytes: 0,
            data_bytes: 0,
            sha256: String::new(),
            content_digest: ContentDigest::default(),
            indexes,
        };
        let file = self.dir.create(figures.file(), self.access)?;
        self.open = Some(OpenCollection {
            file: AppendWriter::new(file, 0, WRITE_BUFFER),
            hash: Sha256::new(),
            figures,
        });
        Ok(())
    }

    /// Adds a document to the open collection.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; a write fails.
    pub fn document(&mut self, document: RawDocument<'_>) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(out_of_turn)?;
        self.text.clear();
        ejson::write_document(document, &mut self.text);
        self.text.push(b'\n');
        open.file.append(&self.text)?;
        open.hash.update(&self.text);
        let bson = document.as_bytes();
        open.figures.documents += 1;
        open.figures.file_bytes += self.text.len() as u64;
        open.figures.data_bytes += bson.len() as u64;
        open.figures.content_digest.add_document(bson);
        recycle(&mut self.text);
        Ok(())
    }

    /// Ends the open collection and makes its file durable.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; a write or the fsync fails.
    pub fn end_collection(&mut self) -> Result<&ManifestCollection> {
        let mut open = self.open.take().ok_or_else(out_of_turn)?;
        open.file.sync()?;
        open.figures.sha256 = hex(&open.hash.finalize());
        self.manifest.collections.push(open.figures);
        self.manifest.collections.last().ok_or_else(out_of_turn)
    }

    /// Writes the manifest: all is durable then, and can be read back with [`Self::reader`]. Chooses
    /// the name: the instant's second, or the next one that is free.
    ///
    /// # Errors
    /// [`Code::Internal`] out of turn; [`Code::LimitExceeded`] where the manifest gets too large to
    /// be read; a write or fsync fails.
    pub fn seal(&mut self) -> Result<SealedBackup> {
        if self.open.is_some() || self.sealed.is_some() {
            return Err(out_of_turn());
        }
        let text = self.manifest.encode();
        if text.len() as u64 > MAX_MANIFEST_BYTES {
            let sentence = format!(
                "the backup's manifest needs {} bytes, more than {MAX_MANIFEST_BYTES}",
                text.len()
            );
            return Err(Error::new(Code::LimitExceeded, sentence)
                .at(Place::file(self.target.path()))
                .hint("back up the collections in parts with --collection"));
        }
        let file = self.dir.create(MANIFEST_FILE, self.access)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync()?;
        self.dir.sync()?;
        let sealed = SealedBackup {
            name: self.free_name()?,
            manifest_xxh3: format!("{:032x}", xxh3_128(text.as_bytes())),
        };
        self.sealed = Some(sealed.clone());
        Ok(sealed)
    }

    /// Opens what was sealed.
    ///
    /// # Errors
    /// Those of [`BackupReader::open`].
    pub fn reader(&self) -> Result<BackupReader> {
        BackupReader::open(self.target.open_dir(&self.name)?)
    }

    /// What has been written.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Seals the backup unless that was done, and gives the directory its name.
    ///
    /// # Errors
    /// Those of [`Self::seal`]; the rename fails. All that was made is removed then.
    pub fn finish(mut self) -> Result<FinishedBackup> {
        let name = match &self.sealed {
            Some(sealed) => sealed.name.clone(),
            None => self.seal()?.name,
        };
        self.target.rename(&self.name, self.target, &name)?;
        self.name.clone_from(&name);
        self.target.sync()?;
        self.complete = true;
        Ok(FinishedBackup {
            path: self.target.join(&name),
            name,
            manifest: self.manifest.clone(),
        })
    }

    fn free_name(&self) -> Result<String> {
        let mut instant = self.instant;
        loop {
            let name = format!("{BACKUP_DIR_PREFIX}{}", stamp(instant));
            if self.target.entry(&name)?.is_none() {
                return Ok(name);
            }
            instant = instant
                .checked_add(SignedDuration::from_secs(1))
                .map_err(|error| {
                    Error::new(Code::InTheWayFile, "no name for the backup is free")
                        .at(Place::file(self.target.join(name)))
                        .because(error)
                })?;
        }
    }

    fn remove(&self) -> Result<()> {
        remove_backup(self.target, &self.dir, &self.name)
    }
}

impl Drop for BackupWriter<'_> {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        if let Err(error) = self.remove() {
            let path = self.target.join(&self.name);
            tracing::warn!(
                "what was made of a backup could not be removed from {}: {error}",
                path.display()
            );
        }
    }
}

/// The second of an instant, in UTC.
fn stamp(instant: Timestamp) -> String {
    instant.strftime("%Y%m%d-%H%M%S").to_string()
}

fn out_of_turn() -> Error {
    Error::new(Code::Internal, "a backup is not written in order")
}

/// WAL positions mean nothing without the WAL.
fn without_wal_lsn(metadata: &str) -> Result<String> {
    let members = jsontext::members(metadata).map_err(|error| {
        Error::new(Code::Internal, "a database's metadata is no JSON object").because(error)
    })?;
    let kept: Vec<String> = members
        .iter()
        .filter(|(key, _)| key != "wal_lsn")
        .map(|(key, value)| {
            let key = serde_json::Value::from(key.as_str());
            format!("{key}:{}", jsontext::compact(value.get()))
        })
        .collect();
    Ok(format!("{{{}}}", kept.join(",")))
}

/// Removes what killed runs have left of their backups in `target`. For who has the target locked:
/// nobody writes there now.
///
/// # Errors
/// A directory is not what this tool leaves ([`Code::InTheWayFile`]), or cannot be removed.
pub fn remove_unfinished(target: &Dir) -> Result<()> {
    let prefix = UNFINISHED_BACKUP_PREFIX.as_bytes();
    for entry in target.entries()? {
        if entry.name.as_bytes().starts_with(prefix) && entry.kind == EntryKind::Directory {
            let dir = target.open_dir(&entry.name)?;
            remove_backup(target, &dir, &entry.name)?;
        }
    }
    Ok(())
}

/// Removes a directory and the files in it. While the directory has the name of a complete backup
/// it is renamed first, so that a removal that is cut short leaves no part of one.
fn remove_backup(target: &Dir, dir: &Dir, name: impl AsRef<OsStr>) -> Result<()> {
    let entries = dir.entries()?;
    if let Some(foreign) = entries.iter().find(|entry| entry.kind != EntryKind::File) {
        let place = Place::file(dir.join(&foreign.name));
        return Err(Error::new(
            Code::InTheWayFile,
            "an unfinished backup holds more than files",
        )
        .at(place));
    }
    let mut name = name.as_ref().to_owned();
    if name.as_bytes().starts_with(BACKUP_DIR_PREFIX.as_bytes()) {
        let mut hidden = std::ffi::OsString::from(UNFINISHED_BACKUP_PREFIX);
        hidden.push(&name);
        target.rename(&name, target, &hidden)?;
        name = hidden;
    }
    for entry in &entries {
        dir.remove_file(&entry.name)?;
    }
    target.remove_dir(&name)
}
