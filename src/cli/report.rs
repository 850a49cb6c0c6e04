//! `kubetriage report`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use super::output::NewFile;
use super::{Exit, bundle, output};
use crate::bundle::Input;
use crate::detectors::Severity;
use crate::diagnosis::Diagnosis;
use crate::report::{self, Format, Redacted};

/// Read a bundle and write a report
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubetriage report bundle.tar.gz                     bundle.tar.gz.report.html and .md
  kubetriage report pods.json kube-apiserver.log      several pieces of one cluster
  kubetriage report case-1234/ -o case-1234.html      a folder, one output
  az storage blob download … | kubetriage report -    from a pipe
  kubetriage report bundle.zip -o - --format json     to the standard output
  kubetriage report bundle.zip -q -o - --format short one screen of plain text, for a ticket")]
pub(super) struct Report {
    #[command(flatten)]
    bundle: bundle::Arguments,

    /// Write to this file, in the format of its extension (html, md, json, txt, sarif, xml), or into this folder; `-` is the
    /// standard output, in the format of --format (md when none is given). May be repeated [default: <bundle>.report.html and .md]
    #[arg(short, long, value_name = "FILE")]
    output: Vec<String>,

    /// Formats to write when no file names one
    #[arg(long, value_delimiter = ',', value_name = "FORMAT")]
    format: Vec<FormatName>,

    /// End with code 10 when a finding is at least this severe
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<SeverityName>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    Html,
    Md,
    Json,
    Short,
    Sarif,
    Junit,
}

#[derive(Clone, Copy, ValueEnum)]
enum SeverityName {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Html => Self::Html,
            FormatName::Md => Self::Markdown,
            FormatName::Json => Self::Json,
            FormatName::Short => Self::Short,
            FormatName::Sarif => Self::Sarif,
            FormatName::Junit => Self::Junit,
        }
    }
}

impl From<SeverityName> for Severity {
    fn from(name: SeverityName) -> Self {
        match name {
            SeverityName::Info => Self::Info,
            SeverityName::Low => Self::Low,
            SeverityName::Medium => Self::Medium,
            SeverityName::High => Self::High,
            SeverityName::Critical => Self::Critical,
        }
    }
}

/// Where one rendering goes.
enum OutputTarget {
    File(PathBuf),
    Stdout,
}

impl Report {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let targets = match self.targets(&self.bundle.inputs()) {
            Ok(targets) => targets,
            Err(wrong) => {
                output::complain(&format!("error: {wrong}"));
                return Ok(Exit::Usage);
            }
        };
        let Some(diagnosis) = self.bundle.diagnose()? else { return Ok(Exit::Usage) };
        let rendered = targets.par_iter().map(|(_, format)| report::render(&diagnosis, *format));
        let rendered: Vec<String> = rendered.collect::<Result<_, _>>()?;
        let mut files: Vec<_> = self.bundle.map_file(&diagnosis).into_iter().collect();
        for ((target, _), text) in targets.iter().zip(&rendered) {
            match target {
                OutputTarget::File(path) => files.push(NewFile { path, text, private: false }),
                OutputTarget::Stdout => output::to_stdout(text.as_bytes())?,
            }
        }
        output::to_files(&files)?;
        self.summarise(&diagnosis, &targets);
        Ok(self.exit(&diagnosis))
    }

    fn targets(&self, inputs: &[Input]) -> Result<Vec<(OutputTarget, Format)>, String> {
        let formats: Vec<Format> = self.format.iter().map(|name| Format::from(*name)).collect();
        // The whole name: bad.tar and bad.tar.gz are two bundles.
        let name = inputs.first().map_or_else(|| "kubetriage".to_owned(), Input::name);
        let by_default = |folder: &Path| -> Vec<(OutputTarget, Format)> {
            let formats = if formats.is_empty() { &[Format::Html, Format::Markdown][..] } else { &formats };
            let file = |format: &Format| folder.join(format!("{name}.report.{}", format.name()));
            formats.iter().map(|format| (OutputTarget::File(file(format)), *format)).collect()
        };
        if self.output.is_empty() {
            return Ok(by_default(Path::new("")));
        }
        let mut targets = Vec::new();
        for output in &self.output {
            if output == "-" {
                match formats.as_slice() {
                    [format] => targets.push((OutputTarget::Stdout, *format)),
                    [] => targets.push((OutputTarget::Stdout, Format::Markdown)),
                    _ => return Err("the standard output takes one --format only".to_owned()),
                }
                continue;
            }
            let path = PathBuf::from(output);
            if self.bundle.redact_map() == Some(&path) {
                return Err(format!("`{output}` is named twice: as a report and as --redact-map"));
            }
            if output.ends_with(['/', '\\']) && !path.exists() {
                std::fs::create_dir_all(&path)
                    .map_err(|error| format!("can't make the folder `{output}`: {error}"))?;
            }
            if path.is_dir() {
                targets.extend(by_default(&path));
                continue;
            }
            if inputs.iter().any(|input| super::output::is_of_input(input, &path)) {
                return Err(format!("`{output}` is an input: it would be overwritten"));
            }
            let by_name = path.extension().and_then(|name| Format::by_name(&name.to_string_lossy()));
            let only = if let [format] = formats.as_slice() { Some(*format) } else { None };
            match by_name.or(only) {
                Some(format) => targets.push((OutputTarget::File(path), format)),
                None => {
                    return Err(format!(
                        "the format of `{output}` is unknown: end it in .html, .md, .json, .txt, .sarif or .xml, or give one --format"
                    ));
                }
            }
        }
        Ok(targets)
    }

    fn summarise(&self, diagnosis: &Redacted, targets: &[(OutputTarget, Format)]) {
        if self.bundle.quiet {
            return;
        }
        let mut text = report::summary(diagnosis, bundle::width());
        for (target, _) in targets {
            if let OutputTarget::File(path) = target {
                let _ = writeln!(text, "Wrote {}", path.display());
            }
        }
        // What a script reads from the standard output stays clean.
        if targets.iter().any(|(target, _)| matches!(target, OutputTarget::Stdout)) {
            output::styled_error(&text);
        } else {
            let _ = output::styled(&text);
        }
    }

    fn exit(&self, diagnosis: &Diagnosis) -> Exit {
        let read = bundle::Arguments::exit(diagnosis);
        if read != Exit::Done {
            return read;
        }
        match self.fail_on {
            Some(limit) if diagnosis.worst() >= Some(limit.into()) => Exit::FoundSevere,
            _ => Exit::Done,
        }
    }
}
