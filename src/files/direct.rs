//! Reading what is on the disk, and not what the kernel remembers of a write.

use super::input::InputFile;
use crate::Result;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Alignment of buffers, offsets and lengths that every file system takes for direct reads, bytes.
const ALIGNMENT: usize = 4096;

/// A file that is read past the page cache where its file system can do that, and else after the
/// kernel was asked to forget its clean pages.
///
/// A direct read leaves the page cache alone and copies nothing: for a file that is read once, both
/// would be for nothing.
#[derive(Debug)]
pub struct DirectFile {
    file: InputFile,
    direct: Option<std::fs::File>,
    /// A direct read was refused.
    refused: AtomicBool,
}

impl DirectFile {
    /// `direct` is the same file, opened for direct reads.
    pub(super) fn new(file: InputFile, direct: Option<std::fs::File>) -> Self {
        file.drop_cache();
        file.advise_sequential();
        Self {
            file,
            direct,
            refused: AtomicBool::new(false),
        }
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
        let is_aligned = offset.is_multiple_of(ALIGNMENT as u64)
            && buffer.len().is_multiple_of(ALIGNMENT)
            && !self.refused.load(Ordering::Relaxed);
        if let Some(direct) = self.direct.as_ref().filter(|_| is_aligned) {
            if direct.read_exact_at(buffer, offset).is_ok() {
                return Ok(());
            }
            // Whatever it was: an error that is the disk's comes again below, with its place.
            self.refused.store(true, Ordering::Relaxed);
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
