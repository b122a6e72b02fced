//! Bindings to and from the partner: updates, answers, the partner's requests, the exit barrier
//! (`spec/failover-protocol.md` §3, §5; `spec/failover-behaviour.md` §7.3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use api::identity::{Lsn, Role, State};
use api::time::{Mono, Now, Seconds, UnixTime};
use failover::binding::{self, Dialect, Judge, Side, Verdict};
use failover::times;
use failover::wire::{BindingAck, BindingUpdate, Message, Reject, RejectReason};
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

use crate::Server;
use crate::interface::Event;
use crate::rejected::Rejected;
use crate::requests::Request;

/// What is under way between the servers on the present connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    /// Updates handed to the socket, by their numbers.
    in_flight: BTreeMap<u32, InFlight>,
    /// The number of the update in flight for an address; one at a time.
    by_address: BTreeMap<Ipv4Addr, u32>,
    /// The partner's request for bindings that we are answering.
    answering: Option<Answering>,
    /// Our own request for bindings.
    pub(crate) request: Option<Request>,
    /// The partner asked for everything and was not told all of it yet: a later UPDREQ asks for that, too.
    owes_everything: bool,
    /// The partner, a dhcpd, was met in Recover, perhaps without its file, and was not told everything since: in a conflict it
    /// forgets to ask for that (decision 028).
    isc_lost_all: bool,
    /// What must be acknowledged before PartnerDown may end.
    pub(crate) barrier: Option<Barrier>,
    /// When the partner rejected the present state of an address.
    rejected_at: BTreeMap<Ipv4Addr, Mono>,
    /// Updates that one side rejected and that nothing has settled since.
    pub(crate) rejected: Rejected,
    /// When what we rejected as too early may be told again: then we ask for it (HU-9).
    pub(crate) ask_at: Option<UnixTime>,
    /// Updates of an ISC dhcpd that end a lease in the very second in which it ends, by their numbers: they
    /// are judged in the next one.
    early: Vec<(u32, BindingUpdate)>,
    /// Either side sent or answered UPDREQALL for lost data, and the pair was not in Normal since.
    pub(crate) amnesia: bool,
    /// The partner, a dhcpd, has told all its news since the connection was made.
    pub(crate) isc_told_all: bool,
    /// Since when the partner's data are lost, by its own word.
    pub(crate) partner_lost_since: Option<UnixTime>,
}

#[derive(Clone, Debug)]
struct InFlight {
    address: Ipv4Addr,
    update: BindingUpdate,
    /// A duel took it out of the race; its answer only frees the window.
    void: bool,
}

#[derive(Clone, Debug)]
struct Answering {
    xid: u32,
    /// Not sent yet.
    todo: BTreeSet<Ipv4Addr>,
    /// Sent or to be sent, not answered yet.
    open: BTreeSet<Ipv4Addr>,
}

/// The conditions of the exit barrier, fixed when it came up: they only shrink.
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    /// Clients that were promised more than the partner would wait for.
    promised: BTreeSet<Ipv4Addr>,
    /// Updates that were due.
    due: BTreeSet<Ipv4Addr>,
}

impl Barrier {
    /// Leases whose clients were promised too much.
    pub(crate) fn promised(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.promised.iter().copied()
    }

    /// How many leases hold it.
    pub(crate) fn len(&self) -> usize {
        self.promised.union(&self.due).count()
    }
}

/// What the partner rejected is told again after this long: the cause may have been its clock (§9).
const RETRY_REJECTED: Seconds = Seconds(300);
/// An ISC dhcpd may end a lease by this much too early; its clock is read a moment before ours.
const MOMENT: Seconds = Seconds(1);
/// How many updates that are not durable yet are looked past for one that is.
const LOOK_PAST: usize = 64;

impl Exchange {
    /// The connection is gone: everything in flight is unsent again.
    pub(crate) fn link_lost(&mut self) {
        self.in_flight.clear();
        self.by_address.clear();
        self.answering = None;
        self.request = None;
        self.barrier = None;
        self.early.clear();
        self.isc_told_all = false;
    }

    /// Updates that wait for an answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Writes all that decides what is exchanged next, as [`Server::picture`] does.
    pub(crate) fn picture(&self, out: &mut impl Write) -> std::fmt::Result {
        let Self {
            in_flight,
            by_address,
            answering,
            request,
            owes_everything,
            isc_lost_all,
            barrier,
            rejected_at,
            ask_at,
            early,
            amnesia,
            isc_told_all,
            partner_lost_since,
            rejected: _,
        } = self;
        for (xid, sent) in in_flight {
            let latest = by_address.get(&sent.address) == Some(xid);
            write!(out, "Mine({xid}) {sent:?} {latest}")?;
        }
        if let Some(answering) = answering {
            write!(out, "Theirs({}) {:?} {:?}", answering.xid, answering.todo, answering.open)?;
        }
        if let Some(request) = request {
            write!(out, "Mine({}) {:?}", request.xid, request.heard_at)?;
        }
        for (xid, update) in early {
            write!(out, "Theirs({xid}) {update:?}")?;
        }
        write!(
            out,
            "{owes_everything} {isc_lost_all} {barrier:?} {rejected_at:?} {ask_at:?} {amnesia} {isc_told_all} {partner_lost_since:?}"
        )
    }

    /// The pair is in Normal.
    pub(crate) fn settled(&mut self) {
        self.amnesia = false;
        self.isc_lost_all = false;
    }
}

impl Server {
    /// Hands the next update to the socket; false if none may go now.
    pub(crate) fn send_update(&mut self, now: Now) -> bool {
        if self.exchange.in_flight.len() >= self.links.window() {
            sometimes!(Rule::WindowFull, !self.exchange.in_flight.is_empty());
            return false;
        }
        let Some(address) = self.next_update(now) else { return false };
        let Some(side) = self.side(now) else { return false };
        let Some(lease) = self.table.get(address) else { return false };
        let mut update = binding::update_for(lease, &side);
        if side.dialect == Dialect::Own && self.remembers_loss(now) {
            sometimes!(Rule::AmnesiaTold, lease.hold_until > now.wall);
            binding::tell_hold(&mut update, lease, now.wall);
        }
        let Some(session) = self.links.session() else { return false };
        let xid = session.send(Message::BndUpd(vec![update.clone()]), Lsn::ZERO, now);
        self.counters.add("failover_messages_sent", "BNDUPD", 1);
        if let Some(answering) = &mut self.exchange.answering {
            answering.todo.remove(&address);
        }
        self.exchange.by_address.insert(address, xid);
        self.exchange.in_flight.insert(xid, InFlight { address, update, void: false });
        true
    }

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

    /// The partner answers.
    pub(crate) fn acks(&mut self, now: Now, xid: u32, acks: &[BindingAck]) {
        let Some(sent) = self.exchange.in_flight.remove(&xid) else { return };
        let address = sent.address;
        sometimes!(Rule::AnswerIsVoid, sent.void);
        if self.exchange.by_address.get(&address) == Some(&xid) {
            self.exchange.by_address.remove(&address);
        }
        let Some(ack) = acks.iter().find(|ack| ack.address == address).or_else(|| acks.first()) else {
            return;
        };
        if !sent.void
            && let (Some(lease), Some(side)) = (self.table.get(address), self.side(now))
        {
            let next = match &ack.reject {
                None => {
                    self.exchange.rejected.settled(address);
                    binding::acked(lease, &sent.update, &side)
                }
                Some(reject) => {
                    self.counters.add("updates_rejected_by_partner", reject_label(reject.reason), 1);
                    self.outbox.event(Event::Rejected {
                        address,
                        by_partner: true,
                        reason: reject.reason.wire(),
                        why: format!("{}: {}", reject.reason, reject.text),
                    });
                    binding::rejected(lease, &sent.update, reject.reason, &side)
                }
            };
            if next.sync == Sync::Rejected {
                self.exchange.rejected_at.insert(address, now.mono);
                if let Some(reject) = &ack.reject {
                    self.exchange.rejected.partner_rejected(address, reject.reason);
                }
            }
            if &next != lease {
                self.commit(next);
            }
        }
        if let Some(answering) = &mut self.exchange.answering
            && !self.exchange.by_address.contains_key(&address)
            && !answering.todo.contains(&address)
        {
            answering.open.remove(&address);
        }
        self.finish_answer(now);
        self.check_barrier(now, Some(address));
    }

    /// The partner said its state: a dhcpd without its file knows no other than Recover.
    pub(crate) fn note_lost_file(&mut self, partner: State) {
        if (self.dialect(), partner) == (Some(Dialect::Isc), State::Recover) && !self.endpoint.isc_remembers()
        {
            self.exchange.isc_lost_all = true;
        }
    }

    /// The partner asks for bindings (§5).
    pub(crate) fn answer_updates(&mut self, now: Now, xid: u32, all: bool) {
        // The link broke before all was told, and whoever lost its data need not say so again (RC-6).
        // A dhcpd that lost its file and meets a conflict asks for the rest only, also on the next connection.
        let isc = self.dialect() == Some(Dialect::Isc);
        let remembers = isc && self.endpoint.isc_remembers() && !self.exchange.isc_lost_all;
        let all = all || isc && !remembers;
        let everything = all || self.exchange.owes_everything;
        sometimes!(match (all, everything) {
            (true, _) => Rule::AnswersAll,
            (false, true) => Rule::AnswersOwedAll,
            (false, false) => Rule::AnswersTheRest,
        });
        self.exchange.owes_everything = everything;
        // Not only after a common Normal: what was fetched from the partner, or acknowledged by it, before
        // the first one can be lost there as well.
        let partner_knew = || {
            self.table
                .iter()
                .any(|lease| lease.acked_potential.max(lease.received_potential_max) > UnixTime::ZERO)
        };
        // Each time: between two requests the partner may have lost its memory again.
        sometimes!(Rule::IscRemembers, all && remembers);
        if all && !remembers && (self.endpoint.record().integrated || partner_knew()) {
            // Normal ends it, and has begun for one that asks later.
            self.exchange.amnesia |= self.endpoint.record().state != State::Normal;
            self.hold_for_amnesia(now);
        }
        let todo: BTreeSet<Ipv4Addr> = self
            .table
            .iter()
            .filter(|lease| if everything { !is_untouched(lease) } else { lease.sync != Sync::Agreed })
            .map(|lease| lease.address)
            .collect();
        self.exchange.answering = Some(Answering { xid, open: todo.clone(), todo });
        self.finish_answer(now);
    }

    /// On entry of Normal everything that is not agreed goes again (§3.5).
    pub(crate) fn requeue(&mut self, now: Now) {
        let rejected: Vec<Lease> =
            self.table.iter().filter(|lease| lease.sync == Sync::Rejected).cloned().collect();
        sometimes!(Rule::RequeuesRejected, !rejected.is_empty());
        for mut lease in rejected {
            lease.sync = Sync::Due;
            self.commit(lease);
        }
        self.exchange.rejected_at.clear();
        self.exchange.rejected.forget_own();
        self.exchange.settled();
        self.rolled_back = None;
        self.links.guard_closures = 0;
        let unsettled = self.endpoint.record().unsettled;
        match self.dialect() {
            Some(Dialect::Own) if unsettled => self.endpoint.settled(),
            Some(Dialect::Isc) if unsettled || self.has_ends_to_tell(now) => self.request_updates(now, false),
            Some(Dialect::Isc) => self.exchange.isc_told_all = true,
            Some(Dialect::Own) | None => {}
        }
        self.end_quarantine(now);
        self.balance_on_normal(now);
    }

    /// Tells the partner again what it rejected a while ago.
    pub(crate) fn retry_rejected(&mut self, now: Now) {
        let due: Vec<Ipv4Addr> = self
            .exchange
            .rejected_at
            .iter()
            .filter(|(_, at)| now.mono >= **at + RETRY_REJECTED)
            .map(|(address, _)| *address)
            .collect();
        for address in due {
            self.exchange.rejected_at.remove(&address);
            if let Some(lease) = self.table.get(address).filter(|lease| lease.sync == Sync::Rejected) {
                sometimes!(Rule::RetriesRejected);
                let lease = Lease { sync: Sync::Due, ..lease.clone() };
                self.commit(lease);
            }
        }
    }

    /// Looks at the exit barrier, wholly or after a change of one address.
    pub(crate) fn check_barrier(&mut self, now: Now, changed: Option<Ipv4Addr>) {
        if !self.endpoint.is_exit_pending() {
            self.exchange.barrier = None;
            return;
        }
        let mclt = self.max_lead.for_grants();
        let fresh = self.exchange.barrier.is_none();
        let table = &self.table;
        let barrier = self.exchange.barrier.get_or_insert_with(|| Barrier {
            promised: table
                .iter()
                .filter(|lease| times::blocks_exit(lease, now.wall, mclt))
                .map(|lease| lease.address)
                .collect(),
            due: table.iter().filter(|lease| lease.sync == Sync::Due).map(|lease| lease.address).collect(),
        });
        let before = barrier.len();
        if let Some(address) = changed {
            barrier.due.remove(&address);
        }
        let still = |address: &Ipv4Addr| {
            table.get(*address).is_some_and(|lease| times::blocks_exit(lease, now.wall, mclt))
        };
        match changed {
            Some(address) => {
                if !still(&address) {
                    barrier.promised.remove(&address);
                }
            }
            None => {
                barrier.promised.retain(still);
                // What the partner said of an address may have settled it without an answer to ours.
                let due =
                    |address: &Ipv4Addr| table.get(*address).is_some_and(|lease| lease.sync == Sync::Due);
                barrier.due.retain(due);
            }
        }
        sometimes!(Rule::BarrierHeldByPromise, !barrier.promised.is_empty());
        sometimes!(Rule::BarrierHeldByUpdate, !barrier.due.is_empty());
        sometimes!(Rule::BarrierOpensAtOnce, fresh && barrier.len() == 0);
        sometimes!(
            if changed.is_some() { Rule::BarrierShrinksByAnswer } else { Rule::BarrierShrinksByLook },
            barrier.len() < before
        );
        if barrier.promised.is_empty() && barrier.due.is_empty() {
            self.exchange.barrier = None;
            let context = self.context(now);
            self.endpoint.barrier_open(context);
        }
    }

    /// Both sides of the present connection, as the rules for bindings need them.
    pub(crate) fn side(&self, now: Now) -> Option<Side> {
        Some(Side {
            now: now.wall,
            role: self.role,
            dialect: self.dialect()?,
            mclt: self.max_lead.for_waits(),
        })
    }

    pub(crate) fn dialect(&self) -> Option<Dialect> {
        self.links.partner_is_own().map(|own| if own { Dialect::Own } else { Dialect::Isc })
    }

    /// Largest promise of any lease: until then leases granted under an older MCLT may last.
    pub(crate) fn latest_promise(&self) -> UnixTime {
        self.table
            .iter()
            .filter(|lease| lease.status == Status::Active)
            .map(Lease::latest_promise)
            .max()
            .unwrap_or_default()
    }

    /// The address whose update goes next: what the partner asked for, else what is due, oldest first.
    fn next_update(&self, now: Now) -> Option<Ipv4Addr> {
        let ready = |address: &Ipv4Addr| {
            !self.exchange.by_address.contains_key(address) && self.journal.is_lease_durable(*address)
        };
        if let Some(answering) = &self.exchange.answering
            && let Some(address) = answering.todo.iter().take(LOOK_PAST).find(|address| ready(address))
        {
            return Some(*address);
        }
        let side = self.side(now)?;
        let partner = self.endpoint.heard()?;
        let ends_wait = self.ends_wait();
        let withheld = |address: &Ipv4Addr| {
            self.table.get(*address).is_none_or(|lease| {
                let waits = ends_wait && binding::tells_of_no_lease(lease, &side);
                sometimes!(Rule::IscEndsWait, waits);
                binding::is_withheld(lease, &side, partner) || waits
            })
        };
        self.pushes()
            .then(|| self.table.due().take(LOOK_PAST + self.exchange.in_flight.len()))?
            .find(|address| ready(address) && !withheld(address))
    }

    /// Whether ends of leases, and shares, wait until the partner, a dhcpd, has told its news: it takes them for the last
    /// word, and a client may have renewed there, or got the address, while the link was down.
    pub(crate) fn ends_wait(&self) -> bool {
        let served_alone = |state| matches!(state, State::Normal | State::CommunicationsInterrupted);
        let own = self.endpoint.record().state;
        self.dialect() == Some(Dialect::Isc)
            && !self.exchange.isc_told_all
            // What was fetched before the link went down again is no longer all.
            && (served_alone(own) || own == State::RecoverDone)
            && self.endpoint.heard().is_some_and(served_alone)
    }

    pub(crate) fn has_ends_to_tell(&self, now: Now) -> bool {
        let Some(side) = self.side(now) else { return false };
        self.table
            .due()
            .filter_map(|address| self.table.get(address))
            .any(|lease| binding::tells_of_no_lease(lease, &side))
    }

    /// Whether updates go out without being asked for: not while one of the two fetches or sorts out
    /// its data, when only requests are answered.
    fn pushes(&self) -> bool {
        let own = matches!(
            self.endpoint.record().state,
            State::Normal
                | State::CommunicationsInterrupted
                | State::PartnerDown
                | State::ConflictDone
                | State::RecoverDone
        );
        let partner = matches!(
            self.endpoint.heard(),
            Some(
                State::Normal
                    | State::CommunicationsInterrupted
                    | State::ConflictDone
                    | State::RecoverDone
                    | State::RecoverWait
            )
        );
        let pushes = own && partner && !self.endpoint.is_starting();
        sometimes!(Rule::PushesNothing, !pushes);
        pushes
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
                || (lost_data && dialect == Dialect::Own),
            reserved_here: self.is_reserved(address),
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
        let lost_duel = !matches!(verdict, Verdict::Reject(RejectReason::LessCriticalBindingInformation, _));
        if lost_duel && let Some(in_flight) = xid.and_then(|xid| self.exchange.in_flight.get_mut(&xid)) {
            // The partner's copy won, even if it is refused for another reason: the answer to ours only
            // frees the window.
            in_flight.void = true;
            self.exchange.by_address.remove(&address);
        }
        let lease = match verdict {
            Verdict::Accept(lease) | Verdict::AcceptThenRepair(lease) => lease,
            Verdict::Reject(reason, text) => {
                sometimes!(reject_rule(reason));
                if reason == RejectReason::OutdatedBindingInformation && mine.status == Status::Active {
                    let over = mine.held_until.max(mine.hold_until) + guard + Seconds(1);
                    // What is refused although it is over would be refused again, every second.
                    if over > now.wall {
                        self.exchange.ask_at = Some(self.exchange.ask_at.map_or(over, |at| at.min(over)));
                    }
                }
                let held = binding::leased_although_abandoned(mine, update, self.max_lead.for_waits());
                self.counters.add("updates_rejected", reject_label(reason), 1);
                self.exchange.rejected.we_rejected(address, reason);
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
                sometimes!(Rule::LeasedAlthoughAbandoned, held.is_some());
                sometimes!(Rule::AbandonedToldAgain, untold);
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

    /// Sends UPDDONE once everything that was asked for has been answered.
    fn finish_answer(&mut self, now: Now) {
        let Some(answering) = self.exchange.answering.take_if(|answering| answering.open.is_empty()) else {
            return;
        };
        self.exchange.owes_everything = false;
        self.exchange.isc_lost_all = false;
        self.endpoint.told_everything();
        self.log_record_change();
        let after = self.journal.last();
        if let Some(session) = self.links.session() {
            session.reply(answering.xid, Message::UpdDone, after, now);
            self.counters.add("failover_messages_sent", "UPDDONE", 1);
        }
    }
}

/// Free as configured, never used and never spoken of: both sides know it by their configuration.
fn is_untouched(lease: &Lease) -> bool {
    lease.status == Status::Free && lease.client.is_none() && lease.starts == UnixTime::ZERO
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

fn reject_label(reason: RejectReason) -> &'static str {
    reason.as_str()
}

/// The status in which a role owns free addresses.
pub(crate) fn own_free(role: Role) -> Status {
    match role {
        Role::Primary => Status::Free,
        Role::Secondary => Status::Backup,
    }
}
