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

    /// The same, requested after `limit` at the latest unless it has a limit already.
    pub(super) fn limited(self, limit: Duration) -> Self {
        match self.deadline {
            Some(_) => self,
            None => self.within(limit),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_request_and_the_flag_is_one() {
        let flag = Arc::new(AtomicBool::new(false));
        let interrupt = Interrupt::from_flag(Arc::clone(&flag));
        let clone = interrupt.clone().within(Duration::from_secs(3600));
        assert!(interrupt.check().is_ok() && clone.check().is_ok());
        flag.store(true, Ordering::Relaxed);
        assert!(interrupt.is_requested() && clone.is_requested());
        let error = clone.check().unwrap_err();
        assert_eq!(error.exit_code(), crate::ExitCode::Interrupted);
        assert!(error.sentence().contains("signal") && error.hint_text().is_some());
    }

    #[test]
    fn a_deadline_is_named_and_one_beyond_the_clock_is_none() {
        let late = Interrupt::default().within(Duration::ZERO);
        assert!(late.is_requested());
        assert!(late.check().unwrap_err().sentence().contains("--max-time"));
        assert!(!Interrupt::default().within(Duration::MAX).is_requested());
    }
}
