//! The brackets of a JSON text outside its strings, found 64 bytes at a time.
//!
//! Most bytes of a JSON dump are strings and blanks. One comparison of vectors tells of 64 bytes which are quotes,
//! brackets, backslashes and line breaks; whether a byte stands within a string is the parity of the quotes before it.

use wide::u8x16;

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// A block, understood: bit `n` stands for byte `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Brackets outside strings.
    pub(super) brackets: u64,
    /// How many bytes were understood: one less when the last one is a backslash, whose other half is missing.
    pub(super) length: usize,
    /// The next byte stands within a string.
    pub(super) in_string: bool,
}

/// Which bytes of a block have a value.
fn equal(lanes: &[u8x16; 4], byte: u8) -> u64 {
    let wanted = u8x16::splat(byte);
    let bits = |lane: usize| lanes.get(lane).map_or(0, |lane| u64::from(lane.simd_eq(wanted).to_bitmask()));
    bits(0) | bits(1) << 16 | bits(2) << 32 | bits(3) << 48
}

/// Each bit becomes the parity of itself and all lower ones.
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The bytes that stand behind a backslash that is not itself escaped.
fn escaped(mut backslashes: u64) -> u64 {
    let mut found = 0;
    while backslashes != 0 {
        let at = backslashes.trailing_zeros();
        found |= 2_u64.checked_shl(at).unwrap_or(0);
        backslashes &= !3_u64.checked_shl(at).unwrap_or(0);
    }
    found
}

/// Understands a block that begins within a string or outside. `None` when it is no orderly JSON: a line break within a
/// string, a backslash outside; such a block is read byte by byte.
pub(super) fn block(bytes: &[u8; BLOCK], in_string: bool) -> Option<Block> {
    let lane = |at: usize| {
        let mut lane = [0; 16];
        lane.copy_from_slice(bytes.get(at * 16..(at + 1) * 16).unwrap_or(&[0; 16]));
        u8x16::new(lane)
    };
    let lanes = [lane(0), lane(1), lane(2), lane(3)];
    let backslashes = equal(&lanes, b'\\');
    let mut quotes = equal(&lanes, b'"');
    let mut length = BLOCK;
    if backslashes != 0 {
        let escaped = escaped(backslashes);
        quotes &= !escaped;
        // A last byte that begins an escape, and is not the second half of one.
        length -= usize::from(backslashes >> 63 == 1 && escaped >> 63 == 0);
    }
    let strings = parity(quotes) ^ if in_string { u64::MAX } else { 0 };
    let breaks = equal(&lanes, b'\n');
    if strings & breaks != 0 || backslashes & !strings != 0 {
        return None;
    }
    // `[` and `]` differ from `{` and `}` in one bit, which is set here for all.
    let braces = lanes.map(|lane| lane | u8x16::splat(0x20));
    let brackets = (equal(&braces, b'{') | equal(&braces, b'}')) & !strings;
    let last = u32::try_from(length - 1).unwrap_or(63);
    Some(Block { brackets, length, in_string: strings >> last & 1 == 1 })
}

/// The positions of the bits that are set, from the lowest.
pub(super) fn positions(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let at = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            at
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, byte by byte.
    fn slowly(bytes: &[u8], mut in_string: bool) -> (Vec<usize>, bool) {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            match (in_string, bytes[at]) {
                (true, b'\\') => at += 1,
                (_, b'"') => in_string = !in_string,
                (false, b'{' | b'[' | b'}' | b']') => found.push(at),
                _ => {}
            }
            at += 1;
        }
        (found, in_string)
    }

    proptest::proptest! {
        #[test]
        fn a_block_is_what_its_bytes_are(
            picks in proptest::collection::vec(proptest::sample::select(b"\"\"\\\\{}[]:, aZ[{|}\x00\xff".to_vec()), BLOCK),
            in_string: bool,
        ) {
            let bytes: [u8; BLOCK] = picks.clone().try_into().unwrap();
            let (_, _) = slowly(&bytes, in_string);
            if let Some(block) = block(&bytes, in_string) {
                let (expected, ends_in) = slowly(&bytes[..block.length], in_string);
                proptest::prop_assert_eq!(positions(block.brackets).collect::<Vec<_>>(), expected);
                proptest::prop_assert_eq!(block.in_string, ends_in);
            }
        }
    }

    #[test]
    fn a_damaged_block_is_left_to_the_careful_reader() {
        let with = |text: &str| {
            let mut bytes = [b' '; BLOCK];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            block(&bytes, false)
        };
        assert_eq!(with("{\"a\\\"}\n\": 1}").map(|block| block.brackets), None);
        assert_eq!(with("\\\"{").map(|block| block.brackets), None);
        assert_eq!(
            with("{\"}\": [1]}\n").map(|block| positions(block.brackets).collect()),
            Some(vec![0, 6, 8, 9])
        );
    }
}
