//! All that a run must hit.

use std::fmt;

use api::force::ForcedState;
use api::identity::{Role, State};
use leases::lease::Status;

use crate::mark::{Mark, Place};
use crate::rule::Rule;
use crate::set::Hits;

/// A mark that a run must hit, in one of its places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Need {
    /// What.
    pub mark: Mark,
    /// At a server of this role; `None` for either.
    pub role: Option<Role>,
    /// Beside a partner of ours (`true`) or a dhcpd; `None` for wherever it is.
    pub own: Option<bool>,
}

impl Need {
    /// Whether it was hit.
    #[must_use]
    pub fn is_met_by(&self, hits: &Hits) -> bool {
        Place::ALL.into_iter().any(|place| self.counts(place) && hits.has(self.mark, place))
    }

    fn counts(&self, place: Place) -> bool {
        self.role.is_none_or(|role| place.role == role) && (self.own.is_none() || place.own == self.own)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Some(role) => write!(f, "{role}: {}", self.mark),
            None => write!(f, "{}", self.mark),
        }
    }
}

/// All that must be hit beside a partner of ours (`own`), or beside a dhcpd.
#[must_use]
pub fn needs(own: bool) -> Vec<Need> {
    let each = |mark, own| ROLES.map(|role| Need { mark, role: Some(role), own });
    let mut needs = Vec::new();
    let mut linked = |mark| needs.extend(each(mark, Some(own)));
    for mine in SAID {
        for partner in SAID {
            linked(Mark::Transition { mine, partner });
        }
    }
    for partner in SAID {
        linked(Mark::Flagged { partner });
    }
    for mine in Status::ALL {
        for incoming in Status::ALL {
            linked(Mark::Conflict { mine, incoming, accepted: true });
            if may_be_rejected(mine, incoming, own) {
                linked(Mark::Conflict { mine, incoming, accepted: false });
            }
        }
    }
    if own {
        needs.extend(of_own());
    } else {
        needs.extend(of_isc());
    }
    needs
}

/// States that are said, or stored.
const SAID: [State; 11] = [
    State::Normal,
    State::CommunicationsInterrupted,
    State::PartnerDown,
    State::PotentialConflict,
    State::ResolutionInterrupted,
    State::ConflictDone,
    State::Recover,
    State::RecoverWait,
    State::RecoverDone,
    State::Paused,
    State::Shutdown,
];

/// Whether table §9 has a condition in this cell.
fn may_be_rejected(mine: Status, incoming: Status, own: bool) -> bool {
    match (mine, incoming) {
        (Status::Active, Status::Abandoned) => false,
        // A reset that is older than the last contact: decision 022.
        (Status::Active, Status::Reset) => own,
        (Status::Active, _) | (Status::Expired | Status::Released | Status::Reset, Status::Active) => true,
        (Status::Released, Status::Expired) => true,
        (
            Status::Abandoned,
            Status::Active | Status::Expired | Status::Released | Status::Free | Status::Backup,
        ) => own,
        _ => false,
    }
}

fn of_own() -> Vec<Need> {
    let mut marks = Vec::new();
    for mine in SAID {
        marks.push(Mark::LinkLost { mine });
        marks.push(Mark::Start { stored: mine });
        marks.push(Mark::StartPaused { previous: mine });
        marks.push(Mark::MeetsPartnerDown { stored: mine, was_down: false });
        if matches!(mine, State::Normal | State::CommunicationsInterrupted) {
            marks.push(Mark::MeetsPartnerDown { stored: mine, was_down: true });
        }
        marks.extend([false, true].map(|linked| Mark::Serves { mine, linked }));
    }
    let mut needs: Vec<Need> = marks
        .into_iter()
        .flat_map(|mark| ROLES.map(|role| Need { mark, role: Some(role), own: None }))
        .collect();
    let kinds = [Status::Abandoned, Status::Active, Status::Released, Status::Free];
    for (primary, secondary) in kinds.into_iter().flat_map(|one| kinds.map(|other| (one, other))) {
        for winner in ROLES {
            let mark = Mark::Duel { primary, secondary, winner };
            needs.extend(ROLES.map(|role| Need { mark, role: Some(role), own: Some(true) }));
        }
    }
    let anywhere = |mark| Need { mark, role: None, own: None };
    for state in ForcedState::ALL {
        for mine in SAID.into_iter().chain([State::Startup]) {
            needs.extend([false, true].map(|granted| anywhere(Mark::Forced { state, mine, granted })));
        }
    }
    needs.extend(Rule::ALL.iter().filter(|rule| !rule.is_of_isc()).map(|rule| anywhere((*rule).into())));
    needs
}

fn of_isc() -> Vec<Need> {
    let mut needs = Vec::new();
    for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        for won in [false, true] {
            let mark = Mark::DuelWithIsc { ours, theirs, won };
            needs.extend(ROLES.map(|role| Need { mark, role: Some(role), own: Some(false) }));
        }
    }
    for (peer, mine) in FORBIDDEN.iter().flat_map(|(peer, row)| row.iter().map(|mine| (*peer, *mine))) {
        let mark = Mark::Guard { peer, mine };
        needs.extend(ROLES.map(|role| Need { mark, role: Some(role), own: Some(false) }));
    }
    let rules = Rule::ALL.iter().filter(|rule| rule.is_of_isc());
    needs.extend(rules.map(|rule| Need { mark: (*rule).into(), role: None, own: None }));
    needs
}

/// What a dhcpd in a state must not hear (`spec/failover-protocol.md` §6.2).
const FORBIDDEN: [(State, &[State]); 7] = [
    (State::Normal, &[State::PotentialConflict, State::ResolutionInterrupted, State::ConflictDone]),
    (State::Recover, &[State::Normal, State::Shutdown]),
    (State::PotentialConflict, &[State::Normal, State::Recover, State::Shutdown]),
    (State::ResolutionInterrupted, &[State::Shutdown]),
    (
        State::ConflictDone,
        &[
            State::CommunicationsInterrupted,
            State::PartnerDown,
            State::Recover,
            State::RecoverWait,
            State::RecoverDone,
            State::ConflictDone,
            State::Paused,
            State::Shutdown,
        ],
    ),
    (State::CommunicationsInterrupted, &[State::RecoverWait]),
    (State::PartnerDown, &[State::Normal, State::CommunicationsInterrupted]),
];

const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];
