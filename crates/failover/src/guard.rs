//! Which STATE must never be sent to an ISC dhcpd, by its last known state (`spec/failover-protocol.md`
//! §6.2): each forbidden one would end its process, park it, or make it serve without data.

use api::identity::State;
use marks::{Mark, sometimes};

/// What to do instead of announcing a state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Announce {
    /// It may be sent.
    Permitted,
    /// Close the connection without a word; after the redial the peer is in a state that takes it.
    CloseInstead,
    /// Say this state first.
    SayFirst(State),
    /// Say this state, and not the other.
    SayInstead(State),
}

/// Whether an ISC dhcpd last heard in `peer` may be told `mine`.
#[must_use]
pub fn to_isc(peer: State, mine: State, startup: bool) -> Announce {
    use Announce::{CloseInstead, Permitted, SayFirst, SayInstead};
    let announce = match (peer, mine) {
        (State::Normal, State::PotentialConflict | State::ResolutionInterrupted | State::ConflictDone) => {
            CloseInstead
        }
        // Even with the flag: it would enter PotentialConflict.
        (State::Recover, State::Normal) => SayInstead(State::CommunicationsInterrupted),
        (State::Recover | State::PotentialConflict | State::ResolutionInterrupted, State::Shutdown) => {
            CloseInstead
        }
        // The answer to its request for updates, which may be under way, takes it to ConflictDone, where Paused ends it.
        (State::PotentialConflict, State::Normal | State::Recover | State::Paused) => CloseInstead,
        (
            State::ConflictDone,
            State::Unknown
            | State::Startup
            | State::CommunicationsInterrupted
            | State::PartnerDown
            | State::Recover
            | State::Paused
            | State::Shutdown
            | State::RecoverDone
            | State::ConflictDone
            | State::RecoverWait,
        ) => CloseInstead,
        (State::CommunicationsInterrupted, State::RecoverWait)
        // It asks for updates when it hears of Recover, and does nothing when it hears of what follows it.
        | (State::Recover, State::RecoverWait | State::RecoverDone) => SayFirst(State::Recover),
        // It would enter PotentialConflict. A conflict that is meant is announced as one.
        (State::PartnerDown, State::Normal | State::CommunicationsInterrupted) if !startup => CloseInstead,
        (
            State::Unknown
            | State::Startup
            | State::Normal
            | State::CommunicationsInterrupted
            | State::PartnerDown
            | State::PotentialConflict
            | State::Recover
            | State::Paused
            | State::Shutdown
            | State::RecoverDone
            | State::ResolutionInterrupted
            | State::ConflictDone
            | State::RecoverWait,
            _,
        ) => Permitted,
    };
    sometimes!(Mark::Guard { peer, mine }, announce != Permitted);
    announce
}
