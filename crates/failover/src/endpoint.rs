//! One end of a failover relationship as a state machine (`spec/failover-behaviour.md` §3, §4, §8).
//!
//! It knows states, requests and waits; connections, bindings and clocks are its owner's. After every call
//! the owner takes the [`Action`]s, makes a changed [`Record`] durable, and only then carries out what must
//! be announced.

use std::collections::VecDeque;

use api::identity::{Role, State, StateStamp, StoreStamp};
use api::pair::StartupExpiry;
use api::time::{Mono, Now, Seconds, UnixTime};

use crate::record::{PartnerRecord, Record};
use crate::transition::{
    Next, Service, after_resolution, on_link_lost, on_partner_down_at_start, on_partner_state, on_start,
    service,
};

/// Both clocks and the two figures that every wait is computed with.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Now.
    pub now: Now,
    /// Maximum client lead time as waits must count it (§5.2).
    pub mclt: Seconds,
    /// Guard against the difference of both clocks (§2.2).
    pub guard: Seconds,
}

/// What the owner must do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// The state changed; for log, status and the owner's own duties on entry (§3.5).
    Entered {
        /// Before.
        from: State,
        /// Now.
        to: State,
        /// For people.
        why: &'static str,
    },
    /// Say this state to the partner, once the record is durable.
    Announce {
        /// The state.
        state: State,
        /// The STARTUP flag.
        startup: bool,
        /// Since when.
        since: UnixTime,
    },
    /// Ask the partner for its bindings: all of them, or those that it has not seen acknowledged.
    Request {
        /// UPDREQALL instead of UPDREQ.
        all: bool,
    },
    /// Forget the request; its UPDDONE answers nothing any more.
    CancelRequest,
    /// Everything that is not acknowledged is to be sent again, with what was rejected (entry of Normal).
    Requeue,
    /// The store is behind what the partner knows, or lost; an alarm.
    Behind(String),
}

/// What a peer of our own says of both stores in a handshake (§9, sub-option 6).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// The peer's own store.
    pub own: StoreStamp,
    /// The peer's own state change.
    pub stamp: StateStamp,
    /// The highest that the peer knows of ours.
    pub known_of_partner: StoreStamp,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The partner talks to us and is on its way to Normal (§3.3 note 8).
    #[error("the partner is reachable and in {0}; it comes back by itself")]
    PartnerOnItsWay(State),
    /// Not from this state.
    #[error("not possible in {0}")]
    WrongState(State),
    /// The store is not an empty one.
    #[error("the store is not empty: it belongs to a pair that served before")]
    StoreNotEmpty,
    /// The time lies in the future.
    #[error("the partner cannot be down since a time in the future")]
    Future,
}

/// One end of a relationship.
#[derive(Clone, Debug)]
pub struct Endpoint {
    record: Record,
    record_changed: bool,
    settings: Settings,
    /// While set, the server seeks its partner and is silent.
    starting: Option<Mono>,
    /// The partner as heard on the present connection.
    heard: Option<(State, bool)>,
    /// The outstanding request for bindings.
    request: Option<Request>,
    /// Normal as soon as the barrier is open.
    exit_pending: bool,
    /// Silence after which the partner counts us as lost; it serves that long at most (H-20).
    partner_receive_timer: Seconds,
    /// End of the last second in which this server may have answered before its start.
    last_operational: UnixTime,
    actions: VecDeque<Action>,
}

/// What does not change while the process runs.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What a start without a partner does.
    pub startup_expiry: StartupExpiry,
    /// There is no partner: one server alone.
    pub alone: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Request {
    all: bool,
    answered: bool,
}

/// A start that follows a short absence seeks its partner this long before it serves alone.
const STARTUP_SHORT: Seconds = Seconds(10);
/// The same after an absence of the MCLT or more: nobody depends on this server any more.
const STARTUP_LONG: Seconds = Seconds(60);

impl Endpoint {
    /// Starts from what the store holds (§4, steps 1 and 2). `last_operational` is the last promise to
    /// serve in the store, `loaded` its stamp before anything new is written.
    #[must_use]
    pub fn start(
        role: Role,
        stored: Option<Record>,
        loaded: StoreStamp,
        last_operational: UnixTime,
        settings: Settings,
        ctx: Context,
    ) -> Self {
        let now = ctx.now.wall;
        let lost = stored.is_none();
        let mut record = stored.unwrap_or_else(|| Record::empty(role, now));
        record.stamp = StateStamp { epoch: loaded.epoch + 1, transition: 0 };
        record.unconfirmed = Some(record.unconfirmed.unwrap_or(loaded).min(loaded));
        if !record.link_edges.is_multiple_of(2) {
            record.link_edges += 1;
        }
        let wait = if lost || now.since(last_operational) >= ctx.mclt { STARTUP_LONG } else { STARTUP_SHORT };
        let mut endpoint = Self {
            record,
            record_changed: true,
            settings,
            starting: Some(ctx.now.mono + wait),
            heard: None,
            request: None,
            exit_pending: false,
            partner_receive_timer: Seconds::ZERO,
            last_operational,
            actions: VecDeque::new(),
        };
        if lost {
            endpoint.actions.push_back(Action::Behind(
                "the store is empty: it counts as lost until a bootstrap token says that it is new"
                    .to_owned(),
            ));
        }
        let to = on_start(endpoint.record.state, endpoint.record.previous);
        if to != endpoint.record.state {
            // A recovery that only paused goes on with its own time.
            if to == State::Recover && endpoint.record.state != State::Paused {
                endpoint.record.failed_at = endpoint.record.failed_at.max(Some(last_operational));
            }
            endpoint.enter(to, "start", ctx);
        }
        if settings.alone {
            endpoint.starting = None;
        }
        endpoint
    }

    /// The partner is one of our own and both stores have been named in the handshake. Finds a store
    /// that was restored from a backup or lost (§2.2). Call it before the partner's first state.
    pub fn compare_stores(&mut self, progress: Progress, ctx: Context) {
        let announced = self.announced();
        if progress.known_of_partner > announced {
            let epoch = progress.known_of_partner.epoch + 1;
            if epoch > self.record.stamp.epoch {
                self.record.stamp = StateStamp { epoch, transition: 0 };
            }
            self.actions.push_back(Action::Behind(format!(
                "the store holds {}/{} but the partner saw {}/{}: fetching everything from the partner",
                announced.epoch,
                announced.lsn,
                progress.known_of_partner.epoch,
                progress.known_of_partner.lsn
            )));
            self.recover_everything("the store is behind what the partner knows", ctx);
        }
        self.record.unconfirmed = None;
        self.record_changed = true;
        self.note_progress(progress);
    }

    /// Remembers how far the partner is, from a STATE or CONTACT.
    pub fn note_progress(&mut self, progress: Progress) {
        let partner = self.record.partner.get_or_insert(PartnerRecord {
            state: State::Unknown,
            startup: false,
            since: UnixTime::ZERO,
            stamp: None,
            highest: None,
        });
        {
            let highest = partner.highest.max(Some(progress.own));
            let stamp = partner.stamp.max(Some(progress.stamp));
            if (highest, stamp) != (partner.highest, partner.stamp) {
                (partner.highest, partner.stamp) = (highest, stamp);
                self.record_changed = true;
            }
        }
    }

    /// The connection is established, the partner's state not yet known.
    pub fn link_up(&mut self, partner_receive_timer: Seconds) {
        self.heard = None;
        self.partner_receive_timer = partner_receive_timer;
        if self.record.link_edges.is_multiple_of(2) {
            self.record.link_edges += 1;
            self.record_changed = true;
        }
    }

    /// What to say first on a new connection.
    #[must_use]
    pub fn announcement(&self) -> Action {
        Action::Announce { state: self.record.state, startup: self.is_starting(), since: self.record.since }
    }

    /// The partner said its state (§3, "when 3.1 runs").
    pub fn partner_state(&mut self, state: State, startup: bool, since: UnixTime, ctx: Context) {
        let first = self.heard.is_none();
        let same = self.heard == Some((state, startup));
        self.heard = Some((state, startup));
        let known = self.record.partner;
        self.record.partner = Some(PartnerRecord {
            state,
            startup,
            since,
            stamp: known.and_then(|known| known.stamp),
            highest: known.and_then(|known| known.highest),
        });
        self.record_changed = true;
        if self.exit_pending && !self.leads_to_normal(state) {
            self.exit_pending = false;
        }
        if self.record.role == Role::Secondary
            && self.record.state == State::PotentialConflict
            && !matches!(state, State::ConflictDone | State::Normal)
        {
            // The partner left the state for which the request was made (H-25).
            self.forget_request();
        }
        if self.token_is_refuted_by(state) {
            self.actions.push_back(Action::Behind(format!(
                "the bootstrap token said that the pair is new, but the partner is in {state}: fetching \
                 everything from the partner"
            )));
            self.recover_everything("the partner knows a past of this pair", ctx);
        } else if self.starting.is_some() {
            self.finish_start(state, startup, since, ctx);
        } else if first || !same {
            self.apply(on_partner_state(self.record.state, state, startup), ctx);
        }
    }

    /// The registered connection is gone.
    pub fn link_lost(&mut self, ctx: Context) {
        if !self.record.link_edges.is_multiple_of(2) {
            self.record.link_edges += 1;
            self.record_changed = true;
        }
        let Some((last_word, _)) = self.heard.take() else { return };
        self.forget_request();
        self.exit_pending = false;
        match self.record.state {
            State::PartnerDown if last_word == State::RecoverDone => {
                // It may have renewed leases until it noticed the loss itself (note 7).
                let silent_at = ctx.now.wall + self.partner_receive_timer;
                self.record.partner_down_at = self.record.partner_down_at.max(Some(silent_at));
                self.record_changed = true;
            }
            State::CommunicationsInterrupted => {
                self.record.interrupted_at = Some(ctx.now.wall);
                self.record_changed = true;
            }
            state => {
                let to = on_link_lost(state);
                if to != state {
                    self.enter(to, "contact with the partner was lost", ctx);
                }
            }
        }
    }

    /// All that was asked for has arrived (§3.3, UPDDONE).
    pub fn updates_done(&mut self, ctx: Context) {
        let Some(request) = &mut self.request else { return };
        if request.answered {
            return;
        }
        request.answered = true;
        match self.record.state {
            State::Recover => {
                self.record.wait_until = self.record.failed_at.map(|failed| failed + ctx.mclt + ctx.guard);
                let to = if self.wait_is_over(ctx) { State::RecoverDone } else { State::RecoverWait };
                self.enter(to, "the partner sent all its bindings", ctx);
            }
            State::PotentialConflict => {
                if self.record.data_lost {
                    // What this server granted before the loss is unknown; its clients are gone then (note 4).
                    self.record.wait_until =
                        self.record.failed_at.map(|failed| failed + ctx.mclt + ctx.guard);
                    self.record_changed = true;
                }
                self.try_end_conflict(ctx);
            }
            State::Unknown
            | State::Startup
            | State::Normal
            | State::CommunicationsInterrupted
            | State::PartnerDown
            | State::Paused
            | State::Shutdown
            | State::RecoverDone
            | State::ResolutionInterrupted
            | State::ConflictDone
            | State::RecoverWait => {}
        }
    }

    /// Time has passed: see [`Endpoint::next_deadline`] and [`Endpoint::wakes_at`].
    pub fn tick(&mut self, ctx: Context) {
        if self.starting.is_some_and(|end| end <= ctx.now.mono)
            && self.heard.is_none()
            && self.settings.startup_expiry == StartupExpiry::Previous
        {
            self.starting = None;
            self.announce();
        }
        match self.record.state {
            State::RecoverWait if self.wait_is_over(ctx) => {
                self.enter(State::RecoverDone, "the wait for leases that only this server knew is over", ctx);
            }
            State::PotentialConflict => self.try_end_conflict(ctx),
            _ => {}
        }
    }

    /// The exit barrier is open (§7.3); without effect unless [`Endpoint::is_exit_pending`].
    pub fn barrier_open(&mut self, ctx: Context) {
        if self.exit_pending {
            self.enter(State::Normal, "both servers have the same leases", ctx);
        }
    }

    /// Declares the partner down since `at` (§7.1). The caller has fenced it and has evidence.
    pub fn partner_down(&mut self, at: UnixTime, ctx: Context) -> Result<(), Refusal> {
        if at > ctx.now.wall {
            return Err(Refusal::Future);
        }
        if let Some((
            partner @ (State::PotentialConflict
            | State::ResolutionInterrupted
            | State::ConflictDone
            | State::RecoverDone),
            _,
        )) = self.heard
        {
            return Err(Refusal::PartnerOnItsWay(partner));
        }
        match self.record.state {
            State::PartnerDown => {
                self.record.partner_down_at = Some(at);
                self.record_changed = true;
                Ok(())
            }
            State::Normal
            | State::CommunicationsInterrupted
            | State::ResolutionInterrupted
            | State::ConflictDone
                if self.starting.is_none() =>
            {
                self.enter(State::PartnerDown, "declared by an operator", ctx);
                self.record.partner_down_at = Some(at);
                Ok(())
            }
            state => Err(Refusal::WrongState(state)),
        }
    }

    /// Uses the word that this is a brand-new pair: a primary serves at once, a secondary recovers without
    /// waiting (`spec/failover-protocol.md` §12.2). The caller has checked the token itself.
    pub fn bootstrap(&mut self, store_is_empty: bool, ctx: Context) -> Result<(), Refusal> {
        if !store_is_empty || self.record.token_burnt {
            return Err(Refusal::StoreNotEmpty);
        }
        if self.record.state != State::Recover {
            return Err(Refusal::WrongState(self.record.state));
        }
        self.record.token_burnt = true;
        self.record.failed_at = None;
        self.record.data_lost = false;
        self.record_changed = true;
        self.starting = None;
        match self.record.role {
            Role::Primary => self.enter(State::PartnerDown, "first start of a new pair", ctx),
            // Asks for everything all the same: it has no record of the partner.
            Role::Secondary => {
                self.announce();
                if let Some((state, startup)) = self.heard {
                    self.apply(on_partner_state(State::Recover, state, startup), ctx);
                }
            }
        }
        Ok(())
    }

    /// Stops for a short planned while; the next start goes on from here (§11).
    pub fn pause(&mut self, ctx: Context) {
        if self.record.state != State::Paused {
            let previous = self.record.state;
            self.enter(State::Paused, "asked to stop for a while", ctx);
            self.record.previous = previous;
        }
    }

    /// The next thing to do; call until `None` after every other call.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether the record changed since the last call; it must then become durable before any announcement.
    #[must_use]
    pub fn take_record_change(&mut self) -> bool {
        std::mem::take(&mut self.record_changed)
    }

    /// When to call [`Endpoint::tick`] by the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.starting
            .filter(|_| self.heard.is_none() && self.settings.startup_expiry == StartupExpiry::Previous)
    }

    /// When to call [`Endpoint::tick`] by the wall clock: the end of a wait that survives restarts.
    #[must_use]
    pub fn wakes_at(&self) -> Option<UnixTime> {
        match self.record.state {
            State::RecoverWait => self.record.wait_until,
            State::PotentialConflict if self.request.is_some_and(|request| request.answered) => {
                self.record.wait_until
            }
            _ => None,
        }
    }

    /// The durable part.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The state as shown to people: Startup while the server seeks its partner.
    #[must_use]
    pub fn shown_state(&self) -> State {
        if self.is_starting() { State::Startup } else { self.record.state }
    }

    /// Whether the server still seeks its partner.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// The partner's state on the present connection; `None` while it is not heard.
    #[must_use]
    pub fn heard(&self) -> Option<State> {
        self.heard.map(|(state, _)| state)
    }

    /// Whether only the exit barrier keeps this server from Normal.
    #[must_use]
    pub fn is_exit_pending(&self) -> bool {
        self.exit_pending
    }

    /// Whom the server may answer.
    #[must_use]
    pub fn service(&self) -> Service {
        if self.is_starting() { Service::Silent } else { service(self.record.state, self.heard.is_some()) }
    }

    /// What a handshake announces of the own store: as loaded, until the partner has confirmed it.
    #[must_use]
    pub fn announced_store(&self, durable: StoreStamp) -> StoreStamp {
        self.record.unconfirmed.unwrap_or(durable)
    }

    /// When this server was surely silent from, before its present start.
    #[must_use]
    pub fn last_operational(&self) -> UnixTime {
        self.last_operational
    }

    fn announced(&self) -> StoreStamp {
        self.record
            .unconfirmed
            .unwrap_or(StoreStamp { epoch: self.record.stamp.epoch, lsn: api::identity::Lsn(u64::MAX) })
    }

    /// Whether a partner in this state has been in Normal with a server of ours, which the bootstrap token
    /// called brand-new (`spec/failover-protocol.md` §12.2, BT-4). The states of a first contact and of a
    /// stop say nothing.
    fn token_is_refuted_by(&self, partner: State) -> bool {
        let Record { state, token_burnt, integrated, failed_at, .. } = &self.record;
        let by_token = *token_burnt && !integrated && failed_at.is_none();
        let refuted = match partner {
            State::Normal
            | State::CommunicationsInterrupted
            | State::PotentialConflict
            | State::ResolutionInterrupted
            | State::ConflictDone => matches!(state, State::PartnerDown | State::Recover),
            // That of a primary with a token.
            State::PartnerDown => *state == State::PartnerDown,
            State::Unknown
            | State::Startup
            | State::Recover
            | State::Paused
            | State::Shutdown
            | State::RecoverDone
            | State::RecoverWait => false,
        };
        by_token && refuted
    }

    /// The store is not what it should be: everything comes from the partner, and what this server may
    /// have granted is waited for.
    fn recover_everything(&mut self, why: &'static str, ctx: Context) {
        self.starting = None;
        if !self.record.data_lost {
            self.record.failed_at = Some(ctx.now.wall);
        }
        self.record.data_lost = true;
        self.enter(State::Recover, why, ctx);
    }

    fn leads_to_normal(&self, partner: State) -> bool {
        matches!(
            (self.record.state, partner),
            (State::PartnerDown | State::CommunicationsInterrupted | State::RecoverDone, State::RecoverDone)
                | (State::RecoverDone, State::Normal)
        )
    }

    /// §4 rule 4: the first word of the partner ends the start.
    fn finish_start(&mut self, partner: State, startup: bool, since: UnixTime, ctx: Context) {
        self.starting = None;
        if partner == State::PartnerDown {
            let was_down = since > self.last_operational + ctx.guard;
            match on_partner_down_at_start(self.record.state, was_down) {
                Next::Go(to) => {
                    if to == State::Recover {
                        self.record.failed_at = Some(self.last_operational);
                    }
                    self.enter(to, "the partner had been let go into PartnerDown", ctx);
                }
                next => {
                    self.announce();
                    self.apply(next, ctx);
                }
            }
            return;
        }
        // Without the flag even if the state is the same: the partner may wait for just that.
        self.announce();
        self.apply(on_partner_state(self.record.state, partner, startup), ctx);
    }

    fn apply(&mut self, next: Next, ctx: Context) {
        match next {
            Next::Stay => {}
            Next::Go(to) => self.enter(to, "the partner's state", ctx),
            Next::Reenter => self.enter(State::Normal, "the partner was away for a moment", ctx),
            Next::NormalBehindBarrier => self.exit_pending = true,
            Next::Request => {
                // Once everything was asked for, only everything is an answer (RC-6).
                let all = self.record.data_lost
                    || !self.record.integrated
                    || self.request.is_some_and(|request| request.all);
                self.ask(all);
            }
            Next::RequestOwed => match self.record.role {
                Role::Primary => {}
                Role::Secondary => {
                    if self.request.is_none() || self.heard() == Some(State::ConflictDone) {
                        self.ask(self.record.data_lost);
                    }
                }
            },
        }
    }

    fn ask(&mut self, all: bool) {
        self.request = Some(Request { all, answered: false });
        self.actions.push_back(Action::Request { all });
    }

    fn forget_request(&mut self) {
        if self.request.take().is_some() {
            self.actions.push_back(Action::CancelRequest);
        }
    }

    fn wait_is_over(&self, ctx: Context) -> bool {
        self.record.wait_until.is_none_or(|until| ctx.now.wall >= until)
    }

    fn try_end_conflict(&mut self, ctx: Context) {
        if self.request.is_some_and(|request| request.answered) && self.wait_is_over(ctx) {
            self.record.data_lost = false;
            self.enter(after_resolution(self.record.role), "the conflict is resolved on this side", ctx);
        }
    }

    fn announce(&mut self) {
        let announcement = self.announcement();
        self.actions.push_back(announcement);
    }

    fn enter(&mut self, to: State, why: &'static str, ctx: Context) {
        let from = self.record.state;
        self.forget_request();
        self.exit_pending = false;
        self.record.state = to;
        self.record.since = ctx.now.wall.max(self.record.since);
        self.record.stamp.transition += 1;
        self.record_changed = true;
        self.actions.push_back(Action::Entered { from, to, why });
        self.announce();
        match to {
            State::Normal => {
                self.record.integrated = true;
                self.record.data_lost = false;
                self.record.failed_at = None;
                self.record.wait_until = None;
                self.record.partner_down_at = None;
                self.record.interrupted_at = None;
                self.actions.push_back(Action::Requeue);
            }
            State::CommunicationsInterrupted => self.record.interrupted_at = Some(ctx.now.wall),
            State::PartnerDown => self.record.partner_down_at = Some(ctx.now.wall),
            State::PotentialConflict => {
                self.record.wait_until = None;
                if self.heard.is_some() {
                    match self.record.role {
                        Role::Primary => self.ask(self.record.data_lost),
                        Role::Secondary if self.heard() == Some(State::ConflictDone) => {
                            self.ask(self.record.data_lost);
                        }
                        Role::Secondary => {}
                    }
                }
            }
            State::Recover | State::RecoverDone => {
                if let Some((state, startup)) = self.heard
                    && !self.is_starting()
                {
                    self.apply(on_partner_state(to, state, startup), ctx);
                }
            }
            State::Unknown
            | State::Startup
            | State::Paused
            | State::Shutdown
            | State::ResolutionInterrupted
            | State::ConflictDone
            | State::RecoverWait => {}
        }
    }
}
