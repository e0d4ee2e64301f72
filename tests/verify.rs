//! Damage between writing and verifying is found before anything is published.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "what fails here fails the test, and the files are small"
)]

mod common;

use common::{Directory, assert_same_tree};
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::progress::Unwatched;
use laura_migrate::v2::PageId;
use laura_migrate::v2::page::{self, PAGE_SIZE, PageBytes, PageType};
use laura_migrate::{Error, ExitCode, Migration, Options, Verification};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Small pages of everything: 300 documents, one of them in a chain, and trees of two levels.
fn directory() -> Directory {
    let mut documents: Vec<Value> = (0..300)
        .map(|n| {
            let name = format!("a name that makes the index higher {n:03}");
            json!({"_id": format!("user_{n:03}"), "fields": {"name": name, "age": n % 7}})
        })
        .collect();
    documents.push(json!({"_id": "large", "fields": {"text": "x".repeat(10_000)}}));
    let index = |field: &str, unique: bool| {
        let name = format!("{field}_1");
        json!({"name": name, "type": "btree", "field_paths": [field], "unique": unique})
    };
    Directory::of_collections(&json!([
        {"name": "empty"},
        {
            "name": "users",
            "documents": documents,
            "indexes": [index("name", true), index("age", false)],
        },
    ]))
}

/// The staged files as they are before they are verified.
fn staged(name: &str) -> Vec<u8> {
    let directory = directory();
    directory.migrated();
    fs::read(directory.source().join(name)).unwrap()
}

/// Runs a migration whose staged files are changed when they have been written.
fn run_damaged(
    directory: &Directory,
    options: Options,
    damage: impl Fn(&Path) + Send + Sync + 'static,
) -> Result<(), Error> {
    let done = AtomicBool::new(false);
    let gate = Gate::guarded(move |change| {
        let is_work_dir = change.path.ends_with(".laura-migrate");
        let is_sync = change.kind == ChangeKind::SyncDir && is_work_dir;
        // The fresh log is the last file that is staged.
        let is_staged = is_sync && change.path.join("wal.log").exists();
        if is_staged && !done.swap(true, Ordering::Relaxed) {
            damage(change.path);
        }
        Verdict::Proceed
    });
    let before = directory.tree();
    let result = Migration::new(options).with_gate(gate).run(&mut Unwatched);
    if result.is_err() {
        assert_same_tree(&before, &directory.tree());
    }
    result.map(drop)
}

#[track_caller]
fn assert_found(what: &str, damage: impl Fn(&Path) + Send + Sync + 'static) -> Error {
    let directory = directory();
    let result = run_damaged(&directory, directory.side_by_side(), damage);
    let error = result.expect_err(what);
    assert_eq!(error.exit_code(), ExitCode::Different, "{what}: {error:?}");
    let file = error.place().file.as_ref();
    let is_staged = file.is_some_and(|file| file.parent().unwrap().ends_with(".laura-migrate"));
    assert!(is_staged, "{what}: {error:?}");
    assert_eq!(common::names(directory.home()), ["source"]);
    error
}

fn change_file(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Changes a page and gives it a good checksum again.
fn change_page(file: &Path, number: usize, change: impl Fn(&mut PageBytes)) {
    change_file(file, |bytes| {
        let page = &mut bytes.as_chunks_mut::<PAGE_SIZE>().0[number];
        change(page);
        page::seal(page, PageId(number as u32));
    });
}

/// Numbers of the pages of a type.
fn pages_of(data: &[u8], page_type: PageType) -> Vec<usize> {
    let pages = data.as_chunks::<PAGE_SIZE>().0;
    let numbers = 0..pages.len();
    numbers
        .filter(|number| pages[*number][4] == page_type as u8)
        .collect()
}

#[test]
fn a_flipped_bit_is_found_in_every_page() {
    let data = staged("data.db");
    let metadata = staged("metadata.db");
    for page_type in [PageType::Data, PageType::Index, PageType::Overflow] {
        assert!(pages_of(&data, page_type).len() > 2, "{page_type:?}");
    }
    std::thread::scope(|scope| {
        for (name, len) in [("data.db", data.len()), ("metadata.db", metadata.len())] {
            scope.spawn(move || {
                for number in 0..len / PAGE_SIZE {
                    // Another place in each page: header, slots, contents, end.
                    let offset = number * PAGE_SIZE + number * 577 % PAGE_SIZE;
                    let error = assert_found(&format!("{name}, {offset}"), move |work| {
                        change_file(&work.join(name), |bytes| bytes[offset] ^= 0x10);
                    });
                    assert!(error.place().file.as_ref().unwrap().ends_with(name));
                }
            });
        }
    });
}

#[test]
fn files_of_another_size_are_found() {
    for name in ["data.db", "metadata.db"] {
        assert_found("a page is missing", move |work| {
            change_file(&work.join(name), |bytes| {
                bytes.truncate(bytes.len() - PAGE_SIZE);
            });
        });
        assert_found("a page is cut", move |work| {
            change_file(&work.join(name), |bytes| bytes.truncate(bytes.len() - 1));
        });
        assert_found("nothing is left", move |work| {
            change_file(&work.join(name), Vec::clear);
        });
    }
    assert_found("a page too many", |work| {
        change_file(&work.join("data.db"), |bytes| bytes.extend([0; PAGE_SIZE]));
    });
    assert_found("pages in another order", |work| {
        change_file(&work.join("data.db"), |bytes| {
            let pages = bytes.as_chunks_mut::<PAGE_SIZE>().0;
            pages.swap(1, 2);
        });
    });
    assert_found("a log that is not fresh", |work| {
        change_file(&work.join("wal.log"), |bytes| bytes[0] = 2);
    });
}

#[test]
fn documents_that_are_not_those_that_were_parsed_are_found() {
    let data = staged("data.db");
    let slotted = pages_of(&data, PageType::Data)[1];
    let overflow = pages_of(&data, PageType::Overflow)[1];
    let error = assert_found("another letter", move |work| {
        change_page(&work.join("data.db"), slotted, |page| {
            *page.last_mut().unwrap() = 0;
            let at = page.windows(6).position(|bytes| bytes == b"a name");
            page[at.unwrap()] = b'b';
        });
    });
    assert!(error.to_string().contains("\"users\""), "{error:?}");
    assert_found("another letter in a chain", move |work| {
        change_page(&work.join("data.db"), overflow, |page| page[100] = b'y');
    });
    // The slot's flags lie at its fifth byte.
    assert_found("a document that is deleted", move |work| {
        change_page(&work.join("data.db"), slotted, |page| page[28 + 4] |= 1);
    });
    assert_found("a page of another owner", move |work| {
        change_page(&work.join("data.db"), slotted, |page| page[26] += 1);
    });
    assert_found("a page twice", move |work| {
        change_file(&work.join("data.db"), |bytes| {
            let pages = bytes.as_chunks_mut::<PAGE_SIZE>().0;
            pages[slotted] = pages[slotted + 1];
            page::seal(&mut pages[slotted], PageId(slotted as u32));
        });
    });
}

/// Where the n-th entry of a leaf has its key and its value, from the start of the page.
fn entry_places(page: &PageBytes, n: usize) -> (usize, usize) {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
    let entry = 62 + 10 * n;
    (16 + u16_at(entry), 16 + u16_at(entry + 5))
}

#[test]
fn indexes_that_do_not_match_their_documents_are_found() {
    let data = staged("data.db");
    let nodes = pages_of(&data, PageType::Index);
    let pages = data.as_chunks::<PAGE_SIZE>().0;
    let is_leaf = |number: &&usize| pages[**number][32] == 1;
    let leaves: Vec<usize> = nodes.iter().filter(is_leaf).copied().collect();
    let inner = *nodes.iter().find(|number| !is_leaf(number)).unwrap();
    for leaf in [leaves[0], leaves[leaves.len() - 1]] {
        assert_found("two entries with each other's documents", move |work| {
            change_page(&work.join("data.db"), leaf, |page| {
                let ((_, one), (_, two)) = (entry_places(page, 0), entry_places(page, 1));
                for at in 0..12 {
                    page.swap(one + at, two + at);
                }
            });
        });
        assert_found("an entry for a document that is not there", move |work| {
            change_page(&work.join("data.db"), leaf, |page| {
                let (_, value) = entry_places(page, 0);
                page[value + 8] ^= 0x40;
            });
        });
        assert_found("another key", move |work| {
            change_page(&work.join("data.db"), leaf, |page| {
                let (key, _) = entry_places(page, 0);
                page[key + 2] ^= 1;
            });
        });
        assert_found("a deleted entry", move |work| {
            change_page(&work.join("data.db"), leaf, |page| page[62 + 9] |= 1);
        });
        assert_found("an entry less", move |work| {
            change_page(&work.join("data.db"), leaf, |page| page[34] -= 1);
        });
        assert_found("a node of another index", move |work| {
            change_page(&work.join("data.db"), leaf, |page| page[38] += 1);
        });
    }
    assert_found("a chain that ends early", move |work| {
        let next = 50;
        change_page(&work.join("data.db"), leaves[0], |page| {
            page[next..next + 4].fill(0)
        });
    });
    assert_found("a child twice", move |work| {
        change_page(&work.join("data.db"), inner, |page| {
            page.copy_within(62..66, 66);
        });
    });
}

/// What a reader sees of a record is what was built; what it passes over (such as names of options
/// that it does not know) is left to the checksums.
#[test]
fn metadata_that_is_not_what_was_built_is_found() {
    let metadata = staged("metadata.db");
    let pages = metadata.as_chunks::<PAGE_SIZE>().0;
    for (number, page) in pages.iter().enumerate() {
        let text = page.windows(2).position(|bytes| bytes == b"{\"");
        let end = text.unwrap_or_else(|| page.iter().rposition(|byte| *byte != 0).unwrap());
        for offset in (16..=end).step_by(3).filter(|offset| page[*offset] != 0) {
            assert_found(&format!("page {number}, {offset}"), move |work| {
                change_page(&work.join("metadata.db"), number, |page| page[offset] ^= 1);
            });
        }
    }
}

#[test]
fn a_sample_still_covers_structure_counts_and_ids() {
    let data = staged("data.db");
    let slotted = pages_of(&data, PageType::Data)[1];
    let sample = |rate: f64| {
        let directory = directory();
        let mut options = directory.in_place();
        options.verification = Verification::Sample(rate);
        (directory, options)
    };
    let change_text = move |work: &Path| {
        change_page(&work.join("data.db"), slotted, |page| {
            let at = page
                .windows(5)
                .rposition(|bytes| bytes == b"\x12age\0")
                .unwrap();
            // An indexed field is compared with its index, so its name has to go.
            page[at + 1] = b'b';
        });
    };
    let (directory, options) = sample(1e-9);
    let error = run_damaged(&directory, options, change_text).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Different, "{error:?}");
    for rate in [1e-9, 0.999] {
        let (directory, options) = sample(rate);
        let flip = move |work: &Path| {
            change_file(&work.join("data.db"), |bytes| {
                bytes[slotted * PAGE_SIZE + 4000] ^= 1;
            });
        };
        let error = run_damaged(&directory, options, flip).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Different, "{error:?}");
    }
    // All of a sample's documents, and no others.
    let change_id = move |work: &Path| {
        change_page(&work.join("data.db"), slotted, |page| {
            let at = page
                .windows(5)
                .rposition(|bytes| bytes == b"user_")
                .unwrap();
            page[at + 7] ^= 1;
        });
    };
    let (directory, options) = sample(1e-9);
    let error = run_damaged(&directory, options, change_id).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Different, "{error:?}");
}

#[test]
fn nothing_is_verified_where_that_is_asked_for() {
    let directory = directory();
    let mut options = directory.in_place();
    options.verification = Verification::None;
    run_damaged(&directory, options, |work| {
        change_file(&work.join("data.db"), |bytes| bytes[5000] ^= 1);
    })
    .unwrap();
    assert!(
        directory
            .source()
            .join(".lauradb-v1/snapshot.json")
            .exists()
    );
}

/// What statistics say of keys comes back from the checkpoint as text.
#[test]
fn keys_that_changed_in_a_checkpoint_are_found() {
    for (name, changed) in [
        ("min_key", "\"min_key\":\"1\""),
        ("max_key", "\"max_key\":\"5\""),
    ] {
        let directory = directory();
        // As if it was killed there.
        let dead = AtomicBool::new(false);
        let gate = Gate::guarded(move |change| {
            let name = change.path.file_name().unwrap_or_default();
            if name.to_string_lossy().starts_with("journal.json") {
                dead.store(true, Ordering::Relaxed);
            }
            match dead.load(Ordering::Relaxed) {
                true => Verdict::Fail(std::io::Error::other("injected")),
                false => Verdict::Proceed,
            }
        });
        let options = directory.side_by_side();
        let cut = Migration::new(options.clone()).with_gate(gate);
        cut.run(&mut Unwatched).unwrap_err();
        let work = directory.target().join(".laura-migrate");
        change_file(&work.join("checkpoint.json"), |text| {
            let value = if name == "min_key" { "0" } else { "6" };
            let before = format!("\"{name}\":\"{value}\"");
            let json = String::from_utf8(std::mem::take(text)).unwrap();
            assert_eq!(json.matches(&before).count(), 1, "{json}");
            *text = json.replace(&before, changed).into_bytes();
        });
        let error = Migration::new(options).run(&mut Unwatched).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Different, "{error:?}");
    }
}
