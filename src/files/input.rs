//! Files that are only read.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::dir::PLAIN_FILES;
use super::output::Access;
use crate::hash::Xxh3;
use crate::{Code, Error, Place, Result};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What tells whether a file is still the one that was opened, unchanged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileIdentity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the contents, nanoseconds since 1970.
    pub modified_ns: i128,
    /// Last change of contents or attributes, nanoseconds since 1970.
    pub changed_ns: i128,
}

impl FileIdentity {
    pub(super) fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        let ns = |seconds: i64, ns: i64| {
            i128::from(seconds)
                .saturating_mul(1_000_000_000)
                .saturating_add(i128::from(ns))
        };
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// A regular file opened for reading at any offset, from any thread.
#[derive(Clone, Debug)]
pub struct InputFile {
    file: Arc<File>,
    path: Arc<Path>,
    identity: FileIdentity,
    /// Hash of what has been read from the front without a gap.
    hash: Option<Arc<Mutex<FrontHash>>>,
}

#[derive(Default)]
struct FrontHash {
    hasher: Xxh3,
    /// Bytes hashed so far.
    bytes: u64,
}

impl std::fmt::Debug for FrontHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrontHash({} bytes)", self.bytes)
    }
}

impl FrontHash {
    /// Takes a piece that was read; what was hashed before, or leaves a gap, is passed over.
    fn update(&mut self, piece: &[u8], offset: u64) {
        let known = self
            .bytes
            .checked_sub(offset)
            .and_then(|known| usize::try_from(known).ok());
        if let Some(fresh) = known.and_then(|known| piece.get(known..)) {
            self.hasher.update(fresh);
            self.bytes = self.bytes.saturating_add(fresh.len() as u64);
        }
    }
}

impl InputFile {
    pub(super) fn new(file: File, path: PathBuf) -> Result<Self> {
        let metadata = file
            .metadata()
            .map_err(|error| Error::io("stat", &path, error))?;
        if !metadata.is_file() {
            return Err(Error::new(Code::NotAFile, "the file is not a regular file")
                .at(Place::file(&path))
                .hint(PLAIN_FILES));
        }
        let identity = FileIdentity::of(&file).map_err(|error| Error::io("stat", &path, error))?;
        Ok(Self {
            file: Arc::new(file),
            path: path.into(),
            identity,
            hash: None,
        })
    }

    pub(super) fn handle(&self) -> &File {
        &self.file
    }

    /// Opens a file by a path that the user gave; symlinks in it are followed.
    ///
    /// # Errors
    /// The path does not open, or is no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        use rustix::fs::OFlags;
        // NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd =
            super::system::open(path, flags).map_err(|error| Error::io("open", path, error))?;
        Self::new(File::from(fd), path.to_path_buf())
    }

    /// The path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.identity.size
    }

    /// The same open file, which hashes what is read of it from the front on.
    #[must_use]
    pub fn hashing(&self) -> Self {
        Self {
            hash: Some(Arc::default()),
            ..self.clone()
        }
    }

    /// The same open file, which hashes nothing.
    #[must_use]
    pub fn without_hashing(&self) -> Self {
        Self {
            hash: None,
            ..self.clone()
        }
    }

    /// XXH3-128 of the whole file as 32 hex digits; reads what has not been read of a
    /// [`Self::hashing`] file.
    ///
    /// # Errors
    /// A read fails.
    pub fn xxh3(&self) -> Result<String> {
        let hashing = if self.hash.is_some() {
            self.clone()
        } else {
            self.hashing()
        };
        let mut buffer = vec![0; 1 << 20];
        loop {
            let (offset, digest) = match &hashing.hash {
                Some(hash) => {
                    let hash = hash.lock().unwrap_or_else(PoisonError::into_inner);
                    (hash.bytes, hash.hasher.digest128())
                }
                None => (0, 0),
            };
            if hashing.read_at(&mut buffer, offset)? == 0 {
                return Ok(format!("{digest:032x}"));
            }
        }
    }

    fn note(&self, piece: &[u8], offset: u64) {
        if let Some(hash) = &self.hash {
            hash.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .update(piece, offset);
        }
    }

    /// What the file was when it was opened.
    #[must_use]
    pub fn identity(&self) -> &FileIdentity {
        &self.identity
    }

    /// Owner and mode that files made from this one get: never more readable than it is.
    ///
    /// # Errors
    /// The system call fails.
    pub fn access(&self) -> Result<Access> {
        self.file
            .metadata()
            .map(|metadata| Access::of(&metadata))
            .map_err(|error| Error::io("stat", &*self.path, error))
    }

    /// The same open file with the size that it has by now, of a file that this program has
    /// written meanwhile.
    ///
    /// # Errors
    /// The system call fails.
    pub fn as_it_is_now(&self) -> Result<Self> {
        let identity =
            FileIdentity::of(&self.file).map_err(|error| Error::io("stat", &*self.path, error))?;
        Ok(Self {
            identity,
            ..self.clone()
        })
    }

    /// Fails if the file is no longer what it was when it was opened.
    ///
    /// # Errors
    /// [`Code::SourceChanged`].
    pub fn check_unchanged(&self) -> Result<()> {
        let now =
            FileIdentity::of(&self.file).map_err(|error| Error::io("stat", &*self.path, error))?;
        // An unlink or a rename of the name changes the ctime as well.
        if now == self.identity {
            return Ok(());
        }
        Err(
            Error::new(Code::SourceChanged, "the file changed while it was read")
                .at(Place::file(&*self.path))
                .hint("stop LauraDB, then run the same command again"),
        )
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The file ends early, or the read fails.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                Error::new(Code::SourceChanged, "the file is shorter than it was")
                    .at(Place::offset(&*self.path, offset))
            } else {
                Error::io("read", &*self.path, error).map_place(|place| Place {
                    offset: Some(offset),
                    ..place
                })
            }
        })?;
        self.note(buffer, offset);
        Ok(())
    }

    /// Reads up to `buffer.len()` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// The read fails.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self
                .file
                .read_at(rest, offset.saturating_add(filled as u64))
            {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(
                        Error::io("read", &*self.path, error).map_place(|place| Place {
                            offset: Some(offset),
                            ..place
                        }),
                    );
                }
            }
        }
        self.note(buffer.get(..filled).unwrap_or_default(), offset);
        Ok(filled)
    }

    /// Reads a whole file that may have at most `limit` bytes.
    ///
    /// # Errors
    /// The file is larger, or the read fails.
    pub fn read_all(&self, limit: u64) -> Result<Vec<u8>> {
        let size = usize::try_from(self.size())
            .ok()
            .filter(|_| self.size() <= limit);
        let Some(size) = size else {
            return Err(Error::new(
                Code::SourceTooLarge,
                format!(
                    "the file has {} bytes, at most {limit} are expected",
                    self.size()
                ),
            )
            .at(Place::file(&*self.path)));
        };
        let mut bytes = vec![0; size];
        let filled = self.read_at(&mut bytes, 0)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Tells the kernel that the file will be read from front to back.
    pub fn advise_sequential(&self) {
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Sequential);
    }

    /// Lets the kernel read these bytes now, for a read that comes soon.
    pub fn advise_needed(&self, offset: u64, length: u64) {
        #[cfg(target_os = "linux")]
        if let Some(length) = std::num::NonZeroU64::new(length) {
            let advice = rustix::fs::Advice::WillNeed;
            let _ = rustix::fs::fadvise(&self.file, offset, Some(length), advice);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, length);
    }

    /// Asks the kernel to forget its copies of clean pages, so that the next read is from disk.
    pub fn drop_cache(&self) {
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }
}
