//! Pseudonyms for people, hosts, objects and addresses: equal ones stand for equal ones, and addresses of one subnet stay
//! in one subnet. They depend on the names of the bundle alone, so the same bundle gives the same report.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::{HashMap, HashSet};
use regex::Captures;
use sha2::{Digest, Sha256};

use super::names::{
    BundleNames, Kind, Replace, file_names, is_everybodys, is_public, is_public_registry, is_registry,
    is_somebodys_host, registry_of,
};
use super::vocabulary::{Rewriting, TextRole, Vocabulary};
use crate::bytes::pattern::pattern;
use crate::cluster::Cluster;
use crate::cluster::azure::AZURE_DNS;

/// The pseudonyms of a bundle.
pub struct Pseudonyms {
    replace: Replace,
    /// Names of objects, in lower case: those that a report speaks of get a pseudonym.
    candidates: HashMap<String, Kind>,
    /// Names of people.
    people: BTreeSet<String>,
    /// Original and pseudonym, once the report was looked through.
    pairs: Vec<(String, String)>,
    vocabulary: Vocabulary,
    /// People whose names are ordinary words: replaced where a text is that name and no more.
    whole: BTreeMap<String, String>,
    /// Addresses of the bundle, which may stand as numbers.
    known: HashSet<u32>,
    key: [u8; 32],
}

// An image of a registry, whose path and tag are words of whoever pushed it.
pattern!(
    IMAGE,
    r"\b(?P<host>[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+)(?::\d{2,5})?/(?P<path>[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*)(?::(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?"
);
// What a registry is asked for.
pattern!(
    REPOSITORY,
    r"://(?P<host>[a-z0-9.-]+)(?::\d{2,5})?/v2/(?P<path>[a-z0-9._/-]+?)/(?:manifests|blobs|tags)/"
);
// What a text calls an image: its registry may have no domain, or be left out, as Docker's is.
pattern!(
    CALLED_IMAGE,
    r#"(?i:images?(?:id|name)?)(?P<sign>[\\"'`]*[ \t]*[:=][ \t]*[\\"'`\[]*|[ \t]+[\\"'`]*)(?P<name>[a-z0-9][a-z0-9.-]*(?::\d{2,5})?(?:/[a-z0-9][a-z0-9._-]*)+)(?::(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@sha)?"#
);
pattern!(BARE_GUID, r"(?i)\b[0-9a-f]{32}\b");
pattern!(
    TAINT,
    r"\btaints? \{?(?P<key>[a-z0-9][a-z0-9./_-]*)(?:: ?|=)(?P<value>[A-Za-z0-9][A-Za-z0-9._-]*)|\b(?P<key2>[a-z0-9][a-z0-9./_-]*)=(?P<value2>[A-Za-z0-9._-]+):(?:NoSchedule|NoExecute|PreferNoSchedule)\b"
);
// An address as one number, or its parts in other than decimals.
pattern!(
    NUMBER,
    r"(?i)\b(?P<dotted>0(?:x[0-9a-f]{1,2}|[0-7]{2,3})(?:\.(?:0x[0-9a-f]{1,2}|0?[0-7]{1,3})){3})\b|\b(?P<hex>0x[0-9a-f]{8})\b|\b(?P<octal>0[0-7]{9,11})\b|\b(?P<number>[1-9]\d{7,9})\b"
);

// An address, alone or with the length of a range's prefix; its parts by dots, `%2E` or dashes.
pattern!(
    ADDRESS,
    r"(?P<v4>\b(?:\d{1,3}(?:\.|-|%2[eE])){3}\d{1,3})(?:/(?P<bits>\d{1,2}))?\b"
    r"|(?P<v6>\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7})(?:/(?P<bits6>\d{1,3}))?"
);

// Names that belong to somebody, by their form.
pattern!(MAIL, r"[\p{L}\p{N}._%+-]+(?:@|%40|\\+u0040)[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+");
pattern!(
    AZURE_HOST,
    r"(?i)(?P<label>[a-z0-9][a-z0-9-]*(?:\.[a-f0-9-]{36})?)(?P<rest>\.(?:hcp|privatelink|cx)?\.?[a-z0-9.-]*(?:azmk8s\.io|azk8s\.cn|aks\.containerservice\.azure\.us)"
    r"|\.azurecr\.(?:io|cn|us)|\.(?:blob|file|queue|table|dfs|web)\.core\.windows\.net|\.vault\.azure\.net|\.internal\.cloudapp\.net"
    r"|\.(?:database|servicebus|redis\.cache|search|azurewebsites)\.windows\.net|\.(?:postgres|mysql)\.database\.azure\.com"
    r"|\.(?:documents|openai|cognitiveservices|cloudapp)\.azure\.com|\.azurewebsites\.net|\.azure-api\.net)\b"
);
pattern!(
    DOMAIN,
    r"(?i)\b(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+(?:com|net|org|edu|gov|local|lan|corp|internal|intranet|home|example|invalid|test|cloud|de|fr|uk|eu|ch|at|nl|be|it|es|pl|se|no|dk|fi|ie|us|ca|cn|jp|in|br|au|ru|io|dev|app|ai|co|info|biz|tech)\b"
);
pattern!(
    GUID,
    r"(?i)\b[0-9a-f]{8}(?:-|%2d)[0-9a-f]{4}(?:-|%2d)[0-9a-f]{4}(?:-|%2d)[0-9a-f]{4}(?:-|%2d)[0-9a-f]{12}\b"
);
pattern!(
    NODE,
    r"(?i)\b(?:aks-[a-z0-9]+-\d{8}-(?:vmss_?[0-9a-z]+|\d+)|ip-\d+-\d+-\d+-\d+"
    r#"|system:node:(?P<node>[a-z0-9._-]+)|node(?:name)?[=:] ?"(?P<quoted>[a-z0-9][a-z0-9._-]*)")"#
);
pattern!(
    JOURNAL_HOST,
    r"(?m)^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? (?P<node>[A-Za-z0-9][A-Za-z0-9._-]*) [A-Za-z0-9_./-]+(?:\[\d+\])?:"
);
pattern!(
    RESOURCE,
    r"(?i)/(?:resourcegroups|providers/[a-z.]+/[a-z]+|subnets|virtualnetworklinks|agentpools|virtualmachines)/(?P<name>[^/\s\x22'?,;)\]}\\]+)"
);
pattern!(HOME, r#"(?i)(?:/home/|/users/|\\users\\+)(?P<user>[^/\\\s"\x27,;:]+)"#);
pattern!(DOMAIN_USER, r"\b[A-Z][A-Z0-9-]{2,}\\+(?P<user>[A-Za-z0-9._-]{3,})\b");
pattern!(SYSLOG_HOST, r"(?m)^<\d+>1 \d{4}-\S+ (?P<node>[A-Za-z0-9][A-Za-z0-9._-]*) ");
pattern!(
    CONTACTED,
    r"(?:https?://|tcp://|lookup |resolve host:? |--docker-server=)(?P<host>[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)"
);
pattern!(
    ACCOUNT,
    r"system:serviceaccount:(?P<ns>[a-z0-9-]+):(?P<name>[a-z0-9.-]+)|\b(?P<name2>[a-z0-9-]+)\.(?P<ns2>[a-z0-9-]+)\.svc\b"
    r"|\b(?:ServiceAccount|RoleBinding|Role|Pod|Service|Deployment|DaemonSet|StatefulSet|Ingress) (?P<ns3>[a-z0-9-]+)/(?P<name3>[a-z0-9.-]+)"
);
pattern!(
    AZ_OPTION,
    r#"\baz [a-z -]*?(?:-g|--resource-group|-n|--name|--cluster-name|--subscription)[ =]"?(?P<name>[A-Za-z0-9][A-Za-z0-9 ._-]*?)(?:"|\s-|\s*$)"#
);
pattern!(MAC, r"(?i)\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b|\b(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}\b");

/// The address that a number stands for, and whether it can be nothing else.
fn address_of_number(found: &Captures<'_>) -> Option<(Ipv4Addr, bool)> {
    let value = |text: &str| match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => u32::from_str_radix(text.get(2..)?, 16).ok(),
        [b'0', _, ..] => u32::from_str_radix(text, 8).ok(),
        _ => text.parse().ok(),
    };
    let whole = found.get(0)?.as_str();
    if found.name("dotted").is_some() {
        let parts: Option<Vec<u8>> =
            whole.split('.').map(|part| value(part).and_then(|part| u8::try_from(part).ok())).collect();
        let octets: [u8; 4] = parts?.try_into().ok()?;
        return Some((Ipv4Addr::from(octets), true));
    }
    let ip = Ipv4Addr::from(value(whole)?);
    // Flags, marks and codes of Windows are numbers of eight digits as well.
    let [first, second, ..] = ip.octets();
    Some((ip, found.name("hex").is_some() && (1..224).contains(&first) && (first, second) != (0x80, 7)))
}

/// The images that a text speaks of, but those that are everybody's: registry and path, and these with the tag.
fn images_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |host: &str, path: &str, tag: &str| {
        let name = if host.is_empty() { path.to_owned() } else { format!("{host}/{path}") };
        if !tag.is_empty() {
            found.push(format!("{name}:{tag}"));
        }
        found.push(name);
    };
    for image in IMAGE.captures_iter(text).chain(REPOSITORY.captures_iter(text)) {
        let part = |name| image.name(name).map_or("", |part| part.as_str());
        let (host, path, tag) = (part("host"), part("path"), part("tag"));
        let before = image.get(0).and_then(|whole| text.get(..whole.start())).unwrap_or_default();
        // `https://host/path` is no image.
        let is_image = is_registry(host) || !tag.is_empty() && DOMAIN.is_match(host);
        if is_image && !before.ends_with('/') && !is_public_registry(host, path) {
            add(host, path, tag);
        }
    }
    for image in CALLED_IMAGE.captures_iter(text) {
        let part = |name| image.name(name).map_or("", |part| part.as_str());
        let ((registry, path), tag) = (registry_of(part("name")), part("tag"));
        let host = registry.split(':').next().unwrap_or_default();
        // `image pull/push` is none.
        let is_image = !tag.is_empty() || !part("digest").is_empty() || !part("sign").trim().is_empty();
        if is_image && !is_public_registry(host, path) {
            add(registry, path, tag);
        }
    }
    found
}

/// What is met and has no name: it may stand as a number elsewhere.
const ADDRESS_KIND: Kind = "address";

/// Addresses of pods and nodes.
fn known_addresses(cluster: &Cluster) -> HashSet<u32> {
    let objects = &cluster.facts.objects;
    let of_pods = objects.pods.iter().map(|(_, seen)| &*seen.object.status.pod_ip);
    let of_nodes = objects.nodes.iter().flat_map(|(_, seen)| seen.object.status.addresses.iter());
    let all = of_pods.chain(of_nodes.map(|address| &*address.address));
    all.filter_map(|ip| ip.parse::<Ipv4Addr>().ok()).map(u32::from).collect()
}

impl Pseudonyms {
    /// For a cluster: its nodes, the users that ask, the clusters of Azure, and what else it has a name for.
    pub fn new(cluster: &Cluster, replace: Replace) -> Self {
        let BundleNames { candidates, people } = BundleNames::of(cluster, replace);
        let mut hash = Sha256::new();
        let mut names: Vec<&String> = candidates.keys().collect();
        names.sort();
        for name in names {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        for (_, seen) in cluster.facts.objects.pods.iter().take(1000) {
            hash.update(seen.object.status.pod_ip.as_bytes());
        }
        Self {
            replace,
            candidates,
            people,
            pairs: Vec::new(),
            vocabulary: Vocabulary::default(),
            whole: BTreeMap::new(),
            known: known_addresses(cluster),
            key: hash.finalize().into(),
        }
    }

    /// What is replaced, for people.
    pub fn kinds(&self) -> Vec<String> {
        let kinds: &[&str] = match self.replace {
            Replace::Names => &["names of users, nodes and hosts"],
            Replace::Addresses => &["addresses"],
            Replace::All => {
                &["names of users, nodes, hosts, namespaces, workloads and Azure resources", "addresses"]
            }
        };
        kinds.iter().map(|kind| (*kind).to_owned()).collect()
    }

    /// The names that a text speaks of.
    pub(super) fn names_in(&self, text: &str) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        if self.replace != Replace::Names {
            let addresses = ADDRESS.captures_iter(text).filter_map(|found| found.name("v4"));
            found.extend(addresses.map(|address| (ADDRESS_KIND, address.as_str().to_owned())));
        }
        if self.replace == Replace::Addresses {
            return found;
        }
        let mut add = |kind: Kind, name: &str| found.push((kind, name.to_owned()));
        MAIL.find_iter(text).for_each(|mail| add("user", mail.as_str()));
        for host in AZURE_HOST.captures_iter(text) {
            add("azure-host", host.get(0).map_or("", |host| host.as_str()));
        }
        for domain in DOMAIN.find_iter(text).map(|domain| domain.as_str()) {
            if !is_public(domain) && !domain.starts_with('_') {
                add("host", domain);
            }
        }
        GUID.find_iter(text).for_each(|guid| add("guid", guid.as_str()));
        for node in NODE.captures_iter(text) {
            let name = node.name("node").or(node.name("quoted")).or(node.get(0));
            add("node", name.map_or("", |node| node.as_str()));
        }
        for (pattern, group, kind) in [
            (&*JOURNAL_HOST, "node", "node"),
            (&*SYSLOG_HOST, "node", "node"),
            (&*AZ_OPTION, "name", "resource"),
            (&*HOME, "user", "user"),
            (&*DOMAIN_USER, "user", "user"),
            (&*RESOURCE, "name", "resource"),
        ] {
            for captures in pattern.captures_iter(text) {
                add(kind, captures.name(group).map_or("", |part| part.as_str()));
            }
        }
        MAC.find_iter(text).for_each(|mac| add("mac", mac.as_str()));
        BARE_GUID.find_iter(text).for_each(|guid| add("guid", guid.as_str()));
        for host in
            CONTACTED.captures_iter(text).filter_map(|found| found.name("host")).map(|host| host.as_str())
        {
            if is_somebodys_host(host) {
                add("host", host);
            }
        }
        if self.replace == Replace::All {
            for found in TAINT.captures_iter(text) {
                let part = |names: [&str; 2]| {
                    names.iter().find_map(|name| found.name(name)).map_or("", |part| part.as_str())
                };
                if !is_public(part(["key", "key2"]).split('/').next().unwrap_or_default()) {
                    add("label", part(["value", "value2"]));
                }
            }
            for image in images_in(text) {
                add("image", &image);
            }
            for found in ACCOUNT.captures_iter(text) {
                let part = |names: [&str; 3]| {
                    names.iter().find_map(|name| found.name(name)).map(|part| part.as_str())
                };
                let namespace = part(["ns", "ns2", "ns3"]).unwrap_or_default();
                if !namespace.starts_with("kube-") && namespace != "default" {
                    add("namespace", namespace);
                    add("workload", part(["name", "name2", "name3"]).unwrap_or_default());
                }
            }
        }
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.' | '_'));
        for word in words.map(|word| word.trim_matches(['.', '-', '_'])) {
            let parts = word.split(['.', '_']).filter(|part| part.len() < word.len());
            for part in std::iter::once(word).chain(parts) {
                if let Some(kind) = self.candidates.get(&part.to_ascii_lowercase()) {
                    add(kind, part);
                }
            }
        }
        found
    }

    /// The names that paths speak of.
    pub(super) fn names_of_paths(&self, paths: &[String]) -> Vec<(Kind, String)> {
        if self.replace != Replace::All {
            return Vec::new();
        }
        let names = paths.iter().flat_map(|path| file_names(path, &self.candidates));
        names.map(|name| ("file", name.to_owned())).collect()
    }

    /// Gives each name its pseudonym.
    pub(super) fn learn(
        &mut self,
        met: impl IntoIterator<Item = (Kind, String)>,
        secrets: &BTreeSet<String>,
    ) {
        // Case does not tell names apart: Azure writes its ids in either.
        let mut names: BTreeMap<String, Kind> = BTreeMap::new();
        let mut ordinary = BTreeSet::new();
        let people =
            self.people.iter().filter(|name| !secrets.contains(*name)).map(|name| ("user", name.clone()));
        for (kind, name) in people.collect::<Vec<_>>().into_iter().chain(met) {
            if kind == ADDRESS_KIND {
                self.known.extend(name.parse::<Ipv4Addr>().ok().map(u32::from));
                continue;
            }
            // A person whose name is a word of every sentence is told by what stands around it.
            if kind == "user" && self.people.contains(&name) && (name.len() < 2 || is_everybodys(&name)) {
                ordinary.insert(name);
            } else if name.len() > 1 && !is_everybodys(&name) {
                names.entry(name.to_ascii_lowercase()).or_insert(kind);
            }
        }
        let mut numbers: BTreeMap<Kind, u32> = BTreeMap::new();
        let mut images = Vec::new();
        for (name, kind) in names {
            if kind == "image" {
                images.push(name);
                continue;
            }
            let number = numbers.entry(kind).or_insert(0);
            *number += 1;
            let pseudonym = match kind {
                "guid" if !name.contains('-') && !name.contains('%') => {
                    format!("000000000000400080{number:014}")
                }
                "guid" => format!("00000000-0000-4000-8000-{number:012}"),
                "mac" => format!("02:00:00:00:{:02x}:{:02x}", *number >> 8 & 255, *number & 255),
                "user" if name.contains('@') => format!("user-{number}@example.invalid"),
                "azure-host" => {
                    let captures = AZURE_HOST.captures(&name);
                    let rest = captures
                        .as_ref()
                        .and_then(|found| found.name("rest"))
                        .map_or("", |rest| rest.as_str());
                    if let Some(label) = captures
                        .as_ref()
                        .and_then(|found| found.name("label"))
                        .filter(|label| label.len() > 5)
                    {
                        self.pairs.push((label.as_str().to_owned(), format!("host-{number}")));
                    }
                    format!("host-{number}{rest}")
                }
                "host" => format!("host-{number}.example.invalid"),
                _ => format!("{kind}-{number}"),
            };
            self.pairs.push((name, pseudonym));
        }
        self.learn_images(&images);
        let first = numbers.get("user").copied().unwrap_or_default() + 1;
        for (name, number) in ordinary.into_iter().zip(first..) {
            for (before, after) in [("user ", ""), ("User \"", "\""), ("--as=", ""), ("--as='", "'")] {
                self.pairs.push((format!("{before}{name}{after}"), format!("{before}user-{number}{after}")));
            }
            self.whole.insert(name, format!("user-{number}"));
        }
        // Names that were given whole come before parts of them.
        self.pairs.sort_by_key(|(name, pseudonym)| {
            (std::cmp::Reverse(name.len()), name.clone(), pseudonym.clone())
        });
        self.pairs.dedup_by(|later, first| later.0 == first.0);
        self.vocabulary = Vocabulary::new(self.pairs.iter().cloned());
    }

    /// Images keep the pseudonym of their registry. Those of one repository, in order of their tags, share a number; the
    /// registry's own errors speak of repositories alone.
    fn learn_images(&mut self, images: &[String]) {
        let mut number = 0;
        let mut tags = 0;
        let mut last = "";
        for image in images {
            let (registry, path) = registry_of(image);
            let (path, tag) = path.split_once(':').unwrap_or((path, ""));
            let repository = image.strip_suffix(tag).unwrap_or(image).trim_end_matches(':');
            if repository != last {
                number += 1;
                last = repository;
            }
            let mut pseudonym = format!("image-{number}");
            if !tag.is_empty() {
                tags += 1;
                pseudonym.push_str(&format!(":tag-{tags}"));
            }
            if !registry.is_empty() {
                let (host, port) = registry.split_once(':').unwrap_or((registry, ""));
                let known = self.pairs.iter().find(|(name, _)| name == host);
                let host = known.map_or(host, |(_, pseudonym)| pseudonym.as_str());
                let colon = if port.is_empty() { "" } else { ":" };
                self.pairs.push((image.clone(), format!("{host}{colon}{port}/{pseudonym}")));
            }
            // `shop/cart` is a pod of a namespace as well.
            let namespace = path.split('/').next().unwrap_or_default();
            let may_be_pod = tag.is_empty() && self.candidates.get(namespace) == Some(&"namespace");
            if path.contains('/') && !may_be_pod {
                let alone = if tag.is_empty() { path.to_owned() } else { format!("{path}:{tag}") };
                self.pairs.push((alone, pseudonym));
            }
        }
    }

    /// What stands for what: pseudonym, tab, original, a line each.
    pub(super) fn map(&self, addresses: &BTreeMap<String, String>) -> String {
        let names = self.pairs.iter().map(|(name, pseudonym)| (pseudonym, name));
        let addresses = addresses.iter().map(|(address, pseudonym)| (pseudonym, address));
        let mut lines: Vec<String> =
            names.chain(addresses).map(|(pseudonym, name)| format!("{pseudonym}\t{name}\n")).collect();
        lines.sort();
        lines.concat()
    }

    /// Puts pseudonyms into a text; tells which addresses were replaced by what.
    pub(super) fn replace(&self, text: &mut String, role: TextRole, replaced: &mut Vec<(String, String)>) {
        if role == TextRole::Id {
            self.replace_id(text);
            return;
        }
        if let Some(pseudonym) = self.whole.get(text.as_str()) {
            text.clone_from(pseudonym);
            return;
        }
        self.vocabulary.replace(text, role);
        if self.replace != Replace::Names {
            self.replace_addresses(text, role, replaced);
        }
    }

    /// Ids are made of names: the part after the detector becomes a number that only this bundle gives.
    fn replace_id(&self, id: &mut String) {
        if let Some((detector, about)) = id.split_once('.') {
            let digest = self.digest(about.as_bytes());
            let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
            *id = format!("{detector}.{number:08x}");
        }
    }

    fn digest(&self, of: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.key).chain_update(of).finalize().into()
    }

    fn replace_addresses(&self, text: &mut String, role: TextRole, replaced: &mut Vec<(String, String)>) {
        let mut rewriting = Rewriting::of(text, role);
        for found in ADDRESS.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let part = found.name("v4").or_else(|| found.name("v6")).map_or("", |part| part.as_str());
            let separator = ["%2E", "%2e", "-"].into_iter().find(|separator| part.contains(separator));
            let plain = separator.map_or_else(|| part.to_owned(), |separator| part.replace(separator, "."));
            let Ok(ip) = plain.parse::<IpAddr>() else { continue };
            let bits = found
                .name("bits")
                .or_else(|| found.name("bits6"))
                .and_then(|bits| bits.as_str().parse().ok());
            let other = self.address(ip, bits);
            if other == ip {
                continue;
            }
            replaced.push((ip.to_string(), other.to_string()));
            let mut pseudonym = other.to_string();
            if let Some(separator) = separator {
                pseudonym = pseudonym.replace('.', separator);
            }
            if let Some(bits) = bits {
                pseudonym.push_str(&format!("/{bits}"));
            }
            rewriting.put(whole.range(), &pseudonym);
        }
        if let Some(rewritten) = rewriting.finish() {
            *text = rewritten;
        }
        let mut rewriting = Rewriting::of(text, role);
        for found in NUMBER.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let Some((ip, certain)) = address_of_number(&found) else { continue };
            let IpAddr::V4(other) = self.address(IpAddr::V4(ip), None) else { continue };
            if other == ip || !certain && !self.known.contains(&u32::from(ip)) {
                continue;
            }
            replaced.push((ip.to_string(), other.to_string()));
            let bits = u32::from(other);
            let pseudonym = match whole.as_str() {
                dotted if dotted.contains('.') => other.to_string(),
                hex if hex.starts_with("0x") => format!("0x{bits:08x}"),
                hex if hex.starts_with("0X") => format!("0X{bits:08X}"),
                octal if octal.starts_with('0') => format!("0{bits:o}"),
                _ => bits.to_string(),
            };
            rewriting.put(whole.range(), &pseudonym);
        }
        if let Some(rewritten) = rewriting.finish() {
            *text = rewritten;
        }
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

    fn replaced(text: &str) -> String {
        let mut ours = pseudonyms();
        let met = ours.names_in(text);
        ours.learn(met, &BTreeSet::new());
        let mut text = text.to_owned();
        ours.replace(&mut text, TextRole::Text, &mut Vec::new());
        text
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
        for text in [
            "127.0.0.1:10090 and 168.63.129.16:53 and 0.0.0.0/0, version 1.33.2",
            "mcr.microsoft.com, registry.k8s.io, kube-dns.kube-system.svc.cluster.local, metrics.k8s.io/v1beta1",
            "mcr.microsoft.com/oss/kubernetes/pause:3.6, registry.k8s.io/coredns/coredns:v1.11.1, quay.io/cilium/cilium:v1.15",
            "flags 0x00004000, code 0x80070005 at 1764000000, docker.io/library/nginx:1.27",
            "image \"bitnami/redis:7.2\", Image nginx:1.27, \"image\":\"grafana/grafana:11.1\", image pull/push failed, imagePullPolicy: Always",
            "image quay.io/prometheus/node-exporter:v1.8, image: ghcr.io/fluxcd/source-controller:v1.3, images/list of team/x",
            "ranges 0.0.0.0/0, deployments.apps/scale, https://github.com/kubernetes/kubernetes, rbac.authorization.k8s.io/v1",
            "pods.json, kube-apiserver.log, /var/log/syslog, 2026-11-23T20:52:03Z",
        ] {
            assert_eq!(replaced(text), text);
        }
    }

    #[test]
    fn what_a_tester_found_stays_hidden() {
        for (text, name) in [
            ("lookup zorkapi.intra.zorkcorp on 10.0.0.10:53: no such host", "zork"),
            ("<30>1 2026-11-23T10:02:03Z zorkhost kubelet[1234]: x", "zorkhost"),
            ("E1123 kubelet.go:1] \"Failed\" node=\"zorkw1\"", "zorkw1"),
            ("binding names ServiceAccount shpo/zorkcart", "shpo"),
            ("Post \"https://validate.zork.svc:443\"", "zork"),
            ("User system:serviceaccount:team-a:zork cannot list", "team-a"),
            ("z\u{f6}rk@contoso.com", "z\u{f6}"),
            ("mac 00-11-22-AA-BB-CC and 0011.22aa.bbcc", "22"),
            ("contosocache.redis.cache.windows.net", "contoso"),
            ("az aks show -g zork-rg2 -n zorkaks2 --subscription \"Zork Production\"", "zork-rg2"),
            ("C:\\Users\\zorkmann\\.kube", "zorkmann"),
            ("Failed to pull zork.azurecr.io/zorkcorp/kart:v1", "zorkcorp/kart"),
            ("image \"zork.azurecr.io/zorkcorp/kart:rel-77\" and kart", "rel-77"),
            ("HEAD https://zork.azurecr.io/v2/zorkcorp/kart/manifests/1.4: 404", "zorkcorp/kart"),
            ("ghcr.io/zorkcorp/kart@sha256:7031", "zorkcorp"),
            ("quay.io/zorkcorp/kart:v1", "zorkcorp"),
            ("Failed to pull image \"zorkcorp/kart:v1\": not found", "zorkcorp"),
            ("Failed to pull image \"zorkcorp/kart:v1\": not found", "kart"),
            ("Back-off pulling image \\\"zorkcorp/kart@sha256:7031\\\"", "kart"),
            ("Image zorkcorp/kart:v1: not found in the registry, denied for zorkcorp/kart", "zorkcorp"),
            ("\"image\":\"registry:5000/zorkcorp/kart\"", "zorkcorp"),
            ("image: localhost:5000/zorkcorp/kart:v7", "v7"),
            ("image \"zork.contoso.com:5000/zorkcorp/kart:v7\"", "zorkcorp"),
            ("public.ecr.aws/zorkcorp/kart:v1", "zorkcorp"),
            ("untolerated taint {dedicated: zorkpay}", "zorkpay"),
            ("node has taint dedicated=zorkpay:NoSchedule", "zorkpay"),
            ("connect to 0xcb00714d failed", "cb00714d"),
            ("connect to 203.0.113.77 is 3405803853", "3405803853"),
            ("connect to 203.0.113.77 is 031300070515", "031300070515"),
            ("connect to 0xCB.0x00.0x71.0x4D failed", "CB.0x00"),
            ("connect to 0313.0000.0161.0115 failed", "0161"),
            ("tenant 0b1f64711bf04ddaaec3cb9272f09590", "0b1f6471"),
            ("tenant 0b1f6471-1bf0-4dda-aec3-cb9272f09590 is 0B1F64711BF04DDAAEC3CB9272F09590", "0B1F6471"),
            ("pod web-203-0-113-77 on aks-pool7-31337123-vmss_26", "203-0-113"),
            ("AUTHORIZATION: OBJECT ID '0B1F6471-1BF0-4DDA-AEC3-CB9272F09590'", "0B1F6471"),
            ("grace.hopper\\u0040contoso-zork.com and grace.hopper%40contoso-zork.com", "hopper"),
            ("Nov 23 10:02:03 zorknode kubelet[1]: x, by system:node:zorknode", "zorknode"),
            ("ghopper-laptop.corp.zork-secret.com: no such host", "ghopper"),
        ] {
            assert!(!replaced(text).contains(name), "{}", replaced(text));
        }
    }

    #[test]
    fn names_of_hosts_and_people_are_replaced_everywhere_alike() {
        assert_eq!(
            replaced(
                "ada@contoso.example asked prod-1.hcp.westeurope.azmk8s.io; prod-1.hcp.westeurope.azmk8s.io again, contoso.azurecr.io"
            ),
            "user-1@example.invalid asked host-2.hcp.westeurope.azmk8s.io; host-2.hcp.westeurope.azmk8s.io again, host-1.azurecr.io"
        );
        for (text, name) in [
            ("Nov 23 10:02:03 lab-node-7 kubelet[1]: failed", "lab-node-7"),
            ("User \"system:node:worker-9\" cannot", "worker-9"),
            ("lookup laptop.corp.fabrikam-secret.com: no such host", "fabrikam"),
            ("open /home/ghopper/.kube/config", "ghopper"),
            ("CONTOSO\\ghopper signed in", "ghopper"),
            (
                "resourceId=/SUBSCRIPTIONS/0B1F6471-1BF0-4DDA-AEC3-CB9272F09590/RESOURCEGROUPS/RG-SECRET/PROVIDERS",
                "RG-SECRET",
            ),
            (
                "resourceId=/SUBSCRIPTIONS/0B1F6471-1BF0-4DDA-AEC3-CB9272F09590/RESOURCEGROUPS/RG-SECRET/PROVIDERS",
                "0B1F6471",
            ),
            ("aks-pool7-31337123-vmss_26.log", "31337123"),
            ("mac 00:0d:3a:11:22:33", "3a:11"),
            ("by ada%40contoso.example", "ada"),
            ("203%2E0%2E113%2E77 and ip-203-0-113-77.ec2.internal", "113"),
        ] {
            assert!(!replaced(text).contains(name), "{}", replaced(text));
        }
    }
}
