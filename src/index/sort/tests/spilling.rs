//! Another thread that spills changes neither what comes out nor how much memory is used.

use super::*;

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
    let documents = Documents::new(emails(100_000, 23));
    let (mut while_spilling, mut runs) = (0, 0);
    for stop in (5000..100_000).step_by(3500) {
        let directory = tempfile::tempdir().unwrap();
        let mut pool = pool_in(&directory, 2 * MIB);
        let id = pool.add_index();
        let mut key = KeyBuffer::new();
        for (number, bytes) in documents.keys.iter().enumerate().take(stop) {
            key.set(std::iter::once(KeyValue::String(bytes)));
            pool.push(id, &key, address(number)).unwrap();
        }
        while_spilling += usize::from(pool.is_spilling());
        let state = pool.state();
        runs += state.sorters[0].runs.len();
        pool.sync().unwrap();
        drop(pool);
        if state.spill_bytes == 0 {
            let _ = std::fs::remove_file(directory.path().join("runs"));
        }
        let spill = spill_in(&directory, state.spill_bytes);
        let mut pool = SortPool::restore(2 * MIB, spill, state).unwrap();
        pool.spill_ahead();
        let covered = pool.covered(id);
        let from = covered.map_or(0, |covered| number(covered.address) + 1);
        documents.push(&mut pool, id, from);
        let mut merge = pool.merge(id, &documents).unwrap();
        assert!(
            documents.drain(&mut merge) == documents.expected(),
            "{stop}"
        );
    }
    assert!(while_spilling > 5 && runs > 20, "{while_spilling} {runs}");
}

#[test]
fn an_error_of_the_other_thread_ends_the_sort() {
    let documents = Documents::new(emails(40_000, 25));
    let directory = tempfile::tempdir().unwrap();
    let dir = Dir::open(directory.path(), Gate::open()).unwrap();
    let mut pool = SortPool::new(
        MIB,
        SpillFile::new(move || {
            // Nothing can be written to what was opened to read.
            let file = dir.create("runs", Access::default())?;
            std::fs::write(file.path(), "").unwrap();
            Ok(AppendWriter::new(file, u64::MAX - 4096, 16 * 1024))
        }),
    );
    pool.spill_ahead();
    let id = pool.add_index();
    let mut key = KeyBuffer::new();
    let pushed = documents
        .keys
        .iter()
        .enumerate()
        .try_for_each(|(number, bytes)| {
            key.set(std::iter::once(KeyValue::String(bytes)));
            pool.push(id, &key, address(number))
        });
    assert!(pushed.and_then(|()| pool.settle()).is_err());
    assert!(!pool.is_spilling());
    assert!(pool.seal(id).is_err());
}
