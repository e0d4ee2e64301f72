//! The rules that a node keeps as long as nobody has changed it since it was built.

use super::reader::check_zero;
use super::{
    DIRECTORY, FLAG_TRUNCATED, FREE_SPACE_OFFSET, KEY_COUNT, LEVEL, Node, PARENT_PAGE, VALUE_BYTES,
    leaf_entry,
};
use crate::bytes::get_u16;
use crate::v2::btree::key::MAX_STORED_KEY;
use crate::v2::page::{PAGE_HEADER_SIZE, PAGE_SIZE, PageError, PageHeader};

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
        return Err(PageError::field(5, "flags", header.flags, "0"));
    }
    if header.lsn != 0 {
        return Err(PageError::field(6, "lsn", header.lsn, "0"));
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
    let expected = node.directory_end() - PAGE_HEADER_SIZE;
    if usize::from(free_space) != expected {
        let field = "free_space_offset";
        return Err(PageError::field(
            FREE_SPACE_OFFSET,
            field,
            free_space,
            expected.to_string(),
        ));
    }
    // Areas lie apart and in order, so there is no hole if and only if the lowest one begins as far
    // from the page's end as all of them are long.
    let lowest = PAGE_SIZE - check_keys(node)?;
    let begins = lowest_area(node);
    if begins != lowest {
        return Err(PageError::field(
            DIRECTORY,
            "begin of keys and values",
            begins as u64,
            lowest.to_string(),
        ));
    }
    check_zero(page, node.directory_end(), lowest, "free space")
}

/// Checks lengths and flags; gives the bytes of all keys and values.
fn check_keys(node: &Node<'_>) -> Result<usize, PageError> {
    let mut total = 0;
    for index in 0..node.key_count() {
        let (length, value) = match node.entry(index) {
            Some(entry) => {
                if entry.flags & !FLAG_TRUNCATED != 0 {
                    let offset = DIRECTORY + index * leaf_entry::SIZE + leaf_entry::FLAGS;
                    return Err(PageError::field(offset, "flags", entry.flags, "0 or 4"));
                }
                (entry.key.bytes.len(), VALUE_BYTES)
            }
            None => (node.separator(index).map_or(0, |key| key.bytes.len()), 0),
        };
        if length > MAX_STORED_KEY {
            return Err(PageError::field(
                DIRECTORY,
                "key_length",
                length as u64,
                "1024 or less",
            ));
        }
        total += length + value;
    }
    Ok(total)
}

/// Where the last key begins, which is laid out lowest; counted from the page's first byte.
fn lowest_area(node: &Node<'_>) -> usize {
    let entry_size = if node.is_leaf() {
        leaf_entry::SIZE
    } else {
        super::inner_entry::SIZE
    };
    // Both kinds of entry begin with the key's offset.
    let last = node.directory_end() - entry_size;
    PAGE_HEADER_SIZE + usize::from(get_u16(node.page(), last).unwrap_or_default())
}
