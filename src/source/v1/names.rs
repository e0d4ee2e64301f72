//! The names of a v1 directory's collections, and their numbers.

use super::{Part, pass_over};
use crate::files::InputFile;
use crate::problems::Problems;
use crate::v1::names::{Renames, check_name};
use crate::v1::pages::{Group, Taken, recovered_names};
use crate::v1::selection::Selection;
use crate::v1::snapshot::SnapshotLayout;
use crate::v1::wal::RecordPlace;
use crate::{Code, Error, Place, Result};
use std::collections::HashMap;

/// The collections of the snapshot, then those that only the log names.
pub(super) struct Names {
    selection: Selection,
    /// Each with where it stands, and whether it is taken.
    all: Vec<(String, Place, bool)>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub(super) fn of(
        selection: Selection,
        snapshot: Option<(&InputFile, &SnapshotLayout)>,
    ) -> Result<Self> {
        let mut names = Self {
            selection,
            all: Vec::new(),
            numbers: HashMap::new(),
        };
        if let Some((file, layout)) = snapshot {
            for collection in &layout.collections {
                let place = Place::offset(file.path(), collection.offset);
                names.add(&collection.name, place)?;
            }
        }
        Ok(names)
    }

    fn add(&mut self, name: &str, place: Place) -> Result<u32> {
        let number = u32::try_from(self.all.len())
            .map_err(|_| Error::new(Code::LimitExceeded, "there are too many collections"))?;
        let is_taken = self.selection.takes(name);
        self.all.push((name.to_owned(), place, is_taken));
        self.numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    /// `recovered_1`, `recovered_2`, …; a name that is taken is passed over.
    pub(super) fn add_recovered(&mut self, data: &InputFile, groups: &[Group]) -> Result<Vec<u32>> {
        let names = recovered_names(|name| self.numbers.contains_key(name));
        let names: Vec<String> = names.take(groups.len()).collect();
        let numbers = names.iter().zip(groups);
        let numbers = numbers
            .map(|(name, group)| self.add(name, Place::page(data.path(), group.lowest_page.0)));
        numbers.collect()
    }

    /// Which collections are taken, of those that are known and those that pages may become.
    pub(super) fn taken(&self) -> Taken {
        let is_taken = self.all.iter().map(|(_, _, is_taken)| *is_taken);
        Taken::new(is_taken, &self.selection, |name| {
            self.numbers.contains_key(name)
        })
    }

    /// `None` for a collection that is left out, and for a delete from one that is not there.
    pub(super) fn number(
        &mut self,
        log: &InputFile,
        name: &str,
        place: RecordPlace,
    ) -> Result<Option<u32>> {
        match self.numbers.get(name) {
            Some(number) => Ok(self.if_taken(*number)),
            None if place.is_delete() => Ok(None),
            None => {
                let place = Place::offset(log.path(), place.offset).with_lsn(place.lsn);
                let number = self.add(name, place)?;
                Ok(self.if_taken(number))
            }
        }
    }

    fn if_taken(&self, number: u32) -> Option<u32> {
        let named = self.all.get(number as usize);
        named
            .is_some_and(|(_, _, is_taken)| *is_taken)
            .then_some(number)
    }

    /// The collections that are taken with the names that they get, in the order of those.
    pub(super) fn resolve(
        &self,
        renames: &Renames,
        any_names: bool,
        problems: Option<&Problems>,
    ) -> Result<Vec<(String, Part)>> {
        self.selection.finish()?;
        for (name, _, _) in self.all.iter().filter(|(_, _, is_taken)| !is_taken) {
            // Another name for what is left out does no harm.
            let _ = renames.apply(name);
        }
        // No rename gives a name that v2 cannot take, so such a name is one of v1 and clashes with
        // none.
        let is_kept = |name: &str| any_names && check_name(renames.apply(name)).is_err();
        let taken = self.all.iter().filter(|(_, _, is_taken)| *is_taken);
        let names = taken.filter(|(name, _, _)| !is_kept(name));
        let names =
            names.map(|(name, place, _)| (name.as_str(), place.clone().in_collection(name)));
        let resolved = match renames.resolve(names) {
            Ok(resolved) => resolved,
            Err(errors) => {
                for error in errors {
                    pass_over(problems, error)?;
                }
                Default::default()
            }
        };
        renames.finish()?;
        let mut named = Vec::with_capacity(self.all.len());
        let taken = (0..).zip(&self.all).filter(|(_, (_, _, taken))| *taken);
        for (number, (v1_name, _, _)) in taken {
            let unresolved = || renames.apply(v1_name).to_owned();
            let name = match resolved.get(v1_name) {
                Some(name) => name.clone(),
                None if is_kept(v1_name) => v1_name.clone(),
                None => unresolved(),
            };
            let v1_name = v1_name.clone();
            named.push((name, Part { v1_name, number }));
        }
        named.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(named)
    }
}
