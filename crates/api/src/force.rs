//! What an operator may force a server into, and what servers remember of it
//! (`spec/failover-behaviour.md` §3.4, `spec/failover-protocol.md` §12).

// The derives of the `crd` feature put `pub` structs into function bodies.
#![cfg_attr(feature = "crd", allow(unreachable_pub))]

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::FieldError;
use crate::identity::{Role, State, StateStamp};
use crate::time::UnixTime;

/// Most characters of a request id.
pub const REQUEST_ID_MAX: usize = 63;
/// Most characters of the reason of a request.
pub const REASON_MAX: usize = 512;

/// A state that a server is forced into. Each request id is carried out at most once, ever: applying the
/// same manifest again, or an older one, repeats nothing.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.state != 'PartnerDown' || (has(self.deadServer) && self.deadServer != self.server)").message("state PartnerDown needs deadServer: the server that is declared down, which is not the one that changes its state"))
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.state == 'PartnerDown' || !(has(self.deadServer) || has(self.downSince))").message("deadServer and downSince go with state PartnerDown only"))
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.state == 'Recover' || !has(self.recoverTime)").message("recoverTime goes with state Recover only"))
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.state == 'CommunicationsInterrupted' || !self.hold").message("hold goes with state CommunicationsInterrupted only"))
)]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.evidence != 'Attested' || has(self.reason)").message("evidence Attested needs a reason: who vouches for what"))
)]
#[serde(rename_all = "camelCase")]
pub struct ForceState {
    /// Name of this request, of your choice and never used before, such as `rack-b-fire-1`.
    #[schemars(length(min = 1, max = 63), pattern(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub request_id: String,
    /// The server that changes its state.
    pub server: Role,
    /// The state that it is to enter.
    pub state: ForcedState,
    /// For PartnerDown: the server that is declared down. Never the same as `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_server: Option<Role>,
    /// For PartnerDown: since when the dead server was certainly down. Default: now. Its addresses become
    /// free the MCLT later. A time before contact was lost needs `expert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub down_since: Option<Timestamp>,
    /// For Recover: the time of the backup from which the store was restored. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub recover_time: Option<Timestamp>,
    /// How it is known that the dead server cannot serve.
    #[serde(default)]
    pub evidence: Evidence,
    /// Go past guards that protect from two servers giving out one address. Read the operating guide first.
    #[serde(default)]
    pub expert: bool,
    /// For CommunicationsInterrupted: stay there until another request ends it.
    #[serde(default)]
    pub hold: bool,
    /// Go on although service suffers: the message of a refusal says when this is needed.
    #[serde(default)]
    pub confirm: bool,
    /// Why, for those who read it later. Required with `evidence: Attested`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub reason: Option<String>,
}

/// A state that can be forced (`spec/failover-behaviour.md` §3.4).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize, JsonSchema)]
pub enum ForcedState {
    /// Start anew from the stored state: ends Paused, Shutdown and a hold.
    Startup,
    /// Accept Normal now.
    Normal,
    /// Drop the link; it comes back by itself unless `hold` is set.
    CommunicationsInterrupted,
    /// The partner is down: its addresses may be used once the MCLT is over.
    PartnerDown,
    /// Fetch everything from the partner.
    Recover,
    /// Stop for long: the partner takes over.
    Shutdown,
    /// Stop for a short while.
    Paused,
}

impl ForcedState {
    /// Every state that can be forced.
    pub const ALL: [Self; 7] = [
        Self::Startup,
        Self::Normal,
        Self::CommunicationsInterrupted,
        Self::PartnerDown,
        Self::Recover,
        Self::Shutdown,
        Self::Paused,
    ];

    /// The failover state of this name.
    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::Startup => State::Startup,
            Self::Normal => State::Normal,
            Self::CommunicationsInterrupted => State::CommunicationsInterrupted,
            Self::PartnerDown => State::PartnerDown,
            Self::Recover => State::Recover,
            Self::Shutdown => State::Shutdown,
            Self::Paused => State::Paused,
        }
    }
}

impl std::fmt::Display for ForcedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state().fmt(f)
    }
}

/// How it is known that a server declared down cannot serve (`spec/failover-protocol.md` §12.4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
pub enum Evidence {
    /// The operator looks for it: a terminal pod of a live kubelet, or the node's out-of-service taint.
    #[default]
    Automatic,
    /// A human vouches for it, with a reason.
    Attested,
}

/// Enter PartnerDown by itself after a long loss of contact. Off unless given.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.acceptDuplicateRisk").message("a safe period cannot tell a dead partner from a cut link, and then two clients may get one address: acceptDuplicateRisk: true says that this is accepted"))
)]
#[serde(rename_all = "camelCase")]
pub struct SafePeriod {
    /// How long contact must have been lost, in seconds. 60 to 31536000; half a day or more is advised.
    #[serde(default = "default_safe_period")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub seconds: u32,
    /// Must be true: a server cannot tell a dead partner from a cut link. If the partner still serves when
    /// the period ends, two clients may get one address.
    #[serde(default)]
    pub accept_duplicate_risk: bool,
}

fn default_safe_period() -> u32 {
    86400
}

/// The body of `POST /v1/force`: a request, and the state in which it expects to find the server.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForceRequest {
    /// The request.
    #[serde(flatten)]
    pub force: ForceState,
    /// The server's own (epoch, transition) as the decision was made. Another one refuses the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<StateStamp>,
}

/// A record that the partner was let go into PartnerDown: a fact, obsolete once a later transition of the
/// partner was committed (`spec/failover-protocol.md` §12.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// Epoch of the partner at that time.
    pub partner_epoch: u64,
    /// The partner's transition before PartnerDown.
    pub partner_transition: u64,
    /// When it was recorded.
    pub since: Timestamp,
    /// How it was known that the fenced server cannot serve; absent until PartnerDown was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl Fence {
    /// The partner's transition before PartnerDown.
    #[must_use]
    pub const fn stamp(&self) -> StateStamp {
        StateStamp { epoch: self.partner_epoch, transition: self.partner_transition }
    }

    /// Whether the fence still holds for a server that has durably committed `heard` of its partner.
    #[must_use]
    pub fn is_in_force(&self, heard: Option<StateStamp>) -> bool {
        heard.is_none_or(|heard| heard <= self.stamp())
    }
}

/// The answer of `PUT /v1/fence`, given once the fence is durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FenceAccepted {
    /// The fence that the server holds now: the latest of all that it was given.
    pub fence: Fence,
    /// Whether it is in force, or obsolete as a later transition of the partner is known.
    pub in_force: bool,
}

/// The body of `PUT /v1/highest`: the highest (epoch, LSN) that the operator ever saw of the server's
/// present volume, against which the server compares what it loaded (`spec/failover-behaviour.md` §2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HighestSeen {
    /// The epoch.
    pub epoch: u64,
    /// The last durable change in it.
    pub lsn: crate::identity::Lsn,
}

/// A request that was read and makes sense by itself; whether it may be carried out depends on the state
/// of the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forced {
    /// Start anew from the stored state.
    Startup {
        /// Also end a fence in force: a human vouches that the partner never went into PartnerDown.
        unfence: bool,
    },
    /// Accept Normal.
    Normal {
        /// Also past a closed exit barrier.
        confirm: bool,
    },
    /// Drop the link.
    CommunicationsInterrupted {
        /// And stay without it.
        hold: bool,
    },
    /// Declare the partner down.
    PartnerDown {
        /// Since when; `None` is now.
        since: Option<UnixTime>,
        /// Past the guards for experts.
        expert: bool,
        /// End a hold of addresses at the operator's risk.
        confirm: bool,
    },
    /// Fetch everything from the partner.
    Recover {
        /// Failure time; `None` is now.
        since: Option<UnixTime>,
        /// Also if nobody serves meanwhile.
        confirm: bool,
    },
    /// Stop for long.
    Shutdown {
        /// Also if nobody serves meanwhile.
        confirm: bool,
    },
    /// Stop for a short while.
    Paused {
        /// Also if nobody serves meanwhile.
        confirm: bool,
    },
}

impl ForceState {
    /// Checks what the schema of the API server checks too, for those who come past it. `path` is that of
    /// the request in what was read, such as `spec.forceState`, or empty.
    pub fn check(&self, path: &str) -> Result<Forced, Vec<FieldError>> {
        let mut errors = Vec::new();
        let field = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let mut fail = |name: &str, message: &str| {
            errors.push(FieldError { path: field(name), message: message.to_owned() });
        };
        if !is_request_id(&self.request_id) {
            fail(
                "requestId",
                "has 1 to 63 letters, digits, dots, dashes and underscores, and begins and ends with a letter \
                 or digit",
            );
        }
        if self.state == ForcedState::PartnerDown {
            match self.dead_server {
                None => fail("deadServer", "is needed for PartnerDown: the server that is declared down"),
                Some(dead) if dead == self.server => {
                    fail("deadServer", "is the server that changes its state; it must be its partner");
                }
                Some(_) => {}
            }
        } else {
            if self.dead_server.is_some() {
                fail("deadServer", "goes with state PartnerDown only");
            }
            if self.down_since.is_some() {
                fail("downSince", "goes with state PartnerDown only");
            }
        }
        if self.recover_time.is_some() && self.state != ForcedState::Recover {
            fail("recoverTime", "goes with state Recover only");
        }
        if self.hold && self.state != ForcedState::CommunicationsInterrupted {
            fail("hold", "goes with state CommunicationsInterrupted only");
        }
        match self.reason.as_ref().map(|reason| reason.chars().count()) {
            None | Some(0) if self.evidence == Evidence::Attested => {
                fail("reason", "is needed with evidence Attested: who vouches for what");
            }
            Some(count) if count > REASON_MAX => fail("reason", "is longer than 512 characters"),
            _ => {}
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let confirm = self.confirm;
        Ok(match self.state {
            ForcedState::Startup => {
                Forced::Startup { unfence: confirm && self.evidence == Evidence::Attested }
            }
            ForcedState::Normal => Forced::Normal { confirm },
            ForcedState::CommunicationsInterrupted => Forced::CommunicationsInterrupted { hold: self.hold },
            ForcedState::PartnerDown => Forced::PartnerDown {
                since: self.down_since.map(UnixTime::from),
                expert: self.expert,
                confirm,
            },
            ForcedState::Recover => Forced::Recover { since: self.recover_time.map(UnixTime::from), confirm },
            ForcedState::Shutdown => Forced::Shutdown { confirm },
            ForcedState::Paused => Forced::Paused { confirm },
        })
    }
}

/// Whether a text can be a request id.
#[must_use]
pub fn is_request_id(text: &str) -> bool {
    let inner = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
    let outer = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_alphanumeric);
    let octets = text.as_bytes();
    octets.len() <= REQUEST_ID_MAX
        && outer(octets.first())
        && outer(octets.last())
        && octets.iter().all(|octet| inner(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: serde_json::Value) -> ForceState {
        serde_json::from_value(json).expect("a request")
    }

    #[test]
    fn a_request_names_who_is_dead() {
        let json = serde_json::json!({"requestId": "fire-1", "server": "primary", "state": "PartnerDown"});
        let errors = request(json).check("spec.forceState").expect_err("nobody is dead");
        assert_eq!(errors[0].path, "spec.forceState.deadServer");
        let json = serde_json::json!({"requestId": "fire-1", "server": "primary", "state": "PartnerDown",
            "deadServer": "primary"});
        assert!(request(json).check("").is_err());
        let json = serde_json::json!({"requestId": "fire-1", "server": "primary", "state": "PartnerDown",
            "deadServer": "secondary", "downSince": "2026-11-22T09:20:00Z"});
        let since = Some(UnixTime::new(1_795_339_200));
        assert_eq!(request(json).check(""), Ok(Forced::PartnerDown { since, expert: false, confirm: false }));
    }

    #[test]
    fn fields_of_other_states_are_refused_each_by_its_path() {
        let json = serde_json::json!({"requestId": "a", "server": "primary", "state": "Paused",
            "deadServer": "secondary", "downSince": "2026-11-22T09:20:00Z",
            "recoverTime": "2026-11-22T09:20:00Z", "hold": true, "evidence": "Attested"});
        let errors = request(json).check("").expect_err("five faults");
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["deadServer", "downSince", "recoverTime", "hold", "reason"]);
    }

    #[test]
    fn request_ids_fit_into_a_path() {
        for good in ["a", "rack-b-fire-1", "A.b_c-9", &"x".repeat(63)] {
            assert!(is_request_id(good), "{good}");
        }
        for bad in ["", "-a", "a/", "a b", "ä", "a.", &"x".repeat(64)] {
            assert!(!is_request_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_fence_is_void_once_a_later_transition_is_known() {
        // FN-1 to FN-7 of spec/failover-protocol.md §12.3.
        let since = "2026-11-22T09:20:00Z".parse().expect("a time");
        let fence = Fence { partner_epoch: 4, partner_transition: 12, since, evidence: None };
        let heard = |epoch, transition| Some(StateStamp { epoch, transition });
        for (known, in_force) in [
            (heard(4, 11), true),
            (heard(4, 12), true),
            (heard(4, 13), false),
            (heard(4, 14), false),
            (None, true),
            (heard(5, 1), false),
        ] {
            assert_eq!(fence.is_in_force(known), in_force, "{known:?}");
        }
    }
}
