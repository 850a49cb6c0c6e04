//! A Service that was to be created and is not there, beside a quota that leaves no room for one.

use crate::cluster::Cluster;
use crate::detectors::observed::subject;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, shell,
};
use crate::evidence::Evidence;
use crate::facts::{Form, Key, ResourceQuota, Seen, amount};

pub(super) const DETECTOR: Detector = Detector {
    id: "quota-blocks-service",
    chapter: Chapter::Workloads,
    title: "Service not created: ResourceQuota used up",
    needs: &[QUOTAS],
    explains: &["ingress-without-backend"],
    doc: Doc {
        meaning: "A ResourceQuota limits the number of Services of a namespace, of those with node ports, or of those with a load balancer. Where it is used up, the API server refuses the next one (403, exceeded quota), and clients of the missing Service cannot resolve its name. The refusal leaves no event: only the client that applied the manifest saw it.",
        decision: "A quota with used equal to hard for services, services.nodeports or services.loadbalancers, and a Service in the bundle's manifests that is in no list of the cluster's Services. Likely. A quota that is merely used up is no fault.",
        action: "Raise the quota, or delete Services that are no longer needed, and apply the manifest again.",
        reference: "Kubernetes: Resource Quotas, Object Count Quota.",
    },
    detect: Evaluation::Rule(detect),
};

const QUOTAS: Need = Need {
    what: "the resource quotas of the namespaces",
    why: "they show what is used up",
    command: "kubectl describe resourcequota -A > quotas.txt",
    met: |cluster| !cluster.facts.objects.quotas.is_empty(),
};

/// Quotas on Services, by the type of those that they count.
const COUNTED: &[(&str, &str)] = &[
    ("services", ""),
    ("count/services", ""),
    ("services.nodeports", "NodePort"),
    ("services.loadbalancers", "LoadBalancer"),
];

fn detect(cluster: &Cluster) -> Outcome {
    let quotas = cluster.facts.objects.quotas.iter();
    quotas
        .flat_map(|(key, seen)| {
            let full = COUNTED.iter().filter(move |(resource, _)| used_up(seen, resource));
            full.filter_map(move |(resource, r#type)| finding(cluster, key, seen, resource, r#type))
        })
        .collect()
}

fn used_up(seen: &Seen<ResourceQuota>, resource: &str) -> bool {
    let status = &seen.object.status;
    status.used.amount(resource).zip(status.hard.amount(resource)).is_some_and(|(used, hard)| used >= hard)
}

/// Services of a namespace that manifests declare, and that the cluster's own list does not have.
fn declared_only(cluster: &Cluster, namespace: &str, r#type: &str) -> Vec<(Key, Vec<Evidence>)> {
    let services = &cluster.facts.objects.services;
    // The cluster's own: each has an address, `None` for a headless one.
    let is_live = |seen: &&Seen<crate::facts::Service>| {
        !seen.object.spec.cluster_ip.is_empty() || seen.form < Form::Full
    };
    if !services.of_namespace(namespace).any(|(_, seen)| is_live(&seen)) {
        return Vec::new();
    }
    services
        .of_namespace(namespace)
        .filter(|(_, seen)| {
            let spec = &seen.object.spec;
            !is_live(seen)
                && &*spec.r#type != "ExternalName"
                && (r#type.is_empty() || &*spec.r#type == r#type)
        })
        .map(|(key, seen)| (key.clone(), seen.evidence("Service", key)))
        .collect()
}

fn finding(
    cluster: &Cluster,
    key: &Key,
    seen: &Seen<ResourceQuota>,
    resource: &str,
    r#type: &str,
) -> Option<Finding> {
    let missing = declared_only(cluster, &key.namespace, r#type);
    let (first, _) = missing.first()?;
    let status = &seen.object.status;
    let (used, hard) = (status.used.text(resource)?, status.hard.text(resource)?);
    let mut evidence: Vec<Evidence> = seen.evidence("ResourceQuota", key).into_iter().take(1).collect();
    if let Some(place) = evidence.first_mut() {
        place.excerpt = format!("{resource}: used {used}, hard {hard}").into();
    }
    evidence.extend(missing.iter().filter_map(|(_, places)| places.first()).take(3).cloned().map(
        |mut place| {
            place.excerpt = "in the manifests, and not among the cluster's Services".into();
            place
        },
    ));
    let title = format!(
        "Service {} not created: quota {} used up ({resource} {used}/{hard})",
        first.label(),
        key.name
    );
    let mut finding = Finding::new(DETECTOR.id, &format!("{} {resource}", key.label()), title, evidence)?;
    finding.severity = Severity::High;
    // The same name may have been deleted since; what refused it is not in the bundle.
    finding.confidence = if amount(used) == amount(hard) { Confidence::Likely } else { Confidence::Possible };
    finding.count = missing.len() as u64;
    finding.unit = "service";
    finding.subjects = missing.iter().take(50).map(|(name, _)| subject("Service", name)).collect();
    finding.subjects.push(subject("ResourceQuota", key));
    finding.details.workload.lacks = Some("quota".to_owned());
    finding.details.workload.resource = Some(resource.to_owned());
    finding.cause = format!(
        "ResourceQuota {} allows {hard} {resource}, and {used} exist, so the API server refuses the next one. Service {} of the manifests is not among the cluster's Services.",
        key.label(),
        first.label()
    );
    let namespace = shell(&key.namespace);
    finding.fix = Fix {
        text: "Raise the quota, or delete Services that are no longer needed, then apply the manifest again."
            .to_owned(),
        commands: vec![
            format!("kubectl describe resourcequota {} -n {namespace}", shell(&key.name)),
            format!("kubectl get services -n {namespace}"),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!("kubectl get service {} -n {namespace}   # it exists", shell(&first.name))];
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::facts::QuotaStatus;

    #[test]
    fn amounts_are_compared_as_numbers() {
        let quota = |used: &str, hard: &str| {
            let pairs = |text: &str| [("services".into(), text.into())].into_iter().collect();
            let status = QuotaStatus { used: pairs(used), hard: pairs(hard) };
            status.used.amount("services") >= status.hard.amount("services")
        };
        assert!(quota("11", "11"));
        assert!(!quota("9", "11"));
    }
}
