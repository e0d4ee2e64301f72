//! Numbers as people read them.

use std::fmt::Display;

/// A number and what it counts: `1 document`, `2 documents`.
pub(super) fn counted(count: impl Display, one: &str, more: &str) -> String {
    let count = count.to_string();
    let noun = if count == "1" { one } else { more };
    format!("{count} {noun}")
}

pub(super) fn documents(count: impl Display) -> String {
    counted(count, "document", "documents")
}

pub(super) fn collections(count: impl Display) -> String {
    counted(count, "collection", "collections")
}

pub(super) fn indexes(count: impl Display) -> String {
    counted(count, "index", "indexes")
}

/// A number in at most four columns: `9999`, `12k`, `804k`, `1.2M`.
pub(super) fn short(count: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1000, "k"),
    ];
    if count < 10_000 {
        return count.to_string();
    }
    for (size, unit) in UNITS {
        let (whole, tenth) = (count / size, count % size * 10 / size);
        match whole {
            0 => {}
            1..10 => return format!("{whole}.{tenth}{unit}"),
            _ => return format!("{whole}{unit}"),
        }
    }
    count.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_one_is_singular() {
        assert_eq!(
            [0, 1, 2].map(indexes),
            ["0 indexes", "1 index", "2 indexes"]
        );
    }

    #[test]
    fn short_numbers_take_at_most_four_columns() {
        let texts = [
            0, 9999, 10_000, 12_345, 804_078, 999_999, 1_000_000, 12_340_000,
        ];
        let expected = ["0", "9999", "10k", "12k", "804k", "999k", "1.0M", "12M"];
        assert_eq!(texts.map(short), expected);
        assert!((0..15).all(|power| short(10_u64.pow(power) * 9).len() <= 4));
    }
}
