//! Backups of data directories, made as an export makes them.

use laura_migrate::backup::{BackupHeader, BackupWriter};
use laura_migrate::files::{Dir, Gate};
use laura_migrate::source::{self, V1Options};
use std::path::{Path, PathBuf};

/// Backs a directory up into a new directory below `target`, and gives its path.
pub(crate) fn back_up(directory: &Path, target: &Path) -> PathBuf {
    let open = |path: &Path| Dir::open(path, Gate::open()).unwrap();
    let options = V1Options {
        any_names: true,
        ..V1Options::default()
    };
    let source = source::open(open(directory), &options, &mut |_| Ok(())).unwrap();
    let info = source.info().clone();
    let header = BackupHeader {
        instant: jiff::Timestamp::from_second(1_736_937_000).unwrap(),
        source_version: info.version,
        database_name: info.database_name,
        metadata: info.metadata,
        access: info.access,
    };
    let dir = open(target);
    let mut writer = BackupWriter::create(&dir, header).unwrap();
    for (position, collection) in source.collections().iter().enumerate() {
        let indexes = collection.indexes.clone();
        writer.begin_collection(&collection.name, indexes).unwrap();
        source
            .read(position, &mut |found| writer.document(found.document))
            .unwrap();
        writer.end_collection().unwrap();
    }
    writer.finish().unwrap().path
}
