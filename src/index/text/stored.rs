//! Long terms from the documents in a data file.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{LongTerms, TextExtractor};
use crate::document::bson::RawDocument;
use crate::v2::DocumentAddress;
use crate::v2::data_file::DocumentReader;
use crate::v2::page_file::PageFileReader;
use crate::{Code, Error, Place, Result};

/// Reads documents of a data file again.
#[derive(Clone, Debug)]
pub struct StoredLongTerms {
    file: PageFileReader,
    extractor: TextExtractor,
}

impl StoredLongTerms {
    /// For the index that the extractor is for.
    #[must_use]
    pub fn new(file: PageFileReader, extractor: TextExtractor) -> Self {
        Self { file, extractor }
    }
}

impl LongTerms for StoredLongTerms {
    fn long_terms(&self, address: DocumentAddress, terms: &mut Vec<Vec<u8>>) -> Result<()> {
        let mut reader = DocumentReader::new(&self.file);
        let document = reader.read(address)?.ok_or_else(|| {
            let sentence = "a posting points at a deleted slot";
            let place = Place::page(self.file.path(), address.page.0);
            Error::new(Code::VerifyFailed, sentence).at(place.with_slot(address.slot.0))
        })?;
        self.extractor
            .long_terms(RawDocument::trusted(document), terms);
        Ok(())
    }
}
