//! Random insertions and removals against a map, with the walk of validation as judge.

#![expect(clippy::cast_possible_truncation, reason = "tests count small things")]

use super::*;
use crate::v2::SlotNumber;
use crate::v2::btree::WalkGuard;
use crate::v2::btree::edit::testing::Pages;
use crate::v2::rtree::walk_rtree;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const IDS: TreeIds = TreeIds {
    index_id: 2,
    collection_id: 5,
};

/// Fails at the first problem.
#[derive(Default)]
struct Strict(BTreeSet<PageId>);

impl WalkGuard for Strict {
    fn claim(&mut self, page: PageId) -> bool {
        self.0.insert(page)
    }

    fn report(&mut self, problem: Error) -> Result<()> {
        Err(problem)
    }
}

#[derive(Default)]
struct Model {
    pages: Pages,
    tree: LiveRTree,
    points: BTreeMap<u32, Rect>,
}

fn address(number: u32) -> DocumentAddress {
    DocumentAddress {
        page: PageId(number / 50 + 1),
        slot: SlotNumber((number % 50) as u16),
    }
}

impl Model {
    fn new() -> Self {
        let tree = LiveRTree {
            ids: IDS,
            ..LiveRTree::default()
        };
        Self {
            tree,
            ..Self::default()
        }
    }

    fn insert(&mut self, number: u32, x: f64, y: f64) {
        let bounds = Rect::around(x, y);
        let mut editor = RTreeEditor::new(&mut self.pages, &mut self.tree);
        editor.insert(bounds, address(number)).unwrap();
        assert!(self.points.insert(number, bounds).is_none());
    }

    fn remove(&mut self, number: u32) {
        let bounds = self.points.remove(&number).unwrap();
        let mut editor = RTreeEditor::new(&mut self.pages, &mut self.tree);
        editor.remove(bounds, address(number)).unwrap();
    }

    /// The tree has exactly the points, is sound, uses all pages, and knows its own figures.
    fn check(&self) {
        let mut found = BTreeMap::new();
        let mut guard = Strict::default();
        let mut visit = |bounds, address: DocumentAddress| {
            let number = (address.page.0 - 1) * 50 + u32::from(address.slot.0);
            assert!(found.insert(number, bounds).is_none());
        };
        let root = self.tree.root;
        let (summary, complete) =
            walk_rtree(&self.pages, root, IDS, false, &mut guard, &mut visit).unwrap();
        assert!(complete);
        assert_eq!(found, self.points);
        assert_eq!(summary, self.tree.summary());
        assert_eq!(guard.0.len(), self.pages.pages.len());
        let mut surveyed = survey_rtree(&self.pages, root, IDS).unwrap();
        surveyed.nodes_by_entries.resize(capacity(1) + 1, 0);
        let mut tree = self.tree.clone();
        tree.nodes_by_entries.resize(capacity(1) + 1, 0);
        assert_eq!(surveyed, tree);
    }

    /// Most leaves that these points may take: each a quarter full.
    fn leaf_bound(&self) -> u32 {
        (self.points.len() / (capacity(0) / 4)) as u32 + 1
    }
}

fn spread(number: u32) -> (f64, f64) {
    let hash = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let part = |shift: u32| ((hash >> shift) & 0xFFFF) as f64 / 182.0;
    (part(16) - 180.0, part(40) / 2.0 - 90.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_tree_has_what_was_inserted_and_not_removed(
        seed in 0_u32..1_000_000,
        rounds in proptest::collection::vec((0_u32..900, any::<bool>()), 1..6),
    ) {
        let mut model = Model::new();
        for (count, grows) in rounds {
            for step in 0..count {
                let number = seed.wrapping_add(step * 7919) % 3000;
                if model.points.contains_key(&number) {
                    model.remove(number);
                } else if grows {
                    let (x, y) = spread(number);
                    model.insert(number, x, y);
                }
            }
            model.check();
        }
        for number in model.points.keys().copied().collect::<Vec<_>>() {
            model.remove(number);
        }
        model.check();
        prop_assert_eq!(model.tree.root, PageId(0));
        prop_assert!(model.pages.pages.is_empty());
    }
}

#[test]
fn leaves_that_lose_most_entries_are_condensed() {
    let mut model = Model::new();
    for number in 0..20_000 {
        let (x, y) = spread(number);
        model.insert(number, x, y);
    }
    model.check();
    let full = model.tree.leaf_nodes;
    // What stays is spread over all leaves: nineteen of twenty go.
    for number in (0..20_000).filter(|number| number % 20 != 0) {
        model.remove(number);
        let (leaves, bound) = (model.tree.leaf_nodes, model.leaf_bound());
        assert!(leaves <= bound, "{leaves} leaves, at most {bound}");
    }
    model.check();
    assert!(
        model.tree.leaf_nodes * 8 < full,
        "{} of {full}",
        model.tree.leaf_nodes
    );
}

#[test]
fn points_at_one_place_come_and_go() {
    let mut model = Model::new();
    for round in 0..3 {
        for number in 0..1000 {
            model.insert(number, 1.5, f64::from(round));
        }
        model.check();
        for number in (0..1000).rev() {
            model.remove(number);
        }
        assert!(model.pages.pages.is_empty());
    }
}
