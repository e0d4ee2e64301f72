//! Between the parsing workers and the writer: tasks go out within a budget, results come back in
//! order.

use super::parse::{Batch, Parsed, Task};
use crate::large::KEPT_BUFFER;
use crate::options::Options;
use crate::v1::snapshot::Chunk;
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender};
use std::collections::HashMap;

/// What a batch takes besides its text: two vectors, a place in the channel and in the table.
const BATCH_COST: u64 = 512;

/// Hands out tasks and puts the results in order.
pub(super) struct Dispatch<'p> {
    /// All chunks of all collections, in order, not handed out yet.
    waiting: Box<dyn Iterator<Item = Task> + 'p>,
    next: Option<Task>,
    tasks: Sender<Task>,
    parsed: Receiver<Parsed>,
    buffers: Sender<Vec<u8>>,
    /// Results that came before their turn.
    early: HashMap<(u64, u32), Result<Batch>>,
    /// Text bytes of tasks that are not finished.
    in_flight: u64,
    budget: u64,
    /// The batch whose turn it is.
    turn: (u64, u32),
    batch_size: u64,
}

impl<'p> Dispatch<'p> {
    pub(super) fn new(
        waiting: impl Iterator<Item = Task> + 'p,
        options: &Options,
        tasks: Sender<Task>,
        parsed: Receiver<Parsed>,
        buffers: Sender<Vec<u8>>,
    ) -> Self {
        let mut waiting = Box::new(waiting);
        let next = waiting.next();
        Self {
            waiting,
            next,
            tasks,
            parsed,
            buffers,
            early: HashMap::new(),
            in_flight: 0,
            // Text, its BSON and the buffers that wait come to about three times the text.
            budget: options.memory / 24,
            turn: (0, 0),
            batch_size: u64::from(options.batch_size),
        }
    }

    /// What a chunk counts against the budget: its text, and what comes on top for each batch.
    fn cost(&self, chunk: Chunk) -> u64 {
        chunk.bytes + u64::from(chunk.documents).div_ceil(self.batch_size) * BATCH_COST
    }

    /// Keeps the workers busy within the budget; one task is always under way.
    fn hand_out(&mut self) {
        while let Some(task) = self.next
            && (self.in_flight == 0 || self.in_flight + self.cost(task.chunk) <= self.budget)
        {
            self.in_flight += self.cost(task.chunk);
            // Workers only go before their time when they have failed, which their results say.
            let _ = self.tasks.send(task);
            self.next = self.waiting.next();
        }
    }

    /// The batch whose turn it is.
    pub(super) fn next_batch(&mut self) -> Result<Batch> {
        self.hand_out();
        loop {
            if let Some(batch) = self.early.remove(&self.turn) {
                let batch = batch?;
                self.turn = match batch.is_last {
                    true => (self.turn.0 + 1, 0),
                    false => (self.turn.0, self.turn.1 + 1),
                };
                return Ok(batch);
            }
            let Ok(parsed) = self.parsed.recv() else {
                return Err(Error::new(
                    Code::Internal,
                    "a worker thread has ended early",
                ));
            };
            self.early
                .insert((parsed.sequence, parsed.part), parsed.batch);
        }
    }

    /// Takes a batch back when it has been written.
    pub(super) fn done(&mut self, batch: Batch, chunk: Chunk) {
        if batch.is_last {
            self.in_flight = self.in_flight.saturating_sub(self.cost(chunk));
        }
        if batch.bson.capacity() <= KEPT_BUFFER {
            // What the pool has no room for goes back to the allocator.
            let _ = self.buffers.try_send(batch.bson);
        }
    }
}
