//! The batches of a merge, made here or on another thread, have what the merge gives.

use super::*;

/// All that can be seen of an entry.
type Seen = (usize, bool, u8, Vec<u8>, bool, Vec<u8>);

fn seen(entry: &SortedEntry<'_>) -> Seen {
    (
        number(entry.address),
        entry.same_key_as_previous,
        entry.stored.key_type,
        entry.stored.bytes.to_vec(),
        entry.stored.truncated,
        entry.payload.to_vec(),
    )
}

/// What a merge gives: its entries, and after how many of them its position is which.
#[derive(Debug, Default, PartialEq)]
struct Given {
    entries: Vec<Seen>,
    marks: Vec<(usize, Option<MergePosition>)>,
}

fn one_by_one(merge: &mut Merge<'_>, every: usize) -> Given {
    let mut given = Given::default();
    while let Some(entry) = merge.next().unwrap() {
        given.entries.push(seen(&entry));
        if given.entries.len().is_multiple_of(every) {
            given.marks.push((given.entries.len(), merge.position()));
        }
    }
    given
}

fn in_batches(merge: &mut Merge<'_>, every: usize, ahead: bool) -> Given {
    let mut given = Given::default();
    let taken = take_entries(merge, every as u64, ahead, |entries| {
        while let Some(batch) = entries.next()? {
            for (position, entry) in batch.iter().enumerate() {
                let again = batch.get(position).map(|entry| seen(&entry));
                given.entries.push(seen(&entry));
                assert_eq!(again.as_ref(), given.entries.last());
            }
            assert!(batch.get(batch.len()).is_none());
            if let Some(position) = batch.mark() {
                given.marks.push((given.entries.len(), position.cloned()));
            }
        }
        assert!(entries.next()?.is_none());
        Ok(())
    });
    taken.unwrap();
    given
}

fn check(documents: &Documents, budget: usize, every: usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(budget, spill_in(&directory, 0));
    let ids = [(); 3].map(|()| {
        let id = pool.add_index();
        documents.push(&mut pool, id, 0);
        if !pool.runs(id).is_empty() {
            pool.seal(id).unwrap();
        }
        id
    });
    let in_memory = pool.runs(ids[0]).is_empty();
    // Runs stay, and so do their offsets.
    let mut merge = |number: usize| {
        let id = if in_memory { ids[number] } else { ids[0] };
        pool.merge(id, documents).unwrap()
    };
    let expected = one_by_one(&mut merge(0), every);
    assert_eq!(expected.entries.len(), documents.keys.len());
    let positions = expected.marks.iter().map(|(_, position)| position);
    assert!(
        positions
            .clone()
            .all(|position| position.is_none() == in_memory)
    );
    assert!(in_batches(&mut merge(1), every, false) == expected);
    assert!(in_batches(&mut merge(2), every, true) == expected);
}

#[test]
fn batches_have_the_entries_and_positions_of_the_merge() {
    let documents = Documents::new(emails(20_000, 3));
    for every in [1, 7, 4096, 20_000, 1 << 40] {
        check(&documents, 64 * MIB, every);
    }
    for every in [1, 4096, 20_000] {
        check(&documents, 300 * 1024, every);
    }
}

#[test]
fn keys_that_repeat_are_told_wherever_a_batch_ends() {
    let mut next = random(11);
    let key = |_| format!("{:02}", next() % 40).into_bytes();
    let documents = Documents::new((0..9000).map(key).collect());
    for every in [1, 5, 4096] {
        check(&documents, 64 * MIB, every);
    }
    // Words of keys that agree for long are not all of one place.
    let mut next = random(13);
    let key = |_| format!("{:024}{:03}", 7 + next() % 3, next() % 50).into_bytes();
    let documents = Documents::new((0..3000).map(key).collect());
    check(&documents, 64 * MIB, 5);
}

#[test]
fn long_keys_fill_a_batch_before_it_has_its_number() {
    let mut next = random(5);
    let key = |_| {
        let length = [3, 1000, 1022, 1023, 1100][usize::try_from(next() % 5).unwrap()];
        vec![b'a' + u8::try_from(next() % 3).unwrap(); length]
    };
    let documents = Documents::new((0..2000).map(key).collect());
    check(&documents, 64 * MIB, 512);
    check(&documents, MIB, 512);
}

#[test]
fn without_keys_there_is_no_batch() {
    check(&Documents::new(Vec::new()), MIB, 4096);
}

#[test]
fn who_takes_the_entries_can_end_early() {
    let documents = Documents::new(emails(20_000, 3));
    for ahead in [false, true] {
        let mut pool = SortPool::new(64 * MIB, no_spill());
        let id = pool.add_index();
        documents.push(&mut pool, id, 0);
        let mut merge = pool.merge(id, &documents).unwrap();
        let ended = take_entries(&mut merge, 64, ahead, |entries| {
            entries.next()?;
            Err::<(), _>(Error::new(Code::Cancelled, "enough"))
        });
        assert_eq!(ended.unwrap_err().code(), Code::Cancelled);
    }
}

/// No document can be read.
struct NoDocuments;

impl FullKeys for NoDocuments {
    fn full_key(&self, _: DocumentAddress, _: &mut KeyBuffer) -> Result<()> {
        Err(Error::new(Code::Io, "the document cannot be read"))
    }
}

#[test]
fn an_error_comes_behind_the_entries_before_it() {
    let mut keys = emails(500, 9);
    // Two that have to be read, behind all others.
    keys.extend([vec![b'x'; 2000], vec![b'x'; 2001]]);
    let documents = Documents::new(keys);
    for (ahead, every) in [(false, 100), (false, 4096), (true, 100), (true, 4096)] {
        let mut pool = SortPool::new(64 * MIB, no_spill());
        let id = pool.add_index();
        documents.push(&mut pool, id, 0);
        let mut merge = pool.merge(id, &NoDocuments).unwrap();
        let mut count = 0;
        let result = take_entries(&mut merge, every, ahead, |entries| {
            while let Some(batch) = entries.next()? {
                count += batch.len();
            }
            Ok(())
        });
        assert_eq!(result.unwrap_err().code(), Code::Io);
        assert_eq!(count, 500);
    }
}
