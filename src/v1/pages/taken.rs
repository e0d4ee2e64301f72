//! Which collections are taken, as far as pages are concerned.

use super::groups::MOST_GROUPS;
use crate::v1::selection::Selection;

/// Which collections are taken. Pages of the others are told apart all the same, but nothing of
/// them is counted, recovered or put anywhere.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// By the number of the collection; what is not listed is taken.
    collections: Vec<bool>,
    /// By the number of the group; what is not listed is taken.
    groups: Vec<bool>,
}

impl Taken {
    /// Of the collections, by number, those that say true. Groups of pages without a name are taken
    /// by the names that they would get; `is_known` knows the names that collections have.
    #[must_use]
    pub fn new(
        collections: impl IntoIterator<Item = bool>,
        selection: &Selection,
        is_known: impl Fn(&str) -> bool,
    ) -> Self {
        if selection.is_everything() {
            return Self::default();
        }
        let names = recovered_names(is_known).take(MOST_GROUPS);
        Self {
            collections: collections.into_iter().collect(),
            groups: names.map(|name| selection.would_take(&name)).collect(),
        }
    }

    pub(super) fn collection(&self, number: u32) -> bool {
        self.collections.get(number as usize).is_none_or(|is| *is)
    }

    pub(super) fn group(&self, number: u32) -> bool {
        self.groups.get(number as usize).is_none_or(|is| *is)
    }

    /// Documents on pages without a name may be taken.
    pub(super) fn any_group(&self) -> bool {
        self.groups.is_empty() || self.groups.contains(&true)
    }
}

/// `recovered_1`, `recovered_2`, …: what groups of pages without a name are called, in order. A name
/// that a collection has is passed over.
pub fn recovered_names(is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let names = (1_u64..).map(|number| format!("recovered_{number}"));
    names.filter(move |name| !is_known(name))
}
