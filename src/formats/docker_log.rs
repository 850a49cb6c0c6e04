//! Container logs as Docker's json-file driver writes them: `{"log":"…\n","stream":"stderr","time":"…"}`.

use memchr::memmem;

use super::{Head, InputFormat, Piece, share_of_lines};
use crate::facts::Facts;

pub(super) struct DockerLog;
pub(super) const FORMAT: DockerLog = DockerLog;

impl InputFormat for DockerLog {
    fn name(&self) -> &'static str {
        "docker-log"
    }

    fn about(&self) -> &'static str {
        "container log of Docker's json-file driver"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let docker = share_of_lines(head.bytes, 50, |line| {
            line.starts_with(b"{\"log\":") && memmem::find(line, b"\"stream\":").is_some()
        });
        if docker >= 80 { 97 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        super::klog::read_log(piece, facts)
    }
}
