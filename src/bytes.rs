//! Fixed-width little-endian integers at checked offsets. Every field of every format is read and
//! written through these, so no offset from a file is ever added or indexed unchecked.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

macro_rules! integers {
    ($($get:ident $put:ident $ty:ty;)*) => {$(
        #[doc = concat!("The little-endian `", stringify!($ty), "` at `at`, or `None` past the end.")]
        #[inline]
        #[must_use]
        pub fn $get(bytes: &[u8], at: usize) -> Option<$ty> {
            let end = at.checked_add(size_of::<$ty>())?;
            Some(<$ty>::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
        }

        #[doc = concat!("Writes a little-endian `", stringify!($ty), "` at `at`.")]
        #[doc = ""]
        #[doc = "Offsets come from layout constants; writing past the end is a programming error"]
        #[doc = "that debug builds catch and release builds ignore."]
        #[inline]
        pub fn $put(bytes: &mut [u8], at: usize, value: $ty) {
            let field = bytes.get_mut(at..at.saturating_add(size_of::<$ty>()));
            debug_assert!(field.is_some(), "field at {at} lies outside the buffer");
            if let Some(field) = field {
                field.copy_from_slice(&value.to_le_bytes());
            }
        }
    )*};
}

integers! {
    get_u16 put_u16 u16;
    get_u32 put_u32 u32;
    get_u64 put_u64 u64;
    get_i32 put_i32 i32;
    get_i64 put_i64 i64;
    get_f64 put_f64 f64;
    get_f32 put_f32 f32;
}

/// Reads fields one after the other from a byte slice; every read checks what is left.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next `len` bytes, or `None` if fewer are left.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.rest().get(..len)?;
        self.at = self.at.saturating_add(len);
        Some(taken)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// The next little-endian `u16`.
    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    /// The next little-endian `u32`.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// The next little-endian `u64`.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// The next little-endian `i64`.
    pub fn i64(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// The next little-endian `f64`.
    pub fn f64(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// The next `length u16 | bytes` (str16 and bytes16 of the metadata records).
    pub fn bytes16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_the_end_are_none() {
        assert_eq!(get_u32(&[1, 2, 3], 0), None);
        assert_eq!(get_u32(&[1, 0, 0, 0], 0), Some(1));
        assert_eq!(get_u16(&[0; 4], usize::MAX), None);
    }

    #[test]
    fn cursor_stops_where_the_bytes_stop() {
        let mut cursor = Cursor::new(&[2, 0, b'h', b'i', 9]);
        assert_eq!(cursor.bytes16(), Some(&b"hi"[..]));
        assert_eq!(cursor.u16(), None);
        assert_eq!(cursor.u8(), Some(9));
        assert_eq!(cursor.rest(), b"");
    }
}
