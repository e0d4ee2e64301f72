//! Which file of a v1 directory is the snapshot.
//!
//! In this order: the file that the user names, `snapshot.json`, `backup.json`, the newest of
//! `backup-*.json` and `*-backup.json`. Newest is the greatest `timestamp` in the file, since the
//! times of files change when they are copied; no timestamp, or one that is not RFC 3339, is
//! older than any; of equal ones the greatest name (bytewise) counts.

use super::snapshot;
use crate::files::{Dir, Entry, EntryKind, FileIdentity, InputFile};
use crate::layout::is_backup_file;
use crate::{Code, Error, Place, Result};
use jiff::Timestamp;
use std::ffi::OsString;
use std::path::Path;

/// Names that are looked for before any backup.
const FIXED_NAMES: [&str; 2] = ["snapshot.json", "backup.json"];

/// A snapshot that was found.
#[derive(Clone, Debug)]
pub struct FoundSnapshot {
    /// The file, opened.
    pub file: InputFile,
    /// Its name, without directories.
    pub name: OsString,
    /// It lies directly in the directory that was searched, under this name.
    pub in_directory: bool,
}

/// Finds the snapshot of a v1 directory; `named` is what the user gave with `--snapshot`, a path
/// as seen from the current directory.
///
/// # Errors
/// The named file is missing ([`Code::PathMissing`]), a candidate is a symlink or special file
/// ([`Code::NotAFile`]), or a read fails.
pub fn find_snapshot(dir: &Dir, named: Option<&Path>) -> Result<Option<FoundSnapshot>> {
    if let Some(path) = named {
        return named_snapshot(dir, path).map(Some);
    }
    for name in FIXED_NAMES {
        if let Some(file) = dir.open_file_if_exists(name).map_err(with_hint)? {
            return Ok(Some(FoundSnapshot {
                file,
                name: name.into(),
                in_directory: true,
            }));
        }
    }
    newest_backup(dir)
}

fn named_snapshot(dir: &Dir, path: &Path) -> Result<FoundSnapshot> {
    let missing = || {
        Error::new(
            Code::PathMissing,
            "the snapshot that was named does not exist",
        )
        .at(Place::file(path))
        .hint("give --snapshot the path of a file, as seen from the current directory")
    };
    let name = path.file_name().ok_or_else(missing)?.to_owned();
    if matches!(path.try_exists(), Ok(false)) {
        return Err(missing());
    }
    let file = InputFile::open(path)?;
    let in_directory = dir
        .entry(&name)?
        .is_some_and(|entry| is_file(&entry, file.identity()));
    Ok(FoundSnapshot {
        file,
        name,
        in_directory,
    })
}

fn is_file(entry: &Entry, file: &FileIdentity) -> bool {
    entry.kind == EntryKind::File && (entry.device, entry.inode) == (file.device, file.inode)
}

fn newest_backup(dir: &Dir) -> Result<Option<FoundSnapshot>> {
    let mut newest: Option<(Option<Timestamp>, FoundSnapshot)> = None;
    // In the order of names: of equal timestamps the last one stays.
    for entry in dir.entries()? {
        // A directory of this name is a backup in another format.
        if !is_backup_file(&entry.name) || entry.kind == EntryKind::Directory {
            continue;
        }
        let file = dir.open_file(&entry.name).map_err(with_hint)?;
        let written = snapshot::timestamp(&file)?.and_then(|text| text.parse().ok());
        if newest.as_ref().is_none_or(|(best, _)| written >= *best) {
            let found = FoundSnapshot {
                file,
                name: entry.name,
                in_directory: true,
            };
            newest = Some((written, found));
        }
    }
    Ok(newest.map(|(_, found)| found))
}

fn with_hint(error: Error) -> Error {
    if error.code() == Code::NotAFile {
        return error.hint("put the file itself there, or name another with --snapshot FILE");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Gate;
    use std::fs;

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().expect("tempdir");
            for (name, timestamp) in files {
                let text = format!(r#"{{"version":"1.0","timestamp":{timestamp}}}"#);
                fs::write(directory.path().join(name), text).expect("write");
            }
            Self(directory)
        }

        fn find(&self, named: Option<&Path>) -> Result<Option<FoundSnapshot>> {
            let dir = Dir::open(self.0.path(), Gate::open()).expect("open");
            find_snapshot(&dir, named)
        }

        fn name(&self) -> Option<String> {
            let found = self.find(None).expect("found")?;
            assert!(found.in_directory);
            assert!(found.file.path().starts_with(self.0.path()));
            found.name.into_string().ok()
        }
    }

    #[test]
    fn fixed_names_come_first() {
        let all = [
            ("snapshot.json", "1"),
            ("backup.json", "1"),
            ("backup-1.json", "\"2030-01-01T00:00:00Z\""),
        ];
        let name = |files| Directory::new(files).name();
        assert_eq!(name(&all).as_deref(), Some("snapshot.json"));
        assert_eq!(name(&all[1..]).as_deref(), Some("backup.json"));
        assert_eq!(name(&all[2..]).as_deref(), Some("backup-1.json"));
        assert_eq!(name(&[("other.json", "1"), (".x-backup.json", "1")]), None);
    }

    #[test]
    fn the_newest_backup_is_the_one_written_last() {
        let directory = Directory::new(&[
            ("backup-9.json", "\"2025-01-01T00:00:00Z\""),
            (
                "backup-zoned.json",
                "\"2025-01-01T02:00:00.000000001+02:00\"",
            ),
            ("backup-zz.json", "\"yesterday\""),
            ("a-backup.json", "\"2024-12-31T23:59:59.999Z\""),
        ]);
        assert_eq!(directory.name().as_deref(), Some("backup-zoned.json"));
        fs::write(directory.0.path().join("backup-a.json"), "not JSON").expect("write");
        fs::create_dir(directory.0.path().join("backup-x.json")).expect("mkdir");
        fs::create_dir(directory.0.path().join("backup-20300101-000000")).expect("mkdir");
        assert_eq!(directory.name().as_deref(), Some("backup-zoned.json"));
    }

    #[test]
    fn ties_go_to_the_greatest_name() {
        let same = "\"2025-01-01T00:00:00Z\"";
        let directory = Directory::new(&[("backup-b.json", same), ("a-backup.json", same)]);
        assert_eq!(directory.name().as_deref(), Some("backup-b.json"));
        let directory = Directory::new(&[("backup-1.json", "null"), ("z-backup.json", "7")]);
        assert_eq!(directory.name().as_deref(), Some("z-backup.json"));
    }

    #[test]
    fn a_named_file_wins_wherever_it_lies() {
        let directory = Directory::new(&[("snapshot.json", "1"), ("mine.json", "1")]);
        let inside = directory.0.path().join("mine.json");
        let found = directory.find(Some(&inside)).expect("found").expect("some");
        assert!(found.in_directory && found.name == "mine.json");
        let other = Directory::new(&[("mine.json", "1")]);
        let outside = other.0.path().join("mine.json");
        let found = directory
            .find(Some(&outside))
            .expect("found")
            .expect("some");
        assert!(!found.in_directory);
        let missing = directory.find(Some(Path::new("/nowhere/x.json")));
        assert_eq!(missing.expect_err("missing").code(), Code::PathMissing);
    }

    #[test]
    fn symlinks_are_refused_where_a_snapshot_is_looked_for() {
        for name in ["snapshot.json", "backup-latest.json"] {
            let directory = Directory::new(&[("backup-1.json", "1")]);
            std::os::unix::fs::symlink("backup-1.json", directory.0.path().join(name))
                .expect("symlink");
            let error = directory.find(None).expect_err("refused");
            assert_eq!(error.code(), Code::NotAFile);
            assert!(error.hint_text().is_some());
        }
    }
}
