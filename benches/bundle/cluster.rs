//! The cluster the bundle is of: nodes, apps, service accounts and pods, each a function of the seed and its
//! number.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::act::Act;
use crate::notation::Moment;
use crate::random::{Purpose, Rng, SUFFIX_LETTERS, Uuid, nth};
use crate::words::{
    ACCOUNT_TASKS, CLIENTS, DAEMONS, Daemon, NAMESPACES, OPERATORS, PLATFORM, REFUSALS, ROLES_OF_APPS,
    THINGS, Word,
};

/// Service accounts that are refused something: the first of [`World::accounts`].
pub(crate) const REFUSED_ACCOUNTS: u64 = 60;
const DAY: u64 = 86_400;

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) uid: Uuid,
    pub(crate) certificate: String,
    pub(crate) born: Moment,
}

/// A deployment with its current replica set, or a daemon set. Its pods have one container, named like it.
pub(crate) struct App {
    pub(crate) daemon: bool,
    pub(crate) namespace: Word,
    pub(crate) name: String,
    /// The replica set, or the daemon set itself.
    pub(crate) owner: String,
    pub(crate) owner_uid: Uuid,
    pub(crate) labels: Value,
    pub(crate) image: String,
    pub(crate) image_digest: String,
    pub(crate) account: String,
    pub(crate) host_network: bool,
    pub(crate) port: u16,
}

/// Why a refused account is refused.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    NoBinding,
    RoleTooSmall,
    WrongNamespace,
    DanglingRole,
    WrongVerbs,
    MisspeltSubject,
}

pub(crate) struct Account {
    pub(crate) namespace: Word,
    pub(crate) name: String,
    pub(crate) uid: Uuid,
    pub(crate) agent: String,
    pub(crate) refused: Vec<Act>,
    pub(crate) fault: Fault,
}

impl Account {
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Health {
    Ready,
    CrashLoop,
    OutOfMemory,
    ImagePull,
    NotReady,
    Pending,
}

/// A pod, as all files of the bundle know it.
pub(crate) struct Pod<'w> {
    pub(crate) app: &'w App,
    pub(crate) name: String,
    pub(crate) container_id: String,
    pub(crate) node: &'w Node,
    pub(crate) ip: Ipv4Addr,
    pub(crate) uid: Uuid,
    pub(crate) health: Health,
    pub(crate) born: Moment,
}

impl Pod<'_> {
    pub(crate) fn ready(&self) -> bool {
        matches!(self.health, Health::Ready | Health::OutOfMemory)
    }
}

/// The cluster, and how many records of each sort it takes to fill the bundle's size.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<Node>,
    /// Daemon sets: each has a pod on each node.
    daemons: Vec<App>,
    /// Deployments: each has [`World::replicas`] pods.
    pub(crate) apps: Vec<App>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) pods: u64,
    pub(crate) replicas: u64,
    /// Of so many apps one has a service.
    pub(crate) served: u64,
    /// Apps with a network policy.
    pub(crate) policies: u64,
    /// Roles and bindings beyond those that the refusals need.
    pub(crate) more_rbac: u64,
    pub(crate) requests: u64,
    /// Of 2^32 requests, those that the audit policy keeps (refused ones are always kept).
    pub(crate) audited: u64,
    pub(crate) log_rows: u64,
    pub(crate) event_rows: u64,
}

impl World {
    /// Lays out a cluster of about so many pods; the numbers of the records are for [`crate::archive`].
    pub(crate) fn new(seed: u64, pods: u64) -> Self {
        let node_count = pods / 96 + 3;
        let app_pods = pods.saturating_sub(node_count * DAEMONS.len() as u64).max(1);
        Self::of(seed, node_count, app_pods, app_pods / 24 + 1)
    }

    /// The largest cluster that AKS runs: 5,000 nodes, 150,000 pods, 10,000 services, 2,000 policies, 5,000 roles and
    /// bindings, a million events.
    pub(crate) fn big(seed: u64) -> Self {
        let nodes = 5_000;
        let world = Self::of(seed, nodes, 150_000 - nodes * DAEMONS.len() as u64, 10_000);
        Self { served: 1, policies: 2_000, more_rbac: 4_800, event_rows: 1_000_000, ..world }
    }

    fn of(seed: u64, node_count: u64, app_pods: u64, app_count: u64) -> Self {
        let daemon_pods = node_count * DAEMONS.len() as u64;
        let accounts = new_accounts(seed);
        let mut apps = (0..app_count).map(|k| new_app(seed, k, &accounts)).collect::<Vec<_>>();
        apps.sort_by(|a, b| (a.namespace, &a.name).cmp(&(b.namespace, &b.name)));
        Self {
            seed,
            nodes: (0..node_count).map(|k| new_node(seed, k)).collect(),
            daemons: DAEMONS.iter().map(|daemon| new_daemon(seed, daemon)).collect(),
            apps,
            accounts,
            pods: daemon_pods + app_pods,
            replicas: app_pods.div_ceil(app_count),
            served: 6,
            policies: 0,
            more_rbac: 0,
            requests: 1,
            audited: 1 << 32,
            log_rows: 1,
            event_rows: 1,
        }
    }

    pub(crate) fn daemon_pods(&self) -> u64 {
        (self.nodes.len() * DAEMONS.len()) as u64
    }

    /// The k-th pod: first the daemon sets, node by node, then the apps, replica by replica.
    pub(crate) fn pod(&self, k: u64) -> Pod<'_> {
        let mut rng = Rng::new(self.seed, Purpose::Pod, k);
        let nodes = self.nodes.len() as u64;
        let node = nth(&self.nodes, k);
        let (app, place, owner) = match k.checked_sub(self.daemon_pods()) {
            None => (nth(&self.daemons, k / nodes), k % nodes, k / nodes),
            Some(k) => (nth(&self.apps, k / self.replicas), k % self.replicas, k / self.replicas),
        };
        // Azure CNI overlay: a /24 for each node, so that all addresses differ.
        let overlay = 0x0A80_0000 + (((k % nodes) as u32) << 8) + 4 + (k / nodes) as u32;
        let (uid, container_id, age) = (rng.uuid(), rng.digest(), rng.below(20 * DAY));
        Pod {
            app,
            name: format!("{}-{}", app.owner, replica_suffix(place, owner)),
            container_id,
            node,
            ip: if app.host_network { node.ip } else { Ipv4Addr::from_bits(overlay) },
            uid,
            health: match rng.below(200) {
                _ if app.daemon => Health::Ready,
                0 => Health::CrashLoop,
                1 => Health::OutOfMemory,
                2 => Health::ImagePull,
                3 => Health::NotReady,
                4 => Health::Pending,
                _ => Health::Ready,
            },
            born: if app.daemon { node.born } else { Moment::seconds_before_start(age + 60) },
        }
    }

    pub(crate) fn any_pod(&self, rng: &mut Rng) -> Pod<'_> {
        self.pod(rng.below(self.pods))
    }

    /// Counts up over the bundle, as etcd's revision does.
    pub(crate) fn revision(&self, request: u64) -> u64 {
        1_482_000_000 + self.seed % 1000 + request * 3 / 5
    }
}

/// The end of a replica's name. Multiplied by a number that shares no factor with 27, no two of an owner are
/// alike.
pub(crate) fn replica_suffix(replica: u64, owner: u64) -> String {
    let scrambled = replica * 5_315_411 + owner * 977_017;
    (0..5).map(|digit| char::from(*nth(SUFFIX_LETTERS, scrambled / 27_u64.pow(digit)))).collect()
}

/// A node of a scale set: its name ends in its number there, six digits to the base of 36.
fn new_node(seed: u64, k: u64) -> Node {
    let mut rng = Rng::new(seed, Purpose::Node, k);
    let (pool, number) = if k < 3 { ("systempool", k) } else { ("userpool1", k - 3) };
    let digit = |place| char::from_digit((number / 36_u64.pow(place) % 36) as u32, 36).unwrap_or('0');
    let digits = (0..6).rev().map(digit).collect::<String>();
    Node {
        name: format!("aks-{pool}-26051997-vmss{digits}"),
        ip: Ipv4Addr::from_bits(0x0AE0_0000 + (((k / 250) as u32) << 8) + (k % 250) as u32 + 4),
        uid: rng.uuid(),
        certificate: rng.digest(),
        born: Moment::seconds_before_start(21 * DAY + rng.below(9 * DAY)),
    }
}

fn new_app(seed: u64, k: u64, accounts: &[Account]) -> App {
    let mut rng = Rng::new(seed, Purpose::App, k);
    let namespace = *nth(NAMESPACES, PLATFORM + k % (NAMESPACES.len() as u64 - PLATFORM));
    let things = THINGS.len() as u64;
    let round = k / (things * ROLES_OF_APPS.len() as u64);
    let version = if round == 0 { String::new() } else { format!("-v{}", round + 1) };
    let name = format!("{}-{}{version}", nth(THINGS, k), nth(ROLES_OF_APPS, k / things));
    let mut ours = accounts.iter().filter(|account| account.namespace == namespace && k.is_multiple_of(3));
    let tag = format!("{}.{}.{}", rng.below(5), rng.below(40), rng.below(12));
    let hash = rng.suffix(10);
    App {
        daemon: false,
        namespace,
        owner: format!("{name}-{hash}"),
        owner_uid: rng.uuid(),
        labels: json!({"app": name, "app.kubernetes.io/part-of": namespace, "pod-template-hash": hash}),
        image: format!("contoso.azurecr.io/{namespace}/{name}:{tag}"),
        image_digest: rng.digest(),
        account: ours.next().map_or("default", |account| &account.name).to_owned(),
        host_network: false,
        port: *rng.pick(&[8080, 8080, 8080, 3000, 5000, 8000, 8443, 9090]),
        name,
    }
}

fn new_daemon(seed: u64, &(name, image, host_network, port): &Daemon) -> App {
    App {
        daemon: true,
        namespace: "kube-system",
        name: name.to_owned(),
        owner: name.to_owned(),
        owner_uid: Rng::new(seed, Purpose::Pod, u64::from(port) << 41).uuid(),
        labels: json!({"controller-revision-hash": "6b9f7c5d8f", "k8s-app": name, "pod-template-generation": "4"}),
        image: image.to_owned(),
        image_digest: format!("{port:016x}{}", "0000000000000007".repeat(3)),
        account: name.to_owned(),
        host_network,
        port,
    }
}

/// The accounts that are refused something, those of the platform, and the `default` of each namespace.
fn new_accounts(seed: u64) -> Vec<Account> {
    let mut all = Vec::new();
    let mut add = |namespace, name: &str, agent: &str, refused, fault| {
        let uid = Rng::new(seed, Purpose::Account, 1_000 + all.len() as u64).uuid();
        all.push(Account { namespace, name: name.to_owned(), uid, agent: agent.to_owned(), refused, fault });
    };
    let faults = [
        Fault::NoBinding,
        Fault::RoleTooSmall,
        Fault::WrongNamespace,
        Fault::DanglingRole,
        Fault::WrongVerbs,
        Fault::MisspeltSubject,
    ];
    for k in 0..REFUSED_ACCOUNTS {
        let mut rng = Rng::new(seed, Purpose::Account, k);
        let namespace = *nth(NAMESPACES, PLATFORM + k * 5 % (NAMESPACES.len() as u64 - PLATFORM));
        let name = format!("{}-{}", nth(THINGS, k * 11), nth(ACCOUNT_TASKS, k + k / 7));
        let ours = format!("{name}/v2.{}.{} (linux/amd64) kubernetes/$Format", rng.below(20), rng.below(9));
        let agent = if rng.one_in(3) { &ours } else { *rng.pick(CLIENTS) };
        let first = rng.below(REFUSALS.len() as u64);
        let refused =
            (0..=rng.below(3)).map(|n| Act::refused(nth(REFUSALS, first + n * 7), namespace, &name));
        add(namespace, &name, agent, refused.collect(), *nth(&faults, k));
    }
    for (namespace, name, agent) in OPERATORS {
        add(namespace, name, agent, Vec::new(), Fault::None);
    }
    for (name, ..) in DAEMONS.iter().filter(|daemon| OPERATORS.iter().all(|other| other.1 != daemon.0)) {
        add("kube-system", name, "", Vec::new(), Fault::None);
    }
    for (k, namespace) in NAMESPACES.iter().enumerate() {
        let agent = *nth(CLIENTS, k as u64);
        add(namespace, "default", agent, Vec::new(), Fault::None);
    }
    all
}
