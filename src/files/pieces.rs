//! Writing a file in large pieces, on a thread of its own.

use super::direct::AlignedBuffer;
use super::output::OutputFile;
use crate::{Code, Error, Result, threads};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread::JoinHandle;

/// Pieces that wait for the thread, or are being written, at most.
const PIECES: usize = 4;

/// Bytes of a window of write-behind.
const WINDOW: u64 = 8 << 20;

/// Writes pieces one behind the other, so that they take little of the page cache: its fresh pages
/// cost more than the copy into them where memory is scarce or virtual.
///
/// They go past it if the file has that ([`Dir::bypass_cache`](super::Dir::bypass_cache)).
/// Otherwise the kernel is asked to write each window as soon as it is complete, and to forget it two
/// windows later, and the fsync at the end has little left to do.
#[derive(Debug)]
pub(super) struct Pieces {
    file: OutputFile,
    /// Where the next window starts.
    window: u64,
}

impl Pieces {
    /// Of `file` from `offset` on.
    pub(super) fn new(file: OutputFile, offset: u64) -> Self {
        Self {
            file,
            window: offset,
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if self.file.write_past_cache(bytes, offset)? {
            self.window = end;
        }
        while end >= self.window.saturating_add(WINDOW) {
            self.file.write_behind(self.window, WINDOW);
            if let Some(before) = self.window.checked_sub(2 * WINDOW) {
                self.file.write_behind(before, WINDOW);
            }
            self.window += WINDOW;
        }
        Ok(())
    }
}

/// A piece on its way to the thread, or back.
#[derive(Debug)]
struct Piece {
    buffer: AlignedBuffer,
    /// Bytes of it that count.
    len: usize,
    offset: u64,
}

/// The thread that writes [`Pieces`], from its owner's side.
///
/// An error of a write comes with the next call, and no write is made after it.
#[derive(Debug)]
pub(super) struct PieceThread {
    /// `None` when the thread was told to end.
    sender: Option<Sender<Piece>>,
    written: Receiver<Result<AlignedBuffer>>,
    /// Pieces that were sent and did not come back.
    under_way: usize,
    /// Buffers that did.
    spare: Vec<AlignedBuffer>,
    failed: bool,
    thread: Option<JoinHandle<()>>,
}

impl PieceThread {
    /// `None` if the system has no thread left.
    pub(super) fn start(pieces: Pieces) -> Option<Self> {
        let (sender, to_write) = bounded::<Piece>(PIECES);
        let (done, written) = bounded(PIECES);
        let run = move || write_all(pieces, &to_write, &done);
        let thread = threads::start("writer", run).ok()?;
        Some(Self {
            sender: Some(sender),
            written,
            under_way: 0,
            spare: Vec::new(),
            failed: false,
            thread: Some(thread),
        })
    }

    /// Sends the first `len` bytes of a buffer to be written at `offset`, and puts another one of
    /// the same size in its place.
    pub(super) fn write(
        &mut self,
        buffer: &mut AlignedBuffer,
        len: usize,
        offset: u64,
    ) -> Result<()> {
        if self.under_way == PIECES {
            self.wait()?;
        }
        let spare = self.spare.pop();
        let empty = spare.unwrap_or_else(|| AlignedBuffer::new(buffer.len()));
        let piece = Piece {
            buffer: std::mem::replace(buffer, empty),
            len,
            offset,
        };
        let sender = self.sender.as_ref().filter(|_| !self.failed);
        if sender.is_some_and(|sender| sender.send(piece).is_ok()) {
            self.under_way += 1;
            return Ok(());
        }
        // The thread has ended: one of the pieces before comes back with the reason.
        self.settle().and(Err(ended()))
    }

    /// Waits until everything was handed to the kernel.
    pub(super) fn settle(&mut self) -> Result<()> {
        while self.under_way > 0 {
            self.wait()?;
        }
        match self.failed {
            true => Err(ended()),
            false => Ok(()),
        }
    }

    /// Waits until a piece was written.
    fn wait(&mut self) -> Result<()> {
        self.under_way -= 1;
        let written = self.written.recv().unwrap_or_else(|_| Err(ended()));
        self.failed |= written.is_err();
        self.spare.push(written?);
        Ok(())
    }
}

impl Drop for PieceThread {
    /// Nothing is written any more when the owner is gone.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // If it has panicked, somebody was told so by then, or needs nothing any more.
            let _ = thread.join();
        }
    }
}

/// Writes what comes until nothing does, or a write fails.
fn write_all(mut pieces: Pieces, to_write: &Receiver<Piece>, done: &Sender<Result<AlignedBuffer>>) {
    for piece in to_write {
        let bytes = piece.buffer.get(..piece.len).unwrap_or_default();
        let written = pieces.write(bytes, piece.offset);
        let failed = written.is_err();
        let sent = done.send(written.map(|()| piece.buffer));
        if failed || sent.is_err() {
            return;
        }
    }
}

fn ended() -> Error {
    Error::new(Code::Internal, "a write to the file has failed before")
}

#[cfg(test)]
mod tests {
    use crate::files::{Access, AppendWriter, Change, ChangeKind, Dir, Gate, Verdict};
    use crate::{Code, Result};
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const PIECE: usize = 8192;

    fn page(number: usize) -> [u8; 4096] {
        [u8::try_from(number % 251).unwrap(); 4096]
    }

    fn writer(dir: &Dir, bypass: bool) -> AppendWriter {
        let file = dir.create("file", Access::default()).unwrap();
        let file = if bypass { dir.bypass_cache(file) } else { file };
        AppendWriter::new(file, 0, PIECE).write_behind()
    }

    #[test]
    fn everything_is_there_after_a_flush_past_the_cache_or_not() {
        for bypass in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let dir = Dir::open(directory.path(), Gate::open()).unwrap();
            let mut out = writer(&dir, bypass);
            let mut expected = Vec::new();
            for number in 0..25 {
                out.append(&page(number)).unwrap();
                expected.extend_from_slice(&page(number));
                assert_eq!(out.position(), expected.len() as u64);
                if number % 8 == 7 {
                    out.flush().unwrap();
                    let file = out.file().reader().unwrap();
                    assert_eq!(file.read_all(u64::MAX).unwrap(), expected);
                }
            }
            // Neither a whole page, nor one that fits the buffer.
            out.append(b"some").unwrap();
            expected.extend_from_slice(b"some");
            out.append(&[7; 3 * PIECE]).unwrap();
            expected.extend_from_slice(&[7; 3 * PIECE]);
            out.append(&page(1)).unwrap();
            expected.extend_from_slice(&page(1));
            out.sync().unwrap();
            drop(out.into_file().unwrap());
            assert_eq!(
                std::fs::read(directory.path().join("file")).unwrap(),
                expected
            );
        }
    }

    /// Lets `good` writes through; counts all that were tried.
    fn failing_gate(good: usize) -> (Gate, Arc<AtomicUsize>) {
        let tried = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tried);
        let gate = Gate::guarded(move |change: &Change<'_>| {
            if change.kind != ChangeKind::Write || count.fetch_add(1, Ordering::Relaxed) < good {
                return Verdict::Proceed;
            }
            Verdict::Torn(100, io::Error::from_raw_os_error(28))
        });
        (gate, tried)
    }

    #[test]
    fn a_failed_write_is_told_once_and_nothing_is_written_behind_it() {
        for bypass in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let (gate, tried) = failing_gate(3);
            let dir = Dir::open(directory.path(), gate).unwrap();
            let mut out = writer(&dir, bypass);
            let append_all = |out: &mut AppendWriter| -> Result<()> {
                (0..40).try_for_each(|number| out.append(&page(number)))
            };
            let error = append_all(&mut out).unwrap_err();
            assert_eq!(error.code(), Code::NoSpaceLeft);
            for result in [append_all(&mut out), out.flush(), out.sync()] {
                assert_eq!(result.unwrap_err().code(), Code::Internal);
            }
            drop(out);
            assert_eq!(tried.load(Ordering::Relaxed), 4);
            let written = std::fs::read(directory.path().join("file")).unwrap();
            assert_eq!(written.len(), 3 * PIECE + 100);
        }
    }

    #[test]
    fn a_failed_write_is_told_by_the_flush_that_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let (gate, _) = failing_gate(0);
        let dir = Dir::open(directory.path(), gate).unwrap();
        let mut out = writer(&dir, true);
        out.append(&page(1)).unwrap();
        assert_eq!(out.flush().unwrap_err().code(), Code::NoSpaceLeft);
        assert!(out.into_file().is_err());
    }

    #[test]
    fn nothing_is_written_any_more_when_the_writer_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path(), Gate::open()).unwrap();
        let mut out = writer(&dir, true);
        (0..5).for_each(|number| out.append(&page(number)).unwrap());
        drop(out);
        // What had become a piece is there, the rest is not, and stays away.
        let written = std::fs::read(directory.path().join("file")).unwrap();
        assert_eq!(written.len(), 2 * PIECE);
    }
}
