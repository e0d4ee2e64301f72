//! Which collections there are: those of the snapshot, and those that only the WAL names.

use crate::files::InputFile;
use crate::options::Options;
use crate::v1::names::Renames;
use crate::v1::pages::{Group, Taken, recovered_names};
use crate::v1::selection::Selection;
use crate::v1::snapshot::SnapshotLayout;
use crate::v1::wal::RecordPlace;
use crate::{Code, Error, Place, Result};
use std::collections::HashMap;

/// Names of collections and their numbers: positions in the snapshot, then as the WAL names them.
pub(super) struct NameTable {
    renames: Renames,
    selection: Selection,
    /// By number: the name in v1, where it stands, and whether it is taken.
    names: Vec<(String, Place, bool)>,
    numbers: HashMap<String, u32>,
}

/// A collection that v2 will have.
pub(super) struct Named {
    pub(super) number: u32,
    pub(super) v1_name: String,
    /// After `--rename`.
    pub(super) name: String,
}

impl NameTable {
    pub(super) fn new(
        options: &Options,
        snapshot: Option<(&InputFile, &SnapshotLayout)>,
    ) -> Result<Self> {
        let mut table = Self {
            renames: Renames::parse(&options.renames)?,
            selection: Selection::parse(&options.collections, &options.excluded)?,
            names: Vec::new(),
            numbers: HashMap::new(),
        };
        if let Some((file, layout)) = snapshot {
            for collection in &layout.collections {
                table.add(
                    &collection.name,
                    Place::offset(file.path(), collection.offset),
                )?;
            }
        }
        Ok(table)
    }

    fn add(&mut self, name: &str, place: Place) -> Result<u32> {
        let number = u32::try_from(self.names.len())
            .map_err(|_| Error::new(Code::LimitExceeded, "there are too many collections"))?;
        let is_taken = self.selection.takes(name);
        self.names.push((name.to_owned(), place, is_taken));
        self.numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    /// The number of a collection that the log names; `None` for one that is left out, and for a
    /// delete from one that is not there.
    pub(super) fn resolve(
        &mut self,
        log: &InputFile,
        name: &str,
        place: RecordPlace,
    ) -> Result<Option<u32>> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(self.if_taken(*number));
        }
        if place.is_delete() {
            return Ok(None);
        }
        let place = Place::offset(log.path(), place.offset).with_lsn(place.lsn);
        let number = self.add(name, place)?;
        Ok(self.if_taken(number))
    }

    /// Adds `recovered_1`, `recovered_2`, … for groups of pages that say no name of theirs; a name
    /// that is taken is passed over. Gives their numbers.
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
        let is_taken = self.names.iter().map(|(_, _, is_taken)| *is_taken);
        Taken::new(is_taken, &self.selection, |name| {
            self.numbers.contains_key(name)
        })
    }

    fn if_taken(&self, number: u32) -> Option<u32> {
        let named = self.names.get(number as usize);
        named
            .is_some_and(|(_, _, is_taken)| *is_taken)
            .then_some(number)
    }

    /// All collections that are taken with the names that they will have, in the order of those.
    ///
    /// # Errors
    /// The first one that `note` gives back; with names that were refused, the rest goes on.
    pub(super) fn finish(self, note: &mut dyn FnMut(Error) -> Result<()>) -> Result<Vec<Named>> {
        self.selection.finish().or_else(&mut *note)?;
        for (name, _, _) in self.names.iter().filter(|(_, _, is_taken)| !is_taken) {
            // Another name for what is left out does no harm.
            let _ = self.renames.apply(name);
        }
        let taken = self.names.iter().filter(|(_, _, is_taken)| *is_taken);
        let names =
            taken.map(|(name, place, _)| (name.as_str(), place.clone().in_collection(name)));
        let resolved = match self.renames.resolve(names) {
            Ok(resolved) => resolved,
            Err(errors) => {
                errors.into_iter().try_for_each(&mut *note)?;
                Default::default()
            }
        };
        self.renames.finish().or_else(&mut *note)?;
        let mut named: Vec<Named> = (0..)
            .zip(&self.names)
            .filter(|(_, (_, _, is_taken))| *is_taken)
            .map(|(number, (v1_name, _, _))| Named {
                number,
                v1_name: v1_name.clone(),
                // Where names were refused, only the figures count.
                name: match resolved.get(v1_name) {
                    Some(name) => name.clone(),
                    None => self.renames.apply(v1_name).to_owned(),
                },
            })
            .collect();
        named.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(named)
    }
}
