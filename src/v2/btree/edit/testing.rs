//! Pages for the tests of everything that is changed in place.

use super::{TreePages, TreePagesMut};
use crate::v2::btree::PageSource;
use crate::v2::page::{self, PageBytes};
use crate::v2::{PageId, SharedPage};
use crate::{Code, Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Pages in memory that know which of them are free.
#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) pages: HashMap<PageId, Arc<SharedPage>>,
    pub(crate) free: BTreeSet<PageId>,
    pub(crate) next: u32,
}

impl TreePages for Pages {
    fn index_page(&self, id: PageId) -> Result<Arc<SharedPage>> {
        let found = self.pages.get(&id).cloned();
        found.ok_or_else(|| Error::new(Code::PageDamaged, format!("no page {id}")))
    }

    fn page_count(&self) -> u32 {
        self.next + 1
    }
}

impl PageSource for Pages {
    fn page(&self, id: PageId) -> Result<Box<PageBytes>> {
        Ok(Box::new(*self.index_page(id)?.bytes()))
    }

    fn page_count(&self) -> u32 {
        TreePages::page_count(self)
    }
}

impl TreePagesMut for Pages {
    fn put(&mut self, id: PageId, mut bytes: PageBytes) -> Result<()> {
        assert!(!self.free.contains(&id));
        page::stamp(&mut bytes, id, 7);
        self.pages.insert(id, Arc::new(SharedPage::new(bytes)));
        Ok(())
    }

    fn allocate(&mut self) -> Result<PageId> {
        if let Some(id) = self.free.pop_last() {
            return Ok(id);
        }
        self.next += 1;
        Ok(PageId(self.next))
    }

    fn free(&mut self, id: PageId) -> Result<()> {
        assert!(self.pages.remove(&id).is_some());
        assert!(self.free.insert(id));
        Ok(())
    }
}
