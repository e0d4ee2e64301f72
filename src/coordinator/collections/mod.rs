//! The collections phase: documents of snapshot and write-ahead log to pages, keys to sort runs.
//!
//! ```text
//!            tasks            batches, put in order          closed pages
//! dispatch ─────────→ workers ──────────────────────→ writer ────────────→ key stage
//!    ↑                  ↑ empty buffers │                │ ↑ empty buffers │
//!    └──────────────────└───────────────┴────────────────┘ └───────────────┘
//! ```
//!
//! The writer hands out tasks itself, so that what is between it and the workers stays within a
//! budget of bytes; a chunk larger than the budget travels alone.

mod start;
mod writer;

pub(super) use writer::duplicate_id;

use super::context::Context;
use super::dispatch::Dispatch;
use super::feed::{Feed, SourceFeed};
use super::keys::{KeyStage, SortedKeys};
use super::pages;
use super::parse::{Parsed, Task, Worker};
use super::plan::Plan;
use super::quarantine::Quarantine;
use super::state::{CollectionsState, Tally, WrittenCollection};
use super::work::WorkDir;
use crate::Result;
use crate::options::Options;
use crate::threads::start_scoped;
use crate::v1::pages::JoinFiles;
use crate::v1::wal::Overlay;
use crate::v2::page_file::PageFileWriter;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use start::{open_data, open_quarantine, refill_keys, restore_matched, start_phase, tasks_from};
use std::thread::Scope;
use writer::Writer;

/// What the phase leaves behind: staged documents, and their keys sorted into runs.
pub(super) struct Collected {
    pub(super) data: PageFileWriter,
    pub(super) collections: Vec<WrittenCollection>,
    pub(super) keys: SortedKeys,
    pub(super) quarantine: Quarantine,
}

/// Bytes of the buffer that data pages are written from.
pub(super) const WRITE_BUFFER: usize = 1 << 20;

/// Runs the phase from `state` on, which is empty for a new run.
pub(super) fn run(
    context: &mut Context<'_, '_>,
    plan: &mut Plan,
    work: &WorkDir,
    mut state: CollectionsState,
) -> Result<Collected> {
    let overlay = plan.overlay.take();
    plan.overlay_bytes = overlay.as_ref().map_or(0, Overlay::memory_bytes);
    let plan = &*plan;
    start_phase(context, plan, &state);
    let (data, kept) = open_data(context, plan, work, &state)?;
    let unlisted = pages::open(plan, work)?;
    let matched = restore_matched(work, overlay.as_ref(), state.matched())?;
    let quarantine = open_quarantine(context, plan, work, &mut state)?;
    let keys = refill_keys(context, plan, work, &data, &mut state)?;
    let ((task_sender, tasks), (results, parsed)) = (unbounded(), unbounded());
    // A few buffers come back to be used again; more would all grow to the largest document.
    let options = context.options;
    let (emptied, buffers) = bounded(4 * options.jobs);
    let (overlay, unlisted) = (overlay.as_ref(), unlisted.as_ref());
    std::thread::scope(|scope| {
        let ends = (tasks, results, buffers);
        start_workers(scope, options, plan, unlisted, overlay, ends)?;
        let (feeder, stage) = KeyStage::start(scope, plan, keys, kept)?;
        let left = tasks_from(plan, &state);
        let dispatch = match &plan.backup {
            Some(backup) => {
                let left = left.filter_map(|task| plan.source_position(task.collection));
                Feed::Source(SourceFeed::start(scope, backup.source(), left, options)?)
            }
            None => Feed::Chunks(Dispatch::new(left, options, task_sender, parsed, emptied)),
        };
        let mut writer = Writer {
            plan,
            work,
            unlisted,
            overlay,
            matched,
            data,
            feeder,
            dispatch,
            state,
            tally: Tally::default(),
            quarantine,
            document: Vec::new(),
        };
        let outcome = writer.write_all(context);
        drop(writer.dispatch);
        // A key stage that has failed is why the writer could not feed it: its error comes first.
        let keys = stage.finish(writer.feeder)?;
        outcome?;
        Ok(Collected {
            data: writer.data,
            collections: writer.state.written,
            keys,
            quarantine: writer.quarantine,
        })
    })
}

/// Starts the workers that parse the snapshot, if there is one; the last buffers are empty ones.
fn start_workers<'s>(
    scope: &'s Scope<'s, '_>,
    options: &Options,
    plan: &'s Plan,
    unlisted: Option<&'s JoinFiles>,
    overlay: Option<&Overlay>,
    (tasks, results, buffers): (Receiver<Task>, Sender<Parsed>, Receiver<Vec<u8>>),
) -> Result<()> {
    let Some(file) = &plan.snapshot else {
        return Ok(());
    };
    let hash_ids = overlay.is_some_and(|overlay| !overlay.is_empty());
    for _ in 0..options.jobs {
        let worker = Worker {
            file,
            plan,
            unlisted,
            hash_ids,
            passes_bad: options.max_bad > 0,
            batch_size: options.batch_size as usize,
            buffers: Receiver::clone(&buffers),
            results: Sender::clone(&results),
        };
        let tasks = Receiver::clone(&tasks);
        start_scoped(scope, "parser", move || worker.run(&tasks))?;
    }
    Ok(())
}
