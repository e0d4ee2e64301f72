//! LauraDB's own tokens and stems.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn strings(value: &Value) -> Vec<Vec<u8>> {
    let strings = value.as_array().unwrap().iter();
    strings
        .map(|text| text.as_str().unwrap().as_bytes().to_vec())
        .collect()
}

#[test]
fn stems_are_those_of_laura_db() {
    let golden = golden("analyzer.golden.json");
    let mut checked = 0;
    for case in golden["stems"].as_array().unwrap() {
        let word = case["word"].as_str().unwrap();
        let mut stemmed: Vec<u8> = word.to_lowercase().into_bytes();
        stem(&mut stemmed);
        let stemmed = String::from_utf8(stemmed).unwrap();
        match case["stem"].as_str() {
            Some(expected) => assert_eq!(stemmed, expected, "{word}"),
            None => {
                let possible = strings(&case["nondeterministic"]);
                assert!(
                    possible.contains(&stemmed.clone().into_bytes()),
                    "{word} {stemmed}"
                );
            }
        }
        checked += 1;
    }
    assert!(checked > 200, "{checked}");
}

#[test]
fn tokens_are_those_of_laura_db() {
    let golden = golden("analyzer.golden.json");
    let mut checked = 0;
    for case in golden["texts"].as_array().unwrap() {
        let text = match case["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => hex(case["text_hex"].as_str().unwrap()),
        };
        let found = tokens(&text);
        checked += 1;
        if case["tokens"].is_null() {
            let possible = case["nondeterministic"].as_array().unwrap();
            assert!(
                possible.iter().any(|tokens| strings(tokens) == found),
                "{case}"
            );
            continue;
        }
        let expected = match case["tokens"].get("tokens_hex") {
            Some(tokens) => strings(tokens)
                .iter()
                .map(|token| hex(str::from_utf8(token).unwrap()))
                .collect(),
            None => strings(&case["tokens"]),
        };
        assert_eq!(found, expected, "{case}");
    }
    assert!(checked > 70, "{checked}");
}

#[test]
fn the_77_stop_words_and_no_others_are_dropped() {
    let golden = golden("analyzer.golden.json");
    let words = golden["stop_words"].as_array().unwrap();
    assert_eq!(words.len(), 77);
    for word in words {
        assert!(
            tokens(word.as_str().unwrap().as_bytes()).is_empty(),
            "{word}"
        );
    }
    for word in ["over", "than", "our", "its", "word"] {
        assert_eq!(tokens(word.as_bytes()).len(), 1, "{word}");
    }
}

proptest! {
    #[test]
    fn a_word_that_came_before_gives_the_same_token(
        words in prop::collection::vec("[a-zà-ÿ0-9]{1,30}|running|the|happily|organizations", 1..60)
    ) {
        let mut analyzer = Analyzer::default();
        for word in words.iter().chain(&words) {
            let mut found = Vec::new();
            analyzer.analyze(word.as_bytes(), |token| found.push(token.to_vec()));
            prop_assert_eq!(found, tokens(word.as_bytes()));
        }
    }
}
