//! Geo indexes: points in the plane (2d) and on the earth (2dsphere).
//!
//! ```text
//! document ─ PointExtractor ─→ (x, y) ─ PointKey ─→ sort by x
//!          ─ GeoIndexBuilder: slices of x, each sorted by y ─→ R-tree, leaves first
//! ```

mod build;
mod check;
mod distance;
mod point;
mod record;
mod search;
#[cfg(test)]
mod tests;

pub use build::GeoIndexBuilder;
pub use check::{GeoIndexChecker, entry_hash, point_hash};
pub use distance::{haversine_metres, planar};
pub use point::{Point, PointExtractor};
pub use record::PointKey;
pub use search::{GeoReader, Points};
