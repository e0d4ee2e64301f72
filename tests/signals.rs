//! What real signals do to a process that has installed the handlers. The process is this test
//! program itself, started again to run `stand_in`.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what fails here fails the test"
)]

use laura_migrate::cli::Signals;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const STAND_IN: &str = "LAURA_MIGRATE_TEST_STAND_IN";

/// More than the time within which a second signal counts as an echo of the first.
const NO_ECHO: Duration = Duration::from_millis(700);

/// No test of its own: what the child process of the other tests does.
#[test]
fn stand_in() {
    let Ok(mode) = std::env::var(STAND_IN) else {
        return;
    };
    let signals = Signals::install().unwrap();
    println!("\nready");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if signals.progress_requested.swap(false, Ordering::Relaxed) {
            println!("progress");
        }
        if mode == "polite" && signals.interrupt.is_requested() {
            let error = signals.interrupt.check().unwrap_err();
            std::process::exit(i32::from(error.exit_code() as u8) + 100);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
}

struct StandIn {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl StandIn {
    /// `polite` ends once the interrupt is requested, with 100 more than the exit code; `stuck`
    /// never looks.
    fn start(mode: &str, ignore: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("trap '' {ignore}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "stand_in", "--nocapture"])
            .env(STAND_IN, mode)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stand_in = Self { child, lines };
        stand_in.wait_for("ready");
        stand_in
    }

    fn wait_for(&mut self, line: &str) {
        let found = self.lines.by_ref().any(|read| read.unwrap() == line);
        assert!(found, "the child ended without {line:?}");
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn the_first_signal_requests_the_interrupt() {
    let mut signals = vec![Signal::INT, Signal::TERM];
    // Under nohup it stays ignored in all children, as another test asks for.
    if !hangups_are_ignored() {
        signals.push(Signal::HUP);
    }
    for signal in signals {
        let child = StandIn::start("polite", "QUIT");
        child.send(signal);
        assert_eq!(child.end().code(), Some(108), "{signal:?}");
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let child = StandIn::start("stuck", "QUIT");
    child.send(Signal::TERM);
    std::thread::sleep(NO_ECHO);
    child.send(Signal::INT);
    assert_eq!(child.end().code(), Some(8));
}

#[test]
fn an_echo_of_the_first_signal_does_not_stop() {
    let mut child = StandIn::start("stuck", "QUIT");
    child.send(Signal::TERM);
    std::thread::sleep(Duration::from_millis(20));
    child.send(Signal::TERM);
    child.send(Signal::HUP);
    child.send(Signal::USR1);
    child.wait_for("progress");
    std::thread::sleep(NO_ECHO);
    child.send(Signal::TERM);
    assert_eq!(child.end().code(), Some(8));
}

#[test]
fn sighup_stays_ignored_where_it_was() {
    let mut child = StandIn::start("polite", "HUP");
    child.send(Signal::HUP);
    child.send(Signal::USR1);
    child.wait_for("progress");
    child.send(Signal::INT);
    assert_eq!(child.end().code(), Some(108));
}

#[test]
fn a_file_size_limit_is_no_death() {
    let mut child = StandIn::start("polite", "QUIT");
    child.send(Signal::XFSZ);
    child.send(Signal::USR1);
    child.wait_for("progress");
    child.send(Signal::TERM);
    assert_eq!(child.end().code(), Some(108));
}
