//! Durations as people type them.

use crate::{Code, Error, Result};
use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;
use std::time::Duration;

/// Reads the duration that `option` was given: numbers with units (`24h`, `1h30m`, `2 days`,
/// `500ms`), or whole seconds. A day has 24 hours.
///
/// # Errors
/// [`Code::Usage`] for anything else, for negative durations and for units whose length depends on
/// the calendar.
pub fn parse_duration(option: &str, text: &str) -> Result<Duration> {
    let text = text.trim();
    // As `sleep` and `timeout` read them.
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let wrong = |problem: &str| {
        let sentence = format!("{option} {text:?} is no duration{problem}");
        Error::new(Code::Usage, sentence).hint("write it like 24h, 1h30m, 90s or 500ms")
    };
    let span = SpanParser::new()
        .parse_span(text)
        .map_err(|error| wrong("").because(error))?;
    if span.is_negative() {
        return Err(wrong(": it is negative"));
    }
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(wrong(": the length of a month or a year varies"));
    }
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|error| wrong("").because(error))?;
    Duration::try_from(duration).map_err(|error| wrong("").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_understood() {
        for (text, milliseconds) in [
            ("24h", 86_400_000),
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("90 minutes", 5_400_000),
            ("1.5h", 5_400_000),
            ("2 days", 172_800_000),
            ("1w", 604_800_000),
            ("250ms", 250),
            ("45", 45_000),
            (" 0 ", 0),
            ("0s", 0),
        ] {
            let duration = parse_duration("--max-time", text).expect(text);
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_by_the_option_s_name() {
        for text in [
            "",
            "h",
            "ten",
            "-5s",
            "5s ago",
            "-5",
            "1.5",
            "1mo",
            "2 years",
            "10x",
            "1h30",
            "99999999999999999999s",
        ] {
            let error = parse_duration("--max-time", text).expect_err(text);
            assert_eq!(error.code(), Code::Usage, "{text}");
            assert!(error.sentence().contains("--max-time"), "{error}");
            assert!(error.hint_text().is_some());
        }
    }
}
