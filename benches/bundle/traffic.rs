//! What goes on in a cluster all day, in about the proportions of a busy one: kubelets, the control plane,
//! operators and people, health probes.

use crate::act::{Act, act};
use crate::cluster::{REFUSED_ACCOUNTS, World};
use crate::random::{Purpose, Rng, nth};
use crate::requests::{BUILD, Caller, allowed, node_caller};
use crate::words::{OPERATORS, RESOURCES};

const LEASES: &str = "coordination.k8s.io/v1";

impl World {
    pub(crate) fn ordinary(&self, k: u64, rng: &mut Rng) -> (Caller, Act) {
        match rng.below(100) {
            0..45 => self.kubelet(rng, k),
            45..68 => self.control_plane(rng, k),
            68..94 => self.client(rng, k),
            _ => self.probe(rng),
        }
    }

    fn kubelet(&self, rng: &mut Rng, k: u64) -> (Caller, Act) {
        let pod = self.any_pod(rng);
        let (node, namespace) = (&pod.node.name, pod.app.namespace);
        let mut caller = node_caller(pod.node);
        let high = ("node-high", "system-node-high");
        let act = match rng.below(45) {
            0..17 => {
                caller.flow = high;
                act("update", LEASES, "leases", "kube-node-lease", node).query("timeout=10s")
            }
            17..22 => act("patch", "v1", "pods/status", namespace, pod.name),
            22..25 => act("get", "v1", "pods", namespace, pod.name),
            25..30 => act("create", "v1", "serviceaccounts/token", namespace, &pod.app.account),
            30..32 => {
                caller.flow = high;
                act("patch", "v1", "nodes/status", "", node).query("timeout=10s")
            }
            32..34 => act("get", "v1", "nodes", "", node).query("resourceVersion=0&timeout=10s"),
            34..39 => {
                let (resource, name) = match rng.below(3) {
                    0 => ("secrets", format!("{}-tls", pod.app.name)),
                    1 => ("configmaps", format!("{}-config", pod.app.name)),
                    _ => ("configmaps", "kube-root-ca.crt".to_owned()),
                };
                let selector = format!("&fieldSelector=metadata.name%3D{name}");
                self.watch(rng, k, act("watch", "v1", resource, namespace, "").query(selector))
            }
            39..42 => act("create", "v1", "events", namespace, ""),
            _ => {
                let event = format!("{}.18{:014x}", pod.name, rng.draw() >> 8);
                act("patch", "v1", "events", namespace, event)
            }
        };
        (caller, act)
    }

    fn control_plane(&self, rng: &mut Rng, k: u64) -> (Caller, Act) {
        let pod = self.any_pod(rng);
        let app = rng.pick(&self.apps);
        let (of_app, of_pod) = (app.namespace, pod.app.namespace);
        let controller = |name, act| (self.controller(name), act);
        match rng.below(23) {
            0..5 => {
                let name = *rng.pick(&[
                    "kube-scheduler",
                    "kube-controller-manager",
                    "cloud-controller-manager",
                    "cluster-autoscaler",
                ]);
                let agent = format!("{name}/{BUILD}/leader-election");
                let flow = ("leader-election", "system-leader-election");
                let verb = if rng.one_in(3) { "get" } else { "update" };
                let act = act(verb, LEASES, "leases", "kube-system", name).query("timeout=5s");
                (self.user_caller(&format!("system:{name}"), "", &agent, flow), act)
            }
            5..9 => {
                let slice = format!("{}-{}", app.name, rng.suffix(5));
                let act = act("update", "discovery.k8s.io/v1", "endpointslices", of_app, slice);
                controller("endpointslice-controller", act)
            }
            9..12 => {
                let act = act("update", "apps/v1", "replicasets/status", of_app, &app.owner);
                controller("replicaset-controller", act)
            }
            12..14 => {
                let act = act("update", "apps/v1", "deployments/status", of_app, &app.name);
                controller("deployment-controller", act)
            }
            14 => controller("replicaset-controller", act("create", "v1", "pods", of_app, "")),
            15 => controller("pod-garbage-collector", act("delete", "v1", "pods", of_pod, pod.name)),
            16 => {
                let name = *rng.pick(&[
                    "horizontal-pod-autoscaler",
                    "cronjob-controller",
                    "job-controller",
                    "namespace-controller",
                ]);
                controller(name, act("list", "batch/v1", "jobs", of_pod, "").query("limit=500"))
            }
            17..20 => {
                let act = match rng.below(3) {
                    0 => act("create", "v1", "pods/binding", of_pod, pod.name),
                    1 => act("patch", "v1", "pods/status", of_pod, pod.name),
                    _ => act("create", "events.k8s.io/v1", "events", of_pod, ""),
                };
                let (user, agent) = ("system:kube-scheduler", format!("kube-scheduler/{BUILD}/scheduler"));
                (self.user_caller(user, "", &agent, ("workload-high", "kube-scheduler")), act)
            }
            _ => {
                let (api, resource) = *rng.pick(RESOURCES);
                let name = *rng.pick(&["resourcequota-controller", "generic-garbage-collector"]);
                controller(name, self.watch(rng, k, act("watch", api, resource, "", "")))
            }
        }
    }

    fn client(&self, rng: &mut Rng, k: u64) -> (Caller, Act) {
        if rng.one_in(12) {
            return self.person(rng);
        }
        if rng.one_in(15) {
            // All that a refused account is ever allowed, so that no refusal is contradicted elsewhere in the
            // bundle.
            let caller = self.account_caller(nth(&self.accounts, rng.below(REFUSED_ACCOUNTS)), k);
            let reason = allowed("system:discovery", "Group \"system:authenticated\"");
            return (Caller { reason, ..caller }, Act::path("/apis").query("timeout=32s"));
        }
        let account = nth(&self.accounts, REFUSED_ACCOUNTS + rng.below(OPERATORS.len() as u64));
        let app = rng.pick(&self.apps);
        let (namespace, name) = (app.namespace, &app.name);
        let act = match rng.below(24) {
            0..4 => {
                let verb = if rng.one_in(2) { "get" } else { "update" };
                act(verb, LEASES, "leases", account.namespace, format!("{}-leader", account.name))
            }
            4..7 => {
                let (api, resource) = *rng.pick(RESOURCES);
                self.watch(rng, k, act("watch", api, resource, "", ""))
            }
            7..9 => act("get", "v1", "configmaps", namespace, format!("{name}-config")),
            9 => act("update", "v1", "configmaps", namespace, format!("{name}-state")),
            10 => act("get", "v1", "secrets", namespace, format!("{name}-tls")),
            11 => {
                let pod = self.any_pod(rng);
                act("get", "v1", "pods", pod.app.namespace, pod.name)
            }
            12..14 => act("list", "v1", "pods", namespace, "")
                .query(format!("labelSelector=app%3D{name}&limit=500")),
            14 => act("get", "apps/v1", "deployments", namespace, name),
            15 => act("patch", "apps/v1", "deployments", namespace, name)
                .query("fieldManager=argocd-controller"),
            16 => {
                let seconds = Rng::new(self.seed, Purpose::Noise, k).draw() % 30 + 5;
                act("create", "v1", "events", namespace, "").query(format!("timeout={seconds}s"))
            }
            17..19 => act("create", "authorization.k8s.io/v1", "subjectaccessreviews", "", ""),
            19 => act("create", "authentication.k8s.io/v1", "tokenreviews", "", ""),
            20 => act("list", "metrics.k8s.io/v1beta1", "pods", namespace, ""),
            21 => act("update", "argoproj.io/v1alpha1", "applications/status", "argocd", name),
            22 => act("get", "cert-manager.io/v1", "certificates", namespace, format!("{name}-tls")),
            _ => self.browse(rng),
        };
        (self.account_caller(account, k), act)
    }

    fn person(&self, rng: &mut Rng) -> (Caller, Act) {
        let name = *rng.pick(&["alice", "bruno", "chen", "dora.m"]);
        let agent = *rng.pick(&[
            "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
            "kubectl/v1.33.3 (darwin/arm64) kubernetes/80779bd",
            "kubectl/v1.32.7 (windows/amd64) kubernetes/158eee9",
            "k9s/v0.50.9 (linux/amd64) kubernetes/$Format",
            "Lens/2025.7.161250 (win32 x64)",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
        ]);
        let (user, flow) = (format!("{name}@contoso.com"), ("global-default", "global-default"));
        (self.user_caller(&user, "contoso:platform-team", agent, flow), self.browse(rng))
    }

    /// What a person or a dashboard does: long lists, page by page, and one object after the other.
    fn browse(&self, rng: &mut Rng) -> Act {
        let (api, resource) = *rng.pick(RESOURCES);
        let app = rng.pick(&self.apps);
        match rng.below(5) {
            0 => {
                let page = rng.letters(72);
                act("list", api, resource, "", "")
                    .query(format!("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6{page}&limit=500"))
            }
            1 => act("list", api, resource, app.namespace, "").query("limit=500"),
            2 => act("get", "apps/v1", "deployments", app.namespace, &app.name),
            3 => Act::path("/apis").query("timeout=32s"),
            _ => {
                let (pod, lines) = (self.any_pod(rng), rng.below(900) + 100);
                act("get", "v1", "pods/log", pod.app.namespace, pod.name)
                    .query(format!("container={}&tailLines={lines}", pod.app.name))
            }
        }
    }

    fn probe(&self, rng: &mut Rng) -> (Caller, Act) {
        let agents = ["kube-probe/1.36", "Prometheus/3.5.0", "aksService/1.0", "Go-http-client/1.1"];
        let paths = ["/livez", "/readyz", "/healthz", "/metrics", "/version", "/openapi/v3", "/apis"];
        let (agent, path) = (*rng.pick(&agents), *rng.pick(&paths));
        (
            self.user_caller("system:aks-service", "system:masters", agent, ("exempt", "exempt")),
            Act::path(path),
        )
    }

    fn watch(&self, rng: &mut Rng, k: u64, act: Act) -> Act {
        act.watching(300 + rng.below(300), self.revision(k) - rng.below(5_000))
    }
}
