//! Why a node has no address for its pods: one reason per node, decided once for all detectors.

use std::collections::{BTreeMap, BTreeSet};

use super::disagreements::mismatched;
use super::refusals::AddressRefusals;
use super::{Age, Ipam, MOST_PODS, NodeIpam, Runtime};
use crate::evidence::Confidence;
use crate::facts::Signal;

/// Why pods of a node get no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Addresses stay reserved after their pods are gone.
    Leak,
    /// The same, because pods come and go faster than they are cleaned up.
    Churn,
    /// All are held by live pods.
    Full,
    /// Azure has no address left in the pod subnet.
    SubnetFull,
    /// Azure CNS may not take addresses of the subnet.
    Unauthorised,
    /// Azure CNS waits for the addresses that it asked for.
    Waiting,
    /// Refused, and nothing says why.
    NotTold,
}

/// What became of one node's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhaustion {
    /// The node; empty when not told.
    pub node: String,
    /// Why.
    pub reason: Reason,
    /// How sure it is.
    pub sure: Confidence,
    /// Index of the books that show it, in the ledger.
    pub books: Option<usize>,
    /// The texts that say so.
    pub refused: AddressRefusals,
}

/// Orphans that pods in the making may explain, besides those that are known to wait.
const IN_THE_MAKING: usize = 5;
/// An orphan younger than this is one of a short life, in microseconds.
const SHORT_LIFE: i64 = 3_600_000_000;

/// Decides for all nodes: those that refuse pods, and those that leak without refusing any yet.
pub(super) fn decide(books: &[NodeIpam], refused: &BTreeMap<String, AddressRefusals>) -> Vec<Exhaustion> {
    let mut found = Vec::new();
    let none = AddressRefusals::default();
    let nameless = refused.get("").and_then(|nameless| Some((only_able(books, nameless)?, nameless)));
    let by_node = |node: &str| refused.get(node);
    for (at, book) in books.iter().enumerate() {
        let refused = by_node(&book.node)
            .or_else(|| nameless.filter(|(only, _)| *only == at).map(|(_, nameless)| nameless))
            .unwrap_or(&none);
        if let Some((reason, sure)) = leak(book, refused) {
            found.push(Exhaustion {
                node: book.node.clone(),
                reason,
                sure,
                books: Some(at),
                refused: refused.clone(),
            });
        }
    }
    // Of several books of one node that show the leak, the surest speak, then those that name owners.
    found.sort_by_key(|item| {
        let current = item.books.and_then(|at| books.get(at));
        let named = current.is_some_and(|ours| {
            ours.orphans.iter().any(|orphan| orphan.owner.is_some() || orphan.sandbox.is_some())
        });
        let network = current
            .map(|ours| (ours.ipam != Ipam::HostLocal || ours.network.is_empty(), ours.network.clone()));
        (item.node.clone(), std::cmp::Reverse((item.sure, named)), network)
    });
    found.dedup_by(|next, kept| {
        let network = |item: &Exhaustion| item.books.and_then(|at| books.get(at)).map(|book| (book.ipam, book.network.clone()));
        // Two networks of one node leak each on their own; two views of one network are one leak.
        let both_local = matches!((network(next), network(kept)), (Some((Ipam::HostLocal, a)), Some((Ipam::HostLocal, b))) if a != b);
        next.node == kept.node && !both_local
    });
    let leaking: BTreeSet<String> =
        found.iter().filter(|item| item.sure >= Confidence::Likely).map(|item| item.node.clone()).collect();
    let joined = nameless.is_some_and(|(only, _)| found.iter().any(|item| item.books == Some(only)));
    for (node, refused) in refused {
        let leaks = leaking.contains(node) || (node.is_empty() && joined);
        let (reason, sure, at) = reason(books, node, refused);
        // What Azure itself says comes beside a leak; a guess does not.
        let message = matches!(reason, Reason::SubnetFull | Reason::Unauthorised);
        if message || !leaks {
            found.push(Exhaustion { node: node.clone(), reason, sure, books: at, refused: refused.clone() });
        }
    }
    found
}

/// Refusals whose node is not told belong to the only books that can have refused.
fn only_able(books: &[NodeIpam], nameless: &AddressRefusals) -> Option<usize> {
    let able = |books: &NodeIpam| nameless.signals.keys().any(|signal| refuses(books.ipam, *signal));
    let mut all = books.iter().enumerate().filter(|(_, books)| able(books));
    let (only, _) = all.next()?;
    all.next().is_none().then_some(only)
}

/// Whether a text comes from the keeper of such books.
fn refuses(ipam: Ipam, signal: Signal) -> bool {
    match ipam {
        Ipam::HostLocal => signal == Signal::RangeSetFull,
        Ipam::AzureVnetIpam | Ipam::AzureVnet => signal == Signal::NoAvailableAddresses,
        Ipam::CnsPool | Ipam::CnsEndpoints | Ipam::NodeNetworkConfig => {
            matches!(signal, Signal::CnsWaiting | Signal::SubnetFull | Signal::CnsUnauthorised)
        }
        Ipam::Calico => signal == Signal::CalicoFull,
        Ipam::Whereabouts => signal == Signal::WhereaboutsFull,
        Ipam::Cilium => false,
    }
}

/// Whether these books show a leak, of which kind, and how surely.
fn leak(books: &NodeIpam, refused: &AddressRefusals) -> Option<(Reason, Confidence)> {
    if let Some(lease) = &books.lease {
        let allocated = lease.allocated?;
        if !books.pods_known || lease.foreign > 0 || lease.kind == "overlay" || lease.kind == "vnetblock" {
            return None;
        }
        // Asked for and not given: it waits.
        let waits = lease.requested.is_some_and(|requested| requested > allocated);
        let spare = allocated.saturating_sub(books.pods as u64);
        let stated = refused.count > 0
            && !refused.signals.contains_key(&Signal::SubnetFull)
            && !lease.status.contains("Error");
        return if stated && !waits && spare > 4 {
            Some((Reason::Leak, Confidence::Likely))
        } else if books.counted && spare > lease.batch / 2 {
            // Someone who counts by hand looks for a leak; so many spare ones are also normal.
            Some((Reason::Leak, Confidence::Possible))
        } else if spare > lease.normal_spare + lease.batch {
            Some((Reason::Leak, Confidence::Possible))
        } else {
            None
        };
    }
    let most = books.max_pods.unwrap_or(MOST_PODS);
    if books.counted && books.pods_known {
        let surplus = books.surplus();
        let beyond_churn = surplus >= 20 && surplus > books.pods as u64 + books.waiting as u64;
        return beyond_churn.then_some((Reason::Leak, Confidence::Likely));
    }
    if !books.pods_known && !books.runtime_known {
        // Without pods only one thing is sure: no node runs more pods than it may.
        return (books.sandboxes > most).then_some((Reason::Leak, Confidence::Likely));
    }
    let leaked: Vec<_> = books.leaked().collect();
    let gone = leaked.iter().filter(|orphan| orphan.runtime == Runtime::Gone).count();
    let ended = leaked.iter().filter(|orphan| orphan.runtime == Runtime::Ended).count();
    let old = leaked.iter().filter(|orphan| orphan.age == Age::Old).count();
    let undated = leaked.iter().filter(|orphan| orphan.age == Age::Unknown).count();
    let named = leaked.iter().all(|orphan| orphan.owner.is_some());
    let margin = books.waiting + IN_THE_MAKING;
    let plain = undated >= 20 && undated as u64 * 2 >= books.allocated() && undated > margin * 2;
    let mut sure = if gone >= 3 || ended >= 3 || old >= 5 {
        Confidence::Confirmed
    } else if gone + ended + old > 0 {
        Confidence::Likely
    } else if plain {
        Confidence::Confirmed
    } else if undated > margin && named {
        Confidence::Likely
    } else if undated > margin || leaked.len() > margin {
        Confidence::Possible
    } else {
        return None;
    };
    // The books and the pods must be of one time.
    if mismatched(books) {
        sure = Confidence::Possible;
    } else if books.newer_pods > 0 {
        sure = sure.min(Confidence::Likely);
    }
    let dated: Vec<i64> = leaked.iter().filter_map(|orphan| orphan.written).collect();
    let recent =
        dated.iter().filter(|at| books.newest.is_some_and(|newest| newest - **at <= SHORT_LIFE)).count();
    let churn = if gone + ended > 0 {
        ended > gone
    } else if !dated.is_empty() {
        recent * 5 >= dated.len() * 4 && books.short_lived > 0
    } else {
        books.short_lived >= 5 && books.short_lived * 2 >= leaked.len()
    };
    let guessed = churn && gone + ended == 0 && dated.is_empty();
    Some((
        if churn { Reason::Churn } else { Reason::Leak },
        if guessed { sure.min(Confidence::Likely) } else { sure },
    ))
}

/// Why a node refuses, when no leak explains it.
fn reason(all: &[NodeIpam], node: &str, refused: &AddressRefusals) -> (Reason, Confidence, Option<usize>) {
    let saw = |signal: Signal| refused.signals.contains_key(&signal);
    let able = |books: &NodeIpam| refused.signals.keys().any(|signal| refuses(books.ipam, *signal));
    let from = all.partition_point(|books| books.node.as_str() < node);
    let ours: Vec<(usize, &NodeIpam)> =
        all.iter().enumerate().skip(from).take_while(|(_, books)| books.node == node).collect();
    let lease = ours.iter().find_map(|(at, books)| Some((*at, *books, books.lease.as_ref()?)));
    let of_cns = saw(Signal::CnsWaiting) || saw(Signal::SubnetFull) || saw(Signal::CnsUnauthorised);
    let status = lease.map_or("", |(_, _, lease)| lease.status.as_str());
    if saw(Signal::SubnetFull) || (of_cns && status.starts_with("NCUpdateSubnetFull")) {
        return (Reason::SubnetFull, Confidence::Confirmed, lease.map(|(at, ..)| at));
    }
    if saw(Signal::CnsUnauthorised) || (of_cns && status.starts_with("NCUpdateUnauthorized")) {
        return (Reason::Unauthorised, Confidence::Confirmed, lease.map(|(at, ..)| at));
    }
    if of_cns {
        if let Some((at, books, lease)) = lease {
            let most = books.max_pods.unwrap_or(MOST_PODS);
            if books.pods_known && books.pods >= most {
                return (Reason::Full, Confidence::Confirmed, Some(at));
            }
            let waits = lease
                .requested
                .zip(lease.allocated)
                .is_some_and(|(requested, allocated)| requested > allocated);
            return (
                Reason::Waiting,
                if waits { Confidence::Confirmed } else { Confidence::Likely },
                Some(at),
            );
        }
        return (Reason::Waiting, Confidence::Likely, None);
    }
    for (at, books) in ours.iter().filter(|(_, books)| able(books)) {
        let counts = books.larger();
        let full = counts.free().is_some_and(|free| free <= 2)
            || books.sandboxes >= books.max_pods.unwrap_or(usize::MAX);
        let accounted =
            books.pods_known && counts.orphans + counts.elsewhere <= (IN_THE_MAKING + books.waiting) as u64;
        if full && accounted {
            return (Reason::Full, Confidence::Confirmed, Some(*at));
        }
        if full {
            return (Reason::NotTold, Confidence::Confirmed, Some(*at));
        }
    }
    (Reason::NotTold, Confidence::Confirmed, ours.first().map(|(at, _)| *at))
}
