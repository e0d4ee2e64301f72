//! Validation: one directory checked, or two checked and compared. Locks, options and progress are
//! here; what is checked and how is in [`crate::validate`].

use super::check::OVERLAY_SHARE;
use super::context::Context;
use super::lock;
use super::receipt::Receipt;
use super::{Migration, open_files};
use crate::files::{Dir, EntryKind, InputFile, Sharing};
use crate::index::SkipIndexes;
use crate::layout;
use crate::options::{Mode, Options, Verification};
use crate::problems::{Problem, Problems};
use crate::progress::{Phase, ProgressSink, Totals, Tracker};
use crate::report::{Outcome, Report, Verified, Warning};
use crate::source::{self, SourceKind, V1Options};
use crate::v1::discover;
use crate::v1::selection::Selection;
use crate::validate::{
    self, PublishedFile, PublishedFiles, Resources, Side, SideInput, TemporaryRuns, Validation,
};
use crate::version::{self, DirectoryVersion};
use crate::{Code, Error, Place, Result};

/// A directory to validate, locked.
struct Target {
    dir: Dir,
    /// `None` where its check will tell why.
    kind: Option<SourceKind>,
    receipt: Option<Receipt>,
    problems: Problems,
}

impl Migration {
    /// Checks the source, and if a target is named, checks and compares it as well.
    pub(super) fn validate(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        let validated = self.validate_sides(sink);
        validated.map_err(|error| match error.code() {
            Code::Cancelled => error.hint("run the same command again; it begins anew"),
            _ => error,
        })
    }

    fn validate_sides(&self, sink: &mut dyn ProgressSink) -> Result<Report> {
        let options = &self.options;
        let left = Target::open(self, &options.source)?;
        let mut right = match &options.target {
            Some(path) => Some(Target::open(self, path)?),
            None => None,
        };
        if let Some(right) = &right {
            left.check_other(right)?;
        }
        let options = filled(options, &left, right.as_ref());
        let mut warnings: Vec<Warning> = Vec::new();
        for target in std::iter::once(&left).chain(&right) {
            let hidden = target.refuse_writers(&options)?;
            // Both sides say the same of other users' processes.
            let hidden = hidden.filter(|warning| !warnings.contains(warning));
            warnings.extend(hidden);
        }
        let mut context = Context::new(&options, Tracker::new(sink), self.interrupt.clone());
        let totals = Totals {
            bytes: left.bytes()? + right.as_ref().map_or(Ok(0), Target::bytes)?,
            ..Totals::default()
        };
        context
            .tracker
            .start_phase(Phase::Check, totals, Totals::default());
        let temporary = Dir::open(&options.temp_dir, self.gate.clone())
            .map_err(|error| error.hint("name a directory that is there with --temp-dir DIR"))?;
        let mut advance = |bytes, documents| context.advance(bytes, documents);
        let mut resources = Resources::new(
            options.memory,
            TemporaryRuns::new(temporary),
            options.verification,
            &mut advance,
        );
        let skip = left.compared_skips(&options, right.as_ref())?;
        // Reading a v1 side leaves out what is not taken.
        let has_v1 = std::iter::once(&left)
            .chain(&right)
            .any(|side| side.kind == Some(SourceKind::V1));
        let selection = match has_v1 {
            true => Selection::default(),
            false => Selection::parse(&self.options.collections, &self.options.excluded)?,
        };
        let left_v1 = left.v1_options(&options, right.as_ref(), true);
        let right_v1 = right.as_ref().map(|right| {
            right.v1_options(&options, Some(&left), left.kind != Some(SourceKind::V1))
        });
        let left = validate::check(left.input(left_v1), &mut resources)?;
        let right = match (right.take(), right_v1) {
            (Some(right), Some(v1)) => Some(validate::check(right.input(v1), &mut resources)?),
            _ => None,
        };
        let comparison = match &right {
            Some(right) => Some(validate::compare(
                &left,
                right,
                &skip,
                &selection,
                &mut resources,
            )?),
            None => None,
        };
        let validation = result(&options, left, right, comparison);
        let mut report = report(&options, validation, warnings);
        context.tracker.end_phase(Phase::Check);
        report.phases = context.tracker.phases();
        Ok(report)
    }
}

fn result(
    options: &Options,
    left: Side,
    right: Option<Side>,
    comparison: Option<validate::Comparison>,
) -> Validation {
    Validation {
        left: left.outcome,
        right: right.map(|right| right.outcome),
        comparison,
        sample: match options.verification {
            Verification::Sample(rate) => Some(rate),
            Verification::All | Verification::None => None,
        },
    }
}

fn report(options: &Options, validation: Validation, warnings: Vec<Warning>) -> Report {
    let path = options.target.as_ref().unwrap_or(&options.source);
    let mut report = Report::nothing(Outcome::Validated, path.clone());
    report.mode = Mode::Validate;
    report.warnings = warnings;
    for side in std::iter::once(&validation.left).chain(&validation.right) {
        report.warnings.extend(side.warnings.iter().cloned());
    }
    report.source_version = match validation.left.kind {
        Some("v1") => Some("1.0"),
        Some("v2") => Some("2.0"),
        _ => None,
    };
    report.verified = validation.sample.map_or(Verified::All, Verified::Sample);
    report.validation = Some(validation);
    report
}

/// The options, with those that were not given as they are in the receipt of a v2 side, for the
/// sake of a v1 side.
fn filled(options: &Options, left: &Target, right: Option<&Target>) -> Options {
    let mut filled = options.clone();
    let Some(right) = right else {
        return filled;
    };
    let v2 = match (left.kind, right.kind) {
        (Some(SourceKind::V2), Some(SourceKind::V1)) => left,
        (Some(SourceKind::V1), Some(SourceKind::V2)) => right,
        _ => return filled,
    };
    if let Some(receipt) = &v2.receipt {
        receipt.options().fill_absent(&mut filled);
    }
    filled
}

impl Target {
    fn open(migration: &Migration, path: &std::path::Path) -> Result<Self> {
        let options = &migration.options;
        let dir = Dir::open(path, migration.gate.clone())?;
        if options.lock {
            lock::lock(
                &dir,
                Sharing::Shared,
                options.lock_timeout,
                &migration.interrupt,
            )?;
        }
        let problems = Problems::default();
        let kind = match version::detect(&dir) {
            Ok(DirectoryVersion::Publishing(_)) => return Err(version::half_published(&dir)),
            Ok(DirectoryVersion::V2(_) | DirectoryVersion::V21(_)) => Some(SourceKind::V2),
            Ok(DirectoryVersion::V1 { .. }) => source::detect(&dir).ok(),
            Err(_) => None,
        };
        let receipt = match kind {
            Some(SourceKind::V2) => problems.catch(Receipt::read(&dir))?.flatten(),
            _ => None,
        };
        if let Some(receipt) = &receipt
            && !receipt.is_written_alike(&dir)?
        {
            let place = Place::file(dir.join(layout::RECEIPT_FILE));
            let sentence = "the receipt is not as this version of the tool writes it";
            problems.add(Problem::new(Code::NotAsPublished, sentence, place));
        }
        Ok(Self {
            dir,
            kind,
            receipt,
            problems,
        })
    }

    /// One directory cannot be compared with itself. One inside the other can: `.lauradb-v1` and
    /// backups lie in the directory that they are compared with.
    fn check_other(&self, other: &Self) -> Result<()> {
        let (one, two) = (self.dir.metadata()?, other.dir.metadata()?);
        if (one.device, one.inode) != (two.device, two.inode) {
            return Ok(());
        }
        let sentence = "source and target are the same directory";
        Err(Error::new(Code::PathsOverlap, sentence)
            .at(Place::file(other.dir.path()))
            .hint("name another directory to compare with, or one alone to check it"))
    }

    /// Fails if another process has one of the files open for writing.
    fn refuse_writers(&self, options: &Options) -> Result<Option<Warning>> {
        let mut files = Vec::new();
        for name in [layout::WAL_FILE, layout::DATA_FILE, layout::METADATA_FILE] {
            // What is no regular file is refused when it is read.
            files.extend(self.dir.open_file_if_exists(name).ok().flatten());
        }
        if self.kind == Some(SourceKind::V1) {
            let named = options.snapshot.as_deref();
            let found = discover::find_snapshot(&self.dir, named).ok().flatten();
            files.extend(found.map(|found| found.file));
        }
        open_files::refuse_writers(&files.iter().collect::<Vec<&InputFile>>())
    }

    /// Bytes of its files, roughly what there is to read.
    fn bytes(&self) -> Result<u64> {
        let entries = self.dir.entries()?;
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        Ok(files.map(|entry| entry.size).sum())
    }

    /// How this side is read if it is v1; `is_first` if `--snapshot` is meant for it.
    fn v1_options(&self, options: &Options, other: Option<&Self>, is_first: bool) -> V1Options {
        let other_kind = other.and_then(|other| other.kind);
        let is_v1 = self.kind == Some(SourceKind::V1);
        let named = options.snapshot.clone().filter(|_| is_first && is_v1);
        let recorded = || {
            let receipt = other.filter(|_| is_v1)?.receipt.as_ref()?;
            let name = receipt.snapshot_name()?;
            let is_there = matches!(self.dir.entry(name), Ok(Some(_)));
            is_there.then(|| self.dir.join(name))
        };
        V1Options {
            snapshot: named.or_else(recorded),
            infer_types: options.infer_types,
            renames: options.renames.clone(),
            skip_indexes: options.skip_indexes.clone(),
            collections: options.collections.clone(),
            excluded: options.excluded.clone(),
            pages: options.pages,
            temp_dir: options.temp_dir.clone(),
            overlay_memory: options.memory / OVERLAY_SHARE,
            any_names: other_kind == Some(SourceKind::Backup),
            ..V1Options::default()
        }
    }

    /// The indexes that are left out of the comparison: those of `--skip-index`, and those that the
    /// migration of the only v2 side has left out.
    fn compared_skips(&self, options: &Options, other: Option<&Self>) -> Result<SkipIndexes> {
        let mut names = options.skip_indexes.clone();
        let is_v2 = |target: &&Self| target.kind == Some(SourceKind::V2);
        let both = [Some(self), other];
        let v2: Vec<&Self> = both.into_iter().flatten().filter(is_v2).collect();
        if let (true, [v2]) = (names.is_empty(), v2.as_slice())
            && let Some(receipt) = &v2.receipt
        {
            let mut recorded = options.clone();
            receipt.options().fill_absent(&mut recorded);
            names = recorded.skip_indexes;
        }
        SkipIndexes::parse(&names)
    }

    fn input(self, v1: V1Options) -> SideInput {
        let published = match &self.receipt {
            None => PublishedFiles::Unknown,
            Some(receipt) => {
                let files = receipt.published().iter().map(|file| PublishedFile {
                    name: file.name.clone(),
                    size: file.size,
                    xxh3: file.xxh3.clone(),
                });
                PublishedFiles::Known(files.collect())
            }
        };
        SideInput {
            dir: self.dir,
            v1,
            published,
            problems: self.problems,
        }
    }
}
