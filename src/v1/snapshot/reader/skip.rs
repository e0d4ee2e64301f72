//! Passing values without keeping them, strictly checked, in constant memory.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{RESTORE_HINT, Reader, shown};
use crate::{Code, Error, Result};

/// Deepest nesting of a value that is skipped or captured at the structural levels.
const MAX_NESTING: u32 = 128;

impl Reader<'_> {
    /// Passes one value of any kind, strictly checked.
    pub(in super::super) fn skip_value(&mut self) -> Result<()> {
        self.skip_values(Brackets::default())
    }

    /// Passes a value, and all that follows it up to the end of the brackets in `open`.
    fn skip_values(&mut self, mut open: Brackets) -> Result<()> {
        loop {
            self.white_space()?;
            let entered = match self.window.peek()? {
                Some(byte @ (b'{' | b'[')) => {
                    let object = byte == b'{';
                    if !open.push(object) {
                        return Err(self.too_deep());
                    }
                    self.bump(byte)?;
                    let empty = if object { b'}' } else { b']' };
                    self.peek()? != Some(empty)
                }
                _ => self.skip_scalar().map(|()| false)?,
            };
            if entered && !open.in_object() {
                continue;
            }
            if !entered && !self.skip_ends(&mut open)? {
                return Ok(());
            }
            if open.in_object() {
                self.skip_key()?;
            }
        }
    }

    /// Passes an object, whose opening bracket comes next. True if there is anything in it.
    pub(in super::super) fn skip_object(&mut self) -> Result<bool> {
        self.expect(b'{', "an object")?;
        if self.peek()? == Some(b'}') {
            return self.bump(b'}').map(|()| false);
        }
        let mut open = Brackets::default();
        open.push(true);
        self.skip_key()?;
        self.skip_values(open).map(|()| true)
    }

    /// After a value: passes closing brackets up to the next comma. False when none are open.
    fn skip_ends(&mut self, open: &mut Brackets) -> Result<bool> {
        while open.depth > 0 {
            let close = if open.in_object() { b'}' } else { b']' };
            match self.peek()? {
                Some(b',') => return self.bump(b',').map(|()| true),
                Some(byte) if byte == close => self.bump(byte)?,
                found => {
                    let expected = format!("a comma or {}", shown(close));
                    return Err(self.unexpected(found, &expected));
                }
            }
            open.pop();
        }
        Ok(false)
    }

    fn skip_key(&mut self) -> Result<()> {
        self.white_space()?;
        self.skip_string("a key")?;
        self.white_space()?;
        self.expect(b':', "a colon after a key")
    }

    fn too_deep(&self) -> Error {
        Error::new(
            Code::SnapshotNesting,
            format!("a value nests deeper than {MAX_NESTING} levels"),
        )
        .at(self.place(self.offset()))
        .hint(RESTORE_HINT)
    }

    fn skip_scalar(&mut self) -> Result<()> {
        match self.window.peek()? {
            Some(b'"') => self.skip_string("a string"),
            Some(b't') => self.skip_literal("true"),
            Some(b'f') => self.skip_literal("false"),
            Some(b'n') => self.skip_literal("null"),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            found => Err(self.unexpected(found, "a value")),
        }
    }

    fn skip_literal(&mut self, literal: &str) -> Result<()> {
        literal
            .bytes()
            .try_for_each(|byte| self.expect(byte, literal))
    }

    /// `-? (0 | [1-9] digits*) (. digits+)? ([eE] [+-]? digits+)?`
    fn skip_number(&mut self) -> Result<()> {
        if self.window.peek()? == Some(b'-') {
            self.bump(b'-')?;
        }
        if self.window.peek()? == Some(b'0') {
            self.bump(b'0')?;
        } else {
            self.skip_digits()?;
        }
        if self.window.peek()? == Some(b'.') {
            self.bump(b'.')?;
            self.skip_digits()?;
        }
        if let Some(byte @ (b'e' | b'E')) = self.window.peek()? {
            self.bump(byte)?;
            if let Some(sign @ (b'+' | b'-')) = self.window.peek()? {
                self.bump(sign)?;
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_digits(&mut self) -> Result<()> {
        match self.window.peek()? {
            Some(digit @ b'0'..=b'9') => self.bump(digit)?,
            found => return Err(self.unexpected(found, "a digit")),
        }
        while let Some(digit @ b'0'..=b'9') = self.window.peek()? {
            self.bump(digit)?;
        }
        Ok(())
    }

    pub(super) fn skip_string(&mut self, what: &str) -> Result<()> {
        self.expect(b'"', what)?;
        let mut utf8 = Utf8::default();
        loop {
            let offset = self.offset();
            let byte = self.take("the end of a string")?;
            if !utf8.push(byte) {
                return Err(self.not_unicode(offset, format!("{what} is not UTF-8")));
            }
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.skip_escape(offset)?,
                0..=0x1F => {
                    let sentence = format!("control character {} in {what}", shown(byte));
                    return Err(self.syntax(offset, sentence));
                }
                _ => {}
            }
        }
    }

    fn skip_escape(&mut self, offset: u64) -> Result<()> {
        match self.take("an escaped character")? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => (0..4).try_for_each(|_| {
                if self.take("a hex digit")?.is_ascii_hexdigit() {
                    Ok(())
                } else {
                    Err(self.syntax(offset, "an escape lacks its four hex digits"))
                }
            }),
            byte => Err(self.syntax(offset, format!("unknown escape {}", shown(byte)))),
        }
    }
}

/// Open brackets, one bit each, the innermost lowest; 1 is an object.
#[derive(Default)]
struct Brackets {
    kinds: u128,
    depth: u32,
}

impl Brackets {
    fn push(&mut self, object: bool) -> bool {
        self.kinds = self.kinds << 1 | u128::from(object);
        self.depth = self.depth.saturating_add(1);
        self.depth <= MAX_NESTING
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.kinds & 1 == 1
    }
}

/// Checks UTF-8 byte by byte, so that a string can span buffers (Unicode, table 3-7).
#[derive(Default)]
struct Utf8 {
    missing: u8,
    /// Bounds of the next byte, which overlong forms, surrogates and U+110000 on narrow.
    bounds: (u8, u8),
}

impl Utf8 {
    fn push(&mut self, byte: u8) -> bool {
        if self.missing > 0 {
            self.missing = self.missing.saturating_sub(1);
            let (low, high) = std::mem::replace(&mut self.bounds, (0x80, 0xBF));
            return (low..=high).contains(&byte);
        }
        (self.missing, self.bounds) = match byte {
            0..=0x7F => return true,
            0xC2..=0xDF => (1, (0x80, 0xBF)),
            0xE0 => (2, (0xA0, 0xBF)),
            0xED => (2, (0x80, 0x9F)),
            0xE1..=0xEF => (2, (0x80, 0xBF)),
            0xF0 => (3, (0x90, 0xBF)),
            0xF1..=0xF3 => (3, (0x80, 0xBF)),
            0xF4 => (3, (0x80, 0x8F)),
            _ => return false,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_what_the_standard_library_says() {
        for first in 0..=u8::MAX {
            for second in [0, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF] {
                for tail in [&[][..], &[0x80], &[0x80, 0xBF], &[0xC0]] {
                    let bytes = [&[first, second], tail].concat();
                    let mut utf8 = Utf8::default();
                    let valid = bytes.iter().all(|byte| utf8.push(*byte)) && utf8.missing == 0;
                    assert_eq!(valid, std::str::from_utf8(&bytes).is_ok(), "{bytes:?}");
                }
            }
        }
    }
}
