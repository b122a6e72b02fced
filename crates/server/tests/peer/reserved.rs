//! Reservations that change while a server runs, or that lie outside every pool (`spec/failover-behaviour.md` §6.6).

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message, RejectReason};
use leases::lease::Status;

use crate::bench::{Bench, Manners, OnUpdate};
use crate::dhcp::lease_seconds;
use crate::grid::in_state;

const RESERVED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);
const DAY: Seconds = Seconds(86_400);

/// The only reservation, outside the pools, is this client's.
fn reserve(bench: &mut Bench, client: u8) {
    let held = serde_json::json!([
        { "address": RESERVED, "hardwareAddress": format!("02:00:00:00:00:{client:02x}") },
    ]);
    bench.configure("/subnets/0/reservations", &held);
    if bench.state() == State::Normal {
        bench.done();
    }
}

/// Both may serve it, so the one may have leased it to the client before while the link was down (simulator seed 4345).
#[test]
fn what_is_reserved_for_another_client_waits_for_the_partners_word() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Own, State::Normal);
        reserve(&mut bench, 7);
        bench.run(Seconds(5));
        bench.hang_up();
        bench.run(Seconds(2));
        assert_eq!(bench.state(), State::CommunicationsInterrupted);
        reserve(&mut bench, 8);
        assert_ne!(bench.lease(8).map(|(address, _)| address), Some(RESERVED), "{role}: 7 may have it");
        bench = bench.restarted();
        bench.connect(State::Normal, false);
        bench.run(Seconds(5));
        assert_eq!(bench.state(), State::Normal);
        bench.hang_up();
        bench.run(Seconds(2));
        assert_eq!(bench.lease(8).map(|(address, _)| address), Some(RESERVED), "{role}: the partner agreed");
    }
}

/// The partner has the configuration before, and another client in mind (simulator seed 4203).
#[test]
fn a_partner_that_reserves_the_address_for_another_client_is_refused() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Own, State::Normal);
        reserve(&mut bench, 7);
        bench.run(Seconds(5));
        let told = bench.updates().filter(|update| update.address == Some(RESERVED)).last().cloned();
        let told = told.unwrap_or_else(|| panic!("{role}: a reservation is told"));
        assert!(told.request_options.is_some(), "{role}: {told:?}");
        reserve(&mut bench, 8);
        bench.run(Seconds(5));
        bench.heard.clear();
        bench.send(Message::BndUpd(vec![BindingUpdate { status: Some(Status::Backup), ..told.clone() }]));
        bench.run(Seconds(1));
        let refusal = bench.answers_about(RESERVED).find_map(|ack| ack.reject.as_ref());
        assert_eq!(refusal.map(|reject| reject.reason), Some(RejectReason::IpNotReserved), "{role}");
        let silent = BindingUpdate { request_options: None, status: Some(Status::Backup), ..told };
        bench.heard.clear();
        bench.send(Message::BndUpd(vec![silent]));
        bench.run(Seconds(1));
        let refused = bench.answers_about(RESERVED).any(|ack| ack.reject.is_some());
        assert!(!refused, "{role}: a server of an earlier build does not say");
    }
}

#[test]
fn a_declined_reservation_outside_every_pool_comes_back_after_a_day() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    reserve(&mut bench, 7);
    bench.run(Seconds(5));
    let (address, _) = bench.lease(7).expect("its reservation");
    assert_eq!(address, RESERVED);
    bench.decline(7, address);
    bench.run(Seconds(DAY.get() - 60));
    assert_eq!(bench.line(address).state, "Abandoned");
    bench.run(Seconds(120));
    assert_eq!(bench.lease(7).map(|(address, _)| address), Some(RESERVED));
}

/// A dhcpd has its hosts outside of its ranges and keeps no leases of them: it refuses each update with 1.
#[test]
fn beside_a_dhcpd_a_reservation_outside_every_pool_is_served() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Isc, State::Normal);
        bench.on_update = OnUpdate::Reject(RejectReason::IllegalIpAddress);
        reserve(&mut bench, 7);
        bench.run(Seconds(10));
        assert_eq!(bench.state(), State::Normal, "{role}");
        if role == Role::Primary {
            assert_eq!(bench.lease(7).map(|(address, _)| address), Some(RESERVED), "{role}");
        }
        bench.hang_up();
        bench.run(Seconds(2));
        assert_eq!(bench.lease(7).map(|(address, _)| address), Some(RESERVED), "{role}, alone");
        bench.connect(State::Normal, false);
        bench.run(Seconds(20));
        let renewed = bench.renew(7, RESERVED).unwrap_or_else(|| panic!("{role}: renewed"));
        assert_eq!(lease_seconds(&renewed), 600, "{role}: as long as any");
        bench.run(Seconds(5));
        let told = bench.updates().filter(|update| update.address == Some(RESERVED)).count();
        assert_eq!(told, 1, "{role}: told once on a connection, as the dhcpd keeps no such lease");
    }
}
