//! Progress on a terminal, or as plain lines where there is none.

use crate::progress::{MigrationProgress, Phase, ProgressSink};
use bytesize::ByteSize;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress on stderr. Clones share one screen; as a writer it keeps log lines off the bar.
#[derive(Clone, Debug)]
pub struct ProgressBars {
    screen: MultiProgress,
    bar: Option<ProgressBar>,
    phase: Option<Phase>,
    mode: Mode,
    last_line: Option<Instant>,
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
    /// Shows a bar if `wanted` and stderr is a terminal, lines if it is none.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        let mode = match (wanted, io::stderr().is_terminal()) {
            (false, _) => Mode::Silent,
            (true, true) => Mode::Bar,
            (true, false) => Mode::Lines,
        };
        Self {
            screen: MultiProgress::new(),
            bar: None,
            phase: None,
            mode,
            last_line: None,
            asked: Arc::default(),
        }
    }

    /// Prints one line whenever `asked` becomes true, in every mode.
    pub fn show_when_asked(&mut self, asked: Arc<AtomicBool>) {
        self.asked = asked;
    }

    /// Leaves the last state on the screen.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }

    fn start(&mut self, progress: &MigrationProgress) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
        self.phase = Some(progress.phase);
        self.last_line = None;
        if self.mode == Mode::Bar {
            let bar = self
                .screen
                .add(ProgressBar::new(progress.bytes_total.max(1)));
            bar.set_style(style());
            bar.set_prefix(progress.phase.name());
            self.bar = Some(bar);
        }
    }

    fn line(&mut self, progress: &MigrationProgress) {
        let due = self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if due {
            self.last_line = Some(Instant::now());
            // A closed stderr must not end a migration.
            let _ = writeln!(io::stderr(), "{}", describe(progress));
        }
    }
}

/// One line of progress: phase, share, what was handled, rate, and time left.
pub(super) fn describe(progress: &MigrationProgress) -> String {
    let mut parts = Vec::new();
    if let Some(share) = percent(progress) {
        parts.push(format!("{share} %"));
    }
    parts.extend(amount(progress));
    if let Some(left) = progress.phase_left {
        parts.push(format!("{} left", HumanDuration(left)));
    }
    if progress.errors > 0 {
        parts.push(format!("{} warnings", progress.errors));
    }
    let phase = progress.phase.name();
    match parts.is_empty() {
        true => format!("{phase}: under way"),
        false => format!("{phase}: {}", parts.join(", ")),
    }
}

fn percent(progress: &MigrationProgress) -> Option<u64> {
    let done = progress.bytes_done.min(progress.bytes_total);
    let percent = (u128::from(done) * 100).checked_div(u128::from(progress.bytes_total))?;
    u64::try_from(percent).ok()
}

/// What was handled, in the unit of the phase, and how fast. Nothing here knows which phases there
/// are: one that counts indexes counts their entries, every other one bytes.
fn amount(progress: &MigrationProgress) -> Vec<String> {
    let (done, total) = (progress.bytes_done, progress.bytes_total);
    let mut parts = Vec::new();
    if progress.indexes_total > 0 {
        parts.push(format!("{done} of {total} entries"));
        parts.push(format!(
            "{} of {} indexes",
            progress.indexes_done, progress.indexes_total
        ));
        parts.extend(progress.rate.map(|rate| format!("{rate}/s")));
    } else if total > 0 {
        parts.push(format!("{} of {}", ByteSize(done), ByteSize(total)));
        parts.extend(progress.rate.map(|rate| format!("{}/s", ByteSize(rate))));
    }
    match (progress.documents_done, progress.documents_total) {
        (0, 0) => {}
        // Entries are what was counted.
        _ if progress.indexes_total > 0 => {}
        (done, 0) => parts.push(format!("{done} documents")),
        (done, total) => parts.push(format!("{done} of {total} documents")),
    }
    parts
}

fn style() -> ProgressStyle {
    // 80 columns have to do; what does not fit is cut, not wrapped.
    const TEMPLATE: &str = "{prefix:>11} [{bar:20}] {percent:>3} % {eta:>4} left  {wide_msg}";
    ProgressStyle::with_template(TEMPLATE).map_or_else(
        |_| ProgressStyle::default_bar(),
        |style| style.progress_chars("=> "),
    )
}

impl ProgressSink for ProgressBars {
    fn update(&mut self, progress: &MigrationProgress) {
        if self.asked.swap(false, Ordering::Relaxed) {
            // A closed stderr must not end a migration.
            let _ = writeln!(self, "{}", describe(progress));
        }
        if self.mode == Mode::Silent {
            return;
        }
        if self.phase != Some(progress.phase) {
            self.start(progress);
        }
        match &self.bar {
            Some(bar) => {
                bar.set_length(progress.bytes_total.max(progress.bytes_done).max(1));
                bar.set_position(progress.bytes_done);
                bar.set_message(amount(progress).join(", "));
            }
            None => self.line(progress),
        }
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
    io::stderr().is_terminal() && !unwanted
}
