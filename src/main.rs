//! The `laura-migrate` command: arguments in, exit code out.

use anyhow::Context as _;
use laura_migrate::cli::{
    Arguments, LogFormat, Outputs, ParseError, ProgressBars, Signals, answer, log_outcome,
    render_error, render_report, render_warnings, resolve, start_logging, typed_command,
};
use laura_migrate::options::Mode;
use laura_migrate::report::Report;
use laura_migrate::report::run::{Recorder, RunStart};
use laura_migrate::{Error, ExitCode, Interrupt, Migration};
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

fn main() -> std::process::ExitCode {
    let start = RunStart::now();
    // First of all: until then, SIGUSR1 ends the process.
    let signals = Signals::install();
    let arguments = match Arguments::from_words(std::env::args_os().collect(), variable) {
        Ok(arguments) => arguments,
        Err(ParseError::Answer(error)) => error.exit(),
        Err(ParseError::Refused(error)) => {
            return ended(failed(&mut ProgressBars::new(false), &error.into()));
        }
    };
    let mut screen = ProgressBars::new(arguments.progress && !arguments.quiet);
    let result = signals.map_err(Into::into).and_then(|signals| {
        screen.show_when_asked(signals.progress_requested);
        run(&arguments, &mut screen, signals.interrupt, &start)
    });
    ended(result.unwrap_or_else(|error| failed(&mut screen, &error)))
}

fn ended(code: ExitCode) -> std::process::ExitCode {
    std::process::ExitCode::from(code as u8)
}

/// Says what went wrong.
fn failed(screen: &mut ProgressBars, error: &anyhow::Error) -> ExitCode {
    screen.finish(false);
    let known = error.downcast_ref::<Error>();
    let mut text = known.map_or_else(|| format!("error: {error:#}\n"), render_error);
    if known.is_some_and(|error| error.exit_code() == ExitCode::Interrupted) {
        text += &format!("  to go on: {}\n", typed_command());
    }
    // Where stderr is closed, the exit code has to say it all.
    let _ = screen.write_all(text.as_bytes());
    known.map_or(ExitCode::Failed, Error::exit_code)
}

fn run(
    arguments: &Arguments,
    screen: &mut ProgressBars,
    interrupt: Interrupt,
    start: &RunStart,
) -> anyhow::Result<ExitCode> {
    if let Some(text) = answer(arguments)? {
        return on_stdout(&text);
    }
    let outputs = Outputs::of(arguments)?;
    start_logging(arguments, screen, start)?;
    if arguments.mode == Mode::Status {
        let options = resolve(arguments, variable)?;
        return on_stdout(&Migration::new(options).status()?.render());
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
    // The report has the path as well.
    let wants_path = arguments.mode == Mode::Export && !outputs.use_stdout();
    if let (Ok(report), true) = (&result, wants_path) {
        print_path(&report.target).context("cannot write to stdout")?;
    }
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
        let _ = screen.write_all(render_error(&error).as_bytes());
    }
    log_outcome(&report);
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
        let _ = screen.write_all(render_warnings(&report).as_bytes());
    }
    if !arguments.quiet && !is_asked_for {
        let _ = screen.write_all(render_report(&report).as_bytes());
    }
    Ok(report.exit_code())
}

/// A path to stdout, byte for byte, for scripts.
fn print_path(path: &Path) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(path.as_os_str().as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn on_stdout(text: &str) -> anyhow::Result<ExitCode> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to stdout")?;
    Ok(ExitCode::Done)
}
