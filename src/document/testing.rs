//! Random documents, for the tests of every form that documents take.

use super::bson::{DocumentBuilder, ObjectId, OwnedDocument, RawDocument, RawValue};
use proptest::prelude::*;
use std::collections::HashSet;

#[derive(Clone, Debug)]
enum Model {
    Scalar(Vec<u8>),
    Document(Vec<(String, Model)>),
    Array(Vec<Model>),
}

fn scalar() -> impl Strategy<Value = Model> {
    let boxed = |value: RawValue<'_>| {
        Model::Scalar(
            [("v", value)]
                .into_iter()
                .collect::<OwnedDocument>()
                .into_bytes(),
        )
    };
    prop_oneof![
        any::<u64>().prop_map(move |bits| boxed(RawValue::Double(f64::from_bits(bits)))),
        any::<f64>().prop_map(move |number| boxed(RawValue::Double(number))),
        any::<i32>().prop_map(move |number| boxed(RawValue::Double(f64::from(number)))),
        any::<String>().prop_map(move |text| boxed(RawValue::String(&text))),
        "[0-9a-fA-F]{24}|Point|2024-0[1-9]-15T10:30:00Z"
            .prop_map(move |text| boxed(RawValue::String(&text))),
        any::<Vec<u8>>().prop_map(move |bytes| boxed(RawValue::Binary(&bytes))),
        any::<[u8; 12]>().prop_map(move |id| boxed(RawValue::ObjectId(ObjectId(id)))),
        any::<bool>().prop_map(move |flag| boxed(RawValue::Boolean(flag))),
        Just(RawValue::Null).prop_map(boxed),
        any::<i32>().prop_map(move |number| boxed(RawValue::Int32(number))),
        any::<i64>().prop_map(move |number| boxed(RawValue::Int64(number))),
        any::<i64>().prop_map(move |number| boxed(RawValue::Timestamp(number))),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c$.]{0,3}",
        Just("$oid".to_owned()),
        Just("type".to_owned()),
        Just("$lauraDocument".to_owned()),
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}

fn fields(value: impl Strategy<Value = Model>) -> impl Strategy<Value = Vec<(String, Model)>> {
    prop::collection::vec((name(), value), 0..5).prop_map(|mut fields| {
        let mut seen = HashSet::new();
        fields.retain(|(name, _)| seen.insert(name.clone()));
        fields
    })
}

/// A document of up to 5 levels with values of all types.
pub(crate) fn document() -> impl Strategy<Value = Vec<u8>> {
    let value = scalar().prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            fields(inner.clone()).prop_map(Model::Document),
            prop::collection::vec(inner, 0..12).prop_map(Model::Array),
        ]
    });
    fields(value).prop_map(|fields| {
        let mut bytes = Vec::new();
        let mut builder = DocumentBuilder::new(&mut bytes);
        for (name, value) in &fields {
            build(&mut builder, name, value);
        }
        builder.finish();
        bytes
    })
}

fn build(builder: &mut DocumentBuilder<'_>, name: &str, value: &Model) {
    match value {
        Model::Scalar(document) => {
            let value = RawDocument::trusted(document).get("v").unwrap();
            builder.append(name, value);
        }
        Model::Document(fields) => {
            builder.open_document(name);
            for (name, value) in fields {
                build(builder, name, value);
            }
            builder.close();
        }
        Model::Array(elements) => {
            builder.open_array(name);
            for (position, value) in elements.iter().enumerate() {
                build(builder, &position.to_string(), value);
            }
            builder.close();
        }
    }
}
