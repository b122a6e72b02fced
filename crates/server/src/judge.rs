//! What the partner tells of bindings, and what is made of it (`spec/failover-protocol.md` §3.3).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::identity::State;
use api::time::{Now, Seconds};
use failover::binding::{self, Dialect, Judge, Verdict};
use failover::wire::{BindingAck, BindingUpdate, Message, Reject, RejectReason};
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

use crate::Server;
use crate::interface::Event;
use crate::sync::reject_label;

/// How many addresses beyond those of the configuration the partner may tell of.
const ELSEWHERE_MAX: usize = 65_536;
/// An ISC dhcpd may end a lease by this much too early; its clock is read a moment before ours.
const MOMENT: Seconds = Seconds(1);

impl Server {
    /// The partner tells of bindings.
    pub(crate) fn updates(&mut self, now: Now, xid: u32, updates: &[BindingUpdate]) {
        if let Some(request) = &mut self.exchange.request {
            request.heard_at = now.mono;
        }
        if let [update] = updates {
            // What it says later of an address is judged after what it said before.
            self.judge_early(now, |early| early.address == update.address);
            if self.is_a_moment_early(now, update) {
                sometimes!(Rule::IscMomentEarly);
                self.exchange.early.push((xid, update.clone()));
                return;
            }
        }
        self.judge_updates(now, xid, updates);
    }

    /// Judges what came a moment too early and does so no more.
    pub(crate) fn judge_early_updates(&mut self, now: Now) {
        let updates = self.exchange.early.iter().map(|(_, update)| update);
        let due: BTreeSet<_> = updates
            .filter(|update| !self.is_a_moment_early(now, update))
            .filter_map(|update| update.address)
            .collect();
        self.judge_early(now, |update| update.address.is_some_and(|address| due.contains(&address)));
    }

    fn judge_early(&mut self, now: Now, which: impl Fn(&BindingUpdate) -> bool) {
        let (due, rest) = std::mem::take(&mut self.exchange.early)
            .into_iter()
            .partition(|(_, update): &(u32, BindingUpdate)| which(update));
        self.exchange.early = rest;
        for (xid, update) in due {
            self.judge_updates(now, xid, &[update]);
        }
    }

    /// Whether an ISC dhcpd ends a lease that is over in the next second: it counts the second in which a
    /// lease ends as after it, and time is cut to whole seconds.
    fn is_a_moment_early(&self, now: Now, update: &BindingUpdate) -> bool {
        let ends = matches!(update.status, Some(Status::Expired | Status::Free | Status::Backup));
        let Some(lease) = update.address.and_then(|address| self.table.get(address)) else { return false };
        let over = lease.held_until.max(lease.hold_until) + self.guard();
        ends && self.dialect() == Some(Dialect::Isc)
            && lease.status == Status::Active
            && !self.exchange.by_address.contains_key(&lease.address)
            && now.wall <= over
            && over <= now.wall + MOMENT
    }

    fn judge_updates(&mut self, now: Now, xid: u32, updates: &[BindingUpdate]) {
        let mut acks = Vec::with_capacity(updates.len());
        for update in updates {
            let address = update.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
            let reject = self.judge_update(now, address, update);
            acks.push(BindingAck { address, reject, client_id: None, potential_expiry: None });
        }
        let after = self.journal.last();
        if let Some(session) = self.links.session() {
            session.reply(xid, Message::BndAck(acks), after, now);
            self.counters.add("failover_messages_sent", "BNDACK", 1);
        }
    }

    fn judge_update(&mut self, now: Now, address: Ipv4Addr, update: &BindingUpdate) -> Option<Reject> {
        let Some(dialect) = self.dialect() else {
            return Some(Reject { reason: RejectReason::Miscellaneous, text: String::new() });
        };
        let record = self.endpoint.record();
        let xid = self.exchange.by_address.get(&address).copied();
        let unacked =
            xid.and_then(|xid| self.exchange.in_flight.get(&xid)).map(|in_flight| &in_flight.update);
        let heard = self.endpoint.heard();
        let known = self.table.get(address);
        let fallback = Lease::new(address);
        let guard = self.guard();
        let fetches =
            matches!(record.state, State::Recover | State::PotentialConflict | State::ResolutionInterrupted);
        // Who was sent into PartnerDown without its data has leased since.
        let leased_since_loss = known.is_some_and(|lease| {
            let since = record.failed_at.is_some_and(|lost_at| lease.cltt > Some(lost_at));
            lease.status == Status::Active && !lease.cltt_from_partner && since
        });
        sometimes!(Rule::LeasedSinceLoss, fetches && record.data_lost && leased_since_loss);
        let lost_data = fetches && record.data_lost && !leased_since_loss;
        let ahead = i32::try_from(self.links.partner_ahead()).unwrap_or(0);
        let judge = Judge {
            now: now.wall,
            guard,
            role: self.role,
            dialect,
            mclt: self.max_lead.for_waits(),
            unacked,
            partner_ahead: if dialect == Dialect::Own { ahead } else { 0 },
            clock_shift: self.links.clock_shift(),
            link_edges: record.link_edges,
            // What is fetched anew is kept even if no pool has it now: clients believe in it still, nobody
            // else may know, and the pool may come back.
            in_pools: (known.is_some() && self.is_configured(address))
                || (lost_data
                    && dialect == Dialect::Own
                    && (known.is_some() || self.has_room_for_elsewhere())),
            reserved_here: match binding::holder_told(update) {
                Some(told) => self.is_held_for(address, told),
                None => self.is_reserved(address),
            },
            lost_data,
            partner_is_whole: heard != Some(State::Recover),
            after_partner_down: record.state == State::PartnerDown
                || record.state == State::Recover
                || heard == Some(State::PartnerDown),
            amnesia: self.exchange.amnesia,
        };
        let mine = known.unwrap_or(&fallback);
        let verdict = match binding::judge(mine, update, &judge) {
            // What a dhcpd writes into its log: the end that waits here would be in flight by now.
            Verdict::Reject(RejectReason::OutdatedBindingInformation, _)
                if mine.sync == Sync::Due && self.ends_wait() =>
            {
                sometimes!(Rule::IscEndThatWaitsIsBetter);
                Verdict::Reject(RejectReason::OutdatedBindingInformation, binding::UNDER_WAY)
            }
            verdict => verdict,
        };
        let in_pools = judge.in_pools;
        let elsewhere = if in_pools { None } else { self.kept_from_elsewhere(mine, update, &judge) };
        // What is refused as not ours is no word in a duel.
        let lost_duel =
            in_pools && !matches!(verdict, Verdict::Reject(RejectReason::LessCriticalBindingInformation, _));
        if lost_duel && let Some(in_flight) = xid.and_then(|xid| self.exchange.in_flight.get_mut(&xid)) {
            // The partner's copy won, even if it is refused for another reason: the answer to ours only
            // frees the window.
            in_flight.void = true;
            self.exchange.by_address.remove(&address);
        }
        let lease = match verdict {
            Verdict::Accept(lease) | Verdict::AcceptThenRepair(lease) => {
                // A partner that does not know of a reservation yet does not cancel it. A dhcpd never does: it has hosts.
                let stays = dialect == Dialect::Own && self.is_reserved(address);
                let reserved = stays.then(|| binding::reserve(&lease, false, &self.here(now)));
                reserved.flatten().unwrap_or(lease)
            }
            Verdict::Reject(reason, text) => {
                sometimes!(reject_rule(reason));
                // What the partner ended it says once more only when asked.
                let too_early = match reason {
                    RejectReason::OutdatedBindingInformation => true,
                    // A dhcpd ends our lease by its own clock although it has not acknowledged it yet.
                    RejectReason::LessCriticalBindingInformation => {
                        dialect == Dialect::Isc && update.status != Some(Status::Active)
                    }
                    _ => false,
                };
                if too_early && mine.status == Status::Active {
                    let over = mine.held_until.max(mine.hold_until) + guard + Seconds(1);
                    // What is refused although it is over would be refused again, every second.
                    if over > now.wall {
                        self.exchange.ask_at = Some(self.exchange.ask_at.map_or(over, |at| at.min(over)));
                    }
                }
                let held = binding::leased_although_abandoned(mine, update, self.max_lead.for_waits())
                    .or_else(|| binding::outlasted(mine, update, dialect))
                    .or(elsewhere);
                self.counters.add("updates_rejected", reject_label(reason), 1);
                // What is left of a pool that was taken out at both does not say that they differ.
                let ended = matches!(update.status, Some(Status::Expired | Status::Released | Status::Reset));
                if !(ended && reason == RejectReason::IllegalIpAddress) {
                    self.exchange.rejected.we_rejected(address, reason);
                }
                if reason != RejectReason::LessCriticalBindingInformation {
                    let why = format!("{reason}: {text}");
                    self.outbox.event(Event::Rejected {
                        address,
                        by_partner: false,
                        reason: reason.wire(),
                        why,
                    });
                }
                // The partner does not know that the address is out of use, whatever it once agreed to.
                let untold = dialect == Dialect::Own
                    && mine.status == Status::Abandoned
                    && mine.sync != Sync::Due
                    && reason == RejectReason::LessCriticalBindingInformation;
                sometimes!(
                    if in_pools { Rule::LeasedAlthoughAbandoned } else { Rule::LeasedElsewhere },
                    held.is_some() && (mine.status == Status::Abandoned || !in_pools)
                );
                sometimes!(Rule::AbandonedToldAgain, untold);
                if let Some(held) = held.as_ref().filter(|_| binding::tells_hold(update)) {
                    self.endpoint.held_for_amnesia(held.hold_until);
                }
                if untold || held.is_some() {
                    let lease = held.unwrap_or_else(|| mine.clone());
                    let sync = if untold { Sync::Due } else { lease.sync };
                    self.commit(Lease { sync, ..lease });
                }
                return Some(Reject { reason, text: text.to_owned() });
            }
        };
        if let Some(loser) = binding::displaced(mine, &lease) {
            sometimes!(Rule::Displaced);
            self.outbox.event(Event::Notice {
                class: "conflict",
                text: format!("{address} was held by {loser}; the partner's client keeps it"),
            });
        }
        if binding::tells_hold(update) {
            self.endpoint.held_for_amnesia(lease.hold_until);
        }
        self.exchange.rejected.settled(address);
        self.commit(lease);
        None
    }

    /// What is kept of an update for an address in no pool (decision 011): that a client has it, and how that ends. A pool that comes, or comes
    /// back, before the partner could say so again must not take its addresses for free.
    fn kept_from_elsewhere(&self, mine: &Lease, update: &BindingUpdate, judge: &Judge<'_>) -> Option<Lease> {
        let is_known = self.table.get(mine.address).is_some();
        let leased = update.status == Some(Status::Active);
        if !(is_known || leased && self.has_room_for_elsewhere()) {
            return None;
        }
        match binding::judge(mine, update, &Judge { in_pools: true, reserved_here: true, ..*judge }) {
            Verdict::Accept(lease) | Verdict::AcceptThenRepair(lease) => Some(lease),
            Verdict::Reject(..) => None,
        }
    }

    /// Whether the table takes one more address that is in no pool.
    fn has_room_for_elsewhere(&self) -> bool {
        let subnets = self.config.subnets.iter();
        let configured = subnets.map(|subnet| {
            let pools = subnet.pools.iter().map(|pool| u32::from(pool.last) - u32::from(pool.first) + 1);
            pools.map(|len| len as usize).sum::<usize>() + subnet.reservations.len()
        });
        let room = self.table.len() < configured.sum::<usize>() + ELSEWHERE_MAX;
        sometimes!(Rule::NoRoomElsewhere, !room);
        room
    }
}

fn reject_rule(reason: RejectReason) -> Rule {
    match reason {
        RejectReason::IllegalIpAddress => Rule::RejectsIllegalAddress,
        RejectReason::FatalConflict => Rule::RejectsFatalConflict,
        RejectReason::MissingBindingInformation => Rule::RejectsMissing,
        RejectReason::OutdatedBindingInformation => Rule::RejectsOutdated,
        RejectReason::LessCriticalBindingInformation => Rule::RejectsLessCritical,
        RejectReason::IpNotReserved => Rule::RejectsNotReserved,
        // Given for nothing else.
        _ => Rule::IscAbandonedWithClient,
    }
}
