//! The program itself: stdout, stderr and exit code together. What it does is tested through the
//! library.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use assert_cmd::Command;
use common::{Database, Directory, assert_same_tree, tree};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, is_match, starts_with};
use serde_json::json;
use std::fs;

/// The program in a directory's home, with nothing of this environment that it looks at.
fn program(directory: &Directory) -> Command {
    let mut command = Command::cargo_bin("laura-migrate").unwrap();
    command
        .current_dir(directory.home())
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("RUST_LOG");
    command
}

fn two_documents() -> Directory {
    Directory::of_collections(&json!([{
        "name": "users",
        "documents": [{"_id": "a", "fields": {"n": 1}}, {"_id": "b", "fields": {"n": 2}}],
        "indexes": [
            {"name": "n_1", "type": "btree", "field_paths": ["n"]},
            {"name": "n_text", "type": "text", "field_paths": ["n"]},
        ],
    }]))
}

/// An index of a kind that no snapshot can have.
fn hash_index() -> Directory {
    Directory::of_collections(&json!([{
        "name": "users",
        "indexes": [{"name": "n_hash", "type": "hash", "field_paths": ["n"]}],
    }]))
}

const REPORT: &str = concat!(
    "  \"users\": 2 documents, 54 B, 2 indexes, \"n_text\" skipped\n",
    "migrated 2 documents in 1 collection with 2 indexes to target\n",
    "everything was read back and found equal\n",
);

/// Exactly these lines, but for the one that tells of other users' processes on this machine.
fn machine_independent(expected: &'static str) -> impl Predicate<str> {
    predicate::function(move |found: &str| {
        let lines = found
            .lines()
            .filter(|line| !line.starts_with("warning[LM1001]: "));
        lines.eq(expected.lines())
    })
}

#[test]
fn success_says_what_was_done_on_stderr_alone() {
    let directory = two_documents();
    program(&directory)
        .args(["source", "target", "--skip-index", "n_text"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(machine_independent(REPORT));
    assert_eq!(Database::read(&directory.target()).names(), ["users"]);
}

#[test]
fn in_place_says_where_the_v1_files_are_and_a_second_run_that_all_is_done() {
    let directory = two_documents();
    program(&directory)
        .arg("source")
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(contains("the v1 files are in source/.lauradb-v1\n"));
    program(&directory)
        .arg("source")
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr("nothing to do: source is in format 2.0\n");
}

#[test]
fn quiet_says_nothing_and_verbose_tells_the_phases() {
    let directory = two_documents();
    program(&directory)
        .args(["-q", "source", "target"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(is_empty());
    let directory = two_documents();
    let phases = "(?s)check done.*collections done.*indexes done.*verify done.*publish done";
    program(&directory)
        .args(["-v", "source"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(
            is_match(phases)
                .unwrap()
                .and(contains("migrated 2 documents")),
        );
}

#[test]
fn what_was_not_verified_is_the_last_line() {
    for (options, line) in [
        (
            ["--no-validate"],
            "not verified: nothing was read back (--no-validate)\n",
        ),
        (
            ["--sample=0.25"],
            "not verified: the content of about 75 % of the documents (--sample 0.25)\n",
        ),
        (["--validate"], "everything was read back and found equal\n"),
        (["--sample=1"], "everything was read back and found equal\n"),
    ] {
        let directory = two_documents();
        program(&directory)
            .arg("source")
            .args(options)
            .assert()
            .code(0)
            .stdout(is_empty())
            .stderr(predicates::str::ends_with(line));
    }
}

#[test]
fn an_empty_directory_is_nothing_to_migrate() {
    let directory = Directory::new();
    program(&directory)
        .arg("source")
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr("nothing to migrate: source is empty\n");
}

#[test]
fn usage_errors_end_with_2_and_touch_nothing() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "SOURCE_DIR"),
        (&["source", "target", "third"], "third"),
        (&["source", "--no-such-option"], "--no-such-option"),
        (&["source", "--jobs", "0"], "--jobs"),
        (&["source", "--batch-size", "0"], "--batch-size"),
        (&["source", "--memory", "7MiB"], "at least 8MiB"),
        (&["source", "--memory", "much"], "no size"),
        (&["source", "--sample", "0"], "between 0 and 1"),
        (&["source", "--sample", "NaN"], "between 0 and 1"),
        (
            &["source", "--sample", "0.5", "--no-validate"],
            "--no-validate",
        ),
        (&["source", "--infer-types", "dates"], "\"dates\""),
        (&["source", "--rename", "a"], "--rename"),
        (&["source", "--force"], "TARGET_DIR"),
        (&["source", "-q", "-v"], "cannot be used with"),
        (&["source", "source"], "same directory"),
        (&["missing"], "does not exist"),
        (&["source/snapshot.json"], "no directory"),
        (&["source", "no/parent"], "parent directory"),
        (&["source", "--snapshot", "missing.json"], "--snapshot"),
    ];
    for (arguments, said) in cases {
        let directory = two_documents();
        let before = directory.tree();
        program(&directory)
            .args(*arguments)
            .assert()
            .code(2)
            .stdout(is_empty())
            .stderr(starts_with("error").and(contains(*said)));
        assert_same_tree(&before, &directory.tree());
    }
}

#[test]
fn an_error_has_its_code_its_place_and_a_hint() {
    let directory = hash_index();
    let before = directory.tree();
    program(&directory)
        .args(["source", "target"])
        .assert()
        .code(4)
        .stdout(is_empty())
        .stderr(
            starts_with(
                "error[LM0501]: index \"n_hash\" of collection \"users\" has the unknown type \
                 \"hash\"; known are btree, text, geo and ttl (",
            )
            .and(predicates::str::ends_with(
                "collection \"users\", index \"n_hash\")\n  hint: leave it out with \
                 --skip-index users/n_hash\n",
            )),
        );
    assert_same_tree(&before, &directory.tree());
}

#[test]
fn quiet_still_says_errors() {
    let directory = hash_index();
    program(&directory)
        .args(["-q", "source"])
        .assert()
        .code(4)
        .stdout(is_empty())
        .stderr(starts_with("error[LM0501]: "));
}

#[test]
fn exit_codes_tell_kinds_of_failure_apart() {
    let refused = |directory: &Directory, arguments: &[&str], code: i32, id: &str| {
        let before = directory.tree();
        program(directory)
            .args(arguments)
            .assert()
            .code(code)
            .stdout(is_empty())
            .stderr(contains(format!("error[{id}]: ")).and(contains("\n  hint: ")));
        assert_same_tree(&before, &directory.tree());
    };
    let both = ["source", "target"];

    // 3: a v2 directory that is damaged.
    let migrated = two_documents();
    let options = ["source"];
    program(&migrated).args(options).assert().code(0);
    let catalog = migrated.source().join("metadata.db");
    let mut bytes = fs::read(&catalog).unwrap();
    bytes[40] ^= 1;
    fs::write(&catalog, bytes).unwrap();
    let before = migrated.tree();
    program(&migrated)
        .arg("source")
        .assert()
        .code(3)
        .stdout(is_empty())
        .stderr(contains("error[LM06"));
    assert_same_tree(&before, &migrated.tree());

    // 4: the source.
    refused(&Directory::new().file("notes", ""), &both, 4, "LM0201");
    refused(&Directory::new().snapshot("{"), &both, 4, "LM0210");
    let unknown = two_documents().file(".lauradb-version", r#"{"formatVersion":"9"}"#);
    refused(&unknown, &both, 4, "LM0602");

    // 5: something in the way.
    let full = two_documents();
    fs::create_dir(full.target()).unwrap();
    fs::write(full.target().join("mine"), "").unwrap();
    refused(&full, &both, 5, "LM0901");
    let earlier = two_documents();
    fs::create_dir(earlier.source().join(".lauradb-v1")).unwrap();
    refused(&earlier, &["source"], 5, "LM0902");

    // 8: half published, and no journal that says how.
    let half = two_documents().file(".lauradb-version", r#"{"formatVersion":"2.0-publishing"}"#);
    refused(&half, &["source"], 8, "LM0603");
}

#[test]
fn progress_without_a_terminal_is_lines_on_stderr() {
    let directory = Directory::of_fixture("seed-10000.json");
    let lines = "(?m)^check: .*\n(?s:.*)^collections: .* documents.*\n(?s:.*)^indexes: .*\n(?s:.*)^verify: .*\n";
    program(&directory)
        .args(["source", "target", "--progress"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(
            is_match(lines)
                .unwrap()
                .and(contains("\x1b").not())
                .and(contains("\r").not()),
        );
    let directory = two_documents();
    program(&directory)
        .args(["source", "--progress", "-q"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(is_empty());
}

#[test]
fn the_instant_comes_from_the_environment() {
    let directory = two_documents();
    program(&directory)
        .args(["source", "target"])
        .env("SOURCE_DATE_EPOCH", "86400")
        .assert()
        .code(0)
        .stdout(is_empty());
    let marker = fs::read_to_string(directory.target().join(".lauradb-version")).unwrap();
    assert!(marker.contains("1970-01-02T00:00:00Z"), "{marker}");

    for epoch in [
        "",
        "now",
        "1.5",
        "99999999999999999999",
        "9223372036854775807",
    ] {
        let directory = two_documents();
        let before = directory.tree();
        program(&directory)
            .arg("source")
            .env("SOURCE_DATE_EPOCH", epoch)
            .assert()
            .code(2)
            .stdout(is_empty())
            .stderr(contains("error[LM0101]").and(contains("SOURCE_DATE_EPOCH")));
        assert_same_tree(&before, &directory.tree());
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let directory = Directory::new();
    for argument in ["--help", "-h"] {
        program(&directory)
            .arg(argument)
            .assert()
            .code(0)
            .stdout(contains("<SOURCE_DIR>").and(contains("--skip-index <INDEX>")))
            .stdout(contains("Exit codes:"))
            .stderr(is_empty());
    }
    program(&directory)
        .arg("--version")
        .assert()
        .code(0)
        .stdout(concat!("laura-migrate ", env!("CARGO_PKG_VERSION"), "\n"))
        .stderr(is_empty());
}

#[test]
fn a_name_in_the_source_cannot_write_control_characters_to_the_terminal() {
    let directory = Directory::of_collections(&json!([
        {"name": "red \u{1b}[31m\nline", "documents": [{"_id": "a\u{1b}[0m\r"}]},
    ]));
    program(&directory)
        .args(["source", "target"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(contains("\x1b").not().and(contains("\r").not()));
    let directory = Directory::of_collections(&json!([{
        "name": "c\u{1b}[31m",
        "documents": [{"_id": "a\u{1b}[0m\r"}, {"_id": "a\u{1b}[0m\r"}],
    }]));
    let before = tree(&directory.source());
    program(&directory)
        .args(["source", "target"])
        .assert()
        .code(4)
        .stdout(is_empty())
        .stderr(contains("\x1b").not().and(contains("\r").not()));
    assert_same_tree(&before, &tree(&directory.source()));
}

#[test]
fn errors_of_documents_are_safe_for_the_terminal_too() {
    let directory = Directory::of_collections(&json!([{
        "name": "c",
        "documents": [{"_id": "a\u{1b}[0m\r", "fields": {"_id": 1}}],
    }]));
    program(&directory)
        .args(["source", "target"])
        .assert()
        .code(4)
        .stdout(is_empty())
        .stderr(contains("\x1b").not().and(contains("\r").not()));
}

#[test]
fn an_import_says_what_it_did_on_stderr_and_refuses_what_means_nothing() {
    let directory = two_documents();
    let backups = directory.home().join("backups");
    fs::create_dir(&backups).unwrap();
    common::back_up(&directory.source(), &backups);
    let import = |arguments: &[&str]| {
        let mut command = program(&directory);
        command
            .args(["--mode", "import", "backups"])
            .args(arguments);
        command.assert().stdout(is_empty())
    };
    import(&["v2"]).code(0).stderr(contains(
        "imported 2 documents in 1 collection with 3 indexes to v2\n",
    ));
    import(&["v2"])
        .code(0)
        .stderr(contains("nothing to do: v2 is in format 2.0\n"));
    import(&["v1", "--to", "1.0"])
        .code(0)
        .stderr(contains("imported 2 documents in 1 collection"));
    import(&["v1", "--to", "1.0"])
        .code(0)
        .stderr(contains("nothing to do: v1 is in format 1.0\n"));
    for (arguments, option) in [
        (&[][..], "needs a directory"),
        (&["x", "--snapshot", "s.json"], "--snapshot"),
        (&["x", "--infer-types", "timestamp"], "--infer-types"),
        (&["x", "--to", "1.0", "--force"], "--force"),
        (&["x", "--to", "1.0", "--sample", "0.5"], "--sample"),
        (&["x", "--to", "3.0"], "3.0"),
    ] {
        import(arguments).code(2).stderr(contains(option));
    }
    let mut command = program(&directory);
    let assert = command.args(["source", "--to", "1.0"]).assert();
    assert.code(2).stderr(contains("add --mode import"));
}

#[test]
fn export_prints_the_path_of_the_backup_and_nothing_else_to_stdout() {
    let directory = two_documents();
    program(&directory)
        .env("SOURCE_DATE_EPOCH", "1736937000")
        .args(["--mode", "export", "source", "target"])
        .assert()
        .code(0)
        .stdout("target/backup-20250115-103000\n")
        .stderr(machine_independent(concat!(
            "exported 2 documents in 1 collection to target/backup-20250115-103000\n",
            "everything was read back and found equal\n",
        )));
    // The report has the path as well, and stays JSON.
    let arguments = ["-q", "--mode", "export", "source", "other", "--report", "-"];
    let output = program(&directory).args(arguments).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = report["target"]["path"].as_str().unwrap();
    assert!(path.starts_with("other/backup-"), "{path}");
    program(&directory)
        .env("SOURCE_DATE_EPOCH", "1736937000")
        .args(["-q", "--mode", "export", "source", "--no-validate"])
        .assert()
        .code(0)
        .stdout("source/backups/backup-20250115-103000\n")
        .stderr(is_empty());
    program(&directory)
        .args([
            "--mode",
            "export",
            "source",
            "target",
            "--collection",
            "user",
        ])
        .assert()
        .code(4)
        .stdout(is_empty())
        .stderr(starts_with(
            "error[LM0110]: --collection names no collection: \"user\"",
        ));
}

#[test]
fn rollback_says_what_it_did_and_what_it_refuses() {
    let directory = two_documents();
    let before = tree(&directory.source());
    let rollback = || {
        let mut command = program(&directory);
        command.args(["--mode", "rollback", "source"]);
        command
    };
    program(&directory)
        .env("SOURCE_DATE_EPOCH", "1736937000")
        .args(["source", "--backup-dir=kept"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(contains("the backup is in kept/backup-20250115-103000\n"));
    let v2 = fs::read(directory.source().join("data.db")).unwrap();
    fs::write(directory.source().join("data.db"), [&v2[..], &[0]].concat()).unwrap();
    rollback()
        .assert()
        .code(5)
        .stdout(is_empty())
        .stderr(starts_with(
            "error[LM0911]: v2 was written to since it was published",
        ));
    fs::write(directory.source().join("data.db"), v2).unwrap();
    rollback()
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr("rolled back: source is in format 1.0 again\n");
    assert_same_tree(&before, &tree(&directory.source()));
    rollback()
        .assert()
        .code(0)
        .stderr("nothing to roll back: source is in format 1.0\n");
}

#[test]
fn options_that_mean_nothing_for_a_mode_are_refused() {
    let directory = two_documents();
    for (mode, option) in [
        ("export", "--restart"),
        ("export", "--backup"),
        ("export", "--sample=0.5"),
        ("rollback", "--rename=a=b"),
        ("rollback", "--collection=a"),
        ("status", "--backup-dir=x"),
    ] {
        let name = option.split('=').next().unwrap();
        let sentence = format!("{name} means nothing with --mode {mode}");
        program(&directory)
            .args(["--mode", mode, "source", option])
            .assert()
            .code(2)
            .stdout(is_empty())
            .stderr(contains(sentence).and(contains("hint: leave it out")));
    }
}

#[test]
fn validate_says_what_it_has_found_and_exits_by_it() {
    let directory = two_documents();
    program(&directory)
        .args(["source", "target"])
        .assert()
        .code(0);
    program(&directory)
        .args(["--mode", "validate", "source", "target"])
        .assert()
        .code(0)
        .stdout(is_empty())
        .stderr(machine_independent(concat!(
            "source: v1, 2 documents in 1 collection, 3 indexes\n",
            "target: v2, 2 documents in 1 collection, 3 indexes, still exactly as published\n",
            "source and target are equal: 2 documents in 1 collection, 3 indexes\n",
        )));
    let snapshot = directory.source().join("snapshot.json");
    let text = fs::read_to_string(&snapshot).unwrap();
    fs::write(&snapshot, text.replace("\"n\":2", "\"n\":3")).unwrap();
    program(&directory)
        .args(["--mode=validate", "target", "source"])
        .assert()
        .code(3)
        .stdout(is_empty())
        .stderr(
            contains("found[LM0718]: the documents differ: field \"n\" is ")
                .and(contains("target and source differ: 1 difference\n")),
        );
    let data = directory.target().join("data.db");
    let mut bytes = fs::read(&data).unwrap();
    bytes[5000] ^= 1;
    fs::write(&data, bytes).unwrap();
    program(&directory)
        .args(["--mode=validate", "target"])
        .assert()
        .code(3)
        .stderr(
            contains("target/data.db, page 1").and(contains("target is damaged: 2 problems\n")),
        );
    program(&directory)
        .args(["--mode=validate", "target", "--force"])
        .assert()
        .code(2)
        .stderr(contains("--force means nothing with --mode validate"));
    program(&directory)
        .args(["source", "other", "--temp-dir", "/tmp"])
        .assert()
        .code(2)
        .stderr(contains("--temp-dir means nothing with --mode auto"));
}
