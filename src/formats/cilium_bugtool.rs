//! The files of a cilium-bugtool archive, `cmd/*.md`: a heading and the output of one command between fences
//! (cilium/cilium `bugtool/cmd/root.go`). They look like documentation, and are command outputs.
//!
//! Older ones have the command in the heading (`# cilium status`), newer ones an empty heading and the command in fences of
//! its own before its output.

use super::{Head, InputFormat, Piece, text};
use crate::bundle::{Framer, Whole};
use crate::facts::Facts;
use crate::facts::text::lossy;

pub(super) struct CiliumBugtool;
pub(super) const FORMAT: CiliumBugtool = CiliumBugtool;

impl InputFormat for CiliumBugtool {
    fn name(&self) -> &'static str {
        "cilium-bugtool"
    }

    fn about(&self) -> &'static str {
        "output of a command as cilium-bugtool keeps it, in fences (cmd/*.md)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if outputs(head.bytes).is_some() { 89 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let Some((command, output)) = outputs(piece.bytes) else { return 0 };
        let bytes = piece.bytes.get(output.clone()).unwrap_or_default();
        let before = piece.bytes.get(..output.start).unwrap_or_default();
        let inner = Piece {
            bytes,
            first_line: piece.first_line + memchr::memchr_iter(b'\n', before).count() as u64,
            offset: piece.offset + output.start as u64,
            whole: false,
            recognised: false,
            command: Some(&command),
            in_cluster: true,
            ..*piece
        };
        text::FORMAT.read(&inner, facts);
        1
    }
}

/// The command, and where its output stands.
pub(super) fn outputs(text: &[u8]) -> Option<(String, std::ops::Range<usize>)> {
    let mut lines = lines(text);
    let (_, heading) = lines.find(|(_, line)| !line.is_empty())?;
    let heading = heading.strip_prefix(b"#").filter(|rest| rest.is_empty() || rest.starts_with(b" "))?;
    let mut command = lossy(heading.trim_ascii()).into_owned();
    let mut open = lines.find(|(_, line)| !line.is_empty()).filter(|(_, line)| *line == b"```")?.0;
    if command.is_empty() {
        // Short: a command, and its output in the next fences.
        let mut typed = Vec::new();
        let mut close = None;
        for (at, line) in lines.by_ref().take(6) {
            if line == b"```" {
                close = Some(at);
                break;
            }
            typed.push(lossy(line).into_owned());
        }
        close?;
        command = typed.join(" ").trim().to_owned();
        open = lines.find(|(_, line)| !line.is_empty()).filter(|(_, line)| *line == b"```")?.0;
    }
    if command.is_empty() || command.len() > 300 {
        return None;
    }
    let start = open + 4;
    // A cut file has no end; an output may itself hold fences.
    let body = text.get(start..)?;
    let end = memchr::memmem::rfind(body, b"\n```").map_or(body.len(), |at| at + 1);
    Some((command, start.min(text.len())..start + end))
}

/// Lines without their ends, and where each begins.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    text.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_ascii_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_stands_in_the_heading_or_in_fences_of_its_own() {
        let old = b"# ip a\n\n```\n1: lo\n```\n";
        let (command, at) = outputs(old).unwrap();
        assert_eq!((command.as_str(), &old[at]), ("ip a", &b"1: lo\n"[..]));
        let new = b"#\n\n```\ncilium bpf lb list\n```\n\n```\nError: x\n```\n";
        let (command, at) = outputs(new).unwrap();
        assert_eq!((command.as_str(), &new[at]), ("cilium bpf lb list", &b"Error: x\n"[..]));
        assert_eq!(outputs(b"# Title\n\nWords.\n\n```\ncode\n```\n"), None);
    }
}
