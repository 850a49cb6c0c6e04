//! Text encodings: everything after this file is UTF-8, or nearly.
//!
//! PowerShell 5.1 redirections write UTF-16LE with a byte order mark; some tools leave the mark out.

use std::io::{self, Read};

use encoding_rs::{Decoder, Encoding, UTF_16BE, UTF_16LE};

/// The encoding of a text by its first bytes, when it is not UTF-8, and the length of a UTF-8 mark.
pub(super) fn detect(head: &[u8]) -> (Option<&'static Encoding>, usize) {
    match head {
        [0xff, 0xfe, ..] => (Some(UTF_16LE), 0),
        [0xfe, 0xff, ..] => (Some(UTF_16BE), 0),
        [0xef, 0xbb, 0xbf, ..] => (None, 3),
        _ => (without_mark(head), 0),
    }
}

/// UTF-16 of mostly ASCII text has a NUL in nearly every other byte.
fn without_mark(head: &[u8]) -> Option<&'static Encoding> {
    let sample = head.get(..4096).unwrap_or(head);
    let pairs = sample.len() / 2;
    if pairs < 8 {
        return None;
    }
    let nul_at = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (nul_at(0), nul_at(1));
    if odd * 10 >= pairs * 8 && even * 10 <= pairs {
        Some(UTF_16LE)
    } else if even * 10 >= pairs * 8 && odd * 10 <= pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Decodes a stream to UTF-8 as it is read.
pub(super) struct Decoding<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    ready: Vec<u8>,
    given: usize,
    finished: bool,
}

impl<R: Read> Decoding<R> {
    pub(super) fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; 64 << 10],
            ready: Vec::new(),
            given: 0,
            finished: false,
        }
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() && !self.finished {
            let read = self.inner.read(&mut self.raw)?;
            self.finished = read == 0;
            let raw = self.raw.get(..read).unwrap_or_default();
            let room = self.decoder.max_utf8_buffer_length(read).unwrap_or(read * 3 + 16);
            self.ready.resize(room, 0);
            let (_, _, written, _) = self.decoder.decode_to_utf8(raw, &mut self.ready, self.finished);
            self.ready.truncate(written);
            self.given = 0;
        }
        let rest = self.ready.get(self.given..).unwrap_or_default();
        let count = rest.len().min(out.len());
        for (to, from) in out.iter_mut().zip(rest) {
            *to = *from;
        }
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn powershell_redirection_is_read_as_text() {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(utf16le("NAME   STATUS\r\nnœud-1 Prêt\r\n"));
        let (encoding, _) = detect(&bytes);
        let mut text = String::new();
        Decoding::new(bytes.as_slice(), encoding.unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "NAME   STATUS\r\nnœud-1 Prêt\r\n");
    }

    #[test]
    fn utf16_without_a_mark_is_still_seen() {
        assert_eq!(detect(&utf16le("kubectl get pods -A")).0, Some(UTF_16LE));
        assert_eq!(detect(b"kubectl get pods -A").0, None);
    }
}
