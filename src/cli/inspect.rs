//! `kubetriage inspect`.

use clap::{Args, ValueEnum};

use super::{Exit, bundle, output};
use crate::report;

/// Show what a bundle holds, what is wrong with it, and what to ask for
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubetriage inspect bundle.tar.gz              what did they send me?
  kubetriage inspect bundle.tar.gz --all        every entry
  kubetriage inspect case/ --format json        for a script")]
pub(super) struct Inspect {
    #[command(flatten)]
    bundle: bundle::Arguments,

    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: InspectFormat,

    /// Every entry, and every list whole
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum InspectFormat {
    Text,
    Json,
}

impl Inspect {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let Some(diagnosis) = self.bundle.diagnose()? else { return Ok(Exit::Usage) };
        output::to_files(self.bundle.map_file(&diagnosis).as_slice())?;
        match self.format {
            InspectFormat::Text => {
                output::styled(&report::inspection(&diagnosis, super::bundle::width(), self.all))?;
            }
            InspectFormat::Json => output::to_stdout(report::inspection_json(&diagnosis)?.as_bytes())?,
        }
        Ok(bundle::Arguments::exit(&diagnosis))
    }
}
