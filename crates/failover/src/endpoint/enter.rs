//! What a change of state brings about (`spec/failover-behaviour.md` §3.3, §3.5).

use api::identity::{Role, State};
use api::status::PartnerDownCause;
use api::time::Seconds;
use marks::{Rule, sometimes};

use super::{Action, Context, Endpoint, Request};
use crate::transition::{Next, after_resolution, on_partner_state};

impl Endpoint {
    pub(super) fn apply(&mut self, next: Next, ctx: Context) {
        match next {
            Next::Stay => {}
            Next::Go(to) => self.enter(to, "the partner's state", ctx),
            Next::Reenter => {
                sometimes!(Rule::ReentersNormal);
                self.enter(State::Normal, "the partner was away for a moment", ctx);
            }
            Next::NormalBehindBarrier => {
                sometimes!(Rule::BarrierUp);
                self.exit_pending = true;
            }
            Next::Request => {
                // Once everything was asked for, only everything is an answer (RC-6).
                let all = self.record.data_lost
                    || !self.record.integrated
                    || self.request.is_some_and(|request| request.all);
                sometimes!(match &self.record {
                    record if record.data_lost => Rule::AsksForLostData,
                    record if !record.integrated => Rule::AsksForAllOfStranger,
                    record if record.unfetched => Rule::AsksAfterServingWithoutData,
                    _ if all => Rule::AsksForAllAgain,
                    _ => Rule::AsksForTheRest,
                });
                self.ask(all);
            }
            Next::RequestOwed => match self.record.role {
                Role::Primary => {}
                Role::Secondary => {
                    if self.request.is_none() || self.heard() == Some(State::ConflictDone) {
                        sometimes!(Rule::SecondaryAsksWhatItIsOwed);
                        self.ask(self.record.data_lost);
                    }
                }
            },
        }
    }

    pub(super) fn ask(&mut self, all: bool) {
        let all = all || self.record.unfetched;
        self.request = Some(Request { all, answered: false });
        self.actions.push_back(Action::Request { all });
    }

    pub(super) fn forget_request(&mut self) {
        if self.request.take().is_some() {
            self.actions.push_back(Action::CancelRequest);
        }
    }

    pub(super) fn wait_is_over(&self, ctx: Context) -> bool {
        self.record.wait_until.is_none_or(|until| ctx.now.wall >= until)
    }

    pub(super) fn try_end_conflict(&mut self, ctx: Context) {
        if self.request.is_some_and(|request| request.answered) && self.wait_is_over(ctx) {
            sometimes!(Rule::ConflictWaitEnds, self.record.wait_until.is_some());
            self.record.data_lost = false;
            self.enter(after_resolution(self.record.role), "the conflict is resolved on this side", ctx);
        }
    }

    /// Enters PartnerDown for another cause than the partner's own word.
    pub(super) fn let_go(&mut self, cause: PartnerDownCause, why: &'static str, ctx: Context) {
        self.enter(State::PartnerDown, why, ctx);
        self.record.partner_down_cause = Some(cause);
    }

    pub(super) fn announce(&mut self) {
        let announcement = self.announcement();
        self.actions.push_back(announcement);
    }

    pub(super) fn enter(&mut self, to: State, why: &'static str, ctx: Context) {
        let from = self.record.state;
        self.forget_request();
        self.exit_pending = false;
        let before = self.record.stamp;
        self.record.state = to;
        self.record.since = ctx.now.wall.max(self.record.since);
        self.record.stamp.transition = self.record.stamp.transition.saturating_add(1);
        if to != State::PartnerDown {
            self.record.partner_down_after = None;
            self.record.partner_down_cause = None;
        }
        // A pause of PartnerDown ends in it again, and the partner goes on.
        let pauses = |state| matches!(state, State::PartnerDown | State::Paused);
        let goes_on = pauses(from) && pauses(to);
        self.record.partner_renews &= goes_on;
        self.contact_lost = (to == State::CommunicationsInterrupted).then_some(ctx.now);
        self.record_changed = true;
        self.actions.push_back(Action::Entered { from, to, why });
        self.announce();
        match to {
            State::Normal => {
                self.record.integrated = true;
                // It was forced to serve without its data, and the partner fetched only what it lacked itself.
                self.record.unfetched |= from == State::PartnerDown && self.record.data_lost;
                if self.record.unfetched {
                    sometimes!(Rule::AsksAfterServingWithoutData);
                    self.ask(true);
                }
                self.record.data_lost = false;
                self.record.failed_at = None;
                self.record.partner_alone_lease = None;
                self.record.wait_until = None;
                self.record.partner_down_at = None;
                self.record.interrupted_at = None;
                self.actions.push_back(Action::Requeue);
            }
            State::CommunicationsInterrupted => self.record.interrupted_at = Some(ctx.now.wall),
            State::PartnerDown => {
                self.record.partner_down_at = Some(ctx.now.wall);
                if !goes_on {
                    self.record.alone_lease = Seconds::ZERO;
                }
                self.record.partner_down_after = Some(before);
                self.record.partner_down_cause = Some(PartnerDownCause::ShutdownReceived);
                self.record.held = false;
            }
            State::PotentialConflict => {
                self.record.wait_until = None;
                if self.heard.is_some() {
                    match self.record.role {
                        Role::Primary => {
                            sometimes!(Rule::PrimaryAsksInConflict);
                            self.ask(self.record.data_lost);
                        }
                        Role::Secondary if self.heard() == Some(State::ConflictDone) => {
                            sometimes!(Rule::SecondaryAsksOnEntry);
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
                    sometimes!(Rule::RecoverDoneLooksAgain, to == State::RecoverDone);
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
