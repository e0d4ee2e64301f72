//! Telling a process from another one that has got its number.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process, so that it is known again: not taken for one with the same number after it, in an
/// earlier boot, or in another container on the same machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessIdentity {
    pub(super) pid: u32,
    /// Empty where the system has none.
    pub(super) boot_id: String,
    /// Containers number their processes each on their own.
    #[serde(default)]
    pub(super) pid_namespace: String,
    /// When it started, in clock ticks since the boot.
    #[serde(default)]
    pub(super) start_ticks: Option<u64>,
}

impl ProcessIdentity {
    pub(super) fn of_this_process() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            boot_id: boot_id(),
            pid_namespace: pid_namespace(),
            start_ticks: start_ticks(pid),
        }
    }

    /// Whether the process is still there; `None` where that cannot be known, such as of one on
    /// another machine.
    pub(super) fn exists(&self) -> Option<bool> {
        if self.boot_id.is_empty() || self.boot_id != boot_id() {
            return None;
        }
        if self.pid_namespace.is_empty() || self.pid_namespace != pid_namespace() {
            return None;
        }
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        match test_kill_process(pid) {
            Err(Errno::SRCH) => Some(false),
            // Where processes of others are hidden, this at least says that there is one.
            Ok(()) | Err(_) => Some(match (self.start_ticks, start_ticks(self.pid)) {
                (Some(then), Some(now)) => then == now,
                _ => true,
            }),
        }
    }
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn pid_namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Field 22 of the process's `stat`.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 2, the name, may hold blanks and brackets; it ends at the last bracket.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The time at which a process started.
#[cfg(target_os = "linux")]
pub(super) fn start_time(pid: u32) -> Option<jiff::Timestamp> {
    let ticks = start_ticks(pid)?;
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    let seconds = ticks.checked_div(rustix::param::clock_ticks_per_second())?;
    let since_boot = i64::try_from(seconds).ok()?;
    jiff::Timestamp::from_second(boot.trim().parse::<i64>().ok()?.checked_add(since_boot)?).ok()
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_again() {
        let process = ProcessIdentity::of_this_process();
        assert_eq!(process.exists(), Some(true));
        let reused = ProcessIdentity {
            start_ticks: process.start_ticks.map(|ticks| ticks - 1),
            ..process.clone()
        };
        assert_eq!(reused.exists(), Some(false), "another one with its number");
        let elsewhere = ProcessIdentity {
            pid_namespace: "pid:[1]".to_owned(),
            ..process
        };
        assert_eq!(elsewhere.exists(), None);
    }

    #[test]
    fn a_process_that_has_ended_does_not_exist() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut process = ProcessIdentity::of_this_process();
        process.pid = child.id();
        process.start_ticks = start_ticks(child.id());
        child.wait().unwrap();
        assert_eq!(process.exists(), Some(false));
    }

    #[test]
    fn a_child_has_started_just_now() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let age = jiff::Timestamp::now().duration_since(start_time(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(age.as_secs().abs() < 5, "{age}");
    }
}
