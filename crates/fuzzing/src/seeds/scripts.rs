//! Scripts that lead a server into each of its states, and through what goes wrong.

use api::force::ForcedState;
use api::identity::State;

use crate::endpoint::{About, Script, Step};
use crate::seeds::links;

/// All scripts, each with the state in which it is to leave a server once its disk works; `None` where that is open.
#[must_use]
pub fn scripts() -> Vec<(Option<State>, Script)> {
    let mut scripts = Vec::new();
    // Both roles, each with a partner of ours and a dhcpd.
    for start in 0..4 {
        for (state, steps) in states(start & 1 == 0) {
            scripts.push((Some(state), Script { start, steps }));
        }
        for steps in [lives(), disks(), commands()] {
            let steps = [normal(start & 1 == 0), steps].concat();
            scripts.push((None, Script { start, steps }));
        }
    }
    scripts.push((Some(State::PartnerDown), Script { start: 16, steps: client(1) }));
    scripts.push((None, Script { start: 32, steps: normal(true) }));
    scripts.push((None, Script { start: 1 | 32, steps: normal(false) }));
    scripts.push((None, Script { start: 4 | 8, steps: [normal(true), client(1), client(2)].concat() }));
    scripts.extend(links().iter().flat_map(|link| captured(link)).map(|script| (None, script)));
    scripts
}

fn state(state: State) -> Step {
    Step::State { state, startup: false }
}

fn seconds(seconds: u64) -> Step {
    Step::Time { millis: seconds * 1000 }
}

fn force(state: ForcedState, choice: u8) -> Step {
    Step::Force { state, choice }
}

/// From a new server to Normal.
fn normal(is_primary: bool) -> Vec<Step> {
    let first = if is_primary {
        vec![Step::Handshake, state(State::RecoverDone)]
    } else {
        vec![Step::Handshake, state(State::PartnerDown), Step::UpdatesDone]
    };
    [first, vec![seconds(1), state(State::Normal), seconds(1), Step::UpdatesDone]].concat()
}

/// The ways to the states of a server.
fn states(is_primary: bool) -> Vec<(State, Vec<Step>)> {
    let hang_up = || vec![Step::HangUp { oldest: true }, seconds(2)];
    let normal = normal(is_primary);
    let interrupted = [normal.clone(), hang_up()].concat();
    let let_go = [interrupted.clone(), vec![force(ForcedState::PartnerDown, 0)]].concat();
    let conflict = [let_go.clone(), vec![Step::Handshake, state(State::PartnerDown)]].concat();
    let unresolved = [conflict.clone(), vec![state(State::PotentialConflict)], hang_up()].concat();
    let recover = [interrupted.clone(), vec![force(ForcedState::Recover, 1)]].concat();
    let resolved = [conflict.clone(), vec![state(State::PotentialConflict), Step::UpdatesDone]].concat();
    let mut states = vec![
        (State::Paused, [interrupted.clone(), vec![force(ForcedState::Paused, 1)]].concat()),
        (State::Shutdown, [interrupted.clone(), vec![force(ForcedState::Shutdown, 1)]].concat()),
        (State::CommunicationsInterrupted, interrupted),
        (State::PartnerDown, let_go),
        (State::PotentialConflict, conflict),
        (State::ResolutionInterrupted, unresolved),
        (State::Recover, recover),
        (State::Normal, normal),
    ];
    if is_primary {
        states.push((State::ConflictDone, resolved));
    }
    states
}

/// A client takes an address.
fn client(client: u8) -> Vec<Step> {
    let says = |kind, about| Step::Client { kind, client, about };
    vec![says(1, About::Nothing), says(3, About::Offer), seconds(1), says(3, About::Renewal)]
}

/// Clients come and go, with a partner and without.
fn lives() -> Vec<Step> {
    let says = |kind, client, about| Step::Client { kind, client, about };
    [
        client(1),
        client(2),
        vec![says(7, 2, About::Used(100)), says(4, 1, About::Offer), seconds(10)],
        vec![says(3, 3, About::Remembered(105)), says(8, 3, About::Used(106)), says(7, 1, About::Renewal)],
        vec![Step::HangUp { oldest: false }, seconds(3)],
        client(4),
        vec![Step::Handshake, state(State::Normal), Step::Time { millis: 20 * 60_000 }],
    ]
    .concat()
}

/// The disk stands still, the process is killed, the store is lost, the disk fails.
fn disks() -> Vec<Step> {
    [
        client(1),
        vec![Step::Stall],
        client(2),
        vec![seconds(3), Step::Resume, seconds(1), Step::Restart, Step::Handshake, state(State::Normal)],
        vec![
            Step::DiskLow(true),
            Step::LoseStore { is_new: false },
            Step::Handshake,
            state(State::PartnerDown),
        ],
        vec![Step::UpdatesDone, Step::Clock { seconds: 20 }, Step::Time { millis: 2 * 60_000 }],
        vec![Step::DiskLow(false), Step::Deaf(true), Step::DiskFails],
        client(3),
    ]
    .concat()
}

/// All that can be asked.
fn commands() -> Vec<Step> {
    let ask = (0..7).map(|which| Step::Command { which, value: 0x9b });
    let configure = (0..6).map(|which| Step::Configure { which });
    let states = ForcedState::ALL.into_iter().enumerate();
    let forced = states.flat_map(|(at, state)| [force(state, (at as u8) << 2 | 1), seconds(1)]);
    client(1).into_iter().chain(configure).chain(client(2)).chain(ask.skip(1)).chain(forced).collect()
}

/// What a dhcpd said on a captured link, said to a server of each role.
fn captured(link: &[Vec<u8>]) -> Vec<Script> {
    let said = link.iter().take(40).map(|piece| Step::Octets(piece.clone()));
    let steps: Vec<_> = [Step::Connect].into_iter().chain(said).collect();
    [2, 3].map(|start| Script { start, steps: steps.clone() }).to_vec()
}
