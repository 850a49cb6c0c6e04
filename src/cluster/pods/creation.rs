//! Pods that a workload could not create: why, and whether that is over.
//!
//! A controller notes each failure as an event (`FailedCreate`) and in the workload's condition `ReplicaFailure`, which it
//! takes away as soon as a pod could be created.

use crate::evidence::{Evidence, excerpt};
use crate::facts::{Condition, EventKey, EventTally, Facts, Key, Seen, Workload};

/// Why the API server refused a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// A quota of the namespace: its name, and the resource that it is short of.
    Quota(String, String),
    /// The `ServiceAccount` of the template does not exist.
    ServiceAccount(String),
    /// Pod Security Admission: the profile.
    PodSecurity(String),
    /// A `LimitRange`.
    LimitRange,
    /// The priority class does not exist.
    PriorityClass(String),
    /// The runtime class does not exist.
    RuntimeClass(String),
    /// An admission webhook that said no, or did not answer: its name.
    Webhook(String),
    /// Something else.
    Other,
}

impl Refused {
    /// A word for it.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Quota(..) => "quota",
            Self::ServiceAccount(_) => "service-account",
            Self::PodSecurity(_) => "pod-security",
            Self::LimitRange => "limit-range",
            Self::PriorityClass(_) => "priority-class",
            Self::RuntimeClass(_) => "runtime-class",
            Self::Webhook(_) => "webhook",
            Self::Other => "other",
        }
    }
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The workload lacks pods for it at the time of the capture.
    Ongoing,
    /// The pods are there by now.
    Ended,
    /// The bundle does not have the workload's state.
    Unknown,
}

/// A workload whose pods could not be created.
#[derive(Clone, Debug)]
pub struct NotCreated<'a> {
    /// `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job`.
    pub kind: &'a str,
    /// Which.
    pub workload: Key,
    /// Why.
    pub refused: Refused,
    /// In the API server's words.
    pub words: String,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
    /// How often, as events count.
    pub count: u64,
    /// First and last time.
    pub span: Option<(i64, i64)>,
    /// Whether it goes on.
    pub standing: Standing,
    /// Pods that there are and that there should be, when told.
    pub replicas: Option<(u32, u32)>,
}

/// All of a bundle.
pub fn not_created(facts: &Facts, anchor: Option<i64>) -> Vec<NotCreated<'_>> {
    let events = facts.events.of_reason("FailedCreate");
    let mut found: Vec<NotCreated<'_>> =
        events.filter_map(|(key, tally)| of_event(facts, anchor, key, tally)).collect();
    let objects = &facts.objects;
    let stores = [
        ("ReplicaSet", &objects.replica_sets),
        ("StatefulSet", &objects.stateful_sets),
        ("DaemonSet", &objects.daemon_sets),
        ("Deployment", &objects.deployments),
    ];
    for (kind, store) in stores {
        for (key, seen) in store.iter() {
            // A Deployment repeats what its ReplicaSet says.
            let ours = |other: &NotCreated<'_>| {
                other.workload.namespace == key.namespace
                    && (other.workload == *key
                        || kind == "Deployment"
                            && other
                                .workload
                                .name
                                .strip_prefix(&*key.name)
                                .is_some_and(|rest| rest.starts_with('-')))
            };
            if !found.iter().any(ours) {
                found.extend(of_condition(kind, key, seen));
            }
        }
    }
    found
}

/// What the condition of a workload says, which outlives its events.
fn of_condition(kind: &'static str, key: &Key, seen: &Seen<Workload>) -> Option<NotCreated<'static>> {
    let failed = |item: &&Condition| &*item.r#type == "ReplicaFailure" && &*item.status == "True";
    let condition = seen.object.status.conditions.iter().find(failed)?;
    let mut evidence = seen.evidence(kind, key);
    evidence.truncate(1);
    for place in &mut evidence {
        place.excerpt = excerpt(format!("ReplicaFailure True: {}", condition.message).as_bytes());
    }
    Some(NotCreated {
        kind,
        workload: key.clone(),
        refused: refused(&condition.message),
        words: condition.message.to_string(),
        evidence,
        count: 1,
        span: None,
        standing: Standing::Ongoing,
        replicas: seen.object.status.replicas.zip(seen.object.spec.replicas),
    })
}

fn of_event<'a>(
    facts: &'a Facts,
    anchor: Option<i64>,
    key: &'a EventKey,
    tally: &'a EventTally,
) -> Option<NotCreated<'a>> {
    let last = tally.examples.as_slice().last()?;
    let workload = Key::new(&*key.namespace, &*key.name);
    let seen = workload_of(facts, &key.kind, &workload);
    let refused = refused(&last.excerpt);
    let replicas = seen.and_then(|seen| seen.object.status.replicas.zip(seen.object.spec.replicas));
    Some(NotCreated {
        kind: &key.kind,
        standing: match standing(facts, &workload, &refused, seen) {
            Standing::Unknown if created_later(facts, key, tally) => Standing::Ended,
            standing => standing,
        },
        workload,
        refused,
        words: last.excerpt.to_string(),
        evidence: tally.examples.as_slice().to_vec(),
        count: tally.count.max(1),
        span: tally.span.resolve(anchor),
        replicas,
    })
}

/// The workload of an event.
fn workload_of<'a>(facts: &'a Facts, kind: &str, key: &Key) -> Option<&'a Seen<Workload>> {
    let objects = &facts.objects;
    let store = match kind {
        "ReplicaSet" => &objects.replica_sets,
        "StatefulSet" => &objects.stateful_sets,
        "DaemonSet" => &objects.daemon_sets,
        "Job" => &objects.jobs,
        "Deployment" => &objects.deployments,
        _ => return None,
    };
    store.get(&key.namespace, &key.name)
}

fn standing(facts: &Facts, key: &Key, refused: &Refused, seen: Option<&Seen<Workload>>) -> Standing {
    if let Some(seen) = seen {
        let conditions = &seen.object.status.conditions;
        if conditions.iter().any(|item| &*item.r#type == "ReplicaFailure" && &*item.status == "True") {
            return Standing::Ongoing;
        }
        match (seen.object.spec.replicas, seen.object.status.replicas) {
            (Some(0), _) => return Standing::Ended,
            (Some(wanted), Some(there)) if there >= wanted => return Standing::Ended,
            (Some(wanted), Some(there)) if there < wanted => return Standing::Ongoing,
            _ => {}
        }
    }
    let mut pods = facts.objects.pods.of_namespace(&key.namespace).filter(|(name, pod)| {
        let owner = pod.object.metadata.owner_references.first();
        let made = |name: &str| name.strip_prefix(&*key.name).is_some_and(|rest| rest.starts_with('-'));
        owner.map_or_else(|| made(&name.name), |owner| *owner.name == *key.name)
    });
    match refused {
        // All pods of a template have the same account: where one exists, so does the account.
        Refused::ServiceAccount(_) | Refused::PriorityClass(_) | Refused::RuntimeClass(_)
            if pods.next().is_some() =>
        {
            Standing::Ended
        }
        _ => Standing::Unknown,
    }
}

/// Whether an event tells that the same workload got a pod, or completed, and not before. Events whose age alone is told have no
/// time: what refuses all pods of a workload was over then.
pub fn created_later(facts: &Facts, key: &EventKey, failed: &EventTally) -> bool {
    ["SuccessfulCreate", "Completed"].into_iter().any(|reason| {
        facts.events.of_reason(reason).any(|(other, tally)| {
            let same = (&other.kind, &other.namespace, &other.name) == (&key.kind, &key.namespace, &key.name);
            same && failed.span.until_end_of(&tally.span).is_none_or(|after| after >= 0)
        })
    })
}

/// What the API server's words mean (kubernetes/kubernetes, `plugin/pkg/admission`).
pub fn refused(words: &str) -> Refused {
    let between = |start: &str, end: &[char]| -> Option<String> {
        let (_, rest) = words.split_once(start)?;
        let found = rest.split(end).next().unwrap_or(rest).trim();
        (!found.is_empty()).then(|| found.to_owned())
    };
    if let Some(quota) = between("exceeded quota: ", &[',']) {
        return Refused::Quota(quota, scarce(words).unwrap_or_default());
    }
    if let Some(quota) = between("failed quota: ", &[':']) {
        let must = between("must specify ", &['\n']).unwrap_or_default();
        return Refused::Quota(quota, must);
    }
    if words.contains("serviceaccount") && words.contains("not found") {
        let account =
            between("service account ", &[':', ' ']).or_else(|| between("serviceaccount \"", &['"']));
        return Refused::ServiceAccount(account.unwrap_or_default());
    }
    if let Some(profile) = between("violates PodSecurity \"", &['"']) {
        return Refused::PodSecurity(profile);
    }
    if words.contains(" usage per ") || words.contains("limit to request ratio per ") {
        return Refused::LimitRange;
    }
    if words.contains("no PriorityClass") {
        return Refused::PriorityClass(between("with name ", &[' ']).unwrap_or_default());
    }
    if words.contains("RuntimeClass") && words.contains("not found") {
        return Refused::RuntimeClass(between("RuntimeClass \"", &['"']).unwrap_or_default());
    }
    if words.contains("admission webhook") || words.contains("failed calling webhook") {
        return Refused::Webhook(between("webhook \"", &['"']).unwrap_or_default());
    }
    Refused::Other
}

/// The resource of which the quota has not enough: what is used and asked for exceeds what is allowed.
fn scarce(words: &str) -> Option<String> {
    let list = |name: &str| -> Vec<(String, String)> {
        let Some((_, rest)) = words.split_once(name) else { return Vec::new() };
        let end = [", used: ", ", limited: "].iter().filter_map(|mark| rest.find(mark)).min();
        let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
        pairs
            .map(|(key, value)| (key.to_owned(), value.split(' ').next().unwrap_or(value).to_owned()))
            .collect()
    };
    let (asks, used, most) = (list("requested: "), list("used: "), list("limited: "));
    let of = |list: &[(String, String)], key: &str| {
        list.iter().find(|(ours, _)| ours == key).and_then(|(_, value)| crate::facts::amount(value))
    };
    let over = asks.iter().find(|(key, _)| {
        of(&asks, key)
            .zip(of(&used, key))
            .zip(of(&most, key))
            .is_some_and(|((asks, used), most)| asks + used > most)
    });
    over.or_else(|| asks.first()).map(|(key, _)| key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_is_known_by_its_words() {
        for (words, expected) in [
            (
                "Error creating: pods \"a-\" is forbidden: exceeded quota: compute, requested: limits.cpu=1,requests.memory=512Mi, used: limits.cpu=1,requests.memory=1900Mi, limited: limits.cpu=10,requests.memory=2Gi",
                Refused::Quota("compute".into(), "requests.memory".into()),
            ),
            (
                "Error creating: pods \"a-\" is forbidden: error looking up service account shop/cart: serviceaccount \"cart\" not found",
                Refused::ServiceAccount("shop/cart".into()),
            ),
            (
                "Error creating: pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": privileged",
                Refused::PodSecurity("restricted:latest".into()),
            ),
            (
                "Error creating: pods \"a\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi",
                Refused::LimitRange,
            ),
            (
                "Error creating: pods \"a\" is forbidden: no PriorityClass with name urgent was found",
                Refused::PriorityClass("urgent".into()),
            ),
            (
                "Error creating: admission webhook \"v.example\" denied the request: no",
                Refused::Webhook("v.example".into()),
            ),
        ] {
            assert_eq!(refused(words), expected, "{words}");
        }
    }
}
