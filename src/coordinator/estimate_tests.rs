//! Estimates against the files that a migration makes of the same directory.

use super::*;
use crate::coordinator::check;
use crate::coordinator::context::Context;
use crate::coordinator::directories::Directories;
use crate::coordinator::{Interrupt, Migration};
use crate::files::Gate;
use crate::layout::{DATA_FILE, METADATA_FILE};
use crate::options::Options;
use crate::progress::{Tracker, Unwatched};
use generate::Shape;

#[path = "../../examples/generate/mod.rs"]
#[allow(dead_code, reason = "not every test asks for everything")]
mod generate;

/// A source directory of that many documents, with the indexes that the shape is made for.
fn source(shape: Shape, docs: u64, collections: u64, wal_ops: u64) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    generate::run(&generate::Options {
        dir: directory.path().to_path_buf(),
        docs,
        collections,
        shape,
        seed: 3,
        wal_ops,
        wal_transactions: false,
        indexes: None,
        pages: false,
        database: "seed".to_owned(),
        timestamp: "2025-01-15T10:30:00Z".to_owned(),
    })
    .unwrap();
    directory
}

/// The estimate from a sample of so many chunks.
fn estimate(options: &Options, chunks: u64) -> SpaceEstimate {
    let directories = Directories::open(options, &Gate::open()).unwrap();
    let mut sink = Unwatched;
    let mut context = Context::new(options, Tracker::new(&mut sink), Interrupt::default());
    let (plan, _) = check::run(&mut context, &directories).unwrap();
    let wal = plan.overlay.as_ref().zip(plan.wal_summary.as_ref());
    let (file, collections) = (plan.snapshot.as_ref(), &plan.collections);
    let sampler = Sampler::new(collections, plan.infer_types, chunks);
    sampler.estimate(file, collections, wal).unwrap()
}

/// Sizes of `data.db` and `metadata.db`.
fn migrate(options: &Options) -> (u64, u64) {
    let target = tempfile::tempdir().unwrap();
    let mut options = options.clone();
    options.target = Some(target.path().to_path_buf());
    Migration::new(options).run(&mut Unwatched).unwrap();
    let size = |name| std::fs::metadata(target.path().join(name)).unwrap().len();
    (size(DATA_FILE), size(METADATA_FILE))
}

#[test]
fn estimates_are_upper_bounds_and_not_silly() {
    for (shape, docs, collections, wal_ops, chunks) in [
        (Shape::Seed, 12_000, 1, 0, 64),
        (Shape::Seed, 12_000, 1, 0, 3),
        (Shape::Seed, 12_000, 7, 0, 3),
        (Shape::Seed, 10_000, 3, 2_000, 3),
        (Shape::Rich, 2_500, 1, 0, 64),
        (Shape::Rich, 2_500, 1, 0, 3),
        (Shape::Rich, 2_500, 3, 500, 3),
    ] {
        let source = source(shape, docs, collections, wal_ops);
        let options = Options::new(source.path());
        let estimate = estimate(&options, chunks);
        let (data, metadata) = migrate(&options);
        let case = format!("{docs} documents, {collections} collections, {wal_ops} in the log");
        assert_eq!(estimate.metadata, metadata, "{case}");
        // What the log replaces counts twice.
        let most = if wal_ops == 0 {
            data * 13 / 10
        } else {
            data * 16 / 10
        };
        let figures = format!("{case}: {} estimated, {data} written", estimate.data);
        assert!((data..=most).contains(&estimate.data), "{figures}");
        let everything = estimate.work_directory();
        assert!(
            estimate.sort_runs > 0 && everything > estimate.data,
            "{figures}"
        );
    }
}

#[test]
fn collections_that_the_sample_did_not_reach_are_taken_for_the_costliest() {
    let source = source(Shape::Rich, 1_000, 1, 0);
    let options = Options::new(source.path());
    let directories = Directories::open(&options, &Gate::open()).unwrap();
    let mut sink = Unwatched;
    let mut context = Context::new(&options, Tracker::new(&mut sink), Interrupt::default());
    let (plan, _) = check::run(&mut context, &directories).unwrap();
    let mut twice = plan.collections.clone();
    twice.extend(plan.collections.clone());
    let mut sampler = Sampler::new(&twice, plan.infer_types, 64);
    let mut sampled: Vec<Sample> = twice.iter().map(Sample::new).collect();
    let file = plan.snapshot.as_ref().unwrap();
    sampler
        .collection(file, &twice[0], &mut sampled[0])
        .unwrap();
    let costliest = Costs::costliest(&sampled);
    let bytes = |sample: &Sample| {
        let mut estimate = SpaceEstimate::default();
        estimate.add_snapshot(&twice[0], sample, &costliest);
        estimate.data
    };
    let (known, unknown) = (bytes(&sampled[0]), bytes(&sampled[1]));
    assert!(
        (known..=known * 12 / 10).contains(&unknown),
        "{known} {unknown}"
    );
}

#[test]
fn nothing_needs_next_to_nothing() {
    let estimate = SpaceEstimate::sample(None, &[], None, InferTypes::default(), true).unwrap();
    assert_eq!(estimate.data, 0);
    assert!(estimate.work_directory() < 4 << 20);
}
