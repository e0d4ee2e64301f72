//! Reading a backup directory.

use super::lines::{Line, Lines};
use super::manifest::{Manifest, ManifestCollection};
use super::name::EXTENSION;
use super::{MAX_LINE_BYTES, hex};
use crate::document::bson::RawDocument;
use crate::document::ejson;
use crate::files::{Dir, Entry, EntryKind, InputFile};
use crate::large::prepare;
use crate::layout::{BACKUP_DIR_PREFIX, MANIFEST_FILE};
use crate::v2::metadata::ContentDigest;
use crate::{Code, Error, Place, Result};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A document of a backup.
#[derive(Clone, Copy, Debug)]
pub struct BackupLine<'a> {
    /// The document; checked BSON.
    pub document: RawDocument<'a>,
    /// File offset of its line.
    pub offset: u64,
    /// Bytes of its line.
    pub bytes: u64,
}

/// An open backup: its manifest is read, and its files are those of the manifest.
#[derive(Debug)]
pub struct BackupReader {
    dir: Dir,
    manifest: Manifest,
    manifest_file: InputFile,
}

impl BackupReader {
    /// True if a directory is a backup, or something that was meant to become one.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn is_backup(dir: &Dir) -> Result<bool> {
        if dir.entry(MANIFEST_FILE)?.is_some() {
            return Ok(true);
        }
        Ok(dir.entries()?.iter().any(is_collection_file))
    }

    /// The names of the backups in a directory: all `backup-…` that are directories.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn find_in(parent: &Dir) -> Result<Vec<String>> {
        let is_backup = |entry: &Entry| {
            entry.kind == EntryKind::Directory
                && entry
                    .name
                    .as_bytes()
                    .starts_with(BACKUP_DIR_PREFIX.as_bytes())
        };
        let entries = parent.entries()?;
        let names = entries.iter().filter(|entry| is_backup(entry));
        Ok(names
            .map(|entry| entry.name.to_string_lossy().into_owned())
            .collect())
    }

    /// Opens a backup, or the only one in the directory.
    ///
    /// The manifest is read, and the names and sizes of all files are compared with it. What is in
    /// the files is checked when they are read.
    ///
    /// # Errors
    /// [`Code::BackupMissing`], [`Code::BackupIncomplete`], [`Code::BackupAltered`], those of
    /// [`Manifest::read`]; [`Code::NotAFile`]; a system call fails.
    pub fn open(dir: Dir) -> Result<Self> {
        if Self::is_backup(&dir)? {
            return Self::open_backup(dir);
        }
        let names = Self::find_in(&dir)?;
        let error = |sentence: String| {
            Error::new(Code::BackupMissing, sentence)
                .at(Place::file(dir.path()))
                .hint("name the directory that holds manifest.json")
        };
        match names.as_slice() {
            [name] => Self::open_backup(dir.open_dir(name)?),
            [] => Err(error("the directory holds no backup".to_owned())),
            [first, .., last] => Err(error(format!(
                "the directory holds {} backups, from {first} to {last}",
                names.len()
            ))),
        }
    }

    fn open_backup(dir: Dir) -> Result<Self> {
        let Some(manifest_file) = dir.open_file_if_exists(MANIFEST_FILE)? else {
            return Err(
                incomplete("the backup has no manifest.json, which is written last")
                    .at(Place::file(dir.path())),
            );
        };
        let manifest = Manifest::read(&manifest_file)?;
        let entries = dir.entries()?;
        let found: HashSet<&[u8]> = entries.iter().map(|entry| entry.name.as_bytes()).collect();
        let mut expected = HashSet::from([MANIFEST_FILE.to_owned()]);
        for collection in &manifest.collections {
            let file = collection.file();
            if !found.contains(file.as_bytes()) {
                let place = Place::file(dir.join(&file)).in_collection(&collection.name);
                return Err(incomplete("the file of a collection is missing").at(place));
            }
            expected.insert(file);
        }
        let extra = entries.iter().find(|entry| {
            let name = entry.name.to_str();
            name.is_none_or(|name| !expected.contains(name))
        });
        if let Some(extra) = extra {
            let sentence = "the manifest does not name this file";
            return Err(altered(sentence).at(Place::file(dir.join(&extra.name))));
        }
        let reader = Self {
            dir,
            manifest,
            manifest_file,
        };
        for collection in &reader.manifest.collections {
            reader.check_size(collection)?;
        }
        Ok(reader)
    }

    fn check_size(&self, collection: &ManifestCollection) -> Result<()> {
        let file = collection.file();
        let place = || Place::file(self.dir.join(&file)).in_collection(&collection.name);
        match self.dir.entry(&file)? {
            Some(entry) if entry.kind != EntryKind::File => {
                let sentence = "a symlink or special file stands where a data file is expected";
                Err(Error::new(Code::NotAFile, sentence).at(place()))
            }
            Some(entry) if entry.size == collection.file_bytes => Ok(()),
            Some(entry) => Err(altered(format!(
                "the file has {} bytes, but {} in the manifest",
                entry.size, collection.file_bytes
            ))
            .at(place())),
            None => Err(incomplete("the file of a collection is missing").at(place())),
        }
    }

    /// The path of the backup itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What it holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's file.
    #[must_use]
    pub fn manifest_file(&self) -> &InputFile {
        &self.manifest_file
    }

    /// Opens the file of the collection at `position` in the manifest.
    ///
    /// # Errors
    /// [`Code::Internal`] if there is no such collection; the open fails.
    pub fn file(&self, position: usize) -> Result<InputFile> {
        match self.manifest.collections.get(position) {
            Some(collection) => self.dir.open_file(collection.file()),
            None => Err(Error::new(
                Code::Internal,
                "a backup has no such collection",
            )),
        }
    }

    /// Visits the documents of the collection at `position` in the manifest, in order. Its counts
    /// and hashes are known to be right only when this returns.
    ///
    /// # Errors
    /// [`Code::BackupAltered`]: the first line that is no document, or what differs from the
    /// manifest at the end; a read fails; those of the visitor.
    pub fn documents(
        &self,
        position: usize,
        mut visit: impl FnMut(BackupLine<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(collection) = self.manifest.collections.get(position) else {
            return Err(Error::new(
                Code::Internal,
                "a backup has no such collection",
            ));
        };
        let file = self.dir.open_file(collection.file())?;
        let place = Place::file(file.path()).in_collection(&collection.name);
        let mut pass = Pass {
            place,
            hash: Sha256::new(),
            documents: 0,
            file_bytes: 0,
            data_bytes: 0,
            digest: ContentDigest::default(),
            bson: Vec::new(),
        };
        let mut lines = Lines::new(&file, MAX_LINE_BYTES);
        while let Some(line) = lines.next()? {
            let (offset, bytes) = pass.line(line)?;
            lines.release();
            visit(BackupLine {
                document: RawDocument::trusted(&pass.bson),
                offset,
                bytes,
            })?;
        }
        file.check_unchanged()?;
        pass.compare(collection)
    }

    /// Reads everything once, from disk where that can be asked for, and checks it against the
    /// manifest.
    ///
    /// `progress` is called with the bytes and documents just read, about once per document; its
    /// error ends the pass.
    ///
    /// # Errors
    /// As [`Self::documents`].
    pub fn verify(&self, mut progress: impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
        for (position, collection) in self.manifest.collections.iter().enumerate() {
            self.dir.open_file(collection.file())?.drop_cache();
            self.documents(position, |line| progress(line.bytes, 1))?;
        }
        self.manifest_file.check_unchanged()
    }
}

/// One pass over a collection's file.
struct Pass {
    place: Place,
    hash: Sha256,
    documents: u64,
    file_bytes: u64,
    data_bytes: u64,
    digest: ContentDigest,
    bson: Vec<u8>,
}

impl Pass {
    /// Reads the document of a line over `bson`; gives where the line begins, and its length.
    fn line(&mut self, line: Line<'_>) -> Result<(u64, u64)> {
        let (offset, bytes) = match line {
            Line::Whole { offset, bytes } => (offset, bytes),
            Line::TooLong { offset } => {
                let sentence = format!("a line has more than {MAX_LINE_BYTES} bytes");
                return Err(self.altered_at(offset, sentence));
            }
        };
        let number = self.documents.saturating_add(1);
        let Some((b'\n', text)) = bytes.split_last() else {
            let sentence = format!("line {number}, the last one, has no line break");
            return Err(self.altered_at(offset, sentence));
        };
        let text = simdutf8::compat::from_utf8(text).map_err(|error| {
            let offset = offset.saturating_add(error.valid_up_to() as u64);
            self.altered_at(offset, format!("line {number} is not UTF-8"))
        })?;
        prepare(&mut self.bson, text.len());
        ejson::parse_document(text, &mut self.bson).map_err(|error| {
            let sentence = format!("line {number} is no document in canonical Extended JSON");
            let offset = offset.saturating_add(error.offset as u64);
            self.altered_at(offset, sentence).because(error)
        })?;
        self.hash.update(bytes);
        self.documents = self.documents.saturating_add(1);
        self.file_bytes = self.file_bytes.saturating_add(bytes.len() as u64);
        self.data_bytes = self.data_bytes.saturating_add(self.bson.len() as u64);
        self.digest.add_document(&self.bson);
        Ok((offset, bytes.len() as u64))
    }

    fn altered_at(&self, offset: u64, sentence: String) -> Error {
        altered(sentence).at(Place {
            offset: Some(offset),
            ..self.place.clone()
        })
    }

    fn compare(self, collection: &ManifestCollection) -> Result<()> {
        let figures = [
            ("documents", self.documents, collection.documents),
            ("bytes", self.file_bytes, collection.file_bytes),
            ("bytes of BSON", self.data_bytes, collection.data_bytes),
        ];
        for (what, found, expected) in figures {
            if found != expected {
                let sentence =
                    format!("the file has {found} {what}, but {expected} in the manifest");
                return Err(altered(sentence).at(self.place));
            }
        }
        let hash = hex(&self.hash.finalize());
        if hash != collection.sha256 {
            let sentence = format!(
                "the file's SHA-256 is {hash}, but {} in the manifest",
                collection.sha256
            );
            return Err(altered(sentence).at(self.place));
        }
        if self.digest != collection.content_digest {
            let sentence = format!(
                "the documents' digest is {}, but {} in the manifest",
                self.digest, collection.content_digest
            );
            return Err(altered(sentence).at(self.place));
        }
        Ok(())
    }
}

fn is_collection_file(entry: &Entry) -> bool {
    entry.name.as_bytes().ends_with(EXTENSION.as_bytes())
        && entry.name != crate::layout::QUARANTINE_FILE
}

fn incomplete(sentence: &str) -> Error {
    Error::new(Code::BackupIncomplete, sentence)
        .hint("take another backup; this one was interrupted or copied in part")
}

fn altered(sentence: impl Into<String>) -> Error {
    Error::new(Code::BackupAltered, sentence)
        .hint("take another backup; this one was changed after it was written")
}
