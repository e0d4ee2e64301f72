//! Options from the environment: each `LAURA_MIGRATE_…` becomes an argument before the typed ones.
//!
//! ```text
//! LAURA_MIGRATE_MAX_TIME=2h           --max-time=2h
//! LAURA_MIGRATE_PROGRESS=1            --progress; 0 and the empty value are as if unset
//! LAURA_MIGRATE_RENAME='["a=b"]'      --rename=a=b, once for each string of the array
//! LAURA_MIGRATE_VERBOSE=2             -vv
//! ```
//!
//! Paths are taken byte for byte; any other value has to be UTF-8.
//!
//! What is typed wins. A value is passed over where its option means nothing, or where one was typed
//! that rules it out; so a container's settings do for every mode.

use super::Arguments;
use super::rules::{RULES, Scene};
use crate::options::{ImportFormat, Mode};
use crate::{Code, Error};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use clap::{ValueEnum, error::ErrorKind};
use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Why there are no arguments.
#[derive(Debug)]
pub enum ParseError {
    /// The parser's answer to a question: help, or the version.
    Answer(Box<clap::Error>),
    /// What is typed or set in the environment cannot be followed.
    Refused(Error),
}

impl From<clap::Error> for ParseError {
    fn from(error: clap::Error) -> Self {
        match error.use_stderr() {
            true => Self::Refused(not_parsed(&error)),
            false => Self::Answer(Box::new(error)),
        }
    }
}

/// What the parser says of the words, as one sentence, and its tips as the hint.
fn not_parsed(error: &clap::Error) -> Error {
    let text = error.to_string();
    let mut said = text.lines().map(str::trim);
    let sentence: Vec<_> = said.by_ref().take_while(|line| !line.is_empty()).collect();
    let sentence = sentence.join(" ");
    let tips: Vec<_> = said.filter_map(|line| line.strip_prefix("tip: ")).collect();
    let mut hint = tips.join("; ");
    if !hint.is_empty() {
        hint.push_str("; ");
    }
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    Error::new(Code::Usage, sentence).hint(hint + "laura-migrate --help tells all options")
}

impl From<Error> for ParseError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// The environment variable of an option, by its long name.
#[must_use]
pub fn variable(long: &str) -> String {
    format!(
        "LAURA_MIGRATE_{}",
        long.to_ascii_uppercase().replace('-', "_")
    )
}

impl Arguments {
    /// The arguments of a command line, its program's name first, and of the environment.
    ///
    /// # Errors
    /// What is typed does not parse or means nothing in the mode, or a value of the environment
    /// that is used does not parse.
    pub fn from_words(
        words: Vec<OsString>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ParseError> {
        let mut command = Self::command();
        command.build();
        let typed = command.clone().try_get_matches_from(&words)?;
        let arguments = Self::from_arg_matches(&typed)?;
        if arguments.only_asks() {
            return Ok(arguments);
        }
        let mut scene = Scene {
            has_target: arguments.target_dir.is_some(),
            to: ImportFormat::default(),
            mode: value_of("mode", arguments.mode, &typed, &environment)?,
        };
        if arguments.dry_run || is_set(&environment, "dry-run") {
            scene.mode = dry(scene.mode);
        }
        if scene.mode == Mode::Import {
            let to = arguments.to.unwrap_or_default();
            scene.to = value_of("to", to, &typed, &environment)?;
        }
        let scene = scene;
        let is_typed = |argument: &Arg| {
            typed.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let mut from_environment = Vec::new();
        for rule in RULES {
            let Some(argument) = find(&command, rule.name) else {
                continue;
            };
            if is_typed(argument) && !rule.applies(scene) {
                return Err(rule.refusal(scene).into());
            }
            let ruled_out = command.get_arguments().any(|other| {
                is_typed(other)
                    && (other.get_id() == argument.get_id() || conflict(&command, other, argument))
            });
            let variable = variable(rule.name);
            let value = environment(&variable).filter(|value| !is_blank(value));
            if let Some(value) = value.filter(|_| rule.applies(scene) && !ruled_out) {
                from_environment.extend(as_words(argument, rule.name, &variable, &value)?);
                check(&command, &words, &from_environment, &variable, &value)?;
            }
        }
        let matches = command.try_get_matches_from(joined(&words, &from_environment))?;
        let mut arguments = Self::from_arg_matches(&matches)?;
        if arguments.dry_run {
            arguments.mode = dry(arguments.mode);
        }
        Ok(arguments)
    }

    /// True where the arguments ask for a text instead of a run.
    fn only_asks(&self) -> bool {
        self.explain.is_some() || self.completions.is_some() || self.report_schema
    }
}

/// The mode with --dry-run.
fn dry(mode: Mode) -> Mode {
    match mode {
        Mode::Auto => Mode::DryRun,
        other => other,
    }
}

/// True of the empty value, which is as if unset.
fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

/// True if the environment sets an option that takes no value.
fn is_set(environment: impl Fn(&str) -> Option<OsString>, long: &str) -> bool {
    let value = environment(&variable(long)).unwrap_or_default();
    matches!(
        value.to_string_lossy().trim().to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on"
    )
}

fn find<'c>(command: &'c Command, long: &str) -> Option<&'c Arg> {
    command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(long))
}

fn conflict(command: &Command, one: &Arg, other: &Arg) -> bool {
    let rules_out = |one: &Arg, other: &Arg| {
        let conflicts = command.get_arg_conflicts_with(one);
        conflicts.iter().any(|arg| arg.get_id() == other.get_id())
    };
    rules_out(one, other) || rules_out(other, one)
}

/// What decides which of the rest of the environment counts, such as the mode, comes first.
fn value_of<V: ValueEnum>(
    long: &str,
    parsed: V,
    typed: &ArgMatches,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<V, Error> {
    let variable = variable(long);
    let value = environment(&variable).filter(|value| !is_blank(value));
    match value {
        Some(value) if typed.value_source(long) != Some(ValueSource::CommandLine) => {
            let text = utf8(&variable, &value)?;
            let problem = format!("no value of --{long}");
            V::from_str(text, false).map_err(|_| wrong(&variable, &value, &problem))
        }
        _ => Ok(parsed),
    }
}

/// The value of a variable that is no path.
pub(super) fn utf8<'v>(variable: &str, value: &'v OsStr) -> Result<&'v str, Error> {
    value
        .to_str()
        .ok_or_else(|| wrong(variable, value, "which is no UTF-8"))
}

fn wrong(variable: &str, value: impl AsRef<OsStr>, problem: &str) -> Error {
    let value = value.as_ref();
    let sentence = format!("the environment variable {variable} is {value:?}, {problem}");
    Error::new(Code::Usage, sentence).hint("correct or unset it; --help tells what it may be")
}

/// The value as it would be typed.
fn as_words(
    argument: &Arg,
    long: &str,
    variable: &str,
    value: &OsStr,
) -> Result<Vec<OsString>, Error> {
    if argument.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
        let mut word = OsString::from(format!("--{long}="));
        word.push(value);
        return Ok(vec![word]);
    }
    let value = utf8(variable, value)?;
    let words = match argument.get_action() {
        ArgAction::SetTrue => match value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => vec![format!("--{long}")],
            "0" | "false" | "no" | "off" => Vec::new(),
            _ => return Err(wrong(variable, value, "neither 1 nor 0")),
        },
        ArgAction::Count => {
            let count = value.trim().parse::<u8>();
            let count = count.map_err(|_| wrong(variable, value, "no small number"))?;
            vec![format!("--{long}"); usize::from(count)]
        }
        ArgAction::Append => {
            let items = serde_json::from_str::<Vec<String>>(value).map_err(|error| {
                wrong(variable, value, "no JSON array of strings").because(error)
            })?;
            items
                .into_iter()
                .map(|item| format!("--{long}={item}"))
                .collect()
        }
        _ => vec![format!("--{long}={value}")],
    };
    Ok(words.into_iter().map(OsString::from).collect())
}

/// The typed words with those of the environment before them.
fn joined(words: &[OsString], from_environment: &[OsString]) -> Vec<OsString> {
    let (program, typed) = words.split_at(words.len().min(1));
    [program, from_environment, typed].concat()
}

/// Fails, naming the variable, if the words do not parse any more with it.
fn check(
    command: &Command,
    words: &[OsString],
    from_environment: &[OsString],
    variable: &str,
    value: &OsStr,
) -> Result<(), Error> {
    match command
        .clone()
        .try_get_matches_from(joined(words, from_environment))
    {
        Ok(_) => Ok(()),
        Err(error) => {
            let problem = match error.kind() {
                ErrorKind::ArgumentConflict => "which another of its options rules out",
                _ => "which the option does not take",
            };
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            let said = line.strip_prefix("error: ").unwrap_or(line).to_owned();
            Err(wrong(variable, value, problem).because(said))
        }
    }
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
