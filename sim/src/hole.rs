//! What an ISC dhcpd is known to get wrong (`spec/failover-behaviour.md` §14.1). Where it has done so, what is broken at
//! that address afterwards is counted and not held against our server.

use std::fmt;

/// A known hole of a dhcpd.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Hole {
    /// It does not tell again that a client declined a lease of its partner's.
    ForgottenDecline,
    /// It takes the refusal of one update for that of a later one, whose answer it then ignores.
    StrayReject,
    /// It takes the end of a lease for news that its client had again since.
    OldEnd,
    /// H-1: both take over the copy of the other.
    Swap,
    /// H-2: a shorter lease of a client hides a longer one.
    Shortened,
    /// H-3: in PartnerDown it ends and frees what its partner may have granted by what it acknowledged.
    ShortWait,
    /// H-8: it waits from the time of a state that it entered before its start.
    OldStart,
    /// H-10: whoever lost its data is told no potential that it had been acknowledged, so what it promised is unknown.
    Untold,
    /// H-15: it gives an ended lease back to its client, after it told of the end.
    Revival,
    /// H-16: it accepts the end of a lease 65 s early.
    Slack,
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForgottenDecline => "a forgotten decline",
            Self::StrayReject => "a stray reject",
            Self::OldEnd => "an old end",
            Self::Swap => "H-1",
            Self::Shortened => "H-2",
            Self::ShortWait => "H-3",
            Self::OldStart => "H-8",
            Self::Untold => "H-10",
            Self::Revival => "H-15",
            Self::Slack => "H-16",
        })
    }
}
