//! The receipt that a migration leaves beside the database: what it was made from, and what was
//! published.
//!
//! Everything that varies between two runs over the same input is in its one object `run`.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::journal::{FileFacts, Journal};
use super::plan::{Plan, ShapeOptions, StoredSources};
use crate::files::Dir;
use crate::layout::{QUARANTINE_FILE, RECEIPT_FILE, V1_DIR, WAL_FILE};
use crate::options::Options;
use crate::receipt::{LARGEST_RECEIPT, SnapshotFacts};
use crate::report::Report;
use crate::report::contents::Contents;
use crate::report::run::RunReport;
use crate::source::open_database_file;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the receipt's format.
const SCHEMA: u32 = 1;

/// A receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    schema: u32,
    tool: String,
    pub(super) in_place: bool,
    options: ShapeOptions,
    pub(super) sources: Vec<FileFacts>,
    /// Names of the files that an in-place migration has kept.
    #[serde(default)]
    pub(super) originals: Vec<String>,
    pub(super) published: Vec<FileFacts>,
    /// Records in the quarantine.
    #[serde(default)]
    quarantined: u64,
    /// How the snapshot describes its database; `None` where there was no snapshot.
    #[serde(default)]
    snapshot: Option<SnapshotFacts>,
    /// What was carried over, as in the report.
    contents: Contents,
    /// What varies between runs.
    run: RunReport,
}

impl Receipt {
    pub(super) fn new(plan: &Plan, options: &Options, journal: &Journal, report: &Report) -> Self {
        let kept = |directory: &String| directory == V1_DIR;
        let aside = journal.aside.iter().filter(|file| kept(&file.directory));
        let copies = journal.copies.iter().filter(|file| kept(&file.directory));
        Self {
            schema: SCHEMA,
            tool: concat!("laura-migrate ", env!("CARGO_PKG_VERSION")).to_owned(),
            in_place: options.target.is_none(),
            options: ShapeOptions::of(options),
            sources: plan.sources.facts(),
            originals: aside
                .map(|file| file.name.clone())
                .chain(copies.map(|file| file.name.clone()))
                .collect(),
            published: journal.published.clone(),
            quarantined: report.quarantined,
            snapshot: plan.described.clone(),
            contents: Contents::of(report).determined(),
            run: report.run.clone(),
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
        let receipt: Self =
            serde_json::from_slice(&file.read_all(LARGEST_RECEIPT)?).map_err(|error| {
                Error::new(
                    Code::ReceiptDamaged,
                    "the receipt of a migration does not parse",
                )
                .at(Place::file(file.path()))
                .because(error)
                .hint(
                    "put the receipt back from a copy, or move the directory aside and migrate \
                     again; a rollback does without it if --force is added",
                )
            })?;
        Ok((receipt.schema == SCHEMA).then_some(receipt))
    }

    /// The options of the migration that shaped its output.
    pub(super) fn options(&self) -> &ShapeOptions {
        &self.options
    }

    /// The files that were published; the receipt itself is none of them.
    pub(super) fn published(&self) -> &[FileFacts] {
        &self.published
    }

    /// The name of the snapshot that was migrated.
    pub(super) fn snapshot_name(&self) -> Option<&str> {
        let mut sources = self.sources.iter().map(|source| source.name.as_str());
        sources.find(|name| *name != WAL_FILE)
    }

    /// Whether the receipt in a directory is to the byte what this one is written as; true for one
    /// that another version has written.
    pub(super) fn is_written_alike(&self, directory: &Dir) -> Result<bool> {
        let here = concat!("laura-migrate ", env!("CARGO_PKG_VERSION"));
        let text = directory
            .open_file(RECEIPT_FILE)?
            .read_all(LARGEST_RECEIPT)?;
        Ok(self.tool != here || self.encode()? == text)
    }

    /// Fails if a published file is gone or has become shorter; a living database only grows.
    pub(super) fn check_present(&self, directory: &Dir) -> Result<()> {
        for published in &self.published {
            // Whoever has dealt with the quarantine may remove it.
            if published.name == QUARANTINE_FILE {
                continue;
            }
            let file = open_database_file(directory, &published.name)?;
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

    /// Fails if a published file is gone.
    pub(super) fn check_there(&self, directory: &Dir) -> Result<()> {
        let names = self.published.iter().map(|published| &published.name);
        names
            // Whoever has dealt with the quarantine may remove it.
            .filter(|name| *name != QUARANTINE_FILE)
            .try_for_each(|name| open_database_file(directory, name).map(drop))
    }

    /// Records that the migration has put into quarantine.
    pub(super) fn quarantined(&self) -> u64 {
        self.quarantined
    }

    /// Records in the quarantine of a directory, if it is still there.
    pub(super) fn quarantined_in(&self, directory: &Dir) -> Result<u64> {
        let entry = directory.entry(QUARANTINE_FILE)?;
        Ok(entry.map_or(0, |_| self.quarantined))
    }

    /// Fails unless a migration with these options has left this receipt half published.
    pub(super) fn check_same(&self, in_place: bool, options: &Options) -> Result<()> {
        let kind = |in_place| match in_place {
            true => "in place",
            false => "to another directory",
        };
        let snapshot = options.snapshot.as_deref().and_then(Path::file_name);
        let sentence = if self.in_place != in_place {
            let (then, now) = (kind(self.in_place), kind(in_place));
            format!("the migration that is half published was {then}, now it is {now}")
        } else if let Some((name, then, now)) = self.options.difference(&ShapeOptions::of(options))
        {
            format!(
                "the migration that is half published was started with {name} {then}, now it is \
                 {now}"
            )
        } else if let Some(name) = snapshot
            && self.snapshot_name() != Some(&*name.to_string_lossy())
        {
            "the migration that is half published read another snapshot".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(Code::ResumeRefused, sentence).hint(
            "type the command again with the options that it had, to finish; or add --restart to \
             take back what was published and begin anew",
        ))
    }

    /// True if a migration of these sources with these options has left this receipt.
    pub(super) fn is_of(&self, sources: &StoredSources, options: &Options) -> bool {
        self.options == ShapeOptions::of(options) && self.sources == sources.facts()
    }
}
