//! Questions to text and geo indexes that a migration has published, with LauraDB's own answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Directory, Log, json_fixture};
use laura_migrate::Code;
use laura_migrate::document::bson::{RawDocument, RawValue};
use laura_migrate::files::{Dir, Gate};
use laura_migrate::index::geo::Point;
use laura_migrate::index::published::PublishedIndexes;
use laura_migrate::v2::DocumentAddress;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

fn open(directory: &Path) -> PublishedIndexes {
    let directory = Dir::open(directory, Gate::open()).unwrap();
    PublishedIndexes::open(&directory).unwrap()
}

fn id(indexes: &PublishedIndexes, address: DocumentAddress) -> String {
    let document = indexes.document(address).unwrap();
    match RawDocument::trusted(&document).get("_id") {
        Some(RawValue::String(id)) => id.to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Ids of what was found, in order.
fn ids(indexes: &PublishedIndexes, found: &[(DocumentAddress, f64)]) -> Vec<String> {
    let found = found.iter();
    found.map(|(address, _)| id(indexes, *address)).collect()
}

fn text_index(name: &str, fields: &[&str]) -> Value {
    json!({"name": name, "type": "text", "field_paths": fields})
}

fn geo_index(name: &str, field: &str, kind: &str) -> Value {
    json!({"name": name, "type": "geo", "field_paths": [field], "geo_type": kind})
}

fn snapshot(documents: &[(String, Value)], indexes: &[Value]) -> Directory {
    let documents = documents.iter();
    let documents: Vec<Value> = documents
        .map(|(id, fields)| json!({"_id": id, "fields": fields}))
        .collect();
    Directory::of_collections(&json!([
        {"name": "c", "documents": documents, "indexes": indexes}
    ]))
}

#[test]
fn all_indexes_of_the_fixture_answer() {
    let directory = Directory::of_fixture("index-types.json");
    directory.migrated();
    let indexes = open(&directory.source());
    let titles = indexes.text("products", "title_text").unwrap();
    // "Quick brown foxes number N" in each of the twelve.
    let all = titles.search("FOX").unwrap();
    assert_eq!(all.len(), 12);
    let seven = titles.search("7").unwrap();
    assert!(seven.is_empty(), "a token of one byte is none");
    assert_eq!(
        ids(&indexes, &titles.search("number 10").unwrap())[0],
        "p10"
    );
    assert!(titles.search("jumping").unwrap().is_empty());
    let bodies = indexes.text("products", "title_body_text").unwrap();
    assert_eq!(bodies.search("jumped").unwrap().len(), 12);

    let plane = indexes.geo("products", "xy_2d").unwrap();
    let point = |x, y| Point { x, y };
    let inside = plane
        .within_box(point(3.5, -7.0), point(7.0, -4.0))
        .unwrap();
    let mut inside: Vec<String> = inside.iter().map(|at| id(&indexes, *at)).collect();
    inside.sort();
    assert_eq!(inside, ["p04", "p05", "p06", "p07"]);
    let near = plane.near(point(5.0, -5.0), 1.5, 10).unwrap();
    assert_eq!(ids(&indexes, &near)[0], "p05");
    assert_eq!((near.len(), near[0].1), (3, 0.0));
    assert!((near[1].1 - 2.0_f64.sqrt()).abs() < 1e-12);

    let earth = indexes.geo("products", "loc_2dsphere").unwrap();
    let near = earth.near(point(14.42, 50.0), 10_000.0, 1).unwrap();
    assert_eq!(ids(&indexes, &near), ["p04"]);
    assert!((1_000.0..2_000.0).contains(&near[0].1), "{near:?}");

    for missing in [
        indexes.text("products", "xy_2d").err(),
        indexes.geo("products", "title_text").err(),
        indexes.text("products", "none").err(),
        indexes.geo("none", "xy_2d").err(),
    ] {
        assert_eq!(missing.unwrap().code(), Code::IndexMissing);
    }
}

#[test]
fn the_crafted_fixture_keeps_its_config_and_answers() {
    let directory = Directory::of_fixture("index-crafted.json");
    let mut options = directory.in_place();
    let unsound = [
        "ttlneg",
        "ttlnil",
        "geo3d",
        "geo2f",
        "hash",
        "nofields",
        "nilfields",
        "dup_1",
    ];
    options.skip_indexes = unsound.map(str::to_owned).to_vec();
    directory.migrated_with(options);
    let indexes = open(&directory.source());
    let found = indexes.text("c", "withconfig").unwrap();
    assert_eq!(ids(&indexes, &found.search("two").unwrap()), ["x"]);
    let config = found.record().parsed_options().unwrap().config;
    assert_eq!(config["language"], "english");
    assert_eq!(config["weights"], json!({"b": 10}));
}

#[test]
fn scores_are_those_of_laura_db() {
    let golden = json_fixture("text/bm25.golden.json");
    let docs = golden["docs"].as_array().unwrap();
    let documents: Vec<(String, Value)> = docs
        .iter()
        .map(|doc| {
            let id = doc["id"].as_str().unwrap().to_owned();
            (id, json!({"text": doc["text"]}))
        })
        .collect();
    let directory = snapshot(&documents, &[text_index("t", &["text"])]);
    directory.migrated();
    let indexes = open(&directory.source());
    let search = indexes.text("c", "t").unwrap();
    assert_eq!(golden["stats"]["total_terms"], search.record().entry_count);
    for query in golden["queries"].as_array().unwrap() {
        let found = search.search(query["query"].as_str().unwrap()).unwrap();
        let found: BTreeMap<String, f64> = found
            .iter()
            .map(|(address, score)| (id(&indexes, *address), *score))
            .collect();
        let expected = query["results_sorted_by_id"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{query}");
        for expected in expected {
            let score = found[expected["id"].as_str().unwrap()];
            assert!(
                (score - expected["score"].as_f64().unwrap()).abs() < 1e-9,
                "{query}"
            );
        }
    }
}

/// Texts that a JSON snapshot cannot hold are left to the analyzer's own tests: those that are not
/// UTF-8. Of those for which LauraDB picks a suffix at random, one of its answers is ours.
#[test]
fn texts_have_the_tokens_of_laura_db() {
    let golden = json_fixture("text/analyzer.golden.json");
    let cases: Vec<&Value> = golden["texts"].as_array().unwrap().iter().collect();
    let documents: Vec<(String, Value)> = (0..)
        .zip(&cases)
        .filter_map(|(n, case)| {
            let text = case["text"].as_str()?;
            Some((format!("d{n}"), json!({"t": text})))
        })
        .collect();
    assert!(documents.len() > 60, "{}", documents.len());
    let directory = snapshot(&documents, &[text_index("t", &["t"])]);
    directory.migrated();
    let indexes = open(&directory.source());
    let search = indexes.text("c", "t").unwrap();
    let reader = search.reader();
    let strings = |tokens: &Value| -> Option<Vec<String>> {
        let tokens = tokens.as_array()?.iter();
        tokens
            .map(|token| Some(token.as_str()?.to_owned()))
            .collect()
    };
    let has = |document: &str, tokens: &[String]| {
        let mut counts: BTreeMap<&str, u16> = BTreeMap::new();
        for token in tokens {
            *counts.entry(token).or_default() += 1;
        }
        counts.into_iter().all(|(token, count)| {
            let postings = reader.postings(token.as_bytes()).unwrap();
            let of_document = postings
                .iter()
                .find(|posting| id(&indexes, posting.address) == document);
            of_document.is_some_and(|posting| {
                posting.term_frequency == count && usize::from(posting.field_length) == tokens.len()
            })
        })
    };
    let mut checked = 0;
    for (document, _) in &documents {
        let case = cases[document[1..].parse::<usize>().unwrap()];
        if let Some(tokens) = strings(&case["tokens"]) {
            assert!(has(document, &tokens), "{case}");
            checked += 1;
        } else if let Some(possible) = case["nondeterministic"].as_array() {
            let mut possible = possible.iter().filter_map(strings);
            assert!(possible.any(|tokens| has(document, &tokens)), "{case}");
            checked += 1;
        }
    }
    assert!(checked > 55, "{checked}");
}

/// Where the format departs from LauraDB on purpose: numbers that are not finite are no points.
const NOT_FINITE: [(&str, &str); 3] = [
    ("nan", "index_2d"),
    ("nan", "index_2dsphere"),
    ("inf", "index_2d"),
];

/// The cases come through the log, which keeps types that JSON has not: NaN, infinity, int32. A Go
/// slice of float64 cannot be stored at all, so its case is left out.
#[test]
fn points_are_those_of_laura_db_but_for_those_not_finite() {
    let golden = json_fixture("geo/geo.golden.json");
    let cases = golden["points"].as_array().unwrap();
    let mut log = Log::new();
    for case in cases.iter().filter(|case| case["name"] != "float_slice_go") {
        log = log.insert(
            "c",
            &json!({"_id": case["name"], "loc": case["value"]}).to_string(),
        );
    }
    let indexed = [
        geo_index("plane", "loc", "2d"),
        geo_index("earth", "loc", "2dsphere"),
    ];
    let directory = snapshot(&[], &indexed).wal(log.bytes());
    directory.migrated();
    let indexes = open(&directory.source());
    let mut departures = Vec::new();
    for (name, field) in [("plane", "index_2d"), ("earth", "index_2dsphere")] {
        let index = indexes.geo("c", name).unwrap();
        let most = Point {
            x: f64::MAX,
            y: f64::MAX,
        };
        let least = Point {
            x: f64::MIN,
            y: f64::MIN,
        };
        let all = index.within_box(least, most).unwrap();
        assert_eq!(all.len() as u64, index.record().entry_count);
        let found: Vec<String> = all.iter().map(|address| id(&indexes, *address)).collect();
        for case in cases.iter().filter(|case| case["name"] != "float_slice_go") {
            let case_name = case["name"].as_str().unwrap();
            let is_expected = case["parse"] == "ok" && case[field] == "ok";
            if found.iter().any(|found| found == case_name) != is_expected {
                departures.push((case_name, field));
            } else if is_expected {
                let number = |key: &str| case[key].as_str().unwrap().parse::<f64>().unwrap();
                let at = Point {
                    x: number("lon"),
                    y: number("lat"),
                };
                let here = index.within_box(at, at).unwrap();
                let here: Vec<String> = here.iter().map(|at| id(&indexes, *at)).collect();
                assert!(here.iter().any(|found| found == case_name), "{case}");
            }
        }
    }
    departures.sort_unstable_by_key(|departure| NOT_FINITE.iter().position(|not| not == departure));
    assert_eq!(departures, NOT_FINITE);
}

#[test]
fn distances_are_those_of_laura_db() {
    let golden = json_fixture("geo/geo.golden.json");
    for case in golden["distances"].as_array().unwrap() {
        let documents = [("to".to_owned(), json!({"loc": {"coordinates": case["to"]}}))];
        let indexed = [
            geo_index("plane", "loc", "2d"),
            geo_index("earth", "loc", "2dsphere"),
        ];
        let directory = snapshot(&documents, &indexed);
        directory.migrated();
        let indexes = open(&directory.source());
        let number = |at: usize| case["from"][at].as_f64().unwrap();
        let from = Point {
            x: number(0),
            y: number(1),
        };
        for (name, key) in [("plane", "planar"), ("earth", "haversine_m")] {
            let found = indexes.geo("c", name).unwrap();
            let found = found.near(from, f64::INFINITY, 1).unwrap();
            let expected = case[key].as_f64().unwrap();
            assert!((found[0].1 / expected - 1.0).abs() < 1e-12, "{case}");
        }
    }
}

/// Words of more bytes than a tree stores, some alike in all that it does, in documents that lie in
/// overflow pages, from the snapshot and from the log.
#[test]
fn long_words_in_overflow_documents_are_found() {
    let word = |end: &str| format!("{}{end}", "x".repeat(5_000));
    let ends = ["1z", "2z", "3z", "4z"];
    let mut documents: Vec<(String, Value)> = Vec::new();
    for (n, end) in ends.iter().enumerate() {
        let text = format!("{} {} short{n}", word(end), word(ends[(n + 1) % 4]));
        documents.push((
            format!("d{n}"),
            json!({"t": text, "p": {"coordinates": [n, n]}}),
        ));
    }
    let log = Log::new().insert("c", &json!({"_id": "log", "t": word("4z")}).to_string());
    let indexed = [text_index("t", &["t"]), geo_index("g", "p", "2d")];
    let directory = snapshot(&documents, &indexed).wal(log.bytes());
    common::run(directory.in_place()).unwrap();
    let indexes = open(&directory.source());
    let search = indexes.text("c", "t").unwrap();
    for (n, end) in ends.iter().enumerate() {
        let mut found = ids(&indexes, &search.search(&word(end)).unwrap());
        found.sort();
        let mut expected = vec![format!("d{n}"), format!("d{}", (n + 3) % 4)];
        if *end == "4z" {
            expected.push("log".to_owned());
        }
        expected.sort();
        assert_eq!(found, expected);
    }
    assert_eq!(ids(&indexes, &search.search("short2").unwrap()), ["d2"]);
    assert!(search.search(&word("5z")).unwrap().is_empty());
    let geo = indexes.geo("c", "g").unwrap();
    let (min, max) = (Point { x: 1.0, y: 1.0 }, Point { x: 2.0, y: 9.0 });
    assert_eq!(geo.within_box(min, max).unwrap().len(), 2);
}
