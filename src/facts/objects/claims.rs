//! What an object says, in words that every representation of it can be compared by: JSON, YAML,
//! `describe` text, table rows and inventory rows must agree on these, as far as they hold them.

use super::shapes::{
    ApiService, Binding, BlockAffinity, CiliumNode, ConfigMap, EndpointSlice, Endpoints, FlowSchema,
    ForeignPolicy, Ingress, IpPool, IpamBlock, Meta, Namespace, NetworkPolicy, Node, NodeNetworkConfig, Pod,
    PodDisruptionBudget, Role, Service, ServiceAccount, WebhookConfiguration, Workload,
};
use super::store::Object;
use super::values::{IntOrString, Labels};

type Claims = Vec<(&'static str, String)>;

/// Leaves out what is not said.
fn said(claims: Claims) -> Claims {
    claims.into_iter().filter(|(_, value)| !value.is_empty()).collect()
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
    ($type:ident, |$own:ident| $claims:expr) => {
        impl Object for $type {
            fn meta(&self) -> &Meta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut Meta {
                &mut self.metadata
            }
            fn claims(&self) -> Claims {
                let $own = self;
                said($claims)
            }
        }
    };
}

object!(Pod, |own| {
    let statuses = own.status.container_statuses.iter();
    // A pod that was never started has containers and no statuses.
    let all = statuses.len().max(own.spec.containers.len());
    let ready = statuses.clone().filter(|status| status.ready).count();
    let restarts: u32 = statuses.map(|status| status.restart_count).sum();
    let ports = own.spec.containers.iter().flat_map(|container| {
        container.ports.iter().map(|port| format!("{}/{}", port.container_port, or(&port.protocol, "TCP")))
    });
    let of_containers = |text: String| if all == 0 { String::new() } else { text };
    vec![
        ("phase", own.status.phase.to_string()),
        ("node", own.spec.node_name.to_string()),
        ("addresses", sorted(own.addresses().map(|ip| ip.to_string()))),
        ("host network", if own.spec.host_network { "true".to_owned() } else { String::new() }),
        ("ready", of_containers(format!("{ready}/{all}"))),
        ("restarts", of_containers(restarts.to_string())),
        ("service account", own.spec.service_account_name.to_string()),
        ("labels", pairs(&own.metadata.labels)),
        ("ports", sorted(ports)),
        (
            "owner",
            own.metadata
                .owner_references
                .first()
                .map_or_else(String::new, |o| format!("{}/{}", o.kind, o.name)),
        ),
        (
            "being deleted",
            if own.metadata.deletion_timestamp.is_empty() { String::new() } else { "true".to_owned() },
        ),
        ("conditions", sorted(own.status.conditions.iter().map(|c| format!("{}={}", c.r#type, c.status)))),
    ]
});

object!(Node, |own| {
    let ready = own.status.conditions.iter().find(|c| &*c.r#type == "Ready");
    let internal = own.status.addresses.iter().filter(|address| &*address.r#type == "InternalIP");
    vec![
        ("ready", ready.map_or("", |ready| if &*ready.status == "True" { "yes" } else { "no" }).to_owned()),
        ("cordoned", if own.spec.unschedulable { "true".to_owned() } else { String::new() }),
        ("version", own.status.node_info.kubelet_version.to_string()),
        ("internal address", sorted(internal.map(|address| address.address.to_string()))),
        ("OS image", own.status.node_info.os_image.to_string()),
        ("runtime", own.status.node_info.container_runtime_version.to_string()),
        ("pod CIDR", own.spec.pod_cidr.to_string()),
        ("provider id", own.spec.provider_id.to_string()),
        ("allocatable pods", own.status.allocatable.pods.to_string()),
        ("labels", pairs(&own.metadata.labels)),
    ]
});

object!(Namespace, |own| {
    let labels = own.metadata.labels.iter().filter(|(key, _)| &***key != "kubernetes.io/metadata.name");
    vec![
        ("phase", own.status.phase.to_string()),
        ("labels", sorted(labels.map(|(key, value)| format!("{key}={value}")))),
    ]
});

object!(Service, |own| {
    let ports = own.spec.ports.iter().map(|port| {
        let node_port = if port.node_port == 0 { String::new() } else { format!(":{}", port.node_port) };
        format!("{}{node_port}/{}", port.port, or(&port.protocol, "TCP"))
    });
    let targets = own.spec.ports.iter().filter_map(|port| match port.target_port.as_ref()? {
        IntOrString::Int(number) => Some(format!("{}→{number}", port.port)),
        IntOrString::Name(name) => Some(format!("{}→{name}", port.port)),
    });
    let outside = own.status.load_balancer.ingress.iter().map(|one| or(&one.ip, &one.hostname).to_owned());
    vec![
        ("type", own.spec.r#type.to_string()),
        ("cluster address", own.spec.cluster_ip.to_string()),
        ("selector", pairs(&own.spec.selector)),
        ("ports", sorted(ports)),
        ("target ports", sorted(targets)),
        ("external name", own.spec.external_name.to_string()),
        ("load balancer", sorted(outside)),
    ]
});

object!(Endpoints, |own| {
    let ready =
        own.subsets.iter().flat_map(|subset| subset.addresses.iter().map(|address| address.ip.to_string()));
    let waiting = own
        .subsets
        .iter()
        .flat_map(|subset| subset.not_ready_addresses.iter().map(|address| address.ip.to_string()));
    // Of a list that leaves some out, nothing can be compared.
    vec![
        ("addresses", if own.left_out == 0 { sorted(ready) } else { String::new() }),
        ("not ready", sorted(waiting)),
    ]
});

object!(EndpointSlice, |own| {
    let all = own.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().map(ToString::to_string));
    let ready = own.endpoints.iter().filter(|endpoint| endpoint.conditions.ready == Some(true));
    vec![
        ("addresses", if own.left_out == 0 { sorted(all) } else { String::new() }),
        (
            "ready addresses",
            sorted(ready.flat_map(|endpoint| endpoint.addresses.iter().map(ToString::to_string))),
        ),
        ("address type", own.address_type.to_string()),
        (
            "ports",
            sorted(
                own.ports
                    .iter()
                    .map(|port| if port.port == 0 { String::new() } else { port.port.to_string() }),
            ),
        ),
        (
            "service",
            own.metadata
                .labels
                .get("kubernetes.io/service-name")
                .map_or_else(String::new, ToString::to_string),
        ),
    ]
});

object!(Workload, |own| {
    vec![
        ("replicas", own.spec.replicas.map_or_else(String::new, |count| count.to_string())),
        ("selector", pairs(&own.spec.selector.match_labels)),
        (
            "containers",
            sorted(own.spec.template.spec.containers.iter().map(|container| container.name.to_string())),
        ),
    ]
});

object!(Role, |own| {
    let words = |list: &[crate::facts::Text]| sorted(list.iter().map(|word| format!("{:?}", &**word)));
    let rules = own.rules.iter().map(|rule| {
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

object!(Binding, |own| {
    let subjects = own.subjects.iter().map(|subject| {
        if subject.namespace.is_empty() {
            format!("{} {}", subject.kind, subject.name)
        } else {
            format!("{} {}/{}", subject.kind, subject.namespace, subject.name)
        }
    });
    vec![("role", format!("{}/{}", own.role_ref.kind, own.role_ref.name)), ("subjects", sorted(subjects))]
});

object!(ServiceAccount, |_own| Vec::new());
object!(ConfigMap, |_own| Vec::new());
object!(NetworkPolicy, |own| {
    let spec = own.spec.as_ref();
    vec![("pod selector", spec.map_or_else(String::new, |spec| pairs(&spec.pod_selector.match_labels)))]
});
object!(PodDisruptionBudget, |own| {
    let allowed = own.status.disruptions_allowed;
    vec![("allowed disruptions", allowed.map_or_else(String::new, |count| count.to_string()))]
});
object!(WebhookConfiguration, |own| {
    vec![("webhooks", sorted(own.webhooks.iter().map(|webhook| webhook.name.to_string())))]
});
object!(ApiService, |own| {
    let available = own.status.conditions.iter().find(|one| &*one.r#type == "Available");
    vec![("available", available.map_or_else(String::new, |one| one.status.to_string()))]
});
object!(FlowSchema, |_own| Vec::new());
object!(ForeignPolicy, |_own| Vec::new());
object!(Ingress, |_own| Vec::new());

object!(IpamBlock, |_own| vec![]);
object!(BlockAffinity, |_own| vec![]);
object!(IpPool, |_own| vec![]);
object!(CiliumNode, |_own| vec![]);
object!(NodeNetworkConfig, |own| {
    let containers = own.status.network_containers.iter();
    vec![
        ("requested", own.spec.requested_ip_count.map_or_else(String::new, |count| count.to_string())),
        ("allocated", own.status.assigned_ip_count.map_or_else(String::new, |count| count.to_string())),
        (
            "subnet",
            sorted(containers.clone().map(|one| format!("{} {}", one.subnet_name, one.subnet_address_space))),
        ),
        ("mode", sorted(containers.clone().map(|one| one.assignment_mode.to_string()))),
        ("container id", sorted(containers.map(|one| one.id.to_string()))),
    ]
});
