//! The verdict board: what was found stands alone, what says the same for the same reason stands together.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::detectors::Chapter;
use crate::diagnosis::{Diagnosis, Verdict, VerdictKind};

/// A row of the board.
#[derive(Serialize)]
pub(super) struct BoardRow<'a> {
    /// `confirmed`, …
    pub(super) label: &'static str,
    /// Why.
    pub(super) reason: &'a str,
    /// The causes: title and id.
    pub(super) causes: Vec<(&'a str, &'a str)>,
}

/// The rows of a chapter.
#[derive(Serialize)]
pub(super) struct ChapterRows<'a> {
    /// As a heading.
    pub(super) title: &'static str,
    /// Found ones first.
    pub(super) rows: Vec<BoardRow<'a>>,
}

/// The board, by chapter.
pub(super) fn board(diagnosis: &Diagnosis) -> Vec<ChapterRows<'_>> {
    let mut chapters: BTreeMap<Chapter, Vec<&Verdict>> = BTreeMap::new();
    for verdict in &diagnosis.verdicts {
        chapters.entry(verdict.chapter).or_default().push(verdict);
    }
    chapters
        .into_iter()
        .map(|(chapter, verdicts)| ChapterRows { title: chapter.title(), rows: rows(&verdicts) })
        .collect()
}

/// Found ones come first, unknown ones last.
const ORDER: [&str; 4] = ["confirmed", "suspected", "ruled out", "no sign seen"];

/// The rows of a chapter, found ones first.
fn rows<'a>(verdicts: &[&'a Verdict]) -> Vec<BoardRow<'a>> {
    let mut rows: Vec<BoardRow<'_>> = Vec::new();
    for verdict in verdicts {
        let cause = (verdict.title, verdict.id);
        let label = verdict.verdict.label();
        let folds = !matches!(verdict.verdict, VerdictKind::Confirmed | VerdictKind::Suspected);
        let same = rows.iter_mut().find(|row| folds && row.label == label && row.reason == verdict.reason);
        match same {
            Some(row) => row.causes.push(cause),
            None => rows.push(BoardRow { label, reason: &verdict.reason, causes: vec![cause] }),
        }
    }
    rows.sort_by_key(|row| ORDER.iter().position(|ours| *ours == row.label).unwrap_or(ORDER.len()));
    rows
}
