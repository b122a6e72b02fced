//! The `DhcpFailoverPair` object as a user writes it.
//!
//! These types parse; [`crate::config::PairConfig`] checks. A field that is absent here has its
//! default filled in by the API server's schema or, for a bare manifest, by serde.

// The derives of the `crd` feature put `pub` structs into function bodies.
#![cfg_attr(feature = "crd", allow(unreachable_pub))]

mod link;
mod options;
mod policy;
mod server;
mod subnet;

use serde::{Deserialize, Serialize};

use crate::force::{ForceState, SafePeriod};
pub use crate::pair::link::{Link, LinkSecurity, LoadBalancing};
pub use crate::pair::options::{CustomOption, Options};
pub use crate::pair::policy::{PartnerDownLeaseTime, RiServe, StartupExpiry};
pub use crate::pair::server::{DeletionPolicy, ExternalServer, PodServer, Server, Storage};
pub use crate::pair::subnet::{ExpectedClients, Pool, Reservation, Subnet};

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
    /// The same for ranges with `dynamicBootp`, whose addresses the partner can never take over; absent or 0:
    /// as in other ranges. Counts where the primary shares out addresses. 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub dynamic_bootp_backup_pct: Option<u8>,
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
    /// Pools in which clients hold leases may be taken out or made smaller. Those clients lose their addresses:
    /// their renewals are refused, or not answered. Without it such an edit is not accepted and the servers go on as before. Take it
    /// out again once the edit is in force.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_scope_removal: bool,
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
        crate::config::UNAVAILABLE_TIMEOUT.get()
    }
}
