//! Format versions and the marker file that names them.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod marker;
mod registry;

pub use marker::{Marker, MarkerError};
pub use registry::{FormatVersion, KNOWN, PUBLISHING, StorageMode};

use crate::files::Dir;
use crate::layout;
use crate::shell::quoted_path;
use crate::{Code, Error, Place, Result};

/// What the marker says that a directory is. What else lies in it is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryVersion {
    /// Format 1.0: in memory, with a snapshot and a write-ahead log on disk.
    V1 {
        /// No marker means format 1.0, too.
        marker: Option<Marker>,
    },
    /// Format 2.0: slotted pages.
    V2(Marker),
    /// Format 2.1: pages with compression. Known, opened read-only, never written.
    V21(Marker),
    /// A migration was interrupted while it published, or a rollback; only the same command may
    /// touch it.
    Publishing(Marker),
}

impl DirectoryVersion {
    /// The marker, if there is one.
    #[must_use]
    pub fn marker(&self) -> Option<&Marker> {
        match self {
            Self::V1 { marker } => marker.as_ref(),
            Self::V2(marker) | Self::V21(marker) | Self::Publishing(marker) => Some(marker),
        }
    }
}

/// Reads the marker of a directory.
///
/// # Errors
/// The marker is a symlink or special file ([`Code::NotAFile`]), does not parse
/// ([`Code::MarkerInvalid`]), names an unknown version ([`Code::VersionUnknown`]), or a read fails.
pub fn detect(dir: &Dir) -> Result<DirectoryVersion> {
    if is_rolled_back_in_part(dir) {
        return Ok(DirectoryVersion::Publishing(Marker::publishing()));
    }
    let Some(file) = dir.open_file_if_exists(layout::MARKER_FILE)? else {
        return Ok(DirectoryVersion::V1 { marker: None });
    };
    let marker = Marker::read(&file)?;
    if marker.format_version == PUBLISHING {
        return Ok(DirectoryVersion::Publishing(marker));
    }
    match FormatVersion::find(&marker.format_version) {
        Some(FormatVersion::V1_0) => Ok(DirectoryVersion::V1 {
            marker: Some(marker),
        }),
        Some(FormatVersion::V2_0) => Ok(DirectoryVersion::V2(marker)),
        Some(FormatVersion::V2_1) => Ok(DirectoryVersion::V21(marker)),
        None => Err(unknown_version(&marker, file.path())),
    }
}

/// The journal of a rollback counts more than the marker, which is not the first or last thing that
/// it changes. Where the work directory may not be read, the marker has to do.
fn is_rolled_back_in_part(dir: &Dir) -> bool {
    let work = dir.open_dir(layout::WORK_DIR);
    work.is_ok_and(|work| matches!(work.entry(layout::ROLLBACK_FILE), Ok(Some(_))))
}

/// The error of every mode that meets a half-published directory and cannot finish it.
#[must_use]
pub fn half_published(dir: &Dir) -> Error {
    if is_rolled_back_in_part(dir) {
        return Error::new(Code::RollbackInterrupted, "a rollback was interrupted")
            .at(Place::file(dir.path()))
            .hint(format!(
                "laura-migrate --mode rollback {} finishes it",
                quoted_path(dir.path())
            ));
    }
    Error::new(
        Code::Publishing,
        format!("a migration was interrupted while it published (format version {PUBLISHING:?})"),
    )
    .at(Place::file(dir.join(layout::MARKER_FILE)))
    .hint(match has_lost_its_journal(dir) {
        false => format!(
            "run the interrupted laura-migrate command again to finish it; \
             laura-migrate --mode status {} tells which",
            quoted_path(dir.path())
        ),
        true => format!(
            "only its {work}/ can finish it, and that is gone or without its journal: copy {work}/ \
             from where this directory comes from, or restore the directory from a copy",
            work = layout::WORK_DIR
        ),
    })
}

/// True if nothing is there that a migration could be finished by, as in a copy without hidden
/// directories. What cannot be looked at may be there.
fn has_lost_its_journal(dir: &Dir) -> bool {
    match dir.entry(layout::WORK_DIR) {
        Ok(None) => return true,
        Ok(Some(_)) => {}
        Err(_) => return false,
    }
    let Ok(work) = dir.open_dir(layout::WORK_DIR) else {
        return false;
    };
    let is_missing = |name: &&str| matches!(work.entry(name), Ok(None));
    layout::PUBLISH_FILES.iter().all(is_missing)
}

fn unknown_version(marker: &Marker, path: &std::path::Path) -> Error {
    let known: Vec<String> = KNOWN.iter().map(ToString::to_string).collect();
    Error::new(
        Code::VersionUnknown,
        format!(
            "the version marker names format version {:?}; known are {}",
            marker.format_version,
            known.join(", ")
        ),
    )
    .at(Place::file(path))
    .hint("use a release of laura-migrate that knows this version")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Gate;

    fn detect_marker(text: &str) -> Result<DirectoryVersion> {
        let directory = tempfile::tempdir().expect("tempdir");
        std::fs::write(directory.path().join(layout::MARKER_FILE), text).expect("write");
        detect(&Dir::open(directory.path(), Gate::open()).expect("open"))
    }

    fn code(text: &str) -> Code {
        let error = detect_marker(text).expect_err("refused");
        assert!(error.hint_text().is_some() && error.place().file.is_some());
        error.code()
    }

    #[test]
    fn known_versions_are_told_apart() {
        let detected =
            |version: &str| detect_marker(&format!(r#"{{"formatVersion":"{version}"}}"#));
        use DirectoryVersion as D;
        assert!(matches!(detected("1.0"), Ok(D::V1 { marker: Some(_) })));
        assert!(matches!(detected("2.0"), Ok(D::V2(_))));
        assert!(matches!(detected("2.1"), Ok(D::V21(_))));
        assert!(matches!(detected("2.0-publishing"), Ok(D::Publishing(_))));
    }

    #[test]
    fn no_marker_is_format_1_0() {
        let directory = tempfile::tempdir().expect("tempdir");
        let dir = Dir::open(directory.path(), Gate::open()).expect("open");
        assert_eq!(
            detect(&dir).expect("v1"),
            DirectoryVersion::V1 { marker: None }
        );
        let error = half_published(&dir);
        assert_eq!(error.exit_code(), crate::ExitCode::Interrupted);
        let hint = |error: &Error| error.hint_text().expect("a hint").to_owned();
        assert!(hint(&error).contains("copy .laura-migrate/"), "{error}");
        let work = directory.path().join(layout::WORK_DIR);
        std::fs::create_dir(&work).expect("create");
        std::fs::write(work.join(layout::JOURNAL_FILE), "").expect("write");
        assert!(hint(&half_published(&dir)).contains("command again"));
    }

    #[test]
    fn other_versions_are_named_with_the_known_ones() {
        let error = detect_marker(r#"{"formatVersion":"3.7"}"#).expect_err("unknown");
        assert_eq!(error.code(), Code::VersionUnknown);
        for version in ["3.7", "1.0", "2.0", "2.1"] {
            assert!(error.sentence().contains(version), "{error}");
        }
        assert_eq!(code(r#"{"formatVersion":"2.0 "}"#), Code::VersionUnknown);
        assert_eq!(code(r#"{"formatVersion":""}"#), Code::VersionUnknown);
    }

    #[test]
    fn what_does_not_parse_is_refused() {
        for text in [
            "",
            "2.0",
            "{}",
            "[]",
            "null",
            "{\"formatVersion\":2.0}",
            "{\"formatVersion\":null}",
            r#"{"formatVersion":"2.0"}x"#,
            r#"{"formatVersion":"2.0","formatVersion":"2.0"}"#,
            r#"{"formatVersion":"2.0","compatible":"2.1"}"#,
            r#"{"formatVersion":"2.0","storageMode":1}"#,
            r#"{"formatVersion":"\ud800"}"#,
            "\u{feff}{\"formatVersion\":\"2.0\"}",
        ] {
            assert_eq!(code(text), Code::MarkerInvalid, "{text}");
        }
        let large = format!(r#"{{"formatVersion":"2.0","x":"{}"}}"#, "x".repeat(1 << 16));
        assert_eq!(code(&large), Code::MarkerInvalid);
    }

    #[test]
    fn a_symlink_is_no_marker() {
        let directory = tempfile::tempdir().expect("tempdir");
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join(layout::MARKER_FILE))
            .expect("symlink");
        let dir = Dir::open(directory.path(), Gate::open()).expect("open");
        assert_eq!(detect(&dir).expect_err("refused").code(), Code::NotAFile);
    }
}
