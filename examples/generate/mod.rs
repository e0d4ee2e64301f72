//! The generator behind `examples/generate.rs`; tests include this module by its path.
//!
//! Everything is a function of the options: a document of its number and revision, the log of the
//! seed. So nothing is kept in memory, whatever the number of documents.

mod pages;
mod random;
mod shape;
mod sink;
mod snapshot;
mod wal;

pub(crate) use shape::{IndexChoice, Shape};

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes gathered before they are written.
const FLUSH_BYTES: usize = 1024 * 1024;

/// What to generate.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Directory to write; made if it is missing, refused if it holds a snapshot
    pub(crate) dir: PathBuf,
    /// Documents in the snapshot, over all collections
    #[arg(long, default_value_t = 10_000)]
    pub(crate) docs: u64,
    /// Collections that the documents are split over evenly
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) collections: u64,
    /// What the documents look like
    #[arg(long, value_enum, default_value_t = Shape::Seed)]
    pub(crate) shape: Shape,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Document operations in wal.log; with 0 there is no wal.log
    #[arg(long, default_value_t = 0)]
    pub(crate) wal_ops: u64,
    /// Put half of the operations into transactions: most commit, some abort, the last stays open
    #[arg(long)]
    pub(crate) wal_transactions: bool,
    /// Indexes of each collection; default: those that the shape is made for
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) indexes: Option<Vec<IndexChoice>>,
    /// Write data.db as LauraDB does, from two runs of its server, and the snapshot as its backup
    /// writes what it reads from there: in random order, without types and documents in arrays
    #[arg(long)]
    pub(crate) pages: bool,
    /// `database_name` of the snapshot
    #[arg(long, default_value = "seed")]
    pub(crate) database: String,
    /// `timestamp` of the snapshot
    #[arg(long, default_value = "2025-01-15T10:30:00.123456789Z")]
    pub(crate) timestamp: String,
}

/// What was generated.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    docs: u64,
    collections: u64,
    snapshot_bytes: u64,
    wal_records: u64,
    wal_bytes: u64,
    pages: Option<pages::Written>,
    elapsed: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} documents in {} collections, snapshot.json {} bytes, wal.log {} records {} bytes, ",
            self.docs, self.collections, self.snapshot_bytes, self.wal_records, self.wal_bytes,
        )?;
        if let Some(pages) = self.pages {
            write!(
                f,
                "data.db {} pages, content xxh3-128:{:032x}, ",
                pages.pages, pages.digest
            )?;
        }
        write!(f, "{:.2} s", self.elapsed.as_secs_f64())
    }
}

/// Writes the directory.
///
/// # Errors
/// The directory holds a snapshot or a log, an index does not exist for the shape, or a file
/// cannot be written.
pub(crate) fn run(options: &Options) -> io::Result<Summary> {
    let start = Instant::now();
    let indexes = options.shape.indexes(options.indexes.as_deref())?;
    fs::create_dir_all(&options.dir)?;
    refuse_snapshots(&options.dir)?;
    let mut snapshot = Out::create(&options.dir.join("snapshot.json"))?;
    let digest = snapshot::write(options, &indexes, &mut snapshot)?;
    let snapshot_bytes = snapshot.finish()?;
    let (mut wal_records, mut wal_bytes) = (0, 0);
    if options.wal_ops > 0 {
        let mut log = Out::create(&options.dir.join("wal.log"))?;
        wal_records = wal::write(options, &mut log)?;
        wal_bytes = log.finish()?;
    }
    let mut pages = None;
    if options.pages {
        let mut data = Out::create(&options.dir.join("data.db"))?;
        let written = pages::write(options, &mut data)?;
        data.finish()?;
        pages = Some(pages::Written { digest, ..written });
    }
    Ok(Summary {
        docs: options.docs,
        collections: options.collections,
        snapshot_bytes,
        wal_records,
        wal_bytes,
        pages,
        elapsed: start.elapsed(),
    })
}

fn refuse_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let is_backup = name.ends_with(".json")
            && (name.starts_with("backup-") || name.ends_with("-backup.json"));
        if is_backup || matches!(&*name, "snapshot.json" | "backup.json" | "wal.log") {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} already holds {name}", dir.display()),
            ));
        }
    }
    Ok(())
}

impl Options {
    /// The number of the first document of a collection.
    fn first_of(&self, collection: u64) -> u64 {
        let product = u128::from(self.docs) * u128::from(collection);
        // At most `docs`, so it fits.
        u64::try_from(product / u128::from(self.collections)).unwrap_or(self.docs)
    }

    /// The collection that holds a document: of the snapshot, or one that the log inserts.
    fn collection_of(&self, document: u64) -> u64 {
        if document >= self.docs {
            return document % self.collections;
        }
        let (mut low, mut high) = (0, self.collections);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.first_of(middle) <= document {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    fn collection_name(&self, collection: u64) -> String {
        match self.collections {
            1 => "users".to_owned(),
            _ => format!("users_{:04}", collection + 1),
        }
    }
}

/// A new file with a buffer that is filled directly.
struct Out {
    file: File,
    buffer: Vec<u8>,
    written: u64,
}

impl Out {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: OpenOptions::new().write(true).create_new(true).open(path)?,
            buffer: Vec::with_capacity(FLUSH_BYTES + 64 * 1024),
            written: 0,
        })
    }

    /// Writes the buffer out if it is full.
    fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() >= FLUSH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest; returns the file's size.
    fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        Ok(self.written)
    }
}
