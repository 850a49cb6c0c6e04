//! Whose files they are: a folder or an archive that holds the name of its machine is that machine's, with all that lies in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AttemptKey, Facts, LineTally, SignalKey};

/// Where collectors of single machines put the file with the name, below the root of what they collected.
const NAME_FILES: [&str; 4] = ["etc/hostname", "collect/hostname", "system/hostname", "hostname"];

/// Machines by the root of what was collected of them, `bundle.zip!` or `node-1/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<String, Box<str>>);

impl Hosts {
    /// Those that the facts name.
    fn of(facts: &Facts) -> Self {
        let objects = &facts.objects;
        let mut found: BTreeMap<String, Option<Box<str>>> = BTreeMap::new();
        for (place, host) in facts.nodes.host_names.iter() {
            let path = place.source.trim_end_matches(".txt");
            let folder = || path.get(..path.rfind(['/', '!']).map_or(0, |at| at + 1));
            let root = NAME_FILES.iter().find_map(|file| path.strip_suffix(file));
            let root = if host.of_folder { folder() } else { root };
            let Some(root) = root else { continue };
            // Containers have such files too: their names are those of pods.
            let is_node = objects.nodes.get("", &host.name).is_some()
                || objects.nodes.is_empty() && !objects.pods.iter().any(|(key, _)| *key.name == *host.name);
            // Beside the objects of a cluster lies what was collected of it, not of one machine.
            if !is_node || root.is_empty() && !objects.pods.is_empty() {
                continue;
            }
            let kept = found.entry(root.to_owned()).or_insert_with(|| Some(host.name.clone()));
            if kept.as_ref().is_some_and(|kept| *kept != host.name) {
                *kept = None;
            }
        }
        Self(found.into_iter().filter_map(|(root, name)| Some((root, name?))).collect())
    }

    /// The machine that an entry is of: the one with the nearest root above it.
    fn of_entry(&self, path: &str) -> Option<Box<str>> {
        let above = self.0.iter().filter(|(root, _)| path.starts_with(root.as_str()));
        above.max_by_key(|(root, _)| root.len()).map(|(_, name)| name.clone())
    }

    /// The machine that all the places of some lines are of.
    fn of_lines(&self, tally: &LineTally) -> Option<Box<str>> {
        let mut all = tally.examples.as_slice().iter().map(|example| self.of_entry(&example.source));
        let first = all.next().flatten()?;
        all.all(|other| other.as_ref() == Some(&first)).then_some(first)
    }
}

impl Facts {
    /// The machine that an entry is of, when the folder or archive that it lies in names it.
    pub fn host_of(&self, path: &str) -> Option<Box<str>> {
        self.hosts.of_entry(path)
    }

    /// Names the node of what lies in the folder or archive of one machine and does not name it itself.
    pub(super) fn attribute_to_hosts(&mut self) {
        self.hosts = Hosts::of(self);
        if self.hosts.0.is_empty() {
            return;
        }
        let hosts = &self.hosts;
        let nodes = &mut self.nodes;
        macro_rules! name_in {
            ($($field:ident),*) => {
                $(nodes.$field.each(|(place, item)| {
                    if item.node.is_none() {
                        item.node = hosts.of_entry(&place.source);
                    }
                });)*
            };
        }
        name_in!(resolvers, packet_filters, ip_states, conntrack, sandboxes, counts, cilium_reports, probes);
        let signal = |key: &SignalKey, tally: &LineTally| {
            let node = hosts.of_lines(tally).filter(|_| key.node.is_empty())?;
            Some(SignalKey { node, ..key.clone() })
        };
        self.signals.map.relabel(signal, LineTally::merge);
        let attempt = |key: &AttemptKey, _: &LineTally| {
            let node = hosts.of_entry(&key.source).filter(|_| key.node.is_empty())?;
            Some(AttemptKey { node, source: Arc::clone(&key.source), ..key.clone() })
        };
        self.attempts.map.relabel(attempt, LineTally::merge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{HostName, Place, ResolverFile};

    fn place(source: &str) -> Place {
        Place { source: source.into(), line: 1 }
    }

    #[test]
    fn a_file_is_of_the_machine_whose_archive_it_lies_in() {
        let mut facts = Facts::default();
        for (path, name) in
            [("a.zip!etc/hostname", "node-a"), ("b/hostname", "node-b"), ("b/hostname.txt", "node-b")]
        {
            *facts.nodes.host_names.slot(place(path)).unwrap() =
                HostName { name: name.into(), of_folder: false };
        }
        for path in ["a.zip!etc/resolv.conf", "b/x/resolv.conf", "c/resolv.conf"] {
            *facts.nodes.resolvers.slot(place(path)).unwrap() = ResolverFile::default();
        }
        facts.settle();
        let named: Vec<_> = facts.nodes.resolvers.iter().map(|(_, file)| file.node.as_deref()).collect();
        assert_eq!(named, [Some("node-a"), Some("node-b"), None]);
    }
}
