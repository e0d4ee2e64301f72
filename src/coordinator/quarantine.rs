//! The quarantine: records and documents that cannot be carried over, kept byte for byte.
//!
//! ```text
//! .lauradb-quarantine.jsonl = line*
//! line = {"file":…,"offset":…,"lsn":…,"collection":…,"_id":…,"code":"LM0433","reason":…,
//!         "bytes":"base64 of the record, of the document's JSON text, or of what data.db holds"} LF
//! ```
//!
//! `file` is a name in the source; `lsn`, `collection` and `_id` are left out where they are not
//! known. What `data.db` holds comes first: damaged pages, documents, older copies of recovered
//! documents. Then come records of the write-ahead log, in its order; then documents, collection by
//! collection; then duplicates of an `_id`, which only show when the keys are sorted. It is staged
//! like `data.db`, and a checkpoint knows how long it is, so that a resumed run cuts off what it
//! will find again.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::dry_run::DryRun;
use super::plan::Plan;
use super::work::WorkDir;
use crate::files::{AppendWriter, InputFile};
use crate::layout::QUARANTINE_FILE;
use crate::options::Options;
use crate::v1::wal::{Overlay, WalOptions};
use crate::{Code, Error, Place, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of the buffer that lines are written from.
const BUFFER: usize = 64 << 10;

/// Bytes of a record that are encoded at once: a multiple of three, so that the pieces join.
const BLOCK: usize = 48 << 10;

/// The part of a line before its bytes is never longer: names and messages are bounded.
const LONGEST_HEAD: u64 = 1 << 20;

/// What comes between the head of a line and its bytes.
const BYTES_KEY: &str = ",\"bytes\":\"";

/// How much of the staged quarantine counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QuarantineState {
    pub(super) records: u64,
    /// Older copies of recovered documents among them, which `--max-bad` is not about.
    #[serde(default)]
    pub(super) older_copies: u64,
    /// Where the first record begins, or will, that is no older copy.
    #[serde(default)]
    pub(super) first: u64,
    /// Length of the file.
    pub(super) bytes: u64,
}

impl QuarantineState {
    /// Records that count against `--max-bad`.
    pub(super) fn counted(&self) -> u64 {
        self.records.saturating_sub(self.older_copies)
    }
}

/// A line without its bytes.
#[derive(Serialize, Deserialize)]
struct Head {
    file: String,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lsn: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    code: Code,
    reason: String,
}

/// The staged quarantine.
pub(super) struct Quarantine {
    work: WorkDir,
    max_bad: u64,
    state: QuarantineState,
    /// Opened when there is something to write.
    file: Option<AppendWriter>,
    /// Where to note what would go here, if nothing is written.
    dry: Option<Arc<DryRun>>,
}

impl Quarantine {
    /// Goes on after what `state` counts.
    pub(super) fn resume(work: &WorkDir, options: &Options, state: QuarantineState) -> Self {
        Self {
            work: work.clone(),
            max_bad: options.max_bad,
            state,
            file: None,
            dry: None,
        }
    }

    /// From here on, only notes what would go here.
    pub(super) fn only_note(&mut self, dry: Arc<DryRun>) {
        self.dry = Some(dry);
    }

    /// True if anything may go to quarantine.
    pub(super) fn is_allowed(&self) -> bool {
        self.max_bad > 0
    }

    /// How much of it counts now.
    pub(super) fn state(&self) -> QuarantineState {
        self.state
    }

    /// True if `more` records may come.
    pub(super) fn has_room(&self, more: u64) -> bool {
        self.state.counted().saturating_add(more) <= self.max_bad
    }

    /// The error that the run fails with where `bad` is one too many: that of the first one.
    pub(super) fn too_many(&mut self, plan: &Plan, bad: Error) -> Error {
        match self.first_error(plan) {
            Ok(first) => first.unwrap_or(bad).beyond_max_bad(self.max_bad),
            Err(error) => error,
        }
    }

    /// Adds the bytes of `file` from `offset` on, for the reason that `bad` gives.
    pub(super) fn put(
        &mut self,
        plan: &Plan,
        file: &InputFile,
        (offset, bytes): (u64, u64),
        bad: Error,
    ) -> Result<()> {
        if let Some(dry) = &self.dry {
            dry.findings.note_bad(bad);
            self.only_count(false);
            return Ok(());
        }
        if !self.has_room(1) {
            return Err(self.too_many(plan, bad));
        }
        self.add(file, offset, &bad, |out| {
            append_base64(out, file, offset, bytes)
        })
    }

    /// Adds something of `data.db`; there is room for it.
    pub(super) fn put_page_content(
        &mut self,
        data: &InputFile,
        (offset, bytes): (u64, &[u8]),
        bad: &Error,
        is_older_copy: bool,
    ) -> Result<()> {
        self.add(data, offset, bad, |out| {
            out.append(STANDARD.encode(bytes).as_bytes())
        })?;
        if is_older_copy {
            if self.state.counted() == 1 {
                self.state.first = self.state.bytes;
            }
            self.state.older_copies = self.state.older_copies.saturating_add(1);
        }
        Ok(())
    }

    /// Counts something of `data.db` without writing it.
    pub(super) fn only_count(&mut self, is_older_copy: bool) {
        self.state.records = self.state.records.saturating_add(1);
        let older_copies = &mut self.state.older_copies;
        *older_copies = older_copies.saturating_add(u64::from(is_older_copy));
    }

    fn add(
        &mut self,
        file: &InputFile,
        offset: u64,
        bad: &Error,
        append_bytes: impl FnOnce(&mut AppendWriter) -> Result<()>,
    ) -> Result<()> {
        let head = head(file, offset, bad)?;
        tracing::debug!("to quarantine: {bad}");
        let out = self.open()?;
        out.append(head.as_bytes())?;
        out.append(BYTES_KEY.as_bytes())?;
        append_bytes(out)?;
        out.append(b"\"}\n")?;
        self.state.bytes = out.position();
        self.state.records = self.state.records.saturating_add(1);
        Ok(())
    }

    /// Adds the bad records of the write-ahead log, which the check phase has counted.
    pub(super) fn put_log(&mut self, plan: &Plan, options: &Options) -> Result<()> {
        let bad_records = plan.wal_summary.as_ref().map_or(0, |wal| wal.bad_records);
        let Some(log) = plan.wal.as_ref().filter(|_| bad_records > 0) else {
            return Ok(());
        };
        // Only the records themselves count here; operations take effect nowhere.
        let mut resolve = |_: &str, _| Ok(None);
        let wal = WalOptions {
            after_lsn: plan.after_lsn,
            memory_limit: options.memory,
            resolve: &mut resolve,
        };
        Overlay::scan_passing(log.clone(), wal, options.max_bad, &mut |record| {
            let error = copy_of(&record.error, record.place.clone());
            self.put(plan, log, (record.offset, record.bytes), error)
        })?;
        Ok(())
    }

    /// Makes what was added durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        match &mut self.file {
            Some(file) => file.sync(),
            None => Ok(()),
        }
    }

    fn open(&mut self) -> Result<&mut AppendWriter> {
        let file = match self.file.take() {
            Some(file) => file,
            // It will be published, so it is as readable as the source and no more.
            None if self.state.bytes == 0 => {
                self.work.remove_file(QUARANTINE_FILE)?;
                let file = self.work.create_file(QUARANTINE_FILE, self.work.access)?;
                AppendWriter::new(file, 0, BUFFER)
            }
            None => self
                .work
                .append_to(QUARANTINE_FILE, self.state.bytes, BUFFER)?,
        };
        Ok(self.file.insert(file))
    }

    /// What the first record of the quarantine that counts would have failed the run with.
    fn first_error(&mut self, plan: &Plan) -> Result<Option<Error>> {
        if self.state.counted() == 0 {
            return Ok(None);
        }
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        let file = self.work.open_file(QUARANTINE_FILE)?;
        let first = self.state.first;
        let length = file.size().saturating_sub(first).min(LONGEST_HEAD);
        let mut start = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut start, first)?;
        let text = String::from_utf8_lossy(&start);
        let head = text.split(BYTES_KEY).next().unwrap_or_default();
        let head: Head = serde_json::from_str(&format!("{head}}}")).map_err(|error| {
            Error::new(
                Code::CheckpointDamaged,
                "the staged quarantine does not parse",
            )
            .at(Place::file(file.path()))
            .because(error)
            .hint("add --restart to discard the interrupted run and begin anew")
        })?;
        let source = [&plan.snapshot, &plan.wal, &plan.data]
            .into_iter()
            .flatten()
            .find(|source| file_name(source) == head.file);
        let path = source.map_or_else(|| PathBuf::from(&head.file), |source| source.path().into());
        let place = Place {
            lsn: head.lsn,
            collection: head.collection,
            id: head.id,
            ..Place::offset(path, head.offset)
        };
        Ok(Some(
            Error::new(head.code, head.reason)
                .at(place)
                .hint("correct the source, or give a larger --max-bad"),
        ))
    }
}

/// The same error again, at a place that says more.
fn copy_of(error: &Error, place: Place) -> Error {
    Error::new(error.code(), reason(error)).at(place)
}

/// A sentence with its causes.
fn reason(error: &Error) -> String {
    let mut text = error.sentence().to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn file_name(file: &InputFile) -> String {
    let name = file.path().file_name().unwrap_or(OsStr::new(""));
    name.to_string_lossy().into_owned()
}

/// A line up to its bytes.
fn head(file: &InputFile, offset: u64, bad: &Error) -> Result<String> {
    let place = bad.place();
    let head = Head {
        file: file_name(file),
        offset,
        lsn: place.lsn,
        collection: place.collection.clone(),
        id: place.id.clone(),
        code: bad.code(),
        reason: reason(bad),
    };
    let mut text = serde_json::to_string(&head)
        .map_err(|error| Error::new(Code::Internal, "cannot encode a record").because(error))?;
    text.pop();
    Ok(text)
}

fn append_base64(out: &mut AppendWriter, file: &InputFile, offset: u64, bytes: u64) -> Result<()> {
    let mut block = vec![0; BLOCK];
    let mut text = String::new();
    let mut done = 0;
    while done < bytes {
        let left = bytes.saturating_sub(done);
        let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let part = block.get_mut(..length).unwrap_or_default();
        file.read_exact_at(part, offset.saturating_add(done))?;
        text.clear();
        STANDARD.encode_string(part, &mut text);
        out.append(text.as_bytes())?;
        done = done.saturating_add(length as u64);
    }
    Ok(())
}
