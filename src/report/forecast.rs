//! What a dry run says of the migration that follows.

use serde::Serialize;
use std::path::PathBuf;

/// Sizes, space and time of the migration that follows. What is `None` could not be found out,
/// since reading ended early.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Exact size of `data.db`.
    pub data_bytes: Option<u64>,
    /// Exact size of `metadata.db`.
    pub metadata_bytes: Option<u64>,
    /// Memory that the overlay of the write-ahead log takes.
    pub wal_overlay_bytes: u64,
    /// Every file system that will be written.
    pub space: Vec<SpaceForecast>,
    /// How long it may take: check, collections and indexes as they took now, the latter two once
    /// more for verification, and writing at the rate of a few megabytes in `--temp-dir`. A guess.
    pub seconds: Option<f64>,
}

/// A file system that will be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceForecast {
    /// The first directory named that lies on it.
    pub path: PathBuf,
    /// Bytes that the check phase asks for: an upper bound.
    pub needed: u64,
    /// Bytes free; `None` where the file system does not tell.
    pub free: Option<u64>,
}
