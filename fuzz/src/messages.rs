//! Single lines, which any program may have written.

use std::time::{Duration, Instant};

use kubetriage::bundle::Entry;
use kubetriage::facts::Facts;
use kubetriage::formats::{FORMATS, Head, Piece};

use crate::INPUT_BYTES;

/// Far more than any reader takes for a line that fills an input, far less than one takes that looks at each byte from
/// each other.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 });

/// A line is read by every format, though it be of another: as it is, or, when its first byte says so, over and over until
/// it is a long line. A long line takes as long as hundreds of short ones, so few are.
pub fn messages(data: &[u8]) {
    let Some((first, line)) = data.split_first() else { return };
    let mut line: Vec<u8> = line.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    if first % 32 == 1 && !line.is_empty() {
        line = line.repeat(INPUT_BYTES / line.len());
    }
    line.push(b'\n');
    let entry = Entry { path: "logs/node.log".into(), modified: None };
    for format in FORMATS {
        let _ = format.score(&Head { entry: &entry, bytes: &line });
        let piece = Piece {
            source: &entry.path,
            entry: &entry,
            bytes: &line,
            context: None,
            first_line: 1,
            offset: 0,
            whole: true,
            recognised: first & 2 == 0,
            cut_short: first & 4 != 0,
            node: None,
            command: None,
            in_cluster: first & 8 != 0,
            log_of: None,
        };
        let took = || {
            let began = Instant::now();
            format.read(&piece, &mut Facts::default());
            began.elapsed()
        };
        // Once may be the fault of a busy machine.
        let slow = (0..3).all(|_| took() > PATIENCE);
        assert!(!slow, "{} takes longer than {PATIENCE:?} for {} bytes", format.name(), line.len());
    }
}
