//! Table 3.1 of `spec/failover-behaviour.md`: what a server does when its partner says its state, and
//! which states follow from losing the link.

use api::identity::{Role, State};
use marks::{Mark, sometimes};

/// What follows from the partner's state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Nothing.
    Stay,
    /// This state, at once.
    Go(State),
    /// Normal again (note 6): all that is not acknowledged is queued anew and Normal is announced once,
    /// without the detour through CommunicationsInterrupted being said.
    Reenter,
    /// Normal once the exit barrier of §7.3 is open (note 1).
    NormalBehindBarrier,
    /// Ask the partner for its bindings and stay (note b).
    Request,
    /// A secondary asks for what it is owed; a primary stays (note a).
    RequestOwed,
}

/// The table: `mine` is the row, `partner` the column, `startup` the partner's flag.
#[must_use]
pub fn on_partner_state(mine: State, partner: State, startup: bool) -> Next {
    use Next::{Go, NormalBehindBarrier, Reenter, Request, RequestOwed, Stay};
    use State as S;

    sometimes!(if startup && mine == S::PartnerDown {
        Mark::Flagged { partner }
    } else {
        Mark::Transition { mine, partner }
    });
    match (mine, partner) {
        // Nothing was heard yet, or the partner named a state that is only a flag on the wire.
        (_, S::Unknown | S::Startup) => Stay,

        (S::Normal, S::Normal) => Stay,
        (S::Normal, S::CommunicationsInterrupted | S::RecoverDone) => Reenter,
        (S::Normal, S::PartnerDown | S::PotentialConflict | S::ResolutionInterrupted | S::ConflictDone) => {
            Go(S::PotentialConflict)
        }
        (S::Normal, S::Recover | S::RecoverWait | S::Paused) => Go(S::CommunicationsInterrupted),
        (S::Normal, S::Shutdown) => Go(S::PartnerDown),

        (S::CommunicationsInterrupted, S::Normal | S::CommunicationsInterrupted) => Go(S::Normal),
        (
            S::CommunicationsInterrupted,
            S::PartnerDown | S::PotentialConflict | S::ResolutionInterrupted | S::ConflictDone,
        ) => Go(S::PotentialConflict),
        (S::CommunicationsInterrupted, S::Recover | S::RecoverWait | S::Paused) => Stay,
        (S::CommunicationsInterrupted, S::RecoverDone) => NormalBehindBarrier,
        (S::CommunicationsInterrupted, S::Shutdown) => Go(S::PartnerDown),

        // A partner that still seeks us has not decided what it is: wait for its word without the flag.
        (S::PartnerDown, _) if startup => Stay,
        (
            S::PartnerDown,
            S::Normal
            | S::CommunicationsInterrupted
            | S::PartnerDown
            | S::PotentialConflict
            | S::ResolutionInterrupted
            | S::ConflictDone,
        ) => Go(S::PotentialConflict),
        (S::PartnerDown, S::Recover | S::RecoverWait | S::Paused | S::Shutdown) => Stay,
        (S::PartnerDown, S::RecoverDone) => NormalBehindBarrier,

        (S::PotentialConflict, S::Normal | S::ConflictDone) => RequestOwed,
        (
            S::PotentialConflict,
            S::CommunicationsInterrupted
            | S::PartnerDown
            | S::PotentialConflict
            | S::ResolutionInterrupted
            | S::Recover
            | S::RecoverWait
            | S::RecoverDone,
        ) => Stay,
        (S::PotentialConflict, S::Paused | S::Shutdown) => Go(S::ResolutionInterrupted),

        (
            S::ResolutionInterrupted,
            S::Normal
            | S::CommunicationsInterrupted
            | S::PartnerDown
            | S::PotentialConflict
            | S::ResolutionInterrupted
            | S::ConflictDone
            | S::Recover
            | S::RecoverWait
            | S::RecoverDone,
        ) => Go(S::PotentialConflict),
        (S::ResolutionInterrupted, S::Paused | S::Shutdown) => Stay,

        (S::ConflictDone, S::Normal) => Go(S::Normal),
        (S::ConflictDone, S::PartnerDown) => Go(S::PotentialConflict),
        (
            S::ConflictDone,
            S::CommunicationsInterrupted
            | S::PotentialConflict
            | S::ResolutionInterrupted
            | S::ConflictDone
            | S::Recover
            | S::RecoverWait
            | S::RecoverDone
            | S::Paused
            | S::Shutdown,
        ) => Stay,

        (
            S::Recover,
            S::Normal
            | S::CommunicationsInterrupted
            | S::PartnerDown
            | S::Recover
            | S::RecoverWait
            | S::RecoverDone,
        ) => Request,
        (S::Recover, S::PotentialConflict | S::ResolutionInterrupted | S::ConflictDone) => {
            Go(S::PotentialConflict)
        }
        (S::Recover, S::Paused | S::Shutdown) => Stay,

        (S::RecoverDone, S::Normal | S::RecoverDone) => NormalBehindBarrier,
        (S::RecoverDone, S::PotentialConflict | S::ResolutionInterrupted | S::ConflictDone) => {
            Go(S::PotentialConflict)
        }
        (
            S::RecoverDone,
            S::CommunicationsInterrupted
            | S::PartnerDown
            | S::Recover
            | S::RecoverWait
            | S::Paused
            | S::Shutdown,
        ) => Stay,

        // These wait for a timer, an operator or the next start, whatever the partner says.
        (S::RecoverWait | S::Paused | S::Shutdown | S::Unknown | S::Startup, _) => Stay,
    }
}

/// The state after the link was lost (§3.3, "comm lost").
#[must_use]
pub fn on_link_lost(mine: State) -> State {
    match mine {
        State::Normal => State::CommunicationsInterrupted,
        State::PotentialConflict => State::ResolutionInterrupted,
        State::Unknown
        | State::Startup
        | State::CommunicationsInterrupted
        | State::PartnerDown
        | State::Recover
        | State::Paused
        | State::Shutdown
        | State::RecoverDone
        | State::ResolutionInterrupted
        | State::ConflictDone
        | State::RecoverWait => mine,
    }
}

/// The state in which a server starts that stored `stored` (§4, steps 1 and 2). `previous` is what it was
/// before Paused.
#[must_use]
pub fn on_start(stored: State, previous: State) -> State {
    match stored {
        // A server that paused while paused would never come back: its own previous state counts.
        State::Paused => match previous {
            State::Paused | State::Startup | State::Unknown => State::Recover,
            other => on_start(other, State::Unknown),
        },
        State::Shutdown | State::Unknown | State::Startup => State::Recover,
        State::Normal
        | State::CommunicationsInterrupted
        | State::PartnerDown
        | State::PotentialConflict
        | State::Recover
        | State::RecoverDone
        | State::ResolutionInterrupted
        | State::ConflictDone
        | State::RecoverWait => on_link_lost(stored),
    }
}

/// What a starting server does whose partner turns out to be in PartnerDown (§4 rule 4). `was_down`
/// says that this server was surely down before the partner let go of it.
#[must_use]
pub fn on_partner_down_at_start(stored: State, was_down: bool) -> Next {
    sometimes!(Mark::MeetsPartnerDown { stored, was_down });
    match stored {
        State::Normal | State::CommunicationsInterrupted if was_down => Next::Go(State::Recover),
        State::Normal
        | State::CommunicationsInterrupted
        | State::PartnerDown
        | State::ResolutionInterrupted
        | State::ConflictDone
        | State::PotentialConflict => Next::Go(State::PotentialConflict),
        State::Recover
        | State::RecoverWait
        | State::RecoverDone
        | State::Paused
        | State::Shutdown
        | State::Unknown
        | State::Startup => on_partner_state(stored, State::PartnerDown, false),
    }
}

/// Which state a server in PotentialConflict enters once its request is answered and it owes no wait
/// (§3.3, UPDDONE).
#[must_use]
pub fn after_resolution(role: Role) -> State {
    match role {
        Role::Primary => State::ConflictDone,
        Role::Secondary => State::Normal,
    }
}

/// Which clients a state answers (§2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// Nobody.
    Silent,
    /// Clients that renew or rebind an unexpired lease.
    RenewOnly,
    /// Everybody.
    All,
}

/// The service of a state. RecoverDone serves only while the link is up (H-20).
#[must_use]
pub fn service(mine: State, linked: bool) -> Service {
    sometimes!(Mark::Serves { mine, linked });
    match mine {
        State::Normal | State::CommunicationsInterrupted | State::PartnerDown | State::ConflictDone => {
            Service::All
        }
        State::RecoverDone if linked => Service::RenewOnly,
        State::ResolutionInterrupted => Service::RenewOnly,
        State::RecoverDone
        | State::Unknown
        | State::Startup
        | State::PotentialConflict
        | State::Recover
        | State::Paused
        | State::Shutdown
        | State::RecoverWait => Service::Silent,
    }
}
