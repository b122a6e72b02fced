//! Table 3.1 of `spec/failover-behaviour.md`, taken from a whole server by a partner that speaks octets: every
//! own state by every state that the partner may say, for both roles, with a partner of ours and an ISC dhcpd.

use api::identity::{Role, State};
use api::time::Seconds;

use crate::bench::{Bench, MCLT, Manners};

use State::{
    CommunicationsInterrupted as CI, ConflictDone as CD, Normal as N, PartnerDown as PD, Paused as PAUSED,
    PotentialConflict as PC, Recover as REC, RecoverDone as RDONE, RecoverWait as RWAIT,
    ResolutionInterrupted as RI, Shutdown as SHUT,
};

pub(crate) const PARTNER: [State; 11] = [N, CI, PD, PC, RI, CD, REC, RWAIT, RDONE, PAUSED, SHUT];

/// The table, a row an own state; where `–` stands there, the state itself.
pub(crate) const TABLE: [(State, [State; 11]); 11] = [
    (N, [N, N, PC, PC, PC, PC, CI, CI, N, CI, PD]),
    (CI, [N, N, PC, PC, PC, PC, CI, CI, N, CI, PD]),
    (PD, [PC, PC, PC, PC, PC, PC, PD, PD, N, PD, PD]),
    (PC, [PC, PC, PC, PC, PC, PC, PC, PC, PC, RI, RI]),
    (RI, [PC, PC, PC, PC, PC, PC, PC, PC, PC, RI, RI]),
    (CD, [N, CD, PC, CD, CD, CD, CD, CD, CD, CD, CD]),
    (REC, [REC, REC, REC, PC, PC, PC, REC, REC, REC, REC, REC]),
    (RWAIT, [RWAIT; 11]),
    (RDONE, [N, RDONE, RDONE, PC, PC, PC, RDONE, RDONE, N, RDONE, RDONE]),
    (PAUSED, [PAUSED; 11]),
    (SHUT, [SHUT; 11]),
];

/// A server in a state, connected, or about to be: then what the partner says first is the column.
pub(crate) fn in_state(role: Role, manners: Manners, state: State) -> (Bench, bool) {
    led_to(Bench::new(role, manners), manners, state)
}

/// A server that was just started, led to a state.
pub(crate) fn led_to(mut bench: Bench, manners: Manners, state: State) -> (Bench, bool) {
    let role = bench.role;
    let normal = |bench: &mut Bench| {
        match role {
            Role::Primary => bench.connect(RDONE, false),
            Role::Secondary => {
                bench.connect(PD, false);
                bench.done();
            }
        }
        // The exit barrier is looked at every second.
        bench.run(Seconds(1));
        bench.say(N, false);
        bench.run(Seconds(1));
        if role == Role::Secondary {
            if manners == Manners::Isc {
                // What it granted alone, it tells when asked.
                bench.done();
            }
            bench.give(110..115);
        }
        assert_eq!(bench.state(), N, "{:?}", bench.heard);
    };
    let interrupted = |bench: &mut Bench| {
        normal(bench);
        bench.hang_up();
        bench.run(Seconds(2));
        assert_eq!(bench.state(), CI);
    };
    let let_go = |bench: &mut Bench| {
        interrupted(bench);
        let answer = bench.force("PartnerDown");
        assert_eq!(bench.state(), PD, "{answer:?}");
    };
    // Both were alone.
    let conflict = |bench: &mut Bench| {
        let_go(bench);
        bench.connect(PD, false);
        assert_eq!(bench.state(), PC);
    };
    let recover = |bench: &mut Bench| {
        interrupted(bench);
        let answer = bench.force("Recover");
        assert_eq!(bench.state(), REC, "{answer:?}");
        bench.connect(PD, false);
    };
    match state {
        N => normal(&mut bench),
        CI => interrupted(&mut bench),
        PD => let_go(&mut bench),
        PC => conflict(&mut bench),
        RI => {
            conflict(&mut bench);
            // Both know of it (decision 016).
            bench.say(PC, false);
            bench.hang_up();
        }
        CD => {
            conflict(&mut bench);
            bench.say(PC, false);
            bench.done();
        }
        REC => recover(&mut bench),
        RWAIT => {
            recover(&mut bench);
            bench.done();
        }
        RDONE => {
            recover(&mut bench);
            bench.done();
            bench.run(Seconds(MCLT + 2));
        }
        PAUSED => {
            interrupted(&mut bench);
            bench.force("Paused");
        }
        SHUT => {
            interrupted(&mut bench);
            bench.force("Shutdown");
        }
        other => panic!("no row {other}"),
    }
    assert_eq!(bench.state(), state, "{role} {manners:?}");
    let linked = bench.conn.is_some();
    (bench, linked)
}

/// The state after the partner said one.
fn after(role: Role, manners: Manners, mine: State, partner: State) -> (State, Bench) {
    let (mut bench, linked) = in_state(role, manners, mine);
    if matches!(mine, PAUSED | SHUT) {
        bench.open();
        assert_eq!(bench.conn, None, "who has left talks to nobody");
    } else if linked {
        bench.heard.clear();
        bench.say(partner, false);
    } else {
        bench.connect(partner, false);
    }
    bench.run(Seconds(1));
    (bench.state(), bench)
}

/// A dhcpd in Normal would shut down if it heard of a conflict: the connection is closed, and after the next
/// handshake it hears of ResolutionInterrupted (`spec/failover-protocol.md` §6.2).
fn expected_with_a_dhcpd(mine: State, partner: State, by_table: State) -> State {
    match (mine, partner) {
        (PD | RI, N) => RI,
        _ => by_table,
    }
}

/// What a dhcpd that last said `partner` must never hear (`spec/failover-protocol.md` §6.2).
fn is_fatal_to_a_dhcpd(partner: State, said: State) -> bool {
    match partner {
        N => matches!(said, PC | RI | CD),
        REC => matches!(said, N | SHUT),
        PC => matches!(said, N | REC | SHUT),
        RI => said == SHUT,
        CD => !matches!(said, N | PC | RI),
        _ => false,
    }
}

pub(crate) fn differences(role: Role, manners: Manners) -> Vec<String> {
    let mut found = Vec::new();
    for (mine, row) in TABLE {
        if mine == CD && role == Role::Secondary {
            continue;
        }
        for (partner, by_table) in PARTNER.into_iter().zip(row) {
            let expected = match manners {
                Manners::Own => by_table,
                Manners::Isc => expected_with_a_dhcpd(mine, partner, by_table),
            };
            let (state, bench) = after(role, manners, mine, partner);
            if state != expected {
                let link = if bench.conn.is_some() { "linked" } else { "hung up" };
                found.push(format!("{mine} × {partner}: {state}, not {expected} ({link})"));
            }
            if manners == Manners::Isc {
                let fatal = bench.announced.iter().filter(|(partner, said)| {
                    partner.is_some_and(|partner| is_fatal_to_a_dhcpd(partner, *said))
                });
                found.extend(
                    fatal.map(|pair| format!("{mine} × {partner}: said what ends a dhcpd: {pair:?}")),
                );
            }
        }
    }
    found
}

/// Who is offered an address in which state (§2.1).
#[test]
fn only_some_states_serve_new_clients() {
    for role in [Role::Primary, Role::Secondary] {
        for manners in [Manners::Own, Manners::Isc] {
            for (state, _) in TABLE {
                if (role, state) == (Role::Secondary, CD) {
                    continue;
                }
                let (mut bench, _) = in_state(role, manners, state);
                bench.run(Seconds(1));
                // Without load balancing the primary alone answers while both are in Normal.
                let expected = matches!(state, CI | PD | CD) || (role, state) == (Role::Primary, N);
                assert_eq!(bench.is_offered(9), expected, "{role} in {state}, {manners:?}");
            }
        }
    }
}

/// What clients are answered where only those are served that have a lease (§2.1).
#[test]
fn where_only_renewals_are_served_nobody_else_hears_anything() {
    for (role, state) in [(Role::Primary, RI), (Role::Secondary, RI), (Role::Secondary, RDONE)] {
        let (mut bench, _) = in_state(role, Manners::Own, state);
        assert!(!bench.hears_anything_but_renewals(), "{role} in {state}");
        let free = bench.server.leases().next().expect("an address").address;
        assert_eq!(bench.renew(9, free), None, "{role} in {state}: a refusal would leave it with nobody");
    }
    let own = serde_json::json!({"riServe": "Own"});
    let pools = serde_json::json!([{"first": "10.0.0.100", "last": "10.0.0.119"}]);
    let bench = Bench::with(Role::Primary, Manners::Own, &own, pools);
    let (mut bench, _) = led_to(bench, Manners::Own, RI);
    let offered = bench.is_offered(9);
    assert!(offered, "riServe: Own: {:?}", bench.server.counters());
}

#[test]
fn a_primary_with_one_of_ours() {
    assert_eq!(differences(Role::Primary, Manners::Own), Vec::<String>::new());
}

#[test]
fn a_secondary_with_one_of_ours() {
    assert_eq!(differences(Role::Secondary, Manners::Own), Vec::<String>::new());
}

#[test]
fn a_primary_with_a_dhcpd() {
    assert_eq!(differences(Role::Primary, Manners::Isc), Vec::<String>::new());
}

#[test]
fn a_secondary_with_a_dhcpd() {
    assert_eq!(differences(Role::Secondary, Manners::Isc), Vec::<String>::new());
}
