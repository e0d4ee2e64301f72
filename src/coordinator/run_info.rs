//! `run.json`: who works on a directory, and whether it still does.

use super::work::WorkDir;
use crate::files::{Access, Dir};
use crate::layout::WORK_DIR;
use crate::progress::{Counters, MigrationProgress, Phase};
use crate::{Code, Error, Place, Result};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The file's name in the work directory.
pub(super) const RUN_FILE: &str = "run.json";

/// Largest file that is read, bytes.
const LARGEST: u64 = 1 << 20;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A heartbeat younger than this is a sign of life.
pub(super) const ALIVE: Duration = Duration::from_secs(30);

/// Who works on a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunInfo {
    pub(super) pid: u32,
    pub(super) host: String,
    /// Tells a pid of this boot from one of an earlier boot.
    pub(super) boot_id: String,
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

impl RunInfo {
    /// This process, now.
    pub(super) fn of_this_process() -> Self {
        let now = jiff::Timestamp::now().to_string();
        Self {
            pid: std::process::id(),
            host: read_line("/proc/sys/kernel/hostname")
                .or_else(|| std::env::var("HOSTNAME").ok())
                .unwrap_or_else(|| "unknown".to_owned()),
            boot_id: boot_id(),
            started: now.clone(),
            heartbeat: now,
            phase: Phase::Check,
            documents_done: 0,
            bytes_done: 0,
            bytes_total: 0,
            seconds_left: None,
        }
    }

    /// What stands in the work directory of `target`, if anything does.
    pub(super) fn read(target: &Dir) -> Result<Option<Self>> {
        if target.entry(WORK_DIR)?.is_none() {
            return Ok(None);
        }
        let Some(file) = target.open_dir(WORK_DIR)?.open_file_if_exists(RUN_FILE)? else {
            return Ok(None);
        };
        serde_json::from_slice(&file.read_all(LARGEST)?)
            .map(Some)
            .map_err(|error| {
                Error::new(Code::CheckpointDamaged, "run.json does not parse")
                    .at(Place::file(file.path()))
                    .because(error)
            })
    }

    pub(super) fn write(&self, work: &Dir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(Code::Internal, "cannot encode run.json").because(error))?;
        // Information, not state: nothing has to be durable here, but it must never be half there.
        work.replace_unsynced(RUN_FILE, &text, Access::default())
    }

    /// True while the run that wrote this may still be at work.
    pub(super) fn is_alive(&self) -> bool {
        let age = self
            .heartbeat
            .parse::<jiff::Timestamp>()
            .map(|beat| jiff::Timestamp::now().duration_since(beat).as_secs());
        let fresh = age.is_ok_and(|age| age < ALIVE.as_secs().cast_signed());
        let same_boot = self.boot_id == boot_id();
        let gone = cfg!(target_os = "linux")
            && same_boot
            && !std::path::Path::new(&format!("/proc/{}", self.pid)).exists();
        fresh && !gone
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

fn read_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

fn boot_id() -> String {
    read_line("/proc/sys/kernel/random/boot_id").unwrap_or_default()
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
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(beat)
            .map_err(|error| Error::new(Code::Io, "cannot start a thread").because(error))?;
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
