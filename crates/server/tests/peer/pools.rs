//! How a primary shares its addresses, and which of them it takes back when it is alone.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message, RejectReason};
use leases::lease::Status;

use crate::bench::{Bench, MCLT, Manners, OnUpdate};
use crate::grid::in_state;
use crate::holes::update;

/// Twenty addresses like any, of which the secondary gets a tenth, and ten for BOOTP, of which it gets three.
fn with_bootp() -> Bench {
    let pools = serde_json::json!([
        {"first": "10.0.0.100", "last": "10.0.0.119"},
        {"first": "10.0.0.130", "last": "10.0.0.139", "dynamicBootp": true, "dynamicBootpBackupPct": 30},
    ]);
    let mut bench = Bench::with_pools(Role::Primary, Manners::Own, pools);
    bench.connect(State::RecoverDone, false);
    bench.run(Seconds(1));
    bench.say(State::Normal, false);
    assert_eq!(bench.state(), State::Normal);
    bench.send(Message::PoolReq);
    bench.run(Seconds(1));
    bench
}

fn given(bench: &Bench) -> BTreeSet<Ipv4Addr> {
    bench
        .updates()
        .filter(|update| update.status == Some(Status::Backup))
        .filter_map(|update| update.address)
        .collect()
}

fn is_for_bootp(address: &Ipv4Addr) -> bool {
    address.octets()[3] >= 130
}

#[test]
fn ranges_for_bootp_have_a_share_of_their_own() {
    let bench = with_bootp();
    let given = given(&bench);
    assert_eq!(given.iter().filter(|address| is_for_bootp(address)).count(), 3, "{given:?}");
    assert_eq!(given.len(), 3 + 2, "{given:?}");
}

#[test]
fn what_the_partner_has_of_a_range_for_bootp_stays_its_own_in_partner_down() {
    let mut bench = with_bootp();
    let given = given(&bench);
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    assert_eq!(bench.state(), State::PartnerDown);
    bench.run(Seconds(MCLT + 2));
    let leased: BTreeSet<Ipv4Addr> =
        (0..40).filter_map(|client| bench.lease(client)).map(|(address, _)| address).collect();
    let kept: Vec<&Ipv4Addr> = given.difference(&leased).collect();
    assert_eq!(leased.len(), 20 + 7, "{leased:?}");
    assert!(kept.len() == 3 && kept.iter().all(|address| is_for_bootp(address)), "{kept:?}");
}

/// The new configuration came here first. Without the mark only the primary would take the address for its own.
#[test]
fn a_partner_that_does_not_know_of_a_reservation_yet_does_not_cancel_it() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Own, State::Normal);
        let address = Ipv4Addr::new(10, 0, 0, 105);
        let began = bench.now().wall.get();
        let told = |status: Status| update(status, address, 1, began, began + 100);
        bench.send(Message::BndUpd(vec![told(Status::Active)]));
        bench.run(Seconds(1));
        let reservation = serde_json::json!([{ "address": address, "hardwareAddress": "02:00:00:00:00:01" }]);
        bench.configure("/subnets/0/reservations", &reservation);
        bench.on_update = OnUpdate::Reject(RejectReason::IpNotReserved);
        bench.run(Seconds(1));
        let marked = |bench: &Bench| bench.server.table().get(address).map(|lease| lease.flags.reserved);
        assert_eq!(marked(&bench), Some(true), "{role}");
        let released = BindingUpdate { cltt: Some(began + 1), ..told(Status::Released) };
        bench.send(Message::BndUpd(vec![released]));
        bench.run(Seconds(1));
        let lease = bench.server.table().get(address).expect("a lease").clone();
        assert_ne!(lease.status, Status::Active, "{role}");
        assert_eq!(marked(&bench), Some(true), "{role}");
    }
}

/// Neither server has the pool any more, so neither is told of by the other for ever, nor do they differ.
#[test]
fn what_is_left_of_a_pool_that_was_taken_out_is_told_once() {
    let pools = serde_json::json!([
        { "first": "10.0.0.100", "last": "10.0.0.100" },
        { "first": "10.0.0.110", "last": "10.0.0.115" },
    ]);
    let mut bench = Bench::with_pools(Role::Primary, Manners::Own, pools.clone());
    bench.connect(State::RecoverDone, false);
    bench.run(Seconds(2));
    bench.say(State::Normal, false);
    assert_eq!(bench.state(), State::Normal);
    let kept: Ipv4Addr = "10.0.0.100".parse().expect("an address");
    let leases: Vec<Ipv4Addr> =
        (2..6).filter_map(|client| bench.lease(client)).map(|(address, _)| address).collect();
    let gone = *leases.iter().find(|address| **address != kept).expect("one of the other pool");
    bench.run(Seconds(2));
    bench.configure("/allowScopeRemoval", &true.into());
    bench.configure("/subnets/0/pools", &serde_json::json!([pools[0]]));
    bench.done();
    bench.on_update = OnUpdate::Reject(RejectReason::IllegalIpAddress);
    bench.heard.clear();
    bench.run(Seconds(1200));
    let told = bench.updates().filter(|update| update.address == Some(gone)).count();
    assert_eq!(told, 1, "{:?}", bench.heard);
    let rejections = bench.server.report(bench.now()).rejections;
    assert!(rejections.iter().all(|rejected| rejected.address == kept), "{rejections:?}");

    bench.on_update = OnUpdate::Accept;
    bench.configure("/subnets/0/pools", &pools);
    bench.run(Seconds(10));
    assert!(bench.updates().filter(|update| update.address == Some(gone)).count() > 1, "the pool is back");
}

/// Leases of the larger MCLT run on, so the partner may have renewed one for as long.
#[test]
fn bounds_of_partner_down_count_with_an_mclt_that_is_still_owed() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    for mclt in [600, 60] {
        bench.configure("/mcltSeconds", &mclt.into());
        bench.done();
        bench.hang_up();
        bench.run(Seconds(10));
        bench.connect(State::Normal, false);
        bench.run(Seconds(5));
        assert_eq!(bench.state(), State::Normal);
        bench.lease(7).expect("a lease");
        bench.run(Seconds(5));
    }
    bench.hang_up();
    bench.run(Seconds(2));
    bench.force("PartnerDown");
    assert_eq!(bench.state(), State::PartnerDown);
    let held: Vec<_> = bench.server.table().iter().filter(|lease| lease.status == Status::Active).collect();
    assert!(!held.is_empty());
    for lease in held {
        assert!(lease.hold_until >= lease.latest_promise() + Seconds(600), "{lease:?}");
    }
}
