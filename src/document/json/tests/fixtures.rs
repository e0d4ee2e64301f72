//! Snapshots that LauraDB wrote, against what its restorer makes of them.

use super::*;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/laura/snapshots")
        .join(name)
}

fn read(name: &str) -> String {
    let bytes = std::fs::read(path(name)).unwrap();
    if name.ends_with(".gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

#[derive(serde::Deserialize)]
struct Snapshot<'a> {
    #[serde(borrow)]
    collections: Vec<Collection<'a>>,
}

#[derive(serde::Deserialize)]
struct Collection<'a> {
    #[serde(borrow)]
    documents: Option<Vec<&'a Text>>,
}

/// The text of every document in a snapshot.
fn documents(snapshot: &str) -> Vec<&str> {
    let snapshot: Snapshot<'_> = serde_json::from_str(snapshot).unwrap();
    let collections = snapshot.collections.into_iter();
    collections
        .flat_map(|collection| collection.documents.unwrap_or_default())
        .map(Text::get)
        .collect()
}

#[derive(serde::Deserialize)]
struct Expected<'a> {
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(serde::Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    laura_restores_as: Option<&'a Text>,
    json_text: Option<String>,
}

/// Whether our value is LauraDB's, departures aside: it makes whole numbers int64 and rounds large
/// ones, it makes times of strings, and it keeps no document without an `_id`.
fn agrees(ours: RawValue<'_>, lauras: RawValue<'_>) -> bool {
    match (ours, lauras) {
        (RawValue::String(text), RawValue::Document(time)) => match time.get("$goTime") {
            Some(RawValue::String(time)) => {
                let (ours, lauras) = (parse_rfc3339(text), parse_rfc3339(time));
                ours.is_some() && ours == lauras
            }
            _ => false,
        },
        (RawValue::Int64(ours), RawValue::Int64(lauras)) => ours as f64 == lauras as f64,
        (RawValue::Int64(ours), RawValue::Double(lauras)) => {
            ours as f64 == lauras && lauras.abs() >= 9.2e18
        }
        (RawValue::Double(ours), RawValue::Int64(lauras)) => ours == lauras as f64,
        (RawValue::Document(ours), RawValue::Document(lauras))
        | (RawValue::Array(ours), RawValue::Array(lauras)) => documents_agree(ours, lauras),
        (ours, lauras) => ours == lauras,
    }
}

fn documents_agree(ours: RawDocument<'_>, lauras: RawDocument<'_>) -> bool {
    ours.elements().count() == lauras.elements().count()
        && ours
            .elements()
            .zip(lauras.elements())
            .all(|((name, ours), (other, lauras))| name == other && agrees(ours, lauras))
}

#[test]
fn documents_are_typed_as_lauradb_restores_them() {
    let mut compared = 0;
    for name in [
        "all-types",
        "all-types-crafted",
        "all-types-pretty",
        "ids",
        "ids-mixed",
        "times",
        "nulls",
        "decoded-array-docs",
        "collections",
        "index-crafted",
        "index-types",
    ] {
        let snapshot = read(&format!("{name}.json"));
        let expected = read(&format!("{name}.expected.json"));
        let expected: Expected<'_> = serde_json::from_str(&expected).unwrap();
        let items: Vec<Item<'_>> = expected
            .items
            .into_iter()
            .filter(|item| item.json_text.is_some() || item.laura_restores_as.is_some())
            .collect();
        let documents = documents(&snapshot);
        assert_eq!(documents.len(), items.len(), "{name}");
        for (text, item) in documents.into_iter().zip(items) {
            let (ours, converted) = convert(text).unwrap();
            assert_eq!(converted.text_bytes, text.len());
            let Some(lauras_text) = item.laura_restores_as else {
                continue;
            };
            let mut lauras = Vec::new();
            ejson::parse_fixture(lauras_text.get(), &mut lauras).unwrap();
            let (ours, lauras) = (RawDocument::trusted(&ours), RawDocument::trusted(&lauras));
            // LauraDB gives a document no `_id` here, and any other in the order of names.
            let skipped = usize::from(converted.generated_id);
            let ours_fields: bson::OwnedDocument = ours.elements().skip(skipped).collect();
            let id = lauras.elements().filter(|(name, _)| *name == "_id");
            let others = lauras.elements().filter(|(name, _)| *name != "_id");
            let lauras_fields: bson::OwnedDocument = id.chain(others).collect();
            assert!(
                documents_agree(ours_fields.as_raw(), lauras_fields.as_raw()),
                "{name}: {ours:?}\nLauraDB: {lauras:?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn the_compacted_text_gives_the_same_document_as_the_pretty_one() {
    let snapshot = read("all-types-pretty.json");
    let expected = read("all-types-pretty.expected.json");
    let expected: Expected<'_> = serde_json::from_str(&expected).unwrap();
    let compact: Vec<String> = expected
        .items
        .into_iter()
        .filter_map(|item| item.json_text)
        .collect();
    let pretty = documents(&snapshot);
    assert_eq!(pretty.len(), compact.len());
    for (pretty, compact) in pretty.into_iter().zip(compact) {
        assert_eq!(convert(pretty).unwrap().0, convert(&compact).unwrap().0);
    }
}

#[test]
fn strings_ids_and_numbers_are_typed_as_in_the_golden_file() {
    let golden: Value = serde_json::from_str(&read("restore-typing.golden.json")).unwrap();
    for case in golden["strings"].as_array().unwrap() {
        let text = case["json_string"].as_str().unwrap();
        let quoted = serde_json::to_string(text).unwrap();
        let shown = fields_as(&format!("{{\"v\":{quoted}}}"), EVERYTHING);
        let expected = match case["kind"].as_str().unwrap() {
            "time" if case["nanosecond"] == 0 => {
                let seconds = case["unix_seconds"].as_i64().unwrap().cast_unsigned();
                let (high, low) = (seconds >> 32, seconds & 0xFFFF_FFFF);
                format!(r#"{{"$timestamp":{{"t":{high},"i":{low}}}}}"#)
            }
            "objectid" => format!(r#"{{"$oid":"{}"}}"#, text.to_lowercase()),
            _ => quoted.clone(),
        };
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(shown["v"], expected, "{text:?}");
        let literal: Value =
            serde_json::from_str(&fields_as(&format!("{{\"v\":{quoted}}}"), LITERAL)).unwrap();
        assert_eq!(literal["v"], text);
    }
    for case in golden["numbers"].as_array().unwrap() {
        let literal = case["json_number"].as_str().unwrap();
        let text = format!(r#"{{"_id":"x","fields":{{"v":{literal}}}}}"#);
        let (ours, _) = convert(&text).unwrap();
        let mut lauras = Vec::new();
        let wrapped = format!(r#"{{"v":{}}}"#, case["restored_on_amd64"]);
        ejson::parse_fixture(&wrapped, &mut lauras).unwrap();
        let ours = RawDocument::trusted(&ours).get("v").unwrap();
        let lauras = RawDocument::trusted(&lauras).get("v").unwrap();
        assert!(
            agrees(ours, lauras),
            "{literal}: {ours:?}, LauraDB {lauras:?}"
        );
    }
    for case in golden["ids"].as_array().unwrap() {
        let id = case["json_id"].as_str().unwrap();
        let (document, converted) = convert(&format!(r#"{{"_id":"{id}"}}"#)).unwrap();
        assert_eq!(converted.generated_id, case["present"] == false);
        if !converted.generated_id {
            let shown: Value = serde_json::from_str(&ejson_of(&document)).unwrap();
            assert_eq!(shown["_id"], case["restored"]);
        }
    }
}

#[test]
fn numbers_that_go_writes_come_back_exactly() {
    let golden: Value = serde_json::from_str(&read("restore-typing.golden.json")).unwrap();
    for case in golden["go_number_output"].as_array().unwrap() {
        let mut source = Vec::new();
        ejson::parse_fixture(&format!(r#"{{"v":{}}}"#, case["value"]), &mut source).unwrap();
        let text = format!(
            r#"{{"_id":"x","fields":{{"v":{}}}}}"#,
            case["json"].as_str().unwrap()
        );
        let (ours, _) = convert(&text).unwrap();
        let source = RawDocument::trusted(&source).get("v").unwrap();
        let ours = RawDocument::trusted(&ours).get("v").unwrap();
        let same = match (source, ours) {
            (RawValue::Double(source), RawValue::Double(ours)) => {
                source.to_bits() == ours.to_bits()
            }
            // Go writes whole doubles as integers, and no type for int32.
            (RawValue::Double(source), RawValue::Int64(ours)) => source == ours as f64,
            (RawValue::Int32(source), RawValue::Int64(ours)) => i64::from(source) == ours,
            (source, ours) => source == ours,
        };
        assert!(same, "{case}: {ours:?}");
    }
}

#[test]
fn large_documents_have_the_bytes_that_lauradb_gives_them() {
    let expected: Value = serde_json::from_str(&read("large.expected.json")).unwrap();
    for file in expected["files"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        let snapshot = read(name);
        let documents = documents(&snapshot);
        assert_eq!(documents.len(), 3, "{name}");
        let size = usize::try_from(file["big_bson_bytes"].as_u64().unwrap()).unwrap();
        match convert(documents[1]) {
            Ok((document, _)) => {
                assert_eq!(document.len(), size, "{name}");
                let mut digest = String::new();
                for byte in Sha256::digest(&document) {
                    write!(digest, "{byte:02x}").unwrap();
                }
                assert_eq!(
                    digest, file["big_bson_sha256_order_id_kind_payload"],
                    "{name}"
                );
            }
            Err(error) => {
                assert_eq!(error.kind, DocumentErrorKind::TooLarge { size }, "{name}");
                assert_eq!(error.id.as_deref(), Some("big"));
                assert!(name.contains("16m-plus1"));
            }
        }
    }
}

#[test]
fn the_seed_snapshot_has_the_digest_that_lauradb_gives_it() {
    let expected: Value = serde_json::from_str(&read("seed-10000.expected.json")).unwrap();
    let snapshot = read("seed-10000.json");
    let mut lines: Vec<String> = documents(&snapshot)
        .into_iter()
        .map(|text| ejson_of(&convert(text).unwrap().0) + "\n")
        .collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 10_000);
    let mut hasher = Sha256::new();
    lines.iter().for_each(|line| hasher.update(line.as_bytes()));
    let mut digest = String::new();
    for byte in hasher.finalize() {
        write!(digest, "{byte:02x}").unwrap();
    }
    assert_eq!(digest, expected["canonical_sha256"]);
}

/// CPU time of this thread, which other work on the machine does not count into.
fn cpu_seconds() -> f64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = statistics.split_whitespace().next().unwrap();
    nanoseconds.parse::<f64>().unwrap() / 1e9
}

/// Megabytes of JSON per second of CPU time on the seed snapshot; run by hand, in release.
#[test]
#[ignore = "measures speed"]
fn speed() {
    let snapshot = read("seed-10000.json");
    let start = snapshot.find(r#"{"_id""#).unwrap();
    let mut converter = JsonConverter::new(InferTypes::default());
    let mut out = Vec::new();
    for _ in 0..8 {
        let begun = cpu_seconds();
        let mut bytes = 0;
        for _ in 0..20 {
            out.clear();
            let mut rest = &snapshot[start..];
            while rest.starts_with('{') {
                let converted = converter.convert(rest, &CONTEXT, &mut out).unwrap();
                bytes += converted.text_bytes + 1;
                rest = &rest[converted.text_bytes + 1..];
            }
        }
        let seconds = cpu_seconds() - begun;
        eprintln!(
            "{:.0} MB/s, {:.0} ns per document",
            bytes as f64 / 1e6 / seconds,
            seconds * 1e9 / 200_000.0
        );
    }
}
