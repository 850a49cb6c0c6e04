//! Objects, as `kubectl get X -A -o json` prints them: keys sorted, four spaces a level, and a list of
//! anything is of the kind `List`, which it says after its items (kubectl's `printers.JSONPrinter`). The
//! fields of a pod are those of a real one, without `managedFields`.

use std::io;
use std::net::Ipv4Addr;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

use crate::cluster::{Account, App, Health, Node, Pod, World, replica_suffix};
use crate::notation::{Moment, START};
use crate::random::{Purpose, Rng, number_of};
use crate::words::NAMESPACES;

pub(crate) const LIST_HEAD: &str = "{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n";
pub(crate) const LIST_TAIL: &str =
    "\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n";

/// Writes the k-th item of a list.
pub(crate) fn write_item(k: u64, mut object: Value, out: &mut Vec<u8>) -> io::Result<()> {
    // serde_json sorts only while no crate in the build turns on its `preserve_order`.
    object.sort_all_objects();
    let mut text = Vec::with_capacity(1 << 14);
    let format = PrettyFormatter::with_indent(b"    ");
    object.serialize(&mut Serializer::with_formatter(&mut text, format))?;
    for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let before: &[u8] = match (k, n) {
            (0, 0) => b"        ",
            (_, 0) => b",\n        ",
            _ => b"\n        ",
        };
        out.extend_from_slice(before);
        out.extend_from_slice(line);
    }
    Ok(())
}

/// The object without the fields that are null.
fn present(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

/// Metadata of an object that isn't a pod or a node, in the shape all of them share.
pub(crate) fn metadata(world: &World, kind: &str, namespace: &str, name: &str, labels: Value) -> Value {
    let mut rng = Rng::new(world.seed, Purpose::Body, number_of(&[kind, namespace, name]));
    present(json!({
        "creationTimestamp": Moment::seconds_before_start(86_400 * 30 + rng.below(86_400 * 200)).plain(),
        "labels": labels,
        "name": name,
        "namespace": (!namespace.is_empty()).then_some(namespace),
        "resourceVersion": (900_000_000 + rng.below(500_000_000)).to_string(),
        "uid": rng.uuid().to_string(),
    }))
}

/// One field of an object.
fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

pub(crate) fn pod(world: &World, k: u64) -> Value {
    let pod = world.pod(k);
    let (app, ip) = (pod.app, pod.ip.to_string());
    let mut rng = Rng::new(world.seed, Purpose::Pod, k ^ 1 << 40);
    let token = format!("kube-api-access-{}", rng.suffix(5));
    let limit = format!("{}Mi", 256 << rng.below(3));
    let requested = format!("{}m", 50 * (rng.below(8) + 1));
    let probe = |path: &str, period: u64| {
        json!({
            "failureThreshold": 3, "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
            "periodSeconds": period, "successThreshold": 1, "timeoutSeconds": 2,
        })
    };
    let tolerated = |taint: &str| {
        json!({
            "effect": "NoExecute", "key": format!("node.kubernetes.io/{taint}"), "operator": "Exists",
            "tolerationSeconds": 300,
        })
    };
    let spec = present(json!({
        "containers": [{
            "image": app.image, "imagePullPolicy": "IfNotPresent", "name": app.name,
            "livenessProbe": probe("/livez", 20), "readinessProbe": probe("/readyz", 10),
            "ports": [{"containerPort": app.port, "name": "http", "protocol": "TCP"}],
            "resources": {"limits": {"memory": limit}, "requests": {"cpu": requested, "memory": "256Mi"}},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": [
                {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": token, "readOnly": true},
            ],
        }],
        "dnsPolicy": "ClusterFirst", "enableServiceLinks": true,
        "hostNetwork": app.host_network.then_some(true),
        "nodeName": (pod.health != Health::Pending).then_some(&pod.node.name),
        "preemptionPolicy": "PreemptLowerPriority", "priority": 0, "restartPolicy": "Always",
        "schedulerName": "default-scheduler", "securityContext": {},
        "serviceAccount": app.account, "serviceAccountName": app.account,
        "terminationGracePeriodSeconds": 30,
        "tolerations": [tolerated("not-ready"), tolerated("unreachable")],
        "volumes": [{"name": token, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        ]}}],
    }));
    json!({
        "apiVersion": "v1", "kind": "Pod", "spec": spec, "status": pod_status(&pod),
        "metadata": {
            "annotations": {
                "cni.projectcalico.org/containerID": rng.digest(),
                "cni.projectcalico.org/podIP": format!("{ip}/32"),
                "cni.projectcalico.org/podIPs": format!("{ip}/32"),
            },
            "creationTimestamp": pod.born.plain(), "labels": app.labels,
            "generateName": format!("{}-", app.owner), "name": pod.name, "namespace": app.namespace,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "blockOwnerDeletion": true, "controller": true,
                "kind": if app.daemon { "DaemonSet" } else { "ReplicaSet" },
                "name": app.owner, "uid": app.owner_uid.to_string(),
            }],
            "resourceVersion": (1_400_000_000 + rng.below(82_000_000)).to_string(),
            "uid": pod.uid.to_string(),
        },
    })
}

fn pod_status(pod: &Pod<'_>) -> Value {
    let (born, ready) = (pod.born.plain(), pod.ready());
    let (App { name: container, image, image_digest, .. }, ip) = (pod.app, pod.ip.to_string());
    let met = |kind: &str| json!({"lastProbeTime": null, "lastTransitionTime": born, "status": "True", "type": kind});
    let unmet = |kind: &str, reason: &str, message: &str| {
        json!({
            "lastProbeTime": null, "lastTransitionTime": born, "message": message, "reason": reason,
            "status": "False", "type": kind,
        })
    };
    if pod.health == Health::Pending {
        let message = "0/40 nodes are available: 40 Insufficient memory.";
        let conditions = [unmet("PodScheduled", "Unschedulable", message)];
        return json!({"conditions": conditions, "phase": "Pending", "qosClass": "Burstable"});
    }
    let unready = format!("containers with unready status: [{container}]");
    let readiness = |kind: &str| if ready { met(kind) } else { unmet(kind, "ContainersNotReady", &unready) };
    let id = format!("containerd://{}", pod.container_id);
    let running = json!({"running": {"startedAt": born}});
    let waiting = |reason: &str, message: String| json!({"waiting": {"message": message, "reason": reason}});
    let ended = |reason: &str, code: u64| {
        json!({"terminated": {
            "containerID": id, "exitCode": code, "finishedAt": born, "reason": reason, "startedAt": born,
        }})
    };
    let (state, last, restarts) = match pod.health {
        Health::CrashLoop => {
            let of = format!("container={container} pod={}_{}({})", pod.name, pod.app.namespace, pod.uid);
            let message = format!("back-off 5m0s restarting failed {of}");
            (waiting("CrashLoopBackOff", message), ended("Error", 1), 37)
        }
        Health::OutOfMemory => (running, ended("OOMKilled", 137), 4),
        Health::ImagePull => {
            let cause = format!("failed to resolve reference \"{image}\": not found");
            let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {cause}");
            (waiting("ImagePullBackOff", message), json!({}), 0)
        }
        _ => (running, json!({}), 0),
    };
    json!({
        "conditions": [
            met("PodReadyToStartContainers"), met("Initialized"),
            readiness("Ready"), readiness("ContainersReady"), met("PodScheduled"),
        ],
        "containerStatuses": [{
            "containerID": id, "image": image, "name": container,
            "imageID": format!("{}@sha256:{image_digest}", image.split(':').next().unwrap_or_default()),
            "lastState": last, "ready": ready, "restartCount": restarts, "state": state,
            "started": !matches!(pod.health, Health::CrashLoop | Health::ImagePull),
        }],
        "hostIP": pod.node.ip.to_string(), "hostIPs": [{"ip": pod.node.ip.to_string()}],
        "phase": if pod.health == Health::ImagePull { "Pending" } else { "Running" },
        "podIP": ip, "podIPs": [{"ip": ip}], "qosClass": "Burstable", "startTime": born,
    })
}

pub(crate) fn nodes(world: &World) -> Vec<Value> {
    world.nodes.iter().zip(0..).map(|(item, k)| node(item, k)).collect()
}

fn node(node: &Node, k: u64) -> Value {
    let (name, uid, born) = (&node.name, node.uid.to_string(), node.born.plain());
    let pool = name.split('-').nth(1).unwrap_or_default();
    let cidr = format!("10.{}.{}.0/24", 128 + k / 256, k % 256);
    let beat = Moment((START + k % 300) * 1_000_000).plain();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "lastHeartbeatTime": beat, "lastTransitionTime": born, "message": format!("kubelet {message}"),
            "reason": reason, "status": status, "type": kind,
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "annotations": {
                "csi.volume.kubernetes.io/nodeid":
                    format!("{{\"disk.csi.azure.com\":\"{name}\",\"file.csi.azure.com\":\"{name}\"}}"),
                "node.alpha.kubernetes.io/ttl": "0",
            },
            "creationTimestamp": born,
            "labels": {
                "agentpool": pool, "kubernetes.azure.com/agentpool": pool,
                "kubernetes.azure.com/cluster": "MC_contoso_contoso_westeurope",
                "kubernetes.azure.com/mode": if pool == "systempool" { "system" } else { "user" },
                "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "Standard_D16s_v5",
                "topology.kubernetes.io/region": "westeurope",
                "topology.kubernetes.io/zone": format!("westeurope-{}", k % 3 + 1),
            },
            "name": name, "resourceVersion": (1_480_000_000 + k * 977).to_string(), "uid": uid,
        },
        "spec": {
            "podCIDR": cidr, "podCIDRs": [cidr],
            "providerID": format!("azure:///subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mc_contoso_contoso_westeurope/providers/Microsoft.Compute/virtualMachineScaleSets/aks-{pool}-26051997-vmss/virtualMachines/{k}"),
        },
        "status": {
            "addresses": [
                {"address": node.ip.to_string(), "type": "InternalIP"}, {"address": name, "type": "Hostname"},
            ],
            "allocatable":
                {"cpu": "15740m", "ephemeral-storage": "119703055367", "memory": "60420036Ki", "pods": "250"},
            "capacity": {"cpu": "16", "ephemeral-storage": "129886128Ki", "memory": "65852356Ki", "pods": "250"},
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "is posting ready status"),
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "osImage": "Ubuntu 22.04.5 LTS",
                "bootID": uid, "systemUUID": uid,
                "machineID": format!("{:016x}{:016x}", node.uid.0, node.uid.1),
                "containerRuntimeVersion": "containerd://1.7.27-1", "kernelVersion": "5.15.0-1089-azure",
                "kubeletVersion": "v1.36.2", "kubeProxyVersion": "",
            },
        },
    })
}

pub(crate) fn namespaces(world: &World) -> Vec<Value> {
    let namespace = |name: &&str| {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": metadata(world, "Namespace", "", name, json!({"kubernetes.io/metadata.name": name})),
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        })
    };
    NAMESPACES.iter().map(namespace).collect()
}

pub(crate) fn service_accounts(world: &World) -> Vec<Value> {
    let service_account = |account: &Account| {
        let mut metadata = metadata(world, "ServiceAccount", account.namespace, &account.name, Value::Null);
        set(&mut metadata, "uid", account.uid.to_string().into());
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    };
    world.accounts.iter().map(service_account).collect()
}

/// The apps that have a service, with their numbers.
fn served(world: &World) -> impl Iterator<Item = (u64, &App)> {
    let few = world.apps.len() < 6;
    (0..).zip(&world.apps).filter(move |(place, _)| place % world.served == 1 % world.served || few)
}

pub(crate) fn services(world: &World) -> Vec<Value> {
    let service = |((_, app), address): ((u64, &App), u32)| {
        let ip = Ipv4Addr::from_bits(address).to_string();
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(world, "Service", app.namespace, &app.name, json!({"app": app.name})),
            "spec": {
                "clusterIP": ip, "clusterIPs": [ip], "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
                "selector": {"app": app.name}, "sessionAffinity": "None", "type": "ClusterIP",
            },
            "status": {"loadBalancer": {}},
        })
    };
    served(world).zip(0x0A00_0064..).map(service).collect()
}

/// The slice of each service: all pods of its app that have an address, ready or not, as in `pods.json`.
pub(crate) fn endpoint_slices(world: &World) -> Vec<Value> {
    let slice = |((place, app), k): ((u64, &App), u64)| {
        let first = world.daemon_pods() + place * world.replicas;
        let pods = (first..(first + world.replicas).min(world.pods)).map(|pod| world.pod(pod));
        let endpoint = |pod: Pod<'_>| {
            json!({
                "addresses": [pod.ip.to_string()],
                "conditions": {"ready": pod.ready(), "serving": pod.ready(), "terminating": false},
                "nodeName": pod.node.name,
                "targetRef":
                    {"kind": "Pod", "name": pod.name, "namespace": app.namespace, "uid": pod.uid.to_string()},
            })
        };
        let endpoints: Value = pods.filter(|pod| pod.health != Health::Pending).map(endpoint).collect();
        let name = format!("{}-{}", app.name, replica_suffix(k, 5));
        let labels = json!({
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": app.name,
        });
        let mut ours = metadata(world, "EndpointSlice", app.namespace, &name, labels);
        let service = metadata(world, "Service", app.namespace, &app.name, Value::Null);
        let owner = json!({
            "apiVersion": "v1", "blockOwnerDeletion": true, "controller": true, "kind": "Service",
            "name": app.name, "uid": service.get("uid"),
        });
        set(&mut ours, "ownerReferences", json!([owner]));
        json!({
            "addressType": "IPv4",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": endpoints,
            "kind": "EndpointSlice",
            "metadata": ours,
            "ports": [{"name": "http", "port": app.port, "protocol": "TCP"}],
        })
    };
    served(world).zip(0..).map(slice).collect()
}

/// For each of the first apps: its pods are reached by the pods of the next one in its namespace, on their port.
pub(crate) fn network_policies(world: &World) -> Vec<Value> {
    let policy = |(app, next): (&App, &App)| {
        let peer = json!({"podSelector": {"matchLabels": {"app": next.name}}});
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(world, "NetworkPolicy", app.namespace, &app.name, Value::Null),
            "spec": {
                "ingress": [{"from": [peer], "ports": [{"port": "http", "protocol": "TCP"}]}],
                "podSelector": {"matchLabels": {"app": app.name}},
                "policyTypes": ["Ingress"],
            },
        })
    };
    let next = world.apps.iter().skip(1);
    world.apps.iter().zip(next).take(world.policies as usize).map(policy).collect()
}
