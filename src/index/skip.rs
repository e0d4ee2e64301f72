//! `--skip-index NAME`, `COLLECTION/NAME` or `all`.

use crate::{Code, Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Every index, whatever its name or definition.
const ALL: &str = "all";

/// The indexes that are not built.
#[derive(Debug, Default)]
pub struct SkipIndexes {
    all: bool,
    /// Each value, and whether an index matched it.
    values: Vec<(String, AtomicBool)>,
}

impl SkipIndexes {
    /// Takes the values of all `--skip-index` options.
    ///
    /// # Errors
    /// [`Code::Usage`]: an empty value.
    pub fn parse<S: AsRef<str>>(values: &[S]) -> Result<Self> {
        let mut skip = Self::default();
        for value in values {
            match value.as_ref() {
                "" => {
                    return Err(Error::new(Code::Usage, "--skip-index has an empty value")
                        .hint("write --skip-index NAME, COLLECTION/NAME or all"));
                }
                ALL => skip.all = true,
                name => skip.values.push((name.to_owned(), AtomicBool::new(false))),
            }
        }
        Ok(skip)
    }

    /// True if every index is skipped.
    #[must_use]
    pub fn skips_all(&self) -> bool {
        self.all
    }

    /// True if this index is skipped. `collection` is the name in the source, before `--rename`.
    #[must_use]
    pub fn matches(&self, collection: &str, index: &str) -> bool {
        let mut matched = self.all;
        for (value, used) in &self.values {
            // Names can hold slashes, so the value is compared, not taken apart.
            let qualified = value
                .strip_prefix(collection)
                .and_then(|rest| rest.strip_prefix('/'));
            if value == index || qualified == Some(index) {
                used.store(true, Ordering::Relaxed);
                matched = true;
            }
        }
        matched
    }

    /// To be called when all indexes of the source have passed [`Self::matches`].
    ///
    /// # Errors
    /// [`Code::SkipIndexUnknown`]: values that matched nothing; `all` may.
    pub fn finish(&self) -> Result<()> {
        let unused = |used: &AtomicBool| !used.load(Ordering::Relaxed);
        let unknown: Vec<String> = self
            .values
            .iter()
            .filter(|(_, used)| unused(used))
            .map(|(value, _)| format!("{value:?}"))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let sentence = format!("--skip-index names no index: {}", unknown.join(", "));
        Err(Error::new(Code::SkipIndexUnknown, sentence).hint(
            "the report of laura-migrate --mode dry-run --report - SOURCE_DIR lists the indexes; \
             collections go by their names before --rename",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_match_by_name_or_by_collection_and_name() {
        let skip = SkipIndexes::parse(&["a_1", "c/b_1", "x/y/z", "d/"]).expect("valid");
        assert!(skip.matches("any", "a_1") && skip.matches("c", "b_1"));
        assert!(!skip.matches("d", "b_1") && !skip.matches("c", "a"));
        assert!(skip.matches("x/y", "z") && skip.matches("x", "y/z"));
        assert!(skip.finish().is_err());
        assert!(skip.matches("d", ""));
        assert!(skip.finish().is_ok());
    }

    #[test]
    fn a_value_that_matches_nothing_is_named() {
        let skip = SkipIndexes::parse(&["a_1", "gone", "all"]).expect("valid");
        assert!(skip.skips_all() && skip.matches("c", "a_1") && skip.matches("c", "b_1"));
        let error = skip.finish().expect_err("gone is unknown");
        assert_eq!(error.code(), Code::SkipIndexUnknown);
        assert!(error.sentence().contains("gone") && !error.sentence().contains("a_1"));
        assert!(
            SkipIndexes::parse(&["all"])
                .expect("valid")
                .finish()
                .is_ok()
        );
        assert!(SkipIndexes::parse(&[""]).is_err());
    }
}
