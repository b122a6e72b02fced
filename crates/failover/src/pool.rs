//! Who owns which free addresses (`spec/failover-behaviour.md` §6.2 to §6.4;
//! `spec/failover-protocol.md` §4).

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;

/// Free addresses of a pool, reservations not counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Free, the primary's.
    pub free: u32,
    /// Backup, the secondary's.
    pub backup: u32,
}

impl Counts {
    /// All that may be shared.
    #[must_use]
    pub const fn available(self) -> u32 {
        self.free.saturating_add(self.backup)
    }
}

/// What the configuration says about the secondary's share, in percent; `None` and, where dynamic BOOTP
/// is on, 0 leave the choice to the next one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shares {
    /// Load balancing is on.
    pub load_balancing: bool,
    /// The scope serves dynamic BOOTP; counts on the primary only.
    pub dynamic_bootp: bool,
    /// The scope's share with dynamic BOOTP.
    pub scope_dynamic_pct: Option<u8>,
    /// The pair's share with dynamic BOOTP.
    pub pair_dynamic_pct: Option<u8>,
    /// The scope's share.
    pub scope_pct: Option<u8>,
    /// The pair's share; 10 if unset.
    pub pair_pct: Option<u8>,
}

impl Shares {
    /// The share that counts (§6.2).
    #[must_use]
    pub fn pct(&self) -> u8 {
        if self.load_balancing {
            return 50;
        }
        let pair = Some(self.pair_pct.unwrap_or(PAIR_PCT));
        if self.dynamic_bootp {
            return [self.scope_dynamic_pct, self.pair_dynamic_pct, self.scope_pct, pair]
                .into_iter()
                .flatten()
                .find(|pct| *pct > 0)
                .unwrap_or(0);
        }
        self.scope_pct.or(pair).unwrap_or(PAIR_PCT)
    }
}

/// How many of `available` addresses are to be the secondary's. `pct` is in percent, 0 to 100.
#[must_use]
pub fn target(available: u32, pct: u8) -> u32 {
    let share = u64::from(available) * u64::from(pct.min(100)) / 100;
    let share = u32::try_from(share).unwrap_or(available);
    if pct > 0 && available >= 2 { share.max(1) } else { share }
}

/// How many addresses a server answers a POOLREQ with. Each of them then follows in an update.
///
/// Only the primary gives, and only in Normal. An ISC secondary that has less than half asks for ever; it
/// gets the same share.
#[must_use]
pub fn give_count(counts: Counts, pct: u8, role: Role, state: State) -> u32 {
    match (role, state) {
        (Role::Primary, State::Normal) => {
            target(counts.available(), pct).saturating_sub(counts.backup).min(counts.free)
        }
        (Role::Primary, _) | (Role::Secondary, _) => 0,
    }
}

/// Whether the secondary asks before its hour is over: it has less than half of its share. It also asks on
/// entering Normal, every [`BALANCE_PERIOD`], and again after each answer above zero.
#[must_use]
pub fn needs_request(counts: Counts, pct: u8) -> bool {
    u64::from(counts.backup) * 2 < u64::from(target(counts.available(), pct))
}

/// What a primary does to its pool, by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Move {
    /// Gives this many addresses to the secondary.
    Give(u32),
    /// All is well.
    Nothing,
    /// Takes this many back.
    Reclaim(u32),
}

/// The primary's balance in Normal without load balancing, every [`BALANCE_PERIOD`]: it takes back what it
/// is short of; giving waits for a request.
#[must_use]
pub fn reclaim_count(counts: Counts, pct: u8) -> u32 {
    let available = u64::from(counts.available());
    let short = u64::from(counts.free) * 100 < available * u64::from(100 - pct.min(100));
    if short { counts.backup.saturating_sub(target(counts.available(), pct)) } else { 0 }
}

/// The primary's balance in Normal, both ways if load is balanced, then every [`BALANCE_PERIOD_SHARED`].
#[must_use]
pub fn balance(counts: Counts, pct: u8, load_balancing: bool) -> Move {
    if !load_balancing {
        return match reclaim_count(counts, pct) {
            0 => Move::Nothing,
            count => Move::Reclaim(count),
        };
    }
    let target = target(counts.available(), pct);
    if counts.backup.abs_diff(target) <= (counts.available() / 10).max(1) {
        return Move::Nothing;
    }
    if counts.backup > target {
        Move::Reclaim(counts.backup - target)
    } else {
        Move::Give((target - counts.backup).min(counts.free))
    }
}

/// A pool as an ISC dhcpd balances it, seen by one side (`spec/failover-protocol.md` §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IscBalance {
    /// Leases to send: half of what we have more than the partner, rounded towards zero.
    pub lts: i64,
    /// Nothing is given for less than this.
    pub thresh: i64,
    /// By how much clients' affinity may upset the halves.
    pub hold: i64,
    /// Below this it asks its partner.
    pub panic: i64,
}

impl IscBalance {
    /// The figures of a pool.
    #[must_use]
    pub fn new(counts: Counts, role: Role) -> Self {
        let (own, theirs) = match role {
            Role::Primary => (counts.free, counts.backup),
            Role::Secondary => (counts.backup, counts.free),
        };
        let total = i64::from(counts.free) + i64::from(counts.backup);
        let thresh = (total * 15 + 50) / 100;
        Self {
            lts: (i64::from(own) - i64::from(theirs)) / 2,
            thresh,
            hold: (total * 10 + 50) / 100,
            panic: if thresh == 0 { -1 } else { -2 * thresh },
        }
    }

    /// How many addresses it gives away from its own list: what we give back to an ISC primary, which
    /// never takes.
    #[must_use]
    pub fn gives(&self) -> u32 {
        if self.lts > self.thresh { u32::try_from(self.lts).unwrap_or(u32::MAX) } else { 0 }
    }

    /// Whether it asks for addresses.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.lts < self.panic
    }
}

/// A free address that may change hands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// The address.
    pub address: Ipv4Addr,
    /// With load balancing: its last client hashes to the server that is to get it.
    pub preferred: bool,
}

/// From where in a range the secondary's addresses are taken (§6.4): the configured boundary, if set and
/// not 0.0.0.0, else the middle.
#[must_use]
pub fn boundary(first: Ipv4Addr, last: Ipv4Addr, configured: Option<Ipv4Addr>) -> Ipv4Addr {
    configured.filter(|boundary| !boundary.is_unspecified()).unwrap_or_else(|| {
        let (first, last) = (u32::from(first), u32::from(last));
        Ipv4Addr::from(first + last.saturating_sub(first) / 2)
    })
}

/// The best addresses to give, at most `count`: preferred ones first; then those below the boundary, highest
/// first, then the rest, lowest first.
#[must_use]
pub fn to_give(candidates: &[Candidate], boundary: Ipv4Addr, count: u32) -> Vec<Ipv4Addr> {
    let mut ordered = candidates.to_vec();
    ordered.sort_by_key(|candidate| (!candidate.preferred, distance(candidate.address, boundary)));
    ordered.into_iter().take(count as usize).map(|candidate| candidate.address).collect()
}

/// The best addresses to take back, or to give back, at most `count`: preferred ones first, then those that
/// would have been given last.
#[must_use]
pub fn to_take_back(candidates: &[Candidate], boundary: Ipv4Addr, count: u32) -> Vec<Ipv4Addr> {
    let mut ordered = candidates.to_vec();
    ordered.sort_by_key(|candidate| {
        (!candidate.preferred, std::cmp::Reverse(distance(candidate.address, boundary)))
    });
    ordered.into_iter().take(count as usize).map(|candidate| candidate.address).collect()
}

/// The order of giving, as a number.
fn distance(address: Ipv4Addr, boundary: Ipv4Addr) -> (bool, u32) {
    let (address, boundary) = (u32::from(address), u32::from(boundary));
    if address < boundary { (false, boundary - address) } else { (true, address - boundary) }
}

/// How often the secondary asks, and the primary balances without load balancing.
pub const BALANCE_PERIOD: Seconds = Seconds(3600);
/// How often the primary balances with load balancing, at most.
pub const BALANCE_PERIOD_SHARED: Seconds = Seconds(60);
/// The pair's share where none is set.
const PAIR_PCT: u8 = 10;
