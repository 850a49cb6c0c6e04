//! A service cannot be reached: selectors, pods, ports, kube-proxy, network policies, routes.

mod common;
mod connection_failing;
mod connections;
mod container_not_listening;
mod gateway_backend_unhealthy;
mod gateway_subnet_without_route_table;
mod ingress_not_synced;
mod ingress_without_backend;
mod kube_proxy_failing;
mod kube_proxy_not_running;
mod load_balancer_pending;
mod load_balancer_probe_path;
mod nsg_blocks_load_balancer;
mod nsg_blocks_node_pools;
mod pod_routes_missing;
mod policies;
mod policy_blocks_api_server;
mod policy_blocks_connection;
mod policy_blocks_dns;
mod policy_drops_logged;
mod policy_engine_missing;
mod policy_isolates_service;
mod policy_peer_matches_nothing;
mod policy_selects_nothing;
mod service_endpoints_stale;
mod service_external_name_nowhere;
mod service_local_traffic_only;
mod service_named_port_missing;
mod service_pods_not_ready;
mod service_protocol_mismatch;
mod service_rules_missing;
mod service_scaled_to_zero;
mod service_selector_matches_nothing;
mod service_target_port_undeclared;
mod service_without_selector_or_endpoints;

super::detectors![
    service_selector_matches_nothing,
    service_scaled_to_zero,
    service_pods_not_ready,
    service_named_port_missing,
    service_protocol_mismatch,
    service_target_port_undeclared,
    container_not_listening,
    service_without_selector_or_endpoints,
    service_external_name_nowhere,
    service_endpoints_stale,
    load_balancer_pending,
    service_local_traffic_only,
    policy_blocks_dns,
    policy_blocks_api_server,
    policy_blocks_connection,
    policy_isolates_service,
    policy_peer_matches_nothing,
    policy_selects_nothing,
    policy_engine_missing,
    policy_drops_logged,
    kube_proxy_not_running,
    kube_proxy_failing,
    service_rules_missing,
    pod_routes_missing,
    nsg_blocks_load_balancer,
    nsg_blocks_node_pools,
    ingress_without_backend,
    connection_failing,
    gateway_backend_unhealthy,
    gateway_subnet_without_route_table,
    load_balancer_probe_path,
    ingress_not_synced,
];
