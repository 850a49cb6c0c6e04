//! What a reader needs in the first half minute: what broke, since when, for whom, how sure, what to do now.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::causes::{self, CauseRow};
use super::{CoverageView, Inventory, NodeHealth, Verdict, VerdictKind};
use crate::cluster::{Cluster, pods};
use crate::detectors::{Confidence, Finding, FindingState, Severity, SubjectRef};
use crate::evidence::Evidence;
use crate::facts::text::{beginning, counted};
use crate::facts::time::{self, MICROS};
use crate::facts::{Key, Meta};

/// Lines of those who suffer.
const WHO: usize = 3;
/// Commands.
const COMMANDS: usize = 3;
/// Characters of a quoted line.
const QUOTE: usize = 400;
/// Objects that changed before: more were not a change but an installation.
const CHANGES: usize = 6;
/// How long before the onset a change may have mattered, in microseconds.
const BEFORE: i64 = 3600 * MICROS;

/// The first screen. A line without a value is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FirstScreen {
    /// Which cluster: platform, name, version, network, nodes, region.
    pub cluster: String,
    /// When the bundle was taken, RFC 3339.
    pub collected: Option<String>,
    /// First and last time of its logs, RFC 3339.
    pub covers: Option<(String, String)>,
    /// What broke; or that nothing did, with what was looked at.
    pub what: String,
    /// Id of the finding.
    pub finding: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// Who suffers.
    pub who: Vec<String>,
    /// How sure it is, and why.
    pub sure: String,
    /// The line that decides it.
    pub quote: Option<Evidence>,
    /// What to do first.
    pub action: String,
    /// To paste.
    pub commands: Vec<String>,
    /// How to check that it worked.
    pub check: Option<String>,
    /// What the customer wrote.
    pub customer: Option<Evidence>,
    /// What was created in the hour before.
    pub changed: Vec<String>,
    /// What else goes on, is over, could not be read or checked.
    pub also: Vec<String>,
}

/// Everything that the first screen is made of.
pub(super) struct ScreenParts<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) findings: &'a [Finding],
    pub(super) causes: &'a [CauseRow],
    pub(super) over: usize,
    /// The gravest of what is over.
    pub(super) worst_over: Option<&'a str>,
    pub(super) verdicts: &'a [Verdict],
    pub(super) inventory: &'a Inventory,
    pub(super) coverage: &'a CoverageView,
    pub(super) nodes: &'a [NodeHealth],
}

impl FirstScreen {
    pub(super) fn of(parts: &ScreenParts<'_>) -> Self {
        let inventory = parts.inventory;
        let mut screen = Self {
            cluster: cluster(parts.cluster, inventory),
            collected: inventory.captured.clone().or_else(|| inventory.newest.clone()),
            covers: inventory.log_span.clone().or_else(|| inventory.audit_span.clone()),
            customer: customer(parts.cluster),
            also: also(parts),
            ..Self::default()
        };
        match parts.causes.first() {
            Some(row) => screen.lead(row, parts),
            None => screen.what = nothing(parts),
        }
        screen
    }

    fn lead(&mut self, row: &CauseRow, parts: &ScreenParts<'_>) {
        let find = |id: &String| parts.findings.iter().find(|finding| finding.id == *id);
        let ours: Vec<&Finding> = row.findings.iter().filter_map(find).collect();
        let follows: Vec<&Finding> = row.follows.iter().filter_map(find).collect();
        let Some(first) = ours.first() else { return };
        let serious = parts
            .causes
            .iter()
            .any(|row| row.severity >= Severity::Medium && row.confidence >= Confidence::Likely);
        self.what = match (serious, row.confidence) {
            (false, _) => format!("Nothing serious found. Worst: {}", row.title),
            (true, Confidence::Possible) => format!("{} (possible)", row.title),
            (true, _) => row.title.clone(),
        };
        self.finding = Some(first.id.clone());
        // Of several, the one that the screen is about.
        self.since = first
            .first_seen
            .clone()
            .or_else(|| follows.iter().filter_map(|finding| finding.first_seen.clone()).min());
        self.who = who(parts.cluster, &ours, &follows);
        self.sure = sure(row, first);
        self.quote = quote(first);
        self.action.clone_from(&row.first_step);
        self.commands = first.fix.commands.iter().take(COMMANDS).cloned().collect();
        self.check = first.verify.first().cloned();
        self.changed = changed(parts.cluster, self.since.as_deref(), &ours, &follows);
    }
}

/// `AKS aks-contoso · 1.32.9 · kubenet · 3 nodes · westeurope`.
fn cluster(cluster: &Cluster, inventory: &Inventory) -> String {
    let known = cluster.azure.clusters.first();
    let platform = inventory.provider.as_ref().map(|provider| provider.what.clone());
    let name = known.map(|known| known.name.clone()).filter(|name| !name.is_empty());
    let version = match inventory.versions.len() {
        0 => None,
        1 => inventory.versions.keys().next().cloned(),
        _ => inventory
            .versions
            .keys()
            .next()
            .zip(inventory.versions.keys().next_back())
            .map(|(first, last)| format!("{first} to {last}")),
    };
    let nodes = inventory.nodes.count;
    let parts = [
        match (platform, name) {
            (Some(platform), Some(name)) => Some(format!("{platform} {name}")),
            (platform, name) => platform.or(name),
        },
        version,
        inventory.network.as_ref().map(|network| network.what.clone()),
        (nodes > 0).then(|| counted(nodes, "node")),
        known.map(|known| known.region.clone()).filter(|region| !region.is_empty()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// That nothing was found, with what was looked at.
fn nothing(parts: &ScreenParts<'_>) -> String {
    let coverage = parts.coverage;
    let checked =
        parts.verdicts.iter().filter(|verdict| verdict.verdict != VerdictKind::NotEvaluated).count();
    if coverage.recognised_bytes == 0 && parts.inventory.objects.is_empty() {
        return "Nothing in the input was recognised.".to_owned();
    }
    if checked == 0 {
        return format!("None of the {} known causes could be checked.", parts.verdicts.len());
    }
    let objects = &parts.cluster.facts.objects;
    let live =
        objects.pods.iter().filter(|(_, seen)| !seen.object.ended() && !seen.object.status.phase.is_empty());
    let (pods, ready) = live
        .fold((0_u64, 0_u64), |(all, ready), (_, seen)| (all + 1, ready + u64::from(seen.object.is_ready())));
    let nodes = &parts.inventory.nodes;
    let mut looked = Vec::new();
    if nodes.count > 0 {
        looked.push(format!("{} of {} Ready", nodes.ready, counted(nodes.count, "node")));
    }
    if pods > 0 {
        looked.push(format!("{ready} of {} ready", counted(pods, "pod")));
    }
    let logs = coverage.entries.iter().filter(|entry| entry.from.is_some()).count();
    if logs > 0 {
        looked.push(counted(logs, "log"));
    }
    if parts.inventory.events > 0 {
        looked.push(counted(parts.inventory.events, "event"));
    }
    let looked =
        if looked.is_empty() { String::new() } else { format!(" Looked at: {}.", looked.join(", ")) };
    format!("No ongoing fault found; {checked} of {} causes checked.{looked}", parts.verdicts.len())
}

/// `4 of 9 pods of shop/cart`, by workload; then services, nodes and whoever else.
fn who(cluster: &Cluster, ours: &[&Finding], follows: &[&Finding]) -> Vec<String> {
    let subjects: BTreeSet<&SubjectRef> =
        ours.iter().chain(follows).flat_map(|finding| &finding.subjects).collect();
    let of = |kind: &str| -> Vec<&SubjectRef> {
        subjects.iter().copied().filter(|subject| subject.kind == kind).collect()
    };
    let mut lines: Vec<String> = workloads(cluster, &of("Pod"));
    let list = |what: &str, those: &[&SubjectRef]| {
        let names: Vec<String> = those.iter().take(WHO).map(|subject| causes::name(subject)).collect();
        let more = those.len().saturating_sub(WHO);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = if those.len() == 1 { what.to_owned() } else { format!("{} {what}s", those.len()) };
        (!those.is_empty()).then(|| format!("{what} {}{more}", names.join(", ")))
    };
    lines.extend(list("service", &of("Service")));
    let nodes = of("Node");
    let all = cluster.facts.objects.nodes.len();
    let share = if all > nodes.len() && !nodes.is_empty() { format!(" (of {all})") } else { String::new() };
    lines.extend(list("node", &nodes).map(|line| format!("{line}{share}")));
    let others: Vec<String> = subjects
        .iter()
        .filter(|subject| !["Pod", "Service", "Node"].contains(&&*subject.kind))
        .map(|subject| format!("{} {}", subject.kind, causes::name(subject)))
        .collect();
    if !others.is_empty() {
        let more = others.len().saturating_sub(WHO);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push(format!("{}{more}", others.iter().take(WHO).cloned().collect::<Vec<_>>().join(", ")));
    }
    lines
}

fn workloads(cluster: &Cluster, suffering: &[&SubjectRef]) -> Vec<String> {
    let pods = &cluster.facts.objects.pods;
    let mut hit: BTreeMap<(String, String), (u64, &str)> = BTreeMap::new();
    for subject in suffering {
        let key = Key::new(subject.namespace.as_str(), subject.name.as_str());
        let workload = pods
            .get(&key.namespace, &key.name)
            .map_or_else(|| subject.name.clone(), |seen| pods::workload_name(&key, &seen.object));
        hit.entry((subject.namespace.clone(), workload)).or_insert((0, subject.name.as_str())).0 += 1;
    }
    let mut all: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let namespaces: BTreeSet<&str> = suffering.iter().map(|subject| subject.namespace.as_str()).collect();
    for namespace in namespaces {
        for (key, seen) in pods.of_namespace(namespace).filter(|(_, seen)| !seen.object.ended()) {
            *all.entry((namespace, pods::workload_name(key, &seen.object))).or_default() += 1;
        }
    }
    let mut hit: Vec<_> = hit.into_iter().collect();
    hit.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let more = hit.len().saturating_sub(WHO);
    let mut lines: Vec<String> = hit
        .iter()
        .take(WHO)
        .map(|((namespace, workload), (count, pod))| {
            let named = |name: &str| {
                if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
            };
            match all.get(&(namespace.as_str(), workload.clone())) {
                Some(1) | None if *count == 1 => format!("pod {}", named(pod)),
                Some(of) if of >= count => {
                    format!("{count} of {} of {}", counted(*of, "pod"), named(workload))
                }
                _ => format!("{} of {}", counted(*count, "pod"), named(workload)),
            }
        })
        .collect();
    if more > 0 {
        lines.push(format!("pods of {}", counted(more, "other workload")));
    }
    lines
}

fn sure(row: &CauseRow, first: &Finding) -> String {
    let sources: BTreeSet<&str> = first
        .evidence
        .iter()
        .map(|item| item.source.rsplit(['/', '!']).next().unwrap_or(&item.source))
        .collect();
    let more = sources.len().saturating_sub(2);
    let from = sources.into_iter().take(2).collect::<Vec<_>>().join(", ");
    let from = if more > 0 { format!("{from} and {more} more") } else { from };
    let sure = match row.confidence {
        Confidence::Confirmed => format!("confirmed by {from}"),
        Confidence::Likely => format!("likely, by {from}; not proved"),
        Confidence::Possible => format!("possible, by {from}; other causes fit too"),
    };
    match row.state {
        FindingState::Ongoing => format!("{sure}; ongoing"),
        FindingState::Ended => format!("{sure}; over"),
        FindingState::Unknown => sure,
    }
}

/// Words of a line that tells of a failure.
const FAILS: [&str; 17] = [
    "rror",
    " fail",
    "Fail",
    "denied",
    "refused",
    "cannot",
    "forbidden",
    "Forbidden",
    "imeout",
    "timed out",
    "not ready",
    "NotReady",
    "no such",
    "not found",
    "unauthorized",
    "exceeded",
    "OOM",
];

/// The line that decides: words of a failure before an object's field.
fn quote(first: &Finding) -> Option<Evidence> {
    let all = || first.evidence.iter().filter(|item| !item.excerpt.is_empty());
    let fails = |item: &&Evidence| FAILS.iter().any(|word| item.excerpt.contains(word));
    let item = all().find(fails).or_else(|| all().next())?;
    Some(Evidence { excerpt: beginning(&item.excerpt, QUOTE).into(), ..item.clone() })
}

/// What the customer wrote: the note that is named so, else the first one.
fn customer(cluster: &Cluster) -> Option<Evidence> {
    let notes = cluster.facts.notes.as_slice();
    let named = |item: &&Evidence| {
        let name = item.source.rsplit(['/', '!']).next().unwrap_or_default().to_lowercase();
        ["note", "mail", "ticket", "customer", "kunde", "issue", "question", "message"]
            .iter()
            .any(|word| name.contains(word))
    };
    let all = || notes.iter();
    all().find(named).or_else(|| all().next()).cloned()
}

/// Objects that were created in the hour before the onset, of the namespaces that suffer.
fn changed(cluster: &Cluster, since: Option<&str>, ours: &[&Finding], follows: &[&Finding]) -> Vec<String> {
    let onset =
        since.and_then(|text| time::rfc3339(text.as_bytes())).and_then(|(when, _)| when.resolve(None));
    let Some(onset) = onset else { return Vec::new() };
    let subjects = || ours.iter().chain(follows).flat_map(|finding| &finding.subjects);
    let namespaces: BTreeSet<&str> =
        subjects().map(|subject| subject.namespace.as_str()).filter(|name| !name.is_empty()).collect();
    let objects = &cluster.facts.objects;
    let mut found: Vec<(i64, String)> = Vec::new();
    let mut look = |kind: &str, key: &Key, meta: &Meta| {
        let Some(at) = meta.creation_timestamp.0.filter(|at| (onset - BEFORE..=onset).contains(at)) else {
            return;
        };
        let concerns = namespaces.contains(&*key.namespace)
            || key.namespace.is_empty() && subjects().any(|subject| subject.name == *key.name);
        if concerns {
            found.push((at, format!("{kind} {} created {}", key.label(), time::show(at))));
        }
    };
    objects.replica_sets.iter().for_each(|(key, seen)| look("ReplicaSet", key, &seen.object.metadata));
    objects.network_policies.iter().for_each(|(key, seen)| look("NetworkPolicy", key, &seen.object.metadata));
    objects.daemon_sets.iter().for_each(|(key, seen)| look("DaemonSet", key, &seen.object.metadata));
    objects.stateful_sets.iter().for_each(|(key, seen)| look("StatefulSet", key, &seen.object.metadata));
    objects.services.iter().for_each(|(key, seen)| look("Service", key, &seen.object.metadata));
    objects.nodes.iter().for_each(|(key, seen)| look("Node", key, &seen.object.metadata));
    if found.len() > CHANGES {
        return Vec::new();
    }
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

/// What else there is, each in a few words.
fn also(parts: &ScreenParts<'_>) -> Vec<String> {
    let mut also = Vec::new();
    let others = parts.causes.len().saturating_sub(1);
    let serious = parts
        .causes
        .iter()
        .skip(1)
        .filter(|row| row.severity >= Severity::Medium && row.confidence >= Confidence::Likely)
        .count();
    if others > 0 {
        let serious = if serious > 0 { format!(" ({serious} medium+)") } else { String::new() };
        also.push(format!("{}{serious}", counted(others, "other cause")));
    }
    if parts.over > 0 {
        also.push(match parts.worst_over {
            Some(title) => format!(
                "ended: {} ({})",
                parts.over,
                crate::evidence::shortened(title.trim_end_matches(", ended"), 90)
            ),
            None => format!("ended: {}", parts.over),
        });
    }
    let count = |fits: fn(&NodeHealth) -> bool| -> u64 {
        parts.nodes.iter().filter(|row| fits(row)).map(|row| row.count).sum()
    };
    let all = count(|_| true);
    let ready = count(|row| row.status.starts_with("Ready"));
    if all > 0 {
        let waiting = count(|row| !row.pods.is_empty());
        let pressed = count(|row| !row.pressure.is_empty());
        let mut words = format!("nodes: {ready} of {all} Ready");
        for (number, what) in [(pressed, "under pressure"), (waiting, "with pods not ready")] {
            if number > 0 {
                words.push_str(&format!(", {number} {what}"));
            }
        }
        also.push(words);
    }
    if parts.coverage.problem_count > 0 {
        also.push(format!("damaged or not readable: {}", counted(parts.coverage.problem_count, "file")));
    }
    let unknown =
        parts.verdicts.iter().filter(|verdict| verdict.verdict == VerdictKind::NotEvaluated).count();
    // What is found stands without what was not looked for.
    let found = parts
        .causes
        .first()
        .is_some_and(|row| row.confidence >= Confidence::Likely && row.severity >= Severity::Medium);
    if unknown > 0 && !found {
        also.push(format!("not checked: {unknown} of {} causes (missing data)", parts.verdicts.len()));
    }
    also
}
