//! Tables that lead the addresses of services to those of pods, where no packet filter does: `ipvsadm -L -n` (ipvsadm(8)), and
//! Cilium's `service list` and `bpf lb list` (cilium/cilium `cilium-dbg/cmd/service_list.go`, `bpf_lb_list.go`).
//!
//! A row with a service's address is followed by rows of where it leads: `-> 10.244.1.9:8080 Masq 1 0 0` of IPVS,
//! `2 => 10.244.1.5:53/UDP (active)` of Cilium, whose first stands in the row itself. `bpf lb list` has both addresses in each row.

use std::net::IpAddr;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::{Facts, PacketFilter, Place};

pub(super) struct VirtualServers;
pub(super) const FORMAT: VirtualServers = VirtualServers;

/// Most pairs of a service's address and a pod's.
const PAIRS: usize = 50_000;

/// First words of the tables, blanks folded, and whose they are.
const HEADINGS: [(&str, &str); 5] = [
    ("IP Virtual Server version", "ipvsadm"),
    ("Prot LocalAddress:Port Scheduler", "ipvsadm"),
    ("ID Frontend Service Type Backend", "cilium service list"),
    ("ID Frontend Backend", "cilium service list"),
    ("SERVICE ADDRESS BACKEND ADDRESS", "cilium bpf lb list"),
];

impl InputFormat for VirtualServers {
    fn name(&self) -> &'static str {
        "virtual-servers"
    }

    fn about(&self) -> &'static str {
        "addresses of services and where they lead: ipvsadm -L -n, cilium service list, cilium bpf lb list"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if rows(head.bytes).next().and_then(tool).is_some() { 90 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut lines = rows(piece.bytes);
        let Some(tool) = lines.next().and_then(tool) else { return 0 };
        let mut found = PacketFilter {
            node: piece.node.map(Into::into),
            tool: tool.into(),
            of_kube_proxy: !is_part(piece),
            ..PacketFilter::default()
        };
        let mut service = None;
        for line in lines.filter_map(|line| std::str::from_utf8(line).ok()) {
            found.rules += u64::from(row(line, &mut service, &mut found));
        }
        let rules = found.rules;
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        if let Some(slot) = facts.nodes.packet_filters.slot(place) {
            *slot = found;
        }
        rules
    }
}

/// The lines from the heading on: `kubectl exec` and `sudo` may say something before it.
fn rows(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.skip_while(|line| line.starts_with(b"Defaulted container ") || line.starts_with(b"[sudo] "))
}

/// Whether a listing is a part of the table: what is not in it may be in the rest.
pub(super) fn is_part(piece: &Piece<'_>) -> bool {
    let cut = piece.command.is_some_and(|command| {
        command.contains('|')
            || command.contains(" -t 1")
            || command.contains(" -u 1")
            || command.contains(" -t [")
    });
    let mut lines = piece.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    cut || lines.any(|line| line == b"--" || line.starts_with(b"--More--"))
}

fn tool(line: &[u8]) -> Option<&'static str> {
    let line = std::str::from_utf8(line).ok()?;
    let words = line.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
    HEADINGS.iter().find(|(heading, _)| words.starts_with(heading)).map(|(_, tool)| *tool)
}

/// Reads a row; whether it was one. `service` is the address that rows without one belong to.
fn row(line: &str, service: &mut Option<IpAddr>, found: &mut PacketFilter) -> bool {
    let mut addresses = line.split_whitespace().filter_map(address);
    // Its own traffic that a node keeps for itself leads elsewhere by intent.
    if line.contains("LocalRedirect") {
        *service = None;
        return true;
    }
    let of_service = !line.trim_start().starts_with("->") && !goes_on(line);
    if of_service {
        // Services of a mark in IPVS (`FWM 1 rr`) have no address.
        *service = addresses.next();
        found.addresses.extend(*service);
    }
    let Some(service) = *service else { return of_service };
    // Cilium's rows of a service itself lead to no address: `0.0.0.0:0 (1) (0) [ClusterIP, non-routable]`.
    let leads = addresses.filter(|address| !address.is_unspecified());
    found.address_leads_to.extend(leads.map(|to| (service, to)).take(PAIRS));
    true
}

/// `2 => 10.244.1.5:53 (active)` below the row of its service.
fn goes_on(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next().is_some_and(|word| word.parse::<u32>().is_ok()) && words.next() == Some("=>")
}

/// The address in `10.0.0.1:443`, `[fd00::1]:443`, `10.0.0.1:53/UDP`.
fn address(word: &str) -> Option<IpAddr> {
    let (address, port) = word.rsplit_once(':')?;
    let port = port.split('/').next()?;
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    address.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let (mut found, mut service) = (PacketFilter::default(), None);
        for line in text.lines().skip(1) {
            row(line, &mut service, &mut found);
        }
        found.address_leads_to.iter().map(|(from, to)| format!("{from} {to}")).collect()
    }

    #[test]
    fn every_table_says_where_an_address_leads() {
        let pairs = ["10.96.0.10 10.244.0.88", "10.96.0.10 10.244.1.5"];
        let ipvs = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\nUDP  10.96.0.10:53 rr\n  -> 10.244.0.88:53               Masq    1      0          7\n  -> 10.244.1.5:53                Masq    1      0          7\n";
        assert_eq!(read(ipvs), pairs);
        let list = "ID   Frontend            Service Type   Backend\n1    10.96.0.10:53/UDP   ClusterIP      1 => 10.244.0.88:53/UDP (active)\n                                        2 => 10.244.1.5:53/UDP (active)\n2    10.96.9.9:80        ClusterIP\n";
        assert_eq!(read(list), pairs);
        let bpf = "SERVICE ADDRESS     BACKEND ADDRESS (REVNAT_ID) (SLOT)\n10.96.0.10:53 (0)   0.0.0.0:0 (4) (0) [ClusterIP, non-routable]\n10.96.0.10:53 (1)   10.244.0.88:53 (4) (1)\n10.96.0.10:53 (2)   10.244.1.5:53 (4) (2)\n";
        assert_eq!(read(bpf), pairs);
    }
}
