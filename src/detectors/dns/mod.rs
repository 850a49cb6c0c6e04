//! Names can't be resolved: CoreDNS, its upstream servers, the servers of the network, the node-local resolver.

super::detectors![
    coredns_unhealthy,
    coredns_upstream_failing,
    dns_servers_mixed,
    pods_cannot_reach_dns,
    dns_name_unknown,
    localdns_failed,
];
