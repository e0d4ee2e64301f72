//! Tests of the log as a whole, and what they share.

mod fixtures;
mod histories;
mod limits;

use super::{Overlay, RecordPlace, WalOptions, WalSummary};
use crate::Result;
use crate::files::InputFile;
use std::collections::BTreeMap;
use std::io::Write;
use tempfile::NamedTempFile;

/// A log in a file.
struct Log(NamedTempFile);

impl Log {
    fn new(bytes: &[u8]) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Self(file)
    }

    fn open(&self) -> InputFile {
        InputFile::open(self.0.path()).unwrap()
    }
}

/// A scanned log and the numbers that its collections got.
struct Scanned {
    overlay: Overlay,
    summary: WalSummary,
    numbers: BTreeMap<String, u32>,
}

impl Scanned {
    /// The documents of a collection that the snapshot does not have, in order.
    fn remaining(&self, collection: &str) -> Vec<Vec<u8>> {
        let Some(number) = self.numbers.get(collection) else {
            return Vec::new();
        };
        let read = |record| {
            let mut document = Vec::new();
            self.overlay.read_document(record, &mut document).unwrap();
            document
        };
        self.overlay.remaining(*number).map(read).collect()
    }

    fn all_remaining(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let names = self.numbers.keys();
        names
            .map(|name| (name.clone(), self.remaining(name)))
            .filter(|(_, documents)| !documents.is_empty())
            .collect()
    }
}

/// Scans with ample memory; collections are numbered as they come.
fn scan(bytes: &[u8], after_lsn: Option<u64>) -> Result<Scanned> {
    scan_file(Log::new(bytes).open(), after_lsn, u64::MAX)
}

fn scan_file(file: InputFile, after_lsn: Option<u64>, memory_limit: u64) -> Result<Scanned> {
    let mut numbers = BTreeMap::new();
    let mut resolve = |name: &str, _: RecordPlace| {
        let next = u32::try_from(numbers.len()).unwrap();
        Ok(Some(*numbers.entry(name.to_owned()).or_insert(next)))
    };
    let options = WalOptions {
        after_lsn,
        memory_limit,
        resolve: &mut resolve,
    };
    let (overlay, summary) = Overlay::scan(file, options)?;
    Ok(Scanned {
        overlay,
        summary,
        numbers,
    })
}
