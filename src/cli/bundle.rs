//! What all commands that read a bundle have in common: its arguments, the limits, the reading.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::{Exit, output, progress, sizes, times};
use crate::bundle::{Input, Limits};
use crate::cluster::Cluster;
use crate::diagnosis::Diagnosis;
use crate::facts::Window;
use crate::report::{Redacted, Replace};
use crate::timings::{TimedPart, Timings};
use crate::{Options, diagnose};

#[derive(Args)]
pub(super) struct Arguments {
    /// Archive, folder or file, `-` for the standard input, or several of these (one cluster's pieces)
    #[arg(required = true, value_name = "BUNDLE")]
    bundles: Vec<String>,

    /// Leave out what logs and events tell of the time before: 2026-11-23, 2026-11-23T08:00 (UTC without a zone)
    #[arg(long, value_name = "TIME", value_parser = times::since)]
    since: Option<i64>,

    /// Leave out what they tell of the time after; of a day, after its end
    #[arg(long, value_name = "TIME", value_parser = times::until)]
    until: Option<i64>,

    /// Public address of the client that can't reach the API server (as `curl ifconfig.me` shows it there); may be repeated
    #[arg(long, value_name = "IP")]
    client_ip: Vec<IpAddr>,

    /// Show pseudonyms for users, nodes and hosts (names), for addresses (ips), or for both and namespaces, workloads and
    /// Azure resources (all); secrets are always masked
    #[arg(long, value_name = "WHAT")]
    redact: Option<Redact>,

    /// Write what stands for what to this file; it undoes --redact, so keep it to yourself
    #[arg(long, value_name = "FILE", requires = "redact")]
    redact_map: Option<String>,

    /// Worker threads [default: one per processor]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Say on the standard error where the time goes: per room, format and detector
    #[arg(long)]
    timings: bool,

    /// No progress bar and no summary
    #[arg(short, long)]
    pub(super) quiet: bool,

    #[command(flatten, next_help_heading = "Limits")]
    limits: LimitArguments,
}

/// What --redact takes.
#[derive(Clone, Copy, ValueEnum)]
enum Redact {
    Names,
    Ips,
    All,
}

impl From<Redact> for Replace {
    fn from(what: Redact) -> Self {
        match what {
            Redact::Names => Self::Names,
            Redact::Ips => Self::Addresses,
            Redact::All => Self::All,
        }
    }
}

// The names are those of the options.
#[allow(clippy::struct_field_names)]
#[derive(Args)]
struct LimitArguments {
    /// Most entries to read, over all archives
    #[arg(long, value_name = "N", default_value_t = Limits::default().entries)]
    max_entries: u64,
    /// Most archives within archives
    #[arg(long, value_name = "N", default_value_t = Limits::default().depth)]
    max_depth: u8,
    /// Most bytes in all, after decompression
    #[arg(long, value_name = "SIZE", value_parser = sizes::bytes, default_value = "256GiB")]
    max_bytes: u64,
    /// Largest expansion of one compressed stream beyond 1 GiB
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio)]
    max_ratio: u64,
    /// Longest line or object
    #[arg(long, value_name = "SIZE", value_parser = sizes::bytes, default_value = "8MiB")]
    max_line: u64,
    /// Largest document that is held in one piece, such as a zip within a tar
    #[arg(long, value_name = "SIZE", value_parser = sizes::bytes, default_value = "128MiB")]
    max_document: u64,
}

/// One bundle, for questions.
#[derive(Args)]
pub(super) struct One {
    /// Archive, folder or file
    #[arg(value_name = "BUNDLE")]
    bundle: String,
}

impl One {
    /// Reads it, without a word.
    pub(super) fn read(&self) -> anyhow::Result<Cluster> {
        Ok(crate::read(&[Input::from_argument(&self.bundle)], &Options::default())?)
    }
}

impl Arguments {
    pub(super) fn inputs(&self) -> Vec<Input> {
        self.bundles.iter().map(|bundle| Input::from_argument(bundle)).collect()
    }

    /// Reads the bundle and diagnoses it; `None` when the arguments can't be followed, which was said.
    pub(super) fn diagnose(&self) -> anyhow::Result<Option<Redacted>> {
        let inputs = self.inputs();
        if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
            output::complain("error: the standard input can be given once only");
            return Ok(None);
        }
        if self.since.zip(self.until).is_some_and(|(since, until)| since > until) {
            output::complain("error: --since is after --until: nothing happened then");
            return Ok(None);
        }
        if let Some(map) = &self.redact_map
            && inputs.iter().any(|input| output::is_of_input(input, Path::new(map)))
        {
            output::complain(&format!("error: `{map}` is an input: --redact-map would overwrite it"));
            return Ok(None);
        }
        let options = self.options();
        let redacted =
            progress::during(self.quiet, options.progress.as_deref(), || diagnose(&inputs, &options))?;
        if let Some(timings) = options.timings.as_deref() {
            show(timings);
        }
        Ok(Some(redacted))
    }

    fn options(&self) -> Options {
        let limits = &self.limits;
        Options {
            timings: self.timings.then(Arc::default),
            progress: Some(Arc::default()),
            client_addresses: self.client_ip.clone(),
            redact: self.redact.map(Into::into),
            threads: self.threads,
            window: Window { since: self.since, until: self.until },
            limits: Limits {
                entries: limits.max_entries,
                depth: limits.max_depth,
                total_bytes: limits.max_bytes,
                ratio: limits.max_ratio.max(1),
                line_bytes: usize::try_from(limits.max_line.max(4096)).unwrap_or(usize::MAX),
                document_bytes: usize::try_from(limits.max_document.max(4096)).unwrap_or(usize::MAX),
            },
        }
    }

    /// The map of pseudonyms, where it is asked for. It is of one report, and takes its place with it.
    pub(super) fn map_file<'a>(&'a self, redacted: &'a Redacted) -> Option<output::NewFile<'a>> {
        let (path, text) = (self.redact_map()?, redacted.pseudonym_map()?);
        Some(output::NewFile { path, text, private: true })
    }

    /// Where the map of pseudonyms goes.
    pub(super) fn redact_map(&self) -> Option<&Path> {
        self.redact_map.as_deref().map(Path::new)
    }

    /// Done, or nothing recognised.
    pub(super) fn exit(diagnosis: &Diagnosis) -> Exit {
        let nothing = diagnosis.coverage.recognised_bytes == 0
            && diagnosis.findings.is_empty()
            && diagnosis.coverage.formats.keys().all(|format| format == "text");
        if nothing {
            output::complain(
                "nothing in the input was recognised: give a support bundle, kubectl output, API server or audit logs. The report lists what was found.",
            );
            return Exit::NothingRecognised;
        }
        Exit::Done
    }
}

/// Where the time went, largest first within each kind of part.
fn show(timings: &Timings) {
    let mut all = timings.all();
    all.sort_by_key(|(part, time, _)| match part {
        TimedPart::Room(_) => (0, std::cmp::Reverse(std::time::Duration::ZERO)),
        TimedPart::Format(_) => (1, std::cmp::Reverse(*time)),
        TimedPart::Detector(_) => (2, std::cmp::Reverse(*time)),
    });
    for (part, time, bytes) in all {
        let (kind, name) = match part {
            TimedPart::Room(name) => ("room", name),
            TimedPart::Format(name) => ("format", name),
            TimedPart::Detector(name) => ("detector", name),
        };
        let seconds = time.as_secs_f64();
        let rate = if bytes > 0 && seconds > 0.0 {
            format!("  {:>8.1} MB, {:.0} MB/s", bytes as f64 / 1e6, bytes as f64 / 1e6 / seconds)
        } else {
            String::new()
        };
        output::complain(&format!("{kind:<9} {name:<40} {:>9.1} ms{rate}", seconds * 1000.0));
    }
}

/// Columns of the terminal.
pub(super) fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return 100;
    }
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100)
}
