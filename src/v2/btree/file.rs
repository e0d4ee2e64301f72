//! Trees in page files.

use super::{PageSink, PageSource};
use crate::Result;
use crate::v2::PageId;
use crate::v2::page::{PAGE_SIZE, PageBytes, PageType};
use crate::v2::page_file::{PageFileReader, PageFileWriter};

impl PageSink for PageFileWriter {
    fn next_page(&self) -> PageId {
        self.next_page()
    }

    fn append(&mut self, page: &mut PageBytes) -> Result<PageId> {
        self.append_page(page)
    }
}

impl PageSource for PageFileReader {
    fn page(&self, id: PageId) -> Result<Box<PageBytes>> {
        let mut page = Box::new([0; PAGE_SIZE]);
        self.read(id, PageType::Index, &mut page)?;
        Ok(page)
    }

    fn page_count(&self) -> u32 {
        self.page_count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Access;
    use crate::v2::btree::testing::*;
    use crate::v2::btree::{BulkLoader, TreeReader};
    use crate::v2::{ChecksumPolicy, data_file};

    #[test]
    fn a_tree_in_a_file_is_the_tree_in_memory() {
        let keys = long_strings(300);
        let directory = SpillDir::new();
        let file = directory.dir.create("data.db", Access::default()).unwrap();
        let mut writer = data_file::create(file, 1 << 16).unwrap();
        let mut loader = BulkLoader::new(&mut writer, IDS, 100, || directory.create());
        push_all(&mut loader, &keys, 0).unwrap();
        let root = loader.finish().unwrap().root;
        writer.flush().unwrap();

        let input = directory.dir.open_file("data.db").unwrap();
        let reader = PageFileReader::open(input, ChecksumPolicy::Required).unwrap();
        assert_eq!(PageSource::page_count(&reader), root.0 + 1);
        let mut scan = TreeReader::new(&reader, root, IDS, &compare)
            .scan()
            .unwrap();
        for key in &keys {
            assert_eq!(scan.next().unwrap().unwrap().key.to_owned(), *key);
        }
        assert!(scan.next().unwrap().is_none());
    }
}
