//! Numbers and bytes as stored values hold them: LEB128 varints, zigzag for signed ones.

use occupancy::time::UnixMs;

use crate::StoreError;

/// Appends an unsigned number: one byte below 128, at most ten.
pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number: small either way is short.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends bytes, their number first.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the `put` functions wrote, from the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// One byte.
    pub(crate) fn byte(&mut self) -> Result<u8, StoreError> {
        let (first, rest) = self.0.split_first().ok_or_else(|| corrupt("a value ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// An unsigned number.
    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        match self.0.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.0 = rest;
                Ok((*byte).into())
            }
            _ => self.long_u64(),
        }
    }

    fn long_u64(&mut self) -> Result<u64, StoreError> {
        let mut value = 0_u64;
        for (end, byte) in self.0.iter().enumerate().take(10) {
            let (shift, bits) = (7 * end, u64::from(byte & 0x7f));
            // Of the tenth byte one bit has room.
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if *byte < 0x80 {
                self.0 = self.0.get(end + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(corrupt(if self.0.len() < 10 { "a value ends too early" } else { "a number has more than 64 bits" }))
    }

    /// Passes over a number of either kind, without a look at its size.
    #[inline]
    pub(crate) fn skip_number(&mut self) -> Result<(), StoreError> {
        let end = self.0.iter().position(|byte| *byte < 0x80).ok_or_else(|| corrupt("a value ends too early"))?;
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        Ok(())
    }

    /// A signed number.
    pub(crate) fn i64(&mut self) -> Result<i64, StoreError> {
        let value = self.u64()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number of a narrower type.
    pub(crate) fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let value = self.i64()?;
        T::try_from(value).map_err(|_| corrupt(&format!("{value} is out of range")))
    }

    /// Exactly `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or_else(|| corrupt("a value ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes, their number first.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let n = self.u64()?;
        self.take(usize::try_from(n).unwrap_or(usize::MAX))
    }

    /// Text, the number of its bytes first.
    pub(crate) fn text(&mut self) -> Result<&'a str, StoreError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| corrupt("a text is not UTF-8"))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), StoreError> {
        if self.0.is_empty() { Ok(()) } else { Err(corrupt(&format!("{} bytes follow a value", self.0.len()))) }
    }
}

/// An instant that was read; `None` where adding it up overflowed.
pub(crate) fn instant(ms: Option<i64>) -> Result<UnixMs, StoreError> {
    let at = ms.map(UnixMs::new).ok_or_else(|| corrupt("an instant has more than 64 bits"))?;
    at.map_err(|error| corrupt(&error.to_string()))
}

/// What is stored cannot be read.
pub(crate) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn numbers_come_back(unsigned in any::<u64>(), shift in 0_u32..64, signed in any::<i64>()) {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut out = Vec::new();
            put_u64(&mut out, unsigned);
            put_i64(&mut out, signed);
            let mut reader = Reader(&out);
            assert_eq!((reader.u64(), reader.i64(), reader.end()), (Ok(unsigned), Ok(signed), Ok(())));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let mut reader = Reader(&bytes);
            while reader.u64().is_ok() && reader.bytes().is_ok() {}
            assert!(reader.0.len() <= bytes.len());
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        let mut out = vec![0xff; 9];
        out.push(0x02);
        assert!(Reader(&out).u64().is_err());
        out[9] = 0x01;
        assert_eq!(Reader(&out).u64(), Ok(u64::MAX));
    }
}
