//! The disk store beside redb, and beside the memory store, on the same documents.
//!
//! ```text
//! cargo run --release --locked -- [DOCUMENTS] [ROUNDS] [DIRECTORY]     100000, 7, /tmp
//! ```
//!
//! Every round makes both databases anew, one after the other, the first in turns. What is compared
//! is the median of all rounds; the lines say what each lookup asked of the kernel, so that a
//! difference can be explained.
//!
//! * insert: batches of 1000 documents of about 230 bytes in one transaction each, one fsync per
//!   transaction for both (redb: its default durability, which syncs once or twice)
//! * cold: opened, nothing of the files in the kernel's cache, 2000 random `_id`s
//! * opened: the same with the files in the kernel's cache: the store's own cache is empty
//! * warm: 100,000 random `_id`s, after all pages were read once
//! * scan: all documents, warm

mod measure;

use anyhow::{Context as _, Result, ensure};
use laura_migrate::document::bson::{OwnedDocument, RawDocument, RawValue};
use laura_migrate::store::{DocumentStore, ForceMode, StoreConfig, open};
use measure::{Cost, forget, measured, median};
use redb::{ReadableDatabase as _, ReadableTable as _};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const BATCH: usize = 1000;
const COLD_READS: usize = 2000;
const WARM_READS: usize = 100_000;
/// Of both databases; more than the files have.
const CACHE_BYTES: usize = 512 << 20;
const TABLE: redb::TableDefinition<'_, i64, &[u8]> = redb::TableDefinition::new("c");

/// By contender and work.
type Costs = BTreeMap<(&'static str, &'static str), Vec<Cost>>;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % bound as u64) as usize
    }
}

/// Documents in the order in which they are inserted: their `_id`s are in none.
fn documents(count: usize) -> Vec<(i64, OwnedDocument)> {
    let mut ids: Vec<i64> = (0..count as i64).collect();
    let mut random = Random(7);
    for at in (1..count).rev() {
        ids.swap(at, random.below(at + 1));
    }
    let documents = ids.into_iter().map(|id| {
        let text = format!("document {id} ").repeat(9);
        let fields = [
            ("_id", RawValue::Int64(id)),
            ("name", RawValue::String(&text[..140.min(text.len())])),
            ("age", RawValue::Int64(id % 90)),
            ("score", RawValue::Double(id as f64 / 7.0)),
        ];
        (id, fields.into_iter().collect())
    });
    documents.collect()
}

fn config() -> StoreConfig {
    StoreConfig {
        page_cache_bytes: CACHE_BYTES,
        document_cache_bytes: CACHE_BYTES,
        ..StoreConfig::default()
    }
}

fn store(directory: &Path, change: fn(&mut StoreConfig)) -> Result<Box<dyn DocumentStore>> {
    let mut config = config();
    change(&mut config);
    Ok(open(directory, &config)?)
}

fn insert_all(store: &mut dyn DocumentStore, documents: &[(i64, OwnedDocument)]) -> Result<()> {
    store.create_collection("c", &[])?;
    for batch in documents.chunks(BATCH) {
        let batch: Vec<RawDocument<'_>> = batch.iter().map(|(_, d)| d.as_raw()).collect();
        store.insert_many("c", &batch)?;
    }
    Ok(())
}

fn find_all(store: &dyn DocumentStore, ids: &[i64]) -> Result<usize> {
    let mut bytes = 0;
    for id in ids {
        let found = store.find("c", RawValue::Int64(*id))?;
        bytes += found.context("a document is missing")?.as_bytes().len();
    }
    Ok(bytes)
}

fn scan_all(store: &dyn DocumentStore) -> Result<usize> {
    let mut bytes = 0;
    store.scan("c", &mut |document| {
        bytes += document.as_bytes().len();
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(bytes)
}

struct Bench {
    documents: Vec<(i64, OwnedDocument)>,
    cold: Vec<i64>,
    warm: Vec<i64>,
    costs: Costs,
}

impl Bench {
    fn note(&mut self, who: &'static str, what: &'static str, cost: Cost) {
        self.costs.entry((who, what)).or_default().push(cost);
    }

    fn ours(&mut self, directory: &Path) -> Result<()> {
        let (cost, ()) = measured(|| {
            let mut store = store(directory, |_| {})?;
            insert_all(&mut *store, &self.documents)?;
            Ok(store.close()?)
        })?;
        self.note("ours", "insert", cost.per(self.documents.len()));
        for what in ["cold", "opened"] {
            if what == "cold" {
                for file in ["data.db", "metadata.db"] {
                    forget(&directory.join(file))?;
                }
            }
            let store = store(directory, |_| {})?;
            let (cost, _) = measured(|| find_all(&*store, &self.cold))?;
            self.note("ours", what, cost.per(COLD_READS));
        }
        for (who, change) in [
            ("ours", (|_| {}) as fn(&mut StoreConfig)),
            ("hybrid", |config| config.enable_hybrid_mode = true),
        ] {
            let store = store(directory, change)?;
            self.reads(who, &*store)?;
        }
        Ok(())
    }

    fn reads(&mut self, who: &'static str, store: &dyn DocumentStore) -> Result<()> {
        let all: Vec<i64> = self.documents.iter().map(|(id, _)| *id).collect();
        find_all(store, &all)?;
        scan_all(store)?;
        let (cost, _) = measured(|| find_all(store, &self.warm))?;
        self.note(who, "warm", cost.per(WARM_READS));
        let (cost, _) = measured(|| scan_all(store))?;
        self.note(who, "scan", cost.per(self.documents.len()));
        Ok(())
    }

    fn memory(&mut self, directory: &Path) -> Result<()> {
        let mut store = store(directory, |config| config.force_mode = ForceMode::Memory)?;
        insert_all(&mut *store, &self.documents)?;
        self.reads("memory", &*store)
    }

    fn redb(&mut self, file: &Path) -> Result<()> {
        let open = || {
            redb::Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(file)
        };
        let (cost, ()) = measured(|| {
            let database = open()?;
            for batch in self.documents.chunks(BATCH) {
                let transaction = database.begin_write()?;
                {
                    let mut table = transaction.open_table(TABLE)?;
                    for (id, document) in batch {
                        let before = table.insert(id, document.as_bytes())?;
                        ensure!(before.is_none(), "inserted twice");
                    }
                }
                transaction.commit()?;
            }
            Ok(())
        })?;
        self.note("redb", "insert", cost.per(self.documents.len()));
        let find = |database: &redb::Database, ids: &[i64]| -> Result<usize> {
            let table = database.begin_read()?.open_table(TABLE)?;
            let mut bytes = 0;
            for id in ids {
                let found = table.get(id)?.context("a document is missing")?;
                // A document that outlives the transaction, as the store gives it.
                bytes += OwnedDocument::trusted(found.value().to_vec())
                    .as_bytes()
                    .len();
            }
            Ok(bytes)
        };
        for what in ["cold", "opened"] {
            if what == "cold" {
                forget(file)?;
            }
            let database = open()?;
            let (cost, _) = measured(|| find(&database, &self.cold))?;
            self.note("redb", what, cost.per(COLD_READS));
        }
        let database = open()?;
        let all: Vec<i64> = self.documents.iter().map(|(id, _)| *id).collect();
        find(&database, &all)?;
        let (cost, _) = measured(|| find(&database, &self.warm))?;
        self.note("redb", "warm", cost.per(WARM_READS));
        let (cost, _) = measured(|| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let mut bytes = 0;
            for entry in table.iter()? {
                bytes += entry?.1.value().len();
            }
            Ok(bytes)
        })?;
        self.note("redb", "scan", cost.per(self.documents.len()));
        Ok(())
    }

    fn median(&self, who: &'static str, what: &'static str, part: fn(&Cost) -> f64) -> f64 {
        let costs = self.costs.get(&(who, what)).map_or(&[][..], Vec::as_slice);
        median(&costs.iter().map(part).collect::<Vec<_>>())
    }

    fn print(&self) {
        println!(
            "\n| work | contender | µs | least | read calls | bytes read | from disk | faults |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for what in ["insert", "cold", "opened", "warm", "scan"] {
            for who in ["ours", "redb", "memory", "hybrid"] {
                let of = |part| self.median(who, what, part);
                let Some(costs) = self.costs.get(&(who, what)) else {
                    continue;
                };
                let least = costs
                    .iter()
                    .map(|cost| cost.seconds)
                    .fold(f64::MAX, f64::min);
                println!(
                    "| {what} | {who} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.2} |",
                    of(|cost| cost.seconds) * 1e6,
                    least * 1e6,
                    of(|cost| cost.read_calls),
                    of(|cost| cost.read_bytes),
                    of(|cost| cost.disk_bytes),
                    of(|cost| cost.page_faults),
                );
            }
        }
        println!();
        let seconds = |who, what| self.median(who, what, |cost| cost.seconds);
        for what in ["insert", "cold", "opened", "warm", "scan"] {
            let ratio = seconds("ours", what) / seconds("redb", what);
            println!("{what}: ours takes {ratio:.2} of redb's time");
        }
        for who in ["ours", "hybrid"] {
            for what in ["warm", "scan"] {
                let ratio = seconds(who, what) / seconds("memory", what);
                println!("{what}: {who} takes {ratio:.2} of the memory store's time");
            }
        }
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(7), |text| text.parse())?;
    let home = PathBuf::from(arguments.next().unwrap_or_else(|| "/tmp".to_owned()));
    let mut random = Random(99);
    let mut ids = |reads: usize| (0..reads).map(|_| random.below(count) as i64).collect();
    let mut bench = Bench {
        documents: documents(count),
        cold: ids(COLD_READS),
        warm: ids(WARM_READS),
        costs: Costs::new(),
    };
    let work = home.join(format!("store-bench-{}", std::process::id()));
    for round in 0..rounds {
        std::fs::create_dir_all(work.join("ours"))?;
        std::fs::create_dir_all(work.join("memory"))?;
        let (ours, redb) = (work.join("ours"), work.join("redb"));
        match round % 2 {
            0 => {
                bench.ours(&ours)?;
                bench.redb(&redb)?;
            }
            _ => {
                bench.redb(&redb)?;
                bench.ours(&ours)?;
            }
        }
        bench.memory(&work.join("memory"))?;
        if round == 0 {
            let size = |path: PathBuf| std::fs::metadata(path).map(|found| found.len());
            println!(
                "{count} documents; data.db {} bytes, redb {} bytes",
                size(ours.join("data.db"))?,
                size(redb)?
            );
        }
        std::fs::remove_dir_all(&work)?;
    }
    bench.print();
    Ok(())
}
