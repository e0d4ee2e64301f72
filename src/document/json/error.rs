//! Why a document of a snapshot cannot be carried over.

use serde_json::error::Category;

/// A bad document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of the document")]
pub struct DocumentError {
    /// Byte offset in the text: the last byte that was read when the fault showed, or the text's
    /// end if it ended early. Good to a byte or two.
    pub offset: usize,
    /// The document's `_id`, if it had been read by then.
    pub id: Option<String>,
    /// What is wrong.
    pub kind: DocumentErrorKind,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DocumentErrorKind {
    #[error("the document is no JSON object")]
    NotAnObject,
    #[error("the JSON does not parse: {0}")]
    Syntax(String),
    #[error("a string holds an unknown escape")]
    InvalidEscape,
    #[error("a string holds half of a surrogate pair")]
    LoneSurrogate,
    #[error("a number lies beyond the range of a double")]
    NumberOutOfRange,
    #[error("\"fields\" is neither an object nor null")]
    FieldsType,
    #[error("\"_id\" is neither a string nor null")]
    IdType,
    #[error("\"fields\" holds an \"_id\"")]
    IdInFields,
    #[error("the key {0:?} stands twice")]
    RepeatedKey(&'static str),
    #[error("a field name holds a NUL character")]
    NulInName,
    #[error("values are nested deeper than 100 levels")]
    TooDeep,
    #[error("the document has at least {size} bytes as BSON, more than 16777216")]
    TooLarge { size: usize },
}

/// The kind of an error that serde_json found by itself. It tells its kinds apart in the message
/// only; a message that it words differently one day becomes `Syntax`, which is true as well.
pub(super) fn classify(error: &serde_json::Error) -> DocumentErrorKind {
    let text = error.to_string();
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    match message {
        "number out of range" => DocumentErrorKind::NumberOutOfRange,
        "invalid escape" => DocumentErrorKind::InvalidEscape,
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            DocumentErrorKind::LoneSurrogate
        }
        _ => DocumentErrorKind::Syntax(message.to_owned()),
    }
}

/// The byte offset of serde_json's line and column (which counts bytes, from 1).
pub(super) fn offset(text: &str, error: &serde_json::Error) -> usize {
    if error.classify() == Category::Eof {
        return text.len();
    }
    let line_start = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', text.as_bytes())
            .nth(line.saturating_sub(2))
            .map_or(0, |newline| newline.saturating_add(1)),
    };
    // A fault at a line break has column 0 of the next line.
    line_start.saturating_add(error.column()).saturating_sub(1)
}
