//! Pods that cannot get an IP address.

mod cidr_overlap;
mod cilium_agent_unreachable;
mod cni_not_ready;
mod cns_unauthorised;
mod cns_unreachable;
mod cns_waiting;
mod common;
mod duplicate_pod_ip;
mod node_subnet_full;
mod pod_cidr_exhausted;
mod pod_ip_churn;
mod pod_ip_exhausted;
mod pod_ip_leak;
mod pod_ip_pool_full;
mod pod_subnet_full;
mod sandbox_failed_otherwise;
mod subnet_delegated;
mod subnet_too_small;

super::detectors![
    pod_ip_leak,
    pod_ip_churn,
    pod_ip_pool_full,
    pod_subnet_full,
    cns_unauthorised,
    cns_waiting,
    cns_unreachable,
    pod_ip_exhausted,
    duplicate_pod_ip,
    pod_cidr_exhausted,
    node_subnet_full,
    subnet_too_small,
    cidr_overlap,
    subnet_delegated,
    cni_not_ready,
    sandbox_failed_otherwise,
    cilium_agent_unreachable,
];
