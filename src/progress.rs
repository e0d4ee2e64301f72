//! How far a migration is, for whoever watches it.

use jiff::Timestamp;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::span::EnteredSpan;

/// The phases of a migration, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Reading structures, planning.
    Check,
    /// Documents to a backup, and reading it back.
    Backup,
    /// Documents to pages.
    Collections,
    /// Keys to B+trees.
    Indexes,
    /// Reading back what was staged.
    Verify,
    /// Putting it in place.
    Publish,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 6] = [
        Self::Check,
        Self::Backup,
        Self::Collections,
        Self::Indexes,
        Self::Verify,
        Self::Publish,
    ];

    /// The name as shown to users.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Backup => "backup",
            Self::Collections => "collections",
            Self::Indexes => "indexes",
            Self::Verify => "verify",
            Self::Publish => "publish",
        }
    }
}

/// A snapshot of how far a migration is.
#[derive(Clone, Debug, Serialize)]
pub struct MigrationProgress {
    /// The phase that runs.
    pub phase: Phase,
    /// What the phase does now, where it does one thing after the other, each from 0 to its total.
    pub step: Option<&'static str>,
    /// Bytes handled in this phase.
    pub bytes_done: u64,
    /// Bytes to handle in this phase; 0 while that is not known.
    pub bytes_total: u64,
    /// Documents handled in this phase.
    pub documents_done: u64,
    /// Documents to handle in this phase.
    pub documents_total: u64,
    /// Collections finished in this phase.
    pub collections_done: u64,
    /// Collections to handle.
    pub collections_total: u64,
    /// Indexes built.
    pub indexes_done: u64,
    /// Indexes to build.
    pub indexes_total: u64,
    /// Time since the run started.
    pub elapsed: Duration,
    /// Time since this phase started.
    pub phase_elapsed: Duration,
    /// Time left in this phase, judged by its rate so far.
    pub phase_left: Option<Duration>,
    /// When the run started.
    pub started: Timestamp,
    /// When this phase will be done, judged by its rate so far.
    pub estimated_completion: Option<Timestamp>,
    /// What this phase has handled in a second, in the unit of `bytes_done`, since this run began
    /// it.
    pub rate: Option<u64>,
    /// What went wrong so far and did not stop the run: warnings, records put into quarantine.
    pub errors: u64,
}

/// Whoever watches a migration; called from the coordinating thread a few times a second.
pub trait ProgressSink {
    /// The migration has got so far.
    fn update(&mut self, progress: &MigrationProgress);
}

/// A closure watches as well.
impl<F: FnMut(&MigrationProgress)> ProgressSink for F {
    fn update(&mut self, progress: &MigrationProgress) {
        self(progress);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl ProgressSink for Unwatched {
    fn update(&mut self, _: &MigrationProgress) {}
}

/// Shared counters of the running phase; any thread may add to them.
#[derive(Debug)]
pub struct Counters {
    /// Bytes handled.
    pub bytes: AtomicU64,
    /// Documents handled.
    pub documents: AtomicU64,
    /// Collections finished.
    pub collections: AtomicU64,
    /// Indexes finished.
    pub indexes: AtomicU64,
    /// Warnings, and records put into quarantine.
    pub errors: AtomicU64,
    phase: Mutex<PhaseTotals>,
    started: Instant,
    started_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct PhaseTotals {
    phase: Phase,
    step: Option<&'static str>,
    started: Instant,
    /// Where the phase went on from, when it was resumed in the middle.
    bytes_before: u64,
    totals: Totals,
}

/// What a phase has to handle in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Bytes.
    pub bytes: u64,
    /// Documents.
    pub documents: u64,
    /// Collections.
    pub collections: u64,
    /// Indexes.
    pub indexes: u64,
}

impl Counters {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            bytes: AtomicU64::new(0),
            documents: AtomicU64::new(0),
            collections: AtomicU64::new(0),
            indexes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            phase: Mutex::new(PhaseTotals {
                phase: Phase::Check,
                step: None,
                started: now,
                bytes_before: 0,
                totals: Totals::default(),
            }),
            started: now,
            started_at: Timestamp::now(),
        }
    }

    /// How far the migration is now.
    #[must_use]
    pub fn progress(&self) -> MigrationProgress {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes_done = self.bytes.load(Ordering::Relaxed);
        let phase_elapsed = phase.started.elapsed();
        let handled = bytes_done.saturating_sub(phase.bytes_before);
        let phase_left = time_left(
            handled,
            phase.totals.bytes.saturating_sub(phase.bytes_before),
            phase_elapsed,
        );
        MigrationProgress {
            phase: phase.phase,
            step: phase.step,
            bytes_done,
            bytes_total: phase.totals.bytes,
            documents_done: self.documents.load(Ordering::Relaxed),
            documents_total: phase.totals.documents,
            collections_done: self.collections.load(Ordering::Relaxed),
            collections_total: phase.totals.collections,
            indexes_done: self.indexes.load(Ordering::Relaxed),
            indexes_total: phase.totals.indexes,
            elapsed: self.started.elapsed(),
            phase_elapsed,
            phase_left,
            started: self.started_at,
            estimated_completion: phase_left
                .and_then(|left| Timestamp::now().checked_add(left).ok()),
            rate: rate(handled, phase_elapsed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }
}

fn time_left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || total == 0 || elapsed < Duration::from_millis(500) {
        return None;
    }
    let left = total.saturating_sub(done);
    #[expect(clippy::cast_precision_loss, reason = "a forecast needs no 53 bits")]
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * left as f64 / done as f64).ok()
}

fn rate(done: u64, elapsed: Duration) -> Option<u64> {
    let milliseconds = elapsed.as_millis();
    if milliseconds < 500 {
        return None;
    }
    u64::try_from(u128::from(done) * 1000 / milliseconds).ok()
}

/// Least time between two reports to a sink.
const TICK: Duration = Duration::from_millis(100);

/// Feeds a [`ProgressSink`] from shared [`Counters`].
pub struct Tracker<'s> {
    sink: &'s mut dyn ProgressSink,
    counters: Arc<Counters>,
    last: Instant,
    finished: Vec<(Phase, Duration)>,
    phase_began: Instant,
    /// Entered while a phase runs, so that log lines tell which one does.
    span: Option<(Phase, EnteredSpan)>,
}

impl<'s> Tracker<'s> {
    /// Starts watching, in the check phase.
    pub fn new(sink: &'s mut dyn ProgressSink) -> Self {
        let mut tracker = Self {
            sink,
            counters: Arc::new(Counters::new()),
            last: Instant::now(),
            finished: Vec::new(),
            phase_began: Instant::now(),
            span: None,
        };
        tracker.enter(Phase::Check);
        tracker
    }

    fn enter(&mut self, phase: Phase) {
        if self
            .span
            .as_ref()
            .is_some_and(|(entered, _)| *entered == phase)
        {
            return;
        }
        // The one before is left first.
        self.span = None;
        self.span = Some((
            phase,
            tracing::info_span!("phase", phase = phase.name()).entered(),
        ));
    }

    /// A phase has ended; its time runs from the end of the one before.
    pub fn end_phase(&mut self, phase: Phase) {
        self.report();
        let elapsed = self.phase_began.elapsed();
        tracing::info!(seconds = elapsed.as_secs_f64(), "{} done", phase.name());
        self.span = None;
        self.finished.push((phase, elapsed));
        self.phase_began = Instant::now();
    }

    /// The phases that have ended, with their times.
    #[must_use]
    pub fn phases(&self) -> Vec<(Phase, Duration)> {
        self.finished.clone()
    }

    /// The counters, for other threads.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The counters, for this thread.
    #[must_use]
    pub fn counters_ref(&self) -> &Counters {
        &self.counters
    }

    /// A phase starts; `done` is what an interrupted run had finished of it.
    pub fn start_phase(&mut self, phase: Phase, totals: Totals, done: Totals) {
        self.start(phase, None, totals, done);
    }

    /// A phase that has begun goes on with another thing to do.
    pub fn start_step(&mut self, phase: Phase, step: &'static str, totals: Totals) {
        self.report();
        self.start(phase, Some(step), totals, Totals::default());
    }

    fn start(&mut self, phase: Phase, step: Option<&'static str>, totals: Totals, done: Totals) {
        self.enter(phase);
        let counters = &self.counters;
        counters.bytes.store(done.bytes, Ordering::Relaxed);
        counters.documents.store(done.documents, Ordering::Relaxed);
        counters
            .collections
            .store(done.collections, Ordering::Relaxed);
        counters.indexes.store(done.indexes, Ordering::Relaxed);
        *counters
            .phase
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = PhaseTotals {
            phase,
            step,
            started: Instant::now(),
            bytes_before: done.bytes,
            totals,
        };
        self.report();
    }

    /// Reports if the last report is some time ago.
    pub fn tick(&mut self) {
        if self.last.elapsed() >= TICK {
            self.report();
        }
    }

    /// Reports now.
    pub fn report(&mut self) {
        self.last = Instant::now();
        self.sink.update(&self.counters.progress());
    }
}

impl std::fmt::Debug for Tracker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracker")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
