//! The `laura-migrate` command: arguments in, exit code out.

use laura_migrate::cli::{
    Arguments, LogFormat, Outputs, ParseError, ProgressBars, Signals, Wishes, answer,
    command_to_go_on, log_outcome, render_report, render_warnings, resolve, start_logging,
    tell_error,
};
use laura_migrate::options::Mode;
use laura_migrate::report::Report;
use laura_migrate::report::run::{Recorder, RunStart};
use laura_migrate::{Code, Error, ExitCode, Interrupt, Migration, Place, Result};
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

fn main() -> std::process::ExitCode {
    let start = RunStart::now();
    // First of all: until then, SIGUSR1 ends the process.
    let signals = Signals::install();
    let words: Vec<_> = std::env::args_os().collect();
    let arguments = match Arguments::from_words(words.clone(), variable) {
        Ok(arguments) => arguments,
        Err(ParseError::Answer(error)) => error.exit(),
        Err(ParseError::Refused(error)) => return ended(refused(&words, &error, &start)),
    };
    let format = arguments.log_format;
    let mut screen = ProgressBars::new(arguments.progress && !arguments.quiet, format);
    let result = signals.map_err(Into::into).and_then(|signals| {
        screen.show_when_asked(signals.progress_requested);
        run(&arguments, &mut screen, signals.interrupt, &start)
    });
    ended(result.unwrap_or_else(|error| {
        let error = known(error);
        screen.finish(false);
        let go_on = command_to_go_on(&error, arguments.mode);
        say(
            &mut screen,
            &tell_error(&error, format, &start, go_on.as_deref()),
        );
        error.exit_code()
    }))
}

fn ended(code: ExitCode) -> std::process::ExitCode {
    std::process::ExitCode::from(code as u8)
}

/// What ended the run, as the library tells it.
fn known(error: anyhow::Error) -> Error {
    let unknown = |error: anyhow::Error| Error::new(Code::Internal, format!("{error:#}"));
    error.downcast().unwrap_or_else(unknown)
}

/// Says what is wrong with the command line, in the form and the files that it asks for.
fn refused(words: &[OsString], error: &Error, start: &RunStart) -> ExitCode {
    let wishes = Wishes::of(words, variable);
    let mut screen = ProgressBars::new(false, wishes.log_format);
    let failed = wishes.outputs().write(&wishes.report(error, start));
    for error in std::iter::once(error).chain(&failed) {
        say(
            &mut screen,
            &tell_error(error, wishes.log_format, start, None),
        );
    }
    error.exit_code()
}

/// Where stderr is closed, the exit code has to say it all.
fn say(screen: &mut ProgressBars, text: &str) {
    let _ = screen.write_all(text.as_bytes());
}

fn run(
    arguments: &Arguments,
    screen: &mut ProgressBars,
    interrupt: Interrupt,
    start: &RunStart,
) -> anyhow::Result<ExitCode> {
    if let Some(text) = answer(arguments)? {
        return Ok(on_stdout(&text)?);
    }
    let outputs = Outputs::of(arguments)?;
    start_logging(arguments, screen, start)?;
    if arguments.mode == Mode::Status {
        let options = resolve(arguments, variable)?;
        return Ok(on_stdout(&Migration::new(options).status()?.render())?);
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        mode = arguments.mode.name(),
        "run started"
    );
    let mut recorder = Recorder::new(screen);
    let result = resolve(arguments, variable).and_then(|options| {
        let migration = Migration::new(options).with_interrupt(interrupt);
        migration.with_start(start.clone()).run(&mut recorder)
    });
    let failure = recorder.failed(start);
    screen.finish(result.is_ok());
    let (report, error) = match result {
        Ok(report) => (report, None),
        Err(error) => {
            let source = arguments.source_dir.clone().unwrap_or_default();
            let target = arguments.target_dir.clone();
            let report = Report::failed(arguments.mode, source, target, &error, failure);
            (report, Some(error))
        }
    };
    for error in outputs.write(&report) {
        let text = tell_error(&error, arguments.log_format, start, None);
        say(screen, &text);
    }
    let go_on = error.as_ref();
    let go_on = go_on.and_then(|error| command_to_go_on(error, arguments.mode));
    log_outcome(&report, go_on.as_deref());
    // The report has the path as well.
    if arguments.mode == Mode::Export && error.is_none() && !outputs.use_stdout() {
        print_path(&report.target)?;
    }
    // The report of a dry run is what was asked for.
    let is_asked_for = arguments.mode == Mode::DryRun && !outputs.use_stdout();
    if is_asked_for {
        on_stdout(&render_report(&report))?;
    }
    if arguments.log_format == LogFormat::Json {
        return Ok(report.exit_code());
    }
    if let Some(error) = error {
        return Err(error.into());
    }
    if !arguments.quiet {
        say(screen, &render_warnings(&report));
    }
    if !arguments.quiet && !is_asked_for {
        say(screen, &render_report(&report));
    }
    Ok(report.exit_code())
}

/// A path to stdout, byte for byte, for scripts.
fn print_path(path: &Path) -> Result<()> {
    let line = [path.as_os_str().as_bytes(), b"\n"].concat();
    to_stdout(&line).map_err(|error| {
        stdout_failed(error)
            .at(Place::file(path))
            .hint("the backup is complete; only its path could not be printed")
    })
}

fn on_stdout(text: &str) -> Result<ExitCode> {
    to_stdout(text.as_bytes()).map_err(|error| {
        let hint = "let it write to a file or a program that reads it to the end";
        stdout_failed(error).hint(hint)
    })?;
    Ok(ExitCode::Done)
}

fn to_stdout(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(bytes)?;
    stdout.flush()
}

fn stdout_failed(error: std::io::Error) -> Error {
    Error::new(Code::OutputFailed, "cannot write to stdout").because(error)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
