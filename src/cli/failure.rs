//! Errors on stderr, in the form that the log has, and the command lines that are refused.

use super::environment::variable;
use super::log::head;
use super::render::{render_error, typed_command};
use super::{Arguments, LogFormat, Outputs};
use crate::options::Mode;
use crate::report::Report;
use crate::report::problem::Problem;
use crate::report::run::{RunReport, RunStart};
use crate::{Code, Error};
use clap::{CommandFactory as _, ValueEnum};
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// An error as stderr gets it where the log does not tell of it: for people, or as one JSON object.
/// `go_on` is the command that goes on with the work.
#[must_use]
pub fn tell_error(
    error: &Error,
    format: LogFormat,
    start: &RunStart,
    go_on: Option<&str>,
) -> String {
    if format == LogFormat::Text {
        let go_on = go_on.map(|command| format!("  to go on: {command}\n"));
        return render_error(error) + &go_on.unwrap_or_default();
    }
    let mut problem = Problem::of_error(error);
    let causes = std::mem::take(&mut problem.causes).join(": ");
    let mut line = head("error", start.id(), &problem.message);
    if let Ok(Value::Object(fields)) = serde_json::to_value(&problem) {
        line.extend(fields);
    }
    if !causes.is_empty() {
        line.insert("causes".to_owned(), causes.into());
    }
    if let Some(command) = go_on {
        line.insert("to_go_on".to_owned(), command.into());
    }
    format!("{}\n", Value::Object(line))
}

/// The command that was typed, if typing it again goes on after this error.
#[must_use]
pub fn command_to_go_on(error: &Error, mode: Mode) -> Option<String> {
    let goes_on = match error.code() {
        Code::Cancelled | Code::NoSpaceLeft | Code::PublishInterrupted => true,
        // Every other mode is refused until the rollback is finished.
        Code::RollbackInterrupted => mode == Mode::Rollback,
        // Nothing that this command could finish.
        _ => false,
    };
    (goes_on && !is_from_damaged_journal(error)).then(typed_command)
}

/// Somebody has to mend the directory first: any command meets the same again.
fn is_from_damaged_journal(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let known = error.downcast_ref::<Error>();
        if known.is_some_and(|error| error.code() == Code::JournalDamaged) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a command line that is refused wants done about that, as far as it can be told.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// How errors are written.
    pub log_format: LogFormat,
    mode: Mode,
    source: PathBuf,
    target: Option<PathBuf>,
    report: Option<PathBuf>,
    metrics: Option<PathBuf>,
}

impl Wishes {
    /// Those of the typed words, the program's name first, and of the environment.
    #[must_use]
    pub fn of(words: &[OsString], environment: impl Fn(&str) -> Option<OsString>) -> Self {
        let value = |long: &str| {
            let set = || environment(&variable(long)).filter(|value| !value.is_empty());
            typed(words, long).or_else(set)
        };
        let (source, target) = directories(words);
        let is_typed = |word: &str| words.iter().any(|typed| typed == word);
        Self {
            log_format: named(value("log-format")).unwrap_or_default(),
            mode: match named(value("mode")) {
                None | Some(Mode::Auto) if is_typed("--dry-run") => Mode::DryRun,
                mode => mode.unwrap_or_default(),
            },
            source: source.unwrap_or_default(),
            target,
            report: value("report").map(PathBuf::from),
            metrics: value("metrics-file").map(PathBuf::from),
        }
    }

    /// Where report and metrics go; nowhere if they cannot go where they were wanted.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        Outputs::named(self.report.as_deref(), self.metrics.as_deref()).unwrap_or_default()
    }

    /// The report of a run that did not start.
    #[must_use]
    pub fn report(&self, error: &Error, start: &RunStart) -> Report {
        let run = RunReport::of(start, &[], 0);
        let (source, target) = (self.source.clone(), self.target.clone());
        Report::failed(self.mode, source, target, error, run)
    }
}

fn named<V: ValueEnum>(value: Option<OsString>) -> Option<V> {
    V::from_str(value?.to_str()?, false).ok()
}

/// The last value that an option was typed with.
fn typed(words: &[OsString], long: &str) -> Option<OsString> {
    let option = format!("--{long}");
    let with_value = format!("{option}=");
    let mut found = None;
    let mut words = words.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == option.as_str() {
            found = words.next().cloned().or(found);
        } else if let Some(value) = word.as_bytes().strip_prefix(with_value.as_bytes()) {
            found = Some(OsString::from_vec(value.to_vec()));
        }
    }
    found
}

/// The two directories: what the parser finds if it takes any value, up to what it cannot place.
fn directories(words: &[OsString]) -> (Option<PathBuf>, Option<PathBuf>) {
    let command = Arguments::command()
        .ignore_errors(true)
        .mut_args(|argument| {
            let takes_values = argument.get_action().takes_values();
            let argument = argument.required(false);
            match takes_values {
                true => argument.value_parser(clap::value_parser!(OsString)),
                false => argument,
            }
        });
    let Ok(matches) = command.try_get_matches_from(words) else {
        return (None, None);
    };
    let path = |id: &str| matches.try_get_one::<OsString>(id).ok().flatten();
    let path = |id: &str| path(id).map(|path: &OsString| PathBuf::from(path));
    (path("source_dir"), path("target_dir"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(words: &[&str], environment: &[(&str, &str)]) -> Wishes {
        let words = std::iter::once("laura-migrate").chain(words.iter().copied());
        let words: Vec<_> = words.map(OsString::from).collect();
        Wishes::of(&words, |name| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(*value))
        })
    }

    #[test]
    fn wishes_are_found_around_what_does_not_parse() {
        let words = [
            "--jobs=0",
            "s",
            "--nothing",
            "--report",
            "r",
            "--log-format=json",
        ];
        let found = wishes(&words, &[("LAURA_MIGRATE_METRICS_FILE", "m.prom")]);
        assert_eq!(found.log_format, LogFormat::Json);
        assert_eq!(found.source, PathBuf::from("s"));
        assert_eq!(found.report, Some(PathBuf::from("r")));
        assert_eq!(found.metrics, Some(PathBuf::from("m.prom")));
        let found = wishes(&["s", "t", "--memory=x", "--dry-run"], &[]);
        assert_eq!((found.mode, found.target), (Mode::DryRun, Some("t".into())));
        let environment = [("LAURA_MIGRATE_LOG_FORMAT", "json")];
        assert_eq!(wishes(&[], &environment).log_format, LogFormat::Json);
        let typed = ["--log-format", "text", "--", "--report=r"];
        let found = wishes(&typed, &environment);
        assert_eq!((found.log_format, found.report), (LogFormat::Text, None));
    }

    #[test]
    fn the_typed_command_goes_on_only_where_it_can() {
        let goes_on = |code, mode| command_to_go_on(&Error::new(code, "x"), mode).is_some();
        assert!(goes_on(Code::Cancelled, Mode::Auto));
        assert!(goes_on(Code::NoSpaceLeft, Mode::Export));
        assert!(goes_on(Code::PublishInterrupted, Mode::Auto));
        assert!(goes_on(Code::RollbackInterrupted, Mode::Rollback));
        assert!(!goes_on(Code::RollbackInterrupted, Mode::Auto));
        assert!(!goes_on(Code::JournalDamaged, Mode::Auto));
        let cause = Error::new(Code::JournalDamaged, "y");
        let error = Error::new(Code::PublishInterrupted, "x").because(cause);
        assert_eq!(command_to_go_on(&error, Mode::Auto), None);
        for mode in [Mode::Auto, Mode::Validate, Mode::Export, Mode::Rollback] {
            assert!(!goes_on(Code::Publishing, mode), "{mode:?}");
        }
        assert!(!goes_on(Code::Io, Mode::Auto));
    }

    #[test]
    fn an_error_is_one_object_with_its_place_and_hint() {
        let place = crate::Place::page("data.db", 2).in_index("i").with_id("7");
        let error = Error::new(Code::PageDamaged, "bad").at(place);
        let error = error.because(std::io::Error::other("why")).hint("do");
        let start = RunStart::now();
        let text = tell_error(&error, LogFormat::Json, &start, Some("again"));
        let line: Value = serde_json::from_str(&text).unwrap();
        for (key, value) in [
            ("level", "error"),
            ("run", start.id()),
            ("message", "bad"),
            ("code", "LM0604"),
            ("file", "data.db"),
            ("index", "i"),
            ("id", "7"),
            ("causes", "why"),
            ("hint", "do"),
            ("to_go_on", "again"),
        ] {
            assert_eq!(line[key], value, "{text}");
        }
        assert_eq!(line["page"], 2);
        let text = tell_error(&error, LogFormat::Text, &start, Some("again"));
        assert!(text.ends_with("  hint: do\n  to go on: again\n"), "{text}");
    }
}
