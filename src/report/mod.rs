//! RENDER: one view, the [`Diagnosis`], as HTML, Markdown, JSON or a summary for the terminal.
//!
//! Text of the bundle is hostile: it is escaped here, by the rule of each output, and nowhere else.

mod board;
mod escape;
mod html;
mod inspection;
mod markdown;
mod redact;
mod terminal;

use std::fmt;

use crate::diagnosis::Diagnosis;

pub use escape::visible;
pub use inspection::inspection;
pub use redact::redact;
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
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Html, Self::Markdown, Self::Json];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Json => "json",
        }
    }

    /// By name or file extension.
    pub fn by_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "html" | "htm" => Some(Self::Html),
            "md" | "markdown" => Some(Self::Markdown),
            "json" => Some(Self::Json),
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
        Self(format!("{error:#}"))
    }
}

/// Renders a diagnosis.
pub fn render(diagnosis: &Diagnosis, format: Format) -> Result<String, RenderError> {
    match format {
        Format::Html => html::render(diagnosis),
        Format::Markdown => markdown::render(diagnosis),
        Format::Json => {
            let mut json =
                serde_json::to_string_pretty(diagnosis).map_err(|error| RenderError(error.to_string()))?;
            json.push('\n');
            Ok(json)
        }
    }
}

/// What `inspect` shows, for programs: the parts of the diagnosis that are about the bundle itself.
pub fn inspection_json(diagnosis: &Diagnosis) -> Result<String, RenderError> {
    let view = serde_json::json!({
        "schema": diagnosis.schema,
        "tool": diagnosis.tool,
        "inputs": diagnosis.inputs,
        "inventory": diagnosis.inventory,
        "coverage": diagnosis.coverage,
        "ask_for": diagnosis.ask_for,
        "too_much": diagnosis.too_much,
    });
    let mut json = serde_json::to_string_pretty(&view).map_err(|error| RenderError(error.to_string()))?;
    json.push('\n');
    Ok(json)
}

/// The JSON Schema of the JSON output.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Diagnosis);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
