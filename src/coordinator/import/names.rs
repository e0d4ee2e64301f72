//! The collections and indexes of a backup that are imported, under their new names.

use super::OpenBackup;
use crate::index::{PortableIndex, SkipIndexes};
use crate::options::Options;
use crate::v1::names::{Renames, check_name};
use crate::{Code, Error, Place, Result};

/// A collection that is imported.
#[derive(Clone, Debug)]
pub(super) struct ImportedCollection {
    /// In the manifest.
    pub(super) position: usize,
    /// After `--rename`.
    pub(super) name: String,
    /// In the backup.
    pub(super) source_name: String,
    pub(super) documents: u64,
    pub(super) file_bytes: u64,
    /// In the order of their names, without `_id_` and those that `--skip-index` names.
    pub(super) indexes: Vec<PortableIndex>,
    pub(super) skipped: Vec<String>,
}

/// The collections, in the order of their new names. v1 takes `any_names`, v2 does not.
pub(super) fn resolve(
    backup: &OpenBackup,
    options: &Options,
    any_names: bool,
) -> Result<Vec<ImportedCollection>> {
    let renames = Renames::parse(&options.renames)?;
    let skip = SkipIndexes::parse(&options.skip_indexes)?;
    let reader = backup.backup().reader();
    let manifest = reader.manifest();
    // No rename gives a name that v2 cannot take, so such a name is its own and clashes with none.
    let is_kept = |name: &str| any_names && check_name(renames.apply(name)).is_err();
    let names = manifest.collections.iter().map(|listed| &*listed.name);
    let place = |name: &str| Place::file(reader.manifest_file().path()).in_collection(name);
    let resolved = renames
        .resolve(
            names
                .filter(|name| !is_kept(name))
                .map(|name| (name, place(name))),
        )
        .map_err(|errors| {
            let first = errors.into_iter().next();
            first.unwrap_or_else(|| Error::new(Code::Internal, "names were refused for no reason"))
        })?;
    renames.finish()?;
    let mut collections = Vec::with_capacity(manifest.collections.len());
    for (position, listed) in manifest.collections.iter().enumerate() {
        let (skipped, indexes): (Vec<_>, Vec<_>) = listed
            .indexes
            .iter()
            .cloned()
            .partition(|index| skip.matches(&listed.name, &index.definition.name));
        collections.push(ImportedCollection {
            position,
            name: resolved.get(&listed.name).unwrap_or(&listed.name).clone(),
            source_name: listed.name.clone(),
            documents: listed.documents,
            file_bytes: listed.file_bytes,
            indexes,
            skipped: skipped
                .into_iter()
                .map(|index| index.definition.name)
                .collect(),
        });
    }
    skip.finish()?;
    collections.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(collections)
}
