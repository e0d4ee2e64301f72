//! Whether marker and files are still what a migration has published.

use super::Check;
use crate::error::Place;
use crate::files::{Dir, InputFile};
use crate::layout;
use crate::source::missing_database_file;
use crate::validate::side::{PublishedFile, PublishedFiles};
use crate::version::{FormatVersion, Marker};
use crate::{Code, Result};

/// Largest marker that is read, bytes.
const LARGEST_MARKER: u64 = 64 << 10;

/// A migration writes the marker from the format it came from and its one instant alone.
pub(super) fn check_marker(check: &Check<'_>, dir: &Dir, created_ns: Option<i64>) -> Result<()> {
    if !check.fresh {
        return Ok(());
    }
    let file = dir.open_file(layout::MARKER_FILE)?;
    let Some(marker) = check.problems.catch(Marker::read(&file))? else {
        return Ok(());
    };
    let altered = |sentence: &str| {
        let place = Place::file(file.path());
        check.add(Code::NotAsPublished, sentence, place);
    };
    let previous = marker.previous_version.as_deref().unwrap_or_default();
    if FormatVersion::find(previous).is_none() {
        altered("the marker names an unknown format that was migrated from");
        return Ok(());
    }
    let date = marker.migration_date.as_deref().unwrap_or_default();
    let written = Marker::migrated(FormatVersion::V2_0, previous, date).encode();
    if file.read_all(LARGEST_MARKER)? != written.as_bytes() {
        altered("the marker is not the one that a migration writes");
        return Ok(());
    }
    let instant = date.parse::<jiff::Timestamp>().ok();
    let created = created_ns.map(i128::from);
    if instant.is_none()
        || created.is_some_and(|created| instant.map(|time| time.as_nanosecond()) != Some(created))
    {
        altered("the marker's date is not that of the migration, as the catalog has it");
    }
    Ok(())
}

/// Compares files with what the receipt names; true if one differs.
pub(super) fn check_files(
    check: &Check<'_>,
    dir: &Dir,
    published: &PublishedFiles,
    metadata: &Option<InputFile>,
    data: &Option<InputFile>,
) -> Result<bool> {
    let PublishedFiles::Known(published) = published else {
        return Ok(false);
    };
    if !check.fresh {
        // A living database has one too.
        let has_log = published.iter().any(|file| file.name == layout::WAL_FILE);
        if has_log && dir.entry(layout::WAL_FILE)?.is_none() {
            check
                .problems
                .add(missing_database_file(dir, layout::WAL_FILE));
        }
        return Ok(false);
    }
    let mut altered = false;
    for name in [layout::DATA_FILE, layout::METADATA_FILE, layout::WAL_FILE] {
        if !published.iter().any(|file| file.name == name) {
            let sentence = format!("the receipt does not name {name}");
            let place = Place::file(dir.join(layout::RECEIPT_FILE));
            check.add(Code::NotAsPublished, sentence, place);
            altered = true;
        }
    }
    for expected in published {
        let open = match expected.name.as_str() {
            layout::METADATA_FILE => metadata.clone(),
            layout::DATA_FILE => data.clone(),
            layout::RECEIPT_FILE => continue,
            name => dir.open_file_if_exists(name)?,
        };
        if let Some(difference) = difference(expected, open.as_ref())? {
            let place = Place::file(dir.join(&expected.name));
            check.add(Code::NotAsPublished, difference, place);
            altered = true;
        }
    }
    Ok(altered)
}

fn difference(expected: &PublishedFile, file: Option<&InputFile>) -> Result<Option<String>> {
    let Some(file) = file else {
        return Ok(Some("a file that was published is missing".to_owned()));
    };
    if file.size() != expected.size {
        return Ok(Some(format!(
            "the file has {} bytes, {} were published",
            file.size(),
            expected.size
        )));
    }
    let hash = file.xxh3()?;
    Ok((hash != expected.xxh3).then(|| {
        format!(
            "the file's XXH3-128 is {hash}, that of the published one {}",
            expected.xxh3
        )
    }))
}
