//! Network policies as plainly as they can be said, in a cluster of three namespaces with three pods each.

use std::net::IpAddr;
use std::sync::Arc;

use kubetriage::cluster::Cluster;
use kubetriage::cluster::policy::{Answer, End, Protocol, Socket};
use kubetriage::cluster::reach::Resolver;
use kubetriage::facts::{Facts, Origin};
use serde_json::{Value, json};

pub(crate) const NAMESPACES: [&str; 3] = ["x", "y", "z"];
pub(crate) const PODS: [&str; 3] = ["a", "b", "c"];
pub(crate) const PORTS: [u16; 4] = [80, 81, 443, 8080];
pub(crate) const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
pub(crate) const OUTSIDE: [&str; 3] = ["8.8.8.8", "192.168.1.200", "10.0.0.1"];

pub(crate) fn address(namespace: usize, pod: usize) -> String {
    format!("192.168.1.{}", namespace * 3 + pod + 1)
}

/// All that a cluster of three namespaces with three pods each needs.
pub(crate) fn objects(policies: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    for (n, namespace) in NAMESPACES.iter().enumerate() {
        let labels = json!({ "ns": namespace, "kubernetes.io/metadata.name": namespace });
        all.push(json!({ "kind": "Namespace", "metadata": { "name": namespace, "labels": labels } }));
        for (p, pod) in PODS.iter().enumerate() {
            let tier = if p == 0 { json!({ "pod": pod, "tier": "front" }) } else { json!({ "pod": pod }) };
            let ip = address(n, p);
            all.push(json!({
                "kind": "Pod",
                "metadata": { "name": pod, "namespace": namespace, "labels": tier },
                "spec": { "containers": [{ "name": "c", "ports": [
                    { "name": "web", "containerPort": 80, "protocol": "TCP" },
                    { "name": "dns", "containerPort": 81, "protocol": "UDP" },
                ] }] },
                "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }] },
            }));
        }
    }
    all.extend(policies.iter().cloned());
    all
}

pub(crate) fn cluster(policies: &[Value]) -> Cluster {
    let mut facts = Facts::default();
    let source: Arc<str> = "objects.json".into();
    for (line, object) in objects(policies).iter().enumerate() {
        let bytes = serde_json::to_vec(object).unwrap();
        let origin = Origin::full(bytes.len(), &source, line as u64, 0);
        assert!(facts.objects.parse(object["kind"].as_str().unwrap(), &bytes, &origin).unwrap());
    }
    Cluster::freeze(facts)
}

pub(crate) fn selector(of_pods: bool, kind: usize, chosen: &[usize]) -> Value {
    let (key, values): (&str, [&str; 3]) = if of_pods { ("pod", PODS) } else { ("ns", NAMESPACES) };
    let values: Vec<&str> = chosen.iter().map(|at| values[*at]).collect();
    match kind {
        0 => json!({}),
        1 | 2 => json!({ "matchLabels": { key: values[0] } }),
        3 => json!({ "matchExpressions": [{ "key": key, "operator": "In", "values": values }] }),
        4 => json!({ "matchExpressions": [{ "key": key, "operator": "NotIn", "values": values }] }),
        5 => json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }),
        6 => json!({ "matchExpressions": [{ "key": "tier", "operator": "DoesNotExist" }] }),
        _ => json!({ "matchLabels": { key: "nobody" } }),
    }
}

pub(crate) fn peer(kind: usize, pods: Value, namespaces: Value, block: usize) -> Value {
    match kind {
        0 => json!({ "podSelector": pods }),
        1 => json!({ "namespaceSelector": namespaces }),
        2 | 3 => json!({ "podSelector": pods, "namespaceSelector": namespaces }),
        _ => match block {
            0 => json!({ "ipBlock": { "cidr": "0.0.0.0/0" } }),
            1 => json!({ "ipBlock": { "cidr": "192.168.1.0/24", "except": ["192.168.1.4/30"] } }),
            2 => json!({ "ipBlock": { "cidr": "8.0.0.0/8" } }),
            _ => json!({ "ipBlock": { "cidr": "192.168.1.2/32" } }),
        },
    }
}

pub(crate) fn port(kind: usize, port: usize, protocol: usize) -> Value {
    let mut item = match kind {
        0 => json!({}),
        1 => json!({ "port": "web" }),
        2 => json!({ "port": "dns" }),
        3 => json!({ "port": 80, "endPort": 443 }),
        _ => json!({ "port": PORTS[port] }),
    };
    // The last is the default.
    if let Some(protocol) = PROTOCOLS.get(protocol) {
        item["protocol"] = json!(protocol);
    }
    item
}

pub(crate) fn rule(word: &str, peers: &[Value], ports: &[Value], absent: bool) -> Value {
    let mut rule = json!({});
    if !(peers.is_empty() && absent) {
        rule[word] = json!(peers);
    }
    if !(ports.is_empty() && absent) {
        rule["ports"] = json!(ports);
    }
    rule
}

pub(crate) fn policy(
    namespace: usize,
    pods: Value,
    ingress: Vec<Value>,
    egress: Vec<Value>,
    types: usize,
) -> Value {
    let mut spec = json!({ "podSelector": pods, "ingress": ingress, "egress": egress });
    match types {
        0 => spec["policyTypes"] = json!(["Ingress"]),
        1 => spec["policyTypes"] = json!(["Egress"]),
        2 => spec["policyTypes"] = json!(["Ingress", "Egress"]),
        _ => {}
    }
    json!({ "kind": "NetworkPolicy", "metadata": { "name": "p", "namespace": NAMESPACES[namespace] }, "spec": spec })
}

pub(crate) fn numbered(mut all: Vec<Value>) -> Vec<Value> {
    for (at, policy) in all.iter_mut().enumerate() {
        policy["metadata"]["name"] = json!(format!("p{at}"));
    }
    all
}

/// One side of a connection, for the reference: namespace and pod by index, or an address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Pod(usize, usize),
    Outside(usize),
}

/// The reference: reads the JSON as the text of the API reference says, one policy after the other.
mod reference {
    use super::{NAMESPACES, OUTSIDE, PODS, Side, Value, address};

    fn labels_match(selector: &Value, labels: &dyn Fn(&str) -> Option<String>) -> bool {
        let pairs = selector["matchLabels"].as_object().into_iter().flatten();
        let mut all = pairs.map(|(key, value)| labels(key).as_deref() == value.as_str());
        let of_expressions = selector["matchExpressions"].as_array().into_iter().flatten().all(|item| {
            let ours = labels(item["key"].as_str().unwrap());
            let listed =
                || item["values"].as_array().unwrap().iter().any(|value| ours.as_deref() == value.as_str());
            match item["operator"].as_str().unwrap() {
                "In" => ours.is_some() && listed(),
                "NotIn" => ours.is_none() || !listed(),
                "Exists" => ours.is_some(),
                _ => ours.is_none(),
            }
        });
        all.all(|yes| yes) && of_expressions
    }

    fn pod_labels(pod: usize) -> impl Fn(&str) -> Option<String> {
        move |key| match key {
            "pod" => Some(PODS[pod].to_owned()),
            "tier" if pod == 0 => Some("front".to_owned()),
            _ => None,
        }
    }

    fn namespace_labels(namespace: usize) -> impl Fn(&str) -> Option<String> {
        move |key| {
            matches!(key, "ns" | "kubernetes.io/metadata.name").then(|| NAMESPACES[namespace].to_owned())
        }
    }

    fn number(ip: &str) -> u32 {
        ip.parse::<std::net::Ipv4Addr>().unwrap().into()
    }

    fn within(range: &str, ip: &str) -> bool {
        let (base, bits) = range.split_once('/').unwrap();
        let shift = 32 - bits.parse::<u32>().unwrap();
        shift == 32 || number(base) >> shift == number(ip) >> shift
    }

    fn peer_matches(peer: &Value, policy_namespace: &str, side: Side) -> bool {
        if let Some(block) = peer.get("ipBlock") {
            let ip = match side {
                Side::Pod(namespace, pod) => address(namespace, pod),
                Side::Outside(at) => OUTSIDE[at].to_owned(),
            };
            let except = block["except"].as_array().into_iter().flatten();
            return within(block["cidr"].as_str().unwrap(), &ip)
                && !except.into_iter().any(|range| within(range.as_str().unwrap(), &ip));
        }
        let Side::Pod(namespace, pod) = side else { return false };
        let namespaces = match peer.get("namespaceSelector") {
            Some(selector) => labels_match(selector, &namespace_labels(namespace)),
            None => NAMESPACES[namespace] == policy_namespace,
        };
        namespaces && peer.get("podSelector").is_none_or(|selector| labels_match(selector, &pod_labels(pod)))
    }

    fn port_matches(port: &Value, to: Side, number: u16, protocol: &str) -> bool {
        if port["protocol"].as_str().unwrap_or("TCP") != protocol {
            return false;
        }
        match (&port["port"], port["endPort"].as_u64()) {
            (Value::Null, _) => true,
            (Value::String(name), _) => {
                let known = [("web", "TCP", 80), ("dns", "UDP", 81)];
                matches!(to, Side::Pod(..)) && known.iter().any(|ours| *ours == (name, protocol, number))
            }
            (first, Some(last)) => (first.as_u64().unwrap()..=last).contains(&u64::from(number)),
            (only, None) => only.as_u64().unwrap() == u64::from(number),
        }
    }

    fn passes(
        policies: &[Value],
        ingress: bool,
        ours: Side,
        peer: Side,
        to: Side,
        port: u16,
        protocol: &str,
    ) -> bool {
        let Side::Pod(namespace, pod) = ours else { return true };
        let (direction, word, kind) =
            if ingress { ("ingress", "from", "Ingress") } else { ("egress", "to", "Egress") };
        let mut isolated = false;
        for policy in policies {
            let spec = &policy["spec"];
            let rules = spec[direction].as_array().unwrap();
            let applies = match spec["policyTypes"].as_array() {
                Some(types) => types.iter().any(|type_| type_ == kind),
                None => ingress || !rules.is_empty(),
            };
            let here = policy["metadata"]["namespace"] == NAMESPACES[namespace];
            if !applies || !here || !labels_match(&spec["podSelector"], &pod_labels(pod)) {
                continue;
            }
            isolated = true;
            for rule in rules {
                let all = |key: &str| rule[key].as_array().is_none_or(Vec::is_empty);
                let peers = all(word)
                    || rule[word]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|item| peer_matches(item, NAMESPACES[namespace], peer));
                let ports = all("ports")
                    || rule["ports"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|item| port_matches(item, to, port, protocol));
                if peers && ports {
                    return true;
                }
            }
        }
        !isolated
    }

    pub(super) fn allowed(policies: &[Value], from: Side, to: Side, port: u16, protocol: &str) -> bool {
        passes(policies, false, from, to, to, port, protocol)
            && passes(policies, true, to, from, to, port, protocol)
    }
}

pub(crate) fn end<'a>(resolver: &Resolver<'a>, side: Side) -> End<'a> {
    match side {
        Side::Pod(namespace, pod) => resolver.pod(NAMESPACES[namespace], PODS[pod]).unwrap(),
        Side::Outside(at) => End::Address(OUTSIDE[at].parse::<IpAddr>().unwrap()),
    }
}

/// The engine says of every connection what the reference says.
pub(crate) fn check(policies: &[Value], flows: &[(Side, Side, usize, usize)]) {
    let cluster = cluster(policies);
    let resolver = Resolver::new(&cluster);
    for (from, to, port, protocol) in flows.iter().copied() {
        let socket = Socket { protocol: Protocol::named(PROTOCOLS[protocol]).unwrap(), port: PORTS[port] };
        let (a, b) = (end(&resolver, from), end(&resolver, to));
        let given = cluster.policies.evaluate(&a, &b, socket).answer();
        let expected = reference::allowed(policies, from, to, PORTS[port], PROTOCOLS[protocol]);
        assert_eq!(given == Answer::Yes, expected, "{from:?} to {to:?} on {socket:?} with {policies:?}");
        assert_ne!(given, Answer::Unknown);
        // The open ports, as ranges, hold exactly the ports that are open one by one.
        let all = cluster.policies.ports(&a, &b);
        let of = all.iter().find(|ports| ports.protocol == socket.protocol).unwrap();
        let within = of.open.iter().any(|(first, last)| (*first..=*last).contains(&socket.port));
        assert_eq!(within, expected);
    }
}
