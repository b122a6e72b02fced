//! Connections with the partner: dialling, the handshake's part that needs the server, states both ways
//! (`spec/failover-protocol.md` §1, §6, §9).

mod databases;
mod news;

use std::collections::BTreeMap;
use std::fmt::Write;

use api::identity::{Lsn, Role, State};
use api::status::LinkRefusal;
use api::time::{Mono, Now, Seconds, UnixTime};
use failover::endpoint::Action;
use failover::guard::{self, Announce};
use failover::session::{ClockShift, Failure, Received, Session, Settings};
use failover::wire::{Extension, Frame, Message, RejectReason, StateMessage};
use marks::{Rule, sometimes};

use self::databases::Comparison;
use crate::Server;
use crate::interface::{ConnId, Event, LinkOrder};
use crate::journal::Document;
use crate::outbox::Outbox;

/// Wait between two tries after a loss.
const REDIAL: Seconds = Seconds(5);
/// Wait after a refusal: its cause needs a person or the other side's time-out.
const REDIAL_REFUSED: Seconds = Seconds(60);
/// A secondary of an ISC primary holds its first STATE until the primary's arrived, at most this long.
const FIRST_STATE_MILLIS: u64 = 2_000;
/// Class of a loss that the driver reported.
pub(crate) const CLOSED: &str = "closed";
/// Connections at the same time. A partner needs two when both dial at once.
const SESSIONS_MAX: usize = 4;

/// All connections of the relationship.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    sessions: BTreeMap<ConnId, Session>,
    /// Ended, but with a last word that must still leave.
    parting: BTreeMap<ConnId, Session>,
    /// The one whose handshake is complete.
    registered: Option<Registered>,
    dialling: bool,
    next_dial: Mono,
    /// A server alone has nobody to dial.
    partner_expected: bool,
    /// The partner's clock minus ours, in seconds, as last measured.
    clock_delta: i64,
    /// Hash buckets of the primary, as it told us.
    pub(crate) hba: Option<[u8; 32]>,
    /// Why the last connection ended.
    pub(crate) last_error: Option<String>,
    /// Which side refused the other, until a handshake succeeds or nobody is there. Connections that end otherwise
    /// in between, such as the second of two dials, change nothing about its cause.
    pub(crate) refusal: Option<LinkRefusal>,
    /// Whether an own partner holds the same leases.
    comparison: Comparison,
    /// How often since the last Normal a connection was closed because a dhcpd must not hear our state.
    pub(crate) guard_closures: u32,
}

#[derive(Clone, Debug)]
struct Registered {
    conn: ConnId,
    /// The partner's first STATE must come before this; then ours may follow.
    first_state_by: Option<Mono>,
    /// Our state may be said.
    announced: bool,
    /// The last that was said.
    said: Option<State>,
    /// Our store and what we know of the partner's was named on this connection.
    told_progress: bool,
    /// Number of the newest change of our ledger that the partner was told.
    told_requests: u64,
    /// The partner was told last that a fence is in force here.
    told_fence: bool,
}

impl Links {
    /// No connection yet; with a partner the first dial is due at once.
    pub(crate) fn new(partner_expected: bool, clock_delta: i64) -> Self {
        Self { partner_expected, clock_delta, ..Self::default() }
    }

    pub(crate) fn dial_failed(&mut self, now: Now, why: String) {
        if self.registered.is_none() {
            self.last_error = Some(why);
            self.refusal = None;
        }
        self.dialling = false;
        self.next_dial = now.mono + REDIAL;
    }

    /// The next try is due then.
    pub(crate) fn dial_at(&mut self, at: Mono) {
        self.next_dial = at;
    }

    /// The partner's clock minus ours.
    pub(crate) fn clock_delta(&self) -> i64 {
        self.clock_delta
    }

    /// By how much the partner's clock is surely ahead.
    pub(crate) fn partner_ahead(&self) -> i64 {
        let session = self.registered().and_then(|conn| self.sessions.get(&conn));
        session.map_or(0, Session::partner_ahead)
    }

    /// How far both clocks are apart, as the partner computes it too.
    pub(crate) fn clock_shift(&self) -> ClockShift {
        let session = self.registered().and_then(|conn| self.sessions.get(&conn));
        session.map_or_else(ClockShift::default, Session::clock_shift)
    }

    /// The connection whose handshake is complete.
    pub(crate) fn registered(&self) -> Option<ConnId> {
        self.registered.as_ref().map(|registered| registered.conn)
    }

    /// The session whose handshake is complete.
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        let conn = self.registered()?;
        self.sessions.get_mut(&conn)
    }

    /// Whether the partner is one of ours; `None` while no handshake is complete.
    pub(crate) fn partner_is_own(&self) -> Option<bool> {
        self.sessions.get(&self.registered()?).map(Session::speaks_own)
    }

    /// Updates that the partner takes without an answer.
    pub(crate) fn window(&self) -> usize {
        let session = self.registered().and_then(|conn| self.sessions.get(&conn));
        session.and_then(Session::peer).map_or(0, |peer| peer.max_unacked as usize)
    }

    /// Keeps a session that is about to end until its last word has left.
    fn part(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.get(&conn) {
            self.parting.insert(conn, session.clone());
        }
        while self.parting.len() > SESSIONS_MAX {
            self.parting.pop_first();
        }
    }

    /// Writes what decides what is said next, as [`Server::picture`] does; not when to dial again.
    pub(crate) fn picture(&self, out: &mut impl Write) -> std::fmt::Result {
        let Self {
            sessions,
            parting,
            registered,
            dialling: _,
            next_dial: _,
            partner_expected,
            clock_delta,
            hba,
            last_error: _,
            refusal: _,
            // What it does is to tell again what is known.
            comparison: _,
            guard_closures: _,
        } = self;
        for (conn, session) in sessions {
            let registered = registered.as_ref().filter(|registered| registered.conn == *conn);
            let registered = registered.map(|it| {
                let in_conflict = it.said == Some(State::PotentialConflict);
                let told = (it.told_progress, it.told_fence);
                (it.first_state_by, it.announced, it.said.is_some(), in_conflict, told)
            });
            write!(out, "{registered:?} ")?;
            session.picture(out)?;
        }
        write!(out, "{} {partner_expected} {clock_delta} {}", parting.len(), hba.is_some())
    }

    /// All connections that are not ending.
    pub(crate) fn connections(&self) -> Vec<ConnId> {
        self.sessions.keys().copied().collect()
    }

    pub(crate) fn next_deadline(&self, may_dial: bool) -> Option<Mono> {
        let missing = self.partner_expected && self.sessions.is_empty() && !self.dialling;
        let dial = (missing && may_dial).then_some(self.next_dial);
        let first_state = self.registered.as_ref().and_then(|registered| registered.first_state_by);
        let sessions = self.sessions.values().map(Session::next_deadline).min();
        [dial, first_state, sessions].into_iter().flatten().min()
    }

    pub(crate) fn close_all(&mut self, outbox: &mut Outbox) {
        for conn in std::mem::take(&mut self.sessions).into_keys() {
            outbox.order(LinkOrder::Close(conn));
        }
        self.registered = None;
        self.partner_expected = false;
    }
}

impl Server {
    /// A TCP connection with the partner came up.
    pub(crate) fn link_established(&mut self, now: Now, conn: ConnId) {
        self.links.dialling = false;
        let unwanted = self.unfit(now).is_some() || !self.may_link() || {
            // A primary opens only one at a time; the other dial of the two goes unused.
            self.role == Role::Primary && !self.links.sessions.is_empty()
        };
        if unwanted || self.links.sessions.len() >= SESSIONS_MAX {
            sometimes!(Rule::ConnectionUnwanted);
            self.outbox.order(LinkOrder::Close(conn));
            return;
        }
        let settings = Settings {
            role: self.role,
            relationship: self.config.relationship.clone(),
            max_unacked: self.config.max_unacked,
            receive_timer: self.config.poll_timeout,
            poll_interval: self.config.poll_interval,
            mclt: self.max_lead.configured,
            hba: self.configured_hba(),
            changed: self.journal.last(),
        };
        if self.role == Role::Primary {
            self.counters.add("failover_messages_sent", "CONNECT", 1);
        }
        self.links.sessions.insert(conn, Session::new(settings, now));
    }

    /// Octets arrived on a connection.
    pub(crate) fn link_bytes(&mut self, now: Now, conn: ConnId, bytes: &[u8]) {
        let Some(session) = self.links.sessions.get_mut(&conn) else { return };
        session.push(bytes);
        while let Some(session) = self.links.sessions.get_mut(&conn) {
            match session.next(now) {
                Ok(None) => return,
                Ok(Some(Received::Opened { mclt, hba })) => {
                    self.counters.add("failover_messages_received", "CONNECT", 1);
                    self.opened(now, conn, mclt, hba);
                }
                Ok(Some(Received::Accepted { extensions })) => {
                    self.counters.add("failover_messages_received", "CONNECTACK", 1);
                    let sent = session.settings().mclt;
                    let latest = self.latest_promise();
                    self.max_lead.connect_acked(sent, now.wall, latest);
                    self.journal.document(Document::MaxLead, &self.max_lead);
                    self.register(now, conn, &extensions);
                }
                Ok(Some(Received::Message(frame))) => self.message(now, conn, frame),
                Err(failure) => {
                    if matches!(failure, Failure::Disconnected { .. }) {
                        self.counters.add("failover_messages_received", "DISCONNECT", 1);
                    }
                    self.fail_link(now, conn, &failure);
                    return;
                }
            }
            // Replies of one message may wait for its change; the next message must see it made.
            self.settle(now);
        }
    }

    /// A connection is gone.
    pub(crate) fn link_down(&mut self, now: Now, conn: ConnId, class: &'static str, why: String) {
        if class == CLOSED {
            self.links.parting.remove(&conn);
        }
        let Some(session) = self.links.sessions.remove(&conn) else { return };
        self.links.next_dial = self.links.next_dial.max(now.mono + REDIAL);
        if self.links.registered() != Some(conn) {
            // Loss of any other connection changes no state (§1.1).
            self.links.last_error = Some(why);
            return;
        }
        self.stop_lost_link(session.owes_state());
        if self.may_have_quarantined() && !session.speaks_own() {
            self.prolong_quarantine(now.wall, now.wall);
        }
        self.links.registered = None;
        self.exchange.link_lost();
        self.links.comparison.link_lost();
        self.counters.add("link_losses", class, 1);
        // A partner that said that it stops is no failure of the link.
        let farewell = matches!(self.endpoint.heard(), Some(State::Paused | State::Shutdown));
        self.links.last_error = (!farewell).then(|| why.clone());
        self.outbox.event(Event::LinkDown { class, why });
        let context = self.context(now);
        self.endpoint.link_lost(context);
    }

    /// Dials, keeps alive, and finds dead connections.
    pub(crate) fn tick_links(&mut self, now: Now) {
        if let Some(unfit) = self.unfit(now) {
            // CONTACTs must not hide from the partner that nobody is served here.
            sometimes!(self.unfit_rule(unfit), !self.links.sessions.is_empty());
            self.drop_link(now, unfit.class(), unfit.why());
            return;
        }
        for conn in self.links.sessions.keys().copied().collect::<Vec<_>>() {
            let Some(session) = self.links.sessions.get_mut(&conn) else { continue };
            match session.tick(now) {
                Ok(true) => self.contact(now, conn),
                Ok(false) => {}
                Err(failure) => self.fail_link(now, conn, &failure),
            }
        }
        if let Some(registered) = &self.links.registered
            && registered.first_state_by.is_some_and(|by| by <= now.mono)
        {
            let conn = registered.conn;
            sometimes!(Rule::IscNoFirstState);
            self.outbox.order(LinkOrder::Close(conn));
            self.link_down(now, conn, "no_state", "the partner did not say its state".to_owned());
        }
        let may_dial = self.links.partner_expected
            && self.links.sessions.is_empty()
            && !self.links.dialling
            && self.may_link();
        if may_dial && self.links.next_dial <= now.mono {
            self.links.dialling = true;
            self.outbox.order(LinkOrder::Dial);
        }
    }

    /// Keeps a connection alive; an own partner is told what is new.
    fn contact(&mut self, now: Now, conn: ConnId) {
        let Some(session) = self.links.sessions.get(&conn) else { return };
        let own = session.speaks_own();
        let after = if own { self.journal.last() } else { Lsn::ZERO };
        let mut extensions = if own { self.news(conn) } else { Vec::new() };
        if own {
            extensions.extend(self.databases(now));
        }
        if let Some(session) = self.links.sessions.get_mut(&conn) {
            session.send(Message::Contact { extensions }, after, now);
            self.counters.add("failover_messages_sent", "CONTACT", 1);
        }
    }

    /// Whether this server wants a connection with its partner.
    pub(crate) fn may_link(&self) -> bool {
        self.failure.is_none() && !self.is_stopping() && !self.endpoint.record().held
    }

    /// Octets for a connection's socket: control messages first, then binding updates.
    pub(crate) fn fill(&mut self, now: Now, conn: ConnId, out: &mut [u8]) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        let durable = self.journal.durable();
        if let Some(session) = self.links.parting.get_mut(&conn) {
            return session.poll_bytes(durable, now, out);
        }
        let mut len = 0;
        loop {
            let Some(session) = self.links.sessions.get_mut(&conn) else { return len };
            len += session.poll_bytes(durable, now, out.get_mut(len..).unwrap_or_default());
            if len == out.len() || !session.is_drained() || self.links.registered() != Some(conn) {
                return len;
            }
            if !self.send_update(now) {
                return len;
            }
        }
    }

    /// Says a state to the partner, unless it is one that would harm an ISC dhcpd.
    pub(crate) fn announce(&mut self, now: Now, state: State, startup: bool, since: UnixTime) {
        let after = self.journal.last();
        let heard = self.endpoint.heard();
        let Some(registered) = &self.links.registered else { return };
        if !registered.announced {
            // The first word of a connection says the state of that moment.
            return;
        }
        let (conn, last_said) = (registered.conn, registered.said);
        let own = self.links.partner_is_own() == Some(true);
        let extensions = if own { self.news(conn) } else { Vec::new() };
        let Some(session) = self.links.sessions.get_mut(&conn) else { return };
        let mut said = state;
        if !session.speaks_own() {
            let announce = match guard::to_isc(heard.unwrap_or(State::Unknown), state, startup) {
                // It enters the conflict when it reads of ours, and may not have said so yet.
                Announce::Permitted
                    if last_said == Some(State::PotentialConflict) && heard.is_some_and(enters_conflict) =>
                {
                    guard::to_isc(State::PotentialConflict, state, startup)
                }
                announce => announce,
            };
            match announce {
                Announce::Permitted => {}
                Announce::SayInstead(instead) => {
                    sometimes!(Rule::IscSaysInstead);
                    said = instead;
                }
                Announce::SayFirst(first) => {
                    sometimes!(Rule::IscSaysFirst);
                    let since = since.get();
                    let message = StateMessage { state: first, startup, since, extensions: Vec::new() };
                    session.send(Message::State(message), after, now);
                }
                Announce::CloseInstead => {
                    sometimes!(Rule::IscClosesInstead);
                    let why = format!("an ISC partner must not hear {state} now; connecting anew");
                    self.outbox.order(LinkOrder::Close(conn));
                    self.links.guard_closures = self.links.guard_closures.saturating_add(1);
                    self.link_down(now, conn, "guard", why);
                    return;
                }
            }
        }
        let message = StateMessage { state: said, startup, since: since.get(), extensions };
        session.send(Message::State(message), after, now);
        self.counters.add("failover_messages_sent", "STATE", 1);
        if let Some(registered) = &mut self.links.registered {
            registered.said = Some(said);
        }
    }

    /// Own hash buckets: those of the configuration, or all for the primary.
    pub(crate) fn configured_hba(&self) -> [u8; 32] {
        self.config.load_balancing.map_or([0xff; 32], |balancing| balancing.hba)
    }

    /// A secondary was opened: store what CONNECT says, then accept.
    fn opened(&mut self, now: Now, conn: ConnId, mclt: Seconds, hba: [u8; 32]) {
        if self.links.registered.is_some() {
            sometimes!(Rule::ConnectionDuplicate);
            if let Some(session) = self.links.sessions.get_mut(&conn) {
                let failure =
                    session.refuse(RejectReason::DuplicateConnection, "a connection is established", now);
                self.fail_link(now, conn, &failure);
            }
            return;
        }
        let latest = self.latest_promise();
        self.max_lead.learned(mclt, now.wall, latest);
        let after = self.journal.document(Document::MaxLead, &self.max_lead);
        self.links.hba = Some(hba);
        let extensions = vec![self.progress()];
        if let Some(session) = self.links.sessions.get_mut(&conn) {
            session.accept(extensions, after, now);
            self.counters.add("failover_messages_sent", "CONNECTACK", 1);
        }
        self.register(now, conn, &[]);
    }

    /// The handshake of a connection is complete.
    fn register(&mut self, now: Now, conn: ConnId, extensions: &[Extension]) {
        let Some(session) = self.links.sessions.get(&conn) else { return };
        let own = session.speaks_own();
        let Some(peer) = session.peer().cloned() else { return };
        let delta = session.clock_delta();
        self.measured(delta);
        // An ISC primary says its state on CONNECTACK; hearing it first keeps ours from harming it.
        let hold = !own;
        self.links.registered = Some(Registered {
            conn,
            first_state_by: hold.then(|| now.mono.plus_millis(FIRST_STATE_MILLIS)),
            announced: false,
            said: None,
            told_progress: false,
            told_requests: 0,
            told_fence: false,
        });
        self.links.last_error = None;
        self.links.refusal = None;
        self.place_marks();
        let context = self.context(now);
        self.endpoint.meet_while_fenced(self.promise.min(now.wall), context);
        self.endpoint.link_up(peer.receive_timer);
        self.outbox.event(Event::LinkUp { vendor: peer.vendor });
        self.compare_progress(now, extensions);
        if !hold {
            self.say_first_state(now);
        }
    }

    fn measured(&mut self, clock_delta: i64) {
        self.links.clock_delta = clock_delta;
        self.endpoint.clocks_differ(clock_delta);
    }

    /// Nothing else is said on a connection before the own state: a partner must know who asks.
    pub(crate) fn say_state_before_anything(&mut self, now: Now) {
        let Some(registered) = &self.links.registered else { return };
        if registered.announced && registered.said.is_none() {
            self.announce_present(now);
        } else if !registered.announced && self.endpoint.heard().is_some() {
            self.say_first_state(now);
        }
    }

    fn say_first_state(&mut self, now: Now) {
        if let Some(registered) = &mut self.links.registered {
            registered.announced = true;
            registered.first_state_by = None;
        }
        // What the endpoint decided just now is logged first.
        self.settle(now);
        self.announce_present(now);
    }

    fn announce_present(&mut self, now: Now) {
        if let Action::Announce { state, startup, since } = self.endpoint.announcement() {
            self.announce(now, state, startup, since);
        }
    }

    fn message(&mut self, now: Now, conn: ConnId, frame: Frame) {
        if self.links.registered() != Some(conn) {
            return;
        }
        if let Some(delta) = self.links.sessions.get(&conn).map(Session::clock_delta) {
            self.measured(delta);
        }
        self.counters.add("failover_messages_received", frame.message.name(), 1);
        match frame.message {
            Message::State(message) => {
                let lacks_partner_down = self.endpoint.lacks_partner_down();
                self.compare_progress(now, &message.extensions);
                self.learn(now, &message.extensions, lacks_partner_down);
                let context = self.context(now);
                let (state, since) = (message.state, UnixTime::new(u64::from(message.since)));
                let before = self.endpoint.record().partner.map(|partner| (partner.state, partner.startup));
                let change = news::state_change(&message.extensions);
                self.endpoint.partner_state(state, message.startup, since, change, context);
                self.note_lost_file(state);
                if before != Some((state, message.startup)) {
                    self.outbox.event(Event::PartnerChanged {
                        from: before.map(|(state, _)| state),
                        to: state,
                        startup: message.startup,
                    });
                }
                if self.links.registered.as_ref().is_some_and(|registered| !registered.announced) {
                    self.say_first_state(now);
                }
            }
            Message::Contact { extensions } => {
                let lacks_partner_down = self.endpoint.lacks_partner_down();
                self.compare_progress(now, &extensions);
                self.learn(now, &extensions, lacks_partner_down);
                self.compare_databases(now, &extensions);
            }
            Message::BndUpd(updates) => self.updates(now, frame.xid, &updates),
            Message::BndAck(acks) => self.acks(now, frame.xid, &acks),
            Message::UpdReq => self.answer_updates(now, frame.xid, false),
            Message::UpdReqAll => self.answer_updates(now, frame.xid, true),
            Message::UpdDone => self.updates_done(now, frame.xid),
            Message::PoolReq => self.pool_requested(now, frame.xid),
            Message::PoolResp { transferred } => self.pool_answered(now, transferred),
            // The session keeps these to itself.
            Message::Connect(_) | Message::ConnectAck(_) | Message::Disconnect(_) => {}
        }
    }

    fn fail_link(&mut self, now: Now, conn: ConnId, failure: &Failure) {
        self.outbox.order(LinkOrder::Close(conn));
        let registered = self.links.registered() == Some(conn);
        if !registered {
            self.counters.add("link_refusals", failure.class(), 1);
            self.outbox.event(Event::LinkDown { class: failure.class(), why: failure.to_string() });
        }
        if matches!(failure, Failure::Refused { .. } | Failure::Silent(_) | Failure::HandshakeTimeout(_)) {
            // The partner's operator must be able to read why.
            self.links.part(conn);
        }
        self.link_down(now, conn, failure.class(), failure.to_string());
        if let Some(refusal) = refusal(failure) {
            self.links.refusal = Some(refusal);
        }
        if failure.is_refusal() {
            self.links.next_dial = self.links.next_dial.max(now.mono + REDIAL_REFUSED);
        }
    }
}

/// Whether a dhcpd that was last heard in that state is in PotentialConflict once it reads of ours.
fn enters_conflict(heard: State) -> bool {
    matches!(
        heard,
        State::PartnerDown | State::CommunicationsInterrupted | State::Recover | State::ResolutionInterrupted
    )
}

/// Which side refused the other, if the connection ended for that.
fn refusal(failure: &Failure) -> Option<LinkRefusal> {
    let (by_partner, reason, text) = match failure {
        Failure::Refused { reason, text } => (false, reason, text),
        Failure::RefusedByPartner { reason, text } | Failure::Disconnected { reason, text } => {
            (true, reason, text)
        }
        Failure::Decode(_)
        | Failure::OutOfPlace(_)
        | Failure::Silent(_)
        | Failure::Overfull(_)
        | Failure::ClockSet { .. }
        | Failure::HandshakeTimeout(_) => return None,
    };
    Some(LinkRefusal { by_partner, reason: reason.as_str().to_owned(), message: text.clone() })
}
