//! `kubetriage reach`: the policy engine, asked directly.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{Exit, bundle, output, questions};
use crate::cluster::Cluster;
use crate::cluster::policy::{
    Answer, Direction, End, EngineKind, PolicyVerdict, Ports, Protocol, Side, Socket,
};
use crate::cluster::reach::{Destination, Resolver};
use crate::facts::Key;
use crate::report::visible;

/// May a pod reach a pod, a service or an address, by the network policies of the bundle?
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubetriage reach bundle.tgz --from shop/web-7d4f --to shop/cart:80
  kubetriage reach bundle.tgz --from shop/web-7d4f --to kube-system/kube-dns:53 --protocol UDP
  kubetriage reach bundle.tgz --from payments/api-0 --to 10.0.0.1:443
  kubetriage reach bundle.tgz --flows flows.jsonl       one JSON object a line:
      {\"from\":\"shop/web-7d4f\",\"to\":\"10.224.0.9\",\"port\":443,\"protocol\":\"TCP\"}

A workload may be named in place of its pods. Without a port, all open ports are told.
The answer is about network policies only: it does not say that something listens there.")]
pub(super) struct Reach {
    #[command(flatten)]
    bundle: bundle::One,

    /// Who connects: NAMESPACE/POD or an address
    #[arg(long, value_name = "FROM", required_unless_present = "flows")]
    from: Option<String>,

    /// To what: NAMESPACE/POD, NAMESPACE/SERVICE or an address, and a port
    #[arg(long, value_name = "TO[:PORT]", required_unless_present = "flows")]
    to: Option<String>,

    /// Protocol
    #[arg(long, value_name = "TCP|UDP|SCTP", default_value = "TCP", value_parser = protocol)]
    protocol: Protocol,

    /// Answer many questions, one JSON object a line, from a file or `-`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to"])]
    flows: Option<String>,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    Protocol::named(text).ok_or_else(|| "one of TCP, UDP, SCTP".to_owned())
}

/// `shop/cart:80`, `10.0.0.1:443`, `[fd00::1]:443`, or any of them without a port.
fn with_port(text: &str) -> (&str, Option<u16>) {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':').map(|(name, port)| (name, port.parse().ok())) {
        Some((name, port @ Some(_))) => (name.trim_matches(['[', ']']), port),
        _ => (text.trim_matches(['[', ']']), None),
    }
}

/// What one question comes to.
struct Reached {
    verdict: PolicyVerdict,
    /// Not all ways to a service give the same answer.
    mixed: bool,
}

impl Reach {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let cluster = self.bundle.read()?;
        let resolver = Resolver::new(&cluster);
        if let Some(file) = &self.flows {
            return flows(&cluster, &resolver, file);
        }
        let from = self.from.as_deref().unwrap_or_default();
        let (to, port) = with_port(self.to.as_deref().unwrap_or_default());
        let source = resolver.source(from).map_err(anyhow::Error::msg)?;
        let text = match resolver.find(to).map_err(anyhow::Error::msg)? {
            Destination::End(end) => match port {
                Some(port) => {
                    let socket = Socket { protocol: self.protocol, port };
                    answer_line(&cluster, &source, &end, socket)
                        + &opening(&cluster, &source, &end, &[socket])
                }
                None => all_ports(&cluster, &source, &end),
            },
            Destination::Service(key) => service(&cluster, &resolver, &source, &key, port),
        };
        output::to_stdout(visible(&text).as_bytes())?;
        Ok(Exit::Done)
    }
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "allowed",
        Answer::No => "denied",
        Answer::Unknown => "unknown",
    }
}

fn engine(cluster: &Cluster) -> String {
    let engine = &cluster.policies.engine;
    match engine.kind {
        EngineKind::Unknown => {
            "engine: not known from the bundle; policies are read to the letter\n".to_owned()
        }
        EngineKind::None => format!("engine: none runs ({}), so policies do nothing\n", engine.from),
        kind => format!("engine: {kind} ({})\n", engine.from),
    }
}

fn names(keys: &[Key]) -> String {
    keys.iter().map(Key::label).collect::<Vec<_>>().join(", ")
}

fn side(out: &mut String, what: &str, direction: Direction, side: &Side) {
    let _ = write!(out, "  {what}: {}", word(side.answer));
    let _ = match (&side.allowed_by, &side.unknown) {
        (_, Some(why)) => writeln!(out, ", {why}"),
        (Some((policy, rule)), _) => {
            writeln!(out, " by {}, {} rule {}", policy.label(), direction.name(), rule + 1)
        }
        _ if side.isolated_by.is_empty() => writeln!(out, ", no policy applies"),
        _ => writeln!(out, ": isolated by {}, and no rule of them allows it", names(&side.isolated_by)),
    };
}

fn answer_line(cluster: &Cluster, from: &End<'_>, to: &End<'_>, socket: Socket) -> String {
    let verdict = cluster.policies.evaluate(from, to, socket);
    let mut out = format!(
        "{}: {} to {} on {} {}\n{}",
        word(verdict.answer()),
        from.label(),
        to.label(),
        socket.protocol.name(),
        socket.port,
        engine(cluster)
    );
    side(&mut out, &format!("leaving {}", from.label()), Direction::Egress, &verdict.egress);
    side(&mut out, &format!("coming to {}", to.label()), Direction::Ingress, &verdict.ingress);
    out
}

fn opening(cluster: &Cluster, from: &End<'_>, to: &End<'_>, sockets: &[Socket]) -> String {
    let Some(opening) = cluster.policies.opening(from, to, sockets) else { return String::new() };
    let mut out = "\nThis would let it pass, and was evaluated against the bundle:\n".to_owned();
    if opening.wide {
        out.push_str(
            "(a pod without labels of its own can't be named: this takes all pods of its namespace)\n",
        );
    }
    for manifest in &opening.manifests {
        let _ = write!(out, "---\n{manifest}");
    }
    out
}

fn ranges(all: &[(u16, u16)]) -> String {
    let text = all
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    text.collect::<Vec<_>>().join(", ")
}

fn all_ports(cluster: &Cluster, from: &End<'_>, to: &End<'_>) -> String {
    let ports = cluster.policies.ports(from, to);
    let mut out = String::new();
    if ports.iter().all(Ports::all) {
        let _ = writeln!(out, "allowed: {} to {} on all ports", from.label(), to.label());
    } else if ports.iter().all(|ports| ports.open.is_empty() && ports.unknown.is_empty()) {
        let _ = writeln!(out, "denied: {} to {} on all ports", from.label(), to.label());
    } else {
        let _ = writeln!(out, "{} to {}:", from.label(), to.label());
        for port in &ports {
            if !port.open.is_empty() {
                let _ = writeln!(out, "  allowed {} {}", port.protocol.name(), ranges(&port.open));
            }
            if !port.unknown.is_empty() {
                let _ = writeln!(out, "  unknown {} {}", port.protocol.name(), ranges(&port.unknown));
            }
        }
    }
    out.push_str(&engine(cluster));
    let verdict = cluster.policies.evaluate(from, to, Socket { protocol: Protocol::Tcp, port: 1 });
    for (end, direction) in [(from, Direction::Egress), (to, Direction::Ingress)] {
        let isolated = &verdict.side(direction).isolated_by;
        if !isolated.is_empty() {
            let _ = writeln!(
                out,
                "  {} is isolated for {} by {}",
                end.label(),
                direction.name(),
                names(isolated)
            );
        }
    }
    out
}

fn service(
    cluster: &Cluster,
    resolver: &Resolver<'_>,
    from: &End<'_>,
    key: &Key,
    port: Option<u16>,
) -> String {
    let backends = resolver.backends(key, port);
    if backends.is_empty() {
        let state = cluster.services.all.get(key);
        let none = state.is_some_and(|state| state.pods.is_empty() && state.not_judged.is_none());
        let why = match (none, port) {
            (true, _) => "it has no pods, so there is nothing to reach",
            (_, Some(_)) => "the bundle shows no pod that it leads to on this port",
            _ => "the bundle does not show where it leads",
        };
        return format!("unknown: {} to service {}: {why}\n", from.label(), key.label());
    }
    let mut by_port: BTreeMap<(u16, Protocol), Vec<_>> = BTreeMap::new();
    for backend in &backends {
        let verdict = cluster.policies.evaluate(from, &backend.end, backend.socket);
        by_port.entry((backend.port, backend.socket.protocol)).or_default().push((backend, verdict));
    }
    let mut out = String::new();
    for ((port, protocol), ways) in &by_port {
        let open = ways.iter().filter(|(_, verdict)| verdict.answer() == Answer::Yes).count();
        let unknown = ways.iter().any(|(_, verdict)| verdict.answer() == Answer::Unknown);
        let first = if open == ways.len() {
            "allowed"
        } else if unknown {
            "unknown"
        } else if open == 0 {
            "denied"
        } else {
            "partly"
        };
        let _ = writeln!(
            out,
            "{first}: {} to service {} on {} {port}: {open} of {} pods",
            from.label(),
            key.label(),
            protocol.name(),
            ways.len()
        );
    }
    // What would open all ports of the worst pod at once.
    let mut refused: Vec<(&End<'_>, Vec<Socket>)> = Vec::new();
    for ways in by_port.values() {
        let worst = ways.iter().min_by_key(|(_, verdict)| verdict.answer());
        if let Some((backend, verdict)) = worst {
            out.push('\n');
            if verdict.answer() == Answer::Yes {
                let _ = writeln!(out, "for example {} on {}:", backend.end.label(), backend.socket.port);
            }
            out.push_str(&answer_line(cluster, from, &backend.end, backend.socket));
            if verdict.answer() == Answer::No {
                match refused.iter_mut().find(|(end, _)| end.label() == backend.end.label()) {
                    Some((_, sockets)) => sockets.push(backend.socket),
                    None => refused.push((&backend.end, vec![backend.socket])),
                }
            }
        }
    }
    for (end, sockets) in &refused {
        out.push_str(&opening(cluster, from, end, sockets));
    }
    out
}

#[derive(Deserialize)]
struct Flow {
    from: String,
    to: String,
    port: u16,
    #[serde(default)]
    protocol: Option<String>,
}

fn flows(cluster: &Cluster, resolver: &Resolver<'_>, file: &str) -> anyhow::Result<Exit> {
    questions::answer_each(file, |line| {
        let answer = serde_json::from_slice::<Flow>(line)
            .map_err(|error| format!("not a flow: {error}"))
            .and_then(|flow| reached(cluster, resolver, &flow));
        match answer {
            Ok(reached) => reached_json(&reached),
            Err(error) => {
                json!({ "allowed": false, "decision": "unknown", "egress": null, "ingress": null, "error": error })
            }
        }
    })
}

fn reached(cluster: &Cluster, resolver: &Resolver<'_>, flow: &Flow) -> Result<Reached, String> {
    let protocol = protocol(flow.protocol.as_deref().unwrap_or_default())?;
    let from = resolver.source(&flow.from)?;
    let ways = match resolver.find(&flow.to)? {
        Destination::End(end) => vec![(end, Socket { protocol, port: flow.port })],
        Destination::Service(key) => {
            let backends = resolver.backends(&key, Some(flow.port)).into_iter();
            backends
                .filter(|backend| backend.socket.protocol == protocol)
                .map(|backend| (backend.end, backend.socket))
                .collect()
        }
    };
    let verdicts = ways.iter().map(|(to, socket)| cluster.policies.evaluate(&from, to, *socket));
    let mut verdicts: Vec<PolicyVerdict> = verdicts.collect();
    verdicts.sort_by_key(PolicyVerdict::answer);
    let best = verdicts.last().map(PolicyVerdict::answer);
    let Some(worst) = verdicts.into_iter().next() else {
        return Err(format!("the bundle does not show where {} leads", flow.to));
    };
    Ok(Reached { mixed: best != Some(worst.answer()), verdict: worst })
}

fn reached_json(reached: &Reached) -> serde_json::Value {
    let side = |side: &Side| {
        json!({
            "allowed": side.answer == Answer::Yes,
            "decision": word(side.answer),
            "isolated_by": side.isolated_by.iter().map(Key::label).collect::<Vec<_>>(),
            "allowed_by": side.allowed_by.as_ref().map(|(policy, rule)| json!({ "policy": policy.label(), "rule": rule })),
            "reason": side.unknown,
        })
    };
    let answer = if reached.mixed { Answer::Unknown } else { reached.verdict.answer() };
    json!({
        "allowed": answer == Answer::Yes,
        "decision": word(answer),
        "egress": side(&reached.verdict.egress),
        "ingress": side(&reached.verdict.ingress),
        "error": reached.mixed.then_some("the pods of the service differ"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(with_port("shop/cart:80"), ("shop/cart", Some(80)));
        assert_eq!(with_port("10.0.0.1:443"), ("10.0.0.1", Some(443)));
        assert_eq!(with_port("[fd00::1]:443"), ("fd00::1", Some(443)));
        assert_eq!(with_port("fd00::1"), ("fd00::1", None));
        assert_eq!(with_port("shop/cart"), ("shop/cart", None));
    }
}
