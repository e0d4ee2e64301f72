//! `--report`, `--metrics-file` and `--log-file`: what programs read of a run, of a failed one too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;
#[path = "report/schema.rs"]
mod schema;

use assert_cmd::Command;
use common::{Directory, Log, run};
use laura_migrate::Options;
use laura_migrate::cli::render_report;
use laura_migrate::options::{ImportFormat, Mode, Verification};
use laura_migrate::report::Report;
use laura_migrate::report::json::SCHEMA;
use laura_migrate::report::run::{RunReport, RunStart};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The program in a directory's home, with nothing of this environment that it looks at.
fn program(directory: &Directory) -> Command {
    let mut command = Command::cargo_bin("laura-migrate").unwrap();
    command.current_dir(directory.home());
    for name in ["SOURCE_DATE_EPOCH", "RUST_LOG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

fn two_documents() -> Directory {
    Directory::of_collections(&json!([{
        "name": "users",
        "documents": [{"_id": "a", "fields": {"n": 1}}, {"_id": "b", "fields": {"n": [1]}}],
        "indexes": [{"name": "n_1", "type": "btree", "field_paths": ["n"]}],
    }]))
}

/// The report, which has to be valid under the schema.
#[track_caller]
fn valid(report: &str) -> Value {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(schema::violations(&schema, &report), Vec::<String>::new());
    report
}

#[test]
fn a_migration_is_reported_with_all_figures() {
    let directory = two_documents();
    let report = valid(&run(directory.in_place()).unwrap().to_json().unwrap());
    assert_eq!(report["outcome"], "migrated");
    assert_eq!(report["exitCode"], 0);
    assert_eq!(report["source"]["version"], "1.0");
    assert_eq!(report["target"]["version"], "2.0");
    assert_eq!(report["verified"]["kind"], "all");
    let contents = &report["contents"];
    assert_eq!(contents["totals"]["documents"], 2);
    assert_eq!(contents["totals"]["unindexable"], 1);
    let index = &contents["collections"][0]["indexes"][1];
    assert_eq!(
        *index,
        json!({"name": "n_1", "kind": "btree", "entries": 1, "unindexable": 1})
    );
    let warnings = contents["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|each| each["code"] == "LM1005");
    assert_eq!(warning.unwrap()["collection"], "users");
    let size = |name: &str| fs::metadata(directory.source().join(name)).unwrap().len();
    let sizes: u64 = ["data.db", "metadata.db", "wal.log"].map(size).iter().sum();
    assert_eq!(report["diskUsedBytes"], sizes);
    let command = report["rollback"]["command"].as_str().unwrap();
    assert!(command.starts_with("laura-migrate --mode rollback "));
    let phases = report["run"]["phases"].as_array().unwrap();
    let names: Vec<_> = phases.iter().map(|each| &each["phase"]).collect();
    assert_eq!(
        names,
        ["check", "collections", "indexes", "verify", "publish"]
    );
}

#[test]
fn what_the_log_held_is_reported() {
    let directory = two_documents();
    let log = Log::new()
        .insert("users", r#"{"_id":"c"}"#)
        .delete("users", r#"{"_id":"a"}"#);
    let directory = directory.wal(log.bytes());
    let report = valid(&run(directory.side_by_side()).unwrap().to_json().unwrap());
    let wal = &report["contents"]["wal"];
    assert_eq!(wal["records"]["insert"], 1);
    assert_eq!(wal["records"]["delete"], 1);
    assert_eq!((&wal["applied"], &wal["dropped"]), (&json!(2), &json!(0)));
    assert_eq!(report["rollback"]["command"], Value::Null);
}

#[test]
fn the_receipt_holds_what_the_report_says_of_the_contents() {
    let directory = two_documents();
    let report = valid(&run(directory.in_place()).unwrap().to_json().unwrap());
    let receipt = fs::read(directory.source().join(".lauradb-migration.json")).unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    for key in ["totals", "collections", "wal"] {
        assert_eq!(receipt["contents"][key], report["contents"][key], "{key}");
    }
    assert_eq!(receipt["run"]["id"], report["run"]["id"]);
}

#[test]
fn nothing_to_do_is_reported_too() {
    let directory = two_documents();
    run(directory.in_place()).unwrap();
    let report = valid(&run(directory.in_place()).unwrap().to_json().unwrap());
    assert_eq!(report["outcome"], "already-migrated");
    assert_eq!(report["source"]["version"], "2.0");
    let empty = valid(&run(Directory::new().in_place()).unwrap().to_json().unwrap());
    assert_eq!(empty["outcome"], "empty");
    assert_eq!(empty["rollback"], Value::Null);
}

fn phases(report: &Value) -> Vec<&str> {
    let phases = report["run"]["phases"].as_array().unwrap();
    let names = phases.iter().map(|each| each["phase"].as_str().unwrap());
    names.collect()
}

/// One run, its report valid under the schema, and its metrics.
#[track_caller]
fn reported(options: Options) -> (Value, String) {
    let report = run(options).unwrap();
    (valid(&report.to_json().unwrap()), report.to_metrics())
}

fn of_mode(mode: Mode, source: &Path, target: Option<&Path>) -> Options {
    let mut options = Options::new(source);
    options.mode = mode;
    options.target = target.map(Path::to_path_buf);
    options
}

#[test]
fn an_export_and_both_imports_are_reported() {
    let directory = two_documents();
    let home = directory.home();
    let backups = home.join("backups");
    let export = of_mode(Mode::Export, &directory.source(), Some(&backups));
    let (report, metrics) = reported(export);
    assert_eq!(report["outcome"], "exported");
    assert_eq!(report["source"]["version"], "1.0");
    assert_eq!(report["target"]["version"], Value::Null);
    assert_eq!(report["backup"], report["target"]["path"]);
    assert_eq!(phases(&report), ["check", "backup"]);
    let indexes = &report["contents"]["collections"][0]["indexes"];
    let kind =
        |name: &str| json!({"name": name, "kind": "btree", "entries": null, "unindexable": 0});
    assert_eq!(*indexes, json!([kind("_id_"), kind("n_1")]));
    assert!(
        metrics.contains("\nlaura_migrate_documents 2\n"),
        "{metrics}"
    );
    assert!(metrics.contains("{phase=\"backup\"}"), "{metrics}");

    let import = of_mode(Mode::Import, &backups, Some(&home.join("v2")));
    let (report, _) = reported(import.clone());
    assert_eq!(
        (&report["mode"], &report["outcome"]),
        (&json!("import"), &json!("migrated"))
    );
    assert_eq!(report["source"]["version"], "1.0");
    assert_eq!(report["target"]["version"], "2.0");
    assert_eq!(
        phases(&report),
        ["check", "collections", "indexes", "verify", "publish"]
    );
    assert_eq!(reported(import).0["outcome"], "already-migrated");

    let mut import = of_mode(Mode::Import, &backups, Some(&home.join("v1")));
    import.to = ImportFormat::V1;
    let (report, metrics) = reported(import.clone());
    assert_eq!(report["target"]["version"], "1.0");
    assert_eq!(
        phases(&report),
        ["check", "collections", "verify", "publish"]
    );
    assert_eq!(report["contents"]["totals"]["indexes"], 2);
    assert!(metrics.contains("{phase=\"verify\"}"), "{metrics}");
    let (report, _) = reported(import);
    assert_eq!(report["outcome"], "already-migrated");
    assert_eq!(phases(&report), ["verify"]);
}

#[test]
fn a_backup_before_a_migration_and_its_rollback_are_reported() {
    let directory = two_documents();
    let mut options = directory.in_place();
    options.backup = true;
    let (report, _) = reported(options);
    let backup = report["backup"].as_str().unwrap();
    assert!(Path::new(backup).join("manifest.json").exists());
    assert_eq!(phases(&report)[..2], ["check", "backup"]);
    assert_eq!(report["keptV2"], Value::Null);

    let data = directory.source().join("data.db");
    let mut bytes = fs::read(&data).unwrap();
    bytes.extend([0; 4096]);
    fs::write(&data, bytes).unwrap();
    let mut options = of_mode(Mode::Rollback, &directory.source(), None);
    options.force = true;
    let (report, metrics) = reported(options.clone());
    assert_eq!(report["outcome"], "rolled-back");
    assert_eq!(report["source"]["version"], "2.0");
    assert_eq!(report["target"]["version"], "1.0");
    let kept = report["keptV2"].as_str().unwrap();
    assert!(Path::new(kept).join("data.db").exists(), "{kept}");
    assert_eq!(phases(&report), ["check", "publish"]);
    assert!(metrics.contains("outcome=\"rolled-back\""), "{metrics}");
    let (report, _) = reported(options);
    assert_eq!(report["outcome"], "not-migrated");
    assert_eq!(phases(&report), ["check"]);
}

#[test]
fn a_validation_is_reported_with_what_it_has_found() {
    let directory = two_documents();
    run(directory.side_by_side()).unwrap();
    let (source, target) = (directory.source(), directory.target());
    let (report, metrics) = reported(of_mode(Mode::Validate, &source, None));
    assert_eq!(report["outcome"], "validated");
    assert_eq!(report["validation"]["verdict"], "sound");
    assert_eq!(report["validation"]["target"], Value::Null);
    assert_eq!(phases(&report), ["check"]);
    assert!(metrics.contains("\nlaura_migrate_success 1\n"), "{metrics}");

    let compare = || of_mode(Mode::Validate, &target, Some(&source));
    let (report, metrics) = reported(compare());
    let validation = &report["validation"];
    assert_eq!(validation["verdict"], "equal");
    assert_eq!(validation["findings"], 0);
    assert_eq!(validation["source"]["asPublished"], true);
    assert_eq!(validation["target"]["asPublished"], Value::Null);
    assert_eq!(validation["source"]["documents"], 2);
    assert_eq!(
        validation["comparison"]["collections"][0]["equalIndexes"],
        2
    );
    let documents = "laura_migrate_validated_documents{directory=\"target\"} 2\n";
    assert!(metrics.contains(documents), "{metrics}");

    let snapshot = source.join("snapshot.json");
    let text = fs::read_to_string(&snapshot).unwrap();
    fs::write(&snapshot, text.replace("\"n\":1", "\"n\":5")).unwrap();
    let (report, metrics) = reported(compare());
    assert_eq!(report["exitCode"], 3);
    assert_eq!(report["validation"]["verdict"], "different");
    let found = &report["validation"]["comparison"]["differences"][0];
    assert_eq!(
        (&found["code"], &found["count"]),
        (&json!("LM0718"), &json!(1))
    );
    assert_eq!(found["first"][0]["collection"], "users");
    assert!(metrics.contains("\nlaura_migrate_success 0\n"), "{metrics}");
    let verdict = "laura_migrate_validation_verdict{verdict=\"different\"} 1\n";
    assert!(metrics.contains(verdict), "{metrics}");

    let mut bytes = fs::read(target.join("data.db")).unwrap();
    bytes[5000] ^= 1;
    fs::write(target.join("data.db"), bytes).unwrap();
    let (report, metrics) = reported(of_mode(Mode::Validate, &target, None));
    let validation = &report["validation"];
    assert_eq!(validation["verdict"], "damaged");
    assert_eq!(validation["source"]["asPublished"], false);
    assert_eq!(validation["source"]["findings"][0]["first"][0]["page"], 1);
    assert!(
        metrics.contains("validation_findings{code=\"LM0604\"} 1\n"),
        "{metrics}"
    );
}

#[test]
fn a_failure_is_reported_with_its_error_and_its_place() {
    let directory = Directory::new().snapshot("{\"version\":\"1.0\",");
    let error = run(directory.in_place()).unwrap_err();
    let options = directory.in_place();
    let figures = RunReport::of(&RunStart::now(), &[], 0);
    let report = Report::failed(options.mode, options.source, None, &error, figures);
    let report = valid(&report.to_json().unwrap());
    assert_eq!(report["outcome"], "failed");
    assert_eq!(report["exitCode"], 4);
    let error = &report["errors"][0];
    assert_eq!(error["code"], "LM0210");
    assert!(error["file"].as_str().unwrap().ends_with("snapshot.json"));
    assert!(error["offset"].is_u64() && error["hint"].is_string());
}

#[test]
fn report_metrics_and_log_are_written_on_success_and_share_the_run_s_id() {
    let directory = two_documents();
    program(&directory)
        .args(["source", "target", "--report=report.json"])
        .args(["--metrics-file=laura.prom", "--log-file=log", "-q"])
        .assert()
        .code(0)
        .stdout("")
        .stderr("");
    let read = |name: &str| fs::read_to_string(directory.home().join(name)).unwrap();
    let report = valid(&read("report.json"));
    assert_eq!(report["source"]["path"], "source");
    let metrics = read("laura.prom");
    assert!(metrics.contains("\nlaura_migrate_success 1\n"), "{metrics}");
    assert!(
        metrics.contains("\nlaura_migrate_documents 2\n"),
        "{metrics}"
    );
    let log = read("log");
    let id = report["run"]["id"].as_str().unwrap();
    assert!(log.lines().count() > 5 && log.lines().all(|line| line.contains(id)));
    assert!(
        log.contains("[collections] collections done seconds="),
        "{log}"
    );
    let mode = |name: &str| {
        let metadata = fs::metadata(directory.home().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("report.json"), mode("laura.prom")), (0o640, 0o644));
}

#[test]
fn a_failed_run_writes_them_too() {
    let directory = Directory::new().snapshot("{");
    program(&directory)
        .args(["source", "--report=-", "--metrics-file=laura.prom"])
        .args(["--log-file=log", "--log-format=json"])
        .assert()
        .code(4)
        .stdout(predicates::function::function(|text: &str| {
            let report = valid(text);
            report["exitCode"] == 4 && report["run"]["reached"]["phase"] == "check"
        }))
        .stderr(predicates::function::function(|text: &str| {
            text.lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok())
                && text.contains("\"LM0210\"")
        }));
    let metrics = fs::read_to_string(directory.home().join("laura.prom")).unwrap();
    assert!(metrics.contains("\nlaura_migrate_success 0\n"), "{metrics}");
    assert!(
        metrics.contains("\nlaura_migrate_exit_code 4\n"),
        "{metrics}"
    );
    assert!(metrics.contains("{code=\"LM0210\"} 1\n"), "{metrics}");
    let log = fs::read_to_string(directory.home().join("log")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["outcome"], "failed");
    assert!(last["run"].is_string() && last["time"].is_string());
}

#[test]
fn a_log_is_appended_to_with_another_id() {
    let directory = two_documents();
    for _ in 0..2 {
        let mut command = program(&directory);
        command.args(["source", "--log-file=log", "-q"]);
        command.assert().code(0);
    }
    let log = fs::read_to_string(directory.home().join("log")).unwrap();
    let ids = log.lines().filter(|line| line.contains("run started"));
    let ids: Vec<_> = ids.map(|line| line.split_whitespace().nth(2)).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{log}");
}

#[test]
fn an_output_that_could_not_be_written_is_found_before_the_run() {
    for option in ["--report", "--metrics-file", "--log-file"] {
        for path in [
            "missing/file",
            "source/.laura-migrate/file",
            "source/wal.log",
        ] {
            let directory = two_documents();
            let before = directory.tree();
            program(&directory)
                .args(["source", option, path])
                .assert()
                .code(2)
                .stderr(predicates::str::contains("error[LM0130]: "));
            common::assert_same_tree(&before, &directory.tree());
        }
    }
}

#[test]
fn a_log_line_has_the_whole_place_and_no_contents_of_documents() {
    let directory = two_documents();
    program(&directory)
        .args(["source", "target", "-q"])
        .assert()
        .code(0);
    let other = r#"{"_id":"a","fields":{"n":"a secret"}}"#;
    let snapshot = fs::read_to_string(directory.source().join("snapshot.json")).unwrap();
    let at = snapshot.find(r#"{"_id":"a""#).unwrap();
    let end = at + snapshot[at..].find("}}").unwrap() + 2;
    let snapshot = format!("{}{other}{}", &snapshot[..at], &snapshot[end..]);
    fs::write(directory.source().join("snapshot.json"), snapshot).unwrap();
    let lines = |arguments: &[&str]| -> (String, Vec<Value>) {
        let mut command = program(&directory);
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let text = String::from_utf8(output.stderr).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (text.clone(), lines.collect())
    };
    let with = |lines: &[Value], code: &str| -> Value {
        let found = lines.iter().find(|line| line["code"] == code);
        found.unwrap_or_else(|| panic!("{code}: {lines:?}")).clone()
    };
    let compare = ["--mode=validate", "--log-format=json", "source", "target"];
    let (text, found) = lines(&[&compare[..], &["--log-file=log"]].concat());
    let differs = with(&found, "LM0718");
    assert_eq!(
        (&differs["collection"], &differs["id"]),
        (&json!("users"), &json!("\"a\""))
    );
    assert_eq!(differs["message"], "the documents differ: field \"n\"");
    let log = fs::read_to_string(directory.home().join("log")).unwrap();
    assert!(!text.contains("secret") && !log.contains("secret"), "{log}");
    let mut command = program(&directory);
    let shown = command
        .args(["--mode=validate", "source", "target"])
        .output();
    let shown = String::from_utf8(shown.unwrap().stderr).unwrap();
    assert!(shown.contains("\"a secret\" and"), "{shown}");

    let data = directory.target().join("data.db");
    let mut bytes = fs::read(&data).unwrap();
    bytes[4096 * 2 + 100] ^= 1;
    fs::write(&data, bytes).unwrap();
    let (_, found) = lines(&["--mode=validate", "--log-format=json", "target"]);
    let damaged = with(&found, "LM0604");
    assert_eq!(damaged["page"], 2);
    assert!(damaged["file"].as_str().unwrap().ends_with("data.db"));
}

#[test]
fn only_what_this_run_has_read_back_is_reported_as_verified() {
    let verified = |options: Options| {
        let report = valid(&run(options).unwrap().to_json().unwrap());
        let verified = &report["verified"];
        (
            verified["kind"].as_str().unwrap().to_owned(),
            verified["rate"].as_f64().unwrap(),
        )
    };
    let nothing = ("nothing".to_owned(), 0.0);
    let directory = two_documents();
    let with_mode = |mode| Options {
        mode,
        ..directory.in_place()
    };
    assert_eq!(verified(with_mode(Mode::Rollback)), nothing);
    let unverified = Options {
        verification: Verification::None,
        ..directory.in_place()
    };
    assert_eq!(verified(unverified), nothing);
    assert_eq!(verified(directory.in_place()), nothing, "already migrated");
    assert_eq!(verified(with_mode(Mode::Validate)), ("all".to_owned(), 1.0));
    let sample = Options {
        verification: Verification::Sample(0.5),
        ..with_mode(Mode::Validate)
    };
    assert_eq!(verified(sample.clone()), ("sample".to_owned(), 0.5));
    let text = render_report(&run(sample).unwrap());
    let last = "not compared: the content of about 50 % of the documents (--sample 0.5)\n";
    assert!(text.ends_with(last), "{text}");
    assert_eq!(verified(with_mode(Mode::Rollback)), nothing);
    assert_eq!(verified(Directory::new().in_place()), nothing, "empty");
}

/// What the program says on stderr with `--log-format json`: nothing but objects.
fn json_lines(directory: &Directory, arguments: &[&str], code: i32) -> Vec<Value> {
    let mut command = program(directory);
    command.env("LAURA_MIGRATE_LOG_FORMAT", "json");
    let output = command.args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn lines_of_json_close_as_text_does_and_progress_is_among_them() {
    let directory = Directory::of_users();
    let has = |lines: &[Value], message: &str| {
        let found = lines.iter().any(|line| {
            let said = line["message"].as_str().unwrap();
            said.starts_with(message)
        });
        assert!(found, "{message}: {lines:?}");
    };
    let arguments = ["source", "--no-validate", "--progress"];
    let lines = json_lines(&directory, &arguments, 0);
    has(
        &lines,
        "not verified: nothing was read back (--no-validate)",
    );
    has(&lines, "collections: done in");
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["outcome"], &last["verified"]),
        (&json!("migrated"), &json!("nothing"))
    );
    has(
        &json_lines(&directory, &["source"], 0),
        "nothing to do: source",
    );
    let validate = ["source", "--mode=validate"];
    has(
        &json_lines(&directory, &validate, 0),
        "source keeps every rule",
    );
    assert!(json_lines(&directory, &["-q", "source"], 0).is_empty());
}

#[test]
fn a_command_line_that_is_refused_is_told_and_reported_as_it_asks_for() {
    let directory = two_documents();
    let arguments = [
        "--jobs=0",
        "source",
        "x",
        "--report=r.json",
        "--metrics-file=m.prom",
    ];
    let lines = json_lines(&directory, &arguments, 2);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["code"], &lines[0]["level"]),
        (&json!("LM0101"), &json!("error"))
    );
    assert!(lines[0]["hint"].is_string() && lines[0]["run"].is_string());
    let read = |name: &str| fs::read_to_string(directory.home().join(name)).unwrap();
    let report = valid(&read("r.json"));
    assert_eq!(
        (&report["exitCode"], &report["errors"][0]["code"]),
        (&json!(2), &json!("LM0101"))
    );
    assert_eq!(report["source"]["path"], "source");
    assert!(read("m.prom").contains("\nlaura_migrate_exit_code 2\n"));
    assert_eq!(json_lines(&directory, &[], 2).len(), 1);
    for arguments in [&["--report=missing/r", "source"][..], &["missing", "-q"]] {
        assert!(json_lines(&directory, arguments, 2)[0]["hint"].is_string());
    }
    program(&directory)
        .args(["source", "--mode=dry-run", "--restart"])
        .assert()
        .code(2)
        .stdout("")
        .stderr(predicates::str::starts_with("error[LM0101]: "));
}

#[cfg(target_os = "linux")]
#[test]
fn a_stdout_that_takes_nothing_is_an_error_with_an_id_and_a_hint() {
    let directory = two_documents();
    for arguments in [
        &["--mode=export", "source", "target"][..],
        &["--mode=dry-run", "source"],
        &["--mode=status", "source"],
        &["--explain=LM0301"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_laura-migrate"));
        let command = command.current_dir(directory.home()).args(arguments);
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("error[LM0131]: cannot write to stdout"),
            "{said}"
        );
        assert!(said.contains("\n  hint: "), "{said}");
    }
}
