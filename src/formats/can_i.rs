//! The answer of `kubectl auth can-i VERB RESOURCE`: `no`, with a reason or without.

use super::Piece;
use super::shared::command;
use crate::facts::{
    Carrier, Class, DenialKey, Facts, Identity, Observation, Request, Scope, Target, fingerprint, split_thing,
};

/// Notes a `no` as a refusal; of whom, `--as` tells, or nobody.
pub(super) fn answered(piece: &Piece<'_>, facts: &mut Facts) {
    let Some(words) = piece.command.and_then(question) else { return };
    let Ok(text) = std::str::from_utf8(piece.bytes.get(..4096).unwrap_or(piece.bytes)) else { return };
    let denies = |line: &str| line == "no" || line.starts_with("no - ");
    let Some((number, line)) = (0..).zip(text.lines().map(str::trim)).find(|(_, line)| denies(line)) else {
        return;
    };
    let thing = words.thing.split('/').next().unwrap_or(words.thing);
    let (resource, group, subresource) = split_thing(thing);
    let scope = match words.namespace {
        Some(namespace) => Scope::Namespace(namespace.into()),
        None if words.everywhere => Scope::Cluster,
        None => Scope::Unknown,
    };
    let target = if words.thing.starts_with('/') {
        Target::Path(words.thing.into())
    } else {
        Target::Resource {
            group,
            resource,
            subresource: words.subresource.map_or(subresource, Into::into),
            scope,
        }
    };
    facts.denied(Observation {
        key: DenialKey {
            class: Class::MissingRule,
            identity: words.user.map_or_else(
                || Identity::Client("whoever ran kubectl auth can-i".into()),
                |user| Identity::User(user.into()),
            ),
            request: Request { verb: words.verb.into(), target },
        },
        carrier: Carrier::ClientText,
        print: fingerprint((piece.source, piece.first_line + number)),
        by_audit_id: false,
        when: None,
        last: None,
        sure: true,
        name: None,
        agent: None,
        address: None,
        groups: &[],
        reason: line.strip_prefix("no - "),
        impersonator: None,
        source: piece.source,
        line: piece.first_line + number,
        text: line.as_bytes(),
    });
}

struct Question<'a> {
    verb: &'a str,
    thing: &'a str,
    subresource: Option<&'a str>,
    namespace: Option<&'a str>,
    everywhere: bool,
    user: Option<&'a str>,
}

/// The question of a command line, when it is one.
fn question(line: &str) -> Option<Question<'_>> {
    let kubectl = command::kubectl(line)?;
    if kubectl.verb != "auth" || kubectl.resource != "can-i" {
        return None;
    }
    let mut words = line.split_whitespace().skip_while(|word| *word != "can-i").skip(1);
    let (mut plain, mut subresource, mut user) = (Vec::new(), None, None);
    while let Some(word) = words.next() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("--as", "") => user = words.next(),
            ("--as", name) => user = Some(name),
            ("--subresource", "") => subresource = words.next(),
            ("--subresource", name) => subresource = Some(name),
            ("-n" | "--namespace" | "--as-group" | "--context" | "--kubeconfig", "") => drop(words.next()),
            ("--list", _) => return None,
            (flag, _) if flag.starts_with('-') => {}
            _ => plain.push(word),
        }
    }
    let [verb, thing, ..] = plain.as_slice() else { return None };
    let clean = |word: &'_ str| word.trim_matches(['"', '\'']).len() == word.len();
    (clean(verb) && clean(thing)).then_some(Question {
        verb,
        thing,
        subresource,
        namespace: kubectl.namespace,
        everywhere: kubectl.all_namespaces,
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_read_from_the_command() {
        let of = |line| question(line).map(|found| (found.verb, found.thing, found.namespace, found.user));
        assert_eq!(of("kubectl auth can-i list pods -n shop"), Some(("list", "pods", Some("shop"), None)));
        assert_eq!(
            of("kubectl auth can-i get pods/log --as system:serviceaccount:shop:cart"),
            Some(("get", "pods/log", None, Some("system:serviceaccount:shop:cart")))
        );
        assert_eq!(of("kubectl auth can-i --list -n shop"), None);
        assert_eq!(of("kubectl get pods"), None);
    }
}
