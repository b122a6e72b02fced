//! Forced states: an id that is known is answered and not carried out again; guards are checked; then one
//! commit holds the id, its result and the new state (`spec/failover-protocol.md` §12.5).

use api::config::ServerConfig;
use api::force::{Evidence, Fence, FenceAccepted, ForceRequest, ForceState, Forced};
use api::identity::{State, StoreStamp};
use api::status::{RequestPhase, RequestStatus};
use api::time::Now;
use failover::endpoint::{Grounds, Refusal};
use marks::{Mark, Rule, sometimes};

use crate::Server;
use crate::command::Refused;
use crate::interface::{Answer, Caller, CommandId, Event};
use crate::journal::Document;
use crate::ledger::is_decided;
use crate::stop::Stop;

/// What became of a request.
enum Outcome {
    Granted,
    /// For good: its id is used up.
    Refused(String),
    /// For now: its id may be tried again.
    NotNow(String),
    /// The answer comes when the server has stopped.
    Later,
}

impl Server {
    /// `POST /v1/force`. The answer may come later; then it is not returned.
    pub(crate) fn force(
        &mut self,
        now: Now,
        id: CommandId,
        request: &ForceRequest,
        caller: Caller,
    ) -> Option<Result<Answer, Refused>> {
        let force = &request.force;
        let forced = match force.check("") {
            Ok(forced) => forced,
            Err(errors) => {
                let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                return Some(Err(Refused::new("invalid_request", texts.join("; "))));
            }
        };
        if force.server != self.role {
            let message =
                format!("server: the request is for the {}, this is the {}", force.server, self.role);
            return Some(Err(Refused::new("invalid_request", message)));
        }
        if let Some(decided) = self.ledger.decided(&force.request_id) {
            sometimes!(Rule::AnsweredFromLedger);
            return Some(Ok(Answer::Request(Box::new(decided.clone()))));
        }
        let from = self.state();
        let outcome = self.decide(now, id, request, forced, caller, from);
        let (phase, reason, kept) = match outcome {
            Outcome::Later => {
                sometimes!(Mark::Forced { state: force.state, mine: from, granted: true });
                return None;
            }
            Outcome::Granted => (RequestPhase::Granted, force.reason.clone(), true),
            Outcome::Refused(why) => (RequestPhase::Refused, Some(why), true),
            Outcome::NotNow(why) => (RequestPhase::Refused, Some(why), false),
        };
        let status = status_of(force, phase, reason, from, now);
        Some(self.conclude_request(status, kept))
    }

    /// Records what became of a request, and tells of it.
    pub(crate) fn conclude_request(&mut self, status: RequestStatus, kept: bool) -> Result<Answer, Refused> {
        self.counters.add("requests", phase_label(status.phase), 1);
        self.outbox.event(Event::Notice {
            class: "request",
            text: format!(
                "request {}: {} to {} {}{}",
                status.request_id,
                status.server,
                status.to,
                phase_label(status.phase),
                status.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
            ),
        });
        if kept {
            self.ledger.note(status.clone()).map_err(|full| Refused::new("ledger_full", full.to_string()))?;
            self.journal.document(Document::Ledger, &self.ledger);
        }
        Ok(Answer::Request(Box::new(status)))
    }

    fn decide(
        &mut self,
        now: Now,
        id: CommandId,
        request: &ForceRequest,
        forced: Forced,
        caller: Caller,
        from: State,
    ) -> Outcome {
        if self.ledger.is_full() {
            sometimes!(Rule::NotNowFull);
            return Outcome::NotNow(crate::ledger::Full.to_string());
        }
        if self.is_stopping_now() {
            sometimes!(Rule::NotNowStopping);
            return Outcome::NotNow("the server is stopping; try again when it has stopped".to_owned());
        }
        if caller == Caller::Operator && self.forgot_requests() {
            sometimes!(Rule::NotNowForgotten);
            return Outcome::NotNow(
                "the store was lost, so the partner must first tell which requests were carried out; or force it on the \
                 server's own socket"
                    .to_owned(),
            );
        }
        let evidence = request.force.evidence;
        if matches!(forced, Forced::PartnerDown { .. } | Forced::Normal { .. }) {
            let vouched = caller == Caller::Human && evidence == Evidence::Attested;
            if !vouched && !self.partner_may_be_isc() && !self.endpoint.is_store_confirmed() {
                sometimes!(Rule::NotNowUnconfirmed);
                return Outcome::NotNow(
                    "neither the partner nor the operator has confirmed since the start that the lease store is \
                     no old copy; try again later, or attest it on the server's own socket"
                        .to_owned(),
                );
            }
        }
        if matches!(forced, Forced::PartnerDown { .. })
            && evidence == Evidence::Automatic
            && caller == Caller::Human
        {
            sometimes!(Rule::NotNowNoEvidence);
            return Outcome::NotNow("nobody here can gather evidence; use Attested".to_owned());
        }
        let stamp = self.stamp();
        if let Some(expect) = request.expect.filter(|expect| *expect != stamp) {
            sometimes!(Rule::RefusedExpectation);
            return Outcome::Refused(format!(
                "the server is past the point that the request expects: {expect} was expected, it is at {stamp} in \
                 {from}"
            ));
        }
        let context = self.context(now);
        let grounds = self.grounds();
        let result = match forced {
            Forced::Startup { unfence } => {
                self.drop_link(now, "forced", "asked to start anew");
                self.stopping = None;
                let last_operational = self.promise.min(now.wall);
                self.endpoint.restart(unfence, last_operational, context);
                Ok(())
            }
            Forced::Normal { confirm } => self.endpoint.accept_normal(confirm, grounds, context),
            Forced::CommunicationsInterrupted { hold } => self.endpoint.interrupt(hold),
            Forced::PartnerDown { since, expert, confirm } => {
                let before = self.endpoint.record().partner_down_at;
                let again = self.endpoint.record().state == State::PartnerDown;
                let result = self.endpoint.partner_down(since, expert, confirm, grounds, context);
                if again && result.is_ok() && self.endpoint.record().partner_down_at > before {
                    self.freeze_bounds(now);
                }
                result
            }
            Forced::Recover { since, confirm } => {
                let result = self.endpoint.recover(since, confirm, context);
                if result.is_ok() {
                    self.stopping = None;
                }
                result
            }
            Forced::Shutdown { confirm } | Forced::Paused { confirm } => {
                let long = matches!(forced, Forced::Shutdown { .. });
                let may = if long {
                    self.endpoint.may_shut_down(confirm)
                } else {
                    self.endpoint.may_pause(confirm)
                };
                if may.is_ok() && from != request.force.state.state() {
                    self.begin_stop(now, Stop::forced(id, request.force.clone(), from, long, now));
                    return Outcome::Later;
                }
                may
            }
        };
        sometimes!(Mark::Forced { state: request.force.state, mine: from, granted: result.is_ok() });
        match result {
            Ok(()) => Outcome::Granted,
            Err(refusal) => {
                sometimes!(refusal_rule(refusal));
                Outcome::Refused(refusal.to_string())
            }
        }
    }

    /// `PUT /v1/requests/<id>`: how far the operator is with a request, or that it was withdrawn.
    pub(crate) fn note_request(&mut self, status: RequestStatus) -> Result<Answer, Refused> {
        if status.phase == RequestPhase::Granted {
            return Err(Refused::new(
                "invalid_request",
                "phase: only POST /v1/force grants a request".to_owned(),
            ));
        }
        if !api::force::is_request_id(&status.request_id) {
            return Err(Refused::new("invalid_request", "requestId: is no request id".to_owned()));
        }
        let id = status.request_id.clone();
        let decides = is_decided(status.phase);
        match self.ledger.note(status) {
            Ok(true) => {
                self.journal.document(Document::Ledger, &self.ledger);
            }
            Ok(false) => {}
            Err(full) => return Err(Refused::new("ledger_full", full.to_string())),
        }
        let Some(held) = self.ledger.get(&id) else {
            return Err(Refused::new("invalid_request", "requestId: is not known".to_owned()));
        };
        if decides {
            self.counters.add("requests", phase_label(held.phase), 1);
        }
        Ok(Answer::Request(Box::new(held.clone())))
    }

    /// `PUT /v1/fence`.
    pub(crate) fn take_fence(&mut self, fence: Fence) -> Answer {
        let before = self.endpoint.fence_in_force().is_some();
        self.endpoint.fence(fence);
        let in_force = self.endpoint.fence_in_force().is_some();
        if in_force && !before {
            let text = format!(
                "fenced: the partner was let go into PartnerDown after its change {}; nobody is served until it says \
                 that it went on from there",
                fence.stamp()
            );
            self.outbox.event(Event::Notice { class: "fenced", text });
        }
        let fence = self.endpoint.record().fence.unwrap_or(fence);
        Answer::Fenced(FenceAccepted { fence, in_force })
    }

    /// `PUT /v1/highest`.
    pub(crate) fn compare_with_operator(&mut self, now: Now, highest: StoreStamp) -> Answer {
        let context = self.context(now);
        self.endpoint.operator_saw(highest, context);
        Answer::Compared
    }

    /// All requests, newest first.
    pub(crate) fn requests(&self) -> Vec<RequestStatus> {
        self.ledger.newest_first().into_iter().cloned().collect()
    }

    /// Ends the connection with the partner for a reason of our own, by its label in metrics.
    pub(crate) fn drop_link(&mut self, now: Now, class: &'static str, why: &str) {
        for conn in self.links.connections() {
            self.outbox.order(crate::interface::LinkOrder::Close(conn));
            self.link_down(now, conn, class, why.to_owned());
        }
    }

    /// Whether the store was lost and what the partner remembers of requests was not heard to its end (H-27).
    fn forgot_requests(&self) -> bool {
        self.endpoint.record().requests_unheard && !self.partner_may_be_isc()
    }

    fn grounds(&self) -> Grounds {
        // A partner that has spoken since may have taken up a longer lease after that, which this server then has as well.
        let told = self.endpoint.record().partner_alone_lease;
        let longest_lease =
            told.map_or_else(|| self.config.longest_lease(), |told| told.max(self.longest_alone()));
        Grounds { isc_partner: self.partner_may_be_isc(), longest_lease }
    }

    /// Whether the partner is an ISC dhcpd, or may be one as no pod runs it and it was not heard.
    pub(crate) fn partner_may_be_isc(&self) -> bool {
        match self.links.partner_is_own() {
            Some(own) => !own,
            None => matches!(self.config.server(self.role.other()), Some(ServerConfig::External { .. })),
        }
    }
}

fn refusal_rule(refusal: Refusal) -> Rule {
    match refusal {
        Refusal::PartnerOnItsWay(_) => Rule::RefusedPartnerOnItsWay,
        Refusal::PartnerReachable(_) => Rule::RefusedPartnerReachable,
        Refusal::WrongState(_) => Rule::RefusedWrongState,
        Refusal::Unsynchronised(_) => Rule::RefusedUnsynchronised,
        Refusal::NeedsExpert(_) => Rule::RefusedNeedsExpert,
        Refusal::StoreNotEmpty => Rule::TokenRefused,
        Refusal::Future => Rule::RefusedFuture,
        Refusal::BeforeLoss(_) => Rule::RefusedBeforeLoss,
        Refusal::PartnerNotServing => Rule::RefusedPartnerNotServing,
        Refusal::PartnerUnsynchronised(_) => Rule::RefusedPartnerUnsynchronised,
        Refusal::NoPartner => Rule::RefusedNoPartner,
        Refusal::BarrierClosed => Rule::RefusedBarrierClosed,
        Refusal::Alone => Rule::RefusedAlone,
    }
}

/// A request as status shows it.
pub(crate) fn status_of(
    force: &ForceState,
    phase: RequestPhase,
    reason: Option<String>,
    from: State,
    now: Now,
) -> RequestStatus {
    RequestStatus {
        request_id: force.request_id.clone(),
        phase,
        reason,
        server: force.server,
        from: Some(from),
        to: force.state.state(),
        down_since: force.down_since,
        transition_time: now.wall.timestamp().unwrap_or_default(),
        expect: None,
    }
}

fn phase_label(phase: RequestPhase) -> &'static str {
    match phase {
        RequestPhase::Fencing => "fencing",
        RequestPhase::AwaitingEvidence => "awaiting_evidence",
        RequestPhase::Granted => "granted",
        RequestPhase::Refused => "refused",
        RequestPhase::Superseded => "superseded",
    }
}
