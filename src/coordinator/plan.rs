//! The plan: what the check phase found out and all later phases follow.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::check::Sources;
use super::context::Sample;
use super::import::{OpenBackup, StoredBackup};
use super::journal::FileFacts;
use super::quarantine::QuarantineState;
use super::state::saturating_sum;
use crate::document::InferTypes;
use crate::files::{Access, FileIdentity, InputFile};
use crate::index::{IndexDefinition, IndexKind, infer_types_names};
use crate::options::{ImportFormat, Options, PagesMode};
use crate::receipt::SnapshotFacts;
use crate::report::Warning;
use crate::v1::pages::JoinSummary;
use crate::v1::snapshot::Chunk;
use crate::v1::wal::{Overlay, WalSummary};
use crate::version::FormatVersion;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A collection that will be in v2.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PlannedCollection {
    /// From 1, in the order of the names.
    pub(super) id: u32,
    /// The name in v2.
    pub(super) name: String,
    /// The name in snapshot and WAL; generated `_id`s depend on it.
    pub(super) v1_name: String,
    /// The number that the WAL overlay knows it by; of an import, its position in the backup.
    pub(super) overlay_number: u32,
    /// Documents in the snapshot.
    pub(super) documents: u64,
    /// Where they are.
    pub(super) chunks: Vec<Chunk>,
    /// What will be built, `_id_` first, then by name; index ids are positions here plus 1.
    pub(super) indexes: Vec<IndexDefinition>,
    /// What will not be built, by the operator's wish.
    pub(super) skipped_indexes: Vec<String>,
    /// How the constants of filters are typed, by index, where a backup says it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) infer_types: BTreeMap<String, InferTypes>,
}

impl PlannedCollection {
    /// How the constants of an index's filter are typed.
    pub(super) fn infer_types_of(&self, index: &IndexDefinition, or: InferTypes) -> InferTypes {
        self.infer_types.get(&index.name).copied().unwrap_or(or)
    }

    /// Bytes of JSON text of its documents.
    pub(super) fn text_bytes(&self) -> u64 {
        saturating_sum(self.chunks.iter().map(|chunk| chunk.bytes))
    }
}

/// Everything that the phases after check work from.
#[derive(Debug)]
pub(super) struct Plan {
    /// The snapshot, if there is one.
    pub(super) snapshot: Option<InputFile>,
    /// The write-ahead log, if there is one.
    pub(super) wal: Option<InputFile>,
    /// What an import reads instead of both.
    pub(super) backup: Option<Arc<OpenBackup>>,
    /// The source's `data.db`, unless it is ignored.
    pub(super) data: Option<InputFile>,
    /// What was found in it, if it holds slotted pages.
    pub(super) pages: Option<JoinSummary>,
    /// The beginning of the quarantine: what of it the check phase has written.
    pub(super) quarantined_pages: QuarantineState,
    /// What all of them were when the run started.
    pub(super) sources: StoredSources,
    /// What the write-ahead log changes.
    pub(super) overlay: Option<Overlay>,
    /// Memory that it takes while the collections phase runs.
    pub(super) overlay_bytes: u64,
    /// Replay starts after this LSN.
    pub(super) after_lsn: Option<u64>,
    pub(super) wal_summary: Option<WalSummary>,
    /// How the snapshot describes its database.
    pub(super) described: Option<SnapshotFacts>,
    /// In id order.
    pub(super) collections: Vec<PlannedCollection>,
    pub(super) infer_types: InferTypes,
    /// Owner and mode of what will be written.
    pub(super) access: Access,
    /// The one instant of all timestamps written, nanoseconds since 1970.
    pub(super) instant_ns: i64,
    pub(super) warnings: Vec<Warning>,
    /// Names in the source directory that make room when the migration is in place.
    pub(super) v1_files: Vec<String>,
    /// The text of a 1.0 marker.
    pub(super) v1_marker: Option<String>,
}

impl Plan {
    /// The one instant of all timestamps written.
    pub(super) fn instant(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.instant_ns))
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The format that the documents come from.
    pub(super) fn previous_version(&self) -> FormatVersion {
        let backup = self.backup.as_ref();
        backup.map_or(FormatVersion::V1_0, |backup| backup.version())
    }

    /// The position in an import's backup of the collection at this position in the plan.
    pub(super) fn source_position(&self, collection: usize) -> Option<usize> {
        let collection = self.collections.get(collection)?;
        usize::try_from(collection.overlay_number).ok()
    }

    /// Documents of the snapshot and recovered ones.
    pub(super) fn documents(&self) -> u64 {
        let documents = self.collections.iter();
        let documents = saturating_sum(documents.map(|collection| collection.documents));
        let recovered = self.pages.as_ref().map(|pages| pages.tally.recovered);
        documents.saturating_add(recovered.unwrap_or_default())
    }

    /// True if some index takes the terms of texts.
    pub(super) fn has_text_indexes(&self) -> bool {
        let mut indexes = self.collections.iter().flat_map(|planned| &planned.indexes);
        indexes.any(|index| index.kind == IndexKind::Text)
    }

    pub(super) fn text_bytes(&self) -> u64 {
        saturating_sum(self.collections.iter().map(PlannedCollection::text_bytes))
    }

    pub(super) fn indexes(&self) -> u64 {
        let collections = self.collections.iter();
        saturating_sum(collections.map(|collection| collection.indexes.len() as u64))
    }

    /// Fails if a source file is no longer what it was when it was opened.
    pub(super) fn check_source_unchanged(&self) -> crate::Result<()> {
        if let Some(backup) = &self.backup {
            backup.check_unchanged()?;
        }
        self.snapshot
            .iter()
            .chain(&self.wal)
            .chain(&self.data)
            .try_for_each(InputFile::check_unchanged)
    }
}

/// The options that shape the output. A run goes on only with the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShapeOptions {
    infer_types: InferTypes,
    #[serde(default)]
    pages: PagesMode,
    renames: Vec<String>,
    skip_indexes: Vec<String>,
    collections: Vec<String>,
    excluded: Vec<String>,
    /// Of an import.
    #[serde(default)]
    to: ImportFormat,
    #[serde(default)]
    max_bad: u64,
    source_date_epoch: Option<i64>,
}

impl ShapeOptions {
    pub(super) fn of(options: &Options) -> Self {
        let sorted = |values: &[String]| {
            let mut values = values.to_vec();
            values.sort();
            values.dedup();
            values
        };
        Self {
            infer_types: options.infer_types,
            pages: options.pages,
            renames: sorted(&options.renames),
            skip_indexes: sorted(&options.skip_indexes),
            collections: sorted(&options.collections),
            excluded: sorted(&options.excluded),
            to: options.to,
            max_bad: options.max_bad,
            source_date_epoch: options.source_date_epoch,
        }
    }

    /// Sets the options of reading v1 that were not given.
    pub(super) fn fill_absent(&self, options: &mut Options) {
        if !options.infer_types_given {
            options.infer_types = self.infer_types;
        }
        if !options.pages_given {
            options.pages = self.pages;
        }
        if options.renames.is_empty() {
            options.renames.clone_from(&self.renames);
        }
        if options.skip_indexes.is_empty() {
            options.skip_indexes.clone_from(&self.skip_indexes);
        }
        if options.collections.is_empty() && options.excluded.is_empty() {
            options.collections.clone_from(&self.collections);
            options.excluded.clone_from(&self.excluded);
        }
    }

    /// The first option that is another one now: its name, then and now.
    pub(super) fn difference(&self, now: &Self) -> Option<(&'static str, String, String)> {
        let list = |values: &[String]| match values {
            [] => "absent".to_owned(),
            values => values.join(" "),
        };
        let types = |infer| match infer_types_names(infer).as_slice() {
            [] => "none".to_owned(),
            names => names.join(","),
        };
        let epoch =
            |epoch: Option<i64>| epoch.map_or("not set".to_owned(), |epoch| epoch.to_string());
        [
            (
                "--infer-types",
                types(self.infer_types),
                types(now.infer_types),
            ),
            (
                "--pages",
                self.pages.name().to_owned(),
                now.pages.name().to_owned(),
            ),
            ("--rename", list(&self.renames), list(&now.renames)),
            (
                "--skip-index",
                list(&self.skip_indexes),
                list(&now.skip_indexes),
            ),
            ("--to", self.to.name().to_owned(), now.to.name().to_owned()),
            (
                "--collection",
                list(&self.collections),
                list(&now.collections),
            ),
            ("--exclude", list(&self.excluded), list(&now.excluded)),
            (
                "--max-bad",
                self.max_bad.to_string(),
                now.max_bad.to_string(),
            ),
            (
                "SOURCE_DATE_EPOCH",
                epoch(self.source_date_epoch),
                epoch(now.source_date_epoch),
            ),
        ]
        .into_iter()
        .find(|(_, then, now)| then != now)
    }
}

/// A source file as it was when the run started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredSource {
    name: String,
    identity: FileIdentity,
    /// XXH3-128 of its bytes.
    xxh3: String,
}

impl StoredSource {
    pub(super) fn of(file: &InputFile) -> Result<Self> {
        Ok(Self {
            name: display_name(file),
            identity: file.identity().clone(),
            xxh3: file.xxh3()?,
        })
    }

    /// What has changed since, in words. A file that was copied or restored in between, and so has
    /// another inode or change time, is compared by its bytes.
    pub(super) fn difference(&self, now: &InputFile) -> Result<Option<String>> {
        let (then, identity) = (&self.identity, now.identity());
        if then == identity {
            return Ok(None);
        }
        if then.size != identity.size {
            return Ok(Some(format!(
                "it had {} bytes and has {}",
                then.size, identity.size
            )));
        }
        let xxh3 = now.xxh3()?;
        Ok((xxh3 != self.xxh3).then(|| format!("its XXH3-128 was {} and is {xxh3}", self.xxh3)))
    }
}

fn display_name(file: &InputFile) -> String {
    let name = file.path().file_name().unwrap_or(file.path().as_os_str());
    name.to_string_lossy().into_owned()
}

/// The source files of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredSources {
    snapshot: Option<StoredSource>,
    wal: Option<StoredSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<StoredBackup>,
    data: Option<StoredSource>,
}

impl StoredSources {
    /// Hashes what has not been read of them yet.
    pub(super) fn of(sources: &Sources) -> Result<Self> {
        let stored = |file: &Option<InputFile>| file.as_ref().map(StoredSource::of).transpose();
        let backup = sources.backup.as_deref();
        Ok(Self {
            snapshot: stored(&sources.snapshot)?,
            wal: stored(&sources.wal)?,
            data: stored(&sources.data)?,
            backup: backup.map(StoredBackup::of).transpose()?,
        })
    }

    /// Name, size and hash of each. A backup's manifest stands for all of its files, whose hashes
    /// it holds.
    pub(super) fn facts(&self) -> Vec<FileFacts> {
        let manifest = self.backup.as_ref().map(StoredBackup::manifest);
        let sources = self.snapshot.iter().chain(&self.wal).chain(&self.data);
        let sources = sources.chain(manifest);
        sources
            .map(|source| FileFacts {
                name: source.name.clone(),
                size: source.identity.size,
                xxh3: source.xxh3.clone(),
            })
            .collect()
    }
}

/// The part of the plan that is kept in the work directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredPlan {
    options: ShapeOptions,
    sources: StoredSources,
    /// What the digests of the sample were taken of.
    pub(super) sample: Sample,
    pages: Option<JoinSummary>,
    #[serde(default)]
    quarantined_pages: QuarantineState,
    after_lsn: Option<u64>,
    wal_summary: Option<WalSummary>,
    described: Option<SnapshotFacts>,
    pub(super) collections: Vec<PlannedCollection>,
    infer_types: InferTypes,
    pub(super) access: Access,
    instant_ns: i64,
    warnings: Vec<Warning>,
    v1_files: Vec<String>,
    v1_marker: Option<String>,
    /// The run that planned made the target directory.
    #[serde(default)]
    pub(super) target_is_new: bool,
}

impl StoredPlan {
    /// What to keep of a plan.
    pub(super) fn of(plan: &Plan, options: &Options, sample: Sample, target_is_new: bool) -> Self {
        Self {
            options: ShapeOptions::of(options),
            sources: plan.sources.clone(),
            sample,
            pages: plan.pages.clone(),
            quarantined_pages: plan.quarantined_pages,
            after_lsn: plan.after_lsn,
            wal_summary: plan.wal_summary.clone(),
            described: plan.described.clone(),
            collections: plan.collections.clone(),
            infer_types: plan.infer_types,
            access: plan.access,
            instant_ns: plan.instant_ns,
            warnings: plan.warnings.clone(),
            v1_files: plan.v1_files.clone(),
            v1_marker: plan.v1_marker.clone(),
            target_is_new,
        }
    }

    /// Checks that options and source files are those of the interrupted run.
    ///
    /// # Errors
    /// [`Code::ResumeRefused`], naming what was and what is.
    pub(super) fn check_same(&self, options: &Options, sources: &Sources) -> Result<()> {
        let refused = |sentence: String| {
            Error::new(Code::ResumeRefused, sentence)
                .hint("add --restart to discard the interrupted migration and begin anew")
        };
        if let Some((name, then, now)) = self.options.difference(&ShapeOptions::of(options)) {
            return Err(refused(format!(
                "the interrupted migration was started with {name} {then}, now it is {now}"
            )));
        }
        for (then, now, what) in [
            (
                &self.sources.snapshot,
                sources.snapshot.as_ref(),
                "snapshot",
            ),
            (&self.sources.wal, sources.wal.as_ref(), "wal.log"),
            (&self.sources.data, sources.data.as_ref(), "data.db"),
        ] {
            let change = match (then, now) {
                (None, None) => None,
                (Some(then), Some(now)) => then.difference(now)?,
                (Some(then), None) => Some(format!("it was {} and is gone", then.name)),
                (None, Some(now)) => {
                    Some(format!("there was none, now it is {}", display_name(now)))
                }
            };
            if let Some(change) = change {
                let place = now.map_or(Place::default(), |file| Place::file(file.path()));
                let sentence =
                    format!("the {what} changed since the migration was interrupted: {change}");
                return Err(refused(sentence).at(place));
            }
        }
        match (&self.sources.backup, &sources.backup) {
            (None, None) => Ok(()),
            (Some(then), Some(now)) => then.check_same(now, refused),
            (Some(_), None) | (None, Some(_)) => Err(refused(
                "the interrupted run read another kind of source".to_owned(),
            )),
        }
    }

    /// The plan again, without the overlay.
    pub(super) fn restore(self, sources: Sources) -> Plan {
        Plan {
            snapshot: sources.snapshot,
            wal: sources.wal,
            backup: sources.backup,
            data: sources.data,
            pages: self.pages,
            quarantined_pages: self.quarantined_pages,
            sources: self.sources,
            overlay: None,
            overlay_bytes: 0,
            after_lsn: self.after_lsn,
            wal_summary: self.wal_summary,
            described: self.described,
            collections: self.collections,
            infer_types: self.infer_types,
            access: self.access,
            instant_ns: self.instant_ns,
            warnings: self.warnings,
            v1_files: self.v1_files,
            v1_marker: self.v1_marker,
        }
    }
}
