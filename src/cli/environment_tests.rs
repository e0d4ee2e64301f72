//! Typed words, environment, and where an option means nothing.

use super::*;
use crate::cli::resolve;
use crate::options::Verification;
use std::collections::BTreeSet;

fn parse(words: &[&str], environment: &[(&str, &str)]) -> Result<Arguments, ParseError> {
    let words = std::iter::once("laura-migrate").chain(words.iter().copied());
    Arguments::from_words(words.map(OsString::from).collect(), |name| {
        let found = environment.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(*value))
    })
}

#[track_caller]
fn parsed(words: &[&str], environment: &[(&str, &str)]) -> Arguments {
    parse(words, environment).unwrap()
}

#[track_caller]
fn refused(words: &[&str], environment: &[(&str, &str)]) -> Error {
    match parse(words, environment).unwrap_err() {
        ParseError::Refused(error) => error,
        ParseError::Answer(error) => panic!("{error}"),
    }
}

#[test]
fn every_option_of_the_parser_has_one_rule() {
    let mut command = Arguments::command();
    command.build();
    let asking = ["help", "version", "explain", "completions", "report-schema"];
    let options: Vec<&str> = command
        .get_arguments()
        .filter_map(Arg::get_long)
        .filter(|long| !asking.contains(long))
        .collect();
    let ruled: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|&n| n.into()).collect() };
    assert_eq!(set(&options), set(&ruled));
    assert_eq!(ruled.len(), set(&ruled).len());
}

#[test]
fn an_option_that_is_refused_says_what_to_do_instead() {
    for rule in RULES {
        for mode in Mode::value_variants().iter().copied() {
            let formats = ImportFormat::value_variants().iter().copied();
            for (has_target, to) in [false, true]
                .into_iter()
                .flat_map(|has_target| formats.clone().map(move |to| (has_target, to)))
            {
                let scene = Scene {
                    mode,
                    has_target,
                    to,
                };
                if !rule.applies(scene) {
                    let error = rule.refusal(scene);
                    assert!(error.sentence().contains(rule.name));
                    assert!(error.hint_text().is_some_and(|hint| hint.len() > 20));
                }
            }
        }
    }
}

#[test]
fn every_kind_of_option_comes_from_the_environment() {
    let environment = [
        ("LAURA_MIGRATE_MAX_TIME", "2h"),
        ("LAURA_MIGRATE_PROGRESS", "1"),
        ("LAURA_MIGRATE_RESTART", "no"),
        ("LAURA_MIGRATE_RENAME", r#"["a=b","b=a"]"#),
        ("LAURA_MIGRATE_VERBOSE", "2"),
        ("LAURA_MIGRATE_JOBS", "3"),
        ("LAURA_MIGRATE_SNAPSHOT", ""),
        ("LAURA_MIGRATE_SAMPLE", "0.5"),
        ("LAURA_MIGRATE_NOTHING", "x"),
    ];
    let arguments = parsed(&["source"], &environment);
    assert_eq!(arguments.max_time.as_deref(), Some("2h"));
    assert!(arguments.progress && !arguments.restart);
    assert_eq!(arguments.rename, ["a=b", "b=a"]);
    assert_eq!((arguments.verbose, arguments.jobs), (2, Some(3)));
    assert_eq!(arguments.snapshot, None);
    let options = resolve(&arguments, |_| None).unwrap();
    assert_eq!(options.verification, Verification::Sample(0.5));
}

#[test]
fn what_is_typed_wins() {
    let environment = [
        ("LAURA_MIGRATE_JOBS", "3"),
        ("LAURA_MIGRATE_RENAME", r#"["a=b"]"#),
        ("LAURA_MIGRATE_NO_VALIDATE", "1"),
        ("LAURA_MIGRATE_QUIET", "1"),
    ];
    let typed = ["source", "--jobs=2", "--rename=c=d", "--validate", "-v"];
    let arguments = parsed(&typed, &environment);
    assert_eq!(arguments.jobs, Some(2));
    assert_eq!(arguments.rename, ["c=d"]);
    assert!(!arguments.no_validate && !arguments.quiet);
    let arguments = parsed(&["source", "--sample=0.1"], &environment);
    assert!(!arguments.no_validate, "typed --sample rules it out");
}

#[test]
fn what_means_nothing_is_passed_over_in_the_environment_and_refused_when_typed() {
    let environment = [
        ("LAURA_MIGRATE_JOBS", "not even a number"),
        ("LAURA_MIGRATE_FORCE", "1"),
    ];
    let status = ["source", "--mode=status"];
    assert_eq!(parsed(&status, &environment).jobs, None);
    assert!(!parsed(&["source"], &environment[1..]).force);
    assert!(parsed(&["source", "target"], &environment[1..]).force);
    let error = refused(&["source", "--mode=status", "--batch-size=5"], &[]);
    assert_eq!(
        error.sentence(),
        "--batch-size means nothing with --mode status"
    );
    let error = refused(&["source", "--force"], &[]);
    assert_eq!(
        error.sentence(),
        "--force means nothing with --mode auto without a TARGET_DIR"
    );
}

#[test]
fn the_mode_of_the_environment_decides_too() {
    let environment = [("LAURA_MIGRATE_MODE", "status")];
    assert_eq!(parsed(&["source"], &environment).mode, Mode::Status);
    assert_eq!(
        parsed(&["source", "--mode=auto"], &environment).mode,
        Mode::Auto
    );
    let error = refused(&["source", "--jobs=2"], &environment);
    assert!(error.sentence().contains("--mode status"), "{error}");
    refused(&["source"], &[("LAURA_MIGRATE_MODE", "sideways")]);
}

#[test]
fn what_an_import_writes_decides_too() {
    let import = ["backup", "target", "--mode=import", "--jobs=2"];
    assert_eq!(parsed(&import, &[]).jobs, Some(2));
    let to_v1 = [("LAURA_MIGRATE_TO", "1.0")];
    let error = refused(&import, &to_v1);
    assert_eq!(
        error.sentence(),
        "--jobs means nothing with --mode import --to 1.0"
    );
    let typed = [&import[..], &["--to=2.0"]].concat();
    assert_eq!(parsed(&typed, &to_v1).jobs, Some(2));
    assert_eq!(parsed(&["source", "--jobs=2"], &to_v1).jobs, Some(2));
    for option in ["--force", "--sample=0.5", "--infer-types=none"] {
        let typed = ["backup", "target", "--mode=import", "--to=1.0", option];
        assert!(refused(&typed, &[]).sentence().ends_with(" --to 1.0"));
    }
    let error = refused(&["backup", "target", "--mode=import", "--snapshot=x"], &[]);
    assert!(error.hint_text().unwrap().contains("name it as the source"));
    for option in ["--rename=a=b", "--restart", "--infer-types=none", "--force"] {
        parsed(&["backup", "target", "--mode=import", option], &[]);
    }
}

#[test]
fn a_wrong_value_of_the_environment_is_named() {
    for (variable, value) in [
        ("LAURA_MIGRATE_JOBS", "many"),
        ("LAURA_MIGRATE_PROGRESS", "maybe"),
        ("LAURA_MIGRATE_RENAME", "a=b"),
        ("LAURA_MIGRATE_VERBOSE", "-1"),
        ("LAURA_MIGRATE_LOG_FORMAT", "xml"),
    ] {
        let error = refused(&["source"], &[(variable, value)]);
        assert_eq!(error.code(), Code::Usage);
        assert!(error.sentence().contains(variable), "{error}");
    }
    let both = [
        ("LAURA_MIGRATE_NO_VALIDATE", "1"),
        ("LAURA_MIGRATE_SAMPLE", "0.5"),
    ];
    let error = refused(&["source"], &both);
    assert!(error.sentence().contains("rules out"), "{error}");
}

#[test]
fn questions_need_no_directory_and_look_at_no_environment() {
    let environment = [("LAURA_MIGRATE_JOBS", "many")];
    let asked = parsed(&["--explain", "LM0301"], &environment);
    assert_eq!(asked.explain.as_deref(), Some("LM0301"));
    assert!(parsed(&["--report-schema"], &environment).report_schema);
    for words in [["--help"], ["--version"]] {
        let answer = parse(&words, &environment);
        assert!(matches!(answer, Err(ParseError::Answer(_))), "{words:?}");
    }
}

#[test]
fn what_does_not_parse_is_an_error_with_an_id_and_a_hint() {
    for (words, said, hint) in [
        (
            &[][..],
            "required arguments were not provided: <SOURCE_DIR>",
            "--help",
        ),
        (
            &["s", "--jobs=0"],
            "invalid value '0' for '--jobs <N>'",
            "--help",
        ),
        (
            &["s", "--log-format=xml"],
            "[possible values: text, json]",
            "--help",
        ),
        (
            &["s", "--validate", "--no-validate"],
            "'--validate' cannot be used with '--no-validate'",
            "--help",
        ),
        (&["s", "--reporrt=x"], "'--reporrt'", "'--report'"),
    ] {
        let error = refused(words, &[]);
        assert_eq!(error.code(), Code::Usage);
        assert!(error.sentence().contains(said), "{error}");
        assert!(!error.sentence().starts_with("error"), "{error}");
        assert!(error.hint_text().unwrap().contains(hint), "{error}");
    }
}

#[test]
fn a_path_of_the_environment_is_taken_as_it_is_and_no_other_value_is_passed_over() {
    use std::os::unix::ffi::OsStringExt as _;
    let of = |variable: &'static str, words: &[&str]| {
        let words = std::iter::once("laura-migrate").chain(words.iter().copied());
        Arguments::from_words(words.map(OsString::from).collect(), |name| {
            (name == variable).then(|| OsString::from_vec(b"x\xff".to_vec()))
        })
    };
    let path = Some(PathBuf::from(OsString::from_vec(b"x\xff".to_vec())));
    let source = ["source"];
    let arguments = of("LAURA_MIGRATE_SNAPSHOT", &source).unwrap();
    assert_eq!(arguments.snapshot, path);
    let arguments = of("LAURA_MIGRATE_BACKUP_DIR", &source).unwrap();
    assert_eq!(arguments.backup_dir, path);
    let arguments = of("LAURA_MIGRATE_REPORT", &source).unwrap();
    assert_eq!(arguments.report, path);
    for option in ["JOBS", "RENAME", "MODE", "PROGRESS", "DRY_RUN", "MEMORY"] {
        let variable = format!("LAURA_MIGRATE_{option}").leak();
        match of(variable, &source).unwrap_err() {
            ParseError::Refused(error) => {
                assert_eq!(error.code(), Code::Usage);
                assert!(error.sentence().contains(&*variable), "{error}");
            }
            ParseError::Answer(error) => panic!("{error}"),
        }
    }
    let status = ["source", "--mode=status"];
    assert_eq!(of("LAURA_MIGRATE_JOBS", &status).unwrap().jobs, None);
    let arguments = parsed(&source, &[]);
    let error = resolve(&arguments, |_| Some(OsString::from_vec(vec![0xff]))).unwrap_err();
    assert!(error.sentence().contains("SOURCE_DATE_EPOCH"), "{error}");
}
