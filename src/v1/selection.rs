//! `--collection NAME` and `--exclude NAME`: which collections are taken.
//!
//! ```text
//! NAME = JSON string | text    as the source has it; a NAME that begins with a quote must be a
//!                              JSON string
//! ```
//!
//! With `--collection` only those that it names are taken, without it all; never those that
//! `--exclude` names.

use crate::{Code, Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// All `--collection` and `--exclude` options.
#[derive(Debug, Default)]
pub struct Selection {
    only: Vec<Named>,
    excluded: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    name: String,
    /// A collection of this name was seen.
    seen: AtomicBool,
}

impl Selection {
    /// Parses the values of all options.
    ///
    /// # Errors
    /// [`Code::Usage`]: a value begins with a quote and is no JSON string.
    pub fn parse<S: AsRef<str>>(only: &[S], excluded: &[S]) -> Result<Self> {
        Ok(Self {
            only: parse_all("--collection", only)?,
            excluded: parse_all("--exclude", excluded)?,
        })
    }

    /// True if everything is taken.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.only.is_empty() && self.excluded.is_empty()
    }

    /// True if the collection of this name, before any `--rename`, is taken; notes that it exists.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        let is_listed = |list: &[Named]| {
            let mut found = false;
            for named in list.iter().filter(|named| named.name == name) {
                named.seen.store(true, Ordering::Relaxed);
                found = true;
            }
            found
        };
        let wanted = is_listed(&self.only) || self.only.is_empty();
        !is_listed(&self.excluded) && wanted
    }

    /// As [`Self::takes`], of a collection that may not exist.
    #[must_use]
    pub fn would_take(&self, name: &str) -> bool {
        let is_listed = |list: &[Named]| list.iter().any(|named| named.name == name);
        (self.only.is_empty() || is_listed(&self.only)) && !is_listed(&self.excluded)
    }

    /// To be called when all names of the source have passed [`Self::takes`].
    ///
    /// # Errors
    /// [`Code::CollectionUnknown`]: names that no collection has.
    pub fn finish(&self) -> Result<()> {
        for (option, list) in [("--collection", &self.only), ("--exclude", &self.excluded)] {
            let unseen = list
                .iter()
                .filter(|named| !named.seen.load(Ordering::Relaxed));
            let mut unknown: Vec<String> =
                unseen.map(|named| format!("{:?}", named.name)).collect();
            if !unknown.is_empty() {
                unknown.sort();
                unknown.dedup();
                let sentence = format!("{option} names no collection: {}", unknown.join(", "));
                return Err(Error::new(Code::CollectionUnknown, sentence).hint(
                    "name collections as the source does, before --rename; names are \
                     case-sensitive",
                ));
            }
        }
        Ok(())
    }
}

fn parse_all<S: AsRef<str>>(option: &str, values: &[S]) -> Result<Vec<Named>> {
    let parse = |value: &S| {
        let value = value.as_ref();
        let name = match value.starts_with('"') {
            false => value.to_owned(),
            true => serde_json::from_str(value).map_err(|error| {
                Error::new(Code::Usage, format!("{option} {value:?} is no JSON string"))
                    .because(error)
                    .hint("a NAME that begins with a quote must be a JSON string in quotes")
            })?,
        };
        Ok(Named {
            name,
            seen: AtomicBool::new(false),
        })
    };
    values.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(only: &[&str], excluded: &[&str]) -> (Vec<&'static str>, Option<Code>) {
        let selection = Selection::parse(only, excluded).unwrap();
        let names = ["a", "b", "", "\"q\"", "n\0l"];
        let taken = names.into_iter().filter(|name| selection.takes(name));
        (taken.collect(), selection.finish().err().map(|e| e.code()))
    }

    #[test]
    fn only_those_in_the_one_list_and_not_in_the_other_are_taken() {
        assert_eq!(taken(&[], &[]).0.len(), 5);
        assert_eq!(taken(&["b", "a"], &[]), (vec!["a", "b"], None));
        assert_eq!(taken(&["b", "a"], &["a"]), (vec!["b"], None));
        assert_eq!(
            taken(&[], &["a", "", "\"n\\u0000l\""]),
            (vec!["b", "\"q\""], None)
        );
        assert_eq!(taken(&["\"\\\"q\\\"\""], &[]), (vec!["\"q\""], None));
    }

    #[test]
    fn unknown_names_and_broken_strings_are_errors() {
        assert_eq!(taken(&["A"], &[]).1, Some(Code::CollectionUnknown));
        assert_eq!(taken(&["a"], &["x"]).1, Some(Code::CollectionUnknown));
        let error = Selection::parse(&["\"x"], &[]).unwrap_err();
        assert_eq!(error.code(), Code::Usage);
    }
}
