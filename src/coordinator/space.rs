//! What a migration needs on disk, against what is free there.

use crate::files::Dir;
use crate::{Code, Error, Place, Result};
use bytesize::ByteSize;
use serde::Serialize;
use std::path::PathBuf;

/// Bytes that will be written below a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need<'d> {
    pub(super) directory: &'d Dir,
    /// What they are for, such as "the staged files".
    pub(super) purpose: &'static str,
    pub(super) bytes: u64,
}

/// A file system that will be written, with what is needed and what is free there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSystemSpace {
    /// The first directory named that lies on it.
    pub path: PathBuf,
    /// Its device number.
    pub device: u64,
    /// Bytes that the migration may need.
    pub needed: u64,
    /// Bytes free to this user; `None` where the file system does not tell.
    pub free: Option<u64>,
    /// What is needed for what, in the order of the needs.
    pub parts: Vec<(&'static str, u64)>,
}

impl FileSystemSpace {
    fn is_short(&self) -> bool {
        self.free.is_some_and(|free| free < self.needed)
    }

    fn describe(&self) -> String {
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|(purpose, bytes)| format!("{purpose} {}", ByteSize(*bytes)))
            .collect();
        format!(
            "{} needs {} ({}), {} are free",
            self.path.display(),
            ByteSize(self.needed),
            parts.join(", "),
            ByteSize(self.free.unwrap_or_default()),
        )
    }
}

/// Sums the needs of each file system, and asks how much is free there.
///
/// Space that several subvolumes or quotas share is counted once for each: nothing tells of it.
/// What that misses, the run meets as a full disk, and keeps its work.
pub(super) fn survey(needs: &[Need<'_>]) -> Result<Vec<FileSystemSpace>> {
    let mut found: Vec<FileSystemSpace> = Vec::new();
    for need in needs {
        let device = need.directory.metadata()?.device;
        let part = (need.purpose, need.bytes);
        match found.iter_mut().find(|known| known.device == device) {
            Some(known) => {
                known.needed = known.needed.saturating_add(need.bytes);
                known.parts.push(part);
            }
            None => found.push(FileSystemSpace {
                path: need.directory.path().to_path_buf(),
                device,
                needed: need.bytes,
                free: need.directory.free_space()?,
                parts: vec![part],
            }),
        }
    }
    Ok(found)
}

/// Fails unless every file system has room for what is needed there.
pub(super) fn check(needs: &[Need<'_>]) -> Result<Vec<FileSystemSpace>> {
    let found = survey(needs)?;
    let short: Vec<&FileSystemSpace> = found.iter().filter(|space| space.is_short()).collect();
    let Some(first) = short.first() else {
        return Ok(found);
    };
    let figures: Vec<String> = short.iter().map(|space| space.describe()).collect();
    Err(Error::new(
        Code::TooLittleSpace,
        format!("there is too little space: {}", figures.join("; ")),
    )
    .at(Place::file(&first.path))
    .hint(
        "make room there, or name a TARGET_DIR (and a --backup-dir, if you back up) on a file \
         system with more space",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Gate;

    fn need<'d>(directory: &'d Dir, purpose: &'static str, bytes: u64) -> Need<'d> {
        Need {
            directory,
            purpose,
            bytes,
        }
    }

    #[test]
    fn needs_on_one_file_system_add_up() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        let dir = Dir::open(directory.path(), Gate::open()).unwrap();
        let inner = dir.open_dir("a").unwrap();
        let needs = [need(&dir, "data.db", 1000), need(&inner, "the backup", 24)];
        let found = check(&needs).unwrap();
        assert_eq!(found.len(), 1);
        let [space] = found.as_slice() else { return };
        assert_eq!(
            (space.needed, space.path.as_path()),
            (1024, directory.path())
        );
        assert!(space.free.is_none_or(|free| free >= 1024));
    }

    #[test]
    fn too_little_space_is_refused_with_the_figures() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path(), Gate::open()).unwrap();
        let needs = [
            need(&dir, "data.db", 1 << 60),
            need(&dir, "the backup", u64::MAX),
        ];
        let error = check(&needs).unwrap_err();
        assert_eq!(error.code(), Code::TooLittleSpace);
        assert_eq!(error.exit_code(), crate::ExitCode::NoSpace);
        let sentence = error.sentence();
        assert!(
            ["data.db 1.0 EiB", "the backup", "16.0 EiB", "free"]
                .iter()
                .all(|part| sentence.contains(part)),
            "{sentence}"
        );
    }
}
