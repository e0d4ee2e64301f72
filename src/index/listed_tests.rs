use super::*;
use crate::document::InferTypes;

fn indexes_of(fixture: &str) -> Vec<ListedText> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/laura/snapshots")
        .join(fixture);
    let file = crate::files::InputFile::open(&path).expect("fixture");
    let options = crate::v1::snapshot::ScanOptions::default();
    let layout = crate::v1::snapshot::scan(&file, &options, &mut |_| Ok(())).expect("valid");
    layout.collections[0]
        .indexes
        .iter()
        .map(|listed| ListedText {
            text: listed.text(&file).expect("read"),
            place: Place::offset(&path, listed.offset),
        })
        .collect()
}

fn parse_texts(texts: &[&str], skip: &[&str]) -> CollectionIndexes {
    let listed = texts.iter().map(|text| ListedText {
        text: (*text).to_owned(),
        place: Place::offset("snapshot.json", 7),
    });
    parse_listed("c", listed, &SkipIndexes::parse(skip).expect("valid"))
}

#[test]
fn every_index_that_lauradb_lists_is_carried() {
    let listed = indexes_of("index-types.json");
    let parsed = parse_listed("products", listed.clone(), &SkipIndexes::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    assert!(parsed.dropped.is_empty() && parsed.skipped.is_empty());
    assert_eq!(parsed.definitions.len(), listed.len());
    let find = |name: &str| {
        let mut definitions = parsed.definitions.iter();
        definitions.find(|index| index.name == name).expect(name)
    };
    assert_eq!(find("city_age_1").fields, ["city", "age"]);
    assert!(find("age_partial").unique);
    assert_eq!(
        find("rx_partial").filter.as_deref(),
        Some(r#"{"rx":{"$regex":"^\u003ca\u0026b\u003e"}}"#)
    );
    assert_eq!(find("xy_2d").kind, IndexKind::Geo2d);
    assert_eq!(find("loc_2dsphere").kind, IndexKind::Geo2dSphere);
    assert_eq!(find("title_body_text").kind, IndexKind::Text);
    let ttl = IndexKind::Ttl {
        expire_after_seconds: 3_153_600_000,
    };
    assert_eq!(find("createdAt_ttl").kind, ttl);
    assert!(parsed.definitions.is_sorted_by(|a, b| a.name < b.name));
}

/// `dup_1` stands twice: the first one is carried, the second an error.
#[test]
fn crafted_indexes_are_each_carried_or_named() {
    let listed = indexes_of("index-crafted.json");
    let parsed = parse_listed("c", listed.clone(), &SkipIndexes::default());
    let carried: Vec<_> = parsed
        .definitions
        .iter()
        .map(|index| &*index.name)
        .collect();
    let expected = [
        "a_1",
        "a_b_partial",
        "custom name é",
        "dup_1",
        "ttl0",
        "withconfig",
    ];
    assert_eq!(carried, expected);
    let refused: Vec<_> = parsed
        .problems
        .iter()
        .map(|error| error.place().index.as_deref().expect("index"))
        .collect();
    let expected = [
        "ttlneg",
        "ttlnil",
        "geo3d",
        "geo2f",
        "hash",
        "nofields",
        "nilfields",
        "dup_1",
    ];
    assert_eq!(refused, expected);
    for error in &parsed.problems {
        assert_eq!(error.code(), Code::IndexDefinition);
        assert_eq!(error.place().collection.as_deref(), Some("c"));
        let index = error.place().index.as_deref().unwrap();
        let option = format!("--skip-index {}", quoted(&format!("c/{index}")));
        assert!(error.hint_text().expect("hint").contains(&option));
        assert!(error.place().offset.is_some());
    }
    let with_config = &parsed.definitions[5];
    assert_eq!(
        with_config
            .options_json(InferTypes::default(), None)
            .as_deref(),
        Some(r#"{"language":"english","totalDocs":0,"totalLength":0,"weights":{"b":10}}"#)
    );
    assert!(parsed.definitions[0].sparse);

    let skip = SkipIndexes::parse(&expected).expect("valid");
    let parsed = parse_listed("c", listed.clone(), &skip);
    assert!(parsed.problems.is_empty() && skip.finish().is_ok());
    assert_eq!((parsed.definitions.len(), parsed.skipped.len()), (5, 9));
    let all = parse_listed("c", listed, &SkipIndexes::parse(&["all"]).expect("valid"));
    assert!(all.problems.is_empty() && all.definitions.is_empty());
}

#[test]
fn wrong_definitions_are_named() {
    let deep = |levels: usize| {
        let filter = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        format!(r#"{{"name":"n","type":"btree","field_paths":["a"],"filter":{filter}}}"#)
    };
    assert!(parse_texts(&[&deep(100)], &[]).problems.is_empty());
    let many = format!(
        r#"{{"name":"n","type":"btree","field_paths":[{}"a"]}}"#,
        "\"a\",".repeat(255)
    );
    for (text, sentence) in [
        (
            "7",
            "an index without a name of collection \"c\" is no JSON object",
        ),
        ("{}", "has no \"name\""),
        (r#"{"name":null}"#, "has no \"name\""),
        (r#"{"name":"n"}"#, "has no \"type\""),
        (r#"{"name":"n","name":"n"}"#, "has the key \"name\" twice"),
        (
            r#"{"name":"n","type":"hash"}"#,
            "has the unknown type \"hash\"",
        ),
        (r#"{"name":"n","type":"geo"}"#, "has no \"geo_type\""),
        (
            r#"{"name":"n","type":"ttl","ttl_duration":1.0}"#,
            "has ttl_duration 1.0",
        ),
        (
            r#"{"name":"n","type":"ttl","ttl_duration":9223372036854775808}"#,
            "has ttl_duration 9",
        ),
        (
            r#"{"name":"n","type":"text","field_paths":["a\u0000"]}"#,
            "has the field \"a\\0\"",
        ),
        (
            r#"{"name":"n","type":"text","field_paths":["a"],"unique":1}"#,
            "value of \"unique\"",
        ),
        (
            r#"{"name":"n","type":"text","field_paths":["a"],"filter":[]}"#,
            "value of \"filter\"",
        ),
        (
            r#"{"name":"n","type":"text","field_paths":["a"],"filter":{"a":1e999}}"#,
            "\"filter\"",
        ),
        (
            r#"{"name":"n","type":"text","field_paths":["a"],"filter":{"a":"\ud800"}}"#,
            "\"filter\"",
        ),
        (&*many, "has 256 fields; its type takes from 1 to 255"),
        (&*deep(101), "has a filter that nests deeper"),
    ] {
        let parsed = parse_texts(&[text], &[]);
        let [error] = &parsed.problems[..] else {
            panic!("{text}: {parsed:?}");
        };
        assert!(error.sentence().contains(sentence), "{error}");
        assert!(error.hint_text().is_some());
        assert!(parse_texts(&[text], &["all"]).problems.is_empty());
    }
}

#[test]
fn what_v2_has_no_place_for_is_counted() {
    let parsed = parse_texts(
        &[
            r#"{"name":"n","type":"btree","field_paths":["a"],"filter":{ },"geo_type":"2d",
              "sparse":null,"extra":1,"config":{"expireAfterSeconds":5,"k":[1, 2]}}"#,
        ],
        &[],
    );
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    assert_eq!(
        parsed.dropped,
        ["n: extra", "n: geo_type", "n: config.expireAfterSeconds"]
    );
    let index = &parsed.definitions[0];
    assert_eq!(index.filter, None);
    let options = index.options_json(InferTypes::default(), None);
    assert_eq!(options.as_deref(), Some(r#"{"k":[1,2]}"#));
}

#[test]
fn filters_keep_their_tokens() {
    let parsed = parse_texts(
        &[r#"{"name":"n","type":"btree","field_paths":["a"],
              "filter": { "b" : 1.0, "a" : [ 1E2 , 12345678901234567890123, "x y" ] } }"#],
        &[],
    );
    assert_eq!(
        parsed.definitions[0].filter.as_deref(),
        Some(r#"{"b":1.0,"a":[1E2,12345678901234567890123,"x y"]}"#)
    );
}
