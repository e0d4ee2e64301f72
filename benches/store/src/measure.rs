//! What a piece of work costs: time, and what it asked of the kernel.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::path::Path;
use std::time::Instant;

/// Of one piece of work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub seconds: f64,
    /// Read calls, and bytes that they gave.
    pub read_calls: f64,
    pub read_bytes: f64,
    /// Bytes that came from the disk.
    pub disk_bytes: f64,
    pub page_faults: f64,
}

impl Cost {
    pub fn per(self, count: usize) -> Self {
        let count = count as f64;
        Self {
            seconds: self.seconds / count,
            read_calls: self.read_calls / count,
            read_bytes: self.read_bytes / count,
            disk_bytes: self.disk_bytes / count,
            page_faults: self.page_faults / count,
        }
    }
}

fn counters() -> Result<Cost> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let field = |name: &str| -> Result<f64> {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        let value = line.with_context(|| format!("no {name} in /proc/self/io"))?;
        Ok(value.trim_start_matches(':').trim().parse()?)
    };
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let faults = |at: usize| -> Result<f64> { Ok(fields.get(at).context("stat")?.parse()?) };
    Ok(Cost {
        seconds: 0.0,
        read_calls: field("syscr")?,
        read_bytes: field("rchar")?,
        disk_bytes: field("read_bytes")?,
        page_faults: faults(7)? + faults(9)?,
    })
}

/// Runs `work` once; gives what it cost, and what it gave.
pub fn measured<T>(work: impl FnOnce() -> Result<T>) -> Result<(Cost, T)> {
    let before = counters()?;
    let start = Instant::now();
    let value = work()?;
    let seconds = start.elapsed().as_secs_f64();
    let after = counters()?;
    let cost = Cost {
        seconds,
        // The counters' own reads: of this file before, of both after.
        read_calls: (after.read_calls - before.read_calls - 2.0).max(0.0),
        read_bytes: (after.read_bytes - before.read_bytes - 500.0).max(0.0),
        disk_bytes: after.disk_bytes - before.disk_bytes,
        page_faults: after.page_faults - before.page_faults,
    };
    Ok((cost, value))
}

/// Lets the kernel forget what it has of a file, which was synced.
pub fn forget(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (1, Some(value)) => *value,
        (_, Some(value)) => (value + sorted[middle - 1]) / 2.0,
        (_, None) => f64::NAN,
    }
}
