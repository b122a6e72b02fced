//! Subnets with their pools and reservations.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::pair::{Options, defaults};

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
    /// Share of the secondary in this range if it has `dynamicBootp`, in percent, instead of the pair's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub dynamic_bootp_backup_pct: Option<u8>,
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
    /// Clients that are expected to come anew. A `backupPct` that is too small for them draws a warning, and status
    /// says which one is advised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_new_clients: Option<ExpectedClients>,
}

/// Clients that come anew to a range: how many addresses the secondary needs until somebody reacts to a lost primary.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedClients {
    /// In an hour of the day, when somebody reacts within 2 hours.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub per_hour_day: u32,
    /// In an hour of the night, when that takes up to 12 hours.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub per_hour_night: u32,
    /// In an hour on average: counts for as long as the safe period lasts, if there is one.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub per_hour: u32,
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
