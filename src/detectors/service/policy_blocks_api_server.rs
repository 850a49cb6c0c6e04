//! Network policies block egress to the API server.

use super::common::{self, PODS};
use super::policies::{self, Blocked, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::policy::{End, Peer, Socket};
use crate::cluster::reach::Resolver;
use crate::detectors::details::texts;
use crate::detectors::observed::counted;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-blocks-api-server",
    chapter: Chapter::Service,
    title: "NetworkPolicy blocks egress to the API server",
    needs: &[POLICIES, PODS],
    explains: &["pod-cannot-reach-api-server"],
    doc: Doc {
        meaning: "A policy isolates the pods for egress, and no rule lets them reach the API server. Operators, controllers and everything else that watches objects then fail with i/o timeout to the kubernetes Service IP (dial tcp 10.0.0.1:443).",
        decision: "A connection to each endpoint of default/kubernetes (policies apply to these, not to the Service IP) is evaluated; reported when none is allowed. Confirmed when failed connections of these pods to it are in the bundle; likely when they run as a service account other than default; possible and low when a rule allows a wide ipBlock and excludes the API server's address. Otherwise not reported, since most applications never call the API server.",
        action: "Allow egress to the API server's address and port: the policy in the finding was evaluated against the bundle.",
        reference: "Kubernetes: Network Policies. AKS: Outbound network and FQDN rules, annotation kubernetes.azure.com/set-kube-service-host-fqdn.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let resolver = Resolver::new(cluster);
    // `kubectl get service kubernetes` does not tell the namespace.
    let names = ["default", ""].map(|namespace| Key::new(namespace, "kubernetes"));
    let to =
        names.iter().map(|key| policies::ways(resolver.backends(key, None))).find(|ways| !ways.is_empty());
    let to = to.unwrap_or_default();
    if to.is_empty() {
        return Outcome::default();
    }
    let blocked = policies::blocked(cluster, &to);
    blocked.iter().filter_map(|item| finding(cluster, item, &to)).collect()
}

/// Connections of these pods to the API server that failed.
fn failing(cluster: &Cluster, blocked: &Blocked<'_>, to: &[(End<'_>, Socket)]) -> Vec<Evidence> {
    let services = &cluster.facts.objects.services;
    let service = services.get("default", "kubernetes").or_else(|| services.get("", "kubernetes"));
    let mut hosts: Vec<String> = to.iter().map(|(end, _)| end.label()).collect();
    hosts.extend(service.map(|seen| seen.object.spec.cluster_ip.to_string()));
    let mut found = Vec::new();
    for (key, tally) in cluster.facts.attempts.map.iter() {
        let of_api = hosts.iter().any(|host| **host == *key.host) || &*key.host == "kubernetes.default.svc";
        let of_them = |pod: &Key| {
            (*key.pod.0 == *pod.namespace && *key.pod.1 == *pod.name)
                || crate::cluster::speaker::is_of_pod(&key.source, pod)
        };
        if of_api && blocked.keys().any(of_them) {
            found.extend(tally.examples.as_slice().first().cloned());
        }
    }
    found.truncate(EXAMPLES);
    found
}

/// Pods with a service account of their own: somebody meant them to talk to the API server.
fn with_account(cluster: &Cluster, blocked: &Blocked<'_>) -> bool {
    blocked.groups.iter().filter_map(|group| group.pods.first()).any(|pod| {
        let seen = cluster.facts.objects.pods.get(&pod.namespace, &pod.name);
        seen.is_some_and(|seen| !matches!(&*seen.object.spec.service_account_name, "" | "default"))
    })
}

/// Whether nothing leaves the pods at all: then the API server is one thing among all.
fn sealed(cluster: &Cluster, blocked: &Blocked<'_>) -> bool {
    blocked.policies.iter().all(|key| {
        let policy = cluster.policies.of(&key.namespace).find(|policy| policy.key == *key);
        policy
            .and_then(|policy| policy.spec.as_ref())
            .is_some_and(|spec| spec.egress.as_ref().is_some_and(Vec::is_empty))
    })
}

/// Whether a rule opens a range that holds the API server's address, and takes it out again.
fn excepted(cluster: &Cluster, blocked: &Blocked<'_>, api: &End<'_>) -> bool {
    let End::Address(ip) = api else { return false };
    let policies = blocked
        .policies
        .iter()
        .filter_map(|key| cluster.policies.of(&key.namespace).find(|policy| policy.key == *key));
    let rules = policies.filter_map(|policy| policy.spec.as_ref()?.egress.as_ref()).flatten();
    rules
        .flat_map(|rule| &rule.peers)
        .any(|peer| matches!(peer, Peer::Block { range, .. } if range.contains(ip)))
}

fn finding(cluster: &Cluster, blocked: &Blocked<'_>, to: &[(End<'_>, Socket)]) -> Option<Finding> {
    let failing = failing(cluster, blocked, to);
    let needs = with_account(cluster, blocked);
    let (api, socket) = to.first()?;
    // Most applications need no API server: without a sign that these do, only a hole cut around it is suspicious.
    let sign = !failing.is_empty() || (needs && !sealed(cluster, blocked)) || excepted(cluster, blocked, api);
    if !sign {
        return None;
    }
    let policies = policies::names(&blocked.policies);
    let words = format!("no rule allows port {} to {}", socket.port, api.label());
    let mut evidence: Vec<Evidence> =
        blocked.policies.iter().take(3).filter_map(|key| policies::policy_at(cluster, key, &words)).collect();
    evidence.extend(failing.iter().cloned());
    let first = blocked.keys().next()?;
    evidence.extend(common::pod_at(cluster, first, "isolated"));
    let pods = blocked.pods();
    let title = format!(
        "{}: egress to the API server blocked by {}",
        counted(pods, "pod"),
        policies::titled(&blocked.policies)
    );
    let mut finding = Finding::new(DETECTOR.id, &policies, title, evidence)?;
    (finding.severity, finding.confidence) = match (failing.is_empty(), needs) {
        (false, _) => (Severity::High, Confidence::Confirmed),
        (true, true) => (Severity::Medium, Confidence::Likely),
        (true, false) => (Severity::Low, Confidence::Possible),
    };
    finding.count = pods as u64;
    finding.unit = "pod";
    finding.subjects = blocked.policies.iter().map(|key| common::subject("NetworkPolicy", key)).collect();
    finding.subjects.extend(blocked.keys().take(50).map(|key| common::subject("Pod", key)));
    finding.details.service.policies = texts(blocked.policies.iter().map(Key::label));
    let matter = if failing.is_empty() && !needs {
        " A rule allows a wide ipBlock and excludes the API server's address (except). Whether the pods need the API server is unknown."
    } else {
        ""
    };
    finding.cause = format!(
        "{}: no rule allows egress of these pods to the API server; a connection to {} port {} was evaluated and is denied.{matter}{}",
        policies::titled(&blocked.policies),
        api.label(),
        socket.port,
        policies::sure(cluster)
    );
    let from = blocked.groups.first().and_then(|group| policies::one_of(cluster, group))?;
    let opening = cluster.policies.opening(&from, api, &[*socket]);
    finding.fix = Fix {
        text: match &opening {
            Some(_) => format!(
                "If they need the API server, apply the policy below; by evaluation it lets {} reach it, and nothing else. The address may change when the cluster is stopped and started.",
                from.label()
            ),
            None => "Add an egress rule that allows the API server's address and port.".to_owned(),
        },
        commands: vec![
            "kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes".to_owned(),
        ],
        manifests: opening.map(|opening| opening.manifests).unwrap_or_default(),
    };
    finding.verify = vec![format!(
        "kubectl exec {} -- sh -c 'curl -sk https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/version'   # prints the version",
        common::named(first)
    )];
    Some(finding)
}
