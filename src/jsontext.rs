//! JSON text that is kept as text: members of an object with their tokens verbatim, white space
//! taken out, depth measured. What passes through here keeps every digit it was written with.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The members of an object in the order of the text, keys decoded, values verbatim.
///
/// # Errors
/// The text is no JSON object, or something follows it.
pub(crate) fn members(text: &str) -> serde_json::Result<Vec<(String, Box<RawValue>)>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members)?;
    deserializer.end()?;
    Ok(members)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Box<RawValue>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// Valid JSON text without its insignificant white space, every token verbatim.
pub(crate) fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut state = Text::default();
    for character in text.chars() {
        let inside = state.step(character);
        if inside || !matches!(character, ' ' | '\t' | '\n' | '\r') {
            compact.push(character);
        }
    }
    compact
}

/// How deep objects and arrays nest in valid JSON text; a plain value has depth 0.
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut state = Text::default();
    for character in text.chars() {
        if state.step(character) {
            continue;
        }
        match character {
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Tells characters inside strings from those outside.
#[derive(Default)]
struct Text {
    in_string: bool,
    escaped: bool,
}

impl Text {
    /// True if `character` belongs to a string, its quotes included.
    fn step(&mut self, character: char) -> bool {
        let inside = self.in_string || character == '"';
        if self.escaped {
            self.escaped = false;
        } else if self.in_string && character == '\\' {
            self.escaped = true;
        } else if character == '"' {
            self.in_string = !self.in_string;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_and_tokens_stay() {
        let text = "{ \"a b\\\" \" : [ 1.50 ,\n1E+2\t, \"\\u003c {\" ] }";
        assert_eq!(compact(text), r#"{"a b\" ":[1.50,1E+2,"\u003c {"]}"#);
        assert_eq!(depth(text), 2);
        assert_eq!(depth("\"[[[\""), 0);
    }

    #[test]
    fn members_keep_order_repeats_and_digits() {
        let members = members(r#"{"b": 1.0, "\u0061":123456789012345678901234567890,"b":null}"#)
            .expect("valid");
        let shown: Vec<_> = members.iter().map(|(k, v)| (k.as_str(), v.get())).collect();
        assert_eq!(
            shown,
            [
                ("b", "1.0"),
                ("a", "123456789012345678901234567890"),
                ("b", "null")
            ]
        );
        assert!(super::members("{} x").is_err());
        assert!(super::members("[1]").is_err());
    }
}
