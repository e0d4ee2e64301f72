//! Where the phase starts: empty, or where the checkpoint of an interrupted run stands.

use super::WRITE_BUFFER;
use crate::Result;
use crate::coordinator::context::Context;
use crate::coordinator::keys::{KeptPages, SortedKeys};
use crate::coordinator::parse::Task;
use crate::coordinator::plan::Plan;
use crate::coordinator::quarantine::Quarantine;
use crate::coordinator::state::{CollectionsState, SourcePosition};
use crate::coordinator::work::{MATCHED, STAGED_DATA, WorkDir};
use crate::files::AppendWriter;
use crate::index::sort::SorterId;
use crate::progress::{Phase, Totals};
use crate::v1::wal::Overlay;
use crate::v2::data_file;
use crate::v2::page::ChecksumPolicy;
use crate::v2::page_file::{PageFileReader, PageFileWriter};
use std::sync::Arc;

/// Bytes of the buffer that matched log records are written from.
const MATCHED_BUFFER: usize = 64 << 10;

pub(super) fn start_phase(context: &mut Context<'_, '_>, plan: &Plan, state: &CollectionsState) {
    let totals = Totals {
        bytes: plan.text_bytes(),
        documents: plan.documents(),
        collections: plan.collections.len() as u64,
        ..Totals::default()
    };
    let left: u64 = tasks_from(plan, state).map(|task| task.chunk.bytes).sum();
    let written = state
        .written
        .iter()
        .chain(state.current.as_ref().map(|current| &current.written));
    let done = Totals {
        bytes: totals.bytes.saturating_sub(left),
        documents: written.map(|written| written.tally.documents).sum(),
        collections: state.written.len() as u64,
        ..Totals::default()
    };
    context
        .tracker
        .start_phase(Phase::Collections, totals, done);
}

/// The staged `data.db`; of a dry run, also where pages go that are read again.
pub(super) fn open_data(
    context: &Context<'_, '_>,
    plan: &Plan,
    work: &WorkDir,
    state: &CollectionsState,
) -> Result<(PageFileWriter, Option<KeptPages>)> {
    let Some(dry) = &context.dry else {
        return Ok((stage_data(plan, work, state)?, None));
    };
    let mut data = data_file::discarding(work.create_file(STAGED_DATA, work.access)?)?;
    // The reader that keys are refilled from has to find whole pages.
    data.flush()?;
    let file = data.file().try_clone()?;
    let dry = Arc::clone(dry);
    Ok((data, Some(KeptPages { file, dry })))
}

fn stage_data(plan: &Plan, work: &WorkDir, state: &CollectionsState) -> Result<PageFileWriter> {
    match state.page_count() {
        0 => {
            work.remove_file(STAGED_DATA)?;
            let mut data = data_file::create(work.create_data(plan)?, WRITE_BUFFER)?;
            // The reader that keys are refilled from has to find whole pages.
            data.flush()?;
            Ok(data)
        }
        pages => PageFileWriter::resume(work.reopen_data(plan)?, pages, WRITE_BUFFER),
    }
}

/// Marks what documents in closed pages have matched before, and goes on noting it down.
pub(super) fn restore_matched(
    work: &WorkDir,
    overlay: Option<&Overlay>,
    count: u64,
) -> Result<Option<AppendWriter>> {
    let Some(overlay) = overlay.filter(|overlay| !overlay.is_empty()) else {
        return Ok(None);
    };
    if count > 0 {
        let file = work.open_file(MATCHED)?;
        let bytes = file.read_all(u64::MAX)?;
        let records = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .copied()
            .map(u64::from_le_bytes);
        overlay.restore_matched(records.take(usize::try_from(count).unwrap_or(usize::MAX)))?;
    }
    work.append_to(MATCHED, count * 8, MATCHED_BUFFER).map(Some)
}

/// The quarantine as the checkpoint knows it; a new one goes on with the write-ahead log's records
/// after what the check phase has found in `data.db`.
pub(super) fn open_quarantine(
    context: &Context<'_, '_>,
    plan: &Plan,
    work: &WorkDir,
    state: &mut CollectionsState,
) -> Result<Quarantine> {
    let is_new = state.current.is_none() && state.written.is_empty();
    if is_new {
        state.quarantine = plan.quarantined_pages;
    }
    let mut quarantine = Quarantine::resume(work, context.options, state.quarantine());
    if let Some(dry) = &context.dry {
        quarantine.only_note(Arc::clone(dry));
    }
    if is_new {
        quarantine.put_log(plan, context.options)?;
        state.quarantine = quarantine.state();
    }
    Ok(quarantine)
}

pub(super) fn refill_keys(
    context: &Context<'_, '_>,
    plan: &Plan,
    work: &WorkDir,
    data: &PageFileWriter,
    state: &mut CollectionsState,
) -> Result<SortedKeys> {
    let keys = std::mem::take(&mut state.keys);
    let current = state.current.map(|current| current.written);
    let written: Vec<_> = state.written.iter().copied().chain(current).collect();
    let file = PageFileReader::open(data.file().reader()?, ChecksumPolicy::Required)?;
    SortedKeys::refill(
        plan,
        context.options,
        work,
        keys,
        &file,
        &written,
        SorterId(0),
    )
}

/// The chunks that are not in closed pages whole, in order.
pub(super) fn tasks_from<'p>(
    plan: &'p Plan,
    state: &CollectionsState,
) -> impl Iterator<Item = Task> + use<'p> {
    let current = state.written.len();
    let passed = match state.current.map(|current| current.next) {
        None => 0,
        Some(SourcePosition::Snapshot { chunk, .. }) => chunk,
        Some(SourcePosition::WalOnly { .. } | SourcePosition::Recovered { .. }) => usize::MAX,
    };
    let collections = plan.collections.iter().enumerate().skip(current);
    let chunks = collections.flat_map(move |(collection, planned)| {
        let passed = if collection == current { passed } else { 0 };
        planned
            .chunks
            .iter()
            .skip(passed)
            .map(move |chunk| (collection, *chunk))
    });
    (0..)
        .zip(chunks)
        .map(|(sequence, (collection, chunk))| Task {
            sequence,
            collection,
            chunk,
        })
}
