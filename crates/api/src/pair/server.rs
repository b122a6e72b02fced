//! Where the two servers run, and where they keep their leases.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::pair::defaults;

/// One of the two servers: exactly one of `pod` and `external`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("has(self.pod) != has(self.external)").message("needs exactly one of pod and external"))
)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// A server that the operator runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodServer>,
    /// A server that somebody else runs, such as an ISC dhcpd. The link is then `Plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalServer>,
}

/// A server that runs as a pod on the node's network.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PodServer {
    /// Labels of the node that it runs on. The two servers of a pair never share a node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Network interface of the node on which clients and relays are answered.
    #[schemars(length(min = 1, max = 15), pattern(r"^[^/\s]+$"))]
    pub interface: String,
    /// Address of the server: server identifier, link and admin API. Default: the first IPv4
    /// address of the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub address: Option<Ipv4Addr>,
}

/// A server outside the operator's reach.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExternalServer {
    /// Address from which it connects and on which it listens.
    #[schemars(length(max = 15))]
    pub address: Ipv4Addr,
    /// Port on which it listens.
    #[serde(default = "defaults::external_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// Where each server keeps its leases.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Storage class of the lease volumes. Default: the cluster's default class. Prefer local
    /// volumes: storage that itself needs DHCP is a circle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Size of each lease volume. 1Gi holds some millions of leases.
    #[serde(default = "defaults::storage_size")]
    #[schemars(length(min = 1, max = 32), pattern(r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"))]
    pub size: String,
    /// What becomes of the lease volumes when the pair is deleted: `Retain` keeps them, and a pair
    /// of the same name takes them up again; `Delete` removes them and every lease with them.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            storage_class_name: None,
            size: defaults::storage_size(),
            deletion_policy: DeletionPolicy::default(),
        }
    }
}

/// What becomes of the lease volumes when the pair is deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum DeletionPolicy {
    /// They stay; a pair of the same name takes them up again.
    #[default]
    Retain,
    /// They are deleted with the pair, and every lease with them.
    Delete,
}
