//! A warning or an error as the report and the receipt hold it.

use super::Warning;
use crate::{Error, Place};
use serde::{Deserialize, Serialize};

/// What was found, where, and what to do. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Problem {
    /// The stable id, such as `LM0301`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The file; what is no UTF-8 in it is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Byte offset in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Page number in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Slot in the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
    /// LSN of a record of the write-ahead log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsn: Option<u64>,
    /// The collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The document's `_id`, as printed for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The chain of causes, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl Problem {
    /// An error.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        Self {
            hint: error.hint_text().map(str::to_owned),
            causes,
            ..Self::at(error.code().id(), error.sentence(), error.place())
        }
    }

    /// Something that was found among other things.
    #[must_use]
    pub fn of_found(found: &crate::problems::Problem) -> Self {
        Self {
            hint: found.hint.clone(),
            causes: found.causes.clone(),
            ..Self::at(found.code.id(), &found.whole_sentence(), &found.place)
        }
    }

    /// A warning.
    #[must_use]
    pub fn of_warning(warning: &Warning) -> Self {
        Self::at(warning.code.id(), &warning.sentence, &warning.place)
    }

    /// The same, told alike wherever the directory lies: of the file, its name alone.
    #[must_use]
    pub fn without_directory(mut self) -> Self {
        self.file = self.file.map(|file| match file.rsplit_once('/') {
            Some((_, name)) => name.to_owned(),
            None => file,
        });
        self
    }

    fn at(code: String, message: &str, place: &Place) -> Self {
        let file = place.file.as_ref();
        Self {
            code,
            message: message.to_owned(),
            file: file.map(|file| file.to_string_lossy().into_owned()),
            offset: place.offset,
            page: place.page,
            slot: place.slot,
            lsn: place.lsn,
            collection: place.collection.clone(),
            index: place.index.clone(),
            id: place.id.clone(),
            ..Self::default()
        }
    }
}
