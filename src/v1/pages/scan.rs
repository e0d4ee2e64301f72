//! Reads `data.db` page by page, trusting nothing.

use crate::document::ID_FIELD;
use crate::document::bson::{self, BsonError, BsonErrorKind, RawDocument, RawValue};
use crate::files::InputFile;
use crate::v1::snapshot::print_id;
use crate::v2::page::{
    self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageError, PageHeader, PageType,
};
use crate::v2::page_file::page_offset;
use crate::v2::slotted::{SlotContent, SlottedPage};
use crate::v2::{PageId, SlotNumber};
use crate::{Code, Error, Place, Result};

/// Bytes read at once.
const READ: usize = 64 * PAGE_SIZE;

/// Why a page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageDamage {
    /// Its header, a slot or its checksum.
    #[error("{0}")]
    Page(#[from] PageError),
    /// A live slot holds no BSON.
    #[error("slot {} holds no document: {error}", slot.0)]
    Document {
        /// Which.
        slot: SlotNumber,
        /// What is wrong with it.
        error: BsonError,
    },
    /// A live slot points at overflow pages, which LauraDB does not write.
    #[error("slot {} points at overflow pages, which LauraDB does not write", .0.0)]
    Overflow(SlotNumber),
    /// The file ends within the page.
    #[error("the file ends after {0} bytes of the page")]
    Torn(usize),
}

/// Why a document of a sound page cannot be carried over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It has values or names that format v2 cannot take.
    #[error("{0}")]
    Bson(#[from] BsonError),
    /// It has no `_id`.
    #[error("it has no _id")]
    NoId,
    /// Its `_id` is an array or a document.
    #[error("its _id is an array or a document")]
    IdType,
}

/// A live slot's document.
#[derive(Clone, Debug)]
pub struct LiveDocument<'p> {
    /// Its slot.
    pub slot: SlotNumber,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// Its bytes.
    pub bytes: &'p [u8],
    /// Why it cannot be carried over, if it cannot.
    pub unusable: Option<Unusable>,
}

impl<'p> LiveDocument<'p> {
    /// Looks at a slot's bytes, which begin at `position` in the page.
    ///
    /// # Errors
    /// They are no BSON: damage of the page.
    pub fn new(
        page: PageId,
        (slot, position): (SlotNumber, usize),
        bytes: &'p [u8],
    ) -> Result<Self, PageDamage> {
        let unusable = match bson::check(bytes) {
            Ok(document) => match document.get(ID_FIELD) {
                None => Some(Unusable::NoId),
                Some(RawValue::Array(_) | RawValue::Document(_)) => Some(Unusable::IdType),
                Some(_) => None,
            },
            Err(error) if is_of_content(&error.kind) => Some(Unusable::Bson(error)),
            Err(error) => return Err(PageDamage::Document { slot, error }),
        };
        Ok(Self {
            slot,
            offset: page_offset(page).saturating_add(position as u64),
            bytes,
            unusable,
        })
    }

    /// The document, as far as it can be read.
    #[must_use]
    pub fn document(&self) -> RawDocument<'p> {
        RawDocument::trusted(self.bytes)
    }

    /// Writes the `_id` over `out` as LauraDB's backup prints it; false if it cannot be read.
    pub fn print_id(&self, out: &mut Vec<u8>) -> bool {
        out.clear();
        match self.document().get(ID_FIELD) {
            Some(id) => print_id(id, out),
            None => return false,
        }
        true
    }

    /// An integer and a double that are equal are one `_id`, and may be printed differently (as
    /// 1000000 and 1e+06): writes over `out` how the other one is, and tells whether that is another
    /// way than `printed`.
    pub fn print_other_id(&self, printed: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let Some(other) = self.document().get(ID_FIELD).and_then(other_number) else {
            return false;
        };
        print_id(other, out);
        out.as_slice() != printed
    }
}

/// The same number as a double, or the same double as an integer, if there is one.
fn other_number(id: RawValue<'_>) -> Option<RawValue<'static>> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and within the range, or compared with what it came from"
    )]
    let whole = |number: f64| number as i64;
    match id {
        RawValue::Int32(number) => Some(RawValue::Double(f64::from(number))),
        RawValue::Int64(number) => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "what is lost shows on the way back"
            )]
            let double = number as f64;
            let is_same = double < LIMIT && whole(double) == number;
            is_same.then_some(RawValue::Double(double))
        }
        RawValue::Double(number) => {
            let is_whole = number.fract() == 0.0 && (-LIMIT..LIMIT).contains(&number);
            is_whole.then(|| RawValue::Int64(whole(number)))
        }
        _ => None,
    }
}

/// LauraDB stores such documents, format v2 cannot: the page is not damaged.
fn is_of_content(kind: &BsonErrorKind) -> bool {
    matches!(
        kind,
        BsonErrorKind::InvalidUtf8
            | BsonErrorKind::DuplicateField(_)
            | BsonErrorKind::TooDeep
            | BsonErrorKind::ArrayName(_)
    )
}

/// A sound slotted page.
#[derive(Clone, Debug)]
pub struct LivePage<'p> {
    /// Its number.
    pub id: PageId,
    /// Slots, deleted ones included.
    pub slot_count: u16,
    /// In the order of the slots.
    pub documents: Vec<LiveDocument<'p>>,
}

/// What a page is.
#[derive(Clone, Debug)]
pub enum PageLook<'p> {
    /// All zero, or of another type than slotted documents: passed over.
    Other,
    /// Slotted documents.
    Slotted(LivePage<'p>),
    /// None of these.
    Damaged(PageDamage),
}

/// Looks at a page at its place in the file.
#[must_use]
pub fn look(id: PageId, page: &PageBytes) -> PageLook<'_> {
    let header = PageHeader::decode(page);
    let is_other_type = header.page_id == id
        && PageType::from_u8(header.page_type).is_some_and(|found| found != PageType::Data);
    if is_other_type || page.iter().all(|byte| *byte == 0) {
        return PageLook::Other;
    }
    match slotted(id, page) {
        Ok(live) => PageLook::Slotted(live),
        Err(damage) => PageLook::Damaged(damage),
    }
}

fn slotted(id: PageId, page: &PageBytes) -> Result<LivePage<'_>, PageDamage> {
    page::verify(page, id, PageType::Data, ChecksumPolicy::Optional)?;
    let slotted = SlottedPage::open(page)?;
    let mut documents = Vec::with_capacity(usize::from(slotted.slot_count()));
    for slot in slotted.slots() {
        match slot? {
            (slot, SlotContent::Document(bytes)) => {
                let place = (slot, slotted.position(slot)?);
                documents.push(LiveDocument::new(id, place, bytes)?);
            }
            (slot, SlotContent::Overflow(_)) => return Err(PageDamage::Overflow(slot)),
        }
    }
    Ok(LivePage {
        id,
        slot_count: slotted.slot_count(),
        documents,
    })
}

/// Visits every page of a file in order, with its bytes; a page that the file ends within as well.
///
/// # Errors
/// [`Code::SourceTooLarge`] for more than 2^32 - 2 pages; a read fails; those of the visitor.
pub fn scan(
    file: &InputFile,
    mut visit: impl FnMut(PageId, PageLook<'_>, &[u8]) -> Result<()>,
) -> Result<()> {
    if file.size().checked_div(PAGE_SIZE as u64) >= Some(u64::from(u32::MAX)) {
        let sentence = "the file has more pages than page numbers can count";
        return Err(Error::new(Code::SourceTooLarge, sentence).at(Place::file(file.path())));
    }
    let mut buffer = vec![0; READ];
    let mut offset = 0;
    let mut next = 0;
    loop {
        let filled = file.read_at(&mut buffer, offset)?;
        let (pages, rest) = buffer
            .get(..filled)
            .unwrap_or_default()
            .as_chunks::<PAGE_SIZE>();
        for page in pages {
            let id = PageId(next);
            visit(id, look(id, page), page)?;
            next = next.saturating_add(1);
        }
        if filled < READ {
            if rest.iter().any(|byte| *byte != 0) {
                let damage = PageDamage::Torn(rest.len());
                visit(PageId(next), PageLook::Damaged(damage), rest)?;
            }
            return Ok(());
        }
        offset = offset.saturating_add(filled as u64);
    }
}

/// Pages that [`estimate_documents`] looks at.
const SAMPLED_PAGES: u64 = 256;

/// About how many live documents a file has, by a sample of its pages.
///
/// # Errors
/// A read fails.
pub fn estimate_documents(file: &InputFile) -> Result<u64> {
    let pages = file
        .size()
        .checked_div(PAGE_SIZE as u64)
        .unwrap_or_default();
    let step = pages.div_ceil(SAMPLED_PAGES).max(1);
    let mut page = Box::new([0; PAGE_SIZE]);
    let mut documents = 0_u64;
    for number in (0..pages).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let Ok(id) = u32::try_from(number).map(PageId) else {
            break;
        };
        file.read_exact_at(&mut *page, page_offset(id))?;
        if let PageLook::Slotted(live) = look(id, &page) {
            documents =
                documents.saturating_add((live.documents.len() as u64).saturating_mul(step));
        }
    }
    // What was not looked at may hold more.
    Ok(if step > 1 {
        documents.saturating_add(documents / 8)
    } else {
        documents
    })
}
