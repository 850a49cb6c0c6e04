//! Names can't be resolved: CoreDNS, its upstream servers, the servers of the network, the node-local resolver.

mod coredns_unhealthy;
mod coredns_upstream_failing;
mod dns_answers_differ;
mod dns_name_unknown;
mod dns_servers_mixed;
mod localdns_failed;
mod pods_cannot_reach_dns;

super::detectors![
    coredns_unhealthy,
    coredns_upstream_failing,
    dns_servers_mixed,
    pods_cannot_reach_dns,
    dns_name_unknown,
    localdns_failed,
    dns_answers_differ,
];
