//! What a migration is asked to do, resolved: nothing below here knows the command line.

use crate::document::InferTypes;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Default of [`Options::memory`], bytes.
pub const DEFAULT_MEMORY: u64 = 128 << 20;
/// Least value of [`Options::memory`], bytes.
pub const LEAST_MEMORY: u64 = 8 << 20;
/// Default of [`Options::batch_size`], documents.
pub const DEFAULT_BATCH_SIZE: u32 = 1000;

/// Default of [`Options::temp_dir`].
pub const DEFAULT_TEMP_DIR: &str = "/tmp";
/// Default of [`Options::checkpoint_interval`].
pub const DEFAULT_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// Default of [`Options::max_time`].
pub const DEFAULT_MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Default of [`Options::lock_timeout`].
pub const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// What to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Migrate, or go on with a migration that was interrupted
    #[default]
    Auto,
    /// Write a backup directory
    Export,
    /// Make a data directory from a backup
    Import,
    /// Check one directory, or compare two
    Validate,
    /// Tell what a migration would do, and write nothing
    DryRun,
    /// Take an in-place migration back to v1
    Rollback,
    /// Tell where a migration stands, without taking a lock
    Status,
}

impl Mode {
    /// The name as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Export => "export",
            Self::Import => "import",
            Self::Validate => "validate",
            Self::DryRun => "dry-run",
            Self::Rollback => "rollback",
            Self::Status => "status",
        }
    }
}

/// What an import writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum ImportFormat {
    /// A snapshot that LauraDB 0.9 can restore, and a fresh write-ahead log
    #[serde(rename = "1.0")]
    #[value(name = "1.0")]
    V1,
    /// Slotted pages
    #[default]
    #[serde(rename = "2.0")]
    #[value(name = "2.0")]
    V2,
}

impl ImportFormat {
    /// The format as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        }
    }
}

/// What becomes of documents in a v1 directory's `data.db`, which no catalog names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PagesMode {
    /// Give the snapshot's documents back what its backup lost; leave out others, and say so
    #[default]
    Auto,
    /// The same, and also take live documents that the snapshot does not have
    Recover,
    /// Read the snapshot only
    Ignore,
}

impl PagesMode {
    /// The name as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Recover => "recover",
            Self::Ignore => "ignore",
        }
    }
}

/// How much of the staged files is verified before they are published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verification {
    /// Everything.
    All,
    /// Structure, counts and ids of everything; the content of this share of the documents.
    Sample(f64),
    /// Nothing.
    None,
}

/// A migration to be run.
///
/// The fields go by the names of the command line's options, so that what is written of one holds
/// for the other. In the terms of LauraDB's own migration configuration, `create_backup` is
/// [`backup`](Self::backup), `backup_path` is [`backup_dir`](Self::backup_dir), `validate_after` is
/// [`verification`](Self::verification) (before publishing, so that nothing unverified ever gets
/// there), `max_migration_time` is [`max_time`](Self::max_time), `batch_size` is
/// [`batch_size`](Self::batch_size), and the progress callback is what
/// [`Migration::run`](crate::Migration::run) is given, since options can be cloned and kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to do.
    pub mode: Mode,
    /// The directory that is read: v1 for a migration, the backup for an import.
    pub source: PathBuf,
    /// Where v2 goes, or the backup of an export; `None` migrates in place.
    pub target: Option<PathBuf>,
    /// The snapshot, where it is not to be looked for in the source.
    pub snapshot: Option<PathBuf>,
    /// Which strings become another type.
    pub infer_types: InferTypes,
    /// [`Self::infer_types`] was given; validate takes it from the receipt of a v2 side otherwise.
    pub infer_types_given: bool,
    /// What becomes of documents in `data.db`.
    pub pages: PagesMode,
    /// [`Self::pages`] was given; validate takes it from the receipt of a v2 side otherwise.
    pub pages_given: bool,
    /// Other names for collections: `OLD=NEW`, see [`crate::v1::names::Renames`].
    pub renames: Vec<String>,
    /// Indexes that are not built: `NAME`, `COLLECTION/NAME` or `all`.
    pub skip_indexes: Vec<String>,
    /// Records of the log and documents that may go to quarantine instead of failing the run.
    pub max_bad: u64,
    /// Only these collections, by their names before any rename: `NAME`, see
    /// [`crate::v1::selection::Selection`]; empty takes all.
    pub collections: Vec<String>,
    /// Not these collections.
    pub excluded: Vec<String>,
    /// Back up before migrating.
    pub backup: bool,
    /// Where the backup goes; `None` is `backups` in the source, in place only.
    pub backup_dir: Option<PathBuf>,
    /// What an import writes.
    pub to: ImportFormat,
    /// Allow a target with LauraDB files in it; roll back although v2 was written to.
    pub force: bool,
    /// How much is verified.
    pub verification: Verification,
    /// Documents after which a worker's result goes on to the next stage.
    pub batch_size: u32,
    /// Threads that parse and verify.
    pub jobs: usize,
    /// Bytes for sorting, the WAL overlay and buffers.
    pub memory: u64,
    /// Where validate and a dry run put sort runs, in unlinked files.
    pub temp_dir: PathBuf,
    /// Discard an interrupted migration instead of going on with it.
    pub restart: bool,
    /// Time between two checkpoints.
    pub checkpoint_interval: Duration,
    /// How long to wait for another run that has a directory locked.
    pub lock_timeout: Duration,
    /// Stop after this time, with the work kept.
    pub max_time: Duration,
    /// Lock source and target.
    pub lock: bool,
    /// The one instant of all timestamps written, Unix seconds; `None` is now.
    pub source_date_epoch: Option<i64>,
}

impl Options {
    /// The defaults for a source directory: in place, everything verified.
    #[must_use]
    pub fn new(source: impl Into<PathBuf>) -> Self {
        Self {
            mode: Mode::default(),
            source: source.into(),
            target: None,
            snapshot: None,
            infer_types: InferTypes::default(),
            infer_types_given: false,
            pages: PagesMode::default(),
            pages_given: false,
            renames: Vec::new(),
            skip_indexes: Vec::new(),
            to: ImportFormat::default(),
            collections: Vec::new(),
            excluded: Vec::new(),
            backup: false,
            backup_dir: None,
            max_bad: 0,
            force: false,
            verification: Verification::All,
            batch_size: DEFAULT_BATCH_SIZE,
            jobs: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory: DEFAULT_MEMORY,
            temp_dir: PathBuf::from(DEFAULT_TEMP_DIR),
            restart: false,
            checkpoint_interval: DEFAULT_CHECKPOINT_INTERVAL,
            lock_timeout: DEFAULT_LOCK_TIMEOUT,
            max_time: DEFAULT_MAX_TIME,
            lock: true,
            source_date_epoch: None,
        }
    }
}
