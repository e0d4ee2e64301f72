//! Whether a v2 directory is there: what is asked before a run says that there is nothing to do.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::files::{Dir, InputFile};
use crate::layout;
use crate::source::{check_log, open_database_file};
use crate::store::recovery::Overlay;
use crate::v2::metadata::{CollectionMetadata, MetadataReader};
use crate::v2::page::{ChecksumPolicy, PAGE_SIZE};
use crate::v2::page_file::PageFileReader;
use crate::{Code, Error, ExitCode, Place, Result};

/// What says how far the files of a directory are.
enum Log {
    /// The files have everything.
    Clean,
    /// It has pages of a store that the files may not have yet.
    Ahead(Overlay),
    /// LauraDB's: what its files are worth without it only LauraDB can tell.
    Foreign,
}

/// Files and catalog of a v2 directory must parse, and `data.db` must have the pages that the
/// catalog names.
///
/// # Errors
/// [`Code::CatalogDamaged`], [`Code::PageDamaged`], [`Code::StoreLogDamaged`]; a read fails.
pub(super) fn check_parses(directory: &Dir) -> Result<()> {
    parse(directory).map_err(|error| {
        let needs_hint = error.exit_code() == ExitCode::Different && error.hint_text().is_none();
        match needs_hint {
            true => error.hint("restore the directory from a backup; --mode validate tells more"),
            false => error,
        }
    })
}

fn parse(directory: &Dir) -> Result<()> {
    let metadata = open_database_file(directory, layout::METADATA_FILE)?;
    let data = open_database_file(directory, layout::DATA_FILE)?;
    let log = match check_log(directory) {
        Ok((_, None)) => Log::Clean,
        Ok((_, Some(overlay))) => Log::Ahead(overlay),
        Err(error) if error.code() == Code::NeedsRecovery => Log::Foreign,
        Err(error) => return Err(error),
    };
    let policy = ChecksumPolicy::Optional;
    let reader = match &log {
        Log::Ahead(overlay) => {
            let pages = PageFileReader::with_images(metadata, policy, overlay.metadata())?;
            MetadataReader::of_pages(pages)?
        }
        Log::Clean | Log::Foreign => MetadataReader::open(metadata, policy)?,
    };
    let mut least = 1;
    for entry in reader.collections() {
        least = least.max(pages_named(&reader.load(entry)?, &log));
    }
    check_pages(data, least, &log)
}

/// One more than the last page of `data.db` that a collection's metadata names.
fn pages_named(loaded: &CollectionMetadata, log: &Log) -> u32 {
    let options = loaded.record.options.as_ref();
    let extents = options.and_then(|options| options.data_extents.as_ref());
    let ends = extents.into_iter().flatten();
    let ends = ends.map(|extent| extent.0.0.saturating_add(extent.1));
    // A root that LauraDB has made since may be in its log alone.
    let indexes = loaded
        .indexes
        .iter()
        .filter(|_| !matches!(log, Log::Foreign));
    let roots = indexes.map(|index| index.record.root_page.0.saturating_add(1));
    ends.chain(roots).max().unwrap_or_default()
}

fn check_pages(data: InputFile, least: u32, log: &Log) -> Result<()> {
    let path = data.path().to_path_buf();
    let whole = data
        .size()
        .checked_div(PAGE_SIZE as u64)
        .unwrap_or_default();
    let policy = ChecksumPolicy::Optional;
    let pages = match log {
        Log::Clean => u64::from(PageFileReader::open(data, policy)?.page_count()),
        Log::Ahead(overlay) => {
            u64::from(PageFileReader::with_images(data, policy, overlay.data())?.page_count())
        }
        // A crash in the middle of its growth leaves a part of a page.
        Log::Foreign => whole,
    };
    if pages >= u64::from(least) {
        return Ok(());
    }
    let sentence = format!("the file has {pages} pages, and the catalog names {least}");
    Err(Error::new(Code::PageDamaged, sentence).at(Place::file(path)))
}
