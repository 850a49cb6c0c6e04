//! What Windows tells of names and connections: `Test-NetConnection`, `Resolve-DnsName`, `ipconfig`; `nslookup` is a lookup like any
//! other, and read with those (<https://learn.microsoft.com/powershell/module/nettcpip/test-netconnection>,
//! <https://learn.microsoft.com/powershell/module/dnsclient/resolve-dnsname>).

use super::shared::line;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::excerpt;
use crate::facts::text::lossy;
use crate::facts::{
    API_SERVER_DOMAINS, AttemptKey, AttemptSeen, Facts, Failure, HostName, Place, Probe, ResolvedName,
    ResolverFile, Speaker, fingerprint,
};

pub(super) struct WindowsNetwork;
pub(super) const FORMAT: WindowsNetwork = WindowsNetwork;

impl InputFormat for WindowsNetwork {
    fn name(&self) -> &'static str {
        "windows-network"
    }

    fn about(&self) -> &'static str {
        "Windows: Test-NetConnection, Resolve-DnsName, ipconfig"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = lossy(head.bytes.get(..head.bytes.len().min(4096)).unwrap_or(head.bytes));
        let first: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(4).collect();
        let any = |test: &dyn Fn(&str) -> bool| first.iter().any(|line| test(line));
        let tested = any(&|line| line.starts_with("ComputerName ") && line.contains(" : "))
            && (text.contains("TcpTestSucceeded") || text.contains("PingSucceeded"));
        let config = any(&|line| line == "Windows IP Configuration");
        let resolved = any(&|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), ["Name", "Type", "TTL", "Section", ..])
        });
        if tested || config || resolved { 86 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        line::scan(piece, facts);
        let text = lossy(piece.bytes);
        let mut reader = Reader { piece, facts, records: 0 };
        reader.tests(&text);
        reader.configuration(&text);
        reader.names(&text);
        reader.records.max(1)
    }
}

struct Reader<'a, 'b> {
    piece: &'a Piece<'b>,
    facts: &'a mut Facts,
    records: u64,
}

/// `RemotePort             : 443`, `IPv4 Address. . . . . . . . . . . : 10.224.0.5(Preferred)`.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(" :").or_else(|| line.split_once(". :"))?;
    Some((name.trim_end_matches([' ', '.']).trim(), value.trim()))
}

impl Reader<'_, '_> {
    fn place(&self, line: u64) -> Place {
        Place { source: self.piece.source.clone(), line: self.piece.first_line + line }
    }

    /// Each test begins with the name of what was to be reached.
    fn tests(&mut self, text: &str) {
        let mut current: Option<(Probe, u64)> = None;
        for (line, number) in text.lines().zip(0..) {
            let Some((name, value)) = pair(line) else { continue };
            match (name, &mut current) {
                ("ComputerName", open) => {
                    let probe = Probe {
                        node: self.piece.node.map(Into::into),
                        target: value.into(),
                        in_cluster: self.piece.in_cluster || self.piece.node.is_some(),
                        ..Probe::default()
                    };
                    *open = Some((probe, number));
                }
                ("RemotePort", Some((probe, _))) => probe.port = value.parse().unwrap_or(0),
                ("TcpTestSucceeded", Some(_)) => {
                    let Some((mut probe, _)) = current.take() else { continue };
                    probe.reached = value.eq_ignore_ascii_case("true");
                    probe.message = excerpt(line.trim().as_bytes());
                    self.records += 1;
                    if !probe.reached {
                        self.failed(&probe, number, line);
                    }
                    let place = self.place(number);
                    if let Some(slot) = self.facts.nodes.probes.slot(place) {
                        *slot = probe;
                    }
                }
                _ => {}
            }
        }
    }

    /// A connection that somebody tried from a machine of their own to the API server's name: any other is a test of something else.
    fn failed(&mut self, probe: &Probe, number: u64, line: &str) {
        let on_own_machine = self.piece.node.is_none() && !self.piece.in_cluster;
        if !on_own_machine || !API_SERVER_DOMAINS.iter().any(|name| probe.target.ends_with(name)) {
            return;
        }
        let key = AttemptKey {
            failure: Failure::Timeout,
            host: probe.target.clone(),
            port: probe.port,
            resolver: "".into(),
            speaker: Speaker::Person,
            of_api: true,
            node: "".into(),
            pod: Default::default(),
            source: self.piece.source.clone(),
        };
        let line_number = self.piece.first_line + number;
        let print = fingerprint((self.piece.source, line_number));
        self.facts.attempted(AttemptSeen {
            key,
            print,
            stated: 1,
            times: [None, None],
            line: line_number,
            text: line.as_bytes(),
        });
    }

    /// The DNS servers of the adapters; more of them stand on lines of their own.
    fn configuration(&mut self, text: &str) {
        let mut file = ResolverFile { node: self.piece.node.map(Into::into), ..ResolverFile::default() };
        let mut first = None;
        let mut open = false;
        for (line, number) in text.lines().zip(0..) {
            let value = match pair(line) {
                Some(("DNS Servers", value)) => {
                    open = true;
                    value
                }
                Some(("Host Name", value)) if !value.is_empty() => {
                    file.node = file.node.or_else(|| Some(value.to_lowercase().into()));
                    // Others' machines have such a listing, too.
                    let place = self.place(number);
                    if value.to_lowercase().starts_with("aks")
                        && let Some(slot) = self.facts.nodes.host_names.slot(place)
                    {
                        *slot = HostName { name: value.to_lowercase().into(), of_folder: true };
                    }
                    continue;
                }
                Some(("Connection-specific DNS Suffix" | "DNS Suffix Search List", value)) => {
                    open = false;
                    if !value.is_empty() && !file.search.iter().any(|known| **known == *value) {
                        file.search.push(value.into());
                    }
                    continue;
                }
                Some(_) => {
                    open = false;
                    continue;
                }
                None if open => line.trim(),
                None => continue,
            };
            if value.parse::<std::net::IpAddr>().is_ok() {
                first = first.or(Some(number));
                if !file.nameservers.iter().any(|known| **known == *value) {
                    file.nameservers.push(value.into());
                }
            } else {
                open = false;
            }
        }
        let Some(number) = first else { return };
        self.records += 1;
        let place = self.place(number);
        if let Some(slot) = self.facts.nodes.resolvers.slot(place) {
            *slot = file;
        }
    }

    /// `cart.example   A   30   Answer   10.0.0.4`, below `Name Type TTL Section IPAddress`.
    fn names(&mut self, text: &str) {
        let mut within = false;
        let mut question = String::new();
        for (line, number) in text.lines().zip(0..) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["Name", "Type", "TTL", "Section", ..] => within = true,
                [name, "A" | "AAAA", ttl, "Answer", address] if within && ttl.parse::<u32>().is_ok() => {
                    let name = name.trim_end_matches('.').to_lowercase();
                    if question.is_empty() {
                        question.clone_from(&name);
                    }
                    self.records += 1;
                    let place = self.place(number);
                    if let Some(slot) = self.facts.nodes.answers.slot(place) {
                        *slot = ResolvedName {
                            question: question.as_str().into(),
                            name: name.into(),
                            address: address.parse().ok(),
                            in_cluster: self.piece.in_cluster,
                            message: excerpt(line.trim().as_bytes()),
                            ..ResolvedName::default()
                        };
                    }
                }
                [name, "CNAME", _, "Answer", ..] if within && question.is_empty() => {
                    question = name.trim_end_matches('.').to_lowercase();
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_cut_at_the_colon_behind_blanks_or_dots() {
        assert_eq!(pair("TcpTestSucceeded       : False"), Some(("TcpTestSucceeded", "False")));
        assert_eq!(
            pair("   IPv4 Address. . . . . . . . . . . : 10.224.0.5(Preferred)"),
            Some(("IPv4 Address", "10.224.0.5(Preferred)"))
        );
        assert_eq!(
            pair("   DNS Servers . . . . . . . . . . . : 168.63.129.16"),
            Some(("DNS Servers", "168.63.129.16"))
        );
        assert_eq!(pair("Ethernet adapter vEthernet (Ethernet 2):"), None);
    }
}
