//! What time does to leases: they end, are freed after their waits, and come back from being abandoned.

use std::net::Ipv4Addr;

use api::config::{ServerConfig, UNAVAILABLE_TIMEOUT};
use api::identity::{Role, State};
use api::time::{Now, Seconds, UnixTime};
use dhcp::network::Network;
use failover::binding;
use failover::times::PartnerDown;
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

use crate::Server;
use crate::sync::is_untouched;

/// Upkeep runs this often.
pub(crate) const EVERY_MILLIS: u64 = 1_000;
/// Leases that one run ends at most; the rest follow in the next.
const EXPIRED_MAX: usize = 10_000;

impl Server {
    /// One run.
    pub(crate) fn upkeep(&mut self, now: Now) {
        self.offers.expire(now.mono);
        if self.failure.is_some()
            || self.is_stopping()
            || self.endpoint.is_starting()
            || self.clock_stepped_back(now)
        {
            return;
        }
        if self.max_lead.pass(now.wall) {
            self.journal.document(crate::journal::Document::MaxLead, &self.max_lead);
        }
        self.judge_early_updates(now);
        self.expire_leases(now);
        self.free_after_waits(now);
        self.restore_abandoned(now);
        self.retry_rejected(now);
        self.ask_again(now);
        self.ask_before_ends(now);
        self.give_up_unanswered(now);
        self.tick_balance(now);
        self.check_barrier(now, None);
    }

    /// Freezes until when each lease keeps its address from others, before anything in PartnerDown lowers
    /// what that is made of (§7.2).
    pub(crate) fn freeze_bounds(&mut self, now: Now) {
        sometimes!(Rule::Freezes);
        let at = self.endpoint.record().partner_down_at.unwrap_or(now.wall);
        let mclt = self.max_lead.for_waits();
        self.rewrite(|lease| binding::freeze(lease, at, mclt));
    }

    /// Whether either side lost its data and the pair was not in Normal since, or leases are held for that still.
    pub(crate) fn remembers_loss(&self, now: Now) -> bool {
        self.exchange.amnesia || now.wall <= self.endpoint.record().amnesia_until
    }

    /// The partner is back, and its word replaces the bounds; not those from an earlier loss of data, of which it
    /// knows no more than this server.
    pub(crate) fn thaw_bounds(&mut self, now: Now) {
        let amnesia = self.remembers_loss(now);
        sometimes!(if amnesia { Rule::ThawKeepsForAmnesia } else { Rule::Thaws });
        let quarantines = self.may_have_quarantined();
        self.rewrite(|lease| binding::thaw(lease, amnesia, quarantines));
    }

    /// Marks what the configuration reserves, and unmarks what it reserves no more (§6.6). What was another client's in the
    /// configuration before, the partner may have leased to that one. To be called before the new one is logged, which
    /// may be all that outlives a power cut.
    pub(crate) fn mark_reservations(&mut self, now: Now, before: Option<&Network>) {
        let here = self.here(now);
        let was_anothers = |address| {
            let held = before.and_then(|before| before.reservation(address));
            let holds = self.network.reservation(address);
            held.zip(holds).is_some_and(|(held, holds)| held.client != holds.client)
        };
        let had_pool = |address| {
            let served = before.and_then(|before| before.subnet_of(address));
            served.is_some_and(|served| served.pool_of(address).is_some())
        };
        let changed: Vec<Lease> = self
            .table
            .iter()
            .filter_map(|lease| {
                if self.is_reserved(lease.address) {
                    let moved = was_anothers(lease.address);
                    sometimes!(Rule::ReservationMoved, moved);
                    let reserved = binding::reserve(lease, moved, &here);
                    // Beside a dhcpd it was nobody's but by its host, so there is nothing to agree on.
                    let host = self.partner_may_be_isc() && self.is_host(lease.address);
                    let settled = host && !moved && !had_pool(lease.address) && is_untouched(lease);
                    reserved.map(|lease| if settled { Lease { sync: Sync::Agreed, ..lease } } else { lease })
                } else {
                    binding::unreserve(lease, &here)
                }
            })
            .collect();
        for lease in changed {
            self.commit(lease);
        }
    }

    /// The partner lost its data: what it promised or acknowledged counts for no grant any more, and its
    /// leases are held as long as it may have renewed them (§8).
    pub(crate) fn hold_for_amnesia(&mut self, now: Now) {
        let mclt = self.max_lead.for_waits();
        let lost_at = self.exchange.partner_lost_since.unwrap_or(now.wall);
        self.rewrite(|lease| {
            let held = binding::amnesia_hold(lease, lost_at, mclt);
            let held = binding::revive_for_amnesia(&held, now.wall).unwrap_or(held);
            binding::partner_lost_data(&held)
        });
    }

    /// This server's own data are old or lost, and will be fetched.
    pub(crate) fn distrust_own_data(&mut self) {
        self.rewrite(binding::own_data_lost);
    }

    /// The link to an ISC secondary broke, or this server stopped, between these times: what the partner ended a moment
    /// before may be its client's again, so it stays in quarantine until the next Normal (§6.1).
    pub(crate) fn prolong_quarantine(&mut self, since: UnixTime, until: UnixTime) {
        self.rewrite_some(|lease| binding::prolong_quarantine(lease, since, until));
    }

    /// Normal was entered: the partner has our answers, and quarantines end in their time.
    pub(crate) fn end_quarantine(&mut self, now: Now) {
        if self.may_have_quarantined() {
            self.rewrite_some(|lease| binding::end_quarantine(lease, now.wall));
        }
    }

    /// Whether this is the primary of a partner that may be an ISC dhcpd, which no pod runs.
    pub(crate) fn may_have_quarantined(&self) -> bool {
        self.role == Role::Primary
            && matches!(self.config.server(Role::Secondary), Some(ServerConfig::External { .. }))
    }

    fn rewrite_some(&mut self, change: impl Fn(&Lease) -> Option<Lease>) {
        let changed: Vec<Lease> = self.table.iter().filter_map(change).collect();
        for lease in changed {
            self.commit(lease);
        }
    }

    fn rewrite(&mut self, change: impl Fn(&Lease) -> Lease) {
        let changed: Vec<Lease> = self
            .table
            .iter()
            .map(|lease| (lease, change(lease)))
            .filter(|(old, new)| *old != new)
            .map(|(_, new)| new)
            .collect();
        for lease in changed {
            self.commit(lease);
        }
    }

    fn expire_leases(&mut self, now: Now) {
        let here = self.here(now);
        // A dhcpd that lost its file is told of no hold: it would give an address away whose lease is said to be over.
        let holds = self.remembers_loss(now) && self.partner_may_be_isc();
        let is_held = |lease: &Lease| holds && now.wall <= lease.hold_until + here.guard;
        let ended: Vec<Lease> = self
            .table
            .expiring_before(now.wall)
            .filter_map(|(_, address)| self.table.get(address))
            .filter(|lease| !is_held(lease))
            .filter_map(|lease| binding::expire(lease, &here).ok())
            .take(EXPIRED_MAX)
            .collect();
        self.counters.add("leases_expired", "time", ended.len() as u64);
        for lease in ended {
            self.commit(lease);
        }
    }

    fn free_after_waits(&mut self, now: Now) {
        let Some(down) = self.partner_down() else { return };
        let counts = self.table.counts();
        if counts.of(Status::Expired) + counts.of(Status::Released) + counts.of(Status::Reset) == 0 {
            return;
        }
        let here = self.here(now);
        let freed: Vec<Lease> = self
            .table
            .iter()
            .filter_map(|lease| {
                let dynamic_bootp = self.serves_bootp(lease.address);
                binding::unpark(lease, &here, &PartnerDown { dynamic_bootp, ..down }).ok()
            })
            .take(EXPIRED_MAX)
            .collect();
        for lease in freed {
            self.commit(lease);
        }
    }

    fn restore_abandoned(&mut self, now: Now) {
        if self.table.counts().of(Status::Abandoned) == 0 || self.endpoint.record().state == State::Recover {
            return;
        }
        let here = self.here(now);
        let restored: Vec<Lease> = self
            .table
            .iter()
            .filter(|lease| lease.status == Status::Abandoned && self.is_configured(lease.address))
            .filter_map(|lease| {
                let timeout = self.time_out_of(lease.address);
                binding::abandoned_timeout(lease, &here, self.dialect(), timeout).ok()
            })
            .collect();
        for lease in restored {
            self.commit(lease);
        }
    }

    /// For how long an address stays out of use once it is abandoned.
    pub(crate) fn time_out_of(&self, address: Ipv4Addr) -> Seconds {
        self.pool_of(address).map_or(UNAVAILABLE_TIMEOUT, |pool| pool.unavailable_timeout)
    }
}
