//! Pages that several readers hold at once, checked as nodes no more than once.

use super::btree::node::{Node, NodeHeader};
use super::page::{PageBytes, PageError};
use std::sync::OnceLock;

/// A page in memory that does not change any more.
#[derive(Debug)]
pub struct SharedPage {
    bytes: PageBytes,
    /// Set once the page has passed as a B+tree node.
    node: OnceLock<NodeHeader>,
}

impl SharedPage {
    /// Takes a page; its id and checksum are checked already, or it was just made.
    #[must_use]
    pub fn new(bytes: PageBytes) -> Self {
        Self {
            bytes,
            node: OnceLock::new(),
        }
    }

    /// The page.
    #[must_use]
    pub fn bytes(&self) -> &PageBytes {
        &self.bytes
    }

    /// The page as a node of a B+tree.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn node(&self) -> Result<Node<'_>, PageError> {
        if let Some(header) = self.node.get() {
            return Ok(Node::parsed(&self.bytes, *header));
        }
        let node = Node::parse(&self.bytes)?;
        let _ = self.node.set(node.header());
        Ok(node)
    }
}
