//! `ip addr`, `ip route`, `ip neigh`, as text or with `-j`; also as AKS's node log bundle names them
//! (`collect/ip_4_route.json`), where the command's errors may stand among the JSON.

use serde::Deserialize;

use super::{Head, InputFormat, Piece, share_of_lines};
use crate::bundle::{Framer, Whole};
use crate::facts::{Facts, IpState, LINES, Place, Route};

pub(super) struct IpTool;
pub(super) const FORMAT: IpTool = IpTool;

impl InputFormat for IpTool {
    fn name(&self) -> &'static str {
        "ip-tool"
    }

    fn about(&self) -> &'static str {
        "addresses, routes and neighbours of a node: ip addr, ip route, ip neigh, as text or JSON"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if let Some(json) = json(head.bytes) {
            let has = |word: &str| {
                memchr::memmem::find(json.get(..json.len().min(600)).unwrap_or(json), word.as_bytes())
                    .is_some()
            };
            let link = has("\"ifname\"") || has("\"ifindex\"");
            let route = has("\"dst\"") && (has("\"dev\"") || has("\"gateway\"") || has("\"type\""));
            return if link && has("\"flags\"") || route && !has("\"src_ip\"") { 92 } else { 0 };
        }
        if share_of_lines(head.bytes, 100, text_line) >= 60 { 82 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut state = IpState { node: piece.node.map(Into::into), ..IpState::default() };
        let read = if let Some(json) = json(piece.bytes) {
            let damaged = of_json(json, &mut state);
            if damaged {
                facts.problem(piece.source, "JSON of ip is cut: what came before was read");
            }
            state.addresses.len() + state.routes.len() + state.neighbours.len()
        } else {
            of_text(&String::from_utf8_lossy(piece.bytes), &mut state);
            state.addresses.len() + state.routes.len() + state.neighbours.len()
        };
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        if let Some(slot) = facts.nodes.ip_states.slot(place) {
            *slot = state;
        }
        read as u64
    }
}

/// The array of a JSON output; words of the command may stand before it.
fn json(text: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(text.get(..text.len().min(2048)).unwrap_or(text), b"[{")
        .or_else(|| memchr::memmem::find(text.get(..text.len().min(2048)).unwrap_or(text), b"[ {"))?;
    let before = text.get(..at)?;
    (before.is_empty() || before.ends_with(b"\n")).then(|| text.get(at..)).flatten()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IpToolItem {
    ifname: String,
    operstate: String,
    addr_info: Vec<IpToolAddress>,
    dst: String,
    gateway: String,
    dev: String,
    r#type: String,
    lladdr: String,
    state: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IpToolAddress {
    local: String,
    prefixlen: u8,
}

/// Reads item by item, so that a file that is cut gives what it has. `true` when it is cut.
fn of_json(json: &[u8], state: &mut IpState) -> bool {
    let mut at = 1;
    loop {
        let Some(next) =
            json.get(at..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'{' | b']')))
        else {
            return true;
        };
        at += next;
        if json.get(at) == Some(&b']') {
            return false;
        }
        let Some(end) = crate::bytes::json::value_end(json, at) else { return true };
        if let Ok(item) = serde_json::from_slice::<IpToolItem>(json.get(at..end).unwrap_or_default()) {
            add(item, state);
        }
        at = end;
    }
}

fn add(item: IpToolItem, state: &mut IpState) {
    for address in &item.addr_info {
        if state.addresses.len() < LINES {
            let local = format!("{}/{}", address.local, address.prefixlen);
            state.addresses.push((item.ifname.as_str().into(), local.into(), item.operstate.as_str().into()));
        }
    }
    let neighbour = !item.lladdr.is_empty() || !item.state.is_empty();
    if neighbour && state.neighbours.len() < LINES {
        state.neighbours.push((item.dst.into(), item.dev.into(), item.state.join(",").into()));
    } else if !item.dst.is_empty() && item.addr_info.is_empty() && state.routes.len() < LINES {
        let kind = if item.r#type == "unicast" { String::new() } else { item.r#type };
        state.routes.push(Route {
            destination: item.dst.into(),
            gateway: item.gateway.into(),
            device: item.dev.into(),
            kind: kind.into(),
        });
    }
}

const ODD: [&str; 5] = ["unreachable", "blackhole", "prohibit", "throw", "broadcast"];

fn text_line(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let words: Vec<&str> = line.split_whitespace().take(4).collect();
    match words.as_slice() {
        ["inet" | "inet6" | "link/ether" | "link/loopback" | "valid_lft", ..]
        | ["default", "via" | "dev" | "proto", ..] => true,
        [kind, destination, ..] if ODD.contains(kind) => is_range(destination),
        [number, name, ..] if number.ends_with(':') && number.len() < 6 => {
            number.trim_end_matches(':').parse::<u32>().is_ok() && name.ends_with(':')
        }
        [destination, "via" | "dev", ..] => is_range(destination),
        _ => false,
    }
}

fn is_range(word: &str) -> bool {
    let address = word.split('/').next().unwrap_or(word);
    word == "default" || address.parse::<std::net::IpAddr>().is_ok()
}

fn of_text(text: &str, state: &mut IpState) {
    let (mut interface, mut up) = (String::new(), String::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |key: &str| -> &str {
            words
                .iter()
                .position(|word| *word == key)
                .and_then(|at| words.get(at + 1))
                .copied()
                .unwrap_or_default()
        };
        match words.as_slice() {
            [number, name, ..] if number.ends_with(':') && name.ends_with(':') => {
                name.trim_end_matches(':').split('@').next().unwrap_or_default().clone_into(&mut interface);
                after("state").clone_into(&mut up);
            }
            ["inet" | "inet6", address, ..] if state.addresses.len() < LINES => {
                state.addresses.push((interface.as_str().into(), (*address).into(), up.as_str().into()));
            }
            [kind, destination, ..]
                if ODD.contains(kind)
                    && is_range(destination)
                    && state.routes.len() < LINES
                    && *kind != "broadcast" =>
            {
                state.routes.push(Route {
                    destination: (*destination).into(),
                    kind: (*kind).into(),
                    device: after("dev").into(),
                    gateway: "".into(),
                });
            }
            [destination, "via" | "dev" | "proto", ..] if is_range(destination) => {
                let last = words.last().copied().unwrap_or_default();
                let neighbour = matches!(
                    last,
                    "REACHABLE"
                        | "STALE"
                        | "FAILED"
                        | "INCOMPLETE"
                        | "DELAY"
                        | "PROBE"
                        | "PERMANENT"
                        | "NOARP"
                );
                if neighbour && state.neighbours.len() < LINES {
                    state.neighbours.push(((*destination).into(), after("dev").into(), last.into()));
                } else if state.routes.len() < LINES {
                    state.routes.push(Route {
                        destination: (*destination).into(),
                        gateway: after("via").into(),
                        device: after("dev").into(),
                        kind: "".into(),
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_say_the_same() {
        let mut text = IpState::default();
        of_text(
            "default via 10.224.0.1 dev eth0 proto dhcp\n10.244.1.5 dev azv12ab proto static\nunreachable 10.9.0.0/16\n10.224.0.9 dev eth0 FAILED\n",
            &mut text,
        );
        let mut json = IpState::default();
        let cut = of_json(br#"[{"dst":"default","gateway":"10.224.0.1","dev":"eth0","protocol":"dhcp","flags":[]},{"dst":"10.244.1.5","dev":"azv12ab"},{"type":"unreachable","dst":"10.9.0.0/16"},{"dst":"10.224.0.9","dev":"eth0","state":["FAILED"]}]"#, &mut json);
        assert!(!cut);
        assert_eq!(text, json);
    }

    #[test]
    fn addresses_of_interfaces_are_read() {
        let mut state = IpState::default();
        of_text(
            "2: eth0: <BROADCAST,UP> mtu 1500 state UP group default\n    link/ether 00:22\n    inet 10.224.0.4/16 scope global eth0\n",
            &mut state,
        );
        assert_eq!(state.addresses, [("eth0".into(), "10.224.0.4/16".into(), "UP".into())]);
    }

    #[test]
    fn a_cut_array_gives_what_it_has() {
        let mut state = IpState::default();
        assert!(of_json(br#"[{"dst":"default","dev":"eth0"},{"dst":"10.2"#, &mut state));
        assert_eq!(state.routes.len(), 1);
    }
}
