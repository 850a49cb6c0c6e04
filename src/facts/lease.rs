//! Addresses that an IPAM store holds: one lease per address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::node::Place;
use super::time::When;

/// One reserved address of a host-local store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The sandbox that took it, 64 hexadecimal digits; unknown from a listing of names.
    pub sandbox: Option<Box<str>>,
    /// When the file was written, if the listing or the archive says.
    pub written: Option<When>,
    /// Where it was seen.
    pub place: Place,
}

impl Lease {
    /// The smallest is kept: the fuller, then the first.
    fn rank(&self) -> (bool, bool, &Place) {
        (self.sandbox.is_none(), self.written.is_none(), &self.place)
    }
}

/// What names a store: the place of the directory or of its listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreKey {
    /// Path of the directory within the bundle, or entry and line of the listing.
    pub place: Arc<str>,
    /// The CNI network: `kubenet`, `k8s-pod-network`, …; empty when not told.
    pub network: Box<str>,
}

/// A host-local store as one directory or one listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseStore {
    /// The node, when the surrounding text names it.
    pub node: Option<Box<str>>,
    /// By address.
    pub leases: BTreeMap<IpAddr, Lease>,
}

impl LeaseStore {
    /// Adds a lease; of two that name one address the fuller, then the first, is kept.
    pub fn add(&mut self, ip: IpAddr, lease: Lease) {
        match self.leases.get_mut(&ip) {
            Some(kept) if kept.rank() <= lease.rank() => {}
            Some(kept) => *kept = lease,
            None => {
                self.leases.insert(ip, lease);
            }
        }
    }
}

/// All stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseStores {
    /// By place.
    pub stores: BTreeMap<StoreKey, LeaseStore>,
}

impl LeaseStores {
    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        for (key, store) in other.stores {
            let kept = self.stores.entry(key).or_default();
            kept.node = match (kept.node.take(), store.node) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            for (ip, lease) in store.leases {
                kept.add(ip, lease);
            }
        }
    }
}
