//! READ: one file per input format. A format recognises itself by content and reads pieces into facts.
//!
//! To add one: write its file, name it in the list below, and put samples under
//! `samples/inputs/<name>/`. Tests fail when a sample is missing or claimed by two formats.

mod access_log;
mod audit_log;
mod azure;
mod azure_error;
mod azure_flow_log;
mod calicoctl;
mod can_i;
mod cilium;
mod cilium_bugtool;
mod cni_state;
mod collection_errors;
mod connection_test;
mod conntrack;
mod container_log;
mod coredns_log;
mod corefile;
mod counting_command;
mod crictl;
mod diagnostic_records;
mod docker_log;
mod dumped_logs;
mod event_page;
mod felix_log;
mod go_log;
mod host_local_listing;
mod host_local_store;
mod hubble;
mod ip_tool;
mod journal;
mod journal_json;
mod json_log;
mod kernel_log;
mod klog;
mod kubectl_describe;
mod kubectl_table;
mod kubernetes_json;
mod kubernetes_yaml;
mod kusto;
mod log_analytics_csv;
mod log_analytics_json;
mod log_envelope;
mod logfmt;
mod metrics;
mod network_outbound;
mod network_watcher;
mod node_services;
mod outbound_check;
mod packet_filter;
mod plain_log;
mod provision;
mod resolv_conf;
mod run_command;
mod shared;
mod sysctl;
mod system_output;
mod systemctl_status;
mod text;
mod time_series;
mod timed_log;
mod virtual_servers;
mod windows_network;

use std::sync::Arc;

use crate::bundle::{Block, Entry, Framer, Lines, Recognised, Recogniser};
use crate::facts::Facts;

macro_rules! formats {
    ($($module:ident),* $(,)?) => {
        /// Every format, in the order in which equals are preferred.
        pub const FORMATS: &[&dyn InputFormat] = &[$(&$module::FORMAT),*];
    };
}

formats![
    kubernetes_json,
    kubernetes_yaml,
    audit_log,
    diagnostic_records,
    log_analytics_csv,
    log_analytics_json,
    container_log,
    docker_log,
    journal_json,
    klog,
    json_log,
    felix_log,
    coredns_log,
    journal,
    logfmt,
    go_log,
    access_log,
    dumped_logs,
    timed_log,
    plain_log,
    host_local_store,
    host_local_listing,
    resolv_conf,
    corefile,
    packet_filter,
    ip_tool,
    conntrack,
    sysctl,
    event_page,
    provision,
    crictl,
    systemctl_status,
    calicoctl,
    counting_command,
    cni_state,
    azure,
    run_command,
    collection_errors,
    metrics,
    time_series,
    network_outbound,
    connection_test,
    kubectl_table,
    kubectl_describe,
    azure_error,
    azure_flow_log,
    cilium,
    cilium_bugtool,
    hubble,
    network_watcher,
    node_services,
    system_output,
    kusto,
    log_envelope,
    windows_network,
    kernel_log,
    outbound_check,
    virtual_servers,
    text,
];

/// The first bytes of an entry, and what surrounds it.
pub struct Head<'a> {
    /// The entry; its name never decides, but a host-local lease is named by its address.
    pub entry: &'a Entry,
    /// Up to [`HEAD_BYTES`] of text.
    pub bytes: &'a [u8],
}

/// How much of an entry a format may look at.
pub const HEAD_BYTES: usize = 64 << 10;

/// A piece of an entry, whole records.
#[allow(clippy::struct_excessive_bools)]
pub struct Piece<'a> {
    /// Path of the entry.
    pub source: &'a Arc<str>,
    /// The entry.
    pub entry: &'a Entry,
    /// The text.
    pub bytes: &'a [u8],
    /// What the framer kept of the text before.
    pub context: Option<&'a [u8]>,
    /// Line of the first byte, from 1.
    pub first_line: u64,
    /// Bytes of the entry before it.
    pub offset: u64,
    /// The piece is the whole entry.
    pub whole: bool,
    /// A format claimed the entry; it is not merely text.
    pub recognised: bool,
    /// The last record is longer than the limit, and cut.
    pub cut_short: bool,
    /// The node that the surrounding text names.
    pub node: Option<&'a str>,
    /// The command whose output this is, when it was echoed.
    pub command: Option<&'a str>,
    /// The command ran in a pod or on a node of the cluster.
    pub in_cluster: bool,
    /// Namespace and name of the pod whose log it is, when the surrounding text names it; the namespace may be empty.
    pub log_of: Option<(&'a str, &'a str)>,
}

/// One input format.
pub trait InputFormat: Sync {
    /// In kebab-case, as the report and the samples' folder name it.
    fn name(&self) -> &'static str;

    /// One line for people.
    fn about(&self) -> &'static str;

    /// How sure it is that the entry is of this format: 0 not at all, 100 certain.
    fn score(&self, head: &Head<'_>) -> u8;

    /// How the entry is cut.
    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Lines)
    }

    /// Whether it may stand between other things in a text, such as the output of a command in a
    /// terminal transcript.
    fn in_transcripts(&self) -> bool {
        false
    }

    /// Reads a piece; gives the number of records.
    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64;
}

/// The formats that claim an entry, best first.
pub fn candidates(head: &Head<'_>) -> Vec<(&'static dyn InputFormat, u8)> {
    if is_transcript(head.bytes) {
        return vec![(&text::FORMAT, u8::MAX)];
    }
    let mut scored: Vec<_> =
        FORMATS.iter().map(|format| (*format, format.score(head))).filter(|(_, score)| *score > 0).collect();
    scored.sort_by_key(|(_, score)| std::cmp::Reverse(*score));
    scored
}

/// What a terminal showed. A heading with a command, `# ip a`, looks like the prompt of root.
fn is_transcript(text: &[u8]) -> bool {
    shared::sections::is_transcript(text) && cilium_bugtool::outputs(text).is_none()
}

/// Recognises entries for the reader threads.
pub struct ByContent;

impl Recogniser for ByContent {
    fn recognise(&self, entry: &Entry, head: &[u8]) -> Recognised {
        let head = Head { entry, bytes: head.get(..HEAD_BYTES).unwrap_or(head) };
        let mut best = (FORMATS.len() - 1, 0);
        // What a terminal showed is split before it is recognised, whatever stands in it.
        if is_transcript(head.bytes) {
            best.1 = u8::MAX;
        }
        for (at, format) in FORMATS.iter().enumerate() {
            let score = format.score(&head);
            if score > best.1 {
                best = (at, score);
            }
        }
        let framer = FORMATS.get(best.0).map_or_else(|| Box::new(Lines) as _, |format| format.framer(&head));
        Recognised { format: best.0 as u16, framer }
    }
}

/// The format that recognised a block's entry.
pub fn name_of(block: &Block) -> &'static str {
    FORMATS.get(usize::from(block.format)).map_or("", |format| format.name())
}

/// Reads a block into facts, with the format that recognised its entry.
pub fn read(block: &Block, facts: &mut Facts) {
    let Some(format) = FORMATS.get(usize::from(block.format)) else { return };
    let command = shared::command::of_file_name(&block.entry.path);
    let piece = Piece {
        source: &block.entry.path,
        entry: &block.entry,
        bytes: block.bytes(),
        context: block.context.as_deref(),
        first_line: block.first_line,
        offset: block.offset,
        whole: block.whole,
        recognised: format.name() != text::FORMAT.name(),
        cut_short: block.cut_short,
        node: None,
        command: command.as_deref(),
        in_cluster: false,
        log_of: None,
    };
    let records = format.read(&piece, facts);
    let coverage = facts.coverage.entry(&block.entry.path);
    if format.name() != text::FORMAT.name() {
        coverage.recognised = true;
    }
    if records > 0 || coverage.formats.is_empty() {
        coverage.formats.add(format.name(), records);
    }
}

/// The share of the first `count` lines for which `test` holds, in percent; 0 for no lines.
fn share_of_lines(head: &[u8], count: usize, test: impl Fn(&[u8]) -> bool) -> usize {
    let (mut lines, mut matching) = (0, 0);
    for line in head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty())
    {
        if lines == count {
            break;
        }
        lines += 1;
        matching += usize::from(test(line));
    }
    (matching * 100).checked_div(lines).unwrap_or(0)
}
