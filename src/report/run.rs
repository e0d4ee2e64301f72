//! What varies between runs over the same input: who ran when, how long, and with what means.

use crate::hash::xxh3_64;
use crate::progress::{MigrationProgress, Phase, ProgressSink};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The start of a run, and the id that its log lines, report and receipt share.
#[derive(Clone, Debug)]
pub struct RunStart {
    id: String,
    at: Timestamp,
    instant: Instant,
}

impl RunStart {
    /// A run that starts now.
    #[must_use]
    pub fn now() -> Self {
        let at = Timestamp::now();
        let mixed = format!("{} {}", at.as_nanosecond(), std::process::id());
        let suffix = xxh3_64(mixed.as_bytes()) >> 32;
        Self {
            id: format!("{}-{suffix:08x}", at.strftime("%Y%m%dT%H%M%SZ")),
            at,
            instant: Instant::now(),
        }
    }

    /// When it started and a few characters more: unique as far as that goes.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// A phase and its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSeconds {
    /// Its name.
    pub phase: String,
    /// How long this run spent in it.
    pub seconds: f64,
}

/// How far a run got that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReachedProgress {
    /// The phase it was in.
    pub phase: String,
    /// Documents handled in that phase.
    pub documents: u64,
    /// Documents to handle; 0 if that is not known.
    pub documents_total: u64,
    /// Bytes, or of indexes entries, handled in that phase.
    pub amount: u64,
    /// The same to handle; 0 if that is not known.
    pub amount_total: u64,
    /// When the phase would have ended, RFC 3339; `None` if there was nothing to tell it by.
    #[serde(default)]
    pub estimated_completion: Option<String>,
}

/// What varies between runs. `None` is what the system does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunReport {
    /// See [`RunStart::id`].
    pub id: String,
    /// The machine.
    pub host: String,
    /// Process id on it.
    pub pid: u32,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339; in a receipt, when it was written, just before it was published.
    pub ended: String,
    /// From start to end.
    pub seconds: f64,
    /// Time of each phase of this run, in order. An interrupted run had its own.
    pub phases: Vec<PhaseSeconds>,
    /// How far it got, if it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<ReachedProgress>,
    /// Documents of the migration by the seconds of this run; `None` if it migrated none.
    pub documents_per_second: Option<f64>,
    /// Largest resident set, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Time of all threads on the processors.
    pub cpu_seconds: Option<f64>,
    /// Bytes that were read, from disk or cache.
    pub bytes_read: Option<u64>,
    /// Bytes that were written.
    pub bytes_written: Option<u64>,
}

impl RunReport {
    /// The figures of a run that started at `start`, as of now.
    #[must_use]
    pub fn of(start: &RunStart, phases: &[(Phase, Duration)], documents: u64) -> Self {
        let seconds = start.instant.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (documents > 0 && seconds > 0.0).then(|| documents as f64 / seconds);
        let host = rustix::system::uname();
        Self {
            id: start.id.clone(),
            host: host.nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
            started: start.at.to_string(),
            ended: Timestamp::now().to_string(),
            seconds: rounded(seconds),
            phases: phases
                .iter()
                .map(|(phase, time)| PhaseSeconds {
                    phase: phase.name().to_owned(),
                    seconds: rounded(time.as_secs_f64()),
                })
                .collect(),
            reached: None,
            documents_per_second: rate.map(rounded),
            peak_memory_bytes: proc_figure("status", "VmHWM:").map(|kib| kib * 1024),
            cpu_seconds: cpu_seconds().map(rounded),
            bytes_read: proc_figure("io", "rchar:"),
            bytes_written: proc_figure("io", "wchar:"),
        }
    }
}

/// To the millisecond: more would only be noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The number after `key` in a file of `/proc/self`.
fn proc_figure(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).ok()?;
    figure(&text, key)
}

fn figure(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "to the millisecond is enough")]
fn cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// Passes progress on and remembers what a report of a failure needs: the phases and how far the
/// run got.
pub struct Recorder<'s> {
    sink: &'s mut dyn ProgressSink,
    phases: Vec<(Phase, Duration)>,
    last: Option<MigrationProgress>,
}

impl<'s> Recorder<'s> {
    /// Passes on to `sink`.
    pub fn new(sink: &'s mut dyn ProgressSink) -> Self {
        Self {
            sink,
            phases: Vec::new(),
            last: None,
        }
    }

    /// The figures of a run that failed just now.
    #[must_use]
    pub fn failed(&self, start: &RunStart) -> RunReport {
        let current = self
            .last
            .iter()
            .map(|last| (last.phase, last.phase_elapsed));
        let phases: Vec<_> = self.phases.iter().copied().chain(current).collect();
        RunReport {
            reached: self.last.as_ref().map(|last| ReachedProgress {
                phase: last.phase.name().to_owned(),
                documents: last.documents_done,
                documents_total: last.documents_total,
                amount: last.bytes_done,
                amount_total: last.bytes_total,
                estimated_completion: last.estimated_completion.map(|at| at.to_string()),
            }),
            ..RunReport::of(start, &phases, 0)
        }
    }
}

impl ProgressSink for Recorder<'_> {
    fn update(&mut self, progress: &MigrationProgress) {
        if let Some(last) = self.last.take_if(|last| last.phase != progress.phase) {
            self.phases.push((last.phase, last.phase_elapsed));
        }
        self.last = Some(progress.clone());
        self.sink.update(progress);
    }
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("phases", &self.phases)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_the_time_and_differ() {
        let (one, two) = (RunStart::now(), RunStart::now());
        assert_ne!(one.id(), two.id());
        assert!(one.id().len() == "20250115T103022Z-01234567".len());
    }

    #[test]
    fn figures_are_found_by_their_keys() {
        let text = "rchar: 12\nwchar: 34\nVmHWM:\t  56 kB\n";
        assert_eq!(figure(text, "wchar:"), Some(34));
        assert_eq!(figure(text, "VmHWM:"), Some(56));
        assert_eq!(figure(text, "syscr:"), None);
    }

    #[test]
    fn a_run_that_was_cut_short_says_when_its_phase_would_have_ended() {
        let at: Timestamp = "2025-01-15T10:30:00Z".parse().unwrap();
        let mut progress = None;
        let mut keep = |seen: &MigrationProgress| progress = Some(seen.clone());
        crate::progress::Tracker::new(&mut keep).report();
        let progress = MigrationProgress {
            estimated_completion: Some(at),
            ..progress.unwrap()
        };
        let mut unwatched = crate::progress::Unwatched;
        let mut recorder = Recorder::new(&mut unwatched);
        recorder.update(&progress);
        let reached = recorder.failed(&RunStart::now()).reached.unwrap();
        let estimated = reached.estimated_completion;
        assert_eq!(estimated.as_deref(), Some("2025-01-15T10:30:00Z"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_memory_and_time() {
        let run = RunReport::of(&RunStart::now(), &[], 0);
        assert!(run.peak_memory_bytes.unwrap() > 1 << 20);
        assert!(run.cpu_seconds.unwrap() >= 0.0 && run.bytes_read.is_some());
        assert_eq!(run.documents_per_second, None);
    }
}
