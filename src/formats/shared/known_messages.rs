//! The texts of `knowledge/messages` in lines: what they mean is noted as a signal.

use super::address_signals::{about, node_named, note};
use super::attempts::of_log;
use super::log_line::LogLine;
use crate::facts::{Facts, Signal, SignalKey, SignalSeen};
use crate::knowledge::{Found, MESSAGES};

/// A message in a line, and what it means, when it counts in this log.
fn found<'m>(line: &LogLine<'_>) -> Option<(Found<'m>, Signal)> {
    let found = MESSAGES.find(line.text)?;
    let signal = Signal::by_name(&found.message.means)?;
    let speakers = &found.message.speakers;
    let log = line.log();
    let counts =
        speakers.is_empty() || !of_log(&log) || speakers.iter().any(|word| log.contains(word.as_str()));
    counts.then_some((found, signal))
}

/// Counts a line that names a cause by itself. What else it says, others note.
pub(super) fn note_causes(line: &LogLine<'_>, facts: &mut Facts) -> bool {
    let Some((found, signal @ Signal::Cause(_))) = found(line) else { return false };
    let [node, namespace, pod] = found.about;
    let (its_namespace, its_pod) = about(line)
        .or_else(|| line.around.log_of.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())))
        .unwrap_or_default();
    let or = |named: String, otherwise: String| if named.is_empty() { otherwise } else { named };
    facts.signalled(SignalSeen {
        key: SignalKey {
            signal,
            namespace: or(namespace, its_namespace).into(),
            pod: or(pod, its_pod).into(),
            node: or(node, node_named(line)).into(),
            detail: found.detail.into(),
        },
        print: line.print,
        stated: line.around.count,
        times: [line.unwrapped.when, line.around.last],
        source: line.source,
        line: line.number,
        text: line.raw,
    });
    true
}

/// Counts a line that holds a known message; says whether it does.
pub(super) fn read(line: &LogLine<'_>, facts: &mut Facts) -> bool {
    match found(line) {
        None | Some((_, Signal::Cause(_))) => false,
        Some((found, signal)) => {
            note(line, signal, found.detail, 1, facts);
            true
        }
    }
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
                    // Within a sandbox's failure it may be told as that.
                    if message.not.iter().any(|words| text.contains(words.as_str())) {
                        continue;
                    }
                    let mut facts = Facts::default();
                    line::consider(
                        text.as_bytes(),
                        Surroundings::default(),
                        &Arc::from("a.log"),
                        1,
                        &mut facts,
                    );
                    let found: Vec<Signal> = facts.signals.map.iter().map(|(key, _)| key.signal).collect();
                    let means = Signal::by_name(&message.means).unwrap();
                    let also = matches!(means, Signal::Cause(_)) && found.contains(&means);
                    assert!(also || found == [means], "{}: {text}: {found:?}", message.id);
                }
            }
        }
    }
}
