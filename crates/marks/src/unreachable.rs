//! What the simulator need not hit, each with a proof or with who hits it instead.

use api::force::ForcedState;
use api::identity::{Role, State};
use leases::lease::Status;

use crate::mark::Mark;
use crate::need::Need;
use crate::rule::Rule;

use State::{
    CommunicationsInterrupted as CI, ConflictDone as CD, Normal as N, Paused as PAUSED,
    PotentialConflict as PC, Recover as REC, RecoverDone as RDONE, RecoverWait as RWAIT,
    ResolutionInterrupted as RI, Shutdown as SHUT, Startup,
};

/// Why the simulator need not meet a need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// It cannot be met, for this reason. Whoever meets it shows the proof to be wrong.
    Never(&'static str),
    /// Two servers of ours cannot bring it about, for this reason; `crates/server/tests/peer` does so over octets.
    NotBetweenOurs(&'static str),
    /// A seed in thousands brings it about, for this reason; `crates/server/tests/peer` always does.
    Rare(&'static str),
    /// It takes what neither has; this test does it.
    Outside(&'static str),
}

/// Why the simulator need not meet this need; `None` if it must.
#[must_use]
pub fn unreachable(need: &Need) -> Option<Reach> {
    let own = need.own != Some(false);
    match (need.mark, need.role) {
        (mark, Some(Role::Secondary)) if mark.is_of(CD) => {
            Some(Reach::Never("a secondary leaves PotentialConflict for Normal: `after_resolution`"))
        }
        (Mark::Transition { partner: CD, .. } | Mark::Flagged { partner: CD }, Some(Role::Primary))
            if own =>
        {
            Some(SECONDARY_SAYS)
        }
        (Mark::Transition { mine, partner }, Some(role)) if own => transition(role, mine, partner),
        (Mark::Flagged { partner: N | PC | SHUT }, _) if own => {
            Some(Reach::NotBetweenOurs("a start leaves Normal, PotentialConflict and Shutdown: `on_start`"))
        }
        (Mark::Flagged { partner: PAUSED }, _) if own => {
            Some(Reach::Rare("a server must be paused while it starts, and its word still leave"))
        }
        (Mark::MeetsPartnerDown { stored: N | PC, .. }, _) => {
            Some(Reach::Never("neither outlives a loss of contact, so no start has them: `on_link_lost`"))
        }
        (Mark::MeetsPartnerDown { stored: SHUT, .. }, _) => {
            Some(Reach::Never("`may_shut_down` refuses a server that starts, and a start leaves Shutdown"))
        }
        (Mark::MeetsPartnerDown { stored: PAUSED, .. }, _) => Some(Reach::Rare("paused while it starts")),
        (Mark::Serves { mine: N | PC, linked: false }, _) => {
            Some(Reach::Never("losing contact leaves both in the same call: `Endpoint::link_lost`"))
        }
        (Mark::StartPaused { previous: PAUSED | SHUT }, _) => {
            Some(Reach::Never("`Endpoint::pause` does nothing in Paused and Shutdown"))
        }
        (Mark::Duel { primary, secondary, winner }, _) => duel(primary, secondary, winner),
        (Mark::DuelWithIsc { ours, theirs, won }, Some(role)) => duel_with_isc(role, ours, theirs, won),
        (Mark::Guard { peer: REC | PC | State::PartnerDown, mine: N }, _) => Some(Reach::Never(
            "Normal is entered on the partner's Normal, CommunicationsInterrupted or RecoverDone, or on UPDDONE while it \
             is in ConflictDone or Normal",
        )),
        (Mark::Guard { peer: State::PartnerDown, mine: CI }, _) => Some(Reach::Never(
            "CommunicationsInterrupted is entered without contact, or on the partner's Recover, RecoverWait or Paused",
        )),
        (Mark::Forced { state, mine, granted }, _) => forced(state, mine, granted),
        (Mark::Conflict { mine: Status::Abandoned, incoming, accepted: true }, _)
            if own && matches!(incoming, Status::Free | Status::Backup | Status::Released) =>
        {
            Some(Reach::Rare(
                "after PartnerDown only, of an address that was abandoned here and used there since",
            ))
        }
        (Mark::Conflict { mine: Status::Reset, incoming: Status::Backup, accepted: true }, _) if own => {
            Some(Reach::Rare("an address is reset at the one while the other gives it away"))
        }
        (Mark::Rule(rule), _) => of_rule(rule),
        _ => None,
    }
}

const SECONDARY_SAYS: Reach = Reach::NotBetweenOurs("a secondary never says ConflictDone");

/// Cells of table 3.1 that no order of events leads to: `crates/failover/tests/search.rs` looks at all of them.
const BEYOND_THE_SEARCH: [(Role, State, &[State]); 6] = [
    (Role::Primary, N, &[RI, RWAIT]),
    (Role::Primary, RI, &[N, PC]),
    (Role::Primary, RWAIT, &[N]),
    (Role::Secondary, N, &[RI, CD, RWAIT]),
    (Role::Secondary, RI, &[N, PC]),
    (Role::Secondary, RWAIT, &[N]),
];

/// A server that recovers meets one that sorts out a conflict.
const RECOVERY_MEETS_CONFLICT: [(State, &[State]); 5] = [
    (PC, &[RWAIT, RDONE]),
    (RI, &[RWAIT, RDONE]),
    (CD, &[REC, RWAIT, RDONE]),
    (RWAIT, &[PC, RI, CD]),
    (RDONE, &[PC, RI, CD]),
];

fn transition(role: Role, mine: State, partner: State) -> Option<Reach> {
    if matches!(mine, PAUSED | SHUT) {
        return Some(Reach::Rare("a word that crosses a stop: who has stopped hears nothing more"));
    }
    let beyond = BEYOND_THE_SEARCH
        .iter()
        .any(|(of, row, columns)| (*of, *row) == (role, mine) && columns.contains(&partner));
    if beyond {
        return Some(Reach::NotBetweenOurs("the search over all orders of events never reads this cell"));
    }
    if RECOVERY_MEETS_CONFLICT.iter().any(|(row, columns)| *row == mine && columns.contains(&partner)) {
        return Some(Reach::Rare(
            "a stop and a fence must fall into a conflict, in an order that the search knows",
        ));
    }
    match partner {
        RDONE if mine == N => Some(Reach::Rare("one side waits at the exit barrier, the other does not")),
        PAUSED | SHUT => Some(Reach::Rare("an operator must stop the partner at that very moment")),
        _ => None,
    }
}

fn duel(primary: Status, secondary: Status, winner: Role) -> Option<Reach> {
    use Status::{Abandoned, Active, Released};
    let possible = match (primary, secondary) {
        (Abandoned, _) => winner == Role::Primary,
        (_, Abandoned) => winner == Role::Secondary,
        (Active | Released, Active) | (Active, Released) => true,
        (Active, _) => winner == Role::Primary,
        (_, Active) => winner == Role::Secondary,
        _ => winner == Role::Primary,
    };
    match (primary, secondary) {
        _ if !possible => Some(Reach::Never("`winner` has one answer to this pair")),
        (Abandoned | Released, Released) | (Released, Abandoned) => {
            Some(Reach::Rare("a client must part from both servers at once"))
        }
        (Active | Released | Abandoned, Active | Released | Abandoned) => {
            Some(Reach::Rare("both servers must tell of one client within the same moment"))
        }
        _ => None,
    }
}

fn duel_with_isc(role: Role, ours: bool, theirs: bool, won: bool) -> Option<Reach> {
    let possible = match (ours, theirs, role) {
        (true, true, _) | (true, false, Role::Secondary) => true,
        (true, false, Role::Primary) => won,
        (false, true, _) => !won,
        (false, false, _) => won == (role == Role::Primary),
    };
    (!possible).then_some(Reach::Never("`winner_with_isc` has one answer to this pair"))
}

fn forced(state: ForcedState, mine: State, granted: bool) -> Option<Reach> {
    let possible = match (state, mine, granted) {
        (ForcedState::Startup, _, granted) => granted,
        (ForcedState::Normal, N, granted) => granted,
        (ForcedState::Normal, PC | RI | CD | REC | RWAIT | PAUSED | SHUT | Startup, true) => false,
        (ForcedState::CommunicationsInterrupted, N, granted) => granted,
        (ForcedState::CommunicationsInterrupted, CI, _) => true,
        (ForcedState::CommunicationsInterrupted, _, granted) => !granted,
        (ForcedState::PartnerDown, PC | PAUSED | SHUT, true) => false,
        (ForcedState::Shutdown, PC | RI | REC | RWAIT | PAUSED | SHUT | Startup, true) => false,
        (ForcedState::Paused, SHUT, true) => false,
        _ => true,
    };
    match (state, mine, granted) {
        _ if !possible => {
            Some(Reach::Never("the guards of `endpoint/command.rs` have one answer in this state"))
        }
        (ForcedState::CommunicationsInterrupted, CI, false) => Some(Reach::Outside(
            "a single server: failover/tests/endpoint, a_server_alone_has_no_partner_to_declare_down",
        )),
        _ => None,
    }
}

fn of_rule(rule: Rule) -> Option<Reach> {
    Some(match rule {
        Rule::AsksForAllAgain => Reach::Never(
            "a request for everything was made as data were lost or nothing was integrated, and neither changes before \
             the next state, which forgets the request",
        ),
        Rule::LeadWithoutEnd => Reach::Never("no server makes `Mode::Bootp`: BOOTP clients are not served"),
        Rule::DeniedNotServing => {
            Reach::Never("`Server::may_answer` turns away whoever asks in such a state")
        }
        Rule::ReuseAbandoned => Reach::Never("`may_lease` and `unpark` look at abandoned addresses first"),
        Rule::IscSaysInstead => Reach::Never("nobody enters Normal while its partner is in Recover"),
        Rule::TokenRefused => Reach::Outside(
            "a token is tried on an empty store only: failover/tests/endpoint, \
             bt_3_a_token_for_a_store_with_a_past_is_refused_and_the_server_recovers",
        ),
        Rule::NotNowFull => Reach::Outside(
            "4096 requests: server::ledger, a_full_ledger_refuses_new_ids_and_forgets_no_old_one",
        ),
        Rule::RefusedAlone => Reach::Outside(
            "a single server: failover/tests/endpoint, a_server_alone_has_no_partner_to_declare_down",
        ),
        Rule::IscKeepsNoHosts => Reach::Outside(
            "a reservation outside the pools: server/tests/peer, beside_a_dhcpd_a_reservation_outside_every_pool_is_served",
        ),
        Rule::NoRoomElsewhere => {
            Reach::Outside("65,536 addresses: server/tests/peer, what_is_in_no_pool_is_kept_of_so_many")
        }
        Rule::RejectsMissing => Reach::NotBetweenOurs("servers of ours say whose a lease is: `update_for`"),
        Rule::SecondaryGivesNothing => Reach::NotBetweenOurs("no primary of ours asks for addresses"),
        Rule::RequestUnanswered => Reach::Rare("a partner that lives must be silent about bindings alone"),
        Rule::AnswersOwedAll => Reach::Rare("a link must break while everything is told"),
        Rule::DatabasesDiffer | Rule::DatabasesToldAgain => {
            Reach::Rare("old copies of both stores, of which nobody can tell, or a fault of ours")
        }
        Rule::BehindOperator => Reach::Rare("a restored store that the partner is not there to find"),
        Rule::ReleasedAsLearned => Reach::Rare("a release in the second of the grant"),
        _ => return None,
    })
}

impl Mark {
    /// Whether it is of a server in this state, or that was.
    fn is_of(self, state: State) -> bool {
        match self {
            Self::Transition { mine, .. } | Self::LinkLost { mine } | Self::Serves { mine, .. } => {
                mine == state
            }
            Self::Start { stored } | Self::MeetsPartnerDown { stored, .. } => stored == state,
            Self::StartPaused { previous } => previous == state,
            Self::Guard { mine, .. } => mine == state,
            _ => false,
        }
    }
}
