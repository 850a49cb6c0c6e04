//! The API server's log: klog text as kube-apiserver 1.36 writes it at `-v3`, read off a real one. Each
//! request is a line of `httplog.go`; a refusal has neither its user nor its reason there. 4 % of the lines
//! are about something else.

use std::io::{self, Write};

use crate::cluster::World;
use crate::notation::go_duration;
use crate::random::{Purpose, Rng};
use crate::requests::Request;
use crate::words::RESOURCES;

pub(crate) fn write(world: &World, k: u64, out: &mut Vec<u8>) -> io::Result<()> {
    let request = world.request(k);
    let (caller, act) = (&request.caller, &request.act);
    let (level, schema) = caller.flow;
    writeln!(
        out,
        r#"I{} httplog.go:134] "HTTP" verb="{}" URI="{}" latency="{}" userAgent="{}" audit-ID="{}" srcIP="{}:{}" apf_pl="{level}" apf_fs="{schema}" apf_iseats=1 apf_fseats=0 apf_additionalLatency="0s" apf_execution_time="{}" resp={}"#,
        request.done.klog(),
        act.method(),
        act.uri(),
        go_duration(request.took_ns),
        caller.agent,
        request.id,
        caller.ip,
        request.port,
        go_duration(request.executed_ns),
        request.code
    )?;
    let mut noise = Rng::new(world.seed, Purpose::Noise, k);
    if noise.one_in(25) { write_other(world, k, &request, &mut noise, out) } else { Ok(()) }
}

/// The rest of an apiserver log: watches that start, caches that are checked, slow requests traced.
fn write_other(world: &World, k: u64, request: &Request, rng: &mut Rng, out: &mut Vec<u8>) -> io::Result<()> {
    let (api, resource) = *rng.pick(RESOURCES);
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let (at, revision, id) = (request.done.klog(), world.revision(k), request.id);
    match rng.below(10) {
        0..4 => {
            let root = if group.is_empty() { "/api" } else { "/apis" };
            let (minutes, seconds) = (5 + rng.below(5), rng.below(60));
            writeln!(
                out,
                r#"I{at} get.go:279] "Starting watch" path="{root}/{api}/{resource}" resourceVersion="{revision}" labels="" fields="" sendInitialEvents=null timeout="{minutes}m{seconds}s" audit-ID="{id}""#
            )
        }
        4 | 5 => {
            let digest = rng.draw();
            writeln!(
                out,
                r#"I{at} delegator.go:339] "Cache consistency check passed" group="{group}" resource="{resource}" resourceVersion="{revision}" digest="{digest:016x}""#
            )
        }
        6 => {
            let objects = rng.below(20) + 2;
            writeln!(
                out,
                "I{at} cacher.go:1037] cacher ({resource}.{group}): {objects} objects queued in incoming channel."
            )
        }
        7 => {
            let (ip, port) = (rng.pick(&world.nodes).ip, 32_768 + rng.below(28_000));
            writeln!(out, "I{at} log.go:245] http: TLS handshake error from {ip}:{port}: EOF")
        }
        8 => {
            let app = rng.pick(&world.apps);
            let (namespace, name) = (app.namespace, &app.name);
            let (third, fourth) = (rng.below(256), rng.below(256));
            writeln!(
                out,
                r#"I{at} alloc.go:328] "allocated clusterIPs" service="{namespace}/{name}" clusterIPs={{"IPv4":"10.0.{third}.{fourth}"}}"#
            )
        }
        _ => {
            let (trace, total) = (rng.below(2_000_000_000), 500 + rng.below(3_000));
            let (waited, written, whole, part) = (total / 20, total - total / 10, total - 1, total - 2);
            let (first, last) = (rng.below(1_000_000), rng.below(1_000_000));
            let (caller, act) = (&request.caller, &request.act);
            let (ip, agent) = (caller.ip, &caller.agent);
            let (verb, name, sub, namespace) = (act.verb, &act.name, act.sub, &act.namespace);
            let (uri, method, began) = (act.uri(), act.method(), request.done.label("%d-%b-%Y %H:%M:%S.%3f"));
            writeln!(
                out,
                "I{at} trace.go:236] Trace[{trace}]: \"{verb}\" accept:application/vnd.kubernetes.protobuf, */*,audit-id:{id},client:{ip},api-group:{group},api-version:{version},name:{name},subresource:{sub},namespace:{namespace},protocol:HTTP/2.0,resource:{resource},scope:resource,url:{uri},user-agent:{agent},verb:{method} ({began}) (total time: {total}ms):\n\
                 Trace[{trace}]: [\"GuaranteedUpdate etcd3\" audit-id:{id},key:/{resource}/{name},type:*core.Object,resource:{resource} {whole}ms (total time: {part}ms)\n\
                 Trace[{trace}]:  ---\"Txn call completed\" {written}ms]\n\
                 Trace[{trace}]: ---\"Object stored in database\" {waited}ms ({total}ms)\n\
                 Trace[{trace}]: [{total}.{first:06}ms] [{total}.{last:06}ms] END"
            )
        }
    }
}
