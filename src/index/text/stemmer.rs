//! LauraDB's stemmer: a simplified Porter stemmer over bytes.
//!
//! Suffixes are cut by bytes, and one step drops the last of two equal bytes, so what comes out need
//! not be UTF-8. A vowel is one of a e i o u, which are single bytes wherever they stand in UTF-8,
//! so only the test for consonant-vowel-consonant has to look at whole characters.
//!
//! In *measure*, LauraDB takes anything that is not a vowel for the end of a run of vowels, digits
//! as well; elsewhere a consonant has to be a letter.

use super::words::is_letter;

/// A suffix and what replaces it.
type Rule = (&'static str, &'static str);

/// Of the suffixes of step 2 and 3 that apply, LauraDB takes any; here the longest comes first.
const STEP_2: &[Rule] = &[
    ("ational", "ate"),
    ("ization", "ize"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("tional", "tion"),
    ("biliti", "ble"),
    ("entli", "ent"),
    ("ousli", "ous"),
    ("ation", "ate"),
    ("alism", "al"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("alli", "al"),
    ("ator", "ate"),
    ("eli", "e"),
];

const STEP_3: &[Rule] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ness", ""),
    ("ful", ""),
];

/// In LauraDB's order, which is not that of their lengths.
const STEP_4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
];

/// Reduces a lower-case word to its stem.
pub fn stem(word: &mut Vec<u8>) {
    if word.len() < 3 {
        return;
    }
    plurals(word);
    past_and_participle(word);
    final_y(word);
    replace(word, STEP_2);
    replace(word, STEP_3);
    drop_suffix(word);
    final_e_and_ll(word);
}

fn is_vowel(byte: u8) -> bool {
    matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u')
}

fn has_vowel(word: &[u8]) -> bool {
    word.iter().copied().any(is_vowel)
}

/// How often something else follows a run of vowels.
fn measure(word: &[u8]) -> usize {
    let ends = |pair: &&[u8]| matches!(**pair, [left, right] if is_vowel(left) && !is_vowel(right));
    word.windows(2).filter(ends).count()
}

/// The last character, unless it was cut, and what stands before it.
fn split_last_char(word: &[u8]) -> Option<(&[u8], char)> {
    let is_start = |byte: &u8| byte & 0xC0 != 0x80;
    let start = word.iter().rposition(is_start)?;
    let (before, last) = word.split_at(start);
    let mut characters = str::from_utf8(last).ok()?.chars();
    Some((before, characters.next()?))
}

/// True if the word ends in consonant, vowel, consonant, and the last is not w, x or y.
fn is_cvc(word: &[u8]) -> bool {
    let ends = || {
        let (before, last) = split_last_char(word)?;
        let (before, middle) = split_last_char(before)?;
        let (_, first) = split_last_char(before)?;
        Some((first, middle, last))
    };
    let vowel = |character: char| u8::try_from(character).is_ok_and(is_vowel);
    let consonant = |character| !vowel(character) && is_letter(character);
    ends().is_some_and(|(first, middle, last)| {
        consonant(first) && vowel(middle) && consonant(last) && !matches!(last, 'w' | 'x' | 'y')
    })
}

fn cut(word: &mut Vec<u8>, bytes: usize) {
    word.truncate(word.len().saturating_sub(bytes));
}

/// Step 1a.
fn plurals(word: &mut Vec<u8>) {
    if word.ends_with(b"sses") || word.ends_with(b"ies") {
        cut(word, 2);
    } else if !word.ends_with(b"ss") && word.ends_with(b"s") && word.len() > 3 {
        cut(word, 1);
    }
}

/// Step 1b.
fn past_and_participle(word: &mut Vec<u8>) {
    if let Some(stem) = word.strip_suffix(b"eed") {
        if measure(stem) > 0 {
            cut(word, 1);
        }
    } else if let Some(stem) = word
        .strip_suffix(b"ed")
        .or_else(|| word.strip_suffix(b"ing"))
        && has_vowel(stem)
    {
        word.truncate(stem.len());
        repair(word);
    }
}

/// What step 1b does to the stem that it leaves.
fn repair(word: &mut Vec<u8>) {
    if word.ends_with(b"at") || word.ends_with(b"bl") || word.ends_with(b"iz") {
        word.push(b'e');
        return;
    }
    // LauraDB looks at bytes here and takes each for a character, also the halves of larger ones.
    if let [.., before, last] = **word
        && before == last
        && !is_vowel(last)
        && !matches!(last, b'l' | b's' | b'z')
        && is_letter(char::from(last))
    {
        cut(word, 1);
    } else if measure(word) == 1 && is_cvc(word) {
        word.push(b'e');
    }
}

/// Step 1c.
fn final_y(word: &mut Vec<u8>) {
    if let Some(stem) = word.strip_suffix(b"y")
        && has_vowel(stem)
    {
        cut(word, 1);
        word.push(b'i');
    }
}

/// Steps 2 and 3.
fn replace(word: &mut Vec<u8>, rules: &[Rule]) {
    for (suffix, replacement) in rules {
        if let Some(stem) = word.strip_suffix(suffix.as_bytes())
            && measure(stem) > 0
        {
            word.truncate(stem.len());
            word.extend_from_slice(replacement.as_bytes());
            return;
        }
    }
}

/// Step 4.
fn drop_suffix(word: &mut Vec<u8>) {
    for suffix in STEP_4 {
        if let Some(stem) = word.strip_suffix(suffix.as_bytes())
            && measure(stem) > 1
            && (*suffix != "ion" || matches!(stem.last(), Some(b's' | b't')))
        {
            word.truncate(stem.len());
            return;
        }
    }
}

/// Step 5.
fn final_e_and_ll(word: &mut Vec<u8>) {
    if let Some(stem) = word.strip_suffix(b"e") {
        let measure = measure(stem);
        if measure > 1 || (measure == 1 && !is_cvc(stem)) {
            cut(word, 1);
        }
    } else if word.ends_with(b"ll") && measure(word) > 1 {
        cut(word, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stemmed(word: &str) -> Vec<u8> {
        let mut word = word.as_bytes().to_vec();
        stem(&mut word);
        word
    }

    #[test]
    fn a_digit_ends_a_run_of_vowels() {
        assert_eq!(measure(b"a1e2"), 2);
        assert_eq!(stemmed("o2eed"), b"o2e");
    }

    #[test]
    fn a_stem_of_two_characters_in_three_bytes_is_no_syllable() {
        assert_eq!(stemmed("aéing"), "aé".as_bytes());
    }

    proptest! {
        #[test]
        fn a_stem_is_never_longer_than_its_word(word in "\\PC{0,20}") {
            let word: String = word.chars().map(super::super::words::lower).collect();
            prop_assert!(stemmed(&word).len() <= word.len());
        }
    }
}
