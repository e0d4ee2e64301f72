//! Text indexes: from strings to terms, from terms to pages, and from a query to documents.
//!
//! ```text
//! document ─ TextExtractor ─→ (term, frequency, field length) ─ TermKey ─→ sort by term, address
//!          ─ TextIndexBuilder ─→ posting pages | tree of terms
//! ```
//!
//! Terms are byte strings of any length. What the tree stores of one over 1022 bytes is cut, as of
//! any key, but order and equality are those of the whole terms (see [`LongTerms`]).

mod analyzer;
mod build;
mod check;
mod extract;
mod record;
mod search;
mod spill;
mod stemmer;
mod stored;
mod terms;
#[cfg(test)]
mod tests;
mod waiting;
mod whole;
mod window;
mod words;

pub use analyzer::Analyzer;
pub use build::{TextIndexBuilder, TextIndexSummary};
pub(crate) use check::compare_terms;
pub use check::{TextIndexChecker, posting_hash, stored_posting_hash};
pub use extract::{TextExtractor, TextScratch};
pub use record::TermKey;
pub(crate) use record::stored_term;
pub use search::TextReader;
pub use stemmer::stem;
pub use stored::StoredLongTerms;
pub(crate) use terms::LONGEST_SHORT_TERM;
pub use terms::Term;
pub use whole::{LongTerms, NoLongTerms};
