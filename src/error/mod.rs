//! One error for the whole tool: a stable code, one sentence, the place, the cause and a hint.
//!
//! The byte-level decoders below (`document::bson`, `v2::page`, …) have small typed errors of their
//! own that know offsets only; whoever knows the file turns them into an [`Error`] with a [`Place`].

mod codes;
pub mod explain;
mod stories;

pub use codes::{Code, ExitCode};

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of everything above the byte level.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Where something was found. Every part is optional; what is known is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: Option<PathBuf>,
    /// Byte offset in the file.
    pub offset: Option<u64>,
    /// Page number in a page file.
    pub page: Option<u32>,
    /// Slot in a slotted page.
    pub slot: Option<u16>,
    /// LSN of a WAL record.
    pub lsn: Option<u64>,
    /// Collection name.
    pub collection: Option<String>,
    /// Index name.
    pub index: Option<String>,
    /// A document's `_id`, printed for people.
    pub id: Option<String>,
}

impl Place {
    /// A place in a file.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self {
            file: Some(path.as_ref().to_path_buf()),
            ..Self::default()
        }
    }

    /// A byte offset in a file.
    #[must_use]
    pub fn offset(path: impl AsRef<Path>, offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..Self::file(path)
        }
    }

    /// A page of a page file.
    #[must_use]
    pub fn page(path: impl AsRef<Path>, page: u32) -> Self {
        Self {
            page: Some(page),
            ..Self::file(path)
        }
    }

    /// The same place, with a collection named.
    #[must_use]
    pub fn in_collection(mut self, name: impl Into<String>) -> Self {
        self.collection = Some(name.into());
        self
    }

    /// The same place, with an index named.
    #[must_use]
    pub fn in_index(mut self, name: impl Into<String>) -> Self {
        self.index = Some(name.into());
        self
    }

    /// The same place, with a document's `_id`.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same place, with a WAL record's LSN.
    #[must_use]
    pub fn with_lsn(mut self, lsn: u64) -> Self {
        self.lsn = Some(lsn);
        self
    }

    /// The same place, with a slot number.
    #[must_use]
    pub fn with_slot(mut self, slot: u16) -> Self {
        self.slot = Some(slot);
        self
    }

    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut part = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            let result = write!(f, "{separator}{text}");
            separator = ", ";
            result
        };
        if let Some(file) = &self.file {
            part(f, format_args!("{}", file.display()))?;
        }
        if let Some(page) = self.page {
            part(f, format_args!("page {page}"))?;
        }
        if let Some(slot) = self.slot {
            part(f, format_args!("slot {slot}"))?;
        }
        if let Some(offset) = self.offset {
            part(f, format_args!("byte {offset}"))?;
        }
        if let Some(lsn) = self.lsn {
            part(f, format_args!("LSN {lsn}"))?;
        }
        if let Some(collection) = &self.collection {
            part(f, format_args!("collection {collection:?}"))?;
        }
        if let Some(index) = &self.index {
            part(f, format_args!("index {index:?}"))?;
        }
        if let Some(id) = &self.id {
            part(f, format_args!("_id {id}"))?;
        }
        Ok(())
    }
}

/// What went wrong, where, why, and what to do next.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    code: Code,
    sentence: String,
    place: Place,
    hint: Option<String>,
    cause: Option<Cause>,
}

impl Error {
    /// An error with its stable code and one sentence (lower case, no full stop).
    #[must_use]
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                code,
                sentence: sentence.into(),
                place: Place::default(),
                hint: None,
                cause: None,
            }),
        }
    }

    /// A failed system call: `doing` names it ("open", "fsync"), `path` what it was done to.
    ///
    /// No space, quota and file-size limits get [`Code::NoSpaceLeft`], so that the work is kept.
    #[must_use]
    pub fn io(doing: &str, path: impl AsRef<Path>, error: impl Into<std::io::Error>) -> Self {
        let error: std::io::Error = error.into();
        use std::io::ErrorKind as Kind;
        let code = match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Code::NoSpaceLeft,
            _ => Code::Io,
        };
        let hint = match error.kind() {
            Kind::PermissionDenied => Some("run it as the user that the files belong to"),
            Kind::ReadOnlyFilesystem => Some("name a TARGET_DIR on a file system that is writable"),
            _ => None,
        };
        let failed = Self::new(code, format!("cannot {doing}"))
            .at(Place::file(path))
            .because(error);
        match hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.inner.place = place;
        self
    }

    /// Changes the place in steps, keeping what is known.
    #[must_use]
    pub fn map_place(mut self, change: impl FnOnce(Place) -> Place) -> Self {
        // An interruption happens to the run, not to what it was at.
        if self.inner.code != Code::Cancelled {
            self.inner.place = change(self.inner.place);
        }
        self
    }

    /// The first bad record's error, when there are more of them than `--max-bad` allows.
    #[must_use]
    pub(crate) fn beyond_max_bad(mut self, max_bad: u64) -> Self {
        if max_bad > 0 {
            self.inner.sentence.push_str(&format!(
                "; it is the first of more than {max_bad} unusable records and documents, and \
                 --max-bad allows {max_bad}"
            ));
        }
        self
    }

    /// Sets the hint: the next command to type, or what to change.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.inner.cause = Some(cause.into());
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// The exit code that this error ends the process with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        self.inner.code.exit_code()
    }

    /// True for interruptions, and for what keeps a run from going on: the work so far stays.
    #[must_use]
    pub fn keeps_work(&self) -> bool {
        let unusable = [
            Code::ResumeRefused,
            Code::CheckpointDamaged,
            Code::SourceInUse,
            Code::Locked,
        ];
        self.exit_code() == ExitCode::Interrupted || unusable.contains(&self.code())
    }

    /// The one sentence, without place and cause.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.inner.sentence
    }

    /// Where it happened.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.inner.place
    }

    /// What to do next.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.sentence)?;
        if !self.inner.place.is_empty() {
            write!(f, " ({})", self.inner.place)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.inner.code.id())?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner
            .cause
            .as_deref()
            .map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_place() {
        let error = Error::new(Code::WalCorrupt, "LSN does not grow")
            .at(Place::offset("wal.log", 63).with_lsn(7));
        assert_eq!(
            error.to_string(),
            "LSN does not grow (wal.log, byte 63, LSN 7)"
        );
        assert_eq!(error.exit_code(), ExitCode::Source);
    }

    #[test]
    fn a_full_disk_keeps_the_work() {
        let full = std::io::Error::from_raw_os_error(28);
        assert_eq!(
            Error::io("write", "data.db", full).exit_code(),
            ExitCode::Interrupted
        );
    }
}
