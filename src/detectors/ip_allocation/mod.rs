//! Pods that can't get an address.

mod common;

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
];
