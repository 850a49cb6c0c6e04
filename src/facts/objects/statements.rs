//! What an object says, in words that every representation of it can be compared by: JSON, YAML,
//! `describe` text, table rows and inventory rows must agree on these, as far as they hold them.

use super::shapes::{
    ApiService, Binding, BlockAffinity, CiliumNode, ConfigMap, EndpointSlice, Endpoints, FlowSchema,
    ForeignPolicy, Ingress, IpPool, IpamBlock, Meta, Namespace, NetworkPolicy, Node, NodeNetworkConfig,
    PersistentVolume, PersistentVolumeClaim, Pod, PodDisruptionBudget, ResourceQuota, Role, Service,
    ServiceAccount, WebhookConfiguration, Workload,
};
use super::store::Object;
use super::values::{IntOrString, Labels};

type Statements = Vec<(&'static str, String)>;

/// Leaves out what is not said.
fn present(statements: Statements) -> Statements {
    statements.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn pairs(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn sorted(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    words.sort();
    words.dedup();
    words.join(",")
}

fn or<'a>(value: &'a str, otherwise: &'a str) -> &'a str {
    if value.is_empty() { otherwise } else { value }
}

macro_rules! object {
    ($type:ident, |$ours:ident| $statements:expr) => {
        impl Object for $type {
            fn meta(&self) -> &Meta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut Meta {
                &mut self.metadata
            }
            fn statements(&self) -> Statements {
                let $ours = self;
                present($statements)
            }
        }
    };
}

object!(Pod, |ours| {
    let statuses = ours.status.container_statuses.iter();
    // A pod that was never started has containers and no statuses.
    let all = statuses.len().max(ours.spec.containers.len());
    let ready = statuses.clone().filter(|status| status.ready).count();
    let restarts: u32 = statuses.map(|status| status.restart_count).sum();
    let ports = ours.spec.containers.iter().flat_map(|container| {
        container.ports.iter().map(|port| format!("{}/{}", port.container_port, or(&port.protocol, "TCP")))
    });
    let of_containers = |text: String| if all == 0 { String::new() } else { text };
    vec![
        ("phase", ours.status.phase.to_string()),
        ("node", ours.spec.node_name.to_string()),
        ("addresses", sorted(ours.addresses().map(|ip| ip.to_string()))),
        ("host network", if ours.spec.host_network { "true".to_owned() } else { String::new() }),
        ("ready", of_containers(format!("{ready}/{all}"))),
        ("restarts", of_containers(restarts.to_string())),
        ("service account", ours.spec.service_account_name.to_string()),
        ("labels", pairs(&ours.metadata.labels)),
        ("ports", sorted(ports)),
        (
            "owner",
            ours.metadata
                .owner_references
                .first()
                .map_or_else(String::new, |o| format!("{}/{}", o.kind, o.name)),
        ),
        (
            "being deleted",
            if ours.metadata.deletion_timestamp.is_empty() { String::new() } else { "true".to_owned() },
        ),
        ("conditions", sorted(ours.status.conditions.iter().map(|c| format!("{}={}", c.r#type, c.status)))),
    ]
});

object!(Node, |ours| {
    let ready = ours.status.conditions.iter().find(|c| &*c.r#type == "Ready");
    let internal = ours.status.addresses.iter().filter(|address| &*address.r#type == "InternalIP");
    vec![
        ("ready", ready.map_or("", |ready| if &*ready.status == "True" { "yes" } else { "no" }).to_owned()),
        ("cordoned", if ours.spec.unschedulable { "true".to_owned() } else { String::new() }),
        ("version", ours.status.node_info.kubelet_version.to_string()),
        ("internal address", sorted(internal.map(|address| address.address.to_string()))),
        ("OS image", ours.status.node_info.os_image.to_string()),
        ("runtime", ours.status.node_info.container_runtime_version.to_string()),
        ("pod CIDR", ours.spec.pod_cidr.to_string()),
        ("provider id", ours.spec.provider_id.to_string()),
        ("allocatable pods", ours.status.allocatable.pods.to_string()),
        ("labels", pairs(&ours.metadata.labels)),
    ]
});

object!(Namespace, |ours| {
    let labels = ours.metadata.labels.iter().filter(|(key, _)| &***key != "kubernetes.io/metadata.name");
    vec![
        ("phase", ours.status.phase.to_string()),
        ("labels", sorted(labels.map(|(key, value)| format!("{key}={value}")))),
    ]
});

object!(Service, |ours| {
    let ports = ours.spec.ports.iter().map(|port| {
        let node_port = if port.node_port == 0 { String::new() } else { format!(":{}", port.node_port) };
        format!("{}{node_port}/{}", port.port, or(&port.protocol, "TCP"))
    });
    let targets = ours.spec.ports.iter().filter_map(|port| match port.target_port.as_ref()? {
        IntOrString::Int(number) => Some(format!("{}→{number}", port.port)),
        IntOrString::Name(name) => Some(format!("{}→{name}", port.port)),
    });
    let outside =
        ours.status.load_balancer.ingress.iter().map(|item| or(&item.ip, &item.hostname).to_owned());
    vec![
        ("type", ours.spec.r#type.to_string()),
        ("cluster address", ours.spec.cluster_ip.to_string()),
        ("selector", pairs(&ours.spec.selector)),
        ("ports", sorted(ports)),
        ("target ports", sorted(targets)),
        ("external name", ours.spec.external_name.to_string()),
        ("load balancer", sorted(outside)),
    ]
});

object!(Endpoints, |ours| {
    let ready =
        ours.subsets.iter().flat_map(|subset| subset.addresses.iter().map(|address| address.ip.to_string()));
    let waiting = ours
        .subsets
        .iter()
        .flat_map(|subset| subset.not_ready_addresses.iter().map(|address| address.ip.to_string()));
    // Of a list that leaves some out, nothing can be compared.
    vec![
        ("addresses", if ours.left_out == 0 { sorted(ready) } else { String::new() }),
        ("not ready", sorted(waiting)),
    ]
});

object!(EndpointSlice, |ours| {
    let all = ours.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().map(ToString::to_string));
    let ready = ours.endpoints.iter().filter(|endpoint| endpoint.conditions.ready == Some(true));
    vec![
        ("addresses", if ours.left_out == 0 { sorted(all) } else { String::new() }),
        (
            "ready addresses",
            sorted(ready.flat_map(|endpoint| endpoint.addresses.iter().map(ToString::to_string))),
        ),
        ("address type", ours.address_type.to_string()),
        (
            "ports",
            sorted(
                ours.ports
                    .iter()
                    .map(|port| if port.port == 0 { String::new() } else { port.port.to_string() }),
            ),
        ),
        (
            "service",
            ours.metadata
                .labels
                .get("kubernetes.io/service-name")
                .map_or_else(String::new, ToString::to_string),
        ),
    ]
});

object!(Workload, |ours| {
    vec![
        ("replicas", ours.spec.replicas.map_or_else(String::new, |count| count.to_string())),
        ("selector", pairs(&ours.spec.selector.match_labels)),
        (
            "containers",
            sorted(ours.spec.template.spec.containers.iter().map(|container| container.name.to_string())),
        ),
    ]
});

object!(PersistentVolumeClaim, |ours| vec![("phase", ours.status.phase.to_string())]);
object!(PersistentVolume, |ours| vec![("phase", ours.status.phase.to_string())]);
object!(ResourceQuota, |ours| {
    ours.status.hard.iter().map(|(key, value)| ("hard", format!("{key}={value}"))).take(1).collect()
});

object!(Role, |ours| {
    let words = |list: &[crate::facts::Text]| sorted(list.iter().map(|word| format!("{:?}", &**word)));
    let rules = ours.rules.iter().map(|rule| {
        format!(
            "{} {} {} {} {}",
            words(&rule.verbs),
            words(&rule.api_groups),
            words(&rule.resources),
            words(&rule.resource_names),
            words(&rule.non_resource_urls)
        )
    });
    vec![("rules", sorted(rules))]
});

object!(Binding, |ours| {
    let subjects = ours.subjects.iter().map(|subject| {
        if subject.namespace.is_empty() {
            format!("{} {}", subject.kind, subject.name)
        } else {
            format!("{} {}/{}", subject.kind, subject.namespace, subject.name)
        }
    });
    vec![("role", format!("{}/{}", ours.role_ref.kind, ours.role_ref.name)), ("subjects", sorted(subjects))]
});

object!(ServiceAccount, |_own| Vec::new());
object!(ConfigMap, |_own| Vec::new());
object!(NetworkPolicy, |ours| {
    let spec = ours.spec.as_ref();
    vec![("pod selector", spec.map_or_else(String::new, |spec| pairs(&spec.pod_selector.match_labels)))]
});
object!(PodDisruptionBudget, |ours| {
    let allowed = ours.status.disruptions_allowed;
    vec![("allowed disruptions", allowed.map_or_else(String::new, |count| count.to_string()))]
});
object!(WebhookConfiguration, |ours| {
    vec![("webhooks", sorted(ours.webhooks.iter().map(|webhook| webhook.name.to_string())))]
});
object!(ApiService, |ours| {
    let available = ours.status.conditions.iter().find(|condition| &*condition.r#type == "Available");
    vec![("available", available.map_or_else(String::new, |item| item.status.to_string()))]
});
object!(FlowSchema, |_own| Vec::new());
object!(ForeignPolicy, |_own| Vec::new());
object!(Ingress, |_own| Vec::new());

object!(IpamBlock, |_own| vec![]);
object!(BlockAffinity, |_own| vec![]);
object!(IpPool, |_own| vec![]);
object!(CiliumNode, |_own| vec![]);
object!(NodeNetworkConfig, |ours| {
    let containers = ours.status.network_containers.iter();
    vec![
        ("requested", ours.spec.requested_ip_count.map_or_else(String::new, |count| count.to_string())),
        ("allocated", ours.status.assigned_ip_count.map_or_else(String::new, |count| count.to_string())),
        (
            "subnet",
            sorted(
                containers
                    .clone()
                    .map(|container| format!("{} {}", container.subnet_name, container.subnet_address_space)),
            ),
        ),
        ("mode", sorted(containers.clone().map(|container| container.assignment_mode.to_string()))),
        ("container id", sorted(containers.map(|container| container.id.to_string()))),
    ]
});
