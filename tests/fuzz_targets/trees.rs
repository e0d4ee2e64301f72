//! The target whose input is a file of pages with a tree in it.

use super::{in_file, page_file};
use laura_migrate::index::key::{StoredKeyRef, StoredOrder, key_json};
use laura_migrate::v2::btree::{
    LeafEntry, Node, PageSource, TreeIds, TreeReader, TreeVisitor, Values, WalkGuard, WalkRules,
    walk_tree,
};
use laura_migrate::v2::data_file::DocumentReader;
use laura_migrate::v2::page::{ChecksumPolicy, PAGE_SIZE};
use laura_migrate::v2::page_file::PageFileReader;
use laura_migrate::v2::postings::{PostingReader, TermHead};
use laura_migrate::v2::rtree::{RTreeNode, walk_rtree};
use laura_migrate::v2::{DocumentAddress, PageId};
use laura_migrate::{Code, Error, Result};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Lets no page be reached twice.
#[derive(Default)]
struct Guard {
    reached: HashSet<PageId>,
    problems: u64,
}

impl WalkGuard for Guard {
    fn claim(&mut self, page: PageId) -> bool {
        self.reached.insert(page)
    }

    fn report(&mut self, error: Error) -> Result<()> {
        assert!(!error.place().is_empty(), "{error:?}");
        self.problems += 1;
        Ok(())
    }
}

/// Looks at each entry as an index of documents and as one of terms.
struct Visitor<'f> {
    order: StoredOrder,
    documents: DocumentReader<'f>,
    postings: PostingReader<'f, PageFileReader>,
    entries: u64,
}

impl TreeVisitor for Visitor<'_> {
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>> {
        compare(&mut self.order, left, right)
    }

    fn compare_whole(&mut self, _: LeafEntry<'_>, _: LeafEntry<'_>) -> Result<Ordering> {
        Ok(Ordering::Less)
    }

    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        self.entries += 1;
        let _ = key_json(entry.key);
        if let Some((_, address)) = DocumentAddress::decode(entry.value) {
            let _ = self.documents.read(address);
            let _ = self.documents.read_deleted(address);
        }
        if let Some(head) = TermHead::decode(entry.value) {
            let mut left = 10_000;
            let _ = self.postings.for_each(head, |_| {
                left -= 1;
                if left == 0 {
                    Err(Error::new(Code::Internal, "enough"))
                } else {
                    Ok(())
                }
            });
            let _ = self.postings.first(head);
        }
        Ok(())
    }
}

fn compare(
    order: &mut StoredOrder,
    left: StoredKeyRef<'_>,
    right: StoredKeyRef<'_>,
) -> Result<Option<Ordering>> {
    let compared = order.compare(left, right);
    compared.map_err(|error| Error::new(Code::PageDamaged, error.to_string()))
}

/// The root's page u8, then the file: an index of keys, of terms or of points.
pub fn tree(data: &[u8]) {
    let Some((root, file)) = data.split_first() else {
        return;
    };
    let root = PageId(u32::from(*root));
    in_file(&page_file(file), |file| {
        let Ok(pages) = PageFileReader::open(file, ChecksumPolicy::Optional) else {
            return;
        };
        let Ok(page) = pages.page(root) else {
            return;
        };
        if let Ok(node) = Node::parse(&page) {
            for fresh in [false, true] {
                walk(&pages, root, node.ids(), fresh);
            }
            scan(&pages, root, node.ids());
        }
        if let Ok(node) = RTreeNode::parse(&page) {
            let ids = TreeIds {
                index_id: node.index_id(),
                collection_id: 1,
            };
            for fresh in [false, true] {
                let mut guard = Guard::default();
                let mut points = 0;
                let (_, complete) =
                    walk_rtree(&pages, root, ids, fresh, &mut guard, &mut |_, _| {
                        points += 1
                    })
                    .unwrap();
                assert!(
                    complete || guard.problems > 0,
                    "nothing is passed over in silence"
                );
                assert!(points <= guard.reached.len() * PAGE_SIZE / 32);
            }
        }
    });
}

fn walk(pages: &PageFileReader, root: PageId, ids: TreeIds, fresh: bool) {
    for (values, unique) in [(Values::Addresses, true), (Values::Opaque, false)] {
        let rules = WalkRules {
            ids,
            values,
            unique,
            fresh,
        };
        let mut guard = Guard::default();
        let mut visitor = Visitor {
            order: StoredOrder::default(),
            documents: DocumentReader::new(pages),
            postings: PostingReader::new(pages, ids.collection_id),
            entries: 0,
        };
        let walked = walk_tree(pages, root, rules, &mut guard, &mut visitor).unwrap();
        assert!(
            walked.complete || guard.problems > 0,
            "nothing is passed over in silence"
        );
        assert_eq!(walked.summary.entry_count, visitor.entries);
    }
}

/// Reads all entries, and finds each of the first few again.
fn scan(pages: &PageFileReader, root: PageId, ids: TreeIds) {
    let order = |left: StoredKeyRef<'_>, right: StoredKeyRef<'_>| {
        compare(&mut StoredOrder::default(), left, right)
    };
    let reader = TreeReader::new(pages, root, ids, &order);
    let Ok(mut entries) = reader.scan() else {
        return;
    };
    let mut keys = Vec::new();
    while let Ok(Some(entry)) = entries.next() {
        if keys.len() < 8 {
            keys.push(entry.key.to_owned());
        }
    }
    for key in &keys {
        if let Ok(mut found) = reader.find(key.borrow()) {
            while let Ok(Some(_)) = found.next() {}
        }
    }
}
