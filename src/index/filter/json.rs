//! A filter's JSON text as a tree that keeps the order of fields and bounds the depth.

use crate::document::MAX_DEPTH;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A JSON value. Numbers are typed as in a snapshot: an integer literal that fits is an i64, every
/// other number (`-0`, `1.0` and `1e3` among them) a double.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Boolean(bool),
    Int64(i64),
    Double(f64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Parses one JSON value; nothing but white space may follow.
pub(super) fn parse(text: &str) -> serde_json::Result<Json> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let json = Level(1).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(json)
}

/// Reads a value whose containers would be at this level.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: Error>(self) -> Result<Self, E> {
        if self.0 > MAX_DEPTH {
            return Err(E::custom(format_args!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Self(self.0.saturating_add(1)))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Int64(number))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "an integer beyond i64 becomes the nearest double"
    )]
    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(i64::try_from(number).map_or(Json::Double(number as f64), Json::Int64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Double(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(below)? {
            array.push(element);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(below)?;
            // As in documents: the last value of a repeated name, at the first one's place.
            match object.iter_mut().find(|(known, _)| *known == name) {
                Some((_, place)) => *place = value,
                None => object.push((name, value)),
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_typed_like_a_snapshots() {
        let cases = [
            ("9223372036854775807", Json::Int64(i64::MAX)),
            ("-9223372036854775808", Json::Int64(i64::MIN)),
            (
                "9223372036854775808",
                Json::Double(9_223_372_036_854_775_808.0),
            ),
            ("1.0", Json::Double(1.0)),
            ("1e3", Json::Double(1000.0)),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text).unwrap(), want, "{text}");
        }
        assert!(matches!(parse("-0").unwrap(), Json::Double(zero) if zero.is_sign_negative()));
        assert!(parse("1e400").is_err());
    }

    #[test]
    fn a_repeated_name_keeps_its_place_and_takes_the_last_value() {
        let json = parse(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        let want = vec![
            ("a".to_owned(), Json::Int64(3)),
            ("b".to_owned(), Json::Int64(2)),
        ];
        assert_eq!(json, Json::Object(want));
    }

    #[test]
    fn depth_is_bounded_at_one_hundred() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(100)).is_ok());
        let error = parse(&nested(101)).unwrap_err().to_string();
        assert!(error.contains("deeper than 100"), "{error}");
        assert!(parse(&nested(1_000_000)).is_err());
    }
}
