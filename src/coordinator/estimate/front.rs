//! The sample of a source that is no snapshot: the documents at the front of each collection.

use super::{IndexCosts, PageCounter, SAMPLE_BYTES, Sample, Sampler, SpaceEstimate, scale};
use crate::coordinator::keys::extractor;
use crate::coordinator::plan::PlannedCollection;
use crate::document::InferTypes;
use crate::index::extract::ExtractorSet;
use crate::source::DocumentSource;
use crate::{Code, Error, Result};

impl SpaceEstimate {
    /// Reads the front of each collection of a source that a plan was made of.
    pub(in crate::coordinator) fn sample_source(
        source: &dyn DocumentSource,
        collections: &[PlannedCollection],
    ) -> Result<Self> {
        let mut sampler = Sampler::new(collections, InferTypes::default(), 0);
        let mut sampled: Vec<Sample> = collections.iter().map(Sample::new).collect();
        for (collection, sample) in collections.iter().zip(&mut sampled) {
            let text = scale(SAMPLE_BYTES, collection.text_bytes(), sampler.total_text);
            sampler.front(source, collection, text.max(1), sample)?;
        }
        Self::of_samples(collections, &sampled, None)
    }
}

impl Sampler {
    /// Of the indexes that are sampled.
    pub(super) fn extractors(&self, collection: &PlannedCollection) -> Result<ExtractorSet> {
        let btrees = collection
            .indexes
            .iter()
            .filter(|index| index.kind.is_btree());
        let extractors = btrees
            .map(|index| extractor(index, collection.infer_types_of(index, self.infer_types)));
        Ok(ExtractorSet::new(extractors.collect::<Result<Vec<_>>>()?))
    }

    /// Counts the documents at the front of a source's collection, until `text` bytes of the source
    /// were read.
    fn front(
        &mut self,
        source: &dyn DocumentSource,
        collection: &PlannedCollection,
        text: u64,
        sample: &mut Sample,
    ) -> Result<()> {
        let mut extractors = self.extractors(collection)?;
        let mut pages = PageCounter::new();
        let costs = &mut sample.costs;
        costs
            .indexes
            .resize(extractors.len(), IndexCosts::default());
        let mut is_enough = false;
        let position = usize::try_from(collection.overlay_number).unwrap_or(usize::MAX);
        let read = source.read(position, &mut |found| {
            costs.text += found.source_bytes;
            self.document(found.document, &mut extractors, &mut pages, costs)?;
            is_enough = costs.text >= text;
            match is_enough {
                true => Err(Error::new(Code::Cancelled, "the sample is large enough")),
                false => Ok(()),
            }
        });
        costs.page_bytes = pages.bytes();
        match read {
            Err(_) if is_enough => Ok(()),
            read => read,
        }
    }
}
