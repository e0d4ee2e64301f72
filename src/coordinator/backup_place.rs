//! The directory that backups go into: found out before anything is written, made when it is
//! needed, and taken away again if what it was made for failed.

use super::directories::{lies_inside, make_in, parent_and_name, same};
use super::interrupt::Interrupt;
use super::lock;
use crate::backup;
use crate::files::{Dir, EntryKind, Gate, Sharing};
use crate::layout::{BACKUPS_DIR, WORK_DIR};
use crate::options::Options;
use crate::{Code, Error, Place, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Space for the manifest and for what a file system keeps of its own, bytes.
pub(super) const SMALL_FILES: u64 = 1 << 20;

/// Where a backup will go.
#[derive(Debug)]
pub(super) struct BackupPlace {
    path: PathBuf,
    at: At,
}

#[derive(Debug)]
enum At {
    There(Dir),
    /// To be made in this directory.
    Missing(Dir, OsString),
}

/// The open directory, locked.
#[derive(Debug)]
pub(super) struct OpenPlace<'p> {
    pub(super) dir: Dir,
    /// This run made it.
    made: Option<(&'p Dir, &'p OsString)>,
}

impl BackupPlace {
    /// `named`, else `backups` in the source.
    ///
    /// # Errors
    /// [`Code::PathMissing`]: neither the directory nor its parent is there.
    /// [`Code::PathsOverlap`]: it is the source or `other`, or lies in one of them without being the
    /// source's `backups`, or in a work directory.
    pub(super) fn find(
        named: Option<&Path>,
        source: &Dir,
        other: Option<&Dir>,
        gate: &Gate,
    ) -> Result<Self> {
        let Some(path) = named else {
            return Self::default_in(source);
        };
        let at = match Dir::open(path, gate.clone()) {
            Ok(dir) => At::There(dir),
            Err(error) if error.code() == Code::PathMissing => {
                let missing = || {
                    Error::new(
                        Code::PathMissing,
                        "the parent of the directory for backups does not exist",
                    )
                    .at(Place::file(path))
                    .hint("make it first, with mkdir -p")
                };
                let (parent, name) = parent_and_name(path).ok_or_else(missing)?;
                let parent =
                    Dir::open(parent, gate.clone()).map_err(|error| missing().because(error))?;
                // A file, or a symlink to nothing.
                if parent.entry(name)?.is_some() {
                    return Err(error);
                }
                At::Missing(parent, name.to_owned())
            }
            Err(error) => return Err(error),
        };
        let place = Self {
            path: path.to_path_buf(),
            at,
        };
        place.check_apart(source, true)?;
        if let Some(other) = other {
            place.check_apart(other, false)?;
        }
        Ok(place)
    }

    fn default_in(source: &Dir) -> Result<Self> {
        let path = source.join(BACKUPS_DIR);
        let at = match source.entry(BACKUPS_DIR)? {
            None => At::Missing(
                source.open_dir(".")?.named(source.path()),
                BACKUPS_DIR.into(),
            ),
            Some(entry) if entry.kind == EntryKind::Directory => {
                At::There(source.open_dir(BACKUPS_DIR)?)
            }
            Some(_) => {
                return Err(Error::new(
                    Code::InTheWayFile,
                    "something that is no directory stands where backups go",
                )
                .at(Place::file(path))
                .hint("name a directory for the backup on the command line"));
            }
        };
        Ok(Self { path, at })
    }

    /// The directory, if it was there when the run started.
    pub(super) fn there(&self) -> Option<&Dir> {
        match &self.at {
            At::There(dir) => Some(dir),
            At::Missing(..) => None,
        }
    }

    /// The directory that its file system can be asked of.
    pub(super) fn on(&self) -> &Dir {
        match &self.at {
            At::There(dir) | At::Missing(dir, _) => dir,
        }
    }

    fn check_apart(&self, other: &Dir, may_be_backups: bool) -> Result<()> {
        let overlaps = |sentence: &str| {
            Err(Error::new(Code::PathsOverlap, sentence)
                .at(Place::file(&self.path))
                .hint("name a directory that lies elsewhere"))
        };
        if is_in_work_dir(self.on()) {
            return overlaps("backups cannot go into a work directory");
        }
        let is_other = same(&self.on().metadata()?, &other.metadata()?);
        let is_inside = lies_inside(self.on(), other)?;
        match &self.at {
            At::There(_) if is_other => overlaps("backups cannot go into a data directory itself"),
            At::There(dir) if is_inside => {
                let backups = other.entry(BACKUPS_DIR)?;
                let here = dir.metadata()?;
                if may_be_backups && backups.is_some_and(|backups| same(&backups, &here)) {
                    return Ok(());
                }
                overlaps("the directory for backups lies inside a data directory")
            }
            At::Missing(_, name) if is_other && may_be_backups && name == BACKUPS_DIR => Ok(()),
            At::Missing(..) if is_other || is_inside => {
                overlaps("the directory for backups lies inside a data directory")
            }
            _ => Ok(()),
        }
    }

    /// Fails if `source` lies inside it.
    pub(super) fn refuse_around(&self, source: &Dir) -> Result<()> {
        if let At::There(dir) = &self.at
            && lies_inside(source, dir)?
        {
            return Err(
                Error::new(Code::PathsOverlap, "the source lies inside the target")
                    .at(Place::file(&self.path))
                    .hint("name a directory beside the source"),
            );
        }
        Ok(())
    }

    /// Opens it, making it as readable as `source` where it is missing, locks it, and removes what
    /// killed runs have left in it.
    pub(super) fn open(
        &self,
        source: &Dir,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<OpenPlace<'_>> {
        let place = match &self.at {
            At::There(dir) => OpenPlace {
                dir: dir.open_dir(".")?.named(&self.path),
                made: None,
            },
            At::Missing(parent, name) => OpenPlace {
                dir: make_in(parent, name, source)?.named(&self.path),
                made: Some((parent, name)),
            },
        };
        let ready = if options.lock {
            lock::lock(
                &place.dir,
                Sharing::Exclusive,
                options.lock_timeout,
                interrupt,
            )
        } else {
            Ok(())
        };
        match ready.and_then(|()| backup::remove_unfinished(&place.dir)) {
            Ok(()) => Ok(place),
            Err(error) => {
                place.remove_if_made();
                Err(error)
            }
        }
    }
}

impl OpenPlace<'_> {
    /// Takes back a directory that this run made and that is empty again.
    pub(super) fn remove_if_made(&self) {
        if let Some((parent, name)) = self.made {
            // Best effort: what is not empty stays.
            let _ = parent.remove_dir(name);
        }
    }
}

/// True below a directory with a work directory's name.
fn is_in_work_dir(dir: &Dir) -> bool {
    let path = dir.path().canonicalize();
    path.is_ok_and(|path| path.components().any(|part| part.as_os_str() == WORK_DIR))
}
