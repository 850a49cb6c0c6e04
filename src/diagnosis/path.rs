//! The way to a service, link by link: client, policies, service, endpoints, pods; and where it is broken.

use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Finding, PathHop};
use crate::facts::Key;

/// Adds the way to its service to each finding of the chapter that is about one.
pub(super) fn trace(cluster: &Cluster, findings: &mut [Finding]) {
    for finding in findings {
        let of_service = crate::detectors::find(finding.detector)
            .is_some_and(|detector| detector.chapter == Chapter::Service);
        let service = finding.subjects.iter().find(|subject| subject.kind == "Service");
        let Some(service) = service.filter(|_| of_service && finding.confidence > Confidence::Possible)
        else {
            continue;
        };
        let key = Key::new(service.namespace.as_str(), service.name.as_str());
        if let Some(way) = way(cluster, &key, finding.detector) {
            finding.details.service.path = way;
        }
    }
}

fn way(cluster: &Cluster, key: &Key, detector: &str) -> Option<Vec<PathHop>> {
    let state = cluster.services.all.get(key)?;
    let seen = cluster.facts.objects.services.get(&key.namespace, &key.name)?;
    let spec = &seen.object.spec;
    let link = |kind: &str, name: String, broken: Option<bool>, note: String| PathHop {
        kind: kind.to_owned(),
        name,
        state: match broken {
            Some(true) => "broken",
            Some(false) => "ok",
            None => "unknown",
        }
        .to_owned(),
        note,
    };
    let ports: Vec<String> =
        state.ports.iter().take(3).map(|port| format!("{} → {}", port.port, port.target)).collect();
    let policies =
        matches!(detector, "policy-isolates-service" | "policy-drops-logged" | "policy-peer-matches-nothing");
    let selects = !spec.selector.is_empty();
    let published = state.published.as_ref();
    let alive = |pod: &&Key| {
        cluster.facts.objects.pods.get(&pod.namespace, &pod.name).is_some_and(|seen| !seen.object.ended())
    };
    let (ready, all) = (state.ready.len(), state.pods.iter().filter(alive).count());
    let mut way = vec![link("client", "any pod".to_owned(), Some(false), "asks the service".to_owned())];
    let current = cluster
        .facts
        .objects
        .network_policies
        .iter()
        .filter(|(policy, _)| policy.namespace == key.namespace)
        .count();
    if current > 0 {
        let note = if policies { "let nobody in" } else { "ask `reach` for one client" };
        way.push(link(
            "policies",
            format!("{current} in {}", key.namespace),
            policies.then_some(true),
            note.to_owned(),
        ));
    }
    let nothing = selects && all == 0;
    way.push(link(
        "service",
        key.label(),
        Some(
            nothing
                || matches!(
                    detector,
                    "service-external-name-nowhere"
                        | "service-named-port-missing"
                        | "service-protocol-mismatch"
                ),
        ),
        if nothing {
            format!("selector {} takes no pod", crate::cluster::selector::pairs(&spec.selector))
        } else {
            ports.join(", ")
        },
    ));
    way.push(match published {
        Some(ours) => link(
            "endpoints",
            format!("{} ready", ours.ready.len()),
            Some(ours.ready.is_empty()),
            "as published".to_owned(),
        ),
        None => link("endpoints", format!("{ready} ready"), None, "not in the bundle: inferred".to_owned()),
    });
    if selects {
        let listening = detector == "container-not-listening" || detector == "service-target-port-undeclared";
        way.push(link(
            "pods",
            format!("{ready} of {all} ready"),
            Some(ready == 0 || listening),
            if listening { "the port does not answer".to_owned() } else { String::new() },
        ));
    }
    Some(way)
}
