//! Bounding rectangles of 32-bit floats.

use super::RECT_BYTES;
use crate::bytes::get_f32;

/// A rectangle with its border; of finite or infinite bounds, never NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(into = "[u8; RECT_BYTES]", try_from = "[u8; RECT_BYTES]")]
pub struct Rect {
    /// Least x.
    pub min_x: f32,
    /// Least y.
    pub min_y: f32,
    /// Greatest x.
    pub max_x: f32,
    /// Greatest y.
    pub max_y: f32,
}

// As bytes, since JSON has no infinity.
impl From<Rect> for [u8; RECT_BYTES] {
    fn from(rect: Rect) -> Self {
        rect.encode()
    }
}

impl TryFrom<[u8; RECT_BYTES]> for Rect {
    type Error = &'static str;

    fn try_from(bytes: [u8; RECT_BYTES]) -> Result<Self, Self::Error> {
        Self::decode(&bytes).ok_or("bounds that no node has")
    }
}

/// The nearest 32-bit floats at or below, and at or above.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding, whose direction is corrected"
)]
fn outward(value: f64) -> (f32, f32) {
    // Adding zero makes a negative zero positive, so that equal bounds have equal bytes.
    let nearest = value as f32 + 0.0;
    let back = f64::from(nearest);
    if back > value {
        (nearest.next_down() + 0.0, nearest)
    } else if back < value {
        (nearest, nearest.next_up() + 0.0)
    } else {
        (nearest, nearest)
    }
}

impl Rect {
    /// The smallest one that has the point.
    #[must_use]
    pub fn around(x: f64, y: f64) -> Self {
        let ((min_x, max_x), (min_y, max_y)) = (outward(x), outward(y));
        Self {
            min_x,
            min_y,
            max_x,
            max_y,
        }
    }

    /// The smallest one that has both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            min_x: self.min_x.min(other.min_x),
            min_y: self.min_y.min(other.min_y),
            max_x: self.max_x.max(other.max_x),
            max_y: self.max_y.max(other.max_y),
        }
    }

    /// The middle; finite unless a bound is not.
    #[must_use]
    pub fn center(self) -> (f64, f64) {
        let middle = |min: f32, max: f32| {
            let middle = f64::from(min).midpoint(f64::from(max));
            // Between minus and plus infinity.
            if middle.is_nan() { 0.0 } else { middle }
        };
        (
            middle(self.min_x, self.max_x),
            middle(self.min_y, self.max_y),
        )
    }

    /// The 16 bytes that nodes hold.
    #[must_use]
    pub fn encode(self) -> [u8; RECT_BYTES] {
        let mut bytes = [0; RECT_BYTES];
        let values = [self.min_x, self.min_y, self.max_x, self.max_y];
        for (field, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *field = value.to_le_bytes();
        }
        bytes
    }

    /// Reads 16 bytes; `None` if they are too few, or a bound is NaN or on the wrong side.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rect = Self {
            min_x: get_f32(bytes, 0)?,
            min_y: get_f32(bytes, 4)?,
            max_x: get_f32(bytes, 8)?,
            max_y: get_f32(bytes, 12)?,
        };
        (rect.min_x <= rect.max_x && rect.min_y <= rect.max_y).then_some(rect)
    }
}

/// A corner as JSON, as index statistics have it.
pub(super) fn corner_json(x: f32, y: f32) -> String {
    let number = |value: f32| match serde_json::Number::from_f64(value.into()) {
        Some(number) => number.to_string(),
        None if value > 0.0 => "\"Infinity\"".to_owned(),
        None => "\"-Infinity\"".to_owned(),
    };
    format!("[{},{}]", number(x), number(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_lie_outside_of_what_32_bits_cannot_hold() {
        let rect = Rect::around(14.4, -1e308);
        assert!(f64::from(rect.min_x) < 14.4 && f64::from(rect.max_x) > 14.4);
        assert_eq!((rect.min_y, rect.max_y), (f32::NEG_INFINITY, f32::MIN));
        assert_eq!(
            Rect::around(-0.0, 0.5).encode(),
            Rect::around(0.0, 0.5).encode()
        );
        let tiny = Rect::around(1e-300, -1e-300);
        assert!(tiny.min_x == 0.0 && tiny.max_x > 0.0 && tiny.min_y < 0.0);
        assert_eq!(tiny.max_y.to_bits(), 0);
        assert_eq!(corner_json(0.5, f32::NEG_INFINITY), "[0.5,\"-Infinity\"]");
    }

    proptest! {
        #[test]
        fn bounds_contain_their_point_and_no_tighter_ones_do(x: f64, y: f64) {
            prop_assume!(x.is_finite() && y.is_finite());
            let rect = Rect::around(x, y);
            prop_assert!(f64::from(rect.min_x) <= x && x <= f64::from(rect.max_x));
            prop_assert!(f64::from(rect.min_y) <= y && y <= f64::from(rect.max_y));
            prop_assert!(rect.min_x == rect.max_x || rect.min_x.next_up() >= rect.max_x);
            prop_assert_eq!(Rect::decode(&rect.encode()), Some(rect));
        }
    }
}
