//! Directories, held open, and the names in them.

use super::direct::{Bypass, DirectFile};
use super::gate::{ChangeKind, Gate};
use super::input::InputFile;
use super::output::{Access, OutputFile};
use super::system;
use crate::{Code, Error, Place, Result};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a name in a directory stands for, itself, not what a symlink points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EntryKind {
    File,
    Directory,
    Symlink,
    Special,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: OsString,
    /// What it stands for.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size: u64,
    /// Device that it lies on.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: (u32, u32),
}

/// How two runs may share a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Others may read it too.
    Shared,
    /// Nobody else.
    Exclusive,
}

/// An open directory. All names given to its methods are single components.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    gate: Gate,
    locked: AtomicBool,
}

/// What to do about a symlink or special file.
pub(super) const PLAIN_FILES: &str =
    "put the file itself there; a data directory's files are not opened through anything else";

const OPEN_DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory that the user named; a symlink given as the argument itself is followed.
    ///
    /// # Errors
    /// [`Code::PathMissing`] when it is missing or no directory, else the failed open.
    pub fn open(path: &Path, gate: Gate) -> Result<Self> {
        let fd = system::open(path, OPEN_DIR).map_err(|errno| match errno {
            Errno::NOENT => Error::new(Code::PathMissing, "the directory does not exist")
                .at(Place::file(path))
                .hint("check the path; SOURCE_DIR is LauraDB's data directory itself"),
            Errno::NOTDIR => Error::new(Code::PathMissing, "the path is no directory")
                .at(Place::file(path))
                .hint("name the data directory; a snapshot file goes with --snapshot FILE"),
            _ => Error::io("open the directory", path, errno),
        })?;
        Ok(Self::of(fd, path.to_path_buf(), gate))
    }

    fn of(fd: OwnedFd, path: PathBuf, gate: Gate) -> Self {
        Self {
            fd,
            path,
            gate,
            locked: AtomicBool::new(false),
        }
    }

    /// The same directory, under the path that the user gave, for messages.
    #[must_use]
    pub fn named(mut self, path: &Path) -> Self {
        self.path = path.to_path_buf();
        self
    }

    /// The path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The gate that changes below this directory pass.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Bytes that this user may still write here, without those reserved for root. `None` where
    /// the file system does not tell: some network and FUSE file systems answer with zeros
    /// throughout.
    ///
    /// # Errors
    /// The system call fails.
    pub fn free_space(&self) -> Result<Option<u64>> {
        if let Some(free) = self.gate.free_space() {
            return Ok(Some(free));
        }
        let figures = rustix::fs::fstatvfs(&self.fd)
            .map_err(|errno| Error::io("ask for the free space of", &self.path, errno))?;
        let size = match figures.f_frsize {
            0 => figures.f_bsize,
            size => size,
        };
        Ok((figures.f_blocks > 0).then(|| figures.f_bavail.saturating_mul(size)))
    }

    /// Takes an advisory lock (`flock`) on the directory, until this is dropped. False while
    /// another open of the directory, here or in another process, has one that keeps this out.
    ///
    /// # Errors
    /// [`Code::LockUnsupported`]: the file system has no such locks.
    pub fn try_lock(&self, sharing: Sharing) -> Result<bool> {
        let operation = match sharing {
            Sharing::Shared => FlockOperation::NonBlockingLockShared,
            Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match system::flock(&self.fd, operation) {
            Ok(()) => {
                self.locked.store(true, Ordering::Relaxed);
                Ok(true)
            }
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(
                Error::new(Code::LockUnsupported, "the directory cannot be locked")
                    .at(Place::file(&self.path))
                    .because(std::io::Error::from(errno)),
            ),
        }
    }

    /// The open descriptor, to walk up from.
    #[must_use]
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The path of a name in this directory, for messages.
    #[must_use]
    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    fn failed(&self, doing: &str, name: &OsStr) -> impl FnOnce(Errno) -> Error {
        let path = self.join(name);
        let doing = doing.to_owned();
        move |errno| Error::io(&doing, path, errno)
    }

    /// What this directory itself is.
    ///
    /// # Errors
    /// The system call fails.
    pub fn metadata(&self) -> Result<Entry> {
        let stat =
            rustix::fs::fstat(&self.fd).map_err(|errno| Error::io("stat", &self.path, errno))?;
        Ok(entry(self.path.as_os_str().to_owned(), &stat))
    }

    /// What `name` stands for, or `None` if it does not exist. Symlinks are not followed.
    ///
    /// # Errors
    /// The system call fails.
    pub fn entry(&self, name: impl AsRef<OsStr>) -> Result<Option<Entry>> {
        let name = name.as_ref();
        match system::stat_at(&self.fd, name) {
            Ok(stat) => Ok(Some(entry(name.to_owned(), &stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("stat", name)(errno)),
        }
    }

    /// All names, sorted bytewise, without `.`, `..` and `lost+found`.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let failed = |errno| Error::io("read the directory", &self.path, errno);
        let listing = rustix::fs::Dir::read_from(&self.fd).map_err(failed)?;
        let mut entries = Vec::new();
        for item in listing {
            let item = item.map_err(failed)?;
            let name = OsStr::from_bytes(item.file_name().to_bytes());
            if name == "." || name == ".." || name == "lost+found" {
                continue;
            }
            entries.extend(self.entry(name)?);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Opens a directory in this one; a symlink is refused.
    ///
    /// # Errors
    /// The open fails.
    pub fn open_dir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = name.as_ref();
        let fd = system::open_at(&self.fd, name, OPEN_DIR | OFlags::NOFOLLOW, Mode::empty())
            .map_err(self.failed("open the directory", name))?;
        Ok(Self::of(fd, self.join(name), self.gate.clone()))
    }

    /// Makes a directory and opens it.
    ///
    /// # Errors
    /// It exists, or the system call fails.
    pub fn make_dir(&self, name: impl AsRef<OsStr>, access: Access) -> Result<Self> {
        let name = name.as_ref();
        let path = self.join(name);
        self.gate
            .pass(ChangeKind::MakeDir, &path)
            .map_err(|error| Error::io("make the directory", &path, error))?;
        system::make_dir_at(&self.fd, name, Mode::RWXU)
            .map_err(self.failed("make the directory", name))?;
        let made = self.open_dir(name)?;
        if let Ok(fd) = made.fd.try_clone() {
            access.apply(&File::from(fd), access.directory_mode() | 0o700);
        }
        Ok(made)
    }

    /// Opens a regular file for reading; symlinks and special files are refused.
    ///
    /// # Errors
    /// [`Code::NotAFile`], or the open fails.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> Result<InputFile> {
        let name = name.as_ref();
        // NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = system::open_at(&self.fd, name, flags, Mode::empty()).map_err(|errno| {
            match errno {
                // A symlink, or a socket or device without a driver.
                Errno::LOOP | Errno::NXIO => Error::new(
                    Code::NotAFile,
                    "a symlink or special file stands where a data file is expected",
                )
                .at(Place::file(self.join(name)))
                .hint(PLAIN_FILES),
                _ => self.failed("open", name)(errno),
            }
        })?;
        InputFile::new(File::from(fd), self.join(name))
    }

    /// Opens a regular file to be read from the disk itself, see [`DirectFile`].
    ///
    /// # Errors
    /// As [`Self::open_file`].
    pub fn open_direct(&self, name: impl AsRef<OsStr>) -> Result<DirectFile> {
        let name = name.as_ref();
        let file = self.open_file(name)?;
        let direct = Bypass::open(&self.fd, name, OFlags::RDONLY, file.handle());
        Ok(DirectFile::new(file, direct))
    }

    /// Opens a regular file for reading if the name exists.
    ///
    /// # Errors
    /// As [`Self::open_file`].
    pub fn open_file_if_exists(&self, name: impl AsRef<OsStr>) -> Result<Option<InputFile>> {
        match self.entry(name.as_ref())? {
            None => Ok(None),
            Some(_) => self.open_file(name).map(Some),
        }
    }

    /// Makes a new file for reading and writing; the name must be free.
    ///
    /// # Errors
    /// It exists, or the system call fails.
    pub fn create(&self, name: impl AsRef<OsStr>, access: Access) -> Result<OutputFile> {
        let name = name.as_ref();
        let path = self.join(name);
        self.gate
            .pass(ChangeKind::Create, &path)
            .map_err(|error| Error::io("create", &path, error))?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = system::open_at(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(self.failed("create", name))?;
        let file = File::from(fd);
        access.apply(&file, access.mode);
        Ok(OutputFile::new(file, path, self.gate.clone()))
    }

    /// Opens a file that an earlier run of this program made, to go on writing.
    ///
    /// # Errors
    /// The open fails; symlinks are refused.
    pub fn reopen(&self, name: impl AsRef<OsStr>) -> Result<OutputFile> {
        let name = name.as_ref();
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = system::open_at(&self.fd, name, flags, Mode::empty())
            .map_err(self.failed("open", name))?;
        Ok(OutputFile::new(
            File::from(fd),
            self.join(name),
            self.gate.clone(),
        ))
    }

    /// Lets a file of this directory be written past the page cache where that is possible: see
    /// [`AppendWriter::write_behind`](super::AppendWriter::write_behind). What is read again soon
    /// should not be.
    #[must_use]
    pub fn bypass_cache(&self, file: OutputFile) -> OutputFile {
        let name = file.path().file_name().unwrap_or_default();
        let direct = Bypass::open(&self.fd, name, OFlags::WRONLY, file.handle());
        file.with_bypass(direct)
    }

    /// Replaces `name` by `bytes` so that at every instant, through power loss too, it holds
    /// either all of the old or all of the new:
    ///
    /// 1. a temporary file beside it gets the bytes and is fsynced;
    /// 2. it is renamed over the name;
    /// 3. the directory is fsynced.
    ///
    /// # Errors
    /// A step fails. The temporary file may be left; the next call replaces it.
    pub fn replace(&self, name: &str, bytes: &[u8], access: Access) -> Result<()> {
        let temporary = self.write_temporary(name, bytes, access, true)?;
        self.rename(&temporary, self, name)?;
        self.sync()
    }

    /// Replaces `name` by `bytes` so that readers see all of the old or all of the new, but
    /// power loss may leave neither.
    ///
    /// # Errors
    /// A step fails.
    pub fn replace_unsynced(&self, name: &str, bytes: &[u8], access: Access) -> Result<()> {
        let temporary = self.write_temporary(name, bytes, access, false)?;
        self.rename(&temporary, self, name)
    }

    fn write_temporary(
        &self,
        name: &str,
        bytes: &[u8],
        access: Access,
        durable: bool,
    ) -> Result<String> {
        let temporary = format!("{name}.tmp");
        if self.entry(&temporary)?.is_some() {
            self.remove_file(&temporary)?;
        }
        let file = self.create(&temporary, access)?;
        file.write_all_at(bytes, 0)?;
        if durable {
            file.sync()?;
        }
        Ok(temporary)
    }

    /// Renames `name` to `new_name` in `target`, which is on the same file system.
    ///
    /// # Errors
    /// The system call fails.
    pub fn rename(
        &self,
        name: impl AsRef<OsStr>,
        target: &Self,
        new_name: impl AsRef<OsStr>,
    ) -> Result<()> {
        let name = name.as_ref();
        let path = self.join(name);
        self.gate
            .pass(ChangeKind::Rename, &path)
            .map_err(|error| Error::io("rename", &path, error))?;
        system::rename_at(&self.fd, name, &target.fd, new_name.as_ref())
            .map_err(self.failed("rename", name))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The system call fails.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.remove(name.as_ref(), ChangeKind::RemoveFile, AtFlags::empty())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// The system call fails.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.remove(name.as_ref(), ChangeKind::RemoveDir, AtFlags::REMOVEDIR)
    }

    fn remove(&self, name: &OsStr, kind: ChangeKind, flags: AtFlags) -> Result<()> {
        let path = self.join(name);
        self.gate
            .pass(kind, &path)
            .map_err(|error| Error::io("remove", &path, error))?;
        system::unlink_at(&self.fd, name, flags).map_err(self.failed("remove", name))
    }

    /// Makes the names in this directory durable.
    ///
    /// # Errors
    /// The fsync fails.
    pub fn sync(&self) -> Result<()> {
        self.gate
            .pass(ChangeKind::SyncDir, &self.path)
            .map_err(|error| Error::io("fsync the directory", &self.path, error))?;
        match system::fsync(&self.fd) {
            // Some network file systems cannot, and make names durable at once.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(Error::io("fsync the directory", &self.path, errno)),
        }
    }
}

/// A process that is started meanwhile, by any thread, has a copy of the descriptor until its `exec`,
/// and a lock lasts until the last copy is closed. So it is given up here, not left to the close.
impl Drop for Dir {
    fn drop(&mut self) {
        if *self.locked.get_mut() {
            // The close that follows gives it up too.
            let _ = system::flock(&self.fd, FlockOperation::Unlock);
        }
    }
}

#[expect(
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    reason = "the field types differ between platforms; sizes are never negative"
)]
fn entry(name: OsString, stat: &rustix::fs::Stat) -> Entry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Special,
    };
    Entry {
        name,
        kind,
        size: stat.st_size as u64,
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        mode: stat.st_mode & 0o7777,
        owner: (stat.st_uid, stat.st_gid),
    }
}
