//! Cells of tables as numbers and as words.

use std::fmt;

use api::force::ForcedState;
use api::identity::{Role, State};
use leases::lease::Status;

use crate::rule::Rule;

/// Something that acts sometimes. Sections are those of `spec/failover-behaviour.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// A cell of table 3.1 was read.
    Transition {
        /// The row.
        mine: State,
        /// The column.
        partner: State,
    },
    /// In PartnerDown the partner said this state with its STARTUP flag (§3.1).
    Flagged {
        /// What it said.
        partner: State,
    },
    /// Contact was lost (§3.3).
    LinkLost {
        /// In this state.
        mine: State,
    },
    /// A process started (§4, steps 1 and 2).
    Start {
        /// From this stored state.
        stored: State,
    },
    /// It started from Paused.
    StartPaused {
        /// The state before that.
        previous: State,
    },
    /// The first word of the partner at a start is PartnerDown (§4 rule 4).
    MeetsPartnerDown {
        /// Own stored state.
        stored: State,
        /// This server was surely down before.
        was_down: bool,
    },
    /// Whom a state lets be served was asked (§2.1).
    Serves {
        /// The state.
        mine: State,
        /// The partner is heard.
        linked: bool,
    },
    /// An operator forced a state (§3.4).
    Forced {
        /// Which.
        state: ForcedState,
        /// In this state, as shown.
        mine: State,
        /// The guards let it pass.
        granted: bool,
    },
    /// A received update met a record (§9).
    Conflict {
        /// The row.
        mine: Status,
        /// The column.
        incoming: Status,
        /// It replaced the record.
        accepted: bool,
    },
    /// Both servers of ours had an update for one address under way (`spec/failover-protocol.md` §3.6).
    Duel {
        /// What the primary says.
        primary: Status,
        /// What the secondary says.
        secondary: Status,
        /// Whose copy stands.
        winner: Role,
    },
    /// The same with an ISC dhcpd.
    DuelWithIsc {
        /// We say Active.
        ours: bool,
        /// It says Active.
        theirs: bool,
        /// Our copy stands.
        won: bool,
    },
    /// An ISC dhcpd must not hear a state (`spec/failover-protocol.md` §6.2).
    Guard {
        /// What it said last.
        peer: State,
        /// What it must not hear.
        mine: State,
    },
    /// Any other rule.
    Rule(Rule),
}

impl From<Rule> for Mark {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

const STATES: usize = State::ALL.len();
const STATUSES: usize = Status::ALL.len();
const FORCED: usize = ForcedState::ALL.len();
/// Active, Released, Abandoned, anything else: what duels tell apart.
const KINDS: usize = 4;

const FLAGGED: usize = STATES * STATES;
const LINK_LOST: usize = FLAGGED + STATES;
const START: usize = LINK_LOST + STATES;
const START_PAUSED: usize = START + STATES;
const MEETS: usize = START_PAUSED + STATES;
const SERVES: usize = MEETS + 2 * STATES;
const FORCE: usize = SERVES + 2 * STATES;
const CONFLICT: usize = FORCE + 2 * FORCED * STATES;
const DUEL: usize = CONFLICT + 2 * STATUSES * STATUSES;
const DUEL_ISC: usize = DUEL + 2 * KINDS * KINDS;
const GUARD: usize = DUEL_ISC + 8;
const RULES: usize = GUARD + STATES * STATES;
/// Number of all marks.
pub(crate) const CELLS: usize = RULES + Rule::ALL.len();

impl Mark {
    /// Its number, below [`CELLS`].
    #[inline]
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Transition { mine, partner } => mine as usize * STATES + partner as usize,
            Self::Flagged { partner } => FLAGGED + partner as usize,
            Self::LinkLost { mine } => LINK_LOST + mine as usize,
            Self::Start { stored } => START + stored as usize,
            Self::StartPaused { previous } => START_PAUSED + previous as usize,
            Self::MeetsPartnerDown { stored, was_down } => {
                // When it was down decides for two states only.
                let told_apart = matches!(stored, State::Normal | State::CommunicationsInterrupted);
                MEETS + 2 * stored as usize + usize::from(was_down && told_apart)
            }
            Self::Serves { mine, linked } => SERVES + 2 * mine as usize + usize::from(linked),
            Self::Forced { state, mine, granted } => {
                FORCE + 2 * (state as usize * STATES + mine as usize) + usize::from(granted)
            }
            Self::Conflict { mine, incoming, accepted } => {
                CONFLICT + 2 * (mine as usize * STATUSES + incoming as usize) + usize::from(accepted)
            }
            Self::Duel { primary, secondary, winner } => {
                DUEL + 2 * (kind(primary) * KINDS + kind(secondary)) + winner as usize
            }
            Self::DuelWithIsc { ours, theirs, won } => {
                DUEL_ISC + 4 * usize::from(ours) + 2 * usize::from(theirs) + usize::from(won)
            }
            Self::Guard { peer, mine } => GUARD + peer as usize * STATES + mine as usize,
            Self::Rule(rule) => RULES + rule as usize,
        }
    }

    /// The table or the part of the specification that it is of.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Transition { .. } | Self::Flagged { .. } => "table 3.1",
            Self::LinkLost { .. } => "contact lost",
            Self::Start { .. } | Self::StartPaused { .. } | Self::MeetsPartnerDown { .. } => "start",
            Self::Serves { .. } => "service by state",
            Self::Forced { .. } => "forced states",
            Self::Conflict { .. } => "conflict table",
            Self::Duel { .. } | Self::DuelWithIsc { .. } => "duels",
            Self::Guard { .. } => "guard of what is said",
            Self::Rule(rule) => rule.group(),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transition { mine, partner } => write!(f, "{mine} × {partner}"),
            Self::Flagged { partner } => write!(f, "PartnerDown × {partner} with the flag"),
            Self::LinkLost { mine } => write!(f, "in {mine}"),
            Self::Start { stored } => write!(f, "from {stored}"),
            Self::StartPaused { previous } => write!(f, "from Paused, before that {previous}"),
            Self::MeetsPartnerDown { stored, was_down } => {
                let before = if *was_down { ", surely down before" } else { "" };
                write!(f, "from {stored}, the partner in PartnerDown{before}")
            }
            Self::Serves { mine, linked } => {
                write!(f, "{mine} {}", if *linked { "with the partner" } else { "without the partner" })
            }
            Self::Forced { state, mine, granted } => {
                write!(f, "{state} in {mine} {}", if *granted { "granted" } else { "refused" })
            }
            Self::Conflict { mine, incoming, accepted } => {
                write!(f, "{mine} × {incoming} {}", if *accepted { "accepted" } else { "rejected" })
            }
            Self::Duel { primary, secondary, winner } => {
                let name = |status| KIND_NAMES[kind(status)];
                write!(f, "primary {} × secondary {}: {winner}", name(*primary), name(*secondary))
            }
            Self::DuelWithIsc { ours, theirs, won } => {
                let name = |active: bool| if active { "Active" } else { "other" };
                let end = if *won { "won" } else { "lost" };
                write!(f, "ours {} × its {}: {end}", name(*ours), name(*theirs))
            }
            Self::Guard { peer, mine } => write!(f, "{mine} to a dhcpd in {peer}"),
            Self::Rule(rule) => f.write_str(rule.as_str()),
        }
    }
}

const KIND_NAMES: [&str; KINDS] = ["Abandoned", "Active", "Released", "other"];

fn kind(status: Status) -> usize {
    match status {
        Status::Abandoned => 0,
        Status::Active => 1,
        Status::Released => 2,
        Status::Free | Status::Expired | Status::Reset | Status::Backup => 3,
    }
}

/// Where a mark is hit: at a server of a role, beside a partner of ours, an ISC dhcpd, or nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Of the server.
    pub role: Role,
    /// Whether its partner is one of ours; `None` while it talks to nobody.
    pub own: Option<bool>,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 6] = [
        Self::of(Role::Primary, None),
        Self::of(Role::Primary, Some(true)),
        Self::of(Role::Primary, Some(false)),
        Self::of(Role::Secondary, None),
        Self::of(Role::Secondary, Some(true)),
        Self::of(Role::Secondary, Some(false)),
    ];

    /// The place of a server.
    #[must_use]
    pub const fn of(role: Role, own: Option<bool>) -> Self {
        Self { role, own }
    }

    /// Its number.
    #[inline]
    pub(crate) fn index(self) -> usize {
        let beside = match self.own {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        };
        self.role as usize * 3 + beside
    }
}
