//! What every phase needs: options, progress, and being told to stop.

use super::checkpoint::Checkpointer;
use super::dry_run::DryRun;
use super::interrupt::Interrupt;
use crate::Result;
use crate::document::ID_FIELD;
use crate::document::bson::RawDocument;
use crate::hash::xxh3_64;
use crate::index::key::{KeyBuffer, KeyValue};
use crate::options::{Options, Verification};
use crate::progress::{Counters, Tracker};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What every phase needs.
pub(super) struct Context<'a, 's> {
    pub(super) options: &'a Options,
    pub(super) tracker: Tracker<'s>,
    pub(super) interrupt: Interrupt,
    pub(super) sample: Sample,
    pub(super) checkpointer: Option<Checkpointer>,
    /// Nothing is written, and what would stop the run is noted there instead.
    pub(super) dry: Option<Arc<DryRun>>,
}

impl<'a, 's> Context<'a, 's> {
    pub(super) fn new(options: &'a Options, tracker: Tracker<'s>, interrupt: Interrupt) -> Self {
        Self {
            options,
            tracker,
            interrupt,
            sample: Sample::of(options.verification),
            checkpointer: None,
            dry: None,
        }
    }

    /// In a dry run, notes an error that would stop a migration, and goes on without the value.
    pub(super) fn or_noted<T>(&self, result: Result<T>) -> Result<Option<T>> {
        match (&self.dry, result) {
            (_, Ok(value)) => Ok(Some(value)),
            (Some(dry), Err(error)) => dry.findings.note(error).map(|()| None),
            (None, Err(error)) => Err(error),
        }
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        self.tracker.counters()
    }

    /// Some work was done: counts it, and reports now and then.
    pub(super) fn count(&mut self, bytes: u64, documents: u64) {
        let counters = self.tracker.counters_ref();
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        counters.documents.fetch_add(documents, Ordering::Relaxed);
        self.tracker.tick();
    }

    /// [`Self::count`], for phases that keep nothing: stops if that is asked for.
    pub(super) fn advance(&mut self, bytes: u64, documents: u64) -> Result<()> {
        self.count(bytes, documents);
        self.interrupt.check()
    }

    /// True when a checkpoint is due, or the run is to stop and should leave one.
    pub(super) fn wants_checkpoint(&self) -> bool {
        self.checkpointer
            .as_ref()
            .is_some_and(|checkpointer| checkpointer.is_due() || self.interrupt.is_requested())
    }

    /// Replaces the checkpoint. What it says must be durable.
    pub(super) fn save(&mut self, state: &impl Serialize) -> Result<()> {
        match &mut self.checkpointer {
            Some(checkpointer) => checkpointer.save(state),
            None => Ok(()),
        }
    }
}

/// Which documents' content `--sample` verifies: those with XXH3-64 of their `_id`'s stored key
/// below the rate times 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    below: Option<u64>,
}

impl Sample {
    pub(crate) fn of(verification: Verification) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the rate lies between 0 and 1, and casts to integers saturate"
        )]
        let below = match verification {
            Verification::Sample(rate) => Some((rate * 2.0_f64.powi(64)) as u64),
            Verification::All | Verification::None => None,
        };
        Self { below }
    }

    /// True where only a share of the documents is verified.
    pub(crate) fn is_partial(self) -> bool {
        self.below.is_some()
    }

    /// True for a document of the share; false for all where there is none.
    #[inline]
    pub(crate) fn chooses(self, document: RawDocument<'_>) -> bool {
        self.below
            .is_some_and(|below| id_hash(document).is_some_and(|hash| hash < below))
    }
}

/// XXH3-64 of the stored key of a document's `_id`.
fn id_hash(document: RawDocument<'_>) -> Option<u64> {
    let id = KeyValue::from_raw(document.get(ID_FIELD)?)?;
    let mut key = KeyBuffer::new();
    key.set(std::iter::once(id));
    let mut stored = Vec::new();
    key.stored(&mut stored).ok().map(|key| xxh3_64(key.bytes))
}
