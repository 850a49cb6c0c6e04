//! `kubetriage detectors`, and the page of a cause.

use std::fmt::Write;

use clap::Args;

use super::{Exit, output};
use crate::detectors::{self, Detector};

/// List the causes that can be found
#[derive(Args)]
pub(super) struct Detectors {
    /// Write docs/detectors.md instead of the list
    #[arg(long, hide = true)]
    markdown: bool,
}

impl Detectors {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let text = if self.markdown { markdown() } else { list() };
        output::styled(&text)?;
        Ok(Exit::Done)
    }
}

fn list() -> String {
    let mut text = String::new();
    let mut chapter = None;
    for detector in detectors::all() {
        if chapter != Some(detector.chapter) {
            let gap = if chapter.is_some() { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{}", detector.chapter.title());
            chapter = Some(detector.chapter);
        }
        let _ = writeln!(text, "  {:<28} {}", detector.id, detector.title);
    }
    text
}

pub(super) fn page(detector: &Detector) -> String {
    let doc = &detector.doc;
    let mut text = format!("{}\n{}\n\n", detector.id, detector.title);
    for (heading, body) in
        [("What it means", doc.meaning), ("How it is decided", doc.decision), ("What to do", doc.action)]
    {
        let _ = writeln!(text, "{heading}\n{}\n", wrapped(body));
    }
    text.push_str("What it needs\n");
    for need in detector.needs {
        let _ = writeln!(text, "  {}: {}\n    {}\n", need.what, need.why, need.command);
    }
    let _ = writeln!(text, "Reference\n{}", wrapped(doc.reference));
    text
}

pub(super) fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from(" ")];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 95 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n")
}

/// The same pages as one document; `docs/detectors.md` is this text, and a test compares them.
pub(super) fn markdown() -> String {
    let mut text = String::from(
        "# Causes that kubetriage finds\n\nMade from the code by `just docs`; `kubetriage explain <id>` shows the same text.\n",
    );
    let mut chapter = None;
    for detector in detectors::all() {
        if chapter != Some(detector.chapter) {
            let _ = write!(text, "\n## {}\n", detector.chapter.title());
            chapter = Some(detector.chapter);
        }
        let doc = &detector.doc;
        let _ = write!(
            text,
            "\n### {}\n\n**{}**\n\n*What it means.* {}\n\n*How it is decided.* {}\n\n*What to do.* {}\n\n*Reference.* {}\n\n*Needs.*\n\n",
            detector.id, detector.title, doc.meaning, doc.decision, doc.action, doc.reference
        );
        for need in detector.needs {
            let _ = write!(text, "- {}: {}\n\n  ```sh\n  {}\n  ```\n", need.what, need.why, need.command);
        }
    }
    text
}
