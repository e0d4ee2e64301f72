//! The marker file `.lauradb-version`.
//!
//! ```text
//! marker = JSON object, at most 64 KiB
//!   "formatVersion"    string, must be there
//!   "storageMode"      string, "memory" or "disk"
//!   "migrationDate"    string, RFC 3339 in UTC
//!   "previousVersion"  string, the format migrated from
//!   "compatible"       [string, …], the formats whose readers can read this one
//!   others             any value, kept when the marker is rewritten
//! ```
//!
//! Each of these keys stands once; all but the first may be null or missing.

use super::registry::{FormatVersion, PUBLISHING};
use crate::files::InputFile;
use crate::{Code, Error, Place, Result, jsontext};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

const MAX_BYTES: u64 = 64 * 1024;

/// The contents of a marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// The format version as written, known or not.
    pub format_version: String,
    /// `memory` or `disk`; not checked.
    pub storage_mode: Option<String>,
    /// When the directory was migrated; not checked.
    pub migration_date: Option<String>,
    /// The format version that it was migrated from.
    pub previous_version: Option<String>,
    /// Format versions whose readers can read the directory.
    pub compatible: Vec<String>,
    /// Other keys, each with its value as JSON text, in the order of the file.
    pub unknown: Vec<(String, String)>,
}

impl Marker {
    /// The marker of a freshly migrated directory. `migration_date` is RFC 3339 in UTC.
    #[must_use]
    pub fn migrated(to: FormatVersion, previous_version: &str, migration_date: &str) -> Self {
        let compatible: &[FormatVersion] = match to {
            FormatVersion::V1_0 => &[FormatVersion::V1_0],
            FormatVersion::V2_0 | FormatVersion::V2_1 => {
                &[FormatVersion::V2_0, FormatVersion::V2_1]
            }
        };
        Self {
            format_version: to.to_string(),
            storage_mode: Some(to.storage_mode().as_str().to_owned()),
            migration_date: Some(migration_date.to_owned()),
            previous_version: Some(previous_version.to_owned()),
            compatible: compatible.iter().map(ToString::to_string).collect(),
            unknown: Vec::new(),
        }
    }

    /// The marker that stands there while a migration publishes.
    #[must_use]
    pub fn publishing() -> Self {
        Self {
            format_version: PUBLISHING.to_owned(),
            ..Self::default()
        }
    }

    /// Reads and parses a marker file.
    ///
    /// # Errors
    /// [`Code::MarkerInvalid`], or the read fails.
    pub fn read(file: &InputFile) -> Result<Self> {
        let invalid = |error: String| {
            Error::new(Code::MarkerInvalid, format!("the version marker {error}"))
                .at(Place::offset(file.path(), 0))
                .hint(
                    "restore the marker from a backup; a directory of format 1.0 needs none, \
                     so a damaged marker that LauraDB 0.9 left may be moved away",
                )
        };
        if file.size() > MAX_BYTES {
            return Err(invalid(format!("has more than {MAX_BYTES} bytes")));
        }
        let bytes = file.read_all(MAX_BYTES)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let offset = Place::offset(file.path(), error.valid_up_to() as u64);
            invalid("is not UTF-8".to_owned()).at(offset).because(error)
        })?;
        Self::parse(text).map_err(|error| {
            let sentence = error.to_string();
            match error {
                MarkerError::Json(cause) | MarkerError::Value(_, cause) => {
                    invalid(sentence).because(cause)
                }
                _ => invalid(sentence),
            }
        })
    }

    /// Parses the text of a marker.
    ///
    /// # Errors
    /// What does not parse.
    pub fn parse(text: &str) -> std::result::Result<Self, MarkerError> {
        let mut marker = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in jsontext::members(text).map_err(MarkerError::Json)? {
            if seen.contains(&key) {
                return Err(MarkerError::Repeated(key));
            }
            match key.as_str() {
                "formatVersion" => marker.format_version = read(&key, &value)?,
                "storageMode" => marker.storage_mode = read(&key, &value)?,
                "migrationDate" => marker.migration_date = read(&key, &value)?,
                "previousVersion" => marker.previous_version = read(&key, &value)?,
                "compatible" => {
                    marker.compatible = read::<Option<_>>(&key, &value)?.unwrap_or_default();
                }
                _ => marker
                    .unknown
                    .push((key.clone(), jsontext::compact(value.get()))),
            }
            seen.push(key);
        }
        if seen.iter().any(|key| key == "formatVersion") {
            Ok(marker)
        } else {
            Err(MarkerError::NoVersion)
        }
    }

    /// The text of the marker file: one line, known keys first, missing ones left out.
    #[must_use]
    pub fn encode(&self) -> String {
        let string = |text: &str| serde_json::Value::from(text).to_string();
        let mut members = vec![("formatVersion", string(&self.format_version))];
        let optional = [
            ("storageMode", &self.storage_mode),
            ("migrationDate", &self.migration_date),
            ("previousVersion", &self.previous_version),
        ];
        for (key, value) in optional {
            members.extend(value.iter().map(|value| (key, string(value))));
        }
        if !self.compatible.is_empty() {
            let versions = serde_json::Value::from(self.compatible.clone());
            members.push(("compatible", versions.to_string()));
        }
        for (key, value) in &self.unknown {
            members.push((key, value.clone()));
        }
        let members: Vec<String> = members
            .iter()
            .map(|(key, value)| format!("{}:{value}", string(key)))
            .collect();
        format!("{{{}}}\n", members.join(","))
    }
}

fn read<T: DeserializeOwned>(key: &str, value: &RawValue) -> std::result::Result<T, MarkerError> {
    serde_json::from_str(value.get()).map_err(|error| MarkerError::Value(key.to_owned(), error))
}

/// Why text is no marker; goes on after "the version marker".
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// Not JSON, or another value.
    #[error("is no JSON object")]
    Json(#[source] serde_json::Error),
    /// The value of this key has another type.
    #[error("has a wrong value of {0:?}")]
    Value(String, #[source] serde_json::Error),
    /// A key that stands twice.
    #[error("has the key {0:?} twice")]
    Repeated(String),
    /// No version is named.
    #[error("has no \"formatVersion\"")]
    NoVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{"formatVersion":"2.0","storageMode":"disk","migrationDate":"2025-01-15T10:30:00Z","previousVersion":"1.0","compatible":["2.0","2.1"]}"#;

    #[test]
    fn a_migrated_directory_gets_the_documented_marker() {
        let marker = Marker::migrated(FormatVersion::V2_0, "1.0", "2025-01-15T10:30:00Z");
        assert_eq!(marker.encode().trim_end(), EXAMPLE);
        assert_eq!(Marker::parse(EXAMPLE).expect("valid"), marker);
        assert_eq!(
            Marker::publishing().encode(),
            "{\"formatVersion\":\"2.0-publishing\"}\n"
        );
    }

    #[test]
    fn unknown_keys_are_kept_to_the_digit() {
        let text = "{ \"b\" : 1.50, \"formatVersion\":\"2.0\",\n \"a\\u0041\":{\"x\" : [ 12345678901234567890123 ]} }";
        let marker = Marker::parse(text).expect("valid");
        let encoded = marker.encode();
        assert_eq!(
            encoded.trim_end(),
            r#"{"formatVersion":"2.0","b":1.50,"aA":{"x":[12345678901234567890123]}}"#
        );
        assert_eq!(Marker::parse(&encoded).expect("valid"), marker);
    }
}
