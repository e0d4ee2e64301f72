//! The lists of the man page, in mdoc: what stands between a comment `begin LIST` and `end LIST`.

use clap::{Arg, CommandFactory as _};
use laura_migrate::cli::{Arguments, answer, variable};
use laura_migrate::{Code, error::explain};
use std::fmt::Write as _;

/// Shells, and where their scripts lie.
pub(crate) const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "packaging/completions/laura-migrate.bash"),
    ("zsh", "packaging/completions/_laura-migrate"),
    ("fish", "packaging/completions/laura-migrate.fish"),
];

/// The script of a shell.
pub(crate) fn completions(shell: &str) -> Result<String, Box<dyn std::error::Error>> {
    let words = ["laura-migrate", "--completions", shell].map(std::ffi::OsString::from);
    let arguments = Arguments::from_words(words.to_vec(), |_| None);
    let arguments = arguments.map_err(|error| format!("{error:?}"))?;
    Ok(answer(&arguments)?.unwrap_or_default())
}

/// The page with its lists made anew.
pub(crate) fn renewed(page: &str) -> String {
    let lists = [("options", options()), ("errors", errors())];
    lists.iter().fold(page.to_owned(), |page, (name, list)| {
        let (begin, end) = (
            format!(".\\\" begin {name}\n"),
            format!(".\\\" end {name}\n"),
        );
        let cut = page.split_once(&begin).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(&end)?;
            Some(format!("{before}{begin}{list}{end}{after}"))
        });
        cut.unwrap_or(page)
    })
}

fn options() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut text = String::new();
    let mut heading = None;
    for argument in command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some())
    {
        let found = argument.get_help_heading().unwrap_or("Help");
        if heading.replace(found) != Some(found) {
            close(&mut text);
            let _ = writeln!(text, ".Ss {found}\n.Bl -tag -width Ds");
        }
        option(&mut text, argument);
    }
    close(&mut text);
    text
}

fn close(text: &mut String) {
    if !text.is_empty() {
        text.push_str(".El\n");
    }
}

fn option(text: &mut String, argument: &Arg) {
    let long = argument.get_long().unwrap_or_default();
    let short = argument
        .get_short()
        .map_or(String::new(), |short| format!("Fl {short} , "));
    let takes = argument.get_action().takes_values();
    let names = argument.get_value_names().unwrap_or_default();
    let value = match (takes, names.first()) {
        (true, Some(name)) => format!(" Ar {name}"),
        _ => String::new(),
    };
    let _ = writeln!(text, ".It {short}Fl -{long}{value}");
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    for (number, paragraph) in help.split("\n\n").enumerate() {
        if number > 0 {
            text.push_str(".Pp\n");
        }
        let (paragraph, default) = match paragraph.split_once(" [default: ") {
            Some((paragraph, default)) => (paragraph, default.strip_suffix(']')),
            None => (paragraph, None),
        };
        let stop = if paragraph.ends_with('.') { "" } else { "." };
        let _ = writeln!(text, "{}{stop}", escaped(paragraph));
        if let Some(default) = default {
            let _ = writeln!(text, "The default is {}.", escaped(default));
        }
    }
    let values = argument.get_possible_values();
    if takes && values.iter().any(|value| value.get_help().is_some()) {
        text.push_str(".Bl -tag -width dry-run -compact\n");
        for value in values {
            let help = value
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(text, ".It Cm {}\n{}", value.get_name(), escaped(&help));
        }
        text.push_str(".El\n");
    } else if takes && !values.is_empty() {
        let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
        let _ = writeln!(text, "One of {}.", names.join(", "));
    }
    let defaults = argument.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
    if takes && !defaults.is_empty() {
        let _ = writeln!(text, "The default is {}.", defaults.join(" "));
    }
    let asks = ["help", "version", "explain", "completions", "report-schema"];
    if !asks.contains(&long) {
        let _ = writeln!(text, "Environment:\n.Ev {} .", variable(long));
    }
}

fn errors() -> String {
    let mut text = ".Bl -tag -width LM0000\n".to_owned();
    for code in Code::ALL {
        let story = explain::story(*code);
        let mut paragraphs = story.split("\n\n").skip(1);
        let means = paragraphs.next().unwrap_or_default().replace('\n', " ");
        let remedy = paragraphs.find_map(|each| each.strip_prefix("What to do: "));
        let remedy = remedy.unwrap_or_default().replace('\n', " ");
        let _ = writeln!(
            text,
            ".It {} Pq exit {}\n{}\n{}",
            code.id(),
            code.exit_code() as u8,
            escaped(&means),
            escaped(&remedy)
        );
    }
    text + ".El\n"
}

/// Text as mdoc takes it, a line for each sentence.
fn escaped(text: &str) -> String {
    let text = text
        .trim()
        .replace('`', "")
        .replace('\\', "\\e")
        .replace("--", "\\-\\-");
    let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.replace('…', "...").replace('≤', "<=");
    let lines = text
        .replace(". ", ".\n")
        .replace(": ", ":\n")
        .replace("; ", ";\n");
    let lines = lines.lines().flat_map(wrapped);
    let lines = lines.map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A sentence in lines of less than 80 columns.
fn wrapped(sentence: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() < 79 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
