//! RENDER: one view, the [`Diagnosis`], as HTML, Markdown, JSON, SARIF, `JUnit` or a summary for the terminal.
//!
//! Text of the bundle is hostile: it is escaped here, by the rule of each output, and nowhere else.

mod board;
mod escape;
mod fields;
mod html;
mod inspection;
mod junit;
mod markdown;
mod meaning;
mod names;
mod pseudonyms;
mod redact;
mod sarif;
mod secrets;
mod short;
mod terminal;
mod vocabulary;

use std::fmt;

use crate::diagnosis::Diagnosis;

pub use escape::visible;
pub use inspection::inspection;
pub use names::Replace;
pub use pseudonyms::Pseudonyms;
pub use redact::{Redacted, redact};
pub use terminal::summary;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// One self-contained page.
    Html,
    /// For a ticket.
    Markdown,
    /// For programs.
    Json,
    /// One screen of plain text, for a comment of a ticket.
    Short,
    /// For code scanning and other viewers of results (SARIF 2.1.0).
    Sarif,
    /// For pipelines: a test for each cause.
    Junit,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Html, Self::Markdown, Self::Json, Self::Short, Self::Sarif, Self::Junit];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Json => "json",
            Self::Short => "txt",
            Self::Sarif => "sarif",
            Self::Junit => "xml",
        }
    }

    /// By name or file extension.
    pub fn by_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "html" | "htm" => Some(Self::Html),
            "md" | "markdown" => Some(Self::Markdown),
            "json" => Some(Self::Json),
            "txt" | "short" => Some(Self::Short),
            "sarif" => Some(Self::Sarif),
            "xml" | "junit" => Some(Self::Junit),
            _ => None,
        }
    }
}

/// A report that can't be rendered: a fault in a template.
#[derive(Debug)]
pub struct RenderError(String);

impl fmt::Display for RenderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the report can't be rendered (a fault of kubetriage): {}", self.0)
    }
}

impl std::error::Error for RenderError {}

impl From<minijinja::Error> for RenderError {
    fn from(error: minijinja::Error) -> Self {
        // What an included template did wrong stands in the sources.
        let sources = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        Self(sources.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

/// Renders a diagnosis.
pub fn render(diagnosis: &Redacted, format: Format) -> Result<String, RenderError> {
    match format {
        Format::Html => html::render(diagnosis),
        Format::Markdown => markdown::render(diagnosis),
        Format::Json => escape::json(&**diagnosis).map_err(|error| RenderError(error.to_string())),
        Format::Short => Ok(short::render(diagnosis)),
        Format::Sarif => sarif::render(diagnosis),
        Format::Junit => Ok(junit::render(diagnosis)),
    }
}

/// What `inspect` shows, for programs: the parts of the diagnosis that are about the bundle itself.
pub fn inspection_json(diagnosis: &Redacted) -> Result<String, RenderError> {
    let view = serde_json::json!({
        "schema": diagnosis.schema,
        "tool": diagnosis.tool,
        "notice": diagnosis.notice,
        "inputs": diagnosis.inputs,
        "inventory": diagnosis.inventory,
        "coverage": diagnosis.coverage,
        "ask_for": diagnosis.ask_for,
        "window": diagnosis.window,
        "too_much": diagnosis.too_much,
    });
    escape::json(&view).map_err(|error| RenderError(error.to_string()))
}

/// The JSON Schema of the JSON output.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Diagnosis);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
