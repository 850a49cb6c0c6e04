//! Nodes and pods cannot reach the API server, or required egress of nodes is blocked.

mod api_server_endpoints_missing;
mod api_server_name_stale;
mod api_server_pod_unhealthy;
mod common;
mod default_route_leads_nowhere;
mod firewall_denies_required_egress;
mod http_proxy_misconfigured;
mod node_cannot_reach_api_server;
mod node_cannot_resolve_api_server;
mod node_egress_not_in_authorized_ranges;
mod node_outbound_blocked;
mod node_provisioning_failed;
mod nsg_blocks_egress;
mod pod_cannot_reach_api_server;
mod private_endpoint_not_approved;
mod private_zone_errors;
mod private_zone_not_linked;
mod snat_exhausted;

super::detectors![
    node_cannot_reach_api_server,
    node_cannot_resolve_api_server,
    pod_cannot_reach_api_server,
    node_egress_not_in_authorized_ranges,
    api_server_endpoints_missing,
    api_server_name_stale,
    api_server_pod_unhealthy,
    node_outbound_blocked,
    http_proxy_misconfigured,
    node_provisioning_failed,
    firewall_denies_required_egress,
    nsg_blocks_egress,
    default_route_leads_nowhere,
    private_zone_not_linked,
    private_zone_errors,
    private_endpoint_not_approved,
    snat_exhausted,
];
