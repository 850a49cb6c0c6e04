//! Lines that say that something works again (kubernetes/kubernetes `pkg/kubelet/kubelet_node_status.go`,
//! `staging/src/k8s.io/client-go/tools/leaderelection`, `tools/cache/shared_informer.go`, `pkg/kubelet/util`).

use super::log_line::LogLine;
use crate::facts::{Facts, Recovery};

/// The texts, and what they say. Part of the prefilter of all lines.
pub(super) const SIGNS: [(&str, Recovery); 8] = [
    ("uccessfully registered node", Recovery::ApiServer),
    ("was previously registered", Recovery::ApiServer),
    ("uccessfully acquired lease", Recovery::ApiServer),
    ("aches are synced", Recovery::ApiServer),
    // staging/src/k8s.io/apiserver/pkg/server/secure_serving.go
    ("Serving securely on", Recovery::ApiServer),
    ("as it just became ready", Recovery::Network),
    ("event=\"NodeReady\"", Recovery::Network),
    ("status is now: NodeReady", Recovery::Network),
];

/// Notes a line that says so. Says whether it was one.
pub(super) fn read(line: &LogLine<'_>, facts: &mut Facts) -> bool {
    let Some((_, what)) = SIGNS.iter().find(|(words, _)| line.text.contains(words)) else { return false };
    facts.recoveries.add(*what, line.unwrapped.when, line.source, line.number, line.raw);
    true
}
