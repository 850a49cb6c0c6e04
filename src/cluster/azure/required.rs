//! What nodes of AKS must reach outside, by cloud and configuration, as of 2026-06-18
//! (<https://learn.microsoft.com/azure/aks/outbound-rules-control-egress>).

use super::{AksCluster, Cloud};

/// One thing that nodes must reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// A host name, `*.` for any one or more labels before it.
    pub name: String,
    /// The port.
    pub port: u16,
    /// What does not work without it.
    pub purpose: &'static str,
}

impl Requirement {
    /// Whether a host name is meant.
    pub fn matches(&self, host: &str) -> bool {
        fits(&self.name, host)
    }
}

/// Whether a pattern of names covers a host: `*.x` covers every name below `x`, `*` covers all.
pub fn fits(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.trim_end_matches('.').to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(rest) => host.len() > rest.len() && host.ends_with(rest) || rest.is_empty(),
        None => pattern == host,
    }
}

const API: &str = "nodes talk to the API server";
const IMAGES: &str = "system images can be pulled";
const AZURE: &str = "Azure manages the cluster's load balancers and disks";
const SIGN_IN: &str = "the cluster's identity signs in";
const PACKAGES: &str = "nodes install the CNI, kubelet and packages";
const MONITORING: &str = "Container Insights sends logs and metrics";
const POLICY: &str = "Azure Policy fetches its rules";
const UPDATES: &str = "Linux nodes install security updates";

/// What is required, most important first. Without a cluster in the bundle, that of the public cloud.
pub fn required(cluster: Option<&AksCluster>) -> Vec<Requirement> {
    let cloud = cluster.map(AksCluster::cloud).unwrap_or_default();
    let region = cluster.map_or("", |cluster| cluster.region.as_str());
    let region = if region.is_empty() { "*" } else { region };
    let private = cluster.is_some_and(|cluster| cluster.private);
    let mut found: Vec<(String, u16, &'static str)> = Vec::new();
    let mut add = |names: &[&str], port: u16, purpose: &'static str| {
        found.extend(names.iter().map(|name| ((*name).to_owned(), port, purpose)));
    };
    if !private {
        match cloud {
            Cloud::Public if region == "*" => add(&["*.azmk8s.io"], 443, API),
            Cloud::Public => add(&[&format!("*.hcp.{region}.azmk8s.io")], 443, API),
            Cloud::Government => add(&["*.cx.aks.containerservice.azure.us"], 443, API),
            Cloud::China => add(&["*.cx.prod.service.azk8s.cn"], 443, API),
        }
    }
    match cloud {
        Cloud::Public | Cloud::Government => {
            add(&["mcr.microsoft.com", "*.data.mcr.microsoft.com", "mcr-0001.mcr-msedge.net"], 443, IMAGES);
        }
        Cloud::China => add(&["mcr.azure.cn", "*.data.mcr.azure.cn", "mcr.microsoft.com"], 443, IMAGES),
    }
    match cloud {
        Cloud::Public => {
            add(&["management.azure.com"], 443, AZURE);
            add(&["login.microsoftonline.com"], 443, SIGN_IN);
        }
        Cloud::Government => {
            add(&["management.usgovcloudapi.net"], 443, AZURE);
            add(&["login.microsoftonline.us"], 443, SIGN_IN);
        }
        Cloud::China => {
            add(&["management.chinacloudapi.cn"], 443, AZURE);
            add(&["login.chinacloudapi.cn"], 443, SIGN_IN);
        }
    }
    add(&["packages.aks.azure.com", "acs-mirror.azureedge.net", "packages.microsoft.com"], 443, PACKAGES);
    add(&["security.ubuntu.com", "azure.archive.ubuntu.com", "changelogs.ubuntu.com"], 80, UPDATES);
    add(&["snapshot.ubuntu.com"], 443, UPDATES);
    if cluster.is_none_or(|cluster| cluster.monitoring) {
        let names = [
            "*.ods.opinsights.azure.com",
            "*.oms.opinsights.azure.com",
            "*.monitoring.azure.com",
            "dc.services.visualstudio.com",
            "global.handler.control.monitor.azure.com",
            "*.handler.control.monitor.azure.com",
            "*.ingest.monitor.azure.com",
        ];
        add(&names, 443, MONITORING);
    }
    if cluster.is_none_or(|cluster| cluster.policy) {
        add(&["data.policy.core.windows.net", "store.policy.core.windows.net"], 443, POLICY);
    }
    found.into_iter().map(|(name, port, purpose)| Requirement { name, port, purpose }).collect()
}

/// Whether the cluster can't work without it: not updates, monitoring, policy.
pub fn vital(requirement: &Requirement) -> bool {
    // The old package server goes; nodes of today ask another one.
    !matches!(requirement.purpose, MONITORING | POLICY | UPDATES)
        && requirement.name != "acs-mirror.azureedge.net"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_the_cloud_and_the_configuration() {
        let cluster = AksCluster {
            region: "westeurope".into(),
            fqdn: "a.hcp.westeurope.azmk8s.io".into(),
            ..AksCluster::default()
        };
        let all = required(Some(&cluster));
        assert!(all.iter().any(|item| item.matches("prod-1.hcp.westeurope.azmk8s.io") && vital(item)));
        assert!(!all.iter().any(|item| item.matches("prod-1.hcp.northeurope.azmk8s.io")));
        assert!(!all.iter().any(|item| item.purpose == MONITORING));
        let private = AksCluster { private: true, ..cluster };
        assert!(!required(Some(&private)).iter().any(|item| item.purpose == API));
        let china = AksCluster { region: "chinaeast2".into(), ..AksCluster::default() };
        assert!(required(Some(&china)).iter().any(|item| item.name == "mcr.azure.cn"));
    }

    #[test]
    fn a_star_covers_names_below_and_not_the_name_itself() {
        assert!(fits("*.data.mcr.microsoft.com", "eastus.data.mcr.microsoft.com"));
        assert!(!fits("*.data.mcr.microsoft.com", "data.mcr.microsoft.com"));
        assert!(!fits("mcr.microsoft.com", "evilmcr.microsoft.com"));
        assert!(fits("*", "anything"));
    }
}
