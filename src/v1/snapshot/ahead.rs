//! A file that a thread reads front to back, ahead of who looks at it.

use super::window::ReadAt;
use crate::files::InputFile;
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::cell::Cell;
use std::path::Path;
use std::thread::{self, Scope};

/// Pieces that are read before they are asked for.
const READ_AHEAD: usize = 2;

/// Gives the pieces of the file, in order. What is read is hashed by the thread, if at all.
pub(super) struct ReadAhead<'f> {
    file: &'f InputFile,
    pieces: Receiver<Result<Vec<u8>>>,
    emptied: Sender<Vec<u8>>,
    /// The last piece was empty: the file has ended there.
    has_ended: Cell<bool>,
}

impl<'f> ReadAhead<'f> {
    /// Starts to read pieces of so many bytes; `None` if there is no thread to be had.
    pub(super) fn start(
        scope: &'f Scope<'f, '_>,
        file: &'f InputFile,
        piece_bytes: usize,
    ) -> Option<Self> {
        let (sender, pieces) = bounded(READ_AHEAD);
        // All buffers there are: those that wait, one that is filled and one that is looked at.
        let (emptied, empty) = bounded(READ_AHEAD + 2);
        let read = move || read_all(file, piece_bytes.max(1), &sender, &empty);
        let thread = thread::Builder::new().name("reader".into());
        thread.spawn_scoped(scope, read).ok()?;
        Some(Self {
            file,
            pieces,
            emptied,
            has_ended: Cell::new(false),
        })
    }
}

impl ReadAt for ReadAhead<'_> {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn fill(&self, buffer: &mut Vec<u8>, _: u64) -> Result<usize> {
        if self.has_ended.get() {
            return Ok(0);
        }
        let ended = || Error::new(Code::Internal, "the reading thread has ended early");
        let piece = self.pieces.recv().unwrap_or_else(|_| Err(ended()))?;
        self.has_ended.set(piece.is_empty());
        // The thread may be at the end of the file and need no more buffers.
        let _ = self.emptied.try_send(std::mem::replace(buffer, piece));
        Ok(buffer.len())
    }
}

/// Sends all pieces and an empty one behind them, until an error or until nobody takes them.
fn read_all(
    file: &InputFile,
    piece_bytes: usize,
    pieces: &Sender<Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
) {
    let mut offset = 0;
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.resize(piece_bytes, 0);
        let read = file.read_at(&mut piece, offset).map(|length| {
            piece.truncate(length);
            offset = offset.saturating_add(length as u64);
            piece
        });
        let is_last = read.as_ref().map_or(true, Vec::is_empty);
        if pieces.send(read).is_err() || is_last {
            return;
        }
    }
}
