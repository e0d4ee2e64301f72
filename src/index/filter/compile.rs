//! From a filter's JSON to its conditions; the first thing that LauraDB could not evaluate ends it.

use super::condition::{Condition, Group, Test};
use super::constant::{Constant, Typing};
use super::go_regex::Budget;
use super::json::Json;
use crate::document::InferTypes;

/// Compiles a filter, or says in one clause why it matches nothing.
pub(super) fn filter(json: &Json, infer: InferTypes) -> Result<Group, String> {
    match json {
        Json::Null => Ok(Group(Vec::new())),
        Json::Object(fields) => Compiler {
            infer,
            patterns: Budget::default(),
        }
        .group(fields),
        _ => Err("the filter is not an object".to_owned()),
    }
}

struct Compiler {
    infer: InferTypes,
    patterns: Budget,
}

type Fields = [(String, Json)];

impl Compiler {
    /// Recursion is bounded by the parser's depth limit, here and below.
    fn group(&mut self, fields: &Fields) -> Result<Group, String> {
        let conditions = fields.iter().map(|(key, value)| match key.as_str() {
            "$and" => Ok(Condition::All(self.groups(key, value)?)),
            "$or" => Ok(Condition::Any(self.groups(key, value)?)),
            _ if key.starts_with('$') => Err(format!("unknown operator {key:?}")),
            _ => self.field(key, value),
        });
        Ok(Group(conditions.collect::<Result<_, String>>()?))
    }

    fn groups(&mut self, operator: &str, value: &Json) -> Result<Vec<Group>, String> {
        let Json::Array(filters) = value else {
            return Err(format!("{operator} takes an array of filters"));
        };
        filters
            .iter()
            .map(|filter| match filter {
                Json::Object(fields) => self.group(fields),
                _ => Err(format!("an element of {operator} is not an object")),
            })
            .collect()
    }

    fn field(&mut self, name: &str, value: &Json) -> Result<Condition, String> {
        let typing = Typing::of_field(name, self.infer);
        let tests = match value {
            Json::Object(operators) => self
                .tests(operators, typing)
                .map_err(|problem| format!("{problem} (field {name:?})"))?,
            _ => vec![Test::Equal(typing.constant(value))],
        };
        Ok(Condition::Field {
            name: name.into(),
            tests,
        })
    }

    fn tests(&mut self, operators: &Fields, typing: Typing) -> Result<Vec<Test>, String> {
        operators
            .iter()
            .map(|(operator, operand)| self.test(operator, operand, typing))
            .collect()
    }

    fn test(&mut self, operator: &str, operand: &Json, typing: Typing) -> Result<Test, String> {
        let constant = || typing.constant(operand);
        Ok(match (operator, operand) {
            ("$eq", _) => Test::Equal(constant()),
            ("$ne", _) => Test::NotEqual(constant()),
            ("$gt", _) => Test::Greater(constant()),
            ("$gte", _) => Test::GreaterOrEqual(constant()),
            ("$lt", _) => Test::Less(constant()),
            ("$lte", _) => Test::LessOrEqual(constant()),
            ("$in", Json::Array(list)) => Test::In(constants(list, typing)),
            ("$nin", Json::Array(list)) => Test::NotIn(constants(list, typing)),
            ("$in" | "$nin", _) => return Err(format!("{operator} takes an array")),
            ("$exists", Json::Boolean(want)) => Test::Exists(*want),
            ("$exists", _) => return Err("$exists takes true or false".to_owned()),
            // The pattern is a string whatever it looks like.
            ("$regex", Json::String(pattern)) => Test::Regex(
                self.patterns
                    .compile(pattern)
                    .map_err(|error| format!("$regex {pattern:?}: {error}"))?,
            ),
            ("$regex", _) => return Err("$regex takes a string".to_owned()),
            ("$size", size) => Test::Size(
                whole_number(size).ok_or("$size takes a whole number that is not negative")?,
            ),
            ("$elemMatch", Json::Object(operators)) => {
                Test::ElementMatch(self.tests(operators, typing)?)
            }
            ("$elemMatch", _) => return Err("$elemMatch takes an object of operators".to_owned()),
            _ => return Err(format!("unknown operator {operator:?}")),
        })
    }
}

fn constants(list: &[Json], typing: Typing) -> Vec<Constant> {
    list.iter().map(|json| typing.constant(json)).collect()
}

/// LauraDB sees `2`, `2.0` and `2e0` as the same number.
fn whole_number(json: &Json) -> Option<u64> {
    /// 2^53: every whole double up to here is exact, and no array is that long.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match json {
        Json::Int64(number) => u64::try_from(*number).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and in range"
        )]
        Json::Double(number) if (0.0..=EXACT).contains(number) && number.fract() == 0.0 => {
            Some(*number as u64)
        }
        _ => None,
    }
}
