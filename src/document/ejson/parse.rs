//! From text to BSON. Strict: canonical forms only, nothing that `write` would not write but white
//! space and other escapes in strings.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{DOCUMENT_KEY, GO_NAN_BITS, strings};
use crate::bytes::put_u32;
use crate::document::MAX_DEPTH;
use crate::document::bson::{self, BsonError, ElementType, ObjectId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::io::Write as _;

/// Why a text is no document in canonical Extended JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of the text")]
pub struct EjsonError {
    /// Byte offset in the text.
    pub offset: usize,
    /// What is wrong there.
    pub kind: EjsonErrorKind,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EjsonErrorKind {
    #[error("the text ends early")]
    Truncated,
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("a string is no valid JSON")]
    InvalidString,
    #[error("a number stands bare; canonical Extended JSON names its type")]
    BareNumber,
    #[error("{0:?} names no type")]
    UnknownType(String),
    #[error("the value of {0:?} is malformed")]
    Malformed(&'static str),
    #[error("a field name holds a NUL character")]
    NulInName,
    #[error("values are nested deeper than 100 levels")]
    TooDeep,
    #[error("text follows the document")]
    TrailingText,
    #[error("the document breaks a rule of BSON")]
    Document(#[source] BsonError),
}

/// Reads one document, the whole of `text`, and appends its BSON to `out`.
///
/// # Errors
/// What is wrong and where. `out` is as before then.
pub fn parse_document(text: &str, out: &mut Vec<u8>) -> Result<(), EjsonError> {
    parse(text, out, false)
}

/// [`parse_document`] for the fixtures' dialect: `$lauraTimestamp`, doubles in Go's form, and other
/// names that begin with `$` are names.
#[doc(hidden)]
pub fn parse_fixture(text: &str, out: &mut Vec<u8>) -> Result<(), EjsonError> {
    parse(text, out, true)
}

fn parse(text: &str, out: &mut Vec<u8>, fixture: bool) -> Result<(), EjsonError> {
    let start = out.len();
    let mut parser = Parser {
        text,
        at: 0,
        out: &mut *out,
        fixture,
    };
    let parsed = parser.whole_document().and_then(|()| {
        let written = parser.out.get(start..).unwrap_or_default();
        let checked = bson::check(written).map(|_| ());
        checked.map_err(|error| EjsonError {
            offset: 0,
            kind: EjsonErrorKind::Document(error),
        })
    });
    if parsed.is_err() {
        out.truncate(start);
    }
    parsed
}

type Parsed<T> = Result<T, EjsonError>;

struct Parser<'t, 'o> {
    text: &'t str,
    at: usize,
    out: &'o mut Vec<u8>,
    fixture: bool,
}

impl<'t> Parser<'t, '_> {
    fn error(&self, kind: EjsonErrorKind) -> EjsonError {
        EjsonError {
            offset: self.at,
            kind,
        }
    }

    fn malformed<T>(&self, what: &'static str) -> Parsed<T> {
        Err(self.error(EjsonErrorKind::Malformed(what)))
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at = self.at.saturating_add(blanks);
        rest.get(blanks).copied()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at = self.at.saturating_add(1);
                Ok(())
            }
            Some(_) => Err(self.error(EjsonErrorKind::Expected(what))),
            None => Err(self.error(EjsonErrorKind::Truncated)),
        }
    }

    /// After an item of a list: whether another follows.
    fn more(&mut self, close: u8, what: &'static str) -> Parsed<bool> {
        if self.peek() == Some(b',') {
            self.at = self.at.saturating_add(1);
            return Ok(true);
        }
        self.expect(close, what).map(|()| false)
    }

    fn string(&mut self) -> Parsed<Cow<'t, str>> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(self.error(EjsonErrorKind::Expected("a string"))),
            None => return Err(self.error(EjsonErrorKind::Truncated)),
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = strings::token_len(rest).ok_or_else(|| self.error(EjsonErrorKind::Truncated))?;
        let decoded = rest.get(..len).and_then(strings::decode);
        let decoded = decoded.ok_or_else(|| self.error(EjsonErrorKind::InvalidString))?;
        self.at = self.at.saturating_add(len);
        Ok(decoded)
    }

    fn name(&mut self) -> Parsed<Cow<'t, str>> {
        let at = self.at;
        let name = self.string()?;
        if name.as_bytes().contains(&0) {
            self.at = at;
            return Err(self.error(EjsonErrorKind::NulInName));
        }
        Ok(name)
    }

    fn whole_document(&mut self) -> Parsed<()> {
        self.expect(b'{', "a document")?;
        if self.object(1)? != ElementType::Document {
            self.at = 0;
            return Err(self.error(EjsonErrorKind::Expected("a document")));
        }
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error(EjsonErrorKind::TrailingText)),
        }
    }

    /// Appends a value; gives its type. Recursion is bounded by `MAX_DEPTH`.
    fn value(&mut self, depth: usize) -> Parsed<ElementType> {
        match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                self.length(text.len().saturating_add(1));
                self.out.extend_from_slice(text.as_bytes());
                self.out.push(0);
                Ok(ElementType::String)
            }
            Some(b'{') => {
                self.at = self.at.saturating_add(1);
                self.object(depth)
            }
            Some(b'[') => {
                self.at = self.at.saturating_add(1);
                self.array(depth)
            }
            Some(b't') => self.word("true", ElementType::Boolean, &[1]),
            Some(b'f') => self.word("false", ElementType::Boolean, &[0]),
            Some(b'n') => self.word("null", ElementType::Null, &[]),
            Some(b'-' | b'0'..=b'9') => Err(self.error(EjsonErrorKind::BareNumber)),
            Some(_) => Err(self.error(EjsonErrorKind::Expected("a value"))),
            None => Err(self.error(EjsonErrorKind::Truncated)),
        }
    }

    fn word(&mut self, word: &str, kind: ElementType, bytes: &[u8]) -> Parsed<ElementType> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.error(EjsonErrorKind::Expected("a value")));
        }
        self.at = self.at.saturating_add(word.len());
        self.out.extend_from_slice(bytes);
        Ok(kind)
    }

    fn array(&mut self, depth: usize) -> Parsed<ElementType> {
        let start = self.begin(depth)?;
        if self.peek() == Some(b']') {
            self.at = self.at.saturating_add(1);
        } else {
            let mut position = 0_usize;
            loop {
                let element_at = self.out.len();
                self.out.push(0);
                let named = write!(self.out, "{position}\0");
                debug_assert!(named.is_ok(), "writing to a Vec does not fail");
                self.element(element_at, depth)?;
                position = position.saturating_add(1);
                if !self.more(b']', "',' or ']'")? {
                    break;
                }
            }
        }
        self.end(start);
        Ok(ElementType::Array)
    }

    /// After `{`: a document, or a value whose type the first name says.
    fn object(&mut self, depth: usize) -> Parsed<ElementType> {
        if self.peek() == Some(b'}') {
            let start = self.begin(depth)?;
            self.at = self.at.saturating_add(1);
            self.end(start);
            return Ok(ElementType::Document);
        }
        let name_at = self.at;
        let name = self.name()?;
        if name.starts_with('$') {
            self.expect(b':', "':'")?;
            if let Some(kind) = self.typed(&name, depth)? {
                self.expect(b'}', "'}' after a typed value")?;
                return Ok(kind);
            }
            if !self.fixture {
                self.at = name_at;
                return Err(self.error(EjsonErrorKind::UnknownType(name.into_owned())));
            }
        }
        self.at = name_at;
        let start = self.begin(depth)?;
        loop {
            let name = self.name()?;
            self.expect(b':', "':'")?;
            self.field(&name, depth)?;
            if !self.more(b'}', "',' or '}'")? {
                break;
            }
        }
        self.end(start);
        Ok(ElementType::Document)
    }

    fn field(&mut self, name: &str, depth: usize) -> Parsed<()> {
        let element_at = self.out.len();
        self.out.push(0);
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(0);
        self.element(element_at, depth)
    }

    /// The value of an element whose name stands already.
    fn element(&mut self, element_at: usize, depth: usize) -> Parsed<()> {
        let kind = self.value(depth.saturating_add(1))?;
        if let Some(byte) = self.out.get_mut(element_at) {
            *byte = kind as u8;
        }
        Ok(())
    }

    fn begin(&mut self, depth: usize) -> Parsed<usize> {
        if depth > MAX_DEPTH {
            return Err(self.error(EjsonErrorKind::TooDeep));
        }
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        Ok(start)
    }

    fn end(&mut self, start: usize) {
        self.out.push(0);
        let size = u32::try_from(self.out.len().saturating_sub(start)).unwrap_or(u32::MAX);
        put_u32(self.out, start, size);
    }

    fn length(&mut self, len: usize) {
        // A document of 2^32 bytes fails the check that follows.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&len.to_le_bytes());
    }

    /// The value of the type that a name beginning with `$` says; `None` for other names.
    fn typed(&mut self, name: &str, depth: usize) -> Parsed<Option<ElementType>> {
        let kind = match name {
            "$numberDouble" => self.number("$numberDouble", ElementType::Double, |parser, text| {
                let form = if parser.fixture {
                    Form::Any
                } else {
                    Form::Canonical
                };
                double(text, form).map(f64::to_le_bytes)
            }),
            "$numberInt" => self.number("$numberInt", ElementType::Int32, |_, text| {
                canonical_integer(text)?.parse().ok().map(i32::to_le_bytes)
            }),
            "$numberLong" => self.number("$numberLong", ElementType::Int64, |_, text| {
                canonical_integer(text)?.parse().ok().map(i64::to_le_bytes)
            }),
            "$oid" => self.number("$oid", ElementType::ObjectId, |_, text| {
                Some(ObjectId::from_hex(text.as_bytes())?.0)
            }),
            "$binary" => self.binary(),
            "$timestamp" => self.timestamp(),
            DOCUMENT_KEY => self.listed(depth),
            "$lauraTimestamp" if self.fixture => {
                self.number("$lauraTimestamp", ElementType::Timestamp, |_, text| {
                    text.parse().ok().map(i64::to_le_bytes)
                })
            }
            _ => return Ok(None),
        };
        kind.map(Some)
    }

    /// A value of fixed width in a string.
    fn number<const N: usize>(
        &mut self,
        what: &'static str,
        kind: ElementType,
        read: impl Fn(&Self, &str) -> Option<[u8; N]>,
    ) -> Parsed<ElementType> {
        self.peek();
        let at = self.at;
        let text = self.string()?;
        let Some(bytes) = read(self, &text) else {
            self.at = at;
            return self.malformed(what);
        };
        self.out.extend_from_slice(&bytes);
        Ok(kind)
    }

    fn key(&mut self, expected: &'static str, what: &'static str) -> Parsed<()> {
        self.peek();
        let at = self.at;
        if self.string()? != expected {
            self.at = at;
            return self.malformed(what);
        }
        self.expect(b':', "':'")
    }

    fn binary(&mut self) -> Parsed<ElementType> {
        const WHAT: &str = "$binary";
        self.expect(b'{', "'{' after \"$binary\"")?;
        self.key("base64", WHAT)?;
        self.peek();
        let at = self.at;
        let encoded = self.string()?;
        let Ok(bytes) = STANDARD.decode(encoded.as_bytes()) else {
            self.at = at;
            return self.malformed(WHAT);
        };
        self.expect(b',', "','")?;
        self.key("subType", WHAT)?;
        if self.string()? != "00" {
            return self.malformed(WHAT);
        }
        self.expect(b'}', "'}'")?;
        self.length(bytes.len());
        self.out.push(0);
        self.out.extend_from_slice(&bytes);
        Ok(ElementType::Binary)
    }

    fn timestamp(&mut self) -> Parsed<ElementType> {
        const WHAT: &str = "$timestamp";
        self.expect(b'{', "'{' after \"$timestamp\"")?;
        self.key("t", WHAT)?;
        let high = self.bare_u32(WHAT)?;
        self.expect(b',', "','")?;
        self.key("i", WHAT)?;
        let low = self.bare_u32(WHAT)?;
        self.expect(b'}', "'}'")?;
        let seconds = u64::from(high) << 32 | u64::from(low);
        self.out.extend_from_slice(&seconds.to_le_bytes());
        Ok(ElementType::Timestamp)
    }

    fn bare_u32(&mut self, what: &'static str) -> Parsed<u32> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let digits = end.map_or(rest, |end| rest.get(..end).unwrap_or_default());
        match canonical_integer(digits).and_then(|digits| digits.parse().ok()) {
            Some(number) => {
                self.at = self.at.saturating_add(digits.len());
                Ok(number)
            }
            None => self.malformed(what),
        }
    }

    /// `[["name",value],…]`
    fn listed(&mut self, depth: usize) -> Parsed<ElementType> {
        let start = self.begin(depth)?;
        self.expect(b'[', "'[' after \"$lauraDocument\"")?;
        if self.peek() == Some(b']') {
            self.at = self.at.saturating_add(1);
        } else {
            loop {
                self.expect(b'[', "'['")?;
                let name = self.name()?;
                self.expect(b',', "','")?;
                self.field(&name, depth)?;
                self.expect(b']', "']'")?;
                if !self.more(b']', "',' or ']'")? {
                    break;
                }
            }
        }
        self.end(start);
        Ok(ElementType::Document)
    }
}

/// The text itself, if it is how an integer is written: no sign but `-`, no superfluous zeros.
fn canonical_integer(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    canonical.then_some(text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Canonical,
    Any,
}

/// Any decimal that is finite as a double will do: tools differ in how they write exponents.
fn double(text: &str, form: Form) -> Option<f64> {
    match text {
        "NaN" => Some(f64::from_bits(GO_NAN_BITS)),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        "+Inf" if form == Form::Any => Some(f64::INFINITY),
        "-Inf" if form == Form::Any => Some(f64::NEG_INFINITY),
        _ => match text.strip_prefix("NaN:") {
            Some(bits) if bits.len() == 16 => {
                let number = f64::from_bits(u64::from_str_radix(bits, 16).ok()?);
                number.is_nan().then_some(number)
            }
            _ => {
                let decimal = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                    && !text.contains(['i', 'n', 'I', 'N']);
                let number = decimal.then(|| text.parse::<f64>().ok()).flatten()?;
                number.is_finite().then_some(number)
            }
        },
    }
}
