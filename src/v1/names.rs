//! Collection names: which ones v2 can take, and `--rename OLD=NEW`.
//!
//! ```text
//! rename = side "=" side       OLD ends at the first "=" outside a JSON string
//! side   = JSON string | text  a side that begins with a quote must be a JSON string
//! ```

use crate::shell::quoted;
use crate::{Code, Error, Place, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest collection name that v2 takes, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// Why v2 cannot take a collection name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// The empty name.
    #[error("is empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("has {0} bytes, at most 255 are possible")]
    TooLong(usize),
    /// A NUL, which would end the name for LauraDB.
    #[error("holds a NUL character")]
    Nul,
}

/// Whether v2 can take a collection name: 1 to 255 bytes of UTF-8 without NUL.
///
/// # Errors
/// Why it cannot.
pub fn check_name(name: &str) -> std::result::Result<(), NameProblem> {
    match name.len() {
        0 => Err(NameProblem::Empty),
        length if length > MAX_NAME_BYTES => Err(NameProblem::TooLong(length)),
        _ if name.contains('\0') => Err(NameProblem::Nul),
        _ => Ok(()),
    }
}

/// The error for a name that v2 cannot take; `place` tells where the name stands.
#[must_use]
pub fn name_error(name: &str, problem: NameProblem, place: Place) -> Error {
    Error::new(
        Code::CollectionName,
        format!(
            "format v2 cannot take the collection name {}: it {problem}",
            short(name)
        ),
    )
    .at(place)
    .hint(format!(
        "give it another name with --rename {}",
        quoted(&format!("{}=NEW", side(name)))
    ))
}

/// A name for messages, cut when it is very long.
fn short(name: &str) -> String {
    const MOST: usize = 80;
    let cut: String = name.chars().take(MOST).collect();
    let dots = if cut.len() < name.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
}

/// A name as one side of `--rename`, a JSON string where it has to be one.
fn side(name: &str) -> String {
    let plain = !name.starts_with('"') && !name.contains(|c: char| c == '=' || c.is_control());
    if plain {
        return name.to_owned();
    }
    serde_json::Value::from(name).to_string()
}

/// All `--rename` options, applied at once, so that two collections can swap their names.
#[derive(Debug, Default)]
pub struct Renames {
    /// New name, and whether a collection of the old name was seen, by old name.
    by_old: HashMap<String, (String, AtomicBool)>,
}

impl Renames {
    /// Parses the values of all `--rename` options.
    ///
    /// # Errors
    /// [`Code::Usage`] for a value that is no `OLD=NEW` or a NEW that v2 cannot take,
    /// [`Code::RenameConflict`] for an OLD that is given two names.
    pub fn parse<S: AsRef<str>>(values: &[S]) -> Result<Self> {
        let mut renames = Self::default();
        for value in values {
            let value = value.as_ref();
            let (old, new) = parse_rename(value).ok_or_else(|| {
                Error::new(Code::Usage, format!("--rename {value:?} is not OLD=NEW")).hint(
                    "write --rename OLD=NEW; a name that holds \"=\" or begins with a quote \
                     must be a JSON string in quotes",
                )
            })?;
            if let Err(problem) = check_name(&new) {
                let sentence =
                    format!("--rename {value:?} names no possible collection: NEW {problem}");
                return Err(Error::new(Code::Usage, sentence)
                    .hint("choose a NEW of 1 to 255 bytes without NUL"));
            }
            let given = renames
                .by_old
                .insert(old.clone(), (new, AtomicBool::new(false)));
            if given.is_some() {
                return Err(conflict(format!(
                    "--rename gives {} two names",
                    short(&old)
                )));
            }
        }
        Ok(renames)
    }

    /// True if nothing is renamed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_old.is_empty()
    }

    /// The name that a collection gets; notes that a collection of the old name exists.
    #[must_use]
    pub fn apply<'a>(&'a self, name: &'a str) -> &'a str {
        match self.by_old.get(name) {
            None => name,
            Some((new, seen)) => {
                seen.store(true, Ordering::Relaxed);
                new
            }
        }
    }

    /// Applies the renames to all collections, given as the source names them, with where each
    /// stands. Returns new names by old ones.
    ///
    /// # Errors
    /// All that is wrong: names that v2 cannot take ([`Code::CollectionName`]), two collections
    /// that end with the same name ([`Code::RenameConflict`]).
    pub fn resolve<'n>(
        &self,
        names: impl IntoIterator<Item = (&'n str, Place)>,
    ) -> std::result::Result<BTreeMap<String, String>, Vec<Error>> {
        let mut resolved = BTreeMap::new();
        let mut old_names: HashMap<String, String> = HashMap::new();
        let mut errors = Vec::new();
        for (old, place) in names {
            let new = self.apply(old);
            if let Err(problem) = check_name(new) {
                errors.push(name_error(new, problem, place));
                continue;
            }
            if resolved.insert(old.to_owned(), new.to_owned()).is_some() {
                continue;
            }
            if let Some(other) = old_names.insert(new.to_owned(), old.to_owned()) {
                let (other, old, new) = (short(&other), short(old), short(new));
                let sentence = format!("the collections {other} and {old} both end as {new}");
                errors.push(conflict(sentence).at(place));
            }
        }
        if errors.is_empty() {
            Ok(resolved)
        } else {
            Err(errors)
        }
    }

    /// To be called when all names of the source have passed [`Self::apply`].
    ///
    /// # Errors
    /// [`Code::RenameConflict`]: an OLD that no collection has.
    pub fn finish(&self) -> Result<()> {
        let unseen = |(_, seen): &(String, AtomicBool)| !seen.load(Ordering::Relaxed);
        let mut unknown: Vec<String> = self
            .by_old
            .iter()
            .filter(|(_, entry)| unseen(entry))
            .map(|(old, _)| short(old))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort();
        let sentence = format!("--rename names no collection: {}", unknown.join(", "));
        Err(Error::new(Code::RenameConflict, sentence)
            .hint("laura-migrate --mode dry-run lists the collections; names are case-sensitive"))
    }
}

fn conflict(sentence: String) -> Error {
    Error::new(Code::RenameConflict, sentence).hint("give each collection one name of its own")
}

fn parse_rename(value: &str) -> Option<(String, String)> {
    let (old, rest) = if value.starts_with('"') {
        let mut strings = serde_json::Deserializer::from_str(value).into_iter::<String>();
        let old = strings.next()?.ok()?;
        (old, value.get(strings.byte_offset()..)?)
    } else {
        let at = value.find('=')?;
        (value.get(..at)?.to_owned(), value.get(at..)?)
    };
    let new = rest.strip_prefix('=')?;
    let new = if new.starts_with('"') {
        serde_json::from_str(new).ok()?
    } else {
        new.to_owned()
    };
    Some((old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(renames: &Renames, names: &[&str]) -> std::result::Result<Vec<String>, Vec<Code>> {
        let places = names
            .iter()
            .map(|name| (*name, Place::file("snapshot.json")));
        match renames.resolve(places) {
            Ok(resolved) => Ok(names.iter().map(|name| resolved[*name].clone()).collect()),
            Err(errors) => Err(errors.iter().map(Error::code).collect()),
        }
    }

    #[test]
    fn either_side_may_be_a_json_string() {
        let parsed = |value| parse_rename(value).map(|(old, new)| format!("{old}|{new}"));
        assert_eq!(parsed("a=b").as_deref(), Some("a|b"));
        assert_eq!(parsed("a=b=c").as_deref(), Some("a|b=c"));
        assert_eq!(parsed("=new").as_deref(), Some("|new"));
        assert_eq!(parsed("\"\"=new").as_deref(), Some("|new"));
        assert_eq!(parsed(r#""a=\u0000"="b\"c""#).as_deref(), Some("a=\0|b\"c"));
        assert_eq!(parsed("a=\"b\"").as_deref(), Some("a|b"));
        for bad in ["", "a", "\"a=b", "\"a\"b", "a=\"b", "a=\"b\"c", "\"a\" =b"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_swap_works() {
        let renames = Renames::parse(&["a=b", "b=a", "=c"]).expect("valid");
        let resolved = resolve(&renames, &["a", "b", "", "d"]).expect("no conflict");
        assert_eq!(resolved, ["b", "a", "c", "d"]);
        assert!(renames.finish().is_ok());
    }

    #[test]
    fn unknown_and_conflicting_renames_are_errors() {
        let renames = Renames::parse(&["a=b", "x=y"]).expect("valid");
        assert_eq!(
            resolve(&renames, &["a", "b"]),
            Err(vec![Code::RenameConflict])
        );
        let error = renames.finish().expect_err("x is unknown");
        assert_eq!(error.code(), Code::RenameConflict);
        assert!(error.sentence().contains("\"x\"") && !error.sentence().contains("\"a\""));
        let code = |values: &[&str]| Renames::parse(values).map_err(|error| error.code()).err();
        assert_eq!(code(&["a=b", "a=c"]), Some(Code::RenameConflict));
        assert_eq!(code(&["a="]), Some(Code::Usage));
        assert_eq!(code(&["a"]), Some(Code::Usage));
    }

    #[test]
    fn impossible_names_offer_a_rename_that_parses() {
        let long = "é".repeat(128);
        let none = Renames::default();
        for name in ["", "nul\0name", &long, "\"=\0"] {
            let problem = check_name(name).expect_err("impossible");
            let error = name_error(name, problem, Place::default());
            assert_eq!(error.code(), Code::CollectionName);
            let hint = error.hint_text().expect("hint");
            let option = hint
                .split_once("--rename ")
                .expect("option")
                .1
                .trim_matches('\'');
            let (old, new) = parse_rename(option).expect("parses");
            assert_eq!((old.as_str(), new.as_str()), (name, "NEW"));
            assert_eq!(
                resolve(&none, &[name, "ok"]),
                Err(vec![Code::CollectionName])
            );
        }
        assert!(check_name(&"n".repeat(255)).is_ok());
        let renames = Renames::parse(&["=a"]).expect("valid");
        assert_eq!(resolve(&renames, &[""]), Ok(vec!["a".to_owned()]));
    }
}
