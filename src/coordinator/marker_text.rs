//! The version marker as text, to be kept to the byte where another one takes its name.

use crate::files::Dir;
use crate::layout::MARKER_FILE;
use crate::{Error, Place, Result};

/// Largest marker that is read, bytes.
pub(super) const LARGEST_MARKER: u64 = 1 << 20;

/// The marker of a directory, if there is one.
///
/// # Errors
/// What `refuse` makes of a marker that is not UTF-8, and so cannot be kept as it is; a read fails.
pub(super) fn marker_text(dir: &Dir, refuse: impl FnOnce(&str) -> Error) -> Result<Option<String>> {
    let Some(file) = dir.open_file_if_exists(MARKER_FILE)? else {
        return Ok(None);
    };
    let text = String::from_utf8(file.read_all(LARGEST_MARKER)?);
    text.map(Some).map_err(|error| {
        refuse("the version marker is not UTF-8")
            .at(Place::file(file.path()))
            .because(error)
    })
}
