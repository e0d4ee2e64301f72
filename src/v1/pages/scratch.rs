//! The files of a join where there is no work directory.

use super::join::{Scratch, ScratchFile};
use crate::files::{Access, AppendWriter, Dir, Gate, InputFile};
use crate::{Code, Error, Result};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes of the buffer that each file is written from.
const WRITE_BUFFER: usize = 256 << 10;

/// Makes the names of this process's files different.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Files in a directory for temporary ones, without names as soon as they are made.
#[derive(Debug)]
pub struct TempScratch {
    dir: Dir,
    files: Mutex<Vec<(ScratchFile, InputFile)>>,
}

impl TempScratch {
    /// In this directory.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn new(directory: &Path) -> Result<Self> {
        Ok(Self {
            dir: Dir::open(directory, Gate::open())?,
            files: Mutex::default(),
        })
    }

    /// A file that was written, for reading.
    ///
    /// # Errors
    /// [`Code::Internal`] if it was not made.
    pub fn file(&self, wanted: ScratchFile) -> Result<InputFile> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let found = files.iter().find(|(file, _)| *file == wanted);
        let missing = || Error::new(Code::Internal, "a file of the join was not made");
        found.ok_or_else(missing)?.1.as_it_is_now()
    }
}

impl Scratch for TempScratch {
    fn create(&self, file: ScratchFile) -> Result<AppendWriter> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".laura-migrate-{}-{number}", std::process::id());
        let out = self.dir.create(&name, Access::default())?;
        self.dir.remove_file(&name)?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push((file, out.reader()?));
        Ok(AppendWriter::new(out, 0, WRITE_BUFFER))
    }
}
