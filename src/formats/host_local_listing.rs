//! Listings of a host-local store: `ls -la`, `ls`, `ls -R`, `--full-time`, `find`, `find -ls`, by GNU
//! and BusyBox, in a file of their own or within a terminal transcript.
//!
//! A listing is one when addresses stand as file names beside `lock` or `last_reserved_ip.<n>`, below a
//! `cni/networks` path, or after a command that names one. A mere list of addresses is not.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::bytes::pattern::pattern;
use crate::facts::text::lossy;
use crate::facts::time::{self, When};
use crate::facts::{Facts, Lease, LeaseStore, Place, StoreKey};

pattern!(bytes COLOUR, r"\x1b\[[0-9;]*[A-Za-z]");

pub(super) struct HostLocalListing;
pub(super) const FORMAT: HostLocalListing = HostLocalListing;

/// Score of a text that is nothing but a listing.
const PURE: u8 = 85;

// A mode string: `-rw-------`, with `SELinux`'s `.` or an ACL's `+`.
pattern!(bytes MODE, r"(?:^|\s)[-dlps](?:[r-][w-][xsStT-]){3}[.+@]?\s");

impl InputFormat for HostLocalListing {
    fn name(&self) -> &'static str {
        "host-local-listing"
    }

    fn about(&self) -> &'static str {
        "listing of a host-local IPAM directory (ls, ls -la, ls -R, find)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if !head.bytes.first().is_some_and(|byte| !matches!(byte, b'{' | b'[')) {
            return 0;
        }
        // With anything else in it, it is a transcript.
        if score(head.bytes, None) >= PURE { PURE } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut directory = piece.command.and_then(store_path).map(ToOwned::to_owned);
        let mut read = 0;
        let mut section = piece.first_line;
        // The store that the lines are of, until a path or a section names another.
        let mut store: Option<StoreKey> = None;
        for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
            let Some(line) = ListingLine::parse(line) else { continue };
            match line {
                ListingLine::Section(path) => {
                    directory = Some(path);
                    section = number;
                    store = None;
                }
                ListingLine::Marker | ListingLine::Itself => {}
                ListingLine::Leases { found, written } => {
                    for (ip, path) in found {
                        if path.is_some() || store.is_none() {
                            let of = path.or_else(|| directory.clone()).unwrap_or_default();
                            let network = of.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                            let network = if network == "networks" { "" } else { network };
                            let place = format!("{} (listing at line {section})", piece.source);
                            store =
                                Some(StoreKey { place: Arc::from(place.as_str()), network: network.into() });
                        }
                        let Some(key) = &store else { continue };
                        if !facts.leases.stores.contains_key(key) {
                            let new =
                                LeaseStore { node: piece.node.map(Into::into), ..LeaseStore::default() };
                            facts.leases.stores.insert(key.clone(), new);
                        }
                        let Some(leases) = facts.leases.stores.get_mut(key) else { continue };
                        if leases.node.is_none() {
                            leases.node = piece.node.map(Into::into);
                        }
                        let place = Place { source: piece.source.clone(), line: number };
                        leases.add(ip, Lease { sandbox: None, written, place });
                        read += 1;
                    }
                }
            }
        }
        read
    }
}

/// How sure it is that a text is, or holds, a listing; the command that made it may help.
pub(super) fn score(text: &[u8], command: Option<&str>) -> u8 {
    let (mut leases, mut markers, mut sections, mut others) = (0, 0, 0, 0);
    let mut in_store = command.is_some_and(|command| command.contains("cni/networks"));
    for line in text.split(|byte| *byte == b'\n').take(2000) {
        match ListingLine::parse(line) {
            Some(ListingLine::Leases { found, .. }) => {
                leases += found.len();
                in_store |= found
                    .iter()
                    .any(|(_, path)| path.as_deref().is_some_and(|path| path.contains("networks/")));
            }
            Some(ListingLine::Marker) => markers += 1,
            Some(ListingLine::Itself) => {}
            Some(ListingLine::Section(path)) => {
                sections += 1;
                in_store |= path.contains("cni/networks");
            }
            None if line.trim_ascii().is_empty() || line.starts_with(b"total ") => {}
            None => others += 1,
        }
    }
    if leases < 2 || (markers == 0 && !in_store) {
        return 0;
    }
    // `ls -R` names the networks below their folder.
    if others <= sections { PURE } else { PURE / 2 }
}

/// The store's path in a command: `ls -la /var/lib/cni/networks/kubenet`.
fn store_path(command: &str) -> Option<&str> {
    command
        .split(['"', '\'', ' '])
        .find(|word| word.contains("cni/networks/") && !word.contains('$'))
        .map(|word| word.trim_end_matches(['*', '/']))
}

/// A lease as a listing shows it: address, and directory when the name is a path.
type ListedLease = (IpAddr, Option<String>);

enum ListingLine {
    Section(String),
    Leases {
        found: Vec<ListedLease>,
        written: Option<When>,
    },
    /// `lock` or `last_reserved_ip.0`.
    Marker,
    /// `.` and `..`.
    Itself,
}

impl ListingLine {
    fn parse(line: &[u8]) -> Option<Self> {
        let text = without_colour(line);
        let text = text.trim();
        if text.is_empty() || text.len() > 4096 {
            return None;
        }
        if let Some(path) = text.strip_suffix(':')
            && path.contains('/')
            && !path.contains(' ')
        {
            return Some(Self::Section(path.trim_matches(['\'', '"']).to_owned()));
        }
        let detailed = MODE.is_match(text.as_bytes());
        let words: Vec<&str> = text.split_whitespace().collect();
        if detailed {
            let name = words.last()?.trim_matches(['\'', '"']);
            return match lease(name) {
                Some((ip, path)) => Some(Self::Leases { found: vec![(ip, path)], written: written(&words) }),
                None if matches!(name, "." | "..") => Some(Self::Itself),
                None => is_marker(name).then_some(Self::Marker),
            };
        }
        // Names alone, one or several a line: all of them must be addresses or markers.
        let mut found = Vec::new();
        for word in &words {
            let name = word.trim_matches(['\'', '"']);
            if let Some((ip, path)) = lease(name) {
                found.push((ip, path));
            } else if !is_marker(name) {
                return None;
            }
        }
        Some(if found.is_empty() { Self::Marker } else { Self::Leases { found, written: None } })
    }
}

fn is_marker(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name == "lock" || name.starts_with("last_reserved_ip.")
}

/// An address, alone or at the end of a path.
fn lease(name: &str) -> Option<(IpAddr, Option<String>)> {
    let (directory, file) = name.rsplit_once('/').map_or((None, name), |(dir, file)| (Some(dir), file));
    let ip = file.parse().ok().or_else(|| file.replace('_', ":").parse().ok())?;
    Some((ip, directory.filter(|dir| *dir != ".").map(ToOwned::to_owned)))
}

/// `Nov 23 20:01`, `Nov 23 2025` or `2026-11-23 21:57:32.6 +0000`, which stand before the name.
fn written(words: &[&str]) -> Option<When> {
    let before = words.get(..words.len().checked_sub(1)?)?;
    if let [.., date, clock, zone] = before
        && date.len() == 10
        && clock.contains(':')
    {
        let text = format!("{date}T{clock}{zone}");
        return time::rfc3339(text.as_bytes()).map(|(when, _)| when);
    }
    let [.., month, day, clock] = before else { return None };
    let month = time::month(month.as_bytes())?;
    let day = day.parse().ok()?;
    match clock.split_once(':') {
        Some((hours, minutes)) => {
            let seconds =
                i64::from(hours.parse::<u8>().ok()?) * 3600 + i64::from(minutes.parse::<u8>().ok()?) * 60;
            time::civil_yearless(month, day, seconds)
        }
        None => time::civil(clock.parse().ok()?, month, day, 0, 0),
    }
}

fn without_colour(line: &[u8]) -> Cow<'_, str> {
    if line.contains(&0x1b) {
        Cow::Owned(lossy(&COLOUR.replace_all(line, &b""[..])).into_owned())
    } else {
        lossy(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(text: &str) -> Vec<(IpAddr, Option<When>)> {
        text.lines()
            .filter_map(|line| match ListingLine::parse(line.as_bytes()) {
                Some(ListingLine::Leases { found, written }) => {
                    Some(found.into_iter().map(move |(ip, ..)| (ip, written)))
                }
                _ => None,
            })
            .flatten()
            .collect()
    }

    #[test]
    fn gnu_and_busybox_listings_are_read() {
        let gnu = "total 976\ndrwxr-xr-x 2 root root 12288 Nov 23 21:57 .\n-rw------- 1 root root   70 Nov 23 20:01 10.244.0.15\n-rw------- 1 root root 0 Nov 23 20:01 lock";
        let busybox = "-rw-------    1 root     root            70 Nov 23 20:01 10.244.0.15";
        assert_eq!(leases(gnu).len(), 1);
        assert_eq!(leases(gnu), leases(busybox));
        assert!(leases(gnu)[0].1.is_some());
    }

    #[test]
    fn a_list_of_addresses_without_company_is_no_store() {
        assert_eq!(score(b"10.0.0.1\n10.0.0.2\n10.0.0.3\n", None), 0);
        assert!(score(b"10.0.0.1\n10.0.0.2\nlock\n", None) > 0);
        assert!(score(b"10.0.0.1\n10.0.0.2\n", Some("ls /var/lib/cni/networks/kubenet")) > 0);
    }

    #[test]
    fn iso_times_and_years_are_read() {
        let full = "-rw------- 1 root root    70 2026-11-23 21:57:29.453431683 +0000 10.244.5.10";
        assert!(matches!(leases(full)[0].1, Some(When::At(_))));
        let old = "-rw------- 1 root root    70 Nov 23  2025 10.244.5.10";
        assert!(matches!(leases(old)[0].1, Some(When::At(_))));
    }

    #[test]
    fn find_gives_paths() {
        let line = " 10496794      4 -rw-------   1 root     root           70 Nov 23 21:57 /var/lib/cni/networks/kubenet/10.244.5.207";
        let Some(ListingLine::Leases { found, .. }) = ListingLine::parse(line.as_bytes()) else {
            panic!("no lease")
        };
        assert_eq!(found[0].1.as_deref(), Some("/var/lib/cni/networks/kubenet"));
    }

    #[test]
    fn ipv6_leases_are_addresses_too() {
        assert_eq!(leases("fd12:3456:789a:8::2\nfd12:3456:789a:8::3\nlock").len(), 2);
    }
}
