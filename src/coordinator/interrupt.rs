//! Being told to stop: by a signal, by `--max-time`, by a caller.

use crate::{Code, Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Asks a running migration to stop at the next batch, with its work kept. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    deadline: Option<(Instant, Duration)>,
}

impl Interrupt {
    /// One that is requested when `flag` becomes true, such as by a signal handler.
    #[must_use]
    pub fn from_flag(flag: Arc<AtomicBool>) -> Self {
        Self {
            requested: flag,
            deadline: None,
        }
    }

    /// The same, requested after `limit` at the latest.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        // A limit beyond the clock is none.
        self.deadline = Instant::now().checked_add(limit).map(|end| (end, limit));
        self
    }

    /// Requests the stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// True once the run shall stop; cheap enough to ask for every batch.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
            || self.deadline.is_some_and(|(end, _)| Instant::now() >= end)
    }

    /// Fails once the run shall stop.
    ///
    /// # Errors
    /// [`Code::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.requested.load(Ordering::Relaxed) {
            return Err(
                Error::new(Code::Cancelled, "the run was interrupted by a signal")
                    .hint("run the same command again to go on where it stopped"),
            );
        }
        match self.deadline {
            Some((end, limit)) if Instant::now() >= end => Err(Error::new(
                Code::Cancelled,
                format!(
                    "the run took longer than --max-time ({} s)",
                    limit.as_secs()
                ),
            )
            .hint("run the same command again to go on where it stopped")),
            _ => Ok(()),
        }
    }
}
