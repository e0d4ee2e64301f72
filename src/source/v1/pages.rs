//! A v1 directory's unlisted pages: read as a migration reads them.

use super::{Names, Part, ScanProgress, V1Files, V1Options, V1Source};
use crate::Place;
use crate::Result;
use crate::document::bson::RawDocument;
use crate::document::json::{DocumentContext, JsonConverter};
use crate::files::InputFile;
use crate::options::PagesMode;
use crate::problems::Problems;
use crate::report::Warning;
use crate::source::{Position, SourceDocument, Visit};
use crate::v1::pages::{
    JoinFiles, JoinInput, JoinSummary, RefuseAll, RejectReason, Rejected, Rejects, Scratch,
    ScratchFile, TempScratch, is_superseded, join, warnings_of_collection, warnings_of_join,
};
use crate::v1::snapshot::{ChunkDocument, ChunkWalker, SnapshotLayout};
use crate::v2::page::PAGE_SIZE;
use std::cell::Cell;
use std::sync::Arc;

/// LauraDB's unlisted pages, joined with the snapshot.
#[derive(Debug)]
pub(super) struct Unlisted {
    pub(super) summary: JoinSummary,
    /// `None` if the file holds no slotted pages.
    pub(super) files: Option<JoinFiles>,
}

/// Collects what a migration would refuse.
struct ToProblems<'p> {
    data: &'p InputFile,
    problems: &'p Problems,
}

impl Rejects for ToProblems<'_> {
    fn reject(&mut self, rejected: Rejected<'_>) -> Result<()> {
        match rejected.reason {
            RejectReason::OlderCopy { .. } => Ok(()),
            RejectReason::DamagedPage(_) | RejectReason::Document(_) => {
                self.problems.take(rejected.error(self.data))
            }
        }
    }
}

/// Leaves everything out that cannot be taken.
struct PassAll;

impl Rejects for PassAll {
    fn reject(&mut self, _: Rejected<'_>) -> Result<()> {
        Ok(())
    }
}

impl V1Source {
    fn joined(&self) -> Option<&JoinFiles> {
        self.unlisted.as_ref()?.files.as_ref()
    }

    /// The documents of the snapshot, or what pages and the log made of them.
    pub(super) fn read_snapshot(
        &self,
        part: &Part,
        buffer: &mut Vec<u8>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let layout = self.layout.as_ref();
        let listed = layout.and_then(|layout| layout.collections.get(part.number as usize));
        let (Some(listed), Some(file)) = (listed, &self.files.snapshot) else {
            return Ok(());
        };
        let mut walker = ChunkWalker::new(JsonConverter::new(self.infer_types));
        let mut enricher = self.joined().map(|files| files.enricher(self.infer_types));
        let mut bson = Vec::new();
        if let Some(enricher) = &mut enricher {
            enricher.seek(part.number, 0)?;
        }
        for chunk in &listed.chunks {
            let ordinal = Cell::new(chunk.first_ordinal);
            let pass_bad = |error| {
                ordinal.set(ordinal.get().saturating_add(1));
                self.pass_document(error)
            };
            let take = |mut found: ChunkDocument<'_>| {
                let context = DocumentContext {
                    collection: &part.v1_name,
                    ordinal: ordinal.replace(ordinal.get().saturating_add(1)),
                };
                let Some(enricher) = &mut enricher else {
                    return self.visit_snapshot(part, &found, buffer, visit);
                };
                bson.clear();
                bson.extend_from_slice(found.bson);
                let copy = enricher.replace(&context, &mut bson, 0, &mut found.converted)?;
                let mut tally = self.pages_tally.get();
                copy.count(&mut tally);
                self.pages_tally.set(tally);
                let found = ChunkDocument {
                    bson: &bson,
                    ..found
                };
                self.visit_snapshot(part, &found, buffer, visit)
            };
            walker.walk_all(file, &part.v1_name, *chunk, take, pass_bad)?;
        }
        Ok(())
    }

    /// The documents that only pages have, but for those that the log has something newer of.
    pub(super) fn read_recovered(
        &self,
        part: &Part,
        buffer: &mut Vec<u8>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let Some(files) = self.joined() else {
            return Ok(());
        };
        let mut recovered = files.recovered(part.number);
        for position in 0..recovered.count() {
            let address = recovered.read(position, buffer)?;
            let mut tally = self.pages_tally.get();
            let is_superseded = is_superseded(self.overlay.as_ref(), part.number, buffer)?;
            tally.superseded = tally.superseded.saturating_add(u64::from(is_superseded));
            tally.recovered = tally.recovered.saturating_add(u64::from(!is_superseded));
            self.pages_tally.set(tally);
            if !is_superseded {
                visit(SourceDocument {
                    document: RawDocument::trusted(buffer),
                    position: Position::Page(address),
                    source_bytes: buffer.len() as u64,
                })?;
            }
        }
        Ok(())
    }

    /// What the operator should know of the pages.
    pub(super) fn warnings_of_pages(&self) -> Vec<Warning> {
        let (Some(unlisted), Some(data)) = (&self.unlisted, &self.files.data) else {
            return Vec::new();
        };
        let name_of = |number| {
            let mut parts = self.parts.iter();
            let part = parts.find(|part| part.number == number);
            part.map(|part| part.v1_name.as_str())
        };
        let found = warnings_of_join(self.pages_mode, data, &unlisted.summary, name_of);
        let mut warnings = found;
        let read = self.pages_tally.get();
        warnings.extend(warnings_of_collection(read, &Place::file(data.path())));
        warnings
    }
}

/// Joins `data.db` with the snapshot, and gives groups of recovered documents a name.
pub(super) fn join_pages(
    files: &V1Files,
    layout: Option<&SnapshotLayout>,
    options: &V1Options,
    names: &mut Names,
    progress: &mut ScanProgress<'_>,
) -> Result<Option<Unlisted>> {
    let has_page = |data: &&InputFile| data.size() >= PAGE_SIZE as u64;
    let Some(data) = files.data.as_ref().filter(has_page) else {
        return Ok(None);
    };
    let scratch = Arc::new(TempScratch::new(&options.temp_dir)?);
    let input = JoinInput {
        data,
        snapshot: files.snapshot.as_ref().zip(layout),
        memory: options.overlay_memory.saturating_mul(2),
        recover: options.pages == PagesMode::Recover,
        taken: names.taken(),
        scratch: Arc::clone(&scratch) as Arc<dyn Scratch>,
    };
    // Goes on counting where the scan of the snapshot has stopped.
    let mut read = files.snapshot.as_ref().map_or(0, InputFile::size);
    let mut advance = |bytes| {
        read = read.saturating_add(bytes);
        progress(read)
    };
    let mut summary = match &options.problems {
        None if options.max_bad > 0 => join(&input, &mut PassAll, &mut advance),
        Some(problems) => join(&input, &mut ToProblems { data, problems }, &mut advance),
        None => join(&input, &mut RefuseAll::new(data), &mut advance),
    }?;
    let numbers = names.add_recovered(data, &summary.groups)?;
    summary.number_groups(numbers);
    let joined = match summary.tally.slotted {
        0 => None,
        _ => Some(JoinFiles::new(
            &summary,
            data.clone(),
            scratch.file(ScratchFile::Candidates)?,
            scratch.file(ScratchFile::Recovered)?,
        )?),
    };
    Ok(Some(Unlisted {
        summary,
        files: joined,
    }))
}
