//! Writes a v1 data directory of any size, the same bytes for the same arguments:
//!
//! ```text
//! cargo run --release --example generate -- DIR --docs 1000000 --collections 4 --shape rich \
//!     --wal-ops 50000 --wal-transactions
//! ```

#[path = "generate/mod.rs"]
mod generate;

use clap::Parser;
use std::io::{self, Write};

/// Writes a LauraDB v1 data directory (snapshot.json, wal.log) for tests and measurements.
#[derive(Debug, Parser)]
#[command(name = "generate")]
struct Arguments {
    #[command(flatten)]
    options: generate::Options,
}

fn main() -> io::Result<()> {
    let summary = generate::run(&Arguments::parse().options)?;
    writeln!(io::stdout(), "{summary}")
}
