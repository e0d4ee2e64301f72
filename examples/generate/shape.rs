//! What the documents look like, and the indexes they are made for.

use super::random::Random;
use super::sink::Sink;
use laura_migrate::document::bson::ObjectId;
use std::fmt::Write;
use std::io;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// Four flat fields, 120 bytes: the documents of LauraDB's own seeding tool
    Seed,
    /// Nested objects, arrays, floats, Unicode, dates, nulls: 600 bytes
    Rich,
    /// Ten words, some far more frequent than others, and a point: 160 bytes
    Words,
}

/// An index by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum IndexChoice {
    None,
    Unique,
    Single,
    Compound,
    Dotted,
    Ttl,
    Partial,
    Text,
    Geo,
}

use IndexChoice::{Compound, Dotted, Geo, Partial, Single, Text, Ttl, Unique};

type Index = (IndexChoice, &'static str);

const SEED_INDEXES: &[Index] = &[
    (
        Unique,
        r#"{"name":"email_1","type":"btree","field_paths":["email"],"unique":true}"#,
    ),
    (
        Single,
        r#"{"name":"age_1","type":"btree","field_paths":["age"],"unique":false}"#,
    ),
];

const RICH_INDEXES: &[Index] = &[
    (
        Unique,
        r#"{"name":"email_1","type":"btree","field_paths":["email"],"unique":true}"#,
    ),
    (
        Single,
        r#"{"name":"account_1","type":"btree","field_paths":["account"],"unique":false}"#,
    ),
    (
        Compound,
        r#"{"name":"active_visits_1","type":"btree","field_paths":["active","visits"],"unique":false}"#,
    ),
    (
        Dotted,
        r#"{"name":"address.city_1","type":"btree","field_paths":["address.city"],"unique":false}"#,
    ),
    (
        Ttl,
        r#"{"name":"expiresAt_ttl","type":"ttl","field_paths":["expiresAt"],"unique":false,"ttl_duration":86400}"#,
    ),
    (
        Partial,
        r#"{"name":"balance_partial","type":"btree","field_paths":["balance"],"unique":false,"filter":{"active":true,"balance":{"$gt":100}}}"#,
    ),
    (
        Text,
        r#"{"name":"bio_text","type":"text","field_paths":["bio"],"unique":false}"#,
    ),
    (
        Geo,
        r#"{"name":"location_2dsphere","type":"geo","field_paths":["location"],"unique":false,"geo_type":"2dsphere"}"#,
    ),
];

const WORDS_INDEXES: &[Index] = &[
    (
        Text,
        r#"{"name":"text_text","type":"text","field_paths":["text"],"unique":false}"#,
    ),
    (
        Geo,
        r#"{"name":"loc_2d","type":"geo","field_paths":["loc"],"unique":false,"geo_type":"2d"}"#,
    ),
];

/// The id of a document.
#[derive(Clone, Debug)]
pub(crate) enum Id {
    Text(String),
    Object(ObjectId),
}

impl Shape {
    /// The index definitions to write, by choice or by default.
    pub(crate) fn indexes(self, choice: Option<&[IndexChoice]>) -> io::Result<Vec<&'static str>> {
        let (known, default): (&[Index], &[IndexChoice]) = match self {
            Self::Seed => (SEED_INDEXES, &[Unique, Single]),
            Self::Rich => (
                RICH_INDEXES,
                &[Unique, Single, Compound, Dotted, Ttl, Partial, Text, Geo],
            ),
            Self::Words => (WORDS_INDEXES, &[Text, Geo]),
        };
        choice
            .unwrap_or(default)
            .iter()
            .filter(|wanted| **wanted != IndexChoice::None)
            .map(|wanted| {
                let found = known.iter().find(|(kind, _)| kind == wanted);
                found.map(|(_, text)| *text).ok_or_else(|| {
                    io::Error::other(format!("shape {self:?} has no index {wanted:?}"))
                })
            })
            .collect()
    }

    /// The id of the document with this number.
    pub(crate) fn id(self, seed: u64, number: u64) -> Id {
        match self {
            Self::Seed => Id::Text(format!("user_{number}")),
            Self::Words => Id::Text(format!("text_{number}")),
            Self::Rich => {
                // Another seed than the fields have, so that they are not alike.
                let random = Random::of(!seed, number, 0).next();
                Id::Object(object_id(random, number))
            }
        }
    }

    /// The fields of a document in Go's order, which is by name; `revision` counts its updates.
    pub(crate) fn fields(self, seed: u64, number: u64, revision: u64, sink: &mut impl Sink) {
        match self {
            Self::Seed => seed_fields(number, revision, sink),
            Self::Rich => rich_fields(&mut Random::of(seed, number, revision), number, sink),
            Self::Words => word_fields(&mut Random::of(seed, number, revision), sink),
        }
    }
}

/// Unique by its last eight bytes.
fn object_id(random: u64, number: u64) -> ObjectId {
    let mut bytes = [0; 12];
    let value = u128::from(random) << 64 | u128::from(number);
    for (byte, source) in bytes.iter_mut().zip(value.to_be_bytes().iter().skip(4)) {
        *byte = *source;
    }
    ObjectId(bytes)
}

fn seed_fields(number: u64, revision: u64, sink: &mut impl Sink) {
    let mut text = String::with_capacity(48);
    let mut string = |sink: &mut _, name: &str, value: std::fmt::Arguments<'_>| {
        text.clear();
        // Writing to a String cannot fail.
        let _ = text.write_fmt(value);
        Sink::string(sink, name, &text);
    };
    sink.integer("age", 20 + (number % 60 + revision).cast_signed());
    string(sink, "email", format_args!("user{number}@example.com"));
    string(sink, "name", format_args!("User {number}"));
    sink.open_array("tags");
    for tag in ["tag1", "tag2", "tag3"] {
        sink.string("", tag);
    }
    sink.close();
}

/// Words in a text of [`Shape::Words`].
const WORDS_OF_TEXT: u64 = 10;

/// Each power of two of words is as frequent as the next one, so half of the words make a
/// seventeenth of the text.
fn word_fields(random: &mut Random, sink: &mut impl Sink) {
    sink.open_document("loc");
    sink.open_array("coordinates");
    sink.double("", f64::from(random.below_u32(1 << 30)) / 1024.0);
    sink.double("", f64::from(random.below_u32(1 << 30)) / 1024.0);
    sink.close();
    sink.string("type", "Point");
    sink.close();
    let mut text = String::with_capacity(96);
    for _ in 0..WORDS_OF_TEXT {
        let words = 2 << random.below(17);
        let _ = write!(text, "w{}x ", random.below(words));
    }
    sink.string("text", text.trim_end());
}

#[rustfmt::skip]
const CITIES: &[&str] = &[
    "Praha", "Brno", "Köln", "Łódź", "Αθήνα", "Москва", "東京", "São Paulo", "Reykjavík", "Paris",
];

#[rustfmt::skip]
const NAMES: &[&str] = &[
    "Anna Nováková", "Bjørn Ødegård", "Chloë O'Neil", "Дмитрий Иванов", "Élodie Lefèvre",
    "田中 太郎", "Maria da Conceição", "Zoë 🦊 Fox", "Ümit Şahin", "John Smith",
];

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "quick", "brown", "foxes", "jumping", "over", "lazy", "dogs", "running", "databases", "pages",
    "žluťoučký", "kůň", "naïve", "café", "<b>bold</b>", "R&D", "\"quoted\"", "back\\slash", "emoji 😀",
    "migration", "happily", "connected", "indexes", "organization",
];

const DAY_S: u64 = 86_400;

fn rich_fields(random: &mut Random, number: u64, sink: &mut impl Sink) {
    let mut text = String::with_capacity(256);
    sink.object_id("account", object_id(random.next(), number / 3));
    sink.boolean("active", random.below(4) != 0);
    sink.open_document("address");
    sink.string("city", random.pick(CITIES));
    sink.open_document("contact");
    sink.null("fax");
    let _ = write!(text, "+420 {:09}", random.below(1_000_000_000));
    sink.string("phone", &text);
    sink.close();
    text.clear();
    let _ = write!(text, "{} {}", random.pick(NAMES), random.below(2_000));
    sink.string("street", &text);
    sink.close();
    sink.double(
        "balance",
        f64::from(random.below_u32(200_000)) / 100.0 - 500.0,
    );
    text.clear();
    for _ in 0..8 + random.below(8) {
        text.push_str(random.pick(WORDS));
        text.push(' ');
    }
    sink.string("bio", text.trim_end());
    date(&mut text, random.below(20 * 365 * DAY_S));
    sink.string("createdAt", &text);
    text.clear();
    let _ = write!(text, "user{number}@example.com");
    sink.string("email", &text);
    let expires_s = 1_700_000_000 + random.below(365 * DAY_S);
    sink.integer("expiresAt", expires_s.cast_signed());
    sink.open_document("location");
    sink.open_array("coordinates");
    sink.double("", f64::from(random.below_u32(36_000)) / 100.0 - 180.0);
    sink.double("", f64::from(random.below_u32(18_000)) / 100.0 - 90.0);
    sink.close();
    sink.string("type", "Point");
    sink.close();
    if random.below(3) == 0 {
        sink.null("manager");
    } else {
        sink.object_id("manager", object_id(random.next(), number / 10));
    }
    sink.string("name", random.pick(NAMES));
    orders(random, sink);
    sink.open_array("scores");
    for _ in 0..3 {
        sink.double("", f64::from(random.below_u32(10_000)) / 64.0);
    }
    sink.close();
    sink.open_array("tags");
    for _ in 0..1 + random.below(3) {
        sink.string("", random.pick(WORDS));
    }
    sink.null("");
    sink.boolean("", true);
    sink.close();
    sink.integer("visits", random.below(1 << 40).cast_signed() - 1000);
}

fn orders(random: &mut Random, sink: &mut impl Sink) {
    sink.open_array("orders");
    for _ in 0..random.below(3) {
        sink.open_document("");
        sink.integer("qty", random.below(10).cast_signed());
        sink.string("sku", random.pick(WORDS));
        sink.close();
    }
    sink.close();
}

/// RFC 3339 in UTC of so many seconds after the start of 2005, on a calendar of 28-day months.
fn date(text: &mut String, seconds: u64) {
    let (days, rest_s) = (seconds / DAY_S, seconds % DAY_S);
    let (year, day) = (2005 + days / 336, days % 336);
    let (hour, minute, second) = (rest_s / 3600, rest_s / 60 % 60, rest_s % 60);
    text.clear();
    let _ = write!(
        text,
        "{year}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        day / 28 + 1,
        day % 28 + 1
    );
}
