//! The backup phase of a migration: the documents that will be migrated, as the source has them,
//! before anything is made of them.
//!
//! It is taken once for a migration, however often that is interrupted. `backup.json` in the work
//! directory decides; it is durable before the backup gets its name, and then says under which:
//!
//! 1. no record: none was taken. *What a killed run has left of one has another name and is
//!    removed.*
//! 2. a record, and a directory of that name with that manifest: the backup is complete and was
//!    found equal. *No run of this migration takes another.*
//! 3. a record and no such directory: the run was cut off between the two, or the backup was moved
//!    away since. It is taken anew.
//!
//! The backup stays whatever becomes of the migration. It has the names before `--rename` and the
//! index definitions that `--skip-index` leaves out, as far as they can be carried: it is what one
//! goes back to.
//!
//! The log is scanned a second time for it. Both overlays together take at most `--memory`, and no
//! keys are sorted yet.

use super::backup::{self, Job};
use super::backup_place::{BackupPlace, OpenPlace};
use super::check::OVERLAY_SHARE;
use super::context::Context;
use super::journal::is_plain;
use super::plan::Plan;
use super::work::{BACKUP_RECORD, WorkDir};
use crate::backup::SealedBackup;
use crate::files::{Access, Dir};
use crate::layout::{MANIFEST_FILE, WORK_DIR};
use crate::source::{V1Files, V1Options, V1Source};
use crate::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Largest record that is read, bytes.
const LARGEST: u64 = 1 << 20;

/// The backup of this migration, written down before it has its name.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    name: String,
    manifest_xxh3: String,
}

impl Record {
    fn read(work: &Dir) -> Result<Option<Self>> {
        let Some(file) = work.open_file_if_exists(BACKUP_RECORD)? else {
            return Ok(None);
        };
        // One that does not parse was not written by a run that came as far as this.
        Ok(serde_json::from_slice(&file.read_all(LARGEST)?).ok())
    }

    fn write(sealed: &SealedBackup, work: &Dir) -> Result<()> {
        let record = Self {
            name: sealed.name.clone(),
            manifest_xxh3: sealed.manifest_xxh3.clone(),
        };
        let text = serde_json::to_vec(&record).map_err(|error| {
            Error::new(Code::Internal, "cannot encode the backup's name").because(error)
        })?;
        work.replace(BACKUP_RECORD, &text, Access::default())
    }
}

/// The backup that an earlier run of the migration in `target` has taken.
pub(super) fn taken(place: &BackupPlace, target: &Dir) -> Result<Option<PathBuf>> {
    if target.entry(WORK_DIR)?.is_none() {
        return Ok(None);
    }
    let (Some(record), Some(dir)) = (Record::read(&target.open_dir(WORK_DIR)?)?, place.there())
    else {
        return Ok(None);
    };
    // A name from a file must stay in its directory.
    if !is_plain(&record.name) || dir.entry(&record.name)?.is_none() {
        return Ok(None);
    }
    let found = dir.open_dir(&record.name)?;
    let Some(manifest) = found.open_file_if_exists(MANIFEST_FILE)? else {
        return Ok(None);
    };
    Ok((manifest.xxh3()? == record.manifest_xxh3).then(|| dir.join(&record.name)))
}

/// Runs the phase, unless an earlier run has done so; returns the backup's path.
pub(super) fn run(
    context: &mut Context<'_, '_>,
    place: &BackupPlace,
    source: &Dir,
    target: &Dir,
    plan: &Plan,
    work: &WorkDir,
) -> Result<PathBuf> {
    if let Some(path) = taken(place, target)? {
        tracing::info!(path = %path.display(), "the backup was taken already");
        return Ok(path);
    }
    let open = place.open(source, context.options, &context.interrupt)?;
    take(context, &open, source, plan, work).inspect_err(|_| open.remove_if_made())
}

fn take(
    context: &mut Context<'_, '_>,
    place: &OpenPlace<'_>,
    source: &Dir,
    plan: &Plan,
    work: &WorkDir,
) -> Result<PathBuf> {
    let options = context.options;
    let v1 = V1Options {
        infer_types: plan.infer_types,
        collections: options.collections.clone(),
        excluded: options.excluded.clone(),
        any_names: true,
        // The check phase has refused those that are not skipped.
        leave_bad_indexes: true,
        overlay_memory: options.memory / OVERLAY_SHARE,
        pages: options.pages,
        // What goes to quarantine stays with the originals and is not in the backup.
        max_bad: options.max_bad,
        temp_dir: work.dir.path().to_path_buf(),
        ..V1Options::default()
    };
    let files = V1Files {
        snapshot: plan.snapshot.clone(),
        wal: plan.wal.clone(),
        data: plan.data.clone(),
    };
    let mut progress = |_| context.interrupt.check();
    let from = V1Source::of_files(files, source.path().to_path_buf(), &v1, &mut progress)?;
    let job = Job {
        source: &from,
        chosen: &backup::everything(&from),
        place: &place.dir,
        instant: plan.instant(),
        source_bytes: plan.text_bytes(),
        verify: true,
    };
    let finished = job.run(context, |sealed| Record::write(sealed, &work.dir))?;
    Ok(finished.path)
}
