//! What this server asks the partner for: its bindings (`spec/failover-protocol.md` §5).

use api::identity::State;
use api::time::{Mono, Now};
use failover::wire::Message;
use marks::{Rule, sometimes};

use crate::Server;
use crate::interface::LinkOrder;

/// A request under way on the present connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Its number.
    pub(crate) xid: u32,
    /// When it was made, or when the partner last told of a binding.
    pub(crate) heard_at: Mono,
}

/// A request is given up after so many receive timers without an answer (`spec/failover-behaviour.md` §8, RC-7).
const PATIENCE: u64 = 2;

impl Server {
    /// Asks the partner for its bindings.
    pub(crate) fn request_updates(&mut self, now: Now, all: bool) {
        self.say_state_before_anything(now);
        let after = self.journal.last();
        // A later request takes the place of the one before.
        let all = all || self.endpoint.record().unfetched;
        if all && self.endpoint.record().data_lost {
            self.exchange.amnesia = true;
        }
        let Some(session) = self.links.session() else { return };
        let message = if all { Message::UpdReqAll } else { Message::UpdReq };
        self.counters.add("failover_messages_sent", message.name(), 1);
        let xid = session.send(message, after, now);
        self.exchange.request = Some(Request { xid, heard_at: now.mono });
    }

    /// All that we asked for has come.
    pub(crate) fn updates_done(&mut self, now: Now, xid: u32) {
        if self.exchange.request.is_none_or(|request| request.xid != xid) {
            sometimes!(Rule::DoneAnswersNothing);
            return;
        }
        sometimes!(
            Rule::IscSettles,
            self.endpoint.record().unsettled && self.links.partner_is_own() == Some(false)
        );
        self.exchange.request = None;
        self.exchange.isc_told_all = true;
        self.endpoint.settled();
        let context = self.context(now);
        self.endpoint.updates_done(context);
    }

    /// Asks for what was rejected as too early once it is not too early any more.
    pub(crate) fn ask_again(&mut self, now: Now) {
        let due = self.exchange.ask_at.is_some_and(|at| now.wall >= at);
        if due && self.endpoint.record().state == State::Normal && self.exchange.request.is_none() {
            sometimes!(Rule::AsksAgainWhatWasEarly);
            self.exchange.ask_at = None;
            self.request_updates(now, false);
        }
    }

    /// Asks a dhcpd for its news in RecoverDone if ends of leases wait for that: Normal waits until they are told.
    pub(crate) fn ask_before_ends(&mut self, now: Now) {
        let recovered = self.endpoint.record().state == State::RecoverDone;
        if recovered && self.exchange.request.is_none() && self.ends_wait() && self.has_ends_to_tell(now) {
            sometimes!(Rule::IscAskedBeforeEnds);
            self.request_updates(now, false);
        }
    }

    /// A partner that lives and answers no request is asked again on another connection.
    pub(crate) fn give_up_unanswered(&mut self, now: Now) {
        let patience = self.config.poll_timeout.millis() * PATIENCE;
        let heard_at = self.exchange.request.map(|request| request.heard_at);
        let over = heard_at.is_some_and(|at| now.mono.0 >= at.0 + patience);
        if let Some(conn) = self.links.registered().filter(|_| over) {
            sometimes!(Rule::RequestUnanswered);
            self.outbox.order(LinkOrder::Close(conn));
            let why = format!(
                "the partner did not answer a request for its leases for {} s; asking on another connection",
                patience / 1000
            );
            self.link_down(now, conn, "unanswered", why);
        }
    }
}
