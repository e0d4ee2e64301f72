//! The rules that a node keeps as long as nobody has changed it since it was built.

use super::reader::check_zero;
use super::{
    FLAG_TRUNCATED, FREE_SPACE_OFFSET, KEY_COUNT, LEVEL, Node, PARENT_PAGE, VALUE_BYTES,
    inner_entry, leaf_entry,
};
use crate::bytes::get_u16;
use crate::v2::btree::key::MAX_STORED_KEY;
use crate::v2::page::{PAGE_HEADER_SIZE, PAGE_SIZE, PageError, PageHeader};

/// Where the page header has these fields, for messages.
const PAGE_FLAGS: usize = 5;
const PAGE_LSN: usize = PAGE_FLAGS + 1;

// A key's offset stands alike in both kinds of directory.
const _: () = assert!(leaf_entry::KEY_OFFSET == inner_entry::KEY_OFFSET);

/// Checks what [`Node::parse`] leaves open for the sake of LauraDB and of later changes.
///
/// Leaves have entries, none of them deleted or versioned; internal nodes a level; keys are within
/// their limit; keys and values are packed without holes, and every byte that means nothing is 0.
///
/// # Errors
/// The first field that is not as the builder leaves it.
pub(in crate::v2) fn check_fresh(node: &Node<'_>) -> Result<(), PageError> {
    let page = node.page();
    let header = PageHeader::decode(page);
    if header.flags != 0 {
        return Err(PageError::field(PAGE_FLAGS, "flags", header.flags, "0"));
    }
    if header.lsn != 0 {
        return Err(PageError::field(PAGE_LSN, "lsn", header.lsn, "0"));
    }
    check_zero(page, PARENT_PAGE, PARENT_PAGE + 4, "parent_page")?;
    if node.key_count() == 0 {
        return Err(PageError::field(KEY_COUNT, "key_count", 0_u16, "1 or more"));
    }
    if !node.is_leaf() && node.level() == 0 {
        let field = "level of an internal node";
        return Err(PageError::field(LEVEL, field, 0_u8, "1 or more"));
    }
    let free_space = get_u16(page, FREE_SPACE_OFFSET).unwrap_or_default();
    let expected = node.directory_end().saturating_sub(PAGE_HEADER_SIZE);
    if usize::from(free_space) != expected {
        let field = "free_space_offset";
        return Err(PageError::field(
            FREE_SPACE_OFFSET,
            field,
            free_space,
            expected.to_string(),
        ));
    }
    check_zero(page, node.directory_end(), lowest(node)?, "free space")
}

/// Checks keys, and that nothing lies between them; gives where the lowest begins.
fn lowest(node: &Node<'_>) -> Result<usize, PageError> {
    let page = node.page();
    let last = node
        .directory_entry(node.key_count().saturating_sub(1))
        .saturating_add(leaf_entry::KEY_OFFSET);
    let found = get_u16(page, last).unwrap_or_default();
    if node.is_packed() {
        return Ok(PAGE_HEADER_SIZE.saturating_add(found.into()));
    }
    // Areas lie apart and in order, so there is no hole if and only if the lowest one begins as far
    // from the page's end as all of them are long.
    let lowest = PAGE_SIZE.saturating_sub(check_keys(node)?);
    let expected = lowest.saturating_sub(PAGE_HEADER_SIZE);
    if usize::from(found) != expected {
        let field = "key_offset of the last key";
        let expected = format!("{expected}, without a hole above it");
        return Err(PageError::field(last, field, found, expected));
    }
    Ok(lowest)
}

/// Checks lengths and flags; gives the bytes of all keys and values.
fn check_keys(node: &Node<'_>) -> Result<usize, PageError> {
    let mut total = 0_usize;
    for (index, slot) in node.leaf_slots().enumerate() {
        let at = node.directory_entry(index);
        check_length(at.saturating_add(leaf_entry::KEY_LENGTH), slot.key_length)?;
        if slot.flags & !FLAG_TRUNCATED != 0 {
            let offset = at.saturating_add(leaf_entry::FLAGS);
            return Err(PageError::field(offset, "flags", slot.flags, "0 or 4"));
        }
        let length = usize::from(slot.key_length);
        total = total.saturating_add(length).saturating_add(VALUE_BYTES);
    }
    if !node.is_leaf() {
        for index in 0..node.key_count() {
            let at = node.directory_entry(index);
            let at = at.saturating_add(inner_entry::KEY_LENGTH);
            let length = get_u16(node.page(), at).unwrap_or_default();
            check_length(at, length)?;
            total = total.saturating_add(usize::from(length));
        }
    }
    Ok(total)
}

#[inline]
fn check_length(at: usize, length: u16) -> Result<(), PageError> {
    if usize::from(length) > MAX_STORED_KEY {
        let expected = "1024 or less";
        let found = u64::from(length);
        return Err(PageError::field(at, "key_length", found, expected));
    }
    Ok(())
}
