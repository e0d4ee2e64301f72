//! Locks on a directory, held until its descriptor is closed.

use crate::files::Dir;
use crate::{Code, Error, Place, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// Lets no other process have the directory open, not even for reading.
pub(super) fn exclusive(dir: &Dir) -> Result<()> {
    lock(dir, FlockOperation::NonBlockingLockExclusive)
}

/// Lets no other process have the directory open for writing, as far as its file system has locks.
pub(super) fn shared(dir: &Dir) -> Result<()> {
    match lock(dir, FlockOperation::NonBlockingLockShared) {
        Err(error) if error.code() == Code::LockUnsupported => Ok(()),
        result => result,
    }
}

fn lock(dir: &Dir, operation: FlockOperation) -> Result<()> {
    match rustix::fs::flock(dir.fd(), operation) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Error::new(
            Code::Locked,
            "the directory is open in another process",
        )
        .at(Place::file(dir.path()))
        .hint("close the other store, or wait for the migration to end")),
        Err(errno) => Err(
            Error::new(Code::LockUnsupported, "the directory cannot be locked")
                .at(Place::file(dir.path()))
                .because(std::io::Error::from(errno)),
        ),
    }
}
