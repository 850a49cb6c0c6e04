//! Refused requests as the API server's access log tells them, in its three forms.

use std::borrow::Cow;

use serde::Deserialize;

use super::log_line::LogLine;
use crate::bytes::pattern::pattern;
use crate::facts::{Carrier, Class, DenialKey, Facts, Identity, Observation, fingerprint, from_uri};

pattern!(
    BEFORE_1_20,
    r"(?P<verb>[A-Z]+) (?P<uri>/\S*): \([^)]*\) (?P<code>40[13]) \[\[(?P<agent>[^\]]*)\] (?P<address>[^\]]*)\]"
);

struct Access<'a> {
    verb: &'a str,
    uri: &'a str,
    agent: &'a str,
    id: &'a str,
    address: &'a str,
    code: u64,
}

fn access(seen: &Access<'_>, print: u64, line: &LogLine<'_>, facts: &mut Facts) {
    let (request, name) = from_uri(seen.verb, seen.uri);
    let class = if seen.code == 401 { Class::Unauthenticated } else { Class::Unattributed };
    let agent = seen.agent.split_once(" kubernetes/").map_or(seen.agent, |(program, _)| program);
    facts.accessed(Observation {
        key: DenialKey { class, identity: Identity::Client(agent.into()), request },
        carrier: Carrier::AccessLog,
        print: if seen.id.is_empty() { print } else { fingerprint(seen.id) },
        by_audit_id: !seen.id.is_empty(),
        when: line.unwrapped.when,
        last: None,
        sure: false,
        name: name.as_deref(),
        agent: Some(seen.agent),
        address: seen.address.rsplit_once(':').map(|(address, _)| address),
        groups: &[],
        reason: None,
        impersonator: None,
        source: line.source,
        line: line.number,
        text: &line.unwrapped.text,
    });
}

/// `"HTTP" verb="LIST" URI="…" … resp=403`.
pub(super) fn read_text(line: &LogLine<'_>, facts: &mut Facts) {
    let text = line.text;
    let quoted = |key: &str| -> &str {
        let Some(at) = text.find(key) else { return "" };
        text.get(at + key.len()..).and_then(|rest| rest.split('"').next()).unwrap_or_default()
    };
    let agent = match quoted("userAgent=\"") {
        "" => quoted("UserAgent=\""),
        agent => agent,
    };
    let seen = Access {
        verb: quoted("verb=\""),
        uri: quoted("URI=\""),
        agent,
        id: quoted("audit-ID=\""),
        address: quoted("srcIP=\""),
        code: if text.contains("resp=401") { 401 } else { 403 },
    };
    access(&seen, fingerprint(text), line, facts);
}

/// The same as JSON: `{"ts":…,"msg":"HTTP","verb":"LIST","URI":"…",…,"resp":403}`.
pub(super) fn read_json(line: &LogLine<'_>, facts: &mut Facts) {
    #[derive(Deserialize)]
    struct Http<'a> {
        #[serde(borrow, default)]
        verb: Cow<'a, str>,
        #[serde(borrow, default, rename = "URI")]
        uri: Cow<'a, str>,
        #[serde(borrow, default, rename = "userAgent")]
        agent: Cow<'a, str>,
        #[serde(borrow, default, rename = "audit-ID")]
        id: Cow<'a, str>,
        #[serde(borrow, default, rename = "srcIP")]
        address: Cow<'a, str>,
        #[serde(default)]
        resp: u64,
    }
    let text: &[u8] = &line.unwrapped.text;
    let Ok(http) = serde_json::from_slice::<Http<'_>>(text) else { return };
    if !matches!(http.resp, 401 | 403) {
        return;
    }
    let seen = Access {
        verb: &http.verb,
        uri: &http.uri,
        agent: &http.agent,
        id: &http.id,
        address: &http.address,
        code: http.resp,
    };
    access(&seen, fingerprint(text), line, facts);
}

/// `GET /api/v1/…: (10.37ms) 403 [[agent] 10.0.0.4:33424]`.
pub(super) fn read_before_1_20(line: &LogLine<'_>, facts: &mut Facts) {
    let Some(found) = BEFORE_1_20.captures(line.text) else { return };
    let get = |name: &str| found.name(name).map_or("", |m| m.as_str());
    let seen = Access {
        verb: get("verb"),
        uri: get("uri"),
        agent: get("agent"),
        id: "",
        address: get("address"),
        code: if get("code") == "401" { 401 } else { 403 },
    };
    access(&seen, line.print, line, facts);
}
