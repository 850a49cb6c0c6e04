//! Wrappers around the output of a command run elsewhere: `az vmss run-command invoke`
//! (`value[].message` with `[stdout]` and `[stderr]`), `az aks command invoke` (`logs`), as JSON or as the
//! text alone. What is within is recognised as if it were an entry of its own.

use std::sync::Arc;

use serde_json::Value;

use super::shared::json::without_spinner;
use super::{Head, InputFormat, Piece, text};
use crate::bundle::{Framer, Whole};
use crate::facts::Facts;

pub(super) struct RunCommand;
pub(super) const FORMAT: RunCommand = RunCommand;

/// What run-command keeps of the output (<https://learn.microsoft.com/azure/virtual-machines/linux/run-command>): the last bytes of it.
const OUTPUT_BYTES: usize = 4096;

impl InputFormat for RunCommand {
    fn name(&self) -> &'static str {
        "az-run-command"
    }

    fn about(&self) -> &'static str {
        "output of az vmss run-command or az aks command invoke, taken out of its wrapper"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = without_spinner(head.bytes);
        let text = text.trim_ascii_start();
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        if text.starts_with(b"{") || text.starts_with(b"[") {
            let vmss = has("\"message\"") && has("[stdout]");
            let aks = has("\"exitCode\"") && has("\"logs\"");
            return if vmss || aks { 94 } else { 0 };
        }
        let plain = text.starts_with(b"Enable succeeded:") || text.starts_with(b"\"Enable succeeded:");
        let invoked = text.starts_with(b"command started at ");
        if plain || invoked { 94 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let body = without_spinner(piece.bytes);
        let body = body.trim_ascii();
        let mut outputs: Vec<(String, String)> = Vec::new();
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => collect(&value, &mut outputs),
            Err(_) => parts(&String::from_utf8_lossy(body), &mut outputs),
        }
        let several = outputs.len() > 1;
        for (at, (name, output)) in outputs.iter().enumerate() {
            let number = if several { format!("{name}{}", at + 1) } else { name.clone() };
            let source: Arc<str> = Arc::from(format!("{}!{number}", piece.source));
            if name == "stdout" && output.len() >= OUTPUT_BYTES - 100 && output.len() <= OUTPUT_BYTES + 100 {
                let what = "run-command keeps the last 4,096 bytes of an output: the start of this one may be missing";
                facts.problem(piece.source, what);
            }
            text::embedded(piece, &source, output.as_bytes(), piece.node, piece.command, facts);
        }
        outputs.len() as u64
    }
}

/// Texts of outputs in a JSON answer, wherever they stand.
fn collect(value: &Value, outputs: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, outputs)),
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("message", Value::String(text)) => parts(text, outputs),
                    ("logs", Value::String(text)) => outputs.push(("logs".to_owned(), text.clone())),
                    ("value" | "output", value) => collect(value, outputs),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Splits at `[stdout]` and `[stderr]`; a text without them, after its first line.
fn parts(text: &str, outputs: &mut Vec<(String, String)>) {
    let Some((_, rest)) = text.split_once("[stdout]") else {
        let body = text.split_once('\n').map_or("", |(first, rest)| {
            if first.contains("started at ") || first.contains("succeeded") { rest } else { text }
        });
        outputs.push(("output".to_owned(), body.to_owned()));
        return;
    };
    let (out, err) = rest.split_once("[stderr]").unwrap_or((rest, ""));
    for (name, output) in [("stdout", out), ("stderr", err)] {
        let output = output.trim_start_matches(['\r', '\n']);
        if !output.trim().is_empty() {
            outputs.push((name.to_owned(), output.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_taken_out_of_every_wrapper() {
        let mut found = Vec::new();
        let vmss = serde_json::json!({"value":[{"code":"ProvisioningState/succeeded","message":"Enable succeeded: \n[stdout]\n10.0.0.1\n\n[stderr]\n"}]});
        collect(&vmss, &mut found);
        collect(&serde_json::json!({"exitCode":0,"logs":"NAME\n"}), &mut found);
        parts(
            "command started at 2026-11-23 20:00:00, finished at 2026-11-23 20:00:01 with exitcode=0\nNAME\n",
            &mut found,
        );
        let text: Vec<_> = found.iter().map(|(name, output)| (name.as_str(), output.trim())).collect();
        assert_eq!(text, [("stdout", "10.0.0.1"), ("logs", "NAME"), ("output", "NAME")]);
    }
}
