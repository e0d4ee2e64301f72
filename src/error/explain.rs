//! The long story of each error id: what it means, what the tool did, what to do.
//!
//! What the tool did follows from the exit code in most cases; the stories that differ say it
//! themselves. The man page is checked against [`story`].

use super::stories::{STORIES, Story};
use super::{Code, ExitCode};
use std::fmt::Write as _;

/// The story of a code as `--explain` prints it.
#[must_use]
pub fn story(code: Code) -> String {
    let mut text = format!("{}: {}\n", code.id(), code.title());
    // Writing to a String cannot fail.
    if let Some(story) = find(code) {
        let _ = writeln!(text, "\n{}", wrapped(story.means));
        let _ = writeln!(text, "\nWhat the tool did: {}", what_it_did(code));
        let _ = writeln!(text, "\nWhat to do: {}\n", wrapped(story.remedy));
    }
    let _ = match code.exit_code() {
        ExitCode::Done => writeln!(text, "A warning: it leaves the exit code as it is."),
        exit => writeln!(text, "Exit code: {}", exit as u8),
    };
    wrap_lines(&text)
}

fn find(code: Code) -> Option<&'static Story> {
    STORIES
        .iter()
        .copied()
        .flatten()
        .find(|story| story.code == code)
}

/// The literals of the table run over several lines of source; a blank ends none of them.
fn wrapped(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lines of at most 80 columns.
fn wrap_lines(text: &str) -> String {
    const WIDTH: usize = 80;
    let mut wrapped = String::new();
    for line in text.lines() {
        let mut column = 0;
        for word in line.split_ascii_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > WIDTH {
                wrapped.push('\n');
                column = 0;
            }
            if column > 0 {
                wrapped.push(' ');
                column += 1;
            }
            wrapped.push_str(word);
            column += length;
        }
        wrapped.push('\n');
    }
    wrapped
}

/// What became of the run. Its exit code says it, but for what only validate finds.
fn what_it_did(code: Code) -> &'static str {
    match code as u16 {
        710..=722 => "it noted this, looked for more, and changed nothing: validate only reads.",
        _ => outcome(code.exit_code()),
    }
}

/// What an exit code says of the run.
fn outcome(exit: ExitCode) -> &'static str {
    match exit {
        ExitCode::Done => "it noted this and went on.",
        ExitCode::Quarantine => "it put the record into quarantine and went on.",
        ExitCode::Usage => "nothing. It stopped before it looked at any data.",
        ExitCode::Failed | ExitCode::Different => {
            "it stopped. If that was before publishing, what it had made is gone again and the \
             source is as it was; backups stay."
        }
        ExitCode::Source => {
            "it stopped before publishing. What it had made is gone again, and the source is as it \
             was."
        }
        ExitCode::InTheWay => {
            "it stopped rather than touch what is there. Work of an interrupted run is kept where \
             source and options only have to be put right."
        }
        ExitCode::NoSpace => "nothing. It stopped before it wrote the first byte.",
        ExitCode::Locked => "nothing. It stopped before it read or wrote any data.",
        ExitCode::Interrupted => {
            "it stopped and kept what was done so far, if there was a checkpoint. The same command \
             goes on from there."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_story_once_and_in_order() {
        let told: Vec<Code> = STORIES
            .iter()
            .copied()
            .flatten()
            .map(|story| story.code)
            .collect();
        assert_eq!(told, Code::ALL);
    }

    #[test]
    fn a_story_fits_a_terminal_and_says_what_to_do() {
        for code in Code::ALL {
            let story = story(*code);
            assert!(story.starts_with(&code.id()), "{story}");
            assert!(story.contains("\nWhat to do: "), "{story}");
            assert!(story.lines().all(|line| line.chars().count() <= 80));
        }
    }
}
