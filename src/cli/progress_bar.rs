//! Progress on a terminal, or as plain lines where there is none.

use super::LogFormat;
use super::log::log_progress;
use super::progress_text::{describe, describe_end, ended, running};
use crate::progress::{MigrationProgress, ProgressSink};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Columns where the terminal does not tell.
const WIDTH: usize = 80;

/// Shows progress on stderr: one line that changes, and one that stays for each phase that is over.
/// Clones share one screen; as a writer it keeps log lines off the bar.
#[derive(Clone, Debug)]
pub struct ProgressBars {
    screen: MultiProgress,
    bar: Option<ProgressBar>,
    /// What was shown last, of the phase that runs.
    last: Option<MigrationProgress>,
    mode: Mode,
    format: LogFormat,
    last_line: Instant,
    /// Somebody wants to see a line now.
    asked: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Silent,
    Bar,
    Lines,
}

impl ProgressBars {
    /// Shows a bar if `wanted` and stderr is a terminal that can move its cursor, lines otherwise;
    /// in the format [`LogFormat::Json`] always lines, which are some of the log's.
    #[must_use]
    pub fn new(wanted: bool, format: LogFormat) -> Self {
        let can_move = io::stderr().is_terminal() && !is_dumb() && format == LogFormat::Text;
        let mode = match (wanted, can_move) {
            (false, _) => Mode::Silent,
            (true, true) => Mode::Bar,
            (true, false) => Mode::Lines,
        };
        Self {
            screen: MultiProgress::new(),
            bar: None,
            last: None,
            mode,
            format,
            last_line: Instant::now(),
            asked: Arc::default(),
        }
    }

    /// Prints one line whenever `asked` becomes true, in every mode.
    pub fn show_when_asked(&mut self, asked: Arc<AtomicBool>) {
        self.asked = asked;
    }

    /// The run is over: leaves the last state on the screen, as that of a phase that `is_done` or
    /// of one that was cut short.
    pub fn finish(&mut self, is_done: bool) {
        let Some(last) = self.last.take() else { return };
        match self.mode {
            Mode::Silent => {}
            Mode::Bar => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                self.print(&ended(&last, is_done, columns()));
            }
            Mode::Lines if is_done => self.print(&describe_end(&last)),
            Mode::Lines => self.print(&describe(&last)),
        }
    }

    fn show(&mut self, progress: &MigrationProgress) {
        match self.mode {
            Mode::Silent => {}
            Mode::Bar => {
                let screen = &self.screen;
                let bar = self.bar.get_or_insert_with(|| {
                    screen.add(ProgressBar::new_spinner().with_style(plain_style()))
                });
                bar.set_message(running(progress, columns()));
            }
            Mode::Lines if self.last_line.elapsed() >= LINE_INTERVAL => {
                self.print(&describe(progress));
            }
            Mode::Lines => {}
        }
    }

    fn print(&mut self, line: &str) {
        self.last_line = Instant::now();
        match self.format {
            // A closed stderr must not end a migration.
            LogFormat::Text => drop(writeln!(self, "{line}")),
            LogFormat::Json => log_progress(line),
        }
    }
}

/// The line is made here, so that it fits.
fn plain_style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Columns of the terminal, less one: some go on to the next line when the last one is filled.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    match columns {
        0 => WIDTH - 1,
        columns => columns - 1,
    }
}

/// True of a terminal that can only print line after line.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

impl ProgressSink for ProgressBars {
    fn update(&mut self, progress: &MigrationProgress) {
        if self.asked.swap(false, Ordering::Relaxed) {
            self.print(&describe(progress));
        }
        if self.mode == Mode::Silent {
            return;
        }
        let is_another =
            |last: &MigrationProgress| (last.phase, last.step) != (progress.phase, progress.step);
        if self.last.as_ref().is_some_and(is_another) {
            self.finish(true);
        }
        self.show(progress);
        self.last = Some(progress.clone());
    }
}

/// Writes to stderr with the bar taken off the screen meanwhile.
impl Write for ProgressBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.screen
            .suspend(|| io::stderr().write_all(bytes))
            .map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// True where stderr is a terminal that colours are wanted on (`NO_COLOR` says if not).
#[must_use]
pub fn colors() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !unwanted && !is_dumb()
}
