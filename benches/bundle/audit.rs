//! The audit log: one event of audit.k8s.io/v1 a line, keys in the order of the Go struct
//! (`staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go`), under the audit ids of the API server's log.

use std::io::{self, Write};

use crate::act::Act;
use crate::cluster::{App, World};
use crate::notation::{Moment, START, go_json};
use crate::random::{Purpose, Rng, Uuid, number_of};
use crate::requests::{Caller, RATE, Request};
use crate::words::{EVENTS, RESOURCES};

/// The event of a request, if the policy keeps it.
pub(crate) fn write(world: &World, k: u64, out: &mut Vec<u8>) -> io::Result<()> {
    let request = world.request(k);
    let act = &request.act;
    match (act.verb, request.code) {
        _ if !request.audited => Ok(()),
        // What the policy of AKS leaves out (its documentation): health checks, and kubelets that get their
        // own node.
        ("get", 200) if !act.path.is_empty() || act.resource == "nodes" => Ok(()),
        // Told twice: when the answer starts and when it ends (so does kube-apiserver 1.36).
        ("watch", 403) => {
            write_stage(world, k, &request, "ResponseStarted", out)?;
            write_stage(world, k, &request, "ResponseComplete", out)
        }
        _ => write_stage(world, k, &request, "ResponseComplete", out),
    }
}

fn write_stage(world: &World, k: u64, request: &Request, stage: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let Request { id, caller, act, code, .. } = request;
    let Caller { groups, extra, ip, .. } = caller;
    let body = if (200..300).contains(code) { body(world, k, act) } else { None };
    let level = match &body {
        Some(body) if body.contains(r#","responseObject":"#) => "RequestResponse",
        Some(_) => "Request",
        None => "Metadata",
    };
    let body = body.map(|body| format!(r#","requestObject":{body}"#)).unwrap_or_default();
    let (uri, verb, agent) = (go_json(&act.uri()), act.verb, go_json(&caller.agent));
    let (user, uid) = (go_json(&caller.user), caller.uid.map(|uid| uid.to_string()).unwrap_or_default());
    let uid = fields(&[("uid", &uid)]);
    let object = if act.path.is_empty() { object(world, k, act) } else { String::new() };
    let answer = answer(request);
    let received = Moment(request.done.0 - request.took_ns / 1_000).micro();
    let (done, reason) = (request.done.micro(), go_json(&caller.reason));
    let decision = if request.allowed { "allow" } else { "forbid" };
    let level_of_pods = match (act.verb, act.resource, act.sub, code) {
        ("create", "pods", "", 403) if request.allowed => "restricted:latest",
        ("create", "pods", "", _) if request.allowed => "privileged:latest",
        _ => "",
    };
    let policy = fields(&[("pod-security.kubernetes.io/enforce-policy", level_of_pods)]);
    writeln!(
        out,
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"{level}","auditID":"{id}","stage":"{stage}","requestURI":{uri},"verb":"{verb}","user":{{"username":{user}{uid},"groups":{groups},"extra":{{{extra}}}}},"sourceIPs":["{ip}"],"userAgent":{agent}{object}{answer}{body},"requestReceivedTimestamp":"{received}","stageTimestamp":"{done}","annotations":{{"authorization.k8s.io/decision":"{decision}","authorization.k8s.io/reason":{reason}{policy}}}}}"#
    )
}

/// A comma and `"key":"value"` for each value that isn't empty.
fn fields(pairs: &[(&str, &str)]) -> String {
    let present = pairs.iter().filter(|(_, value)| !value.is_empty());
    present.fold(String::new(), |text, (key, value)| format!(r#"{text},"{key}":"{value}""#))
}

fn object(world: &World, k: u64, act: &Act) -> String {
    let (uid, revision) = match act.verb {
        "update" => (uid_of(world, act).to_string(), world.revision(k).to_string()),
        _ => (String::new(), String::new()),
    };
    let rest = fields(&[
        ("namespace", &act.namespace),
        ("name", &act.name),
        ("uid", &uid),
        ("apiGroup", act.group),
        ("apiVersion", act.version),
        ("resourceVersion", &revision),
        ("subresource", act.sub),
    ]);
    format!(r#","objectRef":{{"resource":"{}"{rest}}}"#, act.resource)
}

/// The status of the answer, with the message a client saw when it was none of success.
fn answer(request: &Request) -> String {
    let (act, code) = (&request.act, request.code);
    let (what, name) = (act.qualified(), &act.name);
    let (reason, message) = match code {
        403 => ("Forbidden", request.refusal.clone().unwrap_or_default()),
        404 => ("NotFound", format!("{what} \"{name}\" not found")),
        409 if act.verb == "create" => ("AlreadyExists", format!("{what} \"{name}\" already exists")),
        409 => {
            let why =
                "the object has been modified; please apply your changes to the latest version and try again";
            ("Conflict", format!("Operation cannot be fulfilled on {what} \"{name}\": {why}"))
        }
        _ => return format!(r#","responseStatus":{{"metadata":{{}},"code":{code}}}"#),
    };
    let message = go_json(&message);
    let name = if act.named() { name } else { "" };
    let details = fields(&[("name", name), ("group", act.group), ("kind", act.resource)]);
    let details = details.trim_start_matches(',');
    format!(
        r#","responseStatus":{{"metadata":{{}},"status":"Failure","message":{message},"reason":"{reason}","details":{{{details}}},"code":{code}}}"#
    )
}

/// The uid of the object a request is for, the same whenever it is asked for.
fn uid_of(world: &World, act: &Act) -> Uuid {
    let object = number_of(&[act.resource, &act.namespace, &act.name]);
    Rng::new(world.seed, Purpose::Body, object).uuid()
}

/// The object sent along (and for a token, the one sent back), where the audit policy asks for it.
fn body(world: &World, k: u64, act: &Act) -> Option<String> {
    let mut rng = Rng::new(world.seed, Purpose::Body, k);
    let (name, namespace, uid) = (&act.name, &act.namespace, uid_of(world, act));
    let revision = world.revision(k);
    let now = Moment((START + k / RATE) * 1_000_000 + rng.below(1_000_000));
    let (now, at) = (now.micro(), now.plain());
    let app = rng.pick(&world.apps);
    Some(match (act.verb, act.resource, act.sub) {
        ("update", "leases", _) => format!(
            r#"{{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{revision}","creationTimestamp":"{}","ownerReferences":[{{"apiVersion":"v1","kind":"Node","name":"{name}","uid":"{}"}}]}},"spec":{{"holderIdentity":"{name}","leaseDurationSeconds":40,"renewTime":"{now}"}}}}"#,
            Moment::seconds_before_start(rng.below(8_000_000)).plain(),
            rng.uuid()
        ),
        ("create", "pods", "binding") => format!(
            r#"{{"kind":"Binding","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}","creationTimestamp":null}},"target":{{"kind":"Node","name":"{}"}}}}"#,
            rng.pick(&world.nodes).name
        ),
        ("patch", "pods", "status") => format!(
            r#"{{"metadata":{{"uid":"{uid}"}},"status":{{"$setElementOrder/conditions":[{{"type":"PodReadyToStartContainers"}},{{"type":"Initialized"}},{{"type":"Ready"}},{{"type":"ContainersReady"}},{{"type":"PodScheduled"}}],"conditions":[{{"lastTransitionTime":"{at}","message":null,"reason":null,"status":"True","type":"Ready"}}],"containerStatuses":[{{"containerID":"containerd://{}","image":"{}","imageID":"{}","lastState":{{}},"name":"app","ready":true,"restartCount":{},"started":true,"state":{{"running":{{"startedAt":"{at}"}}}}}}]}}}}"#,
            rng.digest(),
            app.image,
            app.image_digest,
            rng.below(4)
        ),
        ("create", "events", _) => {
            let pod = world.any_pod(&mut rng);
            let (reason, message) = *rng.pick(EVENTS);
            let (name, namespace, node) = (&pod.name, pod.app.namespace, &pod.node.name);
            let (stamp, message) = (rng.draw() >> 8, go_json(message));
            format!(
                r#"{{"kind":"Event","apiVersion":"v1","metadata":{{"name":"{name}.18{stamp:014x}","namespace":"{namespace}","creationTimestamp":null}},"involvedObject":{{"kind":"Pod","namespace":"{namespace}","name":"{name}","uid":"{}","apiVersion":"v1","resourceVersion":"{revision}"}},"reason":"{reason}","message":{message},"source":{{"component":"kubelet","host":"{node}"}},"firstTimestamp":"{at}","lastTimestamp":"{at}","count":1,"type":"Warning","eventTime":null,"reportingComponent":"kubelet","reportingInstance":"{node}"}}"#,
                pod.uid
            )
        }
        ("create", "serviceaccounts", "token") => {
            let head = format!(
                r#"{{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{{"name":"{name}","namespace":"{namespace}","creationTimestamp":null}},"spec":{{"audiences":null,"expirationSeconds":3607,"boundObjectRef":{{"kind":"Pod","apiVersion":"v1","name":"{name}","uid":"{}"}}}}"#,
                rng.uuid()
            );
            let (claims, signature) = (rng.letters(480), rng.letters(342));
            format!(
                r#"{head},"status":{{"token":"","expirationTimestamp":null}}}},"responseObject":{head},"status":{{"token":"eyJhbGciOiJSUzI1NiIsImtpZCI6ImNvbnRvc28ifQ.{claims}.{signature}","expirationTimestamp":"{at}"}}}}"#
            )
        }
        ("update", "configmaps", _) => {
            // A packed blob, as operators and Helm keep their state: long lines are part of life too.
            let length = 2_000 + rng.below(12_000) as usize;
            format!(
                r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{revision}"}},"data":{{"state":"H4sIAAAAAAAA{}","updated":"{now}"}}}}"#,
                rng.letters(length)
            )
        }
        ("update", "applications", _) => {
            let mut commit = rng.digest();
            commit.truncate(40);
            let parts = (0..4 + rng.below(8)).map(|_| {
                let (api, resource) = *rng.pick(RESOURCES);
                let App { namespace, name, .. } = rng.pick(&world.apps);
                let health = *rng.pick(&["Healthy", "Healthy", "Progressing", "Degraded"]);
                format!(
                    r#"{{"version":"{api}","kind":"{resource}","namespace":"{namespace}","name":"{name}","status":"Synced","health":{{"status":"{health}"}}}}"#
                )
            });
            let parts = parts.collect::<Vec<_>>().join(",");
            format!(
                r#"{{"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{revision}"}},"status":{{"reconciledAt":"{at}","resources":[{parts}],"sync":{{"revision":"{commit}","status":"Synced"}}}}}}"#
            )
        }
        ("create", "subjectaccessreviews", _) => {
            let (api, resource) = *rng.pick(RESOURCES);
            let (group, version) = api.split_once('/').unwrap_or(("", api));
            let question = rng.pick(&world.accounts);
            format!(
                r#"{{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{{"creationTimestamp":null}},"spec":{{"resourceAttributes":{{"namespace":"{}","verb":"get","group":"{group}","version":"{version}","resource":"{resource}"}},"user":"{}","uid":"{}"}},"status":{{"allowed":false}}}}"#,
                question.namespace,
                question.user(),
                question.uid
            )
        }
        ("update", "endpointslices", _) => {
            let pods = (0..=rng.below(4)).map(|_| world.any_pod(&mut rng));
            let endpoints = pods.map(|pod| {
                format!(
                    r#"{{"addresses":["{}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},"targetRef":{{"kind":"Pod","namespace":"{}","name":"{}","uid":"{}"}},"nodeName":"{}"}}"#,
                    pod.ip, pod.app.namespace, pod.name, pod.uid, pod.node.name
                )
            });
            format!(
                r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{revision}"}},"addressType":"IPv4","endpoints":[{}],"ports":[{{"name":"http","protocol":"TCP","port":8080}}]}}"#,
                endpoints.collect::<Vec<_>>().join(",")
            )
        }
        _ => return None,
    })
}
