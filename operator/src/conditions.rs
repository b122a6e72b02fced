//! Types and reasons of conditions and events, in one place: they are an interface.

use api::status::Condition;
use jiff::Timestamp;

/// The manifest is valid and nobody else holds what it claims.
pub const ACCEPTED: &str = "Accepted";
/// Each pool is served by at least one server.
pub const AVAILABLE: &str = "Available";
/// Both servers are in Normal.
pub const READY: &str = "Ready";
/// The servers hear each other.
pub const PARTNERS_COMMUNICATING: &str = "PartnersCommunicating";
/// Both servers work with the present spec.
pub const CONFIG_IN_SYNC: &str = "ConfigInSync";
/// Both lease stores take changes.
pub const STORAGE_HEALTHY: &str = "StorageHealthy";
/// A server is in PartnerDown by request or by itself; a new pair's first start is not meant.
pub const PARTNER_DOWN_FORCED: &str = "PartnerDownForced";
/// Something is still to be done; the message says what it waits for.
pub const PROGRESSING: &str = "Progressing";

/// Reasons, by the condition that they belong to.
pub mod reason {
    /// Accepted: all is well.
    pub const ACCEPTED: &str = "Accepted";
    /// Accepted: a field does not hold.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Accepted: another pair holds what this one claims.
    pub const CONFLICT: &str = "Conflict";
    /// Accepted: the operator may not use the interface.
    pub const INTERFACE_NOT_ALLOWED: &str = "InterfaceNotAllowed";
    /// Accepted: the range of ports is used up.
    pub const NO_PORT_LEFT: &str = "NoPortLeft";
    /// Nobody has answered the operator.
    pub const NOT_OBSERVED: &str = "NotObserved";
    /// The pair was refused, so the question does not arise.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// Available: a server answers clients.
    pub const SERVING: &str = "Serving";
    /// Available: no server answers clients.
    pub const NOT_SERVING: &str = "NotServing";
    /// Ready: both are in Normal.
    pub const NORMAL: &str = "Normal";
    /// Ready: one server alone serves.
    pub const ALONE: &str = "Alone";
    /// Ready: a server is in another state.
    pub const NOT_NORMAL: &str = "NotNormal";
    /// PartnersCommunicating: the link is up.
    pub const LINK_UP: &str = "LinkUp";
    /// PartnersCommunicating: the link is down.
    pub const LINK_DOWN: &str = "LinkDown";
    /// PartnersCommunicating: there is no partner.
    pub const NO_PARTNER: &str = "NoPartner";
    /// ConfigInSync: acknowledged.
    pub const ACKNOWLEDGED: &str = "Acknowledged";
    /// ConfigInSync: under way.
    pub const PUSHING: &str = "Pushing";
    /// ConfigInSync: a server refused it and goes on with the last good one.
    pub const REFUSED: &str = "Refused";
    /// StorageHealthy: all is well.
    pub const STORES_OPEN: &str = "StoresOpen";
    /// StorageHealthy: a store is full or failing.
    pub const STORE_FAILED: &str = "StoreFailed";
    /// StorageHealthy: a store could not be read.
    pub const STORE_CORRUPT: &str = "StoreCorrupt";
    /// PartnerDownForced: nobody is in PartnerDown.
    pub const NOT_FORCED: &str = "NotForced";
    /// PartnerDownForced: a request waits until the dead server is fenced.
    pub const FENCING: &str = "Fencing";
    /// PartnerDownForced: a request waits for proof that the dead server cannot serve.
    pub const AWAITING_EVIDENCE: &str = "AwaitingEvidence";
    /// PartnerDownForced: a request was granted.
    pub const REQUESTED: &str = "Requested";
    /// PartnerDownForced: the safe period ended.
    pub const SAFE_PERIOD: &str = "SafePeriod";
    /// PartnerDownForced: the partner said that it stops for long.
    pub const SHUTDOWN_RECEIVED: &str = "ShutdownReceived";
    /// PartnerDownForced: the stopped server was edited.
    pub const OFFLINE: &str = "Offline";
    /// Progressing: nothing to do.
    pub const SETTLED: &str = "Settled";
    /// Progressing: a claim does not exist or is being deleted.
    pub const WAITING_FOR_CLAIM: &str = "WaitingForClaim";
    /// Progressing: a pod cannot be scheduled; the message has the scheduler's words.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// Progressing: a pod starts, or fails to.
    pub const STARTING: &str = "Starting";
    /// Progressing: a pod runs, but its server has not answered yet.
    pub const WAITING_FOR_SERVER: &str = "WaitingForServer";
    /// Progressing: servers find together.
    pub const WAITING_FOR_NORMAL: &str = "WaitingForNormal";
    /// Progressing: pods of an old template are replaced, one at a time.
    pub const ROLLING: &str = "Rolling";
    /// Progressing: a volume keeps its size because the cluster refused another.
    pub const CLAIM_NOT_CHANGED: &str = "ClaimNotChanged";
}

/// What a condition says now, before it is merged with what it said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One of [`reason`].
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Verdict {
    /// The condition holds.
    pub fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "True", reason, message: message.into() }
    }

    /// It does not.
    pub fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "False", reason, message: message.into() }
    }

    /// Nobody knows.
    pub fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "Unknown", reason, message: message.into() }
    }

    /// Merges with the conditions there were: the time of transition changes only with the status.
    #[must_use]
    pub fn condition(
        self,
        kind: &'static str,
        before: &[Condition],
        generation: Option<i64>,
        now: Timestamp,
    ) -> Condition {
        let since = before
            .iter()
            .find(|condition| condition.kind == kind && condition.status == self.status)
            .map_or(now, |condition| condition.last_transition_time);
        Condition {
            kind: kind.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            last_transition_time: since,
            observed_generation: generation,
        }
    }
}

/// Whether a condition of this type is `True`.
#[must_use]
pub fn holds(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.kind == kind && condition.status == "True")
}
