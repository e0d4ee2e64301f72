//! The checkpoint: how far a run has got, replaced about once a second.
//!
//! `plan.json` is written once, before anything else, and `checkpoint.json` is bound to it by its
//! hash. Both name what they belong to: the source files and the options that shape the output.
//! What a checkpoint says is durable before it is: data pages, sort runs, separators and the list
//! of matched log records are fsynced first, and what lies behind the lengths that it gives is cut
//! off when a run goes on from it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::plan::StoredPlan;
use super::state::State;
use super::status::Reached;
use super::work::{self, CHECKPOINT, JOURNAL, PLAN, WorkDir};
use crate::files::{Access, Dir, InputFile};
use crate::hash::xxh3_128;
use crate::options::Options;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The tool version whose checkpoints this one understands.
const TOOL: &str = concat!("laura-migrate ", env!("CARGO_PKG_VERSION"));

/// Largest plan or checkpoint that is read, bytes: 2 KiB for each of the 131,072 collections that a
/// snapshot may have, of which both take about half with three indexes each. The chunks of a plan
/// are at most 65,536 more than its collections, and take 70 bytes each.
const LARGEST: u64 = 256 << 20;

/// Bytes that are read of either at once.
const PIECE: usize = 1 << 20;

#[derive(Serialize)]
struct Written<'s, S> {
    tool: &'s str,
    plan_hash: &'s str,
    state: &'s S,
}

#[derive(Deserialize)]
struct Read {
    tool: String,
    plan_hash: String,
    state: State,
}

/// Only what every version of the tool has in its checkpoints.
#[derive(Deserialize)]
struct ReadTool {
    tool: String,
}

/// Writes checkpoints.
#[derive(Debug)]
pub(super) struct Checkpointer {
    work: WorkDir,
    plan_hash: String,
    interval: Duration,
    last: Instant,
    /// Least time to the next one, so that checkpoints take a twentieth of the time at most,
    /// however large they are.
    pause: Duration,
}

impl Checkpointer {
    /// Makes the plan durable, so that checkpoints can follow.
    pub(super) fn start(work: &WorkDir, plan: &StoredPlan, interval: Duration) -> Result<Self> {
        let text = encode(plan)?;
        let checkpointer = Self::resume(work, hash(&text), interval);
        work.dir.replace(PLAN, &text, Access::default())?;
        Ok(checkpointer)
    }

    fn resume(work: &WorkDir, plan_hash: String, interval: Duration) -> Self {
        Self {
            work: work.clone(),
            plan_hash,
            interval,
            last: Instant::now(),
            pause: Duration::ZERO,
        }
    }

    /// True when the last checkpoint is old enough for another one.
    pub(super) fn is_due(&self) -> bool {
        self.last.elapsed() >= self.interval.max(self.pause)
    }

    /// Replaces the checkpoint. What it says must be durable.
    pub(super) fn save(&mut self, state: &impl Serialize) -> Result<()> {
        let started = Instant::now();
        let written = Written {
            tool: TOOL,
            plan_hash: &self.plan_hash,
            state,
        };
        self.work
            .dir
            .replace(CHECKPOINT, &encode(&written)?, Access::default())?;
        self.last = Instant::now();
        if !self.interval.is_zero() {
            self.pause = self.last.duration_since(started).saturating_mul(20);
        }
        Ok(())
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::new(Code::Internal, "cannot encode a checkpoint").because(error))
}

fn hash(text: &[u8]) -> String {
    format!("{:032x}", xxh3_128(text))
}

/// An interrupted run that can go on.
pub(super) struct Interrupted {
    pub(super) plan: StoredPlan,
    pub(super) state: State,
    pub(super) work: WorkDir,
    pub(super) checkpointer: Checkpointer,
}

/// True if `target` holds an interrupted run that got as far as a checkpoint, or its publish.
pub(super) fn exists(target: &Dir) -> Result<bool> {
    let Some(dir) = work::open_in(target)? else {
        return Ok(false);
    };
    Ok(dir.entry(CHECKPOINT)?.is_some() || dir.entry(JOURNAL)?.is_some())
}

/// A plan or a checkpoint. Reads only as far as it can be JSON, which has no zero bytes: a file that
/// the system had to put zeros into takes no memory.
fn read_text(file: &InputFile) -> Result<Vec<u8>> {
    let damaged = |sentence: String| {
        Error::new(Code::CheckpointDamaged, sentence)
            .at(Place::file(file.path()))
            .hint("add --restart to discard the interrupted run and begin anew")
    };
    if file.size() > LARGEST {
        let size = file.size();
        let sentence = format!("the file has {size} bytes, at most {LARGEST} are expected");
        return Err(damaged(sentence));
    }
    let mut text = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let filled = file.read_at(&mut piece, text.len() as u64)?;
        let read = piece.get(..filled).unwrap_or_default();
        if memchr::memchr(0, read).is_some() {
            return Err(damaged("the file holds zero bytes".to_owned()));
        }
        text.extend_from_slice(read);
        if filled < PIECE || text.len() as u64 > LARGEST {
            return Ok(text);
        }
    }
}

/// How far the interrupted run in a work directory has got, for who only wants to know.
pub(super) fn reached(work: &Dir) -> Result<Reached> {
    let damaged = |name: &str, error| {
        Error::new(Code::CheckpointDamaged, "the file does not parse")
            .at(Place::file(work.join(name)))
            .because(error)
    };
    let text = read_text(&work.open_file(CHECKPOINT)?)?;
    let read: Read = serde_json::from_slice(&text).map_err(|error| damaged(CHECKPOINT, error))?;
    let text = read_text(&work.open_file(PLAN)?)?;
    let plan: StoredPlan = serde_json::from_slice(&text).map_err(|error| damaged(PLAN, error))?;
    Ok(read.state.reached(&plan.collections))
}

/// The interrupted run in `target`, if there is one that got as far as a checkpoint.
pub(super) fn find(target: &Dir, options: &Options) -> Result<Option<Interrupted>> {
    let Some(dir) = work::open_in(target)? else {
        return Ok(None);
    };
    let Some(file) = dir.open_file_if_exists(CHECKPOINT)? else {
        return Ok(None);
    };
    let path = file.path().to_path_buf();
    let damaged = |sentence: &str| {
        Error::new(Code::CheckpointDamaged, sentence)
            .at(Place::file(&path))
            .hint("add --restart to discard the interrupted run and begin anew")
    };
    let text = read_text(&file)?;
    let parses = |error| damaged("the checkpoint does not parse").because(error);
    let tool = serde_json::from_slice::<ReadTool>(&text)
        .map_err(parses)?
        .tool;
    if tool != TOOL {
        return Err(damaged(&format!(
            "the interrupted run was {tool}'s, and its checkpoint cannot be used by {TOOL}"
        )));
    }
    let read: Read = serde_json::from_slice(&text).map_err(parses)?;
    debug_assert_eq!(read.tool, tool);
    let plan_text = read_text(&dir.open_file(PLAN)?)?;
    if hash(&plan_text) != read.plan_hash {
        return Err(damaged("the checkpoint belongs to another plan"));
    }
    let plan: StoredPlan = serde_json::from_slice(&plan_text)
        .map_err(|error| damaged("the plan does not parse").because(error))?;
    if !read.state.is_possible(&plan.collections) {
        return Err(damaged("the checkpoint's figures cannot be right"));
    }
    let work = WorkDir::reopened(dir, plan.access);
    let checkpointer = Checkpointer::resume(&work, read.plan_hash, options.checkpoint_interval);
    Ok(Some(Interrupted {
        plan,
        state: read.state,
        work,
        checkpointer,
    }))
}
