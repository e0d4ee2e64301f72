use super::Filter;
use super::constant::compare_numbers;
use crate::document::InferTypes;
use crate::document::bson::{DocumentBuilder, ObjectId, OwnedDocument, RawDocument, RawValue};
use proptest::prelude::*;
use std::cmp::Ordering;

const HEX: &str = "507f1f77bcf86cd799439011";

const NO_TYPES: InferTypes = InferTypes {
    object_id: false,
    timestamp: false,
};

fn parse(text: &str) -> Filter {
    Filter::parse(text, InferTypes::default())
}

/// A document with a value of every type, named by the type.
fn every_type() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut builder = DocumentBuilder::new(&mut bytes);
    let id = ObjectId::from_hex(HEX.as_bytes()).unwrap();
    builder
        .append("_id", RawValue::ObjectId(id))
        .append("int32", RawValue::Int32(5))
        .append("int64", RawValue::Int64(i64::MAX))
        .append("double", RawValue::Double(2.5))
        .append("nan", RawValue::Double(f64::NAN))
        .append("string", RawValue::String("abc"))
        .append("hex", RawValue::String(HEX))
        .append("true", RawValue::Boolean(true))
        .append("null", RawValue::Null)
        .append("time", RawValue::Timestamp(5))
        .append("binary", RawValue::Binary(b"abc"))
        .append("a.b", RawValue::Int64(1));
    builder
        .open_array("array")
        .append("0", RawValue::Int64(1))
        .append("1", RawValue::Double(2.0))
        .append("2", RawValue::Null)
        .append("3", RawValue::String("x"))
        .close();
    builder.open_array("empty").close();
    builder
        .open_document("doc")
        .append("x", RawValue::Int64(1))
        .append("y", RawValue::String("z"))
        .close();
    builder
        .open_document("point")
        .append("type", RawValue::String("Point"))
        .append("label", RawValue::String(HEX))
        .append("n", RawValue::Double(9_007_199_254_740_992.0))
        .close();
    builder.finish();
    bytes
}

/// Filters, and whether they match [`every_type`].
fn check(cases: &[(&str, bool)]) {
    let bytes = every_type();
    for (text, want) in cases {
        let filter = parse(text);
        assert_eq!(filter.problem(), None, "{text}");
        let found = filter.matches(RawDocument::trusted(&bytes));
        assert_eq!(found, *want, "{text}");
    }
}

#[test]
fn equality_needs_the_field_and_the_type() {
    check(&[
        ("{}", true),
        ("null", true),
        (r#"{"int32":5}"#, true),
        (r#"{"int32":5.0}"#, true),
        (r#"{"int32":{"$eq":5}}"#, true),
        (r#"{"int32":"5"}"#, false),
        (r#"{"int64":9223372036854775807}"#, true),
        (r#"{"int64":9223372036854775808}"#, false),
        (r#"{"int64":9223372036854775806}"#, false),
        (r#"{"double":2.5}"#, true),
        (r#"{"string":"abc"}"#, true),
        (r#"{"string":"abd"}"#, false),
        (r#"{"true":true}"#, true),
        (r#"{"true":1}"#, false),
        (r#"{"null":null}"#, true),
        (r#"{"missing":null}"#, false),
        (r#"{"int32":null}"#, false),
        (r#"{"time":5}"#, false),
        (r#"{"binary":"abc"}"#, false),
        (r#"{"a.b":1}"#, true),
        (r#"{"doc.x":1}"#, false),
        (r#"{"int32":5,"string":"abc"}"#, true),
        (r#"{"int32":5,"string":"x"}"#, false),
        (r#"{"int32":4,"int32":5}"#, true),
        (r#"{"int32":{}}"#, true),
        (r#"{"missing":{}}"#, true),
    ]);
}

#[test]
fn arrays_and_documents_are_equal_field_by_field_in_order() {
    let point =
        format!(r#"{{"point":{{"$eq":{{"type":"Point","label":"{HEX}","n":9007199254740993}}}}}}"#);
    check(&[
        (r#"{"array":[1.0,2,null,"x"]}"#, true),
        (r#"{"array":[1,2,null]}"#, false),
        (r#"{"array":[1,2,null,"x",1]}"#, false),
        (r#"{"array":[2,1,null,"x"]}"#, false),
        (r#"{"array":1}"#, false),
        (r#"{"empty":[]}"#, true),
        (r#"{"empty":{"$eq":{}}}"#, false),
        (r#"{"doc":{"$eq":{"x":1,"y":"z"}}}"#, true),
        (r#"{"doc":{"$eq":{"y":"z","x":1}}}"#, false),
        (r#"{"doc":{"$eq":{"x":1}}}"#, false),
        (r#"{"doc":{"$eq":{"x":1,"y":"z","z":0}}}"#, false),
        (r#"{"doc":{"$gte":{"x":1,"y":"z"}}}"#, true),
        (r#"{"doc":{"$gt":{"x":0,"y":"z"}}}"#, false),
        // In a point, numbers are doubles and strings stay strings.
        (&point, true),
    ]);
}

#[test]
fn inequality_needs_the_field_too() {
    check(&[
        (r#"{"int32":{"$ne":6}}"#, true),
        (r#"{"int32":{"$ne":5.0}}"#, false),
        (r#"{"int32":{"$ne":"5"}}"#, true),
        (r#"{"missing":{"$ne":6}}"#, false),
        (r#"{"null":{"$ne":6}}"#, true),
        (r#"{"null":{"$ne":null}}"#, false),
        (r#"{"int32":{"$ne":null}}"#, true),
        (r#"{"missing":{"$ne":null}}"#, false),
        (r#"{"array":{"$ne":1}}"#, true),
        (r#"{"nan":{"$ne":1}}"#, true),
    ]);
}

#[test]
fn order_is_for_numbers_and_strings() {
    check(&[
        (r#"{"int32":{"$gt":4.9}}"#, true),
        (r#"{"int32":{"$gt":5}}"#, false),
        (r#"{"int32":{"$gte":5}}"#, true),
        (r#"{"int32":{"$lt":5.1}}"#, true),
        (r#"{"int32":{"$lte":5.0}}"#, true),
        (r#"{"int32":{"$lte":4}}"#, false),
        (r#"{"int32":{"$gt":1,"$lt":9}}"#, true),
        (r#"{"int32":{"$gt":1,"$lt":2}}"#, false),
        // Rounded to doubles these two would be equal.
        (r#"{"int64":{"$lt":9223372036854775808}}"#, true),
        (r#"{"int64":{"$gte":9223372036854775808}}"#, false),
        (r#"{"string":{"$gt":"abb"}}"#, true),
        (r#"{"string":{"$gt":"Z"}}"#, true),
        (r#"{"string":{"$lt":"é"}}"#, true),
        (r#"{"string":{"$gt":1}}"#, false),
        (r#"{"string":{"$lt":1}}"#, false),
        (r#"{"true":{"$gt":false}}"#, false),
        (r#"{"true":{"$gte":true}}"#, true),
        (r#"{"true":{"$lte":true}}"#, true),
        (r#"{"null":{"$gte":null}}"#, true),
        (r#"{"missing":{"$gte":null}}"#, false),
        (r#"{"missing":{"$lt":5}}"#, false),
        (r#"{"null":{"$lt":5}}"#, false),
        (r#"{"time":{"$gt":1}}"#, false),
        (r#"{"array":{"$gt":0}}"#, false),
        (r#"{"nan":{"$lt":5}}"#, false),
        (r#"{"nan":{"$gt":5}}"#, false),
        (r#"{"nan":{"$lte":5}}"#, false),
    ]);
}

#[test]
fn membership_is_equality_with_an_element() {
    check(&[
        (r#"{"int32":{"$in":[1,5.0]}}"#, true),
        (r#"{"int32":{"$in":[1,"5"]}}"#, false),
        (r#"{"int32":{"$in":[]}}"#, false),
        (r#"{"null":{"$in":[null]}}"#, true),
        (r#"{"missing":{"$in":[null]}}"#, false),
        (r#"{"array":{"$in":[1]}}"#, false),
        (r#"{"array":{"$in":[[1,2,null,"x"]]}}"#, true),
        (r#"{"int32":{"$nin":[1,2.5,null,true]}}"#, true),
        (r#"{"int32":{"$nin":[5]}}"#, false),
        (r#"{"int32":{"$nin":[]}}"#, true),
        (r#"{"missing":{"$nin":[1]}}"#, false),
        (r#"{"null":{"$nin":[1]}}"#, true),
        (r#"{"null":{"$nin":[null]}}"#, false),
    ]);
}

#[test]
fn existence_is_present_and_not_null() {
    check(&[
        (r#"{"int32":{"$exists":true}}"#, true),
        (r#"{"int32":{"$exists":false}}"#, false),
        (r#"{"null":{"$exists":true}}"#, false),
        (r#"{"null":{"$exists":false}}"#, true),
        (r#"{"missing":{"$exists":true}}"#, false),
        (r#"{"missing":{"$exists":false}}"#, true),
        (r#"{"missing":{"$exists":false,"$ne":1}}"#, false),
        (r#"{"empty":{"$exists":true}}"#, true),
    ]);
}

#[test]
fn patterns_search_strings_only() {
    // A pattern is a string even where a constant would be an ObjectID.
    let hex = format!(r#"{{"hex":{{"$regex":"{HEX}"}}}}"#);
    check(&[
        (r#"{"string":{"$regex":"^a.c$"}}"#, true),
        (r#"{"string":{"$regex":"b"}}"#, true),
        (r#"{"string":{"$regex":"(?i)^ABC"}}"#, true),
        (r#"{"string":{"$regex":"^b"}}"#, false),
        (r#"{"string":{"$regex":""}}"#, true),
        (r#"{"int32":{"$regex":"5"}}"#, false),
        (r#"{"binary":{"$regex":"abc"}}"#, false),
        (r#"{"missing":{"$regex":""}}"#, false),
        (&hex, true),
    ]);
}

#[test]
fn size_counts_elements_of_arrays() {
    check(&[
        (r#"{"array":{"$size":4}}"#, true),
        (r#"{"array":{"$size":4.0}}"#, true),
        (r#"{"array":{"$size":3}}"#, false),
        (r#"{"empty":{"$size":0}}"#, true),
        (r#"{"empty":{"$size":-0}}"#, true),
        (r#"{"string":{"$size":3}}"#, false),
        (r#"{"doc":{"$size":2}}"#, false),
        (r#"{"missing":{"$size":0}}"#, false),
        (r#"{"null":{"$size":0}}"#, false),
    ]);
}

#[test]
fn element_match_applies_operators_to_one_element() {
    check(&[
        (r#"{"array":{"$elemMatch":{"$gt":1}}}"#, true),
        (r#"{"array":{"$elemMatch":{"$gt":1,"$lt":2}}}"#, false),
        (r#"{"array":{"$elemMatch":{"$eq":null}}}"#, true),
        (r#"{"array":{"$elemMatch":{"$exists":false}}}"#, true),
        (r#"{"array":{"$elemMatch":{"$regex":"^x$"}}}"#, true),
        (r#"{"array":{"$elemMatch":{"$in":["y"]}}}"#, false),
        (r#"{"array":{"$elemMatch":{}}}"#, true),
        (r#"{"empty":{"$elemMatch":{}}}"#, false),
        (
            r#"{"array":{"$elemMatch":{"$elemMatch":{"$eq":1}}}}"#,
            false,
        ),
        (r#"{"doc":{"$elemMatch":{"$eq":1}}}"#, false),
        (r#"{"missing":{"$elemMatch":{"$eq":1}}}"#, false),
    ]);
}

#[test]
fn and_and_or_combine_filters() {
    check(&[
        (r#"{"$and":[]}"#, true),
        (r#"{"$or":[]}"#, false),
        (r#"{"$or":[{}]}"#, true),
        (r#"{"$and":[{"int32":5},{"string":"abc"}]}"#, true),
        (r#"{"$and":[{"int32":5},{"string":"x"}]}"#, false),
        (r#"{"$or":[{"int32":6},{"string":"abc"}]}"#, true),
        (r#"{"$or":[{"int32":6},{"string":"x"}]}"#, false),
        (r#"{"$or":[{"int32":6}],"string":"abc"}"#, false),
        (
            r#"{"$or":[{"string":{"$eq":"x"}},{"$and":[{"int32":{"$ne":null}}]}]}"#,
            true,
        ),
    ]);
}

#[test]
fn what_cannot_be_evaluated_matches_nothing_and_is_named() {
    let bytes = every_type();
    let cases = [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("{} x", "no JSON"),
        (r#"{"a":1e400}"#, "no JSON"),
        ("[]", "not an object"),
        ("5", "not an object"),
        (r#"{"int32":{"$mod":[2,1]}}"#, r#""$mod" (field "int32")"#),
        (r#"{"int32":{"$not":{"$eq":1}}}"#, "$not"),
        (r#"{"$nor":[{"int32":6}]}"#, "$nor"),
        (r#"{"$not":{"int32":6}}"#, "$not"),
        (r#"{"int32":{"$and":[]}}"#, "$and"),
        (r#"{"doc":{"x":1,"y":"z"}}"#, r#"unknown operator "x""#),
        (r#"{"array":{"$elemMatch":{"x":1}}}"#, "unknown operator"),
        (r#"{"array":{"$elemMatch":{"$or":[]}}}"#, "$or"),
        (r#"{"array":{"$elemMatch":[1]}}"#, "$elemMatch takes"),
        (r#"{"$and":{"int32":5}}"#, "$and takes"),
        (r#"{"$or":[5]}"#, "element of $or"),
        (r#"{"int32":{"$in":5}}"#, "$in takes"),
        (r#"{"int32":{"$nin":{}}}"#, "$nin takes"),
        (r#"{"int32":{"$exists":1}}"#, "$exists takes"),
        (r#"{"string":{"$regex":5}}"#, "$regex takes"),
        (r#"{"string":{"$regex":"a**"}}"#, "nested repetition"),
        (r#"{"string":{"$regex":"(?=a)"}}"#, "Perl syntax"),
        (r#"{"array":{"$size":-1}}"#, "$size takes"),
        (r#"{"array":{"$size":1.5}}"#, "$size takes"),
        (r#"{"array":{"$size":"4"}}"#, "$size takes"),
        // Also where the rest decides already.
        (r#"{"$or":[{},{"int32":{"$type":"int"}}]}"#, "$type"),
        (r#"{"int32":{"$eq":5,"$foo":1}}"#, "$foo"),
    ];
    for (text, clause) in cases {
        let filter = parse(text);
        let problem = filter.problem().unwrap_or_default();
        assert!(problem.contains(clause), "{text}: {problem}");
        assert!(!filter.matches(RawDocument::trusted(&bytes)), "{text}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let nested =
        |depth: usize| format!("{}{{}}{}", r#"{"$and":["#.repeat(depth), "]}".repeat(depth));
    assert_eq!(parse(&nested(49)).problem(), None);
    assert!(parse(&nested(50)).problem().unwrap().contains("deeper"));
    assert!(parse(&nested(5_000)).problem().unwrap().contains("deeper"));
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(70_000));
    assert!(parse(&long).problem().unwrap().contains("bytes"));
}

#[test]
fn constants_are_typed_like_a_snapshots_values() {
    let bytes = every_type();
    let matches = |field: &str, value: &str, infer| {
        let filter = Filter::parse(&format!(r#"{{"{field}":"{value}"}}"#), infer);
        filter.matches(RawDocument::trusted(&bytes))
    };
    assert!(!matches("hex", HEX, InferTypes::default()));
    assert!(matches("hex", HEX, NO_TYPES));
    // An _id of 24 hex digits is an ObjectID whatever was asked for.
    assert!(matches("_id", &HEX.to_uppercase(), NO_TYPES));
    assert!(matches("_id", HEX, InferTypes::default()));
    let timestamps = InferTypes {
        object_id: true,
        timestamp: true,
    };
    assert!(matches("time", "1970-01-01T00:00:05Z", timestamps));
    assert!(matches("time", "1970-01-01T01:00:05+01:00", timestamps));
    assert!(!matches("time", "1970-01-01T00:00:05.5Z", timestamps));
    assert!(!matches("time", "1970-01-01T00:00:05Z", NO_TYPES));
}

/// A finite double as (mantissa, exponent of 2), exactly.
fn exact(number: f64) -> (i128, i32) {
    let bits = number.to_bits();
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let exponent = i32::try_from(bits >> 52 & 0x7FF).unwrap();
    let (mantissa, exponent) = match exponent {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, exponent - 1075),
    };
    (if number < 0.0 { -mantissa } else { mantissa }, exponent)
}

/// Compares an integer with a finite double in i128 arithmetic.
fn exact_order(integer: i64, double: f64) -> Ordering {
    let integer = i128::from(integer);
    match exact(double) {
        (mantissa, 0..=64) => integer.cmp(&(mantissa << exact(double).1)),
        // At least 2^117, unless it is zero: the sign decides.
        (mantissa, 65..) => 0.cmp(&mantissa),
        (mantissa, exponent @ -63..0) => (integer << -exponent).cmp(&mantissa),
        // Below 2^-10: between zero and the integers beside it.
        (mantissa, _) => integer.cmp(&0).then(0.cmp(&mantissa)),
    }
}

fn any_integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -3..=3_i64,
        Just(i64::MAX),
        Just(i64::MIN),
        (any::<i64>(), 0..63_u32).prop_map(|(number, shift)| number >> shift),
        (53..63_u32, -2..=2_i64).prop_map(|(power, near)| (1 << power) + near),
    ]
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |number| number.is_finite()),
        any_integer().prop_map(|number| number as f64),
        any_integer().prop_map(|number| number as f64 + 0.5),
        any_integer().prop_map(|number| (number as f64).next_up()),
        Just(9_223_372_036_854_775_808.0),
        Just(-9_223_372_036_854_775_808.0),
        Just(-0.0),
        Just(f64::MIN_POSITIVE),
    ]
}

proptest! {
    #[test]
    fn integers_and_doubles_compare_exactly(integer in any_integer(), double in any_double()) {
        let want = exact_order(integer, double);
        let found = compare_numbers(RawValue::Int64(integer), RawValue::Double(double));
        prop_assert_eq!(found, Some(want));
        let found = compare_numbers(RawValue::Double(double), RawValue::Int64(integer));
        prop_assert_eq!(found, Some(want.reverse()));
    }

    #[test]
    fn operators_agree_with_exact_order(value in any_integer(), constant in any_double()) {
        let document: OwnedDocument = [("n", RawValue::Int64(value))].into_iter().collect();
        let want = exact_order(value, constant);
        let operators = [
            ("$eq", want.is_eq()),
            ("$ne", want.is_ne()),
            ("$gt", want.is_gt()),
            ("$gte", want.is_ge()),
            ("$lt", want.is_lt()),
            ("$lte", want.is_le()),
        ];
        for (operator, want) in operators {
            let filter = parse(&format!(r#"{{"n":{{"{operator}":{constant:e}}}}}"#));
            prop_assert_eq!(filter.matches(document.as_raw()), want, "{}", operator);
        }
    }
}
