//! Which tool made the bundle, by what lies where in it, and when.
//!
//! The top folder's name may be anything; a customer may have re-packed or half-deleted it.

use crate::facts::Coverage;
use crate::facts::time::{self, When};

/// A tool's layout, and the parts of paths that only it has: one of each group must be there.
const LAYOUTS: [(&str, &[&[&str]]); 14] = [
    (
        "Replicated troubleshoot support bundle",
        &[&["cluster-resources/"], &["version.yaml", "analysis.json", "cluster-info/", "execution-data/"]],
    ),
    (
        "must-gather (oc adm must-gather or inspect)",
        &[&["cluster-scoped-resources/", "must-gather"], &["namespaces/"]],
    ),
    (
        "Cilium sysdump",
        &[
            &["cilium-sysdump", "ciliumnetworkpolicies.yaml", "cilium-endpoints.yaml"],
            &["k8s-pods", "k8s-nodes", "cilium-nodes"],
        ],
    ),
    ("Rancher, Harvester or Longhorn support bundle", &[&["yamls/cluster/", "yamls/namespaced/"]]),
    (
        "AKS Periscope",
        &[
            &["kubeobjects/", "networkoutbound", "kubeletcmd/"],
            &["nodelogs/", "systemlogs/", "podscontainerlogs/", "iptables/"],
        ],
    ),
    ("AKS node log bundle", &[&["collect/crictl_", "collect/ip_", "collect/journalctl"]]),
    ("Container Insights log collector", &[&["AKSInsights-logs", "ama-logs-daemonset"]]),
    ("RKE2 or k3s node collector", &[&["rke2/crictl", "rke2/kubectl", "k3s/crictl", "k3s/kubectl"]]),
    ("sosreport", &[&["sos_commands/"]]),
    (
        "Sonobuoy results",
        &[
            &["meta/query-time.json", "plugins/e2e"],
            &["resources/ns/", "resources/cluster/", "podlogs/", "plugins/"],
        ],
    ),
    ("Azure diagnostic settings (storage account)", &[&["PT1H.json"]]),
    ("Log Analytics data export", &[&["PT05M"]]),
    (
        "kubectl cluster-info dump",
        &[&["/logs.txt"], &["/replication-controllers.", "/daemonsets.", "nodes."]],
    ),
    ("host-local store", &[&["last_reserved_ip."]]),
];

/// The layouts that the paths have the marks of.
pub(super) fn recognise(coverage: &Coverage) -> Vec<&'static str> {
    let seen = |part: &str| coverage.entries.keys().any(|path| path.contains(part));
    let whole = |groups: &&[&[&str]]| groups.iter().all(|group| group.iter().any(|part| seen(part)));
    LAYOUTS.iter().filter(|(_, groups)| whole(groups)).map(|(name, _)| *name).collect()
}

/// When the bundle was taken, by a name such as `support-bundle-2025-08-09T21_08_25` or
/// `cilium-sysdump-20250809-210825`.
pub(super) fn captured<'a>(names: impl Iterator<Item = &'a str>) -> Option<i64> {
    names.filter_map(stamp).max()
}

fn stamp(name: &str) -> Option<i64> {
    let bytes = name.as_bytes();
    for at in 0..bytes.len() {
        let rest = bytes.get(at..)?;
        if !rest.first().is_some_and(u8::is_ascii_digit)
            || at.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(u8::is_ascii_digit)
        {
            continue;
        }
        // 2025-08-09T21_08_25 with any separators, or 20250809-210825.
        let dashed = rest.get(..19).map(|text| {
            let mut text = text.to_vec();
            for colon in [13, 16] {
                if let Some(byte) = text.get_mut(colon).filter(|byte| matches!(**byte, b'_' | b'-' | b':')) {
                    *byte = b':';
                }
            }
            text
        });
        let dashed = dashed.filter(|text| text.get(10) == Some(&b'T')).and_then(|text| time::rfc3339(&text));
        if let Some((When::At(micros), _)) = dashed {
            return Some(micros);
        }
        let packed = rest.get(..15).filter(|text| matches!(text.get(8), Some(b'-' | b'_' | b'T')));
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
        if let Some(text) = packed
            && let (Some(date), Some(clock)) = (number(text.get(..8)?), number(text.get(9..)?))
            && (1990..=2200).contains(&(date / 10_000))
        {
            let seconds = clock / 10_000 * 3600 + clock / 100 % 100 * 60 + clock % 100;
            if let Some(When::At(micros)) =
                time::civil(date / 10_000, date / 100 % 100, date % 100, seconds, 0)
            {
                return Some(micros);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_a_bundles_name_is_read() {
        let text = |name: &str| stamp(name).map(time::rfc3339_text);
        assert_eq!(text("support-bundle-2025-08-09T21_08_25").as_deref(), Some("2025-08-09T21:08:25Z"));
        assert_eq!(text("cilium-sysdump-20250809-210825").as_deref(), Some("2025-08-09T21:08:25Z"));
        assert_eq!(text("NODE1-20250809-210825_logs.zip").as_deref(), Some("2025-08-09T21:08:25Z"));
        assert_eq!(text("aks-nodepool1-26051997-vmss000000"), None);
    }
}
