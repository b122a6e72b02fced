//! Planned stops (`spec/failover-behaviour.md` §11): nobody is answered any more, what the partner has not
//! acknowledged is flushed, the state changes, and once that is said the process may end or the link closes.

use api::force::ForceState;
use api::identity::State;
use api::status::RequestPhase;
use api::time::{Mono, Now, Seconds};
use failover::transition::Service;
use marks::{Rule, sometimes};

use crate::Server;
use crate::force::status_of;
use crate::interface::{Answer, CommandId};

/// A stop waits this long for the partner's answers, then goes on.
const FLUSH_MAX: Seconds = Seconds(5);
/// After that its last word may take so long to leave, and the partner so long to take over.
const FAREWELL_MAX: Seconds = Seconds(5);
/// How often a stop is looked at: its partner is to hear of it at once.
const LOOK_MILLIS: u64 = 50;

/// A stop under way, or done.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// Who is to be answered.
    id: Option<CommandId>,
    /// The request that asked for it; SIGTERM has none.
    request: Option<(Box<ForceState>, State)>,
    /// Shutdown instead of Paused.
    long: bool,
    /// This step ends at the latest then.
    until: Mono,
    /// When to look again whether it may go on.
    next_look: Mono,
    step: Step,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Updates are being flushed.
    Flushing,
    /// The state changed; it must still be said.
    Saying,
    /// The partner was told that we stop for long and is to say that it takes over.
    AwaitingPartner,
    /// Nothing more is to be done.
    Done,
}

impl Stop {
    /// The process is to end.
    pub(crate) fn sigterm(id: CommandId, now: Now) -> Self {
        Self {
            id: Some(id),
            request: None,
            long: false,
            until: now.mono + FLUSH_MAX,
            next_look: now.mono,
            step: Step::Flushing,
        }
    }

    /// A request asks for it.
    pub(crate) fn forced(id: CommandId, request: ForceState, from: State, long: bool, now: Now) -> Self {
        Self { request: Some((Box::new(request), from)), long, ..Self::sigterm(id, now) }
    }
}

impl Server {
    /// Stops answering, and begins to flush.
    pub(crate) fn begin_stop(&mut self, now: Now, stop: Stop) {
        if let Some(before) = self.stopping.take().and_then(|before| before.id) {
            let message = "the process is ending".to_owned();
            let answer = Answer::Refused { class: "stopping", message };
            self.outbox.answer(self.journal.durable(), before, answer);
        }
        self.stopping = Some(stop);
        self.drop_replies();
        self.tick_stop(now);
    }

    /// The store failed: a stop that is under way cannot be told as done, as its state will not be stored.
    pub(crate) fn refuse_stop(&mut self, error: &str) {
        if let Some(id) = self.stopping.as_mut().and_then(|stop| stop.id.take()) {
            let answer = Answer::Refused { class: "storage_failed", message: error.to_owned() };
            self.outbox.answer(self.journal.durable(), id, answer);
        }
    }

    /// When to call [`Server::tick_stop`] again.
    pub(crate) fn next_stop_look(&self) -> Option<Mono> {
        self.stopping.as_ref().filter(|stop| stop.step != Step::Done).map(|stop| stop.next_look)
    }

    /// Goes on with a stop.
    pub(crate) fn tick_stop(&mut self, now: Now) {
        // Each step may be over at once.
        while let Some(stop) = &mut self.stopping {
            stop.next_look = now.mono.plus_millis(LOOK_MILLIS);
            let over = now.mono >= stop.until;
            let step = stop.step;
            let may_go_on = match step {
                Step::Flushing => self.is_flushed(),
                Step::Saying => self.links.session().is_none_or(|session| session.is_drained()),
                Step::AwaitingPartner => {
                    self.endpoint.heard().is_none_or(|state| state == State::PartnerDown)
                }
                Step::Done => return,
            };
            if !may_go_on && !over {
                return;
            }
            sometimes!(Rule::StopFlushedInVain, !may_go_on && step == Step::Flushing);
            sometimes!(Rule::StopNotTakenOver, !may_go_on && step == Step::AwaitingPartner);
            self.next_step(now);
        }
    }

    fn next_step(&mut self, now: Now) {
        let Some(stop) = &mut self.stopping else { return };
        match stop.step {
            Step::Flushing => {
                (stop.step, stop.until) = (Step::Saying, now.mono + FAREWELL_MAX);
                let long = stop.long;
                let request = stop.request.clone();
                // Nothing was granted after this second, and by a server that was silent nothing for longer.
                let silent = self.endpoint.service() == Service::Silent;
                self.promise_until(if silent { self.promise.min(now.wall) } else { now.wall });
                let context = self.context(now);
                if long {
                    self.endpoint.shut_down(context);
                } else {
                    self.endpoint.pause(context);
                }
                if let Some((force, from)) = request {
                    // The id, its result and the new state are one commit.
                    let status = status_of(&force, RequestPhase::Granted, force.reason.clone(), from, now);
                    let answer =
                        self.conclude_request(status, true).unwrap_or_else(|refused| refused.answer());
                    let id = self.stopping.as_mut().and_then(|stop| stop.id.take());
                    self.settle(now);
                    if let Some(id) = id {
                        self.outbox.answer(self.journal.last(), id, answer);
                    }
                }
                self.settle(now);
            }
            Step::Saying => {
                stop.step = if stop.long { Step::AwaitingPartner } else { Step::Done };
                stop.until = now.mono + FAREWELL_MAX;
                let (done, forced) = (stop.step == Step::Done, stop.request.is_some());
                if let Some(id) = stop.id.take() {
                    self.outbox.answer(self.journal.last(), id, Answer::Paused);
                }
                if done && forced {
                    self.drop_link(now, "forced", "paused");
                }
            }
            Step::AwaitingPartner => {
                stop.step = Step::Done;
                self.drop_link(now, "forced", "shut down");
            }
            Step::Done => {}
        }
    }

    /// Whether the partner has everything, or there is none to have it.
    fn is_flushed(&self) -> bool {
        self.links.registered().is_none()
            || (self.exchange.in_flight() == 0 && self.table.due().next().is_none())
    }

    /// The link is gone: a Shutdown that was not handed to it is one that nobody heard of.
    pub(crate) fn stop_lost_link(&mut self, owed_state: bool) {
        let says = |stop: &Stop| stop.long && stop.step == Step::Saying;
        if owed_state && self.stopping.as_ref().is_some_and(says) {
            self.endpoint.shutdown_was_not_said();
        }
    }

    /// Whether a stop was asked for: nobody is answered any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether a stop is under way and cannot be called off.
    pub(crate) fn is_stopping_now(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stop| stop.step != Step::Done)
    }
}
