//! How a survivor leaves PartnerDown (`spec/failover-behaviour.md` §7.3), with a partner that speaks octets.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::Message;
use leases::lease::Status;

use crate::bench::{Bench, MCLT, Manners, OnUpdate};
use crate::grid::in_state;

/// In PartnerDown for so long that the partner's addresses are free as well.
fn alone(manners: Manners) -> Bench {
    let (mut bench, _) = in_state(Role::Primary, manners, State::Normal);
    bench.send(Message::PoolReq);
    bench.run(Seconds(2));
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    bench.run(Seconds(MCLT + 2));
    assert_eq!(bench.state(), State::PartnerDown);
    bench
}

/// The partner comes back, has fetched everything but says nothing of what it was told, and has waited.
fn comes_back(bench: &mut Bench, on_update: OnUpdate) {
    bench.on_update = on_update;
    bench.connect(State::Recover, false);
    bench.send(Message::UpdReq);
    bench.run(Seconds(1));
    bench.say(State::RecoverDone, false);
    bench.run(Seconds(2));
}

/// Answers every update that the server has sent.
fn acknowledge(bench: &mut Bench) {
    bench.on_update = OnUpdate::Accept;
    bench.acknowledge_all();
    bench.run(Seconds(2));
}

/// Nobody believes in it any more, but the partner may.
#[test]
fn what_ended_alone_is_acknowledged_first_too() {
    for manners in [Manners::Own, Manners::Isc] {
        let mut bench = alone(manners);
        let (address, _) = bench.lease(1).expect("a lease");
        bench.run(Seconds(3));
        bench.release(1, address);
        bench.run(Seconds(2));
        comes_back(&mut bench, OnUpdate::Ignore);
        bench.run(Seconds(20));
        assert_eq!(bench.state(), State::PartnerDown, "{manners:?}: {:?}", bench.line(address));
        acknowledge(&mut bench);
        assert_eq!(bench.state(), State::Normal, "{manners:?}");
    }
}

fn ends(bench: &Bench, address: Ipv4Addr) -> i64 {
    bench.line(address).ends.expect("leased").as_second()
}

#[test]
fn xb_2_and_6_what_was_granted_alone_is_acknowledged_first() {
    for manners in [Manners::Own, Manners::Isc] {
        let mut bench = alone(manners);
        // More than the ten of its own share, if it has that many.
        for client in 1..16 {
            let (_, seconds) = bench.lease(client).expect("a lease");
            assert_eq!(seconds, 600, "of the full length");
        }
        comes_back(&mut bench, OnUpdate::Ignore);
        assert_eq!(bench.state(), State::PartnerDown, "{manners:?}");
        bench.run(Seconds(20));
        assert_eq!(bench.state(), State::PartnerDown, "{manners:?}");
        acknowledge(&mut bench);
        assert_eq!(bench.state(), State::Normal, "{manners:?}");
    }
}

#[test]
fn xb_3_and_4_once_the_partner_was_heard_leases_are_of_the_mclt_and_hold_nothing() {
    let mut bench = alone(Manners::Own);
    let (address, _) = bench.lease(1).expect("a lease");
    let until = ends(&bench, address);
    comes_back(&mut bench, OnUpdate::Ignore);
    let (again, seconds) = bench.lease(1).expect("a renewal");
    assert_eq!((again, seconds), (address, MCLT));
    assert_eq!(ends(&bench, address), until, "what its client was promised before");
    let (_, seconds) = bench.lease(2).expect("a new lease");
    assert_eq!(seconds, MCLT);
    assert_eq!(bench.state(), State::PartnerDown);
    acknowledge(&mut bench);
    assert_eq!(bench.state(), State::Normal);
}

#[test]
fn xb_7_later_renewals_do_not_join_the_barrier() {
    let mut bench = alone(Manners::Own);
    let clients: Vec<u8> = (1..16).collect();
    for client in &clients {
        bench.lease(*client).expect("a lease");
    }
    comes_back(&mut bench, OnUpdate::Ignore);
    assert_eq!(bench.state(), State::PartnerDown);
    for client in &clients {
        bench.lease(*client).expect("a renewal");
    }
    // Those that were due then are answered, ten at a time; what follows them is not.
    for _ in 0..2 {
        bench.acknowledge_all();
        bench.run(Seconds(2));
    }
    assert_eq!(bench.state(), State::Normal);
}

#[test]
fn xb_8_a_partner_that_is_lost_again_may_have_renewed_until_then() {
    let mut bench = alone(Manners::Own);
    for client in 1..16 {
        bench.lease(client).expect("a lease");
    }
    comes_back(&mut bench, OnUpdate::Ignore);
    bench.hang_up();
    let lost_at = bench.now();
    let report = bench.server.report(lost_at).server;
    assert_eq!(report.state, State::PartnerDown);
    // It counts us as lost after its receive timer.
    let down_at = report.partner_down_at.expect("in PartnerDown").as_second();
    assert_eq!(down_at, i64::from(lost_at.wall.get()) + 60);
}

/// The bounds are taken anew then, as for leases of before PartnerDown (§7.2).
#[test]
fn pd_8_what_was_granted_alone_waits_for_what_the_lost_partner_may_have_renewed() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Own, State::PartnerDown);
        bench.run(Seconds(MCLT + 2));
        let leases: Vec<_> = (1..60).filter_map(|client| bench.lease(client)).collect();
        assert_eq!(leases.len(), 20, "all of the pool");
        comes_back(&mut bench, OnUpdate::Ignore);
        assert_eq!(bench.state(), State::PartnerDown);
        bench.hang_up();
        bench.run(Seconds(600 + MCLT));
        assert!(!bench.is_offered(99), "{role}: leases are over, but the partner may have renewed them");
        bench.run(Seconds(300 + 60 + MCLT));
        assert!(bench.is_offered(99), "{role}");
    }
}

#[test]
fn a_rejected_update_holds_until_the_lease_is_short_or_an_operator_says_normal() {
    for force in [true, false] {
        let mut bench = alone(Manners::Own);
        bench.lease(1).expect("a lease");
        comes_back(&mut bench, OnUpdate::Reject(failover::wire::RejectReason::IllegalIpAddress));
        assert_eq!(bench.state(), State::PartnerDown);
        let blocked = bench.server.report(bench.now()).server.exit_blocked.expect("told why");
        assert_eq!((blocked.count, blocked.reason.as_str()), (1, "UpdatesRejected"));
        // As long as the lease lasts beyond what the partner waits for.
        let left = blocked.until.expect("by time").as_second() - i64::from(bench.now().wall.get());
        assert!((500..=540).contains(&left), "{left}");
        if force {
            bench.force("Normal");
        } else {
            bench.run(Seconds(600 - MCLT));
        }
        assert_eq!(bench.state(), State::Normal);
    }
}

#[test]
fn nothing_of_the_partners_is_given_away_once_it_was_heard() {
    let mut bench = alone(Manners::Own);
    let partners: Vec<Ipv4Addr> = bench
        .server
        .leases()
        .filter(|line| line.state == Status::Backup.as_str())
        .map(|line| line.address)
        .collect();
    comes_back(&mut bench, OnUpdate::Ignore);
    let given: Vec<Ipv4Addr> =
        (1..40).filter_map(|client| bench.lease(client)).map(|(address, _)| address).collect();
    assert!(!given.is_empty() && !partners.is_empty());
    assert!(
        given.iter().all(|address| !partners.contains(address)),
        "{given:?}, but {partners:?} are the partner's"
    );
}

/// A dhcpd that was alone says Normal first, and sends the rest after (§7.3).
#[test]
pub(crate) fn beside_a_dhcpd_nobody_new_is_served_until_it_has_told_what_it_granted_alone() {
    for (manners, at_start) in [(Manners::Own, false), (Manners::Isc, false), (Manners::Isc, true)] {
        let mut bench = if at_start {
            let (mut bench, _) = in_state(Role::Secondary, manners, State::CommunicationsInterrupted);
            bench.run(Seconds(5));
            let mut bench = bench.restarted();
            // It learns by the same word that it must recover (simulator seed 9211780).
            bench.run(Seconds(5));
            bench.connect(State::PartnerDown, false);
            assert_eq!(bench.state(), State::Recover);
            bench.done();
            bench.run(Seconds(MCLT + 2));
            assert_eq!(bench.state(), State::RecoverDone);
            bench
        } else {
            in_state(Role::Secondary, manners, State::RecoverDone).0
        };
        bench.say(State::Normal, false);
        bench.run(Seconds(2));
        assert_eq!(bench.state(), State::Normal);
        bench.give(110..115);
        bench.hang_up();
        bench.run(Seconds(2));
        assert_eq!(bench.state(), State::CommunicationsInterrupted);
        let asked = manners == Manners::Isc;
        assert_eq!(bench.is_offered(7), !asked, "{manners:?}: it serves its own share");
        if asked {
            let waits = bench.server.report(bench.now()).server.new_clients_wait_for;
            assert_eq!(waits.as_deref(), Some("PartnerUpdates"));
            bench.connect(State::Normal, false);
            bench.run(Seconds(1));
            bench.done();
            bench.hang_up();
            bench.run(Seconds(2));
            assert!(bench.is_offered(7), "it was told everything");
        }
    }
}
