//! The receipt that a migration leaves beside the database: what it was made from, and what was
//! published.
//!
//! Everything that varies between two runs over the same input is in its one object `run`.

use super::journal::FileFacts;
use super::plan::{Plan, ShapeOptions, StoredSources};
use crate::files::Dir;
use crate::layout::{QUARANTINE_FILE, RECEIPT_FILE, WAL_FILE};
use crate::options::Options;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};

/// Version of the receipt's format.
const SCHEMA: u32 = 1;

/// Largest receipt that is read, bytes.
const LARGEST: u64 = 64 << 20;

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    schema: u32,
    tool: String,
    in_place: bool,
    options: ShapeOptions,
    sources: Vec<FileFacts>,
    published: Vec<FileFacts>,
    /// Records in the quarantine.
    #[serde(default)]
    quarantined: u64,
    run: Run,
}

/// What varies between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    published_at: String,
}

impl Receipt {
    pub(super) fn new(
        plan: &Plan,
        options: &Options,
        published: &[FileFacts],
        quarantined: u64,
    ) -> Self {
        Self {
            schema: SCHEMA,
            tool: concat!("laura-migrate ", env!("CARGO_PKG_VERSION")).to_owned(),
            in_place: options.target.is_none(),
            options: ShapeOptions::of(options),
            sources: plan.sources.facts(),
            published: published.to_vec(),
            quarantined,
            run: Run {
                published_at: jiff::Timestamp::now().to_string(),
            },
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(Code::Internal, "cannot encode the receipt").because(error)
        })?;
        text.push(b'\n');
        Ok(text)
    }

    /// The receipt in a directory, if there is one.
    pub(super) fn read(directory: &Dir) -> Result<Option<Self>> {
        let Some(file) = directory.open_file_if_exists(RECEIPT_FILE)? else {
            return Ok(None);
        };
        let receipt: Self = serde_json::from_slice(&file.read_all(LARGEST)?).map_err(|error| {
            Error::new(
                Code::ReceiptDamaged,
                "the receipt of a migration does not parse",
            )
            .at(Place::file(file.path()))
            .because(error)
        })?;
        Ok((receipt.schema == SCHEMA).then_some(receipt))
    }

    /// Fails if a published file is gone or has become shorter; a living database only grows.
    pub(super) fn check_present(&self, directory: &Dir) -> Result<()> {
        for published in &self.published {
            // Whoever has dealt with the quarantine may remove it.
            if published.name == QUARANTINE_FILE {
                continue;
            }
            let file = directory.open_file(&published.name)?;
            if file.size() < published.size && published.name != WAL_FILE {
                let sentence = format!(
                    "the file has {} bytes, {} were published",
                    file.size(),
                    published.size
                );
                return Err(Error::new(Code::PageDamaged, sentence)
                    .at(Place::file(file.path()))
                    .hint("move the directory aside and migrate again from the source"));
            }
        }
        Ok(())
    }

    /// Records in the quarantine of a directory, if it is still there.
    pub(super) fn quarantined_in(&self, directory: &Dir) -> Result<u64> {
        let entry = directory.entry(QUARANTINE_FILE)?;
        Ok(entry.map_or(0, |_| self.quarantined))
    }

    /// True if a migration of these sources with these options has left this receipt.
    pub(super) fn is_of(&self, sources: &StoredSources, options: &Options) -> bool {
        self.options == ShapeOptions::of(options) && self.sources == sources.facts()
    }
}
