//! The names in a data directory: LauraDB's and ours, all in one place.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Documents: pages in v2, and often a file of unlisted pages in v1.
pub const DATA_FILE: &str = "data.db";
/// Catalog, collection and index metadata of v2.
pub const METADATA_FILE: &str = "metadata.db";
/// The snapshot of v1 that is looked for first.
pub const SNAPSHOT_FILE: &str = "snapshot.json";
/// The write-ahead log, in both formats.
pub const WAL_FILE: &str = "wal.log";
/// The version marker.
pub const MARKER_FILE: &str = ".lauradb-version";
/// The receipt of a migration.
pub const RECEIPT_FILE: &str = ".lauradb-migration.json";
/// Records that a migration could not carry.
pub const QUARANTINE_FILE: &str = ".lauradb-quarantine.jsonl";

/// Where a migration works until it publishes.
pub const WORK_DIR: &str = ".laura-migrate";
/// What a rollback does, in the work directory; its presence means that it has begun.
pub const ROLLBACK_FILE: &str = "rollback.json";
/// Where the v1 files of an in-place migration go.
pub const V1_DIR: &str = ".lauradb-v1";
/// Where LauraDB files in the way of `--force` go; a UTC time follows.
pub const REPLACED_DIR_PREFIX: &str = ".lauradb-replaced-";
/// Where v2 files go that were written to before a rollback; a UTC time follows.
pub const V2_DIR_PREFIX: &str = ".lauradb-v2-";
/// Where backups go by default.
pub const BACKUPS_DIR: &str = "backups";
/// What the name of a backup directory begins with; a UTC time follows.
pub const BACKUP_DIR_PREFIX: &str = "backup-";
/// What the name of a backup directory begins with until it is complete; a UTC time follows.
pub const UNFINISHED_BACKUP_PREFIX: &str = ".laura-backup-";
/// What a backup directory holds besides its collections.
pub const MANIFEST_FILE: &str = "manifest.json";

/// In [`WORK_DIR`]: what publishing does.
pub(crate) const JOURNAL_FILE: &str = "journal.json";
/// In [`WORK_DIR`]: what an import to format 1.0 puts in place.
pub(crate) const IMPORT_FILE: &str = "import.json";
/// In [`WORK_DIR`]: the journal of a publish that is being undone.
pub(crate) const UNDO_FILE: &str = "undo.json";
/// In [`WORK_DIR`]: the same when it is undone.
pub(crate) const UNDONE_FILE: &str = "undone.json";
/// Files in [`WORK_DIR`] by one of which a publish that has begun is finished or taken back.
pub(crate) const PUBLISH_FILES: [&str; 4] = [JOURNAL_FILE, IMPORT_FILE, UNDO_FILE, UNDONE_FILE];

/// True for the names of files that LauraDB or this tool puts into a data directory.
#[must_use]
pub fn is_laura_file(name: &OsStr) -> bool {
    const FIXED: [&str; 8] = [
        DATA_FILE,
        METADATA_FILE,
        WAL_FILE,
        MARKER_FILE,
        RECEIPT_FILE,
        QUARANTINE_FILE,
        SNAPSHOT_FILE,
        "backup.json",
    ];
    FIXED.iter().any(|fixed| name == *fixed) || is_backup_file(name)
}

/// True for the names of directories that this tool makes beside a database.
#[must_use]
pub(crate) fn is_own_directory(name: &OsStr) -> bool {
    const PREFIXES: [&str; 3] = [REPLACED_DIR_PREFIX, V2_DIR_PREFIX, UNFINISHED_BACKUP_PREFIX];
    let starts_with = |prefix: &&str| name.as_bytes().starts_with(prefix.as_bytes());
    name == WORK_DIR || name == V1_DIR || PREFIXES.iter().any(starts_with)
}

/// True for `backup-*.json` and `*-backup.json`, the names that LauraDB's users give to backups.
/// Hidden files are none, as in a shell.
#[must_use]
pub fn is_backup_file(name: &OsStr) -> bool {
    let Some(stem) = name.as_bytes().strip_suffix(b".json") else {
        return false;
    };
    !stem.starts_with(b".") && (stem.starts_with(b"backup-") || stem.ends_with(b"-backup"))
}

/// True for the names of directories that LauraDB or this tool keeps in a data directory.
#[must_use]
pub fn is_laura_directory(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    name == WORK_DIR
        || name == V1_DIR
        || name == BACKUPS_DIR
        || bytes.starts_with(REPLACED_DIR_PREFIX.as_bytes())
        || bytes.starts_with(V2_DIR_PREFIX.as_bytes())
        || bytes.starts_with(UNFINISHED_BACKUP_PREFIX.as_bytes())
        || (bytes.starts_with(BACKUP_DIR_PREFIX.as_bytes()) && !is_backup_file(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_no_backups() {
        for name in [
            "backup-1.json",
            "a-backup.json",
            "-backup.json",
            "backup-.json",
        ] {
            assert!(is_backup_file(OsStr::new(name)), "{name}");
        }
        for name in [
            ".a-backup.json",
            ".backup-1.json",
            "backup.json",
            "backup-1.jso",
        ] {
            assert!(!is_backup_file(OsStr::new(name)), "{name}");
        }
        assert!(!is_laura_file(OsStr::new(".a-backup.json")));
    }
}
