//! What a dhcpd does when its partner says a state: the ISC columns of `spec/failover-behaviour.md` §3.1, as they
//! were probed, and when it answers clients (`spec/failover-protocol.md` §6.4).

use api::identity::{Role, State};

/// What a cell of the table says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reaction {
    /// It asks for all updates.
    AskForAll,
    /// It asks for what it has not acknowledged.
    AskForRest,
    /// Its process ends.
    Exit,
    /// It enters a state.
    Go(State),
    /// Nothing.
    Stay,
}

/// The cell of a dhcpd in `mine` that hears `partner`.
#[must_use]
pub(crate) fn on_state(role: Role, mine: State, partner: State) -> Reaction {
    use Reaction::{AskForAll, AskForRest, Exit, Go, Stay};
    use State::{
        CommunicationsInterrupted, ConflictDone, Normal, PartnerDown, Paused, PotentialConflict, Recover,
        RecoverDone, RecoverWait, ResolutionInterrupted, Shutdown, Startup, Unknown,
    };
    match (mine, partner) {
        (_, Unknown | Startup)
        | (Unknown | Startup | Paused | Shutdown | RecoverWait, _)
        | (Normal, Normal | CommunicationsInterrupted | RecoverWait | RecoverDone)
        | (CommunicationsInterrupted | ResolutionInterrupted | Recover | RecoverDone, Paused)
        | (PartnerDown, Recover | RecoverWait | Paused | Shutdown)
        | (
            PotentialConflict,
            CommunicationsInterrupted
            | PartnerDown
            | PotentialConflict
            | ResolutionInterrupted
            | RecoverWait
            | RecoverDone
            | Paused,
        )
        | (ConflictDone, PotentialConflict | ResolutionInterrupted)
        | (Recover, RecoverWait | RecoverDone)
        | (
            RecoverDone,
            CommunicationsInterrupted
            | PartnerDown
            | PotentialConflict
            | ResolutionInterrupted
            | ConflictDone
            | Recover
            | RecoverWait,
        ) => Stay,
        (Normal, PartnerDown)
        | (
            CommunicationsInterrupted,
            PartnerDown | PotentialConflict | ResolutionInterrupted | ConflictDone,
        )
        | (
            PartnerDown,
            Normal
            | CommunicationsInterrupted
            | PartnerDown
            | PotentialConflict
            | ResolutionInterrupted
            | ConflictDone,
        )
        | (
            ResolutionInterrupted,
            Normal
            | CommunicationsInterrupted
            | PartnerDown
            | PotentialConflict
            | ResolutionInterrupted
            | ConflictDone
            | Recover
            | RecoverWait
            | RecoverDone,
        )
        | (Recover, Normal | PotentialConflict | ResolutionInterrupted | ConflictDone) => {
            Go(PotentialConflict)
        }
        (Normal, PotentialConflict | ResolutionInterrupted | ConflictDone)
        | (PotentialConflict, Normal)
        | (ConflictDone, Shutdown) => Go(Shutdown),
        (Normal | CommunicationsInterrupted, Recover | Shutdown)
        | (PotentialConflict | ResolutionInterrupted | Recover | RecoverDone, Shutdown) => Go(PartnerDown),
        (Normal, Paused) => Go(CommunicationsInterrupted),
        (CommunicationsInterrupted, Normal | CommunicationsInterrupted | RecoverWait | RecoverDone)
        | (PartnerDown, RecoverDone)
        | (ConflictDone, Normal)
        | (RecoverDone, Normal | RecoverDone) => Go(Normal),
        (PotentialConflict, ConflictDone) => match role {
            Role::Primary => Stay,
            Role::Secondary => AskForRest,
        },
        (PotentialConflict, Recover) => Go(Recover),
        (
            ConflictDone,
            CommunicationsInterrupted
            | PartnerDown
            | ConflictDone
            | Recover
            | RecoverWait
            | RecoverDone
            | Paused,
        ) => Exit,
        (Recover, CommunicationsInterrupted | PartnerDown | Recover) => AskForAll,
    }
}

/// Whether it looks at a state that is the one it has on record.
#[must_use]
pub(crate) fn looks_again(mine: State) -> bool {
    !matches!(
        mine,
        State::Normal
            | State::PotentialConflict
            | State::RecoverDone
            | State::RecoverWait
            | State::Shutdown
            | State::Paused
    )
}

/// What its partner must not have said to bring it there: dhcpd then parks, or serves without the data of its partner
/// (`spec/failover-protocol.md` §6.2).
#[must_use]
pub(crate) fn hurts(mine: State, partner: State) -> bool {
    use State::{
        CommunicationsInterrupted, ConflictDone, Normal, PotentialConflict, Recover, RecoverWait,
        ResolutionInterrupted, Shutdown,
    };
    matches!(
        (mine, partner),
        (Normal, PotentialConflict | ResolutionInterrupted | ConflictDone)
            | (Recover, Normal | Shutdown)
            | (PotentialConflict, Normal | Recover | Shutdown)
            | (ResolutionInterrupted | ConflictDone, Shutdown)
            | (CommunicationsInterrupted, RecoverWait)
    )
}

/// Whether it answers clients; a partner that it remembers in the middle of a conflict silences it.
#[must_use]
pub(crate) fn serves(mine: State, partner: State) -> bool {
    let silenced = matches!(
        partner,
        State::PartnerDown | State::PotentialConflict | State::ResolutionInterrupted | State::ConflictDone
    );
    let serving = matches!(mine, State::Normal | State::CommunicationsInterrupted | State::PartnerDown);
    serving && !silenced
}

/// What becomes of a state without a partner: when the link is lost, and when the start has waited in vain.
#[must_use]
pub(crate) fn alone(mine: State) -> State {
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
