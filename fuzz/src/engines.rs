//! What decides who may do what, which connection passes, and whose an address is, against models that are as plain as
//! they can be.

use arbitrary::{Result, Unstructured};

#[allow(dead_code, clippy::pedantic, reason = "what random clusters of the tests need as well")]
#[path = "../../tests/models/mod.rs"]
mod models;

use models::policy::{self, Side};
use models::{ipam, rbac};

/// Bytes as a cluster and questions about it.
pub fn engines(data: &[u8]) {
    let mut more = Unstructured::new(data);
    let _ = match more.int_in_range(0..=2) {
        Ok(0) => authorizer(&mut more),
        Ok(1) => policies(&mut more),
        _ => ledger(&mut more),
    };
}

fn below(more: &mut Unstructured<'_>, count: usize) -> Result<usize> {
    more.int_in_range(0..=count - 1)
}

/// So many of something.
fn several<T>(
    more: &mut Unstructured<'_>,
    counts: std::ops::RangeInclusive<usize>,
    mut make: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    (0..more.int_in_range(counts)?).map(|_| make(more)).collect()
}

fn authorizer(more: &mut Unstructured<'_>) -> Result<()> {
    let rule = |more: &mut Unstructured<'_>| {
        let verbs = several(more, 1..=2, |more| below(more, rbac::VERBS.len()))?;
        let groups = several(more, 1..=2, |more| below(more, rbac::GROUPS.len()))?;
        let words = several(more, 1..=2, |more| below(more, rbac::WORDS.len()))?;
        Ok(rbac::rule(&verbs, &groups, &words, more.arbitrary()?))
    };
    let roles = several(more, 1..=4, |more| Ok((below(more, 3)?, several(more, 0..=2, rule)?)))?;
    let bindings = several(more, 0..=4, |more| {
        let subjects =
            |more: &mut Unstructured<'_>| several(more, 1..=2, |more| below(more, 6).map(rbac::subject));
        Ok((below(more, 3)?, below(more, 5)?, more.ratio(1, 8)?, subjects(more)?))
    })?;
    let asked = several(more, 1..=12, |more| {
        let (identity, verb, thing) =
            (below(more, rbac::IDENTITIES.len())?, below(more, 5)?, below(more, 6)?);
        Ok(rbac::question((identity, verb, thing, below(more, 3)?, more.arbitrary()?)))
    })?;
    rbac::check(&rbac::world(roles, bindings), asked.into_iter());
    Ok(())
}

fn policies(more: &mut Unstructured<'_>) -> Result<()> {
    fn selector(more: &mut Unstructured<'_>, of_pods: bool) -> Result<serde_json::Value> {
        Ok(policy::selector(of_pods, below(more, 8)?, &several(more, 1..=2, |more| below(more, 3))?))
    }
    fn rule(more: &mut Unstructured<'_>, word: &str) -> Result<serde_json::Value> {
        let peers = several(more, 0..=2, |more| {
            Ok(policy::peer(below(more, 5)?, selector(more, true)?, selector(more, false)?, below(more, 4)?))
        })?;
        let ports =
            several(more, 0..=2, |more| Ok(policy::port(below(more, 6)?, below(more, 4)?, below(more, 4)?)))?;
        Ok(policy::rule(word, &peers, &ports, more.arbitrary()?))
    }
    fn side(more: &mut Unstructured<'_>) -> Result<Side> {
        let outside = more.ratio(1, 5)?;
        Ok(if outside { Side::Outside(below(more, 3)?) } else { Side::Pod(below(more, 3)?, below(more, 3)?) })
    }
    let policies = several(more, 0..=4, |more| {
        let (namespace, pods) = (below(more, 3)?, selector(more, true)?);
        let ingress = several(more, 0..=2, |more| rule(more, "from"))?;
        let egress = several(more, 0..=2, |more| rule(more, "to"))?;
        Ok(policy::policy(namespace, pods, ingress, egress, below(more, 5)?))
    })?;
    let flows =
        several(more, 1..=20, |more| Ok((side(more)?, side(more)?, below(more, 4)?, below(more, 3)?)))?;
    policy::check(&policy::numbered(policies), &flows);
    Ok(())
}

fn ledger(more: &mut Unstructured<'_>) -> Result<()> {
    let (source, dual) = (below(more, ipam::SOURCES.len())?, more.arbitrary()?);
    let fates = several(more, 1..=40, |more| below(more, ipam::FATES.len()))?;
    let slots = fates.into_iter().enumerate();
    ipam::check(
        slots.map(|(number, fate)| ipam::Slot { number, fate: ipam::FATES[fate] }).collect(),
        source,
        dual,
    );
    Ok(())
}
