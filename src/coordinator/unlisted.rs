//! Documents in the `data.db` of a v1 directory, which no catalog names.

use crate::files::InputFile;
use crate::report::Warning;
use crate::v2::page::{PAGE_SIZE, PageBytes, PageHeader, PageType};
use crate::v2::slotted::SlottedPage;
use crate::{Code, Place, Result};

/// Bytes read at once.
const READ: usize = 256 * PAGE_SIZE;

/// How many live documents the slotted pages of a v1 `data.db` hold; other pages are passed over.
pub(super) fn documents(file: &InputFile) -> Result<u64> {
    let mut buffer = vec![0; READ];
    let mut documents = 0;
    let mut offset = 0;
    loop {
        let filled = file.read_at(&mut buffer, offset)?;
        let pages = buffer
            .get(..filled)
            .unwrap_or_default()
            .as_chunks::<PAGE_SIZE>()
            .0;
        if pages.is_empty() {
            return Ok(documents);
        }
        documents += pages.iter().map(live_documents).sum::<u64>();
        offset += (pages.len() * PAGE_SIZE) as u64;
    }
}

fn live_documents(page: &PageBytes) -> u64 {
    if PageHeader::decode(page).page_type != PageType::Data as u8 {
        return 0;
    }
    let Ok(slotted) = SlottedPage::open(page) else {
        return 0;
    };
    slotted.slots().filter(Result::is_ok).count() as u64
}

/// The warning that `data.db` holds documents which this run does not read.
pub(super) fn warning(file: &InputFile) -> Result<Option<Warning>> {
    let documents = documents(file)?;
    Ok((documents > 0).then(|| {
        let sentence = format!(
            "data.db holds {documents} live documents in pages that no catalog names; they were \
             not read, the snapshot was"
        );
        Warning::new(Code::UnlistedPages, sentence).at(Place::file(file.path()))
    }))
}
