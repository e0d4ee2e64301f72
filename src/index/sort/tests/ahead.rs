//! Sorting the keys of the next index while those of the one before it are merged.

use super::*;

#[test]
fn keys_that_are_sorted_ahead_come_out_as_any_others() {
    let documents = Documents::new(emails(20_000, 11));
    let mut pool = SortPool::new(64 * MIB, no_spill());
    let ids = [(); 4].map(|()| pool.add_index());
    for id in ids {
        documents.push(&mut pool, id, 0);
    }
    for (number, id) in ids.into_iter().enumerate().skip(1) {
        let memory = pool.memory();
        pool.sort_ahead(id);
        // One at a time.
        assert_eq!(pool.memory() > memory, number < 2);
        assert_eq!(pool.entries(id), 20_000);
    }
    // After an interruption they have to come again.
    assert_eq!(pool.state().sorters[1], SorterState::default());
    for id in ids {
        let found = documents.drain(&mut pool.merge(id, &documents).unwrap());
        assert!(found == documents.expected());
        assert_eq!(pool.entries(id), 0);
    }
    assert_eq!(pool.memory(), 0);
}

#[test]
fn nothing_is_sorted_ahead_without_room_for_it() {
    let documents = Documents::new(emails(20_000, 11));
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(2 * MIB, spill_in(&directory, 0));
    let ids = [pool.add_index(), pool.add_index()];
    for id in ids {
        documents.push(&mut pool, id, 0);
    }
    for id in ids {
        let memory = pool.memory();
        pool.sort_ahead(id);
        assert_eq!(pool.memory(), memory);
    }
    for id in ids {
        let found = documents.drain(&mut pool.merge(id, &documents).unwrap());
        assert!(found == documents.expected());
    }
}

#[test]
fn keys_are_sorted_ahead_once_the_budget_is_large_enough() {
    let documents = Documents::new(emails(20_000, 11));
    let mut pool = SortPool::new(64 * MIB, no_spill());
    let ids = [(); 3].map(|()| pool.add_index());
    for id in ids {
        documents.push(&mut pool, id, 0);
    }
    let memory = pool.memory();
    pool.set_budget(memory);
    pool.sort_ahead(ids[1]);
    assert_eq!(pool.memory(), memory);
    pool.set_budget(64 * MIB);
    pool.sort_ahead(ids[1]);
    assert!(pool.memory() > memory);
}

#[test]
fn keys_are_sorted_during_a_merge_in_the_room_that_is_kept_for_a_sort() {
    let documents = Documents::new(emails(20_000, 11));
    let fill = |budget| {
        let mut pool = SortPool::new(budget, no_spill());
        let ids = [(); 3].map(|()| pool.add_index());
        for id in ids {
            documents.push(&mut pool, id, 0);
        }
        (pool, ids)
    };
    // All keys, one sort, and the array of the keys that are merged.
    let full = fill(64 * MIB).0.memory() + order::index_bytes(20_000);
    for (budget, is_sorted) in [(full, true), (full - 1, false)] {
        let (mut pool, [first, second, third]) = fill(budget);
        pool.sort_ahead(second);
        let mut merge = pool.merge(first, &documents).unwrap();
        let memory = pool.memory();
        pool.sort_meanwhile(second);
        // Room for the sort of the third one is still kept.
        assert_eq!(pool.memory() > memory, is_sorted, "{budget}");
        assert!(documents.drain(&mut merge) == documents.expected());
        drop(merge);
        for id in [second, third] {
            let mut merge = pool.merge(id, &documents).unwrap();
            pool.sort_meanwhile(third);
            assert!(documents.drain(&mut merge) == documents.expected());
        }
        assert_eq!(pool.memory(), 0);
    }
}

#[test]
fn the_array_of_a_merge_serves_the_next_sort() {
    let documents = Documents::new(emails(20_000, 11));
    let mut pool = SortPool::new(64 * MIB, no_spill());
    let ids = [pool.add_index(), pool.add_index(), pool.add_index()];
    for id in ids {
        documents.push(&mut pool, id, 0);
    }
    for id in ids {
        let mut merge = pool.merge(id, &documents).unwrap();
        assert!(documents.drain(&mut merge) == documents.expected());
        pool.take_back(merge);
        pool.sort_ahead(SorterId(id.0 + 1));
    }
    // It counts as memory while it is kept.
    assert_eq!(pool.memory(), order::index_bytes(20_000));
}
