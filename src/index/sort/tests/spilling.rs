//! Another thread that spills changes neither what comes out nor how much memory is used.

use super::*;
use crate::files::Verdict;
use crate::threads::tests::with_threads;
use std::sync::Mutex;

fn pool_in(directory: &tempfile::TempDir, budget: usize) -> SortPool {
    let mut pool = SortPool::new(budget, spill_in(directory, 0));
    pool.spill_ahead();
    pool
}

#[test]
fn memory_stays_within_the_budget_while_keys_are_spilled() {
    let directory = tempfile::tempdir().unwrap();
    let documents = Documents::new(emails(60_000, 21));
    // A block is a quarter of a MiB.
    let mut pool = pool_in(&directory, 4 * MIB);
    let ids = [(); 3].map(|()| pool.add_index());
    let mut key = KeyBuffer::new();
    let (mut most, mut spilling) = (0, 0);
    for (number, bytes) in documents.keys.iter().enumerate() {
        for (at, id) in ids.iter().enumerate() {
            key.set(std::iter::once(KeyValue::String(bytes)));
            if number % (at + 1) == 0 {
                pool.push(*id, &key, address(number)).unwrap();
                most = most.max(pool.memory());
                let entries = number / (at + 1) + 1;
                assert_eq!(pool.entries(*id), entries as u64);
            }
        }
        spilling += usize::from(pool.is_spilling());
    }
    assert!(spilling > 10_000, "{spilling}");
    assert!(most <= 4 * MIB + order::sorting_bytes(64), "{most}");
    for (at, id) in ids.into_iter().enumerate() {
        let mut merge = pool.merge(id, &documents).unwrap();
        let mut entries = 0;
        while merge.next().unwrap().is_some() {
            entries += 1;
        }
        assert_eq!(entries, 60_000_usize.div_ceil(at + 1));
    }
}

#[test]
fn a_state_that_is_taken_meanwhile_leaves_out_what_is_not_written() {
    const BUDGET: usize = 4 * MIB;
    let documents = Documents::new(emails(150_000, 23));
    for pushed_meanwhile in [1, 2, 100, 1000, 4000] {
        let directory = tempfile::tempdir().unwrap();
        let mut pool = pool_in(&directory, BUDGET);
        let id = pool.add_index();
        let mut key = KeyBuffer::new();
        let mut left = pushed_meanwhile;
        let mut keys = documents.keys.iter().enumerate();
        while left > 0 {
            let (number, bytes) = keys.next().unwrap();
            key.set(std::iter::once(KeyValue::String(bytes)));
            pool.push(id, &key, address(number)).unwrap();
            left -= usize::from(pool.is_spilling());
        }
        assert!(pool.is_spilling());
        let state = pool.state();
        assert!(!state.sorters[0].runs.is_empty());
        pool.sync().unwrap();
        assert!(pool.state().sorters[0].runs.len() > state.sorters[0].runs.len());
        drop(pool);
        let spill = spill_in(&directory, state.spill_bytes);
        let mut pool = SortPool::restore(BUDGET, spill, state).unwrap();
        pool.spill_ahead();
        let covered = pool.covered(id).unwrap();
        documents.push(&mut pool, id, number(covered.address) + 1);
        let mut merge = pool.merge(id, &documents).unwrap();
        assert!(documents.drain(&mut merge) == documents.expected());
    }
}

#[test]
fn an_error_of_the_other_thread_ends_the_sort() {
    let documents = Documents::new(emails(100_000, 25));
    let directory = tempfile::tempdir().unwrap();
    // What the first run took can be written, which is made on this thread.
    let left = Mutex::new(2 * MIB);
    let gate = Gate::guarded(move |change| {
        let mut left = left.lock().unwrap();
        match left.checked_sub(change.len) {
            Some(rest) => {
                *left = rest;
                Verdict::Proceed
            }
            None => Verdict::Fail(std::io::Error::other("injected")),
        }
    });
    let dir = Dir::open(directory.path(), gate).unwrap();
    let spill = SpillFile::new(move || {
        let file = dir.create("runs", Access::default())?;
        Ok(AppendWriter::new(file, 0, 16 * 1024))
    });
    let mut pool = SortPool::new(2 * MIB, spill);
    pool.spill_ahead();
    let id = pool.add_index();
    let mut key = KeyBuffer::new();
    let mut was_spilling = false;
    let pushed = documents.keys.iter().enumerate();
    let pushed = pushed.map(|(number, bytes)| {
        key.set(std::iter::once(KeyValue::String(bytes)));
        was_spilling |= pool.is_spilling();
        pool.push(id, &key, address(number))
    });
    let failed = pushed.collect::<Result<Vec<()>>>().unwrap_err();
    assert!(
        was_spilling && failed.to_string().contains("runs"),
        "{failed}"
    );
    assert!(!pool.is_spilling());
    // Its writer is gone with it.
    assert!(pool.seal(id).is_err());
}

#[test]
fn where_no_thread_can_be_started_this_one_does_it_all() {
    let directory = tempfile::tempdir().unwrap();
    let documents = Documents::new(emails(60_000, 27));
    with_threads(0, || {
        let mut pool = pool_in(&directory, 4 * MIB);
        let ids = [pool.add_index(), pool.add_index()];
        let mut key = KeyBuffer::new();
        for (number, bytes) in documents.keys.iter().enumerate() {
            key.set(std::iter::once(KeyValue::String(bytes)));
            pool.push(ids[0], &key, address(number)).unwrap();
            if number % 100 == 0 {
                pool.push(ids[1], &key, address(number)).unwrap();
            }
            assert!(!pool.is_spilling());
        }
        let memory = pool.memory();
        pool.sort_ahead(ids[1]);
        assert_eq!(pool.memory(), memory);
        for (id, expected) in [(ids[0], 60_000), (ids[1], 600)] {
            let mut merge = pool.merge(id, &documents).unwrap();
            let mut count = 0;
            take_entries(&mut merge, 1000, true, |entries| {
                while let Some(batch) = entries.next()? {
                    count += batch.len();
                }
                Ok(())
            })
            .unwrap();
            assert_eq!(count, expected);
        }
    });
}
