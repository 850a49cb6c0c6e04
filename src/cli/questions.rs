//! Many questions to an engine at once: one JSON object a line in, one a line out.

use std::fmt::Write;
use std::io::{BufRead, BufReader};

use super::{Exit, output};

/// So much of the answers is held at most, in bytes.
const HELD: usize = 1 << 20;

/// Answers each line of a file, or of the standard input for `-`. Empty lines are left out.
pub(super) fn answer_each(file: &str, answer: impl Fn(&[u8]) -> serde_json::Value) -> anyhow::Result<Exit> {
    let input: Box<dyn BufRead> = if file == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let opened =
            std::fs::File::open(file).map_err(|error| anyhow::anyhow!("can't open `{file}`: {error}"))?;
        Box::new(BufReader::new(opened))
    };
    let mut out = String::new();
    for line in input.split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        writeln!(out, "{}", answer(&line))?;
        if out.len() > HELD {
            output::to_stdout(out.as_bytes())?;
            out.clear();
        }
    }
    output::to_stdout(out.as_bytes())?;
    Ok(Exit::Done)
}
