//! What an operator may order, and the guards of each order (`spec/failover-behaviour.md` §3.3, §3.4, §7.1,
//! §7.5, §11; `spec/failover-protocol.md` §12.3).

use api::force::Fence;
use api::identity::State;
use api::status::PartnerDownCause;
use api::time::{Seconds, UnixTime};
use marks::{Rule, sometimes};

use super::{Action, Context, Endpoint, HoldReason, STARTUP_SHORT};

/// What the guards need to know and only the owner does.
#[derive(Clone, Copy, Debug)]
pub struct Grounds {
    /// The partner is an ISC dhcpd, or may be one.
    pub isc_partner: bool,
    /// The longest lease that the partner may have granted in PartnerDown. [`u32::MAX`] is without end.
    pub longest_lease: Seconds,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The partner talks to us and is on its way to Normal (§3.3 note 8).
    #[error("the partner is reachable and in {0}; it comes back by itself")]
    PartnerOnItsWay(State),
    /// The partner talks to us and serves.
    #[error(
        "the partner is reachable and in {0}: both servers would give out its addresses; stop it first (expert: \
         true goes past this)"
    )]
    PartnerReachable(State),
    /// Not from this state.
    #[error("not possible in {0}")]
    WrongState(State),
    /// Only with `expert`, and then addresses are held (§7.5).
    #[error(
        "this server has not synchronised with its partner ({0}): expert: true goes past this, and then no new \
         client is served until every lease that the partner may have given out is over"
    )]
    Unsynchronised(State),
    /// Only with `expert`.
    #[error("not possible in {0} without expert: true")]
    NeedsExpert(State),
    /// The store is not an empty one.
    #[error("the store is not empty: it belongs to a pair that served before")]
    StoreNotEmpty,
    /// The time lies in the future.
    #[error("the time lies in the future")]
    Future,
    /// The partner was heard after that time.
    #[error(
        "the partner was heard until {0}, so it was not down before (expert: true goes past this: its addresses \
         are then free that much sooner)"
    )]
    BeforeLoss(UnixTime),
    /// Nobody would serve.
    #[error("the partner does not serve, so nobody would: confirm: true goes past this")]
    PartnerNotServing,
    /// The partner would be left alone without all data (note 5).
    #[error("the partner is in {0} and has not got all leases yet: it cannot take over")]
    PartnerUnsynchronised(State),
    /// Normal needs a partner that agrees.
    #[error("the partner is not heard in a state that leads to Normal")]
    NoPartner,
    /// The exit barrier is closed (§7.3).
    #[error(
        "not every lease is agreed with the partner yet: wait, or confirm: true accepts that it may give such an \
         address to somebody else"
    )]
    BarrierClosed,
    /// There is no partner in the configuration.
    #[error("there is no partner: the pair has one server")]
    Alone,
}

impl Endpoint {
    /// Declares the partner down since `at`, now if `None` (§7.1). The caller has fenced it and has evidence.
    ///
    /// `confirm` ends a hold of addresses at the operator's risk.
    pub fn partner_down(
        &mut self,
        at: Option<UnixTime>,
        expert: bool,
        confirm: bool,
        grounds: Grounds,
        ctx: Context,
    ) -> Result<(), Refusal> {
        let at = at.unwrap_or(ctx.now.wall);
        self.may_let_go(at, expert, ctx)?;
        let unsynchronised = self.is_unsynchronised();
        // What the fence is there for, the hold does from here on.
        self.end_fence();
        self.starting = None;
        if self.record.state == State::PartnerDown {
            sometimes!(Rule::PartnerDownRevised, self.record.partner_down_at != Some(at));
            if self.record.partner_down_cause == Some(PartnerDownCause::ShutdownReceived) {
                self.record.partner_down_cause = Some(PartnerDownCause::Requested);
            }
        } else {
            self.let_go(PartnerDownCause::Requested, "declared by an operator", ctx);
        }
        self.record.partner_down_at = Some(at);
        self.record_changed = true;
        if confirm {
            self.end_hold();
        } else if unsynchronised {
            let until = self.leases_over(at, grounds.longest_lease.max(ctx.mclt), ctx);
            sometimes!(Rule::HoldSerialPartnerDown);
            self.hold_until(until, HoldReason::SerialPartnerDown, ctx);
        }
        Ok(())
    }

    fn may_let_go(&self, at: UnixTime, expert: bool, ctx: Context) -> Result<(), Refusal> {
        // A server that was left alone had a partner once, and that one must be declared down. One that lost its store has
        // nobody to recover from.
        let recovers = matches!(self.record.state, State::Recover | State::RecoverWait);
        if self.settings.alone && !self.record.integrated && !recovers {
            return Err(Refusal::Alone);
        }
        if at > ctx.now.wall {
            return Err(Refusal::Future);
        }
        match self.heard() {
            Some(
                partner @ (State::PotentialConflict
                | State::ResolutionInterrupted
                | State::ConflictDone
                | State::RecoverDone),
            ) => return Err(Refusal::PartnerOnItsWay(partner)),
            Some(partner @ (State::Normal | State::CommunicationsInterrupted | State::PartnerDown))
                if !expert =>
            {
                return Err(Refusal::PartnerReachable(partner));
            }
            _ => {}
        }
        let state = self.record.state;
        match state {
            State::Normal
            | State::CommunicationsInterrupted
            | State::PartnerDown
            | State::ResolutionInterrupted
            | State::ConflictDone => {}
            State::Recover | State::RecoverWait if expert => {}
            State::Recover | State::RecoverWait => return Err(Refusal::Unsynchronised(state)),
            State::RecoverDone if expert => {}
            State::RecoverDone => return Err(Refusal::NeedsExpert(state)),
            State::Unknown | State::Startup | State::PotentialConflict | State::Paused | State::Shutdown => {
                return Err(Refusal::WrongState(state));
            }
        }
        if self.is_unsynchronised() && !expert {
            return Err(Refusal::Unsynchronised(self.shown_state()));
        }
        let lost_at = self.contact_lost_at(ctx);
        if at < lost_at && !expert {
            return Err(Refusal::BeforeLoss(lost_at));
        }
        Ok(())
    }

    /// Whether the partner may have been in PartnerDown since this server last synchronised with it (§7.5).
    fn is_unsynchronised(&self) -> bool {
        self.is_starting() && self.record.state != State::PartnerDown
            || self.fence_in_force().is_some()
            || self.record.lacks_leases()
            || matches!(self.record.state, State::Recover | State::RecoverWait)
    }

    /// From when on the partner was not heard: the earliest time at which it can have been down.
    fn contact_lost_at(&self, ctx: Context) -> UnixTime {
        let record = &self.record;
        match record.state {
            _ if self.heard.is_some() => ctx.now.wall,
            State::ResolutionInterrupted => record.interrupted_at.unwrap_or(record.since),
            State::CommunicationsInterrupted | State::PartnerDown => {
                record.interrupted_at.or(record.partner_down_at).unwrap_or(ctx.now.wall)
            }
            _ => ctx.now.wall,
        }
    }

    /// Accepts Normal now (§3.4). `confirm` goes past a closed exit barrier and ends a hold of addresses.
    pub fn accept_normal(&mut self, confirm: bool, grounds: Grounds, ctx: Context) -> Result<(), Refusal> {
        if self.is_starting() {
            return Err(Refusal::WrongState(State::Startup));
        }
        let state = self.record.state;
        let agrees = match self.heard {
            Some((_, true)) | None => false,
            Some((State::Normal | State::CommunicationsInterrupted, false)) => true,
            Some((State::RecoverDone, false)) => !grounds.isc_partner,
            Some((_, false)) => false,
        };
        match state {
            State::Normal => {}
            State::CommunicationsInterrupted | State::PartnerDown | State::RecoverDone if !agrees => {
                return Err(Refusal::NoPartner);
            }
            State::CommunicationsInterrupted | State::PartnerDown | State::RecoverDone => {
                if self.exit_pending && !confirm {
                    return Err(Refusal::BarrierClosed);
                }
                sometimes!(Rule::BarrierPassedByOperator, self.exit_pending);
                self.enter(State::Normal, "accepted by an operator", ctx);
            }
            State::Unknown
            | State::Startup
            | State::PotentialConflict
            | State::Recover
            | State::Paused
            | State::Shutdown
            | State::ResolutionInterrupted
            | State::ConflictDone
            | State::RecoverWait => return Err(Refusal::WrongState(state)),
        }
        if confirm {
            self.end_hold();
        }
        Ok(())
    }

    /// Drops the link (§3.4); with `hold` it stays down until another command ends that.
    pub fn interrupt(&mut self, hold: bool) -> Result<(), Refusal> {
        if self.settings.alone {
            return Err(Refusal::Alone);
        }
        match self.shown_state() {
            State::Normal | State::CommunicationsInterrupted => {
                sometimes!(Rule::Held, hold);
                self.record.held = hold;
                self.record_changed = true;
                self.actions.push_back(Action::DropLink);
                Ok(())
            }
            state => Err(Refusal::WrongState(state)),
        }
    }

    /// Fetches everything from the partner (§8). `since` is when this server's data ends: the time of the
    /// backup that was restored, or when it is known to have been down last if that is later; now if `None`. Without `confirm` the partner must serve meanwhile.
    pub fn recover(&mut self, since: Option<UnixTime>, confirm: bool, ctx: Context) -> Result<(), Refusal> {
        if self.settings.alone {
            return Err(Refusal::Alone);
        }
        if since.is_some_and(|since| since > ctx.now.wall) {
            return Err(Refusal::Future);
        }
        // What was granted between the backup and the end of the process that had gone on from it is in no store here.
        let known_down = self.last_operational.max(self.missed_since()).min(ctx.now.wall);
        let failed_at = since.map_or(ctx.now.wall, |since| since.max(known_down));
        if !self.partner_serves() && !confirm {
            return Err(Refusal::PartnerNotServing);
        }
        self.starting = None;
        self.record.held = false;
        sometimes!(Rule::RecoverTimeGiven, since.is_some());
        self.record.failed_at = Some(failed_at);
        self.record.wait_until = None;
        self.record.data_lost = true;
        self.enter(State::Recover, "ordered by an operator", ctx);
        Ok(())
    }

    /// Since when the partner had missed this server before the present connection; zero if it does not say.
    fn missed_since(&self) -> UnixTime {
        match self.first_word {
            Some((State::CommunicationsInterrupted | State::PartnerDown, since)) => since,
            Some(_) | None => UnixTime::ZERO,
        }
    }

    /// Begins anew from the stored state (§3.4, §4): ends Paused, Shutdown and a held interruption. The owner
    /// drops the link first. `last_operational` is the end of the last promise to serve.
    ///
    /// `unfence` ends a fence in force: a human vouches that the partner never went into PartnerDown.
    pub fn restart(&mut self, unfence: bool, last_operational: UnixTime, ctx: Context) {
        if unfence {
            sometimes!(Rule::FenceEndedByOperator, self.fence_in_force().is_some());
            self.end_fence();
        }
        self.record.held = false;
        self.record_changed = true;
        self.last_operational = last_operational;
        if !self.settings.alone {
            self.starting = Some(ctx.now.mono + STARTUP_SHORT);
        }
        self.take_up("ordered to start anew", ctx);
    }

    fn end_fence(&mut self) {
        if let Some(fence) = self.fence_in_force() {
            self.record.unfenced = self.record.unfenced.max(Some(fence.stamp()));
            self.record_changed = true;
        }
    }

    /// Whether this server may stop for a short while (§11).
    pub fn may_pause(&self, confirm: bool) -> Result<(), Refusal> {
        if self.record.state == State::Shutdown {
            return Err(Refusal::WrongState(State::Shutdown));
        }
        if self.partner_serves() || confirm { Ok(()) } else { Err(Refusal::PartnerNotServing) }
    }

    /// Stops for a short planned while; the next start goes on from here (§11).
    pub fn pause(&mut self, ctx: Context) {
        if !matches!(self.record.state, State::Paused | State::Shutdown) {
            let previous = self.record.state;
            self.enter(State::Paused, "asked to stop for a while", ctx);
            self.record.previous = previous;
        }
    }

    /// Whether this server may stop for long (§3.3, row "command shutdown").
    pub fn may_shut_down(&self, confirm: bool) -> Result<(), Refusal> {
        if let Some(
            partner @ (State::Recover
            | State::RecoverWait
            | State::RecoverDone
            | State::PotentialConflict
            | State::ResolutionInterrupted
            | State::ConflictDone),
        ) = self.heard()
        {
            return Err(Refusal::PartnerUnsynchronised(partner));
        }
        match self.shown_state() {
            State::Normal
            | State::CommunicationsInterrupted
            | State::PartnerDown
            | State::ConflictDone
            | State::RecoverDone => {}
            state => return Err(Refusal::WrongState(state)),
        }
        if self.partner_serves() || confirm { Ok(()) } else { Err(Refusal::PartnerNotServing) }
    }

    /// Stops for long. The next start recovers from the partner, which takes over, unless it
    /// [was not told](Endpoint::shutdown_was_not_said).
    pub fn shut_down(&mut self, ctx: Context) {
        if self.record.state != State::Shutdown {
            let previous = self.record.state;
            self.enter(State::Shutdown, "asked to stop for long", ctx);
            self.record.previous = previous;
            // Until it has surely left, it may have: a partner that heard it takes over at once (H-13).
            // The link that is up carries it, heard or not; if it does not, `shutdown_was_not_said` tells.
            self.record.shutdown_unsaid = !self.is_linked();
        }
    }

    /// The link broke before Shutdown was handed to it: the partner cannot know.
    pub fn shutdown_was_not_said(&mut self) {
        if self.record.state == State::Shutdown && !self.record.shutdown_unsaid {
            self.record.shutdown_unsaid = true;
            self.record_changed = true;
        }
    }

    /// Takes in the fact that the partner was, or may have been, let go into PartnerDown
    /// (`spec/failover-protocol.md` §12.3). The later of two counts; the same one may gain its evidence.
    pub fn fence(&mut self, fence: Fence) {
        let held = self.record.fence;
        sometimes!(
            if held.is_some_and(|held| held.stamp() > fence.stamp()) {
                Rule::FenceOlder
            } else {
                Rule::FenceReplaced
            },
            held.is_some_and(|held| held.stamp() != fence.stamp())
        );
        let next = match held {
            Some(held) if held.stamp() > fence.stamp() => held,
            Some(held) if held.stamp() == fence.stamp() => {
                Fence { evidence: held.evidence.or(fence.evidence), ..held }
            }
            _ => fence,
        };
        if held != Some(next) {
            self.fenced_in_contact |= self.is_linked();
            self.record.fence = Some(next);
            self.record_changed = true;
        }
    }

    /// The fence, while it is in force: see [`Endpoint::is_fenced`].
    #[must_use]
    pub fn fence_in_force(&self) -> Option<&Fence> {
        self.record.fence_in_force()
    }

    /// Whether the partner was heard to serve clients.
    #[must_use]
    pub fn partner_serves(&self) -> bool {
        matches!(
            self.heard,
            Some((
                State::Normal | State::CommunicationsInterrupted | State::PartnerDown | State::ConflictDone,
                false
            ))
        )
    }
}
