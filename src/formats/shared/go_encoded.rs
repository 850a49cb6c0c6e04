//! Objects as very old kubectl (1.8) dumps them: the names of Go's fields, metadata dissolved into the
//! object, lists that tell their kind by their `selfLink` only (replicatedhq/troubleshoot).

use serde_json::{Map, Value};

use crate::formats::shared::command::kind_of;

/// Keys of `metadata` that stand in the object itself.
const METADATA: [&str; 9] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "ownerReferences",
    "uid",
];

/// The kind of the items of a list, by its link: `/api/v1/namespaces/shop/pods`.
pub(in crate::formats) fn item_kind(self_link: &str) -> Option<&'static str> {
    kind_of(self_link.rsplit('/').next()?)
}

/// Whether an object has Go's field names.
pub(in crate::formats) fn is_go(json: &[u8]) -> bool {
    let has = |word: &str| memchr::memmem::find(json, word.as_bytes()).is_some();
    has("\"Spec\"")
        || has("\"Status\"")
        || has("\"Subsets\"")
        || has("\"InvolvedObject\"")
        || has("\"ContainerStatuses\"")
}

/// The object as the API would give it.
pub(in crate::formats) fn normalised(json: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let mut value = renamed(value, 60);
    // In Go's own form these belong to the security context.
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut)
        && let Some(shared) =
            spec.get("securityContext").and_then(|context| context.get("hostNetwork")).cloned()
    {
        spec.insert("hostNetwork".to_owned(), shared);
    }
    serde_json::to_vec(&value).ok()
}

fn renamed(value: Value, depth: u8) -> Value {
    match value {
        Value::Object(map) if depth > 0 => {
            let mut out = Map::new();
            let mut metadata = Map::new();
            // Maps of the user keep their keys.
            let object = map.keys().any(|key| key.starts_with(|c: char| c.is_ascii_uppercase()));
            let owner = object
                && (map.contains_key("name")
                    || map.contains_key("labels")
                    || map.contains_key("creationTimestamp"));
            for (key, value) in map {
                let name = camel(&key);
                let value = if matches!(
                    name.as_str(),
                    "labels" | "annotations" | "selector" | "matchLabels" | "data" | "nodeSelector"
                ) && !has_upper(&value)
                {
                    value
                } else {
                    renamed(value, depth - 1)
                };
                if owner && METADATA.contains(&key.as_str()) {
                    metadata.insert(key, value);
                } else {
                    out.insert(name, value);
                }
            }
            if !metadata.is_empty() {
                out.insert("metadata".to_owned(), Value::Object(metadata));
            }
            Value::Object(out)
        }
        Value::Array(items) if depth > 0 => items.into_iter().map(|item| renamed(item, depth - 1)).collect(),
        other => other,
    }
}

fn has_upper(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.keys().any(|key| key.starts_with("Match")))
}

/// `PodCIDR` → `podCIDR`, `IP` → `ip`, `APIGroups` → `apiGroups`, `HTTPGet` → `httpGet`.
fn camel(key: &str) -> String {
    let upper = key.bytes().take_while(u8::is_ascii_uppercase).count();
    let lower = match upper {
        0 | 1 => upper,
        all if all == key.len() => all,
        // The last capital begins the next word.
        some => some - 1,
    };
    let (start, rest) = key.split_at(lower);
    start.to_ascii_lowercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_of_go_become_those_of_the_api() {
        for (go, api) in [
            ("PodCIDR", "podCIDR"),
            ("IP", "ip"),
            ("APIGroups", "apiGroups"),
            ("HTTPGet", "httpGet"),
            ("Spec", "spec"),
            ("name", "name"),
        ] {
            assert_eq!(camel(go), api);
        }
    }

    #[test]
    fn metadata_is_gathered_and_host_network_found() {
        let pod = br#"{"name":"a","namespace":"b","labels":{"App":"x"},"Spec":{"NodeName":"n","SecurityContext":{"HostNetwork":true}},"Status":{"PodIP":"10.0.0.1"}}"#;
        let value: Value = serde_json::from_slice(&normalised(pod).unwrap()).unwrap();
        assert_eq!(value["metadata"]["name"], "a");
        assert_eq!(value["spec"]["hostNetwork"], true);
        assert_eq!(value["status"]["podIP"], "10.0.0.1");
    }

    #[test]
    fn lists_are_known_by_their_link() {
        assert_eq!(item_kind("/api/v1/namespaces/kube-system/pods"), Some("Pod"));
        assert_eq!(item_kind("/apis/extensions/v1beta1/namespaces/x/replicasets"), Some("ReplicaSet"));
    }
}
