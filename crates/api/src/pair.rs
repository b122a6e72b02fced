//! The `DhcpFailoverPair` object as a user writes it.
//!
//! These types parse; [`crate::config::PairConfig`] checks. A field that is absent here has its
//! default filled in by the API server's schema or, for a bare manifest, by serde.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Group and version of the object.
pub const API_VERSION: &str = "dhcpfailover.io/v1alpha1";
/// Kind of the object.
pub const KIND: &str = "DhcpFailoverPair";

/// A manifest on its own, as `dhcp-pod serve --pair FILE` and `PUT /v1/config` read it.
///
/// The same document as the Kubernetes object, without a dependency on Kubernetes' types.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PairManifest {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Name and namespace.
    pub metadata: ManifestMetadata,
    /// What is asked for.
    pub spec: PairSpec,
}

/// The part of an object's metadata that a server needs.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestMetadata {
    /// Name of the pair.
    pub name: String,
    /// Namespace; a bare manifest without one is in `default`.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// UID of the object, if it came from an API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Generation of the object, if it came from an API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// Two DHCPv4 servers that share their address pools by the DHCP failover protocol.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::CustomResource, kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    kube(
        group = "dhcpfailover.io",
        version = "v1alpha1",
        kind = "DhcpFailoverPair",
        plural = "dhcpfailoverpairs",
        shortname = "dfp",
        namespaced,
        status = "crate::status::PairStatus"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PairSpec {
    /// Name of the relationship on the wire. Default: `<namespace>-<name>`. Both partners must use
    /// the same; it can never be added, changed or removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relationship: Option<String>,
    /// Maximum client lead time in seconds: how far a lease may run ahead of what the partner
    /// knows. Short means quick take-over and short first leases. 60 to 604800.
    #[serde(default = "defaults::mclt_seconds")]
    pub mclt_seconds: u32,
    /// Share of the available addresses that the secondary holds, in percent. With load balancing
    /// the share is always 50 and this is ignored, as status says. 0 to 100.
    #[serde(default = "defaults::backup_pct")]
    pub backup_pct: u8,
    /// Both servers answer, each its half of the clients (RFC 3074). Absent: the primary answers
    /// while both are in Normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancing: Option<LoadBalancing>,
    /// How the two servers talk to each other.
    #[serde(default)]
    pub link: Link,
    /// The server that leads: it owns the free addresses and sends CONNECT.
    pub primary: Server,
    /// The other server. Absent: one server alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<Server>,
    /// Where each server keeps its leases.
    #[serde(default)]
    pub storage: Storage,
    /// Subnets that the pair serves. Both servers serve all of them.
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    /// Lease length while the partner is known to be down: the full length, or the MCLT.
    #[serde(default)]
    pub partner_down_lease_time: PartnerDownLeaseTime,
    /// What a starting server does that does not find its partner: go on from its previous state,
    /// or wait.
    #[serde(default)]
    pub startup_expiry: StartupExpiry,
    /// Service while a conflict resolution is interrupted: renewals only, or also new leases from
    /// the server's own share.
    #[serde(default)]
    pub ri_serve: RiServe,
    /// Never let a lease run ahead of what an ISC dhcpd as partner would wait for in its
    /// partner-down state. Leases then stay near the MCLT.
    #[serde(default)]
    pub strict_isc_lead: bool,
}

/// Which server answers which client while both are in Normal.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancing {
    /// How many of the 256 hash buckets the primary answers. 0 to 256; 128 if neither this nor
    /// `hba` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<u16>,
    /// The buckets of the primary as a map of 256 bits in 64 hex digits, instead of `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hba: Option<String>,
    /// A client that has waited longer than this many seconds is answered by both. 0 to 255.
    #[serde(default = "defaults::max_seconds")]
    pub max_seconds: u16,
}

/// How the two servers talk to each other.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// A message is sent at least this often. 1 to 600.
    #[serde(default = "defaults::poll_interval_seconds")]
    pub poll_interval_seconds: u32,
    /// The partner counts as lost after this much silence. 5 to 3600, at least three intervals.
    #[serde(default = "defaults::poll_timeout_seconds")]
    pub poll_timeout_seconds: u32,
    /// Updates that the partner may send before it has an answer. 1 to 1000.
    #[serde(default = "defaults::max_unacked")]
    pub max_unacked: u32,
    /// `MutualTLS` between own servers; `Plain` for an ISC dhcpd as partner.
    #[serde(default)]
    pub security: LinkSecurity,
    /// TCP port of both servers. Default: one per pair, allocated by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            poll_interval_seconds: defaults::poll_interval_seconds(),
            poll_timeout_seconds: defaults::poll_timeout_seconds(),
            max_unacked: defaults::max_unacked(),
            security: LinkSecurity::default(),
            port: None,
        }
    }
}

/// Protection of the link between the servers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum LinkSecurity {
    /// Each server proves itself with a certificate of the pair's own CA.
    #[default]
    #[serde(rename = "MutualTLS")]
    MutualTls,
    /// Bare TCP, as ISC dhcpd speaks it. The partner is known by its address only.
    Plain,
}

/// One of the two servers: exactly one of `pod` and `external`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
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
    /// Labels of the node that it runs on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Network interface of the node on which clients and relays are answered.
    pub interface: String,
    /// Address of the server: server identifier, link and admin API. Default: the first IPv4
    /// address of the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
}

/// A server outside the operator's reach.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExternalServer {
    /// Address from which it connects and on which it listens.
    pub address: Ipv4Addr,
    /// Port on which it listens.
    #[serde(default = "defaults::external_port")]
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
    pub storage_class_name: Option<String>,
    /// Size of each lease volume.
    #[serde(default = "defaults::storage_size")]
    pub size: String,
    /// What becomes of the lease volumes when the pair is deleted.
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

/// A subnet that the pair serves.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    /// The subnet in CIDR notation, without host bits, such as `10.77.0.0/24`.
    pub cidr: String,
    /// Ranges of addresses for clients without a reservation. They must not overlap.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// Length of a lease that the partner knows of, in seconds. 4294967295 means without end.
    #[serde(default = "defaults::lease_seconds")]
    pub lease_seconds: u32,
    /// DHCP options for the clients of the subnet.
    #[serde(default)]
    pub options: Options,
    /// Addresses that belong to one client each.
    #[serde(default)]
    pub reservations: Vec<Reservation>,
}

/// A range of addresses of a subnet.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// First address of the range.
    pub first: Ipv4Addr,
    /// Last address of the range, included.
    pub last: Ipv4Addr,
    /// Share of the secondary in this range, in percent, instead of the pair's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_pct: Option<u8>,
    /// The secondary's addresses are taken downward from here. Default: the middle of the range.
    /// Needs `allocateFirstAvailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_boundary: Option<Ipv4Addr>,
    /// Clients get the lowest available address instead of the least recently used one.
    #[serde(default)]
    pub allocate_first_available: bool,
    /// An address that was declined or found in use becomes available again after this long.
    #[serde(default = "defaults::unavailable_timeout_seconds")]
    pub unavailable_timeout_seconds: u32,
    /// The range serves BOOTP clients, whose leases never end. The partner's addresses in it are
    /// never taken over.
    #[serde(default)]
    pub dynamic_bootp: bool,
}

/// An address that belongs to one client: exactly one of `hardwareAddress` and `clientId`.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The reserved address. It may lie inside or outside the pools.
    pub address: Ipv4Addr,
    /// Ethernet address of the client, such as `52:54:00:00:00:01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_address: Option<String>,
    /// Client identifier (option 61) in hex, type octet included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Host name sent to the client (option 12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

/// DHCP options by name; any other by its code in `custom`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Routers, preferred first (option 3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<Ipv4Addr>,
    /// Name servers, preferred first (option 6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domain_name_servers: Vec<Ipv4Addr>,
    /// Domain of the clients (option 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// Domains that clients search (option 119).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domain_search: Vec<String>,
    /// Broadcast address (option 28). Default: the last address of the subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast_address: Option<Ipv4Addr>,
    /// Time servers (option 42).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Largest packet on the link (option 26).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_mtu: Option<u16>,
    /// Server from which the client boots (siaddr).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// Name of the boot server (option 66).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tftp_server_name: Option<String>,
    /// Boot file (option 67, and the `file` field).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootfile_name: Option<String>,
    /// Any other option by its code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<CustomOption>,
}

/// A DHCP option by its code.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CustomOption {
    /// Code of the option, 1 to 254.
    pub code: u8,
    /// Content of the option in hex.
    pub hex: String,
}

/// Lease length while the partner is known to be down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum PartnerDownLeaseTime {
    /// The full length.
    #[default]
    Full,
    /// The MCLT, renewed as often as needed.
    Mclt,
}

/// What a starting server does that does not find its partner.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum StartupExpiry {
    /// It goes on from its previous state.
    #[default]
    Previous,
    /// It waits for its partner.
    Wait,
}

/// Service while a conflict resolution is interrupted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum RiServe {
    /// Renewals only.
    #[default]
    RenewOnly,
    /// Also new leases from the server's own share.
    Own,
}

pub(crate) mod defaults {
    pub(crate) fn mclt_seconds() -> u32 {
        3600
    }
    pub(crate) fn backup_pct() -> u8 {
        10
    }
    pub(crate) fn max_seconds() -> u16 {
        3
    }
    pub(crate) fn poll_interval_seconds() -> u32 {
        10
    }
    pub(crate) fn poll_timeout_seconds() -> u32 {
        60
    }
    pub(crate) fn max_unacked() -> u32 {
        10
    }
    pub(crate) fn external_port() -> u16 {
        647
    }
    pub(crate) fn storage_size() -> String {
        "1Gi".to_owned()
    }
    pub(crate) fn lease_seconds() -> u32 {
        86400
    }
    pub(crate) fn unavailable_timeout_seconds() -> u32 {
        86400
    }
}
