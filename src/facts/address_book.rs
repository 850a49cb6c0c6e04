//! Addresses in the records of a CNI or its IPAM: one book per file, one entry per address.

use std::net::IpAddr;

use super::node::Place;
use super::tally::BoundedMap;
use super::time::When;

/// Whose records they are (Azure/azure-container-networking `cns/`, `cni/`; containernetworking/plugins `plugins/ipam/host-local`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Records {
    /// `azure-vnet.json`: endpoints that the plugin made.
    AzureVnet,
    /// `azure-vnet-ipam.json`: the pool of a node.
    AzureVnetIpam,
    /// `azure-endpoints.json`: endpoints that Azure CNS made.
    CnsEndpoints,
    /// `/debug/ipaddresses` of Azure CNS: its pool.
    CnsPool,
}

/// What the records say of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holding {
    /// A pod has it.
    #[default]
    Assigned,
    /// Nobody has it.
    Available,
    /// On its way in or out of the pool.
    Moving,
}

/// One address of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub ip: IpAddr,
    /// In use or not.
    pub holding: Holding,
    /// Namespace of its pod, empty when not told.
    pub namespace: Box<str>,
    /// Its pod, empty when not told.
    pub pod: Box<str>,
    /// The sandbox or endpoint that took it, empty when not told.
    pub sandbox: Box<str>,
    /// Since when.
    pub since: Option<When>,
}

/// The records of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressBook {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// Whose they are.
    pub records: Option<Records>,
    /// Ranges of the pools.
    pub ranges: Vec<Box<str>>,
    /// The addresses, in the order of the file; 65,536 at most.
    pub entries: Vec<Held>,
    /// Entries whose address could not be understood, or beyond the most that are kept.
    pub left_out: u64,
}

/// Most addresses kept of one book.
const ENTRIES: usize = 65_536;

impl AddressBook {
    /// Adds an entry; what is no address is counted.
    pub fn add(&mut self, ip: &str, entry: impl FnOnce(IpAddr) -> Held) {
        let ip = ip.split('/').next().unwrap_or_default().parse();
        match ip {
            Ok(ip) if self.entries.len() < ENTRIES => self.entries.push(entry(ip)),
            _ => self.left_out += 1,
        }
    }
}

/// All books, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressBooks {
    /// By place, and by number for several in one file.
    pub books: BoundedMap<(Place, u32), AddressBook, 50_000>,
}

impl AddressBooks {
    /// Adds all of another. A file is read once, so of two with one place the first is kept.
    pub fn merge(&mut self, other: Self) {
        self.books.merge(other.books, |kept, more| {
            if kept.records.is_none() {
                *kept = more;
            }
        });
    }
}
