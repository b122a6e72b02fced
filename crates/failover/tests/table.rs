//! Table 3.1 of the behaviour specification cell by cell, the other tables of §2.1, §3.3 and §4 that need
//! nothing but a state, and the announcement guard of §6.2 of the protocol specification row by row.

use api::identity::{Role, State};
use failover::guard::{self, Announce};
use failover::transition::{
    Next, Service, after_resolution, on_link_lost, on_partner_down_at_start, on_partner_state, on_start,
    service,
};

use self::State::{
    CommunicationsInterrupted as CI, ConflictDone as CD, Normal as N, PartnerDown as PD, Paused,
    PotentialConflict as PC, Recover as REC, RecoverDone as RDONE, RecoverWait as RWAIT,
    ResolutionInterrupted as RI, Shutdown as SHUT, Startup, Unknown,
};

/// What a server is in, and what its partner can say.
const STATES: [State; 11] = [N, CI, PD, PC, RI, CD, REC, RWAIT, RDONE, Paused, SHUT];

/// Nothing.
const NO: Next = Next::Stay;
/// "re-enter", note 6.
const RE: Next = Next::Reenter;
/// "NORMAL" with note 1.
const BARRIER: Next = Next::NormalBehindBarrier;
/// "a".
const A: Next = Next::RequestOwed;
/// "b".
const B: Next = Next::Request;
const TO_N: Next = Next::Go(N);
const TO_CI: Next = Next::Go(CI);
const TO_PD: Next = Next::Go(PD);
const TO_PC: Next = Next::Go(PC);
const TO_RI: Next = Next::Go(RI);

/// §3.1: my state, then one cell per state of the partner.
#[rustfmt::skip]
const TABLE: [(State, [Next; 11]); 11] = [
    //         N      CI     PD     PC     RI     CD     REC    RWAIT  RDONE    PAUSED SHUT
    (N,      [NO,    RE,    TO_PC, TO_PC, TO_PC, TO_PC, TO_CI, TO_CI, RE,      TO_CI, TO_PD]),
    (CI,     [TO_N,  TO_N,  TO_PC, TO_PC, TO_PC, TO_PC, NO,    NO,    BARRIER, NO,    TO_PD]),
    (PD,     [TO_PC, TO_PC, TO_PC, TO_PC, TO_PC, TO_PC, NO,    NO,    BARRIER, NO,    NO]),
    (PC,     [A,     NO,    NO,    NO,    NO,    A,     NO,    NO,    NO,      TO_RI, TO_RI]),
    (RI,     [TO_PC, TO_PC, TO_PC, TO_PC, TO_PC, TO_PC, TO_PC, TO_PC, TO_PC,   NO,    NO]),
    (CD,     [TO_N,  NO,    TO_PC, NO,    NO,    NO,    NO,    NO,    NO,      NO,    NO]),
    (REC,    [B,     B,     B,     TO_PC, TO_PC, TO_PC, B,     B,     B,       NO,    NO]),
    (RWAIT,  [NO,    NO,    NO,    NO,    NO,    NO,    NO,    NO,    NO,      NO,    NO]),
    (RDONE,  [BARRIER, NO,  NO,    TO_PC, TO_PC, TO_PC, NO,    NO,    BARRIER, NO,    NO]),
    (Paused, [NO,    NO,    NO,    NO,    NO,    NO,    NO,    NO,    NO,      NO,    NO]),
    (SHUT,   [NO,    NO,    NO,    NO,    NO,    NO,    NO,    NO,    NO,      NO,    NO]),
];

#[test]
fn every_cell_of_table_3_1_is_as_specified() {
    for (mine, row) in TABLE {
        for (partner, cell) in STATES.into_iter().zip(row) {
            assert_eq!(on_partner_state(mine, partner, false), cell, "{mine} x {partner}");
        }
    }
}

#[test]
fn the_startup_flag_of_the_partner_holds_back_partner_down_and_no_other_state() {
    for (mine, row) in TABLE {
        for (partner, cell) in STATES.into_iter().zip(row) {
            let cell = if mine == PD { NO } else { cell };
            assert_eq!(on_partner_state(mine, partner, true), cell, "{mine} x {partner} with its flag");
        }
    }
}

#[test]
fn a_partner_in_an_unknown_state_changes_nothing() {
    for mine in STATES {
        for startup in [false, true] {
            assert_eq!(on_partner_state(mine, Unknown, startup), NO, "{mine}");
        }
    }
}

#[test]
fn losing_the_link_ends_normal_and_interrupts_a_resolution_and_nothing_else() {
    for mine in STATES {
        let after = match mine {
            N => CI,
            PC => RI,
            other => other,
        };
        assert_eq!(on_link_lost(mine), after, "{mine}");
    }
}

#[test]
fn a_start_is_a_lost_link_that_ends_a_pause_and_a_shutdown() {
    let running = [(N, CI), (CI, CI), (PD, PD), (PC, RI), (RI, RI), (CD, CD), (REC, REC), (RWAIT, RWAIT)];
    for (stored, started) in running.into_iter().chain([(RDONE, RDONE)]) {
        assert_eq!(on_start(stored, REC), started, "stored {stored}");
        assert_eq!(on_start(Paused, stored), started, "paused in {stored}");
    }
    for previous in STATES {
        assert_eq!(on_start(SHUT, previous), REC, "shut down in {previous}");
    }
}

#[test]
fn st_1_and_st_3_a_server_that_was_surely_down_recovers_from_its_partners_partner_down() {
    for stored in [N, CI] {
        assert_eq!(on_partner_down_at_start(stored, true), Next::Go(REC), "{stored}");
    }
}

#[test]
fn st_2_a_server_that_may_have_served_meets_partner_down_in_conflict() {
    for stored in [N, CI] {
        assert_eq!(on_partner_down_at_start(stored, false), TO_PC, "{stored}");
    }
}

#[test]
fn a_start_from_partner_down_or_a_conflict_meets_partner_down_in_conflict_whatever_the_times() {
    for stored in [PD, RI, CD] {
        for was_down in [false, true] {
            assert_eq!(on_partner_down_at_start(stored, was_down), TO_PC, "{stored}");
        }
    }
}

#[test]
fn st_4_a_start_in_the_midst_of_recovery_follows_the_table() {
    for was_down in [false, true] {
        assert_eq!(on_partner_down_at_start(REC, was_down), B);
        assert_eq!(on_partner_down_at_start(RWAIT, was_down), NO);
        assert_eq!(on_partner_down_at_start(RDONE, was_down), NO);
    }
}

#[test]
fn only_a_primary_enters_conflict_done() {
    assert_eq!(after_resolution(Role::Primary), CD);
    assert_eq!(after_resolution(Role::Secondary), N);
}

#[test]
fn each_state_serves_whom_it_may() {
    for linked in [false, true] {
        for mine in [N, CI, PD, CD] {
            assert_eq!(service(mine, linked), Service::All, "{mine}");
        }
        for mine in [Unknown, Startup, PC, REC, RWAIT, Paused, SHUT] {
            assert_eq!(service(mine, linked), Service::Silent, "{mine}");
        }
        assert_eq!(service(RI, linked), Service::RenewOnly);
    }
    assert_eq!(service(RDONE, true), Service::RenewOnly);
}

/// H-20: the survivor, still in PartnerDown, waits out its leases and gives them away meanwhile.
#[test]
fn recover_done_serves_nobody_behind_a_cut_link() {
    assert_eq!(service(RDONE, false), Service::Silent);
}

/// The row of a peer: what it must never be told, and what else is then said before it. Anything else
/// ends with closing the connection.
struct GuardRow {
    peer: State,
    forbidden: &'static [State],
    /// Of the forbidden ones, those that a flag makes harmless.
    harmless_while_starting: &'static [State],
    instead: &'static [State],
}

const GUARD: [GuardRow; 13] = [
    row(Unknown, &[], &[], &[]),
    row(Startup, &[], &[], &[]),
    row(N, &[PC, RI, CD], &[], &[]),
    row(CI, &[RWAIT], &[], &[REC]),
    row(PD, &[N, CI], &[N, CI], &[REC]),
    row(PC, &[N, REC, SHUT, Paused], &[], &[CD, PC]),
    row(REC, &[N, SHUT, RWAIT, RDONE], &[], &[CI, PD, REC]),
    row(Paused, &[], &[], &[]),
    row(SHUT, &[], &[], &[]),
    row(RDONE, &[], &[], &[]),
    row(RI, &[SHUT], &[], &[]),
    row(CD, &[CI, PD, CD, REC, RWAIT, RDONE, Paused, SHUT], &[], &[PC]),
    row(RWAIT, &[], &[], &[]),
];

const fn row(
    peer: State,
    forbidden: &'static [State],
    harmless_while_starting: &'static [State],
    instead: &'static [State],
) -> GuardRow {
    GuardRow { peer, forbidden, harmless_while_starting, instead }
}

#[test]
fn an_isc_dhcpd_is_never_told_what_would_harm_it() {
    assert_eq!(GUARD.map(|row| row.peer.wire()), State::ALL.map(State::wire), "all 13 states");
    for GuardRow { peer, forbidden, harmless_while_starting, instead } in GUARD {
        for mine in STATES {
            for startup in [false, true] {
                let harmless = startup && harmless_while_starting.contains(&mine);
                match guard::to_isc(peer, mine, startup) {
                    Announce::Permitted => {
                        assert!(!forbidden.contains(&mine) || harmless, "{mine} ({startup}) to {peer}");
                    }
                    Announce::CloseInstead => {
                        assert!(forbidden.contains(&mine) && !harmless, "{mine} ({startup}) to {peer}");
                    }
                    Announce::SayFirst(first) | Announce::SayInstead(first) => {
                        assert!(forbidden.contains(&mine) && !harmless, "{mine} ({startup}) to {peer}");
                        assert!(instead.contains(&first), "{first} before {mine} ({startup}) to {peer}");
                        assert_eq!(guard::to_isc(peer, first, startup), Announce::Permitted, "{first}");
                    }
                }
            }
        }
    }
}

/// In Recover it would take Normal for a conflict, whatever came before.
#[test]
fn normal_is_never_said_to_a_recovering_isc_dhcpd() {
    for startup in [false, true] {
        assert_eq!(guard::to_isc(REC, N, startup), Announce::SayInstead(CI));
    }
}

/// The connection must not die where two words do: ISC in CommunicationsInterrupted takes Recover, and
/// then RecoverWait, which alone would make it Normal while we are silent.
#[test]
fn recover_wait_is_said_to_a_waiting_isc_dhcpd_behind_recover() {
    assert_eq!(guard::to_isc(CI, RWAIT, false), Announce::SayFirst(REC));
    assert_eq!(guard::to_isc(CI, RWAIT, true), Announce::SayFirst(REC));
}

/// One in Recover asks for updates when it hears of Recover, and waits for ever when it hears of what follows it.
#[test]
fn what_follows_recover_is_said_to_a_recovering_isc_dhcpd_behind_recover() {
    for mine in [RWAIT, RDONE] {
        for startup in [false, true] {
            assert_eq!(guard::to_isc(REC, mine, startup), Announce::SayFirst(REC));
        }
    }
}

/// A guard that closes on every word would never let the pair meet: each state of a peer takes one.
#[test]
fn every_state_of_an_isc_dhcpd_takes_the_first_word_of_a_start() {
    for peer in State::ALL {
        let takes = |state| guard::to_isc(peer, state, true) == Announce::Permitted;
        assert!([CI, REC, RI].into_iter().any(takes), "{peer}");
    }
}
