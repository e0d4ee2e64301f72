//! The check phase of an import to v2: everything is planned from the manifest.
//!
//! The files of the collections are read once, by the collections phase, which ends each with the
//! comparison of all its counts and hashes; a collection that differs is never finished, so nothing
//! is published from an altered backup.

use super::OpenBackup;
use super::names::{self, ImportedCollection};
use crate::coordinator::check::{Sources, check_indexes, instant_ns};
use crate::coordinator::context::Context;
use crate::coordinator::directories::Directories;
use crate::coordinator::estimate::SpaceEstimate;
use crate::coordinator::plan::{Plan, PlannedCollection, StoredSources};
use crate::coordinator::quarantine::QuarantineState;
use crate::coordinator::space::{self, Need};
use crate::index::IndexDefinition;
use crate::progress::{Phase, Totals};
use crate::receipt::SnapshotFacts;
use crate::report::Warning;
use crate::source::SourceInfo;
use crate::v1::snapshot::Chunk;
use crate::{Code, Error, Result};
use std::sync::Arc;

/// Runs the phase; `hidden` warns of what could not be seen.
pub(in crate::coordinator) fn run(
    context: &mut Context<'_, '_>,
    directories: &Directories,
    backup: &Arc<OpenBackup>,
    hidden: Option<Warning>,
) -> Result<Plan> {
    let options = context.options;
    context
        .tracker
        .start_phase(Phase::Check, Totals::default(), Totals::default());
    let mut warnings: Vec<Warning> = hidden.into_iter().collect();
    let mut collections = Vec::new();
    for (id, imported) in (1..).zip(names::resolve(backup, options, false)?) {
        let collection = planned(id, imported)?;
        check_indexes(options, &collection, &mut warnings, &mut Err)?;
        collections.push(collection);
    }
    context.interrupt.check()?;
    let estimate = SpaceEstimate::sample_source(backup.source(), &collections)?;
    space::check(&[Need {
        directory: directories.target(),
        purpose: "staged files and sort runs",
        bytes: estimate.work_directory(),
    }])?;
    Ok(Plan {
        sources: StoredSources::of(&Sources::of(directories, options)?)?,
        snapshot: None,
        wal: None,
        backup: Some(Arc::clone(backup)),
        described: described(backup.source().info()),
        data: None,
        pages: None,
        quarantined_pages: QuarantineState::default(),
        overlay: None,
        overlay_bytes: 0,
        after_lsn: None,
        wal_summary: None,
        collections,
        infer_types: options.infer_types,
        access: backup.access(),
        instant_ns: instant_ns(options),
        warnings,
        v1_files: Vec::new(),
        v1_marker: None,
    })
}

/// A backup names its database as the snapshot did that it goes back to.
fn described(info: &SourceInfo) -> Option<SnapshotFacts> {
    Some(SnapshotFacts {
        database_name: info.database_name.clone()?,
        timestamp: None,
        metadata: info.metadata.clone(),
    })
}

/// A collection of the plan; its file is one chunk.
fn planned(id: u32, imported: ImportedCollection) -> Result<PlannedCollection> {
    let too_many = |_| Error::new(Code::LimitExceeded, "there are too many collections");
    let mut collection = PlannedCollection {
        id,
        name: imported.name,
        v1_name: imported.source_name,
        overlay_number: u32::try_from(imported.position).map_err(too_many)?,
        documents: imported.documents,
        chunks: vec![Chunk {
            offset: 0,
            bytes: imported.file_bytes,
            first_ordinal: 0,
            documents: u32::try_from(imported.documents).unwrap_or(u32::MAX),
        }],
        indexes: vec![IndexDefinition::id_index()],
        skipped_indexes: imported.skipped,
        infer_types: Default::default(),
    };
    for index in imported.indexes {
        if let Some(infer_types) = index.infer_types {
            let name = index.definition.name.clone();
            collection.infer_types.insert(name, infer_types);
        }
        collection.indexes.push(index.definition);
    }
    Ok(collection)
}
