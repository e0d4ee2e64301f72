//! What two sides differ in, by collection, index and document.

mod documents;
mod fields;

use super::Resources;
use super::outcome::CollectionComparison;
use super::side::{Side, unreadable};
use super::sums::ContentSums;
use crate::Result;
use crate::error::Place;
use crate::index::{PortableIndex, SkipIndexes};
use crate::problems::{Problem, Problems};
use crate::source::{DocumentSource, SourceCollection};
use crate::v1::selection::Selection;
use crate::{Code, Error};
use std::collections::BTreeMap;

/// A collection of one side.
#[derive(Clone, Copy)]
struct Half<'s> {
    source: &'s dyn DocumentSource,
    position: usize,
    collection: &'s SourceCollection,
    sums: &'s ContentSums,
}

/// A collection of one or both sides.
#[derive(Clone, Copy, Default)]
struct Pair<'s> {
    left: Option<Half<'s>>,
    right: Option<Half<'s>>,
}

pub(super) fn run(
    left: &Side,
    right: &Side,
    skip: &SkipIndexes,
    selection: &Selection,
    differences: &Problems,
    resources: &mut Resources<'_>,
) -> Result<Vec<CollectionComparison>> {
    let (Some(_), Some(_)) = (&left.source, &right.source) else {
        differences.add(unreadable());
        return Ok(Vec::new());
    };
    let mut pairs: BTreeMap<&str, Pair<'_>> = BTreeMap::new();
    let taken = |half: &Half<'_>| selection.takes(&half.collection.name);
    for half in halves(left).filter(taken) {
        pairs.entry(&half.collection.name).or_default().left = Some(half);
    }
    for half in halves(right).filter(taken) {
        pairs.entry(&half.collection.name).or_default().right = Some(half);
    }
    selection.finish()?;
    let mut compared = Vec::new();
    for (name, pair) in pairs {
        compared.push(collection(name, pair, skip, differences, resources)?);
    }
    Ok(compared)
}

fn halves(side: &Side) -> impl Iterator<Item = Half<'_>> {
    static NOTHING: ContentSums = ContentSums::nothing();
    let source = side.source.as_deref();
    let collections = source.map_or(&[][..], |source| source.collections());
    let halves = collections.iter().enumerate();
    halves.filter_map(move |(position, collection)| {
        Some(Half {
            source: source?,
            position,
            collection,
            sums: side.sums.get(position).unwrap_or(&NOTHING),
        })
    })
}

fn collection(
    name: &str,
    pair: Pair<'_>,
    skip: &SkipIndexes,
    differences: &Problems,
    resources: &mut Resources<'_>,
) -> Result<CollectionComparison> {
    let documents = |half: Option<Half<'_>>| half.map(|half| half.sums.contents.count);
    let mut compared = CollectionComparison {
        name: name.to_owned(),
        left_documents: documents(pair.left),
        right_documents: documents(pair.right),
        only_left: 0,
        only_right: 0,
        different: 0,
        equal_indexes: 0,
        is_compared: false,
    };
    let only = |code, sentence: &str, half: Half<'_>| {
        let sentence = format!("{sentence}, with {} documents", half.sums.contents.count);
        let place = Place::file(&half.source.info().path).in_collection(name);
        differences.add(Problem::new(code, sentence, place));
    };
    let (left, right) = match (pair.left, pair.right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => {
            if let Some(left) = left {
                only(
                    Code::CollectionOnlyLeft,
                    "the collection is only here",
                    left,
                );
            }
            if let Some(right) = right {
                only(
                    Code::CollectionOnlyRight,
                    "the collection is only here",
                    right,
                );
            }
            return Ok(compared);
        }
    };
    compared.equal_indexes = indexes(name, left, right, skip, differences);
    if left.sums.is_complete && right.sums.is_complete {
        compared.is_compared = true;
        if left.sums.contents != right.sums.contents {
            documents::compare(&mut compared, left, right, differences, resources)?;
        }
    } else {
        let sentence = "the documents were not compared, since some cannot be read";
        let place = Place::default().in_collection(name);
        differences.add(Error::new(Code::NotCompared, sentence).at(place));
    }
    Ok(compared)
}

/// Compares the indexes of a collection; gives how many are equal, `_id_` included.
fn indexes(
    name: &str,
    left: Half<'_>,
    right: Half<'_>,
    skip: &SkipIndexes,
    differences: &Problems,
) -> u64 {
    type Sides<'i> = (Option<&'i PortableIndex>, Option<&'i PortableIndex>);
    let mut pairs: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
    let kept = |half: Half<'_>, index: &PortableIndex| {
        let (collection, index) = (half.collection, &index.definition.name);
        // Whichever name a side knows the collection by, the option may mean it.
        !skip.matches(&collection.source_name, index) && !skip.matches(&collection.name, index)
    };
    for index in left.collection.indexes.iter().filter(|i| kept(left, i)) {
        pairs.entry(&index.definition.name).or_default().0 = Some(index);
    }
    for index in right.collection.indexes.iter().filter(|i| kept(right, i)) {
        pairs.entry(&index.definition.name).or_default().1 = Some(index);
    }
    let mut equal = 1;
    for (index, sides) in pairs {
        let place = |half: Half<'_>| {
            Place::file(&half.source.info().path)
                .in_collection(name)
                .in_index(index)
        };
        let problem = match sides {
            (Some(one), Some(other)) if one == other => {
                equal += 1;
                continue;
            }
            (Some(one), Some(other)) => {
                let sentence = format!("the index has another definition: {}", change(one, other));
                let place = Place::default().in_collection(name).in_index(index);
                Problem::new(Code::IndexDefinitionDiffers, sentence, place)
            }
            (Some(_), None) => {
                let place = place(left);
                Problem::new(Code::IndexOnlyLeft, "the index is only here", place)
            }
            _ => {
                let place = place(right);
                Problem::new(Code::IndexOnlyRight, "the index is only here", place)
            }
        };
        differences.add(problem);
    }
    equal
}

/// What two definitions differ in.
fn change(left: &PortableIndex, right: &PortableIndex) -> String {
    let (one, other) = (&left.definition, &right.definition);
    let mut parts = Vec::new();
    let mut part = |what: &str, one: String, other: String| {
        if one != other {
            parts.push(format!("{what} {one} and {other}"));
        }
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    part(
        "kind",
        format!("{:?}", one.kind),
        format!("{:?}", other.kind),
    );
    part(
        "fields",
        format!("{:?}", one.fields),
        format!("{:?}", other.fields),
    );
    part("unique", one.unique.to_string(), other.unique.to_string());
    part("sparse", one.sparse.to_string(), other.sparse.to_string());
    part("filter", text(&one.filter), text(&other.filter));
    let config = |index: &Option<serde_json::Map<_, _>>| {
        let config = index.clone().map(serde_json::Value::Object);
        config.map_or_else(|| "none".to_owned(), |config| config.to_string())
    };
    part("options", config(&one.config), config(&other.config));
    let types = |index: &PortableIndex| {
        let names = index.infer_types.map(crate::index::infer_types_names);
        format!("{:?}", names.unwrap_or_default())
    };
    part("inferTypes", types(left), types(right));
    parts.join(", ")
}
