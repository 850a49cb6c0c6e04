//! Which of a log's last lines name the failure, in the words of the languages and libraries that programs are made of.

use memchr::memrchr;

use super::unwrap::unwrap;
use crate::evidence::Evidence;
use crate::facts::text::lossy;
use crate::facts::{Facts, LastWords};
use crate::formats::Piece;

/// How much of the end of a piece is looked at.
const TAIL_BYTES: usize = 8 << 10;
/// How many lines of it.
const TAIL_LINES: usize = 60;
/// Most lines that are kept.
const KEPT: usize = 3;

/// Words after which a program ends: Go's and Rust's panics, loggers' highest level, nginx's `[emerg]`, the JVM's and
/// Python's reports of what nobody caught.
const FATAL: &[&str] = &[
    "panic:",
    "panicked at",
    "fatal",
    "Fatal",
    "FATAL",
    "[emerg]",
    "CRITICAL",
    "PANIC",
    "Caused by:",
    "Exception in thread",
    "Unhandled exception",
    "Unhandled Exception",
    "Uncaught ",
    "uncaughtException",
    "SIGSEGV",
    "Segmentation fault",
    "core dumped",
    "Cannot find module",
    "exec format error",
    "error while loading shared libraries",
];

/// Words of failures that a program may survive.
const FAILED: &[&str] = &[
    "Error",
    "error",
    "ERROR",
    "Exception",
    "exception",
    "failed",
    "Failed",
    "FAILED",
    "denied",
    "refused",
    "No such file",
    "no such file",
    "not found",
    "cannot ",
    "Cannot ",
    "could not",
    "Could not",
    "can't ",
    "unable to",
    "Unable to",
    "invalid",
    "address already in use",
    "not set",
    "required",
    "undefined",
    "curl: (",
    "missing",
];

/// What stands in a log's place where it could not be fetched: the words of kubectl, of the API server, of a kubelet.
fn is_of_collector(line: &str) -> bool {
    [
        "Request log error",
        "Error from server",
        "unable to retrieve container logs",
        "failed to try resolving symlinks",
    ]
    .iter()
    .any(|start| line.trim_start().starts_with(start))
}

/// Whether a line is a frame of a stack or what surrounds one.
fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    // curl writes its error behind its progress.
    line.starts_with(['\t', ' ']) && !line.contains("curl: (")
        || [
            "at ",
            "goroutine ",
            "File \"",
            "[signal ",
            "stack backtrace",
            "note: run with",
            "...",
            "created by ",
        ]
        .iter()
        .any(|start| text.starts_with(start))
        || text.ends_with(')') && text.contains('(') && !text.contains(' ')
        || text.contains(".go:") && text.contains(" +0x")
}

/// A level of a structured or klog line that is no failure.
fn is_harmless(text: &str) -> bool {
    // An audit event tells what was asked for and answered, and is no program's last word.
    if text.contains("audit.k8s.io/") {
        return true;
    }
    let level = |word: &str| {
        text.contains(&format!("\"level\":\"{word}\""))
            || text.contains(&format!("\"level\": \"{word}\""))
            || text.contains(&format!("level={word} "))
    };
    // klog: `I1120 09:00:00.000000`; counters that say that nothing failed.
    let klog = text
        .strip_prefix('I')
        .is_some_and(|rest| rest.get(..4).is_some_and(|day| day.chars().all(|c| c.is_ascii_digit())));
    if klog || [" 0 failed", " 0 errors", "failed=0", "errors=0"].iter().any(|words| text.contains(words)) {
        return true;
    }
    level("info")
        || level("debug")
        || ["INFO", "DEBUG"].iter().any(|word| {
            text.split([' ', '\t', '|']).take(4).any(|part| part.trim_matches(['[', ']', ':']) == *word)
        })
}

/// 2: the program ends with it; 1: something failed; 0: neither.
fn weight(line: &str) -> u8 {
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if is_of_collector(line)
        || is_frame(line) && !line.trim_start().starts_with("Caused by:")
        || is_harmless(line)
    {
        0
    } else if has(FATAL) {
        2
    } else {
        u8::from(has(FAILED))
    }
}

/// Notes how a piece of a log ends.
pub(super) fn note(piece: &Piece<'_>, facts: &mut Facts) {
    let bytes = piece.bytes.trim_ascii_end();
    if bytes.is_empty() {
        return;
    }
    let from = bytes.len().saturating_sub(TAIL_BYTES);
    // From the beginning of a line.
    let from = if from == 0 {
        0
    } else {
        memchr::memchr(b'\n', bytes.get(from..).unwrap_or_default()).map_or(bytes.len(), |at| from + at + 1)
    };
    let tail = bytes.get(from..).unwrap_or_default();
    let breaks = memchr::memchr_iter(b'\n', bytes).count() as u64;
    let end = piece.first_line + breaks;
    let mut found = LastWords { end, ..LastWords::default() };
    let mut rest = tail;
    let mut number = end;
    let mut all: Vec<(u64, &[u8], u8)> = Vec::new();
    for _ in 0..TAIL_LINES {
        let start = memrchr(b'\n', rest).map_or(0, |at| at + 1);
        let line = rest.get(start..).unwrap_or_default();
        let text = unwrap_keeping_indent(line);
        all.push((number, line, weight(&text)));
        if start == 0 {
            break;
        }
        rest = rest.get(..start - 1).unwrap_or_default();
        number = number.saturating_sub(1);
    }
    let most = all.iter().map(|(.., weight)| *weight).max().unwrap_or(0);
    if most > 0 {
        let mut kept: Vec<_> = all.iter().filter(|(.., weight)| *weight == most).take(KEPT).collect();
        kept.reverse();
        found.lines =
            kept.iter().map(|(number, line, _)| Evidence::line(piece.source, *number, line)).collect();
        found.when = kept.last().and_then(|(_, line, _)| unwrap(line).when);
    } else {
        found.last = all
            .first()
            .filter(|(_, line, _)| !is_of_collector(&lossy(line)))
            .map(|(number, line, _)| Evidence::line(piece.source, *number, line));
    }
    facts.log_ends.add(piece.source, found);
}

/// The message of a line; `unwrap` takes indentation away, by which frames of a stack are known.
fn unwrap_keeping_indent(line: &[u8]) -> String {
    if line.first().is_some_and(u8::is_ascii_whitespace) {
        return lossy(line).into_owned();
    }
    lossy(&unwrap(line).text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_progress_weigh_nothing() {
        for line in [
            "\t/src/main.go:41 +0x1d",
            "main.main()",
            "goroutine 1 [running]:",
            "    at Object.<anonymous> (/app/index.js:3:9)",
            "{\"level\":\"info\",\"msg\":\"no error\"}",
            "listening on 8080",
        ] {
            assert_eq!(weight(line), 0, "{line}");
        }
    }

    #[test]
    fn the_words_of_many_languages_are_known() {
        for line in [
            "panic: DATABASE_URL is not set",
            "thread 'main' panicked at src/main.rs:4:5:",
            "Caused by: java.net.UnknownHostException: db",
            "1:M 20 Nov 2026 09:00:00.002 # Fatal: can't open the RDB file dump.rdb for reading: Permission denied",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
        ] {
            assert_eq!(weight(line), 2, "{line}");
        }
        for line in ["KeyError: 'STRIPE_KEY'", "psycopg2.OperationalError: connection refused"] {
            assert_eq!(weight(line), 1, "{line}");
        }
    }
}
