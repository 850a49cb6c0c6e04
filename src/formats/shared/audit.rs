//! Audit events (audit.k8s.io/v1), whole or cut.
//!
//! A request has several stages, and a watch that is denied gives `ResponseStarted` and
//! `ResponseComplete`: requests are told apart by `auditID`. `authorization.k8s.io/decision` is `forbid`
//! when an authorizer said no, `allow` when admission did, and missing for impersonation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use memchr::memmem;
use serde::Deserialize;

use super::json::fields;
use super::message::{self, plain};
use crate::facts::{
    Carrier, Class, DenialKey, Facts, Identity, Observation, Request, Scope, Target, fingerprint, from_uri,
    time,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::formats) struct AuditEvent<'a> {
    #[serde(borrow, alias = "AuditId", alias = "auditId", rename = "auditID")]
    pub(in crate::formats) audit_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "requestURI", alias = "RequestUri", alias = "requestUri")]
    pub(in crate::formats) request_uri: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(in crate::formats) verb: Option<Cow<'a, str>>,
    pub(in crate::formats) user: Option<User>,
    pub(in crate::formats) impersonated_user: Option<User>,
    #[serde(rename = "sourceIPs")]
    pub(in crate::formats) source_ips: Option<Vec<String>>,
    #[serde(borrow)]
    pub(in crate::formats) user_agent: Option<Cow<'a, str>>,
    pub(in crate::formats) object_ref: Option<ObjectRef>,
    pub(in crate::formats) response_status: Option<Status>,
    pub(in crate::formats) annotations: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    pub(in crate::formats) request_received_timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(in crate::formats) stage_timestamp: Option<Cow<'a, str>>,
    /// v1alpha1 and v1beta1 wrote this one.
    #[serde(borrow)]
    pub(in crate::formats) timestamp: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::formats) struct User {
    pub(in crate::formats) username: Option<String>,
    pub(in crate::formats) groups: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::formats) struct ObjectRef {
    pub(in crate::formats) resource: Option<String>,
    pub(in crate::formats) namespace: Option<String>,
    pub(in crate::formats) name: Option<String>,
    pub(in crate::formats) api_group: Option<String>,
    pub(in crate::formats) subresource: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::formats) struct Status {
    pub(in crate::formats) code: Option<u32>,
    pub(in crate::formats) message: Option<String>,
}

/// The audit event in a JSON record: the record itself, or one that lies in it as an object or as a string
/// (`properties.log` of Azure's records, `log` of collectors). Event streams cut fields, so an event is
/// known by its verb and its response, not by its id.
pub(in crate::formats) fn within(json: &[u8], depth: u8) -> Option<Cow<'_, [u8]>> {
    let (mut verb, mut response, mut nested) = (false, false, None);
    for (key, value) in fields(json) {
        verb |= key == b"verb";
        response |= key == b"responseStatus";
        if nested.is_none()
            && matches!(value.first(), Some(b'{' | b'"'))
            && memmem::find(value, b"responseStatus").is_some()
        {
            nested = Some(value);
        }
    }
    if verb && response {
        return Some(Cow::Borrowed(json));
    }
    let nested = nested.filter(|_| depth > 0)?;
    if nested.starts_with(b"{") {
        return within(nested, depth - 1);
    }
    let text: String = serde_json::from_slice(nested).ok()?;
    within(text.as_bytes(), depth - 1).map(|event| Cow::Owned(event.into_owned()))
}

/// Reads one audit event and counts it if it is a refusal. `false` when it is damaged beyond use.
pub(in crate::formats) fn read(json: &[u8], source: &Arc<str>, line: u64, facts: &mut Facts) -> bool {
    match serde_json::from_slice::<AuditEvent<'_>>(json) {
        Ok(event) => {
            refusal(&event, json, source, line, facts);
            true
        }
        Err(_) => cut(json, source, line, facts),
    }
}

/// Counts an event that is a refusal.
pub(in crate::formats) fn refusal(
    event: &AuditEvent<'_>,
    text: &[u8],
    source: &Arc<str>,
    line: u64,
    facts: &mut Facts,
) {
    let status = event.response_status.as_ref();
    let code = status.and_then(|status| status.code).unwrap_or(0);
    let stamp = event
        .request_received_timestamp
        .as_ref()
        .or(event.stage_timestamp.as_ref())
        .or(event.timestamp.as_ref());
    let when = stamp.and_then(|stamp| time::rfc3339(stamp.as_bytes())).map(|(when, _)| when);
    facts.saw(when);
    if let Some(when) = when {
        facts.api_server.audit_span.add(when);
    }
    if code != 403 && code != 401 {
        return;
    }
    let message = status.and_then(|status| status.message.as_deref()).unwrap_or_default();
    let message = plain(message.as_bytes());
    let annotation =
        |name: &str| event.annotations.as_ref().and_then(|all| all.get(name)).map(String::as_str);
    let decision = annotation("authorization.k8s.io/decision");
    let reason = annotation("authorization.k8s.io/reason").filter(|reason| !reason.is_empty());
    let name_of =
        |user: &Option<User>| user.as_ref().and_then(|user| user.username.clone()).unwrap_or_default();
    let (real, impersonated) = (name_of(&event.user), name_of(&event.impersonated_user));
    let refusal = message::denied(&message);
    // An impersonation that is itself refused is refused to the real user; the message names whom.
    let effective = match &refusal {
        Some(refusal) => refusal.user.to_string(),
        None if !impersonated.is_empty() => impersonated,
        None => real.clone(),
    };
    let (mut request, mut name) = requested(event);
    let class = if code == 401 {
        Class::Unauthenticated
    } else if effective.is_empty() {
        Class::Unattributed
    } else if let Some(refusal) = refusal.as_ref().filter(|_| decision != Some("allow")) {
        if refusal.class == Class::Impersonation {
            request = refusal.request.clone();
        }
        name = name.or_else(|| refusal.name.clone());
        message::authorizer_class(&effective, &request.verb, refusal.reason.as_deref().or(reason))
    } else if decision == Some("allow") {
        message::admission_class(&message)
    } else if decision == Some("forbid") {
        message::authorizer_class(&effective, &request.verb, reason)
    } else if let Some(class) = message::admission_text(&message) {
        class
    } else {
        // At Metadata level old versions write neither message nor decision.
        message::authorizer_class(&effective, &request.verb, None)
    };
    let identity = if code == 401 {
        Identity::Unauthenticated
    } else if effective.is_empty() {
        Identity::Client(event.user_agent.as_deref().unwrap_or("an unnamed client").into())
    } else {
        Identity::User(effective.as_str().into())
    };
    let groups_of = if real == effective { &event.user } else { &event.impersonated_user };
    let groups = groups_of.as_ref().and_then(|user| user.groups.clone()).unwrap_or_default();
    let reason = match class {
        Class::MissingRule | Class::Node | Class::AzureRbac => {
            refusal.as_ref().and_then(|refusal| refusal.reason.as_deref()).or(reason)
        }
        Class::Anonymous | Class::Unauthenticated | Class::Impersonation => None,
        _ => Some(after_forbidden(&message)),
    };
    let id = event.audit_id.as_deref().unwrap_or_default();
    let print = if id.is_empty() { fingerprint((source, line)) } else { fingerprint(id) };
    facts.denied(Observation {
        key: DenialKey { class, identity, request },
        carrier: Carrier::Audit,
        print,
        by_audit_id: true,
        when,
        last: None,
        sure: refusal.is_some() || decision.is_some() || class != Class::MissingRule,
        name: name.as_deref(),
        agent: event.user_agent.as_deref(),
        address: event.source_ips.as_ref().and_then(|ips| ips.last()).map(String::as_str),
        groups: &groups,
        reason,
        impersonator: (real != effective).then_some(real.as_str()),
        source,
        line,
        // The sentence says more than the first bytes of the record.
        text: if message.is_empty() { text } else { message.as_bytes() },
    });
}

/// `pods "x" is forbidden: exceeded quota: …` without the name, which differs from request to request.
fn after_forbidden(message: &str) -> &str {
    message.split_once(" is forbidden: ").map_or(message, |(_, reason)| reason)
}

/// What was asked: by `objectRef`, or by the URI where that is missing.
fn requested(event: &AuditEvent<'_>) -> (Request, Option<Box<str>>) {
    let verb = event.verb.as_deref().unwrap_or("unknown");
    let uri = event.request_uri.as_deref().unwrap_or_default();
    let Some(object) = event.object_ref.as_ref().filter(|object| object.resource.is_some()) else {
        let path = uri.split('?').next().unwrap_or_default();
        return (Request { verb: verb.into(), target: Target::Path(path.into()) }, None);
    };
    let text = |field: &Option<String>| -> Box<str> { field.clone().unwrap_or_default().into() };
    let namespace = text(&object.namespace);
    let target = Target::Resource {
        group: text(&object.api_group),
        resource: text(&object.resource),
        subresource: text(&object.subresource),
        scope: if namespace.is_empty() { Scope::Cluster } else { Scope::Namespace(namespace) },
    };
    (Request { verb: verb.into(), target }, object.name.as_deref().map(Into::into))
}

/// What can be had of an event that was cut (Azure diagnostics cut at 16 KiB): the fields by name.
fn cut(json: &[u8], source: &Arc<str>, line: u64, facts: &mut Facts) -> bool {
    let text = plain(json);
    let after = |key: &str| -> Option<&str> {
        let at = text.find(&format!("\"{key}\":"))? + key.len() + 3;
        let rest = text.get(at..)?.trim_start().strip_prefix('"')?;
        rest.split('"').next()
    };
    let forbidden = text.contains("\"code\":403") || text.contains("\"code\": 403");
    let (Some(id), Some(verb), Some(uri)) = (after("auditID"), after("verb"), after("requestURI")) else {
        return false;
    };
    if !forbidden {
        return true;
    }
    let refusal = message::denied(&text);
    let user = refusal
        .as_ref()
        .map(|refusal| refusal.user.to_string())
        .or_else(|| after("username").map(ToOwned::to_owned));
    let (request, name) = from_uri(verb, uri);
    let request = Request { verb: verb.into(), ..request };
    let user = user.unwrap_or_default();
    let class = match (&refusal, after("authorization.k8s.io/decision")) {
        (_, Some("allow")) => message::admission_class(&text),
        (Some(refusal), _) => refusal.class,
        _ => message::authorizer_class(&user, verb, None),
    };
    facts.denied(Observation {
        key: DenialKey { class, identity: Identity::User(user.into()), request },
        carrier: Carrier::Audit,
        print: fingerprint(id),
        by_audit_id: true,
        when: after("requestReceivedTimestamp")
            .and_then(|at| time::rfc3339(at.as_bytes()))
            .map(|(when, _)| when),
        last: None,
        sure: true,
        name: name.as_deref(),
        agent: after("userAgent"),
        address: None,
        groups: &[],
        reason: refusal.as_ref().and_then(|refusal| refusal.reason.as_deref()),
        impersonator: None,
        source,
        line,
        text: json,
    });
    true
}
