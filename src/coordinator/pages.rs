//! LauraDB's unlisted pages in a migration: joined with the snapshot in the check phase, read in the
//! collections phase.

use super::check::Sources;
use super::context::Context;
use super::directories::Directories;
use super::dry_run::DryRun;
use super::names::NameTable;
use super::plan::{Plan, PlannedCollection};
use super::quarantine::{Quarantine, QuarantineState};
use super::space::{self, Need};
use super::work::{PAGES_COPIES, PAGES_RECOVERED, PAGES_RUNS, WorkDir};
use crate::files::{Access, AppendWriter, InputFile};
use crate::options::{Options, PagesMode};
use crate::report::{PagesReport, Warning};
use crate::v1::pages::{
    JoinFiles, JoinInput, JoinSummary, RejectReason, Rejected, Rejects, Scratch, ScratchFile,
    estimate_documents, join as join_pages, refuse_unnamed, warnings_of_join,
};
use crate::v1::snapshot::SnapshotLayout;
use crate::v2::page::PAGE_SIZE;
use crate::{Error, Result};
use std::sync::Arc;

/// Bytes of the buffer that each file of the join is written from.
const WRITE_BUFFER: usize = 256 << 10;

/// What a sorted `_id` takes in the runs of the join, bytes.
const SORTED_BYTES: u64 = 48;

/// What a document on a page takes in the other files of the join, bytes.
const RECORD_BYTES: u64 = 16;

/// The files of the join lie in the work directory.
struct WorkScratch(WorkDir);

impl Scratch for WorkScratch {
    fn create(&self, file: ScratchFile) -> Result<AppendWriter> {
        let name = match file {
            ScratchFile::Runs => PAGES_RUNS,
            ScratchFile::Candidates => PAGES_COPIES,
            ScratchFile::Recovered => PAGES_RECOVERED,
        };
        self.0.append_to(name, 0, WRITE_BUFFER)
    }
}

/// Bytes that [`join`] reads, or would at most.
pub(super) fn bytes_read(sources: &Sources) -> u64 {
    let snapshot = sources.snapshot.as_ref().map_or(0, InputFile::size);
    let data = sources.data.as_ref().map_or(0, InputFile::size);
    if data < PAGE_SIZE as u64 {
        return 0;
    }
    snapshot + data
}

/// What cannot be taken goes to the beginning of the quarantine.
struct ToQuarantine<'q> {
    data: &'q InputFile,
    quarantine: Quarantine,
    max_bad: u64,
    /// Bad records that the write-ahead log has besides.
    log_records: u64,
    /// What the run fails with if there are too many.
    first: Option<Error>,
    dry: Option<Arc<DryRun>>,
}

impl Rejects for ToQuarantine<'_> {
    fn reject(&mut self, rejected: Rejected<'_>) -> Result<()> {
        let error = rejected.error(self.data);
        let is_older_copy = matches!(rejected.reason, RejectReason::OlderCopy { .. });
        if let Some(dry) = &self.dry {
            // Older copies do not count.
            if !is_older_copy {
                dry.findings.note_bad(with_hint(error, &rejected));
            }
            self.quarantine.only_count(is_older_copy);
            return Ok(());
        }
        if !is_older_copy && !self.quarantine.has_room(self.log_records.saturating_add(1)) {
            let first = self
                .first
                .take()
                .unwrap_or_else(|| with_hint(error, &rejected));
            return Err(first.beyond_max_bad(self.max_bad));
        }
        let bytes = (rejected.offset, rejected.bytes);
        let quarantine = &mut self.quarantine;
        quarantine.put_page_content(self.data, bytes, &error, is_older_copy)?;
        if !is_older_copy && self.first.is_none() {
            self.first = Some(with_hint(error, &rejected));
        }
        Ok(())
    }
}

fn with_hint(error: Error, rejected: &Rejected<'_>) -> Error {
    error.hint(match rejected.reason {
        RejectReason::Document(_) => {
            "leave documents out that only data.db has with --pages auto, or give --max-bad N to \
             put up to N such documents and damaged pages into quarantine"
        }
        RejectReason::DamagedPage(_) | RejectReason::OlderCopy { .. } => {
            "read the snapshot alone with --pages ignore, or give --max-bad N to put up to N \
             damaged pages into quarantine and read the others"
        }
    })
}

/// What was found in `data.db`, and where it is written down.
pub(super) struct JoinedPages {
    pub(super) summary: JoinSummary,
    pub(super) work: WorkDir,
    /// What of the quarantine was written.
    pub(super) quarantined: QuarantineState,
}

/// Joins `data.db` with the snapshot and gives groups of recovered documents their names;
/// `log_records` are the bad ones of the write-ahead log. `None` where there are no pages, or none to
/// be read.
pub(super) fn join(
    context: &mut Context<'_, '_>,
    directories: &Directories,
    sources: &Sources,
    layout: Option<&SnapshotLayout>,
    names: &mut NameTable,
    (access, log_records): (Access, u64),
) -> Result<Option<JoinedPages>> {
    let has_page = |data: &&InputFile| data.size() >= PAGE_SIZE as u64;
    let Some(data) = sources.data.as_ref().filter(has_page) else {
        return Ok(None);
    };
    let target = directories.target();
    let checked = check_space(context, directories, data, layout);
    context.or_noted(checked)?;
    let work = match &context.dry {
        Some(dry) => dry.work.clone(),
        None => WorkDir::create_anew(target, access)?,
    };
    let input = JoinInput {
        data,
        snapshot: sources.snapshot.as_ref().zip(layout),
        memory: context.options.memory,
        recover: context.options.pages == PagesMode::Recover,
        taken: names.taken(),
        scratch: Arc::new(WorkScratch(work.clone())),
    };
    let mut rejects = ToQuarantine {
        data,
        quarantine: Quarantine::resume(&work, context.options, QuarantineState::default()),
        max_bad: context.options.max_bad,
        log_records,
        first: None,
        dry: context.dry.clone(),
    };
    let mut summary = join_pages(&input, &mut rejects, &mut |bytes| context.advance(bytes, 0))?;
    drop(input);
    work.remove_file(PAGES_RUNS)?;
    // Durable before the plan, which counts it.
    rejects.quarantine.sync()?;
    work.dir.sync()?;
    summary.number_groups(names.add_recovered(data, &summary.groups)?);
    Ok(Some(JoinedPages {
        summary,
        work,
        quarantined: rejects.quarantine.state(),
    }))
}

fn check_space(
    context: &Context<'_, '_>,
    directories: &Directories,
    data: &InputFile,
    layout: Option<&SnapshotLayout>,
) -> Result<()> {
    let documents = layout.map_or(0, |layout| layout.documents);
    let on_pages = estimate_documents(data)?;
    // Of a document on a page: its `_id`, a vote, and a copy or what is left; if that is recovered,
    // its `_id` and its place as well.
    let sorts = match context.options.pages {
        PagesMode::Recover => 5,
        PagesMode::Auto | PagesMode::Ignore => 3,
    };
    let sorted = documents + sorts * on_pages;
    let needs = [Need {
        directory: directories.target(),
        purpose: "sorting the _ids of data.db",
        bytes: sorted.saturating_mul(SORTED_BYTES) + on_pages * RECORD_BYTES,
    }];
    space::check(&needs).map(drop)
}

/// The joined pages, for the collections phase.
pub(super) fn open(plan: &Plan, work: &WorkDir) -> Result<Option<JoinFiles>> {
    let (Some(summary), Some(data)) = (&plan.pages, &plan.data) else {
        return Ok(None);
    };
    let candidates = work.open_file(PAGES_COPIES)?;
    let recovered = work.open_file(PAGES_RECOVERED)?;
    JoinFiles::new(summary, data.clone(), candidates, recovered).map(Some)
}

/// Without a snapshot nothing says which collections the pages belong to: that they are to be
/// grouped by their looks has to be asked for.
pub(super) fn refuse_without_snapshot(options: &Options, sources: &Sources) -> Result<()> {
    match &sources.data {
        Some(data) if sources.snapshot.is_none() && options.pages == PagesMode::Auto => {
            refuse_unnamed(data)
        }
        _ => Ok(()),
    }
}

/// What the check phase has to say of the pages.
pub(super) fn warnings(
    options: &Options,
    data: &InputFile,
    summary: &JoinSummary,
    collections: &[PlannedCollection],
) -> Vec<Warning> {
    warnings_of_join(options.pages, data, summary, |number| {
        let mut collections = collections.iter();
        let named = collections.find(|collection| collection.overlay_number == number);
        named.map(|collection| collection.v1_name.as_str())
    })
}

/// The report of a collection's pages, as far as they were read.
pub(super) fn report(
    plan: &Plan,
    planned: &PlannedCollection,
    tally: PagesReport,
) -> Option<PagesReport> {
    let summary = plan.pages.as_ref()?;
    let number = planned.overlay_number;
    let older_copies = summary.dropped_in(number);
    let mut collections = summary.collections.iter();
    let only = collections.find(|collection| collection.number == number);
    let only_on_pages = match only {
        Some(collection) => collection.only_on_pages,
        None => summary.recovered_in(number) + older_copies,
    };
    Some(PagesReport {
        only_on_pages,
        older_copies,
        ..tally
    })
}
