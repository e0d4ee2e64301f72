//! Signals: being told to stop, and being asked how far things are.
//!
//! ```text
//! SIGINT, SIGTERM  the first requests the interrupt; a later one stops the process at once
//! SIGHUP           requests the interrupt, unless it was ignored when the process started (nohup)
//! SIGUSR1          asks for a line of progress
//! SIGXFSZ          nothing: the write that crosses the file-size limit then fails with EFBIG
//! ```
//!
//! What looks like a second signal is often the first one's echo: `timeout` signals its child and
//! then the whole process group, and a terminal that hangs up sends SIGHUP both by way of the shell
//! and from the kernel. So a second signal only counts [`ECHO`] after the first, and SIGHUP never.

use crate::{Code, Error, ExitCode, Interrupt, Result};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Signals within this time of the first are its echo.
const ECHO: Duration = Duration::from_millis(500);

/// What signals of this process ask for. There is one per process; handlers stay for good.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Requested by the first signal that asks to stop.
    pub interrupt: Interrupt,
    /// Set by SIGUSR1; who prints a line of progress resets it.
    pub progress_requested: Arc<AtomicBool>,
}

impl Signals {
    /// Takes over the signals of this process, with a thread of its own that waits for them.
    ///
    /// # Errors
    /// A system call fails.
    pub fn install() -> Result<Self> {
        let mut taken = vec![SIGINT, SIGTERM, SIGUSR1, SIGXFSZ];
        if !is_ignored(SIGHUP) {
            taken.push(SIGHUP);
        }
        let failed = |error| Error::new(Code::Io, "cannot watch for signals").because(error);
        let mut arriving = signal_hook::iterator::Signals::new(taken).map_err(failed)?;
        let signals = Self {
            interrupt: Interrupt::default(),
            progress_requested: Arc::default(),
        };
        let told = signals.clone();
        let mut stops = Stops::default();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in arriving.forever() {
                    match stops.reaction(signal, Instant::now()) {
                        Reaction::None => {}
                        Reaction::ShowProgress => {
                            told.progress_requested.store(true, Ordering::Relaxed);
                        }
                        Reaction::Interrupt => told.interrupt.request(),
                        // No destructors: the work is kept just as it is on disk.
                        Reaction::StopAtOnce => {
                            signal_hook::low_level::exit(ExitCode::Interrupted as c_int)
                        }
                    }
                }
            })
            .map_err(failed)?;
        Ok(signals)
    }
}

/// What a signal leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    None,
    ShowProgress,
    Interrupt,
    StopAtOnce,
}

/// Tells the first signal that asks to stop from its echoes and from a second one.
#[derive(Debug, Default)]
struct Stops {
    first: Option<Instant>,
}

impl Stops {
    fn reaction(&mut self, signal: c_int, now: Instant) -> Reaction {
        match (signal, self.first) {
            (SIGUSR1, _) => Reaction::ShowProgress,
            (SIGINT | SIGTERM | SIGHUP, None) => {
                self.first = Some(now);
                Reaction::Interrupt
            }
            (SIGINT | SIGTERM, Some(first)) if now.duration_since(first) >= ECHO => {
                Reaction::StopAtOnce
            }
            _ => Reaction::None,
        }
    }
}

/// Whether this process ignores `signal`, as far as `/proc` tells.
fn is_ignored(signal: c_int) -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| ignored_in(&status).is_some_and(|set| set >> (signal - 1) & 1 == 1))
}

/// The set of ignored signals in a `status` file of `/proc`: bit 0 is signal 1.
fn ignored_in(status: &str) -> Option<u64> {
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_stops_at_once_but_an_echo_does_not() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut stops = Stops::default();
        assert_eq!(stops.reaction(SIGUSR1, at(0)), Reaction::ShowProgress);
        assert_eq!(stops.reaction(SIGXFSZ, at(0)), Reaction::None);
        assert_eq!(stops.reaction(SIGTERM, at(1)), Reaction::Interrupt);
        assert_eq!(stops.reaction(SIGTERM, at(2)), Reaction::None);
        assert_eq!(stops.reaction(SIGHUP, at(2000)), Reaction::None);
        assert_eq!(stops.reaction(SIGUSR1, at(2000)), Reaction::ShowProgress);
        assert_eq!(stops.reaction(SIGINT, at(2000)), Reaction::StopAtOnce);
    }

    #[test]
    fn ignored_signals_are_read_from_status() {
        let status = "Name:\tcat\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_in(status), Some(0x1001));
        assert_eq!(ignored_in("Name:\tcat\n"), None);
        assert_eq!(ignored_in("SigIgn:\tx\n"), None);
    }
}
