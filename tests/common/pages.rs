//! `data.db` as LauraDB writes it, and the snapshot that its backup makes of the same documents.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, and each file uses its own part"
)]

use laura_migrate::document::bson::RawDocument;
use laura_migrate::v1::snapshot::backup_text;
use laura_migrate::v2::slotted::SlottedBuilder;

/// Slotted pages without checksum and owner, as LauraDB leaves them.
pub(crate) struct Pages {
    first: u32,
    pages: Vec<Vec<Vec<u8>>>,
}

impl Pages {
    pub(crate) fn new() -> Self {
        Self {
            first: 0,
            pages: Vec::new(),
        }
    }

    /// The same pages, the first of them with this number.
    pub(crate) fn from(&self, first: u32) -> Self {
        Self {
            first,
            pages: self.pages.clone(),
        }
    }

    /// Adds a page with these documents, which fit it.
    pub(crate) fn page(&mut self, documents: &[Vec<u8>]) {
        self.pages.push(documents.to_vec());
    }

    /// Adds the pages that a collection's documents fill.
    pub(crate) fn collection(&mut self, documents: &[Vec<u8>]) {
        let mut page: Vec<Vec<u8>> = Vec::new();
        for document in documents {
            let filled: usize = page.iter().map(|other| other.len() + 5).sum();
            if filled + document.len() + 5 > 4068 {
                self.page(&std::mem::take(&mut page));
            }
            page.push(document.clone());
        }
        if !page.is_empty() {
            self.page(&page);
        }
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for (number, documents) in (self.first..).zip(&self.pages) {
            let mut builder = SlottedBuilder::new(0);
            for document in documents {
                builder.try_insert(document).expect("a full page");
            }
            let page = builder.finish();
            let at = file.len();
            file.extend_from_slice(&page[..]);
            file[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        file
    }
}

/// A collection in the snapshot: what LauraDB's backup makes of its documents.
pub(crate) fn lossy_collection(name: &str, documents: &[Vec<u8>]) -> String {
    let texts = documents.iter().map(|document| {
        let mut text = Vec::new();
        assert!(backup_text(RawDocument::trusted(document), &mut text));
        String::from_utf8(text).expect("JSON is UTF-8")
    });
    let texts: Vec<String> = texts.collect();
    format!(
        r#"{{"name":"{name}","documents":[{}],"indexes":null}}"#,
        texts.join(",")
    )
}

/// A snapshot of these collections.
pub(crate) fn snapshot_of(collections: &[String]) -> String {
    format!(
        r#"{{"version":"1.0","timestamp":"2025-01-15T10:30:00Z","database_name":"d","collections":[{}]}}"#,
        collections.join(",")
    )
}
