//! The ledger recovers the truth: a random node (live, terminating, pending, ended, deleted and restarted
//! pods, pods of another node, two families) is written down as each source really writes it, and read
//! back.

use kubetriage::cluster::ipam::Ipam;
use proptest::prelude::*;

use crate::models::ipam::{self, FATES, Fate, SOURCES, Slot, ledger};

fn slots() -> impl Strategy<Value = Vec<Slot>> {
    prop::collection::vec(0..FATES.len(), 1..40).prop_map(|fates| {
        fates.into_iter().enumerate().map(|(number, fate)| Slot { number, fate: FATES[fate] }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_source_gives_the_true_owner_of_every_address(slots in slots(), source in 0..SOURCES.len(), dual in any::<bool>()) {
        ipam::check(slots, source, dual);
    }

    #[test]
    fn a_healthy_node_leaks_nothing_whatever_the_source(count in 3_usize..60, source in 0..SOURCES.len()) {
        let slots: Vec<Slot> = (0..count).map(|number| Slot { number, fate: Fate::Running }).collect();
        let ledger = ledger(&slots, source, false);
        prop_assert!(ledger.exhaustions.is_empty(), "{:?}", ledger.exhaustions);
        prop_assert!(ledger.disagreements.is_empty(), "{:?}", ledger.disagreements);
        let known: u64 = ledger.books.iter().map(|books| books.v4.known).sum();
        // Tunnels and Cilium's router are told as what they are.
        prop_assert_eq!(known, u64::from(matches!(SOURCES[source].0, Ipam::Calico | Ipam::Cilium)));
    }

    #[test]
    fn a_node_full_of_orphans_leaks_whatever_the_source(count in 40_usize..100, source in 0..SOURCES.len()) {
        let slots: Vec<Slot> = (0..count).map(|number| Slot { number, fate: if number < 6 { Fate::Running } else { Fate::Deleted } }).collect();
        let ledger = ledger(&slots, source, false);
        prop_assert_eq!(ledger.exhaustions.len(), 1);
    }
}
