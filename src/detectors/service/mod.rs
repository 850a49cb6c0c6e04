//! A service can't be reached: selectors, pods, ports, kube-proxy, policies, routes.

mod common;
mod policies;

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
];
