//! The work directory: everything that a migration writes before it publishes.

use super::plan::Plan;
use super::temporary::TemporaryFiles;
use crate::files::{Access, AppendWriter, Dir, Entry, EntryKind, InputFile, OutputFile};
use crate::layout::{self, ROLLBACK_FILE, WORK_DIR};
use crate::{Code, Error, Place, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Staged `data.db`.
pub(super) const STAGED_DATA: &str = "data.db";
/// Staged `metadata.db`.
pub(super) const STAGED_METADATA: &str = "metadata.db";
/// Staged `wal.log`.
pub(super) const STAGED_WAL: &str = "wal.log";
/// Sorted runs of index keys.
pub(super) const SORT_RUNS: &str = "sort.runs";
/// Separators of the B+tree level that is being built; a number follows.
pub(super) const SEPARATORS: &str = "separators.";
/// Addresses of documents whose `_id` another one has; a number follows.
pub(super) const DUPLICATES: &str = "duplicates.";
/// What the check phase found out.
pub(super) const PLAN: &str = "plan.json";
/// How far the run has got.
pub(super) const CHECKPOINT: &str = "checkpoint.json";
/// Records of the write-ahead log that documents of the snapshot matched: u64 offsets.
pub(super) const MATCHED: &str = "matched.log";
/// The backup that was taken before anything else was done.
pub(super) const BACKUP_RECORD: &str = "backup.json";
/// Sorted `_id`s of LauraDB's unlisted pages; only while they are joined with the snapshot.
pub(super) const PAGES_RUNS: &str = "pages.runs";
/// Which slots of the source's `data.db` hold copies of the snapshot's documents.
pub(super) const PAGES_COPIES: &str = "pages.copies";
/// Which slots of the source's `data.db` hold documents to recover.
pub(super) const PAGES_RECOVERED: &str = "pages.recovered";
/// What publishing does; its presence means that publishing has begun.
pub(super) const JOURNAL: &str = layout::JOURNAL_FILE;
/// What an import to format 1.0 puts in place; from its presence on the same command finishes.
pub(super) const IMPORT: &str = layout::IMPORT_FILE;
/// The journal of a publish that is being undone; from its presence on there is only backward.
pub(super) const UNDO: &str = layout::UNDO_FILE;
/// The same when everything is back in its place and only the work directory is left to remove.
pub(super) const UNDONE: &str = layout::UNDONE_FILE;

/// The work directory of `target`, if there is one.
///
/// # Errors
/// [`Code::InTheWayFile`]: what has its name is no directory.
pub(super) fn open_in(target: &Dir) -> Result<Option<Dir>> {
    match target.entry(WORK_DIR)? {
        None => Ok(None),
        Some(entry) if entry.kind == EntryKind::Directory => target.open_dir(WORK_DIR).map(Some),
        Some(_) => Err(in_the_way(
            "what has the name of the work directory is no directory",
            target.join(WORK_DIR),
        )),
    }
}

fn in_the_way(sentence: &str, path: PathBuf) -> Error {
    Error::new(Code::InTheWayFile, sentence)
        .at(Place::file(path))
        .hint("move it away, then run the same command again")
}

/// The open work directory.
#[derive(Clone, Debug)]
pub(super) struct WorkDir {
    pub(super) dir: Arc<Dir>,
    /// Owner and mode of the files that will be published.
    pub(super) access: Access,
    /// The files of a run that leaves none: they have no names in the directory.
    temporary: Option<Arc<TemporaryFiles>>,
}

impl WorkDir {
    /// Files without names in a directory for temporary ones.
    pub(super) fn temporary(dir: Dir) -> Self {
        let dir = Arc::new(dir);
        Self {
            temporary: Some(Arc::new(TemporaryFiles::new(Arc::clone(&dir)))),
            dir,
            access: Access::default(),
        }
    }

    /// Makes a file; the name must be free.
    pub(super) fn create_file(&self, name: &str, access: Access) -> Result<OutputFile> {
        match &self.temporary {
            Some(files) => files.create(name),
            None => self.dir.create(name, access),
        }
    }

    /// Makes the staged `data.db` anew.
    pub(super) fn create_data(&self, plan: &Plan) -> Result<OutputFile> {
        let file = self.dir.create(STAGED_DATA, self.access)?;
        Ok(self.bypass_cache(plan, file))
    }

    /// Opens the staged `data.db` to go on writing.
    pub(super) fn reopen_data(&self, plan: &Plan) -> Result<OutputFile> {
        let file = self.dir.reopen(STAGED_DATA)?;
        Ok(self.bypass_cache(plan, file))
    }

    /// Long documents are read once more for their terms, just after they were written.
    fn bypass_cache(&self, plan: &Plan, file: OutputFile) -> OutputFile {
        match plan.has_text_indexes() {
            true => file,
            false => self.dir.bypass_cache(file),
        }
    }

    /// Opens a file of the work directory for reading.
    pub(super) fn open_file(&self, name: &str) -> Result<InputFile> {
        match &self.temporary {
            Some(files) => files.get(name)?.reader(),
            None => self.dir.open_file(name),
        }
    }

    /// Opens a file that was made before, to go on writing.
    fn reopen_file(&self, name: &str) -> Result<OutputFile> {
        match &self.temporary {
            Some(files) => files.get(name),
            None => self.dir.reopen(name),
        }
    }

    /// Makes the names of the files durable, where they have any.
    pub(super) fn sync(&self) -> Result<()> {
        match &self.temporary {
            Some(_) => Ok(()),
            None => self.dir.sync(),
        }
    }

    /// Makes it, readable by the owner alone until its files are published.
    pub(super) fn create(target: &Dir, access: Access) -> Result<Self> {
        let private = Access {
            mode: 0o600,
            ..access
        };
        let dir = target.make_dir(WORK_DIR, private)?;
        target.sync()?;
        Ok(Self {
            dir: Arc::new(dir),
            access,
            temporary: None,
        })
    }

    /// [`Self::create`], after removing what a run without a checkpoint has left.
    pub(super) fn create_anew(target: &Dir, access: Access) -> Result<Self> {
        Self::remove(target)?;
        Self::create(target, access)
    }

    /// The work directory of an interrupted run.
    pub(super) fn reopened(dir: Dir, access: Access) -> Self {
        Self {
            dir: Arc::new(dir),
            access,
            temporary: None,
        }
    }

    /// Opens a file to append to, cut to what of it counts; made anew where that is nothing.
    pub(super) fn append_to(&self, name: &str, bytes: u64, buffer: usize) -> Result<AppendWriter> {
        let file = if bytes == 0 {
            self.remove_file(name)?;
            self.create_file(name, self.private())?
        } else {
            let file = self.reopen_file(name)?;
            if file.len()? < bytes {
                return Err(Error::new(
                    Code::CheckpointDamaged,
                    format!(
                        "the file is shorter than the {bytes} bytes that the checkpoint counts"
                    ),
                )
                .at(Place::file(file.path()))
                .hint("add --restart to discard the interrupted run and begin anew"));
            }
            file.set_len(bytes)?;
            file
        };
        Ok(AppendWriter::new(file, bytes, buffer))
    }

    /// Removes a work directory of `target` and all in it, if there is one: nothing that is in it
    /// exists only there. The journal goes last, so that a removal that was cut off can still be
    /// told from a run that was.
    pub(super) fn remove(target: &Dir) -> Result<()> {
        let Some(dir) = open_in(target)? else {
            return Ok(());
        };
        let entries = dir.entries()?;
        let mut directories = entries.iter();
        if let Some(entry) = directories.find(|entry| entry.kind == EntryKind::Directory) {
            let sentence = "a directory lies in the work directory that no run has made";
            return Err(in_the_way(sentence, dir.join(&entry.name)));
        }
        let is_last = |entry: &&Entry| {
            [JOURNAL, UNDO, UNDONE, ROLLBACK_FILE, IMPORT]
                .iter()
                .any(|name| entry.name == *name)
        };
        for entry in entries.iter().filter(|entry| !is_last(entry)) {
            dir.remove_file(&entry.name)?;
        }
        for entry in entries.iter().filter(is_last) {
            dir.sync()?;
            dir.remove_file(&entry.name)?;
        }
        dir.sync()?;
        target.remove_dir(WORK_DIR)?;
        target.sync()
    }

    /// Owner and mode of files that are never published.
    pub(super) fn private(&self) -> Access {
        Access {
            mode: 0o600,
            ..self.access
        }
    }

    /// Removes what only the phases up to the indexes need. Not before a checkpoint behind them is
    /// durable: the ones before it go on from these files.
    pub(super) fn remove_scratch(&self) -> Result<()> {
        for entry in self.dir.entries()? {
            let name = entry.name.as_encoded_bytes();
            let is_numbered = [SEPARATORS, DUPLICATES]
                .iter()
                .any(|prefix| name.starts_with(prefix.as_bytes()));
            let names = [SORT_RUNS, MATCHED, PAGES_COPIES, PAGES_RECOVERED];
            if is_numbered || names.iter().any(|name| entry.name == *name) {
                self.dir.remove_file(&entry.name)?;
            }
        }
        Ok(())
    }

    /// Removes a file of the work directory if it is there.
    pub(super) fn remove_file(&self, name: &str) -> Result<()> {
        if let Some(files) = &self.temporary {
            files.remove(name);
            return Ok(());
        }
        match self.dir.entry(name)? {
            None => Ok(()),
            Some(_) => self.dir.remove_file(name),
        }
    }
}
