//! The writer's end of the stage.

use super::{Feed, OverflowKey, Pages};
use crate::coordinator::extract::{Extractors, Taken};
use crate::coordinator::keys::sorted::is_beginning;
use crate::coordinator::plan::PlannedCollection;
use crate::coordinator::state::{KeyState, NAMED_UNINDEXABLE};
use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::index::extract::Extraction;
use crate::index::key::KeyBuffer;
use crate::v2::SlotNumber;
use crate::v2::data_file::ClosedPage;
use crate::v2::page::ChecksumPolicy;
use crate::v2::page_file::{PageFileReader, PageFileWriter};
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender};

/// Pages that go to the stage at once.
const PAGES: usize = 64;

/// The writer's end of the stage.
pub(in crate::coordinator) struct KeyFeeder {
    pages: Pages,
    sender: Sender<Feed>,
    empty: Receiver<Pages>,
    states: Receiver<Result<KeyState>>,
    /// For overflow documents, whose bytes only the writer has at hand.
    extractors: Extractors,
    infer_types: InferTypes,
    /// Overflow documents of the collection that an index cannot hold, by index; of a dry run.
    unindexable: Vec<usize>,
}

impl KeyFeeder {
    /// Feeds who receives from `sender`; `empty` brings buffers back, and `states` the answers.
    pub(super) fn new(
        sender: Sender<Feed>,
        empty: Receiver<Pages>,
        states: Receiver<Result<KeyState>>,
        infer_types: InferTypes,
    ) -> Self {
        Self {
            pages: Pages::default(),
            sender,
            empty,
            states,
            extractors: Extractors::none(),
            infer_types,
            unindexable: Vec::new(),
        }
    }

    /// A collection starts.
    pub(in crate::coordinator) fn begin(
        &mut self,
        position: usize,
        collection: &PlannedCollection,
    ) -> Result<()> {
        self.extractors = Extractors::new(collection, self.infer_types)?;
        self.pages.collection = position;
        self.unindexable = vec![0; collection.indexes.len()];
        Ok(())
    }

    /// True if an overflow document, which comes next, is read again before the run ends.
    pub(in crate::coordinator) fn reads_again(
        &mut self,
        document: RawDocument<'_>,
    ) -> Result<bool> {
        let mut reads_again = self.extractors.has_texts();
        let unindexable = &mut self.unindexable;
        self.extractors.extract_single(document, |index, taken| {
            reads_again |= match (taken, unindexable.get_mut(index)) {
                (Taken::Key(_, key), _) => is_beginning(key),
                (Taken::End(Extraction::Unindexable, _), Some(count)) => {
                    *count += 1;
                    *count <= NAMED_UNINDEXABLE
                }
                (Taken::End(..), _) => false,
            };
            Ok(())
        })?;
        Ok(reads_again)
    }

    /// A page was closed; overflow documents since the one before lie in its slots.
    pub(in crate::coordinator) fn page(&mut self, closed: ClosedPage<'_>) -> Result<()> {
        self.pages.ids.push(closed.id);
        self.pages.bytes.extend_from_slice(closed.bytes);
        if self.pages.ids.len() < PAGES || self.is_waiting() {
            Ok(())
        } else {
            self.send()
        }
    }

    /// True when the closed pages should go, but [`Self::flush`] has to send them.
    pub(in crate::coordinator) fn is_waiting(&self) -> bool {
        self.pages.ids.len() >= PAGES && self.needs_staged()
    }

    /// The closed pages have overflow documents whose terms are still to be taken.
    fn needs_staged(&self) -> bool {
        let first = self.pages.overflow.first();
        self.extractors.has_texts() && first.is_some_and(|late| late.page < self.pages.ids.len())
    }

    /// Sends the closed pages, after making sure that they can be read in the staged file.
    pub(in crate::coordinator) fn flush(&mut self, data: &mut PageFileWriter) -> Result<()> {
        if self.needs_staged() {
            data.flush()?;
            let file = data.file().reader()?;
            self.pages.staged = Some(PageFileReader::open(file, ChecksumPolicy::Required)?);
        }
        self.send()
    }

    /// An overflow document got a slot in the open page.
    pub(in crate::coordinator) fn overflow(
        &mut self,
        slot: SlotNumber,
        document: RawDocument<'_>,
    ) -> Result<()> {
        let page = self.pages.ids.len();
        let overflow = &mut self.pages.overflow;
        self.extractors.extract_single(document, |index, taken| {
            let key = match taken {
                Taken::Key(_, key) => Ok(key.in_buffer(&mut KeyBuffer::new()).clone()),
                Taken::End(extraction, _) => Err(extraction),
            };
            overflow.push(OverflowKey {
                page,
                slot,
                index,
                key,
            });
            Ok(())
        })
    }

    /// The collection ends; all its pages are closed.
    pub(in crate::coordinator) fn end(&mut self, data: &mut PageFileWriter) -> Result<()> {
        self.flush(data)
    }

    /// Asks for the state of the stage after all closed pages, for a checkpoint.
    pub(in crate::coordinator) fn ask_state(&mut self, data: &mut PageFileWriter) -> Result<()> {
        self.flush(data)?;
        self.sender.send(Feed::State).map_err(|_| ended())
    }

    /// The state that was asked for, when it is ready.
    pub(in crate::coordinator) fn state(&self) -> Result<KeyState> {
        self.states.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Sends the closed pages. Keys of overflow documents in the open page stay.
    fn send(&mut self) -> Result<()> {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.collection = self.pages.collection;
        next.ids.clear();
        next.bytes.clear();
        next.overflow.clear();
        next.staged = None;
        let closed = self.pages.ids.len();
        let open = self
            .pages
            .overflow
            .partition_point(|late| late.page < closed);
        let late = self.pages.overflow.drain(open..);
        next.overflow.extend(late.map(|late| OverflowKey {
            page: late.page - closed,
            ..late
        }));
        let full = std::mem::replace(&mut self.pages, next);
        self.sender.send(Feed::Pages(full)).map_err(|_| ended())
    }
}

fn ended() -> Error {
    Error::new(Code::Internal, "the key stage has ended early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Access, Dir, Gate};
    use crossbeam_channel::bounded;

    #[test]
    fn nobody_waits_for_a_stage_that_has_ended_with_the_question_on_its_way() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::open(scratch.path(), Gate::open()).unwrap();
        let file = dir.create("data.db", Access::default()).unwrap();
        let mut data = PageFileWriter::create(file, 1 << 20);
        let ((sender, fed), (_, empty), (answer, states)) = (bounded(4), bounded(4), bounded(1));
        let mut feeder = KeyFeeder::new(sender, empty, states, InferTypes::default());
        feeder.ask_state(&mut data).unwrap();
        drop((fed, answer));
        assert_eq!(feeder.state().unwrap_err().code(), Code::Internal);
        assert_eq!(
            feeder.ask_state(&mut data).unwrap_err().code(),
            Code::Internal
        );
    }
}
