//! The names that `\p{…}` takes, which are Go's and fewer than the `regex` crate's.

/// General categories that both languages have with the same content, short names and long, in
/// the form that [`loose`] gives them.
#[rustfmt::skip]
const CATEGORIES: &[&str] = &[
    "casedletter", "cc", "cf", "closepunctuation", "cn", "cntrl", "co", "combiningmark",
    "connectorpunctuation", "control", "currencysymbol", "dashpunctuation", "decimalnumber",
    "digit", "enclosingmark", "finalpunctuation", "format", "initialpunctuation", "l", "lc",
    "letter", "letternumber", "lineseparator", "ll", "lm", "lo", "lowercaseletter", "lt", "lu",
    "m", "mark", "mathsymbol", "mc", "me", "mn", "modifierletter", "modifiersymbol", "n", "nd",
    "nl", "no", "nonspacingmark", "number", "openpunctuation", "otherletter", "othernumber",
    "otherpunctuation", "othersymbol", "p", "paragraphseparator", "pc", "pd", "pe", "pf", "pi",
    "po", "privateuse", "ps", "punct", "punctuation", "s", "sc", "separator", "sk", "sm", "so",
    "spaceseparator", "spacingmark", "symbol", "titlecaseletter", "unassigned",
    "uppercaseletter", "z", "zl", "zp", "zs",
];

/// The scripts of Unicode 15, as [`loose`] gives them.
#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "adlam", "ahom", "anatolianhieroglyphs", "arabic", "armenian", "avestan", "balinese",
    "bamum", "bassavah", "batak", "bengali", "bhaiksuki", "bopomofo", "brahmi", "braille",
    "buginese", "buhid", "canadianaboriginal", "carian", "caucasianalbanian", "chakma", "cham",
    "cherokee", "chorasmian", "common", "coptic", "cuneiform", "cypriot", "cyprominoan",
    "cyrillic", "deseret", "devanagari", "divesakuru", "dogra", "duployan",
    "egyptianhieroglyphs", "elbasan", "elymaic", "ethiopic", "georgian", "glagolitic", "gothic",
    "grantha", "greek", "gujarati", "gunjalagondi", "gurmukhi", "han", "hangul",
    "hanifirohingya", "hanunoo", "hatran", "hebrew", "hiragana", "imperialaramaic", "inherited",
    "inscriptionalpahlavi", "inscriptionalparthian", "javanese", "kaithi", "kannada",
    "katakana", "kawi", "kayahli", "kharoshthi", "khitansmallscript", "khmer", "khojki",
    "khudawadi", "lao", "latin", "lepcha", "limbu", "lineara", "linearb", "lisu", "lycian",
    "lydian", "mahajani", "makasar", "malayalam", "mandaic", "manichaean", "marchen",
    "masaramgondi", "medefaidrin", "meeteimayek", "mendekikakui", "meroiticcursive",
    "meroitichieroglyphs", "miao", "modi", "mongolian", "mro", "multani", "myanmar",
    "nabataean", "nagmundari", "nandinagari", "newa", "newtailue", "nko", "nushu",
    "nyiakengpuachuehmong", "ogham", "olchiki", "oldhungarian", "olditalic", "oldnortharabian",
    "oldpermic", "oldpersian", "oldsogdian", "oldsoutharabian", "oldturkic", "olduyghur",
    "oriya", "osage", "osmanya", "pahawhhmong", "palmyrene", "paucinhau", "phagspa",
    "phoenician", "psalterpahlavi", "rejang", "runic", "samaritan", "saurashtra", "sharada",
    "shavian", "siddham", "signwriting", "sinhala", "sogdian", "sorasompeng", "soyombo",
    "sundanese", "sylotinagri", "syriac", "tagalog", "tagbanwa", "taile", "taitham", "taiviet",
    "takri", "tamil", "tangsa", "tangut", "telugu", "thaana", "thai", "tibetan", "tifinagh",
    "tirhuta", "toto", "ugaritic", "vai", "vithkuqi", "wancho", "warangciti", "yezidi", "yi",
    "zanabazarsquare",
];

/// The inside of a class with the characters of a category or script, or `None` if Go knows no
/// such name.
pub(super) fn set(name: &str) -> Option<String> {
    let name = loose(name);
    Some(match name.as_str() {
        "any" => r"\x{0}-\x{10FFFF}".to_owned(),
        "ascii" => r"\x{0}-\x{7F}".to_owned(),
        "assigned" => r"\P{gc=Cn}".to_owned(),
        // Unassigned code points are not in Go's C.
        "c" | "other" => r"\p{gc=Cc}\p{gc=Cf}\p{gc=Co}".to_owned(),
        "cs" | "surrogate" => super::parser::NOTHING.to_owned(),
        _ if CATEGORIES.contains(&name.as_str()) => format!(r"\p{{gc={name}}}"),
        _ if SCRIPTS.contains(&name.as_str()) => format!(r"\p{{sc={name}}}"),
        _ => return None,
    })
}

/// Go compares names without case, spaces, hyphens and underscores.
fn loose(name: &str) -> String {
    name.chars()
        .filter(|char| !matches!(char, ' ' | '-' | '_'))
        .map(|char| char.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_to_the_regex_crate() {
        let special = [
            "Any",
            "ASCII",
            "Assigned",
            "C",
            "Cs",
            "Private_Use",
            "Old Italic",
        ];
        for name in CATEGORIES.iter().chain(SCRIPTS).chain(&special) {
            let class = format!("[{}]", set(name).unwrap());
            assert!(regex_syntax::parse(&class).is_ok(), "{class}");
        }
        for name in [
            "",
            "Emoji",
            "Alphabetic",
            "Grek",
            "Garay",
            "Script=Greek",
            "L ",
        ] {
            assert_eq!(set(name).is_some(), name == "L ", "{name}");
        }
    }
}
