//! The `_id`s of a chunk's documents, without converting the documents.

use super::element::Nesting;
use super::layout::Chunk;
use super::walk::skip_separator;
use crate::Result;
use crate::files::InputFile;
use crate::large::KEPT_BUFFER;
use serde::Deserialize;
use std::borrow::Cow;

/// How LauraDB's backup begins a document.
const BEGINNING: &[u8] = b"{\"_id\":\"";

#[derive(Deserialize)]
struct OnlyId<'t> {
    #[serde(rename = "_id", borrow, default)]
    id: Option<Cow<'t, str>>,
}

/// Visits the `_id` of every document of a chunk that has one, with the document's ordinal.
///
/// What does not parse is passed over: its error is for the conversion to
/// give.
///
/// # Errors
/// The read fails; those of the visitor.
pub fn walk_ids(
    file: &InputFile,
    chunk: Chunk,
    text: &mut Vec<u8>,
    mut visit: impl FnMut(u64, &str) -> Result<()>,
) -> Result<()> {
    text.clear();
    text.shrink_to(KEPT_BUFFER);
    text.resize(usize::try_from(chunk.bytes).unwrap_or(usize::MAX), 0);
    file.read_exact_at(text, chunk.offset)?;
    let mut at = 0;
    for number in 0..u64::from(chunk.documents) {
        at = skip_separator(text, at);
        let rest = text.get(at..).unwrap_or_default();
        let Some(length) = Nesting::default().feed(rest) else {
            return Ok(());
        };
        let document = rest.get(..length).unwrap_or_default();
        at = at.saturating_add(length);
        let ordinal = chunk.first_ordinal.saturating_add(number);
        if let Some(id) = first_id(document) {
            visit(ordinal, id)?;
        } else if let Ok(OnlyId { id: Some(id) }) = serde_json::from_slice(document) {
            visit(ordinal, &id)?;
        }
    }
    Ok(())
}

/// The `_id`, if it stands where LauraDB writes it and has no escapes.
fn first_id(document: &[u8]) -> Option<&str> {
    let rest = document.strip_prefix(BEGINNING)?;
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    let is_plain = rest.get(end) == Some(&b'"');
    let id = rest.get(..end).filter(|_| is_plain)?;
    str::from_utf8(id).ok()
}
