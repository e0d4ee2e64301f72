//! What a word is made of: Unicode's letters and numbers, in the version that LauraDB's Go knows.

use regex_syntax::hir::{Class, HirKind};
use std::sync::LazyLock;

/// `[\p{L}\p{N}]`. Characters of later versions of Unicode separate words, as they do in LauraDB.
static WORD: LazyLock<CharacterSet> =
    LazyLock::new(|| CharacterSet::parse(r"[[\p{L}\p{N}]&&\p{Age=15.0}]"));
static LETTER: LazyLock<CharacterSet> =
    LazyLock::new(|| CharacterSet::parse(r"[\p{L}&&\p{Age=15.0}]"));

/// Ascending ranges of characters.
struct CharacterSet(Vec<(char, char)>);

impl CharacterSet {
    /// The patterns are this module's own; tests would show one that does not parse.
    fn parse(pattern: &str) -> Self {
        let parsed = regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind);
        let ranges = match parsed {
            Ok(HirKind::Class(Class::Unicode(class))) => class
                .ranges()
                .iter()
                .map(|range| (range.start(), range.end()))
                .collect(),
            _ => Vec::new(),
        };
        Self(ranges)
    }

    fn has(&self, character: char) -> bool {
        let at = self.0.partition_point(|(_, end)| *end < character);
        self.0.get(at).is_some_and(|(start, _)| *start <= character)
    }
}

/// True for what words are made of; everything else separates them.
#[inline]
pub(super) fn is_word(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphanumeric()
    } else {
        WORD.has(character)
    }
}

/// True for letters of any script.
pub(super) fn is_letter(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphabetic()
    } else {
        LETTER.has(character)
    }
}

/// The lower-case character, one for one: no final sigma, and the dotted capital I loses its dot.
#[inline]
pub(super) fn lower(character: char) -> char {
    let mut lower = character.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(single), None) => single,
        // U+0130 is the only character whose lower case is two.
        _ => 'i',
    }
}

/// The words that LauraDB never indexes, as they are before stemming.
pub(super) fn is_stop_word(word: &[u8]) -> bool {
    #[rustfmt::skip]
    let is_stop_word = matches!(
        word,
        b"a" | b"all" | b"am" | b"an" | b"and" | b"are" | b"as" | b"at" | b"be" | b"been"
        | b"being" | b"both" | b"but" | b"by" | b"can" | b"could" | b"did" | b"do" | b"does"
        | b"doing" | b"each" | b"every" | b"few" | b"for" | b"had" | b"has" | b"have" | b"he"
        | b"her" | b"him" | b"how" | b"i" | b"if" | b"in" | b"into" | b"is" | b"it" | b"may"
        | b"me" | b"might" | b"more" | b"most" | b"must" | b"no" | b"not" | b"of" | b"on" | b"or"
        | b"other" | b"shall" | b"she" | b"should" | b"some" | b"such" | b"that" | b"the"
        | b"their" | b"them" | b"then" | b"there" | b"these" | b"they" | b"this" | b"to" | b"us"
        | b"was" | b"we" | b"what" | b"when" | b"where" | b"which" | b"who" | b"why" | b"will"
        | b"with" | b"would" | b"you"
    );
    is_stop_word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_is_one_character_for_every_character() {
        for character in '\0'..=char::MAX {
            let count = character.to_lowercase().count();
            assert_eq!(count == 2, character == '\u{130}', "{character:?}");
        }
        assert_eq!(lower('\u{130}'), 'i');
        assert_eq!(lower('Σ'), 'σ');
    }

    #[test]
    fn numbers_of_all_kinds_are_in_words_but_not_letters() {
        for number in ['½', '²', '①', 'Ⅷ', '٣'] {
            assert!(is_word(number) && !is_letter(number), "{number}");
        }
        assert!(is_letter('ª') && is_letter('語'));
        assert!(!is_word('\u{301}') && !is_word('👍') && !is_word('_'));
        // Assigned in Unicode 16.
        assert!(!is_word('\u{1C89}'));
    }
}
