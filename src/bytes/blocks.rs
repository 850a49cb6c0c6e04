//! Bytes of a text, 64 at a time: one comparison of vectors tells which of them have a value.

use wide::u8x16;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// A block as vectors. In the answers bit `n` stands for byte `n`.
#[derive(Clone, Copy)]
pub(crate) struct Lanes([u8x16; 4]);

impl Lanes {
    pub(crate) fn of(bytes: &[u8; BLOCK]) -> Self {
        let lane = |at: usize| {
            let mut lane = [0; 16];
            lane.copy_from_slice(bytes.get(at * 16..(at + 1) * 16).unwrap_or(&[0; 16]));
            u8x16::new(lane)
        };
        Self([lane(0), lane(1), lane(2), lane(3)])
    }

    /// Which bytes have a value.
    pub(crate) fn equal(&self, byte: u8) -> u64 {
        let wanted = u8x16::splat(byte);
        let bits = |lane: u8x16| u64::from(lane.simd_eq(wanted).to_bitmask());
        let Self([a, b, c, d]) = *self;
        bits(a) | bits(b) << 16 | bits(c) << 32 | bits(d) << 48
    }

    /// The block with these bits set in every byte.
    pub(crate) fn with_bits(self, bits: u8) -> Self {
        let bits = u8x16::splat(bits);
        let Self([a, b, c, d]) = self;
        Self([a | bits, b | bits, c | bits, d | bits])
    }
}

/// Each bit becomes the parity of itself and all lower ones: from quotes, what stands within them.
pub(crate) fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The positions of the bits that are set, from the lowest.
pub(crate) fn positions(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let at = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            at
        })
    })
}
