//! Go's own log package: `2023/01/02 03:04:05 [1234] text` (Azure CNI before 1.5.7, Azure CNS, many others).

use super::shared::log::LineLog;
use crate::facts::time;

pub(super) const FORMAT: LineLog = LineLog {
    name: "go-log",
    about: "log of Go's log package (older Azure CNI and CNS, and others)",
    score: 81,
    share: 50,
    looks,
};

fn looks(line: &[u8]) -> bool {
    time::go_log(line).is_some()
}
