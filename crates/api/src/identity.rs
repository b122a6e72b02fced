//! Who a server is and how far it has come: role, failover state, and the stamps by which restarts
//! and restored backups are told from progress.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of the two servers of a pair. Fixed by configuration for the life of the pair.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Sends CONNECT, owns FREE addresses, leads conflict resolution.
    Primary,
    /// Answers CONNECT, owns BACKUP addresses.
    Secondary,
}

impl Role {
    /// The partner's role.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// `primary` or `secondary`, as in object names and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failover state, in the order of its wire values (`spec/failover-behaviour.md` §2.1).
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize, JsonSchema,
)]
pub enum State {
    /// 0: nothing was heard yet.
    #[default]
    Unknown,
    /// 1: seeks its partner before it serves. On the wire a flag beside the stored state.
    Startup,
    /// 2: both servers talk and serve.
    Normal,
    /// 3: the partner does not answer but may be serving.
    CommunicationsInterrupted,
    /// 4: the partner is known to be down.
    PartnerDown,
    /// 5: both may have served the same addresses; being sorted out, no service.
    PotentialConflict,
    /// 6: fetching the partner's bindings, no service.
    Recover,
    /// 7: stopped for a short planned while.
    Paused,
    /// 8: stopped for a long planned while.
    Shutdown,
    /// 9: recovered, waits for the partner; renewals only.
    RecoverDone,
    /// 10: contact lost while sorting out a conflict; renewals only.
    ResolutionInterrupted,
    /// 11: the primary has sorted out its part and serves.
    ConflictDone,
    /// 254: recovered, waits out the MCLT.
    RecoverWait,
}

impl State {
    /// Every state, in the order of the wire values.
    pub const ALL: [Self; 13] = [
        Self::Unknown,
        Self::Startup,
        Self::Normal,
        Self::CommunicationsInterrupted,
        Self::PartnerDown,
        Self::PotentialConflict,
        Self::Recover,
        Self::Paused,
        Self::Shutdown,
        Self::RecoverDone,
        Self::ResolutionInterrupted,
        Self::ConflictDone,
        Self::RecoverWait,
    ];

    /// The value of option 24 (`spec/failover-protocol.md` §6).
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Startup => 1,
            Self::Normal => 2,
            Self::CommunicationsInterrupted => 3,
            Self::PartnerDown => 4,
            Self::PotentialConflict => 5,
            Self::Recover => 6,
            Self::Paused => 7,
            Self::Shutdown => 8,
            Self::RecoverDone => 9,
            Self::ResolutionInterrupted => 10,
            Self::ConflictDone => 11,
            Self::RecoverWait => 254,
        }
    }

    /// The state of a wire value, if it is a listed one.
    #[must_use]
    pub fn from_wire(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.wire() == value)
    }

    /// The name used in status, logs, metrics and manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Startup => "Startup",
            Self::Normal => "Normal",
            Self::CommunicationsInterrupted => "CommunicationsInterrupted",
            Self::PartnerDown => "PartnerDown",
            Self::PotentialConflict => "PotentialConflict",
            Self::Recover => "Recover",
            Self::Paused => "Paused",
            Self::Shutdown => "Shutdown",
            Self::RecoverDone => "RecoverDone",
            Self::ResolutionInterrupted => "ResolutionInterrupted",
            Self::ConflictDone => "ConflictDone",
            Self::RecoverWait => "RecoverWait",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Log sequence number: one for each change of a store, whatever it changed. Starts at 1.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before the first change.
    pub const ZERO: Self = Self(0);

    /// The number of the change after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a store has come: compared lexicographically, so a store restored from a backup is lower
/// than what its partner remembers of it (`spec/failover-behaviour.md` §2.2).
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize, JsonSchema,
)]
pub struct StoreStamp {
    /// Start counter plus store generation.
    pub epoch: u64,
    /// The last durable change.
    pub lsn: Lsn,
}

/// Which state change of a server: its epoch, and the number of its own changes within it.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize, JsonSchema,
)]
pub struct StateStamp {
    /// Start counter plus store generation.
    pub epoch: u64,
    /// Number of own state changes within the epoch.
    pub transition: u64,
}

impl fmt::Display for StateStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.epoch, self.transition)
    }
}
