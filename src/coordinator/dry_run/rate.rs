//! How fast a temporary file is written.

use crate::Result;
use crate::coordinator::work::WorkDir;
use std::time::Instant;

/// Bytes that are written to find out: enough to reach the disk, little enough not to be noticed.
const SAMPLE: u64 = 4 << 20;
/// Bytes of one write.
const PIECE: usize = 1 << 20;

/// The name of the file.
const NAME: &str = "rate";

/// A rate as it was measured in `--temp-dir`, which need not be on the target's file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteRate {
    seconds_per_byte: f64,
}

impl WriteRate {
    /// Writes a sample and makes it durable.
    pub(super) fn measure(work: &WorkDir) -> Result<Self> {
        let file = work.create_file(NAME, work.private())?;
        let piece = vec![0x5a; PIECE];
        let started = Instant::now();
        let mut offset = 0;
        while offset < SAMPLE {
            file.write_all_at(&piece, offset)?;
            offset += PIECE as u64;
        }
        file.sync()?;
        let seconds = started.elapsed().as_secs_f64();
        work.remove_file(NAME)?;
        Ok(Self {
            seconds_per_byte: seconds / as_number(SAMPLE),
        })
    }

    /// Seconds that so many bytes take.
    pub(super) fn seconds(self, bytes: u64) -> f64 {
        as_number(bytes) * self.seconds_per_byte
    }
}

#[expect(clippy::cast_precision_loss, reason = "a guess for people")]
fn as_number(bytes: u64) -> f64 {
    bytes as f64
}
