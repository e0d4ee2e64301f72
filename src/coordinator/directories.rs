//! The directories of a run: opened once, checked against each other, and judged by what is in
//! them.

use super::backup_place::BackupPlace;
use super::import::{self, Origin};
use super::of_source;
use crate::files::{Access, Dir, Entry, EntryKind, Gate};
use crate::layout;
use crate::options::{Mode as RunMode, Options};
use crate::{Code, Error, Place, Result};
use rustix::fs::{Mode, OFlags};
use std::cell::Cell;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Source and target of a run, held open.
#[derive(Debug)]
pub(super) struct Directories {
    pub(super) source: Dir,
    /// What of the source is read.
    pub(super) origin: Origin,
    /// `None` when the migration is in place.
    target: Option<Dir>,
    /// The migration made the target directory, and removes it if it fails.
    target_is_new: Cell<bool>,
    /// A dry run's target is not there; its parent stands for it.
    pub(super) target_is_missing: bool,
    /// Where the backup goes, if one is taken.
    pub(super) backup: Option<BackupPlace>,
}

impl Directories {
    /// Opens both, and makes the target if its last component is missing.
    pub(super) fn open(options: &Options, gate: &Gate) -> Result<Self> {
        let (source, origin) = match options.mode {
            RunMode::Import => import::open(options, gate)?,
            _ => {
                let source = Dir::open(&options.source, gate.clone()).map_err(of_source)?;
                (source, Origin::Directory)
            }
        };
        let Some(path) = &options.target else {
            let backup = find_backup(options, &source, None, gate)?;
            return Ok(Self {
                source,
                origin,
                target: None,
                target_is_new: Cell::new(false),
                target_is_missing: false,
                backup,
            });
        };
        let is_dry = options.mode == RunMode::DryRun;
        let mut target_is_missing = false;
        let (target, target_is_new) = match Dir::open(path, gate.clone()) {
            Ok(target) => (target, false),
            Err(error) if error.code() == Code::PathMissing => {
                let (parent, name) = parent_of(path, gate)?;
                // A file, or a symlink to nothing.
                if parent.entry(name)?.is_some() {
                    return Err(error);
                }
                target_is_missing = is_dry;
                match is_dry {
                    true => (parent.named(path), false),
                    false => (make_in(&parent, name, &source)?.named(path), true),
                }
            }
            Err(error) => return Err(error),
        };
        let mut directories = Self {
            source,
            origin,
            target: Some(target),
            target_is_new: Cell::new(target_is_new),
            target_is_missing,
            backup: None,
        };
        let found = directories.check_apart().and_then(|()| {
            find_backup(
                options,
                &directories.source,
                Some(directories.target()).filter(|_| !target_is_missing),
                gate,
            )
        });
        match found {
            Ok(backup) => directories.backup = backup,
            Err(error) => {
                directories.remove_new_target();
                return Err(error);
            }
        }
        Ok(directories)
    }

    /// Where v2 is written: the target, or in place the source.
    pub(super) fn target(&self) -> &Dir {
        self.target.as_ref().unwrap_or(&self.source)
    }

    pub(super) fn in_place(&self) -> bool {
        self.target.is_none()
    }

    /// True if the migration made the target directory.
    pub(super) fn target_is_new(&self) -> bool {
        self.target_is_new.get()
    }

    /// The run that is resumed made the target directory.
    pub(super) fn set_target_is_new(&self) {
        self.target_is_new.set(true);
    }

    /// Takes back a target directory that the migration made and that is empty again.
    pub(super) fn remove_new_target(&self) {
        if let (true, Some(target)) = (self.target_is_new(), &self.target)
            && let Some((parent, name)) = parent_and_name(target.path())
            && let Ok(parent) = Dir::open(parent, target.gate().clone())
        {
            // Best effort: what is not empty stays.
            let _ = parent.remove_dir(name);
        }
    }

    /// Source and target must be different directories, and neither may lie inside the other.
    fn check_apart(&self) -> Result<()> {
        let Some(target) = &self.target else {
            return Ok(());
        };
        let is_same = same(&self.source.metadata()?, &target.metadata()?);
        let overlap = if self.target_is_missing {
            // Only what lies in the source would, once it was made.
            if !is_same && !lies_inside(target, &self.source)? {
                return Ok(());
            }
            "the target lies inside the source"
        } else if is_same {
            "source and target are the same directory"
        } else if !self.origin.is_file() && lies_inside(target, &self.source)? {
            "the target lies inside the source"
        } else if lies_inside(&self.source, target)? {
            "the source lies inside the target"
        } else {
            return Ok(());
        };
        Err(Error::new(Code::PathsOverlap, overlap)
            .at(Place::file(target.path()))
            .hint("name a directory beside the source, or none to migrate in place"))
    }
}

pub(super) fn parent_and_name(path: &Path) -> Option<(&Path, &OsStr)> {
    let name = path.file_name()?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    Some((parent.unwrap_or(Path::new(".")), name))
}

fn find_backup(
    options: &Options,
    source: &Dir,
    target: Option<&Dir>,
    gate: &Gate,
) -> Result<Option<BackupPlace>> {
    if !options.backup && options.backup_dir.is_none() {
        return Ok(None);
    }
    BackupPlace::find(options.backup_dir.as_deref(), source, target, gate).map(Some)
}

/// The directory that a missing target will be made in, and its name there.
fn parent_of<'p>(path: &'p Path, gate: &Gate) -> Result<(Dir, &'p OsStr)> {
    let missing = || {
        Error::new(
            Code::PathMissing,
            "the target's parent directory does not exist",
        )
        .at(Place::file(path))
        .hint("make it first, with mkdir -p")
    };
    let (parent, name) = parent_and_name(path).ok_or_else(missing)?;
    let parent = Dir::open(parent, gate.clone()).map_err(|error| missing().because(error))?;
    Ok((parent, name))
}

/// Makes a directory as readable as `like`, durably.
pub(super) fn make_in(parent: &Dir, name: &OsStr, like: &Dir) -> Result<Dir> {
    let like = like.metadata()?;
    let made = parent.make_dir(
        name,
        Access {
            mode: like.mode & 0o666 | 0o600,
            owner: Some(like.owner),
        },
    )?;
    if let Err(error) = parent.sync() {
        // Best effort: the error that counts is the first one.
        let _ = parent.remove_dir(name);
        return Err(error);
    }
    Ok(made)
}

pub(super) fn same(a: &Entry, b: &Entry) -> bool {
    (a.device, a.inode) == (b.device, b.inode)
}

/// Walks from `inner` up to the root, by descriptors, so that no symlink can hide the relation.
pub(super) fn lies_inside(inner: &Dir, outer: &Dir) -> Result<bool> {
    const DEEPEST: usize = 4096;
    let outer_entry = outer.metadata()?;
    let failed = |errno| Error::io("open the parent of", inner.path(), errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = inner
        .fd()
        .try_clone()
        .map_err(|error| Error::io("duplicate the descriptor of", inner.path(), error))?;
    for _ in 0..DEEPEST {
        // A parent that may not be opened cannot be the outer one: that one was opened.
        let Ok(parent) = rustix::fs::openat(at.as_fd(), "..", flags, Mode::empty()) else {
            return Ok(false);
        };
        let stat = rustix::fs::fstat(&parent).map_err(failed)?;
        let here = rustix::fs::fstat(&at).map_err(failed)?;
        #[allow(
            clippy::unnecessary_cast,
            reason = "the field types differ between platforms"
        )]
        let number = (stat.st_dev as u64, stat.st_ino as u64);
        if number == (outer_entry.device, outer_entry.inode) {
            return Ok(true);
        }
        if (stat.st_dev, stat.st_ino) == (here.st_dev, here.st_ino) {
            return Ok(false);
        }
        at = parent;
    }
    Ok(false)
}

/// What a directory that v2 shall be written to holds already.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Files of LauraDB or of this tool.
    pub(super) laura_files: Vec<Entry>,
    /// Directories of LauraDB or of this tool, the work directory not counted.
    pub(super) laura_directories: Vec<Entry>,
    /// Anything else.
    pub(super) foreign: Vec<Entry>,
    /// The work directory of an earlier run.
    pub(super) work: Option<Entry>,
}

impl Contents {
    pub(super) fn of(directory: &Dir) -> Result<Self> {
        let mut contents = Self::default();
        for entry in directory.entries()? {
            let name = &entry.name;
            if name == layout::WORK_DIR {
                contents.work = Some(entry);
            } else if layout::is_laura_file(name) && entry.kind != EntryKind::Directory {
                contents.laura_files.push(entry);
            } else if layout::is_laura_directory(name) && entry.kind == EntryKind::Directory {
                contents.laura_directories.push(entry);
            } else {
                contents.foreign.push(entry);
            }
        }
        Ok(contents)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.laura_files.is_empty()
            && self.laura_directories.is_empty()
            && self.foreign.is_empty()
            && self.work.is_none()
    }

    /// A side-by-side target must be empty; with `force`, LauraDB's files may be in it.
    pub(super) fn check_target(&self, target: &Dir, force: bool) -> Result<()> {
        let in_the_way = |entry: &Entry, sentence: &str| {
            Error::new(Code::TargetNotEmpty, sentence).at(Place::file(target.join(&entry.name)))
        };
        if let Some(entry) = self.foreign.first() {
            return Err(
                in_the_way(entry, "the target holds files that are not LauraDB's")
                    .hint("name an empty or new directory as the target"),
            );
        }
        match self
            .laura_files
            .iter()
            .chain(&self.laura_directories)
            .next()
        {
            Some(entry) if !force => Err(in_the_way(
                entry,
                "the target holds a LauraDB directory already",
            )
            .hint("name an empty or new directory, or add --force to move its files aside")),
            _ => Ok(()),
        }
    }
}
