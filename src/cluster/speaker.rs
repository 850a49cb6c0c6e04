//! Whose log an entry is, by its path.

use crate::facts::Key;

/// Whether an entry is a log of a pod: its path has the pod's name as a part, below the namespace's, or the two joined
/// as the kubelet (`shop_cart-1_uid`) and container runtimes (`cart-1_shop_app-id.log`) do.
pub fn is_of_pod(path: &str, pod: &Key) -> bool {
    let Some(at) = path.find(&*pod.name) else { return false };
    let (before, after) =
        (path.get(..at).unwrap_or_default(), path.get(at + pod.name.len()..).unwrap_or_default());
    let ends = after.is_empty() || after.starts_with(['/', '_', '.', '!']);
    let begins = before.is_empty() || before.ends_with(['/', '_', '!']);
    let joined = after.strip_prefix('_').is_some_and(|rest| rest.starts_with(&*pod.namespace));
    let below = before.split(['/', '_', '!']).any(|part| part == &*pod.namespace);
    ends && begins && (below || joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_of_all_collectors_are_known() {
        let pod = Key::new("shop", "cart-1");
        for path in [
            "var/log/pods/shop_cart-1_0f3c/app/0.log",
            "var/log/containers/cart-1_shop_app-0f3c.log",
            "dump/shop/cart-1/logs.txt",
            "must-gather/namespaces/shop/pods/cart-1/app/app/logs/current.log",
            "cluster-resources/pods/logs/shop/cart-1/app.log",
        ] {
            assert!(is_of_pod(path, &pod), "{path}");
        }
        for path in ["dump/shop/cart-10/logs.txt", "dump/web/cart-1/logs.txt", "shop.log"] {
            assert!(!is_of_pod(path, &pod), "{path}");
        }
    }
}
