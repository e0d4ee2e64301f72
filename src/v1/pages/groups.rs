//! Pages whose collection is not known, grouped by what their documents look like.

use super::PagesTally;
use super::scan::{LiveDocument, LivePage, PageLook, Unusable, scan};
use crate::document::bson::RawValue;
use crate::document::order::hash_id;
use crate::document::{ID_FIELD, ejson};
use crate::files::InputFile;
use crate::hash::Xxh3;
use crate::v2::PageId;
use crate::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// More groups than this are no groups.
pub(super) const MOST_GROUPS: usize = 4096;
/// Names that are kept of a group's fields.
const KEPT_FIELDS: usize = 16;
/// Bytes of a name that is kept.
const LONGEST_NAME: usize = 100;
/// `_id`s that are kept of a group.
const KEPT_IDS: usize = 3;
/// Groups whose fields are looked at for unique ones.
const SKETCHED_GROUPS: usize = 32;
/// Values that are compared of each field: those with the smallest hashes.
const SKETCH_VALUES: usize = 256;

/// Pages whose most frequent set of field names is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its lowest page; groups are in this order.
    pub lowest_page: PageId,
    /// Pages.
    pub pages: u64,
    /// Documents.
    pub documents: u64,
    /// That set of names, the first sixteen, sorted.
    pub fields: Vec<String>,
    /// A few `_id`s, for people.
    pub ids: Vec<String>,
    /// Fields that every document has and in which no two values were found equal, `_id` left out.
    pub unique_fields: Vec<String>,
}

/// Puts pages into groups, in the order of the pages.
#[derive(Debug, Default)]
pub struct GroupTable {
    /// By the hash of the names.
    numbers: HashMap<u128, usize>,
    groups: Vec<Group>,
    sketches: Vec<BTreeMap<String, Sketch>>,
}

impl GroupTable {
    /// The group of a page, by its position among the groups.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`] for more than 4096 groups.
    pub fn page(&mut self, page: &LivePage<'_>) -> Result<u32> {
        let names = most_frequent_names(page);
        let mut hash = Xxh3::new();
        for name in &names {
            hash.update(name.as_bytes());
            hash.update(&[0]);
        }
        let known = self.numbers.len();
        let number = *self.numbers.entry(hash.digest128()).or_insert(known);
        if number == known {
            if known == MOST_GROUPS {
                let sentence = format!("pages fall into more than {MOST_GROUPS} groups");
                return Err(Error::new(Code::LimitExceeded, sentence).hint(
                    "take a backup with LauraDB, so that pages can be told apart by its snapshot",
                ));
            }
            let short = names.iter().filter(|name| name.len() <= LONGEST_NAME);
            let fields = short.take(KEPT_FIELDS);
            let fields: Vec<String> = fields.map(|name| (*name).to_owned()).collect();
            if known < SKETCHED_GROUPS {
                let others = fields.iter().filter(|name| *name != ID_FIELD);
                let sketches = others.map(|name| (name.clone(), Sketch::default()));
                self.sketches.push(sketches.collect());
            }
            self.groups.push(Group {
                lowest_page: page.id,
                pages: 0,
                documents: 0,
                fields,
                ids: Vec::new(),
                unique_fields: Vec::new(),
            });
        }
        if let Some(group) = self.groups.get_mut(number) {
            group.pages = group.pages.saturating_add(1);
        }
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// A document goes into a group.
    pub fn document(&mut self, group: u32, live: &LiveDocument<'_>) {
        let number = group as usize;
        let document = live.document();
        let Some(group) = self.groups.get_mut(number) else {
            return;
        };
        group.documents = group.documents.saturating_add(1);
        let id = document.get(ID_FIELD);
        if let Some(id) = id.filter(|_| group.ids.len() < KEPT_IDS) {
            let id = ejson::display_id(id);
            if !group.ids.contains(&id) {
                group.ids.push(id);
            }
        }
        let id_hash = id.map_or(0, |id| hash_id(id, 0));
        for (name, sketch) in self.sketches.get_mut(number).into_iter().flatten() {
            sketch.add(document.get(name), id_hash);
        }
    }

    /// The groups.
    #[must_use]
    pub fn finish(mut self) -> Vec<Group> {
        for (group, sketches) in self.groups.iter_mut().zip(&self.sketches) {
            let unique = sketches
                .iter()
                .filter(|(_, sketch)| sketch.values.len() > 1 && !sketch.is_out);
            group.unique_fields = unique.map(|(name, _)| name.clone()).collect();
        }
        self.groups
    }
}

/// The set of top-level names that most documents of a page have; of several, the smallest.
fn most_frequent_names<'p>(page: &LivePage<'p>) -> Vec<&'p str> {
    let mut counts: BTreeMap<Vec<&str>, u32> = BTreeMap::new();
    for live in &page.documents {
        // What stops reading such a document may stand before its last name.
        if !matches!(live.unusable, Some(Unusable::Bson(_))) {
            let mut names: Vec<&str> = live.document().elements().map(|(name, _)| name).collect();
            names.sort_unstable();
            let count = counts.entry(names).or_default();
            *count = count.saturating_add(1);
        }
    }
    let most = counts.values().copied().max().unwrap_or_default();
    let mut sets = counts.into_iter();
    let first = sets.find(|(_, count)| *count == most);
    first.map(|(names, _)| names).unwrap_or_default()
}

/// The values of a field with the smallest hashes, and whose they are: a value that comes twice
/// shows, however many values there are, as soon as it is among them.
#[derive(Debug, Default)]
struct Sketch {
    /// The hash of the `_id` of who has the value, by its own hash.
    values: BTreeMap<u64, u64>,
    /// The field is missing somewhere, holds an array or a document, or a value twice.
    is_out: bool,
}

impl Sketch {
    fn add(&mut self, value: Option<RawValue<'_>>, id_hash: u64) {
        let value = match value {
            None | Some(RawValue::Array(_) | RawValue::Document(_)) => {
                self.is_out = true;
                return;
            }
            Some(value) => hash_id(value, 0),
        };
        if self.is_out {
            return;
        }
        // The same document may be there in an older copy.
        if self
            .values
            .insert(value, id_hash)
            .is_some_and(|other| other != id_hash)
        {
            self.is_out = true;
        }
        if self.values.len() > SKETCH_VALUES {
            self.values.pop_last();
        }
    }
}

/// Groups all pages of a file, as if there were no snapshot; writes nothing.
///
/// # Errors
/// As [`scan`] and [`GroupTable::page`].
pub fn survey(file: &InputFile) -> Result<(PagesTally, Vec<Group>)> {
    let mut tally = PagesTally::default();
    let mut table = GroupTable::default();
    scan(file, |_, look, _| {
        match look {
            PageLook::Other => {}
            PageLook::Damaged(_) => tally.damaged = tally.damaged.saturating_add(1),
            PageLook::Slotted(page) => {
                tally.slotted = tally.slotted.saturating_add(u64::from(page.slot_count > 0));
                if page.documents.is_empty() {
                    return Ok(());
                }
                tally.unassigned = tally.unassigned.saturating_add(1);
                let group = table.page(&page)?;
                for live in &page.documents {
                    tally.documents = tally.documents.saturating_add(1);
                    tally.document_bytes =
                        tally.document_bytes.saturating_add(live.bytes.len() as u64);
                    table.document(group, live);
                }
            }
        }
        Ok(())
    })?;
    if tally.slotted == 0 {
        tally = PagesTally::default();
    }
    Ok((tally, table.finish()))
}
