//! What format 1.0 cannot carry, as warnings.

use crate::Code;
use crate::Place;
use crate::report::Warning;
use crate::v1::snapshot::{LossKind, LossPlace, LossTally};

/// One warning for each kind, with the count and the first places.
pub(super) fn warnings(losses: &LossTally) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for kind in LossKind::ALL {
        let count = losses.count(kind);
        let places: Vec<&LossPlace> = losses.places(kind).collect();
        let Some(first) = places.first() else {
            continue;
        };
        let listed: Vec<String> = places.iter().map(|place| describe(place)).collect();
        let more = match count > places.len() as u64 {
            true => ", …",
            false => "",
        };
        let sentence = format!(
            "format 1.0 cannot carry all as it is: {}, {count} times: {}{more}; the backup has \
             them unchanged",
            kind.title(),
            listed.join(", ")
        );
        let mut place = Place::default().in_collection(&first.collection);
        place = match kind {
            LossKind::IndexInferTypes => place.in_index(&first.of),
            _ => place.with_id(&first.of),
        };
        warnings.push(Warning::new(code(kind), sentence).at(place));
    }
    warnings
}

fn describe(place: &LossPlace) -> String {
    let mut text = format!("{:?}/{}", place.collection, place.of);
    if !place.path.is_empty() {
        text.push('/');
        text.push_str(&place.path);
    }
    text
}

fn code(kind: LossKind) -> Code {
    match kind {
        LossKind::Id => Code::LostIds,
        LossKind::FieldOrder => Code::LostFieldOrder,
        LossKind::WholeDouble => Code::LostWholeDoubles,
        LossKind::NonFinite => Code::LostNonFinite,
        LossKind::Int32 => Code::LostInt32,
        LossKind::Timestamp => Code::LostTimestamps,
        LossKind::Binary => Code::LostBinary,
        LossKind::HexString => Code::LostHexStrings,
        LossKind::PointInteger => Code::LostPointIntegers,
        LossKind::PointObjectId => Code::LostPointObjectIds,
        LossKind::TimeString => Code::TimeStrings,
        LossKind::IndexInferTypes => Code::LostInferTypes,
    }
}
