//! Where a text is cut into blocks, and what the blocks tell together.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;

use kubetriage::bundle::{Entry, Recogniser};
use kubetriage::facts::time::Span;
use kubetriage::facts::{EntryCoverage, Facts};
use kubetriage::formats::{ByContent, FORMATS, InputFormat, Piece};

/// Formats that read line by line: what a block holds is told whatever stands in the others.
const LINE_BY_LINE: [&str; 12] = [
    "audit-log",
    "cri-log",
    "docker-log",
    "journal-json",
    "klog",
    "json-log",
    "felix-log",
    "coredns-log",
    "journal",
    "logfmt",
    "access-log",
    "timed-log",
];

/// Bytes as the sizes of what is read at a time, and a text. No byte is lost between blocks, none is seen twice, lines
/// are not torn, and the facts are those of the text as one block.
pub fn splitter(data: &[u8]) {
    let (sizes, text) = data.split_at(data.len().min(8));
    let mut fills: VecDeque<usize> = sizes.iter().map(|size| usize::from(*size).pow(2) / 4 + 1).collect();
    let entry = Entry { path: "logs/node.log".into(), modified: None };
    let recognised = ByContent.recognise(&entry, text);
    let format = FORMATS[usize::from(recognised.format)];
    let mut framer = recognised.framer;
    let (mut start, mut end, mut line) = (0, 0, 1);
    let (mut apart, mut records) = (Facts::default(), 0);
    while start < text.len() {
        let context = framer.context();
        let ended = end == text.len();
        let cut = framer.cut(&text[start..end], ended);
        assert!(cut <= end - start, "cut behind the end");
        assert!(!ended || cut == end - start, "a rest is left over");
        if cut == 0 {
            let fill = fills.pop_front().unwrap_or(1);
            fills.push_back(fill);
            end = (end + fill).min(text.len());
            continue;
        }
        let block = &text[start..start + cut];
        if LINE_BY_LINE.contains(&format.name()) && !ended {
            assert_eq!(block.last(), Some(&b'\n'), "a line of {} is torn", format.name());
        }
        let mut facts = Facts::default();
        let whole = cut == text.len();
        records += read(
            format,
            &Block { entry: &entry, bytes: block, context: context.as_deref(), line, offset: start, whole },
            &mut facts,
        );
        apart = apart.merge(facts);
        line += block.split(|byte| *byte == b'\n').count() - 1;
        start += cut;
    }
    if LINE_BY_LINE.contains(&format.name()) {
        let mut together = Facts::default();
        let whole = Block { entry: &entry, bytes: text, context: None, line: 1, offset: 0, whole: true };
        let all = read(format, &whole, &mut together);
        assert_eq!(records, all, "{} counts other records in blocks", format.name());
        // The first and the last line of a block are samples of its times: more blocks have more, those of the text too.
        let samples = take_spans(&mut together);
        for (known, sample) in take_spans(&mut apart).into_iter().zip(samples) {
            let mut joined = known;
            joined.merge(sample);
            assert_eq!(joined, known, "{} loses a time in blocks", format.name());
        }
        assert_eq!(apart, together, "{} tells another story in blocks", format.name());
    }
}

fn take_spans(facts: &mut Facts) -> [Span; 3] {
    let mut of_entries = Span::default();
    facts.coverage.entries.retain(|_, entry| {
        of_entries.merge(take(&mut entry.span));
        *entry != EntryCoverage::default()
    });
    [take(&mut facts.span), take(&mut facts.text_span), of_entries]
}

struct Block<'a> {
    entry: &'a Entry,
    bytes: &'a [u8],
    context: Option<&'a [u8]>,
    line: usize,
    offset: usize,
    whole: bool,
}

fn read(format: &dyn InputFormat, block: &Block<'_>, facts: &mut Facts) -> u64 {
    let source: &Arc<str> = &block.entry.path;
    format.read(
        &Piece {
            source,
            entry: block.entry,
            bytes: block.bytes,
            context: block.context,
            first_line: block.line as u64,
            offset: block.offset as u64,
            whole: block.whole,
            recognised: true,
            cut_short: false,
            node: None,
            command: None,
            in_cluster: false,
            log_of: None,
        },
        facts,
    )
}
