//! Free addresses between the servers: who asks, who gives, who takes back, and when
//! (`spec/failover-behaviour.md` §6.2, §6.3).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::config::Pool;
use api::identity::{Lsn, Role, State};
use api::time::{Mono, Now};
use failover::binding::{self, Dialect};
use failover::hash::{Hba, client_bucket};
use failover::pool::{
    self, BALANCE_PERIOD, BALANCE_PERIOD_SHARED, Candidate, Counts, IscBalance, Move, Shares,
};
use failover::wire::Message;
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

use crate::Server;
use crate::interface::Event;
use crate::sync::own_free;

/// When the pools were looked at, and what was said of them.
#[derive(Clone, Debug)]
pub(crate) struct Balance {
    /// The next regular look.
    next: Mono,
    /// A secondary below half of its share asks no sooner than this.
    next_request: Mono,
    /// Subnets whose emptiness was told and that have not had an address since.
    told_empty: BTreeSet<String>,
}

/// A secondary that is short asks at most this often.
const REQUEST_EVERY_MILLIS: u64 = 5_000;

impl Balance {
    pub(crate) fn new(now: Mono) -> Self {
        Self { next: now + BALANCE_PERIOD, next_request: now, told_empty: BTreeSet::new() }
    }

    /// Whether to tell that a subnet has no address left: once, until it had one again.
    pub(crate) fn tell_empty(&mut self, subnet: &str) -> bool {
        self.told_empty.insert(subnet.to_owned())
    }
}

impl Server {
    /// Normal was entered: a secondary asks for its share, a primary looks at the pools.
    pub(crate) fn balance_on_normal(&mut self, now: Now) {
        match self.role {
            Role::Primary => self.balance(now),
            Role::Secondary => {
                if self.dialect() == Some(Dialect::Isc) {
                    // An ISC primary gives by itself; asked before its updates are here, it warns of a
                    // partner with an inconsistent database.
                    self.balance.next_request = now.mono + BALANCE_PERIOD_SHARED;
                } else {
                    sometimes!(Rule::AsksOnNormal);
                    self.request_addresses(now);
                }
                self.schedule(now);
            }
        }
    }

    /// The pools changed.
    pub(crate) fn balance_on_configuration(&mut self, now: Now) {
        self.balance.told_empty.clear();
        if self.endpoint.record().state == State::Normal {
            self.balance_on_normal(now);
        }
    }

    /// The regular look at the pools.
    pub(crate) fn tick_balance(&mut self, now: Now) {
        if self.endpoint.record().state != State::Normal {
            return;
        }
        if now.mono >= self.balance.next {
            match self.role {
                Role::Primary => self.balance(now),
                Role::Secondary => {
                    if self.dialect() == Some(Dialect::Isc) {
                        self.give_surplus(now);
                    } else {
                        sometimes!(Rule::AsksHourly);
                        self.request_addresses(now);
                    }
                    self.schedule(now);
                }
            }
        }
        if self.role == Role::Secondary && now.mono >= self.balance.next_request && self.is_short() {
            sometimes!(Rule::AsksWhenShort);
            self.request_addresses(now);
        }
    }

    /// Whether a secondary has so little that it asks before its time. An ISC primary gives half, and only
    /// what two dhcpd would see as too little is worth a question to it.
    fn is_short(&self) -> bool {
        let isc = self.dialect() == Some(Dialect::Isc);
        self.all_pools().iter().any(|pool| {
            let counts = self.counts(pool);
            if isc {
                IscBalance::new(counts, self.role).asks()
            } else {
                pool::needs_request(counts, self.share(pool))
            }
        })
    }

    /// The partner asks for addresses: the answer says how many, the updates follow.
    pub(crate) fn pool_requested(&mut self, now: Now, xid: u32) {
        let state = self.endpoint.record().state;
        let mut given = 0;
        for pool in self.all_pools() {
            let count = pool::give_count(self.counts(&pool), self.share(&pool), self.role, state);
            given += self.give(now, &pool, count);
        }
        sometimes!(match (self.role, state) {
            (Role::Secondary, _) => Rule::SecondaryGivesNothing,
            (Role::Primary, State::Normal) if given > 0 => Rule::GivesAsked,
            (Role::Primary, State::Normal) => Rule::GivesNothing,
            (Role::Primary, _) => Rule::GivesNothingNow,
        });
        let after = self.journal.last();
        if let Some(session) = self.links.session() {
            session.reply(xid, Message::PoolResp { transferred: given }, after, now);
            self.counters.add("failover_messages_sent", "POOLRESP", 1);
        }
        if given > 0 {
            self.counters.add("addresses_given", "requested", u64::from(given));
            self.outbox.event(Event::PoolBalanced { given, reclaimed: 0 });
        }
    }

    /// The partner gives this many: ask again while it does.
    pub(crate) fn pool_answered(&mut self, now: Now, transferred: u32) {
        self.counters.add("addresses_received", "requested", u64::from(transferred));
        if transferred > 0 {
            self.balance.told_empty.clear();
            self.balance.next_request = now.mono.plus_millis(REQUEST_EVERY_MILLIS);
        }
    }

    fn request_addresses(&mut self, now: Now) {
        self.balance.next_request = if self.dialect() == Some(Dialect::Isc) {
            now.mono + BALANCE_PERIOD_SHARED
        } else {
            now.mono.plus_millis(REQUEST_EVERY_MILLIS)
        };
        if let Some(session) = self.links.session() {
            session.send(Message::PoolReq, Lsn::ZERO, now);
            self.counters.add("failover_messages_sent", "POOLREQ", 1);
        }
    }

    /// The primary's look: takes back what it is short of; with load balancing gives as well.
    fn balance(&mut self, now: Now) {
        let shared = self.config.load_balancing.is_some();
        let (mut given, mut reclaimed) = (0, 0);
        for pool in self.all_pools() {
            let next = pool::balance(self.counts(&pool), self.share(&pool), shared);
            sometimes!(
                match next {
                    Move::Give(_) => Rule::BalanceGives,
                    Move::Reclaim(_) if shared => Rule::BalanceReclaims,
                    Move::Reclaim(_) => Rule::ReclaimsHourly,
                    Move::Nothing => Rule::BalanceRests,
                },
                shared || next != Move::Nothing
            );
            match next {
                Move::Nothing => {}
                Move::Give(count) => given += self.give(now, &pool, count),
                Move::Reclaim(count) => reclaimed += self.reclaim(now, &pool, count),
            }
        }
        if given + reclaimed > 0 {
            self.counters.add("addresses_given", "balanced", u64::from(given));
            self.counters.add("addresses_reclaimed", "balanced", u64::from(reclaimed));
            self.outbox.event(Event::PoolBalanced { given, reclaimed });
        }
        self.schedule(now);
    }

    /// An ISC primary takes nothing back: its secondary gives what it has more than half of.
    fn give_surplus(&mut self, now: Now) {
        if self.dialect() != Some(Dialect::Isc) {
            return;
        }
        for pool in self.all_pools() {
            let count = IscBalance::new(self.counts(&pool), self.role).gives();
            sometimes!(Rule::IscGivesSurplus, count > 0);
            self.give(now, &pool, count);
        }
    }

    fn give(&mut self, now: Now, pool: &Pool, count: u32) -> u32 {
        let candidates = self.candidates(now, pool, own_free(self.role));
        let chosen = pool::to_give(&candidates, boundary(pool), count);
        self.move_each(&chosen, |server, lease| binding::give(lease, &server.here(now)).ok())
    }

    fn reclaim(&mut self, now: Now, pool: &Pool, count: u32) -> u32 {
        let candidates = self.candidates(now, pool, Status::Backup);
        let chosen = pool::to_take_back(&candidates, boundary(pool), count);
        self.move_each(&chosen, |server, lease| binding::reclaim(lease, &server.here(now)).ok())
    }

    fn move_each(&mut self, addresses: &[Ipv4Addr], change: impl Fn(&Self, &Lease) -> Option<Lease>) -> u32 {
        let mut moved = 0;
        for address in addresses {
            let Some(next) = self.table.get(*address).and_then(|lease| change(self, lease)) else { continue };
            self.commit(next);
            moved += 1;
        }
        moved
    }

    /// Free addresses of a status that may change hands: agreed, not reserved, not offered to a client, not promised by a
    /// dhcpd.
    fn candidates(&self, now: Now, pool: &Pool, status: Status) -> Vec<Candidate> {
        let here = self.here(now);
        let hba = Hba(self.links.hba.unwrap_or_else(|| self.configured_hba()));
        let receiver = if status == Status::Free { Role::Secondary } else { Role::Primary };
        let prefers = |lease: &Lease| {
            self.config.load_balancing.is_some()
                && lease.client.as_ref().is_some_and(|client| {
                    hba.primary_serves(client_bucket(client)) == (receiver == Role::Primary)
                })
        };
        self.table
            .available(pool.first, pool.last, status)
            .filter_map(|address| self.table.get(address))
            .filter(|lease| lease.sync == Sync::Agreed && !self.is_reserved(lease.address))
            .filter(|lease| !self.offers.is_offered(lease.address))
            .filter(|lease| !binding::is_promised_to_anybody(lease, now.wall))
            .filter(|lease| status != own_free(self.role) || !binding::is_held_free(lease, &here))
            .map(|lease| Candidate { address: lease.address, preferred: prefers(lease) })
            .collect()
    }

    /// Free addresses of a pool by owner, reservations not counted.
    fn counts(&self, pool: &Pool) -> Counts {
        let counts = self.table.range_counts(pool.first, pool.last);
        Counts { free: counts.unreserved(Status::Free), backup: counts.unreserved(Status::Backup) }
    }

    /// The secondary's share of a pool, in percent, as this server reckons.
    pub(crate) fn share(&self, pool: &Pool) -> u8 {
        Shares {
            load_balancing: self.config.load_balancing.is_some(),
            dynamic_bootp: pool.dynamic_bootp && self.role == Role::Primary,
            scope_dynamic_pct: pool.dynamic_bootp_backup_pct,
            pair_dynamic_pct: self.config.dynamic_bootp_backup_pct,
            scope_pct: pool.backup_pct,
            pair_pct: Some(self.config.backup_pct),
        }
        .pct()
    }

    fn all_pools(&self) -> Vec<Pool> {
        self.config.subnets.iter().flat_map(|subnet| subnet.pools.iter().cloned()).collect()
    }

    fn schedule(&mut self, now: Now) {
        let period =
            if self.config.load_balancing.is_some() { BALANCE_PERIOD_SHARED } else { BALANCE_PERIOD };
        self.balance.next = now.mono + period;
        self.balance.told_empty.clear();
    }
}

fn boundary(pool: &Pool) -> Ipv4Addr {
    pool::boundary(pool.first, pool.last, pool.allocation_boundary)
}
