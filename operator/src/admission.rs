//! Whether a pair may run: its manifest, what other pairs hold, and the ports it gets.
//!
//! What a pair *holds* is the configuration last given to its servers; what it *asks for* is in its
//! spec. Whoever holds something keeps it, so an edit of an older pair cannot take a subnet from
//! servers that serve it. Among pairs that only ask, the older one gets it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use api::config::{Cidr, PairConfig, ServerConfig};
use api::pair::{API_VERSION, DhcpFailoverPair, KIND, ManifestMetadata, PairManifest, PairSpec};
use api::status::Ports;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::conditions::reason;
use crate::names::PairKey;
use crate::removal;
use crate::seen::{Admission, Refusal};
use crate::settings::Settings;

/// What no two pairs of a cluster may have in common.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claims {
    relationship: String,
    subnets: Vec<Cidr>,
    addresses: Vec<Ipv4Addr>,
}

impl Claims {
    /// The claims of a checked configuration. Only addresses that the manifest gives count: several
    /// pairs share a node, and the ports keep them apart.
    #[must_use]
    pub fn of(config: &PairConfig) -> Self {
        let address = |server: &ServerConfig| match server {
            ServerConfig::Pod { address, .. } => *address,
            ServerConfig::External { .. } => None,
        };
        Self {
            relationship: config.relationship.clone(),
            subnets: config.subnets.iter().map(|subnet| subnet.cidr).collect(),
            addresses: [Some(&config.primary), config.secondary.as_ref()]
                .into_iter()
                .flatten()
                .filter_map(address)
                .collect(),
        }
    }

    /// Drops the addresses, where they are not what the author of the pair claimed.
    pub fn forget_addresses(&mut self) {
        self.addresses.clear();
    }

    /// What both claim, each said in words.
    fn shared_with(&self, other: &Self) -> Vec<Shared> {
        let mut shared = Vec::new();
        if self.relationship == other.relationship {
            shared.push(Shared::Relationship(self.relationship.clone()));
        }
        for mine in &self.subnets {
            shared.extend(
                other
                    .subnets
                    .iter()
                    .filter(|theirs| mine.overlaps(**theirs))
                    .map(|theirs| Shared::Subnet { mine: *mine, theirs: *theirs }),
            );
        }
        shared.extend(
            self.addresses
                .iter()
                .filter(|mine| other.addresses.contains(mine))
                .map(|mine| Shared::Address(*mine)),
        );
        shared
    }

    fn has(&self, shared: &Shared, mine: bool) -> bool {
        match shared {
            Shared::Relationship(name) => self.relationship == *name,
            Shared::Subnet { mine: my, theirs } => {
                let cidr = if mine { my } else { theirs };
                self.subnets.iter().any(|held| held.overlaps(*cidr))
            }
            Shared::Address(address) => self.addresses.contains(address),
        }
    }
}

enum Shared {
    Relationship(String),
    Subnet { mine: Cidr, theirs: Cidr },
    Address(Ipv4Addr),
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Relationship(name) => write!(f, "spec.relationship: the relationship `{name}`"),
            Self::Subnet { mine, theirs } if mine == theirs => write!(f, "spec.subnets: the subnet {mine}"),
            Self::Subnet { mine, theirs } => {
                write!(f, "spec.subnets: the subnet {mine}, which overlaps with {theirs},")
            }
            Self::Address(address) => write!(f, "pod.address: the address {address}"),
        }
    }
}

/// A pair as far as admission goes.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// Which pair.
    pub key: PairKey,
    /// Decides between pairs of the same age.
    pub uid: String,
    /// Age.
    pub created: Timestamp,
    /// What its spec asks for; nothing if that is invalid.
    pub asked: Option<Claims>,
    /// What its servers were last given.
    pub held: Option<Claims>,
    /// Ports that it has.
    pub ports: Option<Ports>,
    /// Port of the link that its spec demands.
    pub link_port: Option<u16>,
}

impl Claimant {
    fn older_than(&self, other: &Self) -> bool {
        (self.created, &self.uid) < (other.created, &other.uid)
    }

    /// Whether this pair may have what `other` claims too.
    fn prevails(&self, shared: &Shared, other: &Self) -> bool {
        let mine = self.held.as_ref().is_some_and(|held| held.has(shared, true));
        let theirs = other.held.as_ref().is_some_and(|held| held.has(shared, false));
        match (mine, theirs) {
            (true, false) => true,
            (false, true) => false,
            _ => self.older_than(other),
        }
    }
}

/// The manifest of an object, as servers read it.
#[must_use]
pub fn manifest(pair: &DhcpFailoverPair) -> PairManifest {
    // What was forced is no configuration.
    let spec = PairSpec { force_state: None, ..pair.spec.clone() };
    PairManifest {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: ManifestMetadata {
            name: pair.name_any(),
            namespace: pair.namespace().unwrap_or_default(),
            uid: pair.metadata.uid.clone(),
            generation: pair.metadata.generation,
        },
        spec,
    }
}

/// A pair as a claimant. `held` and `ports` are what the operator itself recorded of it.
#[must_use]
pub fn claimant(pair: &DhcpFailoverPair, held: Option<Claims>, ports: Option<Ports>) -> Claimant {
    Claimant {
        key: PairKey::of(pair),
        uid: pair.uid().unwrap_or_default(),
        created: pair.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0),
        asked: PairConfig::new(&manifest(pair)).ok().map(|config| Claims::of(&config)),
        held,
        ports: ports.or_else(|| pair.status.as_ref().and_then(|status| status.ports)),
        link_port: pair.spec.link.port,
    }
}

/// Decides about a pair among the others. Whoever calls it must record the outcome before it asks
/// again for another pair.
#[must_use]
pub fn decide(
    pair: &DhcpFailoverPair,
    me: &Claimant,
    others: &[Claimant],
    settings: &Settings,
) -> (Admission, Option<Claims>) {
    match try_decide(pair, me, others, settings) {
        Ok((claims, ports)) => (Admission::Accepted(ports), Some(claims)),
        Err(refusal) => (Admission::Refused(refusal), None),
    }
}

fn try_decide(
    pair: &DhcpFailoverPair,
    me: &Claimant,
    others: &[Claimant],
    settings: &Settings,
) -> Result<(Claims, Ports), Refusal> {
    let config = PairConfig::new(&manifest(pair)).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        refuse(reason::INVALID_SPEC, limited(&errors))
    })?;
    interfaces(&config, settings)?;
    let pools = pair.status.as_ref().map(|status| status.pools.as_slice()).unwrap_or_default();
    let lost = removal::unconfirmed(pools, &config, pair.spec.allow_scope_removal);
    if !lost.is_empty() {
        return Err(refuse(reason::SCOPE_REMOVAL, limited(&lost)));
    }
    let claims = Claims::of(&config);
    conflicts(me, &claims, others)?;
    let ports = ports(me, others, settings.ports.clone()).ok_or_else(|| {
        let (first, last) = (settings.ports.start(), settings.ports.end());
        refuse(reason::NO_PORT_LEFT, format!("other pairs have all ports from {first} to {last}"))
    })?;
    Ok((claims, ports))
}

fn interfaces(config: &PairConfig, settings: &Settings) -> Result<(), Refusal> {
    let sides = [("spec.primary", Some(&config.primary)), ("spec.secondary", config.secondary.as_ref())];
    for (path, server) in sides {
        if let Some(ServerConfig::Pod { interface, .. }) = server
            && !settings.interfaces.is_empty()
            && !settings.interfaces.contains(interface)
        {
            let allowed = settings.interfaces.join(", ");
            let message =
                format!("{path}.pod.interface: `{interface}` is none of the allowed ones: {allowed}");
            return Err(refuse(reason::INTERFACE_NOT_ALLOWED, message));
        }
    }
    Ok(())
}

fn conflicts(me: &Claimant, claims: &Claims, others: &[Claimant]) -> Result<(), Refusal> {
    let mut lost = Vec::new();
    for other in others.iter().filter(|other| other.key != me.key) {
        for theirs in [&other.held, &other.asked].into_iter().flatten() {
            for shared in claims.shared_with(theirs) {
                if !me.prevails(&shared, other) {
                    lost.push(format!("{shared} belongs to the pair {}", other.key));
                }
            }
        }
    }
    lost.dedup();
    if lost.is_empty() { Ok(()) } else { Err(refuse(reason::CONFLICT, limited(&lost))) }
}

/// The ports of a pair: those it has, with the link's as its spec demands, else the first free ones.
fn ports(me: &Claimant, others: &[Claimant], range: RangeInclusive<u16>) -> Option<Ports> {
    let taken: BTreeSet<u16> = others
        .iter()
        .filter(|other| other.key != me.key)
        .flat_map(|other| {
            let given = other.ports.map(|ports| [ports.link, ports.admin]);
            given.into_iter().flatten().chain(other.link_port)
        })
        .collect();
    let mut free = range.filter(|port| !taken.contains(port) && Some(*port) != me.link_port);
    let link = match (me.link_port, me.ports) {
        (Some(port), _) => port,
        (None, Some(ports)) => ports.link,
        (None, None) => free.next()?,
    };
    let admin = match me.ports {
        Some(ports) if ports.admin != link => ports.admin,
        _ => free.find(|port| *port != link)?,
    };
    Some(Ports { link, admin })
}

fn refuse(reason: &'static str, message: String) -> Refusal {
    Refusal { reason: reason.to_owned(), message }
}

/// A condition's message must stay readable, and below 32 KiB.
fn limited(texts: &[String]) -> String {
    const MOST: usize = 10;
    let mut message = texts.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    if texts.len() > MOST {
        message.push_str(&format!("; and {} more", texts.len() - MOST));
    }
    message
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
