use super::*;
use crate::document::bson::ObjectId;
use proptest::prelude::*;
use std::cmp::Ordering;

/// A value that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Null,
    Int32(i32),
    Int64(i64),
    Double(f64),
    String(Vec<u8>),
    Binary(Vec<u8>),
    ObjectId([u8; 12]),
    Boolean(bool),
    Timestamp(i64),
}

impl Owned {
    pub(crate) fn value(&self) -> KeyValue<'_> {
        match self {
            Self::Null => KeyValue::Null,
            Self::Int32(number) => KeyValue::Int32(*number),
            Self::Int64(number) => KeyValue::Int64(*number),
            Self::Double(number) => KeyValue::Double(*number),
            Self::String(bytes) => KeyValue::String(bytes),
            Self::Binary(bytes) => KeyValue::Binary(bytes),
            Self::ObjectId(bytes) => KeyValue::ObjectId(ObjectId(*bytes)),
            Self::Boolean(flag) => KeyValue::Boolean(*flag),
            Self::Timestamp(seconds) => KeyValue::Timestamp(*seconds),
        }
    }
}

const LIMIT: f64 = 9_223_372_036_854_775_808.0;

fn compare_int_double(int: i64, double: f64) -> Ordering {
    if double.is_nan() || double < -LIMIT {
        return Ordering::Greater;
    }
    if double >= LIMIT {
        return Ordering::Less;
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range, as just checked")]
    let whole = double.trunc() as i64;
    int.cmp(&whole)
        .then_with(|| 0.0.partial_cmp(&double.fract()).unwrap())
}

fn compare_doubles(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => left.partial_cmp(&right).unwrap(),
        (left, right) => right.cmp(&left),
    }
}

fn rank(value: &Owned) -> u8 {
    match value {
        Owned::Null => 0,
        Owned::Int32(_) | Owned::Int64(_) | Owned::Double(_) => 1,
        Owned::String(_) => 2,
        Owned::Binary(_) => 3,
        Owned::ObjectId(_) => 4,
        Owned::Boolean(_) => 5,
        Owned::Timestamp(_) => 6,
    }
}

/// The order of the format's description, written down plainly.
fn compare(left: &Owned, right: &Owned) -> Ordering {
    let int = |value: &Owned| match value {
        Owned::Int32(number) => Some(i64::from(*number)),
        Owned::Int64(number) => Some(*number),
        _ => None,
    };
    match (left, right) {
        (Owned::Double(a), Owned::Double(b)) => compare_doubles(*a, *b),
        (Owned::Double(a), b) if int(b).is_some() => {
            compare_int_double(int(b).unwrap(), *a).reverse()
        }
        (a, Owned::Double(b)) if int(a).is_some() => compare_int_double(int(a).unwrap(), *b),
        (a, b) if int(a).is_some() && int(b).is_some() => int(a).cmp(&int(b)),
        (Owned::String(a), Owned::String(b)) => a.cmp(b),
        (Owned::Binary(a), Owned::Binary(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        (Owned::ObjectId(a), Owned::ObjectId(b)) => a.cmp(b),
        (Owned::Boolean(a), Owned::Boolean(b)) => a.cmp(b),
        (Owned::Timestamp(a), Owned::Timestamp(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn compare_keys(left: &[Owned], right: &[Owned]) -> Ordering {
    let pairs = left.iter().zip(right);
    let orders = pairs.map(|(left, right)| compare(left, right));
    orders.fold(Ordering::Equal, Ordering::then)
}

fn boundary_int() -> impl Strategy<Value = i64> {
    let near = prop::sample::select(vec![0, 1 << 53, -(1 << 53), 1 << 62, i64::MAX, i64::MIN]);
    prop_oneof![
        any::<i64>(),
        (near, -3_i64..=3).prop_map(|(base, by)| base.saturating_add(by)),
        (0_u32..63, any::<bool>(), -1_i64..=1).prop_map(|(bit, negative, by)| {
            let power = 1_i64 << bit;
            (if negative { -power } else { power }).saturating_add(by)
        }),
    ]
}

fn boundary_double() -> impl Strategy<Value = f64> {
    let special = vec![
        0.0,
        -0.0,
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        f64::MAX,
        f64::MIN,
        0.5,
        -0.5,
        LIMIT,
        -LIMIT,
        LIMIT.next_up(),
        (-LIMIT).next_down(),
    ];
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        prop::sample::select(special),
        boundary_int().prop_map(|int| int as f64),
        boundary_int().prop_map(|int| (int as f64).next_up()),
        (-5_i32..5).prop_map(|int| f64::from(int) / 2.0),
    ]
}

pub(crate) fn any_value() -> impl Strategy<Value = Owned> {
    let bytes = || prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xFE, 0xFF]), 0..6);
    prop_oneof![
        1 => Just(Owned::Null),
        2 => any::<i32>().prop_map(Owned::Int32),
        4 => boundary_int().prop_map(Owned::Int64),
        4 => boundary_double().prop_map(Owned::Double),
        4 => bytes().prop_map(Owned::String),
        1 => "[a-z]{0,30}".prop_map(|text| Owned::String(text.into_bytes())),
        2 => bytes().prop_map(Owned::Binary),
        1 => any::<[u8; 12]>().prop_map(Owned::ObjectId),
        1 => any::<bool>().prop_map(Owned::Boolean),
        1 => any::<i64>().prop_map(Owned::Timestamp),
    ]
}

fn key(values: &[Owned]) -> KeyBuffer {
    let mut key = KeyBuffer::new();
    key.set(values.iter().map(Owned::value));
    key
}

fn stored(key: &KeyBuffer) -> (u8, Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let stored = key.stored(&mut bytes).unwrap();
    (stored.key_type, stored.bytes.to_vec(), stored.truncated)
}

fn borrowed((key_type, bytes, truncated): &(u8, Vec<u8>, bool)) -> StoredKeyRef<'_> {
    StoredKeyRef {
        key_type: *key_type,
        bytes,
        truncated: *truncated,
    }
}

/// Equal to the bit, so that NaNs and zeros count as themselves.
fn identical(left: KeyValue<'_>, right: KeyValue<'_>) -> bool {
    match (left, right) {
        (KeyValue::Double(left), KeyValue::Double(right)) => left.to_bits() == right.to_bits(),
        (left, right) => left == right,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn normal_form_orders_like_the_values(left in any_value(), right in any_value()) {
        let (left, right) = ([left], [right]);
        let order = compare_keys(&left, &right);
        let (left, right) = (key(&left), key(&right));
        prop_assert_eq!(left.normal().cmp(right.normal()), order);
        let (left, right) = (stored(&left), stored(&right));
        prop_assert_eq!(compare_stored(borrowed(&left), borrowed(&right)), Ok(Some(order)));
    }

    #[test]
    fn composites_order_field_by_field(pairs in prop::collection::vec((any_value(), any_value(), any::<bool>()), 2..5)) {
        // Fields are often equal, so that later ones decide.
        let (left, right): (Vec<_>, Vec<_>) = pairs
            .into_iter()
            .map(|(left, right, same)| (left.clone(), if same { left } else { right }))
            .unzip();
        let order = compare_keys(&left, &right);
        let (left, right) = (key(&left), key(&right));
        prop_assert_eq!(left.normal().cmp(right.normal()), order);
        let (left, right) = (stored(&left), stored(&right));
        prop_assert_eq!(compare_stored(borrowed(&left), borrowed(&right)), Ok(Some(order)));
    }

    #[test]
    fn stored_form_comes_back_from_the_normal_form(values in prop::collection::vec(any_value(), 1..5)) {
        let stored = stored(&key(&values));
        let decoded = decode_stored(borrowed(&stored)).unwrap();
        prop_assert!(decoded.complete);
        prop_assert_eq!(decoded.composite, values.len() > 1);
        prop_assert_eq!(decoded.values.len(), values.len());
        for (found, value) in decoded.values.iter().zip(&values) {
            prop_assert!(identical(*found, value.value()), "{:?} {:?}", found, value);
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(key_type in 0_u8..12, bytes in prop::collection::vec(any::<u8>(), 0..40), truncated: bool) {
        let key = StoredKeyRef { key_type, bytes: &bytes, truncated };
        let _ = (decode_stored(key), key_json(key), compare_stored(key, key));
        prop_assert!(!key.to_string().is_empty() || key_type == 2);
        let _ = NormalReader::new(&bytes, &bytes, usize::from(key_type)).next_value();
    }

    #[test]
    fn cut_keys_never_compare_wrongly(
        fill in 900_usize..1100,
        left in prop::collection::vec(any_value(), 1..4),
        right in prop::collection::vec(any_value(), 1..4),
        zeros: bool,
    ) {
        let fields = left.len().min(right.len());
        let filler = Owned::String(vec![if zeros { 0 } else { b'x' }; fill]);
        let with = |values: &[Owned]| {
            let mut all = vec![filler.clone()];
            all.extend_from_slice(&values[..fields]);
            all
        };
        let (left, right) = (with(&left), with(&right));
        let order = compare_keys(&left, &right);
        let whole = |values: &[Owned]| {
            let mut key = KeyBuffer::new();
            key.set_whole(values.iter().map(Owned::value));
            key
        };
        prop_assert_eq!(whole(&left).normal().cmp(whole(&right).normal()), order);
        let (left, right) = (key(&left), key(&right));
        let kept = compare_normal(left.normal(), !left.is_cut(), right.normal(), !right.is_cut());
        prop_assert!(kept.is_none_or(|kept| kept == order));
        let (left, right) = (stored(&left), stored(&right));
        let known = compare_stored(borrowed(&left), borrowed(&right)).unwrap();
        prop_assert!(known.is_none_or(|known| known == order));
        if left.2 {
            prop_assert_eq!(left.1.len(), MAX_STORED_KEY);
        } else if !right.2 {
            prop_assert_eq!(known, Some(order));
        }
    }
}

/// The keys in LauraDB's own B+tree pages: type, bytes, value.
fn golden_keys(file: &str) -> Vec<(u8, String, serde_json::Value)> {
    let path = format!("{}/fixtures/laura/pages/{file}", env!("CARGO_MANIFEST_DIR"));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut keys = Vec::new();
    let nodes = json["nodes"].as_array().unwrap();
    for node in nodes.iter().filter(|node| node["leaf"] == true) {
        for field in node["fields"].as_array().into_iter().flatten() {
            if let (Some(key_type), Some(hex)) =
                (field["key_type"].as_u64(), field["key"]["hex"].as_str())
            {
                let key_type = u8::try_from(key_type).unwrap();
                keys.push((key_type, hex.to_owned(), field["key"]["ejson"].clone()));
            }
        }
    }
    keys
}

fn from_ejson(json: &serde_json::Value) -> Owned {
    if let Some(text) = json.as_str() {
        return Owned::String(text.as_bytes().to_vec());
    }
    let text = |name: &str| json[name].as_str();
    if let Some(number) = text("$numberLong") {
        Owned::Int64(number.parse().unwrap())
    } else if let Some(number) = text("$numberDouble") {
        Owned::Double(number.replace("Infinity", "inf").parse().unwrap())
    } else {
        Owned::ObjectId(
            ObjectId::from_hex(text("$oid").unwrap().as_bytes())
                .unwrap()
                .0,
        )
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn stored_keys_are_those_that_lauradb_writes() {
    for (file, count) in [
        ("btree-leaf-int64.expected.json", 5),
        ("btree-leaf-float64.expected.json", 6),
        ("btree-leaf-string.expected.json", 8),
        ("btree-leaf-objectid.expected.json", 3),
        ("btree-order32-strings.expected.json", 40),
    ] {
        let golden = golden_keys(file);
        assert_eq!(golden.len(), count, "{file}");
        let mut previous: Option<KeyBuffer> = None;
        for (key_type, hex, json) in golden {
            let key = key(&[from_ejson(&json)]);
            let (found_type, bytes, truncated) = stored(&key);
            assert_eq!(
                (found_type, to_hex(&bytes), truncated),
                (key_type, hex, false)
            );
            let grows = previous.is_none_or(|previous| previous.normal() < key.normal());
            assert!(grows, "{file}: {json}");
            previous = Some(key);
        }
    }
}

#[test]
fn composite_layout_is_that_of_the_format() {
    let values = [
        Owned::String(b"ab".to_vec()),
        Owned::Int64(-2),
        Owned::Null,
        Owned::Int32(7),
    ];
    let (key_type, bytes, truncated) = stored(&key(&values));
    assert_eq!((key_type, truncated), (4, false));
    assert_eq!(
        to_hex(&bytes),
        "04 02 0400 0200 6162 00 0800 feffffffffffffff 06 0000 09 0400 07000000".replace(' ', "")
    );
}

#[test]
fn long_keys_are_cut_and_keep_their_length() {
    let long = |len: usize| key(&[Owned::String(vec![b'x'; len])]);
    let (_, bytes, truncated) = stored(&long(1022));
    assert_eq!((bytes.len(), truncated), (1024, false));
    let (_, bytes, truncated) = stored(&long(1023));
    assert_eq!(
        (bytes.len(), truncated, &bytes[..2]),
        (1024, true, &[0xFF, 0x03][..])
    );
    let (_, bytes, _) = stored(&long(70_000));
    assert_eq!(&bytes[..3], &[0xFF, 0xFF, b'x']);
    let composite = key(&[Owned::String(vec![b'x'; 70_000]), Owned::Int32(1)]);
    let (key_type, bytes, truncated) = stored(&composite);
    assert_eq!((key_type, bytes.len(), truncated), (4, 1024, true));
    assert_eq!(&bytes[..6], &[2, 2, 0xFF, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn equal_beginnings_of_cut_keys_say_nothing() {
    let one = stored(&key(&[Owned::String(vec![b'x'; 2000])]));
    let other = stored(&key(&[Owned::String(vec![b'x'; 3000])]));
    let whole = stored(&key(&[Owned::String(vec![b'x'; 1022])]));
    assert_eq!(compare_stored(borrowed(&one), borrowed(&other)), Ok(None));
    assert_eq!(
        compare_stored(borrowed(&whole), borrowed(&one)),
        Ok(Some(Ordering::Less))
    );
}

#[test]
fn strings_that_agree_for_long_are_ordered_by_what_follows() {
    let mut strings: Vec<Vec<u8>> = Vec::new();
    for length in [0, 1, 7, 8, 9, 15, 16, 17, 18, 23, 24, 25, 33] {
        let text = vec![b'm'; length];
        for at in 0..length {
            for byte in [0, b'a', b'n', 0xFF] {
                let mut other = text.clone();
                other[at] = byte;
                strings.push(other);
            }
        }
        strings.push(text);
    }
    let keys = |text: &Vec<u8>| stored(&key(&[Owned::String(text.clone())]));
    let keys: Vec<_> = strings.iter().map(keys).collect();
    for (left, left_key) in strings.iter().zip(&keys) {
        for (right, right_key) in strings.iter().zip(&keys) {
            let found = compare_stored(borrowed(left_key), borrowed(right_key));
            assert_eq!(found, Ok(Some(left.cmp(right))), "{left:?} {right:?}");
        }
    }
}

#[test]
fn keys_as_json() {
    let json = |values: &[Owned]| {
        let key = key(values);
        let stored = stored(&key);
        let json = key_json(borrowed(&stored)).unwrap();
        if !key.is_cut() {
            assert_eq!(key.json().unwrap(), json);
        }
        json.unwrap_or_else(|| "?".to_owned())
    };
    assert_eq!(json(&[Owned::Null]), "null");
    assert_eq!(json(&[Owned::Double(1.5)]), "1.5");
    assert_eq!(json(&[Owned::Double(f64::NEG_INFINITY)]), "\"-Infinity\"");
    assert_eq!(json(&[Owned::Double(f64::NAN)]), "\"NaN\"");
    assert_eq!(json(&[Owned::Int64(i64::MIN)]), "-9223372036854775808");
    assert_eq!(json(&[Owned::Binary(vec![1, 0xAB])]), "\"01ab\"");
    assert_eq!(
        json(&[Owned::Timestamp(60), Owned::Boolean(true)]),
        "[60,true]"
    );
    assert_eq!(json(&[Owned::String("a\"\n".into())]), r#""a\"\n""#);
    let long = "€".repeat(500);
    assert_eq!(
        json(&[Owned::String(long.clone().into())]),
        format!("\"{}\"", "€".repeat(85))
    );
    assert_eq!(json(&[Owned::Binary(vec![1; 600])]), "null");
    assert_eq!(json(&[Owned::String(long.into()), Owned::Null]), "?");
    // Every control character takes six bytes.
    assert_eq!(json(&[Owned::String(vec![1; 200])]), "null");
}

#[test]
fn keys_in_messages_are_short() {
    let stored_key = stored(&key(&[Owned::String(vec![b'x'; 5000]), Owned::Int32(1)]));
    assert_eq!(
        borrowed(&stored_key).to_string(),
        format!("[\"{}\"…,…]", "x".repeat(64))
    );
    let stored_key = stored(&key(&[Owned::Int32(1), Owned::Null]));
    assert_eq!(borrowed(&stored_key).to_string(), "[1,null]");
}

#[test]
fn damaged_stored_keys_are_errors() {
    let decode = |key_type, bytes: &[u8]| {
        decode_stored(StoredKeyRef {
            key_type,
            bytes,
            truncated: false,
        })
        .unwrap_err()
    };
    assert_eq!(decode(10, &[]), KeyError::UnknownType(10));
    assert_eq!(decode(0, &[0; 7]), KeyError::Truncated);
    assert_eq!(decode(9, &[0; 5]), KeyError::TrailingBytes);
    assert_eq!(decode(2, &[1, 0, 1, 1]), KeyError::Length);
    assert_eq!(decode(2, &[2, 0, 1]), KeyError::Truncated);
    assert_eq!(decode(5, &[2]), KeyError::Boolean);
    assert_eq!(decode(4, &[0]), KeyError::NoField);
    assert_eq!(decode(4, &[1, 4, 1, 0, 0]), KeyError::Nested);
    assert_eq!(decode(4, &[1, 6, 0, 0, 9]), KeyError::TrailingBytes);
}

#[test]
fn terms_carry_a_payload() {
    let mut key = KeyBuffer::new();
    key.set_term(b"caf\xC3", &[1, 2, 3, 4]);
    assert_eq!(stored(&key), (2, b"\x04\x00caf\xC3".to_vec(), false));
    assert_eq!(key.as_record().trailer, [1, 2, 3, 4]);
}
