//! Takes a LauraDB data directory from format v1 (a JSON snapshot and a write-ahead log) to v2
//! (4 KiB slotted pages, a catalog, B+tree indexes) without losing, changing or inventing a
//! document.
//!
//! The way of the data, and the module that owns each step:
//!
//! ```text
//! v1::snapshot ─ chunks of whole documents ─ document::json (jobs) ─┐ in order
//! v1::wal ─ one scan ─ overlay of last operations ──────────────────┴→ v2 page writer → data.db
//!                       closed pages ─→ index::extract ─→ index::sort ─→ v2::btree, leaves first
//! catalog, collection and index metadata, statistics → metadata.db
//! ```
//!
//! [`coordinator`] runs the phases in order; every change to a file goes through [`files`].
//!
//! # In another program
//!
//! ```
//! use laura_migrate::progress::MigrationProgress;
//! use laura_migrate::{ExitCode, Interrupt, Migration, Options, Verification};
//! use std::time::Duration;
//!
//! # fn main() -> laura_migrate::Result<()> {
//! # let home = tempfile::tempdir().unwrap();
//! # let (source, target) = (home.path().join("v1"), home.path().join("v2"));
//! # std::fs::create_dir(&source).unwrap();
//! # std::fs::copy("fixtures/sample/snapshot.json", source.join("snapshot.json")).unwrap();
//! let mut options = Options::new(source);
//! options.target = Some(target); // without it, the migration is in place
//! options.backup = true; // documents go to a backup directory first
//! options.backup_dir = Some(home.path().join("backups"));
//! options.verification = Verification::All; // what is read back before publishing
//! options.batch_size = 500; // documents handed from stage to stage at once
//! options.max_time = Duration::from_secs(3600); // then it stops, and the next run goes on
//!
//! // From another thread, interrupt.request() stops the migration with its work kept.
//! let interrupt = Interrupt::default();
//! let migration = Migration::new(options).with_interrupt(interrupt.clone());
//! if migration.resumable()? {
//!     eprintln!("going on where the last run stopped");
//! }
//! let mut watch = |progress: &MigrationProgress| {
//!     let (phase, done) = (progress.phase.name(), progress.documents_done);
//!     let (collections, indexes) = (progress.collections_done, progress.indexes_done);
//!     eprintln!("{phase}: {done} documents, {collections} collections, {indexes} indexes");
//!     if let Some(completion) = progress.estimated_completion {
//!         eprintln!("done at {completion}, with {} warnings so far", progress.errors);
//!     }
//! };
//! let report = migration.run(&mut watch)?;
//! assert_eq!(report.exit_code(), ExitCode::Done);
//! # assert!(report.backup.is_some() && report.documents() > 0);
//! println!("{} documents, {} warnings", report.documents(), report.warnings.len());
//! println!("{}", report.to_json()?);
//! # Ok(())
//! # }
//! ```
//!
//! An error tells by its [`Code`] what it is, by [`Error::exit_code`] what became of the run, and by
//! [`Error::hint_text`] what to do. After [`ExitCode::Interrupted`] the same options go on.

#[cfg(windows)]
compile_error!(
    "laura-migrate runs on Linux and macOS; LauraDB data directories are not migrated on Windows"
);

// The generator of test data, which unit tests include too, names the library from outside.
#[cfg(test)]
extern crate self as laura_migrate;

mod ahead;
pub mod backup;
pub mod bytes;
pub mod cli;
pub mod coordinator;
pub mod document;
pub mod error;
pub mod files;
pub mod hash;
pub mod index;
mod jsontext;
mod large;
pub mod layout;
pub mod options;
pub mod problems;
pub mod progress;
mod receipt;
pub mod report;
mod shell;
pub mod source;
pub mod store;
mod threads;
pub mod v1;
pub mod v2;
pub mod validate;
pub mod version;

pub use coordinator::{Interrupt, Migration};
pub use error::{Code, Error, ExitCode, Place, Result};
pub use options::{Options, Verification};
