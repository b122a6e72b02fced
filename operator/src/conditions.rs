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
/// A person should know of something; the message says of what, until when, and what to do.
pub const ALARM: &str = "Alarm";

/// Names of alarms: reasons of the condition [`ALARM`](super::ALARM), of `status.alarms` and of events. The names are those
/// of `spec/failover-behaviour.md` §13 where it has one. `docs/operating.md` says what to do about each.
pub mod alarm {
    /// A server does not hear its partner.
    pub const PARTNER_NOT_RESPONDING: &str = "PartnerNotResponding";
    /// It has not for more than 2 h.
    pub const INTERRUPTED_LONG: &str = "CommunicationsInterruptedLong";
    /// Half of the safe period is over.
    pub const SAFE_PERIOD_HALF_OVER: &str = "SafePeriodHalfOver";
    /// Nine tenths of it are.
    pub const SAFE_PERIOD_ALMOST_OVER: &str = "SafePeriodAlmostOver";
    /// A server serves alone.
    pub const PARTNER_DOWN: &str = "PartnerDown";
    /// It does so without having been told to.
    pub const PARTNER_DOWN_WITHOUT_REQUEST: &str = "PartnerDownWithoutRequest";
    /// Both may have given out the same addresses.
    pub const POTENTIAL_CONFLICT: &str = "PotentialConflict";
    /// Contact was lost while that was sorted out.
    pub const RESOLUTION_INTERRUPTED: &str = "ResolutionInterrupted";
    /// A server recovers for longer than twice the MCLT.
    pub const RECOVER_LONG: &str = "RecoverLong";
    /// A server without its partner runs out of free addresses of its own.
    pub const BACKUP_POOL_LOW: &str = "BackupPoolLow";
    /// One side says that the other is configured differently.
    pub const CONFIG_MISMATCH: &str = "ConfigMismatch";
    /// The servers' clocks differ.
    pub const CLOCK_SKEW: &str = "ClockSkew";
    /// One side rejects what the other tells of a lease.
    pub const CONFLICT_REJECTED: &str = "ConflictRejected";
    /// Leases that the partner rejects keep a server in PartnerDown.
    pub const EXIT_BLOCKED: &str = "ExitBlocked";
    /// The disk of a server commits nothing.
    pub const STORE_STALLED: &str = "StoreStalled";
    /// The store of a server is an old copy.
    pub const STORE_ROLLED_BACK: &str = "StoreRolledBack";
    /// Both servers lost their leases.
    pub const BOTH_STORES_LOST: &str = "BothStoresLost";
    /// What was granted in PartnerDown was lost.
    pub const PARTNER_DOWN_LOST: &str = "PartnerDownLost";
    /// A server was let go that had not synchronised since its partner was.
    pub const SERIAL_PARTNER_DOWN: &str = "SerialPartnerDown";
    /// The link is closed again and again because a dhcpd must not hear the own state.
    pub const GUARD_VIOLATION: &str = "GuardViolation";
    /// A dhcpd stays silent if the own server stops now.
    pub const PEER_MUTE_RISK: &str = "PeerMuteRisk";
    /// A dhcpd that is put into partner-down now frees addresses too early.
    pub const ISC_LEAD_RISK: &str = "IscLeadRisk";
}

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
    /// Accepted: clients hold leases in a pool that would go, and nobody said that this is meant.
    pub const SCOPE_REMOVAL: &str = "ScopeRemoval";
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
    /// ConfigInSync: one side says that the other is configured differently.
    pub const CONFIG_MISMATCH: &str = super::alarm::CONFIG_MISMATCH;
    /// ConfigInSync: a server refused it and goes on with the last good one.
    pub const REFUSED: &str = "Refused";
    /// StorageHealthy: all is well.
    pub const STORES_OPEN: &str = "StoresOpen";
    /// StorageHealthy: a store is full or failing.
    pub const STORE_FAILED: &str = "StoreFailed";
    /// StorageHealthy: a disk commits nothing.
    pub const STORE_STALLED: &str = super::alarm::STORE_STALLED;
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
    /// Alarm: there is none.
    pub const NO_ALARM: &str = "NoAlarm";
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
