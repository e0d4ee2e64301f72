//! Documents with the same names and other values, one after the other: what the ones before have
//! left must not show.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

const CONTEXT: DocumentContext<'_> = DocumentContext {
    collection: "c",
    ordinal: 7,
};

type Read = Result<(Vec<u8>, Converted), DocumentError>;

fn read_with(converter: &mut JsonConverter, text: &str) -> Read {
    let mut out = b"before".to_vec();
    let converted = converter.convert(text, &CONTEXT, &mut out)?;
    Ok((out.split_off(6), converted))
}

/// Reads a text with what came before and without; both must be alike. True if a pattern fitted.
pub(super) fn fits(converter: &mut JsonConverter, text: &str) -> bool {
    let alone = read_with(&mut JsonConverter::new(converter.infer), text);
    let before = converter.patterns.fitted;
    let read = read_with(converter, text);
    assert_eq!(format!("{read:?}"), format!("{alone:?}"), "{text}");
    converter.patterns.fitted > before
}

/// Fields, with holes where values stand.
#[derive(Clone, Debug)]
enum Fields {
    Hole,
    Object(Vec<(&'static str, Fields)>),
}

impl Fields {
    fn fill(&self, values: &mut impl Iterator<Item = String>) -> String {
        match self {
            Self::Hole => values.next().unwrap_or_default(),
            Self::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{}", value.fill(values)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
        }
    }
}

fn object() -> impl Strategy<Value = Fields> {
    let names = || {
        select(vec![
            "a",
            "b",
            "type",
            "",
            "coordinates",
            "z\\u0041",
            "a name that is longer than what is compared in one step",
        ])
    };
    let leaf = Just(Fields::Hole);
    let fields = leaf.prop_recursive(4, 12, 4, move |inner| {
        prop::collection::vec((names(), inner), 0..4).prop_map(Fields::Object)
    });
    prop::collection::vec((names(), fields), 0..5).prop_map(Fields::Object)
}

fn value() -> impl Strategy<Value = String> {
    let others = ["\"point\"", "\"sixteen bytes 16\"", "{}", "[]", " 1", "x"];
    let scalar = select([plain::SCALARS.as_slice(), &others].concat());
    scalar
        .prop_map(str::to_owned)
        .prop_recursive(2, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..12)
                    .prop_map(|values| format!("[{}]", values.join(","))),
                (inner.clone(), inner.clone())
                    .prop_map(|(one, two)| format!("{{\"type\":{one},\"coordinates\":{two}}}")),
                prop::collection::vec((inner.clone(), inner), 0..5).prop_map(|values| {
                    let objects = values
                        .iter()
                        .map(|(one, two)| format!("{{\"a\":{one},\"b\":{{\"c\":{two}}}}}"));
                    format!("[{}]", objects.collect::<Vec<_>>().join(","))
                }),
            ]
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn values_do_not_show_in_what_is_read_after_them(
        shapes in prop::collection::vec(object(), 1..3),
        documents in prop::collection::vec(
            (
                0..8_usize,
                select(vec!["\"x\"", "\"y7\"", "\"\"", "null", "\"0123456789abcdef01234567\"", "3"]),
                prop::collection::vec(value(), 24),
                0..120_usize,
            ),
            1..12,
        ),
        infer_object_id in any::<bool>(),
        infer_timestamp in any::<bool>(),
    ) {
        let mut converter = JsonConverter::new(InferTypes {
            object_id: infer_object_id || infer_timestamp,
            timestamp: infer_timestamp && !infer_object_id,
        });
        for (shape, id, values, cut) in documents {
            let shape = &shapes[usize::from(shape == 0) % shapes.len()];
            let fields = shape.fill(&mut values.into_iter());
            let text = format!("{{\"_id\":{id},\"fields\":{fields}}}, and what follows it in the file, \
                which is more than what is looked at in one step");
            fits(&mut converter, &text);
            let end = text.len().saturating_sub(cut);
            if text.is_char_boundary(end) {
                fits(&mut converter, &text[..end]);
            }
        }
    }
}

#[test]
fn the_second_document_of_a_kind_has_a_pattern() {
    let text = |id: &str, number: &str, kind: &str, tags: &str| {
        format!(
            "{{\"_id\":{id},\"fields\":{{\"age\":{number},\"place\":{{\"coordinates\":[1,{number}],\
             \"of\":{{\"n\":{number}}},\"type\":\"{kind}\"}},\"tags\":{tags},\"with\":{{}}}}}}"
        )
    };
    let mut converter = JsonConverter::new(InferTypes::default());
    assert!(!fits(&mut converter, &text("\"a\"", "1", "Point", "[]")));
    for (id, number, tags) in [
        (
            "\"b\"",
            "-7",
            "[1,[2,{\"type\":\"Point\",\"x\":3}],\"four\"]",
        ),
        ("\"0123456789abcdef01234567\"", "2.5", "null"),
        (
            "\"an id of more than sixteen bytes\"",
            "null",
            "{\"a\":{\"b\":1}}",
        ),
    ] {
        assert!(fits(&mut converter, &text(id, number, "Point", tags)));
    }
    // Another shape of any kind, an `_id` that has to be made, and what is no Point any more.
    assert!(!fits(&mut converter, &text("\"\"", "1", "Point", "[]")));
    assert!(!fits(&mut converter, &text("null", "1", "Point", "[]")));
    assert!(!fits(&mut converter, &text("\"a\"", "1", "point", "[]")));
    assert!(!fits(
        &mut converter,
        "{\"_id\":\"a\",\"fields\":{\"age\":1}}"
    ));
    // It is still there, until too many do not fit.
    assert!(fits(&mut converter, &text("\"a\"", "1", "Point", "[]")));
    let others = [(); 10].map(|()| fits(&mut converter, &text("\"a\"", "1", "point", "[]")));
    assert_eq!((others[0], others[9]), (false, true));
    assert!(fits(&mut converter, &text("\"a\"", "1", "line", "[]")));
    assert!(!fits(&mut converter, &text("\"a\"", "1", "Point", "[]")));
}

#[test]
fn a_string_in_a_point_inside_an_array_takes_a_second_pass() {
    let mut converter = JsonConverter::new(InferTypes::default());
    for value in ["1", "\"0123456789abcdef01234567\"", "2"] {
        let text = format!(
            "{{\"_id\":\"x\",\"fields\":{{\"o\":{{\"type\":\"Point\"}},\"a\":[{{\"at\":{value},\
             \"type\":\"Point\"}}]}}}}"
        );
        fits(&mut converter, &text);
    }
}

#[test]
fn names_that_repeat_have_no_pattern() {
    let mut converter = JsonConverter::new(InferTypes::default());
    for value in ["1", "2", "3"] {
        let text = format!("{{\"_id\":\"x\",\"fields\":{{\"a\":{value},\"b\":1,\"a\":{value}}}}}");
        assert!(!fits(&mut converter, &text));
    }
}

#[test]
fn objects_in_one_another_have_a_pattern_up_to_a_depth() {
    for (levels, has_one) in [(1, true), (15, true), (16, false), (98, false)] {
        let mut converter = JsonConverter::new(InferTypes::default());
        for number in 0..3 {
            let fields = format!("{}{number}{}", "{\"a\":".repeat(levels), "}".repeat(levels));
            let text = format!("{{\"_id\":\"x\",\"fields\":{{\"a\":{fields}}}}}");
            let fits = fits(&mut converter, &text);
            assert_eq!(fits, has_one && number > 0, "{levels} levels");
        }
    }
}

/// How many objects of arrays were read by their pattern.
fn alike(converter: &mut JsonConverter, array: &str) -> u64 {
    let text = format!("{{\"_id\":\"x\",\"fields\":{{\"a\":{array},\"b\":1}}}}");
    let before = converter.patterns.draft.alike;
    fits(converter, &text);
    converter.patterns.draft.alike - before
}

#[test]
fn objects_in_an_array_are_read_like_the_first_one() {
    let object = |number: &str, text: &str, inner: &str| {
        format!("{{\"n\":{number},\"s\":{text},\"o\":{{\"x\":{inner},\"y\":[1,{inner}]}}}}")
    };
    let long = format!("\"{}\"", "so long a text ".repeat(300));
    let mut converter = JsonConverter::new(InferTypes::default());
    // The first document has no pattern yet, and `{}` no names.
    for array in ["[]", "[1]", "[{}]", "[{},{}]"] {
        assert_eq!(alike(&mut converter, array), 0, "{array}");
    }
    let first = object("1", "\"s\"", "null");
    assert_eq!(alike(&mut converter, &format!("[{first}]")), 1);
    for (array, count) in [
        (vec![first.clone(); 3], 3),
        (vec![first.clone(); 10], 10),
        // Names of elements have one digit.
        (vec![first.clone(); 12], 10),
        (vec!["1".to_owned(), first.clone(), "\"two\"".to_owned()], 1),
        (
            vec![object("-2.5", "\"0123456789abcdef01234567\"", "{}")],
            1,
        ),
        // Its arrays have objects as well.
        (vec![object("1", "\"s\"", "{\"z\":[]}")], 2),
        // More than the draft holds.
        (vec![object("1", &long, "1"), object("2", &long, "2")], 2),
        (vec![object("1", &long, &format!("[{first},{first}]"))], 3),
        // What is not alike ends it, wherever that shows.
        (vec![first.clone(), "{}".to_owned(), first.clone()], 1),
        (
            vec![first.clone(), "{\"m\":1}".to_owned(), first.clone()],
            1,
        ),
        (
            vec![first.clone(), "{\"n\":1}".to_owned(), first.clone()],
            1,
        ),
        (
            vec![first.clone(), "{\"n\":1,\"type\":\"Point\"}".to_owned()],
            1,
        ),
    ] {
        let array = format!("[{}]", array.join(","));
        assert_eq!(alike(&mut converter, &array), count, "{array}");
    }
    // All that was appended is read once more if it shows late.
    let late = object("1", &long, "2").replace("\"y\"", "\"z\"");
    assert_eq!(alike(&mut converter, &format!("[{late}]")), 0);
}

#[test]
fn objects_that_may_be_points_or_repeat_names_are_read_one_by_one() {
    for object in [
        "{\"type\":\"Point\",\"x\":1}",
        "{\"x\":{\"type\":1}}",
        "{\"x\":1,\"y\":2,\"x\":3}",
        "{\"x\":1, \"y\":2}",
        "{\"x\\u0041\":1}",
    ] {
        let mut converter = JsonConverter::new(InferTypes::default());
        for _ in 0..4 {
            assert_eq!(alike(&mut converter, &format!("[{object},{object}]")), 0);
        }
    }
}

#[test]
fn objects_in_arrays_of_a_point_hold_literals() {
    let mut converter = JsonConverter::new(InferTypes::default());
    for value in ["1", "\"0123456789abcdef01234567\"", "[7]", "-2"] {
        let array = format!("[{{\"x\":{value}}},{{\"x\":{value}}}]");
        let array = format!("{{\"type\":\"Point\",\"of\":{array}}}");
        assert_eq!(alike(&mut converter, &array), 2, "{value}");
    }
}

#[test]
fn objects_in_arrays_in_objects_have_a_pattern_up_to_a_depth() {
    for (levels, count) in [(1, 1), (7, 7), (8, 7), (40, 7)] {
        let mut converter = JsonConverter::new(InferTypes::default());
        let array = format!("{}1{}", "[{\"a\":".repeat(levels), "}]".repeat(levels));
        alike(&mut converter, &array);
        alike(&mut converter, &array);
        assert_eq!(alike(&mut converter, &array), count, "{levels} levels");
    }
}

#[test]
fn long_texts_have_no_pattern() {
    let value = "7,".repeat(20_000);
    let fields = format!("{{\"a\":[{value}7],\"b\":1}}");
    let mut converter = JsonConverter::new(InferTypes::default());
    let text = format!("{{\"_id\":\"x\",\"fields\":{fields}}}");
    for _ in 0..3 {
        assert!(!fits(&mut converter, &text));
    }
    // Nor has an object in an array, which the document before it did not have.
    let mut converter = JsonConverter::new(InferTypes::default());
    for (array, count) in [("[]", 0), (&*format!("[{fields},{fields}]"), 0), ("[]", 0)] {
        assert_eq!(alike(&mut converter, array), count);
    }
}
