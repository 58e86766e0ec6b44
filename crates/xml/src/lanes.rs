//! Sixteen bytes at a time.
//!
//! On x86-64 the lanes are an SSE2 register, which every such processor has; elsewhere an array
//! that the compiler may turn into whatever vectors there are.

/// Bytes in one [`Lanes`].
pub(crate) const WIDTH: usize = 16;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code)] // Only calls of intrinsics that take and return values.
mod vector {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_setzero_si128, _mm_sub_epi8,
    };

    use super::WIDTH;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes(__m128i);

    impl Lanes {
        /// No bit set.
        #[inline(always)]
        pub fn zero() -> Lanes {
            // SAFETY: every x86-64 processor has SSE2.
            Lanes(unsafe { _mm_setzero_si128() })
        }

        /// Every lane the same byte.
        #[inline(always)]
        pub fn splat(byte: u8) -> Lanes {
            // SAFETY: every x86-64 processor has SSE2.
            Lanes(unsafe { _mm_set1_epi8(byte as i8) })
        }

        /// The bytes in order.
        #[inline(always)]
        pub fn load(bytes: &[u8; WIDTH]) -> Lanes {
            // Compiles to one unaligned load.
            let whole = u128::from_le_bytes(*bytes);
            // SAFETY: every x86-64 processor has SSE2.
            Lanes(unsafe { _mm_set_epi64x((whole >> 64) as i64, whole as i64) })
        }

        /// All ones in lanes that are this byte.
        #[inline(always)]
        pub fn is(self, byte: u8) -> Lanes {
            // SAFETY: every x86-64 processor has SSE2.
            Lanes(unsafe { _mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte as i8)) })
        }

        /// All ones in lanes that are at most this byte.
        #[inline(always)]
        pub fn at_most(self, byte: u8) -> Lanes {
            // SAFETY: every x86-64 processor has SSE2.
            let least = unsafe { _mm_min_epu8(self.0, _mm_set1_epi8(byte as i8)) };
            // SAFETY: every x86-64 processor has SSE2.
            Lanes(unsafe { _mm_cmpeq_epi8(least, self.0) })
        }

        /// All ones in lanes that are from `first` to `last`.
        #[inline(always)]
        pub fn between(self, first: u8, last: u8) -> Lanes {
            // SAFETY: every x86-64 processor has SSE2.
            let offset = unsafe { _mm_sub_epi8(self.0, _mm_set1_epi8(first as i8)) };
            Lanes(offset).at_most(last - first)
        }

        /// All ones in lanes that are the same in both.
        #[inline(always)]
        pub fn same(self, other: Lanes) -> Lanes {
            // SAFETY: every x86-64 processor has SSE2.
            Lanes(unsafe { _mm_cmpeq_epi8(self.0, other.0) })
        }

        /// The bits of either.
        #[inline(always)]
        pub fn or(self, other: Lanes) -> Lanes {
            // SAFETY: every x86-64 processor has SSE2.
            Lanes(unsafe { _mm_or_si128(self.0, other.0) })
        }

        /// The top bit of each lane; the first lane is the lowest bit.
        #[inline(always)]
        pub fn mask(self) -> u32 {
            // SAFETY: every x86-64 processor has SSE2.
            unsafe { _mm_movemask_epi8(self.0) as u32 }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod vector {
    use super::WIDTH;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes([u8; WIDTH]);

    impl Lanes {
        /// No bit set.
        #[inline(always)]
        pub fn zero() -> Lanes {
            Lanes([0; WIDTH])
        }

        /// Every lane the same byte.
        #[inline(always)]
        pub fn splat(byte: u8) -> Lanes {
            Lanes([byte; WIDTH])
        }

        /// The bytes in order.
        #[inline(always)]
        pub fn load(bytes: &[u8; WIDTH]) -> Lanes {
            Lanes(*bytes)
        }

        /// All ones in lanes that are this byte.
        #[inline(always)]
        pub fn is(self, byte: u8) -> Lanes {
            Lanes(self.0.map(|lane| if lane == byte { 0xFF } else { 0 }))
        }

        /// All ones in lanes that are at most this byte.
        #[inline(always)]
        pub fn at_most(self, byte: u8) -> Lanes {
            Lanes(self.0.map(|lane| if lane <= byte { 0xFF } else { 0 }))
        }

        /// All ones in lanes that are from `first` to `last`.
        #[inline(always)]
        pub fn between(self, first: u8, last: u8) -> Lanes {
            Lanes(self.0.map(|lane| lane.wrapping_sub(first))).at_most(last - first)
        }

        /// All ones in lanes that are the same in both.
        #[inline(always)]
        pub fn same(self, other: Lanes) -> Lanes {
            let mut lanes = self.0;
            let pairs = lanes.iter_mut().zip(other.0);
            pairs.for_each(|(lane, other)| *lane = if *lane == other { 0xFF } else { 0 });
            Lanes(lanes)
        }

        /// The bits of either.
        #[inline(always)]
        pub fn or(self, other: Lanes) -> Lanes {
            let mut lanes = self.0;
            lanes.iter_mut().zip(other.0).for_each(|(lane, other)| *lane |= other);
            Lanes(lanes)
        }

        /// The top bit of each lane; the first lane is the lowest bit.
        #[inline(always)]
        pub fn mask(self) -> u32 {
            let bits = self.0.iter().enumerate();
            bits.fold(0, |mask, (index, lane)| mask | (u32::from(*lane >> 7) << index))
        }
    }
}

pub(crate) use vector::Lanes;

/// Bytes that [`Marks`] are taken of.
pub(crate) const BLOCK: usize = 64;

/// Where in a block the characters stand that tags are made of; bit n is byte n.
pub(crate) struct Marks {
    pub lt: u64,
    pub gt: u64,
    pub apos: u64,
    pub quot: u64,
}

impl Marks {
    /// The marks of one block.
    #[inline(always)]
    pub fn of(block: &[u8; BLOCK]) -> Marks {
        let mut marks = Marks { lt: 0, gt: 0, apos: 0, quot: 0 };
        let (chunks, _) = block.as_chunks::<WIDTH>();
        for (index, chunk) in chunks.iter().enumerate() {
            let lanes = Lanes::load(chunk);
            let shift = index * WIDTH;
            marks.lt |= u64::from(lanes.is(b'<').mask()) << shift;
            marks.gt |= u64::from(lanes.is(b'>').mask()) << shift;
            marks.apos |= u64::from(lanes.is(b'\'').mask()) << shift;
            marks.quot |= u64::from(lanes.is(b'"').mask()) << shift;
        }
        marks
    }

    /// The attribute value that is open at the first of `stops` or, without one, at the end of
    /// the block: its quote, and the bytes from there on. `live` begins in a start tag.
    ///
    /// Values are mostly all in quotes of one kind: then it is enough to count them.
    #[inline(always)]
    pub fn open_value(&self, live: u64, stops: u64) -> Option<(u8, u64)> {
        let before = live & stops.wrapping_sub(1) & !stops;
        let (apos, quot) = (self.apos & before, self.quot & before);
        if apos != 0 && quot != 0 {
            // Each kind may stand inside the other: on from the first value that opens.
            let first = (apos | quot).trailing_zeros();
            let quote = if apos.trailing_zeros() == first { b'\'' } else { b'"' };
            return Some((quote, live & (u64::MAX << first) << 1));
        }
        let is_open = (apos | quot).count_ones() % 2 == 1;
        let quote = if quot == 0 { b'\'' } else { b'"' };
        is_open.then_some((quote, live & !before))
    }
}

/// The sixteen bytes at `at`, unless fewer are left.
#[inline(always)]
pub(crate) fn window(bytes: &[u8], at: usize) -> Option<Lanes> {
    Some(Lanes::load(bytes.get(at..)?.first_chunk()?))
}

/// Whether `length` bytes are the same at both places.
#[inline(always)]
pub(crate) fn is_same(bytes: &[u8], a: usize, b: usize, length: usize) -> bool {
    if length <= WIDTH
        && let (Some(first), Some(second)) = (window(bytes, a), window(bytes, b))
    {
        return (!first.same(second).mask()).trailing_zeros() as usize >= length;
    }
    let part = |at: usize| bytes.get(at..at + length);
    part(a).is_some_and(|first| part(b) == Some(first))
}

/// The position of the first byte from `at` on that is `a` or `b`.
#[inline(always)]
pub(crate) fn find_either(bytes: &[u8], at: usize, a: u8, b: u8) -> Option<usize> {
    find(bytes, at, |lanes| lanes.is(a).or(lanes.is(b)), |byte| byte == a || byte == b)
}

/// The position of the first byte from `at` on that `wanted` marks; `is_wanted` says the same of
/// one byte.
#[inline(always)]
pub(crate) fn find(
    bytes: &[u8],
    mut at: usize,
    wanted: impl Fn(Lanes) -> Lanes,
    is_wanted: impl Fn(u8) -> bool,
) -> Option<usize> {
    while let Some(lanes) = window(bytes, at) {
        let mask = wanted(lanes).mask();
        if mask != 0 {
            return Some(at + mask.trailing_zeros() as usize);
        }
        at += WIDTH;
    }
    let found = bytes.get(at..)?.iter().position(|byte| is_wanted(*byte))?;
    Some(at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_keep_the_order_of_bytes() {
        let bytes: [u8; WIDTH] = std::array::from_fn(|index| index as u8);
        let lanes = Lanes::load(&bytes);
        assert_eq!(lanes.is(3).mask(), 1 << 3);
        assert_eq!(lanes.at_most(4).mask(), 0b1_1111);
        assert_eq!(lanes.is(0).or(lanes.is(15)).mask(), 1 | 1 << 15);
        assert_eq!(lanes.between(2, 4).mask(), 0b1_1100);
        assert_eq!(lanes.same(Lanes::load(&[7; WIDTH])).mask(), 1 << 7);
        assert_eq!(Lanes::zero().mask(), 0);
        assert_eq!(Lanes::load(&[0x80; WIDTH]).mask(), 0xFFFF);
    }

    #[test]
    fn equal_parts_are_the_same_near_the_end_too() {
        let bytes = b"0123456789abcdefghij....0123456789abcdefghiX";
        for length in 0..=20 {
            assert_eq!(is_same(bytes, 0, 24, length), length < 20, "{length}");
        }
        assert!(!is_same(bytes, 0, 40, 10));
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for length in 0..70 {
            let mut bytes = vec![b'a'; length];
            assert_eq!(find_either(&bytes, 0, b'<', b'>'), None);
            for at in (0..length).rev() {
                bytes[at] = if at % 2 == 0 { b'<' } else { b'>' };
                assert_eq!(find_either(&bytes, 0, b'<', b'>'), Some(at));
            }
        }
    }
}
