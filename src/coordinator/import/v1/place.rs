//! Putting the files of a v1 directory in place, all or none.
//!
//! 1. Both files are staged, durable and verified in the work directory. *Until here the target is
//!    empty but for that; a failure removes it, and so does the next run.*
//! 2. `import.json` is written there, by temporary file, fsync, rename, fsync of the directory: what
//!    was read, with which options, and size and hash of both files. *From here on the same command
//!    finishes; with `--restart` it takes everything back.*
//! 3. `snapshot.json` is renamed into the target, which is fsynced. *From here on the target is a
//!    whole v1 directory: a log is not needed for one.*
//! 4. `wal.log` is renamed into the target, which is fsynced.
//! 5. The work directory is removed, `import.json` last.
//!
//! Each step finds out by itself whether it was done before. There is no marker: a directory without
//! one is in format 1.0, and at no instant is it anything between. So no reader has to be kept away.

use crate::coordinator::journal::{FileFacts, is_plain};
use crate::coordinator::plan::{ShapeOptions, StoredSources};
use crate::coordinator::publish;
use crate::coordinator::work::{self, IMPORT, WorkDir};
use crate::files::{Access, Dir};
use crate::layout::WORK_DIR;
use crate::options::Options;
use crate::shell::quoted_path;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};

/// Version of the format of `import.json`.
const FORMAT: u32 = 1;

/// Largest `import.json` that is read, bytes.
const LARGEST: u64 = 1 << 20;

/// What is being put in place.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::coordinator) struct Placement {
    format: u32,
    sources: Vec<FileFacts>,
    options: ShapeOptions,
    /// In the order in which they are put in place.
    files: Vec<FileFacts>,
}

impl Placement {
    pub(super) fn new(sources: &StoredSources, options: &Options, files: Vec<FileFacts>) -> Self {
        Self {
            format: FORMAT,
            sources: sources.facts(),
            options: ShapeOptions::of(options),
            files,
        }
    }

    /// Makes it durable. From here on the same command finishes.
    pub(super) fn write(&self, work: &WorkDir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(Code::Internal, "cannot encode").because(error))?;
        work.dir.replace(IMPORT, &text, Access::default())
    }

    /// What a run that was cut off was about to put in place, if it got as far.
    pub(super) fn read(target: &Dir) -> Result<Option<Self>> {
        let Some(work) = work::open_in(target)? else {
            return Ok(None);
        };
        let Some(file) = work.open_file_if_exists(IMPORT)? else {
            return Ok(None);
        };
        let damaged = || {
            Error::new(Code::CheckpointDamaged, "the file does not parse")
                .at(Place::file(file.path()))
                .hint("name another directory, or empty this one")
        };
        let placement: Self = serde_json::from_slice(&file.read_all(LARGEST)?)
            .map_err(|error| damaged().because(error))?;
        let is_visible = |file: &FileFacts| is_plain(&file.name) && !file.name.starts_with('.');
        if placement.format != FORMAT || !placement.files.iter().all(is_visible) {
            return Err(damaged());
        }
        Ok(Some(placement))
    }

    /// Fails if there is one in a directory that another command than its own works on: what is
    /// staged may exist only there, since its backup can be gone by now.
    pub(in crate::coordinator) fn refuse(target: &Dir) -> Result<()> {
        if Self::read(target)?.is_none() {
            return Ok(());
        }
        let sentence = "an import into the directory was interrupted while it put files in place";
        Err(Error::new(Code::PublishInterrupted, sentence)
            .at(Place::file(target.join(WORK_DIR)))
            .hint(format!(
                "type the command of the import again to finish it, or add --restart to it to \
                 take it back; laura-migrate --mode status {} tells which command",
                quoted_path(target.path())
            )))
    }

    /// Fails unless it was made of this source with these options.
    pub(super) fn check_same(&self, sources: &StoredSources, options: &Options) -> Result<()> {
        let now = ShapeOptions::of(options);
        let sentence = if let Some((name, then, now)) = self.options.difference(&now) {
            format!("the interrupted import was started with {name} {then}, now it is {now}")
        } else if self.sources != sources.facts() {
            "the interrupted import read another backup".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(Code::ResumeRefused, sentence)
            .hint("add --restart to discard the interrupted import and begin anew"))
    }

    /// Runs steps 3 to 5; `verified` says that this run has just read the staged files back.
    pub(super) fn finish(&self, target: &Dir, verified: bool) -> Result<()> {
        let finished = self.move_in(target, verified);
        let finished = finished.and_then(|()| WorkDir::remove(target));
        finished.map_err(|error| cut_off(target, error))
    }

    fn move_in(&self, target: &Dir, verified: bool) -> Result<()> {
        let work = target.open_dir(WORK_DIR)?;
        for file in &self.files {
            if !verified {
                publish::check_hash(&work, target, file)?;
            }
            publish::rename_once(&work, &file.name, target)?;
            target.sync()?;
        }
        work.sync()
    }

    /// Takes back what was put in place, and only that. The caller removes the work directory.
    pub(super) fn undo(&self, target: &Dir) -> Result<()> {
        let work = target.open_dir(WORK_DIR)?;
        for file in self.files.iter().rev() {
            let is_staged = work.entry(&file.name)?.is_some();
            if !is_staged && target.entry(&file.name)?.is_some() {
                publish::check_hash(target, target, file)?;
            }
            publish::take_back(target, &work, file)?;
            work.sync()?;
        }
        target.sync()
    }
}

pub(super) fn cut_off(target: &Dir, error: Error) -> Error {
    if error.code() == Code::PublishInterrupted {
        return error;
    }
    let hint = error
        .hint_text()
        .unwrap_or("run the same command again to finish")
        .to_owned();
    let sentence = "the files of the v1 directory are not all in their places";
    Error::new(Code::PublishInterrupted, sentence)
        .at(Place::file(target.path()))
        .because(error)
        .hint(hint)
}
