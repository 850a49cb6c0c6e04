//! Properties of the policy engine on random clusters and policies: it agrees with a naive reference that reads
//! the JSON directly, and a suggested policy always lets the connection pass that it was made for.

use kubetriage::cluster::policy::{Answer, Policy, Protocol, Socket};
use kubetriage::cluster::reach::Resolver;
use kubetriage::facts::{Key, NetworkPolicy};
use proptest::prelude::*;
use serde_json::Value;

use crate::models::policy::{self, PORTS, PROTOCOLS, Side, cluster, end};

fn selector(of_pods: bool) -> impl Strategy<Value = Value> {
    (0..8_usize, prop::collection::vec(0..3_usize, 1..3))
        .prop_map(move |(kind, chosen)| policy::selector(of_pods, kind, &chosen))
}

fn peer() -> impl Strategy<Value = Value> {
    (0..5_usize, selector(true), selector(false), 0..4_usize)
        .prop_map(|(kind, pods, namespaces, block)| policy::peer(kind, pods, namespaces, block))
}

fn port() -> impl Strategy<Value = Value> {
    (0..6_usize, 0..4_usize, 0..4_usize).prop_map(|(kind, port, protocol)| policy::port(kind, port, protocol))
}

fn rule(word: &'static str) -> impl Strategy<Value = Value> {
    (prop::collection::vec(peer(), 0..3), prop::collection::vec(port(), 0..3), any::<bool>())
        .prop_map(move |(peers, ports, absent)| policy::rule(word, &peers, &ports, absent))
}

fn policy() -> impl Strategy<Value = Value> {
    (
        0..3_usize,
        selector(true),
        prop::collection::vec(rule("from"), 0..3),
        prop::collection::vec(rule("to"), 0..3),
        0..5_usize,
    )
        .prop_map(|(namespace, pods, ingress, egress, types)| {
            policy::policy(namespace, pods, ingress, egress, types)
        })
}

fn world() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(policy(), 0..5).prop_map(policy::numbered)
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![
        4 => (0..3_usize, 0..3_usize).prop_map(|(namespace, pod)| Side::Pod(namespace, pod)),
        1 => (0..3_usize).prop_map(Side::Outside),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn evaluation_agrees_with_a_naive_reference(
        policies in world(),
        flows in prop::collection::vec((side(), side(), 0..4_usize, 0..3_usize), 1..30),
    ) {
        policy::check(&policies, &flows);
    }

    #[test]
    fn a_suggested_policy_lets_pass_what_it_was_made_for(
        policies in world(),
        from in side(),
        to in side(),
        port in 0..4_usize,
        protocol in 0..3_usize,
    ) {
        let before = cluster(&policies);
        let resolver = Resolver::new(&before);
        let socket = Socket { protocol: Protocol::named(PROTOCOLS[protocol]).unwrap(), port: PORTS[port] };
        let (a, b) = (end(&resolver, from), end(&resolver, to));
        let allowed = before.policies.evaluate(&a, &b, socket).answer() == Answer::Yes;
        let opening = before.policies.opening(&a, &b, &[socket]);
        prop_assert_eq!(opening.is_none(), allowed, "something is suggested exactly when it is refused");
        let mut after = cluster(&policies);
        for manifest in opening.into_iter().flat_map(|opening| opening.manifests) {
            let object: NetworkPolicy = serde_saphyr::from_str(&manifest).unwrap();
            let key = Key::new(object.metadata.namespace.clone(), object.metadata.name.clone());
            after.policies.add(Policy::compile(&key, &object));
        }
        let resolver = Resolver::new(&before);
        let (a, b) = (end(&resolver, from), end(&resolver, to));
        prop_assert_eq!(after.policies.evaluate(&a, &b, socket).answer(), Answer::Yes);
    }
}
