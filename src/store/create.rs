//! An empty v2 directory.

use super::state::State;
use crate::Result;
use crate::files::{Access, Dir, EntryKind};
use crate::layout;
use crate::v1::wal::fresh_wal;
use crate::v2::PageId;
use crate::v2::page::{self, PAGE_SIZE, PageBytes};
use crate::v2::slotted::SlotList;
use crate::version::{FormatVersion, Marker};

fn first_data_page() -> PageBytes {
    let mut bytes = [0; PAGE_SIZE];
    SlotList::empty(0).build(&mut bytes);
    page::seal(&mut bytes, PageId(0));
    bytes
}

fn metadata_page() -> Result<PageBytes> {
    let mut state = State {
        collections: Vec::new(),
        next_collection_id: 1,
        page_count: 1,
    };
    let mut pages = state.lay_out()?;
    let mut bytes = pages.pop().unwrap_or([0; PAGE_SIZE]);
    page::seal(&mut bytes, PageId(0));
    Ok(bytes)
}

/// What an empty database consists of, besides its marker.
fn files() -> Result<[(&'static str, Vec<u8>); 3]> {
    Ok([
        (layout::METADATA_FILE, metadata_page()?.to_vec()),
        (layout::DATA_FILE, first_data_page().to_vec()),
        (layout::WAL_FILE, fresh_wal().to_vec()),
    ])
}

/// True for a directory that holds nothing, or what a crash has left of [`create`]: files of an
/// empty database, whole or in part, and no marker.
pub(super) fn is_vacant(dir: &Dir) -> Result<bool> {
    let files = files()?;
    let temporary = format!("{}.tmp", layout::MARKER_FILE);
    for entry in dir.entries()? {
        if entry.name == *temporary && entry.size <= 1024 {
            continue;
        }
        let made = files.iter().find(|(name, _)| entry.name == **name);
        let Some((name, bytes)) = made.filter(|_| entry.kind == EntryKind::File) else {
            // Foreign files are nobody's database.
            if layout::is_laura_file(&entry.name) || layout::is_laura_directory(&entry.name) {
                return Ok(false);
            }
            continue;
        };
        if entry.size > bytes.len() as u64 {
            return Ok(false);
        }
        let found = dir.open_file(name)?.read_all(PAGE_SIZE as u64)?;
        let is_part = bytes.get(..found.len()) == Some(&*found);
        if !is_part && found.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes an empty v2 directory. The marker comes last and makes it one; before it, a crash leaves
/// what [`is_vacant`] knows.
pub(super) fn create(dir: &Dir) -> Result<()> {
    let access = Access::default();
    for (name, bytes) in files()? {
        if dir.entry(name)?.is_some() {
            dir.remove_file(name)?;
        }
        let file = dir.create(name, access)?;
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
    }
    dir.sync()?;
    let migrated = Marker::migrated(FormatVersion::V2_0, "", "");
    let marker = Marker {
        migration_date: None,
        previous_version: None,
        ..migrated
    };
    dir.replace(layout::MARKER_FILE, marker.encode().as_bytes(), access)
}
