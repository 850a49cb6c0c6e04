//! `logs.txt` of `kubectl cluster-info dump`: each container's log between
//! `==== START logs for container C of pod NS/POD ====` and `==== END logs …`.

use std::sync::Arc;

use super::shared::dump;
use super::{Head, InputFormat, Piece, klog};
use crate::bundle::{Framer, Lines};
use crate::facts::Facts;

pub(super) struct DumpedLogs;
pub(super) const FORMAT: DumpedLogs = DumpedLogs;

impl InputFormat for DumpedLogs {
    fn name(&self) -> &'static str {
        "dumped-logs"
    }

    fn about(&self) -> &'static str {
        "container logs framed by kubectl cluster-info dump"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if head.bytes.trim_ascii_start().starts_with(b"==== START logs for container ") { 99 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<LogFramer>::default()
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        // A block that goes on with a log has its first line as context.
        let begun = piece.context.and_then(dump::Frame::parse);
        let mut records = 0;
        for log in dump::logs(piece.bytes) {
            let pod = match (log.start, begun) {
                (0, Some(dump::Frame::Start(namespace, name))) => Some((namespace, name)),
                _ => log.pod,
            };
            let part = Piece {
                bytes: piece.bytes.get(log.start..log.end).unwrap_or_default(),
                context: None,
                first_line: piece.first_line + log.line,
                offset: piece.offset + log.start as u64,
                log_of: pod.or(piece.log_of),
                ..*piece
            };
            records += klog::read_log(&part, facts);
        }
        records
    }
}

/// Cuts after lines, and takes along whose log it is.
#[derive(Default)]
struct LogFramer {
    open: Option<Arc<[u8]>>,
}

impl Framer for LogFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        let cut = Lines.cut(buffer, at_end);
        let text = buffer.get(..cut).unwrap_or_default();
        if let Some(last) = memchr::memmem::rfind_iter(text, b"==== ").find_map(|at| {
            let begins = at == 0 || text.get(at - 1) == Some(&b'\n');
            let line = text.get(at..)?;
            let line = line.get(..memchr::memchr(b'\n', line).unwrap_or(line.len()))?;
            dump::Frame::parse(line).filter(|_| begins).map(|frame| (frame, line))
        }) {
            self.open = matches!(last.0, dump::Frame::Start(..)).then(|| Arc::from(last.1));
        }
        cut
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        Lines.resume(buffer)
    }

    fn context(&self) -> Option<Arc<[u8]>> {
        self.open.clone()
    }
}
