//! File names of collections.
//!
//! ```text
//! file = stem ".jsonl"
//! stem = encoded                          up to 200 bytes
//!      | first 150 bytes of encoded "~" 16 lower-case hex digits of the name's SHA-256
//! encoded: every byte of the name outside [A-Za-z0-9_-] as % and two upper-case hex digits
//! ```
//!
//! So no name can leave the directory, be `manifest.json`, or be too long for a file system. A stem
//! with `~` cannot be turned back into its name; the manifest has the name, and a reader encodes it
//! again to see whether the file is rightly called.

use crate::backup::hex;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What the name of a collection's file ends with.
pub const EXTENSION: &str = ".jsonl";

const MAX_ENCODED: usize = 200;
const KEPT: usize = 150;
/// Half as many as the hex digits.
const HASH_BYTES: usize = 8;

/// The name of the file that holds a collection.
#[must_use]
pub fn file_name(collection: &str) -> String {
    let mut stem = encode(collection);
    if stem.len() > MAX_ENCODED {
        let hash = Sha256::digest(collection.as_bytes());
        // All of it is ASCII, so any length is a boundary.
        stem.truncate(KEPT);
        stem.push('~');
        stem.push_str(&hex(hash.get(..HASH_BYTES).unwrap_or_default()));
    }
    stem + EXTENSION
}

/// The collection that a file holds, if the file's name says it: `None` for a shortened name and for
/// one that [`file_name`] does not give.
#[must_use]
pub fn collection_name(file: &str) -> Option<String> {
    let stem = file.strip_suffix(EXTENSION)?;
    let mut name = Vec::with_capacity(stem.len());
    let mut rest = stem.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let digits = str::from_utf8(rest.get(..2)?).ok()?;
            name.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            name.push(*byte);
        }
    }
    let name = String::from_utf8(name).ok()?;
    // What is encoded otherwise than here is no name of ours.
    (file_name(&name) == file).then_some(name)
}

fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_encoded_to_the_letter() {
        let cases = [
            ("users", "users.jsonl"),
            ("A-z_09", "A-z_09.jsonl"),
            ("", ".jsonl"),
            (".", "%2E.jsonl"),
            ("..", "%2E%2E.jsonl"),
            ("../etc/passwd", "%2E%2E%2Fetc%2Fpasswd.jsonl"),
            ("a b~%", "a%20b%7E%25.jsonl"),
            ("ž\0\n", "%C5%BE%00%0A.jsonl"),
            ("manifest.json", "manifest%2Ejson.jsonl"),
        ];
        for (name, file) in cases {
            assert_eq!(file_name(name), file);
            assert_eq!(collection_name(file).as_deref(), Some(name));
        }
    }

    #[test]
    fn long_names_end_in_their_hash() {
        let longest = "x".repeat(200);
        assert_eq!(file_name(&longest), format!("{longest}.jsonl"));
        let name = "x".repeat(201);
        let file = file_name(&name);
        // printf 'x%.0s' {1..201} | sha256sum
        let expected = format!("{}~{}.jsonl", "x".repeat(150), "84a0678c90937f5d");
        assert_eq!(file, expected);
        assert_eq!(collection_name(&file), None);
        let dotted = file_name(&".".repeat(255));
        assert!(dotted.starts_with(&"%2E".repeat(50)) && dotted.len() == 150 + 17 + 6);
        assert_ne!(dotted, file_name(&".".repeat(254)));
    }

    #[test]
    fn other_spellings_are_no_names() {
        for file in [
            "a",
            "a%2e.jsonl",
            "%61.jsonl",
            "a%2.jsonl",
            "a%.jsonl",
            "%FF.jsonl",
            "a b.jsonl",
        ] {
            assert_eq!(collection_name(file), None, "{file}");
        }
    }

    proptest! {
        #[test]
        fn file_names_are_plain_and_tell_collections_apart(name: String, other: String) {
            let file = file_name(&name);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-%~.".contains(&byte);
            prop_assert!(file.len() <= 206 && file.bytes().all(plain));
            prop_assert_eq!(file.matches('.').count(), 1);
            prop_assert_eq!(name == other, file == file_name(&other));
            if !file.contains('~') {
                prop_assert_eq!(collection_name(&file), Some(name));
            }
        }
    }
}
