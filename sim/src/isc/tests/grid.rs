//! Every cell of the grids of `spec/failover-behaviour.md` §3.1 (ISC columns) and `spec/failover-protocol.md` §3.4,
//! said in octets.

use api::identity::{Role, State};
use failover::wire::{BindingUpdate, Message, RejectReason, StateMessage};
use leases::lease::{Flags, HardwareAddress, Status};

use super::super::lease::Lease;
use super::{Lab, config};
use State::{
    CommunicationsInterrupted as CI, ConflictDone as CD, Normal as N, PartnerDown as PD, Paused as PAUSED,
    PotentialConflict as PC, Recover as REC, RecoverDone as RDONE, RecoverWait as RWAIT,
    ResolutionInterrupted as RI, Shutdown as SHUT,
};

const STATES: [State; 11] = [N, CI, PD, PC, RI, CD, REC, RWAIT, RDONE, PAUSED, SHUT];
const NOW: u32 = 1_800_000_000;

/// What a cell comes to: the state, what it asks for, or its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cell {
    /// It stays.
    O,
    /// Enters a state.
    To(State),
    /// Enters a state and asks for everything.
    ToAll(State),
    /// Asks for everything.
    All,
    /// The secondary asks for what it lacks.
    Rest,
    /// Its process ends.
    Exit,
}

use Cell::{All, Exit, O, Rest, To, ToAll};

#[rustfmt::skip]
const GRID: [(State, [Cell; 11]); 11] = [
    //        N         CI        PD        PC        RI        CD        REC         RWAIT   RDONE   PAUSED  SHUT
    (N,      [O,        O,        To(PC),   To(SHUT), To(SHUT), To(SHUT), To(PD),     O,      O,      To(CI), To(PD)]),
    (CI,     [To(N),    To(N),    To(PC),   To(PC),   To(PC),   To(PC),   To(PD),     To(N),  To(N),  O,      To(PD)]),
    (PD,     [To(PC),   To(PC),   To(PC),   To(PC),   To(PC),   To(PC),   O,          O,      To(N),  O,      O]),
    (PC,     [To(SHUT), O,        O,        O,        O,        Rest,     ToAll(REC), O,      O,      O,      To(PD)]),
    (RI,     [To(PC),   To(PC),   To(PC),   To(PC),   To(PC),   To(PC),   To(PC),     To(PC), To(PC), O,      To(PD)]),
    (CD,     [To(N),    Exit,     Exit,     O,        O,        Exit,     Exit,       Exit,   Exit,   Exit,   To(SHUT)]),
    (REC,    [To(PC),   All,      All,      To(PC),   To(PC),   To(PC),   All,        O,      O,      O,      To(PD)]),
    (RWAIT,  [O; 11]),
    (RDONE,  [To(N),    O,        O,        O,        O,        O,        O,          O,      To(N),  O,      To(PD)]),
    (PAUSED, [O; 11]),
    (SHUT,   [O; 11]),
];

fn in_state(role: Role, state: State) -> Lab {
    let mut lab = Lab::new(role, config((100, 103), 256), NOW);
    lab.connect();
    lab.dhcpd.file.state = state;
    lab.dhcpd.file.stos = NOW;
    lab.dhcpd.file.partner = State::Unknown;
    if let Some(memory) = &mut lab.dhcpd.memory {
        memory.startup_until = None;
    }
    lab.said.clear();
    lab
}

fn say(lab: &mut Lab, state: State, startup: bool) {
    lab.hear(1, Message::State(StateMessage { state, startup, since: NOW, extensions: Vec::new() }));
}

#[test]
fn every_cell_of_the_grid_of_states_is_as_probed() {
    for role in [Role::Primary, Role::Secondary] {
        for (mine, row) in GRID {
            for (partner, cell) in STATES.into_iter().zip(row) {
                let mut lab = in_state(role, mine);
                say(&mut lab, partner, false);
                let asked = |all: bool| {
                    let of = |message: &Message| {
                        if all { *message == Message::UpdReqAll } else { *message == Message::UpdReq }
                    };
                    lab.said.iter().any(|frame| of(&frame.message))
                };
                let exits = lab.hurt.iter().any(|what| what.contains("ends at"));
                let (state, all, rest) = match cell {
                    O | Exit => (mine, false, false),
                    // The primary resolves a conflict first, and one that is told that it is over asks at once.
                    To(PC) => (PC, false, role == Role::Primary || partner == CD),
                    To(state) => (state, false, false),
                    ToAll(state) => (state, true, false),
                    All => (mine, true, false),
                    Rest => (mine, false, role == Role::Secondary),
                };
                let seen = (lab.dhcpd.file.state, asked(true), asked(false), exits);
                assert_eq!(seen, (state, all, rest, cell == Exit), "{role} in {mine} hears {partner}");
            }
        }
    }
}

#[test]
fn the_startup_flag_is_looked_at_in_partner_down_only() {
    for partner in STATES {
        let mut lab = in_state(Role::Primary, PD);
        say(&mut lab, partner, true);
        assert_eq!(lab.dhcpd.file.state, PD, "{partner}");
    }
    let mut lab = in_state(Role::Primary, CI);
    say(&mut lab, N, true);
    assert_eq!(lab.dhcpd.file.state, N);
}

/// Each row of the guard (`spec/failover-protocol.md` §6.2) that is about harm, and nothing else, is noticed.
#[test]
fn what_harms_a_dhcpd_is_noticed() {
    let harm = [
        (N, PC),
        (N, RI),
        (N, CD),
        (REC, N),
        (REC, SHUT),
        (PC, N),
        (PC, REC),
        (PC, SHUT),
        (RI, SHUT),
        (CI, RWAIT),
        (CD, CI),
        (CD, PD),
        (CD, CD),
        (CD, REC),
        (CD, RWAIT),
        (CD, RDONE),
        (CD, PAUSED),
        (CD, SHUT),
    ];
    for mine in STATES {
        for partner in STATES {
            let mut lab = in_state(Role::Primary, mine);
            say(&mut lab, partner, false);
            assert_eq!(!lab.hurt.is_empty(), harm.contains(&(mine, partner)), "{mine} hears {partner}");
        }
    }
}

const BINDINGS: [Status; 7] = [
    Status::Free,
    Status::Active,
    Status::Expired,
    Status::Released,
    Status::Abandoned,
    Status::Reset,
    Status::Backup,
];

/// What decides in a cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum If {
    /// Accepted.
    Yes,
    /// Reject 2.
    No,
    /// Accepted once option 18 is over.
    Told,
    /// Accepted from 65 s before the end that dhcpd has.
    Near,
}

use If::{Near, No, Told, Yes};

#[rustfmt::skip]
const IN_NORMAL: [(Role, Status, [If; 7]); 4] = [
    //                                   FREE  ACTIVE EXPIRED RELEASED ABANDONED RESET BACKUP
    (Role::Primary,   Status::Active,  [No,   Yes,   No,     Yes,     Yes,      No,   No]),
    (Role::Secondary, Status::Active,  [Told, Yes,   Near,   Yes,     Yes,      Yes,  Told]),
    (Role::Primary,   Status::Expired, [Told, Yes,   Yes,    Yes,     Yes,      Yes,  Told]),
    (Role::Secondary, Status::Reset,   [Told, Yes,   Yes,    Yes,     Yes,      Yes,  Told]),
];
const ELSEWHERE: [If; 7] = [No, Yes, Near, Yes, Yes, Yes, No];

fn is_accepted(role: Role, state: State, mine: Status, status: Status, potential: u32, ends: u32) -> bool {
    let mut lab = in_state(role, state);
    let address = "10.50.0.100".parse().expect("an address");
    let hardware = Some(HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, 1] });
    let lease = Lease { status: mine, hardware: hardware.clone(), ends, ..Lease::default() };
    lab.dhcpd.file.leases.insert(address, lease);
    let update = BindingUpdate {
        address: Some(address),
        status: Some(status),
        client_id: None,
        hardware: hardware.filter(|_| status != Status::Abandoned),
        lease_expiry: Some(ends),
        potential_expiry: Some(potential),
        starts: Some(NOW),
        cltt: None,
        flags: Flags::default(),
        request_options: None,
        reply_options: None,
    };
    lab.hear(7, Message::BndUpd(vec![update]));
    // An accepted one may wait for others.
    lab.until(NOW + 3);
    let answers = lab.said.iter().filter_map(|frame| match &frame.message {
        Message::BndAck(acks) if frame.xid == 7 => acks.first(),
        _ => None,
    });
    let [answer] = answers.collect::<Vec<_>>()[..] else { panic!("one answer: {:?}", lab.said) };
    let reason = answer.reject.as_ref().map(|reject| reject.reason);
    assert!(matches!(reason, None | Some(RejectReason::FatalConflict)), "{reason:?}");
    let after = lab.dhcpd.file.leases[&address].status;
    let stored = match status {
        Status::Expired | Status::Released | Status::Reset => Status::Free,
        other => other,
    };
    assert!(reason.is_some() || after == stored, "{mine} takes {status}: {after}");
    reason.is_none()
}

fn holds(cell: If, role: Role, state: State, mine: Status, status: Status) {
    for (potential, told) in [(NOW, true), (NOW + 1, false)] {
        for (ends, near) in [(NOW + 65, true), (NOW + 66, false)] {
            let expected = match cell {
                Yes => true,
                No => false,
                Told => told,
                Near => near,
            };
            let seen = is_accepted(role, state, mine, status, potential, ends);
            assert_eq!(seen, expected, "{role} in {state} has {mine}, hears {status}, {told} {near}");
        }
    }
}

#[test]
fn every_cell_of_the_grid_of_bindings_is_as_tried() {
    for role in [Role::Primary, Role::Secondary] {
        for mine in [Status::Free, Status::Abandoned, Status::Released, Status::Backup] {
            for status in BINDINGS {
                holds(Yes, role, N, mine, status);
            }
        }
    }
    for (role, mine, row) in IN_NORMAL {
        for (status, cell) in BINDINGS.into_iter().zip(row) {
            holds(cell, role, N, mine, status);
        }
    }
    for role in [Role::Primary, Role::Secondary] {
        for (status, cell) in BINDINGS.into_iter().zip(ELSEWHERE) {
            holds(cell, role, RWAIT, Status::Active, status);
        }
        for status in BINDINGS {
            holds(Yes, role, RWAIT, Status::Expired, status);
        }
    }
}
