//! Label selectors, and pods by what selectors see of them.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};

use crate::facts::{Form, Key, LabelSelector, Labels, Objects, Requirement, Text};

/// Whether labels satisfy a selector. An empty selector takes everything (apimachinery, `LabelSelector`).
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| satisfies(requirement, labels))
}

/// `NotIn` and `DoesNotExist` hold when the key is absent. An operator that does not exist takes nothing.
fn satisfies(requirement: &Requirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    match &*requirement.operator {
        "In" => value.is_some_and(|value| requirement.values.contains(value)),
        "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// Whether a selector takes everything.
pub fn takes_all(selector: &LabelSelector) -> bool {
    selector.match_labels.is_empty() && selector.match_expressions.is_empty()
}

/// A selector as kubectl writes it: `app=cart,tier in (a,b)`.
pub fn selector_text(selector: &LabelSelector) -> String {
    if takes_all(selector) {
        return "everything".to_owned();
    }
    let pairs = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let list = |item: &Requirement| item.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let expressions = selector.match_expressions.iter().map(|requirement| match &*requirement.operator {
        "In" => format!("{} in ({})", requirement.key, list(requirement)),
        "NotIn" => format!("{} notin ({})", requirement.key, list(requirement)),
        "Exists" => requirement.key.to_string(),
        "DoesNotExist" => format!("!{}", requirement.key),
        other => format!("{} {other} ({})", requirement.key, list(requirement)),
    });
    pairs.chain(expressions).collect::<Vec<_>>().join(",")
}

/// Labels as `key=value,…`.
pub fn pairs(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Pods of one namespace with the same labels.
#[derive(Debug)]
pub struct LabelGroup {
    /// Their namespace.
    pub namespace: Text,
    /// Their labels; nothing when no copy of the pods in the bundle shows labels.
    pub labels: Option<Labels>,
    /// The pods, in the order of their names.
    pub pods: Vec<Key>,
}

/// All pods that are not over, by namespace and labels: a cluster of thousands of pods has a few hundred groups,
/// and a selector is asked once of each.
#[derive(Debug, Default)]
pub struct Groups {
    /// The groups.
    pub all: Vec<LabelGroup>,
    of_pod: HashMap<Key, usize>,
    of_namespace: BTreeMap<Text, Vec<usize>>,
    of_pair: HashMap<(Text, Text, Text), Vec<usize>>,
}

impl Groups {
    /// Groups the pods of a bundle.
    pub fn new(objects: &Objects) -> Self {
        let mut groups = Self::default();
        let mut known: HashMap<(&Text, Option<&Labels>), usize> = HashMap::new();
        for (key, seen) in objects.pods.iter() {
            if seen.object.ended() {
                continue;
            }
            let labels = &seen.object.metadata.labels;
            // A row of a table shows labels only when asked to.
            let given = seen.form >= Form::Inventory || !labels.is_empty();
            let at = *known.entry((&key.namespace, given.then_some(labels))).or_insert_with(|| {
                let at = groups.all.len();
                groups.of_namespace.entry(key.namespace.clone()).or_default().push(at);
                for (name, value) in labels.iter() {
                    let pair = (key.namespace.clone(), name.clone(), value.clone());
                    groups.of_pair.entry(pair).or_default().push(at);
                }
                let labels = given.then(|| labels.clone());
                groups.all.push(LabelGroup { namespace: key.namespace.clone(), labels, pods: Vec::new() });
                at
            });
            if let Some(group) = groups.all.get_mut(at) {
                group.pods.push(key.clone());
            }
            groups.of_pod.insert(key.clone(), at);
        }
        groups
    }

    /// The group of a pod.
    pub fn of(&self, pod: &Key) -> Option<&LabelGroup> {
        self.all.get(*self.of_pod.get(pod)?)
    }

    /// The groups of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &LabelGroup> {
        self.of_namespace.get(namespace).into_iter().flatten().filter_map(|at| self.all.get(*at))
    }

    /// Whether the labels of some pod of a namespace are not known.
    pub fn unlabelled(&self, namespace: &str) -> bool {
        self.in_namespace(namespace).any(|group| group.labels.is_none())
    }

    /// The groups of a namespace that have all of these labels.
    pub fn having<'a>(&'a self, namespace: &str, labels: &'a Labels) -> impl Iterator<Item = &'a LabelGroup> {
        static NONE: Vec<usize> = Vec::new();
        // The pair that the fewest have is asked first.
        let candidates = if labels.is_empty() {
            self.of_namespace.get(namespace).unwrap_or(&NONE)
        } else {
            let lists = labels.iter().map(|(key, value)| {
                let pair = (Text::from(namespace), key.clone(), value.clone());
                self.of_pair.get(&pair).unwrap_or(&NONE)
            });
            lists.min_by_key(|list| list.len()).unwrap_or(&NONE)
        };
        candidates.iter().filter_map(|at| self.all.get(*at)).filter(move |group| {
            let current = group.labels.as_ref();
            current.is_some_and(|ours| labels.iter().all(|(key, value)| ours.get(key) == Some(value)))
        })
    }

    /// The groups of a namespace that a selector takes, as far as their labels are known.
    pub fn selected<'a>(
        &'a self,
        namespace: &str,
        selector: &'a LabelSelector,
    ) -> impl Iterator<Item = &'a LabelGroup> {
        self.having(namespace, &selector.match_labels)
            .filter(move |group| group.labels.as_ref().is_some_and(|labels| matches(selector, labels)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (Text::from(key), Text::from(value))).collect()
    }

    fn selector(json: &str) -> LabelSelector {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn negative_operators_hold_when_the_key_is_absent() {
        let not_in = selector(r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["x"]}]}"#);
        assert!(matches(&not_in, &labels("b=1")));
        assert!(matches(&not_in, &labels("a=y")));
        assert!(!matches(&not_in, &labels("a=x")));
        let absent = selector(r#"{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}"#);
        assert!(matches(&absent, &labels("b=1")) && !matches(&absent, &labels("a=1")));
        let within = selector(r#"{"matchExpressions":[{"key":"a","operator":"In","values":["x"]}]}"#);
        assert!(!matches(&within, &labels("b=1")));
        assert!(matches(&selector("{}"), &labels("")));
    }

    #[test]
    fn selectors_are_shown_as_kubectl_writes_them() {
        let json = r#"{"matchLabels":{"app":"a"},"matchExpressions":[{"key":"t","operator":"In","values":["x","y"]},{"key":"z","operator":"DoesNotExist"}]}"#;
        assert_eq!(selector_text(&selector(json)), "app=a,t in (x,y),!z");
    }
}
