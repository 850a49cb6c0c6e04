//! The health probe of an application gateway fails at its backends.

use std::collections::BTreeMap;

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{GatewayServer, at};
use crate::detectors::observed::listed;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, shell,
};
use crate::evidence::shortened;
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "gateway-backend-unhealthy",
    chapter: Chapter::Service,
    title: "Application Gateway: backends are Unhealthy",
    needs: &[HEALTH],
    explains: &["connection-failing"],
    doc: Doc {
        meaning: "The health probe of an Application Gateway fails at its backends: it gets another status than 200 to 399, no connection, no answer in time, or a certificate that it does not accept. The gateway sends no requests to such a backend, and answers 502 when none is left.",
        decision: "Servers that the backend health of the gateway calls Unhealthy (az network application-gateway show-backend-health), by what their probe says. Confirmed: it is the gateway's own answer at that time.",
        action: "Act on what the probe says: path and status of the probe (readinessProbe or appgw.ingress.kubernetes.io/health-probe-path), port, NSG and route table, certificate.",
        reference: "learn.microsoft.com: Troubleshoot backend health issues in Application Gateway; AGIC annotations.",
    },
    detect: Evaluation::Rule(detect),
};

const HEALTH: Need = Need {
    what: "the backend health of the application gateway",
    why: "it says what the gateway's probe gets from each pod",
    command: "az network application-gateway show-backend-health -g RESOURCE_GROUP -n APPGW -o json > backend-health.json",
    met: |cluster| !cluster.azure.gateway_servers.is_empty(),
};

/// What a probe that fails says, in a few words, and what is to be done about it.
struct GatewayFailure {
    title: String,
    cause: &'static str,
    fix: &'static str,
}

/// By the words of Application Gateway's health probe log.
fn of_log(log: &str) -> GatewayFailure {
    let lower = log.to_ascii_lowercase();
    let has = |words: &str| lower.contains(words);
    let failure = |title: String, cause, fix| GatewayFailure { title, cause, fix };
    if has("invalid status code") {
        let code = log.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 3).unwrap_or_default();
        let fix = match code {
            "401" | "403" => {
                "The probe sends no credentials: let it ask for a path that needs none (readinessProbe of the container, or annotation appgw.ingress.kubernetes.io/health-probe-path), or accept the status (health-probe-status-codes)."
            }
            _ => {
                "Set the probe to a path that the container answers with 200 to 399: AGIC takes the path from the readinessProbe or livenessProbe of the container, else from annotation appgw.ingress.kubernetes.io/health-probe-path, else from the path of the Ingress; or repair what answers with this status."
            }
        };
        return failure(
            format!("probe gets HTTP {code}"),
            "The backend answers, with a status that the probe does not accept (200 to 399).",
            fix,
        );
    }
    if has("cannot connect") || has("connect to backend") {
        return failure(
            "probe cannot connect".to_owned(),
            "No TCP connection from the gateway's subnet to the backend's port: nothing listens there, or an NSG, a route table or a network policy is between them. Where pods are outside the address range of the VNet (kubenet), the gateway's subnet needs the route table of the nodes.",
            "Check that the container listens on that port and that the pod is Ready; then the NSG of the nodes' subnet, network policies for traffic from the gateway's subnet, and, with kubenet, the route table of the gateway's subnet.",
        );
    }
    if has("time taken") || has("timed out") || has("time-out") || has("timeout") {
        return failure(
            "probe times out".to_owned(),
            "The backend does not answer the probe within its time-out.",
            "See how long the path of the probe takes in the pod; let the probe ask for a cheaper path, or raise its time-out (appgw.ingress.kubernetes.io/health-probe-timeout).",
        );
    }
    if has("certificate") || has("common name") || has("tls") || has("ssl") {
        return failure(
            "probe refuses the backend's certificate".to_owned(),
            "The gateway speaks HTTPS to the backend and does not accept its certificate.",
            "Upload the root certificate of the backend to the gateway (appgw.ingress.kubernetes.io/appgw-trusted-root-certificate), set the name that the certificate has (backend-hostname), or serve a complete chain.",
        );
    }
    if has("did not match") || has("body") {
        return failure(
            "probe does not find its text in the answer".to_owned(),
            "The body of the backend's answer does not hold what the probe wants to find.",
            "Correct the match of the probe, or what the path answers.",
        );
    }
    if has("dns") || has("resolve") || has("fqdn") {
        return failure(
            "backend name cannot be resolved".to_owned(),
            "The gateway cannot resolve the name of the backend with the DNS servers of its VNet.",
            "Correct the name, or the DNS servers of the gateway's VNet; restart the gateway after a change of DNS servers.",
        );
    }
    let title = if log.is_empty() { "no reason given".to_owned() } else { shortened(log, 50) };
    failure(title, "The health probe of the gateway fails.", "Act on what the probe says.")
}

fn detect(cluster: &Cluster) -> Outcome {
    let servers = &cluster.azure.gateway_servers;
    let mut failing: BTreeMap<(&str, String), Vec<&GatewayServer>> = BTreeMap::new();
    for server in servers.iter().filter(|server| server.fails()) {
        failing.entry((&server.gateway, of_log(&server.log).title)).or_default().push(server);
    }
    let mut outcome: Outcome = failing
        .into_values()
        .filter_map(|group| finding(cluster, servers, &group))
        .collect::<Vec<_>>()
        .into();
    let healthy = |server: &GatewayServer| {
        server.health.eq_ignore_ascii_case("healthy") || server.health.eq_ignore_ascii_case("up")
    };
    if outcome.findings.is_empty() && !servers.is_empty() && servers.iter().all(healthy) {
        outcome.ruled_out = Some(format!("all {} backends of the gateway are Healthy", servers.len()));
    }
    outcome
}

fn finding(cluster: &Cluster, all: &[GatewayServer], failing: &[&GatewayServer]) -> Option<Finding> {
    let first = failing.first()?;
    let says = of_log(&first.log);
    let gateway = if first.gateway.is_empty() {
        "Application Gateway".to_owned()
    } else {
        format!("Application Gateway {}", first.gateway)
    };
    let addresses: Vec<&str> = failing.iter().map(|server| server.address.as_str()).collect();
    let evidence: Vec<_> = failing
        .iter()
        .filter_map(|server| {
            let what = format!("backend {} of pool {}", server.address, server.pool);
            Some(at(server.place.as_ref()?, &what, &format!("{}: {}", server.health, server.log)))
        })
        .take(crate::evidence::EXAMPLES)
        .collect();
    let title = format!("{gateway}: {} at {}", says.title, listed(addresses.iter().copied(), 2));
    let id = format!("{} {}", first.gateway, says.title);
    let mut finding = Finding::new(DETECTOR.id, &id, title, evidence)?;
    // A pool with a backend left still answers.
    let left = |server: &&&GatewayServer| {
        all.iter().any(|other| other.gateway == server.gateway && other.pool == server.pool && !other.fails())
    };
    let dead: Vec<&str> = failing
        .iter()
        .filter(|server| !left(server))
        .map(|server| server.pool.as_str())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    finding.severity = if dead.is_empty() { Severity::Medium } else { Severity::High };
    finding.confidence = Confidence::Confirmed;
    finding.count = failing.len() as u64;
    finding.unit = "backend";
    let pods = cluster.facts.objects.pods.iter();
    let pods = pods.filter(|(_, seen)| addresses.contains(&&*seen.object.status.pod_ip.to_string()));
    let pods: Vec<&Key> = pods.map(|(key, _)| key).take(50).collect();
    finding.subjects = pods.iter().map(|pod| common::subject("Pod", pod)).collect();
    let effect = if dead.is_empty() {
        "The gateway sends its requests to the other backends of the pool.".to_owned()
    } else {
        format!("No backend is left in pool {}: the gateway answers 502.", listed(dead.iter().copied(), 2))
    };
    finding.cause = format!("{} {effect}", says.cause);
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { shell(text) };
    let named = format!("-g {} -n {}", or(&first.group, "RESOURCE_GROUP"), or(&first.gateway, "APPGW"));
    let mut commands = Vec::new();
    if let Some(pod) = pods.first() {
        commands.push(format!("kubectl describe pod {}   # Ready, port, readinessProbe", common::named(pod)));
    }
    commands.push("kubectl get ingress -A -o yaml   # annotations, path, backend".to_owned());
    finding.fix = Fix { text: says.fix.to_owned(), commands, manifests: Vec::new() };
    finding.verify =
        vec![format!("az network application-gateway show-backend-health {named}   # servers are Healthy")];
    Some(finding)
}
