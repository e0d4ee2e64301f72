//! What the receipt of a migration keeps of the snapshot's own description of its database, for
//! format v2 has no place for it.
//!
//! ```text
//! "snapshot": {"databaseName": string, "timestamp": string or null, "metadata": object or null}
//! ```

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::files::Dir;
use crate::layout::RECEIPT_FILE;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Largest receipt that is read, bytes.
pub(crate) const LARGEST_RECEIPT: u64 = 64 << 20;

/// How a snapshot describes its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotFacts {
    /// Never empty.
    pub(crate) database_name: String,
    /// As it stands there; not validated.
    pub(crate) timestamp: Option<String>,
    /// JSON text of an object.
    #[serde(with = "json_text")]
    pub(crate) metadata: Option<String>,
}

/// The part of a receipt that is read here.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    snapshot: Option<SnapshotFacts>,
}

impl SnapshotFacts {
    /// What the receipt in a directory says, if there is one and it says anything.
    ///
    /// # Errors
    /// [`Code::ReceiptDamaged`]; a read fails.
    pub(crate) fn read(directory: &Dir) -> Result<Option<Self>> {
        let Some(file) = directory.open_file_if_exists(RECEIPT_FILE)? else {
            return Ok(None);
        };
        let described: Described = serde_json::from_slice(&file.read_all(LARGEST_RECEIPT)?)
            .map_err(|error| {
                Error::new(
                    Code::ReceiptDamaged,
                    "the receipt of a migration does not parse",
                )
                .at(Place::file(file.path()))
                .because(error)
                .hint("move the receipt away: without it, only the database's name is lost")
            })?;
        Ok(described.snapshot)
    }
}

/// JSON text stands in the receipt as the value that it is, to the digit.
mod json_text {
    use super::{Deserialize, RawValue, Serialize};
    use serde::{Deserializer, Serializer, ser};

    pub(super) fn serialize<S: Serializer>(
        text: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let value = text.clone().map(RawValue::from_string).transpose();
        value.map_err(ser::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        let value = Option::<Box<RawValue>>::deserialize(deserializer)?;
        Ok(value.map(|value| value.get().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_kept_to_the_digit() {
        let facts = SnapshotFacts {
            database_name: "d\"b".to_owned(),
            timestamp: None,
            metadata: Some(r#"{"k":1.50,"n":12345678901234567890123}"#.to_owned()),
        };
        let text = serde_json::to_string_pretty(&facts).unwrap();
        assert!(text.contains("1.50") && text.contains("12345678901234567890123"));
        assert_eq!(serde_json::from_str::<SnapshotFacts>(&text).unwrap(), facts);
    }
}
