//! Strings that are not short, and those with the common escapes.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::strings::{escaped, special};

/// Strings are copied in steps of so many bytes.
const STEP: usize = 16;
/// So long a string could be an ObjectID.
const ID_DIGITS: usize = 24;

/// Reads the string that a text begins with, if it can be nothing else and there is room for it,
/// and for a step that goes past its end; gives the bytes of text and of BSON. Surrogates are not
/// read here.
#[inline(never)]
pub(super) fn long_string(text: &[u8], place: &mut [u8]) -> Option<(usize, usize)> {
    if text.first()? != &b'"' {
        return None;
    }
    let (mut at, mut end) = (1, size_of::<u32>());
    loop {
        let step: &[u8; STEP] = text.get(at..)?.first_chunk()?;
        *place.get_mut(end..)?.first_chunk_mut()? = *step;
        let Some(length) = special(step) else {
            at += STEP;
            end += STEP;
            continue;
        };
        at += length;
        end += length;
        match text.get(at)? {
            b'"' => break,
            b'\\' => {}
            _ => return None,
        }
        let (character, length) = escaped(text.get(at..)?.first_chunk()?)?;
        at += length;
        if character.is_ascii() {
            *place.get_mut(end)? = u8::try_from(character).ok()?;
            end += 1;
        } else {
            let place = place.get_mut(end..)?.first_chunk_mut::<4>()?;
            end += character.encode_utf8(place).len();
        }
    }
    let length = end - size_of::<u32>();
    if length == ID_DIGITS {
        return None;
    }
    *place.get_mut(end)? = 0;
    let stored = u32::try_from(length + 1).ok()?;
    *place.first_chunk_mut()? = stored.to_le_bytes();
    Some((at + 1, end + 1))
}
