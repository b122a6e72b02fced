//! Which address a client should get (RFC 2131 §4.3.1). The order is here, the table is the caller's.

use std::net::Ipv4Addr;

use leases::lease::Client;

use crate::network::ServedSubnet;

/// What the lease table and the rules of failover say about addresses. All answers are about this
/// server at this moment, and change nothing.
pub trait Addresses {
    /// The address in this subnet that the client holds: its lease is Active and has not run out.
    /// If it holds several, the one that it heard of last.
    fn active_of(&self, client: &Client, served: &ServedSubnet) -> Option<Ipv4Addr>;

    /// The address in this subnet that the client held last and holds no more; whether it may have
    /// it again is asked by [`may_have`](Self::may_have).
    fn previous_of(&self, client: &Client, served: &ServedSubnet) -> Option<Ipv4Addr>;

    /// Whether this server may lease the address to the client now. Yes if the client holds it and
    /// may be renewed in the present failover state; or if nobody holds it, it is not offered to
    /// another client, not abandoned, no wait for the partner runs on it, and this server owns
    /// it or has the partner's consent. No for an address that the table does not know. Who an
    /// address is reserved for, and in which pool it lies, need not be looked at.
    fn may_have(&self, client: &Client, address: Ipv4Addr) -> bool;

    /// An address of the pool `served.subnet().pools[pool]` for a client that has none, by the pool's
    /// policy (least recently used, or lowest first). It must be one that
    /// [`may_have`](Self::may_have) allows and that no reservation covers. `None` if
    /// there is none left.
    fn pick(&self, client: &Client, served: &ServedSubnet, pool: usize) -> Option<Ipv4Addr>;
}

/// Why a client gets just this address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// It is reserved for the client.
    Reservation,
    /// The client holds it.
    Current,
    /// The client held it last.
    Previous,
    /// The client asked for it.
    Requested,
    /// From a pool.
    New,
}

/// An address for a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The address.
    pub address: Ipv4Addr,
    /// Why just this one.
    pub source: Source,
}

/// Why a client gets no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAddress {
    /// The subnet has no pools, and the client no reservation that it may have.
    #[error("the subnet has no pools")]
    NoPool,
    /// No pool has an address that this server may give.
    #[error("no pool has an address left that this server may give")]
    Exhausted,
}

impl NoAddress {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::NoPool => "no_pool",
            Self::Exhausted => "exhausted",
        }
    }
}

/// Chooses the address for a client that discovers, in this order: its reservation, the address that
/// it holds, the one that it held last, the one that it asks for (`requested`, option 50), a new one.
///
/// Whatever comes from the client or from history must be one that the present configuration
/// [serves](ServedSubnet::serves) to it, and that the table lets it have. A reservation that it may not have,
/// since somebody still holds the address, does not leave the client without: it gets another one
/// until then.
pub fn choose(
    addresses: &impl Addresses,
    served: &ServedSubnet,
    client: &Client,
    requested: Option<Ipv4Addr>,
) -> Result<Choice, NoAddress> {
    let usable = |address: &Ipv4Addr| served.serves(*address, client) && addresses.may_have(client, *address);
    let chosen = |source| move |address| Choice { address, source };
    let reserved = served.reservation_for(client).map(|(address, _)| address);
    reserved
        .filter(usable)
        .map(chosen(Source::Reservation))
        .or_else(|| addresses.active_of(client, served).filter(usable).map(chosen(Source::Current)))
        .or_else(|| addresses.previous_of(client, served).filter(usable).map(chosen(Source::Previous)))
        .or_else(|| requested.filter(usable).map(chosen(Source::Requested)))
        .or_else(|| {
            let mut pools = 0..served.subnet().pools.len();
            pools.find_map(|pool| addresses.pick(client, served, pool)).map(chosen(Source::New))
        })
        .ok_or_else(
            || if served.subnet().pools.is_empty() { NoAddress::NoPool } else { NoAddress::Exhausted },
        )
}
