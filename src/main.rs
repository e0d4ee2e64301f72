//! The `laura-migrate` command: arguments in, exit code out.

use anyhow::Context as _;
use clap::Parser as _;
use laura_migrate::cli::{Arguments, ProgressBars, render_error, render_report, resolve};
use laura_migrate::{ExitCode, Migration};
use std::io::Write as _;
use tracing::level_filters::LevelFilter;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let mut screen = ProgressBars::new(arguments.progress && !arguments.quiet);
    let code = match run(&arguments, &mut screen) {
        Ok(code) => code,
        Err(error) => {
            screen.finish();
            let known = error.downcast_ref::<laura_migrate::Error>();
            let text = known.map_or_else(|| format!("error: {error:#}\n"), render_error);
            // Where stderr is closed, the exit code has to say it all.
            let _ = screen.write_all(text.as_bytes());
            known.map_or(ExitCode::Failed, laura_migrate::Error::exit_code)
        }
    };
    std::process::ExitCode::from(code as u8)
}

fn run(arguments: &Arguments, screen: &mut ProgressBars) -> anyhow::Result<ExitCode> {
    let log = screen.clone();
    tracing_subscriber::fmt()
        .with_max_level(level(arguments))
        .with_writer(move || log.clone())
        .with_target(false)
        .without_time()
        .try_init()
        .map_err(anyhow::Error::from_boxed)
        .context("cannot start logging")?;
    let options = resolve(arguments, |name| std::env::var(name).ok())?;
    let report = Migration::new(options).run(screen)?;
    screen.finish();
    if !arguments.quiet {
        let _ = screen.write_all(render_report(&report).as_bytes());
    }
    Ok(ExitCode::Done)
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
