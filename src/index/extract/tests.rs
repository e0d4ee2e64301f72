use super::*;
use crate::document::bson::{OwnedDocument, RawValue};
use crate::index::key_hash;
use crate::v2::{DocumentAddress, PageId, SlotNumber};

/// Stands in for the real parser: digits are seconds.
fn parse_time(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn definition(fields: &[&str], kind: IndexKind) -> IndexDefinition {
    IndexDefinition {
        name: "test".to_owned(),
        kind,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        ..IndexDefinition::id_index()
    }
}

fn document(fields: &[(&str, RawValue<'_>)]) -> OwnedDocument {
    fields.iter().copied().collect()
}

/// The key as JSON, or why there is none; the single extractor and the set must agree.
fn extract(extractor: &KeyExtractor, document: &OwnedDocument) -> Result<String, Extraction> {
    let mut key = KeyBuffer::new();
    let extraction = extractor.extract(document.as_raw(), &mut key);
    let mut seen = 0;
    let mut set = ExtractorSet::new([extractor.clone(), extractor.clone()]);
    set.extract(document.as_raw(), |number, made| {
        let other = made.map_or_else(|nothing| nothing, |_| Extraction::Key);
        assert_eq!((number, other), (seen, extraction));
        if let Ok(other_key) = made {
            let mut buffer = KeyBuffer::new();
            let other_key = other_key.in_buffer(&mut buffer);
            assert_eq!(other_key.as_record().normal, key.normal());
            assert_eq!(other_key.as_record().trailer, key.as_record().trailer);
        }
        seen += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, 2);
    let address = DocumentAddress {
        page: PageId(7),
        slot: SlotNumber(3),
    };
    let mut hashes = Vec::new();
    set.extract_hashes(document.as_raw(), address, |number, hash| {
        hashes.push((number, hash));
    });
    match extraction {
        Extraction::Key => {
            let mut stored = Vec::new();
            let expected = key_hash(key.stored(&mut stored).unwrap(), address);
            assert_eq!(hashes, [(0, expected), (1, expected)]);
        }
        _ => assert_eq!(hashes, []),
    }
    match extraction {
        Extraction::Key => Ok(key.json().unwrap().unwrap()),
        none => Err(none),
    }
}

#[test]
fn field_rules() {
    use RawValue::{Array, Document, Int32, Int64, Null, String};
    let inner = document(&[("b", Int32(1)), ("", Int32(3))]);
    let deep = document(&[("b.c", Int32(7)), ("a", Document(inner.as_raw()))]);
    let list = document(&[("0", Int32(1))]);
    let all = document(&[
        ("_id", String("x")),
        ("a", Document(inner.as_raw())),
        ("d", Document(deep.as_raw())),
        ("l.m", Int64(5)),
        ("l", Document(inner.as_raw())),
        ("n", Null),
        ("arr", Array(list.as_raw())),
        ("arr.x", Array(list.as_raw())),
    ]);
    let cases: &[(&[&str], Result<&str, Extraction>)] = &[
        (&["_id"], Ok("\"x\"")),
        (&["n"], Ok("null")),
        (&["a.b"], Ok("1")),
        (&["a."], Ok("3")),
        (&["d.a.b"], Ok("1")),
        // Only the top level is looked at literally.
        (&["d.b.c"], Err(Extraction::Missing)),
        (&["l.m"], Ok("5")),
        (&["l.b"], Ok("1")),
        (&["zzz"], Err(Extraction::Missing)),
        (&["a.zzz"], Err(Extraction::Missing)),
        (&["a.b.c"], Err(Extraction::Missing)),
        (&["_id.b"], Err(Extraction::Missing)),
        // Arrays are not entered.
        (&["arr.0"], Err(Extraction::Missing)),
        (&["arr"], Err(Extraction::Unindexable)),
        (&["arr.x"], Err(Extraction::Unindexable)),
        (&["a"], Err(Extraction::Unindexable)),
        (&["_id", "a.b"], Ok("[\"x\",1]")),
        (&["_id", "a"], Err(Extraction::Unindexable)),
        (&["a", "zzz"], Err(Extraction::Missing)),
    ];
    for (fields, expected) in cases {
        let extractor =
            KeyExtractor::new(&definition(fields, IndexKind::Btree), None, parse_time).unwrap();
        let found = extract(&extractor, &all);
        assert_eq!(
            found.as_deref().map_err(|none| *none),
            *expected,
            "{fields:?}"
        );
    }
}

#[test]
fn composites_of_many_fields() {
    let names: Vec<String> = (0..30).map(|number| format!("f{number}")).collect();
    let fields: Vec<&str> = names.iter().map(String::as_str).collect();
    let numbers = (0..).map(RawValue::Int32);
    let values: Vec<_> = fields.iter().copied().zip(numbers).collect();
    let extractor =
        KeyExtractor::new(&definition(&fields, IndexKind::Btree), None, parse_time).unwrap();
    let expected: Vec<i32> = (0..30).collect();
    assert_eq!(
        extract(&extractor, &document(&values)),
        Ok(format!("{expected:?}").replace(' ', ""))
    );
}

#[test]
fn ttl_takes_times_only() {
    let kind = IndexKind::Ttl {
        expire_after_seconds: 60,
    };
    let extractor = KeyExtractor::new(&definition(&["t"], kind), None, parse_time).unwrap();
    let none = Err(Extraction::Unindexable);
    for (value, expected) in [
        (RawValue::Timestamp(5), Ok("5".to_owned())),
        (RawValue::Int64(-5), Ok("-5".to_owned())),
        (RawValue::String("77"), Ok("77".to_owned())),
        (RawValue::String("soon"), none.clone()),
        (RawValue::Int32(5), none.clone()),
        (RawValue::Double(5.0), none.clone()),
        (RawValue::Boolean(true), none.clone()),
        (RawValue::Null, none.clone()),
    ] {
        let document = document(&[("t", value)]);
        assert_eq!(extract(&extractor, &document), expected, "{value:?}");
        let mut key = KeyBuffer::new();
        if extractor.extract(document.as_raw(), &mut key) == Extraction::Key {
            assert_eq!(key.stored(&mut Vec::new()).unwrap().key_type, 7);
        }
    }
    assert_eq!(
        extract(&extractor, &document(&[])),
        Err(Extraction::Missing)
    );
}

#[test]
fn documents_outside_a_partial_index_are_not_counted_as_unindexable() {
    let filter = |document: RawDocument<'_>| document.get("on") == Some(RawValue::Boolean(true));
    let extractor = KeyExtractor::new(
        &definition(&["a"], IndexKind::Btree),
        Some(Arc::new(filter)),
        parse_time,
    )
    .unwrap();
    let nested = document(&[]);
    let with = |value, on| document(&[("a", value), ("on", RawValue::Boolean(on))]);
    assert_eq!(
        extract(&extractor, &with(RawValue::Int32(1), true)),
        Ok("1".to_owned())
    );
    assert_eq!(
        extract(&extractor, &with(RawValue::Int32(1), false)),
        Err(Extraction::FilteredOut)
    );
    let value = RawValue::Array(nested.as_raw());
    assert_eq!(
        extract(&extractor, &with(value, false)),
        Err(Extraction::FilteredOut)
    );
    assert_eq!(
        extract(&extractor, &with(value, true)),
        Err(Extraction::Unindexable)
    );
}

#[test]
fn every_type_is_found_behind_every_other() {
    let nested = document(&[("x", RawValue::Null)]);
    let values = [
        RawValue::Double(1.0),
        RawValue::String("text"),
        RawValue::Document(nested.as_raw()),
        RawValue::Array(nested.as_raw()),
        RawValue::Binary(b"\0\0"),
        RawValue::ObjectId(crate::document::bson::ObjectId([7; 12])),
        RawValue::Boolean(true),
        RawValue::Null,
        RawValue::Int32(1),
        RawValue::Timestamp(1),
        RawValue::Int64(1),
    ];
    let extractor =
        KeyExtractor::new(&definition(&["last"], IndexKind::Btree), None, parse_time).unwrap();
    for value in values {
        let short = document(&[("v", value), ("last", RawValue::Int32(9))]);
        assert_eq!(extract(&extractor, &short), Ok("9".to_owned()), "{value:?}");
        let long = document(&[
            ("a name of many bytes", value),
            ("last", RawValue::Int32(9)),
        ]);
        assert_eq!(extract(&extractor, &long), Ok("9".to_owned()), "{value:?}");
    }
}

#[test]
fn damaged_documents_end_early() {
    let whole = document(&[
        ("a", RawValue::String("text")),
        ("last", RawValue::Int32(9)),
    ]);
    let extractor =
        KeyExtractor::new(&definition(&["last"], IndexKind::Btree), None, parse_time).unwrap();
    for len in 0..whole.as_bytes().len() - 5 {
        let cut = RawDocument::trusted(&whole.as_bytes()[..len]);
        assert_eq!(
            extractor.extract(cut, &mut KeyBuffer::new()),
            Extraction::Missing
        );
    }
}
