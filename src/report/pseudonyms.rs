//! Pseudonyms for users, hosts and addresses: equal ones stand for equal ones, and addresses of one subnet stay in one
//! subnet. They depend on the names of the bundle alone, so the same bundle gives the same report.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use sha2::{Digest, Sha256};

use crate::cluster::Cluster;
use crate::cluster::azure::AZURE_DNS;
use crate::facts::Identity;

/// What is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Names of users and hosts.
    Names,
    /// Addresses.
    Addresses,
    /// Both.
    All,
}

/// The pseudonyms of a bundle.
pub struct Pseudonyms {
    names: bool,
    addresses: bool,
    /// Known names and what stands for them.
    known: Vec<(String, String)>,
    finder: Option<AhoCorasick>,
    /// By original: hosts and addresses that were met.
    met: BTreeMap<String, String>,
    /// Counts of hosts that were met in texts.
    hosts: usize,
    key: [u8; 32],
}

/// An address, alone or with the length of a range's prefix.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<v4>\b(?:\d{1,3}\.){3}\d{1,3})(?:/(?P<bits>\d{1,2}))?\b",
        r"|(?P<v6>\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7})(?:/(?P<bits6>\d{1,3}))?"
    ))
    .ok()
});

/// Names of hosts that belong to somebody: of clusters, registries, vaults, and addresses of mail.
static HOST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<mail>[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)",
        r"|(?P<own>[a-z0-9][a-z0-9-]*(?:\.[a-f0-9-]{36})?)(?P<rest>\.(?:hcp|privatelink|cx)?\.?[a-z0-9.-]*(?:azmk8s\.io|azk8s\.cn|aks\.containerservice\.azure\.us)",
        r"|\.azurecr\.(?:io|cn|us)|\.blob\.core\.windows\.net|\.vault\.azure\.net|\.database\.windows\.net|\.internal\.cloudapp\.net)\b"
    ))
    .ok()
});

impl Pseudonyms {
    /// For a cluster: its nodes, the users that ask, the clusters of Azure.
    pub fn new(cluster: &Cluster, replace: Replace) -> Self {
        let names = matches!(replace, Replace::Names | Replace::All);
        let mut nodes: Vec<String> =
            cluster.facts.objects.nodes.iter().map(|(key, _)| key.name.to_string()).collect();
        nodes.extend(
            cluster.facts.objects.pods.iter().map(|(_, seen)| seen.object.spec.node_name.to_string()),
        );
        nodes.extend(cluster.facts.signals.map.iter().map(|(key, _)| key.node.to_string()));
        nodes.extend(cluster.facts.attempts.map.iter().map(|(key, _)| key.node.to_string()));
        nodes.extend(cluster.ledger.books.iter().map(|books| books.node.clone()));
        let mut users: Vec<String> = Vec::new();
        for (key, _) in &cluster.denials {
            if let Identity::User(user) = &key.identity
                && !user.starts_with("system:")
            {
                users.push(user.to_string());
            }
        }
        let objects = &cluster.facts.objects;
        for (_, seen) in objects.role_bindings.iter().chain(objects.cluster_role_bindings.iter()) {
            let subjects = seen.object.subjects.iter().filter(|subject| &*subject.kind == "User");
            users.extend(
                subjects.map(|subject| subject.name.to_string()).filter(|name| !name.starts_with("system:")),
            );
        }
        let clusters: Vec<String> = cluster
            .azure
            .clusters
            .iter()
            .flat_map(|cluster| [cluster.name.clone(), cluster.group.clone()])
            .collect();
        let mut known = Vec::new();
        for (mut list, word) in [(nodes, "node"), (users, "user"), (clusters, "cluster")] {
            list.sort();
            list.dedup();
            // A short word would be found within others.
            list.retain(|name| name.len() > 3);
            known.extend(list.into_iter().zip(1..).map(|(name, number)| (name, format!("{word}-{number}"))));
        }
        let mut hash = Sha256::new();
        for (name, _) in &known {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        for (_, seen) in objects.pods.iter().take(1000) {
            hash.update(seen.object.status.pod_ip.as_bytes());
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(known.iter().map(|(name, _)| name.as_str()))
            .ok();
        Self {
            names,
            addresses: matches!(replace, Replace::Addresses | Replace::All),
            known,
            finder,
            met: BTreeMap::new(),
            hosts: 0,
            key: hash.finalize().into(),
        }
    }

    /// What is replaced, for people.
    pub fn kinds(&self) -> Vec<&'static str> {
        let names = self.names.then_some("names of users and hosts");
        names.into_iter().chain(self.addresses.then_some("addresses")).collect()
    }

    /// What stands for what: pseudonym, tab, original, a line each.
    pub fn map(&self) -> String {
        let known =
            self.known.iter().filter(|_| self.names).map(|(name, text)| (text.as_str(), name.as_str()));
        let met = self.met.iter().map(|(name, text)| (text.as_str(), name.as_str()));
        let mut lines: Vec<String> =
            known.chain(met).map(|(text, name)| format!("{text}\t{name}\n")).collect();
        lines.sort();
        lines.concat()
    }

    /// Puts pseudonyms into a text.
    pub(super) fn replace(&mut self, text: &mut String) {
        if self.names {
            *text = self.replace_hosts(text);
            *text = self.replace_known(text);
        }
        if self.addresses {
            *text = self.replace_addresses(text);
        }
    }

    /// Ids are made of names: the part after the detector becomes a number that only this bundle gives.
    pub(super) fn replace_id(&mut self, id: &mut String) {
        if let Some((detector, about)) = id.split_once('.') {
            let digest = self.digest(about.as_bytes());
            let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
            *id = format!("{detector}.{number:08x}");
        }
    }

    fn digest(&self, of: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.key).chain_update(of).finalize().into()
    }

    fn replace_known(&self, text: &str) -> String {
        let Some(finder) = &self.finder else { return text.to_owned() };
        let bytes = text.as_bytes();
        let word = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        let mut label = String::with_capacity(text.len());
        let mut at = 0;
        for found in finder.find_iter(text) {
            // `node-1` is no part of `node-10`.
            if word(found.start().checked_sub(1)) || word(Some(found.end())) {
                continue;
            }
            let Some((_, pseudonym)) = self.known.get(found.pattern().as_usize()) else { continue };
            label.push_str(text.get(at..found.start()).unwrap_or_default());
            label.push_str(pseudonym);
            at = found.end();
        }
        label.push_str(text.get(at..).unwrap_or_default());
        label
    }

    fn replace_hosts(&mut self, text: &str) -> String {
        let Some(pattern) = HOST.as_ref() else { return text.to_owned() };
        let mut label = String::with_capacity(text.len());
        let mut at = 0;
        for found in pattern.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let (original, rest) = match (found.name("mail"), found.name("own"), found.name("rest")) {
                (Some(mail), ..) => (mail.as_str(), ""),
                (_, Some(ours), Some(rest)) => (ours.as_str(), rest.as_str()),
                _ => continue,
            };
            let word = if rest.is_empty() { "user" } else { "host" };
            let pseudonym = if let Some(known) = self.met.get(original) {
                known.clone()
            } else {
                self.hosts += 1;
                let of_mail = if rest.is_empty() { "@example.invalid" } else { "" };
                let pseudonym = format!("{word}-{}{of_mail}", self.hosts);
                self.met.insert(original.to_owned(), pseudonym.clone());
                pseudonym
            };
            label.push_str(text.get(at..whole.start()).unwrap_or_default());
            label.push_str(&pseudonym);
            label.push_str(rest);
            at = whole.end();
        }
        label.push_str(text.get(at..).unwrap_or_default());
        label
    }

    fn replace_addresses(&mut self, text: &str) -> String {
        let Some(pattern) = ADDRESS.as_ref() else { return text.to_owned() };
        let mut label = String::with_capacity(text.len());
        let mut at = 0;
        for found in pattern.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let part = found.name("v4").or_else(|| found.name("v6")).map_or("", |part| part.as_str());
            let Ok(ip) = part.parse::<IpAddr>() else { continue };
            let bits = found
                .name("bits")
                .or_else(|| found.name("bits6"))
                .and_then(|bits| bits.as_str().parse().ok());
            let other = self.address(ip, bits);
            if other != ip {
                self.met.insert(ip.to_string(), other.to_string());
            }
            label.push_str(text.get(at..whole.start()).unwrap_or_default());
            label.push_str(&other.to_string());
            if let Some(bits) = bits {
                label.push_str(&format!("/{bits}"));
            }
            at = whole.end();
        }
        label.push_str(text.get(at..).unwrap_or_default());
        label
    }

    /// Another address, such that two that have their first bits in common have as many in common afterwards
    /// (the way of Crypto-PAn). What everybody knows stays: loopback, link-local, Azure's own DNS; and so does the part
    /// that says whether an address is private.
    fn address(&self, ip: IpAddr, prefix: Option<u32>) -> IpAddr {
        match ip {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                let common =
                    v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast();
                if common || v4.to_string() == AZURE_DNS || prefix == Some(0) {
                    return ip;
                }
                let kept = match (a, b) {
                    (172, 16..=31) => 12,
                    (192, 168) => 16,
                    (100, 64..=127) => 10,
                    _ => 8,
                };
                let bits = u128::from(u32::from(v4)) << 96;
                let mapped = self.mapped(bits, 32, kept, prefix.unwrap_or(32).min(32));
                IpAddr::V4(Ipv4Addr::from((mapped >> 96) as u32))
            }
            IpAddr::V6(v6) => {
                if v6.is_loopback() || v6.is_unspecified() {
                    return ip;
                }
                IpAddr::V6(Ipv6Addr::from(self.mapped(
                    u128::from(v6),
                    128,
                    8,
                    prefix.unwrap_or(128).min(128),
                )))
            }
        }
    }

    /// Turns each bit between `kept` and `prefix`, or not, by what stands before it.
    fn mapped(&self, bits: u128, width: u32, kept: u32, prefix: u32) -> u128 {
        let mut mapped = bits;
        for at in kept..prefix.min(width) {
            let before = if at == 0 { 0 } else { bits >> (128 - at) };
            let mut of = before.to_be_bytes().to_vec();
            of.push(at as u8);
            let turn = self.digest(&of).first().is_some_and(|byte| byte & 1 == 1);
            mapped ^= u128::from(turn) << (127 - at);
        }
        mapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;

    fn pseudonyms() -> Pseudonyms {
        Pseudonyms::new(&Cluster::freeze(Facts::default()), Replace::All)
    }

    fn common(a: IpAddr, b: IpAddr) -> u32 {
        match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
            _ => 0,
        }
    }

    #[test]
    fn addresses_of_a_subnet_stay_in_one() {
        let ours = pseudonyms();
        let all: Vec<IpAddr> = ["10.1.2.3", "10.1.2.200", "10.1.3.3", "10.9.0.1", "192.168.1.1", "20.1.2.3"]
            .iter()
            .map(|ip| ip.parse().unwrap())
            .collect();
        for a in &all {
            for b in &all {
                assert_eq!(common(*a, *b), common(ours.address(*a, None), ours.address(*b, None)), "{a} {b}");
            }
        }
        let range: ipnet::IpNet =
            format!("{}/24", ours.address("10.1.2.0".parse().unwrap(), Some(24))).parse().unwrap();
        assert!(range.contains(&ours.address("10.1.2.3".parse().unwrap(), None)));
        assert_eq!(range.addr(), range.network(), "a range stays one");
    }

    #[test]
    fn what_everybody_knows_stays() {
        let mut ours = pseudonyms();
        let mut text = "127.0.0.1:10090 and 168.63.129.16:53 and 0.0.0.0/0, version 1.33.2".to_owned();
        let before = text.clone();
        ours.replace(&mut text);
        assert_eq!(text, before);
    }

    #[test]
    fn names_of_hosts_and_people_are_replaced_everywhere_alike() {
        let mut ours = pseudonyms();
        let mut text = "ada@contoso.example asked prod-1.hcp.westeurope.azmk8s.io; prod-1.hcp.westeurope.azmk8s.io again, contoso.azurecr.io".to_owned();
        ours.replace(&mut text);
        assert_eq!(
            text,
            "user-1@example.invalid asked host-2.hcp.westeurope.azmk8s.io; host-2.hcp.westeurope.azmk8s.io again, host-3.azurecr.io"
        );
        assert!(ours.map().contains("user-1@example.invalid\tada@contoso.example"));
    }
}
