//! Whom an endpoint lets its server answer (`spec/failover-behaviour.md` §2.1; fences: `spec/failover-protocol.md` §12.3,
//! decisions 016 and 030).

use api::identity::State;
use marks::{Rule, sometimes};

use super::Endpoint;
use crate::transition::{Service, service};

impl Endpoint {
    /// Whom the server may answer.
    #[must_use]
    pub fn service(&self) -> Service {
        let fenced = self.is_fenced();
        sometimes!(Rule::FenceSilences, fenced && self.heard.is_none());
        sometimes!(Rule::FenceSilencesInContact, fenced && self.heard.is_some());
        sometimes!(Rule::ConflictOneSided, self.is_conflict_one_sided());
        if self.is_starting() || fenced || self.is_conflict_one_sided() {
            return Service::Silent;
        }
        service(self.record.state, self.heard.is_some())
    }

    /// Whether the partner may have been let go since its last word. Contact alone ends no fence: the change after which it is
    /// let go may be the one that it said last, and it need not hear this server (H-11).
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        let Some(fence) = self.fence_in_force() else { return false };
        let (Some(partner), Some(change)) = (self.heard(), self.heard_change) else {
            // Of a dhcpd no later change will ever be heard.
            return self.heard.is_none();
        };
        match partner {
            State::CommunicationsInterrupted
            | State::PartnerDown
            | State::ResolutionInterrupted
            | State::ConflictDone
                if change == fence.stamp() =>
            {
                true
            }
            // From the others as they are only an expert lets somebody go. The latest fence names a later change if it came
            // since; a later connection shows that what it names is history: the partner's store was lost.
            _ => self.fenced_in_contact && change != fence.stamp(),
        }
    }

    /// Whether the partner may still be in PartnerDown without an idea that this server is back: contact was lost
    /// before it was heard to know of the conflict. Its waits run out as if nobody renewed here.
    fn is_conflict_one_sided(&self) -> bool {
        self.record.state == State::ResolutionInterrupted
            && matches!(self.heard(), None | Some(State::Paused))
            && self.record.partner.is_some_and(|partner| partner.goes_on_in() == State::PartnerDown)
    }
}
