//! Container logs as the CRI writes them: `2026-11-23T20:05:01.123456789Z stderr F message`. A long message
//! comes in parts, marked `P`, up to the one marked `F`.

use super::shared::line;
use super::shared::log_line::Surroundings;
use super::{Head, InputFormat, Piece, klog, share_of_lines};
use crate::bundle::{Framer, Lines};
use crate::facts::{Facts, time};

pub(super) struct ContainerLog;
pub(super) const FORMAT: ContainerLog = ContainerLog;

/// Longest message that is put together.
const MESSAGE_BYTES: usize = 1 << 20;

impl InputFormat for ContainerLog {
    fn name(&self) -> &'static str {
        "cri-log"
    }

    fn about(&self) -> &'static str {
        "container log with the CRI's time, stream and flag before each line"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if share_of_lines(head.bytes, 50, |line| parts(line).is_some()) >= 80 { 92 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(CriFramer)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let partial = |mark: &str| memchr::memmem::find(piece.bytes, mark.as_bytes()).is_some();
        if partial(" stderr P ") || partial(" stdout P ") {
            join_parts(piece, facts)
        } else {
            klog::read_log(piece, facts)
        }
    }
}

/// Stream, whether more comes, the message and where it begins.
fn parts(line: &[u8]) -> Option<(u8, bool, usize)> {
    let (_, length) = time::rfc3339(line)?;
    let rest = line.get(length..)?;
    let stream = match rest.get(..8)? {
        b" stderr " => b'e',
        b" stdout " => b'o',
        _ => return None,
    };
    let more = rest.get(8) == Some(&b'P');
    (rest.get(9).is_none_or(|byte| *byte == b' ')).then_some((stream, more, length + 10))
}

/// Reads a piece in which messages are broken into parts.
fn join_parts(piece: &Piece<'_>, facts: &mut Facts) -> u64 {
    // Per stream: the message so far, with the head of its first part, and its line.
    let mut open: [Option<(Vec<u8>, u64)>; 2] = [None, None];
    let mut records = 0;
    for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let around = Surroundings { node: piece.node, ..Surroundings::default() };
        let Some((stream, more, start)) = parts(line) else {
            line::consider(line, around, piece.source, number, facts);
            continue;
        };
        let Some(slot) = open.get_mut(usize::from(stream == b'o')) else { continue };
        match slot.take() {
            None if !more => {
                records += 1;
                line::consider(line, around, piece.source, number, facts);
            }
            None => *slot = Some((line.to_vec(), number)),
            Some((mut message, first)) => {
                if message.len() < MESSAGE_BYTES {
                    message.extend_from_slice(line.get(start..).unwrap_or_default());
                }
                if more {
                    *slot = Some((message, first));
                } else {
                    records += 1;
                    line::consider(&message, around, piece.source, first, facts);
                }
            }
        }
    }
    for (message, first) in open.into_iter().flatten() {
        records += 1;
        let around = Surroundings { node: piece.node, ..Surroundings::default() };
        line::consider(&message, around, piece.source, first, facts);
    }
    line::note_times(piece, facts);
    records
}

/// Cuts after a whole message.
#[derive(Debug)]
struct CriFramer;

impl Framer for CriFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end {
            return buffer.len();
        }
        let mut end = buffer.len();
        // A part that is followed by more is at the end of few blocks only.
        for _ in 0..1000 {
            let Some(newline) = buffer.get(..end).and_then(|head| memchr::memrchr(b'\n', head)) else {
                break;
            };
            let start =
                buffer.get(..newline).and_then(|head| memchr::memrchr(b'\n', head)).map_or(0, |at| at + 1);
            let whole =
                parts(buffer.get(start..newline).unwrap_or_default()).is_none_or(|(_, more, _)| !more);
            if whole {
                return newline + 1;
            }
            end = newline;
        }
        Lines.cut(buffer, at_end)
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        Lines.resume(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_not_cut_within_a_message() {
        let text = b"2026-11-23T20:05:01Z stderr F a\n2026-11-23T20:05:01Z stderr P b\n2026-11-23T20:05:01Z stderr P c\n";
        assert_eq!(CriFramer.cut(text, false), 32);
    }
}
