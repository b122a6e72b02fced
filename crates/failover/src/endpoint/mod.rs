//! One end of a failover relationship as a state machine (`spec/failover-behaviour.md` §3, §4, §8).
//!
//! It knows states, requests and waits; connections, bindings and clocks are its owner's. After every call
//! the owner takes the [`Action`]s, makes a changed [`Record`] durable, and only then carries out what must
//! be announced.

mod command;
mod enter;
mod hold;
mod service;
mod start;

use std::collections::VecDeque;

use api::identity::{Role, State, StateStamp};
use api::pair::StartupExpiry;
use api::status::PartnerDownCause;
use api::time::{Mono, Now, Seconds, UnixTime};
use marks::{Mark, Rule, sometimes};

pub use self::command::{Grounds, Refusal};
pub use self::hold::{Hold, HoldReason};
pub use self::start::Progress;
use crate::record::{PartnerRecord, Record};
use crate::transition::{on_link_lost, on_partner_state};

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
    /// Drop the connection with the partner, and do not say another word on it.
    DropLink,
    /// Forget the request; its UPDDONE answers nothing any more.
    CancelRequest,
    /// Take the bounds of PartnerDown anew: the partner has renewed leases since (§3.3, note 7).
    FreezeBounds,
    /// Everything that is not acknowledged is to be sent again, with what was rejected (entry of Normal).
    Requeue,
    /// The store is behind what the partner knows, or lost; an alarm.
    Behind {
        /// It was older than what partner or operator saw of it, or newer than a bootstrap token said: not just empty.
        rolled_back: bool,
        /// What was found, for people.
        why: String,
    },
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
    /// The number of that change of its state, if the partner is one of ours.
    heard_change: Option<StateStamp>,
    /// The latest fence came while the present connection was up.
    fenced_in_contact: bool,
    /// The first state that the partner said on the present connection, and since when it was in it, by its clock.
    first_word: Option<(State, UnixTime)>,
    /// The outstanding request for bindings.
    request: Option<Request>,
    /// Normal as soon as the barrier is open.
    exit_pending: bool,
    /// Silence after which the partner counts us as lost; it serves that long at most (H-20).
    partner_receive_timer: Seconds,
    /// End of the last second in which this server may have answered before its start.
    last_operational: UnixTime,
    /// Before the present connection this server never heard of any partner, and its own data is whole.
    knew_nobody: bool,
    /// This process found nothing in its store.
    store_was_empty: bool,
    /// The partner remembered no more of the store than this process found in it.
    confirmed_by_partner: bool,
    /// In PartnerDown a partner that recovers is connected, and its state is not known yet.
    renews_unheard: bool,
    /// Since when this process misses its partner in CommunicationsInterrupted, for the safe period.
    contact_lost: Option<Now>,
    actions: VecDeque<Action>,
}

/// What an endpoint knows of its pair's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What a start without a partner does.
    pub startup_expiry: StartupExpiry,
    /// There is no partner: one server alone.
    pub alone: bool,
    /// PartnerDown by itself after so long without contact; the risk was accepted (§7.1).
    pub safe_period: Option<Seconds>,
    /// Own receive timer.
    pub receive_timer: Seconds,
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
    /// Another configuration is in force.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The connection is established, the partner's state not yet known.
    pub fn link_up(&mut self, partner_receive_timer: Seconds) {
        self.heard = None;
        self.fenced_in_contact = false;
        self.first_word = None;
        let record = &self.record;
        // One that has served nobody knows of nobody who did.
        self.knew_nobody =
            record.partner.is_none() && !record.integrated && !record.data_lost && !recovers(record.state);
        self.partner_receive_timer = partner_receive_timer;
        // It may be in RecoverDone by now, and renews once it hears us, whether or not we hear it.
        self.renews_unheard = record.state == State::PartnerDown
            && !record.partner_renews
            && record.partner.is_some_and(|partner| recovers(partner.goes_on_in()));
        if self.renews_unheard {
            self.record.partner_renews = true;
            self.record_changed = true;
        }
        if !self.is_linked() {
            self.record.link_edges = self.record.link_edges.wrapping_add(1);
            self.record_changed = true;
        }
    }

    /// The partner's clock minus ours was measured. A second more or less is no news.
    pub fn clocks_differ(&mut self, seconds: i64) {
        if (self.record.clock_delta - seconds).abs() > 1 {
            self.record.clock_delta = seconds;
            self.record_changed = true;
        }
    }

    /// What to say first on a new connection.
    #[must_use]
    pub fn announcement(&self) -> Action {
        Action::Announce { state: self.record.state, startup: self.is_starting(), since: self.record.since }
    }

    /// The partner said its state (§3, "when 3.1 runs"); `change` is its number, if it is one of ours. Only here does
    /// a fence end: a handshake names a later change as well, but not the state.
    pub fn partner_state(
        &mut self,
        state: State,
        startup: bool,
        since: UnixTime,
        change: Option<StateStamp>,
        ctx: Context,
    ) {
        let fence = self.fence_in_force().copied();
        let first = self.heard.is_none();
        let same = self.heard == Some((state, startup));
        self.heard = Some((state, startup));
        self.heard_change = change;
        self.first_word = self.first_word.or(Some((state, since)));
        self.contact_lost = None;
        let known = self.record.partner;
        sometimes!(match known {
            _ if same => Rule::WordIsRepeated,
            Some(known) if first && (known.state, known.startup) == (state, startup) => {
                Rule::FirstWordIsNoNews
            }
            _ => Rule::WordIsNews,
        });
        self.record.partner = Some(PartnerRecord {
            state,
            startup,
            since,
            stamp: known.and_then(|known| known.stamp).max(change),
            highest: known.and_then(|known| known.highest),
            before_pause: known.map(|known| known.goes_on_in()).filter(|_| state == State::Paused),
        });
        if std::mem::take(&mut self.renews_unheard) {
            self.record.partner_renews = false;
        }
        self.record.partner_renews |= self.record.state == State::PartnerDown && state == State::RecoverDone;
        self.record_changed = true;
        if self.exit_pending && !self.leads_to_normal(state) {
            sometimes!(Rule::BarrierForgotten);
            self.exit_pending = false;
        }
        if self.record.role == Role::Secondary
            && self.record.state == State::PotentialConflict
            && !matches!(state, State::ConflictDone | State::Normal)
        {
            // The partner left the state for which the request was made (H-25).
            sometimes!(Rule::SecondaryForgetsRequest, self.request.is_some());
            self.forget_request();
        }
        if self.token_is_refuted_by(state) {
            sometimes!(Rule::TokenRefuted);
            let why = format!(
                "the bootstrap token said that the pair is new, but the partner is in {state}: fetching \
                 everything from the partner"
            );
            self.actions.push_back(Action::Behind { rolled_back: true, why });
            self.recover_everything("the partner knows a past of this pair", ctx);
        } else if self.starting.is_some() {
            self.finish_start(state, startup, since, fence, ctx);
        } else if first || !same {
            self.apply(on_partner_state(self.record.state, state, startup), ctx);
        }
        // Whether it was recovering already, begins to by this word, or sorts out a conflict with the survivor.
        self.record.unsettled |= state == State::PartnerDown && self.record.state != State::PartnerDown;
    }

    /// The registered connection is gone.
    pub fn link_lost(&mut self, ctx: Context) {
        if self.is_linked() {
            self.record.link_edges = self.record.link_edges.wrapping_add(1);
            self.record_changed = true;
        }
        if self.heard.take().is_none() && !std::mem::take(&mut self.renews_unheard) {
            return;
        }
        self.forget_request();
        self.exit_pending = false;
        sometimes!(Mark::LinkLost { mine: self.record.state });
        match self.record.state {
            State::PartnerDown if self.record.partner_renews => {
                sometimes!(Rule::PartnerMayRenewUntil);
                self.partner_silent_at(ctx.now.wall + self.partner_receive_timer);
            }
            State::CommunicationsInterrupted => {
                self.record.interrupted_at = Some(ctx.now.wall);
                self.contact_lost = Some(ctx.now);
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

    /// The partner has been told everything that it asked for: a survivor's partner may be in RecoverDone before anybody hears
    /// of that, and renews there (§3.3, note 7).
    pub fn told_everything(&mut self) {
        let may_renew = self.record.state == State::PartnerDown && !self.record.partner_renews;
        sometimes!(Rule::PartnerMayRenewUnheard, may_renew);
        self.record.partner_renews |= may_renew;
        self.record_changed |= may_renew;
    }

    /// In PartnerDown a partner that had come as far as RecoverDone is lost again: it may have renewed leases until it
    /// noticed the loss itself (§3.3, note 7).
    pub(super) fn partner_silent_at(&mut self, at: UnixTime) {
        self.record.partner_down_at = self.record.partner_down_at.max(Some(at));
        self.record.interrupted_at = self.record.partner_down_at;
        self.record.partner_renews = false;
        self.record_changed = true;
        self.actions.push_back(Action::FreezeBounds);
    }

    /// All that was asked for has arrived (§3.3, UPDDONE).
    pub fn updates_done(&mut self, ctx: Context) {
        let Some(request) = &mut self.request else { return };
        if request.answered {
            return;
        }
        request.answered = true;
        if request.all {
            self.record_changed |= std::mem::take(&mut self.record.unfetched);
        }
        match self.record.state {
            State::Recover => {
                self.record.wait_until = self.record.failed_at.map(|failed| failed + ctx.mclt + ctx.guard);
                let to = if self.wait_is_over(ctx) { State::RecoverDone } else { State::RecoverWait };
                sometimes!(if to == State::RecoverDone {
                    Rule::RecoveredAtOnce
                } else {
                    Rule::RecoveredAndWaits
                });
                self.enter(to, "the partner sent all its bindings", ctx);
            }
            State::PotentialConflict => {
                if self.record.data_lost {
                    sometimes!(Rule::ConflictDoneWaits);
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
        sometimes!(
            if self.fence_in_force().is_some() {
                Rule::StartWaitsForFence
            } else {
                Rule::StartWaitsByConfiguration
            },
            self.heard.is_none()
                && self.starting.is_some_and(|end| end <= ctx.now.mono)
                && !self.may_start_alone()
        );
        if self.starting.is_some_and(|end| end <= ctx.now.mono) && self.may_start_alone() {
            sometimes!(Rule::StartsAlone);
            self.starting = None;
            if self.record.state == State::CommunicationsInterrupted {
                self.contact_lost = Some(ctx.now);
            }
            self.announce();
        }
        if self.safe_period_ends().is_some_and(|end| end <= ctx.now.mono) {
            sometimes!(Rule::SafePeriodEnds);
            self.let_go(PartnerDownCause::SafePeriod, "the safe period without contact is over", ctx);
        }
        match self.record.state {
            State::RecoverWait if self.wait_is_over(ctx) => {
                sometimes!(Rule::RecoverWaitEnds);
                self.enter(State::RecoverDone, "the wait for leases that only this server knew is over", ctx);
            }
            State::PotentialConflict => self.try_end_conflict(ctx),
            _ => {}
        }
    }

    /// The exit barrier is open (§7.3); without effect unless [`Endpoint::is_exit_pending`].
    pub fn barrier_open(&mut self, ctx: Context) {
        if self.exit_pending {
            sometimes!(Rule::BarrierOpens);
            self.enter(State::Normal, "both servers have the same leases", ctx);
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
        let start = self.starting.filter(|_| self.may_start_alone());
        [start, self.safe_period_ends()].into_iter().flatten().min()
    }

    /// When this server enters PartnerDown by itself if contact stays lost (§7.1).
    #[must_use]
    pub fn safe_period_ends(&self) -> Option<Mono> {
        let waits = self.record.state == State::CommunicationsInterrupted
            && self.heard.is_none()
            && !self.is_starting()
            && !self.record.held
            && self.fence_in_force().is_none();
        let (lost, period) = self.contact_lost.filter(|_| waits).zip(self.settings.safe_period)?;
        Some(lost.mono + period)
    }

    /// This server serves nobody, whatever its state, so the partner does: the safe period counts from when that is over.
    pub fn unfit(&mut self, now: Now) {
        if self.contact_lost.is_some() {
            self.contact_lost = Some(now);
        }
    }

    /// The same by the wall clock of the moment in which contact was lost, for people.
    #[must_use]
    pub fn safe_period_expires_at(&self) -> Option<UnixTime> {
        self.safe_period_ends()?;
        Some(self.contact_lost?.wall + self.settings.safe_period?)
    }

    /// Whether a start may end without the partner (§4 rule 5, §7.4).
    fn may_start_alone(&self) -> bool {
        self.heard.is_none()
            && self.settings.startup_expiry == StartupExpiry::Previous
            && self.fence_in_force().is_none()
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

    /// Whether a dhcpd that recovers has its leases still. It asks for everything each time (`spec/failover-protocol.md`
    /// §5), but keeps its state in the file in which it keeps its leases: without that file it knows no state but
    /// Recover (decision 023).
    #[must_use]
    pub fn isc_remembers(&self) -> bool {
        match self.first_word.map(|(state, _)| state) {
            Some(
                State::Normal
                | State::CommunicationsInterrupted
                | State::PartnerDown
                | State::PotentialConflict
                | State::ConflictDone
                | State::ResolutionInterrupted
                | State::Paused
                | State::Shutdown,
            ) => true,
            Some(
                State::Unknown | State::Startup | State::Recover | State::RecoverWait | State::RecoverDone,
            )
            | None => false,
        }
    }

    /// The partner's state on the present connection; `None` while it is not heard.
    #[must_use]
    pub fn heard(&self) -> Option<State> {
        self.heard.map(|(state, _)| state)
    }

    /// Whether in PartnerDown a partner that recovers is connected, and was not heard yet: it may renew leases.
    #[must_use]
    pub fn renews_unheard(&self) -> bool {
        self.renews_unheard
    }

    /// Whether a connection is established, be the partner heard on it yet or not.
    fn is_linked(&self) -> bool {
        !self.record.link_edges.is_multiple_of(2)
    }

    /// Whether only the exit barrier keeps this server from Normal.
    #[must_use]
    pub fn is_exit_pending(&self) -> bool {
        self.exit_pending
    }

    /// When this server was surely silent from, before its present start.
    #[must_use]
    pub fn last_operational(&self) -> UnixTime {
        self.last_operational
    }

    fn leads_to_normal(&self, partner: State) -> bool {
        matches!(
            (self.record.state, partner),
            (State::PartnerDown | State::CommunicationsInterrupted | State::RecoverDone, State::RecoverDone)
                | (State::RecoverDone, State::Normal)
        )
    }
}

/// Whether a server has come back and is not in Normal yet.
fn recovers(state: State) -> bool {
    matches!(state, State::Recover | State::RecoverWait | State::RecoverDone)
}
