mod ahead;
mod entries;
mod spilling;

use super::*;
use crate::files::{Access, AppendWriter, Dir, Gate};
use crate::index::key::{KeyValue, NORMAL_KEPT_BYTES};
use crate::v2::{PageId, SlotNumber};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const MIB: usize = 1024 * 1024;

/// Documents whose only field is the key; their position gives their address.
struct Documents {
    keys: Vec<Vec<u8>>,
    reads: AtomicUsize,
}

fn address(number: usize) -> DocumentAddress {
    DocumentAddress {
        page: PageId(u32::try_from(number / 7).unwrap() + 1),
        slot: SlotNumber(u16::try_from(number % 7).unwrap()),
    }
}

fn number(address: DocumentAddress) -> usize {
    (address.page.0 as usize - 1) * 7 + usize::from(address.slot.0)
}

impl Documents {
    fn new(keys: Vec<Vec<u8>>) -> Self {
        Self {
            keys,
            reads: AtomicUsize::new(0),
        }
    }

    /// What a merge has to give: (document, same as previous).
    fn expected(&self) -> Vec<(usize, bool)> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_by_key(|number| &self.keys[*number]);
        let mut previous: Option<&Vec<u8>> = None;
        order
            .into_iter()
            .map(|number| {
                let same = previous == Some(&self.keys[number]);
                previous = Some(&self.keys[number]);
                (number, same)
            })
            .collect()
    }

    fn push(&self, pool: &mut SortPool, id: SorterId, from: usize) {
        let mut key = KeyBuffer::new();
        for (number, bytes) in self.keys.iter().enumerate().skip(from) {
            key.set(std::iter::once(KeyValue::String(bytes)));
            pool.push(id, &key, address(number)).unwrap();
        }
    }

    /// Reads `merge` to its end, checking stored keys on the way.
    fn drain(&self, merge: &mut Merge<'_>) -> Vec<(usize, bool)> {
        let mut found = Vec::new();
        while let Some(entry) = merge.next().unwrap() {
            let number = number(entry.address);
            let bytes = &self.keys[number];
            assert_eq!(entry.stored.key_type, 2);
            assert_eq!(entry.stored.truncated, bytes.len() + 2 > 1024);
            assert_eq!(entry.stored.bytes[2..], bytes[..bytes.len().min(1022)]);
            assert_eq!(
                entry.normal[1..],
                bytes[..bytes.len().min(NORMAL_KEPT_BYTES - 1)]
            );
            found.push((number, entry.same_key_as_previous));
        }
        found
    }
}

impl FullKeys for Documents {
    fn full_key(&self, address: DocumentAddress, key: &mut KeyBuffer) -> Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = &self.keys[number(address)];
        key.set_whole(std::iter::once(KeyValue::String(bytes)));
        Ok(())
    }
}

fn spill_in(directory: &tempfile::TempDir, from: u64) -> SpillFile {
    let dir = Dir::open(directory.path(), Gate::open()).unwrap();
    SpillFile::new(move || {
        let file = if from == 0 {
            dir.create("runs", Access::default())?
        } else {
            dir.reopen("runs")?
        };
        file.set_len(from)?;
        Ok(AppendWriter::new(file, from, 16 * 1024))
    })
}

fn no_spill() -> SpillFile {
    SpillFile::new(|| Err(Error::new(Code::Internal, "nothing should be spilled")))
}

/// Sorts with a budget, with and without another thread that spills; the output and the number of
/// runs.
fn sorted(documents: &Documents, budget: usize) -> (Vec<(usize, bool)>, usize) {
    let [here, ahead] = [false, true].map(|ahead| {
        let directory = tempfile::tempdir().unwrap();
        let mut pool = SortPool::new(budget, spill_in(&directory, 0));
        if ahead {
            pool.spill_ahead();
        }
        let id = pool.add_index();
        documents.push(&mut pool, id, 0);
        assert_eq!(pool.entries(id), documents.keys.len() as u64);
        pool.settle().unwrap();
        assert_eq!(pool.entries(id), documents.keys.len() as u64);
        let runs = pool.runs(id).len();
        let mut merge = pool.merge(id, documents).unwrap();
        (documents.drain(&mut merge), runs)
    });
    assert!(here.0 == ahead.0 && here.1 <= ahead.1);
    here
}

/// A small generator, so that big inputs cost proptest nothing.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn emails(count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut next = random(seed);
    let email = |_| format!("user{:07}@example.com", next() % 5_000_000).into_bytes();
    (0..count).map(email).collect()
}

#[test]
fn output_is_the_same_for_any_budget() {
    let documents = Documents::new(emails(60_000, 7));
    let expected = documents.expected();
    let (found, runs) = sorted(&documents, 64 * MIB);
    assert!(found == expected && runs == 0);
    for budget in [MIB / 2, MIB, 2 * MIB] {
        let (found, runs) = sorted(&documents, budget);
        assert!(found == expected && runs > 0, "{budget}");
    }
    // Far below what is promised: many passes.
    let (found, runs) = sorted(&documents, 64 * 1024);
    assert!(found == expected && runs > 20);
}

#[test]
fn memory_stays_within_the_budget() {
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(MIB, spill_in(&directory, 0));
    let ids: Vec<_> = (0..30).map(|_| pool.add_index()).collect();
    let mut key = KeyBuffer::new();
    let mut most = 0;
    for document in 0..20_000 {
        for (at, id) in ids.iter().enumerate() {
            if document % (at + 1) == 0 {
                key.set(std::iter::once(KeyValue::Null));
                pool.push(*id, &key, address(document)).unwrap();
                most = most.max(pool.memory());
            }
        }
    }
    // 64 keys' worth of what sorting takes may be counted late.
    let late = order::sorting_bytes(64);
    assert!(most <= MIB + late, "{most}");
    let none = Documents::new(Vec::new());
    for (at, id) in ids.iter().enumerate() {
        let mut merge = pool.merge(*id, &none).unwrap();
        let mut entries = 0;
        while let Some(entry) = merge.next().unwrap() {
            assert_eq!(number(entry.address), entries * (at + 1));
            assert_eq!(entry.same_key_as_previous, entries > 0);
            entries += 1;
        }
        assert_eq!(entries, 20_000_usize.div_ceil(at + 1));
    }
    assert!(pool.memory() <= MIB + late);
}

#[test]
fn keys_that_stop_agreeing_late_are_sorted() {
    // The first ones agree in more than the last.
    let mut keys = emails(1000, 3);
    keys.push(b"u".to_vec());
    keys.push(Vec::new());
    keys.push(b"zebra".to_vec());
    let documents = Documents::new(keys);
    let (found, _) = sorted(&documents, 64 * MIB);
    assert!(found == documents.expected());
}

#[test]
fn long_keys_are_ordered_by_what_records_do_not_keep() {
    let mut next = random(3);
    let mut keys = Vec::new();
    for _ in 0..3000 {
        let beginning = [b'a' + u8::try_from(next() % 3).unwrap()];
        let length = [1000, 1022, 1023, 1024, 1100][usize::try_from(next() % 5).unwrap()];
        let mut key = beginning.repeat(length);
        if !next().is_multiple_of(4) {
            key.extend_from_slice(format!("{}", next() % 50).as_bytes());
        }
        keys.push(key);
    }
    let documents = Documents::new(keys);
    let expected = documents.expected();
    for budget in [64 * MIB, MIB, MIB / 4] {
        let (found, _) = sorted(&documents, budget);
        assert!(found == expected, "{budget}");
    }
    assert!(documents.reads.load(Ordering::Relaxed) > 0);
}

#[test]
fn long_keys_that_differ_early_are_never_read_again() {
    let key = |number: usize| format!("{:05}{}", number * 7919 % 1000, "x".repeat(1500));
    let documents = Documents::new((0..1000).map(|number| key(number).into_bytes()).collect());
    let (found, _) = sorted(&documents, MIB);
    assert!(found == documents.expected());
    assert_eq!(documents.reads.load(Ordering::Relaxed), 0);
}

#[test]
fn a_merge_continues_anywhere() {
    let mut keys = emails(2000, 5);
    keys.extend((0..300).map(|number| vec![b'z'; 1020 + number % 11]));
    keys.extend((0..300).map(|number| format!("user{}", number / 100).into_bytes()));
    let documents = Documents::new(keys);
    let expected = documents.expected();
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(MIB / 4, spill_in(&directory, 0));
    let id = pool.add_index();
    documents.push(&mut pool, id, 0);
    pool.seal(id).unwrap();
    let mut merge = pool.merge(id, &documents).unwrap();
    let mut positions = vec![merge.position().unwrap()];
    while merge.next().unwrap().is_some() {
        positions.push(merge.position().unwrap());
    }
    drop(merge);
    assert_eq!(positions.len(), expected.len() + 1);
    pool.sync().unwrap();
    let state = serde_json::to_string(&pool.state()).unwrap();
    let state: PoolState = serde_json::from_str(&state).unwrap();
    let mut pool = SortPool::restore(MIB, spill_in(&directory, state.spill_bytes), state).unwrap();
    for (at, position) in positions.iter().enumerate() {
        if at % 97 == 0 || at > expected.len() - 310 && at % 5 == 0 || at == expected.len() {
            let json = serde_json::to_string(position).unwrap();
            let position: MergePosition = serde_json::from_str(&json).unwrap();
            let mut merge = pool.resume_merge(id, &documents, &position).unwrap();
            assert!(documents.drain(&mut merge) == expected[at..], "{at}");
        }
    }
}

#[test]
fn an_interrupted_sort_continues_after_what_its_runs_cover() {
    let documents = Documents::new(emails(30_000, 9));
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(MIB / 2, spill_in(&directory, 0));
    let ids = [pool.add_index(), pool.add_index()];
    let mut key = KeyBuffer::new();
    for (number, bytes) in documents.keys.iter().enumerate().take(22_222) {
        key.set(std::iter::once(KeyValue::String(bytes)));
        pool.push(ids[0], &key, address(number)).unwrap();
        pool.pass(ids[1], address(number)).unwrap();
    }
    let passed = Covered {
        address: address(22_221),
        keys: 0,
    };
    assert_eq!(pool.covered(ids[1]), Some(passed));
    pool.sync().unwrap();
    let state = pool.state();
    // What comes after the state was taken is lost.
    pool.seal_all().unwrap();
    pool.sync().unwrap();
    drop(pool);
    let spill = spill_in(&directory, state.spill_bytes);
    let mut pool = SortPool::restore(MIB / 2, spill, state).unwrap();
    let covered = number(pool.covered(ids[0]).unwrap().address);
    assert!((5_000..22_222).contains(&covered));
    documents.push(&mut pool, ids[0], covered + 1);
    let mut merge = pool.merge(ids[0], &documents).unwrap();
    assert!(documents.drain(&mut merge) == documents.expected());
}

/// A spill can come in the middle of a document's keys, and then a state be taken.
#[test]
fn documents_of_many_keys_are_continued_within() {
    let keys = emails(30_000, 9);
    let mut expected: Vec<(Vec<u8>, DocumentAddress)> = Vec::new();
    let each = |number: usize| (address(number / 70), u32::try_from(number % 70).unwrap());
    let mut key = KeyBuffer::new();
    for (number, bytes) in keys.iter().enumerate() {
        key.set_term(bytes, b"");
        expected.push((key.normal().to_vec(), each(number).0));
    }
    expected.sort();
    for cut in [17_000, 17_777, 20_001, 23_456, 29_999] {
        let directory = tempfile::tempdir().unwrap();
        let mut pool = SortPool::new(MIB / 4, spill_in(&directory, 0));
        let id = pool.add_index();
        for (number, bytes) in keys.iter().enumerate().take(cut) {
            key.set_term(bytes, b"");
            pool.push(id, &key, each(number).0).unwrap();
        }
        pool.sync().unwrap();
        let state = pool.state();
        assert!(!pool.runs(id).is_empty());
        drop(pool);
        let spill = spill_in(&directory, state.spill_bytes);
        let mut pool = SortPool::restore(MIB / 4, spill, state).unwrap();
        for (number, bytes) in keys.iter().enumerate() {
            let (address, before) = each(number);
            let is_known = |covered: Covered| covered.has(address, before);
            if !pool.covered(id).is_some_and(is_known) {
                key.set_term(bytes, b"");
                pool.push(id, &key, address).unwrap();
            }
        }
        assert_eq!(pool.entries(id), 30_000);
        let mut merge = pool.merge(id, &NoFullKeys).unwrap();
        let mut found = Vec::new();
        while let Some(entry) = merge.next().unwrap() {
            found.push((entry.normal.to_vec(), entry.address));
        }
        assert!(found == expected, "cut at {cut}");
    }
}

#[test]
fn keys_that_were_merged_from_memory_are_not_covered() {
    let documents = Documents::new(emails(100, 1));
    let mut pool = SortPool::new(MIB, no_spill());
    let id = pool.add_index();
    documents.push(&mut pool, id, 0);
    assert_eq!(pool.covered(id), None);
    let merge = pool.merge(id, &documents).unwrap();
    assert_eq!(merge.position(), None);
    drop(merge);
    assert_eq!(pool.covered(id), None);
    assert_eq!(pool.memory(), 0);
}

#[test]
fn batches_sort_like_single_keys() {
    let documents = Documents::new(emails(1000, 11));
    let mut pool = SortPool::new(MIB, no_spill());
    let id = pool.add_index();
    let mut batch = KeyBatch::default();
    let mut key = KeyBuffer::new();
    for (number, bytes) in documents.keys.iter().enumerate() {
        key.set(std::iter::once(KeyValue::String(bytes)));
        batch.push(&key, address(number)).unwrap();
        if number % 300 == 0 {
            pool.push_batch(id, &batch).unwrap();
            batch.clear();
        }
    }
    pool.push_batch(id, &batch).unwrap();
    let mut merge = pool.merge(id, &documents).unwrap();
    assert!(documents.drain(&mut merge) == documents.expected());
}

#[test]
fn terms_bring_their_payload_through_a_spill() {
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(MIB, spill_in(&directory, 0));
    let id = pool.add_index();
    let mut key = KeyBuffer::new();
    for number in 0..100_usize {
        key.set_term(b"word", &[u8::try_from(number).unwrap(), 9]);
        pool.push(id, &key, address(number)).unwrap();
    }
    pool.seal(id).unwrap();
    let none = Documents::new(Vec::new());
    let mut merge = pool.merge(id, &none).unwrap();
    for number in 0..100_usize {
        let entry = merge.next().unwrap().unwrap();
        assert_eq!(entry.payload, [u8::try_from(number).unwrap(), 9]);
    }
}

#[test]
fn addresses_out_of_order_come_out_in_order() {
    let mut pool = SortPool::new(MIB, no_spill());
    let id = pool.add_index();
    let mut key = KeyBuffer::new();
    key.set(std::iter::once(KeyValue::Int32(5)));
    for number in [3, 1, 2, 0] {
        pool.push(id, &key, address(number)).unwrap();
    }
    let none = Documents::new(Vec::new());
    let mut merge = pool.merge(id, &none).unwrap();
    for expected in 0..4 {
        assert_eq!(number(merge.next().unwrap().unwrap().address), expected);
    }
    assert!(merge.next().unwrap().is_none());
}

#[test]
fn a_whole_key_that_is_too_long_is_refused() {
    let mut pool = SortPool::new(MIB, no_spill());
    let id = pool.add_index();
    let mut key = KeyBuffer::new();
    key.set_whole(std::iter::once(KeyValue::String(&[b'x'; 1023])));
    let error = pool.push(id, &key, address(0)).unwrap_err();
    assert_eq!(error.code(), Code::Internal);
}

#[test]
fn damaged_spill_files_are_errors() {
    let documents = Documents::new(emails(3000, 13));
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(MIB, spill_in(&directory, 0));
    let id = pool.add_index();
    documents.push(&mut pool, id, 0);
    pool.seal(id).unwrap();
    pool.sync().unwrap();
    let path = directory.path().join("runs");
    let whole = std::fs::read(&path).unwrap();
    let state = pool.state();
    let mut next = random(17);
    for round in 0..200 {
        let mut bytes = whole.clone();
        let at = usize::try_from(next()).unwrap() % bytes.len();
        if round % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 0xFF;
        }
        std::fs::write(&path, &bytes).unwrap();
        // Ends in an error, or gives other keys; never panics or runs on.
        let result = pool.merge(id, &documents).and_then(|mut merge| {
            let mut entries = 0;
            while merge.next()?.is_some() {
                entries += 1;
            }
            Ok(entries)
        });
        match result {
            Err(error) => assert_eq!(error.code(), Code::Internal),
            Ok(entries) => assert!(round % 2 == 1 && entries <= 30_000),
        }
    }
    let mut outside = state;
    outside.sorters[0].runs[0].bytes += 1;
    assert!(SortPool::restore(MIB, no_spill(), outside).is_err());
}

fn awkward_key() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        vec![],
        vec![0],
        vec![0, 0],
        vec![0xFF],
        b"a".to_vec(),
        b"abcdefghijklmnop".to_vec(),
        vec![b'x'; 1021],
    ]);
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sorts_like_a_plain_sort(
        keys in prop::collection::vec(awkward_key(), 1..600),
        prefix in prop::collection::vec(any::<u8>(), 0..30),
        budget in 32_usize..1500,
    ) {
        let keys = keys.into_iter().map(|key| [prefix.clone(), key].concat()).collect();
        let documents = Documents::new(keys);
        let (found, _) = sorted(&documents, budget * 1024);
        prop_assert!(found == documents.expected());
    }
}

#[test]
fn a_pool_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<SortPool>();
    is_send::<KeyBatch>();
}
