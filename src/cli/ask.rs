//! Questions that are answered on stdout, without a directory.

use super::Arguments;
use crate::error::explain;
use crate::report::json::SCHEMA;
use crate::{Code, Error, Result};
use clap::{CommandFactory as _, ValueEnum};

/// Shells that options can be completed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The text that the arguments ask for, if they ask for one instead of a run.
///
/// # Errors
/// [`Code::UnknownErrorId`].
pub fn answer(arguments: &Arguments) -> Result<Option<String>> {
    if let Some(id) = &arguments.explain {
        return explained(id).map(Some);
    }
    if arguments.report_schema {
        return Ok(Some(SCHEMA.to_owned()));
    }
    Ok(arguments.completions.map(completions))
}

/// The long story of an error id, in any case and with or without its letters.
fn explained(id: &str) -> Result<String> {
    let wanted = id.trim().to_ascii_uppercase();
    let digits = wanted.strip_prefix("LM").unwrap_or(&wanted);
    let mut known = Code::ALL.iter().copied();
    let code = known.find(|code| digits.parse() == Ok(*code as u16));
    code.map(explain::story).ok_or_else(|| {
        Error::new(Code::UnknownErrorId, format!("{id:?} is no error id"))
            .hint("write it as it was shown, like LM0301; the man page lists them all")
    })
}

fn completions(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut command = Arguments::command();
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut command, "laura-migrate", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
