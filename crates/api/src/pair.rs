//! The `DhcpFailoverPair` object as a user writes it.
//!
//! These types parse; [`crate::config::PairConfig`] checks. A field that is absent here has its
//! default filled in by the API server's schema or, for a bare manifest, by serde.

// The derives of the `crd` feature put `pub` structs into function bodies.
#![cfg_attr(feature = "crd", allow(unreachable_pub))]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::force::{ForceState, SafePeriod};

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
        status = "crate::status::PairStatus",
        doc = "A pair of DHCPv4 servers that share address pools by the failover protocol. Say which subnets and \
               pools they serve and on which nodes they run; status says how they fare.",
        category = "dhcp",
        validation = Rule::new("size(self.metadata.name) <= 40 && !self.metadata.name.contains('.')").message(
            "metadata.name: the names of the pods derive from it, so it has at most 40 characters and no dot"
        ),
        printcolumn(
            name = "Primary",
            type_ = "string",
            json_path = ".status.primary.state",
            description = "Failover state of the primary; Unknown while it is silent"
        ),
        printcolumn(
            name = "Secondary",
            type_ = "string",
            json_path = ".status.secondary.state",
            description = "Failover state of the secondary; Unknown while it is silent"
        ),
        printcolumn(
            name = "MCLT",
            type_ = "integer",
            json_path = ".status.mcltSeconds",
            description = "Maximum client lead time in force, in seconds"
        ),
        printcolumn(
            name = "Backup%",
            type_ = "integer",
            json_path = ".status.backupPct",
            description = "Share of the secondary in force, in percent"
        ),
        printcolumn(
            name = "Leases",
            type_ = "integer",
            json_path = ".status.activeLeases",
            description = "Addresses held by clients"
        ),
        printcolumn(
            name = "Free",
            type_ = "integer",
            json_path = ".status.freeAddresses",
            description = "Addresses free for new clients, of either server"
        ),
        printcolumn(
            name = "Ready",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Ready\")].status",
            description = "Whether both servers are in Normal"
        ),
        printcolumn(
            name = "Observed",
            type_ = "date",
            json_path = ".status.observedTime",
            description = "Age of the older of the servers' last reports"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("has(self.relationship) == has(oldSelf.relationship) && (!has(self.relationship) || self.relationship == oldSelf.relationship)").message("spec.relationship can never be added, changed or removed: both servers' lease stores carry it"))
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("!(has(self.primary.external) && has(self.secondary) && has(self.secondary.external))").message("at most one of primary and secondary may be external"))
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("!has(self.primary.external) || has(self.secondary)").message("an external primary needs a secondary of ours"))
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("!(has(self.primary.external) || (has(self.secondary) && has(self.secondary.external))) || self.link.security == 'Plain'").message("spec.link.security must be Plain with an external partner, which speaks no TLS"))
)]
#[serde(rename_all = "camelCase")]
pub struct PairSpec {
    /// Name of the relationship on the wire. Default: `<namespace>-<name>`. An ISC partner must use
    /// the same as the name of its `failover peer`. It can never be added, changed or removed later,
    /// because both lease stores carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub relationship: Option<String>,
    /// Maximum client lead time in seconds: how far a lease may run ahead of what the partner
    /// knows, and the length of a new client's first lease. Short means quick take-over but many
    /// renewals; below 600 that load is noticeable, above a day take-over is slow. 60 to 604800, a
    /// week.
    #[serde(default = "defaults::mclt_seconds")]
    #[schemars(range(min = 60, max = 604_800))]
    pub mclt_seconds: u32,
    /// Share of the available addresses that the secondary holds, in percent. With load balancing
    /// the share is always 50 and this is ignored, as status says. 0 to 100.
    #[serde(default = "defaults::backup_pct")]
    #[schemars(range(min = 0, max = 100))]
    pub backup_pct: u8,
    /// Both servers answer, each its half of the clients (RFC 3074). Absent: the primary answers
    /// while both are in Normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancing: Option<LoadBalancing>,
    /// Enter PartnerDown without being told to once contact was lost for long. Absent: never. A server
    /// cannot tell a dead partner from a cut link, so this risks two clients with one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_period: Option<SafePeriod>,
    /// How the two servers talk to each other.
    #[serde(default)]
    pub link: Link,
    /// The server that leads: it owns the free addresses and sends CONNECT.
    pub primary: Server,
    /// The other server. Absent: one server alone, without a partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<Server>,
    /// Where each server keeps its leases.
    #[serde(default)]
    pub storage: Storage,
    /// Subnets that the pair serves. Both servers serve all of them. No two pairs of a cluster may
    /// claim overlapping subnets: the younger one is not started.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[cfg_attr(feature = "crd", x_kube(merge_strategy = ListMerge::Map(vec!["cidr".into()])))]
    pub subnets: Vec<Subnet>,
    /// Lease length while the partner is known to be down: `Full`, or `Mclt` for leases of the
    /// MCLT that are renewed as often as needed.
    #[serde(default)]
    pub partner_down_lease_time: PartnerDownLeaseTime,
    /// What a starting server does that does not find its partner: `Previous` goes on from its
    /// previous state, `Wait` waits for the partner.
    #[serde(default)]
    pub startup_expiry: StartupExpiry,
    /// Service while a conflict resolution is interrupted: `RenewOnly` renews, `Own` also gives new
    /// leases from the server's own share.
    #[serde(default)]
    pub ri_serve: RiServe,
    /// Never let a lease run ahead of what an ISC dhcpd as partner would wait for in its
    /// partner-down state. Leases then stay near the MCLT.
    #[serde(default)]
    pub strict_isc_lead: bool,
    /// A state that a server is forced into, once per request id. Absent normally; may be removed as soon
    /// as status shows the request as Granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_state: Option<ForceState>,
}

/// Which server answers which client while both are in Normal.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("!(has(self.split) && has(self.hba))").message("split and hba exclude each other"))
)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancing {
    /// How many of the 256 hash buckets the primary answers. 0 to 256; 128 if neither this nor
    /// `hba` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 256))]
    pub split: Option<u16>,
    /// The buckets of the primary as a map of 256 bits in 64 hex digits, instead of `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(equal = 64), pattern(r"^[0-9A-Fa-f]{64}$"))]
    pub hba: Option<String>,
    /// A client that has waited longer than this many seconds is answered by both. 0 to 255.
    #[serde(default = "defaults::max_seconds")]
    #[schemars(range(min = 0, max = 255))]
    pub max_seconds: u16,
}

/// How the two servers talk to each other.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.pollTimeoutSeconds >= 3 * self.pollIntervalSeconds").message("pollTimeoutSeconds must be at least three times pollIntervalSeconds"))
)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// A message is sent at least this often, in seconds. 1 to 600.
    #[serde(default = "defaults::poll_interval_seconds")]
    #[schemars(range(min = 1, max = 600))]
    pub poll_interval_seconds: u32,
    /// The partner counts as lost after this many seconds of silence. 5 to 3600, at least three
    /// intervals.
    #[serde(default = "defaults::poll_timeout_seconds")]
    #[schemars(range(min = 5, max = 3600))]
    pub poll_timeout_seconds: u32,
    /// Updates that the partner may send before it has an answer. 1 to 1000.
    #[serde(default = "defaults::max_unacked")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_unacked: u32,
    /// `MutualTLS` between own servers; `Plain` for an ISC dhcpd as partner.
    #[serde(default)]
    pub security: LinkSecurity,
    /// TCP port on which both servers listen for the link. Default: one per pair, allocated by the
    /// operator and shown in `status.ports`. An ISC partner must be told this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
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

/// A subnet that the pair serves.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.pools.all(p, cidr(self.cidr).containsIP(p.first) && cidr(self.cidr).containsIP(p.last))").message("the pools of a subnet lie within its cidr"))
)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    /// The subnet in CIDR notation, without host bits, such as `10.77.0.0/24`.
    #[schemars(length(min = 9, max = 18))]
    #[cfg_attr(
        feature = "crd",
        x_kube(
            validation = Rule::new("isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self) == cidr(self).masked()")
                .message("is no IPv4 subnet without host bits, such as 10.77.0.0/24")
        )
    )]
    pub cidr: String,
    /// Ranges of addresses for clients without a reservation. They must not overlap.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub pools: Vec<Pool>,
    /// Length of a lease in seconds, 60 or more; 4294967295 means without end. A client gets it once
    /// the partner knows of the lease, and at most the MCLT before.
    #[serde(default = "defaults::lease_seconds")]
    #[schemars(range(min = 60, max = 4_294_967_295_u32))]
    pub lease_seconds: u32,
    /// DHCP options for the clients of the subnet.
    #[serde(default)]
    pub options: Options,
    /// Addresses that belong to one client each.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub reservations: Vec<Reservation>,
}

/// A range of addresses of a subnet.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("!has(self.allocationBoundary) || self.allocateFirstAvailable || self.allocationBoundary == '0.0.0.0'").message("allocationBoundary needs allocateFirstAvailable: true"))
)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// First address of the range.
    #[schemars(length(max = 15))]
    pub first: Ipv4Addr,
    /// Last address of the range, included.
    #[schemars(length(max = 15))]
    pub last: Ipv4Addr,
    /// Share of the secondary in this range, in percent, instead of the pair's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub backup_pct: Option<u8>,
    /// The secondary's addresses are taken downward from here. Default: the middle of the range.
    /// Needs `allocateFirstAvailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub allocation_boundary: Option<Ipv4Addr>,
    /// Clients get the lowest available address instead of the least recently used one.
    #[serde(default)]
    pub allocate_first_available: bool,
    /// An address that was declined or found in use becomes available again after this many
    /// seconds, 60 or more.
    #[serde(default = "defaults::unavailable_timeout_seconds")]
    #[schemars(range(min = 60, max = 2_147_483_647))]
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
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("has(self.hardwareAddress) != has(self.clientId)").message("needs exactly one of hardwareAddress and clientId"))
)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The reserved address. It may lie inside or outside the pools.
    #[schemars(length(max = 15))]
    pub address: Ipv4Addr,
    /// Ethernet address of the client, such as `52:54:00:00:00:01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(equal = 17), pattern(r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$"))]
    pub hardware_address: Option<String>,
    /// Client identifier (option 61) in hex, type octet included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 4, max = 764), pattern(r"^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2})+$"))]
    pub client_id: Option<String>,
    /// Host name sent to the client (option 12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
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
    #[schemars(length(max = 63), inner(length(max = 15)))]
    pub routers: Vec<Ipv4Addr>,
    /// Name servers, preferred first (option 6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 63), inner(length(max = 15)))]
    pub domain_name_servers: Vec<Ipv4Addr>,
    /// Domain of the clients (option 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub domain_name: Option<String>,
    /// Domains that clients search (option 119).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 63), inner(length(min = 1, max = 255)))]
    pub domain_search: Vec<String>,
    /// Broadcast address (option 28). Default: the last address of the subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub broadcast_address: Option<Ipv4Addr>,
    /// Time servers (option 42).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 63), inner(length(max = 15)))]
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Largest packet on the link (option 26).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535))]
    pub interface_mtu: Option<u16>,
    /// Server from which the client boots (siaddr).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub next_server: Option<Ipv4Addr>,
    /// Name of the boot server (option 66).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tftp_server_name: Option<String>,
    /// Boot file (option 67, and the `file` field).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub bootfile_name: Option<String>,
    /// Any other option by its code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 254))]
    pub custom: Vec<CustomOption>,
}

/// A DHCP option by its code.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CustomOption {
    /// Code of the option, 1 to 254. Codes that belong to the protocol itself (50 to 54, 56 to 59,
    /// 61, 82) are refused.
    #[schemars(range(min = 1, max = 254))]
    pub code: u8,
    /// Content of the option in hex, such as `0a4d0001`; colons between octets are allowed.
    #[schemars(length(max = 3071), pattern(r"^([0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2})*)?$"))]
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
