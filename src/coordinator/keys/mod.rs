//! The key stage: a thread of its own that takes closed pages and sorts their documents' keys.

mod feeder;
mod sorted;
mod sorter;

pub(super) use feeder::KeyFeeder;
pub(super) use sorted::{SortedIndex, SortedKeys};

use super::dry_run::DryRun;
use super::plan::Plan;
use crate::files::OutputFile;
use crate::index::extract::Extraction;
use crate::index::key::KeyBuffer;
use crate::threads::start_scoped;
use crate::v2::page_file::PageFileReader;
use crate::v2::{PageId, SlotNumber};
use crate::{Code, Error, Result};
use crossbeam_channel::bounded;
use sorter::Sorter;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

/// What the writer sends to the stage.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all that is sent is pages"
)]
enum Feed {
    Pages(Pages),
    /// Makes what is in runs durable; the answer is the state after all pages sent so far.
    State,
}

/// Closed pages of one collection, with the keys of documents that do not lie in them.
#[derive(Debug, Default)]
struct Pages {
    collection: usize,
    ids: Vec<PageId>,
    bytes: Vec<u8>,
    /// Keys of overflow documents, whose pages only point at them.
    overflow: Vec<OverflowKey>,
    /// The staged file, if an overflow document has to be read again for its terms.
    staged: Option<PageFileReader>,
}

#[derive(Debug)]
struct OverflowKey {
    /// Position in `ids`.
    page: usize,
    slot: SlotNumber,
    /// Position in the collection's indexes.
    index: usize,
    /// The key, or why there is none. All keys of a text index's document could be many times its
    /// size, so they are not among these.
    key: std::result::Result<KeyBuffer, Extraction>,
}

/// The file of a dry run, for the pages that are read again.
pub(super) struct KeptPages {
    pub(super) file: OutputFile,
    pub(super) dry: Arc<DryRun>,
}

/// The running stage.
pub(super) struct KeyStage<'scope> {
    thread: ScopedJoinHandle<'scope, Result<SortedKeys>>,
}

impl<'scope> KeyStage<'scope> {
    pub(super) fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &'env Plan,
        keys: SortedKeys,
        kept: Option<KeptPages>,
    ) -> Result<(KeyFeeder, Self)> {
        let (sender, fed) = bounded(4);
        let (recycle, empty) = bounded(4);
        // The stage's own end, so that nobody waits for an answer once it has ended: what is still on
        // its way to it then stays in its channel.
        let (answer, states) = bounded(1);
        let mut sorter = Sorter::new(plan, keys, kept);
        let run = move || {
            for feed in fed {
                match feed {
                    Feed::Pages(pages) => {
                        sorter.pages(&pages)?;
                        // A feeder that has ended needs no empty buffers.
                        let _ = recycle.try_send(pages);
                    }
                    Feed::State => {
                        // A writer that has failed does not wait for the answer.
                        let _ = answer.send(sorter.state());
                    }
                }
            }
            sorter.finish()
        };
        let thread = start_scoped(scope, "keys", run)?;
        let feeder = KeyFeeder::new(sender, empty, states, plan.infer_types);
        Ok((feeder, Self { thread }))
    }

    /// Ends the stage when all pages that the feeder has sent are sorted in.
    pub(super) fn finish(self, feeder: KeyFeeder) -> Result<SortedKeys> {
        drop(feeder);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "the key stage has panicked")))
    }
}
