//! The one narrow layer through which files are opened and changed.
//!
//! Directories are held as descriptors and names are resolved below them without following
//! symlinks, so nothing that happens to a path during a run can lead elsewhere. Every change passes
//! a [`Gate`], where tests count, cut short or fail the n-th.

mod append;
mod dir;
mod direct;
mod gate;
mod input;
mod output;
mod pieces;
mod system;

pub use append::AppendWriter;
pub use dir::{Dir, Entry, EntryKind, Sharing};
pub use direct::{AlignedBuffer, DirectFile};
pub use gate::{Change, ChangeKind, Gate, Verdict};
pub use input::{FileIdentity, InputFile};
pub use output::{Access, OutputFile};
