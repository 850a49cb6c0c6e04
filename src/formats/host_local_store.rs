//! A lease file of the host-local IPAM plugin (kubenet, and kubenet with Calico).
//!
//! `/var/lib/cni/networks/<network>/<address>` holds `<containerID>\r\n<ifname>`, or the id alone from
//! old plugins (containernetworking/plugins, `plugins/ipam/host-local/backend/disk`). The address is
//! the file's name and nowhere else; on Windows `:` is written `_`. `lock` and `last_reserved_ip.<n>`
//! beside them are no leases.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Entry, Framer, Whole};
use crate::facts::{Facts, Lease, Place, StoreKey, time::When};

pub(super) struct HostLocalStore;
pub(super) const FORMAT: HostLocalStore = HostLocalStore;

impl InputFormat for HostLocalStore {
    fn name(&self) -> &'static str {
        "host-local-store"
    }

    fn about(&self) -> &'static str {
        "host-local IPAM lease: /var/lib/cni/networks/<network>/<address>"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let lease = sandbox(head.bytes).is_some() && address(head.entry).is_some();
        let last = head.entry.name().starts_with("last_reserved_ip.") && ip(head.bytes).is_some();
        if lease || last { 99 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let (Some(sandbox), Some(ip)) = (sandbox(piece.bytes), address(piece.entry)) else { return 0 };
        let directory = piece.entry.path.strip_suffix(piece.entry.name()).unwrap_or_default();
        let directory = directory.trim_end_matches('/');
        let network = directory.rsplit(['/', '!']).next().unwrap_or_default();
        let key = StoreKey { place: Arc::from(directory), network: network.into() };
        let lease = Lease {
            sandbox: Some(sandbox.into()),
            written: piece
                .entry
                .modified
                .filter(|at| (1..1 << 40).contains(at))
                .map(|at| When::At(at * 1_000_000)),
            place: Place { source: piece.source.clone(), line: 1 },
        };
        facts.leases.stores.entry(key).or_default().add(ip, lease);
        1
    }
}

/// The container id of a lease: 64 hexadecimal digits, then at most an interface name.
fn sandbox(content: &[u8]) -> Option<&str> {
    let content = std::str::from_utf8(content.get(..256).unwrap_or(content)).ok()?;
    let mut words = content.split_ascii_whitespace();
    let id = words.next()?;
    let hexadecimal = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let interface = words.next().unwrap_or("eth0");
    (hexadecimal && interface.len() <= 15 && words.next().is_none()).then_some(id)
}

/// The address that names the file.
fn address(entry: &Entry) -> Option<IpAddr> {
    let name = entry.name();
    name.parse().ok().or_else(|| name.replace('_', ":").parse().ok())
}

fn ip(content: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(content).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_an_id_and_an_interface_or_an_old_id_alone() {
        let id = "deb45605c5535a740e524c50dae474d57f249ad5cccac83a127913f83de6f0e0";
        assert_eq!(sandbox(format!("{id}\r\neth0").as_bytes()), Some(id));
        assert_eq!(sandbox(id.as_bytes()), Some(id));
        assert_eq!(sandbox(b"10.244.0.15"), None);
        assert_eq!(sandbox(format!("{id} is a digest").as_bytes()), None);
    }

    #[test]
    fn a_name_written_on_windows_is_still_an_address() {
        let entry = Entry { path: Arc::from("networks/kubenet/fd12_3456__5"), modified: None };
        assert_eq!(address(&entry), "fd12:3456::5".parse().ok());
    }
}
