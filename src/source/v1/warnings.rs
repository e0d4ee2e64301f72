//! What the operator should know of a v1 directory that was read.

use super::V1Source;
use crate::files::InputFile;
use crate::report::Warning;
use crate::{Code, Place};

impl V1Source {
    /// What the operator should know of the snapshot.
    pub(super) fn warnings_of_snapshot(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let snapshot = self.files.snapshot.as_ref();
        let place = Place::file(snapshot.map_or(&*self.info.path, InputFile::path));
        let mut warn = |code, sentence: String, place: Place| {
            warnings.push(Warning::new(code, sentence).at(place));
        };
        let layout_keys = self.layout.as_ref().map_or(0, |layout| layout.unknown_keys);
        let unknown = layout_keys.saturating_add(self.tally.get().unknown_keys);
        if unknown > 0 {
            let sentence = format!("{unknown} keys of the snapshot mean nothing and were skipped");
            warn(Code::UnknownKeys, sentence, place.clone());
        }
        let tally = self.tally.get();
        if tally.emptied_array_documents > 0 {
            let sentence = format!(
                "{} documents inside arrays are {{}} in the snapshot: LauraDB's backup loses their \
                 contents",
                tally.emptied_array_documents
            );
            warn(Code::EmptiedArrays, sentence, place.clone());
        }
        if tally.generated_ids > 0 {
            let sentence = format!("{} documents had no _id and got one", tally.generated_ids);
            warn(Code::GeneratedIds, sentence, place.clone());
        }
        if !self.dropped_options.is_empty() {
            let dropped = self.dropped_options.join(", ");
            let sentence = format!("options of indexes that are not carried: {dropped}");
            warn(Code::DroppedOptions, sentence, place);
        }
        warnings
    }

    /// What the operator should know of the write-ahead log.
    pub(super) fn warnings_of_log(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |code, sentence: String, place: Place| {
            warnings.push(Warning::new(code, sentence).at(place));
        };
        let (Some(summary), Some(log)) = (&self.summary, &self.files.wal) else {
            return warnings;
        };
        if let Some(tail) = &summary.torn_tail {
            let sentence = format!(
                "the write-ahead log ends in a torn record of {} bytes, which was dropped",
                tail.bytes
            );
            warn(
                Code::TornTail,
                sentence,
                Place::offset(log.path(), tail.offset),
            );
        }
        let dropped = summary
            .operations
            .aborted
            .saturating_add(summary.operations.unfinished);
        if dropped > 0 {
            let sentence = format!(
                "{dropped} operations of transactions that were aborted or never finished were \
                 dropped"
            );
            warn(Code::DroppedTransactions, sentence, Place::file(log.path()));
        }
        warnings
    }
}
