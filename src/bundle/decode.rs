//! Text encodings and terminal escapes: everything after this file is UTF-8, or nearly, and plain.
//!
//! PowerShell 5.1 redirections write UTF-16LE with a byte order mark; some tools leave the mark out.
//! `Set-Content` and old consoles write a code page: 1252 or 850 in the West (<https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_character_encoding>).

use std::io::{self, Read};

use encoding_rs::{Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::archive;

/// What has to be done to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeStep {
    Decode(&'static Encoding),
    /// The console's code page of Western Europe.
    Cp850,
    /// Terminal escapes and NULs are dropped; carriage returns are line ends where there are hardly any others.
    Clean {
        returns: bool,
    },
}

/// The upper half of code page 850.
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

/// What the first bytes of a text call for, and the length of a UTF-8 mark.
pub(super) fn detect(head: &[u8]) -> (Option<DecodeStep>, usize) {
    match head {
        [0xff, 0xfe, ..] => return (Some(DecodeStep::Decode(UTF_16LE)), 0),
        [0xfe, 0xff, ..] => return (Some(DecodeStep::Decode(UTF_16BE)), 0),
        [0xef, 0xbb, 0xbf, rest @ ..] => return (unclean(rest), 3),
        _ => {}
    }
    if let Some(encoding) = without_mark(head) {
        return (Some(DecodeStep::Decode(encoding)), 0);
    }
    if archive::binary_kind(head).is_some() {
        return (None, 0);
    }
    (code_page(head).or_else(|| unclean(head)), 0)
}

fn unclean(head: &[u8]) -> Option<DecodeStep> {
    let count = |byte: u8| memchr::memchr_iter(byte, head).take(10_000).count();
    let returns =
        count(b'\r') > 10 * count(b'\n').max(1) || (head.len() > 80 && count(b'\n') == 0 && count(b'\r') > 0);
    (returns || memchr::memchr2(0x1b, 0, head).is_some()).then_some(DecodeStep::Clean { returns })
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

/// A text with bytes above 127 that are hardly ever UTF-8 is of a code page: of 850 when most of them
/// lie where 1252 has only signs.
fn code_page(head: &[u8]) -> Option<DecodeStep> {
    if std::str::from_utf8(head).is_ok() {
        return None;
    }
    let (mut wrong, mut low, mut right) = (0_usize, 0, 0);
    for chunk in head.utf8_chunks() {
        right += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count();
        wrong += chunk.invalid().len();
        low += chunk.invalid().iter().filter(|byte| **byte < 0xa0).count();
    }
    // The head may end within a character.
    if wrong <= 3 && right > 0 || wrong == 0 || wrong <= right * 4 || wrong * 4 > head.len() {
        return None;
    }
    Some(if low * 2 > wrong { DecodeStep::Cp850 } else { DecodeStep::Decode(WINDOWS_1252) })
}

impl DecodeStep {
    /// The stream after this step.
    pub(super) fn over<'a, R: Read + 'a>(self, inner: R) -> Box<dyn Read + 'a> {
        let change: Conversion = match self {
            Self::Decode(encoding) => Conversion::Decode(Box::new(encoding.new_decoder_with_bom_removal())),
            Self::Cp850 => Conversion::Cp850(CP850.chars().collect()),
            Self::Clean { returns } => Conversion::Clean(Escape::None, returns),
        };
        Box::new(Changed {
            inner,
            change,
            raw: vec![0; 64 << 10],
            ready: Vec::new(),
            given: 0,
            finished: false,
        })
    }
}

enum Conversion {
    Decode(Box<Decoder>),
    Cp850(Vec<char>),
    /// Where in an escape the text stands, and whether it has carriage returns for line ends.
    Clean(Escape, bool),
}

/// Where in an escape sequence the text stands (ECMA-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// After ESC.
    Begun,
    /// After ESC [: up to a letter.
    Control,
    /// After ESC ]: up to BEL or ESC.
    Title,
}

impl Conversion {
    fn apply(&mut self, raw: &[u8], last: bool, ready: &mut Vec<u8>) {
        match self {
            Self::Decode(decoder) => {
                let room = decoder.max_utf8_buffer_length(raw.len()).unwrap_or(raw.len() * 3 + 16);
                ready.resize(room, 0);
                let (_, _, written, _) = decoder.decode_to_utf8(raw, ready, last);
                ready.truncate(written);
            }
            Self::Cp850(table) => {
                for byte in raw {
                    let upper = byte.checked_sub(128).and_then(|at| table.get(usize::from(at)));
                    let mut room = [0; 4];
                    let character = upper.copied().unwrap_or(char::from(*byte));
                    ready.extend_from_slice(character.encode_utf8(&mut room).as_bytes());
                }
            }
            Self::Clean(state, returns) => {
                for byte in raw {
                    *state = match (*state, *byte) {
                        // A line break ends a sequence that was cut.
                        (_, b'\n') => {
                            ready.push(b'\n');
                            Escape::None
                        }
                        (_, b'\r') if *returns => {
                            ready.push(b'\n');
                            Escape::None
                        }
                        (_, 0x1b) => Escape::Begun,
                        (Escape::None, 0) => Escape::None,
                        (Escape::None, byte) => {
                            ready.push(byte);
                            Escape::None
                        }
                        (Escape::Begun, b'[') => Escape::Control,
                        (Escape::Begun, b']') => Escape::Title,
                        (Escape::Begun, _) | (Escape::Control, 0x40..=0x7e) | (Escape::Title, 0x07) => {
                            Escape::None
                        }
                        (state, _) => state,
                    };
                }
            }
        }
    }
}

/// A stream changed as it is read.
struct Changed<R> {
    inner: R,
    change: Conversion,
    raw: Vec<u8>,
    ready: Vec<u8>,
    given: usize,
    finished: bool,
}

impl<R: Read> Read for Changed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() && !self.finished {
            let read = self.inner.read(&mut self.raw)?;
            self.finished = read == 0;
            self.ready.clear();
            self.change.apply(self.raw.get(..read).unwrap_or_default(), self.finished, &mut self.ready);
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

    fn read(bytes: &[u8]) -> String {
        let (step, mark) = detect(bytes);
        let mut text = String::new();
        step.unwrap().over(&bytes[mark..]).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn powershell_redirection_is_read_as_text() {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(utf16le("NAME   STATUS\r\nnœud-1 Prêt\r\n"));
        assert_eq!(read(&bytes), "NAME   STATUS\r\nnœud-1 Prêt\r\n");
    }

    #[test]
    fn utf16_without_a_mark_is_still_seen() {
        assert_eq!(detect(&utf16le("kubectl get pods -A")).0, Some(DecodeStep::Decode(UTF_16LE)));
        assert_eq!(detect(b"kubectl get pods -A").0, None);
    }

    #[test]
    fn french_accents_of_either_code_page_are_read() {
        let windows = b"la connexion a \xe9chou\xe9 : d\xe9lai d\xe9pass\xe9 apr\xe8s";
        let console = b"la connexion a \x82chou\x82 : d\x82lai d\x82pass\x82 apr\x8as";
        let right = "la connexion a échoué : délai dépassé après";
        assert_eq!(read(windows), right);
        assert_eq!(read(console), right);
        assert_eq!(detect(right.as_bytes()).0, None);
    }

    #[test]
    fn a_single_damaged_byte_does_not_change_the_encoding() {
        let mut text = "nœud prêt — tout va bien\n".repeat(50).into_bytes();
        text.insert(100, 0xff);
        assert_eq!(detect(&text).0, None);
    }

    #[test]
    fn lines_that_end_in_a_return_alone_are_lines() {
        let text = b"*nat\r:KUBE-SERVICES - [0:0]\r-A KUBE-SERVICES -d 10.0.0.1/32 -p tcp -j KUBE-SVC-NPX46M4PTMTKRN6Y\rCOMMIT\r";
        assert_eq!(read(text).lines().count(), 4);
    }

    #[test]
    fn colours_titles_and_nuls_are_dropped() {
        let terminal = b"\x1b]0;title\x07\x1b[01;32mroot@node\x1b[0m:/# ls\x00\n\x1b[34m10.0.0.1\x1b[0m\n";
        assert_eq!(read(terminal), "root@node:/# ls\n10.0.0.1\n");
    }
}
