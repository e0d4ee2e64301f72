//! RFC 3339 times as Go's `time.Parse(time.RFC3339, …)` accepts them, which is what LauraDB's
//! restorer and its TTL indexes go by.
//!
//! ```text
//! YYYY-MM-DD 'T' H[H] ':' MM ':' SS [('.' | ',') digit+] ('Z' | ('+' | '-') HH ':' MM)
//! ```
//!
//! Wider than the RFC in four places: the hour may have one digit, the fraction may follow a comma
//! and have any number of digits, an offset may go up to 24:60. Narrower in two: `T` and `Z` are
//! upper case, and there is no leap second.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of four digits at most, times constants"
)]

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 10^9; further digits are cut, as Go does.
    pub nanos: u32,
    /// Whether digits beyond the nanoseconds were cut that are not all zero.
    pub cut: bool,
}

impl UnixTime {
    /// Whether the time is a whole number of seconds.
    #[must_use]
    pub fn is_whole_second(self) -> bool {
        self.nanos == 0 && !self.cut
    }
}

/// Length of the shortest time, `2024-01-15T1:30:00Z`.
const SHORTEST: usize = 19;

/// Parses a time, or gives `None` for anything that Go's parser does not accept.
#[inline]
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<UnixTime> {
    let bytes = text.as_bytes();
    // Nearly every string of a document ends here.
    if bytes.len() < SHORTEST || bytes.get(4) != Some(&b'-') || bytes.get(10) != Some(&b'T') {
        return None;
    }
    parse(Digits(bytes))
}

fn parse(mut rest: Digits<'_>) -> Option<UnixTime> {
    let year = rest.two()? * 100 + rest.two()?;
    rest.byte(b'-')?;
    let month = rest.two().filter(|month| (1..=12).contains(month))?;
    rest.byte(b'-')?;
    let day = rest.two()?;
    rest.byte(b'T')?;
    let hour = rest.one_or_two().filter(|hour| *hour < 24)?;
    rest.byte(b':')?;
    let minute = rest.two().filter(|minute| *minute < 60)?;
    rest.byte(b':')?;
    let second = rest.two().filter(|second| *second < 60)?;
    let (nanos, cut) = rest.fraction();
    let offset_seconds = rest.offset()?;
    if !rest.0.is_empty() || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let days = days_since_epoch(year, month, day);
    Some(UnixTime {
        seconds: days * 86_400 + hour * 3_600 + minute * 60 + second - offset_seconds,
        nanos,
        cut,
    })
}

/// What has not been read yet.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn byte(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == expected).then_some(())
    }

    fn digit(&mut self) -> Option<i64> {
        let (first, rest) = self.0.split_first()?;
        let digit = first.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        self.0 = rest;
        Some(i64::from(digit))
    }

    fn two(&mut self) -> Option<i64> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    fn one_or_two(&mut self) -> Option<i64> {
        let first = self.digit()?;
        Some(self.digit().map_or(first, |second| first * 10 + second))
    }

    /// A separator that no digit follows is left for [`Self::offset`] to refuse.
    fn fraction(&mut self) -> (u32, bool) {
        let [b'.' | b',', b'0'..=b'9', ..] = self.0 else {
            return (0, false);
        };
        self.0 = self.0.get(1..).unwrap_or_default();
        let mut nanos = 0;
        let mut unit = 100_000_000;
        let mut cut = false;
        while let Some(digit) = self.digit() {
            nanos += u32::try_from(digit).unwrap_or(0) * unit;
            cut |= unit == 0 && digit != 0;
            unit /= 10;
        }
        (nanos, cut)
    }

    /// Go compares the parts of an offset with `>`, so 24 hours and 60 minutes pass.
    fn offset(&mut self) -> Option<i64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let sign = match first {
            b'Z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.two().filter(|hours| *hours <= 24)?;
        self.byte(b':')?;
        let minutes = self.two().filter(|minutes| *minutes <= 60)?;
        Some(sign * (hours * 3_600 + minutes * 60))
    }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, for years from 0.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March end in the leap day, so a month's first day does not depend on it.
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn accepts_exactly_what_go_accepts() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/laura/snapshots/restore-typing.golden.json"
        );
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cases = golden["strings"].as_array().unwrap();
        assert!(cases.len() > 60);
        for case in cases {
            let text = case["json_string"].as_str().unwrap();
            let expected = (case["kind"] == "time").then(|| {
                let nanos = case["nanosecond"].as_u64().unwrap();
                (case["unix_seconds"].as_i64().unwrap(), nanos)
            });
            let parsed = parse_rfc3339(text).map(|time| (time.seconds, u64::from(time.nanos)));
            assert_eq!(parsed, expected, "{text:?}");
        }
    }

    #[test]
    fn digits_beyond_nanoseconds_are_not_lost_unseen() {
        let whole = |text| parse_rfc3339(text).unwrap().is_whole_second();
        assert!(whole("2024-01-15T10:30:00Z"));
        assert!(whole("2024-01-15T10:30:00.0000000000000Z"));
        assert!(!whole("2024-01-15T10:30:00.0000000000001Z"));
        assert!(!whole("2024-01-15T10:30:00,5Z"));
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = days_since_epoch(1970, 1, 1);
        assert_eq!(expected, 0);
        for year in 1970..2370 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_since_epoch(year, month, day), expected);
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn cut_times_are_refused_at_every_length() {
        let text = "2024-01-15T10:30:00.25+01:30";
        assert!(parse_rfc3339(text).is_some());
        for len in 0..text.len() {
            assert_eq!(parse_rfc3339(&text[..len]), None, "{len}");
        }
    }
}
