//! Strict JSON, token by token, as the structural levels of a snapshot must have it.
//!
//! Nothing is kept but the text of what is asked for, each with a limit, and one bit per open
//! bracket, so any file can be read with the same memory.

mod skip;

use super::window::{Progress, ReadAt, Window};
use crate::{Code, Error, Place, Result};

/// Longest text of a key, a name or another string of the structural levels, with quotes and
/// escapes.
const MAX_STRING_BYTES: usize = 64 * 1024;

const RESTORE_HINT: &str =
    "take an undamaged copy, or name another backup of this database with --snapshot FILE";

pub(super) struct Reader<'a> {
    window: Window<'a>,
    capture: Option<Capture>,
    /// Keys at the structural levels that the format does not know.
    pub(super) unknown_keys: u64,
}

/// Bytes that are kept while they are read.
struct Capture {
    bytes: Vec<u8>,
    limit: usize,
    start: u64,
    what: &'static str,
    code: Code,
}

/// A text that was kept, and where it begins.
pub(super) struct Captured {
    pub(super) text: String,
    pub(super) offset: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a dyn ReadAt,
        buffer_bytes: usize,
        progress: &'a mut Progress<'a>,
    ) -> Self {
        Self {
            window: Window::new(source, buffer_bytes, progress),
            capture: None,
            unknown_keys: 0,
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.window.offset()
    }

    pub(super) fn place(&self, offset: u64) -> Place {
        Place::offset(self.window.path(), offset)
    }

    /// The bytes at hand, for the scanner of documents; captures do not see them.
    #[inline]
    pub(super) fn window(&mut self) -> &mut Window<'a> {
        &mut self.window
    }

    pub(super) fn syntax(&self, offset: u64, sentence: impl Into<String>) -> Error {
        Error::new(Code::SnapshotSyntax, sentence)
            .at(self.place(offset))
            .hint(RESTORE_HINT)
    }

    pub(super) fn not_unicode(&self, offset: u64, sentence: impl Into<String>) -> Error {
        Error::new(Code::SnapshotUnicode, sentence)
            .at(self.place(offset))
            .hint(RESTORE_HINT)
    }

    pub(super) fn shape(&self, offset: u64, sentence: impl Into<String>) -> Error {
        Error::new(Code::SnapshotShape, sentence)
            .at(self.place(offset))
            .hint("name a file that LauraDB's backup has written with --snapshot FILE")
    }

    /// The file ends where more must follow.
    pub(super) fn truncated(&self, expected: &str) -> Error {
        Error::new(
            Code::SnapshotTruncated,
            format!("the snapshot ends where {expected} is expected"),
        )
        .at(self.place(self.offset()))
        .hint(format!("the file is incomplete: {RESTORE_HINT}"))
    }

    fn unexpected(&self, found: Option<u8>, expected: &str) -> Error {
        match found {
            None => self.truncated(expected),
            Some(byte) => self.syntax(
                self.offset(),
                format!("{expected} is expected, found {}", shown(byte)),
            ),
        }
    }

    fn bump(&mut self, byte: u8) -> Result<()> {
        self.window.advance(1);
        let Some(capture) = &mut self.capture else {
            return Ok(());
        };
        if capture.bytes.len() < capture.limit {
            capture.bytes.push(byte);
            return Ok(());
        }
        let sentence = format!("{} has more than {} bytes", capture.what, capture.limit);
        let (code, start) = (capture.code, capture.start);
        Err(Error::new(code, sentence)
            .at(self.place(start))
            .hint("LauraDB does not write such a text; see where the file comes from"))
    }

    fn take(&mut self, expected: &str) -> Result<u8> {
        match self.window.peek()? {
            Some(byte) => self.bump(byte).map(|()| byte),
            None => Err(self.truncated(expected)),
        }
    }

    fn expect(&mut self, byte: u8, expected: &str) -> Result<()> {
        match self.window.peek()? {
            Some(found) if found == byte => self.bump(byte),
            found => Err(self.unexpected(found, expected)),
        }
    }

    #[inline]
    pub(super) fn white_space(&mut self) -> Result<()> {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.window.peek()? {
            self.bump(byte)?;
        }
        Ok(())
    }

    /// The next byte that is no white space, not taken.
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        self.white_space()?;
        self.window.peek()
    }

    /// Only white space may follow the snapshot's object.
    pub(super) fn end_of_file(&mut self) -> Result<()> {
        match self.peek()? {
            None => Ok(()),
            Some(byte) => {
                let sentence = format!("data follows the end of the snapshot: {}", shown(byte));
                Err(Error::new(Code::SnapshotTrailing, sentence)
                    .at(self.place(self.offset()))
                    .hint(RESTORE_HINT))
            }
        }
    }

    /// Reads an object. `member` reads the value of each key of `known`; values of other keys are
    /// skipped and counted.
    pub(super) fn object(
        &mut self,
        known: &[&'static str],
        mut member: impl FnMut(&mut Self, &'static str) -> Result<()>,
    ) -> Result<()> {
        let mut seen: Vec<&'static str> = Vec::new();
        self.expect(b'{', "an object")?;
        if self.peek()? == Some(b'}') {
            return self.bump(b'}');
        }
        loop {
            self.white_space()?;
            let key = self.string("a key")?;
            self.white_space()?;
            self.expect(b':', "a colon after a key")?;
            self.white_space()?;
            match known.iter().find(|name| **name == key.text) {
                Some(name) if seen.contains(name) => {
                    let sentence = format!("the key {name:?} stands twice here");
                    return Err(Error::new(Code::SnapshotKeyTwice, sentence)
                        .at(self.place(key.offset))
                        .hint(RESTORE_HINT));
                }
                Some(name) => {
                    seen.push(name);
                    member(self, name)?;
                }
                None => {
                    self.unknown_keys = self.unknown_keys.saturating_add(1);
                    self.skip_value()?;
                }
            }
            match self.peek()? {
                Some(b',') => self.bump(b',')?,
                Some(b'}') => return self.bump(b'}'),
                found => return Err(self.unexpected(found, "a comma or the end of an object")),
            }
        }
    }

    /// Reads an array; `element` reads each of its values.
    pub(super) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(b'[', "an array")?;
        if self.peek()? == Some(b']') {
            return self.bump(b']');
        }
        loop {
            self.white_space()?;
            element(self)?;
            match self.peek()? {
                Some(b',') => self.bump(b',')?,
                Some(b']') => return self.bump(b']'),
                found => return Err(self.unexpected(found, "a comma or the end of an array")),
            }
        }
    }

    /// True if a value that begins with `open` stands here; `null` is skipped and false, anything
    /// else an error.
    pub(super) fn opens_or_null(&mut self, open: u8, what: &str) -> Result<bool> {
        match self.window.peek()? {
            Some(byte) if byte == open => Ok(true),
            Some(b'n') => self.skip_value().map(|()| false),
            Some(byte) if begins_value(byte) => {
                let wanted = if open == b'[' {
                    "an array"
                } else {
                    "an object"
                };
                Err(self.shape(self.offset(), format!("{what} is not {wanted}")))
            }
            found => Err(self.unexpected(found, "a value")),
        }
    }

    /// A string of the structural levels, or `None` for `null`.
    pub(super) fn string_or_null(&mut self, what: &'static str) -> Result<Option<Captured>> {
        match self.window.peek()? {
            Some(b'"') => self.string(what).map(Some),
            Some(b'n') => self.skip_value().map(|()| None),
            Some(byte) if begins_value(byte) => {
                Err(self.shape(self.offset(), format!("{what} is not a string")))
            }
            found => Err(self.unexpected(found, "a value")),
        }
    }

    /// A string, decoded.
    pub(super) fn string(&mut self, what: &'static str) -> Result<Captured> {
        let raw = self.captured(MAX_STRING_BYTES, what, Code::SourceTooLarge, |reader| {
            reader.skip_string(what)
        })?;
        // All but the pairing of surrogates has been checked.
        let text = serde_json::from_str(&raw.text).map_err(|error| {
            self.not_unicode(raw.offset, format!("{what} is not Unicode text"))
                .because(error)
        })?;
        Ok(Captured { text, ..raw })
    }

    /// The text of a whole value, checked to be JSON, up to `limit` bytes long.
    pub(super) fn value_text(
        &mut self,
        limit: usize,
        what: &'static str,
        code: Code,
    ) -> Result<Captured> {
        self.captured(limit, what, code, Self::skip_value)
    }

    fn captured(
        &mut self,
        limit: usize,
        what: &'static str,
        code: Code,
        read: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Captured> {
        let offset = self.offset();
        self.capture = Some(Capture {
            bytes: Vec::new(),
            limit,
            start: offset,
            what,
            code,
        });
        read(self)?;
        let bytes = self.capture.take().map(|capture| capture.bytes);
        let text = String::from_utf8(bytes.unwrap_or_default()).map_err(|error| {
            self.not_unicode(offset, format!("{what} is not UTF-8"))
                .because(error)
        })?;
        Ok(Captured { text, offset })
    }
}

/// True if a JSON value can begin with `byte`.
pub(super) fn begins_value(byte: u8) -> bool {
    matches!(
        byte,
        b'{' | b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9'
    )
}

/// A byte as messages show it.
pub(super) fn shown(byte: u8) -> String {
    if byte.is_ascii_graphic() {
        format!("'{}'", char::from(byte))
    } else {
        format!("byte 0x{byte:02x}")
    }
}
