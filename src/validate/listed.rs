//! Extractors of indexes as they are listed, whatever the format.

use crate::Result;
use crate::document::InferTypes;
use crate::document::time::parse_rfc3339;
use crate::index::extract::{DocumentFilter, KeyExtractor};
use crate::index::{Filter, IndexDefinition};
use std::sync::Arc;

/// What the filter of a partial index means.
pub(super) fn filter(
    definition: &IndexDefinition,
    infer_types: Option<InferTypes>,
) -> Option<Arc<dyn DocumentFilter>> {
    let text = definition.filter.as_ref()?;
    let filter = Filter::parse(text, infer_types.unwrap_or_default());
    Some(Arc::new(filter))
}

/// The extractor of a B+tree index.
///
/// # Errors
/// As [`KeyExtractor::new`].
pub(super) fn key_extractor(
    definition: &IndexDefinition,
    infer_types: Option<InferTypes>,
) -> Result<KeyExtractor> {
    let filter = filter(definition, infer_types);
    KeyExtractor::new(definition, filter, |text| {
        parse_rfc3339(text).map(|time| time.seconds)
    })
}
