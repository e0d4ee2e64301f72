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
#[derive(Clone, Debug)]
pub struct Options {
    /// What to do.
    pub mode: Mode,
    /// The v1 directory.
    pub source: PathBuf,
    /// Where v2 goes; `None` migrates in place.
    pub target: Option<PathBuf>,
    /// The snapshot, where it is not to be looked for in the source.
    pub snapshot: Option<PathBuf>,
    /// Which strings become another type.
    pub infer_types: InferTypes,
    /// Other names for collections: `OLD=NEW`, see [`crate::v1::names::Renames`].
    pub renames: Vec<String>,
    /// Indexes that are not built: `NAME`, `COLLECTION/NAME` or `all`.
    pub skip_indexes: Vec<String>,
    /// Records of the log and documents that may go to quarantine instead of failing the run.
    pub max_bad: u64,
    /// Allow a target with LauraDB files in it.
    pub force: bool,
    /// How much is verified.
    pub verification: Verification,
    /// Documents after which a worker's result goes on to the next stage.
    pub batch_size: u32,
    /// Threads that parse and verify.
    pub jobs: usize,
    /// Bytes for sorting, the WAL overlay and buffers.
    pub memory: u64,
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
            renames: Vec::new(),
            skip_indexes: Vec::new(),
            max_bad: 0,
            force: false,
            verification: Verification::All,
            batch_size: DEFAULT_BATCH_SIZE,
            jobs: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory: DEFAULT_MEMORY,
            restart: false,
            checkpoint_interval: DEFAULT_CHECKPOINT_INTERVAL,
            lock_timeout: DEFAULT_LOCK_TIMEOUT,
            max_time: DEFAULT_MAX_TIME,
            lock: true,
            source_date_epoch: None,
        }
    }
}
