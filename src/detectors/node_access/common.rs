//! What the detectors of this chapter share: attempts from within the cluster, and the codes of provisioning.

use crate::cluster::Cluster;
use crate::cluster::reachability::{Unreached, What, Who};
use crate::detectors::observed::{self, Observed};
use crate::detectors::{Confidence, Need, Severity};
use crate::evidence::Evidence;
use crate::facts::{Failure, Key, Signal, time};
use crate::knowledge::{CseFault, ExitCode};

/// The endpoints of the API server's own service.
pub(super) const API_ENDPOINTS: Need = Need {
    what: "the endpoints of namespace default",
    why: "the API server's own are among them",
    command: "kubectl get services,endpoints,endpointslices -n default -o json > default.json",
    met: endpoints_known,
};

/// Whether endpoints of the namespace were listed at all.
pub(super) fn endpoints_known(cluster: &Cluster) -> bool {
    let facts = &cluster.facts;
    let default = |key: &Key| &*key.namespace == "default";
    (facts.has_list("Endpoints") || facts.has_list("EndpointSlice"))
        && (facts.objects.endpoints.iter().any(|(key, _)| default(key))
            || facts.objects.endpoint_slices.iter().any(|(key, _)| default(key)))
}

/// Where the endpoints of a service stand.
pub(super) fn api_endpoints_evidence(cluster: &Cluster, key: &Key) -> Vec<Evidence> {
    let objects = &cluster.facts.objects;
    let published = cluster.services.all.get(key).and_then(|state| state.published.as_ref());
    let from = published.map(|item| item.from.as_slice()).unwrap_or_default();
    from.iter()
        .filter_map(|(kind, key)| match *kind {
            "Endpoints" => Some(objects.endpoints.get(&key.namespace, &key.name)?.evidence(kind, key)),
            _ => Some(objects.endpoint_slices.get(&key.namespace, &key.name)?.evidence(kind, key)),
        })
        .flatten()
        .take(1)
        .collect()
}

/// Failures after which nothing was reached at all, or something that is not the API server.
pub(super) fn no_connection(failure: Failure) -> bool {
    !failure.of_dns() && failure != Failure::TlsExpired
}

/// Failed attempts of nodes to reach the API server.
pub(super) fn of_nodes(cluster: &Cluster, fits: impl Fn(&Unreached) -> bool) -> Option<Observed> {
    observed::attempts(cluster, |attempt| {
        (matches!(attempt.who, Who::Node(_)) && attempt.what == What::ApiServer && fits(attempt))
            .then_some(())
    })
    .remove(&())
}

/// Failed attempts to reach the API server from within the cluster: of nodes, pods, and clients that don't say where
/// they run. Agents of the tunnel are noisy on healthy clusters, and left out.
pub(super) fn from_inside(cluster: &Cluster, fits: impl Fn(&Unreached) -> bool) -> Option<Observed> {
    let inside = |who: &Who| matches!(who, Who::Node(_) | Who::Pod(_) | Who::Unknown);
    observed::attempts(cluster, |attempt| {
        (inside(&attempt.who) && attempt.what == What::ApiServer && fits(attempt)).then_some(())
    })
    .remove(&())
}

/// Whether nodes or pods still got no answer from the API server when the logs end.
pub(super) fn unanswered_now(cluster: &Cluster) -> Option<Observed> {
    let given = from_inside(cluster, |item| {
        matches!(item.failure, Failure::Timeout | Failure::NoRoute | Failure::TlsTimeout) && !item.ended
    });
    let provisioning =
        codes(cluster, |ended| ended.of_outbound() || ended.fault() == Some(CseFault::ApiServer));
    // What a node said weeks ago says nothing of today.
    let provisioning = provisioning.filter(|observed| !observed.is_over(cluster));
    match (given, provisioning) {
        (Some(mut observed), Some(more)) => {
            observed.count += more.count;
            observed.evidence.extend(more.evidence);
            observed.nodes.extend(more.nodes);
            Some(observed)
        }
        (item, other) => item.or(other),
    }
}

/// What nodes tried together with what provisioning says of the same; and whether it says so.
pub(super) fn with_script(given: Option<Observed>, script: Option<Observed>) -> Option<(Observed, bool)> {
    let coded = script.is_some();
    let (mut observed, script) = match (given, script) {
        (None, None) => return None,
        (observed, script) => (observed.unwrap_or_default(), script.unwrap_or_default()),
    };
    observed.count += script.count;
    observed.span = time::joined(observed.span, script.span);
    observed.nodes.extend(script.nodes);
    observed.show_first(script.evidence);
    Some((observed, coded))
}

/// Whether one of the nodes is known not to be ready.
pub(super) fn lost(cluster: &Cluster, observed: &Observed) -> bool {
    let nodes = &cluster.facts.objects.nodes;
    observed
        .nodes
        .iter()
        .any(|name| nodes.get("", name).is_some_and(|seen| seen.object.ready() == Some(false)))
}

/// How the provisioning of a node ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ScriptEnd {
    /// 0 when not told.
    pub(super) code: u32,
    /// As Azure or the script names it; empty when not told.
    pub(super) name: String,
    /// Of a Windows node.
    pub(super) windows: bool,
    /// What the script did last, when its output tells it.
    pub(super) step: String,
}

impl ScriptEnd {
    /// Of `code|name|step`, as the reader of lines notes it.
    fn of(detail: &str) -> Self {
        let mut parts = detail.splitn(3, '|');
        let code = parts.next().and_then(|code| code.parse().ok()).unwrap_or(0);
        let name = parts.next().unwrap_or_default();
        let windows = name.starts_with("WINDOWS");
        let name = if name == "WINDOWS" { String::new() } else { name.to_owned() };
        Self { code, name, windows, step: parts.next().unwrap_or_default().to_owned() }
    }

    /// What is known of the code.
    pub(super) fn known(&self) -> Option<&'static ExitCode> {
        ExitCode::find(self.windows, self.code, &self.name)
    }

    /// What is at fault, when that is known.
    pub(super) fn fault(&self) -> Option<CseFault> {
        self.known().map(|known| known.fault)
    }

    /// The node has no way out at all.
    pub(super) fn of_outbound(&self) -> bool {
        self.known().is_some_and(|known| known.label() == "OutboundConnFail")
            || self.name.contains("OutboundConnFail")
    }

    /// Codes that have causes of their own.
    pub(super) fn has_a_cause(&self) -> bool {
        let local = matches!(self.code, 216..=219) && !self.windows;
        let faults = [CseFault::ApiServer, CseFault::ApiServerDns];
        local || self.of_outbound() || self.fault().is_some_and(|fault| faults.contains(&fault))
    }

    /// What failed, in a few words.
    pub(super) fn label(&self) -> String {
        let name = self.known().map_or(self.name.as_str(), ExitCode::label);
        let os = if self.windows { "Windows " } else { "" };
        match (self.code, name) {
            (0, name) => name.to_owned(),
            (code, "") => format!("{os}exit code {code}"),
            (code, name) => format!("{os}exit code {code} ({name})"),
        }
    }
}

/// What provisioning says of its exit code, with all ends that fit: from texts of Azure and from `provision.json`.
pub(super) fn codes(cluster: &Cluster, fits: impl Fn(&ScriptEnd) -> bool) -> Option<Observed> {
    let mut given = observed::signals(cluster, |key| {
        let ended = ScriptEnd::of(&key.detail);
        // `exit status=1` is said by programs of all kinds: a code counts when it is one of the script's own, or named.
        let known =
            !ended.name.is_empty() || ended.windows || ended.known().is_some_and(|known| known.code > 2);
        (key.signal == Signal::ProvisioningFailed && known && fits(&ended)).then_some(())
    })
    .remove(&());
    for (place, provision) in cluster.facts.nodes.provisions.iter() {
        let ended = ScriptEnd::of(&provision.exit_code);
        if ended.code == 0 || !fits(&ended) {
            continue;
        }
        let observed = given.get_or_insert_default();
        observed.count = observed.count.max(1);
        observed
            .details
            .insert(format!("{}||{}", provision.exit_code, provision.step).trim_end_matches('|').to_owned());
        observed.nodes.extend(cluster.facts.host_of(&place.source).map(String::from));
        observed.evidence.push(crate::cluster::azure::at(
            place,
            &format!("ExitCode {}", provision.exit_code),
            &provision.message,
        ));
    }
    given
}

/// All ends of some lines.
pub(super) fn ends(observed: &Observed) -> Vec<ScriptEnd> {
    observed.details.iter().map(|detail| ScriptEnd::of(detail)).collect()
}

/// How bad and how sure a misconfiguration is: seen to fail, there while all is well, or there and nothing known.
pub(super) fn graded(confirmed: bool, mild: bool) -> (Severity, Confidence) {
    match (confirmed, mild) {
        (true, _) => (Severity::Critical, Confidence::Confirmed),
        (false, true) => (Severity::Low, Confidence::Possible),
        (false, false) => (Severity::High, Confidence::Likely),
    }
}
