//! `--mode import`: a data directory from a backup.
//!
//! To v2 it is a migration whose check phase plans from the manifest instead of a snapshot, and
//! whose documents come from the backup; all other phases are the same. To v1 it is a file that is
//! written front to back, see [`v1`]. A LauraDB backup file is a snapshot: to v2 it is migrated as
//! one that lies in no data directory, without a log.

mod backup;
mod check;
mod names;
mod v1;

pub(super) use backup::{OpenBackup, StoredBackup};
pub(super) use check::run as check;
pub(super) use v1::Placement;

use super::Migration;
use crate::document::InferTypes;
use crate::files::{Dir, Gate, InputFile};
use crate::options::{ImportFormat, Options};
use crate::progress::ProgressSink;
use crate::report::Report;
use crate::shell::quoted_path;
use crate::source::{self, SourceKind};
use crate::v1::discover;
use crate::version::{self, DirectoryVersion};
use crate::{Code, Error, Place, Result, layout};
use std::path::Path;
use std::sync::Arc;

/// What of a run's source is read.
#[derive(Debug)]
pub(super) enum Origin {
    /// The data directory, as LauraDB left it.
    Directory,
    /// This file in it, a snapshot by any name.
    File(InputFile),
    /// The backup that the directory is, or the only one in it.
    Backup(Arc<OpenBackup>),
}

impl Origin {
    pub(super) fn is_directory(&self) -> bool {
        matches!(self, Self::Directory)
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

impl Migration {
    /// Makes a data directory, or goes on with one that was interrupted.
    pub(super) fn import(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        let mut report = match self.options.to {
            ImportFormat::V1 => v1::run(self, sink)?,
            ImportFormat::V2 => self.migrate(sink)?,
        };
        report.mode = self.options.mode;
        Ok(report)
    }
}

/// Opens what an import is to read, and the directory that it lies in or is.
pub(super) fn open(options: &Options, gate: &Gate) -> Result<(Dir, Origin)> {
    let path = options.source.as_path();
    if options.target.is_none() {
        return Err(usage("an import needs a directory to write to")
            .hint("name it after the backup: laura-migrate --mode import BACKUP TARGET_DIR"));
    }
    if options.snapshot.is_some() {
        return Err(usage("--snapshot means nothing for an import")
            .hint("name the file itself as the source"));
    }
    if path.is_file() {
        return open_file(path, options, gate);
    }
    let dir = Dir::open(path, gate.clone())?;
    refuse_data_directory(&dir)?;
    if options.infer_types != InferTypes::default() {
        return Err(usage(
            "--infer-types means nothing for a backup, whose documents have their types",
        )
        .at(Place::file(path))
        .hint("leave it out"));
    }
    let backup = OpenBackup::open(dir.open_dir(".")?.named(path))?;
    Ok((dir, Origin::Backup(Arc::new(backup))))
}

fn open_file(path: &Path, options: &Options, gate: &Gate) -> Result<(Dir, Origin)> {
    if options.to == ImportFormat::V1 {
        return Err(usage("a LauraDB backup file is in format 1.0 already")
            .at(Place::file(path))
            .hint("copy it to snapshot.json in a directory of its own"));
    }
    if path
        .file_name()
        .is_some_and(|name| name == layout::MANIFEST_FILE)
    {
        return Err(usage("the source is one file of a backup")
            .at(Place::file(path))
            .hint("name the directory that it lies in"));
    }
    let file = InputFile::open(path)?;
    // A symlink as the argument itself is followed, so the file may lie elsewhere.
    let real = path
        .canonicalize()
        .map_err(|error| Error::io("resolve", path, error))?;
    let parent = real.parent().unwrap_or(Path::new("/"));
    Ok((Dir::open(parent, gate.clone())?, Origin::File(file)))
}

/// A data directory is migrated or exported, not imported.
fn refuse_data_directory(dir: &Dir) -> Result<()> {
    let path = quoted_path(dir.path());
    let (sentence, hint) = match source::detect(dir)? {
        SourceKind::Backup => return Ok(()),
        SourceKind::V2 => (
            "the source is a v2 data directory, not a backup",
            format!("take a backup of it first: laura-migrate --mode export {path}"),
        ),
        SourceKind::V1 => {
            let is_marked = matches!(
                version::detect(dir)?,
                DirectoryVersion::V1 { marker: Some(_) }
            );
            let has_log = dir.entry(layout::WAL_FILE)?.is_some();
            if !is_marked && !has_log && discover::find_snapshot(dir, None)?.is_none() {
                // Nothing at all: what is missing is a backup.
                return Ok(());
            }
            (
                "the source is a v1 data directory, not a backup",
                format!(
                    "migrate it with laura-migrate {path} TARGET_DIR, or name a LauraDB backup \
                     file in it"
                ),
            )
        }
    };
    Err(usage(sentence).at(Place::file(dir.path())).hint(hint))
}

fn usage(sentence: &str) -> Error {
    Error::new(Code::Usage, sentence)
}
