use super::*;
use crate::document::bson::{ObjectId, OwnedDocument};
use proptest::prelude::*;

const P53: i64 = 1 << 53;

/// In ascending order; every row's values are equal.
fn rows() -> Vec<Vec<RawValue<'static>>> {
    use RawValue::{Binary, Boolean, Double, Int32, Int64, Null, String, Timestamp};
    vec![
        vec![Null],
        vec![Double(f64::NAN), Double(-f64::NAN)],
        vec![Double(f64::NEG_INFINITY)],
        vec![Double(-9_223_372_036_854_777_856.0)],
        vec![Int64(i64::MIN), Double(-BEYOND_I64)],
        vec![Int64(i64::MIN + 1)],
        vec![Double(-1.5)],
        vec![Int32(-1), Int64(-1), Double(-1.0)],
        vec![Double(-0.5)],
        vec![Int32(0), Int64(0), Double(0.0), Double(-0.0)],
        vec![Double(5e-324)],
        vec![Int32(1), Int64(1), Double(1.0)],
        vec![Double(1.5)],
        vec![Int64(P53), Double(9_007_199_254_740_992.0)],
        vec![Int64(P53 + 1)],
        vec![Int64(P53 + 2), Double(9_007_199_254_740_994.0)],
        vec![Int64(i64::MAX)],
        vec![Double(BEYOND_I64)],
        vec![Double(f64::INFINITY)],
        vec![String("")],
        vec![String("B")],
        vec![String("a")],
        vec![String("a\0")],
        vec![String("é")],
        vec![Binary(b"")],
        vec![Binary(b"z")],
        vec![Binary(b"aa")],
        vec![RawValue::ObjectId(ObjectId([0; 12]))],
        vec![RawValue::ObjectId(ObjectId([255; 12]))],
        vec![Boolean(false)],
        vec![Boolean(true)],
        vec![Timestamp(-1)],
        vec![Timestamp(0)],
    ]
}

#[test]
fn the_order_of_all_types_is_total() {
    let rows = rows();
    for (left_at, left_row) in rows.iter().enumerate() {
        for (right_at, right_row) in rows.iter().enumerate() {
            for left in left_row {
                for right in right_row {
                    let expected = left_at.cmp(&right_at);
                    assert_eq!(
                        compare_values(*left, *right),
                        Some(expected),
                        "{left:?} {right:?}"
                    );
                    assert_eq!(same_id(*left, *right), left_at == right_at);
                    let same_hash = hash_id(*left, 7) == hash_id(*right, 7);
                    assert_eq!(same_hash, left_at == right_at, "{left:?} {right:?}");
                }
            }
        }
    }
}

#[test]
fn arrays_and_documents_have_no_order_and_are_no_id() {
    let document: OwnedDocument = [("a", RawValue::Int32(1))].into_iter().collect();
    let (array, document) = (
        RawValue::Array(document.as_raw()),
        RawValue::Document(document.as_raw()),
    );
    for value in [array, document] {
        assert_eq!(compare_values(value, value), None);
        assert_eq!(compare_values(value, RawValue::Null), None);
        assert!(!same_id(value, value));
        assert!(equal_values(value, value));
    }
    assert!(!equal_values(array, document));
}

#[test]
fn documents_are_equal_when_their_fields_are_in_order() {
    let build = |fields: &[(&'static str, RawValue<'static>)]| -> OwnedDocument {
        fields.iter().copied().collect()
    };
    let one = build(&[("a", RawValue::Int32(1)), ("b", RawValue::Null)]);
    let same = build(&[("a", RawValue::Double(1.0)), ("b", RawValue::Null)]);
    let swapped = build(&[("b", RawValue::Null), ("a", RawValue::Int32(1))]);
    let longer = build(&[
        ("a", RawValue::Int32(1)),
        ("b", RawValue::Null),
        ("c", RawValue::Null),
    ]);
    assert!(equal_documents(one.as_raw(), same.as_raw()));
    assert!(!equal_documents(one.as_raw(), swapped.as_raw()));
    assert!(!equal_documents(one.as_raw(), longer.as_raw()));
    assert!(!equal_documents(longer.as_raw(), one.as_raw()));
}

#[test]
fn the_same_id_in_two_collections_has_two_hashes() {
    let id = RawValue::String("user_1");
    assert_ne!(hash_id(id, 1), hash_id(id, 2));
}

/// Numbers near each other, so that equal ones of different types come up often.
fn number() -> impl Strategy<Value = RawValue<'static>> {
    prop_oneof![
        (-3..3_i32).prop_map(RawValue::Int32),
        (-3..3_i64).prop_map(RawValue::Int64),
        (-3..3_i64).prop_map(|n| RawValue::Int64(n + P53)),
        any::<i64>().prop_map(RawValue::Int64),
        (-6..6_i32).prop_map(|n| RawValue::Double(f64::from(n) / 2.0)),
        (-3..3_i32).prop_map(|n| RawValue::Double(f64::from(n) * 2.0 + 9_007_199_254_740_992.0)),
        any::<i64>().prop_map(|n| RawValue::Double(n as f64)),
        any::<f64>().prop_map(RawValue::Double),
    ]
}

proptest! {
    #[test]
    fn equal_ids_hash_equally_and_the_order_is_antisymmetric(left in number(), right in number()) {
        let order = compare_values(left, right).unwrap();
        prop_assert_eq!(order.reverse(), compare_values(right, left).unwrap());
        prop_assert_eq!(order == Ordering::Equal, same_id(left, right));
        if order == Ordering::Equal {
            prop_assert_eq!(hash_id(left, 3), hash_id(right, 3));
        }
    }

    #[test]
    fn the_order_of_numbers_is_transitive(a in number(), b in number(), c in number()) {
        let le = |x, y| compare_values(x, y).unwrap() != Ordering::Greater;
        if le(a, b) && le(b, c) {
            prop_assert!(le(a, c));
        }
    }
}
