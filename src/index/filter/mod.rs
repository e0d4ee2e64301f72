//! The filter of a partial index, in LauraDB's query language.
//!
//! ```text
//! filter    = { key: … , … }            all have to hold; {} holds for every document
//! key       = "$and": [filter, …]       all of them ([] holds)
//!           | "$or": [filter, …]        at least one of them ([] does not hold)
//!           | field: constant           the field is there and equals the constant
//!           | field: { operator: operand, … }     all of them ({} holds, field or not)
//! operator  = $eq $ne $gt $gte $lt $lte constant | $in $nin [constant, …] | $exists boolean
//!           | $regex "RE2" | $size integer ≥ 0 | $elemMatch { operator: operand, … }
//! ```
//!
//! What LauraDB does, and this does alike:
//! - Field names are literal names of the top level; a dot in one is a dot in the name.
//! - `$exists` asks for present and not null; for every other operator the field must be present,
//!   so `$ne` and `$nin` do not hold for a missing one, and only a null equals null.
//! - Numbers compare by their exact value whatever their types, strings bytewise; every other type
//!   has equality only, which then also satisfies `$gte` and `$lte`. A NaN equals nothing and is
//!   neither less nor greater.
//! - Documents are equal if their fields are, in order; arrays if their elements are.
//! - An object as a field's value is always a set of operators: a document to compare with stands
//!   under `$eq`. `$elemMatch` applies operators to the elements themselves, whatever their type;
//!   field names in it are unknown operators.
//! - A filter with an unknown operator or a malformed operand anywhere matches nothing.
//!
//! Ours: a key `$…` that is neither `$and` nor `$or` is an unknown operator where LauraDB looks for
//! a field of that name, and `$in` with anything but an array is malformed.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod compile;
mod condition;
mod constant;
mod go_regex;
mod json;

#[cfg(test)]
mod tests;

use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::index::extract::DocumentFilter;
use condition::Group;

/// Longer filters do not fit an index's metadata record by far, so none is looked at.
const MAX_FILTER_BYTES: usize = 64 * 1024;

/// A compiled partial-index filter.
#[derive(Clone, Debug)]
pub struct Filter {
    compiled: Result<Group, String>,
}

impl DocumentFilter for Filter {
    fn matches(&self, document: RawDocument<'_>) -> bool {
        Self::matches(self, document)
    }
}

impl Filter {
    /// Compiles a filter; its constants get the types that a snapshot's values get.
    ///
    /// This never fails: what LauraDB could not evaluate matches nothing, and [`Self::problem`]
    /// says why. `null` is, like `{}`, no condition at all.
    #[must_use]
    pub fn parse(json_text: &str, infer: InferTypes) -> Self {
        let compiled = if json_text.len() > MAX_FILTER_BYTES {
            Err(format!(
                "the filter has {} bytes, more than {MAX_FILTER_BYTES}",
                json_text.len()
            ))
        } else {
            json::parse(json_text)
                .map_err(|error| format!("the filter is no JSON that can be evaluated: {error}"))
                .and_then(|json| compile::filter(&json, infer))
        };
        Self { compiled }
    }

    /// Why the filter matches nothing, or `None` if it is sound.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.compiled.as_ref().err().map(String::as_str)
    }

    /// True if the document belongs into the index. Does not allocate.
    #[must_use]
    pub fn matches(&self, document: RawDocument<'_>) -> bool {
        self.compiled
            .as_ref()
            .is_ok_and(|group| group.matches(document))
    }
}
