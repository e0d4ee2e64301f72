//! System calls on names, made again when a signal interrupts them: network and FUSE file systems
//! answer EINTR where local ones do not. What goes through `std::fs::File` is made again there.

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Result, retry_on_intr};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub(super) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
}

pub(super) fn open_at(dir: impl AsFd, name: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    retry_on_intr(|| rustix::fs::openat(dir.as_fd(), name, flags, mode))
}

pub(super) fn stat_at(dir: impl AsFd, name: &OsStr) -> Result<Stat> {
    retry_on_intr(|| rustix::fs::statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW))
}

pub(super) fn make_dir_at(dir: impl AsFd, name: &OsStr, mode: Mode) -> Result<()> {
    retry_on_intr(|| rustix::fs::mkdirat(dir.as_fd(), name, mode))
}

pub(super) fn rename_at(
    dir: impl AsFd,
    name: &OsStr,
    target: impl AsFd,
    new_name: &OsStr,
) -> Result<()> {
    retry_on_intr(|| rustix::fs::renameat(dir.as_fd(), name, target.as_fd(), new_name))
}

pub(super) fn unlink_at(dir: impl AsFd, name: &OsStr, flags: AtFlags) -> Result<()> {
    retry_on_intr(|| rustix::fs::unlinkat(dir.as_fd(), name, flags))
}

pub(super) fn flock(file: impl AsFd, operation: FlockOperation) -> Result<()> {
    retry_on_intr(|| rustix::fs::flock(file.as_fd(), operation))
}

pub(super) fn fsync(file: impl AsFd) -> Result<()> {
    retry_on_intr(|| rustix::fs::fsync(file.as_fd()))
}
