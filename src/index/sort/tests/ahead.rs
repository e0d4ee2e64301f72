//! A merge on another thread gives what it gives on this one.

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

/// What a merge gives: its entries, its position after every `every` of them, and the keys of the
/// first and the last.
#[derive(Debug, PartialEq)]
struct Given {
    entries: Vec<Seen>,
    positions: Vec<Option<MergePosition>>,
    ends: [Option<String>; 2],
}

fn take(entries: &mut Entries<'_, '_>, every: usize) -> Result<Given> {
    let mut given = Given {
        entries: Vec::new(),
        positions: Vec::new(),
        ends: [None, None],
    };
    while let Some(entry) = entries.next()? {
        given.entries.push(seen(&entry));
        if given.entries.len() == 1 {
            given.ends[0] = entries.last_key_json()?;
        }
        if given.entries.len().is_multiple_of(every) {
            given.positions.push(entries.position());
        }
    }
    given.ends[1] = entries.last_key_json()?;
    assert!(entries.next()?.is_none());
    Ok(given)
}

fn check(documents: &Documents, budget: usize, every: usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut pool = SortPool::new(budget, spill_in(&directory, 0));
    let id = pool.add_index();
    documents.push(&mut pool, id, 0);
    if !pool.runs(id).is_empty() {
        pool.seal(id).unwrap();
    }
    let mut pool_again = SortPool::new(64 * MIB, no_spill());
    let again = pool_again.add_index();
    documents.push(&mut pool_again, again, 0);
    let in_memory = pool.runs(id).is_empty();
    let mut merge = pool.merge(id, documents).unwrap();
    let ahead = merge_ahead(&mut merge, every as u64, |entries| take(entries, every)).unwrap();
    let one_by_one = match in_memory {
        true => pool_again.merge(again, documents),
        // The runs are still there.
        false => pool.merge(id, documents),
    };
    let expected = take(&mut Entries::OneByOne(&mut one_by_one.unwrap()), every).unwrap();
    assert_eq!(ahead.entries.len(), documents.keys.len());
    assert!(ahead == expected);
    assert_eq!(ahead.positions.iter().all(Option::is_none), in_memory);
}

#[test]
fn entries_and_positions_are_those_of_the_merge() {
    let documents = Documents::new(emails(20_000, 3));
    for every in [1, 7, 4096, 20_000, 1 << 40] {
        check(&documents, 64 * MIB, every);
    }
    for every in [1, 4096, 20_000] {
        check(&documents, 300 * 1024, every);
    }
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
fn without_keys_there_is_nothing() {
    let documents = Documents::new(Vec::new());
    let mut pool = SortPool::new(MIB, no_spill());
    let id = pool.add_index();
    let mut merge = pool.merge(id, &documents).unwrap();
    let given = merge_ahead(&mut merge, 4096, |entries| take(entries, 4096)).unwrap();
    assert_eq!((given.entries.len(), given.ends), (0, [None, None]));
}

#[test]
fn who_takes_the_entries_can_end_early() {
    let documents = Documents::new(emails(20_000, 3));
    let mut pool = SortPool::new(64 * MIB, no_spill());
    let id = pool.add_index();
    documents.push(&mut pool, id, 0);
    let mut merge = pool.merge(id, &documents).unwrap();
    let ended = merge_ahead(&mut merge, 64, |entries| {
        for _ in 0..1000 {
            entries.next()?;
        }
        Err::<(), _>(Error::new(Code::Cancelled, "enough"))
    });
    assert_eq!(ended.unwrap_err().code(), Code::Cancelled);
}

/// A merge that fails on the way.
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
    let mut pool = SortPool::new(64 * MIB, no_spill());
    let id = pool.add_index();
    documents.push(&mut pool, id, 0);
    let mut merge = pool.merge(id, &NoDocuments).unwrap();
    let mut count = 0;
    let error = merge_ahead(&mut merge, 100, |entries| {
        while entries.next()?.is_some() {
            count += 1;
        }
        Ok(())
    });
    assert_eq!(error.unwrap_err().code(), Code::Io);
    assert_eq!(count, 500);
}
