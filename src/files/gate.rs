//! Where every change to a file system passes, so that tests can count, cut and fail them.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the system calls")]
pub enum ChangeKind {
    Create,
    Write,
    SetLen,
    Sync,
    SyncDir,
    Rename,
    RemoveFile,
    RemoveDir,
    MakeDir,
    Access,
}

/// A change that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What is about to happen.
    pub kind: ChangeKind,
    /// To which file or directory (for a rename: the old name).
    pub path: &'a Path,
    /// For a write: how many bytes.
    pub len: usize,
}

/// What becomes of a change.
#[derive(Debug)]
pub enum Verdict {
    /// It happens.
    Proceed,
    /// It fails and has no effect.
    Fail(io::Error),
    /// A write of only so many bytes happens, then it fails.
    Torn(usize, io::Error),
}

type Hook = dyn Fn(&Change<'_>) -> Verdict + Send + Sync;

/// Decides about every change, and may say how much space is free; the usual gate is open.
#[derive(Clone, Default)]
pub struct Gate {
    hook: Option<Arc<Hook>>,
    free: Option<u64>,
}

impl Gate {
    /// Lets everything through.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Asks `hook` before every change. From any thread, in the order of the changes.
    #[must_use]
    pub fn guarded(hook: impl Fn(&Change<'_>) -> Verdict + Send + Sync + 'static) -> Self {
        Self {
            hook: Some(Arc::new(hook)),
            free: None,
        }
    }

    /// Says that every file system has so many bytes free.
    #[must_use]
    pub fn with_free_space(mut self, bytes: u64) -> Self {
        self.free = Some(bytes);
        self
    }

    pub(super) fn free_space(&self) -> Option<u64> {
        self.free
    }

    pub(super) fn verdict(&self, kind: ChangeKind, path: &Path, len: usize) -> Verdict {
        match &self.hook {
            None => Verdict::Proceed,
            Some(hook) => hook(&Change { kind, path, len }),
        }
    }

    pub(super) fn pass(&self, kind: ChangeKind, path: &Path) -> io::Result<()> {
        match self.verdict(kind, path, 0) {
            Verdict::Proceed => Ok(()),
            Verdict::Fail(error) | Verdict::Torn(_, error) => Err(error),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.hook.is_some() {
            "Gate(guarded)"
        } else {
            "Gate(open)"
        })
    }
}
