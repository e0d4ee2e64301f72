//! MongoDB's canonical Extended JSON v2, the text form of documents in backups.
//!
//! ```text
//! 0x01 double    {"$numberDouble":"1.5"}; also NaN, Infinity, -Infinity, -0.0
//! 0x02 string    "…"
//! 0x03 document  {"name":value,…}; one whose first name begins with $, which would read as a
//!                type, {"$lauraDocument":[["name",value],…]}
//! 0x04 array     [value,…]
//! 0x05 binary    {"$binary":{"base64":"…","subType":"00"}}
//! 0x07 ObjectID  {"$oid":"24 hex digits"}
//! 0x08 boolean   true, false
//! 0x0A null      null
//! 0x10 int32     {"$numberInt":"-7"}
//! 0x11 timestamp {"$timestamp":{"t":high 32 bits,"i":low 32 bits}}
//! 0x12 int64     {"$numberLong":"7"}
//! ```
//!
//! NaN stands for the NaN that Go and so LauraDB writes, 0x7FF8000000000001. Another NaN keeps its
//! bits as `NaN:7ff8000000000000`, so that a document comes back byte for byte.

mod parse;
mod strings;
mod write;

#[doc(hidden)]
pub use parse::parse_fixture;
pub use parse::{EjsonError, EjsonErrorKind, parse_document};
pub use write::{display_id, write_document, write_value};

/// Go's `math.NaN()`.
const GO_NAN_BITS: u64 = 0x7FF8_0000_0000_0001;

/// What the name of a document's only field is when its fields stand in a list.
const DOCUMENT_KEY: &str = "$lauraDocument";

#[cfg(test)]
mod tests;
