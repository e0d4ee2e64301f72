//! The `laura-migrate` command: arguments in, exit code out.

use anyhow::Context as _;
use clap::Parser as _;
use laura_migrate::cli::{
    Arguments, ProgressBars, Signals, colors, render_error, render_report, render_warnings,
    resolve, typed_command,
};
use laura_migrate::options::Mode;
use laura_migrate::{ExitCode, Interrupt, Migration};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use tracing::level_filters::LevelFilter;

fn main() -> std::process::ExitCode {
    // First of all: until then, SIGUSR1 ends the process.
    let signals = Signals::install();
    let arguments = Arguments::parse();
    let mut screen = ProgressBars::new(arguments.progress && !arguments.quiet);
    let code = match signals.map_err(Into::into).and_then(|signals| {
        screen.show_when_asked(signals.progress_requested);
        run(&arguments, &mut screen, signals.interrupt)
    }) {
        Ok(code) => code,
        Err(error) => {
            screen.finish();
            let known = error.downcast_ref::<laura_migrate::Error>();
            let mut text = known.map_or_else(|| format!("error: {error:#}\n"), render_error);
            if known.is_some_and(|error| error.exit_code() == ExitCode::Interrupted) {
                text += &format!("  to go on: {}\n", typed_command());
            }
            // Where stderr is closed, the exit code has to say it all.
            let _ = screen.write_all(text.as_bytes());
            known.map_or(ExitCode::Failed, laura_migrate::Error::exit_code)
        }
    };
    std::process::ExitCode::from(code as u8)
}

fn run(
    arguments: &Arguments,
    screen: &mut ProgressBars,
    interrupt: Interrupt,
) -> anyhow::Result<ExitCode> {
    let log = screen.clone();
    tracing_subscriber::fmt()
        .with_max_level(level(arguments))
        .with_writer(move || log.clone())
        .with_target(false)
        .with_ansi(colors())
        .without_time()
        .try_init()
        .map_err(anyhow::Error::from_boxed)
        .context("cannot start logging")?;
    let options = resolve(arguments, |name| std::env::var(name).ok())?;
    let interrupt = interrupt.within(options.max_time);
    let migration = Migration::new(options).with_interrupt(interrupt);
    if arguments.mode == Mode::Status {
        let status = migration.status()?.render();
        std::io::stdout()
            .write_all(status.as_bytes())
            .context("cannot write to stdout")?;
        return Ok(ExitCode::Done);
    }
    let report = migration.run(screen)?;
    screen.finish();
    if arguments.mode == Mode::Export {
        print_path(&report.target).context("cannot write to stdout")?;
    }
    if !arguments.quiet {
        let text = render_warnings(&report) + &render_report(&report);
        let _ = screen.write_all(text.as_bytes());
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

fn level(arguments: &Arguments) -> LevelFilter {
    match (arguments.quiet, arguments.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    }
}
