//! `run.json`: who works on a directory, and whether it still does.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::process::ProcessIdentity;
use super::work::WorkDir;
use crate::files::{Access, Dir};
use crate::layout::WORK_DIR;
use crate::progress::{Counters, MigrationProgress, Phase};
use crate::{Code, Error, Result, threads};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The file's name in the work directory.
pub(super) const RUN_FILE: &str = "run.json";

/// Largest file that is read, bytes.
const LARGEST: u64 = 1 << 20;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A heartbeat younger than this is a sign of life.
pub(super) const ALIVE: Duration = Duration::from_secs(30);

/// Who works on a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunInfo {
    #[serde(flatten)]
    pub(super) process: ProcessIdentity,
    pub(super) host: String,
    /// The command as typed, to be typed again; nothing reads it but people.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// Where it was typed.
    #[serde(default)]
    pub(super) working_directory: Option<PathBuf>,
    /// RFC 3339.
    pub(super) started: String,
    /// RFC 3339; replaced every few seconds while the run lives.
    pub(super) heartbeat: String,
    pub(super) phase: Phase,
    pub(super) documents_done: u64,
    pub(super) bytes_done: u64,
    pub(super) bytes_total: u64,
    /// Seconds left in the phase, if known.
    pub(super) seconds_left: Option<u64>,
}

/// What can be said of the run that wrote a `run.json`, without its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// Its heartbeat is fresh, and nothing says that its process is gone.
    Running,
    /// Its process is there, but has not reported for a while: stopped, or stuck in a system call.
    Silent,
    /// It has ended, or nothing has been heard of it from elsewhere for a while.
    Dead,
}

impl RunInfo {
    /// This process, now.
    pub(super) fn of_this_process() -> Self {
        let now = jiff::Timestamp::now().to_string();
        let command = std::env::args_os();
        Self {
            process: ProcessIdentity::of_this_process(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            command: command
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            working_directory: std::env::current_dir().ok(),
            started: now.clone(),
            heartbeat: now,
            phase: Phase::Check,
            documents_done: 0,
            bytes_done: 0,
            bytes_total: 0,
            seconds_left: None,
        }
    }

    /// What stands in the work directory of `target`, if anything does. A file that does not parse
    /// counts as none: power loss may leave it empty, since nothing depends on it.
    pub(super) fn read(target: &Dir) -> Result<Option<Self>> {
        if target.entry(WORK_DIR)?.is_none() {
            return Ok(None);
        }
        let Some(file) = target.open_dir(WORK_DIR)?.open_file_if_exists(RUN_FILE)? else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&file.read_all(LARGEST)?).ok())
    }

    pub(super) fn write(&self, work: &Dir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(Code::Internal, "cannot encode run.json").because(error))?;
        // Information, not state: nothing has to be durable here, but it must never be half there.
        work.replace_unsynced(RUN_FILE, &text, Access::default())
    }

    /// What can be said of the run now.
    pub(super) fn liveness(&self) -> Liveness {
        match (self.is_fresh(jiff::Timestamp::now()), self.process.exists()) {
            (true, Some(true) | None) => Liveness::Running,
            (false, Some(true)) => Liveness::Silent,
            (_, Some(false)) | (false, None) => Liveness::Dead,
        }
    }

    /// True while the run that wrote this may still be at work.
    pub(super) fn is_alive(&self) -> bool {
        self.liveness() == Liveness::Running
    }

    /// A heartbeat from the future is none: the clock was set back since.
    fn is_fresh(&self, now: jiff::Timestamp) -> bool {
        self.heartbeat
            .parse::<jiff::Timestamp>()
            .is_ok_and(|beat| now.duration_since(beat).unsigned_abs() < ALIVE)
    }

    fn observe(&mut self, progress: &MigrationProgress) {
        self.heartbeat = jiff::Timestamp::now().to_string();
        self.phase = progress.phase;
        self.documents_done = progress.documents_done;
        self.bytes_done = progress.bytes_done;
        self.bytes_total = progress.bytes_total;
        self.seconds_left = progress.phase_left.map(|left| left.as_secs());
    }
}

/// Keeps `run.json` fresh from a thread of its own until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    pub(super) fn start(target: &Dir, work: &WorkDir, counters: Arc<Counters>) -> Result<Self> {
        let mut info = RunInfo::of_this_process();
        info.observe(&counters.progress());
        info.write(&work.dir)?;
        let dir = target.open_dir(WORK_DIR)?;
        let (stop, stopped) = bounded(0);
        let beat = move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                info.observe(&counters.progress());
                // A heartbeat that cannot be written is not worth a migration.
                if let Err(error) = info.write(&dir) {
                    tracing::debug!("heartbeat: {error}");
                }
            }
        };
        let thread = threads::start("heartbeat", beat)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Gate;
    use crate::progress::{Totals, Tracker, Unwatched};

    fn directory() -> (tempfile::TempDir, Dir) {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path(), Gate::open()).unwrap();
        (directory, dir)
    }

    fn beat(seconds_ago: i64) -> RunInfo {
        let then = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds_ago);
        RunInfo {
            heartbeat: then.to_string(),
            ..RunInfo::of_this_process()
        }
    }

    #[test]
    fn a_run_lives_while_its_heart_beats_and_its_process_is_there() {
        assert_eq!(beat(0).liveness(), Liveness::Running);
        assert_eq!(beat(29).liveness(), Liveness::Running);
        assert_eq!(beat(31).liveness(), Liveness::Silent);
        assert_eq!(
            beat(-3600).liveness(),
            Liveness::Silent,
            "the clock was set back"
        );
        let mut gone = beat(0);
        gone.process.pid = i32::MAX as u32;
        assert_eq!(gone.liveness(), Liveness::Dead);
        let mut damaged = beat(0);
        damaged.heartbeat = "yesterday".to_owned();
        assert_eq!(damaged.liveness(), Liveness::Silent);
    }

    #[test]
    fn of_a_run_elsewhere_only_the_heartbeat_counts() {
        let elsewhere = |seconds| {
            let mut info = beat(seconds);
            info.process.pid = i32::MAX as u32;
            info.process.boot_id = "another boot".to_owned();
            info.liveness()
        };
        assert_eq!(elsewhere(5), Liveness::Running);
        assert_eq!(elsewhere(60), Liveness::Dead);
    }

    #[test]
    fn the_heartbeat_writes_what_is_read_and_stops_when_dropped() {
        let (_keep, target) = directory();
        let work = WorkDir::create(&target, Access::default()).unwrap();
        assert_eq!(RunInfo::read(&target).unwrap(), None);
        let mut sink = Unwatched;
        let mut tracker = Tracker::new(&mut sink);
        let totals = Totals {
            bytes: 100,
            ..Totals::default()
        };
        tracker.start_phase(Phase::Verify, totals, Totals::default());
        let started = std::time::Instant::now();
        let heartbeat = Heartbeat::start(&target, &work, tracker.counters()).unwrap();
        let info = RunInfo::read(&target).unwrap().unwrap();
        assert_eq!((info.phase, info.bytes_total), (Phase::Verify, 100));
        assert_eq!(info.process.pid, std::process::id());
        assert!(info.is_alive() && !info.host.is_empty() && !info.command.is_empty());
        drop(heartbeat);
        assert!(
            started.elapsed() < HEARTBEAT,
            "dropping does not wait for the next beat"
        );
        WorkDir::remove(&target).unwrap();
        assert_eq!(RunInfo::read(&target).unwrap(), None);
    }

    #[test]
    fn a_file_that_power_loss_left_empty_is_none() {
        let (keep, target) = directory();
        WorkDir::create(&target, Access::default()).unwrap();
        let path = keep.path().join(WORK_DIR).join(RUN_FILE);
        for text in ["", "{}", "{\"pid\":\"x\"}"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(RunInfo::read(&target).unwrap(), None, "{text}");
        }
    }
}
