//! Clients cannot reach the API server: authorized IP ranges, private clusters, DNS, stopped clusters, kubeconfigs, TLS.

mod client_blocked_on_the_way;
mod client_connection_cut;
mod client_credentials_refused;
mod client_dns_fails;
mod client_not_in_authorized_ranges;
mod client_proxy_fails;
mod client_tls_fails;
mod cluster_stopped;
mod common;
mod kubeconfig_missing;
mod kubectl_version_skew;
mod private_cluster_without_path;

super::detectors![
    client_not_in_authorized_ranges,
    private_cluster_without_path,
    client_blocked_on_the_way,
    client_dns_fails,
    cluster_stopped,
    kubeconfig_missing,
    client_credentials_refused,
    client_proxy_fails,
    client_tls_fails,
    client_connection_cut,
    kubectl_version_skew,
];
