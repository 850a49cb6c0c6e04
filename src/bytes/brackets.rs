//! The brackets of a JSON text outside its strings, found 64 bytes at a time.
//!
//! Most bytes of a JSON dump are strings and blanks. One comparison of vectors tells of 64 bytes which are quotes,
//! brackets, backslashes and line breaks; whether a byte stands within a string is the parity of the quotes before it.

use super::blocks::{BLOCK, Lanes, parity};

/// A block, understood: bit `n` stands for byte `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScannedBlock {
    /// Brackets outside strings.
    pub(crate) brackets: u64,
    /// How many bytes were understood: one less when the last one is a backslash, whose other half is missing.
    pub(crate) length: usize,
    /// The next byte stands within a string.
    pub(crate) in_string: bool,
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
pub(crate) fn block(bytes: &[u8; BLOCK], in_string: bool) -> Option<ScannedBlock> {
    let lanes = Lanes::of(bytes);
    let backslashes = lanes.equal(b'\\');
    let mut quotes = lanes.equal(b'"');
    let mut length = BLOCK;
    if backslashes != 0 {
        let escaped = escaped(backslashes);
        quotes &= !escaped;
        // A last byte that begins an escape, and is not the second half of one.
        length -= usize::from(backslashes >> 63 == 1 && escaped >> 63 == 0);
    }
    let strings = parity(quotes) ^ if in_string { u64::MAX } else { 0 };
    let breaks = lanes.equal(b'\n');
    if strings & breaks != 0 || backslashes & !strings != 0 {
        return None;
    }
    // `[` and `]` differ from `{` and `}` in one bit, which is set here for all.
    let braces = lanes.with_bits(0x20);
    let brackets = (braces.equal(b'{') | braces.equal(b'}')) & !strings;
    let last = u32::try_from(length - 1).unwrap_or(63);
    Some(ScannedBlock { brackets, length, in_string: strings >> last & 1 == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::blocks::positions;

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
