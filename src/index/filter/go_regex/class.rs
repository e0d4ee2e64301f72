//! Character classes and escapes.

use super::PatternError;
use super::parser::NOTHING;
use super::unicode;
use std::fmt::Write;
use std::str::Chars;

type Range = (u32, u32);

const DIGIT: &[Range] = &[(0x30, 0x39)];
/// No vertical tab, unlike `[:space:]`.
const PERL_SPACE: &[Range] = &[(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)];
const WORD: &[Range] = &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];

const POSIX: &[(&str, &[Range])] = &[
    ("alnum", &[(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)]),
    ("alpha", &[(0x41, 0x5A), (0x61, 0x7A)]),
    ("ascii", &[(0x00, 0x7F)]),
    ("blank", &[(0x09, 0x09), (0x20, 0x20)]),
    ("cntrl", &[(0x00, 0x1F), (0x7F, 0x7F)]),
    ("digit", DIGIT),
    ("graph", &[(0x21, 0x7E)]),
    ("lower", &[(0x61, 0x7A)]),
    ("print", &[(0x20, 0x7E)]),
    (
        "punct",
        &[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
    ),
    ("space", &[(0x09, 0x0D), (0x20, 0x20)]),
    ("upper", &[(0x41, 0x5A)]),
    ("word", WORD),
    ("xdigit", &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
];

/// Surrogates are code points for Go, but no text has them and `regex` does not know them.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// Adds a range to the inside of a class, without surrogates.
fn push_range(out: &mut String, (low, high): Range) {
    let low = if SURROGATES.contains(&low) {
        SURROGATES.end().saturating_add(1)
    } else {
        low
    };
    let high = if SURROGATES.contains(&high) {
        SURROGATES.start().saturating_sub(1)
    } else {
        high
    };
    if low <= high {
        // Writing to a String cannot fail.
        let _ = write!(out, r"\x{{{low:X}}}-\x{{{high:X}}}");
    }
}

/// The inside of a class from a table, negated if asked for.
fn from_table(ranges: &[Range], negated: bool) -> String {
    let mut inside = String::new();
    for range in ranges {
        push_range(&mut inside, *range);
    }
    negate(inside, negated)
}

/// The inside of a class that holds what `inside` does not.
fn negate(inside: String, negated: bool) -> String {
    if negated {
        format!("[^{inside}]")
    } else {
        inside
    }
}

/// A class of its own from the inside of one.
pub(super) fn standing_alone(inside: &str, fold_case: bool) -> String {
    if fold_case {
        format!("(?i:[{inside}])")
    } else {
        format!("[{inside}]")
    }
}

/// Reads a class after its `[`.
pub(super) fn bracketed(rest: &mut Chars<'_>, fold_case: bool) -> Result<String, PatternError> {
    let negated = take(rest, "^");
    let mut inside = String::new();
    let mut first = true;
    // `]` is a literal where it comes first.
    while first || !take(rest, "]") {
        first = false;
        if let Some(set) = named(rest)? {
            inside.push_str(&set);
        } else if take(rest, "\\") {
            match escaped_set(rest)? {
                Some(set) => inside.push_str(&set),
                None => {
                    let low = escaped_character(rest)?;
                    push_range(&mut inside, range_from(low, rest)?);
                }
            }
        } else {
            let low = rest.next().ok_or(PatternError::MissingBracket)?;
            push_range(&mut inside, range_from(u32::from(low), rest)?);
        }
    }
    if inside.is_empty() {
        inside.push_str(NOTHING);
    }
    if negated {
        inside.insert(0, '^');
    }
    Ok(standing_alone(&inside, fold_case))
}

/// The range that starts with this character; `[a-]` is no range.
fn range_from(low: u32, rest: &mut Chars<'_>) -> Result<Range, PatternError> {
    let text = rest.as_str();
    if !text.starts_with('-') || text == "-" || text.starts_with("-]") {
        return Ok((low, low));
    }
    rest.next();
    let high = if take(rest, "\\") {
        escaped_character(rest)?
    } else {
        u32::from(rest.next().ok_or(PatternError::MissingBracket)?)
    };
    if high < low {
        return Err(PatternError::CharacterRange);
    }
    Ok((low, high))
}

/// `[:alpha:]` and `[:^alpha:]`, inside brackets only.
fn named(rest: &mut Chars<'_>) -> Result<Option<String>, PatternError> {
    let Some((name, after)) = rest
        .as_str()
        .strip_prefix("[:")
        .and_then(|text| text.split_once(":]"))
    else {
        return Ok(None);
    };
    let (bare, negated) = match name.strip_prefix('^') {
        Some(bare) => (bare, true),
        None => (name, false),
    };
    let (_, ranges) = POSIX
        .iter()
        .find(|(known, _)| *known == bare)
        .ok_or_else(|| PatternError::UnknownClass(format!("[:{name}:]")))?;
    *rest = after.chars();
    Ok(Some(from_table(ranges, negated)))
}

/// `\d \s \w \pL \p{Greek}` and their negations after the backslash, as the inside of a class;
/// `None`, and nothing read, if it is another escape.
pub(super) fn escaped_set(rest: &mut Chars<'_>) -> Result<Option<String>, PatternError> {
    let mut ahead = rest.clone();
    let Some(letter) = ahead.next() else {
        return Ok(None);
    };
    let negated = letter.is_ascii_uppercase();
    let set = match letter {
        'd' | 'D' => from_table(DIGIT, negated),
        's' | 'S' => from_table(PERL_SPACE, negated),
        'w' | 'W' => from_table(WORD, negated),
        'p' | 'P' => {
            let (name, after) = match ahead.as_str().strip_prefix('{') {
                Some(text) => text.split_once('}').ok_or(PatternError::CharacterRange)?,
                None => {
                    let text = ahead.as_str();
                    let length = text.chars().next().map_or(0, char::len_utf8);
                    text.split_at_checked(length).unwrap_or_default()
                }
            };
            ahead = after.chars();
            let (bare, negated) = match name.strip_prefix('^') {
                Some(bare) => (bare, !negated),
                None => (name, negated),
            };
            let inside = unicode::set(bare)
                .ok_or_else(|| PatternError::UnknownClass(format!("\\p{{{name}}}")))?;
            negate(inside, negated)
        }
        _ => return Ok(None),
    };
    *rest = ahead;
    Ok(Some(set))
}

/// The code point of an escape, after the backslash.
pub(super) fn escaped_character(rest: &mut Chars<'_>) -> Result<u32, PatternError> {
    let letter = rest.next().ok_or(PatternError::TrailingBackslash)?;
    let invalid = || PatternError::Escape(format!("\\{letter}"));
    let octal = |rest: &Chars<'_>| rest.clone().next().and_then(|digit| digit.to_digit(8));
    match letter {
        // A single digit other than 0 would be a reference to a group.
        '1'..='7' if octal(rest).is_none() => Err(invalid()),
        '0'..='7' => {
            let mut code = letter.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = octal(rest) else { break };
                rest.next();
                code = code.saturating_mul(8).saturating_add(digit);
            }
            Ok(code)
        }
        'x' => hexadecimal(rest).ok_or_else(invalid),
        'a' => Ok(0x07),
        'f' => Ok(0x0C),
        'n' => Ok(0x0A),
        'r' => Ok(0x0D),
        't' => Ok(0x09),
        'v' => Ok(0x0B),
        _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Ok(u32::from(letter)),
        _ => Err(invalid()),
    }
}

/// `\x7F` and `\x{10FFFF}` after the x.
fn hexadecimal(rest: &mut Chars<'_>) -> Option<u32> {
    if !take(rest, "{") {
        let high = rest.next()?.to_digit(16)?;
        return Some(
            high.saturating_mul(16)
                .saturating_add(rest.next()?.to_digit(16)?),
        );
    }
    let (digits, after) = rest.as_str().split_once('}')?;
    if digits.is_empty() {
        return None;
    }
    let code = digits.chars().try_fold(0_u32, |code, digit| {
        let code = code.saturating_mul(16).saturating_add(digit.to_digit(16)?);
        (code <= u32::from(char::MAX)).then_some(code)
    })?;
    *rest = after.chars();
    Some(code)
}

fn take(rest: &mut Chars<'_>, prefix: &str) -> bool {
    match rest.as_str().strip_prefix(prefix) {
        Some(after) => {
            *rest = after.chars();
            true
        }
        None => false,
    }
}
