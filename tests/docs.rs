//! README, man page, `--help` and the parser say the same.

#![allow(
    clippy::unwrap_used,
    reason = "what fails here fails the test by panicking"
)]

#[path = "../examples/man/page.rs"]
mod page;

use clap::CommandFactory as _;
use laura_migrate::ExitCode;
use laura_migrate::cli::Arguments;
use std::collections::{BTreeMap, BTreeSet};

const README: &str = include_str!("../README.md");
const MAN_PAGE: &str = include_str!("../man/laura-migrate.1");

/// Everything that shows commands to type.
const DOCUMENTS: [&str; 5] = [
    README,
    include_str!("../docs/migration-guide.md"),
    include_str!("../docs/operations.md"),
    include_str!("../docs/guarantees.md"),
    MAN_PAGE,
];

/// What can be returned.
const EXIT_CODES: [ExitCode; 10] = [
    ExitCode::Done,
    ExitCode::Failed,
    ExitCode::Usage,
    ExitCode::Different,
    ExitCode::Source,
    ExitCode::InTheWay,
    ExitCode::NoSpace,
    ExitCode::Locked,
    ExitCode::Interrupted,
    ExitCode::Quarantine,
];

/// The part of the README below a heading, up to the next one of the same rank.
fn section(heading: &str) -> &'static str {
    let start = README.find(&format!("\n## {heading}\n")).unwrap() + 1;
    let text = README.get(start..).unwrap();
    let end = text.find("\n## ").unwrap_or(text.len());
    text.get(..end).unwrap()
}

/// `--options` in a text, by their long names.
fn long_options(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    words
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// What the parser takes.
fn parsed_options() -> BTreeSet<String> {
    let mut command = Arguments::command();
    command.build();
    command
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect()
}

fn help() -> String {
    Arguments::command().render_long_help().to_string()
}

/// The first cells of a table's rows, if they are numbers, with the second ones.
fn numbered_rows(text: &str) -> BTreeMap<u8, String> {
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let number = cells.next()?.parse().ok()?;
        let meaning = cells.next()?.trim_end_matches(" |");
        Some((number, meaning.replace('`', "")))
    });
    rows.collect()
}

/// The exit codes at the end of `--help`.
fn helped_exit_codes() -> BTreeMap<u8, String> {
    let help = help();
    let (_, list) = help.split_once("Exit codes:\n").unwrap();
    let lines = list.lines().filter_map(|line| {
        let (number, meaning) = line.trim().split_once("  ")?;
        Some((number.parse().ok()?, meaning.to_owned()))
    });
    lines.collect()
}

#[test]
fn readme_help_and_parser_have_the_same_options() {
    let parsed = parsed_options();
    assert!(parsed.contains("skip-index") && parsed.contains("help"));
    assert_eq!(long_options(section("Options")), parsed, "README");
    assert_eq!(long_options(&help()), parsed, "--help");
}

#[test]
fn the_readme_names_no_option_that_does_not_exist() {
    // Those of cargo and of the generator.
    let others = [
        "locked",
        "release",
        "example",
        "path",
        "docs",
        "shape",
        "wal-ops",
        "wal-transactions",
    ];
    let known = parsed_options();
    let unknown: Vec<_> = long_options(README)
        .into_iter()
        .filter(|name| !known.contains(name) && !others.contains(&name.as_str()))
        .collect();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn the_options_of_the_readme_have_the_defaults_of_the_parser() {
    let command = Arguments::command();
    for argument in command.get_arguments() {
        let Some(long) = argument.get_long() else {
            continue;
        };
        let row = section("Options")
            .lines()
            .find(|line| line.starts_with(&format!("| `--{long}")));
        for default in argument.get_default_values() {
            let default = default.to_str().unwrap();
            if argument.get_action().takes_values() {
                assert!(row.unwrap().contains(default), "--{long}: {default}");
            }
        }
    }
}

#[test]
fn readme_and_help_list_the_exit_codes_that_there_are() {
    let readme = numbered_rows(section("Exit codes"));
    let there_are: BTreeSet<u8> = EXIT_CODES.iter().map(|code| *code as u8).collect();
    assert_eq!(readme.keys().copied().collect::<BTreeSet<_>>(), there_are);
    assert_eq!(readme, helped_exit_codes());
}

#[test]
fn every_error_ends_with_an_exit_code_of_the_readme() {
    let readme = numbered_rows(section("Exit codes"));
    for code in laura_migrate::Code::ALL {
        let exit = code.exit_code() as u8;
        assert!(readme.contains_key(&exit), "{}: {exit}", code.id());
    }
}

/// The part of the man page below a heading, up to the next one.
fn man_section(heading: &str) -> &'static str {
    let (_, rest) = MAN_PAGE.split_once(&format!("\n.Sh {heading}\n")).unwrap();
    rest.split_once("\n.Sh ")
        .map_or(rest, |(section, _)| section)
}

#[test]
fn the_lists_of_the_man_page_are_those_of_the_parser_and_the_error_table() {
    let renewed = page::renewed(MAN_PAGE);
    let old = MAN_PAGE.lines().find(|line| !renewed.contains(line));
    let new = renewed.lines().find(|line| !MAN_PAGE.contains(line));
    assert!(
        renewed == MAN_PAGE,
        "first line that goes: {old:?}, that comes: {new:?}; cargo run --locked --example man"
    );
    for code in laura_migrate::Code::ALL {
        let item = format!(".It {} ", code.id());
        assert!(man_section("DIAGNOSTICS").contains(&item), "{item}");
    }
}

/// The exit codes of the man page in the words of the README.
fn man_exit_codes() -> BTreeMap<u8, String> {
    let (list, _) = man_section("EXIT STATUS").split_once(".El\n").unwrap();
    let items = list.split(".It ").skip(1).map(|item| {
        let (number, meaning) = item.split_once('\n').unwrap();
        let meaning = meaning
            .replace(".Pa ", "")
            .replace(".Fl -", "--")
            .replace(" ,\n", ", ")
            .replace('\n', " ");
        let (first, rest) = meaning.trim().trim_end_matches('.').split_at(1);
        (number.parse().unwrap(), first.to_lowercase() + rest)
    });
    items.collect()
}

#[test]
fn the_man_page_names_every_option_exit_code_and_mode() {
    let options = man_section("OPTIONS").lines().filter_map(|line| {
        let (_, rest) = line.strip_prefix(".It ")?.split_once("Fl -")?;
        rest.split(' ').next().map(str::to_owned)
    });
    assert_eq!(options.collect::<BTreeSet<_>>(), parsed_options());
    let codes = man_section("EXIT STATUS").lines();
    let codes = codes.filter_map(|line| line.strip_prefix(".It ")?.parse::<u8>().ok());
    assert!(codes.eq(0..=9));
    assert_eq!(man_exit_codes(), numbered_rows(section("Exit codes")));
    let command = Arguments::command();
    let mode = command.get_arguments().find(|arg| arg.get_id() == "mode");
    for value in mode.unwrap().get_possible_values() {
        let item = format!(".It Cm {}\n", value.get_name());
        assert!(man_section("MODES").contains(&item), "{item}");
    }
}

#[test]
fn the_completion_scripts_are_those_of_the_parser() {
    for (shell, path) in page::COMPLETIONS {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let script = page::completions(shell).unwrap();
        assert!(
            std::fs::read_to_string(path).unwrap() == script,
            "{shell}: cargo run --locked --example man"
        );
        for option in parsed_options() {
            assert!(script.contains(&option), "{shell}: {option}");
        }
    }
}

/// The words of a command as a shell would make them, up to where another command or a redirection
/// begins. Variables stay as they are.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '|' | ';' | ')' | '>' | '&' | '#' | '`' | '\n') => break,
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The commands in the examples of a document: blocks of shell in Markdown, `.Dl` in a man page,
/// and what the program says is to be typed next.
fn shown_commands(document: &str) -> Vec<Vec<String>> {
    let document = document.replace("\\\n", " ");
    let mut in_block = false;
    let mut commands = Vec::new();
    for line in document.lines() {
        if line.starts_with("```") {
            in_block = line == "```sh" || line == "```text";
            continue;
        }
        let example = match line.strip_prefix(".Dl ") {
            Some(example) => example,
            None if in_block => line,
            None => continue,
        };
        let example = example.replace("cargo run --locked -- ", "laura-migrate ");
        let Some(at) = example.find("laura-migrate ") else {
            continue;
        };
        let starts = |c: char| c.is_whitespace() || c == '(';
        if at == 0 || example.get(..at).unwrap().ends_with(starts) {
            commands.push(words(example.get(at..).unwrap()));
        }
    }
    commands
}

#[test]
fn every_command_that_is_shown_is_taken_by_the_parser() {
    let mut count = 0;
    for command in DOCUMENTS.iter().flat_map(|text| shown_commands(text)) {
        let parsed = Arguments::from_words(command.iter().map(Into::into).collect(), |_| None);
        assert!(parsed.is_ok(), "{command:?}: {:?}", parsed.err());
        count += 1;
    }
    assert!(count >= 30, "{count}");
}

#[test]
fn what_cron_passes_over_in_silence_is_no_failure_for_the_alerts() {
    let cron = include_str!("../packaging/cron/laura-migrate-cron");
    let alerts = include_str!("../packaging/prometheus/alerts.yaml");
    let cases = cron.split("case $code in").nth(1).unwrap();
    let silent = cases.split(";;").filter(|case| case.contains("exit 0"));
    let codes: BTreeSet<u8> = silent
        .filter_map(|case| case.split_once(')'))
        .flat_map(|(codes, _)| codes.split('|'))
        .map(|code| code.trim().parse().unwrap())
        .collect();
    assert_eq!(codes, BTreeSet::from([0, 7, 8]));
    let failed = alerts.lines().find(|line| line.contains("success == 0"));
    for code in [7, 8] {
        let passed_over = format!("laura_migrate_exit_code != {code}");
        assert!(failed.unwrap().contains(&passed_over), "{code}");
        let for_long = format!("expr: laura_migrate_exit_code == {code}\n        for: 2h");
        assert!(alerts.contains(&for_long), "{code}");
    }
}
