//! `kubetriage explain`: a cause by its id, or whatever is known of a word: an exit code, an error code, a piece of an error text.

use std::fmt::Write;

use clap::Args;

use super::detectors::{page, wrapped};
use super::{Exit, output};
use crate::detectors::{self, Detector};
use crate::knowledge::{CSE_LINUX, CSE_WINDOWS, ExitCode, MESSAGES, Message};

/// Explain a cause, a code or a piece of an error text
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubetriage explain rbac-missing-permission      a cause, by its id in the report
  kubetriage explain OOMKilled                    a word of the field
  kubetriage explain 52                           an exit code of node provisioning (CSE)
  kubetriage explain \"range is full\"              a piece of an error text")]
pub(super) struct Explain {
    /// Id of a cause, or a word that a report, a log or Azure has
    #[arg(required = true, value_name = "ID|WORD")]
    words: Vec<String>,
}

/// Most causes and texts that one word finds.
const MOST: usize = 12;

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let word = self.words.join(" ");
        // A finding's id begins with its detector's.
        let id = word.split('.').next().unwrap_or_default();
        if let Some(detector) = detectors::find(id) {
            output::styled(&page(detector))?;
            return Ok(Exit::Done);
        }
        let text = known(&word);
        if text.is_empty() {
            output::complain(&not_known(&word));
            return Ok(Exit::Usage);
        }
        output::styled(&text)?;
        Ok(Exit::Done)
    }
}

/// All that is known of a word; empty when nothing is.
fn known(word: &str) -> String {
    let mut text = String::new();
    let lower = word.to_lowercase();
    for (script, codes) in [("Linux", &*CSE_LINUX), ("Windows", &*CSE_WINDOWS)] {
        for code in codes.iter().filter(|code| is_code(code, &lower)) {
            let _ = writeln!(text, "CSE exit code {} ({}, {script} nodes)", code.code, code.name);
            let _ = writeln!(text, "{}\n{}\n", wrapped(&format!("{}.", code.says)), wrapped(&code.fix));
        }
    }
    // A number alone is no word of a text.
    if lower.chars().all(|c| c.is_ascii_digit()) {
        return text;
    }
    let messages: Vec<&Message> = MESSAGES.iter().filter(|message| holds(message, &lower)).collect();
    for message in messages.iter().take(MOST) {
        let _ = writeln!(text, "Text of {}: {}", message.by.join(", "), message.means);
        let sample = message.samples.iter().find(|sample| sample.to_lowercase().contains(&lower));
        let sample = sample.or_else(|| message.samples.first()).map_or("", String::as_str);
        let _ = writeln!(text, "{}\n  Source: {}\n", wrapped(sample), message.source);
    }
    let causes: Vec<&Detector> = detectors::all()
        .filter(|detector| {
            mentions(detector, &lower) || messages.iter().any(|message| message.means == detector.id)
        })
        .collect();
    if !causes.is_empty() {
        text.push_str("Causes\n");
    }
    for detector in causes.iter().take(MOST) {
        let _ = writeln!(text, "  {:<34} {}", detector.id, detector.title);
    }
    if causes.len() > MOST {
        let _ = writeln!(text, "  and {} more", causes.len() - MOST);
    }
    text
}

fn is_code(code: &ExitCode, lower: &str) -> bool {
    let short = code.short.as_deref().unwrap_or_default().to_lowercase();
    lower.parse() == Ok(code.code)
        || code.name.to_lowercase() == lower
        || !short.is_empty()
            && (lower == short
                || lower.contains(&format!("{short}vmextensionerror"))
                || lower.ends_with(&format!("error_{short}")))
}

fn holds(message: &Message, lower: &str) -> bool {
    let texts = message.anchors.iter().chain(&message.samples).chain(&message.all).chain(&message.any);
    let has = |text: &String| text.to_lowercase().contains(lower);
    texts.into_iter().any(has) || message.pattern.as_ref().is_some_and(has)
}

fn mentions(detector: &Detector, lower: &str) -> bool {
    let doc = &detector.doc;
    [detector.id, detector.title, doc.meaning, doc.decision]
        .into_iter()
        .any(|text| text.to_lowercase().contains(lower))
}

/// What to say of a word of which nothing is known, with the ids that are nearest.
fn not_known(word: &str) -> String {
    let mut near: Vec<(usize, &str)> = detectors::all()
        .map(|detector| (strsim::damerau_levenshtein(detector.id, word), detector.id))
        .collect();
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, id)| id).collect();
    format!(
        "error: nothing is known of `{word}`; `kubetriage detectors` lists the causes, such as rbac-missing-permission; nearest: {}",
        near.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_field_are_found() {
        for (word, expected) in [
            ("OOMKilled", "container-out-of-memory"),
            ("52", "ERR_K8S_API_SERVER_DNS_LOOKUP_FAIL"),
            ("OutboundConnFailVMExtensionError", "ERR_OUTBOUND_CONN_FAIL"),
            ("postIpamFailure", "cilium-full"),
            ("PublicIPCountLimitReached", "azure-limit-reached"),
            ("NXDOMAIN", "dns-name-unknown"),
        ] {
            assert!(known(word).contains(expected), "{word}: {}", known(word));
        }
        assert_eq!(known("zzqq-unheard-of"), "");
    }
}
