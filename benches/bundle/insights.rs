//! Tables of Log Analytics as the portal exports them: UTF-8 with a byte order mark, RFC 4180, the zone in the
//! names of time columns. The columns are the common ones of `ContainerLogV2` and `KubeEvents` in Microsoft's
//! table reference. `KubeEvents` holds warnings only, as its agent collects by default
//! (microsoft/Docker-Provider).

use std::io::{self, Write};

use crate::cluster::{App, Pod, World};
use crate::notation::{Moment, START, cell, go_duration};
use crate::random::{Purpose, Rng};
use crate::requests::RATE;
use crate::words::EVENTS;

pub(crate) const CONTAINER_LOG_HEAD: &str = "\u{feff}TimeGenerated [UTC],Computer,ContainerId,ContainerName,PodName,PodNamespace,LogMessage,LogSource\r\n";
pub(crate) const KUBE_EVENTS_HEAD: &str = "\u{feff}TimeGenerated [UTC],ClusterName,Computer,Count,FirstSeen [UTC],KubeEventType,LastSeen [UTC],Message,Name,Namespace,ObjectKind,Reason,SourceComponent\r\n";

/// When the k-th of so many rows is of: the tables end when the logs end.
fn time_of(world: &World, k: u64, rows: u64) -> Moment {
    Moment(START * 1_000_000 + k * (world.requests * 1_000_000 / RATE) / rows)
}

pub(crate) fn write_container_log(world: &World, k: u64, out: &mut Vec<u8>) -> io::Result<()> {
    // A container writes several lines in a row.
    let pod = world.any_pod(&mut Rng::new(world.seed, Purpose::Burst, k / 5));
    let mut rng = Rng::new(world.seed, Purpose::Row, k);
    let at = Moment(time_of(world, k, world.log_rows).0 + rng.below(1_000));
    let (message, source) = message(world, &pod, at, &mut rng);
    let (time, message) = (at.portal(), cell(&message));
    let (Pod { container_id, name, .. }, App { name: container, namespace, .. }) = (&pod, pod.app);
    write!(
        out,
        "{time},{},{container_id},{container},{name},{namespace},{message},{source}\r\n",
        pod.node.name
    )
}

/// A line of a container's log, in the manner its language has, and the stream it goes to.
fn message(world: &World, pod: &Pod<'_>, at: Moment, rng: &mut Rng) -> (String, &'static str) {
    let (container, namespace) = (pod.app.name.as_str(), pod.app.namespace);
    let thing = container.split('-').next().unwrap_or_default();
    let (id, took) = (rng.uuid(), go_duration(rng.latency()));
    let code = *rng.pick(&[200, 200, 200, 200, 201, 204, 301, 400, 404, 500, 503]);
    let now = at.micro();
    match rng.below(20) {
        0..5 => {
            let (verb, number) = (*rng.pick(&["GET", "GET", "POST", "PUT"]), rng.below(900_000));
            let (page, ip, bytes) = (rng.below(40), rng.pick(&world.nodes).ip, rng.below(60_000));
            let (time, path) = (at.plain(), format!("/{thing}s/{number}?page={page}"));
            let message = format!(
                "{ip} - - [{time}] \"{verb} {path} HTTP/1.1\" {code} {bytes} \"-\" \"okhttp/4.12.0\" {took} {id}"
            );
            (message, "stdout")
        }
        5..11 => {
            let level = rng.pick(&["info", "info", "info", "warn"]);
            let sayings =
                ["request handled", "message consumed", "cache refreshed", "job finished", "retrying"];
            let message = format!(
                r#"{{"ts":"{now}","level":"{level}","logger":"{container}","msg":"{}","traceId":"{:016x}{:016x}","spanId":"{:016x}","{thing}Id":{},"durationMs":{}}}"#,
                rng.pick(&sayings),
                rng.draw(),
                rng.draw(),
                rng.draw(),
                rng.below(90_000_000),
                rng.below(3_000)
            );
            (message, "stdout")
        }
        11..15 => {
            let (thread, row) = (rng.below(40), rng.below(10_000_000));
            let message = format!(
                "{now}  INFO 1 --- [nio-8080-exec-{thread}] com.contoso.{thing}.Service : processed {thing} {row} ({id}) in {took}"
            );
            (message, "stdout")
        }
        15..17 => {
            let file = *rng.pick(&["server.go", "worker.go", "cache.go", "client.go"]);
            let (line, time, name) = (rng.below(400) + 20, at.klog(), &pod.name);
            let message =
                format!("I{time} {file}:{line}] synced {thing} key=\"{namespace}/{name}\" took={took}");
            (message, "stderr")
        }
        17 => {
            let target = rng.pick(&world.apps);
            let name = format!("{}.{}.svc.cluster.local", target.name, target.namespace);
            let (source, error, ip, port) = (32_768 + rng.below(28_000), rng.below(3), pod.ip, target.port);
            let text = match error {
                0 => {
                    let service = format!("10.0.{}.{}:80", rng.below(8), rng.below(256));
                    format!("Get \"http://{name}/api\": dial tcp {service}: i/o timeout")
                }
                1 => format!(
                    "lookup {name} on 10.0.0.10:53: read udp {ip}:{source}->10.0.0.10:53: i/o timeout"
                ),
                _ => format!("dial tcp {ip}:{port}: connect: connection refused"),
            };
            (format!("{now} ERROR {container} {text}, request {id}"), "stderr")
        }
        18 => {
            let (line, number) = (rng.below(300), rng.below(100_000));
            let message = format!(
                "{now} ERROR com.contoso.{thing}.Handler - {thing} {number} failed\n\
                 java.lang.IllegalStateException: unexpected \"status\" {code}, want \"200\"\n\
                 \tat com.contoso.{thing}.Client.call(Client.java:{line})\n\
                 \tat com.contoso.{thing}.Handler.handle(Handler.java:{})\n\
                 \tat java.base/java.lang.Thread.run(Thread.java:1583)",
                line + 17
            );
            (message, "stderr")
        }
        _ => {
            let account = rng.pick(&world.accounts);
            let user = account.user();
            if !account.refused.is_empty() && rng.one_in(4) {
                let message = rng.pick(&account.refused).forbidden(&user);
                return (format!("{now} E Failed to watch: {message}"), "stderr");
            }
            (format!("{now} DEBUG token of {user} renewed, id {id}"), "stdout")
        }
    }
}

pub(crate) fn write_kube_event(world: &World, k: u64, out: &mut Vec<u8>) -> io::Result<()> {
    let mut rng = Rng::new(world.seed, Purpose::Event, k);
    let pod = world.any_pod(&mut rng);
    let (reason, message) = *rng.pick(EVENTS);
    let at = time_of(world, k, world.event_rows);
    let (time, node) = (at.portal(), &pod.node.name);
    let first = Moment(at.0 - rng.below(7_200_000_000)).portal();
    let of_pod = format!("{message} ({}_{}({}))", pod.name, pod.app.namespace, pod.uid);
    let (kind, name, namespace, message) = match reason {
        "NodeNotReady" => ("Node", node, "", message),
        _ => ("Pod", &pod.name, pod.app.namespace, of_pod.as_str()),
    };
    let component = match reason {
        "FailedScheduling" => "default-scheduler",
        "NodeNotReady" => "node-controller",
        _ => "kubelet",
    };
    let (count, message) = (rng.below(80) + 1, cell(message));
    write!(
        out,
        "{time},contoso,{node},{count},{first},Warning,{time},{message},{name},{namespace},{kind},{reason},{component}\r\n"
    )
}
