//! What cannot be carried over goes to quarantine, byte for byte, if it may.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use base64::Engine as _;
use common::{Database, Directory, Log, assert_error, run};
use laura_migrate::report::{Outcome, Report};
use laura_migrate::validate::{DirectoryState, Verdict};
use laura_migrate::{Code, ExitCode, Options};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn lines(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join(".lauradb-quarantine.jsonl")).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

fn bytes_of(line: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD
        .decode(line["bytes"].as_str().unwrap())
        .unwrap()
}

fn codes(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["code"].as_str().unwrap())
        .collect()
}

fn allowing(max_bad: u64, mut options: Options) -> Options {
    options.max_bad = max_bad;
    options
}

/// A snapshot with one collection `c` of these documents, as text.
fn snapshot(documents: &[&[u8]]) -> Vec<u8> {
    let mut text =
        br#"{"version":"1.0","database_name":"d","collections":[{"name":"c","documents":["#
            .to_vec();
    text.extend(documents.join(&b", "[..]));
    text.extend(br#"],"indexes":[{"name":"n_1","type":"btree","field_paths":["n"]},"#);
    text.extend(br#"{"name":"u_1","type":"btree","field_paths":["u"],"unique":true}]}]}"#);
    text
}

fn allowed(directory: &Directory, max_bad: u64) -> (Report, Database) {
    let migrated = directory.migrated_with(allowing(max_bad, directory.side_by_side()));
    assert_eq!(migrated.0.quarantined, max_bad);
    assert_eq!(migrated.0.exit_code(), ExitCode::Quarantine);
    migrated
}

#[test]
fn each_kind_of_bad_document_goes_to_quarantine_and_the_others_stay() {
    let deep = format!(
        r#"{{"_id":"deep","fields":{{"a":{}1{}}}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    let bad: [(&[u8], Code); 11] = [
        (br#"{"_id":"f","fields":5}"#, Code::BadDocument),
        (br#"[1,"x]"]"#, Code::BadDocument),
        (b"17", Code::BadDocument),
        (br#""text, \"quoted\"""#, Code::BadDocument),
        (br#"{"_id":"i","fields":{"_id":"x"}}"#, Code::DocumentId),
        (br#"{"_id":5,"fields":{}}"#, Code::DocumentId),
        (
            b"{\"_id\":\"w\",\"fields\":{\"a\":\"\xFF}\"}}",
            Code::DocumentUtf8,
        ),
        (
            br#"{"_id":"s","fields":{"a":"\ud800"}}"#,
            Code::DocumentSurrogate,
        ),
        (br#"{"_id":"n","fields":{"a":1e999}}"#, Code::DocumentNumber),
        (br#"{"_id":"z","fields":{"a\u0000b":1}}"#, Code::DocumentNul),
        (deep.as_bytes(), Code::DocumentNesting),
    ];
    let good = |n: usize| format!(r#"{{"_id":"g{n}","fields":{{"n":{n}}}}}"#).into_bytes();
    let mut documents: Vec<Vec<u8>> = Vec::new();
    for (number, (text, _)) in bad.iter().enumerate() {
        documents.push(text.to_vec());
        documents.push(good(number));
    }
    let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let directory = Directory::new().snapshot(snapshot(&documents));
    let (report, database) = allowed(&directory, 11);
    let expected: Vec<String> = (0..11).map(|n| format!("\"g{n}\"")).collect();
    assert_eq!(database.collection("c").ids(), expected);
    let lines = lines(&directory.target());
    let text = std::fs::read(directory.source().join("snapshot.json")).unwrap();
    for (line, (bytes, code)) in lines.iter().zip(bad) {
        assert_eq!(line["code"], code.id(), "{line}");
        assert_eq!(bytes_of(line), bytes, "{line}");
        assert_eq!(
            (&line["file"], &line["collection"]),
            (&json!("snapshot.json"), &json!("c"))
        );
        let offset = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
        assert!(offset < text.len());
    }
    assert_eq!(lines.len(), bad.len());
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.code == Code::Quarantined)
    );
}

#[test]
fn one_bad_document_too_many_fails_as_the_first_does() {
    let directory = Directory::new().snapshot(snapshot(&[
        br#"{"_id":"a","fields":{"n":1}}"#,
        br#"{"_id":"n","fields":{"a":1e999}}"#,
        br#"{"_id":"s","fields":{"a":"\ud800"}}"#,
        br#"{"_id":5,"fields":{}}"#,
    ]));
    let plain = directory.refused(directory.in_place());
    for max_bad in [1, 2] {
        let error = directory.refused(allowing(max_bad, directory.in_place()));
        assert_eq!(error.code(), Code::DocumentNumber);
        assert!(error.sentence().starts_with(plain.sentence()), "{error:?}");
        assert_error(
            &error,
            Code::DocumentNumber,
            &format!("more than {max_bad} unusable"),
        );
    }
    allowed(&directory, 3);
}

#[test]
fn broken_json_is_never_passed() {
    for (text, code) in [
        (
            &br#"{"_id":"a","fields":{"n":1,}}"#[..],
            Code::DocumentSyntax,
        ),
        (br#"{"_id":"a","_id":"b"}"#, Code::DocumentKeyTwice),
    ] {
        let directory = Directory::new().snapshot(snapshot(&[text]));
        for max_bad in [0, 9] {
            let error = directory.refused(allowing(max_bad, directory.in_place()));
            assert_eq!(error.code(), code);
        }
    }
}

/// Duplicates beside documents of every kind that a slot has to be found for: overflow documents,
/// values that cannot be indexed, keys that only differ behind their first 1024 bytes.
fn with_duplicates() -> Directory {
    let large = "x".repeat(9000);
    let long = "k".repeat(1500);
    let document = |id: &str, n: Value, u: &str| {
        json!({"_id": id, "fields": {"n": n, "u": u, "text": large}}).to_string()
    };
    let mut documents = Vec::new();
    for n in 0..300 {
        documents.push(document(&format!("id{n}"), json!(n), &format!("{long}{n}")));
        if n % 3 == 0 {
            // Its key in the unique index is another document's, which must not matter.
            let twin = format!("id{}", n / 2);
            documents.push(document(&twin, json!([n]), &format!("{long}{}", n + 1)));
        }
        if n % 50 == 0 {
            documents.push(document(&format!("id{n}"), json!(n), &format!("{long}{n}")));
        }
    }
    let documents: Vec<&[u8]> = documents.iter().map(String::as_bytes).collect();
    Directory::new().snapshot(snapshot(&documents))
}

#[test]
fn later_documents_with_an_id_that_is_taken_leave_no_trace_but_in_quarantine() {
    let directory = with_duplicates();
    let error = directory.refused(allowing(105, directory.in_place()));
    assert_error(&error, Code::DuplicateId, "more than 105");
    let (report, database) = allowed(&directory, 106);
    let collection = database.collection("c");
    assert_eq!(collection.documents.len(), 300);
    assert_eq!(collection.index("u_1").entries.len(), 300);
    assert_eq!(collection.index("n_1").entries.len(), 300);
    assert!(
        report.collections[0]
            .indexes
            .iter()
            .all(|index| index.unindexable == 0)
    );
    let lines = lines(&directory.target());
    assert!(codes(&lines).iter().all(|code| *code == "LM0402"));
    let first = serde_json::from_slice::<Value>(&bytes_of(&lines[0])).unwrap();
    assert!(first["_id"].as_str().unwrap().starts_with("id"));
}

#[test]
fn duplicates_are_the_same_whatever_jobs_and_batches() {
    let directory = with_duplicates();
    let mut found = Vec::new();
    for (jobs, batch_size) in [(1, 1), (2, 7), (4, 1000)] {
        let mut options = allowing(200, directory.side_by_side());
        options.target = Some(directory.home().join(format!("target{jobs}")));
        (options.jobs, options.batch_size) = (jobs, batch_size);
        let target = options.target.clone().unwrap();
        run(options).unwrap();
        let names = ["data.db", "metadata.db", ".lauradb-quarantine.jsonl"];
        found.push(names.map(|name| std::fs::read(target.join(name)).unwrap()));
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn duplicates_are_decided_before_the_log_applies() {
    let documents: [&[u8]; 6] = [
        br#"{"_id":"a","fields":{"n":1}}"#,
        br#"{"_id":"b","fields":{"n":2}}"#,
        br#"{"_id":"a","fields":{"n":3}}"#,
        br#"{"_id":"b","fields":{"n":4}}"#,
        br#"{"_id":"c","fields":{"n":5}}"#,
        br#"{"_id":"c","fields":{"n":6}}"#,
    ];
    let log = Log::new()
        .update("c", r#"{"_id":"a","n":{"$numberInt":"7"}}"#)
        .delete("c", r#"{"_id":"b"}"#);
    let directory = Directory::new()
        .snapshot(snapshot(&documents))
        .wal(log.bytes());
    let (_, database) = allowed(&directory, 3);
    database.collection("c").assert_documents(&[
        r#"{"_id":"a","n":{"$numberInt":"7"}}"#,
        r#"{"_id":"c","n":{"$numberLong":"5"}}"#,
    ]);
    let found: Vec<_> = lines(&directory.target()).iter().map(bytes_of).collect();
    assert_eq!(found, [documents[2], documents[3], documents[5]]);
}

#[test]
fn duplicates_in_other_unique_indexes_stay_errors() {
    let directory = Directory::new().snapshot(snapshot(&[
        br#"{"_id":"a","fields":{"u":1}}"#,
        br#"{"_id":"b","fields":{"u":1}}"#,
    ]));
    let error = directory.refused(allowing(9, directory.in_place()));
    assert_error(&error, Code::DuplicateKey, "\"a\" and \"b\"");
}

/// Indexes of every kind over good documents, and with `twice` further documents with the same
/// `_id`s, whose values are others or cannot be indexed.
fn with_every_index(twice: bool) -> Directory {
    let mut documents = Vec::new();
    for n in 0..400 {
        let point = json!({"coordinates": [n % 90, f64::from(n) / 7.0]});
        let id = format!("id{:03}", n * 7 % 400);
        documents.push(json!({"_id": id, "fields": {
            "n": n, "u": n, "p": n % 5, "at": 1_700_000_000 + n, "flat": point, "globe": point,
            "text": format!("shared words{} only{n}", n % 9),
        }}));
        if n % 4 == 0 && twice {
            let bad = n % 8 == 0;
            let point = if bad {
                json!("nowhere")
            } else {
                json!({"coordinates": [n % 13, -5]})
            };
            let at = if bad { json!("no time") } else { json!(n) };
            documents.push(json!({"_id": id, "fields": {
                "n": [n], "u": n + 1, "p": 3, "at": at, "flat": point, "globe": point,
                // The first that has a term which a later document keeps.
                "text": format!("shared twice{n} gone gone only{}", n + 1),
            }}));
        }
    }
    let btree =
        |name: &str, field: &str| json!({"name": name, "type": "btree", "field_paths": [field]});
    let geo = |name: &str, field: &str, kind: &str| json!({"name": name, "type": "geo", "field_paths": [field], "geo_type": kind});
    let mut unique = btree("u_1", "u");
    unique["unique"] = json!(true);
    let mut partial = btree("partial", "n");
    partial["filter"] = json!({"p": {"$gte": 3}});
    let indexes = json!([
        btree("n_1", "n"), unique, partial,
        {"name": "ttl", "type": "ttl", "field_paths": ["at"], "ttl_duration": 60},
        {"name": "text", "type": "text", "field_paths": ["text"]},
        geo("flat", "flat", "2d"), geo("globe", "globe", "2dsphere"),
    ]);
    Directory::of_collections(&json!([{"name": "c", "documents": documents, "indexes": indexes}]))
}

#[test]
fn duplicates_leave_no_trace_in_indexes_of_any_kind() {
    let (plain, twice) = (with_every_index(false), with_every_index(true));
    let (expected_report, expected) = plain.migrated_with(plain.side_by_side());
    let (report, database) = allowed(&twice, 100);
    let (expected, found) = (expected.collection("c"), database.collection("c"));
    assert_eq!(found.documents, expected.documents);
    assert_eq!(
        found.record.options.as_ref().unwrap().content_digest,
        expected.record.options.as_ref().unwrap().content_digest
    );
    assert_eq!(found.index_names(), expected.index_names());
    for (found, expected) in found.indexes.iter().zip(&expected.indexes) {
        let name = &expected.record.name;
        assert_eq!(found.listed(), expected.listed(), "{name}");
        assert_eq!(found.statistics, expected.statistics, "{name}");
        assert_eq!(found.record.options, expected.record.options, "{name}");
    }
    let indexes = |report: &Report| report.collections[0].indexes.clone();
    assert_eq!(indexes(&report), indexes(&expected_report));

    let mut options = Options::new(twice.target());
    options.mode = laura_migrate::options::Mode::Validate;
    let validation = run(options).unwrap().validation.unwrap();
    assert_eq!(validation.verdict(), Verdict::Sound, "{validation:?}");
    assert_eq!(validation.left.state, Some(DirectoryState::AsPublished));
}

#[test]
fn duplicates_under_indexes_of_any_kind_are_the_same_whatever_jobs_batches_and_memory() {
    let directory = with_every_index(true);
    let mut found = Vec::new();
    for (jobs, batch_size, memory) in [(1, 1, 8 << 20), (2, 7, 64 << 20), (4, 1000, 8 << 20)] {
        let mut options = allowing(100, directory.side_by_side());
        options.target = Some(directory.home().join(format!("target{jobs}")));
        (options.jobs, options.batch_size, options.memory) = (jobs, batch_size, memory);
        let target = options.target.clone().unwrap();
        run(options).unwrap();
        let names = ["data.db", "metadata.db", ".lauradb-quarantine.jsonl"];
        found.push(names.map(|name| std::fs::read(target.join(name)).unwrap()));
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_backup_before_a_migration_leaves_out_what_goes_to_quarantine() {
    let (log, _) = damaged_log(|record| record[8] = 99);
    let directory = Directory::new()
        .snapshot(snapshot(&[
            br#"{"_id":"a","fields":{"n":1}}"#,
            br#"{"_id":"bad","fields":5}"#,
        ]))
        .wal(log);
    let mut options = allowing(2, directory.side_by_side());
    options.backup = true;
    options.backup_dir = Some(directory.home().join("backups"));
    let (report, database) = directory.migrated_with(options);
    assert_eq!(report.quarantined, 2);
    let text = std::fs::read_to_string(report.backup.unwrap().join("c.jsonl")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, database.collection("c").lines());
}

/// Three records, the second of transaction 5 and damaged as `damage` says.
fn damaged_log(damage: impl FnOnce(&mut [u8])) -> (Vec<u8>, std::ops::Range<usize>) {
    use laura_migrate::v1::wal::RecordKind::Insert;
    let first = Log::new().insert("c", r#"{"_id":"a"}"#);
    let start = first.bytes().len();
    let log = |id: &str| {
        Log::new()
            .insert("c", r#"{"_id":"a"}"#)
            .operation(Insert, 5, "c", id)
    };
    let end = log(r#"{"_id":"b","n":{"$numberInt":"2"}}"#).bytes().len();
    let mut bytes = log(r#"{"_id":"b","n":{"$numberInt":"2"}}"#)
        .operation(Insert, 5, "c", r#"{"_id":"d"}"#)
        .commit(5)
        .bytes();
    damage(&mut bytes[start..end]);
    (bytes, start..end)
}

#[test]
fn a_bad_record_is_passed_and_the_rest_of_its_transaction_applies() {
    type Damage = fn(&mut [u8]);
    let cases: [(Damage, Code, bool); 4] = [
        (|record| record[8] = 9, Code::WalCorrupt, true),
        (|record| record[0] = 1, Code::WalCorrupt, true),
        (|record| record[17] = 7, Code::WalPageRecord, true),
        // The first element's type: nothing of the document can be told.
        (|record| record[33 + 2 + 1 + 4] = 6, Code::WalPayload, false),
    ];
    for (damage, code, is_named) in cases {
        let (log, place) = damaged_log(damage);
        let record = log[place.clone()].to_vec();
        let directory = Directory::new().wal(log);
        assert_eq!(directory.refused(directory.in_place()).code(), code);
        let (report, database) = allowed(&directory, 1);
        assert_eq!(database.collection("c").ids(), [r#""a""#, r#""d""#]);
        let lines = lines(&directory.target());
        assert_eq!(
            (bytes_of(&lines[0]), codes(&lines)),
            (record, vec![&*code.id()])
        );
        assert_eq!(lines[0]["offset"], place.start as u64);
        let older: Vec<_> = report
            .warnings
            .iter()
            .filter(|warning| warning.code == Code::LeftOlder)
            .collect();
        assert_eq!(older.len(), 1, "{code:?}");
        assert_eq!(
            older[0].place.id.as_deref(),
            is_named.then_some("\"b\""),
            "{code:?}"
        );
        assert!(
            older[0].sentence.contains("transaction 5"),
            "{:?}",
            older[0]
        );
    }
}

#[test]
fn a_record_whose_end_is_unknown_is_not_passed() {
    let (log, _) = damaged_log(|record| {
        // One byte less: what follows is out of step.
        record[29] -= 1;
    });
    let directory = Directory::new().wal(log);
    for max_bad in [1, 100] {
        let error = directory.refused(allowing(max_bad, directory.in_place()));
        let expected = [Code::WalNextUnknown, Code::WalLength];
        assert!(expected.contains(&error.code()), "{error:?}");
    }
}

#[test]
fn the_quarantine_is_published_with_the_rights_of_the_source() {
    let documents: [&[u8]; 2] = [br#"{"_id":5}"#, br#"{"_id":"a"}"#];
    let directory = Directory::new().snapshot(snapshot(&documents));
    let source = directory.source().join("snapshot.json");
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o640)).unwrap();
    allowed(&directory, 1);
    let quarantine = directory.target().join(".lauradb-quarantine.jsonl");
    let mode = std::fs::metadata(quarantine).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let receipt = std::fs::read(directory.target().join(".lauradb-migration.json")).unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    let published = receipt["published"].as_array().unwrap();
    assert!(
        published
            .iter()
            .any(|file| file["name"] == ".lauradb-quarantine.jsonl")
    );
    let again = run(allowing(1, directory.side_by_side())).unwrap();
    assert_eq!(again.outcome, Outcome::AlreadyMigrated);
    assert_eq!(
        (again.quarantined, again.exit_code()),
        (1, ExitCode::Quarantine)
    );
}
