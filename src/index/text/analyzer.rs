//! From a text to its tokens, as LauraDB's analyzer makes them.
//!
//! ```text
//! text ─ runs of letters and numbers ─ lower case ─ not under 2 bytes, no stop word ─ stem → token
//! ```
//!
//! Bytes that are not UTF-8 separate words.

use super::stemmer::stem;
use super::words::{is_stop_word, is_word, lower};
use crate::hash::xxh3_64;
use crate::large::release;

/// The shortest word that is kept, in bytes, before it is stemmed.
const SHORTEST_WORD: usize = 2;

/// Makes tokens, and remembers what came of words: texts repeat them.
#[derive(Clone, Debug, Default)]
pub struct Analyzer {
    word: Vec<u8>,
    known: KnownWords,
}

impl Analyzer {
    /// Calls `each` for every token of the text, in order.
    pub fn analyze(&mut self, text: &[u8], mut each: impl FnMut(&[u8])) {
        self.word.clear();
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                if !is_word(character) {
                    self.end_word(&mut each);
                } else if character.is_ascii() {
                    self.word
                        .extend(u8::try_from(character.to_ascii_lowercase()));
                } else {
                    let mut bytes = [0; 4];
                    let bytes = lower(character).encode_utf8(&mut bytes).as_bytes();
                    self.word.extend_from_slice(bytes);
                }
            }
            if !chunk.invalid().is_empty() {
                self.end_word(&mut each);
            }
        }
        self.end_word(&mut each);
    }

    /// Keeps no memory that a long word took.
    pub(super) fn give_back(&mut self) {
        release(&mut self.word);
    }

    #[inline]
    fn end_word(&mut self, each: &mut impl FnMut(&[u8])) {
        if self.word.len() >= SHORTEST_WORD {
            self.known.token(&mut self.word, each);
        }
        self.word.clear();
    }
}

/// A longer word is not remembered, bytes.
const LONGEST_KNOWN: usize = 23;
/// So many are, each in the one place that its hash gives it.
const MOST_KNOWN: usize = 4096;

/// What came of words before.
#[derive(Clone, Debug, Default)]
struct KnownWords(Vec<KnownWord>);

/// A word and its token.
#[derive(Clone, Copy, Debug, Default)]
struct KnownWord {
    word: Short,
    /// Nothing for a stop word.
    token: Option<Short>,
}

/// Some bytes, none of them for nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Short {
    len: u8,
    bytes: [u8; LONGEST_KNOWN],
}

impl Short {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut short = Self {
            len: u8::try_from(bytes.len()).ok()?,
            bytes: [0; LONGEST_KNOWN],
        };
        short.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(short)
    }

    #[inline]
    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl KnownWords {
    /// Gives the token of a word to `each`, unless it is a stop word; `word` means nothing then.
    #[inline]
    fn token(&mut self, word: &mut Vec<u8>, each: &mut impl FnMut(&[u8])) {
        if word.len() > LONGEST_KNOWN {
            stem(word);
            return each(word);
        }
        if self.0.is_empty() {
            self.0.resize(MOST_KNOWN, KnownWord::default());
        }
        let hash = usize::try_from(xxh3_64(word) % MOST_KNOWN as u64).unwrap_or_default();
        let Some(known) = self.0.get_mut(hash) else {
            return;
        };
        if known.word.get() != word.as_slice() {
            *known = learn(word);
        }
        if let Some(token) = &known.token {
            each(token.get());
        }
    }
}

/// A word of up to [`LONGEST_KNOWN`] bytes and its token, which is never longer.
#[cold]
fn learn(word: &mut Vec<u8>) -> KnownWord {
    let whole = Short::new(word).unwrap_or_default();
    let token = if is_stop_word(word) {
        None
    } else {
        stem(word);
        Short::new(word)
    };
    KnownWord { word: whole, token }
}
