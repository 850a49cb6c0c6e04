//! Commands that count, and the number that they printed: `ls … | wc -l` and `244` on the next line, as the
//! guide does by hand. Without its command a number says nothing.

use super::shared::line;
use super::shared::sections;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::text::lossy;
use crate::facts::{Count, Counted, Facts, Place};

pub(super) struct CountingCommand;
pub(super) const FORMAT: CountingCommand = CountingCommand;

impl InputFormat for CountingCommand {
    fn name(&self) -> &'static str {
        "counting-command"
    }

    fn about(&self) -> &'static str {
        "numbers of the guide's own commands (… | wc -l) for addresses and pods"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let pure = head.bytes.len() < super::HEAD_BYTES
            && score(head.bytes, None) > 0
            && !sections::mixed(head.bytes);
        if pure { 60 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        line::scan_prose(piece, facts);
        let found = numbers(piece.bytes, piece.command);
        for (count, at) in &found {
            let place = Place { source: piece.source.clone(), line: piece.first_line + at };
            if let Some(slot) = facts.nodes.counts.slot(place) {
                let node = count.node.clone().or_else(|| piece.node.map(Into::into));
                *slot = Count { node, ..count.clone() };
            }
        }
        found.len() as u64
    }
}

/// How sure it is that a text holds such numbers; the command before it may be known from its prompt.
pub(super) fn score(text: &[u8], command: Option<&str>) -> u8 {
    // Most texts have no such command at all.
    let promising = command.is_some_and(|command| counted(command).is_some())
        || memchr::memmem::find(text, b"wc -l").is_some()
        || memchr::memmem::find(text, b"uniq -c").is_some()
        || memchr::memmem::find(text, b"InUse").is_some();
    if promising && !numbers(text, command).is_empty() { 60 } else { 0 }
}

/// Numbers with what they count, and the line of each after the first.
fn numbers(text: &[u8], command: Option<&str>) -> Vec<(Count, u64)> {
    let mut found = Vec::new();
    let mut pending: Option<(Counted, String)> =
        command.and_then(|command| Some((counted(command)?, command.to_owned())));
    // `echo 'node ' …` before the numbers of each node.
    let mut node: Option<String> = None;
    for (line, at) in text.split(|byte| *byte == b'\n').zip(0..) {
        if line.len() > 2000 {
            pending = None;
            continue;
        }
        let label = lossy(line);
        let text = label.trim();
        if text.is_empty() {
            continue;
        }
        if let Some(name) = text.strip_prefix("node ").map(str::trim).filter(|name| is_node_name(name)) {
            node = Some(name.to_owned());
            continue;
        }
        if let Some((value, state)) = uniq(text) {
            let command = "grep InUse azure-vnet-ipam.json | sort | uniq -c".into();
            found.push((
                Count { node: node.as_deref().map(Into::into), what: Some(state), value, command },
                at,
            ));
            continue;
        }
        if let (Some((what, command)), Ok(value)) = (&pending, text.parse::<u64>()) {
            let named = named_node(command).or_else(|| node.clone());
            let cut: String = command.chars().take(300).collect();
            let count = Count { node: named.map(Into::into), what: Some(*what), value, command: cut.into() };
            found.push((count, at));
            pending = None;
            continue;
        }
        pending = counted(text).map(|what| (what, text.to_owned()));
    }
    found
}

/// What a command counts.
fn counted(command: &str) -> Option<Counted> {
    let has = |word: &str| command.contains(word);
    let counts = has("wc -l") || has("grep -c");
    if !counts {
        return None;
    }
    if has("cni/networks") {
        let all_lines = (has("ls -al") || has("ls -la") || has("ls -l")) && !has("grep");
        return Some(if all_lines { Counted::LeaseLines } else { Counted::Leases });
    }
    if has("podIP") || (has("get pod") && has("nodeName")) {
        return Some(Counted::PodAddresses);
    }
    if has("azure-vnet-ipam") && has("InUse") {
        return if has("true") { Some(Counted::InUse) } else { None };
    }
    let sandboxes = (has("docker ps") && (has("POD") || has("pause"))) || has("crictl pods");
    sandboxes.then_some(Counted::Sandboxes)
}

/// `--field-selector spec.nodeName=<name>`; a placeholder is no name.
fn named_node(command: &str) -> Option<String> {
    let (_, rest) = command.split_once("nodeName=")?;
    let name = rest.split([',', ' ', '"', '\'', ';']).next()?;
    is_node_name(name).then(|| name.to_owned())
}

fn is_node_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
        && name.chars().any(|c| c.is_ascii_lowercase())
}

/// `     16      "InUse": true`.
fn uniq(line: &str) -> Option<(u64, Counted)> {
    let (number, rest) = line.split_once(char::is_whitespace)?;
    let state = rest.trim().trim_end_matches(',').strip_prefix("\"InUse\":")?;
    let what = match state.trim() {
        "true" => Counted::InUse,
        "false" => Counted::NotInUse,
        _ => return None,
    };
    Some((number.parse().ok()?, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(Option<Counted>, u64, Option<String>)> {
        let found = numbers(text.as_bytes(), None).into_iter();
        found.map(|(count, _)| (count.what, count.value, count.node.map(Into::into))).collect()
    }

    #[test]
    fn the_guides_two_numbers() {
        let text = "chroot /host/\nls -la \"/var/lib/cni/networks/$(ls /var/lib/cni/networks/ | grep -e \"k8s-pod-network\" -e \"kubenet\")\" | grep -v -e \"lock\\|last\\|total\" -e '\\.$' | wc -l\n244\n\
                    kubectl get pods --field-selector spec.nodeName=<your_node_name>,status.phase=Running -A -o json | jq -r '.items[] | select(.spec.hostNetwork != 'true').status.podIP' | wc -l\n7\n";
        assert_eq!(all(text), [(Some(Counted::Leases), 244, None), (Some(Counted::PodAddresses), 7, None)]);
    }

    #[test]
    fn the_older_commands_count_five_lines_more() {
        let text = "ls -al /var/lib/cni/networks/kubenet | wc -l\n258\ndocker ps | grep POD | wc -l\n7\n";
        assert_eq!(all(text), [(Some(Counted::LeaseLines), 258, None), (Some(Counted::Sandboxes), 7, None)]);
    }

    #[test]
    fn a_number_without_its_command_says_nothing() {
        assert_eq!(all("244\n7\nls | wc -l\n12\n"), []);
        assert_eq!(all("ls /var/lib/cni/networks/kubenet | wc -l\nls: cannot access\n12\n"), []);
    }

    #[test]
    fn counts_of_every_node_in_turn() {
        let text = "node aks-1\n     14     \"InUse\": false\n     16     \"InUse\": true\n";
        let node = Some("aks-1".to_owned());
        assert_eq!(
            all(text),
            [(Some(Counted::NotInUse), 14, node.clone()), (Some(Counted::InUse), 16, node)]
        );
    }
}
