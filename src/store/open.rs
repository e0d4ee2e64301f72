//! Finding out which store a directory wants.

use super::DocumentStore;
use super::config::{ForceMode, StoreConfig};
use super::create::{create, is_vacant};
use super::disk::DiskStore;
use super::hybrid::HybridStore;
use super::lock;
use super::memory::MemoryStore;
use crate::files::{Dir, Gate};
use crate::progress::{ProgressSink, Unwatched};
use crate::source::{DocumentSource as _, V1Options, V2Source};
use crate::version::{self, DirectoryVersion};
use crate::{Code, Error, Migration, Place, Result};
use std::path::Path;

/// Opens the store of a directory, which must exist.
///
/// | the directory holds | `auto` | `memory` | `disk` |
/// |---|---|---|---|
/// | a marker 2.0 | disk | memory, loaded from the pages | disk |
/// | a marker 2.1 | disk, read only | memory, loaded from the pages | disk, read only |
/// | a marker 1.0 or v1 files | migrated, then disk, with `auto_migrate` and `enable_auto_migration`; else memory with a warning | memory | migrated, then disk; refused where that is not enabled |
/// | nothing | disk, made now | memory | disk, made now |
///
/// # Errors
/// [`Code::StoreConfig`] for a configuration that contradicts itself or the directory; those of the
/// migration and of opening each store, unless `fallback_to_memory_on_error` finds the documents.
pub fn open(directory: &Path, config: &StoreConfig) -> Result<Box<dyn DocumentStore>> {
    open_with(directory, config, &Gate::open(), &mut Unwatched)
}

/// [`open`] with a gate that all changes pass, and with a watcher of the migration.
///
/// # Errors
/// As [`open`].
pub fn open_with(
    directory: &Path,
    config: &StoreConfig,
    gate: &Gate,
    progress: &mut dyn ProgressSink,
) -> Result<Box<dyn DocumentStore>> {
    config.check()?;
    let opener = Opener {
        directory,
        config,
        gate,
    };
    let result = opener.open(progress);
    match result {
        Err(error) if config.fallback_to_memory_on_error && may_fall_back(&error) => {
            warn_memory(
                directory,
                &format!("the disk store cannot be opened: {error}"),
            );
            // What kept the disk store from opening matters more than a second failure.
            opener.memory().map_err(|_| error)
        }
        result => result,
    }
}

/// A configuration that cannot be followed is no failure of the disk.
fn may_fall_back(error: &Error) -> bool {
    !matches!(
        error.code(),
        Code::StoreConfig | Code::PathMissing | Code::Locked
    )
}

fn warn_memory(directory: &Path, reason: &str) {
    tracing::warn!(
        code = Code::StoreInMemory.id(),
        "{}: {reason}; the documents are kept in memory, and what is written is not kept",
        directory.display()
    );
}

struct Opener<'a> {
    directory: &'a Path,
    config: &'a StoreConfig,
    gate: &'a Gate,
}

impl Opener<'_> {
    fn dir(&self) -> Result<Dir> {
        Dir::open(self.directory, self.gate.clone())
    }

    fn open(&self, progress: &mut dyn ProgressSink) -> Result<Box<dyn DocumentStore>> {
        if self.config.force_mode == ForceMode::Memory {
            return self.memory();
        }
        let dir = self.dir()?;
        match version::detect(&dir)? {
            DirectoryVersion::V2(_) => self.disk(),
            DirectoryVersion::V21(_) => {
                tracing::warn!(
                    code = Code::StoreReadOnly.id(),
                    "{}: the directory is in format 2.1, so it is only read",
                    self.directory.display()
                );
                self.disk()
            }
            // The migration that was interrupted is finished where migrating is allowed.
            DirectoryVersion::Publishing(_) if self.migrates() => self.migrate(progress),
            DirectoryVersion::Publishing(_) => Err(version::half_published(&dir)),
            DirectoryVersion::V1 { marker: None } if is_vacant(&dir)? => {
                if !self.config.enable_disk_storage {
                    return self.memory();
                }
                // Two that find nothing there must not make it on top of each other.
                lock::exclusive(&dir)?;
                let is_v1 = matches!(version::detect(&dir)?, DirectoryVersion::V1 { .. });
                if is_v1 && is_vacant(&dir)? {
                    create(&dir)?;
                }
                drop(dir);
                self.disk()
            }
            DirectoryVersion::V1 { .. } => {
                drop(dir);
                self.v1(progress)
            }
        }
    }

    fn migrates(&self) -> bool {
        let forced = self.config.force_mode == ForceMode::Disk;
        let config = self.config;
        config.enable_disk_storage
            && config.enable_auto_migration
            && (config.auto_migrate || forced)
    }

    fn v1(&self, progress: &mut dyn ProgressSink) -> Result<Box<dyn DocumentStore>> {
        if self.migrates() {
            return self.migrate(progress);
        }
        if self.config.force_mode == ForceMode::Disk {
            return Err(self.refused(
                "the directory is in format 1.0, and migrating it is not enabled",
                "set enable_auto_migration, or run laura-migrate on the directory",
            ));
        }
        warn_memory(self.directory, "the directory is in format 1.0");
        self.memory()
    }

    fn migrate(&self, progress: &mut dyn ProgressSink) -> Result<Box<dyn DocumentStore>> {
        let options = self.config.migration_of(self.directory);
        Migration::new(options)
            .with_gate(self.gate.clone())
            .run(progress)?;
        self.disk()
    }

    fn disk(&self) -> Result<Box<dyn DocumentStore>> {
        if !self.config.enable_disk_storage {
            return Err(self.refused(
                "the directory is in format 2.0, but disk storage is not enabled",
                "set enable_disk_storage to true, or force the mode to memory",
            ));
        }
        let config = self.config.clone();
        Ok(match self.config.enable_hybrid_mode {
            true => Box::new(HybridStore::open_in(self.dir()?, config)?),
            false => Box::new(DiskStore::open_in(self.dir()?, config)?),
        })
    }

    /// Loads whatever documents the directory has.
    fn memory(&self) -> Result<Box<dyn DocumentStore>> {
        let dir = self.dir()?;
        // Nobody may change the files while they are loaded.
        lock::shared(&dir)?;
        let store = match version::detect(&dir)? {
            DirectoryVersion::V2(_) | DirectoryVersion::V21(_) => {
                let source = V2Source::open(&dir)?;
                for warning in source.warnings() {
                    tracing::warn!(code = warning.code.id(), "{warning}");
                }
                MemoryStore::of_source(&source)?
            }
            DirectoryVersion::Publishing(_) => return Err(version::half_published(&dir)),
            DirectoryVersion::V1 { marker: None } if is_vacant(&dir)? => MemoryStore::new(),
            DirectoryVersion::V1 { .. } => {
                let migration = &self.config.migration;
                let options = V1Options {
                    snapshot: migration.snapshot.clone(),
                    infer_types: migration.infer_types,
                    renames: migration.renames.clone(),
                    skip_indexes: migration.skip_indexes.clone(),
                    overlay_memory: migration.memory / 2,
                    collections: migration.collections.clone(),
                    excluded: migration.excluded.clone(),
                    pages: migration.pages,
                    temp_dir: migration.temp_dir.clone(),
                    ..V1Options::default()
                };
                MemoryStore::load(&dir, &options)?
            }
        };
        Ok(Box::new(store))
    }

    fn refused(&self, sentence: &str, hint: &str) -> Error {
        Error::new(Code::StoreConfig, sentence)
            .at(Place::file(self.directory))
            .hint(hint)
    }
}
