//! One denied request appears as an audit event and as an access log line: joined by audit id.

use foldhash::HashSet;

use crate::facts::{Class, Denial, DenialKey, Facts, Sightings};

/// How the access log and the audit log fit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Refused requests in the access log, each once.
    pub access_requests: u64,
    /// Of these, how many an audit event explains.
    pub explained: u64,
}

/// All denials: those with a user, and those of the access log that no audit event explains.
pub(super) fn join(facts: &Facts) -> (Vec<(DenialKey, Denial)>, Joined) {
    let mut all: Vec<(DenialKey, Denial)> =
        facts.denials.map.iter().map(|(key, denial)| (key.clone(), denial.settled())).collect();
    let audited: HashSet<u64> = all.iter().flat_map(|(_, denial)| denial.requests.prints()).collect();
    let mut joined = Joined::default();
    for (key, denial) in facts.access.map.iter() {
        let denial = denial.settled();
        let mut left = Sightings::default();
        for print in denial.requests.prints() {
            joined.access_requests += 1;
            if audited.contains(&print) {
                joined.explained += 1;
            } else {
                left.add(print, None);
            }
        }
        let unjoined = denial.lines.values().map(|lines| lines.count().0).sum::<u64>();
        joined.access_requests += unjoined;
        // Lines of old versions have no id. They name no user: with denials of the same request told
        // by another carrier they add nothing.
        let told_elsewhere = all.iter().any(|(other, _)| {
            other.class != Class::Unauthenticated
                && other.class != Class::Unattributed
                && other.request == key.request
        });
        let by_id = left.count().0;
        if by_id > 0 || (unjoined > 0 && !told_elsewhere) {
            let mut rest = denial;
            rest.requests = left;
            all.push((key.clone(), rest));
        } else if unjoined > 0 {
            joined.explained += unjoined;
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    (all, joined)
}
