//! From a text to its tokens, as LauraDB's analyzer makes them.
//!
//! ```text
//! text ─ runs of letters and numbers ─ lower case ─ not under 2 bytes, no stop word ─ stem → token
//! ```
//!
//! Bytes that are not UTF-8 separate words.

use super::stemmer::stem;
use super::words::{is_stop_word, is_word, lower};

/// The shortest word that is kept, in bytes, before it is stemmed.
const SHORTEST_WORD: usize = 2;

/// Calls `each` for every token of the text, in order. `word` is scratch space.
pub fn analyze(text: &[u8], word: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    word.clear();
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if !is_word(character) {
                end_word(word, &mut each);
            } else if character.is_ascii() {
                word.extend(u8::try_from(character.to_ascii_lowercase()));
            } else {
                let mut bytes = [0; 4];
                word.extend_from_slice(lower(character).encode_utf8(&mut bytes).as_bytes());
            }
        }
        if !chunk.invalid().is_empty() {
            end_word(word, &mut each);
        }
    }
    end_word(word, &mut each);
}

#[inline]
fn end_word(word: &mut Vec<u8>, each: &mut impl FnMut(&[u8])) {
    if word.len() >= SHORTEST_WORD && !is_stop_word(word) {
        stem(word);
        each(word);
    }
    word.clear();
}
