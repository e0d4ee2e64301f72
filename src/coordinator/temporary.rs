//! The files of a run that leaves none: without names in their directory as soon as they are made,
//! so that they are gone when they are closed, however the process ends.

use crate::files::{Access, Dir, OutputFile};
use crate::{Code, Error, Place, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes the names of this process's files different.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Names that are tried; one may be left of a process that was killed in between.
const TRIES: u32 = 100;

/// Open files by the names that they would have in a work directory.
#[derive(Debug)]
pub(super) struct TemporaryFiles {
    dir: Arc<Dir>,
    files: Mutex<HashMap<String, OutputFile>>,
}

impl TemporaryFiles {
    /// In this directory.
    pub(super) fn new(dir: Arc<Dir>) -> Self {
        Self {
            dir,
            files: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OutputFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new file; one of the same name is forgotten.
    pub(super) fn create(&self, name: &str) -> Result<OutputFile> {
        let file = self.unlinked()?;
        self.lock().insert(name.to_owned(), file.try_clone()?);
        Ok(file)
    }

    /// A file that was made before.
    pub(super) fn get(&self, name: &str) -> Result<OutputFile> {
        let missing = || {
            let sentence = format!("the temporary file {name} was not made");
            Error::new(Code::Internal, sentence).at(Place::file(self.dir.path()))
        };
        self.lock().get(name).ok_or_else(missing)?.try_clone()
    }

    /// Forgets a file; its space is free when nobody else has it open.
    pub(super) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    fn unlinked(&self) -> Result<OutputFile> {
        let mut tries = TRIES;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".laura-migrate-{}-dry-{number}", std::process::id());
            match self.dir.create(&name, Access::default()) {
                Ok(file) => {
                    self.dir.remove_file(&name)?;
                    return Ok(file);
                }
                Err(_) if tries > 0 && self.dir.entry(&name)?.is_some() => tries -= 1,
                Err(error) => return Err(error.hint("name another directory with --temp-dir DIR")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Gate;

    #[test]
    fn a_file_can_be_read_by_its_name_and_has_none_in_the_directory() {
        let home = tempfile::tempdir().unwrap();
        let dir = Arc::new(Dir::open(home.path(), Gate::open()).unwrap());
        let files = TemporaryFiles::new(dir);
        let file = files.create("sort.runs").unwrap();
        file.write_all_at(b"run", 0).unwrap();
        let read = files.get("sort.runs").unwrap().reader().unwrap();
        assert_eq!(read.read_all(10).unwrap(), b"run");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        files.remove("sort.runs");
        assert_eq!(files.get("sort.runs").unwrap_err().code(), Code::Internal);
    }
}
