//! Causes that a component names by itself: evaluated alike, described by `knowledge/causes`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::observed::{self, Observed, Wording, aks_named, host_word, listed};
use super::{
    Chapter, Confidence, Detector, Doc, Evaluation, FindingState, Need, Outcome, Severity, needs, shell,
};
use crate::cluster::Cluster;
use crate::cluster::speaker::is_of_pod;
use crate::facts::{Key, SignalKey};
use crate::knowledge::{CAUSES, Cause, CauseId, OneFor, Refuted};

/// How each of them is decided, for its page.
const DECISION: &str = "A component says so in words that are known (`knowledge/messages`). It counts as over when the log goes on without it for long, or when a later line or the present state of the pods or nodes shows that it works again.";

/// The data that a cause needs, by its name in `knowledge/causes`.
fn need(name: &str) -> Option<Need> {
    Some(match name {
        "client-errors" => needs::CLIENT_ERRORS,
        "events" => needs::EVENTS,
        "pods" => needs::PODS,
        "nodes" => needs::NODES,
        "node-logs" => needs::NODE_LOGS,
        "pod-logs" => needs::POD_LOGS,
        "dns-logs" => needs::DNS_LOGS,
        "api-logs" => needs::API_LOGS,
        "azure-errors" => needs::AZURE_ERRORS,
        _ => return None,
    })
}

fn severity(name: &str) -> Option<Severity> {
    [Severity::Low, Severity::Medium, Severity::High, Severity::Critical]
        .into_iter()
        .find(|severity| severity.name() == name)
}

/// The detectors of all of them.
pub(super) static DETECTORS: LazyLock<Vec<Detector>> =
    LazyLock::new(|| CAUSES.iter().filter_map(detector).collect());

fn detector(cause: &'static Cause) -> Option<Detector> {
    let needs: Vec<Need> = cause.needs.iter().filter_map(|name| need(name)).collect();
    let explains: Vec<&'static str> = cause.explains.iter().map(String::as_str).collect();
    Some(Detector {
        id: &cause.id,
        chapter: Chapter::by_name(cause.chapter)?,
        title: &cause.name,
        // Made once, for as long as the program runs.
        needs: needs.leak(),
        explains: explains.leak(),
        doc: Doc {
            meaning: &cause.meaning,
            decision: DECISION,
            action: &cause.fix,
            reference: &cause.reference,
        },
        detect: Evaluation::Named(CauseId::by_name(&cause.id)?),
    })
}

/// Which finding a text belongs to.
fn part(cause: &Cause, key: &SignalKey) -> String {
    match cause.one_for {
        OneFor::All => String::new(),
        OneFor::Detail => key.detail.to_string(),
        OneFor::Node => key.node.to_string(),
        OneFor::Pod => format!("{}/{}", key.namespace, key.pod).trim_matches('/').to_owned(),
    }
}

/// What the component said, as findings.
pub(super) fn detect(detector: &Detector, id: CauseId, cluster: &Cluster) -> Outcome {
    let Some(cause) = id.cause() else { return Outcome::default() };
    let all = observed::signals(cluster, |key| {
        (key.signal == crate::facts::Signal::Cause(id)).then(|| part(cause, key))
    });
    let findings = all
        .into_iter()
        .filter(|(_, observed)| observed.count >= cause.least)
        .filter_map(|(part, observed)| finding(detector, cause, &part, observed, cluster));
    findings.collect()
}

/// The pods whose logs tell of it, by the paths of these.
fn pods_of_logs(cluster: &Cluster, observed: &Observed) -> BTreeSet<Key> {
    let logs: BTreeSet<&str> = observed.evidence.iter().map(|place| &*place.source).collect();
    let all = cluster.facts.objects.pods.iter();
    all.filter(|(pod, _)| logs.iter().any(|path| is_of_pod(path, pod))).map(|(pod, _)| pod.clone()).collect()
}

/// Whether all services that the texts name, as `namespace/name`, have endpoints in the bundle.
fn have_endpoints(cluster: &Cluster, observed: &Observed) -> bool {
    let objects = &cluster.facts.objects;
    let has = |name: &String| {
        let Some((namespace, name)) = name.split_once('/') else { return false };
        let of_table = objects.endpoints.get(namespace, name);
        let of_table = of_table
            .is_some_and(|seen| seen.object.subsets.iter().any(|subset| !subset.addresses.is_empty()));
        let state = cluster.services.all.get(&Key::new(namespace, name));
        let published = state.and_then(|state| state.published.as_ref());
        of_table || published.is_some_and(|published| !published.ready.is_empty())
    };
    !observed.details.is_empty() && observed.details.iter().all(has)
}

/// Who it is about, to stand before the title: the only node or pod, or nothing.
fn who(observed: &Observed) -> String {
    let mut pods = observed.pods.iter();
    let mut nodes = observed.nodes.iter();
    match (pods.next(), pods.next(), nodes.next(), nodes.next()) {
        (Some(pod), None, ..) if pod.namespace.is_empty() => format!("{}: ", pod.name),
        (Some(pod), None, ..) => format!("{}/{}: ", pod.namespace, pod.name),
        (None, None, Some(node), None) => format!("Node {node}: "),
        _ => String::new(),
    }
}

fn finding(
    detector: &Detector,
    cause: &'static Cause,
    part: &str,
    observed: Observed,
    cluster: &Cluster,
) -> Option<super::Finding> {
    // A log may be known by its path alone.
    let by_pods = cause.refuted == Some(Refuted::ByReadyPods);
    let pods = if by_pods && observed.pods.is_empty() {
        pods_of_logs(cluster, &observed)
    } else {
        observed.pods.clone()
    };
    let refuted = match cause.refuted {
        None => false,
        Some(Refuted::ByReadyPods) => observed::all_ready(cluster, &pods),
        Some(Refuted::ByEndpoints) => have_endpoints(cluster, &observed),
        Some(Refuted::ByReadyNodes) => {
            !observed.nodes.is_empty() && observed::recovered(cluster, &observed.nodes)
        }
    };
    // A pod that runs by now has its network; what a log says of a pod may be of another one's.
    let refuted = refuted
        || detector.chapter == Chapter::IpAllocation
            && observed::lacked_a_sandbox(cluster, &observed.pods)
            && observed::have_come_up(cluster, &observed.pods, observed.span);
    // Words of a start that may be long over, in a log without times and of nobody whose state is known.
    let timeless = observed.span.is_none() && observed.over.is_none();
    let undated = cause.least > 1 && cause.refuted.is_some() && pods.is_empty() && timeless;
    let ended = refuted || observed.is_over(cluster);
    let detail = listed(observed.details.iter().map(String::as_str), 3);
    let fill = |text: &String| {
        let node = observed.nodes.first().map_or("", String::as_str);
        let (namespace, pod) = observed.pods.first().map_or(("", ""), |pod| (&*pod.namespace, &*pod.name));
        let detail = observed.details.first().map_or_else(|| "NAME".to_owned(), |detail| shell(detail));
        text.replace("{aks}", &aks_named(cluster))
            .replace("{node}", &host_word(node, "NODE"))
            .replace("{namespace}", &host_word(namespace, "NAMESPACE"))
            .replace("{pod}", &host_word(pod, "POD"))
            .replace("{detail}", &detail)
    };
    let when = observed.when();
    let sure = if cause.confidence == "confirmed" { Confidence::Confirmed } else { Confidence::Likely };
    let says = Wording {
        severity: if ended { Severity::Low } else { severity(&cause.severity)? },
        confidence: if ended || undated { Confidence::Possible } else { sure },
        unit: &cause.unit,
        cause: format!("{}{when}.", cause.cause.trim_end_matches('.')),
        fix: cause.fix.clone(),
        commands: cause.commands.iter().map(fill).collect(),
        verify: cause.verify.iter().map(fill).collect(),
    };
    let named = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let over = if ended { ", ended" } else { "" };
    let title = format!("{}{}{over}{named}", who(&observed), cause.title);
    let mut finding =
        observed.finding(detector, if part.is_empty() { "cluster" } else { part }, title, says)?;
    if ended {
        finding.state = FindingState::Ended;
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::MESSAGES;

    #[test]
    fn each_cause_of_knowledge_is_a_detector_with_words_of_the_field() {
        assert_eq!(DETECTORS.len(), CAUSES.len());
        for cause in CAUSES.iter() {
            assert!(severity(&cause.severity).is_some(), "{}: severity {}", cause.id, cause.severity);
            assert!(["confirmed", "likely"].contains(&cause.confidence.as_str()), "{}", cause.id);
            assert!(
                !cause.needs.is_empty() && cause.needs.iter().all(|name| need(name).is_some()),
                "{}",
                cause.id
            );
            assert!(!cause.verify.is_empty(), "{} says how to check", cause.id);
            let fill = |text: &String| {
                ["{aks}", "{node}", "{namespace}", "{pod}", "{detail}"]
                    .iter()
                    .fold(text.clone(), |text, word| text.replace(word, ""))
            };
            for text in cause.commands.iter().chain(&cause.verify) {
                // Braces of jsonpath and of JMESPath stay.
                assert!(
                    !fill(text).contains("{aks") && !fill(text).contains("{node"),
                    "{}: {text}",
                    cause.id
                );
            }
            assert!(
                MESSAGES.iter().any(|message| message.means == cause.id),
                "no message means {}",
                cause.id
            );
        }
    }
}
