//! Reading and writing what is on the disk, without the kernel's page cache in between.

#[cfg(target_os = "linux")]
use super::input::FileIdentity;
use super::input::InputFile;
#[cfg(target_os = "linux")]
use super::system;
use crate::Result;
#[cfg(target_os = "linux")]
use rustix::fs::Mode;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Alignment of buffers, offsets and lengths that every file system takes for direct reads, bytes.
const ALIGNMENT: usize = 4096;

/// A file once more, for reads or writes past the page cache, until one is refused.
#[derive(Debug)]
pub(super) struct Bypass {
    file: File,
    refused: AtomicBool,
}

impl Bypass {
    /// Opens what `name` leads to once more with these flags, if it is still the file with this
    /// identity and the file system can bypass its cache.
    #[cfg(target_os = "linux")]
    pub(super) fn open(dir: &OwnedFd, name: &OsStr, flags: OFlags, file: &File) -> Option<Self> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::DIRECT;
        let direct = system::open_at(dir, name, flags, Mode::empty()).ok()?;
        let direct = File::from(direct);
        // The name could lead to another file by now.
        let is_same = FileIdentity::of(&direct).ok()? == FileIdentity::of(file).ok()?;
        is_same.then_some(Self {
            file: direct,
            refused: AtomicBool::new(false),
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn open(_: &OwnedFd, _: &OsStr, _: OFlags, _: &File) -> Option<Self> {
        None
    }

    /// True if place and length of these bytes in memory and in the file suit, and nothing was
    /// refused yet.
    pub(super) fn suits(&self, bytes: &[u8], offset: u64) -> bool {
        offset.is_multiple_of(ALIGNMENT as u64)
            && bytes.len().is_multiple_of(ALIGNMENT)
            && bytes.as_ptr().align_offset(ALIGNMENT) == 0
            && !self.refused.load(Ordering::Relaxed)
    }

    /// True if the read or write succeeds. Whatever keeps it from that: an error that is the disk's
    /// comes again on the usual way, where it is told.
    pub(super) fn succeeds(&self, io: impl FnOnce(&File) -> io::Result<()>) -> bool {
        let succeeded = io(&self.file).is_ok();
        if !succeeded {
            self.refused.store(true, Ordering::Relaxed);
        }
        succeeded
    }
}

/// A file that is read past the page cache where its file system can do that, and else after the
/// kernel was asked to forget its clean pages.
///
/// A direct read leaves the page cache alone and copies nothing: for a file that is read once, both
/// would be for nothing.
#[derive(Debug)]
pub struct DirectFile {
    file: InputFile,
    direct: Option<Bypass>,
}

impl DirectFile {
    /// `direct` is the same file.
    pub(super) fn new(file: InputFile, direct: Option<Bypass>) -> Self {
        file.drop_cache();
        file.advise_sequential();
        Self { file, direct }
    }

    /// The same file for reads of any kind.
    #[must_use]
    pub fn file(&self) -> &InputFile {
        &self.file
    }

    /// Fills `buffer` from `offset`; both have to be multiples of 4096 for a direct read.
    ///
    /// # Errors
    /// The file ends early, or the read fails.
    pub fn read_exact_at(&self, buffer: &mut AlignedBuffer, offset: u64) -> Result<()> {
        let direct = self.direct.as_ref();
        if let Some(direct) = direct.filter(|direct| direct.suits(buffer, offset))
            && direct.succeeds(|file| file.read_exact_at(buffer, offset))
        {
            return Ok(());
        }
        self.file.read_exact_at(buffer, offset)
    }
}

/// Bytes that begin at a multiple of 4096 in memory.
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// A buffer of zeros.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let mut buffer = Self::default();
        if len > 0 {
            buffer.bytes = vec![0; len + ALIGNMENT];
            buffer.resize(len);
        }
        buffer
    }

    /// Makes the buffer `len` bytes long; what it holds then is of no meaning.
    pub fn resize(&mut self, len: usize) {
        if self.bytes.len() < len + ALIGNMENT {
            self.bytes.resize(len + ALIGNMENT, 0);
        }
        let offset = self.bytes.as_ptr().align_offset(ALIGNMENT);
        // Never more than the alignment, but for targets that cannot tell.
        self.start = if offset < ALIGNMENT { offset } else { 0 };
        self.len = len;
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
            .get(self.start..self.start + self.len)
            .unwrap_or_default()
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(self.start..self.start + self.len)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::files::{Access, AlignedBuffer, Dir, Gate};

    #[test]
    fn reads_what_was_written_whatever_the_alignment() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path(), Gate::open()).unwrap();
        let bytes: Vec<u8> = (0..3 * 4096 + 100_u32)
            .map(|n| n.to_le_bytes()[1])
            .collect();
        let file = dir.create("file", Access::default()).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let direct = dir.open_direct("file").unwrap();
        let mut buffer = AlignedBuffer::default();
        for (offset, len) in [(0, 4096), (4096, 8192), (1, 4096), (8192, 4196), (0, 12388)] {
            buffer.resize(len);
            direct.read_exact_at(&mut buffer, offset).unwrap();
            let start = usize::try_from(offset).unwrap();
            assert_eq!(&buffer[..], &bytes[start..start + len]);
        }
        buffer.resize(8192);
        assert!(direct.read_exact_at(&mut buffer, 8192).is_err());
    }
}
