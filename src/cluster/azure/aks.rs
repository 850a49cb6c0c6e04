//! The AKS cluster itself, as `az aks show` or the resource manager describes it.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::{at, ids, range, texts};
use crate::evidence::Evidence;
use crate::facts::text::shell;
use crate::facts::{AzureResource, Place};

/// Which Azure cloud: names of services differ between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// Public.
    #[default]
    Public,
    /// US Government.
    Government,
    /// China, operated by 21Vianet.
    China,
}

/// The HTTP proxy that nodes and pods are told to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpProxy {
    /// `httpProxy` and `httpsProxy`, as written, with the field's name; those that are set.
    pub urls: Vec<(&'static str, String)>,
    /// What the user takes out of it.
    pub exceptions: Vec<String>,
    /// The same with what AKS adds; empty where the description does not say it.
    pub effective: Vec<String>,
    /// A certificate authority of its own is named.
    pub has_authority: bool,
}

/// An AKS cluster.
// The switches of the service are what they are.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default)]
pub struct AksCluster {
    /// In lower case; empty when only a part of its description is there.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its resource group.
    pub group: String,
    /// Where it stands in the bundle.
    pub place: Option<Place>,
    /// More of it than its authorised ranges is known.
    pub whole: bool,
    /// Ranges from which the API server may be reached, as written; none: from everywhere.
    pub ranges: Vec<String>,
    /// The API server has a private address.
    pub private: bool,
    /// A private cluster whose name is known in public DNS, too.
    pub public_name: bool,
    /// Public name.
    pub fqdn: String,
    /// Private name.
    pub private_fqdn: String,
    /// `system`, `none` or the id of a zone.
    pub private_zone: String,
    /// `loadBalancer`, `userDefinedRouting`, …
    pub outbound: String,
    /// `Running`, `Stopped`.
    pub power: String,
    /// `Succeeded`, `Failed`, `Updating`, …
    pub provisioning: String,
    /// `dnsServiceIp`.
    pub dns_ip: String,
    /// Local accounts can't be used.
    pub no_local_accounts: bool,
    /// Ids of the subnets of nodes, in lower case.
    pub subnets: Vec<String>,
    /// Ids of the public addresses by which nodes leave, in lower case.
    pub outbound_ids: Vec<String>,
    /// Ports per node on the load balancer; 0: by the size of the cluster.
    pub ports_per_node: u64,
    /// Nodes, by the pools' counts.
    pub nodes: u64,
    /// Region, without spaces, in lower case.
    pub region: String,
    /// Monitoring is on.
    pub monitoring: bool,
    /// Azure Policy is on.
    pub policy: bool,
    /// `Free`, `Standard`, `Premium`.
    pub tier: String,
    /// The HTTP proxy, unless there is none or it is switched off.
    pub proxy: Option<HttpProxy>,
    /// Ranges of services, as written.
    pub service_ranges: Vec<String>,
    /// Ranges of pods that are not of the network, as written.
    pub pod_ranges: Vec<String>,
    /// Pools of Windows nodes, and of availability sets, by name.
    pub pools_without_proxy: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UpgradePool {
    name: Option<String>,
    count: Option<u64>,
    ostype: Option<String>,
    r#type: Option<String>,
    vnetsubnetid: Option<String>,
}

/// `httpProxyConfig`: null, empty and switched off are none.
fn proxy(value: &Value) -> Option<HttpProxy> {
    let url = |name: &'static str, key: &str| {
        let text = value.get(key)?.as_str().filter(|text| !text.is_empty())?;
        Some((name, text.to_owned()))
    };
    let urls: Vec<_> =
        [url("httpProxy", "httpproxy"), url("httpsProxy", "httpsproxy")].into_iter().flatten().collect();
    let off = value.get("enabled").and_then(Value::as_bool) == Some(false);
    (!off && !urls.is_empty()).then(|| HttpProxy {
        urls,
        exceptions: texts(value.get("noproxy")),
        effective: texts(value.get("effectivenoproxy")),
        has_authority: value.get("trustedca").and_then(Value::as_str).is_some_and(|text| !text.is_empty()),
    })
}

impl AksCluster {
    /// The range that holds an address.
    pub fn allows(&self, ip: IpAddr) -> Option<&str> {
        let holds = |text: &&String| range(text).is_some_and(|range| range.contains(&ip));
        self.ranges.iter().find(holds).map(String::as_str)
    }

    /// Only the cluster's own outbound address may reach the API server.
    pub fn only_itself(&self) -> bool {
        !self.ranges.is_empty() && self.ranges.iter().all(|range| range.starts_with("0.0.0.0/32"))
    }

    /// `-g group -n name`, as words of a shell.
    pub fn named(&self) -> String {
        let or = |text: &str, otherwise: &str| {
            if text.is_empty() { otherwise.to_owned() } else { shell(text) }
        };
        format!("-g {} -n {}", or(&self.group, "RESOURCE_GROUP"), or(&self.name, "CLUSTER"))
    }

    /// For people: the name, or what stands for it.
    pub fn label(&self) -> String {
        if self.name.is_empty() { "the cluster".to_owned() } else { format!("cluster {}", self.name) }
    }

    /// Which cloud it runs in, by its names.
    pub fn cloud(&self) -> Cloud {
        let names = [&self.fqdn, &self.private_fqdn];
        let any = |end: &str| names.iter().any(|name| name.ends_with(end));
        if any(".azure.us") || self.region.starts_with("usgov") {
            Cloud::Government
        } else if any(".azk8s.cn") || self.region.starts_with("china") {
            Cloud::China
        } else {
            Cloud::Public
        }
    }

    /// As evidence, with words on what it says.
    pub fn evidence(&self, field: &str, words: &str) -> Option<Evidence> {
        Some(at(self.place.as_ref()?, &format!("AKS {}, {field}", self.label()), words))
    }

    pub(super) fn read(place: &Place, resource: &AzureResource) -> Self {
        let get = |path: &[&str]| path.iter().try_fold(&resource.value, |value, key| value.get(key));
        let text = |path: &[&str]| get(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |path: &[&str]| get(path).and_then(Value::as_bool).unwrap_or(false);
        let pools: Vec<UpgradePool> = resource.part("agentpoolprofiles");
        let access = "apiserveraccessprofile";
        let mut ranges = texts(get(&[access, "authorizedipranges"]));
        // API versions of 2019.
        ranges.extend(texts(get(&["apiserverauthorizedipranges"])));
        let network = "networkprofile";
        // Clusters with one family have the singular, those with two the plural as well.
        let one_or_many = |key: &str| {
            let many = texts(get(&[network, &format!("{key}s")]));
            if many.is_empty() { texts(get(&[network, key])) } else { many }
        };
        let mut outbound_ids = ids(get(&[network, "loadbalancerprofile", "effectiveoutboundips"]));
        outbound_ids.extend(ids(get(&[network, "natgatewayprofile", "effectiveoutboundips"])));
        let of_id = resource.id.split('/').skip_while(|part| *part != "resourcegroups").nth(1);
        let group = text(&["resourcegroup"]);
        Self {
            id: resource.id.to_string(),
            name: resource.name.to_string(),
            group: if group.is_empty() { of_id.unwrap_or_default().to_owned() } else { group },
            place: Some(place.clone()),
            whole: get(&[network]).is_some() || !pools.is_empty(),
            ranges,
            private: flag(&[access, "enableprivatecluster"]),
            public_name: flag(&[access, "enableprivateclusterpublicfqdn"]),
            fqdn: text(&["fqdn"]),
            private_fqdn: text(&["privatefqdn"]),
            private_zone: text(&[access, "privatednszone"]),
            outbound: text(&[network, "outboundtype"]),
            power: text(&["powerstate", "code"]),
            provisioning: text(&["provisioningstate"]),
            dns_ip: text(&[network, "dnsserviceip"]),
            no_local_accounts: flag(&["disablelocalaccounts"]),
            subnets: pools
                .iter()
                .filter_map(|pool| pool.vnetsubnetid.as_ref())
                .map(|id| id.to_ascii_lowercase())
                .collect(),
            outbound_ids,
            ports_per_node: get(&[network, "loadbalancerprofile", "allocatedoutboundports"])
                .and_then(Value::as_u64)
                .unwrap_or(0),
            nodes: pools.iter().filter_map(|pool| pool.count).sum(),
            region: text(&["location"]).replace(' ', "").to_ascii_lowercase(),
            monitoring: flag(&["addonprofiles", "omsagent", "enabled"]),
            policy: flag(&["addonprofiles", "azurepolicy", "enabled"]),
            tier: text(&["sku", "tier"]),
            proxy: get(&["httpproxyconfig"]).and_then(proxy),
            service_ranges: one_or_many("servicecidr"),
            pod_ranges: one_or_many("podcidr"),
            pools_without_proxy: pools
                .iter()
                .filter(|pool| {
                    let is = |value: &Option<String>, word: &str| {
                        value.as_deref().is_some_and(|ours| ours.eq_ignore_ascii_case(word))
                    };
                    is(&pool.ostype, "windows") || is(&pool.r#type, "availabilityset")
                })
                .filter_map(|pool| pool.name.clone())
                .collect(),
        }
    }

    /// Whether two descriptions are of one cluster: by their ids, else by what both of them name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        if !self.id.is_empty() && !other.id.is_empty() {
            return self.id == other.id;
        }
        let same = |a: &str, b: &str| a.is_empty() || b.is_empty() || a.eq_ignore_ascii_case(b);
        same(&self.name, &other.name) && same(&self.group, &other.group)
    }

    /// Completes a part of a description by the whole, which is right where they differ.
    pub(super) fn complete(&mut self, other: Self) {
        if !self.whole {
            let part = std::mem::replace(self, other);
            if !self.whole && self.ranges.is_empty() {
                self.ranges = part.ranges;
            }
        }
    }
}
