//! Bindings to the partner: updates, its answers to them, its requests (`spec/failover-protocol.md` §3, §5).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use api::identity::{Lsn, Role, State};
use api::time::{Mono, Now, Seconds, UnixTime};
use failover::binding::{self, Dialect, Side};
use failover::wire::{BindingAck, BindingUpdate, Message, RejectReason};
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

use crate::Server;
use crate::barrier::Barrier;
use crate::interface::Event;
use crate::rejected::Rejected;
use crate::requests::Request;

/// What is under way between the servers on the present connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    /// Updates handed to the socket, by their numbers.
    pub(crate) in_flight: BTreeMap<u32, InFlight>,
    /// The number of the update in flight for an address; one at a time.
    pub(crate) by_address: BTreeMap<Ipv4Addr, u32>,
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
    pub(crate) early: Vec<(u32, BindingUpdate)>,
    /// Either side sent or answered UPDREQALL for lost data, and the pair was not in Normal since.
    pub(crate) amnesia: bool,
    /// Addresses of reservations that the partner, a dhcpd, keeps no leases of, by its word on this connection.
    isc_hosts: BTreeSet<Ipv4Addr>,
    /// The partner, a dhcpd, has told all its news since the connection was made.
    pub(crate) isc_told_all: bool,
    /// Since when the partner's data are lost, by its own word.
    pub(crate) partner_lost_since: Option<UnixTime>,
}

#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    address: Ipv4Addr,
    pub(crate) update: BindingUpdate,
    /// A duel took it out of the race; its answer only frees the window.
    pub(crate) void: bool,
}

#[derive(Clone, Debug)]
struct Answering {
    /// That of its request; `None` for what nobody asked for.
    xid: Option<u32>,
    /// Not sent yet.
    todo: BTreeSet<Ipv4Addr>,
    /// Sent or to be sent, not answered yet.
    open: BTreeSet<Ipv4Addr>,
}

/// What the partner rejected is told again after this long: the cause may have been its clock (§9).
const RETRY_REJECTED: Seconds = Seconds(300);
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
        self.isc_hosts.clear();
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
            isc_hosts,
            partner_lost_since,
            rejected: _,
        } = self;
        for (xid, sent) in in_flight {
            let latest = by_address.get(&sent.address) == Some(xid);
            write!(out, "Mine({xid}) {sent:?} {latest}")?;
        }
        if let Some(answering) = answering {
            let xid = answering.xid.unwrap_or_default();
            write!(out, "Theirs({xid}) {:?} {:?}", answering.todo, answering.open)?;
        }
        if let Some(request) = request {
            write!(out, "Mine({}) {:?}", request.xid, request.heard_at)?;
        }
        for (xid, update) in early {
            write!(out, "Theirs({xid}) {update:?}")?;
        }
        write!(
            out,
            "{owes_everything} {isc_lost_all} {barrier:?} {rejected_at:?} {ask_at:?} {amnesia} {isc_told_all} {isc_hosts:?} {partner_lost_since:?}"
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
        match side.dialect {
            Dialect::Own => {
                if self.remembers_loss(now) {
                    sometimes!(Rule::AmnesiaTold, lease.hold_until > now.wall);
                    binding::tell_hold(&mut update, lease, now.wall);
                }
                if let Some(holder) = self.holder_of(address) {
                    binding::tell_holder(&mut update, &holder);
                }
            }
            Dialect::Isc => {
                let timeout = self.time_out_of(address);
                binding::tell_time_out(&mut update, lease, timeout, self.guard(), &side);
            }
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

    /// Whether an address is one of those that a dhcpd knows by its hosts alone, if its ranges are our pools.
    pub(crate) fn is_host(&self, address: Ipv4Addr) -> bool {
        self.is_reserved(address) && self.pool_of(address).is_none()
    }

    /// Settles what a dhcpd need not be told, as it refused an update of the address on this connection (decision 033).
    pub(crate) fn settle_hosts(&mut self, now: Now) {
        let Some(side) = self.side(now).filter(|_| !self.exchange.isc_hosts.is_empty()) else { return };
        let due = |address: &&Ipv4Addr| {
            self.table.get(**address).is_some_and(|lease| lease.sync != Sync::Agreed)
                && !self.exchange.by_address.contains_key(*address)
        };
        let due: Vec<Ipv4Addr> = self.exchange.isc_hosts.iter().filter(due).copied().collect();
        for address in due {
            let Some(lease) = self.table.get(address) else { continue };
            let settled = binding::acked(lease, &binding::update_for(lease, &side), &side);
            self.commit(settled);
            if let Some(answering) = &mut self.exchange.answering {
                answering.todo.remove(&address);
                answering.open.remove(&address);
            }
            self.check_barrier(now, Some(address));
        }
        self.finish_answer(now);
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
        // What was told may be of a reservation that is another client's by now.
        let moved = binding::holder_told(&sent.update).is_some_and(|told| !self.is_held_for(address, told));
        let is_news = !sent.void && (!moved || ack.reject.is_some());
        if is_news && let (Some(lease), Some(side)) = (self.table.get(address), self.side(now)) {
            let is_host = ack.reject.as_ref().is_some_and(|reject| {
                side.dialect == Dialect::Isc
                    && reject.reason == RejectReason::IllegalIpAddress
                    && self.is_host(address)
            });
            let next = match &ack.reject {
                Some(_) if is_host => {
                    sometimes!(Rule::IscKeepsNoHosts);
                    self.exchange.isc_hosts.insert(address);
                    binding::acked(lease, &sent.update, &side)
                }
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
                // What is left of a pool that was taken out concerns nobody.
                if let Some(reject) = ack.reject.as_ref().filter(|_| self.is_configured(address)) {
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
        self.tell(
            Some(xid),
            |lease| if everything { !is_untouched(lease) } else { lease.sync != Sync::Agreed },
        );
        self.finish_answer(now);
    }

    /// Tells the partner everything, as if it had asked for that, unless something is told already.
    pub(crate) fn tell_everything(&mut self) {
        if self.exchange.answering.is_none() {
            self.tell(None, |lease| !is_untouched(lease));
        }
    }

    fn tell(&mut self, xid: Option<u32>, which: impl Fn(&Lease) -> bool) {
        let todo: BTreeSet<Ipv4Addr> =
            self.table.iter().filter(|lease| which(lease)).map(|lease| lease.address).collect();
        self.exchange.answering = Some(Answering { xid, open: todo.clone(), todo });
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
            .filter(|(address, at)| now.mono >= **at + RETRY_REJECTED && self.is_configured(**address))
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
            .filter(|lease| !matches!(lease.status, Status::Free | Status::Backup))
            .map(Lease::latest_promise)
            // One without end is over for no MCLT.
            .filter(|promise| !promise.is_infinite())
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
            self.exchange.isc_hosts.contains(address)
                || self.table.get(*address).is_none_or(|lease| {
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

    /// Sends UPDDONE once everything that was asked for has been answered.
    fn finish_answer(&mut self, now: Now) {
        let Some(answering) = self.exchange.answering.take_if(|answering| answering.open.is_empty()) else {
            return;
        };
        let Some(xid) = answering.xid else { return };
        self.exchange.owes_everything = false;
        self.exchange.isc_lost_all = false;
        self.endpoint.told_everything();
        self.log_record_change();
        let after = self.journal.last();
        if let Some(session) = self.links.session() {
            session.reply(xid, Message::UpdDone, after, now);
            self.counters.add("failover_messages_sent", "UPDDONE", 1);
        }
    }
}

/// Free as configured, never used and never spoken of: both sides know it by their configuration.
pub(crate) fn is_untouched(lease: &Lease) -> bool {
    lease.status == Status::Free && lease.client.is_none() && lease.starts == UnixTime::ZERO
}

pub(crate) fn reject_label(reason: RejectReason) -> &'static str {
    reason.as_str()
}

/// The status in which a role owns free addresses.
pub(crate) fn own_free(role: Role) -> Status {
    match role {
        Role::Primary => Status::Free,
        Role::Secondary => Status::Backup,
    }
}
