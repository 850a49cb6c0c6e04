//! The texts of `knowledge/messages` in lines: what they mean is noted as a signal.

use super::address_signals::note;
use super::log_line::LogLine;
use crate::facts::{Facts, Signal};
use crate::knowledge::MESSAGES;

/// Letters that lines must hold: part of the prefilter of all lines.
pub(super) fn anchors() -> impl Iterator<Item = &'static str> {
    MESSAGES.iter().flat_map(|message| &message.anchors).map(String::as_str)
}

/// Counts a line that holds a known message; says whether it does.
pub(super) fn read(line: &LogLine<'_>, facts: &mut Facts) -> bool {
    let Some((message, detail)) = MESSAGES.find(line.text) else { return false };
    let Some(signal) = Signal::by_name(&message.means) else { return false };
    note(line, signal, detail, 1, facts);
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::line;
    use super::super::log_line::Surroundings;
    use super::*;

    /// The ways in which the components' lines come.
    const WRAPPINGS: [&str; 8] = [
        "TEXT",
        "E1120 09:00:00.104729       1 file.go:166] TEXT",
        "Nov 20 09:00:00 aks-np1-1 kubelet[1911]: E1120 09:00:00.104729    1911 file.go:166] TEXT",
        "2026-11-20T09:00:00.104729123Z stderr F TEXT",
        "2026-11-20 09:00:00.104 +0000 ERROR TEXT",
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"a8d5\": TEXT",
        "(combined from similar events): TEXT",
        "    TEXT",
    ];

    #[test]
    fn what_each_message_means_is_a_signal() {
        for message in MESSAGES.iter() {
            assert!(Signal::by_name(&message.means).is_some(), "{} means {}", message.id, message.means);
        }
    }

    #[test]
    fn each_sample_is_read_in_every_wrapping() {
        for message in MESSAGES.iter() {
            for sample in &message.samples {
                for wrapping in WRAPPINGS {
                    let text = wrapping.replace("TEXT", sample);
                    let mut facts = Facts::default();
                    line::consider(
                        text.as_bytes(),
                        Surroundings::default(),
                        &Arc::from("a.log"),
                        1,
                        &mut facts,
                    );
                    let found: Vec<Signal> = facts.signals.map.iter().map(|(key, _)| key.signal).collect();
                    assert_eq!(found, [Signal::by_name(&message.means).unwrap()], "{}: {text}", message.id);
                }
            }
        }
    }
}
