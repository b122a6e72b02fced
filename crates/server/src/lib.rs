//! One whole server without I/O: dhcp, failover and leases composed, and the gate that holds every
//! reply until what it says is durable.
//!
//! Time, bytes and the store's word come in from outside. After any call that takes `now` the driver
//! calls, until each has no more to give: [`Server::take_batch`], [`Server::poll_reply`],
//! [`Server::poll_link`] for every connection, [`Server::poll_order`], [`Server::poll_answer`],
//! [`Server::poll_event`]; and [`Server::tick`] again no later than [`Server::next_deadline`].

mod addresses;
mod balance;
mod barrier;
mod command;
mod counters;
mod edit;
mod force;
mod gate;
mod interface;
mod journal;
mod judge;
mod ledger;
mod link;
mod offers;
mod outbox;
mod picture;
mod rejected;
mod removal;
mod report;
mod requests;
mod reset;
mod service;
mod start;
mod stop;
mod sync;
mod unfit;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use api::config::PairConfig;
use api::identity::{Lsn, Role, State, StoreStamp};
use api::pair::PairManifest;
use api::time::{Mono, Now, Seconds, UnixTime};
use dhcp::network::Network;
use failover::endpoint::{Action, Context, Endpoint};
use failover::times::MaxLead;
use failover::transition::Service;
use leases::lease::{Lease, Status};
use leases::log::Batch;
use leases::table::Table;
use marks::{Rule, sometimes};

use crate::balance::Balance;
use crate::counters::Counters;
pub use crate::edit::{EditError, edit_state};
use crate::gate::{AGE_MAX_MILLIS, Gate};
pub use crate::interface::{
    Answer, Boot, Caller, Command, CommandId, ConnId, Event, LinkEvent, LinkOrder, ReplyBuf, RxMeta,
};
use crate::journal::{Document, Journal};
use crate::ledger::Ledger;
use crate::link::{CLOSED, Links};
use crate::offers::Offers;
use crate::outbox::Outbox;
pub use crate::removal::{Orphans, orphans_at_start};
pub use crate::start::{StartError, stored_leases, stored_manifest};
use crate::stop::Stop;
use crate::sync::Exchange;
use crate::unfit::Unfit;
pub use dhcp::reply::Destination;

/// How far ahead a server promises to serve: it may answer until then, and a start counts it as the end
/// of the last service (§2.2).
const PROMISE: Seconds = Seconds(2);
/// A process that is not called for this long stood still: it has something to do every second. As long it
/// takes, at most, until it has read what the sockets kept for it meanwhile.
const STANDSTILL_MILLIS: u64 = 2_000;

/// One server of a pair.
#[derive(Clone, Debug)]
pub struct Server {
    role: Role,
    address: Ipv4Addr,
    version: String,
    volume_uid: Option<String>,
    manifest: PairManifest,
    config: PairConfig,
    digest: String,
    network: Arc<Network>,
    table: Table,
    endpoint: Endpoint,
    max_lead: MaxLead,
    journal: Journal,
    /// What the store held when the process started.
    loaded: StoreStamp,
    /// The change that says that the operator has compared that with what it remembers.
    compared_since: Option<Lsn>,
    gate: Gate,
    /// The change that allowed the present service; no reply leaves before it is durable.
    service_since: Lsn,
    /// Until when this server has promised to serve, durable or not.
    promise: UnixTime,
    /// Promises on their way to the disk.
    promises: VecDeque<(Lsn, UnixTime)>,
    /// Until when this server may answer.
    durable_promise: UnixTime,
    offers: Offers,
    links: Links,
    exchange: Exchange,
    balance: Balance,
    counters: Counters,
    outbox: Outbox,
    /// Why the store refuses changes; terminal.
    failure: Option<String>,
    /// The volume is full; what is stored goes into the store's reserve.
    store_low: bool,
    /// What was found of a store that is older than somebody saw it, until the next Normal.
    rolled_back: Option<String>,
    /// Since when changes wait for the disk without any becoming durable.
    waiting_since: Option<Mono>,
    /// Since when no commit was quick enough for a reply to leave.
    slow_since: Option<Mono>,
    /// What people were told of why this server left its clients to the partner.
    unfit_told: Option<Unfit>,
    /// When this server was called last.
    called_at: Mono,
    /// When it was called again after it had stood still.
    stood_still_at: Option<Mono>,
    /// The latest wall clock reading: one that steps back must not shorten a lease.
    latest: UnixTime,
    /// A planned stop, under way or done.
    stopping: Option<Stop>,
    /// What became of every request.
    ledger: Ledger,
    next_upkeep: Mono,
}

impl Server {
    /// A DHCP packet arrived.
    pub fn packet(&mut self, now: Now, rx: &RxMeta, bytes: &[u8]) {
        self.note_time(now);
        self.serve(now, rx, bytes);
        self.settle(now);
    }

    /// Something happened on a connection with the partner.
    pub fn link(&mut self, now: Now, conn: ConnId, event: LinkEvent<'_>) {
        self.note_time(now);
        match event {
            LinkEvent::Up => self.link_established(now, conn),
            LinkEvent::Bytes(bytes) => self.link_bytes(now, conn, bytes),
            LinkEvent::Down => self.link_down(now, conn, CLOSED, "the connection was closed".to_owned()),
        }
        self.settle(now);
    }

    /// A connection that [`LinkOrder::Dial`] asked for could not be made.
    pub fn dial_failed(&mut self, now: Now, why: String) {
        self.links.dial_failed(now, why);
    }

    /// Somebody asks something of this server; the answer comes from [`Server::poll_answer`].
    pub fn command(&mut self, now: Now, id: CommandId, command: Command) {
        self.note_time(now);
        self.execute(now, id, command);
        self.settle(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.note_time(now);
        if self.unfit(now).is_some() {
            self.endpoint.unfit(now);
        }
        let context = self.context(now);
        self.endpoint.tick(context);
        self.settle(now);
        self.tick_links(now);
        self.settle_hosts(now);
        self.tell_unfit(now);
        self.try_disk(now);
        self.tell_news(now);
        if now.mono >= self.next_upkeep {
            self.next_upkeep = now.mono.plus_millis(upkeep::EVERY_MILLIS);
            self.upkeep(now);
        }
        self.tick_stop(now);
        self.settle(now);
    }

    /// When to call [`Server::tick`] at the latest; it may be called at any other time too.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        // While nobody is served here no link is kept or sought; upkeep looks whether that is over.
        let unfit = self.unfit_told.is_some() || self.is_stalled(self.called_at);
        let link = if unfit { None } else { self.links.next_deadline(self.may_link()) };
        let stop = self.next_stop_look();
        [Some(self.next_upkeep), self.endpoint.next_deadline(), link, stop].into_iter().flatten().min()
    }

    /// Everything changed since the last call, as one atomic batch. Several may be in flight.
    #[must_use]
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.failure.is_some() {
            return None;
        }
        self.journal.take_batch(self.endpoint.record().stamp.epoch, &self.table)
    }

    /// All changes up to `upto` are on disk. Cumulative, in order.
    pub fn durable(&mut self, now: Now, upto: Lsn) {
        self.note_time(now);
        if upto <= self.journal.durable() {
            return;
        }
        self.journal.set_durable(upto);
        while let Some((lsn, promise)) = self.promises.front().copied().filter(|(lsn, _)| *lsn <= upto) {
            debug_assert!(lsn <= upto);
            self.promises.pop_front();
            self.durable_promise = promise;
        }
        if let Some(since) = self.waiting_since {
            let too_late = now.mono.millis_since(since) > AGE_MAX_MILLIS;
            self.slow_since = too_late.then(|| self.slow_since.unwrap_or(since));
        }
        self.waiting_since = self.journal.is_waiting().then_some(now.mono);
        self.outbox.set_durable(upto);
        self.settle(now);
    }

    /// The store failed. Terminal: pending replies are dropped and the links closed, so that the partner
    /// takes over; only a new process may open the store again.
    pub fn storage_failed(&mut self, error: String) {
        if self.failure.is_some() {
            return;
        }
        sometimes!(Rule::StoreFailed);
        let dropped = self.gate.clear();
        self.counters.add("replies_dropped", "storage_failed", dropped as u64);
        self.outbox.event(Event::StorageFailed { why: error.clone() });
        self.links.close_all(&mut self.outbox);
        self.outbox.store_failed(&error);
        self.refuse_stop(&error);
        self.failure = Some(error);
    }

    /// Whether the store gave up its reserve, as the volume is full. Service goes on.
    pub fn storage_low(&mut self, low: bool) {
        self.store_low = low;
    }

    /// The next reply that may leave; false if there is none.
    #[must_use]
    pub fn poll_reply(&mut self, now: Now, out: &mut ReplyBuf) -> bool {
        let mut stale = 0;
        let reply = self.gate.poll(now, self.journal.durable(), self.durable_promise, &mut stale);
        sometimes!(Rule::ReplyStale, stale > 0);
        self.counters.add("replies_dropped", "stale", stale);
        let Some((label, reply)) = reply else { return false };
        self.counters.add("replies_sent", label, 1);
        *out = reply;
        true
    }

    /// Octets for the socket of a connection; returns how many were written to `out`.
    #[must_use]
    pub fn poll_link(&mut self, now: Now, conn: ConnId, out: &mut [u8]) -> usize {
        self.fill(now, conn, out)
    }

    /// What to do about connections.
    #[must_use]
    pub fn poll_order(&mut self) -> Option<LinkOrder> {
        self.outbox.poll_order()
    }

    /// The next answer to a command, given once what it says is durable.
    #[must_use]
    pub fn poll_answer(&mut self) -> Option<(CommandId, Answer)> {
        self.outbox.poll_answer()
    }

    /// The next fact for log, status and metrics. At most [`outbox::EVENTS_MAX`] wait; older ones give way.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.poll_event()
    }

    /// Counts by family and label, for metrics. They only rise.
    #[must_use]
    pub fn counters(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        self.counters.all()
    }

    /// Whether the server answers anybody in its present state.
    #[must_use]
    pub fn serving(&self) -> bool {
        self.place_marks();
        self.failure.is_none() && self.endpoint.service() != Service::Silent
    }

    /// The failover state as shown to people.
    #[must_use]
    pub fn state(&self) -> State {
        self.endpoint.shown_state()
    }

    /// The lease table, for the simulator's checkers.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The endpoint, for the simulator's checkers.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The MCLT in force, for the simulator's checkers.
    #[must_use]
    pub fn max_lead(&self) -> &MaxLead {
        &self.max_lead
    }

    /// Until when this server may answer by what is on its disk.
    #[must_use]
    pub fn durable_promise(&self) -> UnixTime {
        self.durable_promise
    }

    fn context(&self, now: Now) -> Context {
        Context { now, mclt: self.max_lead.for_waits(), guard: self.guard() }
    }

    /// Clock guard G: nothing while the clocks agree within a second, else their difference (§2.2).
    fn guard(&self) -> Seconds {
        let delta = self.links.clock_delta().unsigned_abs();
        if delta <= 1 { Seconds::ZERO } else { Seconds(u32::try_from(delta).unwrap_or(u32::MAX)) }
    }

    fn note_time(&mut self, now: Now) {
        self.place_marks();
        self.latest = self.latest.max(now.wall);
        if now.mono.millis_since(self.called_at) > STANDSTILL_MILLIS {
            self.stood_still_at = Some(now.mono);
        }
        self.called_at = now.mono;
    }

    /// What is marked from here on is of this server and its present partner.
    pub(crate) fn place_marks(&self) {
        if marks::ON {
            marks::at(self.role, self.links.partner_is_own());
        }
    }

    /// Whether what arrives now may have waited in a buffer while this process stood still.
    fn may_hear_the_past(&self, now: Now) -> bool {
        self.stood_still_at.is_some_and(|at| now.mono.millis_since(at) < STANDSTILL_MILLIS)
    }

    /// Whether the wall clock runs behind what was seen already: nothing may be allocated then, as waits
    /// would seem shorter than they are.
    fn clock_stepped_back(&self, now: Now) -> bool {
        let back = self.clock_is_behind(now, Seconds(2));
        sometimes!(Rule::ClockSteppedBack, back);
        back
    }

    /// A lease changed: puts it into the table and on its way to the disk.
    fn commit(&mut self, lease: Lease) -> Lsn {
        let address = lease.address;
        if self.exchange.amnesia {
            self.endpoint.held_for_amnesia(lease.hold_until);
        }
        let ends = |before: &Lease| {
            before.status == Status::Active
                && (lease.status != Status::Active
                    || before.client != lease.client
                    || before.held_until > lease.held_until)
        };
        if self.table.get(address).is_some_and(ends) {
            let revoked = self.gate.revoke(&lease);
            sometimes!(Rule::ReplyLeaseEnded, revoked > 0);
            self.counters.add("replies_dropped", "lease_ended", revoked as u64);
        }
        self.table.put(lease);
        self.journal.lease(address)
    }

    /// Carries out what the endpoint decided, in the order log, then effect.
    fn settle(&mut self, now: Now) {
        while let Some(action) = self.endpoint.poll_action() {
            self.log_record_change();
            self.carry_out(now, action);
        }
        self.log_record_change();
        if self.compared_since.is_none() && self.endpoint.is_compared_with_operator() {
            self.compared_since = Some(self.journal.last());
        }
        if self.endpoint.service() == Service::Silent {
            // Also without a change of state: RecoverDone stops serving with the link (H-20).
            self.drop_replies();
        }
        if self.waiting_since.is_none() && self.journal.is_waiting() {
            self.waiting_since = Some(now.mono);
        }
    }

    fn log_record_change(&mut self) {
        if self.endpoint.take_record_change() {
            self.journal.document(Document::Endpoint, self.endpoint.record());
        }
    }

    /// Says that this server leaves its clients to the partner, and that it takes them back.
    fn tell_unfit(&mut self, now: Now) {
        let unfit = self.unfit(now).filter(|_| self.failure.is_none());
        let before = std::mem::replace(&mut self.unfit_told, unfit);
        if before == unfit {
            return;
        }
        if let Some(before) = before {
            let text = format!("{}: that is over", before.why());
            self.outbox.event(Event::Notice { class: before.class(), text });
        }
        if let Some(unfit) = unfit {
            let text = format!(
                "{}: nobody is answered and the link is closed, so that the partner serves; {}",
                unfit.why(),
                unfit.advice(self.latest)
            );
            self.outbox.event(Event::Notice { class: unfit.class(), text });
        }
    }

    /// Ceasing to serve acts at once: nobody gets what was promised but not yet said.
    fn drop_replies(&mut self) {
        let dropped = self.gate.clear();
        if dropped > 0 {
            sometimes!(Rule::ReplyServiceEnded);
            self.counters.add("replies_dropped", "service_stopped", dropped as u64);
        }
    }

    fn carry_out(&mut self, now: Now, action: Action) {
        match action {
            Action::Entered { from, to, why } => self.entered(now, from, to, why),
            Action::Announce { state, startup, since } => self.announce(now, state, startup, since),
            Action::Request { all } => self.request_updates(now, all),
            Action::CancelRequest => self.exchange.request = None,
            Action::DropLink => self.drop_link(now, "forced", "asked to interrupt communications"),
            Action::FreezeBounds => self.freeze_bounds(now),
            Action::Requeue => self.requeue(now),
            Action::Behind { rolled_back, why } => {
                if rolled_back {
                    self.rolled_back = Some(why.clone());
                }
                // The first start of a new pair begins with an empty store, as its token says.
                let record = self.endpoint.record();
                if !record.token_burnt || record.partner.is_some() {
                    self.outbox.event(Event::StoreBehind { why });
                }
            }
        }
    }

    fn entered(&mut self, now: Now, from: State, to: State, why: &'static str) {
        self.counters.add("state_changes", to.as_str(), 1);
        self.outbox.event(Event::StateChanged { from, to, why: why.to_owned() });
        self.service_since = self.journal.last();
        if self.endpoint.service() != Service::All {
            self.drop_replies();
            self.offers.clear();
        }
        self.exchange.barrier = None;
        if to == State::PartnerDown {
            self.freeze_bounds(now);
            self.note_alone_lease();
        }
        if from == State::PartnerDown {
            self.thaw_bounds(now);
        }
        if to == State::Recover && self.endpoint.record().data_lost {
            self.distrust_own_data();
        }
    }
}
