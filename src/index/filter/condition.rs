//! A compiled filter and its evaluation, which does not allocate.

use super::constant::Constant;
use crate::document::bson::{RawDocument, RawValue};
use std::cmp::Ordering;

/// Conditions that all have to hold.
#[derive(Clone, Debug)]
pub(super) struct Group(pub(super) Vec<Condition>);

/// One key of a filter object.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// `$and`
    All(Vec<Group>),
    /// `$or`
    Any(Vec<Group>),
    /// All tests hold for the field.
    Field { name: Box<str>, tests: Vec<Test> },
}

/// One operator with its operand.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Equal(Constant),
    NotEqual(Constant),
    Greater(Constant),
    GreaterOrEqual(Constant),
    Less(Constant),
    LessOrEqual(Constant),
    In(Vec<Constant>),
    NotIn(Vec<Constant>),
    Exists(bool),
    Regex(regex::Regex),
    Size(u64),
    ElementMatch(Vec<Test>),
}

impl Group {
    /// Recursion is bounded by the parser's depth limit, here and below.
    pub(super) fn matches(&self, document: RawDocument<'_>) -> bool {
        self.0.iter().all(|condition| condition.matches(document))
    }
}

impl Condition {
    fn matches(&self, document: RawDocument<'_>) -> bool {
        match self {
            Self::All(groups) => groups.iter().all(|group| group.matches(document)),
            Self::Any(groups) => groups.iter().any(|group| group.matches(document)),
            Self::Field { name, tests } => {
                let value = document.get(name);
                tests.iter().all(|test| test.holds(value))
            }
        }
    }
}

impl Test {
    /// `None` is a missing field.
    fn holds(&self, value: Option<RawValue<'_>>) -> bool {
        if let Self::Exists(want) = self {
            return value.is_some_and(|value| value != RawValue::Null) == *want;
        }
        value.is_some_and(|value| self.holds_for(value))
    }

    fn holds_for(&self, value: RawValue<'_>) -> bool {
        match self {
            Self::Equal(constant) => constant.equals(value),
            Self::NotEqual(constant) => !constant.equals(value),
            Self::Greater(constant) => constant.order_of(value) == Some(Ordering::Greater),
            Self::GreaterOrEqual(constant) => {
                constant.order_of(value) == Some(Ordering::Greater) || constant.equals(value)
            }
            Self::Less(constant) => constant.order_of(value) == Some(Ordering::Less),
            Self::LessOrEqual(constant) => {
                constant.order_of(value) == Some(Ordering::Less) || constant.equals(value)
            }
            Self::In(constants) => constants.iter().any(|constant| constant.equals(value)),
            Self::NotIn(constants) => !constants.iter().any(|constant| constant.equals(value)),
            Self::Exists(want) => (value != RawValue::Null) == *want,
            Self::Regex(regex) => {
                matches!(value, RawValue::String(text) if regex.is_match(text))
            }
            Self::Size(size) => matches!(value, RawValue::Array(array)
                if u64::try_from(array.elements().count()) == Ok(*size)),
            Self::ElementMatch(tests) => matches!(value, RawValue::Array(array)
            if array.elements().any(|(_, element)| {
                tests.iter().all(|test| test.holds(Some(element)))
            })),
        }
    }
}
