//! Asks the text and geo index of a migrated directory of `generate --shape words`, and compares the
//! answers with those of plain loops over all documents:
//!
//! ```text
//! cargo run --release --example ask -- DIR
//! ```

use laura_migrate::document::bson::{RawDocument, RawValue};
use laura_migrate::files::{Dir, Gate};
use laura_migrate::index::geo::Point;
use laura_migrate::index::published::PublishedIndexes;
use laura_migrate::index::text::Analyzer;
use laura_migrate::v2::btree::PageSource;
use laura_migrate::v2::data_file::scan_documents;
use laura_migrate::v2::metadata::MetadataReader;
use laura_migrate::v2::page_file::PageFileReader;
use laura_migrate::v2::{ChecksumPolicy, DocumentAddress, PageBytes, PageId};
use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

const COLLECTION: &str = "users";
const BOXES: u32 = 200;

/// Counts the pages that are read.
struct Counted<'f>(&'f PageFileReader, Cell<u64>);

impl PageSource for Counted<'_> {
    fn page(&self, id: PageId) -> laura_migrate::Result<Box<PageBytes>> {
        self.1.set(self.1.get() + 1);
        self.0.page(id)
    }

    fn page_count(&self) -> u32 {
        self.0.page_count()
    }
}

/// What the documents hold.
#[derive(Default)]
struct Naive {
    terms: HashMap<Vec<u8>, usize>,
    postings: usize,
    points: Vec<(DocumentAddress, Point)>,
}

impl Naive {
    fn read(directory: &Dir, data: &PageFileReader) -> Result<Self, Box<dyn Error>> {
        let metadata = directory.open_file("metadata.db")?;
        let metadata = MetadataReader::open(metadata, ChecksumPolicy::Required)?;
        let mut entries = metadata.collections();
        let entry = entries.find(|entry| entry.name == COLLECTION);
        let loaded = metadata.load(entry.ok_or("no such collection")?)?;
        let extents = loaded
            .record
            .options
            .and_then(|options| options.data_extents);
        let mut naive = Self::default();
        for extent in extents.ok_or("no extents")? {
            scan_documents(data, extent.0, extent.1, |address, bson| {
                naive.add(address, RawDocument::trusted(bson));
                Ok(())
            })?;
        }
        Ok(naive)
    }

    fn add(&mut self, address: DocumentAddress, document: RawDocument<'_>) {
        if let Some(RawValue::String(text)) = document.get("text") {
            let mut terms = Vec::new();
            Analyzer::default().analyze(text.as_bytes(), |term| terms.push(term.to_vec()));
            terms.sort_unstable();
            terms.dedup();
            self.postings += terms.len();
            for term in terms {
                *self.terms.entry(term).or_default() += 1;
            }
        }
        let Some(RawValue::Document(value)) = document.get("loc") else {
            return;
        };
        if let Some(point) = Point::from_value(value) {
            self.points.push((address, point));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: ask DIR")?;
    let directory = Dir::open(path.as_ref(), Gate::open())?;
    let indexes = PublishedIndexes::open(&directory)?;
    let data = PageFileReader::open(directory.open_file("data.db")?, ChecksumPolicy::Required)?;
    let naive = Naive::read(&directory, &data)?;
    ask_text(&indexes, &naive)?;
    ask_geo(&indexes, &naive, &data)
}

fn ask_text(indexes: &PublishedIndexes, naive: &Naive) -> Result<(), Box<dyn Error>> {
    let index = indexes.text(COLLECTION, "text_text")?;
    let reader = index.reader();
    let start = Instant::now();
    let mut postings = 0;
    for (term, expected) in &naive.terms {
        let found = reader.postings(term)?.len();
        postings += found;
        if found != *expected {
            return Err(
                format!("a term has {found} postings, its documents are {expected}").into(),
            );
        }
    }
    let terms = index.record().entry_count;
    if terms != naive.terms.len() as u64 || postings != naive.postings {
        return Err(format!("{terms} terms, the documents have {}", naive.terms.len()).into());
    }
    let elapsed = start.elapsed();
    writeln!(
        io::stdout(),
        "{terms} terms with {postings} postings, as the documents have; {:.1} us to look one up",
        elapsed.as_secs_f64() * 1e6 / naive.terms.len().max(1) as f64
    )?;
    Ok(())
}

fn ask_geo(
    indexes: &PublishedIndexes,
    naive: &Naive,
    data: &PageFileReader,
) -> Result<(), Box<dyn Error>> {
    let index = indexes.geo(COLLECTION, "loc_2d")?;
    let pages = Counted(data, Cell::new(0));
    let mut all = 0;
    for number in 0..BOXES {
        // About a thousandth of the square that the points lie in.
        let (x, y) = (number * 7919 % 1000, number * 104_729 % 1000);
        let min = Point {
            x: f64::from(x) * 1024.0,
            y: f64::from(y) * 1024.0,
        };
        let max = Point {
            x: min.x + 33_000.0,
            y: min.y + 33_000.0,
        };
        let found = index.reader(&pages).within_box(min, max)?;
        let inside =
            |point: Point| (min.x..=max.x).contains(&point.x) && (min.y..=max.y).contains(&point.y);
        let points = naive.points.iter().filter(|(_, point)| inside(*point));
        if !points.map(|(address, _)| address).eq(found.iter()) {
            return Err(format!("box {number} has other points than the documents").into());
        }
        all += found.len();
    }
    writeln!(
        io::stdout(),
        "{} points; {BOXES} boxes equal a linear scan: {:.1} points and {:.1} pages each",
        naive.points.len(),
        all as f64 / f64::from(BOXES),
        pages.1.get() as f64 / f64::from(BOXES)
    )?;
    Ok(())
}
