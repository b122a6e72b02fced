//! The checked form of a pair: what a server works with.
//!
//! [`PairConfig::new`] is the only way to hold one, so a server never meets a range that lies
//! outside its subnet or an address that belongs to two clients.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

use crate::force::SafePeriod;
use crate::identity::Role;
use crate::pair::{self, LinkSecurity, PairManifest, PairSpec, PartnerDownLeaseTime, RiServe, StartupExpiry};
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

/// A range of addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// First address.
    pub first: Ipv4Addr,
    /// Last address, included.
    pub last: Ipv4Addr,
    /// The secondary's share in percent with all rules applied: 50 with load balancing, else the
    /// pool's own, else the pair's.
    pub backup_pct: u8,
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

/// An IPv4 network without host bits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// Parses `10.77.0.0/24`. Host bits, a prefix above 32 and 127/8 are refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (network, prefix) = text.split_once('/').ok_or("needs a prefix length, such as 10.77.0.0/24")?;
        let network: Ipv4Addr = network.parse().map_err(|_| format!("`{network}` is no IPv4 address"))?;
        let prefix: u8 = prefix
            .parse()
            .ok()
            .filter(|prefix| (1..=32).contains(prefix))
            .ok_or_else(|| format!("`{prefix}` is no prefix length between 1 and 32"))?;
        let cidr = Self { network, prefix };
        if u32::from(network) & !cidr.mask_bits() != 0 {
            let right = Ipv4Addr::from(u32::from(network) & cidr.mask_bits());
            return Err(format!("has host bits set; the subnet is {right}/{prefix}"));
        }
        if network.is_loopback() {
            return Err("is in 127.0.0.0/8, which never leaves a host".to_owned());
        }
        Ok(cidr)
    }

    /// First address of the network.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// Last address of the network.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | !self.mask_bits())
    }

    /// Subnet mask.
    #[must_use]
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask_bits())
    }

    /// Number of bits of the network part.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether the address lies in the network.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask_bits() == u32::from(self.network)
    }

    /// Whether a host may have the address: not the network's first or last, where those are special.
    #[must_use]
    pub fn is_host(self, address: Ipv4Addr) -> bool {
        self.contains(address)
            && (self.prefix >= 31 || (address != self.network && address != self.broadcast()))
    }

    /// Whether both have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    fn mask_bits(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
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

    /// The longest lease that any subnet grants.
    #[must_use]
    pub fn longest_lease(&self) -> Seconds {
        self.subnets.iter().map(|subnet| subnet.lease).max().unwrap_or_default()
    }
}

/// SHA-256, in hex, over the part of a manifest that both servers must agree on. Placement,
/// storage, metadata and what was forced are not in it.
#[must_use]
pub fn digest(manifest: &PairManifest) -> String {
    let mut spec = serde_json::to_value(&manifest.spec).unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        for local in ["primary", "secondary", "storage", "link", "forceState"] {
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

/// Parses `52:54:00:00:00:01`.
#[must_use]
pub fn parse_ethernet(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let mut parts = text.split([':', '-']);
    for octet in &mut octets {
        let part = parts.next()?;
        if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

/// Parses hex digits, two an octet; colons between octets are allowed.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

/// Whether a name fits into the format of RFC 1035 §3.1: labels of 1 to 63 octets, 255 in all with their
/// lengths and the root's. A dot at the end says no more than the others.
fn is_domain_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() + 2 <= 255
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && !label.contains('\0'))
}

#[derive(Default)]
struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    fn fail(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError { path: path.into(), message: message.into() });
    }

    fn range<T: PartialOrd + fmt::Display + Copy>(&mut self, path: &str, value: T, least: T, most: T) {
        if value < least || value > most {
            self.fail(path, format!("{value} is not between {least} and {most}"));
        }
    }

    /// Text that is sent in an option.
    fn text(&mut self, path: &str, text: Option<&str>) {
        if text.is_some_and(|text| text.is_empty() || text.len() > 255 || text.contains('\0')) {
            self.fail(path, "needs 1 to 255 octets, none of them NUL");
        }
    }

    fn pair(&mut self, manifest: &PairManifest) -> PairConfig {
        if manifest.api_version != pair::API_VERSION {
            self.fail("apiVersion", format!("`{}` is not {}", manifest.api_version, pair::API_VERSION));
        }
        if manifest.kind != pair::KIND {
            self.fail("kind", format!("`{}` is not {}", manifest.kind, pair::KIND));
        }
        if manifest.metadata.name.is_empty() {
            self.fail("metadata.name", "must not be empty");
        }
        let spec = &manifest.spec;
        let relationship = relationship(manifest);
        if relationship.is_empty() || relationship.len() > 255 || relationship.contains('\0') {
            self.fail("spec.relationship", "needs 1 to 255 octets, none of them NUL");
        }
        // What the protocol takes. An API server only admits 60 s to a week; bare manifests may be bolder.
        self.range("spec.mcltSeconds", spec.mclt_seconds, 1, 0x7fff_ffff);
        self.range("spec.backupPct", spec.backup_pct, 0, 100);
        self.link(spec);
        let load_balancing = spec.load_balancing.as_ref().map(|asked| self.load_balancing(asked));
        let primary = self.server("spec.primary", &spec.primary);
        let secondary = spec.secondary.as_ref().map(|server| self.server("spec.secondary", server));
        self.sides(spec, &primary, secondary.as_ref());
        let subnets = self.subnets(spec);
        PairConfig {
            relationship,
            uid: manifest.metadata.uid.clone(),
            generation: manifest.metadata.generation,
            mclt: Seconds(spec.mclt_seconds),
            backup_pct: if load_balancing.is_some() { 50 } else { spec.backup_pct },
            load_balancing,
            poll_interval: Seconds(spec.link.poll_interval_seconds),
            poll_timeout: Seconds(spec.link.poll_timeout_seconds),
            max_unacked: spec.link.max_unacked,
            security: spec.link.security,
            port: spec.link.port,
            primary,
            secondary,
            subnets,
            partner_down_lease_time: spec.partner_down_lease_time,
            startup_expiry: spec.startup_expiry,
            ri_serve: spec.ri_serve,
            strict_isc_lead: spec.strict_isc_lead,
            safe_period: spec.safe_period.as_ref().map(|period| self.safe_period(period)),
        }
    }

    fn safe_period(&mut self, period: &SafePeriod) -> Seconds {
        self.range("spec.safePeriod.seconds", period.seconds, 60, 31_536_000);
        if !period.accept_duplicate_risk {
            self.fail(
                "spec.safePeriod.acceptDuplicateRisk",
                "must be true: a server cannot tell a dead partner from a cut link, and then two clients may \
                 get one address",
            );
        }
        Seconds(period.seconds)
    }

    fn link(&mut self, spec: &PairSpec) {
        let link = &spec.link;
        self.range("spec.link.pollIntervalSeconds", link.poll_interval_seconds, 1, 600);
        self.range("spec.link.pollTimeoutSeconds", link.poll_timeout_seconds, 5, 3600);
        self.range("spec.link.maxUnacked", link.max_unacked, 1, 1000);
        if u64::from(link.poll_timeout_seconds) < 3 * u64::from(link.poll_interval_seconds) {
            self.fail(
                "spec.link.pollTimeoutSeconds",
                format!(
                    "{} is less than three poll intervals of {} s",
                    link.poll_timeout_seconds, link.poll_interval_seconds
                ),
            );
        }
        if link.port == Some(0) {
            self.fail("spec.link.port", "0 is not between 1 and 65535");
        }
    }

    fn load_balancing(&mut self, asked: &pair::LoadBalancing) -> LoadBalancing {
        let path = "spec.loadBalancing";
        self.range(&format!("{path}.maxSeconds"), asked.max_seconds, 0, 255);
        let mut hba = [0; 32];
        match (asked.split, &asked.hba) {
            (Some(_), Some(_)) => self.fail(path, "split and hba exclude each other"),
            (None, Some(hex)) => match parse_hex(hex).and_then(|octets| <[u8; 32]>::try_from(octets).ok()) {
                Some(octets) => hba = octets,
                None => self.fail(format!("{path}.hba"), "needs 64 hex digits"),
            },
            (split, None) => {
                let split = split.unwrap_or(128);
                self.range(&format!("{path}.split"), split, 0, 256);
                for bucket in 0..usize::from(split.min(256)) {
                    hba[bucket / 8] |= 1 << (bucket % 8);
                }
            }
        }
        LoadBalancing { hba, max_seconds: asked.max_seconds }
    }

    fn server(&mut self, path: &str, server: &pair::Server) -> ServerConfig {
        match (&server.pod, &server.external) {
            (Some(pod), None) => {
                let valid = (1..=15).contains(&pod.interface.len())
                    && !pod.interface.contains(|c: char| c == '/' || c.is_whitespace());
                if !valid {
                    self.fail(
                        format!("{path}.pod.interface"),
                        format!("`{}` is no name of a network interface", pod.interface),
                    );
                }
                if let Some(address) = pod.address {
                    self.host_address(&format!("{path}.pod.address"), address);
                }
                ServerConfig::Pod { interface: pod.interface.clone(), address: pod.address }
            }
            (None, Some(external)) => {
                self.host_address(&format!("{path}.external.address"), external.address);
                if external.port == 0 {
                    self.fail(format!("{path}.external.port"), "0 is not between 1 and 65535");
                }
                ServerConfig::External { address: external.address, port: external.port }
            }
            (None, None) => {
                self.fail(path, "needs one of pod and external");
                ServerConfig::Pod { interface: String::new(), address: None }
            }
            (Some(_), Some(_)) => {
                self.fail(path, "pod and external exclude each other");
                ServerConfig::Pod { interface: String::new(), address: None }
            }
        }
    }

    fn host_address(&mut self, path: &str, address: Ipv4Addr) {
        if address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast()
        {
            self.fail(path, format!("{address} is not the address of a host on a network"));
        }
    }

    fn sides(&mut self, spec: &PairSpec, primary: &ServerConfig, secondary: Option<&ServerConfig>) {
        let external = |server: &ServerConfig| matches!(server, ServerConfig::External { .. });
        let one_external = external(primary) || secondary.is_some_and(external);
        match secondary {
            Some(secondary) if external(primary) && external(secondary) => {
                self.fail("spec.secondary", "at most one of the two servers may be external");
            }
            None if external(primary) => {
                self.fail("spec.primary", "an external server needs a partner of ours");
            }
            _ => {}
        }
        if one_external && spec.link.security != LinkSecurity::Plain {
            self.fail("spec.link.security", "must be Plain with an external partner, which speaks no TLS");
        }
        let address = |server: &ServerConfig| match server {
            ServerConfig::Pod { address, .. } => *address,
            ServerConfig::External { address, .. } => Some(*address),
        };
        if let (Some(one), Some(two)) = (address(primary), secondary.and_then(address))
            && one == two
        {
            self.fail("spec.secondary", format!("has the address {one} of the primary"));
        }
    }

    fn subnets(&mut self, spec: &PairSpec) -> Vec<Subnet> {
        if spec.subnets.len() > SUBNETS_MAX {
            self.fail("spec.subnets", format!("has more than {SUBNETS_MAX} entries"));
            return Vec::new();
        }
        let mut subnets: Vec<Subnet> = Vec::new();
        let mut addresses = 0;
        for (index, subnet) in spec.subnets.iter().enumerate() {
            let path = format!("spec.subnets[{index}]");
            let cidr = match Cidr::parse(&subnet.cidr) {
                Ok(cidr) => cidr,
                Err(message) => {
                    self.fail(format!("{path}.cidr"), format!("`{}` {message}", subnet.cidr));
                    continue;
                }
            };
            if let Some(other) = subnets.iter().find(|other| other.cidr.overlaps(cidr)) {
                self.fail(format!("{path}.cidr"), format!("{cidr} overlaps with {}", other.cidr));
                continue;
            }
            let subnet = self.subnet(&path, cidr, subnet, spec);
            addresses += subnet.pools.iter().map(|pool| u64::from(pool.size())).sum::<u64>();
            addresses += subnet.reservations.len() as u64;
            subnets.push(subnet);
        }
        if addresses > ADDRESSES_MAX {
            self.fail("spec.subnets", format!("have {addresses} addresses, more than {ADDRESSES_MAX}"));
        }
        subnets.sort_by_key(|subnet| subnet.cidr);
        subnets
    }

    fn subnet(&mut self, path: &str, cidr: Cidr, subnet: &pair::Subnet, spec: &PairSpec) -> Subnet {
        self.range(&format!("{path}.leaseSeconds"), subnet.lease_seconds, 60, u32::MAX);
        let pools = self.pools(path, cidr, subnet, spec);
        let reservations = self.reservations(path, cidr, subnet);
        let custom = self.options(path, &subnet.options);
        Subnet {
            cidr,
            pools,
            lease: Seconds(subnet.lease_seconds),
            options: subnet.options.clone(),
            custom,
            reservations,
        }
    }

    fn pools(&mut self, path: &str, cidr: Cidr, subnet: &pair::Subnet, spec: &PairSpec) -> Vec<Pool> {
        if subnet.pools.len() > POOLS_MAX {
            self.fail(format!("{path}.pools"), format!("has more than {POOLS_MAX} entries"));
            return Vec::new();
        }
        let mut pools: Vec<Pool> = Vec::new();
        for (index, pool) in subnet.pools.iter().enumerate() {
            let path = format!("{path}.pools[{index}]");
            let mut sound = true;
            for (field, address) in [("first", pool.first), ("last", pool.last)] {
                if !cidr.is_host(address) {
                    self.fail(format!("{path}.{field}"), format!("{address} is no host address of {cidr}"));
                    sound = false;
                }
            }
            if pool.last < pool.first {
                self.fail(format!("{path}.last"), format!("{} lies before first, {}", pool.last, pool.first));
                sound = false;
            }
            if let Some(other) =
                pools.iter().find(|other| sound && other.first <= pool.last && pool.first <= other.last)
            {
                let message = format!("the range overlaps with {}-{}", other.first, other.last);
                self.fail(path.clone(), message);
                sound = false;
            }
            if let Some(pct) = pool.backup_pct {
                self.range(&format!("{path}.backupPct"), pct, 0, 100);
            }
            self.range(
                &format!("{path}.unavailableTimeoutSeconds"),
                pool.unavailable_timeout_seconds,
                60,
                0x7fff_ffff,
            );
            let boundary = pool.allocation_boundary.filter(|boundary| !boundary.is_unspecified());
            if boundary.is_some() && !pool.allocate_first_available {
                self.fail(format!("{path}.allocationBoundary"), "needs allocateFirstAvailable: true");
            }
            if sound {
                pools.push(Pool {
                    first: pool.first,
                    last: pool.last,
                    backup_pct: if spec.load_balancing.is_some() {
                        50
                    } else {
                        pool.backup_pct.unwrap_or(spec.backup_pct)
                    },
                    allocation_boundary: boundary,
                    allocate_first_available: pool.allocate_first_available,
                    unavailable_timeout: Seconds(pool.unavailable_timeout_seconds),
                    dynamic_bootp: pool.dynamic_bootp,
                });
            }
        }
        pools.sort_by_key(|pool| pool.first);
        pools
    }

    fn reservations(
        &mut self,
        path: &str,
        cidr: Cidr,
        subnet: &pair::Subnet,
    ) -> BTreeMap<Ipv4Addr, Reservation> {
        let mut reservations = BTreeMap::new();
        if subnet.reservations.len() > RESERVATIONS_MAX {
            self.fail(format!("{path}.reservations"), format!("has more than {RESERVATIONS_MAX} entries"));
            return reservations;
        }
        let mut clients = BTreeSet::new();
        for (index, reservation) in subnet.reservations.iter().enumerate() {
            let path = format!("{path}.reservations[{index}]");
            if !cidr.is_host(reservation.address) {
                self.fail(
                    format!("{path}.address"),
                    format!("{} is no host address of {cidr}", reservation.address),
                );
            }
            let Some(client) = self.reserved_for(&path, reservation) else { continue };
            if !clients.insert(client.clone()) {
                self.fail(path.clone(), "the client has another reservation in this subnet");
            }
            self.text(&format!("{path}.hostname"), reservation.hostname.as_deref());
            let entry = Reservation { client, hostname: reservation.hostname.clone() };
            if reservations.insert(reservation.address, entry).is_some() {
                self.fail(format!("{path}.address"), format!("{} is reserved twice", reservation.address));
            }
        }
        reservations
    }

    fn reserved_for(&mut self, path: &str, reservation: &pair::Reservation) -> Option<ReservedFor> {
        match (&reservation.hardware_address, &reservation.client_id) {
            (Some(hardware), None) => {
                let octets = parse_ethernet(hardware);
                if octets.is_none() {
                    self.fail(
                        format!("{path}.hardwareAddress"),
                        format!("`{hardware}` is no Ethernet address"),
                    );
                }
                octets.map(ReservedFor::Hardware)
            }
            (None, Some(id)) => {
                let octets = parse_hex(id).filter(|octets| (2..=255).contains(&octets.len()));
                if octets.is_none() {
                    self.fail(format!("{path}.clientId"), format!("`{id}` is not 2 to 255 octets in hex"));
                }
                octets.map(ReservedFor::ClientId)
            }
            _ => {
                self.fail(path, "needs exactly one of hardwareAddress and clientId");
                None
            }
        }
    }

    fn options(&mut self, path: &str, options: &pair::Options) -> BTreeMap<u8, Vec<u8>> {
        let path = format!("{path}.options");
        for (field, text) in [
            ("domainName", &options.domain_name),
            ("tftpServerName", &options.tftp_server_name),
            ("bootfileName", &options.bootfile_name),
        ] {
            self.text(&format!("{path}.{field}"), text.as_deref());
        }
        if let Some(mtu) = options.interface_mtu {
            self.range(&format!("{path}.interfaceMtu"), mtu, 68, u16::MAX);
        }
        for (index, name) in options.domain_search.iter().enumerate() {
            if !is_domain_name(name) {
                let message = format!("`{}` is no domain name", name.escape_debug());
                self.fail(format!("{path}.domainSearch[{index}]"), message);
            }
        }
        for (field, len) in [
            ("routers", options.routers.len()),
            ("domainNameServers", options.domain_name_servers.len()),
            ("ntpServers", options.ntp_servers.len()),
            ("domainSearch", options.domain_search.len()),
        ] {
            if len > 63 {
                self.fail(format!("{path}.{field}"), "has more than 63 entries");
            }
        }
        let mut custom = BTreeMap::new();
        for (index, option) in options.custom.iter().enumerate() {
            let path = format!("{path}.custom[{index}]");
            if let 0 | 50..=54 | 56..=59 | 61 | 82 | 255 = option.code {
                self.fail(format!("{path}.code"), format!("option {} belongs to the protocol", option.code));
            }
            match parse_hex(&option.hex) {
                None => self.fail(format!("{path}.hex"), "needs hex digits, two an octet"),
                Some(octets) if octets.len() > 1024 => {
                    self.fail(format!("{path}.hex"), "has more than 1024 octets");
                }
                Some(octets) => {
                    if custom.insert(option.code, octets).is_some() {
                        self.fail(format!("{path}.code"), format!("option {} is given twice", option.code));
                    }
                }
            }
        }
        custom
    }
}
