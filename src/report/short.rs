//! The diagnosis on one screen of plain text: for a comment of a ticket, and for the terminal.

use std::borrow::Cow;
use std::fmt::Write;

use anstyle::{AnsiColor, Color, Style};

use super::Redacted;
use super::escape::visible;
use crate::detectors::Severity;
use crate::facts::text::beginning;
use crate::facts::time;

/// Longest text, in characters: `ServiceNow` takes 4,000 in a comment.
const CHARACTERS: usize = 3_500;
/// Columns of a text that goes into a file.
const WIDTH: usize = 100;
/// Columns of the labels.
const LABEL: usize = 10;
/// Longest text behind a label, in characters.
const TEXT: usize = 420;
/// Longest command: a longer one is in the report, since half of one is dangerous.
const COMMAND: usize = 400;
/// Other causes and questions to the customer, fewer until all fits.
const FEWER: [(usize, usize); 5] = [(8, 3), (5, 2), (3, 1), (1, 0), (0, 0)];

/// Renders the text for a file.
pub(super) fn render(diagnosis: &Redacted) -> String {
    anstream::adapter::strip_str(&text(diagnosis, WIDTH)).to_string()
}

/// The text with ANSI styles; a caller's stream strips them where they don't belong. `width` in columns.
pub(super) fn text(diagnosis: &Redacted, width: usize) -> String {
    let mut text = String::new();
    for (causes, questions) in FEWER {
        let mut page = ScreenText { width: width.clamp(40, 120), out: String::new() };
        page.of(diagnosis, causes, questions);
        text = page.out;
        if text.chars().count() <= CHARACTERS {
            break;
        }
    }
    text
}

/// Day, clock and zone of an RFC 3339 time, without fractions.
pub(super) fn moment(text: &str) -> String {
    time::rfc3339(text.as_bytes())
        .and_then(|(when, _)| when.resolve(None))
        .map_or_else(|| text.to_owned(), time::show)
}

struct ScreenText {
    width: usize,
    out: String,
}

impl ScreenText {
    fn of(&mut self, diagnosis: &Redacted, causes: usize, questions: usize) {
        let screen = &diagnosis.first_screen;
        if let Some(notice) = &diagnosis.notice {
            self.paragraph(notice);
            self.out.push('\n');
        }
        self.paragraph(&head(diagnosis));
        self.out.push('\n');
        let bold = Style::new().bold();
        self.row("WHAT", &screen.what, diagnosis.causes.first().map_or(bold, |row| colour(row.severity)));
        if screen.finding.is_some() {
            let unknown = "not known from the bundle".to_owned();
            self.row("SINCE", &screen.since.as_deref().map_or(unknown, moment), Style::new());
        }
        self.row("WHO", &screen.who.join(" · "), Style::new());
        self.row("SURE", &screen.sure, Style::new());
        if let Some(quote) = &screen.quote {
            self.row("", &end_of_path(&quote.place()), Style::new().dimmed());
            self.row("", &quote.excerpt, Style::new());
        }
        self.row("DO NOW", &screen.action, Style::new());
        self.commands(&screen.commands);
        if let Some(check) = &screen.check {
            self.label("CHECK");
            self.command(check);
        }
        if let Some(note) = &screen.customer {
            self.row(
                "CUSTOMER",
                &format!("\u{201c}{}\u{201d} ({})", note.excerpt, note.place()),
                Style::new(),
            );
        }
        self.row("CHANGED", &screen.changed.join("; "), Style::new());
        self.row("ALSO", &screen.also.join(" · "), Style::new());
        let others: Vec<_> = diagnosis.causes.iter().skip(1).collect();
        if !others.is_empty() && causes > 0 {
            self.heading("Other causes");
            for row in others.iter().take(causes) {
                let sure = match row.confidence {
                    crate::detectors::Confidence::Confirmed => String::new(),
                    less => format!(" ({})", less.name()),
                };
                self.labelled(row.severity.name(), &format!("{}{sure}", row.title), colour(row.severity));
            }
            let more = others.len().saturating_sub(causes);
            if more > 0 {
                self.labelled("", &format!("and {more} more in the report"), Style::new().dimmed());
            }
        }
        let decisive: Vec<_> = diagnosis.ask_for.iter().filter(|ask| ask.decides).collect();
        if !decisive.is_empty() && questions > 0 {
            self.heading("Ask the customer for");
            for ask in decisive.iter().take(questions) {
                self.labelled("-", &ask.what, Style::new());
            }
            let more = decisive.len().saturating_sub(questions);
            let more = if more > 0 { format!(" and {more} more items") } else { String::new() };
            self.labelled("", &format!("Commands{more}: in the report."), Style::new().dimmed());
        }
        for error in diagnosis.internal_errors.iter().take(3) {
            self.paragraph(error);
        }
    }

    fn paragraph(&mut self, text: &str) {
        for line in wrap(text, self.width) {
            self.out.push_str(&line);
            self.out.push('\n');
        }
    }

    fn heading(&mut self, text: &str) {
        let bold = Style::new().bold();
        let _ = writeln!(self.out, "\n{bold}{text}{bold:#}");
    }

    fn label(&mut self, label: &str) {
        let bold = Style::new().bold();
        let _ = write!(self.out, "{bold}{label:<LABEL$}{bold:#}");
    }

    /// A label and its text; nothing without a text.
    fn row(&mut self, label: &str, text: &str, style: Style) {
        if !text.is_empty() {
            self.label(label);
            self.hanging(text, style);
        }
    }

    fn labelled(&mut self, label: &str, text: &str, style: Style) {
        let _ = write!(self.out, "{style}{label:<LABEL$}{style:#}");
        self.hanging(text, Style::new());
    }

    fn hanging(&mut self, text: &str, style: Style) {
        let text = beginning(text, TEXT);
        for (at, line) in wrap(&text, self.width.saturating_sub(LABEL)).iter().enumerate() {
            let margin = if at == 0 { 0 } else { LABEL };
            let _ = writeln!(self.out, "{:margin$}{style}{line}{style:#}", "");
        }
    }

    fn commands(&mut self, commands: &[String]) {
        for command in commands {
            self.out.push_str(&" ".repeat(LABEL));
            self.command(command);
        }
    }

    /// A command in one piece: what is broken can't be pasted.
    fn command(&mut self, command: &str) {
        if command.chars().count() > COMMAND {
            self.out.push_str("(a longer command: see the report)\n");
            return;
        }
        for (at, line) in visible(command).lines().enumerate() {
            let margin = if at == 0 { 0 } else { LABEL };
            let _ = writeln!(self.out, "{:margin$}{line}", "");
        }
    }
}

/// Which cluster, taken when, of which time.
fn head(diagnosis: &Redacted) -> String {
    let screen = &diagnosis.first_screen;
    let inputs = match diagnosis.inputs.as_slice() {
        [first, others @ ..] if !others.is_empty() => format!("{first} and {} more", others.len()),
        inputs => inputs.join(", "),
    };
    let mut parts = vec![if screen.cluster.is_empty() { inputs } else { screen.cluster.clone() }];
    parts.extend(screen.collected.as_deref().map(|at| format!("collected {}", moment(at))));
    parts.extend(
        screen.covers.as_ref().map(|(from, to)| format!("covers {} to {}", moment(from), moment(to))),
    );
    parts.join(" · ")
}

fn colour(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical | Severity::High => AnsiColor::Red,
        Severity::Medium => AnsiColor::Yellow,
        Severity::Low => AnsiColor::Blue,
        Severity::Info => AnsiColor::White,
    };
    let style = Style::new().fg_color(Some(Color::Ansi(colour)));
    if severity == Severity::Critical { style.bold() } else { style }
}

/// Breaks text into lines of at most `width` characters; longer words stand alone.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in visible(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
/// The end of a long path: what comes before is the same for most of a bundle, and the page has it whole.
fn end_of_path(place: &str) -> Cow<'_, str> {
    const MOST: usize = 90;
    if place.chars().count() <= MOST {
        return place.into();
    }
    let parts: Vec<&str> = place.split('/').collect();
    let mut from = parts.len().saturating_sub(1);
    let length = |from: usize| parts.iter().skip(from).map(|part| part.chars().count() + 1).sum::<usize>();
    while from > 1 && length(from - 1) <= MOST {
        from -= 1;
    }
    format!("…/{}", parts.get(from..).unwrap_or_default().join("/")).into()
}
