//! What `kubectl describe` says of containers' probes and resources, and of the objects around pods: workloads, claims,
//! volumes, quotas (kubectl, `pkg/describe/describe.go`).

use super::{DescribeLine, Described, conditions, groups, inner};
use crate::facts::{
    ClaimOf, ClaimSpec, ClaimStatus, Container, ContainerProbe, HostPath, IntOrString, LabelSelector, Labels,
    Meta, Owner, PersistentVolume, PersistentVolumeClaim, PodSpec, PodTemplate, ProbePort, Quantities,
    QuotaStatus, ResourceQuota, Resources, ServiceOf, Taint, Text, Volume, VolumeSpec, VolumeStatus,
    Workload, WorkloadSpec, WorkloadStatus,
};

/// The lines that stand deeper than a key's own.
fn nested<'b, 'a>(lines: &'b [DescribeLine<'a>], key: &str) -> &'b [DescribeLine<'a>] {
    let at = lines.iter().position(|line| line.pair().is_some_and(|(ours, _)| ours == key));
    let Some(at) = at else { return &[] };
    let indent = lines.get(at).map_or(0, |line| line.indent);
    let rest = lines.get(at + 1..).unwrap_or_default();
    let end = rest.iter().position(|line| line.indent <= indent).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

fn quantities(lines: &[DescribeLine<'_>]) -> Quantities {
    let pairs = lines.iter().filter_map(DescribeLine::pair).filter(|(_, value)| !value.is_empty());
    pairs.map(|(key, value)| (key.into(), value.into())).collect()
}

/// `Requests:` and `Limits:` of a container.
pub(super) fn resources(lines: &[DescribeLine<'_>]) -> Option<Box<Resources>> {
    let (requests, limits) = (quantities(nested(lines, "Requests")), quantities(nested(lines, "Limits")));
    (!requests.is_empty() || !limits.is_empty()).then(|| Box::new(Resources { requests, limits }))
}

/// `http-get http://:8081/healthz delay=5s …`, `tcp-socket :6379 …`, `grpc <pod>:3551  …`, `exec [cmd] …`.
pub(super) fn probe(lines: &[DescribeLine<'_>], key: &str) -> Option<Box<ContainerProbe>> {
    let mut words = inner(lines, key).split_whitespace();
    let kind = words.next()?;
    let target = words.next().unwrap_or_default();
    let port = |text: &str| {
        let text = text.rsplit(':').next().unwrap_or(text);
        let number = text.parse().map(IntOrString::Int);
        (!text.is_empty()).then(|| number.unwrap_or_else(|_| IntOrString::Name(text.into())))
    };
    let mut probe = ContainerProbe::default();
    match kind {
        "http-get" => {
            let (scheme, rest) = target.split_once("://")?;
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            probe.http_get = Some(ProbePort {
                port: port(host),
                path: format!("/{path}").as_str().into(),
                scheme: scheme.to_ascii_uppercase().as_str().into(),
            });
        }
        "tcp-socket" => probe.tcp_socket = Some(ProbePort { port: port(target), ..ProbePort::default() }),
        "grpc" => probe.grpc = Some(ProbePort { port: port(target), ..ProbePort::default() }),
        _ => {}
    }
    Some(Box::new(probe))
}

/// `Volumes:` of a pod.
pub(super) fn volumes(block: &Described<'_>) -> Box<[Volume]> {
    let all = groups(block.below("Volumes")).into_iter();
    all.filter_map(|(name, lines)| {
        let claim = inner(lines, "ClaimName");
        let of_host = inner(lines, "Type").starts_with("HostPath");
        (of_host || !claim.is_empty()).then(|| Volume {
            name: name.into(),
            persistent_volume_claim: (!claim.is_empty()).then(|| ClaimOf { claim_name: claim.into() }),
            host_path: of_host.then(|| HostPath { path: inner(lines, "Path").into() }),
        })
    })
    .collect()
}

/// `Taints:` of a node: `key=value:effect`, one a line.
pub(super) fn taints(block: &Described<'_>) -> Box<[Taint]> {
    let all = block.list("Taints").into_iter();
    all.filter_map(|text| {
        let (pair, effect) = text.trim().rsplit_once(':')?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some(Taint { key: key.into(), value: value.into(), effect: effect.into() })
    })
    .collect()
}

/// Numbers of `1 desired | 1 updated | 1 total`, or of `0 current / 3 desired`.
fn counted(text: &str, word: &str) -> Option<u32> {
    text.split(['|', '/']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
}

/// A Deployment, a `ReplicaSet` and the like.
pub(super) fn workload(block: &Described<'_>, mut metadata: Meta) -> Workload {
    if let Some((kind, name)) = block.value("Controlled By").split_once('/') {
        metadata.owner_references = [Owner { kind: kind.into(), name: name.into() }].into();
    }
    let replicas = block.value("Replicas");
    let template = block.below("Pod Template");
    let containers = groups(nested(template, "Containers")).into_iter().map(|(name, lines)| Container {
        name: name.into(),
        resources: resources(lines),
        readiness_probe: probe(lines, "Readiness"),
        liveness_probe: probe(lines, "Liveness"),
        startup_probe: probe(lines, "Startup"),
        ..Container::default()
    });
    let spec = PodSpec {
        service_account_name: inner(template, "Service Account").into(),
        containers: containers.collect(),
        ..PodSpec::default()
    };
    let pairs = block.list("Selector").into_iter().flat_map(|line| line.split(',')).collect::<Vec<_>>();
    let match_labels = pairs
        .iter()
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(key, value)| (Text::from(key), Text::from(value)))
        .collect();
    Workload {
        metadata,
        spec: WorkloadSpec {
            replicas: counted(replicas, "desired"),
            selector: LabelSelector { match_labels, ..LabelSelector::default() },
            template: PodTemplate {
                metadata: Meta { labels: template_labels(template), ..Meta::default() },
                spec,
            },
        },
        status: WorkloadStatus {
            desired_number_scheduled: block.value("Desired Number of Nodes Scheduled").parse().ok(),
            replicas: counted(replicas, "current").or_else(|| counted(replicas, "total")),
            conditions: conditions_of_workload(block),
        },
    }
}

/// `Labels:  app=cart`, and one more a line.
fn template_labels(template: &[DescribeLine<'_>]) -> Labels {
    let mut lines = template.iter().skip_while(|line| !line.text.starts_with("Labels:"));
    let first = lines.next().and_then(|line| line.text.split_once(':')).map_or("", |(_, rest)| rest.trim());
    let more = lines.map(|line| line.text).take_while(|text| text.contains('=') && !text.contains(": "));
    std::iter::once(first)
        .chain(more)
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (Text::from(key), Text::from(value)))
        .collect()
}

/// `Type  Status  Reason`: three columns, where pods and nodes have two or six.
fn conditions_of_workload(block: &Described<'_>) -> Box<[crate::facts::Condition]> {
    let mut all = conditions(block);
    for condition in &mut all {
        let row = block.below("Conditions").iter().find(|line| line.text.starts_with(&*condition.r#type));
        if let Some(reason) = row.and_then(|line| line.text.split_whitespace().nth(2)) {
            condition.reason = reason.into();
        }
    }
    all
}

fn modes(text: &str) -> Box<[Text]> {
    text.split(',').map(str::trim).filter(|mode| !mode.is_empty()).map(Text::from).collect()
}

/// `describe` prints a claim's capacity once it is bound, and never what it asks for.
pub(super) fn claim(block: &Described<'_>, metadata: Meta) -> PersistentVolumeClaim {
    let class = block.value("StorageClass");
    PersistentVolumeClaim {
        metadata,
        spec: ClaimSpec {
            // An empty one may be missing as well as empty.
            storage_class_name: (!class.is_empty()).then(|| class.into()),
            volume_name: block.value("Volume").into(),
            access_modes: modes(block.value("Access Modes")),
            ..ClaimSpec::default()
        },
        status: ClaimStatus { phase: block.value("Status").split(' ').next().unwrap_or_default().into() },
    }
}

pub(super) fn volume(block: &Described<'_>, metadata: Meta) -> PersistentVolume {
    let capacity = Some(block.value("Capacity")).filter(|text| !text.is_empty());
    let claim = block.value("Claim").split_once('/');
    PersistentVolume {
        metadata,
        spec: VolumeSpec {
            capacity: capacity.into_iter().map(|text| ("storage".into(), text.into())).collect(),
            access_modes: modes(block.value("Access Modes")),
            storage_class_name: block.value("StorageClass").into(),
            claim_ref: claim
                .map(|(namespace, name)| ServiceOf { namespace: namespace.into(), name: name.into() }),
        },
        status: VolumeStatus { phase: block.value("Status").split(' ').next().unwrap_or_default().into() },
    }
}

/// `Resource  Used  Hard`, at the margin.
pub(super) fn quota(block: &Described<'_>, metadata: Meta) -> ResourceQuota {
    let rows = block.lines.iter().skip_while(|line| !line.text.starts_with("Resource ")).skip(1);
    let rows = rows.map(|line| line.text.split_whitespace().collect::<Vec<_>>());
    let (mut used, mut hard) = (Vec::new(), Vec::new());
    for row in rows {
        if let [name, ours, most] = row.as_slice()
            && !name.starts_with('-')
        {
            used.push((Text::from(*name), Text::from(*ours)));
            hard.push((Text::from(*name), Text::from(*most)));
        }
    }
    let status = QuotaStatus { hard: hard.into_iter().collect(), used: used.into_iter().collect() };
    ResourceQuota { metadata, status }
}
