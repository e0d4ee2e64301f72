//! Locks on a directory, held until it is dropped.

use crate::files::{Dir, Sharing};
use crate::{Code, Error, Place, Result};

/// Lets no other process have the directory open, not even for reading.
pub(super) fn exclusive(dir: &Dir) -> Result<()> {
    lock(dir, Sharing::Exclusive)
}

/// Lets no other process have the directory open for writing, as far as its file system has locks.
pub(super) fn shared(dir: &Dir) -> Result<()> {
    match lock(dir, Sharing::Shared) {
        Err(error) if error.code() == Code::LockUnsupported => Ok(()),
        result => result,
    }
}

fn lock(dir: &Dir, sharing: Sharing) -> Result<()> {
    if dir.try_lock(sharing)? {
        return Ok(());
    }
    let sentence = "the directory is open in another process";
    Err(Error::new(Code::Locked, sentence)
        .at(Place::file(dir.path()))
        .hint("close the other store, or wait for the migration to end"))
}
