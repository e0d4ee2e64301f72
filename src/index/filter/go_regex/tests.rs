//! Where Go's patterns and the `regex` crate's part ways.

use super::{Budget, PatternError};

fn matches(pattern: &str, text: &str) -> bool {
    Budget::default().compile(pattern).unwrap().is_match(text)
}

/// A pattern, texts that it matches, texts that it does not.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

fn check(cases: &[Case]) {
    for (pattern, matching, others) in cases {
        for text in *matching {
            assert!(matches(pattern, text), "{pattern} must match {text:?}");
        }
        for text in *others {
            assert!(!matches(pattern, text), "{pattern} must not match {text:?}");
        }
    }
}

#[test]
fn classes_and_folding_are_as_in_go() {
    check(&[
        ("", &["", "x"], &[]),
        ("^<a&b>", &["<a&b>c"], &["x<a&b>"]),
        // Perl classes are ASCII, and \s has no vertical tab.
        (r"^\d$", &["7"], &["٣", "x"]),
        (r"^\w$", &["a", "_"], &["é"]),
        (r"^\s$", &[" ", "\t", "\u{c}"], &["\u{b}", "\u{a0}"]),
        (r"^[[:space:]]$", &["\u{b}"], &["\u{a0}"]),
        (r"^\W$", &["é", "-"], &["a"]),
        (r"^[\W\d]$", &["é", "5"], &["a"]),
        (r"^[^\S]$", &[" "], &["a"]),
        // Folding is Unicode's, in the Perl classes as well.
        (r"^(?i)\w$", &["\u{17f}", "\u{212a}"], &["é"]),
        ("^(?i)k$", &["K", "k", "\u{212a}"], &["c"]),
        ("^(?i)straße$", &["STRAßE", "straẞe"], &["STRASSE"]),
        ("^(?i:a)b$", &["Ab"], &["AB"]),
        ("^(?i)a(?-i)b$", &["Ab"], &["AB"]),
        ("^((?i)a)b$", &["Ab"], &["AB"]),
        ("^(?i)[^a]$", &["b"], &["a", "A"]),
        ("^(?i:[^\\x{212A}])$", &["b"], &["k", "K"]),
        // Word boundaries are ASCII.
        (r"\bé", &["aé"], &["é", " é"]),
        (r"^\B$", &[""], &["a"]),
        (r"^a\Bb$", &["ab"], &[]),
        (r"^é\B$", &["é"], &[]),
        (r"\B", &["é", "-"], &["a", "aéb"]),
    ]);
}

#[test]
fn anchors_and_brackets_are_as_in_go() {
    check(&[
        // Anchors.
        (r"\Aab\z", &["ab"], &["ab\n", "xab"]),
        ("^ab$", &["ab"], &["ab\n", "x\nab"]),
        ("(?m)^ab$", &["x\nab\ny"], &["xab"]),
        ("(?m)ab$(?-m)^", &[], &["ab\n"]),
        ("^.$", &["x", "é", "\r"], &["\n"]),
        ("^(?s).$", &["\n"], &[]),
        ("^[^a]$", &["\n"], &["a"]),
        // Classes: nothing nests and nothing intersects.
        ("^[a&&b]$", &["a", "&", "b"], &[""]),
        ("^[+--b]$", &["+", ",", "-", "b"], &["a"]),
        ("^[[a]$", &["[", "a"], &["]"]),
        ("^[[a]]$", &["[]", "a]"], &["a"]),
        ("^[]a]$", &["]", "a"], &[""]),
        ("^[^]a]$", &["b"], &["]", "a"]),
        ("^[a-]$", &["a", "-"], &["b"]),
        ("^[-a]$", &["a", "-"], &["b"]),
        ("^[a~~b# ]$", &["~", "#", " "], &["c"]),
        ("^[[:alpha:]-]$", &["a", "-"], &["1"]),
        ("^[[:^alpha:]]$", &["1"], &["a"]),
        ("^[[:al]$", &[":", "["], &["b"]),
        (r"^[\]\x41-\x{43}\n]$", &["]", "B", "\n"], &["D"]),
        (r"^[^\x00-\x{10FFFF}]", &[], &["", "a"]),
        (r"^[\x{D000}-\x{E000}]$", &["\u{d000}", "\u{e000}"], &["a"]),
        (r"\x{D800}", &[], &["", "\u{fffd}"]),
        (r"^[^\x{D800}]$", &["a"], &[""]),
    ]);
}

#[test]
fn escapes_repetitions_and_groups_are_as_in_go() {
    check(&[
        // Unicode groups.
        (r"^\pL\p{Greek}\PL$", &["aα1"], &["1α1"]),
        (r"^\p{^Lu}\P{^Lu}$", &["aA"], &["AA", "aa"]),
        (r"^(?i)\p{Lu}$", &["a"], &["1"]),
        (r"^[\p{Nd}x]$", &["٣", "x"], &["y"]),
        (r"^\p{C}$", &["\u{1}"], &["\u{378}", "a"]),
        (r"^\p{Letter}\p{old_italic}$", &["a\u{10300}"], &["aa"]),
        (r"^\p{Any}\p{ASCII}$", &["éa"], &["éé"]),
        // Escapes.
        (r"^\101\07\0\x41\a\f\v$", &["A\u{7}\0A\u{7}\u{c}\u{b}"], &[]),
        (r"^\_\-\#\ $", &["_-# "], &[]),
        (r"^\Qa.b*\E.$", &["a.b*x"], &["aXb*x"]),
        (r"^\Qa.b", &["a.b"], &["axb"]),
        (r"^\Qab\E+$", &["abb"], &["abab"]),
        // Repetitions.
        ("^a{2}$", &["aa"], &["a"]),
        ("^a{2,}$", &["aaa"], &["a"]),
        ("^a{0,2}?$", &["", "aa"], &["aaa"]),
        ("^a{,2}$", &["a{,2}"], &["aa"]),
        ("^a{2$", &["a{2"], &["aa"]),
        ("^a{02}$", &["a{02}"], &["aa"]),
        ("^{$", &["{"], &[""]),
        ("^a{0}{$", &["{"], &["a{"]),
        ("^a{1000}$", &[], &["a"]),
        ("^(a{10}){100}$", &[], &["a"]),
        ("^(?:(a{900}){0}b){900}$", &[], &["a"]),
        ("(?U)^a+?$", &["aa"], &["b"]),
        ("^*a", &["a"], &["b"]),
        ("^a+(?i)*b$", &["b", "aaB"], &["A"]),
        // Groups.
        ("^(?P<n>a)(?<n2>b)(c)$", &["abc"], &["ab"]),
        ("^(|a)$|", &["", "b"], &[]),
        ("^()$", &[""], &["a"]),
        ("^(?)a(?-s:b)$", &["ab"], &["b"]),
        // Verbose mode does not exist.
        ("^a b#c$", &["a b#c"], &["ab"]),
    ]);
}

#[rustfmt::skip]
const REFUSED: &[&str] = &[
    "a**", "a*+", "a??*", "a{2}{3}", "*", "(*a)", "a|*", "(?i)*", r"\Q\E*", "(", ")", "a)(b",
    "(?:a", "[", "[]", "[^]", "[a", "[a-", "[z-a]", "[[:foo:]]", r"[\d-\z]", r"[a-\d]", "a{1001}",
    "[a--b]", "a{1001,}", "a{3,2}", "a{99999999999}", "(a{100}){11}", "((a{2}){20}){26}", r"\1",
    r"\8", r"\e", r"\Z", r"\C", r"\G", r"\K", r"\u0041", r"\E", "\\", r"\x4", r"\x{}",
    r"\x{110000}", r"\x{4G}", r"\pX", r"\p", r"\p{", r"\p{Foo}", r"\p{sc=Greek}", "(?=a)",
    "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?x)a", "(?R)a", "(?u)a", "(?-)a", "(?i-)a",
    "(?i--s)a", "(?'n'a)", "(?P<>a)", "(?P<a b>c)", "(?P<a", "(?P=n)", "(?", "(?i", "(?#c)",
    r"é\é",
];

#[test]
fn what_go_refuses_is_refused() {
    for pattern in REFUSED {
        let error = Budget::default().compile(pattern).unwrap_err();
        assert_ne!(error, PatternError::TooLarge, "{pattern}");
    }
}

#[test]
fn hostile_patterns_run_into_a_limit() {
    let deep = format!("{}a{}", "(".repeat(50_000), ")".repeat(50_000));
    let error = Budget::default().compile(&deep).unwrap_err();
    assert_eq!(error, PatternError::TooDeep);
    let stacked = format!("a*{}", "(?i)*".repeat(10_000));
    let error = Budget::default().compile(&stacked).unwrap_err();
    assert_eq!(error, PatternError::TooDeep);
    let wide = r"\pL{1000}".repeat(10);
    let error = Budget::default().compile(&wide).unwrap_err();
    assert_eq!(error, PatternError::TooLarge);
    let nested = format!("{}a{}", "(".repeat(200), ")".repeat(200));
    assert!(Budget::default().compile(&nested).is_ok());
}

#[test]
fn patterns_of_a_filter_share_their_budget() {
    let mut budget = Budget::default();
    let compiled = (0..1000).take_while(|_| budget.compile("^a.*b$").is_ok());
    let count = compiled.count();
    assert!((100..200).contains(&count), "{count}");
}
