//! The checked form of a pair: what a server works with.
//!
//! [`PairConfig::new`] is the only way to hold one, so a server never meets a range that lies
//! outside its subnet or an address that belongs to two clients.

mod advice;
mod check;
mod cidr;
mod text;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

pub use crate::config::advice::{advice, advised_backup_pct};
use crate::config::check::Checker;
pub use crate::config::cidr::Cidr;
pub use crate::config::text::{parse_ethernet, parse_hex};
use crate::identity::Role;
use crate::pair::{self, LinkSecurity, PairManifest, PartnerDownLeaseTime, RiServe, StartupExpiry};
use crate::time::Seconds;

/// Most addresses in all pools and reservations of a pair together.
pub const ADDRESSES_MAX: u64 = 1 << 20;
/// Most subnets of a pair.
pub const SUBNETS_MAX: usize = 256;
/// Most pools of a subnet.
pub const POOLS_MAX: usize = 32;
/// Most reservations of a subnet.
pub const RESERVATIONS_MAX: usize = 4096;

/// A pair's configuration, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PairConfig {
    /// Name on the wire, 1 to 255 octets without NUL.
    pub relationship: String,
    /// UID of the object, if it came from an API server.
    pub uid: Option<String>,
    /// Generation of the object, if it came from an API server.
    pub generation: Option<i64>,
    /// Maximum client lead time as configured. What is in force may differ for a while.
    pub mclt: Seconds,
    /// Configured share of the secondary, in percent. See [`Pool::backup_pct`].
    pub backup_pct: u8,
    /// The same for pools with dynamic BOOTP.
    pub dynamic_bootp_backup_pct: Option<u8>,
    /// Load balancing, if on.
    pub load_balancing: Option<LoadBalancing>,
    /// A message is sent at least this often.
    pub poll_interval: Seconds,
    /// The partner counts as lost after this much silence.
    pub poll_timeout: Seconds,
    /// Updates that the partner may send before it has an answer.
    pub max_unacked: u32,
    /// Protection of the link.
    pub security: LinkSecurity,
    /// Port of the link, if given.
    pub port: Option<u16>,
    /// The primary.
    pub primary: ServerConfig,
    /// The secondary; absent for one server alone.
    pub secondary: Option<ServerConfig>,
    /// Subnets in the order of their addresses.
    pub subnets: Vec<Subnet>,
    /// Lease length in PartnerDown.
    pub partner_down_lease_time: PartnerDownLeaseTime,
    /// What a start without a partner does.
    pub startup_expiry: StartupExpiry,
    /// Service in ResolutionInterrupted.
    pub ri_serve: RiServe,
    /// Never lead beyond what an ISC partner waits for.
    pub strict_isc_lead: bool,
    /// Enter PartnerDown after so long without contact; the risk was accepted.
    pub safe_period: Option<Seconds>,
}

/// Load balancing by hash bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoadBalancing {
    /// Bucket b is the primary's if bit `b % 8` of octet `b / 8` is set.
    pub hba: [u8; 32],
    /// A client that has waited longer is answered by both.
    pub max_seconds: u16,
}

/// Where one of the two servers is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerConfig {
    /// Run by the operator.
    Pod {
        /// Interface on which clients are answered.
        interface: String,
        /// Its address, if given.
        address: Option<Ipv4Addr>,
    },
    /// Run by somebody else.
    External {
        /// Its address.
        address: Ipv4Addr,
        /// Port on which it listens.
        port: u16,
    },
}

/// A subnet, checked: pools and reservations lie in it and don't overlap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subnet {
    /// The network.
    pub cidr: Cidr,
    /// Pools in the order of their addresses.
    pub pools: Vec<Pool>,
    /// Desired lease length. [`u32::MAX`] means without end.
    pub lease: Seconds,
    /// Options of the clients.
    pub options: pair::Options,
    /// Options by code, decoded from hex.
    pub custom: BTreeMap<u8, Vec<u8>>,
    /// Reservations by address.
    pub reservations: BTreeMap<Ipv4Addr, Reservation>,
}

/// For how long an address that was found in use stays out of use, where nothing else is said.
pub const UNAVAILABLE_TIMEOUT: Seconds = Seconds(86_400);

/// A range of addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// First address.
    pub first: Ipv4Addr,
    /// Last address, included.
    pub last: Ipv4Addr,
    /// The secondary's share in percent, instead of the pair's.
    pub backup_pct: Option<u8>,
    /// The same where dynamic BOOTP is served.
    pub dynamic_bootp_backup_pct: Option<u8>,
    /// The secondary's addresses are taken downward from here.
    pub allocation_boundary: Option<Ipv4Addr>,
    /// Lowest available address instead of the least recently used.
    pub allocate_first_available: bool,
    /// When an abandoned address becomes available again.
    pub unavailable_timeout: Seconds,
    /// The range serves BOOTP clients.
    pub dynamic_bootp: bool,
}

impl Pool {
    /// Number of addresses.
    #[must_use]
    pub fn size(&self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// Whether the address lies in the range.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

/// Whose address it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reservation {
    /// By what the client is known.
    pub client: ReservedFor,
    /// Host name sent to the client.
    pub hostname: Option<String>,
}

/// By what the client of a reservation is known.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ReservedFor {
    /// Ethernet address.
    Hardware([u8; 6]),
    /// Content of option 61, type octet included.
    ClientId(Vec<u8>),
}

/// A field of the manifest that does not hold, by its path.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FieldError {
    /// Such as `spec.subnets[0].pools[1].last`.
    pub path: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl PairConfig {
    /// Checks a manifest. All faults are told at once, each with the path of its field.
    pub fn new(manifest: &PairManifest) -> Result<Self, Vec<FieldError>> {
        let mut check = Checker::default();
        let config = check.pair(manifest);
        if check.errors.is_empty() { Ok(config) } else { Err(check.errors) }
    }

    /// The server of a role, if the pair has one.
    #[must_use]
    pub fn server(&self, role: Role) -> Option<&ServerConfig> {
        match role {
            Role::Primary => Some(&self.primary),
            Role::Secondary => self.secondary.as_ref(),
        }
    }

    /// The subnet in which an address lies.
    #[must_use]
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.cidr.contains(address))
    }

    /// Whether an address is in a pool.
    #[must_use]
    pub fn is_pooled(&self, address: Ipv4Addr) -> bool {
        let subnet = self.subnet_of(address);
        subnet.is_some_and(|subnet| subnet.pools.iter().any(|pool| pool.contains(address)))
    }

    /// Whether an address is in a pool or reserved.
    #[must_use]
    pub fn serves(&self, address: Ipv4Addr) -> bool {
        let reserved = |subnet: &Subnet| subnet.reservations.contains_key(&address);
        self.is_pooled(address) || self.subnet_of(address).is_some_and(reserved)
    }

    /// The longest lease that any subnet grants.
    #[must_use]
    pub fn longest_lease(&self) -> Seconds {
        self.subnets.iter().map(|subnet| subnet.lease).max().unwrap_or_default()
    }
}

/// SHA-256, in hex, over the part of a manifest that both servers must agree on. Placement,
/// storage, metadata, and what was forced or allowed once are not in it.
#[must_use]
pub fn digest(manifest: &PairManifest) -> String {
    let mut spec = serde_json::to_value(&manifest.spec).unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        for local in ["primary", "secondary", "storage", "link", "forceState", "allowScopeRemoval"] {
            spec.remove(local);
        }
        spec.insert("relationship".to_owned(), relationship(manifest).into());
    }
    Sha256::digest(spec.to_string()).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The name on the wire: as given, else `<namespace>-<name>`.
#[must_use]
pub fn relationship(manifest: &PairManifest) -> String {
    manifest
        .spec
        .relationship
        .clone()
        .unwrap_or_else(|| format!("{}-{}", manifest.metadata.namespace, manifest.metadata.name))
}
