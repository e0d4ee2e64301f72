//! Files that this program writes.

use super::direct::Bypass;
use super::gate::{ChangeKind, Gate, Verdict};
use super::input::InputFile;
use crate::{Error, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Owner and permissions that a new file or directory gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Access {
    /// Permission bits of files, such as 0o640; directories add the search bits.
    pub mode: u32,
    /// Owner to set where that is permitted.
    pub owner: Option<(u32, u32)>,
}

impl Default for Access {
    /// Readable by the owner alone.
    fn default() -> Self {
        Self {
            mode: 0o600,
            owner: None,
        }
    }
}

impl Access {
    /// The owner and mode of an existing file, without set-id and sticky bits.
    #[must_use]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o666 | 0o600,
            owner: Some((metadata.uid(), metadata.gid())),
        }
    }

    /// The mode of a directory that is as readable as the files.
    #[must_use]
    pub fn directory_mode(self) -> u32 {
        self.mode | (self.mode & 0o444) >> 2
    }

    /// Gives `file` this owner and exactly this mode, the umask notwithstanding.
    ///
    /// Best effort: who may not give files away keeps them, and then readable by no more than
    /// the file's own group would have been.
    pub(super) fn apply(self, file: &File, mode: u32) {
        let mut mode = mode;
        if let Some((uid, gid)) = self.owner {
            let owned = file
                .metadata()
                .is_ok_and(|now| now.uid() == uid && now.gid() == gid);
            if !owned && std::os::unix::fs::fchown(file, Some(uid), Some(gid)).is_err() {
                // The group is another one than the source's: it gets nothing.
                mode &= !0o077;
            }
        }
        let _ = file.set_permissions(std::fs::Permissions::from_mode(mode));
    }
}

/// A regular file opened for writing at any offset.
#[derive(Debug)]
pub struct OutputFile {
    file: File,
    path: PathBuf,
    gate: Gate,
    direct: Option<Arc<Bypass>>,
}

impl OutputFile {
    pub(super) fn new(file: File, path: PathBuf, gate: Gate) -> Self {
        Self {
            file,
            path,
            gate,
            direct: None,
        }
    }

    /// `direct` is the same file.
    pub(super) fn with_bypass(self, direct: Option<Bypass>) -> Self {
        Self {
            direct: direct.map(Arc::new),
            ..self
        }
    }

    pub(super) fn handle(&self) -> &File {
        &self.file
    }

    /// The path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path.clone();
        let doing = doing.to_owned();
        move |error| Error::io(&doing, path, error)
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The write fails; how much of it happened is unknown.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.write(bytes, |bytes| self.file.write_all_at(bytes, offset))
    }

    /// [`Self::write_all_at`], past the page cache where that is possible; true if it was.
    ///
    /// # Errors
    /// As [`Self::write_all_at`].
    pub(super) fn write_past_cache(&self, bytes: &[u8], offset: u64) -> Result<bool> {
        let mut is_past = false;
        self.write(bytes, |bytes| {
            let direct = self.direct.as_ref();
            is_past = direct
                .filter(|direct| direct.suits(bytes, offset))
                .is_some_and(|direct| direct.succeeds(|file| file.write_all_at(bytes, offset)));
            match is_past {
                true => Ok(()),
                false => self.file.write_all_at(bytes, offset),
            }
        })?;
        Ok(is_past)
    }

    /// Writes as much as the gate lets through.
    fn write(&self, bytes: &[u8], write: impl FnOnce(&[u8]) -> io::Result<()>) -> Result<()> {
        let written = match self
            .gate
            .verdict(ChangeKind::Write, &self.path, bytes.len())
        {
            Verdict::Proceed => write(bytes),
            Verdict::Fail(error) => Err(error),
            Verdict::Torn(len, error) => write(bytes.get(..len).unwrap_or(bytes)).and(Err(error)),
        };
        written.map_err(self.failed("write"))
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// The fsync fails; then nothing written since the last good one can be trusted.
    pub fn sync(&self) -> Result<()> {
        self.gate
            .pass(ChangeKind::Sync, &self.path)
            .and_then(|()| self.file.sync_all())
            .map_err(self.failed("fsync"))
    }

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// The system call fails.
    pub fn set_len(&self, len: u64) -> Result<()> {
        self.gate
            .pass(ChangeKind::SetLen, &self.path)
            .and_then(|()| self.file.set_len(len))
            .map_err(self.failed("truncate"))
    }

    /// The size in bytes now.
    ///
    /// # Errors
    /// The system call fails.
    pub fn len(&self) -> Result<u64> {
        self.file
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(self.failed("stat"))
    }

    /// True when the file has no bytes.
    ///
    /// # Errors
    /// The system call fails.
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// The same open file once more.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn try_clone(&self) -> Result<Self> {
        let file = self
            .file
            .try_clone()
            .map_err(self.failed("duplicate the descriptor of"))?;
        Ok(Self {
            file,
            path: self.path.clone(),
            gate: self.gate.clone(),
            direct: self.direct.clone(),
        })
    }

    /// The same open file, to read back from.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn reader(&self) -> Result<InputFile> {
        let file = self
            .file
            .try_clone()
            .map_err(self.failed("duplicate the descriptor of"))?;
        InputFile::new(file, self.path.clone())
    }

    /// Asks the kernel to write what is dirty in this range without waiting for it, and to forget
    /// the pages of it that are clean.
    pub(super) fn write_behind(&self, offset: u64, len: u64) {
        // DONTNEED does both; its success is no fact that anything relies on.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(
            &self.file,
            offset,
            std::num::NonZeroU64::new(len),
            rustix::fs::Advice::DontNeed,
        );
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }
}
