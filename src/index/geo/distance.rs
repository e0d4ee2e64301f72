//! Distances as LauraDB measures them, and the least that bounds can be away.

use super::point::Point;
use crate::v2::rtree::Rect;

/// Metres.
const EARTH_RADIUS: f64 = 6_371_000.0;
/// Near the antipodes, the formula below is off by some decimetres.
const EARTH_SLACK: f64 = 1.0;

/// Distance in the plane.
#[must_use]
pub fn planar(from: Point, to: Point) -> f64 {
    (to.x - from.x).hypot(to.y - from.y)
}

/// Distance in metres along a great circle.
#[must_use]
pub fn haversine_metres(from: Point, to: Point) -> f64 {
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin();
    let (dy, dx) = (half_sine(to.y - from.y), half_sine(to.x - from.x));
    let cosines = from.y.to_radians().cos() * to.y.to_radians().cos();
    let square = (dy * dy + cosines * dx * dx).clamp(0.0, 1.0);
    2.0 * EARTH_RADIUS * square.sqrt().atan2((1.0 - square).sqrt())
}

/// How far a value is outside of an interval.
fn gap(value: f64, min: f32, max: f32) -> f64 {
    let (below, above) = (f64::from(min) - value, value - f64::from(max));
    below.max(above).max(0.0)
}

/// No point in the bounds is nearer in the plane.
pub(super) fn least_planar(from: Point, bounds: Rect) -> f64 {
    let dx = gap(from.x, bounds.min_x, bounds.max_x);
    let dy = gap(from.y, bounds.min_y, bounds.max_y);
    dx.hypot(dy) * (1.0 - 1e-12)
}

/// No point in the bounds is nearer on the earth.
///
/// Two bounds that hold whatever else does: the way north or south, and the way to the nearest
/// meridian of the bounds, or to the pole where that is nearer.
pub(super) fn least_haversine(from: Point, bounds: Rect) -> f64 {
    let (min, max) = (f64::from(bounds.min_x), f64::from(bounds.max_x));
    let turns = [-360.0, 0.0, 360.0];
    let east_west = turns.map(|turn| (min - from.x - turn).max(from.x + turn - max).max(0.0));
    let degrees = east_west.into_iter().fold(90.0, f64::min).to_radians();
    let meridian = (from.y.to_radians().cos() * degrees.sin())
        .clamp(-1.0, 1.0)
        .asin();
    let parallel = gap(from.y, bounds.min_y, bounds.max_y).to_radians();
    (meridian.max(parallel) * EARTH_RADIUS * (1.0 - 1e-9) - EARTH_SLACK).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_point_is_nearer_than_its_bounds(
            from in (-180.0..=180.0, -90.0..=90.0),
            one in (-180.0..=180.0, -90.0..=90.0),
            two in (-180.0..=180.0, -90.0..=90.0),
            at in (0.0..=1.0, 0.0..=1.0),
        ) {
            let bounds = Rect::around(one.0, one.1).union(Rect::around(two.0, two.1));
            let to = Point {
                x: one.0 + (two.0 - one.0) * at.0,
                y: one.1 + (two.1 - one.1) * at.1,
            };
            let from = Point { x: from.0, y: from.1 };
            prop_assert!(least_planar(from, bounds) <= planar(from, to) + 1e-9);
            prop_assert!(least_haversine(from, bounds) <= haversine_metres(from, to));
        }
    }
}
