#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests count small things"
)]

use super::*;
use crate::Result;
use crate::document::bson::RawDocument;
use crate::index::extract::Extraction;
use crate::index::sort::{SortPool, SpillFile};
use crate::index::{EntrySum, IndexDefinition, IndexKind};
use crate::v2::btree::testing::{Pages, SpillDir};
use crate::v2::btree::{PageSource, TreeIds};
use crate::v2::rtree::RTreeSummary;
use crate::v2::{DocumentAddress, PageBytes, PageId, SlotNumber};
use proptest::prelude::*;
use serde_json::Value;
use std::cell::Cell;

const IDS: TreeIds = TreeIds {
    index_id: 3,
    collection_id: 8,
};

/// Cases in which the format departs from LauraDB, which indexes numbers that are not finite.
const DEPARTURES: [(&str, &str); 3] = [
    ("nan", "index_2d"),
    ("nan", "index_2dsphere"),
    ("inf", "index_2d"),
];

fn golden() -> Value {
    let path = format!(
        "{}/fixtures/laura/geo/geo.golden.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn extractor(kind: IndexKind) -> PointExtractor {
    let definition = IndexDefinition {
        kind,
        fields: vec!["loc".to_owned()],
        ..IndexDefinition::id_index()
    };
    PointExtractor::new(&definition, None).unwrap()
}

fn value(json: &Value) -> bson::Bson {
    match json {
        Value::Object(object) if object.contains_key("$goType") => bson::Bson::Null,
        Value::Object(object) => {
            let number = |key: &str| object.get(key)?.as_str();
            if let Some(text) = number("$numberDouble") {
                return text
                    .replace("Infinity", "inf")
                    .parse::<f64>()
                    .unwrap()
                    .into();
            }
            if let Some(text) = number("$numberLong") {
                return text.parse::<i64>().unwrap().into();
            }
            if let Some(text) = number("$numberInt") {
                return text.parse::<i32>().unwrap().into();
            }
            let fields = object.iter();
            bson::Bson::Document(
                fields
                    .map(|(name, json)| (name.clone(), value(json)))
                    .collect(),
            )
        }
        Value::Array(array) => bson::Bson::Array(array.iter().map(value).collect()),
        Value::String(text) => text.clone().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Null => bson::Bson::Null,
        Value::Number(number) => number.as_f64().unwrap().into(),
    }
}

#[test]
fn points_are_those_of_laura_db_but_for_the_departures() {
    let mut departures = Vec::new();
    for case in golden()["points"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let document = bson::doc! {"loc": value(&case["value"])};
        let bytes = document.to_vec().unwrap();
        for (kind, field) in [
            (IndexKind::Geo2d, "index_2d"),
            (IndexKind::Geo2dSphere, "index_2dsphere"),
        ] {
            let (extraction, point) = extractor(kind).extract(RawDocument::trusted(&bytes));
            let indexed = case["parse"] == "ok" && case[field] == "ok";
            if indexed != (extraction == Extraction::Key) {
                departures.push((name.to_owned(), field.to_owned()));
                continue;
            }
            if indexed {
                let number = |key: &str| case[key].as_str().unwrap().parse::<f64>().unwrap();
                let (x, y) = (number("lon"), number("lat"));
                assert_eq!(point, Some(Point { x, y }), "{name}");
            } else {
                assert_eq!(
                    (extraction, point),
                    (Extraction::Unindexable, None),
                    "{name}"
                );
            }
        }
    }
    let expected = DEPARTURES.map(|(name, field)| (name.to_owned(), field.to_owned()));
    assert_eq!(departures, expected);
}

#[test]
fn legacy_arrays_and_missing_fields_give_no_entry() {
    let extract = |document: bson::Document| {
        let bytes = document.to_vec().unwrap();
        extractor(IndexKind::Geo2d)
            .extract(RawDocument::trusted(&bytes))
            .0
    };
    assert_eq!(
        extract(bson::doc! {"loc": [1.0, 2.0]}),
        Extraction::Unindexable
    );
    assert_eq!(
        extract(bson::doc! {"loc": bson::Bson::Null}),
        Extraction::Unindexable
    );
    assert_eq!(extract(bson::doc! {"x": 1}), Extraction::Missing);
}

#[test]
fn distances_are_those_of_laura_db() {
    let point = |value: &Value| Point {
        x: value[0].as_f64().unwrap(),
        y: value[1].as_f64().unwrap(),
    };
    for case in golden()["distances"].as_array().unwrap() {
        let (from, to) = (point(&case["from"]), point(&case["to"]));
        let metres = case["haversine_m"].as_f64().unwrap();
        assert!(
            (haversine_metres(from, to) / metres - 1.0).abs() < 1e-12,
            "{case}"
        );
        let expected = case["planar"].as_f64().unwrap();
        assert!((planar(from, to) - expected).abs() < 1e-12, "{case}");
    }
}

/// Documents of one point each.
struct Scatter(Vec<Point>);

fn address(n: usize) -> DocumentAddress {
    DocumentAddress {
        page: PageId(n as u32 / 50 + 1),
        slot: SlotNumber((n % 50) as u16),
    }
}

impl Points for Scatter {
    fn point(&self, at: DocumentAddress) -> Result<Point> {
        let n = (at.page.0 as usize).wrapping_sub(1).wrapping_mul(50) + at.slot.0 as usize;
        let point = self.0.get(n).copied();
        point.ok_or_else(|| crate::Error::new(crate::Code::PageDamaged, "no such document"))
    }
}

/// Counts the pages that are read.
struct Counted(Pages, Cell<u32>);

impl PageSource for Counted {
    fn page(&self, id: PageId) -> Result<Box<PageBytes>> {
        self.1.set(self.1.get() + 1);
        self.0.page(id)
    }

    fn page_count(&self) -> u32 {
        self.0.page_count()
    }
}

fn random(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

impl Scatter {
    /// Clusters, a grid of equal points, and the corners of the world.
    fn new(count: usize) -> Self {
        let mut state = 88_172_645_463_325_252;
        let mut random = || random(&mut state);
        let mut points = vec![
            Point { x: 180.0, y: 90.0 },
            Point {
                x: -180.0,
                y: -90.0,
            },
            Point { x: -0.0, y: 0.0 },
            Point { x: 0.0, y: -0.0 },
        ];
        while points.len() < count {
            let (x, y) = (random() * 360.0 - 180.0, random() * 180.0 - 90.0);
            points.push(match points.len() % 4 {
                0 => Point {
                    x: x.round(),
                    y: y.round(),
                },
                1 => Point {
                    x: x / 90.0 + 14.0,
                    y: y / 90.0 + 50.0,
                },
                _ => Point { x, y },
            });
        }
        points.truncate(count);
        Self(points)
    }

    fn sum(&self) -> EntrySum {
        let mut sum = EntrySum::default();
        for (n, point) in self.0.iter().enumerate() {
            sum.add(point_hash(*point, address(n)));
        }
        sum
    }

    fn build(&self, budget: usize) -> (Pages, RTreeSummary) {
        let directory = SpillDir::new();
        let file = std::sync::Mutex::new(Some(directory.create().unwrap()));
        let spill = SpillFile::new(move || Ok(file.lock().unwrap().take().unwrap()));
        let mut pool = SortPool::new(budget, spill);
        let sorter = pool.add_index();
        let mut key = PointKey::default();
        for (n, point) in self.0.iter().enumerate() {
            pool.push(sorter, key.set(*point), address(n)).unwrap();
        }
        let mut pages = Pages::starting_at(3);
        let builder = GeoIndexBuilder::new(&mut pages, IDS);
        let count = self.0.len() as u64;
        let summary = builder
            .finish(&mut pool, (sorter, count), |_| Ok(true), |_| Ok(()))
            .unwrap();
        (pages, summary)
    }

    fn within(&self, min: Point, max: Point) -> Vec<DocumentAddress> {
        let points = self.0.iter().enumerate();
        points
            .filter(|(_, point)| {
                min.x <= point.x && point.x <= max.x && min.y <= point.y && point.y <= max.y
            })
            .map(|(n, _)| address(n))
            .collect()
    }

    fn near(
        &self,
        center: Point,
        most: f64,
        distance: fn(Point, Point) -> f64,
    ) -> Vec<(DocumentAddress, f64)> {
        let points = self.0.iter().enumerate();
        let mut all: Vec<_> = points
            .map(|(n, point)| (address(n), distance(center, *point)))
            .filter(|(_, distance)| *distance <= most)
            .collect();
        all.sort_by(|left, right| left.1.total_cmp(&right.1).then(left.0.cmp(&right.0)));
        all
    }
}

fn check(pages: &Pages, summary: RTreeSummary) -> Result<EntrySum> {
    let recorded = RTreeSummary::recorded(summary.root, summary.order, &summary.statistics());
    let mut checker = GeoIndexChecker::new(recorded.unwrap(), IDS);
    for (at, page) in pages.0.iter().enumerate().skip(3) {
        checker.page(PageId(at as u32), page)?;
    }
    let (found, sum) = checker.finish()?;
    assert_eq!(found, summary);
    Ok(sum)
}

#[test]
fn trees_of_all_sizes_have_all_points() {
    for count in [0, 1, 2, 125, 126, 127, 252, 253, 126 * 168, 126 * 168 + 1] {
        let scatter = Scatter::new(count);
        let (pages, summary) = scatter.build(16 << 20);
        assert_eq!(check(&pages, summary).unwrap(), scatter.sum(), "{count}");
        let leaves = count.div_ceil(126);
        assert_eq!(summary.leaf_nodes as usize, leaves);
        assert_eq!(summary.page_count() as usize, pages.0.len() - 3);
        let height = [0, 1, 2, 3]
            [usize::from(leaves > 0) + usize::from(leaves > 1) + usize::from(leaves > 168)];
        assert_eq!(summary.height, height, "{count}");
        let statistics = summary.statistics();
        assert_eq!(statistics.unique_keys, count as u64);
        assert_eq!(statistics.min_key.is_empty(), count == 0);
    }
    let (_, summary) = Scatter::new(2).build(16 << 20);
    let statistics = summary.statistics();
    assert_eq!(statistics.min_key, "[-180.0,-90.0]");
    assert_eq!(statistics.max_key, "[180.0,90.0]");
    assert_eq!((summary.order, statistics.cardinality), (3, 1.0));
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let (pages, summary) = Scatter(vec![Point { x: 1.0, y: -2.0 }]).build(1 << 20);
    assert_eq!(summary.root, PageId(3));
    let page = &pages.0[3];
    assert_eq!(page[16..32], [0; 16]);
    let bounds = [0, 0, 128, 63, 0, 0, 0, 192, 0, 0, 128, 63, 0, 0, 0, 192];
    assert_eq!(page[32..44], [1, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(page[44..60], bounds);
    assert_eq!(page[60..64], [0; 4]);
    assert_eq!(page[64..80], bounds);
    assert_eq!(
        page[80..96],
        [8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert!(page[96..].iter().all(|byte| *byte == 0));
}

#[test]
fn the_budget_never_shows_in_the_pages() {
    let scatter = Scatter::new(30_000);
    let (roomy, summary) = scatter.build(64 << 20);
    let (tight, again) = scatter.build(200 << 10);
    assert!(roomy.0 == tight.0);
    assert_eq!(summary, again);
}

#[test]
fn box_queries_equal_a_linear_scan_and_read_few_pages() {
    let scatter = Scatter::new(60_000);
    let (pages, summary) = scatter.build(64 << 20);
    let source = Counted(pages, Cell::new(0));
    let reader = GeoReader::new(&source, summary.root, IDS, IndexKind::Geo2d, &scatter);
    let mut state = 7;
    for n in 0..200 {
        let size = [0.0, 0.01, 1.0, 20.0][n % 4];
        // Corners on points, so that borders count.
        let at = scatter.0[(random(&mut state) * 60_000.0) as usize];
        let max = Point {
            x: at.x + size,
            y: at.y + size,
        };
        source.1.set(0);
        let found = reader.within_box(at, max).unwrap();
        assert!(!found.is_empty());
        assert!(found == scatter.within(at, max), "{at:?} {size}");
        if size <= 0.01 {
            assert!(source.1.get() < 30, "{} pages", source.1.get());
        }
    }
    let world = reader.within_box(
        Point {
            x: -180.0,
            y: -90.0,
        },
        Point { x: 180.0, y: 90.0 },
    );
    assert_eq!(world.unwrap().len(), 60_000);
}

#[test]
#[ignore = "a million points; in release mode"]
fn a_million_points_equal_a_linear_scan() {
    let scatter = Scatter::new(1_000_000);
    let start = std::time::Instant::now();
    let (pages, summary) = scatter.build(32 << 20);
    eprintln!("built in {:?}: {summary:?}", start.elapsed());
    let start = std::time::Instant::now();
    assert_eq!(check(&pages, summary).unwrap(), scatter.sum());
    eprintln!("checked in {:?}", start.elapsed());
    let source = Counted(pages, Cell::new(0));
    let reader = GeoReader::new(&source, summary.root, IDS, IndexKind::Geo2d, &scatter);
    let mut state = 7;
    for n in 0..100 {
        let size = [0.01, 0.1, 1.0, 10.0][n % 4];
        let at = scatter.0[(random(&mut state) * 1e6) as usize];
        let max = Point {
            x: at.x + size,
            y: at.y + size,
        };
        source.1.set(0);
        let found = reader.within_box(at, max).unwrap();
        if n < 8 {
            eprintln!(
                "size {size}: {} found, {} pages read",
                found.len(),
                source.1.get()
            );
        }
        assert!(found == scatter.within(at, max));
    }
}

#[test]
fn the_nearest_equal_a_linear_scan() {
    let scatter = Scatter::new(5_000);
    let (pages, summary) = scatter.build(64 << 20);
    let centers = [
        (14.4, 50.1),
        (179.9, 0.3),
        (0.0, 90.0),
        (-180.0, -45.0),
        (3.0, -89.5),
    ];
    for (kind, distance, most) in [
        (IndexKind::Geo2d, planar as fn(Point, Point) -> f64, 9.0),
        (IndexKind::Geo2dSphere, haversine_metres, 900_000.0),
    ] {
        let reader = GeoReader::new(&pages, summary.root, IDS, kind, &scatter);
        for (x, y) in centers {
            let center = Point { x, y };
            let all = scatter.near(center, f64::INFINITY, distance);
            assert_eq!(reader.near(center, f64::INFINITY, 40).unwrap(), all[..40]);
            let expected = scatter.near(center, most, distance);
            assert!(expected.len() > 2 && expected.len() < 5_000);
            assert_eq!(reader.near(center, most, usize::MAX).unwrap(), expected);
        }
    }
}

#[test]
fn every_changed_byte_is_found() {
    let scatter = Scatter::new(300);
    let (pages, summary) = scatter.build(1 << 20);
    for at in 3..pages.0.len() {
        for offset in (16..4096).step_by(7) {
            let mut damaged = pages.clone();
            damaged.0[at][offset] ^= 0x10;
            damaged.reseal(at);
            let passes = check(&damaged, summary).is_ok_and(|sum| sum == scatter.sum());
            assert!(!passes, "page {at} byte {offset}");
        }
    }
}

#[test]
fn a_node_that_is_its_own_child_ends_in_an_error() {
    let scatter = Scatter::new(300);
    let (mut pages, summary) = scatter.build(1 << 20);
    let root = summary.root.0 as usize;
    // The child of the root's first entry.
    pages.0[root][80..84].copy_from_slice(&summary.root.0.to_le_bytes());
    pages.reseal(root);
    let reader = GeoReader::new(&pages, summary.root, IDS, IndexKind::Geo2d, &scatter);
    let far = Point { x: 1e9, y: 1e9 };
    let error = reader
        .within_box(Point { x: -1e9, y: -1e9 }, far)
        .unwrap_err();
    assert!(error.sentence().contains("below its parent"), "{error}");
    assert!(check(&pages, summary).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn hostile_pages_never_panic(
        changes in proptest::collection::vec((0_usize..40, 16_usize..400, any::<u8>()), 1..20),
    ) {
        static BUILT: std::sync::LazyLock<(Scatter, Vec<PageBytes>, RTreeSummary)> =
            std::sync::LazyLock::new(|| {
                let scatter = Scatter::new(3_000);
                let (pages, summary) = scatter.build(1 << 20);
                (scatter, pages.0, summary)
            });
        let (scatter, pages, summary) = &*BUILT;
        let mut pages = Pages(pages.clone());
        for (page, offset, byte) in changes {
            let page = 3 + page % (pages.0.len() - 3);
            pages.0[page][offset] = byte;
            pages.reseal(page);
        }
        let _ = check(&pages, *summary);
        let reader = GeoReader::new(&pages, summary.root, IDS, IndexKind::Geo2dSphere, scatter);
        let _ = reader.within_box(Point { x: -20.0, y: -20.0 }, Point { x: 40.0, y: 40.0 });
        let _ = reader.near(Point { x: 14.0, y: 50.0 }, 1e6, 50);
    }
}
