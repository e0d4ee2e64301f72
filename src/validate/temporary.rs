//! Where sort runs go: files that have no name any more.

use crate::files::{Access, AppendWriter, Dir};
use crate::index::sort::SpillFile;
use crate::{Code, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of the buffer that sort runs are written from.
const RUN_BUFFER: usize = 256 << 10;
/// Names that are tried; one may be left of a process that was killed in between.
const TRIES: u32 = 100;

/// Makes unlinked files in a directory for temporary files.
#[derive(Clone, Debug)]
pub struct TemporaryRuns {
    dir: Arc<Dir>,
    next: Arc<AtomicU32>,
}

impl TemporaryRuns {
    /// In this directory.
    #[must_use]
    pub fn new(dir: Dir) -> Self {
        Self {
            dir: Arc::new(dir),
            next: Arc::default(),
        }
    }

    /// A file that is made when the first run is spilled.
    pub(super) fn spill_file(&self) -> SpillFile {
        let runs = self.clone();
        SpillFile::new(move || runs.create())
    }

    fn create(&self) -> Result<AppendWriter> {
        let mut tries = TRIES;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let name = format!(".laura-migrate-{}-{number}.runs", std::process::id());
            match self.dir.create(&name, Access::default()) {
                Ok(file) => {
                    // The open file stays until it is closed, however the process ends.
                    self.dir.remove_file(&name)?;
                    return Ok(AppendWriter::new(file, 0, RUN_BUFFER));
                }
                Err(error) if error.code() == Code::Io && tries > 0 && self.is_taken(&name)? => {
                    tries -= 1;
                }
                Err(error) => {
                    return Err(error.hint("name another directory with --temp-dir DIR"));
                }
            }
        }
    }

    fn is_taken(&self, name: &str) -> Result<bool> {
        Ok(self.dir.entry(name)?.is_some())
    }
}
