//! Indexes hold exactly the entries that their definitions ask for, and uniqueness is kept.
//!
//! Reading a database back compares every index with its documents; here are the cases whose
//! entries are spelled out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Directory, Log, assert_error};
use laura_migrate::{Code, Error};
use serde_json::{Value, json};

fn btree(name: &str, fields: &[&str]) -> Value {
    json!({"name": name, "type": "btree", "field_paths": fields})
}

fn with(mut index: Value, key: &str, value: Value) -> Value {
    index[key] = value;
    index
}

/// One collection "c" of documents given by `_id` and fields.
fn collection(documents: &[(&str, Value)], indexes: &[Value]) -> Directory {
    let documents: Vec<Value> = documents
        .iter()
        .map(|(id, fields)| json!({"_id": id, "fields": fields}))
        .collect();
    Directory::of_collections(&json!([
        {"name": "c", "documents": documents, "indexes": indexes}
    ]))
}

/// The entries of index "i" over these documents.
fn entries(documents: &[(&str, Value)], index: Value) -> Vec<String> {
    let (_, database) = collection(documents, &[with(index, "name", json!("i"))]).migrated();
    database.collection("c").index("i").listed()
}

#[test]
fn keys_of_all_types_come_in_the_one_order() {
    let documents = [
        ("array", json!({"v": [1]})),
        ("document", json!({"v": {"a": 1}})),
        ("empty", json!({"v": ""})),
        ("false", json!({"v": false})),
        ("float", json!({"v": 2.5})),
        ("int", json!({"v": 2})),
        ("large", json!({"v": 9_223_372_036_854_775_807_i64})),
        ("larger", json!({"v": 1e19})),
        ("missing", json!({"w": 1})),
        ("negative", json!({"v": -1})),
        ("null", json!({"v": null})),
        ("oid", json!({"v": "507f1f77bcf86cd799439011"})),
        ("text", json!({"v": "žluť"})),
        ("true", json!({"v": true})),
        ("two", json!({"v": 2.0})),
        ("upper", json!({"v": "Z"})),
    ];
    let expected = [
        r#"null → "null""#,
        r#"-1 → "negative""#,
        r#"2 → "int""#,
        r#"2.0 → "two""#,
        r#"2.5 → "float""#,
        r#"9223372036854775807 → "large""#,
        r#"1e19 → "larger""#,
        r#""" → "empty""#,
        r#""Z" → "upper""#,
        r#""žluť" → "text""#,
        r#""507f1f77bcf86cd799439011" → "oid""#,
        r#"false → "false""#,
        r#"true → "true""#,
    ];
    // How a number is printed is not what is tested here.
    let plain = |entry: &String| entry.replace("2.0 →", "2 →").replace("1e+19", "1e19");
    let found: Vec<String> = entries(&documents, btree("i", &["v"]))
        .iter()
        .map(plain)
        .collect();
    let expected: Vec<String> = expected
        .iter()
        .map(|entry| plain(&(*entry).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_compound_index_needs_all_its_fields() {
    let documents = [
        ("both", json!({"a": 1, "b": "x"})),
        ("null", json!({"a": 1, "b": null})),
        ("one", json!({"a": 1})),
        ("other", json!({"b": "x"})),
        ("less", json!({"a": 0, "b": "z"})),
        ("array", json!({"a": 1, "b": []})),
    ];
    let found = entries(&documents, btree("i", &["a", "b"]));
    let expected = [
        r#"[0,"z"] → "less""#,
        r#"[1,null] → "null""#,
        r#"[1,"x"] → "both""#,
    ];
    assert_eq!(found, expected);
    let found = entries(&documents, btree("i", &["b", "a"]));
    let expected = [
        r#"[null,1] → "null""#,
        r#"["x",1] → "both""#,
        r#"["z",0] → "less""#,
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_dotted_path_is_a_literal_name_first() {
    let documents = [
        ("nested", json!({"a": {"b": 1}})),
        ("literal", json!({"a.b": 2})),
        ("either", json!({"a": {"b": 3}, "a.b": 4})),
        ("deeper", json!({"a": {"b": {"c": 5}}})),
        ("scalar", json!({"a": 6})),
        ("array", json!({"a": [{"b": 7}]})),
    ];
    let found = entries(&documents, btree("i", &["a.b"]));
    let expected = [r#"1 → "nested""#, r#"2 → "literal""#, r#"4 → "either""#];
    assert_eq!(found, expected);
    let found = entries(&documents, btree("i", &["a.b.c"]));
    assert_eq!(found, [r#"5 → "deeper""#]);
}

#[test]
fn a_partial_index_has_the_documents_that_its_filter_takes() {
    let documents = [
        ("a", json!({"n": 1, "s": "on"})),
        ("b", json!({"n": 5, "s": "on"})),
        ("c", json!({"n": 7.5, "s": "off"})),
        ("d", json!({"n": 9, "s": "on", "x": null})),
        ("e", json!({"s": "on"})),
        ("f", json!({"n": "5", "s": "on"})),
    ];
    let ids = |filter: Value| -> Vec<String> {
        let index = with(btree("i", &["n"]), "filter", filter);
        let found = entries(&documents, index);
        found
            .iter()
            .map(|entry| entry[entry.len() - 2..entry.len() - 1].to_owned())
            .collect()
    };
    assert_eq!(ids(json!({"s": "on"})), ["a", "b", "d", "f"]);
    assert_eq!(ids(json!({"s": "on", "n": {"$gte": 5}})), ["b", "d"]);
    assert_eq!(ids(json!({"n": {"$lt": 7.5}})), ["a", "b"]);
    assert_eq!(ids(json!({"s": {"$in": ["off", 1]}})), ["c"]);
    let or = json!({"$or": [{"n": 1}, {"s": {"$regex": "^of+$"}}]});
    assert_eq!(ids(or), ["a", "c"]);
    assert_eq!(ids(json!({"x": {"$exists": true}})), Vec::<String>::new());
    assert_eq!(ids(json!({})), ["a", "b", "c", "d", "f"]);
    assert_eq!(ids(json!({"n": {"$unknown": 1}})), Vec::<String>::new());
}

#[test]
fn uniqueness_of_a_partial_index_is_that_of_its_documents() {
    let index = with(btree("i", &["n"]), "filter", json!({"s": "on"}));
    let index = with(index, "unique", json!(true));
    let documents = [
        ("a", json!({"n": 1, "s": "on"})),
        ("b", json!({"n": 1, "s": "off"})),
        ("c", json!({"s": "on"})),
        ("d", json!({"s": "on"})),
    ];
    assert_eq!(entries(&documents, index), [r#"1 → "a""#]);
}

#[test]
fn a_ttl_index_holds_times() {
    let documents = [
        ("integer", json!({"at": 1_736_937_000})),
        ("text", json!({"at": "2025-01-15T10:30:01Z"})),
        ("offset", json!({"at": "2025-01-15T12:30:02+02:00"})),
        ("fraction", json!({"at": "2025-01-15T10:30:03.999Z"})),
        ("early", json!({"at": -5})),
        ("double", json!({"at": 1_736_937_000.5})),
        ("words", json!({"at": "tomorrow"})),
        ("null", json!({"at": null})),
        ("missing", json!({})),
    ];
    let index = json!({"name": "i", "type": "ttl", "field_paths": ["at"], "ttl_duration": 60});
    let directory = collection(&documents, &[index]);
    let (report, database) = directory.migrated();
    let found = database.collection("c").index("i");
    let expected = [
        r#"-5 → "early""#,
        r#"1736937000 → "integer""#,
        r#"1736937001 → "text""#,
        r#"1736937002 → "offset""#,
        r#"1736937003 → "fraction""#,
    ];
    assert_eq!(found.listed(), expected);
    let options = found.record.parsed_options().unwrap();
    assert_eq!(options.expire_after_seconds, Some(60));
    // A missing field is no value; the others are counted.
    let warning = report
        .warnings
        .iter()
        .find(|w| w.code == Code::UnindexableValues);
    let warning = warning.unwrap().to_string();
    assert!(warning.starts_with("3 documents"), "{warning}");
    assert!(
        warning.contains(r#": "double", "words", "null" ("#),
        "{warning}"
    );
}

#[test]
fn indexes_are_those_of_the_final_state() {
    let index = with(btree("n_1", &["n"]), "unique", json!(true));
    let documents = [
        ("a", json!({"n": 1})),
        ("b", json!({"n": 2})),
        ("gone", json!({"n": 3})),
    ];
    // In between two documents had the same key; at the end none has.
    let log = Log::new()
        .update("c", r#"{"_id":"a","n":{"$numberLong":"2"}}"#)
        .update("c", r#"{"_id":"b","n":{"$numberLong":"1"}}"#)
        .delete("c", r#"{"_id":"gone"}"#)
        .insert("c", r#"{"_id":"new","n":{"$numberLong":"3"}}"#);
    let directory = collection(&documents, &[index]).wal(log.bytes());
    let (_, database) = directory.migrated();
    let c = database.collection("c");
    assert_eq!(c.ids(), [r#""a""#, r#""b""#, r#""new""#]);
    let expected = [r#"1 → "b""#, r#"2 → "a""#, r#"3 → "new""#];
    assert_eq!(c.index("n_1").listed(), expected);
}

#[test]
fn ids_of_all_types_are_indexed_and_compared_as_numbers() {
    let log = Log::new()
        .insert("c", r#"{"_id":{"$numberInt":"7"},"v":"first"}"#)
        .update("c", r#"{"v":"second","_id":{"$numberDouble":"7.0"}}"#)
        .insert(
            "c",
            r#"{"_id":{"$binary":{"base64":"AAE=","subType":"00"}}}"#,
        )
        .insert("c", r#"{"_id":null}"#)
        .insert("c", r#"{"_id":true}"#)
        .insert("c", r#"{"_id":{"$timestamp":{"t":0,"i":9}}}"#);
    let directory = collection(&[("7", json!({}))], &[]).wal(log.bytes());
    let (_, database) = directory.migrated();
    let c = database.collection("c");
    assert_eq!(c.documents.len(), 6);
    assert_eq!(
        c.lines()[1],
        r#"{"v":"second","_id":{"$numberDouble":"7.0"}}"#
    );
    let keys: Vec<&str> = c
        .index("_id_")
        .entries
        .iter()
        .map(|(key, _)| &**key)
        .collect();
    assert_eq!(keys[0], "null");
    assert_eq!(keys[2..], [r#""7""#, r#""0001""#, "true", "9"]);
}

/// An error of two documents with one key names everything that is needed to find them.
#[track_caller]
fn assert_duplicate(error: &Error, index: &str, said: &[&str]) {
    assert_error(error, Code::DuplicateKey, index);
    assert_eq!(error.place().index.as_deref(), Some(index));
    assert_eq!(error.place().collection.as_deref(), Some("c"));
    for said in said {
        assert!(error.to_string().contains(said), "{said}: {error:?}");
    }
    let hint = error.hint_text().unwrap();
    assert!(hint.contains(&format!("--skip-index c/{index}")), "{hint}");
}

#[test]
fn two_documents_with_one_key_are_named_with_index_and_key() {
    let unique = |fields: &[&str]| with(btree("u", fields), "unique", json!(true));
    let documents = [
        ("one", json!({"v": "same", "w": 1})),
        ("two", json!({"v": "other", "w": 1})),
        ("three", json!({"v": "same", "w": 1.0})),
    ];
    let directory = collection(&documents, &[unique(&["v"])]);
    let error = directory.refused_both_ways();
    assert_duplicate(&error, "u", &["\"one\"", "\"three\"", "\"same\""]);
    let mut skipping = directory.in_place();
    skipping.skip_indexes = vec!["c/u".to_owned()];
    directory.migrated_with(skipping);

    let compound = collection(&documents, &[unique(&["v", "w"])]);
    let error = compound.refused(compound.in_place());
    assert_duplicate(&error, "u", &["\"one\"", "\"three\"", "same"]);

    let log = Log::new().insert("c", r#"{"_id":"new","v":"other"}"#);
    let two = [documents[1].clone()];
    let directory = collection(&two, &[unique(&["v"])]).wal(log.bytes());
    let error = directory.refused(directory.in_place());
    assert_duplicate(&error, "u", &["\"two\"", "\"new\"", "\"other\""]);
}

#[test]
fn long_keys_are_unique_by_their_whole_length() {
    let unique = with(btree("u", &["v"]), "unique", json!(true));
    let long = |end: &str| format!("{}{end}", "long ".repeat(1000));
    let apart = [
        ("a", json!({"v": long("2")})),
        ("b", json!({"v": long("1")})),
        ("c", json!({"v": "long"})),
    ];
    let (_, database) = collection(&apart, std::slice::from_ref(&unique)).migrated();
    let found = &database.collection("c").index("u").entries;
    let ids: Vec<&str> = found.iter().map(|(_, id)| &**id).collect();
    assert_eq!(ids, [r#""c""#, r#""b""#, r#""a""#]);
    let same = [
        ("a", json!({"v": long("1")})),
        ("b", json!({"v": long("1")})),
    ];
    let directory = collection(&same, &[unique]);
    let error = directory.refused(directory.in_place());
    assert_duplicate(&error, "u", &["\"a\"", "\"b\""]);
}

#[test]
fn an_id_twice_in_the_snapshot_is_refused_with_both_places() {
    let documents = [
        ("x", json!({"n": 1})),
        ("y", json!({})),
        ("x", json!({"n": 2})),
    ];
    let log = |log: Log| log.bytes();
    let logs = [
        None,
        Some(log(Log::new().insert("c", r#"{"_id":"z"}"#))),
        // Which of the two would they mean?
        Some(log(Log::new().delete("c", r#"{"_id":"x"}"#))),
        Some(log(Log::new().update("c", r#"{"_id":"x","n":null}"#))),
        Some(log(Log::new()
            .delete("c", r#"{"_id":"x"}"#)
            .insert("c", r#"{"_id":"x"}"#))),
    ];
    for wal in logs {
        let mut directory = collection(&documents, &[]);
        if let Some(wal) = wal {
            directory = directory.wal(wal);
        }
        let error = directory.refused_both_ways();
        assert_error(&error, Code::DuplicateId, "documents 0 (byte ");
        assert!(error.to_string().contains("and 2 of"), "{error:?}");
        let place = error.place();
        assert_eq!(place.id.as_deref(), Some("\"x\""), "{error:?}");
        assert_eq!(place.collection.as_deref(), Some("c"));
        assert_eq!(place.index.as_deref(), Some("_id_"));
        let text = std::fs::read_to_string(directory.source().join("snapshot.json")).unwrap();
        let second = text.rfind(r#"{"_id":"x""#).unwrap() as u64;
        assert_eq!(place.offset, Some(second));
    }
}

#[test]
fn object_ids_in_upper_and_lower_case_are_one_id() {
    let documents = [
        ("507f1f77bcf86cd79943901a", json!({})),
        ("507F1F77BCF86CD79943901A", json!({})),
    ];
    let directory = collection(&documents, &[]);
    let error = directory.refused(directory.in_place());
    assert_error(&error, Code::DuplicateId, "same _id");
}

#[test]
fn generated_ids_do_not_depend_on_the_run() {
    let documents = [
        ("", json!({"n": 1})),
        ("", json!({"n": 1})),
        ("x", json!({})),
    ];
    let (one, database) = collection(&documents, &[]).migrated();
    let (_, again) = collection(&documents, &[]).migrated();
    assert_eq!(one.generated_ids, 2);
    let ids = database.collection("c").ids();
    assert_eq!(ids, again.collection("c").ids());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn skip_index_leaves_out_indexes_of_any_kind() {
    let text = json!({"name": "t", "type": "text", "field_paths": ["a"]});
    let geo = json!({"name": "g", "type": "geo", "field_paths": ["a"], "geo_type": "2d"});
    let cases: [(&[&str], &[&str]); 4] = [
        (&["t"], &["_id_", "b", "g"]),
        (&["c/g", "b"], &["_id_", "t"]),
        (&["t", "c/t", "g"], &["_id_", "b"]),
        (&["all"], &["_id_"]),
    ];
    for (skipped, left) in cases {
        let indexes = [text.clone(), geo.clone(), btree("b", &["a"])];
        let directory = collection(&[("a", json!({"a": "x"}))], &indexes);
        let mut options = directory.in_place();
        options.skip_indexes = skipped.iter().map(ToString::to_string).collect();
        let (report, database) = directory.migrated_with(options);
        assert_eq!(database.collection("c").index_names(), left);
        assert_eq!(report.collections[0].skipped_indexes.len(), 4 - left.len());
    }
}

#[test]
fn a_text_index_has_the_terms_of_its_string_fields() {
    let index = json!({"name": "i", "type": "text", "field_paths": ["a", "b.c"]});
    let documents = [
        (
            "both",
            json!({"a": "Quick foxes", "b": {"c": "FOX and fox"}}),
        ),
        ("one", json!({"a": "lazy", "b": {"d": "hidden"}})),
        ("stop", json!({"a": "the of"})),
        ("empty", json!({"a": ""})),
        ("number", json!({"a": 5, "b": {"c": "quickly"}})),
        ("none", json!({"x": "fox"})),
        ("array", json!({"a": ["fox"]})),
    ];
    let log = Log::new()
        .update("c", r#"{"_id":"one","a":"dogs"}"#)
        .insert("c", r#"{"_id":"new","a":"fox dog"}"#);
    let directory = collection(&documents, &[index]).wal(log.bytes());
    let (report, database) = directory.migrated();
    let found = database.collection("c").index("i");
    let expected = [
        r#""dog" → "one" "new""#,
        r#""fox" → "both" "new""#,
        r#""quick" → "both""#,
        r#""quickli" → "number""#,
    ];
    assert_eq!(found.listed(), expected);
    let options = found.record.parsed_options().unwrap();
    assert_eq!(
        (options.total_docs, options.total_length),
        (Some(6), Some(8))
    );
    assert_eq!(found.statistics.min_key, r#""dog""#);
    assert_eq!(report.collections[0].indexes[1].entries, Some(4));
    let warning = report
        .warnings
        .iter()
        .find(|w| w.code == Code::UnindexableValues);
    let warning = warning.unwrap().to_string();
    assert!(
        warning.starts_with("1 documents") && warning.contains(r#": "array" ("#),
        "{warning}"
    );
}

#[test]
fn a_partial_text_index_has_and_counts_only_the_documents_of_its_filter() {
    let index = json!({"name": "i", "type": "text", "field_paths": ["a"], "filter": {"s": "on"}});
    let documents = [
        ("a", json!({"a": "fox", "s": "on"})),
        ("b", json!({"a": "fox dog", "s": "off"})),
        ("c", json!({"a": 1, "s": "off"})),
    ];
    let (report, database) = collection(&documents, &[index]).migrated();
    let found = database.collection("c").index("i");
    assert_eq!(found.listed(), [r#""fox" → "a""#]);
    let options = found.record.parsed_options().unwrap();
    assert_eq!(
        (options.total_docs, options.total_length),
        (Some(1), Some(1))
    );
    assert_eq!(report.collections[0].indexes[1].unindexable, 0);
}

#[test]
fn a_geo_index_has_the_points_that_are_points() {
    let geo = |name: &str, kind: &str| json!({"name": name, "type": "geo", "field_paths": ["p"], "geo_type": kind});
    let point = |x: Value, y: Value| json!({"p": {"coordinates": [x, y]}});
    let documents = [
        ("a", point(json!(14.4), json!(50))),
        ("far", point(json!(181), json!(0))),
        ("corner", point(json!(-180), json!(90))),
        ("text", point(json!("1"), json!(2))),
        ("one", json!({"p": {"coordinates": [1]}})),
        ("legacy", json!({"p": [1, 2]})),
        ("missing", json!({"q": 1})),
    ];
    let indexes = [geo("earth", "2dsphere"), geo("plane", "2d")];
    let (report, database) = collection(&documents, &indexes).migrated();
    let c = database.collection("c");
    let plane = [
        r#"[14.4,50] → "a""#,
        r#"[181,0] → "far""#,
        r#"[-180,90] → "corner""#,
    ];
    assert_eq!(c.index("plane").listed(), plane);
    assert_eq!(c.index("earth").listed(), [plane[0], plane[2]]);
    assert_eq!(c.index("plane").statistics.max_key, "[181.0,90.0]");
    let counts = report.collections[0]
        .indexes
        .iter()
        .map(|index| index.unindexable);
    assert_eq!(counts.collect::<Vec<_>>(), [0, 4, 3]);
}

/// Which they are does not depend on how the work was cut up, so they are the first by address.
#[test]
fn the_first_documents_that_an_index_cannot_hold_are_named() {
    let indexes = [
        btree("b", &["v"]),
        json!({"name": "g", "type": "geo", "field_paths": ["v"], "geo_type": "2d"}),
        json!({"name": "ttl", "type": "ttl", "field_paths": ["v"], "ttl_duration": 1}),
    ];
    let documents: Vec<(String, Value)> = (0..2000)
        .map(|n| match n % 100 {
            7 => (format!("d{n}"), json!({"v": [n]})),
            // In overflow pages.
            8 if n < 200 => (format!("d{n}"), json!({"v": ["x".repeat(9000)]})),
            _ => (format!("d{n}"), json!({"v": n})),
        })
        .collect();
    let documents: Vec<(&str, Value)> =
        documents.iter().map(|(id, v)| (&**id, v.clone())).collect();
    let (report, _) = collection(&documents, &indexes).migrated();
    let warnings: Vec<String> = report
        .warnings
        .iter()
        .filter(|warning| warning.code == Code::UnindexableValues)
        .map(ToString::to_string)
        .collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    let named = [
        (
            r#"22 documents"#,
            r#": "d7", "d8", "d107", … ("#,
            r#"index "b""#,
        ),
        (
            r#"2000 documents"#,
            r#": "d0", "d1", "d2", … ("#,
            r#"index "g""#,
        ),
        (
            r#"22 documents"#,
            r#": "d7", "d8", "d107", … ("#,
            r#"index "ttl""#,
        ),
    ];
    for (warning, (count, ids, index)) in warnings.iter().zip(named) {
        assert!(warning.starts_with(count), "{warning}");
        assert!(
            warning.contains(ids) && warning.contains(index),
            "{warning}"
        );
    }
}

#[test]
fn definitions_that_make_no_index_are_refused_by_name() {
    let ttl = |seconds: Value| json!({"name": "x", "type": "ttl", "field_paths": ["a"], "ttl_duration": seconds});
    let many: Vec<String> = (0..256).map(|n| format!("f{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (index, code) in [
        (ttl(json!(-1)), Code::IndexDefinition),
        (ttl(Value::Null), Code::IndexDefinition),
        (btree("x", &[]), Code::IndexDefinition),
        (btree("x", &many), Code::IndexDefinition),
        (
            with(btree("x", &["a"]), "type", json!("hash")),
            Code::IndexDefinition,
        ),
        (btree("x", &[&"long".repeat(1100)]), Code::IndexTooLarge),
    ] {
        let directory = collection(&[("a", json!({"a": 1}))], &[index]);
        let error = directory.refused_both_ways();
        assert_error(&error, code, "\"x\"");
        assert!(
            error.hint_text().unwrap().contains("--skip-index"),
            "{error:?}"
        );
        let mut options = directory.in_place();
        options.skip_indexes = vec!["x".to_owned()];
        directory.migrated_with(options);
    }
    let directory = collection(&[], &[btree("x", &["a"])]);
    let mut options = directory.in_place();
    options.skip_indexes = vec!["y".to_owned()];
    let error = directory.refused(options);
    assert_error(&error, Code::SkipIndexUnknown, "\"y\"");
}

/// Statistics want a composite key as an array, with long strings cut to 256 bytes.
#[test]
fn statistics_show_composite_keys_that_were_cut() {
    let documents = [
        ("a", json!({"s": "a".repeat(2000), "n": 1})),
        ("b", json!({"s": "b".repeat(2000), "n": 2})),
    ];
    let (_, database) = collection(&documents, &[btree("i", &["s", "n"])]).migrated();
    let statistics = &database.collection("c").index("i").statistics;
    assert_eq!(statistics.min_key, format!("[\"{}\",1]", "a".repeat(256)));
    assert_eq!(statistics.max_key, format!("[\"{}\",2]", "b".repeat(256)));
}
