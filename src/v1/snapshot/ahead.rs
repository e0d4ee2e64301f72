//! A file that a thread reads front to back, ahead of who looks at it.

use super::window::ReadAt;
use crate::Result;
use crate::ahead::fill_ahead;
use crate::files::InputFile;
use crate::threads::start_scoped;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::path::Path;
use std::thread::Scope;

/// Pieces that are read before they are asked for.
const READ_AHEAD: usize = 2;

/// Gives the pieces of the file, in order. What is read is hashed by the thread, if at all.
pub(super) struct ReadAhead<'f> {
    file: &'f InputFile,
    pieces: Receiver<Result<Vec<u8>>>,
    emptied: Sender<Vec<u8>>,
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
        let mut offset = 0;
        let read = move |mut piece: Vec<u8>| {
            piece.resize(piece_bytes.max(1), 0);
            let length = file.read_at(&mut piece, offset)?;
            piece.truncate(length);
            offset = offset.saturating_add(length as u64);
            Ok((!piece.is_empty()).then_some(piece))
        };
        let read_all = move || fill_ahead(&empty, &sender, read);
        start_scoped(scope, "reader", read_all).ok()?;
        Some(Self {
            file,
            pieces,
            emptied,
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
        // It sends nothing behind the end of the file, or behind an error. A panic of it is the
        // scope's.
        let Ok(piece) = self.pieces.recv() else {
            return Ok(0);
        };
        let piece = piece?;
        // The thread may be at the end of the file and need no more buffers.
        let _ = self.emptied.try_send(std::mem::replace(buffer, piece));
        Ok(buffer.len())
    }
}
