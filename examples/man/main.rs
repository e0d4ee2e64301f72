//! Brings the lists of the man page, options and errors, and the completion scripts up to date with
//! the parser and the error table. `tests/docs.rs` fails where this would change anything.
//!
//! ```sh
//! cargo run --locked --example man
//! ```

mod page;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("man/laura-migrate.1");
    let page = std::fs::read_to_string(&path)?;
    std::fs::write(&path, page::renewed(&page))?;
    for (shell, path) in page::COMPLETIONS {
        std::fs::write(root.join(path), page::completions(shell)?)?;
    }
    Ok(())
}
