//! One run at a time: advisory locks on the directories' own descriptors.
//!
//! `flock` on an open directory needs no lock file, works on read-only file systems, and is released
//! by the kernel when the process ends, however it ends.

use super::run_info::RunInfo;
use crate::files::Dir;
use crate::{Code, Error, Place, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How two runs may share a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Others may read it too.
    Shared,
    /// Nobody else.
    Exclusive,
}

/// Time between two tries.
const RETRY: Duration = Duration::from_millis(50);

/// Locks `directory` until its descriptor is closed; waits up to `timeout` for another run to end.
pub(super) fn lock(directory: &Dir, sharing: Sharing, timeout: Duration) -> Result<()> {
    let operation = match sharing {
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
        Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    let started = Instant::now();
    loop {
        match rustix::fs::flock(directory.fd().as_fd(), operation) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if started.elapsed() < timeout => std::thread::sleep(RETRY),
            Err(Errno::WOULDBLOCK) => return Err(held(directory, timeout)),
            Err(errno) => {
                return Err(
                    Error::new(Code::LockUnsupported, "the directory cannot be locked")
                        .at(Place::file(directory.path()))
                        .because(std::io::Error::from(errno))
                        .hint(
                            "if you are sure that nothing else uses the directory, add --no-lock",
                        ),
                );
            }
        }
    }
}

fn held(directory: &Dir, timeout: Duration) -> Error {
    let holder = RunInfo::read(directory).ok().flatten().map_or_else(
        || "another process".to_owned(),
        |info| {
            format!(
                "another run (pid {} on {}, started {})",
                info.pid, info.host, info.started
            )
        },
    );
    Error::new(Code::Locked, format!("the directory is locked by {holder}"))
        .at(Place::file(directory.path()))
        .hint(format!(
            "wait for it to end (waited {} s, see --lock-timeout)",
            timeout.as_secs()
        ))
}
